package io.atoll.core.tools;

import io.atoll.core.table.CompileRequest;
import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.table.CompileRequest.Upstream;
import io.atoll.core.table.TableCompiler;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import io.atoll.core.zone.ZoneLayout.TablePeerRecord;
import io.atoll.core.zone.ZoneLayout.TableRecord;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Random pools of every kind: with and without ports, unix sockets, weights, repeated names, down, backup. */
public final class RandomUpstreams {
    private final Random random;

    /** Pools that follow from a seed. */
    public RandomUpstreams(long seed) {
        random = new Random(seed);
    }

    /** The generator behind the pools. */
    public Random random() {
        return random;
    }

    /** An upstream of 1 to {@code most} peers, the first a primary. */
    public Upstream next(int most) {
        int count = 1 + random.nextInt(most);
        boolean backups = random.nextInt(3) == 0;
        List<Peer> peers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            boolean again = i > 0 && random.nextInt(5) == 0;
            String server = again ? peers.get(random.nextInt(i)).server() : server();
            int weight = random.nextInt(4) == 0 ? 1 + random.nextInt(9) : 1;
            int flags = (random.nextInt(8) == 0 ? PeerFlag.DOWN : 0)
                    | (backups && i > 0 && random.nextInt(3) == 0 ? PeerFlag.BACKUP : 0);
            peers.add(new Peer(server, weight, random.nextInt(3), random.nextInt(3), random.nextInt(20_000), flags));
        }
        return new Upstream("pool" + random.nextInt(1000), peers);
    }

    private String server() {
        int n = random.nextInt(100_000);
        return switch (random.nextInt(6)) {
            case 0 -> "cache" + n;
            case 1 -> "unix:/run/cache" + n + ".sock";
            case 2 -> "[2001:db8::" + Integer.toHexString(n) + "]:8080";
            case 3 -> "10." + (n >> 16) + "." + (n >> 8 & 255) + "." + (n & 255);
            case 4 -> "cache-" + n + ".example.net:" + (1 + random.nextInt(65535));
            default -> "127.0.0.1:" + (1 + random.nextInt(65535));
        };
    }

    /** The compiled table of an upstream. */
    public static ByteBuffer table(Upstream upstream) {
        ByteBuffer region = new CompileRequest(List.of(upstream)).region();
        TableCompiler.compile(region);
        return CompileRequest.table(region, 0);
    }

    /** The same table with slots as the master would give them: each peer its place in the upstream's list. */
    public static ByteBuffer withSlots(ByteBuffer table) {
        int peers = (int) table.getLong(TableRecord.PEERS_OFFSET);
        int previous = table.getInt(TableRecord.RING_PEERS + ZoneLayout.Ring.PREVIOUS * Integer.BYTES)
                + table.getInt(TableRecord.RING_PEERS + ZoneLayout.Ring.EARLIER * Integer.BYTES);
        for (int i = 0; i < table.getInt(TableRecord.PEER_COUNT) + previous; i++) {
            int peer = peers + i * TablePeerRecord.SIZE;
            table.putInt(peer + TablePeerRecord.SLOT, table.getInt(peer + TablePeerRecord.SOURCE));
        }
        return table;
    }
}
