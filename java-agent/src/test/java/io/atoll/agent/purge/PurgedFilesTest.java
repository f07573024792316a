package io.atoll.agent.purge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetSocketAddress;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.LongStream;

import com.sun.net.httpserver.HttpServer;
import io.atoll.agent.http.HttpCalls;
import io.atoll.agent.testing.Await;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PurgedFilesTest {
    private final ExecutorService loop = Executors.newSingleThreadExecutor();
    private final ExecutorService handlers = Executors.newCachedThreadPool();
    private final CompletableFuture<Void> mayAnswer = new CompletableFuture<>();
    private final AtomicInteger asked = new AtomicInteger();
    private final AtomicInteger answered = new AtomicInteger();
    private final AtomicInteger mostAtOnce = new AtomicInteger();
    private final Set<String> ended = ConcurrentHashMap.newKeySet();
    private HttpServer server;

    @BeforeEach
    void serve() throws Exception {
        server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.setExecutor(handlers);
        server.createContext("/delete", exchange -> {
            mostAtOnce.accumulateAndGet(asked.incrementAndGet() - answered.get(), Math::max);
            mayAnswer.join();
            answered.incrementAndGet();
            exchange.sendResponseHeaders(200, -1);
            exchange.close();
        });
        server.start();
    }

    @AfterEach
    void end() throws InterruptedException {
        mayAnswer.complete(null);
        server.stop(0);
        handlers.shutdown();
        loop.shutdown();
        assertTrue(loop.awaitTermination(5, TimeUnit.SECONDS));
    }

    private PurgedFiles files(String path) {
        String url = "http://127.0.0.1:" + server.getAddress().getPort() + path;
        return new PurgedFiles(List.of(url), HttpCalls.client(), loop, ended::add);
    }

    private String outcome(PurgedFiles files, String id) {
        return CompletableFuture.supplyAsync(() -> files.outcome(id), loop).join();
    }

    @Test
    void shouldAskForEightFilesAtATimeAndForAllInTheEnd() {
        PurgedFiles files = files("/delete");
        List<Long> generations = LongStream.range(0, 60).boxed().toList();
        CompletableFuture.runAsync(() -> files.delete("a", "key", generations), loop).join();
        CompletableFuture.runAsync(() -> files.delete("b", "other", List.of(1L)), loop).join();
        Await.until("8 to be asked for", () -> asked.get() == 8, asked::get);
        assertEquals("file is being deleted", outcome(files, "b"));
        mayAnswer.complete(null);
        Await.until("both to be over", () -> ended.equals(Set.of("a", "b")), () -> ended + " " + asked);
        assertEquals(8, mostAtOnce.get());
        assertEquals("60 files deleted", outcome(files, "a"));
        assertEquals("file deleted", outcome(files, "b"));
    }

    @Test
    void shouldSayThatAFileIsNotDeletedRatherThanThrow() {
        PurgedFiles files = files("/delete{");
        CompletableFuture.runAsync(() -> files.delete("a", "key", List.of(1L)), loop).join();
        Await.until("it to be over", () -> ended.contains("a"), ended::toString);
        assertTrue(outcome(files, "a").startsWith("file not deleted: "), outcome(files, "a"));
    }
}
