package io.atoll.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;

import io.atoll.agent.testing.AgentRig;
import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Purges, with zone files that cannot be used. */
class AgentPurgesTest {
    @TempDir
    Path folder;

    private static void zone(Path path) throws Exception {
        ZoneFixture.create(path, ProbeSpec.none(), 0, Server.at(new InetSocketAddress("10.0.0.1", 80)));
    }

    private static void purge(AgentRig agent, String key) {
        assertEquals(true, agent.send("POST", "/v1/purge", "{\"key\": \"" + key + "\"}").statusCode() < 300);
    }

    private static boolean knows(AgentRig agent, String key) {
        return agent.get("/v1/purges").body().contains('"' + key + '"');
    }

    @Test
    void shouldAskAndTellOtherAgentsWhileAZoneIsSpoilt() throws Exception {
        Path here = Files.createDirectory(folder.resolve("here"));
        Path there = Files.createDirectory(folder.resolve("there"));
        zone(here.resolve("nginx.zone"));
        Files.write(here.resolve("spoilt.zone"), new byte[] {1, 2, 3});
        zone(there.resolve("nginx.zone"));
        try (AgentRig other = new AgentRig(there)) {
            purge(other, "host/missed");
            try (AgentRig agent = new AgentRig(here, """
                    atoll.zone = ["%s/nginx.zone", "%s/spoilt.zone"]
                    atoll.mesh.agents = ["%s"]
                    atoll.purge.sync-timeout = 10 m
                    """.formatted(here, here, other.base()))) {
                Await.until("the agent to be in sync", () -> agent.metric("atoll_agent_purges_in_sync") == 1,
                        () -> agent.get("/v1/purges").body());
                assertEquals(true, knows(agent, "host/missed"));
                purge(agent, "host/told");
                Await.until("the other to be told", () -> knows(other, "host/told"), () -> agent.get("/v1/purges").body());
            }
        }
    }
}
