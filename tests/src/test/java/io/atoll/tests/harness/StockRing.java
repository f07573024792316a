package io.atoll.tests.harness;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.zip.CRC32;

/**
 * What stock nginx's `hash KEY consistent` does, written down a second time from ngx_http_upstream_hash_module.c alone, so that a
 * scene knows for which tries stock still walks its ring: after more than 20 points passed it goes round-robin.
 */
public final class StockRing {
    /** One address of a `server` line. */
    public record Server(String name, String address, int weight, boolean down) {
    }

    private static final int POINTS_PER_WEIGHT = 160;
    private static final int MAX_PASSED = 20;

    private final List<Server> servers;
    private final long[] hashes;
    private final String[] owners;

    /** The ring of these servers; the addresses of one name share its points. */
    public StockRing(List<Server> servers) {
        this.servers = List.copyOf(servers);
        TreeMap<Long, String> points = new TreeMap<>();
        for (Server server : servers) {
            addPoints(points, server);
        }
        hashes = points.keySet().stream().mapToLong(Long::longValue).toArray();
        owners = points.values().toArray(String[]::new);
    }

    /**
     * How many of these tries, made for a key in this order, came from a walk along the ring; the rest, if any, stock chose
     * round-robin. Fails when a try is not what the walk gives.
     */
    public int walked(String key, List<String> tries) {
        int point = find(crc(key.getBytes(StandardCharsets.UTF_8)));
        int passed = 0;
        List<Server> left = new ArrayList<>(servers);
        for (int k = 0; k < tries.size(); k++) {
            Set<String> candidates = candidates(left, point);
            while (candidates.isEmpty()) {
                point++;
                if (++passed > MAX_PASSED) {
                    return k;
                }
                candidates = candidates(left, point);
            }
            String taken = tries.get(k);
            if (!candidates.contains(taken)) {
                throw new AssertionError("try " + (k + 1) + " for " + key + " went to " + taken + ", the ring says "
                        + candidates + ": " + tries);
            }
            left.remove(left.stream().filter(server -> server.address.equals(taken) && !server.down).findFirst()
                    .orElseThrow());
        }
        return tries.size();
    }

    private Set<String> candidates(List<Server> left, int point) {
        String owner = owners[point % owners.length];
        Set<String> addresses = new HashSet<>();
        for (Server server : left) {
            if (!server.down && server.name.equals(owner)) {
                addresses.add(server.address);
            }
        }
        return addresses;
    }

    private int find(long hash) {
        int low = 0;
        for (int high = hashes.length; low < high; ) {
            int middle = (low + high) >>> 1;
            if (hash > hashes[middle]) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low % hashes.length;
    }

    private static void addPoints(TreeMap<Long, String> points, Server server) {
        byte[] base = label(server.name);
        int previous = 0;
        for (int i = 0; i < server.weight * POINTS_PER_WEIGHT; i++) {
            ByteBuffer bytes = ByteBuffer.allocate(base.length + 4).order(ByteOrder.LITTLE_ENDIAN);
            long hash = crc(bytes.put(base).putInt(previous).array());
            points.putIfAbsent(hash, server.name);
            previous = (int) hash;
        }
    }

    /** HOST NUL PORT, without the port where the name has none. */
    private static byte[] label(String name) {
        String host = name;
        String port = "";
        if (name.regionMatches(true, 0, "unix:", 0, 5)) {
            host = name.substring(5);
        } else if (name.matches(".*:[0-9]*")) {
            host = name.substring(0, name.lastIndexOf(':'));
            port = name.substring(name.lastIndexOf(':') + 1);
        }
        return (host + '\0' + port).getBytes(StandardCharsets.UTF_8);
    }

    private static long crc(byte[] bytes) {
        CRC32 crc = new CRC32();
        crc.update(bytes);
        return crc.getValue();
    }
}
