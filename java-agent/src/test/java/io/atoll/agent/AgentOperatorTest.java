package io.atoll.agent;

import static io.atoll.agent.testing.ScriptedServer.always;
import static io.atoll.agent.testing.ScriptedServer.response;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;

import com.fasterxml.jackson.databind.JsonNode;
import io.atoll.agent.os.Posix;
import io.atoll.agent.testing.AgentRig;
import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.ScriptedServer;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Drain, undrain, maintenance. */
class AgentOperatorTest {
    @TempDir
    Path folder;
    private ScriptedServer one;
    private ScriptedServer two;
    private String name;

    @BeforeEach
    void start() throws Exception {
        one = new ScriptedServer(always(response(200, "x")));
        two = new ScriptedServer(always(response(200, "x")));
        name = ZoneFixture.text(one.address());
    }

    @AfterEach
    void stop() throws Exception {
        one.close();
        two.close();
    }

    private ZoneFixture zone(int slowStartMs) throws Exception {
        return ZoneFixture.create(folder.resolve("nginx.zone"), ProbeSpec.http(), slowStartMs,
                Server.at(one.address()), Server.at(two.address()));
    }

    private static void assertDone(HttpResponse<String> response) {
        assertEquals(200, response.statusCode(), response.body());
    }

    @Test
    void shouldHaveADrainInForceWhenTheCallIsAnswered() throws Exception {
        ZoneFixture zone = zone(60_000);
        try (AgentRig agent = new AgentRig(folder)) {
            assertDone(agent.change(name, "drain", "{\"note\": \"new disk\"}"));
            assertEquals(ZoneLayout.FOREVER, zone.word(0, Reason.ADMIN));
            assertEquals(0, zone.word(1, Reason.ADMIN));
            assertTrue(Files.readString(folder.resolve("journal")).contains("new disk"));
            JsonNode peer = agent.peer(0);
            assertEquals("drain", peer.path("admin").path("kind").asText());
            assertEquals("new disk", peer.path("admin").path("note").asText());
            assertEquals(-1, peer.path("reasons").get(0).path("remaining_ms").asLong());
            long before = Posix.monotonicMs();
            assertDone(agent.change(name, "undrain", ""));
            assertEquals(0, zone.word(0, Reason.ADMIN));
            assertTrue(zone.rampStart(0) >= before, "it comes back by a ramp");
        }
    }

    @Test
    void shouldTellWhenAPeerWasTakenOutAndWhenItCameBack() throws Exception {
        ZoneFixture zone = zone(0);
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            assertEquals(0, zone.changed(0), "nothing happened to it yet");
            long before = Posix.monotonicMs();
            assertDone(agent.change(name, "drain", ""));
            long drained = zone.changed(0);
            assertTrue(drained >= before && drained <= Posix.monotonicMs(), drained + " after " + before);
            AgentRig.awaitHeartbeats(zone, 3);
            assertDone(agent.change(name, "drain", "{\"note\": \"once more\"}"));
            assertEquals(drained, zone.changed(0), "neither heartbeats nor another drain are a change");
            before = Posix.monotonicMs();
            assertDone(agent.change(name, "undrain", ""));
            long back = zone.changed(0);
            assertTrue(back >= before && back <= Posix.monotonicMs(), back + " after " + before);
            AgentRig.awaitHeartbeats(zone, 3);
            assertEquals(back, zone.changed(0));
            assertEquals(0, zone.changed(1), "nor is it one of another peer");
        }
    }

    @Test
    void shouldKeepADrainOverRestartsOfAgentAndNginx() throws Exception {
        ZoneFixture zone = zone(0);
        try (AgentRig agent = new AgentRig(folder)) {
            assertDone(agent.change(name, "drain", ""));
        }
        assertEquals(ZoneLayout.FOREVER, zone.word(0, Reason.ADMIN), "it outlives the agent");
        ZoneFixture anew = zone(0);
        assertEquals(0, anew.word(0, Reason.ADMIN));
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            assertEquals(ZoneLayout.FOREVER, anew.word(0, Reason.ADMIN), "in force from the first heartbeat");
            ZoneFixture third = zone(0);
            Await.until("the drain in the next file", () -> third.word(0, Reason.ADMIN) == ZoneLayout.FOREVER);
            assertEquals(0, third.word(1, Reason.ADMIN));
            assertDone(agent.change(name, "undrain", ""));
            assertEquals(0, third.word(0, Reason.ADMIN));
        }
        assertNotDrainedByANewAgent(zone(0));
    }

    private void assertNotDrainedByANewAgent(ZoneFixture zone) throws Exception {
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            AgentRig.awaitHeartbeats(zone, 2);
            assertEquals(0, zone.word(0, Reason.ADMIN));
        }
    }

    @Test
    void shouldEndAMaintenanceByItself() throws Exception {
        ZoneFixture zone = zone(60_000);
        try (AgentRig agent = new AgentRig(folder)) {
            assertDone(agent.change(name, "maintenance", "{\"duration\": \"1h\"}"));
            assertTrue(zone.stands(0, Reason.ADMIN));
            assertEquals("maintenance", agent.peer(0).path("admin").path("kind").asText());
            long before = Posix.monotonicMs();
            assertDone(agent.change(name, "maintenance", "{\"duration\": \"400ms\"}"));
            Await.until("the end", () -> zone.word(0, Reason.ADMIN) == 0);
            assertTrue(Posix.monotonicMs() - before >= 400);
            assertTrue(zone.rampStart(0) >= before + 400, "it comes back by a ramp");
            Await.until("the journal's record of it", () -> journal().endsWith("\"kind\":\"lifted\"}\n"));
            assertTrue(agent.peer(0).path("admin").isNull());
        }
    }

    private String journal() {
        try {
            return Files.readString(folder.resolve("journal"));
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    @Test
    void shouldEndAMaintenanceThatEndedWhileNoAgentRan() throws Exception {
        ZoneFixture zone = zone(0);
        try (AgentRig agent = new AgentRig(folder)) {
            assertDone(agent.change(name, "maintenance", "{\"duration\": \"2s\"}"));
        }
        long end = Posix.monotonicMs() + 2000;
        Await.until("its end", () -> Posix.monotonicMs() > end);
        assertTrue(zone.stands(0, Reason.ADMIN), "a lease longer, so that an agent can lift it with a ramp");
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            Await.until("lifted", () -> zone.word(0, Reason.ADMIN) == 0);
        }
    }

    @Test
    void shouldDrainAllAddressesOfANameOrOne() throws Exception {
        ZoneFixture zone = ZoneFixture.create(folder.resolve("nginx.zone"), ProbeSpec.none(), 0,
                new Server("cache.example:80", one.address(), 0), new Server("cache.example:80", two.address(), 0));
        try (AgentRig agent = new AgentRig(folder)) {
            assertDone(agent.change("cache.example:80", "drain", ""));
            assertEquals(ZoneLayout.FOREVER, zone.word(0, Reason.ADMIN));
            assertEquals(ZoneLayout.FOREVER, zone.word(1, Reason.ADMIN));
            assertDone(agent.change("cache.example:80", "undrain", "{\"address\": \"" + name + "\"}"));
            assertEquals(0, zone.word(0, Reason.ADMIN));
            assertEquals(ZoneLayout.FOREVER, zone.word(1, Reason.ADMIN));
            assertDone(agent.change(ZoneFixture.text(two.address()), "undrain", ""));
            assertEquals(0, zone.word(1, Reason.ADMIN));
            assertDone(agent.change(name, "drain", "{\"node\": \"edge1\"}"));
            assertEquals(ZoneLayout.FOREVER, zone.word(0, Reason.ADMIN));
            assertEquals(0, zone.word(1, Reason.ADMIN));
            assertEquals(404, agent.change(name, "undrain", "{\"node\": \"edge2\"}").statusCode());
        }
    }

    private ZoneFixture named(ScriptedServer... servers) throws Exception {
        Server[] at = java.util.Arrays.stream(servers).map(server -> new Server("cache.example:80", server.address(), 0)).toArray(Server[]::new);
        return ZoneFixture.create(folder.resolve("nginx.zone"), ProbeSpec.none(), 0, at);
    }

    @Test
    void shouldKeepAServerDrainedThatIsElsewhereInAnotherZoneFile() throws Exception {
        named(one);
        try (AgentRig agent = new AgentRig(folder)) {
            assertDone(agent.change("cache.example:80", "drain", ""));
        }
        ZoneFixture elsewhere = named(two);
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            Await.until("the drain at the other address", () -> elsewhere.word(0, Reason.ADMIN) == ZoneLayout.FOREVER);
            ZoneFixture both = named(one, two);
            Await.until("the drain in the next file", () -> both.word(1, Reason.ADMIN) == ZoneLayout.FOREVER);
            assertEquals(ZoneLayout.FOREVER, both.word(0, Reason.ADMIN));
        }
    }

    @Test
    void shouldNotDrainAServerAgainForAnAddressThatItHadBeforeItWasUndrained() throws Exception {
        named(one);
        try (AgentRig agent = new AgentRig(folder)) {
            assertDone(agent.change("cache.example:80", "drain", ""));
            ZoneFixture elsewhere = named(two);
            Await.until("the drain at the other address", () -> elsewhere.word(0, Reason.ADMIN) == ZoneLayout.FOREVER);
            assertDone(agent.change(ZoneFixture.text(two.address()), "undrain", ""));
            assertEquals(0, agent.json("/v1/status").path("agent").path("decisions").asInt());
        }
        assertNotDrainedByANewAgent(named(two));
    }

    @Test
    void shouldKeepADrainThatItsJournalLost() throws Exception {
        ZoneFixture zone = zone(0);
        zone.setWord(0, Reason.ADMIN, ZoneLayout.FOREVER);
        try (AgentRig agent = new AgentRig(folder)) {
            AgentRig.awaitHeartbeats(zone, 3);
            assertEquals(ZoneLayout.FOREVER, zone.word(0, Reason.ADMIN));
            assertEquals("found in the zone", agent.peer(0).path("admin").path("note").asText());
            Await.until("its record", () -> journal().contains("found in the zone"));
        }
    }

    /** The agent died between the record of an undrain and the word. */
    @Test
    void shouldLiftADrainThatItsJournalSaysWasLifted() throws Exception {
        ZoneFixture zone = zone(0);
        try (AgentRig agent = new AgentRig(folder)) {
            assertDone(agent.change(name, "drain", ""));
            assertDone(agent.change(name, "undrain", ""));
        }
        zone.setWord(0, Reason.ADMIN, ZoneLayout.FOREVER);
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            Await.until("lifted", () -> zone.word(0, Reason.ADMIN) == 0);
        }
    }

    @Test
    void shouldRefuseAChangeThatCannotBeRecorded() throws Exception {
        ZoneFixture zone = zone(0);
        Path file = Files.writeString(folder.resolve("file"), "no folder");
        try (AgentRig agent = new AgentRig(folder, "atoll.store.path = \"" + file + "/journal\"")) {
            HttpResponse<String> refused = agent.change(name, "drain", "");
            assertEquals(503, refused.statusCode());
            assertTrue(refused.body().contains("cannot be recorded"), refused.body());
            assertEquals(0, zone.word(0, Reason.ADMIN));
        }
    }

    @Test
    void shouldLiftADecisionAboutAPeerThatIsGone() throws Exception {
        zone(0);
        try (AgentRig agent = new AgentRig(folder)) {
            assertDone(agent.change(name, "drain", ""));
            ZoneFixture without = ZoneFixture.create(folder.resolve("nginx.zone"), ProbeSpec.http(), 0,
                    Server.at(two.address()));
            Await.until("the other file", () -> without.zone().agentPid() != 0);
            assertEquals(404, agent.change(name, "drain", "").statusCode());
            assertDone(agent.change(name, "undrain", ""));
            assertEquals(0, agent.json("/v1/status").path("agent").path("decisions").asInt());
        }
    }
}
