package io.atoll.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import io.atoll.agent.config.AgentConfig;
import io.atoll.agent.os.ServiceManager;
import io.atoll.agent.testing.LogLines;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AgentBeatTest {
    @TempDir
    Path folder;

    /** The journal's thread, which takes nothing at first: it is asked to record that the first zone is there. */
    private static final class FaultyDisk extends ThreadPoolExecutor {
        private final AtomicInteger faults = new AtomicInteger(1);

        FaultyDisk() {
            super(1, 1, 0, TimeUnit.SECONDS, new LinkedBlockingQueue<>());
        }

        @Override
        public void execute(Runnable work) {
            if (faults.getAndDecrement() > 0) {
                throw new RejectedExecutionException("a fault of the test");
            }
            super.execute(work);
        }
    }

    private ZoneFixture zone(String file) throws Exception {
        return ZoneFixture.create(folder.resolve(file), ProbeSpec.none(), 0, Server.at(new InetSocketAddress("10.0.0.1", 80)));
    }

    /** Its first heartbeat is over when it has started, and the second far away. */
    @Test
    void shouldAttachAZoneInTheFirstHeartbeatAlsoWhenTheOneBeforeFails() throws Exception {
        ZoneFixture first = zone("first.zone");
        ZoneFixture second = zone("second.zone");
        AgentConfig config = AgentConfig.read(Files.writeString(folder.resolve("agent.conf"), """
                atoll { zone = ["%s", "%s"], heartbeat = 10 s, lease = 30 s, api.listen = "127.0.0.1:0", store.path = "%s/journal" }
                """.formatted(first.path(), second.path(), folder)));
        try (LogLines log = new LogLines("io.atoll.agent"); Agent agent = new Agent(config, new ServiceManager(Map.of()), new FaultyDisk())) {
            agent.start();
            long pid = ProcessHandle.current().pid();
            assertEquals(List.of(pid, pid), List.of(first.zone().agentPid(), second.zone().agentPid()));
            assertEquals(List.of("A heartbeat failed"), log.lines());
        }
    }
}
