package io.atoll.core.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.zone.ZoneLayout.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class MaglevTest {
    private static final int M = Maglev.ENTRIES;

    private static String name(int i) {
        return "cache" + i + ".example.net:80";
    }

    private static List<String> names(int count) {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            names.add(name(i));
        }
        return names;
    }

    private static Ring ring(List<String> names, int... weights) {
        Ring.Builder builder = new Ring.Builder(Method.MAGLEV);
        for (int i = 0; i < names.size(); i++) {
            builder.add(names.get(i).getBytes(StandardCharsets.UTF_8), weights.length == 0 ? 1 : weights[i]);
        }
        return builder.build();
    }

    /** The server of each entry, as a lookup of a hash in the middle of it finds it. */
    private static String[] table(Ring ring) {
        String[] table = new String[M];
        for (int i = 0; i < M; i++) {
            table[i] = ring.name(ring.group(ring.find((int) (Maglev.end(i) - 32_000))));
        }
        return table;
    }

    private static int[] entries(Ring ring) {
        int[] entries = new int[ring.groupCount()];
        for (String server : table(ring)) {
            for (int g = 0; g < entries.length; g++) {
                entries[g] += ring.name(g).equals(server) ? 1 : 0;
            }
        }
        return entries;
    }

    /** The algorithm as the paper's pseudocode has it, with whole permutations; for equal weights. */
    private static int[] populate(int[][] permutation) {
        int[] next = new int[permutation.length];
        int[] entry = new int[M];
        java.util.Arrays.fill(entry, -1);
        for (int n = 0; ; ) {
            for (int i = 0; i < permutation.length; i++) {
                int c = permutation[i][next[i]];
                while (entry[c] >= 0) {
                    c = permutation[i][++next[i]];
                }
                entry[c] = i;
                next[i]++;
                if (++n == M) {
                    return entry;
                }
            }
        }
    }

    private static long mix(long z) {
        long y = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
        y = (y ^ y >>> 27) * 0x94d049bb133111ebL;
        return y ^ y >>> 31;
    }

    @Test
    void shouldPopulateTheTableAsThePaperDoes() {
        List<String> names = new ArrayList<>(names(7));
        Collections.sort(names);
        int[][] permutation = new int[names.size()][M];
        for (int i = 0; i < permutation.length; i++) {
            long hash = 0xcbf29ce484222325L;
            for (byte b : names.get(i).getBytes(StandardCharsets.UTF_8)) {
                hash = (hash ^ b & 0xff) * 0x100000001b3L;
            }
            long offset = Long.remainderUnsigned(mix(hash + 0x9e3779b97f4a7c15L), M);
            long skip = Long.remainderUnsigned(mix(hash + 2 * 0x9e3779b97f4a7c15L), M - 1) + 1;
            for (int j = 0; j < M; j++) {
                permutation[i][j] = (int) ((offset + j * skip) % M);
            }
        }
        int[] expected = populate(permutation);
        String[] table = table(ring(names));
        for (int i = 0; i < M; i++) {
            assertEquals(names.get(expected[i]), table[i], "entry " + i);
        }
    }

    @Test
    void shouldGiveEachServerAsManyEntriesAsAnyOtherButOne() {
        for (int servers : new int[] {1, 2, 3, 10, 100, 655}) {
            Ring ring = ring(names(servers));
            long least = Long.MAX_VALUE;
            long most = 0;
            long sum = 0;
            for (int g = 0; g < servers; g++) {
                least = Math.min(least, ring.share(g));
                most = Math.max(most, ring.share(g));
                sum += ring.share(g);
            }
            assertEquals(1L << 32, sum);
            // Section 3.4: with M of 100 × N and more, at most 1 % between any two.
            assertTrue(most <= least * 1.0101, servers + " servers: " + least + " to " + most);
            assertTrue(most - least <= 2 * ((1L << 32) / M + 1) || servers == 1, servers + " servers: " + least + " to " + most);
        }
    }

    @Test
    void shouldMoveLittleMoreThanTheKeysOfARemovedServer() {
        for (int servers : new int[] {3, 10, 50}) {
            List<String> names = names(servers);
            String[] before = table(ring(names));
            List<String> rest = new ArrayList<>(names);
            rest.remove(1);
            String[] after = table(ring(rest));
            int moved = 0;
            int owned = 0;
            for (int i = 0; i < M; i++) {
                assertNotEquals(name(1), after[i]);
                owned += before[i].equals(name(1)) ? 1 : 0;
                moved += !before[i].equals(name(1)) && !before[i].equals(after[i]) ? 1 : 0;
            }
            System.out.printf("MaglevTest: one of %d leaves: its %.2f %% move, and %.2f %% of the others'%n", servers,
                    100.0 * owned / M, 100.0 * moved / (M - owned));
            assertTrue(moved < 0.05 * M, moved + " keys of others move");
        }
    }

    @Test
    void shouldGiveEntriesByWeight() {
        int[] entries = entries(ring(names(4), 1, 2, 4, 4));
        double unit = M / 11.0;
        for (int g = 0; g < 4; g++) {
            int weight = new int[] {1, 2, 4, 4}[g];
            assertEquals(weight * unit, entries[g], 0.01 * weight * unit, "weight " + weight);
        }
        int[] steep = entries(ring(names(2), 1, 100_000));
        assertTrue(steep[0] >= 1 && steep[0] <= 2, "the lightest has " + steep[0]);
    }

    @Test
    void shouldNotDependOnTheOrderOfTheServersNorOnAFactorOfTheWeights() {
        long seed = System.nanoTime();
        System.out.println("MaglevTest.shouldNotDependOnTheOrderOfTheServersNorOnAFactorOfTheWeights seed " + seed);
        List<String> names = names(23);
        String[] expected = table(ring(names));
        List<String> shuffled = new ArrayList<>(names);
        Collections.shuffle(shuffled, new Random(seed));
        int[] sevens = new int[23];
        java.util.Arrays.fill(sevens, 7);
        String[] found = table(ring(shuffled, sevens));
        for (int i = 0; i < M; i++) {
            assertEquals(expected[i], found[i]);
        }
    }

    @Test
    void shouldTakeTheLargestWeightOfTheAddressesOfAName() {
        Ring.Builder builder = new Ring.Builder(Method.MAGLEV);
        assertEquals(0, builder.add(new byte[] {'a'}, 1));
        assertEquals(1, builder.add(new byte[] {'b'}, 1));
        assertEquals(0, builder.add(new byte[] {'a'}, 3));
        assertEquals(0, builder.add(new byte[] {'a'}, 2));
        Ring ring = builder.build();
        assertEquals(3.0, (double) ring.share(0) / ring.share(1), 0.001);
    }

    @Test
    void shouldHaveOnePointForEachRunOfEqualEntries() {
        Ring one = ring(List.of("a"));
        assertEquals(1, one.pointCount());
        assertEquals(0xffffffff, one.hash(0));
        Ring ring = ring(names(10));
        assertEquals(0xffffffff, ring.hash(ring.pointCount() - 1));
        for (int i = 1; i < ring.pointCount(); i++) {
            assertTrue(Integer.compareUnsigned(ring.hash(i - 1), ring.hash(i)) < 0);
            assertNotEquals(ring.group(i - 1), ring.group(i));
        }
        assertEquals(0, new Ring.Builder(Method.MAGLEV).build().pointCount());
    }

    @Test
    void shouldRefuseMoreServersThanEntries() {
        Ring.Builder builder = new Ring.Builder(Method.MAGLEV);
        for (int i = 0; i < M; i++) {
            builder.add(name(i).getBytes(StandardCharsets.UTF_8), 1);
        }
        assertEquals(M, builder.build().pointCount());
        String message = assertThrows(IllegalArgumentException.class, () -> builder.add(new byte[] {'x'}, 1)).getMessage();
        assertTrue(message.contains("\"x\"") && message.contains("up to 65537 servers"), message);
    }
}
