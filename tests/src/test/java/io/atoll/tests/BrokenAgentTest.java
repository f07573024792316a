package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.Reason;
import io.atoll.tests.faults.FaultInjector;
import io.atoll.tests.faults.Faults;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Faults inside the running agent, woven in with Byte Buddy: clients see nothing, and nothing acknowledged is lost. */
@ExtendWith(SceneExtension.class)
class BrokenAgentTest {
    private static final int RATE = 200;
    private static final Duration FAR = Duration.ofSeconds(20);

    /** Four peers, an agent, load. */
    private record Stage(Peers peers, Nginx front, Agent agent, ZoneFile zone, Load load, FaultInjector faults) {
        static Stage open(Scene scene) {
            Peers peers = Peers.start(scene, 4);
            Nginx front = Front.over(scene, peers.servers("max_fails=1 fail_timeout=1s"), Front.probe()).start();
            Agent agent = Agent.start(scene, front);
            return new Stage(peers, front, agent, new ZoneFile(front.zone()),
                    Load.start(scene, front.address(), "/atoll", RATE), new FaultInjector(scene, agent));
        }

        boolean isDrained(int i) {
            return zone.peer(Front.ATOLL, peers.name(i)).reasons()[Reason.ADMIN] == ZoneLayout.FOREVER;
        }

        void assertUnseen() {
            Load.Report report = load.stop();
            Scene.print("%s", report.line());
            assertEquals(List.of(), report.failed(), report.complaint());
        }
    }

    @Test
    void shouldNeverAcknowledgeADrainThatTheJournalDoesNotHold(Scene scene) {
        Stage stage = Stage.open(scene);
        stage.agent.drain(Front.ATOLL, stage.peers.name(0));
        stage.faults.start(Faults.JOURNAL);
        Http.Response refused = stage.agent.send("POST", "/v1/peers/" + Front.ATOLL + "/" + stage.peers.name(1) + "/drain");
        assertEquals(5, refused.status() / 100, refused.body());
        assertTrue(refused.body().contains("agent.journal"), "the answer names the file: " + refused.body());
        assertFalse(stage.isDrained(1), "what was refused is not in force");
        Http.Response undrain = stage.agent.send("POST",
                "/v1/peers/" + Front.ATOLL + "/" + stage.peers.name(0) + "/undrain");
        assertEquals(5, undrain.status() / 100, undrain.body());
        assertTrue(stage.isDrained(0), "what could not be lifted stands");
        stage.agent.kill();
        stage.agent.start();
        Await.until("the restarted agent to hold the drain", FAR, () -> stage.isDrained(0));
        assertFalse(stage.isDrained(1), "a refused drain comes back");
        stage.agent.drain(Front.ATOLL, stage.peers.name(1));
        stage.agent.kill();
        stage.agent.start();
        assertTrue(stage.isDrained(0) && stage.isDrained(1), "what was acknowledged is kept");
        stage.assertUnseen();
    }

    @Test
    void shouldGoOnBeatingAfterHeartbeatsThatThrew(Scene scene) {
        Stage stage = Stage.open(scene);
        stage.peers.nginx(2).kill();
        Await.until("the probes to notice", FAR, () -> stage.zone.stands(Front.ATOLL, stage.peers.name(2), Reason.PROBE));
        stage.faults.start(Faults.BEAT);
        Await.until("the verdict to run out", FAR,
                () -> !stage.zone.stands(Front.ATOLL, stage.peers.name(2), Reason.PROBE));
        long silent = ZoneFile.nowMs() - stage.zone.word(HeaderRecord.AGENT_HEARTBEAT_MS);
        assertTrue(silent > 1000, "the fault stops the heartbeat: last one " + silent + " ms ago");
        stage.faults.end(Faults.BEAT);
        Await.until("the verdict to be renewed", FAR,
                () -> stage.zone.stands(Front.ATOLL, stage.peers.name(2), Reason.PROBE));
        stage.assertUnseen();
    }

    @Test
    void shouldServeThoughTheAgentCallsEveryPeerDown(Scene scene) {
        Stage stage = Stage.open(scene);
        stage.faults.start(Faults.LIE);
        Await.until("all peers to be called down", FAR, () -> List.of(0, 1, 2, 3).stream()
                .allMatch(i -> stage.zone.stands(Front.ATOLL, stage.peers.name(i), Reason.PROBE)));
        long from = System.nanoTime();
        Await.window(Duration.ofSeconds(2));
        for (int i = 0; i < 4; i++) {
            double share = stage.load.report().since(from).share(stage.peers.name(i));
            assertTrue(share > 0.08, "peer " + i + " keeps its keys: share " + share);
        }
        stage.faults.end(Faults.LIE);
        Await.until("all peers to be up again", FAR, () -> List.of(0, 1, 2, 3).stream()
                .noneMatch(i -> stage.zone.stands(Front.ATOLL, stage.peers.name(i), Reason.PROBE)));
        stage.assertUnseen();
    }
}
