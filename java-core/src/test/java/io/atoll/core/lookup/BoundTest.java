package io.atoll.core.lookup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.ring.Crc32;
import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.table.CompileRequest.Upstream;
import io.atoll.core.table.Table;
import io.atoll.core.tools.RandomUpstreams;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.Method;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Bounded load, as the twin's tests have it (nginx-module/reader/test/test_bound.c). */
class BoundTest {
    private static final long NOW = 100_000;

    private final ArrayWords words = new ArrayWords(16);

    private static Table table(int count, int method) {
        List<Peer> peers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            peers.add(new Peer("cache" + i));
        }
        return Table.open(RandomUpstreams.withSlots(RandomUpstreams.table(new Upstream("pool", peers, method))));
    }

    private static Walk hot() {
        return Walk.ofKey(Crc32.of("hot"));
    }

    private static long most(int percent, long requests, long weight, long traffic) {
        BigInteger share = BigInteger.valueOf(percent).multiply(BigInteger.valueOf(requests)).multiply(BigInteger.valueOf(weight));
        BigInteger[] parts = share.divideAndRemainder(BigInteger.valueOf(100 * traffic));
        return parts[0].longValueExact() + parts[1].signum();
    }

    @Test
    void shouldAdmitUpToTheShareRoundedUp() {
        long seed = System.nanoTime();
        System.out.println("BoundTest.shouldAdmitUpToTheShareRoundedUp seed " + seed);
        Random random = new Random(seed);
        for (int i = 0; i < 200_000; i++) {
            int percent = 101 + random.nextInt(900);
            long traffic = 1 + random.nextInt(i % 2 == 0 ? Integer.MAX_VALUE : 40);
            long weight = 1 + (long) (random.nextDouble() * (traffic - 1));
            long total = random.nextInt(i % 3 == 0 ? (int) Bound.COUNTED + 1 : 50);
            long most = Math.min(most(percent, total + 1, weight, traffic), Bound.COUNTED);
            assertTrue(Bound.admits(percent, most - 1, total, weight, traffic));
            assertTrue(most == Bound.COUNTED || !Bound.admits(percent, most, total, weight, traffic));
        }
        assertFalse(Bound.admits(1000, Long.MAX_VALUE, Long.MAX_VALUE, 1, Integer.MAX_VALUE));
    }

    @Test
    void shouldPassAKeyOnAlongTheRingWhenItsPeersAreAtTheirBound() {
        for (int method : new int[] {Method.KETAMA, Method.MAGLEV}) {
            Table table = table(10, method);
            List<Integer> order = new Owners(table, words, 0, 50).order(Crc32.of("hot"), 10, NOW);
            Balancer balancer = new Balancer(table, words, 0, 50, 125);
            List<Walk> walks = new ArrayList<>();
            for (int n = 0; n < 200; n++) {
                long most = most(125, n + 1, 1, 10);
                int expected = order.stream().filter(peer -> words.inflight(table.slot(peer)) < most).findFirst().orElseThrow();
                Walk walk = hot();
                walks.add(walk);
                assertEquals(expected, balancer.pick(walk, NOW));
            }
            assertEquals(25, words.inflight(table.slot(order.get(0))));
            assertEquals(order.get(0), new Owners(table, words, 0, 50).owner(Crc32.of("hot"), NOW), "the owner stays the owner");
            walks.forEach(walk -> balancer.done(walk, NOW, false));
            assertEquals(0, words.upstreamInflight());
        }
    }

    @Test
    void shouldNotBindWhenAllThatAreLeftAreAtTheirBound() {
        Table table = table(2, Method.KETAMA);
        List<Integer> order = new Owners(table, words, 0, 50).order(Crc32.of("hot"), 2, NOW);
        words.addInflight(table.slot(order.get(1)), 20);
        Balancer balancer = new Balancer(table, words, 0, 50, 101);
        Walk walk = hot();
        assertEquals(order.get(0), balancer.pick(walk, NOW));
        balancer.done(walk, NOW, false);
        assertEquals(order.get(1), balancer.pick(walk, NOW));
        balancer.done(walk, NOW, false);
        assertEquals(Walk.NONE, balancer.pick(walk, NOW));
    }

    @Test
    void shouldShareAmongThePeersInTraffic() {
        Table table = table(4, Method.KETAMA);
        List<Integer> order = new Owners(table, words, 0, 50).order(Crc32.of("hot"), 4, NOW);
        words.setReason(table.slot(order.get(1)), Reason.PROBE, ZoneLayout.FOREVER);
        words.setReason(table.slot(order.get(2)), Reason.ADMIN, ZoneLayout.FOREVER);
        Balancer balancer = new Balancer(table, words, 0, 50, 125);
        for (int n = 0; n < 100; n++) {
            balancer.pick(hot(), NOW);
        }
        assertEquals(63, words.inflight(table.slot(order.get(0))));
        assertEquals(37, words.inflight(table.slot(order.get(3))));
        words.setReason(table.slot(order.get(2)), Reason.ADMIN, 0);
        assertEquals(order.get(2), balancer.pick(hot(), NOW + 50), "known within 50 ms");
    }
}
