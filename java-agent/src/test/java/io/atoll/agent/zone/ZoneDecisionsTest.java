package io.atoll.agent.zone;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.AbstractList;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;

import io.atoll.agent.store.AdminDecision;
import io.atoll.agent.store.PeerName;
import io.atoll.core.zone.Peer;
import io.atoll.core.zone.Upstream;
import org.junit.jupiter.api.Test;

class ZoneDecisionsTest {
    private static final String ZONE = "/run/a.zone";
    private static final int SERVERS = 300;

    private final AtomicInteger looked = new AtomicInteger();
    private final List<AdminDecision> journaled = new ArrayList<>();

    /** Servers s0, s1, … of one upstream, each with one address; counts how many were looked at. */
    private Pool pool(String network) {
        List<Pool.Member> members = IntStream.range(0, SERVERS).mapToObj(i -> new Pool.Member(i,
                new Peer(i, 1, false, 0, 0, 0, 1, "s" + i + ":80", network + i + ":80", null))).toList();
        return new Pool(new Upstream(0, "caches", 0, 0, 0, 0, null, "nginx.conf", 1), null, new AbstractList<>() {
            @Override
            public Pool.Member get(int index) {
                looked.incrementAndGet();
                return members.get(index);
            }

            @Override
            public int size() {
                return members.size();
            }
        });
    }

    private static AdminDecision drain(int server, String network) {
        return new AdminDecision(new PeerName(ZONE, "caches", "s" + server + ":80", network + server + ":80"), AdminDecision.Kind.DRAIN,
                AdminDecision.FOREVER, AdminDecision.FOREVER, "boot", "");
    }

    private void inherit(List<AdminDecision> decisions, List<Pool> before, List<Pool> after) {
        AdminBook book = new AdminBook(decisions, true, "boot", 1, 1);
        new ZoneDecisions(ZONE, book, "boot", 1000, journaled::add).inherit(before, after);
    }

    @Test
    void shouldLookAtEachPeerOnceHoweverManyAreDrained() {
        List<AdminDecision> all = IntStream.range(0, SERVERS).mapToObj(i -> drain(i, "10.0.0.")).toList();
        inherit(all, List.of(pool("10.0.0.")), List.of(pool("10.1.0.")));
        assertEquals(IntStream.range(0, SERVERS).mapToObj(i -> drain(i, "10.1.0.")).toList(), journaled);
        assertTrue(looked.get() <= 2 * SERVERS, looked::toString);
    }

    @Test
    void shouldLookAtNoPeerWhenNothingIsDecided() {
        inherit(List.of(), List.of(pool("10.0.0.")), List.of(pool("10.1.0.")));
        assertEquals(List.of(), journaled);
        assertEquals(0, looked.get());
    }

    /** As after the start of an agent. */
    @Test
    void shouldInheritFromTheBookWhereNoPeerWasHereBefore() {
        inherit(List.of(drain(7, "10.0.0.")), List.of(), List.of(pool("10.1.0.")));
        assertEquals(List.of(drain(7, "10.1.0.")), journaled);
        journaled.clear();
        inherit(List.of(drain(7, "10.1.0.")), List.of(), List.of(pool("10.1.0.")));
        assertEquals(List.of(), journaled);
    }
}
