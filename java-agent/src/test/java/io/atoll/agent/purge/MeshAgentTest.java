package io.atoll.agent.purge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

import com.sun.net.httpserver.HttpServer;
import io.atoll.agent.http.HttpCalls;
import io.atoll.agent.store.Purge;
import io.atoll.agent.testing.Await;
import io.atoll.core.zone.ZonePurges.Kind;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class MeshAgentTest {
    private static final long EXPIRE_MS = 60_000;
    private static final long ASK_EVERY_MS = 1000;

    private final ExecutorService loop = Executors.newSingleThreadExecutor();
    private final AtomicLong now = new AtomicLong(1_000_000);
    private final AtomicInteger missed = new AtomicInteger();
    private final AtomicInteger asked = new AtomicInteger();
    private final CountDownLatch received = new CountDownLatch(1);
    private final List<Purge> told = new CopyOnWriteArrayList<>();
    private volatile boolean refusing;
    private HttpServer server;

    @AfterEach
    void end() throws InterruptedException {
        if (server != null) {
            server.stop(0);
        }
        loop.shutdown();
        assertTrue(loop.awaitTermination(5, TimeUnit.SECONDS));
    }

    private void serve(int port) throws IOException {
        server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/v1/mesh/purges", exchange -> {
            received.countDown();
            if (exchange.getRequestMethod().equals("POST") && refusing) {
                exchange.sendResponseHeaders(503, -1);
                exchange.close();
                return;
            }
            byte[] answer = "{\"purges\":[],\"last\":0,\"more\":false}".getBytes(java.nio.charset.StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }

    private MeshAgent agent() {
        return agent(0);
    }

    private MeshAgent agent(long heardWall) {
        return new MeshAgent("http://127.0.0.1:" + server.getAddress().getPort(), heardWall, "", HttpCalls.client(), loop, now::get,
                new SplittableRandom(1), EXPIRE_MS, new MeshAgent.Listener() {
                    @Override
                    public void told(MeshAgent agent, List<Purge> purges) {
                        told.addAll(purges);
                    }

                    @Override
                    public CompletableFuture<?> heard(List<Purge> purges) {
                        asked.incrementAndGet();
                        return CompletableFuture.completedFuture(null);
                    }

                    @Override
                    public CompletableFuture<?> missed(MeshAgent agent) {
                        missed.incrementAndGet();
                        return CompletableFuture.completedFuture(null);
                    }
                });
    }

    /** Lets it act until it has had so many answers; and, where it is to fail, has failed since. */
    private void awaitAnswers(MeshAgent agent, int count, boolean fails) {
        Await.until(count + " answers", () -> {
            onLoop(() -> agent.act(ASK_EVERY_MS));
            return asked.get() == count && fails != agent.trouble().isEmpty();
        }, () -> asked + " " + agent.trouble());
        onLoop(() -> { });  // what follows the answer
        onLoop(() -> { });
    }

    private void onLoop(Runnable action) {
        CompletableFuture.runAsync(action, loop).join();
    }

    @Test
    void shouldSayWhenItWasCutOffForSoLongThatPurgesMayBeForgotten() throws IOException {
        serve(0);
        MeshAgent agent = agent();
        awaitAnswers(agent, 1, false);
        now.addAndGet(EXPIRE_MS - 1);
        awaitAnswers(agent, 2, false);
        assertEquals(0, missed.get());
        int port = server.getAddress().getPort();
        server.stop(0);
        now.addAndGet(EXPIRE_MS / 2);
        awaitAnswers(agent, 2, true);
        now.addAndGet(EXPIRE_MS);
        serve(port);
        awaitAnswers(agent, 3, false);
        assertEquals(1, missed.get());
        now.addAndGet(2 * ASK_EVERY_MS);
        awaitAnswers(agent, 4, false);
        assertEquals(1, missed.get());
    }

    @Test
    void shouldSayAfterARestartThatItWasCutOffSinceBefore() throws IOException {
        serve(0);
        long wall = System.currentTimeMillis();
        MeshAgent recent = agent(wall - EXPIRE_MS / 2);
        awaitAnswers(recent, 1, false);
        assertEquals(0, missed.get());
        MeshAgent old = agent(wall - EXPIRE_MS - 1);
        assertEquals(wall - EXPIRE_MS - 1, old.heardWall());
        awaitAnswers(old, 2, false);
        Await.until("it to have been asked", () -> CompletableFuture.supplyAsync(old::wasAsked, loop).join());
        assertEquals(1, missed.get());
        assertTrue(old.heardWall() >= wall);
        now.addAndGet(2 * ASK_EVERY_MS);
        awaitAnswers(old, 3, false);
        assertEquals(1, missed.get());
    }

    private static Purge purge(String id) {
        return new Purge(id, Kind.KEY, "host/" + id, 1, System.currentTimeMillis(), "edge1", "");
    }

    /** As while a zone of it is spoilt, which may last for days: it is not cut off. */
    @Test
    void shouldAskAnAgentThatCannotTakeWhatItIsTold() throws IOException {
        serve(0);
        refusing = true;
        MeshAgent agent = agent();
        onLoop(() -> agent.enqueue(purge("1")));
        for (int i = 1; i <= 3; i++) {
            int answers = i;
            Await.until(i + " answers", () -> {
                onLoop(() -> agent.act(ASK_EVERY_MS));
                now.addAndGet(ASK_EVERY_MS);
                return asked.get() >= answers;
            }, () -> asked + " " + agent.trouble());
        }
        assertEquals(List.of(), told);
        refusing = false;
        Await.until("it to be told", () -> {
            onLoop(() -> agent.act(ASK_EVERY_MS));
            now.addAndGet(ASK_EVERY_MS);
            return told.size() == 1;
        }, agent::trouble);
    }

    /** Resolving a name may take long: it is not done on the agent's thread. */
    @Test
    void shouldCallWithoutTheAgentsThread() throws IOException {
        serve(0);
        MeshAgent agent = agent();
        assertTrue(CompletableFuture.supplyAsync(() -> {
            agent.act(ASK_EVERY_MS);
            try {
                return received.await(10, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                return false;
            }
        }, loop).join());
        awaitAnswers(agent, 1, false);
    }
}
