package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.zone.ZoneLayout.Reason;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** A hundred peers, all of them down: what a request gets, what it costs, and how soon the first is answered again. */
@ExtendWith(SceneExtension.class)
class AllPeersDownTest {
    private static final int PEERS = 100;
    private static final int REQUESTS = 1000;
    private static final int TOLERANCE_MS = 400;
    private static final Duration FAR = Duration.ofSeconds(30);
    /** Of /proc/PID/stat. */
    private static final double TICK_MS = 10;

    @Test
    void shouldAnswer502CheaplyAndRecoverWithinAProbeInterval(Scene scene) throws IOException {
        List<String> peers = IntStream.range(0, PEERS).mapToObj(i -> scene.address(11 + i) + ":8000").toList();
        String servers = peers.stream().map(peer -> "server " + peer + " max_fails=1 fail_timeout=2s;\n").collect(Collectors.joining());
        Nginx front = Front.over(scene, servers, Front.probe()).start();
        Agent.start(scene, front);
        ZoneFile zone = new ZoneFile(front.zone());
        Await.until("the probes to call all peers down", FAR,
                () -> peers.stream().allMatch(peer -> zone.stands(Front.ATOLL, peer, Reason.PROBE)));

        double stock = cost(front, "/stock/");
        double atoll = cost(front, "/atoll/");
        Scene.print("%d peers, all down, each request with up to 3 tries: %.3f ms CPU a request (stock %.3f ms)", PEERS, atoll, stock);
        assertTrue(atoll < 1, "ms of CPU for a request: " + atoll);

        Nginx back = Nginx.in(scene, "back").http("server { " + peers.stream().map(peer -> "listen " + peer + "; ")
                .collect(Collectors.joining()) + "return 200 well; }");
        long[] up = {0};
        Thread start = new Thread(() -> {
            back.start();
            up[0] = System.nanoTime();
        });
        start.start();
        long[] first = {0};
        int[] asked = {0};
        Await.until("a first success", FAR, () -> {
            if (get(front, "/atoll/first-" + asked[0]++) == 200) {
                first[0] = System.nanoTime();
            }
            return first[0] != 0;
        });
        Await.until("the peers to have started", FAR, () -> up[0] != 0);
        double late = (first[0] - up[0]) / 1e6;
        Scene.print("first success %.0f ms after all peers listened, probe interval %d ms", late, Front.INTERVAL_MS);
        assertTrue(late <= Front.INTERVAL_MS + TOLERANCE_MS, "first success after " + late + " ms");
        Await.until("all requests to succeed", FAR, () -> IntStream.range(0, 50).allMatch(i -> get(front, "/atoll/all-" + i) == 200));
    }

    /** CPU milliseconds of the workers for a request that no peer answers. */
    private static double cost(Nginx front, String location) throws IOException {
        double before = cpuMs(front);
        try (Http http = Http.open(front.address(), Duration.ofSeconds(10))) {
            for (int i = 0; i < REQUESTS; i++) {
                assertEquals(502, http.send(location + "down-" + i).status());
            }
        }
        return (cpuMs(front) - before) / REQUESTS;
    }

    private static double cpuMs(Nginx front) throws IOException {
        double sum = 0;
        for (long worker : front.workerPids()) {
            String stat = Files.readString(Path.of("/proc/" + worker + "/stat"));
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            sum += (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) * TICK_MS;
        }
        return sum;
    }

    private static int get(Nginx front, String target) {
        try {
            return Http.get(front.address(), target).status();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
