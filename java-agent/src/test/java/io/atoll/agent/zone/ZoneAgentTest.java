package io.atoll.agent.zone;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;

import io.atoll.agent.os.Posix;
import io.atoll.agent.zone.ZoneAgent.Obstacle;
import io.atoll.core.zone.ZonePurges;
import io.netty.channel.DefaultEventLoop;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class ZoneAgentTest {
    private final DefaultEventLoop loop = new DefaultEventLoop();

    @AfterEach
    void end() {
        loop.shutdownGracefully(0, 1, TimeUnit.SECONDS);
    }

    private record Known(boolean known) implements ZoneAgent.PurgeBook {
        @Override
        public void publish(ZonePurges zone) {}

        @Override
        public boolean isInSync() {
            return true;
        }

        @Override
        public void found(Path zone, String boot, long last) {}

        @Override
        public boolean isKnown(Path zone, String boot) {
            return known;
        }
    }

    /** One that has not looked for its file. */
    private ZoneAgent zone(boolean known) {
        AgentContext context = new AgentContext(loop, Posix::monotonicMs, new SplittableRandom(1));
        AdminBook book = new AdminBook(List.of(), true, "boot", 0, 0);
        return new ZoneAgent(Path.of("nginx.zone"), new ZoneAgent.Services(context, null, null, book, new MemberBook(List.of(), false),
                3000, null, new Known(known), new byte[16], "boot", 1, 1, (agent, node) -> "node", decision -> { },
                (decisions, servers) -> { }));
    }

    @Test
    void shouldHoldAPurgePendingUntilItHasLookedForAFileThatWasThere() {
        assertEquals(Optional.of(Obstacle.SPOILT), zone(true).purge(List.of()));
        assertEquals(Optional.empty(), zone(false).purge(List.of()), "no nginx has a copy of a file that was never there");
    }
}
