package io.atoll.agent.purge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

import io.atoll.agent.config.AgentConfig.PurgeConfig;
import io.atoll.agent.os.Posix;
import io.atoll.agent.store.Purge;
import io.atoll.agent.testing.Await;
import io.atoll.agent.zone.AgentContext;
import io.atoll.core.zone.ZonePurges.Kind;
import io.netty.channel.DefaultEventLoop;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PurgesTest {
    @TempDir
    Path folder;

    private final DefaultEventLoop loop = new DefaultEventLoop();
    private final ExecutorService disk = Executors.newSingleThreadExecutor();
    private final ConcurrentLinkedQueue<Purge> inForce = new ConcurrentLinkedQueue<>();

    @AfterEach
    void end() throws InterruptedException {
        loop.shutdownGracefully(0, 1, TimeUnit.SECONDS);
        disk.shutdown();
        assertTrue(disk.awaitTermination(5, TimeUnit.SECONDS));
    }

    private Purges purges(Path path) throws Exception {
        PurgeConfig config = new PurgeConfig(List.of(), Duration.ofDays(7), Duration.ofSeconds(1), List.of());
        return new Purges(config, path, "", new AgentContext(loop, Posix::monotonicMs, new SplittableRandom(1)), disk,
                new Purges.Zones() {
                    @Override
                    public boolean put(Collection<Purge> purges) {
                        inForce.addAll(purges);
                        return true;
                    }

                    @Override
                    public Set<Long> generations(String key) {
                        return Set.of();
                    }
                }, () -> "edge1");
    }

    @Test
    void shouldPurgeEverythingAlsoWhenTheJournalCannotRecordIt() throws Exception {
        Path file = Files.writeString(folder.resolve("file"), "");
        try (Purges purges = purges(file.resolve("purges"))) {
            long before = System.currentTimeMillis() * 1000 + 60_000_000;
            inForce.clear();
            CompletableFuture.runAsync(() -> purges.found(folder.resolve("zone"), before), loop).join();
            Await.until("everything to be purged", () -> !inForce.isEmpty());
            assertEquals(1, inForce.size());
            assertEquals(Kind.ALL, inForce.peek().kind());
            assertTrue(inForce.peek().number() > before);
            String id = inForce.peek().id();
            assertTrue(purges.find(id).join().isPresent());
        }
    }
}
