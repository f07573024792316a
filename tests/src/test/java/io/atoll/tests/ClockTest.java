package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** nginx under a wall clock that jumps (libfaketime; the monotonic clock stays true): recovery takes the time it takes. */
@ExtendWith(SceneExtension.class)
class ClockTest {
    private static final int RATE = 200;
    private static final int VICTIM = 1;
    private static final int FAIL_TIMEOUT_MS = 2000;
    private static final int TOLERANCE_MS = 700;

    @Test
    void shouldBringAFailedPeerBackInItsTimeThoughTheClockGoesBackAnHour(Scene scene) throws IOException {
        shouldRecoverInTime(scene, "-3600");
    }

    @Test
    void shouldBringAFailedPeerBackInItsTimeThoughTheClockGoesOnAnHour(Scene scene) throws IOException {
        shouldRecoverInTime(scene, "+3600");
    }

    private static void shouldRecoverInTime(Scene scene, String jump) throws IOException {
        Peers peers = Peers.start(scene, 4);
        Nginx front = front(scene, peers);
        Load stock = Load.start(scene, front.address(), "/stock", RATE);
        Load atoll = Load.start(scene, front.address(), "/atoll", RATE);
        Await.until("load on every peer", Duration.ofSeconds(20), () -> atoll.report().count() > RATE);
        peers.nginx(VICTIM).kill();
        String victim = peers.name(VICTIM);
        long killed = System.nanoTime();
        Await.until("a failed request through each", Duration.ofSeconds(20), () -> failedTry(stock, killed, victim)
                && failedTry(atoll, killed, victim));
        setClock(scene, jump);
        peers.nginx(VICTIM).start();
        long back = System.nanoTime();
        Await.window(Duration.ofMillis(FAIL_TIMEOUT_MS + TOLERANCE_MS + 3000));
        Load.Report byStock = stock.stop();
        Load.Report byAtoll = atoll.stop();
        double stockMs = recoveryMs(byStock, back, victim);
        double atollMs = recoveryMs(byAtoll, back, victim);
        Scene.print("clock %s s, stock: the peer serves again %s; %s", jump, words(stockMs), byStock.line());
        Scene.print("clock %s s, atoll: the peer serves again %s; %s", jump, words(atollMs), byAtoll.line());
        assertEquals(List.of(), byAtoll.failed(), byAtoll.complaint());
        assertTrue(atollMs >= 0 && atollMs <= FAIL_TIMEOUT_MS + TOLERANCE_MS, "the peer serves again after " + atollMs
                + " ms, expected within fail_timeout " + FAIL_TIMEOUT_MS + " (+ " + TOLERANCE_MS + ")");
    }

    private static String words(double ms) {
        return ms < 0 ? "not at all while watched" : String.format("after %.0f ms", ms);
    }

    private static boolean failedTry(Load load, long since, String peer) {
        return load.report().since(since).where(shot -> shot.upstreams().size() > 1 && shot.first().equals(peer)).count() > 0;
    }

    /** Milliseconds until a peer answers again; negative for never. */
    private static double recoveryMs(Load.Report report, long sinceNs, String peer) {
        return report.since(sinceNs).where(shot -> shot.last().equals(peer)).shots().stream()
                .mapToDouble(shot -> (shot.startNs() - sinceNs) / 1e6).findFirst().orElse(-1);
    }

    @Test
    void shouldServeThroughAClockThatStepsEachSecond(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 4);
        Nginx front = front(scene, peers);
        Load load = Load.start(scene, front.address(), "/atoll", RATE);
        for (String offset : new String[] {"+60", "-7200", "+86400", "-86400", "+0"}) {
            setClock(scene, offset);
            Await.window(Duration.ofSeconds(1));
        }
        Load.Report report = load.stop();
        Scene.print("clock stepping each second: %s", report.line());
        assertEquals(List.of(), report.failed(), report.complaint());
        assertEquals(0, report.where(shot -> shot.upstreams().size() > 1).count(), "retries");
    }

    private static Nginx front(Scene scene, Peers peers) throws IOException {
        setClock(scene, "+0");
        return Front.over(scene, peers.servers("max_fails=1 fail_timeout=2s"), "")
                .main("env LD_PRELOAD; env FAKETIME_TIMESTAMP_FILE; env FAKETIME_NO_CACHE; env FAKETIME_DONT_FAKE_MONOTONIC;")
                .environment("LD_PRELOAD", library().toString())
                .environment("FAKETIME_TIMESTAMP_FILE", scene.file("clock").toString())
                .environment("FAKETIME_NO_CACHE", "1")
                .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1").start();
    }

    /** Seconds that the wall clock of the scene's nginx is off from now on. */
    private static void setClock(Scene scene, String offset) throws IOException {
        Path next = scene.file("clock.next");
        Files.writeString(next, offset + "\n");
        Files.move(next, scene.file("clock"), StandardCopyOption.ATOMIC_MOVE);
    }

    private static Path library() throws IOException {
        try (Stream<Path> folders = Files.list(Path.of("/usr/lib"))) {
            return folders.map(folder -> folder.resolve("faketime/libfaketime.so.1")).filter(Files::exists).findFirst()
                    .orElseThrow(() -> new AssertionError("libfaketime is missing: install Debian's package faketime"));
        }
    }
}
