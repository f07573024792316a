package io.atoll.core.ring;

import io.atoll.core.zone.ZoneLayout;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * The points of one ring, with a bucket index over the top bits of their hashes. The points are those of nginx's
 * {@code hash KEY consistent} ({@code ngx_http_upstream_init_chash}), or a {@linkplain Maglev Maglev table}.
 *
 * <p>nginx's: each server gives {@code weight × 160} points: a chain of CRC-32 values, each over host, a zero byte, port and the
 * value before. A name that is added again (another address of it) gives the points of its name again; of equal hashes
 * the one that was added first stays. The servers of one name form a <em>group</em>, numbered in the order of first
 * appearance. Immutable; there is a bucket for each {@value #POINTS_PER_BUCKET} points or fewer, a power of two in all: a
 * lookup then looks at about three points, which lie side by side, and the index of 1,000 servers stays in a processor's
 * second-level cache.
 */
public final class Ring {
    /** Points that a ring may have before equal ones are dropped. */
    public static final int MAX_POINTS = 1 << 26;

    /** Hashes lie in {@code 1 << 24} buckets at most. */
    public static final int MAX_BUCKET_BITS = 24;

    /** Points for each bucket, at most, on average. */
    public static final int POINTS_PER_BUCKET = 4;

    private final long[] points;
    private final int[] buckets;
    private final int bucketShift;
    private final long[] shares;
    private final String[] names;

    private Ring(long[] points, int[] buckets, int bucketShift, long[] shares, String[] names) {
        this.points = points;
        this.buckets = buckets;
        this.bucketShift = bucketShift;
        this.shares = shares;
        this.names = names;
    }

    /** Points, all of different hash. */
    public int pointCount() {
        return points.length;
    }

    /** Hash of a point; strictly increasing, unsigned. */
    public int hash(int point) {
        return (int) points[point];
    }

    /** Group that owns the keys from the point before up to this one. */
    public int group(int point) {
        return (int) (points[point] >>> 32);
    }

    /** Distinct server names. */
    public int groupCount() {
        return shares.length;
    }

    /** Name of a group, byte by byte as ISO 8859-1. */
    public String name(int group) {
        return names[group];
    }

    /** Part of the hash space that a group owns, in 2<sup>-32</sup>; 2<sup>32</sup> for all of it. */
    public long share(int group) {
        return shares[group];
    }

    /** The bucket of a hash is {@code hash >>> bucketShift}; 8 to 31. */
    public int bucketShift() {
        return bucketShift;
    }

    /**
     * The bucket index: element b is the first point in bucket b or a later one; one more element than buckets. A copy.
     */
    public int[] buckets() {
        return buckets.clone();
    }

    /**
     * The points as layout record {@code point} read as a little-endian word, {@code group << 32 | hash}. A copy.
     *
     * @param firstGroup added to each group
     */
    public long[] points(int firstGroup) {
        long[] copy = points.clone();
        long added = (long) firstGroup << 32;
        for (int i = 0; firstGroup != 0 && i < copy.length; i++) {
            copy[i] += added;
        }
        return copy;
    }

    /** Index of the first point with a hash no smaller than the key's, 0 past the last one; −1 for an empty ring. */
    public int find(int hash) {
        if (points.length == 0) {
            return -1;
        }
        int bucket = hash >>> bucketShift;
        int low = buckets[bucket];
        int high = buckets[bucket + 1];
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (Integer.compareUnsigned((int) points[middle], hash) < 0) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low == points.length ? 0 : low;
    }

    /** Collects servers, then builds their ring. One thread. */
    public static final class Builder {
        private final boolean maglev;
        private final Map<String, Integer> groups = new HashMap<>();
        private String[] names = new String[16];
        private int[] base = new int[16];
        private int[] previous = new int[16];
        private int[] weights = new int[16];
        private long[] points = new long[16 * ZoneLayout.POINTS_PER_WEIGHT];
        private int count;

        /** A builder of nginx's ring, without servers. */
        public Builder() {
            this(ZoneLayout.Method.KETAMA);
        }

        /**
         * A builder without servers.
         *
         * @param method one of {@code ZoneLayout.Method}
         */
        public Builder(int method) {
            maglev = method == ZoneLayout.Method.MAGLEV;
        }

        /** How the points are placed: one of {@code ZoneLayout.Method}. */
        public int method() {
            return maglev ? ZoneLayout.Method.MAGLEV : ZoneLayout.Method.KETAMA;
        }

        /**
         * Adds a server, or another address of one, and returns its group. A server has the largest weight of its addresses.
         *
         * @param server as in {@code server NAME}: its bytes place its points
         * @param weight 1 or more
         * @throws IllegalArgumentException for a weight below 1, or when the ring would have too many points
         */
        public int add(byte[] server, int weight) {
            String name = new String(server, StandardCharsets.ISO_8859_1);
            if (weight < 1) {
                throw new IllegalArgumentException("server \"" + name + "\": weight is " + weight + ", expected 1 or more");
            }
            Integer known = groups.get(name);
            int group = known == null ? newGroup(name, server) : known;
            if (maglev) {
                weights[group] = Math.max(weights[group], weight);
                return group;
            }
            // Points that the name has already would be dropped as equal: only those of a larger weight are new.
            long fresh = (long) (weight - weights[group]) * ZoneLayout.POINTS_PER_WEIGHT;
            if (fresh > 0) {
                if (count + fresh > MAX_POINTS) {
                    throw new IllegalArgumentException("server \"" + name + "\": with weight " + weight
                            + " the ring would have " + (count + fresh) + " points, expected at most " + MAX_POINTS
                            + "; divide all weights by a common factor");
                }
                weights[group] = weight;
                append(group, (int) fresh);
            }
            return group;
        }

        private int newGroup(String name, byte[] server) {
            int group = groups.size();
            if (maglev && group == Maglev.ENTRIES) {
                throw new IllegalArgumentException("server \"" + name + "\": a maglev table has entries for up to "
                        + Maglev.ENTRIES + " servers; take ketama");
            }
            if (group == names.length) {
                names = Arrays.copyOf(names, group * 2);
                base = Arrays.copyOf(base, group * 2);
                previous = Arrays.copyOf(previous, group * 2);
                weights = Arrays.copyOf(weights, group * 2);
            }
            groups.put(name, group);
            names[group] = name;
            base[group] = base(server);
            return group;
        }

        private void append(int group, int fresh) {
            if (count + fresh > points.length) {
                points = Arrays.copyOf(points, Math.max(count + fresh, (int) Math.min(points.length * 2L, MAX_POINTS)));
            }
            long high = (long) group << 32;
            int state = base[group];
            int hash = previous[group];
            int at = count;
            for (int end = count + fresh; at < end; at++) {
                hash = Crc32.finish(Crc32.updateWord(state, hash));
                points[at] = high | hash & 0xffffffffL;
            }
            previous[group] = hash;
            count = at;
        }

        /** The ring of the servers added so far; without any, an empty one. */
        public Ring build() {
            int groupCount = groups.size();
            long[] sorted = maglev && groupCount > 0
                    ? Maglev.points(Arrays.copyOf(names, groupCount), Arrays.copyOf(weights, groupCount))
                    : dropEqual(sort(Arrays.copyOf(points, count)));
            int wanted = (sorted.length + POINTS_PER_BUCKET - 1) / POINTS_PER_BUCKET;
            int bits = Math.min(MAX_BUCKET_BITS, Math.max(1, 32 - Integer.numberOfLeadingZeros(wanted - 1)));
            int shift = 32 - (sorted.length == 0 ? 1 : bits);
            return new Ring(sorted, index(sorted, shift), shift, shares(sorted, groupCount), Arrays.copyOf(names, groupCount));
        }
    }

    /**
     * CRC-32 state over host, zero byte, port. A leading {@code unix:} (in any case) is not hashed and what follows has no
     * port; else the port is what follows the last colon when that is digits only, an empty one included.
     */
    static int base(byte[] server) {
        int from = 0;
        int hostEnd = server.length;
        int portFrom = server.length;
        if (isUnix(server)) {
            from = 5;
        } else {
            int i = server.length - 1;
            while (i >= 0 && server[i] >= '0' && server[i] <= '9') {
                i--;
            }
            if (i >= 0 && server[i] == ':') {
                hostEnd = i;
                portFrom = i + 1;
            }
        }
        int state = Crc32.update(Crc32.INITIAL, server, from, hostEnd);
        return Crc32.update(Crc32.update(state, (byte) 0), server, portFrom, server.length);
    }

    private static boolean isUnix(byte[] server) {
        return server.length >= 5
                && (server[0] | 0x20) == 'u' && (server[1] | 0x20) == 'n' && (server[2] | 0x20) == 'i'
                && (server[3] | 0x20) == 'x' && server[4] == ':';
    }

    private static final int RADIX_BITS = 11;

    /**
     * Sorts by unsigned hash, keeping the order of equal ones (as glibc's merge sort does for nginx). A radix sort in three
     * passes: a loop without calls is what a JVM that has just started runs best.
     */
    private static long[] sort(long[] points) {
        int bins = 1 << RADIX_BITS;
        long[] from = points;
        long[] to = new long[points.length];
        for (int shift = 0; shift < 32; shift += RADIX_BITS) {
            int[] next = new int[bins];
            for (int i = 0; i < from.length; i++) {
                next[(int) from[i] >>> shift & bins - 1]++;
            }
            int sum = 0;
            for (int bin = 0; bin < bins; bin++) {
                int n = next[bin];
                next[bin] = sum;
                sum += n;
            }
            for (int i = 0; i < from.length; i++) {
                long point = from[i];
                to[next[(int) point >>> shift & bins - 1]++] = point;
            }
            long[] swap = from;
            from = to;
            to = swap;
        }
        return from;
    }

    private static long[] dropEqual(long[] sorted) {
        int kept = 0;
        for (int i = 0; i < sorted.length; i++) {
            if (kept == 0 || (int) sorted[kept - 1] != (int) sorted[i]) {
                sorted[kept++] = sorted[i];
            }
        }
        return kept == sorted.length ? sorted : Arrays.copyOf(sorted, kept);
    }

    private static int[] index(long[] sorted, int shift) {
        int[] first = new int[(1 << 32 - shift) + 1];
        int bucket = 0;
        for (int i = 0; i < sorted.length; i++) {
            int b = (int) sorted[i] >>> shift;
            while (bucket < b) {
                first[++bucket] = i;
            }
        }
        while (bucket < first.length - 1) {
            first[++bucket] = sorted.length;
        }
        return first;
    }

    private static long[] shares(long[] sorted, int groupCount) {
        long[] shares = new long[groupCount];
        if (sorted.length == 0) {
            return shares;
        }
        long before = (sorted[sorted.length - 1] & 0xffffffffL) - (1L << 32);
        for (int i = 0; i < sorted.length; i++) {
            long hash = sorted[i] & 0xffffffffL;
            shares[(int) (sorted[i] >>> 32)] += hash - before;
            before = hash;
        }
        return shares;
    }
}
