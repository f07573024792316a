package io.atoll.agent.zone;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;

import io.atoll.agent.store.ServerAddress;
import io.atoll.core.zone.FormerRings;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import org.junit.jupiter.api.Test;

/** What one agent writes, another reads, up to the weights that nginx.conf may have. */
class RingMessagesTest {
    private static FormerRings.Server server(int number, int weight, int flags) {
        String name = "10.0.0." + number + ":80";
        return new FormerRings.Server(name, ServerAddress.literal(name), weight, flags);
    }

    private static List<FormerRings> ring(FormerRings.Server... servers) {
        return List.of(new FormerRings(List.of(servers), List.of(), List.of(), 0));
    }

    private static void assertRead(List<FormerRings> rings) {
        assertEquals(rings, RingMessages.parse(RingMessages.write(rings).toString()));
    }

    private static void assertRefused(List<FormerRings> rings) {
        String text = RingMessages.write(rings).toString();
        assertThrows(IllegalArgumentException.class, () -> RingMessages.parse(text), text);
    }

    @Test
    void shouldReadTheWeightsThatAMaglevTableMayHave() {
        assertRead(ring(server(1, 65_536, PeerFlag.MAGLEV), server(2, Integer.MAX_VALUE - 65_536, PeerFlag.MAGLEV | PeerFlag.DOWN)));
        assertRefused(ring(server(1, 65_537, PeerFlag.MAGLEV), server(2, Integer.MAX_VALUE - 65_536, PeerFlag.MAGLEV)));
        assertRefused(ring(server(1, 0, PeerFlag.MAGLEV)));
        assertRefused(ring(server(1, -1, PeerFlag.MAGLEV)));
    }

    @Test
    void shouldReadTheWeightsThatNginxsRingMayHave() {
        assertRead(ring(server(1, 65_535, 0), server(2, 65_535, PeerFlag.DOWN)));
        assertRefused(ring(server(1, 65_536, 0)));
        assertRefused(ring(server(1, 0, 0)));
    }

    @Test
    void shouldRefuseAWeightThatIsNoSuchNumber() {
        String written = RingMessages.write(ring(server(1, 7, PeerFlag.MAGLEV))).toString();
        for (String weight : List.of("4294967297", "1e300", "\"seven\"", "null", "{}")) {
            String text = written.replace("\"weight\":7", "\"weight\":" + weight);
            assertThrows(IllegalArgumentException.class, () -> RingMessages.parse(text), text);
        }
    }
}
