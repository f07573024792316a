package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.Reason;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The agent dies or stalls: its verdicts run out, passive checks take over, an operator's word stays. */
@ExtendWith(SceneExtension.class)
class DeadAgentTest {
    private static final int RATE = 200;
    private static final int VICTIM = 1;
    private static final int FAIL_TIMEOUT_MS = 1000;
    private static final int TOLERANCE_MS = 400;
    private static final Duration FAR = Duration.ofSeconds(20);

    /** Four peers under load, one of them dead and known to be. */
    private record Stage(Peers peers, Nginx front, Agent agent, ZoneFile zone, Load load) {
        static Stage open(Scene scene) {
            Peers peers = Peers.start(scene, 4);
            Nginx front = Front.over(scene, peers.servers("max_fails=1 fail_timeout=1s"),
                    Front.probe()).start();
            Agent agent = Agent.start(scene, front);
            Stage stage = new Stage(peers, front, agent, new ZoneFile(front.zone()),
                    Load.start(scene, front.address(), "/atoll", RATE));
            peers.nginx(VICTIM).kill();
            stage.awaitProbed(true);
            return stage;
        }

        String victim() {
            return peers.name(VICTIM);
        }

        boolean isProbedDown() {
            return zone.stands(Front.ATOLL, victim(), Reason.PROBE);
        }

        void awaitProbed(boolean down) {
            Await.until("the probe reason of " + victim() + " to " + (down ? "stand" : "end"), FAR,
                    () -> isProbedDown() == down);
        }

        /** The agent is out of order since a moment: waits for its verdict's end, watches passive checks for a while. */
        void watchVerdictRunOut(long faultNs) {
            awaitProbed(false);
            double expired = (System.nanoTime() - faultNs) / 1e6;
            long from = System.nanoTime();
            Await.window(Duration.ofSeconds(3));
            long to = System.nanoTime();
            Load.Report report = load.report();
            int asked = report.between(from, to).firstTo(victim()).count();
            Scene.print("verdict ran out after %.0f ms; passive checks asked the dead peer %d times in %d ms; %s", expired,
                    asked, (to - from) / 1_000_000, report.since(faultNs).line());
            assertEquals(List.of(), report.failed(), report.complaint());
            assertTrue(expired <= Agent.LEASE.toMillis() + TOLERANCE_MS, "the verdict stood for " + expired + " ms");
            assertTrue(asked >= 1, "passive checks try the peer");
            assertTrue(asked <= (to - from) / 1_000_000 / FAIL_TIMEOUT_MS + 2, asked + " tries, expected one in "
                    + FAIL_TIMEOUT_MS + " ms over all workers");
        }
    }

    @Test
    void shouldFallBackToPassiveChecksWhenTheAgentIsKilledAndResumeWithTheNext(Scene scene) {
        Stage stage = Stage.open(scene);
        long fault = System.nanoTime();
        stage.agent.kill();
        assertTrue(stage.isProbedDown(), "a verdict outlives its agent");
        stage.watchVerdictRunOut(fault);

        long restart = System.nanoTime();
        stage.agent.start();
        stage.awaitProbed(true);
        double resumed = (System.nanoTime() - restart) / 1e6;
        for (int i = 0; i < 4; i++) {
            assertEquals(i == VICTIM, stage.zone.stands(Front.ATOLL, stage.peers.name(i), Reason.PROBE),
                    stage.peers.name(i));
        }
        Scene.print("a restarted agent has its verdict again after %.0f ms", resumed);
        stage.peers.nginx(VICTIM).start();
        stage.awaitProbed(false);
        Load.Report report = stage.load.stop();
        assertEquals(List.of(), report.failed(), report.complaint());
    }

    @Test
    void shouldFallBackToPassiveChecksWhileTheAgentIsStopped(Scene scene) {
        Stage stage = Stage.open(scene);
        long fault = System.nanoTime();
        Proc.signal(stage.agent.pid(), "STOP");
        stage.watchVerdictRunOut(fault);

        stage.peers.nginx(VICTIM).start();
        long up = System.nanoTime();
        Await.until("the peer to serve again", FAR,
                () -> stage.load.report().since(up).where(shot -> shot.last().equals(stage.victim())).count() > 10);
        Proc.signal(stage.agent.pid(), "CONT");
        long end = System.nanoTime() + Duration.ofSeconds(3).toNanos();
        Await.until("three seconds to pass without the verdict of before the stop", FAR, () -> {
            assertFalse(stage.isProbedDown(), "an agent that was stopped renews what it believed before");
            return System.nanoTime() > end;
        });
        Load.Report report = stage.load.stop();
        assertEquals(List.of(), report.failed(), report.complaint());
    }

    @Test
    void shouldNotLetAnAgentThatWasStoppedOverrideItsSuccessor(Scene scene) {
        Stage stage = Stage.open(scene);
        Proc.signal(stage.agent.pid(), "STOP");
        Agent successor = Agent.startAnother(scene, stage.front);
        stage.peers.nginx(VICTIM).start();
        stage.awaitProbed(false);
        Proc.signal(stage.agent.pid(), "CONT");
        long end = System.nanoTime() + Duration.ofSeconds(3).toNanos();
        Await.until("three seconds to pass under the successor", FAR, () -> {
            assertEquals(successor.pid(), stage.zone.word(HeaderRecord.AGENT_PID), "the agent that writes");
            assertFalse(stage.isProbedDown(), "the verdict of the agent that was replaced");
            return System.nanoTime() > end;
        });
        Load.Report report = stage.load.stop();
        assertEquals(List.of(), report.failed(), report.complaint());
    }

    @Test
    void shouldKeepADrainOverAgentRestartReloadAndNginxRestart(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 4);
        Nginx front = Front.over(scene, peers).start();
        Agent agent = Agent.start(scene, front);
        ZoneFile zone = new ZoneFile(front.zone());
        String drained = peers.name(VICTIM);
        agent.drain(Front.ATOLL, drained);
        assertDrained(scene, front, drained, "by the API");

        agent.kill();
        assertDrained(scene, front, drained, "agent killed");
        Await.window(Agent.LEASE);
        assertDrained(scene, front, drained, "a lease later");
        agent.start();
        assertDrained(scene, front, drained, "agent restarted");
        front.reload();
        assertDrained(scene, front, drained, "nginx reloaded");
        front.quit();
        front.start();
        assertDrained(scene, front, drained, "nginx restarted");
        front.kill();
        front.start();
        assertDrained(scene, front, drained, "nginx killed and started");

        front.stop();
        Files.delete(front.zone());
        front.start();
        Await.until("the drain in a new zone, from the journal", FAR,
                () -> zone.stands(Front.ATOLL, drained, Reason.ADMIN));
        assertDrained(scene, front, drained, "zone lost, as in a reboot");

        agent.undrain(Front.ATOLL, drained);
        Await.until("the drain to be lifted", FAR, () -> !zone.stands(Front.ATOLL, drained, Reason.ADMIN));
        Await.until("the peer to serve again", FAR, () -> Load.run(scene, front.address(), "/atoll", RATE,
                Duration.ofMillis(500)).touching(drained).count() > 0);
    }

    private static void assertDrained(Scene scene, Nginx front, String peer, String when) {
        ZoneFile.Peer state = new ZoneFile(front.zone()).peer(Front.ATOLL, peer);
        assertEquals(ZoneLayout.FOREVER, state.reasons()[Reason.ADMIN], "admin word: " + when);
        Load.Report report = Load.run(scene, front.address(), "/atoll", RATE, Duration.ofMillis(500));
        assertEquals(List.of(), report.failed(), report.complaint());
        assertTrue(report.count() > 20, "requests: " + when);
        assertEquals(0, report.touching(peer).count(), "requests at a drained peer: " + when);
    }
}
