package io.atoll.core.lookup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.lookup.PreviousOwners.Answer;
import io.atoll.core.lookup.PreviousOwners.Rule;
import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.table.CompileRequest.Upstream;
import io.atoll.core.table.Table;
import io.atoll.core.tools.RandomUpstreams;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import io.atoll.core.zone.ZoneLayout.Ring;
import io.atoll.core.zone.ZoneLayout.TableRecord;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * Who may still hold a key, rule by rule: docs/architecture.md, "Handover, exactly"; as the twin's tests have it
 * (nginx-module/reader/test/test_handover*.c). Slots are the places in the list of peers.
 */
class PreviousOwnersTest {
    private static final long NOW = 5_000_000;
    private static final int HANDOVER = 600_000;
    private static final int KEYS = 400;
    private static final List<Peer> POOL = List.of(new Peer("a"), new Peer("b"), new Peer("c"));

    private final ArrayWords words = new ArrayWords(400);
    private final Random random = new Random(17);
    private List<String> servers;
    private Table table;
    private PreviousOwners owners;
    private long startedMs;

    @Test
    void shouldNameTheOwnersInTheRingsBeforeUntilTheTimeIsOver() {
        open(List.of(new Peer("a"), new Peer("b"), new Peer("new"), previous("a"), previous("b"), previous("between"),
                earlier("a"), earlier("gone")));
        int both = 0;
        for (int i = 0; i < KEYS; i++) {
            int hash = random.nextInt();
            String self = owner(Ring.PRIMARY, hash);
            String was = owner(Ring.PREVIOUS, hash);
            String oldest = owner(Ring.EARLIER, hash);
            Optional<Answer> first = ask(hash, self, NOW);
            String expected = !was.equals(self) ? "PREVIOUS_RING " + was : !oldest.equals(self) ? "EARLIER_RING " + oldest : "";
            assertEquals(expected, text(first));
            assertEquals("", text(ask(hash, self, NOW + 1)), "the time is over");
            boolean two = !was.equals(self) && !oldest.equals(self) && !oldest.equals(was);
            both += two ? 1 : 0;
            if (first.isPresent()) {
                assertEquals(two ? "EARLIER_RING " + oldest : "",
                        text(owners.previousOwner(hash, NOW, 0, self, false, first.get().peer(), i % 2 == 0)));
            }
        }
        assertTrue(both > 20, both + " keys with two owners before");
    }

    @Test
    void shouldPassOverWhoWasDownInTheRingBefore() {
        open(List.of(new Peer("self"), previous("b"), new Peer("c", 1, 0, 1, 10_000, PeerFlag.PREVIOUS | PeerFlag.DOWN)));
        for (int i = 0; i < KEYS; i++) {
            assertEquals("PREVIOUS_RING b", text(ask(random.nextInt(), "self", NOW)));
        }
    }

    @Test
    void shouldNotNameWhoCannotBeAsked() {
        open(List.of(new Peer("self"), previous("gone")));
        assertEquals("PREVIOUS_RING gone", text(ask(7, "self", NOW)));
        assertEquals("", text(ask(7, "gone", NOW)));
        for (Reason reason : Reason.values()) {
            words.setReason(1, reason, NOW + 1);
            assertEquals(reason == Reason.ADMIN ? "PREVIOUS_RING gone" : "", text(ask(7, "self", NOW)));
            words.setReason(1, reason, NOW);
            assertEquals("PREVIOUS_RING gone", text(ask(7, "self", NOW)));
        }
        for (long avoided : new long[] {1, ZoneLayout.AVOID_LIMIT_MS}) {
            words.setAvoidUntilMs(1, NOW + avoided);
            assertEquals("", text(ask(7, "self", NOW)));
        }
        for (long past : new long[] {0, ZoneLayout.AVOID_LIMIT_MS + 1, ZoneLayout.FOREVER - NOW}) {
            words.setAvoidUntilMs(1, NOW + past);
            assertEquals("PREVIOUS_RING gone", text(ask(7, "self", NOW)), past + " ms ahead is not believed");
        }
        words.setIncarnation(1, 1);
        assertEquals("", text(ask(7, "self", NOW)), "the slot is another's");
        assertEquals(Optional.empty(), new PreviousOwners(table, words, slot -> "p" + slot, 0)
                .previousOwner(7, NOW, NOW, "self", true, Walk.NONE, false), "handover is off");
    }

    @Test
    void shouldNameAnOwnerThatWasJustWithdrawn() {
        open(POOL);
        int hash = keyOf("b");
        assertEquals("", text(ask(hash, "a", NOW)));
        words.setReason(1, Reason.ADMIN, ZoneLayout.FOREVER);
        assertEquals("", text(ask(hash, "a", NOW)), "since when is not known");
        words.setChangedMs(1, NOW - HANDOVER + 1);
        assertEquals("WITHDRAWN b", text(ask(hash, "a", NOW)));
        words.setChangedMs(1, NOW - HANDOVER);
        assertEquals("", text(ask(hash, "a", NOW)));
        words.setChangedMs(1, NOW + 2);
        assertEquals("WITHDRAWN b", text(ask(hash, "a", NOW)), "a clock that is ahead");
    }

    @Test
    void shouldNameWhoStoodInForANodeThatHasJustCome() {
        open(POOL);
        int hash = keyOf("a");
        assertEquals("", text(ask(hash, "a", NOW)));
        Optional<Answer> next = owners.previousOwner(hash, NOW, 0, "a", true, Walk.NONE, false);
        assertEquals(Rule.STOOD_IN, next.orElseThrow().rule());
        int peer = next.get().peer();
        assertNotEquals(0, table.slot(peer));
        startedMs = NOW - HANDOVER + 1;
        assertEquals(Optional.of(new Answer(peer, Rule.STARTED)), ask(hash, "a", NOW));
        words.setChangedMs(0, NOW - 1);
        assertEquals(next, ask(hash, "a", NOW));
        words.setReason(table.slot(peer), Reason.ADMIN, ZoneLayout.FOREVER);
        Answer other = ask(hash, "a", NOW).orElseThrow();
        assertNotEquals(peer, other.peer(), "out of traffic all the while");
        words.setChangedMs(table.slot(peer), NOW - 1);
        assertEquals(next, ask(hash, "a", NOW), "out of traffic since it stood in");
    }

    /** "new" came to the others; then "gone" left, and "late" joined. */
    @Test
    void shouldNameWhoStoodInBeforeAnotherChange() {
        long change = NOW - 100;
        open(List.of(new Peer("a"), new Peer("new"), new Peer("late"), previous("a"), previous("new"), previous("gone")),
                change + HANDOVER);
        int left = 0;
        for (int i = 0; i < KEYS; i++) {
            int hash = keyOf("new");
            if (owner(Ring.PREVIOUS, hash).equals("new")) {
                startedMs = change - 1;
                String held = text(ask(hash, "new", NOW));
                assertTrue(held.equals("STARTED gone") || held.equals("STARTED a"), held);
                left += held.endsWith("gone") ? 1 : 0;
                words.setChangedMs(1, change - 1);
                assertEquals(held.replace("STARTED", "STOOD_IN"), text(ask(hash, "new", NOW)));
                words.setChangedMs(1, change);
                assertNotEquals("STOOD_IN gone", text(ask(hash, "new", NOW)), "who is next now stood in");
                words.setChangedMs(1, 0);
                startedMs = change;
                assertNotEquals("STARTED gone", text(ask(hash, "new", NOW)), "started after that change");
            }
        }
        assertTrue(left > KEYS / 10, left + " keys");
    }

    /** One point in 300 is that of the server that is up: 32 of them hold it with 10 %. */
    @Test
    void shouldLookAt32PointsAtMost() {
        List<Peer> peers = new ArrayList<>(List.of(new Peer("self"), previous("up")));
        for (int i = 0; i < 299; i++) {
            peers.add(new Peer("s" + i, 1, 0, 1, 10_000, PeerFlag.PREVIOUS | PeerFlag.DOWN));
        }
        open(peers);
        int named = 0;
        for (int i = 0; i < 10_000; i++) {
            named += ask(random.nextInt(), "self", NOW).isPresent() ? 1 : 0;
        }
        assertTrue(named > 500 && named < 1700, named + " of 10000 keys");
    }

    private static Peer previous(String server) {
        return new Peer(server).withFlags(PeerFlag.PREVIOUS);
    }

    private static Peer earlier(String server) {
        return new Peer(server).withFlags(PeerFlag.EARLIER);
    }

    private void open(List<Peer> peers) {
        open(peers, NOW + 1);
    }

    private void open(List<Peer> peers, long untilMs) {
        ByteBuffer bytes = RandomUpstreams.withSlots(RandomUpstreams.table(new Upstream("pool", peers)));
        bytes.putLong(TableRecord.HANDOVER_UNTIL_MS, untilMs);
        table = Table.open(bytes);
        owners = new PreviousOwners(table, words, slot -> peers.get(slot).server(), HANDOVER);
        servers = peers.stream().map(Peer::server).toList();
    }

    private Optional<Answer> ask(int hash, String self, long nowMs) {
        return owners.previousOwner(hash, nowMs, startedMs, self, false, Walk.NONE, false);
    }

    private String text(Optional<Answer> answer) {
        return answer.map(named -> named.rule() + " " + servers.get(table.slot(named.peer()))).orElse("");
    }

    private String owner(int ring, int hash) {
        return servers.get(table.slot(table.groupFirstPeer(table.pointGroup(ring, table.find(ring, hash)))));
    }

    private int keyOf(String server) {
        int hash = random.nextInt();
        while (!owner(Ring.PRIMARY, hash).equals(server)) {
            hash = random.nextInt();
        }
        return hash;
    }
}
