package io.atoll.core.ring;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;

class RingTest {
    private record Server(String name, int weight) {}

    private record Point(long hash, String server) {}

    /** nginx's ngx_http_upstream_init_chash, written down as it stands there: all points, sorted stably, equal ones dropped. */
    private static List<Point> nginxPoints(List<Server> servers) {
        List<Point> points = new ArrayList<>();
        for (Server server : servers) {
            String host = server.name;
            String port = "";
            int colon = host.lastIndexOf(':');
            if (host.regionMatches(true, 0, "unix:", 0, 5)) {
                host = host.substring(5);
            } else if (colon >= 0 && host.substring(colon + 1).chars().allMatch(c -> c >= '0' && c <= '9')) {
                port = host.substring(colon + 1);
                host = host.substring(0, colon);
            }
            long previous = 0;
            for (int i = 0; i < server.weight * 160; i++) {
                CRC32 crc = new CRC32();
                crc.update((host + "\0" + port).getBytes(StandardCharsets.ISO_8859_1));
                crc.update(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt((int) previous).array());
                previous = crc.getValue();
                points.add(new Point(previous, server.name));
            }
        }
        points.sort((a, b) -> Long.compare(a.hash, b.hash));
        List<Point> kept = new ArrayList<>();
        for (Point point : points) {
            if (kept.isEmpty() || kept.get(kept.size() - 1).hash != point.hash) {
                kept.add(point);
            }
        }
        return kept;
    }

    private static Ring ring(List<Server> servers) {
        Ring.Builder builder = new Ring.Builder();
        for (Server server : servers) {
            builder.add(server.name.getBytes(StandardCharsets.ISO_8859_1), server.weight);
        }
        return builder.build();
    }

    private static Ring ring(String... names) {
        List<Server> servers = new ArrayList<>();
        for (String name : names) {
            servers.add(new Server(name, 1));
        }
        return ring(servers);
    }

    private static void assertSameAsNginx(List<Server> servers) {
        List<Point> expected = nginxPoints(servers);
        Ring ring = ring(servers);
        assertEquals(expected.size(), ring.pointCount(), () -> servers.toString());
        for (int i = 0; i < expected.size(); i++) {
            assertEquals(expected.get(i).hash, Integer.toUnsignedLong(ring.hash(i)), () -> servers.toString());
            assertEquals(expected.get(i).server, ring.name(ring.group(i)), () -> servers.toString());
        }
    }

    @Test
    void shouldHaveThePointsOfNginxForEveryFormOfName() {
        List<Server> servers = new ArrayList<>();
        for (String name : List.of("a", "a:80", "a:", ":80", ":", "80", "10.0.0.1", "10.0.0.1:8080", "[::1]:80", "[::1]", "::1",
                "unix:/a.sock", "UNIX:/b.sock", "uNiX:c:80", "unix:", "unix", "a:b:1", "a:80x", "h\u00e9:1")) {
            servers.add(new Server(name, 1));
            assertSameAsNginx(List.of(new Server(name, 2)));
        }
        assertSameAsNginx(servers);
    }

    @Test
    void shouldHaveThePointsOfNginxForRandomPools() {
        long seed = System.nanoTime();
        System.out.println("RingTest.shouldHaveThePointsOfNginxForRandomPools seed " + seed);
        Random random = new Random(seed);
        for (int i = 0; i < 60; i++) {
            List<Server> servers = new ArrayList<>();
            for (int n = 1 + random.nextInt(20); n > 0; n--) {
                servers.add(new Server("cache" + random.nextInt(12) + (random.nextBoolean() ? ":80" : ""), 1 + random.nextInt(5)));
            }
            assertSameAsNginx(servers);
        }
    }

    @Test
    void shouldKeepTheFirstOfEqualPoints() {
        Ring ring = ring("unix:cache", "cache", "UNIX:cache");
        assertEquals(160, ring.pointCount());
        assertEquals(3, ring.groupCount());
        for (int i = 0; i < ring.pointCount(); i++) {
            assertEquals(0, ring.group(i));
        }
        assertEquals(1L << 32, ring.share(0));
        assertEquals(0, ring.share(1));
    }

    @Test
    void shouldGiveARepeatedNameThePointsOfItsLargestWeight() {
        Ring once = ring(List.of(new Server("a", 3), new Server("b", 1)));
        Ring repeated = ring(List.of(new Server("a", 1), new Server("b", 1), new Server("a", 3), new Server("a", 2)));
        assertArrayEquals(once.points(0), repeated.points(0));
    }

    @Test
    void shouldFindTheFirstPointNotBeforeAHash() {
        Ring ring = ring("a:1", "b:2", "c:3", "d:4", "e:5");
        int last = ring.pointCount() - 1;
        for (int i = 0; i <= last; i++) {
            assertEquals(i, ring.find(ring.hash(i)));
            assertEquals(i == last ? 0 : i + 1, ring.find(ring.hash(i) + 1));
        }
        assertEquals(0, ring.find(0));
        assertEquals(0, ring.find(-1));
    }

    @Test
    void shouldShareOutTheWholeHashSpace() {
        Ring ring = ring("a:1", "b:2", "c:3", "d:4");
        long sum = 0;
        for (int g = 0; g < ring.groupCount(); g++) {
            sum += ring.share(g);
            assertEquals(0.25, ring.share(g) / 0x1p32, 0.08);
        }
        assertEquals(1L << 32, sum);
    }

    @Test
    void shouldIndexBucketsForEveryPoolSize() {
        for (int count : new int[] {1, 2, 7, 50}) {
            String[] names = new String[count];
            for (int i = 0; i < count; i++) {
                names[i] = "10.0.0." + i;
            }
            Ring ring = ring(names);
            int[] buckets = ring.buckets();
            int wanted = (ring.pointCount() + Ring.POINTS_PER_BUCKET - 1) / Ring.POINTS_PER_BUCKET;
            assertTrue(buckets.length - 1 >= wanted && (buckets.length - 1) / 2 < wanted);
            assertEquals(0, buckets[0]);
            assertEquals(ring.pointCount(), buckets[buckets.length - 1]);
            for (int p = 0; p < ring.pointCount(); p++) {
                int bucket = ring.hash(p) >>> ring.bucketShift();
                assertTrue(buckets[bucket] <= p && p < buckets[bucket + 1]);
            }
        }
    }

    @Test
    void shouldBeEmptyWithoutServers() {
        Ring ring = new Ring.Builder().build();
        assertEquals(0, ring.pointCount());
        assertEquals(-1, ring.find(1));
        assertEquals(31, ring.bucketShift());
    }

    @Test
    void shouldRefuseAWeightBelowOne() {
        Ring.Builder builder = new Ring.Builder();
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> builder.add(new byte[] {'a'}, 0));
        assertTrue(e.getMessage().contains("weight is 0"), e.getMessage());
    }

    @Test
    void shouldRefuseMorePointsThanARingHolds() {
        Ring.Builder builder = new Ring.Builder();
        assertThrows(IllegalArgumentException.class, () -> builder.add(new byte[] {'a'}, Integer.MAX_VALUE));
    }

    @Test
    void shouldMoveOnlyKeysOfARemovedPeer() {
        Map<String, Integer> all = pool(10);
        ConsistentHash before = ConsistentHash.of(all);
        for (String removed : all.keySet()) {
            Map<String, Integer> rest = new LinkedHashMap<>(all);
            rest.remove(removed);
            ConsistentHash after = ConsistentHash.of(rest);
            for (int k = 0; k < 2000; k++) {
                String owner = before.owner("key" + k);
                String expected = owner.equals(removed) ? before.owners("key" + k, 2).get(1) : owner;
                assertEquals(expected, after.owner("key" + k));
            }
        }
    }

    @Test
    void shouldMoveKeysOnlyToAPeerWhoseWeightGrows() {
        Map<String, Integer> pool = pool(10);
        ConsistentHash before = ConsistentHash.of(pool);
        pool.put("cache4:80", 3);
        ConsistentHash after = ConsistentHash.of(pool);
        int moved = 0;
        for (int k = 0; k < 20_000; k++) {
            String owner = after.owner("key" + k);
            if (!owner.equals(before.owner("key" + k))) {
                assertEquals("cache4:80", owner);
                moved++;
            }
        }
        assertEquals(20_000 * (3 / 12.0 - 1 / 10.0), moved, 20_000 * 0.05);
    }

    private static Map<String, Integer> pool(int count) {
        Map<String, Integer> pool = new LinkedHashMap<>();
        for (int i = 0; i < count; i++) {
            pool.put("cache" + i + ":80", 1);
        }
        return pool;
    }
}
