package io.atoll.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Random;

import com.fasterxml.jackson.databind.JsonNode;
import io.atoll.agent.testing.AgentRig;
import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import io.atoll.core.zone.ZoneLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Purges, with zone files that cannot be used. */
class AgentPurgesTest {
    @TempDir
    Path folder;

    private static ZoneFixture zone(Path path) throws Exception {
        return ZoneFixture.create(path, ProbeSpec.none(), 0, Server.at(new InetSocketAddress("10.0.0.1", 80)));
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

    private interface Spoiler {
        void spoil(Path zone) throws IOException;
    }

    private static void write(Path zone, long at, byte[] bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(zone, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(bytes), at);
        }
    }

    private static void truncate(Path zone) throws IOException {
        try (FileChannel channel = FileChannel.open(zone, StandardOpenOption.WRITE)) {
            channel.truncate(0);
        }
    }

    private static String purged(AgentRig agent, String id) {
        return agent.json("/v1/purges/" + id).path("state").asText();
    }

    /** Its nginx serves from a copy, until it is reloaded and has made the file anew. */
    @ParameterizedTest
    @ValueSource(strings = {"TRUNCATED", "BAD_MAGIC", "AWAIT_READY"})
    void shouldHoldAPurgePendingFromTheFaultUntilThereIsANewFile(String state) throws Exception {
        Path path = folder.resolve("nginx.zone");
        zone(path);
        byte[] bytes = new byte[(int) Files.size(path)];
        Spoiler spoiler = switch (state) {
            case "TRUNCATED" -> AgentPurgesTest::truncate;
            case "AWAIT_READY" -> zone -> write(zone, 0, bytes);
            default -> zone -> {
                new Random(7).nextBytes(bytes);
                write(zone, 0, bytes);
            };
        };
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            spoiler.spoil(path);
            String first = pending(agent, "host/1");
            agent.awaitState(state);
            Files.delete(path);
            agent.awaitState("MISSING");
            String second = pending(agent, "host/2");
            assertEquals("pending", purged(agent, first));
            zone(path);
            for (String id : List.of(first, second)) {
                Await.until("the purge to be in force", () -> purged(agent, id).equals("done"), () -> purged(agent, id));
            }
        }
    }

    private static String pending(AgentRig agent, String key) {
        JsonNode answer = AgentRig.parse(agent.send("POST", "/v1/purge", "{\"key\": \"" + key + "\"}").body());
        assertEquals("pending", answer.path("state").asText(), answer::toString);
        assertEquals("a zone file cannot be used: see the zones in /v1/status", answer.path("nodes").get(0).path("detail").asText());
        return answer.path("id").asText();
    }

    /** As when nginx and its module are of another build than the agent. */
    @Test
    void shouldHoldAPurgePendingWhileTheFileThatNginxUsesCannotBeUsed() throws Exception {
        Path path = folder.resolve("nginx.zone");
        zone(path);
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            Path fresh = folder.resolve("fresh");
            ZoneFixture other = zone(fresh);
            other.setVersion(0x00020000);
            Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            String id = pending(agent, "host/1");
            assertEquals("OK", agent.state());
            other.setVersion(ZoneLayout.VERSION);
            Await.until("the purge to be in force", () -> purged(agent, id).equals("done"), () -> purged(agent, id));
            other.setVersion(0x00020000);
        }
        try (AgentRig agent = new AgentRig(folder)) {
            assertEquals("VERSION_MISMATCH", agent.state());
            pending(agent, "host/2");
        }
    }

    private static String state(AgentRig agent, String key) {
        for (JsonNode purge : agent.json("/v1/purges").path("purges")) {
            if (purge.path("text").asText().equals(key)) {
                return purge.path("state").asText();
            }
        }
        return "unknown";
    }

    private static void awaitDone(AgentRig agent, String key) {
        Await.until(key + " to be purged", () -> state(agent, key).equals("done"), () -> agent.get("/v1/purges").body());
    }

    /** nginx may go on with the file that was removed: a purge is in force when there is one that has it. */
    @Test
    void shouldHoldAPurgePendingWhenItStartsWithoutTheFileThatWasThere() throws Exception {
        Path path = folder.resolve("nginx.zone");
        zone(path);
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            purge(agent, "host/1");
            assertEquals("done", state(agent, "host/1"));
        }
        try (AgentRig agent = new AgentRig(folder)) {
            purge(agent, "host/2");
            assertEquals("done", state(agent, "host/2"), "its nginx may be stopped: the file is there");
        }
        Files.delete(path);
        try (AgentRig agent = new AgentRig(folder)) {
            assertEquals("MISSING", agent.state());
            pending(agent, "host/3");
        }
        try (AgentRig agent = new AgentRig(folder)) {
            assertEquals("pending", state(agent, "host/3"));
            zone(path);
            for (String key : List.of("host/1", "host/2", "host/3")) {
                awaitDone(agent, key);
                assertNotEquals(0L, ZoneFixture.open(path).purges().orElseThrow().generation(key, "host"), key);
            }
        }
    }

    @Test
    void shouldTellAnotherAgentAgainWhoseZoneIsMissing() throws Exception {
        Path here = Files.createDirectory(folder.resolve("here"));
        Path there = Files.createDirectory(folder.resolve("there"));
        zone(here.resolve("nginx.zone"));
        zone(there.resolve("nginx.zone"));
        try (AgentRig other = new AgentRig(there)) {
            other.awaitState("OK");
        }
        Files.delete(there.resolve("nginx.zone"));
        try (AgentRig other = new AgentRig(there);
                AgentRig agent = new AgentRig(here, "atoll.mesh.agents = [\"%s\"]".formatted(other.base()))) {
            JsonNode answer = AgentRig.parse(agent.send("POST", "/v1/purge", "{\"key\": \"host/1\"}").body());
            assertEquals(List.of("done", "pending"), answer.path("nodes").findValuesAsText("state"), answer::toString);
            Await.until("the other to say so", () -> agent.get("/v1/purges").body().contains("it answers 503"),
                    () -> agent.get("/v1/purges").body());
            assertEquals("pending", state(other, "host/1"));
            zone(there.resolve("nginx.zone"));
            awaitDone(other, "host/1");
            awaitDone(agent, "host/1");
        }
    }

    @Test
    void shouldNotWaitForAZoneThatWasNeverThere() throws Exception {
        try (AgentRig agent = new AgentRig(folder)) {
            assertEquals("MISSING", agent.state());
            JsonNode answer = AgentRig.parse(agent.send("POST", "/v1/purge", "{\"key\": \"host/1\"}").body());
            assertEquals("done", answer.path("state").asText(), answer::toString);
        }
    }
}
