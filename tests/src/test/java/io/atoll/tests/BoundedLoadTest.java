package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Backend;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** `bound=`: how many requests a peer holds while one key takes most of the load. */
@ExtendWith(SceneExtension.class)
class BoundedLoadTest {
    private static final Duration FAR = Duration.ofSeconds(20);
    private static final int PEERS = 4;
    private static final int FILL = 60;
    private static final int ROUNDS = 60;

    /** A peer whose requests wait until they are released, one by one. */
    private static final class Holder {
        private final Queue<CountDownLatch> waiting = new ConcurrentLinkedQueue<>();
        private final String address;

        Holder(Scene scene, int i) {
            address = scene.address(11 + i) + ":8000";
            Backend.start(scene, scene.address(11 + i), 8000, Backend.http(this::hold));
        }

        private void hold() {
            CountDownLatch latch = new CountDownLatch(1);
            waiting.add(latch);
            try {
                latch.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        int held() {
            return waiting.size();
        }

        boolean release() {
            CountDownLatch latch = waiting.poll();
            if (latch != null) {
                latch.countDown();
            }
            return latch != null;
        }
    }

    /** The peers, the nginx before them, and clients that wait for their answers. */
    private static final class Stage implements AutoCloseable {
        final List<Holder> peers = new ArrayList<>();
        final ExecutorService clients = Executors.newCachedThreadPool();
        final List<Future<Http.Response>> answers = new ArrayList<>();
        final Nginx front;
        final ZoneFile zone;

        Stage(Scene scene, int workers) {
            for (int i = 0; i < PEERS; i++) {
                peers.add(new Holder(scene, i));
            }
            front = Nginx.in(scene, "front").workers(workers);
            front.atoll(http("bound=1.25")).start();
            zone = new ZoneFile(front.zone());
            scene.keep(this);
        }

        String http(String parameters) {
            StringBuilder servers = new StringBuilder();
            peers.forEach(peer -> servers.append("server ").append(peer.address).append("; "));
            return """
                    proxy_read_timeout 60s;
                    upstream bounded { atoll $arg_k %3$s; %1$s }
                    upstream unbound { atoll $arg_k; %1$s }
                    upstream by_stock { hash $arg_k consistent; %1$s }
                    server {
                        listen %2$s backlog=1024;
                        add_header X-Upstream $upstream_addr always;
                        add_header X-Owner $atoll_owner always;
                        location /bounded { proxy_pass http://bounded; }
                        location /unbound { proxy_pass http://unbound; }
                        location /stock { proxy_pass http://by_stock; }
                        location /status { atoll_status; }
                    }
                    """.formatted(servers, front.socket(), parameters);
        }

        int held() {
            return peers.stream().mapToInt(Holder::held).sum();
        }

        int most() {
            return peers.stream().mapToInt(Holder::held).max().orElseThrow();
        }

        /** Sends a request, and waits until a peer holds it. */
        void send(String place, String key) {
            int before = held();
            answers.add(clients.submit(() -> {
                try (Http http = Http.open(front.address(), Duration.ofSeconds(60))) {
                    return http.send(place + "?k=" + key);
                }
            }));
            Await.until("a peer to get the request", FAR, () -> held() == before + 1);
        }

        long inflight() {
            return zone.peers().stream().mapToLong(peer -> zone.inflight(peer.slot())).sum();
        }

        void releaseAll() {
            Await.until("all requests to be answered", FAR, () -> {
                peers.forEach(peer -> {
                    while (peer.release()) { }
                });
                return answers.stream().allMatch(Future::isDone);
            });
        }

        @Override
        public void close() {
            clients.shutdownNow();
        }
    }

    /** 70 % of the requests have one key. */
    private static String key(Random random) {
        return random.nextInt(10) < 7 ? "hot" : "cold" + random.nextInt(1000);
    }

    /** ceil(1.25 × mean) + 1 */
    private static int bound(int requests) {
        return (requests * 125 + 100 * PEERS - 1) / (100 * PEERS) + 1;
    }

    /** The most that a peer held above the bound, at any time, while requests come and go. */
    private static int excess(Stage stage, String place, long seed) {
        Random random = new Random(seed);
        int excess = Integer.MIN_VALUE;
        for (int n = 0; n < FILL + ROUNDS; n++) {
            if (n >= FILL) {
                Holder peer = stage.peers.get(random.nextInt(PEERS));
                while (!peer.release()) {
                    peer = stage.peers.get(random.nextInt(PEERS));
                }
                if (!place.equals("/stock")) {
                    Await.until("the request to be counted out", FAR, () -> stage.inflight() == FILL - 1);
                }
            }
            stage.send(place, key(random));
            excess = Math.max(excess, stage.most() - bound(stage.held()));
        }
        return excess;
    }

    private static JsonNode status(Stage stage, int upstream) throws IOException {
        return new ObjectMapper().readTree(Http.get(stage.front.address(), "/status").body()).path("upstreams").path(upstream);
    }

    @Test
    void shouldHoldEachPeerWithinTheBoundWhileOneKeyIsHot(Scene scene) throws Exception {
        Stage stage = new Stage(scene, 4);
        long seed = System.nanoTime();
        int bounded = excess(stage, "/bounded", seed);
        JsonNode status = status(stage, 0);
        stage.releaseAll();
        int unbound = excess(stage, "/unbound", seed);
        stage.releaseAll();
        int stock = excess(stage, "/stock", seed);
        stage.releaseAll();
        Scene.print("seed %d: the busiest of %d peers is off ceil(1.25 x mean) + 1 by %d with bound=1.25, by %d without, by %d with"
                + " stock", seed, PEERS, bounded, unbound, stock);
        assertTrue(bounded <= 0, "over the bound by " + bounded);
        assertTrue(unbound > 0 && stock > 0, "the load would have kept within the bound without it");
        assertEquals("bounded", status.path("name").asText());
        assertEquals(125, status.path("bound_percent").asInt());
        assertTrue(status.path("bounded").asInt() > FILL / 4, "picks that were passed on: " + status.path("bounded"));
        assertEquals(0, status(stage, 1).path("bounded").asInt());
        for (Future<Http.Response> answer : stage.answers) {
            assertEquals(200, answer.get().status());
        }
        Await.until("no request in flight, none counted", FAR, () -> stage.inflight() == 0 && stage.zone.upstreamInflight(0) == 0);
    }

    @Test
    void shouldCountNothingOfAWorkerThatWasKilled(Scene scene) throws Exception {
        Stage stage = new Stage(scene, 2);
        stage.front.expectLog("exited on signal 9");
        for (int i = 0; i < 24; i++) {
            stage.send("/bounded", "hot");
        }
        assertEquals(24, stage.zone.upstreamInflight(0));
        List<Long> killed = stage.front.workerPids();
        for (long worker : killed) {
            Proc.signal(worker, "KILL");
            Await.until("a worker in its place", FAR,
                    () -> stage.front.workerPids().size() == 2 && !stage.front.workerPids().contains(worker));
        }
        Await.until("no request counted", FAR, () -> stage.inflight() == 0 && stage.zone.upstreamInflight(0) == 0);
        stage.releaseAll();
        for (int i = 0; i < 6; i++) {
            stage.send("/bounded", "hot");
            stage.releaseAll();
            Http.Response response = stage.answers.get(stage.answers.size() - 1).get();
            assertEquals(200, response.status());
            assertEquals(response.header("X-Owner"), response.header("X-Upstream"), "the key is back with its owner");
            Await.until("the request to be counted out", FAR, () -> stage.inflight() == 0);
        }
    }

    @Test
    void shouldCountNothingOfAWorkerThatWasToldToEndWhileItWasShuttingDown(Scene scene) {
        Stage stage = new Stage(scene, 2);
        stage.front.expectLog("open socket #\\d+ left in connection|: aborting");
        for (int i = 0; i < 24; i++) {
            stage.send("/bounded", "hot");
        }
        List<Long> old = stage.front.workerPids();
        stage.front.reload();
        assertEquals(24, stage.zone.upstreamInflight(0));
        // one that took no request has ended already
        old.forEach(worker -> Proc.run("kill", "-TERM", Long.toString(worker)));
        Await.until("no request counted", FAR, () -> stage.inflight() == 0 && stage.zone.upstreamInflight(0) == 0);
        stage.releaseAll();
    }

    @Test
    void shouldBindMaglevTablesAndTakeAnotherBoundWithAReload(Scene scene) {
        Stage stage = new Stage(scene, 2);
        Random random = new Random(1);
        for (int n = 0; n < 20; n++) {
            stage.send("/bounded", key(random));
        }
        stage.front.atoll(stage.http("maglev bound=2")).reload();
        for (int n = 0; n < 20; n++) {
            stage.send("/bounded", "hot");
            int most = (stage.held() * 200 + 100 * PEERS - 1) / (100 * PEERS);
            assertTrue(stage.most() <= most + 1, stage.most() + " of " + stage.held() + " with bound=2");
        }
        stage.releaseAll();
        Await.until("no request in flight, none counted", FAR, () -> stage.inflight() == 0 && stage.zone.upstreamInflight(0) == 0);
    }
}
