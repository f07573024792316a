package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Gdb;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A worker that stops or dies at any instruction of ours holds up nobody. */
@ExtendWith(SceneExtension.class)
class NoLockTest {
    private static final Duration FAR = Duration.ofSeconds(30);
    private static final Duration SOON = Duration.ofSeconds(1);

    @ParameterizedTest
    @ValueSource(strings = {"atoll_pick", "atoll_done", "atoll_balancer_refresh", "atoll_row_claim"})
    void shouldAnswerWhileAWorkerHangsInAndDiesIn(String function, Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 4);
        peers.nginx(2).kill();
        Nginx front = Front.over(scene, peers).workers(3).expectLog("exited on signal 9").start();
        ZoneFile zone = new ZoneFile(front.zone());
        long seed = System.nanoTime();
        Random random = new Random(seed);
        double worst = 0;
        int rounds = function.equals("atoll_row_claim") ? 2 : 6;
        for (int round = 0; round < rounds; round++) {
            int steps = round == 0 ? 0 : random.nextInt(120);
            try (Gdb gdb = function.equals("atoll_row_claim") ? inNewWorker(front, function, steps)
                    : inWorker(scene, front, function, steps)) {
                worst = Math.max(worst, answersOfTheOthers(front));
                gdb.kill();
            }
            Await.until("three workers again", FAR, () -> front.workerPids().size() == 3);
            worst = Math.max(worst, answersOfTheOthers(front));
        }
        Scene.print("seed %d: killed %d times in %s, up to 120 instructions later; others answered within %.0f ms", seed,
                rounds, function, worst);
        Load.Report report = Load.run(scene, front.address(), "/atoll", 300, SOON);
        assertEquals(List.of(), report.failed(), report.complaint());
        front.reload();
        Await.until("no request in flight, none counted", FAR, () -> zone.peers().stream()
                .allMatch(peer -> zone.inflight(peer.slot()) == 0));
    }

    /** Stops a worker in a function that requests run through. */
    private static Gdb inWorker(Scene scene, Nginx front, String function, int steps) {
        Gdb gdb = Gdb.attach(scene, front.workerPids().get(1));
        gdb.breakAt(function);
        Load trigger = Load.startClosing(scene, front.address(), "/atoll", 100);
        gdb.awaitBreak();
        trigger.abandon();
        gdb.step(steps);
        return gdb;
    }

    /** Stops a worker in a function that it runs through as it starts. */
    private static Gdb inNewWorker(Nginx front, String function, int steps) {
        Gdb gdb = Gdb.attach(front.scene(), front.pid());
        gdb.followChildren();
        gdb.breakAt(function);
        Proc.signal(front.workerPids().get(0), "KILL");
        gdb.awaitBreak();
        gdb.step(steps);
        return gdb;
    }

    /** Connections that other workers accept: 40 in a row, each with an answer soon. Returns the slowest, in ms. */
    private static double answersOfTheOthers(Nginx front) throws IOException {
        double worst = 0;
        for (int i = 0; i < 40; i++) {
            long start = System.nanoTime();
            try (Http http = Http.open(front.address(), SOON)) {
                assertEquals(200, http.send("/atoll/o/" + i).status(), "object " + i);
            }
            worst = Math.max(worst, (System.nanoTime() - start) / 1e6);
        }
        assertTrue(worst < SOON.toMillis(), "slowest answer " + worst + " ms");
        return worst;
    }

    @Test
    void shouldCutOnlyTheConnectionsOfAKilledWorkerAndKeepTheState(Scene scene) {
        Peers peers = Peers.start(scene, 4);
        Nginx front = Front.over(scene, peers.servers("max_fails=1 fail_timeout=60s"), "").workers(3)
                .expectLog("exited on signal 9").start();
        ZoneFile zone = new ZoneFile(front.zone());
        peers.nginx(2).kill();
        Load.Report tried = Load.run(scene, front.address(), "/atoll", 300, SOON).touching(peers.name(2));
        assertTrue(tried.count() > 0, "tries at the dead peer");
        // those that are under way when the first fails may have chosen it too
        long known = tried.shots().stream().mapToLong(shot -> shot.startNs() + shot.latencyNs()).min().orElseThrow();
        assertEquals(0, tried.since(known).count(), "one failed try tells all workers");
        Load load = Load.start(scene, front.address(), "/atoll", 300);
        for (int i = 0; i < 3; i++) {
            Await.window(Duration.ofMillis(300));
            Proc.signal(front.workerPids().get(0), "KILL");
            Await.until("three workers", FAR, () -> front.workerPids().size() == 3);
        }
        Load.Report report = load.stop();
        Scene.print("3 workers killed under load: %s", report.line());
        assertEquals(List.of(), report.failed().stream().filter(shot -> !shot.problem().matches(
                ".*(EOFException|Connection reset|Broken pipe).*")).toList(), "failures that are no cut connection");
        assertTrue(report.failed().size() <= 3 * Load.CLIENTS, "each connection is cut once a kill at most");
        assertEquals(0, report.touching(peers.name(2)).count(), "the failed peer is still known to have failed");
        front.reload();
        Await.until("no request in flight, none counted", FAR, () -> zone.peers().stream()
                .allMatch(peer -> zone.inflight(peer.slot()) == 0));
    }
}
