package io.atoll.core.lookup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.ring.ConsistentHash;
import io.atoll.core.ring.Crc32;
import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.table.CompileRequest.Upstream;
import io.atoll.core.table.Table;
import io.atoll.core.tools.RandomUpstreams;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The walk, rule by rule: docs/architecture.md. Slots are the places in the list of peers. */
class BalancerTest {
    private static final int SLOW_START = 10_000;
    private static final int KEYS = 2000;

    private final ArrayWords words = new ArrayWords(64);
    private long now = 100_000;

    private static Table table(Peer... peers) {
        return Table.open(RandomUpstreams.withSlots(RandomUpstreams.table(new Upstream("pool", List.of(peers)))));
    }

    private static Table plain(int count) {
        Peer[] peers = new Peer[count];
        for (int i = 0; i < count; i++) {
            peers[i] = new Peer("cache" + i, 1, 0, 1, 10_000, 0);
        }
        return table(peers);
    }

    private static Walk walk(int key) {
        return Walk.ofKey(Crc32.of("key" + key));
    }

    private Balancer balancer(Table table) {
        return new Balancer(table, words, SLOW_START, 50);
    }

    private int slot(Table table, Balancer balancer, Walk walk) {
        int peer = balancer.pick(walk, now);
        return peer == Walk.NONE ? -1 : table.slot(peer);
    }

    /** All picks of a request whose peers all fail, without consequences. */
    private List<Integer> order(Table table, Balancer balancer, Walk walk) {
        List<Integer> order = new ArrayList<>();
        for (int slot = slot(table, balancer, walk); slot >= 0; slot = slot(table, balancer, walk)) {
            order.add(slot);
            words.addInflight(slot, -1);
        }
        return order;
    }

    @Test
    void shouldWalkTheServersInTheOrderOfTheRing() {
        Table table = plain(8);
        ConsistentHash ring = ConsistentHash.of("cache0", "cache1", "cache2", "cache3", "cache4", "cache5", "cache6", "cache7");
        for (int k = 0; k < KEYS; k++) {
            List<Integer> expected = ring.owners("key" + k, 8).stream().map(s -> Integer.parseInt(s.substring(5))).toList();
            assertEquals(expected, order(table, balancer(table), walk(k)));
        }
    }

    @Test
    void shouldPassOverAPeerForEachReasonUntilItRunsOut() {
        Table table = plain(4);
        for (Reason reason : Reason.values()) {
            words.setReason(2, reason, now + 1);
            for (int k = 0; k < KEYS; k++) {
                assertNotEquals(2, slot(table, balancer(table), walk(k)));
            }
            words.setReason(2, reason, now);
            int owned = 0;
            for (int k = 0; k < KEYS; k++) {
                owned += slot(table, balancer(table), walk(k)) == 2 ? 1 : 0;
            }
            assertTrue(owned > KEYS / 8, reason + ": " + owned);
            words.setReason(2, reason, 0);
        }
    }

    /** Not to give requests to, not to work the guard out: one of two is well, or of four with those that left. */
    @Test
    void shouldNeverLookAtThePreviousRing() {
        Table without = table(new Peer("a"), new Peer("b"));
        Table table = table(new Peer("a"), new Peer("b"), new Peer("gone").withFlags(PeerFlag.PREVIOUS),
                new Peer("gone too", 3).withFlags(PeerFlag.PREVIOUS));
        for (int k = 0; k < KEYS; k++) {
            assertEquals(order(without, balancer(without), walk(k)), order(table, balancer(table), walk(k)));
        }
        for (int slot = 1; slot < 4; slot++) {
            words.setReason(slot, Reason.PROBE, ZoneLayout.FOREVER);
        }
        for (int k = 0; k < KEYS; k++) {
            assertEquals(List.of(0), order(table, balancer(table), walk(k)));
        }
    }

    @Test
    void shouldIgnoreWordsOfAnotherIncarnation() {
        Table table = plain(2);
        Balancer balancer = balancer(table);
        words.setIncarnation(0, 9);
        words.setReason(0, Reason.ADMIN, ZoneLayout.FOREVER);
        List<Integer> order = order(table, balancer, walk(1));
        assertEquals(2, order.size());
        assertEquals(1, order(table, balancer(table), walk(1)).size());
    }

    @Test
    void shouldNeverGiveADownPeerNorOneAtItsConnectionLimit() {
        Table table = table(new Peer("a", 1, 2, 1, 10, 0), new Peer("b").withFlags(PeerFlag.DOWN), new Peer("c"));
        words.addInflight(0, 2);
        for (int k = 0; k < 200; k++) {
            assertEquals(List.of(2), order(table, balancer(table), walk(k)));
        }
        words.addInflight(0, -1);
        assertEquals(2, order(table, balancer(table), walk(1)).size());
    }

    @Test
    void shouldIgnoreVerdictsWhenMostPeersSeemDownButNeverTheOperator() {
        Table table = plain(5);
        for (int slot = 0; slot < 3; slot++) {
            words.setReason(slot, Reason.PROBE, now + 1000);
        }
        assertEquals(5, order(table, balancer(table), walk(1)).size());
        assertEquals(2, order(table, new Balancer(table, words, 0, 0), walk(1)).size(), "guard off");
        assertEquals(2, order(table, new Balancer(table, words, 0, 40), walk(1)).size(), "2 of 5 are not fewer than 40 %");
        words.setReason(4, Reason.ADMIN, ZoneLayout.FOREVER);
        assertEquals(4, order(table, balancer(table), walk(1)).size());
        assertTrue(!order(table, balancer(table), walk(1)).contains(4));
    }

    @Test
    void shouldLeaveAnUnguardedWalkToWhatStandsBehindIt() {
        Table table = plain(4);
        for (int slot = 0; slot < 4; slot++) {
            words.setReason(slot, Reason.PROBE, now + 1000);
        }
        assertEquals(List.of(), order(table, balancer(table), walk(1).unguarded()));
        assertEquals(4, order(table, balancer(table), walk(1)).size());
    }

    @Test
    void shouldHoldTheGuardForFiftyMilliseconds() {
        Table table = plain(4);
        Balancer balancer = balancer(table);
        for (int slot = 0; slot < 3; slot++) {
            words.setReason(slot, Reason.PROBE, now + 100_000);
        }
        assertEquals(4, order(table, balancer, walk(1)).size());
        words.setReason(0, Reason.PROBE, 0);
        words.setReason(1, Reason.PROBE, 0);
        now += 49;
        assertEquals(4, order(table, balancer, walk(1)).size());
        now += 1;
        assertEquals(3, order(table, balancer, walk(1)).size());
    }

    @Test
    void shouldWorkTheGuardOutAgainBeforeNoneIsLeft() {
        Table table = plain(4);
        Balancer balancer = balancer(table);
        words.setReason(0, Reason.PROBE, now + 100_000);
        assertEquals(3, order(table, balancer, walk(1)).size());
        for (int slot = 1; slot < 4; slot++) {
            words.setReason(slot, Reason.PROBE, now + 100_000);
        }
        now += 1;
        assertEquals(4, order(table, balancer, walk(1)).size());
    }

    @Test
    void shouldNotGuardWhileABackupIsWell() {
        Table table = table(new Peer("a"), new Peer("b"), new Peer("c").withFlags(PeerFlag.BACKUP));
        words.setReason(0, Reason.PROBE, now + 1000);
        words.setReason(1, Reason.PROBE, now + 1000);
        assertEquals(List.of(2), order(table, balancer(table), walk(1)));
        words.setReason(2, Reason.QUORUM, now + 1000);
        assertEquals(3, order(table, balancer(table), walk(1)).size());
    }

    @Test
    void shouldAskBackupsAlongTheirOwnRingOnceNoPrimaryIsLeft() {
        Table table = table(new Peer("a"), new Peer("b"), new Peer("c").withFlags(PeerFlag.BACKUP),
                new Peer("d").withFlags(PeerFlag.BACKUP));
        ConsistentHash primaries = ConsistentHash.of("a", "b");
        ConsistentHash backups = ConsistentHash.of("c", "d");
        for (int k = 0; k < 300; k++) {
            List<String> expected = new ArrayList<>(primaries.owners("key" + k, 2));
            expected.addAll(backups.owners("key" + k, 2));
            assertEquals(expected, order(table, balancer(table), walk(k)).stream().map(s -> "abcd".substring(s, s + 1)).toList());
        }
    }

    @Test
    void shouldLeaveThePassiveReasonToOneRequestOnceItHasRunOut() {
        Table table = plain(2);
        Balancer first = balancer(table);
        Walk failing = walk(1);
        int owner = slot(table, first, failing);
        first.done(failing, now, true);
        assertEquals(now + 10_000, words.reason(owner, Reason.PASSIVE));
        now += 10_000;
        assertEquals(owner, slot(table, balancer(table), walk(1)), "the trial");
        assertEquals(now + 10_000, words.reason(owner, Reason.PASSIVE));
        assertNotEquals(owner, slot(table, balancer(table), walk(1)), "another worker, meanwhile");
    }

    @Test
    void shouldEndThePassiveReasonByASuccessAndBeginARamp() {
        Table table = plain(2);
        Balancer balancer = balancer(table);
        Walk request = walk(1);
        int owner = slot(table, balancer, request);
        balancer.done(request, now, true);
        balancer.done(request, now, true);
        assertEquals(1, words.fails(owner), "a second report does nothing");
        now += 10_001;
        Walk trial = walk(1);
        assertEquals(owner, slot(table, balancer, trial));
        now += 5;
        balancer.done(trial, now, false);
        assertEquals(0, words.fails(owner));
        assertEquals(0, words.reason(owner, Reason.PASSIVE));
        assertEquals(now, words.rampStartMs(owner));
        assertEquals(0, words.inflight(owner));
    }

    @Test
    void shouldNotBeginARampAnewThatIsOn() {
        Table table = plain(2);
        Balancer balancer = balancer(table);
        Walk request = walk(1);
        int owner = slot(table, balancer, request);
        balancer.done(request, now, true);
        now += 10_001;
        words.setRampStartMs(owner, now - SLOW_START + 1);
        Walk trial = walk(1);
        assertEquals(owner, slot(table, balancer, trial));
        balancer.done(trial, now, false);
        assertEquals(0, words.reason(owner, Reason.PASSIVE));
        assertEquals(now - SLOW_START + 1, words.rampStartMs(owner));
    }

    @Test
    void shouldCountFailuresUpToMaxFails() {
        Table table = table(new Peer("a", 1, 0, 3, 5000, 0), new Peer("b", 1, 0, 3, 5000, 0));
        Balancer balancer = balancer(table);
        for (int fails = 1; fails <= 3; fails++) {
            Walk request = walk(1);
            int owner = slot(table, balancer, request);
            balancer.done(request, now, true);
            assertEquals(fails, words.fails(owner));
            assertEquals(fails == 3 ? now + 5000 : 0, words.reason(owner, Reason.PASSIVE));
        }
    }

    @Test
    void shouldLeaveKeysOfARampingPeerWithTheNextByTheirHash() {
        Table table = plain(3);
        ConsistentHash ring = ConsistentHash.of("cache0", "cache1", "cache2");
        words.setRampStartMs(1, now - SLOW_START / 4);
        int taken = 0;
        int owned = 0;
        for (int k = 0; k < 20_000; k++) {
            List<String> owners = ring.owners("key" + k, 2);
            int picked = slot(table, balancer(table), walk(k));
            if (owners.get(0).equals("cache1")) {
                owned++;
                taken += picked == 1 ? 1 : 0;
                assertTrue(picked == 1 || ("cache" + picked).equals(owners.get(1)));
            } else {
                assertEquals(owners.get(0), "cache" + picked);
            }
        }
        assertEquals(0.25, (double) taken / owned, 0.03);
    }

    @Test
    void shouldLetRampsBeWhenTheNextIsRampingTooOrNoneIsLeft() {
        Table table = plain(2);
        ConsistentHash ring = ConsistentHash.of("cache0", "cache1");
        words.setRampStartMs(0, now);
        words.setRampStartMs(1, now);
        for (int k = 0; k < 300; k++) {
            assertEquals(ring.owner("key" + k), "cache" + slot(table, balancer(table), walk(k)));
        }
        words.setRampStartMs(1, 0);
        words.setReason(1, Reason.ADMIN, ZoneLayout.FOREVER);
        for (int k = 0; k < 300; k++) {
            assertEquals(0, slot(table, balancer(table), walk(k)));
        }
    }

    @Test
    void shouldNotLookAtRampsOnRetries() {
        Table table = plain(3);
        words.setRampStartMs(0, now);
        words.setRampStartMs(1, now);
        words.setRampStartMs(2, now);
        ConsistentHash ring = ConsistentHash.of("cache0", "cache1", "cache2");
        for (int k = 0; k < 300; k++) {
            assertEquals(ring.owners("key" + k, 3), order(table, balancer(table), walk(k)).stream().map(s -> "cache" + s).toList());
        }
    }

    @Test
    void shouldGiveTheOnlyPeerAgainAndNotCountItsFailures() {
        Table table = plain(1);
        Balancer balancer = balancer(table);
        words.setReason(0, Reason.PROBE, now + 1000);
        Walk request = walk(1);
        for (int i = 0; i < 3; i++) {
            assertEquals(0, slot(table, balancer, request));
            balancer.done(request, now, true);
        }
        assertEquals(0, words.fails(0));
        words.setReason(0, Reason.ADMIN, ZoneLayout.FOREVER);
        assertEquals(-1, slot(table, balancer, walk(1)));
    }

    @Test
    void shouldTakeTurnsByWeightWithoutAKey() {
        Table table = table(new Peer("a", 5), new Peer("b", 1), new Peer("c", 1));
        Balancer balancer = balancer(table);
        StringBuilder turns = new StringBuilder();
        for (int i = 0; i < 7; i++) {
            turns.append("abc".charAt(slot(table, balancer, Walk.withoutKey())));
        }
        assertEquals("aabacaa", turns.toString(), "nginx's smooth weighted round robin");
    }

    @Test
    void shouldTakeTheFirstInNginxConfAmongEqualsWithoutAKey() {
        Table table = table(new Peer("a"), new Peer("b"), new Peer("a"), new Peer("b"));
        Balancer balancer = balancer(table);
        for (int turn = 0; turn < 8; turn++) {
            assertEquals(turn % 4, slot(table, balancer, Walk.withoutKey()));
        }
    }

    @Test
    void shouldRememberWhomItGaveWhenTheTableChanges() {
        Table four = plain(4);
        Table three = plain(3);
        Walk request = walk(1);
        List<Integer> given = new ArrayList<>();
        given.add(slot(four, balancer(four), request));
        given.add(slot(four, balancer(four), request));
        for (int slot = slot(three, balancer(three), request); slot >= 0; slot = slot(three, balancer(three), request)) {
            assertTrue(!given.contains(slot), given + " and again " + slot);
            given.add(slot);
        }
        assertTrue(given.containsAll(List.of(0, 1, 2)), given.toString());
    }

    @Test
    void shouldAnswerWhoOwnsAKeyWithoutChangingAnything() {
        Table table = plain(5);
        Random random = new Random(4);
        words.setReason(3, Reason.PROBE, now + 1000);
        Owners owners = new Owners(table, words, SLOW_START, 50);
        for (int k = 0; k < 500; k++) {
            int hash = random.nextInt();
            int expected = balancer(table).pick(Walk.ofKey(hash), now);
            assertEquals(expected, owners.owner(hash, now));
            assertEquals(expected, owners.order(hash, 10, now).get(0));
            assertEquals(4, owners.order(hash, 10, now).size());
        }
    }

    @Test
    void shouldEndWhenAServerHasNoPointOfItsOwn() {
        Table table = table(new Peer("cache"), new Peer("unix:cache"));
        assertEquals(List.of(0), order(table, balancer(table), walk(1)));
        words.setReason(0, Reason.ADMIN, ZoneLayout.FOREVER);
        assertEquals(List.of(), order(table, balancer(table), walk(1)));
    }
}
