package io.atoll.core.ring;

import io.atoll.core.zone.ZoneLayout;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * A Maglev table, expressed as the points of a ring: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
 * Balancer", NSDI 2016, section 3.4.
 *
 * <p>The table has {@value ZoneLayout#MAGLEV_ENTRIES} entries. Each server has its own order in which it would like to
 * have them (an offset and a step, from two hashes of its name), and the servers take turns: at each turn one takes the first
 * entry of its order that is free. So each has as many entries as any other, give or take one, and a server that leaves moves its
 * own entries and few others. Weights as Envoy's {@code maglev} has them: the heaviest server has a turn in every round, one
 * of half its weight in every second one; in the first round each has one.
 *
 * <p>Servers take turns in the order of their names, so their order in nginx.conf is of no matter. A name is hashed by FNV-1a
 * (64 bits), then mixed as SplitMix64 does; offset and step are two successive numbers of that generator. Entry i owns the hashes
 * of keys from {@code i × 2^32 / M} up to the next entry's; its point stands at the end of them. Equal neighbours share one
 * point.
 */
final class Maglev {
    /** M: a prime, so that each step meets every entry. */
    static final int ENTRIES = ZoneLayout.MAGLEV_ENTRIES;

    private static final int FREE = -1;
    private static final long FNV_BASIS = 0xcbf29ce484222325L;
    private static final long FNV_PRIME = 0x100000001b3L;
    private static final long GOLDEN_GAMMA = 0x9e3779b97f4a7c15L;

    private final int[] next;
    private final int[] step;
    private final int[] weights;
    private final int[] order;

    private Maglev(String[] names, int[] weights) {
        int servers = names.length;
        this.weights = weights;
        next = new int[servers];
        step = new int[servers];
        for (int i = 0; i < servers; i++) {
            long seed = fnv1a(names[i].getBytes(StandardCharsets.ISO_8859_1));
            next[i] = (int) Long.remainderUnsigned(mix(seed + GOLDEN_GAMMA), ENTRIES);
            step[i] = 1 + (int) Long.remainderUnsigned(mix(seed + 2 * GOLDEN_GAMMA), ENTRIES - 1);
        }
        order = byName(names);
    }

    /**
     * The points of a ring, {@code group << 32 | hash}, in order of their hash.
     *
     * @param names of the servers, all different, by group; 1 to {@link #ENTRIES} of them
     * @param weights 1 or more each, by group
     */
    static long[] points(String[] names, int[] weights) {
        int[] table = new Maglev(names, weights).fill();
        long[] points = new long[ENTRIES];
        int count = 0;
        for (int i = 0; i < ENTRIES; i++) {
            if (i + 1 == ENTRIES || table[i] != table[i + 1]) {
                points[count++] = (long) table[i] << 32 | end(i);
            }
        }
        return Arrays.copyOf(points, count);
    }

    /** The last hash of an entry. */
    static long end(int entry) {
        return ((entry + 1L) << 32) / ENTRIES - 1;
    }

    /** The server of each entry. Takes about M log M looks at entries, however many servers there are. */
    private int[] fill() {
        int[] table = new int[ENTRIES];
        Arrays.fill(table, FREE);
        long heaviest = 0;
        for (int i = 0; i < weights.length; i++) {
            heaviest = Math.max(heaviest, weights[i]);
        }
        long[] due = new long[weights.length];
        int left = ENTRIES;
        for (long round = 1; left > 0; round++) {
            for (int i = 0; i < order.length && left > 0; i++) {
                int server = order[i];
                if (round * weights[server] >= due[server]) {
                    due[server] += heaviest;
                    take(table, server);
                    left--;
                }
            }
        }
        return table;
    }

    private void take(int[] table, int server) {
        int entry = next[server];
        while (table[entry] != FREE) {
            entry = after(entry, server);
        }
        table[entry] = server;
        next[server] = after(entry, server);
    }

    private int after(int entry, int server) {
        int after = entry + step[server];
        return after < ENTRIES ? after : after - ENTRIES;
    }

    /** Groups in the order of their names: a merge sort, which the JVM of the compile child has nothing to load for. */
    private static int[] byName(String[] names) {
        int[] sorted = new int[names.length];
        for (int i = 0; i < sorted.length; i++) {
            sorted[i] = i;
        }
        int[] to = new int[sorted.length];
        for (int width = 1; width < sorted.length; width *= 2) {
            for (int from = 0; from < sorted.length; from += 2 * width) {
                merge(names, sorted, to, from, Math.min(from + width, sorted.length),
                        Math.min(from + 2 * width, sorted.length));
            }
            int[] swap = sorted;
            sorted = to;
            to = swap;
        }
        return sorted;
    }

    private static void merge(String[] names, int[] sorted, int[] to, int from, int middle, int end) {
        int left = from;
        int right = middle;
        for (int at = from; at < end; at++) {
            boolean isLeft = right == end || left < middle && names[sorted[left]].compareTo(names[sorted[right]]) <= 0;
            to[at] = isLeft ? sorted[left++] : sorted[right++];
        }
    }

    /** Fowler, Noll and Vo, variant 1a, 64 bits. */
    private static long fnv1a(byte[] name) {
        long hash = FNV_BASIS;
        for (int i = 0; i < name.length; i++) {
            hash = (hash ^ name[i] & 0xff) * FNV_PRIME;
        }
        return hash;
    }

    /** The output function of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014; java.util.SplittableRandom). */
    private static long mix(long z) {
        z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
        z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
        return z ^ z >>> 31;
    }
}
