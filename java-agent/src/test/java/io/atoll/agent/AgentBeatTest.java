package io.atoll.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

import io.atoll.agent.config.AgentConfig;
import io.atoll.agent.os.ServiceManager;
import io.atoll.agent.testing.FaultyDisk;
import io.atoll.agent.testing.LogLines;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AgentBeatTest {
    @TempDir
    Path folder;

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
        FaultyDisk disk = new FaultyDisk();
        disk.refuse(1);     // to record that the first zone is there
        try (LogLines log = new LogLines("io.atoll.agent"); Agent agent = new Agent(config, new ServiceManager(Map.of()), disk)) {
            agent.start();
            long pid = ProcessHandle.current().pid();
            assertEquals(List.of(pid, pid), List.of(first.zone().agentPid(), second.zone().agentPid()));
            assertEquals(List.of("A heartbeat failed"), log.lines());
        }
    }
}
