package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What a thousand peers cost: memory of a worker's own, and the time that compiling takes. */
@ExtendWith(SceneExtension.class)
class FootprintTest {
    private static final int PEERS = 1000;
    private static final int REQUESTS = 5000;
    private static final long ADDED_KB = 1024;

    @Test
    void shouldAddLessThanAMegabyteToAWorkerAtAThousandPeers(Scene scene) throws IOException {
        Nginx plain = Nginx.in(scene, "plain").workers(1);
        long before = workerKb(plain.http(http(plain, PEERS, "")), plain);
        Nginx hash = Nginx.in(scene, "hash").workers(1);
        long stock = workerKb(hash.http(http(hash, PEERS, "hash $arg_k consistent;")), hash);
        Nginx atoll = Nginx.in(scene, "atoll").workers(1);
        long after = workerKb(atoll.atoll("size=32m", http(atoll, PEERS, "atoll $arg_k;")), atoll);
        Scene.print("private memory of a worker after %d requests over %d peers: round robin %d kB, stock hash %d kB, "
                + "atoll %d kB without the zone", REQUESTS, PEERS, before, stock, after);
        assertTrue(after - before < ADDED_KB, "atoll adds " + (after - before) + " kB to a worker, expected less than "
                + ADDED_KB);
    }

    private static long workerKb(Nginx configured, Nginx nginx) throws IOException {
        configured.start();
        Random random = new Random(1);
        List<String> targets = new ArrayList<>();
        for (int i = 0; i < REQUESTS; i++) {
            targets.add("/?k=" + random.nextInt());
        }
        try (Http http = Http.open(nginx.address(), Duration.ofSeconds(30))) {
            http.pipeline(targets).forEach(response -> assertEquals(502, response.status()));
        }
        long kb = Proc.privateKb(nginx.workerPids().get(0), "atoll.zone");
        nginx.stop();
        return kb;
    }

    @Test
    void shouldPrintWhatCompilingCosts(Scene scene) {
        for (int peers : new int[] {100, PEERS}) {
            Nginx plain = Nginx.in(scene, "plain" + peers);
            plain.http(http(plain, peers, ""));
            Nginx atoll = Nginx.in(scene, "atoll" + peers);
            atoll.atoll("size=32m", http(atoll, peers, "atoll $arg_k;"));
            double with = checkMs(atoll);
            double without = checkMs(plain);
            Scene.print("nginx -t over %d peers: %.0f ms, of which Atoll's part is %.0f ms (median of 9)", peers, with,
                    with - without);
        }
    }

    private static double checkMs(Nginx nginx) {
        double[] times = new double[9];
        for (int i = 0; i < times.length; i++) {
            long start = System.nanoTime();
            Proc.Result result = nginx.check();
            times[i] = (System.nanoTime() - start) / 1e6;
            assertEquals(0, result.exit(), result.output());
        }
        Arrays.sort(times);
        return times[times.length / 2];
    }

    /** Servers that refuse: the balancer works, nothing is proxied. */
    private static String http(Nginx nginx, int peers, String method) {
        StringBuilder servers = new StringBuilder();
        for (int i = 0; i < peers; i++) {
            servers.append("    server ").append(nginx.scene().address(1 + i % 200)).append(':').append(1 + i / 200)
                    .append(" max_fails=0;\n");
        }
        return """
                error_log logs/error.log crit;
                proxy_next_upstream_tries 2;
                upstream pool {
                    %s
                %s}
                server {
                    listen %s;
                    location / { proxy_pass http://pool; }
                }
                """.formatted(method, servers, nginx.socket());
    }
}
