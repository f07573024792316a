package io.atoll.core.ring;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * Who owns a key: the same answers as nginx's {@code hash KEY consistent} over the same servers.
 *
 * <pre>{@code
 * ConsistentHash ring = ConsistentHash.of("cache1:80", "cache2:80 weight=2", "cache3:80");
 * String owner = ring.owner("/movie.mp4");                                // asked first
 * List<String> inOrder = ring.owners("/movie.mp4", 2);                    // and who is asked next
 * Optional<String> alive = ring.owner("/movie.mp4", s -> !s.equals(owner)); // when some may not serve
 * }</pre>
 *
 * <p>A server's name places its points on the ring, so write it exactly as in nginx.conf: {@code cache1} and
 * {@code cache1:80} own different keys. Adding or removing a server moves only the keys that it takes or had. Immutable
 * and safe for use by several threads; a lookup takes well under a microsecond.
 */
public final class ConsistentHash {
    private final Ring ring;
    private final List<String> servers;

    private ConsistentHash(Ring ring, List<String> servers) {
        this.ring = ring;
        this.servers = servers;
    }

    /**
     * A ring of servers as in nginx.conf: {@code "NAME"} or {@code "NAME weight=N"}.
     *
     * @throws IllegalArgumentException for no server, an empty name, or anything else after the name
     */
    public static ConsistentHash of(String... servers) {
        Builder builder = new Builder();
        for (String server : servers) {
            String[] words = server.strip().split("\\s+");
            builder.add(words[0], weight(server, words));
        }
        return builder.build();
    }

    /**
     * A ring of servers with their weights, in the order of the map (which only matters where two servers have a point in
     * common).
     *
     * @throws IllegalArgumentException for no server, an empty name, or a weight below 1
     */
    public static ConsistentHash of(Map<String, Integer> weights) {
        Builder builder = new Builder();
        weights.forEach(builder::add);
        return builder.build();
    }

    private static final class Builder {
        private final Ring.Builder points = new Ring.Builder();
        private final List<String> servers = new ArrayList<>();

        void add(String server, int weight) {
            if (server.isEmpty()) {
                throw new IllegalArgumentException("a server has an empty name; expected \"NAME\" or \"NAME weight=N\"");
            }
            if (points.add(server.getBytes(StandardCharsets.UTF_8), weight) == servers.size()) {
                servers.add(server);
            }
        }

        ConsistentHash build() {
            if (servers.isEmpty()) {
                throw new IllegalArgumentException("a ring needs at least one server");
            }
            return new ConsistentHash(points.build(), List.copyOf(servers));
        }
    }

    private static int weight(String server, String[] words) {
        if (words.length == 1) {
            return 1;
        }
        if (words.length == 2 && words[1].matches("weight=[0-9]{1,9}")) {
            return Integer.parseInt(words[1].substring("weight=".length()));
        }
        throw new IllegalArgumentException("server \"" + server + "\": expected \"NAME\" or \"NAME weight=N\"");
    }

    /** The server that owns a key: the one asked first. The key is taken as UTF-8. */
    public String owner(String key) {
        return owner(key.getBytes(StandardCharsets.UTF_8));
    }

    /** The server that owns a key of any bytes. */
    public String owner(byte[] key) {
        return servers.get(ring.group(ring.find(Crc32.of(key))));
    }

    /** The first server along the ring from a key that may serve it; empty when none may. Each is tested once at most. */
    public Optional<String> owner(String key, Predicate<String> eligible) {
        List<String> found = walk(key.getBytes(StandardCharsets.UTF_8), 1, eligible);
        return found.isEmpty() ? Optional.empty() : Optional.of(found.get(0));
    }

    /** The first {@code n} different servers along the ring from a key, or all there are: the order in which they are asked. */
    public List<String> owners(String key, int n) {
        return owners(key, n, server -> true);
    }

    /** The first {@code n} different servers along the ring from a key that may serve it. Each is tested once at most. */
    public List<String> owners(String key, int n, Predicate<String> eligible) {
        return walk(key.getBytes(StandardCharsets.UTF_8), n, eligible);
    }

    private List<String> walk(byte[] key, int n, Predicate<String> eligible) {
        List<String> found = new ArrayList<>();
        BitSet seen = new BitSet(servers.size());
        int first = ring.find(Crc32.of(key));
        int unseen = servers.size();
        // Once round at most: a server all of whose points equal those of another has none of its own.
        for (int i = 0; i < ring.pointCount() && unseen > 0 && found.size() < n; i++) {
            int group = ring.group((first + i) % ring.pointCount());
            if (!seen.get(group)) {
                seen.set(group);
                unseen--;
                if (eligible.test(servers.get(group))) {
                    found.add(servers.get(group));
                }
            }
        }
        return found;
    }

    /** The servers, each once, in the order in which they were given. */
    public List<String> servers() {
        return servers;
    }

    /**
     * The share of all possible keys that a server owns, 0 to 1.
     *
     * @throws IllegalArgumentException for a server that is not on the ring
     */
    public double share(String server) {
        int group = servers.indexOf(server);
        if (group < 0) {
            throw new IllegalArgumentException("no server \"" + server + "\" on the ring; it has " + servers);
        }
        return ring.share(group) / 0x1p32;
    }
}
