package io.atoll.agent;

import static io.atoll.agent.testing.ScriptedServer.always;
import static io.atoll.agent.testing.ScriptedServer.response;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;

import io.atoll.agent.os.Posix;
import io.atoll.agent.testing.AgentRig;
import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.LogLines;
import io.atoll.agent.testing.ScriptedServer;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An agent on zone files: attaching, following, verdicts. */
class AgentZoneTest {
    /** Three of the longest pauses between probes, timeout included: longer than the 3 s that are configured. */
    private static final long LEASE_MS = 3 * (165 + 2000);
    private static final String WELL = response(200, "x");
    private static final String ILL = response(503, "x");

    @TempDir
    Path folder;
    private ScriptedServer one;
    private ScriptedServer two;

    @BeforeEach
    void start() throws Exception {
        one = new ScriptedServer(always(WELL));
        two = new ScriptedServer(always(WELL));
    }

    @AfterEach
    void stop() throws Exception {
        one.close();
        two.close();
    }

    private Path path() {
        return folder.resolve("nginx.zone");
    }

    private ZoneFixture zone(ProbeSpec probe, int slowStartMs) throws Exception {
        return ZoneFixture.create(path(), probe, slowStartMs, Server.at(one.address()), Server.at(two.address()));
    }

    private ZoneFixture zone() throws Exception {
        return zone(ProbeSpec.http(), 0);
    }

    private static void awaitDown(ZoneFixture zone, int slot) {
        Await.until("slot " + slot + " down", () -> zone.stands(slot, Reason.PROBE));
    }

    private static void awaitUp(ZoneFixture zone, int slot) {
        Await.until("slot " + slot + " up", () -> zone.word(slot, Reason.PROBE) == 0);
    }

    @Test
    void shouldWaitForTheFileAndNameWhatItFinds() throws Exception {
        try (AgentRig agent = new AgentRig(folder)) {
            assertEquals("MISSING", agent.state());
            assertEquals(503, agent.get("/healthz").statusCode());
            Files.writeString(path(), "this is not a zone file, though it is long enough to have a magic number");
            agent.awaitState("BAD_MAGIC");
            Files.writeString(path(), "short");
            agent.awaitState("TRUNCATED");
            ZoneFixture zone = zone();
            agent.awaitState("OK");
            Await.until("health", () -> agent.get("/healthz").statusCode() == 200);
            assertEquals(ProcessHandle.current().pid(), zone.zone().agentPid());
            assertEquals(Posix.processStart(zone.zone().agentPid()), zone.zone().agentStart());
        }
    }

    @Test
    void shouldNotUseAZoneThatIsNotReadyOrOfAnotherBuildOrBoot() throws Exception {
        ZoneFixture zone = zone();
        zone.setReady(false);
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("AWAIT_READY");
            zone.setReady(true);
            zone.setVersion(0x00020000);
            agent.awaitState("VERSION_MISMATCH");
            zone.setVersion(ZoneLayout.VERSION);
            zone.setBootId(new byte[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
            agent.awaitState("OTHER_BOOT");
            assertTrue(agent.get("/healthz").body().contains("OTHER_BOOT"));
            assertEquals(0, zone.zone().agentPid(), "nothing was written");
            zone.setBootId(Posix.bootId());
            agent.awaitState("OK");
        }
    }

    @Test
    void shouldWriteALeaseForADeadPeerAndLiftItWhenItIsBack() throws Exception {
        ZoneFixture zone = zone(ProbeSpec.http(), 60_000);
        try (AgentRig agent = new AgentRig(folder)) {
            one.setScript(always(ILL));
            one.cutConnections();
            awaitDown(zone, 0);
            assertTrue(zone.remaining(0, Reason.PROBE) <= LEASE_MS);
            long first = zone.word(0, Reason.PROBE);
            Await.until("a renewal", () -> zone.word(0, Reason.PROBE) > first);
            assertEquals(0, zone.word(1, Reason.PROBE), "the other peer is well");
            assertEquals("status 503", agent.peer(0).path("probe").path("detail").asText());
            assertFalse(agent.peer(0).path("up").asBoolean());
            long before = Posix.monotonicMs();
            one.setScript(always(WELL));
            one.cutConnections();
            awaitUp(zone, 0);
            assertTrue(zone.rampStart(0) >= before, "its ramp began when it came back");
            assertTrue(zone.changed(0) >= before, "and the zone tells since when");
            assertEquals(0, zone.changed(1));
            assertEquals(0, zone.rampStart(1));
            assertTrue(agent.peer(0).path("ramp").asDouble() < 1);
            assertEquals(1, agent.metric("atoll_peer_transitions_total{node=\"edge1\",upstream=\"caches\",server=\""
                    + ZoneFixture.text(one.address()) + "\",address=\"" + ZoneFixture.text(one.address())
                    + "\",to=\"down\""));
        }
    }

    @Test
    void shouldNeverHoldItsOwnNodeDown() throws Exception {
        ZoneFixture zone = zone(ProbeSpec.http(), 60_000);
        zone.setNode(ZoneFixture.text(one.address()));
        try (AgentRig agent = new AgentRig(folder)) {
            one.setScript(always(ILL));
            one.cutConnections();
            two.setScript(always(ILL));
            two.cutConnections();
            Await.until("a bad probe of its own", () -> agent.peer(0).path("probe").path("state").asText().equals("down"));
            awaitDown(zone, 1);
            assertEquals(0, zone.word(0, Reason.PROBE), "the node itself");
        }
    }

    @Test
    void shouldLeaveServersOfTheRingBeforeAlone() throws Exception {
        Server left = new Server(ZoneFixture.text(two.address()), two.address(), PeerFlag.PREVIOUS);
        two.setScript(always(ILL));
        ZoneFixture zone = ZoneFixture.create(path(), ProbeSpec.http(), 0, Server.at(one.address()), left);
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            one.setScript(always(ILL));
            one.cutConnections();
            awaitDown(zone, 0);
            AgentRig.awaitHeartbeats(zone, 5);
            assertEquals(0, zone.word(1, Reason.PROBE), "it is not probed");
            assertTrue(two.requests().isEmpty());
            assertNull(agent.peer(1), "nor shown as a peer");
        }
    }

    @Test
    void shouldNotRampWhenNobodyElseServes() throws Exception {
        ZoneFixture zone = zone(ProbeSpec.http(), 60_000);
        one.setScript(always(ILL));
        two.setScript(always(ILL));
        try (AgentRig agent = new AgentRig(folder)) {
            awaitDown(zone, 0);
            awaitDown(zone, 1);
            assertTrue(agent.json("/v1/upstreams").path("upstreams").get(0).path("guard").asBoolean());
            one.setScript(always(WELL));
            one.cutConnections();
            awaitUp(zone, 0);
            assertEquals(0, zone.rampStart(0));
        }
    }

    @Test
    void shouldProbeNothingWithoutAtollProbe() throws Exception {
        ZoneFixture zone = zone(ProbeSpec.none(), 0);
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            AgentRig.awaitHeartbeats(zone, 10);
            assertEquals(0, one.accepted());
            assertTrue(agent.peer(0).path("probe").isNull());
            zone.setProbe(ProbeSpec.http());
            Await.until("a probe", () -> one.accepted() > 0);
            zone.setProbe(ProbeSpec.none());
            Await.until("no probes", () -> agent.peer(0).path("probe").isNull());
        }
    }

    @Test
    void shouldLeaveVerdictsToRunOutWhenItEnds() throws Exception {
        ZoneFixture zone = zone(new ProbeSpec(ZoneLayout.ProbeKind.HTTP, "/", 100, 500, 2, 3), 0);
        one.setScript(always(ILL));
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            awaitDown(zone, 0);
        }
        assertEquals(0, zone.zone().agentPid());
        assertTrue(zone.remaining(0, Reason.PROBE) <= 3000);
        assertTrue(zone.word(0, Reason.PROBE) != 0, "not lifted");
        Await.until("the end of the lease", () -> !zone.stands(0, Reason.PROBE));
    }

    @Test
    void shouldTakeUpVerdictsThatStandWithoutTransitions() throws Exception {
        ZoneFixture zone = zone();
        one.close();
        zone.setWord(0, Reason.PROBE, Posix.monotonicMs() + 2500);
        zone.setWord(1, Reason.PROBE, Posix.monotonicMs() + 2500);
        try (AgentRig agent = new AgentRig(folder)) {
            String firstPeer = "{node=\"edge1\",upstream=\"caches\",server=\"" + ZoneFixture.text(one.address())
                    + "\",address=\"" + ZoneFixture.text(one.address()) + "\",";
            Await.until("renewal", () -> zone.remaining(0, Reason.PROBE) > 3000, () -> zone.remaining(0, Reason.PROBE));
            awaitUp(zone, 1);
            assertEquals(0, agent.metric("atoll_peer_transitions_total" + firstPeer + "to=\"down\""));
            assertEquals(0, agent.metric("atoll_peer_transitions_total" + firstPeer + "to=\"up\""));
            assertTrue(agent.metric("atoll_peer_probes_total" + firstPeer + "result=\"failure\"") > 0);
        }
    }

    @Test
    void shouldNeverTouchThePassiveWord() throws Exception {
        ZoneFixture zone = zone();
        long until = Posix.monotonicMs() + 60_000;
        zone.setWord(0, Reason.PASSIVE, until);
        one.setScript(always(ILL));
        try (AgentRig agent = new AgentRig(folder)) {
            awaitDown(zone, 0);
            one.setScript(always(WELL));
            one.cutConnections();
            awaitUp(zone, 0);
            AgentRig.awaitHeartbeats(zone, 3);
            assertEquals(until, zone.word(0, Reason.PASSIVE));
            assertEquals("passive", agent.peer(0).path("reasons").get(0).path("reason").asText());
        }
    }

    @Test
    void shouldStopWritingWhenAnotherAgentClaimsTheZone() throws Exception {
        ZoneFixture zone = zone();
        Process other = new ProcessBuilder("sleep", "1000").start();
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            zone.claim(other.pid(), Posix.processStart(other.pid()));
            Await.until("standby", () -> {
                zone.heartbeat();
                return agent.state().equals("STANDBY");
            });
            one.close();
            for (int i = 0; i < 20; i++) {
                zone.heartbeat();
                assertEquals("STANDBY", agent.state());
            }
            assertEquals(0, zone.word(0, Reason.PROBE), "no verdict from an agent that stands by");
            assertEquals(other.pid(), zone.zone().agentPid());
            other.destroyForcibly().waitFor();
            agent.awaitState("OK");
            awaitDown(zone, 0);
        } finally {
            other.destroyForcibly();
        }
    }

    @Test
    void shouldTakeOverFromAnAgentThatGivesNoHeartbeat() throws Exception {
        ZoneFixture zone = zone();
        Process hung = new ProcessBuilder("sleep", "1000").start();
        try {
            long epoch = zone.claim(hung.pid(), Posix.processStart(hung.pid()));
            try (AgentRig agent = new AgentRig(folder)) {
                assertEquals("STANDBY", agent.state());
                agent.awaitState("OK");
                assertEquals(epoch + 1, zone.zone().agentEpoch());
            }
        } finally {
            hung.destroyForcibly();
        }
    }

    @Test
    void shouldNotGiveOnePeersVerdictToTheNextInItsSlot() throws Exception {
        ZoneFixture zone = zone();
        one.setScript(always(ILL));
        try (AgentRig agent = new AgentRig(folder)) {
            awaitDown(zone, 0);
            one.setScript(always(WELL));
            one.cutConnections();
            zone.giveSlotAway(0);
            AgentRig.awaitHeartbeats(zone, 3);
            assertEquals(0, zone.word(0, Reason.PROBE), "a peer that nobody has seen fail is up");
            assertEquals("OK", agent.state());
        }
    }

    @Test
    void shouldFollowAnotherFileAtThePath() throws Exception {
        ZoneFixture before = zone();
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            one.close();
            awaitDown(before, 0);
            ZoneFixture after = zone();
            Await.until("claim of the new file", () -> after.zone().agentPid() != 0);
            awaitDown(after, 0);
            assertEquals(0, agent.peer(0).path("probe").path("transitions").asInt(),
                    "it began as down, since it was down before");
            long heartbeat = before.zone().agentHeartbeatMs();
            AgentRig.awaitHeartbeats(after, 3);
            assertEquals(heartbeat, before.zone().agentHeartbeatMs(), "the file of before is let go");
        }
    }

    @Test
    void shouldGoOnWithTheOldFileWhileItsSuccessorCannotBeUsed() throws Exception {
        ZoneFixture zone = zone();
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            Path garbage = Files.write(folder.resolve("garbage"), new byte[8192]);
            Files.move(garbage, path(), StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
            zone.markReplaced();
            AgentRig.awaitHeartbeats(zone, 3);
            Files.delete(path());
            AgentRig.awaitHeartbeats(zone, 3);
            one.close();
            awaitDown(zone, 0);
            assertEquals("OK", agent.state());
        }
    }

    @Test
    void shouldOutliveAFileThatIsMadeShorterUnderIt() throws Exception {
        zone();
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            try (FileChannel file = FileChannel.open(path(), StandardOpenOption.WRITE)) {
                file.truncate(4096);
            }
            agent.awaitState("TRUNCATED");
            Await.until("ill health", () -> agent.get("/healthz").statusCode() == 503);
            assertEquals(200, agent.get("/metrics").statusCode());
            ZoneFixture zone = zone();
            agent.awaitState("OK");
            one.close();
            awaitDown(zone, 0);
        }
    }

    /** Bytes of the zone are input: whatever stands in the sections, the agent goes on, and takes a whole zone again. */
    @Test
    void shouldOutliveGarbageInTheZone() throws Exception {
        long seed = System.nanoTime();
        java.util.Random random = new java.util.Random(seed);
        zone();
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            for (int round = 0; round < 10; round++) {
                ZoneFixture zone = zone();
                try (FileChannel file = FileChannel.open(path(), StandardOpenOption.WRITE)) {
                    for (int i = 0; i < 200; i++) {
                        byte[] bytes = new byte[1 + random.nextInt(8)];
                        random.nextBytes(bytes);
                        // Past the agent's own words: those say who writes, and any value is a valid claim.
                        file.write(ByteBuffer.wrap(bytes), 4096 + random.nextInt((int) file.size() - 4096 - 8));
                    }
                }
                zone.countConfiguration();
                assertEquals(200, agent.get("/metrics").statusCode(), "seed " + seed + " round " + round);
                assertEquals(200, agent.get("/v1/peers").statusCode(), "seed " + seed + " round " + round);
            }
            ZoneFixture zone = zone();
            Await.until("a whole zone", () -> zone.zone().agentPid() != 0, () -> "seed " + seed);
            one.close();
            awaitDown(zone, 0);
        }
    }

    @Test
    void shouldSayOnceThatAnUpstreamIsWrongAndGoOnBeating() throws Exception {
        ZoneFixture zone = zone();
        try (LogLines log = new LogLines("io.atoll"); AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            zone.damageUpstream();
            AgentRig.awaitHeartbeats(zone, 6);
            Await.until("a whole heartbeat", () -> agent.agent().complaints().isEmpty(), () -> agent.agent().complaints());
            List<String> lines = log.lines();
            assertEquals(1, lines.stream().filter(line -> line.endsWith("zone: upstream 0: name_length is 4294967295, which no nginx.conf gives")
                    && !line.contains("members")).count(), lines::toString);
            assertEquals(List.of(), lines.stream().filter(line -> !line.contains("upstream 0")).toList());
        }
    }

    @Test
    void shouldCountOnWhenACounterWrapsOrARowChangesHands() throws Exception {
        ZoneFixture zone = zone();
        String labels = "{node=\"edge1\",upstream=\"caches\",server=\"" + ZoneFixture.text(one.address()) + "\"";
        zone.count(0, 100, 0xfffffff0);
        zone.countBounded(0, 0xfffffff0);
        zone.countBounded(1, 0xf0000000);
        try (AgentRig agent = new AgentRig(folder)) {
            agent.awaitState("OK");
            double failures = agent.metric("atoll_peer_failures_total" + labels);
            String ofUpstream = "{node=\"edge1\",upstream=\"caches\"";
            assertEquals(0xfffffff0L + 0xf0000000L, agent.metric("atoll_upstream_bounded_total" + ofUpstream));
            zone.countBounded(0, 0x00000010);
            assertEquals(0xfffffff0L + 0xf0000000L + 32, agent.metric("atoll_upstream_bounded_total" + ofUpstream));
            zone.count(0, 130, 0x00000010);
            assertEquals(failures + 32, agent.metric("atoll_peer_failures_total" + labels));
            assertEquals(130, agent.metric("atoll_upstream_requests_total{node=\"edge1\",upstream=\"caches\""));
            zone.count(1, 70, 5);
            assertEquals(failures + 37, agent.metric("atoll_peer_failures_total" + labels));
            assertEquals(200, agent.metric("atoll_upstream_requests_total{node=\"edge1\",upstream=\"caches\""));
        }
    }

    @Test
    void shouldServeSeveralZonesEachByItself() throws Exception {
        ZoneFixture first = ZoneFixture.create(folder.resolve("a.zone"), ProbeSpec.http(), 0, Server.at(one.address()));
        ZoneFixture second = ZoneFixture.create(folder.resolve("b.zone"), ProbeSpec.http(), 0,
                Server.at(two.address()));
        try (AgentRig agent = new AgentRig(folder, "atoll.zone = [\"" + folder + "/a.zone\", \"" + folder
                + "/b.zone\", \"" + folder + "/c.zone\"]")) {
            Await.until("both", () -> agent.get("/metrics").body().lines()
                    .filter(line -> line.startsWith("atoll_zone_attached") && line.endsWith(" 1.0")).count() == 2);
            assertEquals(503, agent.get("/healthz").statusCode(), "c is missing");
            try (FileChannel file = FileChannel.open(folder.resolve("a.zone"), StandardOpenOption.WRITE)) {
                file.truncate(100);
            }
            two.close();
            awaitDown(second, 0);
            assertTrue(agent.get("/healthz").body().contains("a.zone is TRUNCATED"));
            assertEquals("b.zone", Path.of(agent.json("/v1/status").path("zones").get(1).path("path").asText())
                    .getFileName().toString());
            assertTrue(first.path().endsWith("a.zone"));
        }
    }
}
