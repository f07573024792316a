package io.atoll.agent.purge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.FutureTask;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.stream.Stream;

import io.atoll.agent.api.ApiException;
import io.atoll.agent.api.PurgeService;
import io.atoll.agent.config.AgentConfig.PurgeConfig;
import io.atoll.agent.os.Posix;
import io.atoll.agent.store.Purge;
import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.FaultyDisk;
import io.atoll.agent.testing.LogLines;
import io.atoll.agent.view.PurgeView;
import io.atoll.agent.zone.AgentContext;
import io.atoll.agent.zone.ZoneAgent.Obstacle;
import io.atoll.core.zone.ZonePurges.Kind;
import io.netty.channel.DefaultEventLoop;
import io.netty.channel.EventLoop;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PurgesTest {
    @TempDir
    Path folder;

    private final DefaultEventLoop loop = new DefaultEventLoop();
    private final FaultyDisk disk = new FaultyDisk();
    private final ConcurrentLinkedQueue<Purge> inForce = new ConcurrentLinkedQueue<>();
    private final AtomicInteger good = new AtomicInteger();
    private final AtomicInteger faults = new AtomicInteger();
    /** By which both clocks are ahead of the machine's. */
    private final AtomicLong passedMs = new AtomicLong();
    /** By which the wall clock is ahead of the other besides. */
    private final AtomicLong aheadMs = new AtomicLong();
    private volatile Set<Obstacle> obstacles = Set.of();

    @AfterEach
    void end() throws InterruptedException {
        loop.shutdownGracefully(0, 1, TimeUnit.SECONDS);
        disk.shutdown();
        assertTrue(disk.awaitTermination(5, TimeUnit.SECONDS));
    }

    private Purges purges(Path path, String... agents) throws Exception {
        return purges(loop, disk, path, agents);
    }

    private Purges purges(EventLoop loop, ExecutorService disk, Path path, String... agents) throws Exception {
        PurgeConfig config = new PurgeConfig(List.of(agents), Duration.ofDays(7), Duration.ofMillis(200), List.of());
        return new Purges(config, path, "", new AgentContext(loop, () -> Posix.monotonicMs() + passedMs.get(), new SplittableRandom(1)), disk,
                new Purges.Zones() {
                    @Override
                    public Set<Obstacle> put(Collection<Purge> purges) {
                        if (good.getAndDecrement() <= 0 && faults.getAndDecrement() > 0) {
                            throw new IllegalStateException("a fault of the test");
                        }
                        inForce.addAll(purges);
                        return obstacles;
                    }

                    @Override
                    public Set<Long> generations(String key) {
                        return Set.of();
                    }
                }, () -> "edge1", () -> System.currentTimeMillis() + passedMs.get() + aheadMs.get());
    }

    @Test
    void shouldPurgeEverythingAlsoWhenTheJournalCannotRecordIt() throws Exception {
        Path file = Files.writeString(folder.resolve("file"), "");
        try (Purges purges = purges(file.resolve("purges"))) {
            long before = System.currentTimeMillis() * 1000 + 60_000_000;
            inForce.clear();
            CompletableFuture.runAsync(() -> purges.found(folder.resolve("zone"), "boot", before), loop).join();
            Await.until("everything to be purged", () -> !inForce.isEmpty());
            assertEquals(1, inForce.size());
            assertEquals(Kind.ALL, inForce.peek().kind());
            assertTrue(inForce.peek().number() > before);
            String id = inForce.peek().id();
            assertTrue(purges.find(id).join().isPresent());
        }
    }

    private static List<Purge> purge(String key) {
        return List.of(new Purge(key, Kind.KEY, key, 0, System.currentTimeMillis(), "edge2", ""));
    }

    private CompletableFuture<?> heard(Purges purges, String key) {
        return CompletableFuture.supplyAsync(() -> purges.heard(purge(key)), loop).thenCompose(heard -> heard);
    }

    /** Who asks another agent neither tells nor asks it anything else until this is done. */
    @Test
    void shouldBeDoneWithWhatAnotherAgentKnowsWhileAZoneIsSpoiltButNotWhileNginxPublishes() throws Exception {
        try (Purges purges = purges(folder.resolve("purges"))) {
            obstacles = Set.of(Obstacle.SPOILT);
            heard(purges, "host/1").get(10, TimeUnit.SECONDS);
            obstacles = Set.of(Obstacle.SPOILT, Obstacle.PUBLISHING);
            CompletableFuture<?> third = heard(purges, "host/3");
            Await.until("the third to be put", () -> inForce.stream().anyMatch(one -> one.id().equals("host/3")));
            CompletableFuture.runAsync(() -> { }, loop).join();
            assertTrue(!third.isDone());
            obstacles = Set.of(Obstacle.SPOILT);
            third.get(10, TimeUnit.SECONDS);
            CompletableFuture<Integer> received = purges.receive(purge("host/2"));
            Await.until("the second to be put", () -> inForce.stream().anyMatch(one -> one.id().equals("host/2")));
            CompletableFuture.runAsync(() -> { }, loop).join();
            assertTrue(!received.isDone());
            assertEquals("pending", purges.find("host/3").join().orElseThrow().state());
            obstacles = Set.of();
            assertEquals(1, received.get(10, TimeUnit.SECONDS));
            assertEquals("done", purges.find("host/3").join().orElseThrow().state());
        }
    }

    /** That may last for days, in which the other calls again and again. */
    @Test
    void shouldNotLetAnotherAgentWaitForAZoneThatIsSpoilt() throws Exception {
        try (Purges purges = purges(folder.resolve("purges"))) {
            obstacles = Set.of(Obstacle.SPOILT);
            ExecutionException refused = assertThrows(ExecutionException.class,
                    () -> purges.receive(purge("host/1")).get(10, TimeUnit.SECONDS));
            assertEquals(503, ((ApiException) refused.getCause()).status());
            assertEquals("pending", purges.find("host/1").join().orElseThrow().state(), "it is recorded all the same");
        }
    }

    @Test
    void shouldKnowOverRestartsWhichZonesWereThereSinceTheMachineStarted() throws Exception {
        Path zone = folder.resolve("zone");
        Path file = folder.resolve("purges");
        try (Purges purges = purges(file)) {
            assertFalse(purges.isKnown(zone, "boot"));
            CompletableFuture.runAsync(() -> purges.found(zone, "boot", 0), loop).join();
            assertTrue(purges.isKnown(zone, "boot"));
            disk.submit(() -> { }).get(10, TimeUnit.SECONDS);
        }
        for (int i = 0; i < 2; i++) {
            try (Purges purges = purges(file)) {
                assertTrue(purges.isKnown(zone, "boot"));
                assertFalse(purges.isKnown(zone, "another boot"));
                assertFalse(purges.isKnown(folder.resolve("other"), "boot"));
            }
        }
        Files.writeString(file, "01234567 what is no record\n");
        try (Purges purges = purges(file)) {
            assertTrue(purges.isKnown(zone, "boot"), "a damaged journal may have lost that");
        }
    }

    @Test
    void shouldRecordLaterThatAZoneIsThereWhenTheJournalCannotAtFirst() throws Exception {
        Path zone = folder.resolve("zone");
        Path file = folder.resolve("purges");
        try (Purges purges = purges(file)) {
            disk.refuse(1);
            CompletableFuture<Void> found = CompletableFuture.runAsync(() -> purges.found(zone, "boot", 0), loop);
            assertThrows(ExecutionException.class, () -> found.get(10, TimeUnit.SECONDS));
            CompletableFuture.runAsync(purges::stop, loop).get(10, TimeUnit.SECONDS);
            disk.submit(() -> { }).get(10, TimeUnit.SECONDS);
        }
        try (Purges purges = purges(file)) {
            assertTrue(purges.isKnown(zone, "boot"));
        }
    }

    private static void awaited(Runnable work, Consumer<Runnable> executor) {
        FutureTask<Void> task = new FutureTask<>(work, null);
        executor.accept(task);
        try {
            task.get(10, TimeUnit.SECONDS);
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    /** As when the disk and the agent's thread are done before the API's has said what follows. */
    private static final class QuickLoop extends DefaultEventLoop {
        @Override
        public void execute(Runnable work) {
            if (inEventLoop()) {
                super.execute(work);
            } else {
                awaited(work, super::execute);
            }
        }
    }

    private static final class QuickDisk extends ThreadPoolExecutor {
        QuickDisk() {
            super(1, 1, 0, TimeUnit.SECONDS, new LinkedBlockingQueue<>());
        }

        @Override
        public void execute(Runnable work) {
            awaited(work, super::execute);
        }
    }

    @Test
    void shouldNotLookAtWhatIsInForceOnTheApisThread() throws Exception {
        QuickLoop quick = new QuickLoop();
        QuickDisk quickDisk = new QuickDisk();
        Set<Thread> by = ConcurrentHashMap.newKeySet();
        @SuppressWarnings("serial")
        List<Purge> batch = new ArrayList<>(purge("host/1")) {
            @Override
            public Stream<Purge> stream() {
                by.add(Thread.currentThread());
                return super.stream();
            }
        };
        try (Purges purges = purges(quick, quickDisk, folder.resolve("purges"))) {
            assertEquals(1, purges.receive(batch).get(10, TimeUnit.SECONDS));
            assertFalse(by.contains(Thread.currentThread()), "the API's");
        } finally {
            quickDisk.shutdown();
            quick.shutdownGracefully(0, 1, TimeUnit.SECONDS);
        }
    }

    @Test
    void shouldSayWhatKeepsAPurgeFromBeingInForce() throws Exception {
        try (Purges purges = purges(folder.resolve("purges"))) {
            obstacles = Set.of(Obstacle.PUBLISHING);
            PurgeService.Wanted wanted = new PurgeService.Wanted("1", Kind.KEY, "host/1", "");
            PurgeView.Node publishing = purges.purge(wanted).join().nodes().get(0);
            assertEquals("nginx publishes a configuration", publishing.detail());
            obstacles = Set.of(Obstacle.SPOILT);
            Await.until("the zone to be what keeps it", () -> detail(purges).equals("a zone file cannot be used: see the zones in /v1/status"),
                    () -> detail(purges));
        }
    }

    private static String detail(Purges purges) {
        return purges.find("1").join().orElseThrow().nodes().get(0).detail();
    }

    private static void loggingOnce(String beginning, Action action) throws Exception {
        try (LogLines log = new LogLines("io.atoll.purge")) {
            action.run();
            assertEquals(1, log.lines().stream().filter(line -> line.startsWith(beginning)).count(), log.lines()::toString);
        }
    }

    private interface Action {
        void run() throws Exception;
    }

    @Test
    void shouldGoOnAskingAfterAFault() throws Exception {
        try (Purges purges = purges(folder.resolve("purges"), "http://127.0.0.1:1")) {
            loggingOnce("Other agents can neither be told nor asked", () -> {
                good.set(1);    // what was known at the start is put in force before
                faults.set(5);
                CompletableFuture.runAsync(purges::start, loop).join();
                Await.until("it to be in sync", purges::isShownInSync, faults::get);
            });
            CompletableFuture.runAsync(purges::stop, loop).join();
        }
    }

    @Test
    void shouldGoOnPuttingAPurgeInForceAfterAFault() throws Exception {
        try (Purges purges = purges(folder.resolve("purges"))) {
            loggingOnce("Purges cannot be put in force", () -> {
                faults.set(5);
                PurgeView answer = purges.purge(new PurgeService.Wanted("1", Kind.KEY, "host/1", "")).join();
                assertTrue(answer.state().matches("pending|done"), answer.state());
                Await.until("the purge to be in force", () -> purges.find("1").join().orElseThrow().state().equals("done"), faults::get);
            });
            assertEquals(List.of("host/1"), inForce.stream().map(Purge::text).toList());
        }
    }

    private void onLoop(Runnable task) throws Exception {
        CompletableFuture.runAsync(task, loop).get(10, TimeUnit.SECONDS);
    }

    private static PurgeService.Wanted wanted(String id, String key) {
        return new PurgeService.Wanted(id, Kind.KEY, key, "");
    }

    @Test
    void shouldNeitherGiveUpNorForgetAPurgeWhenTheClockIsSetForward() throws Exception {
        Path file = folder.resolve("purges");
        long days = Duration.ofDays(1).toMillis();
        try (Purges purges = purges(file, "http://127.0.0.1:1"); LogLines log = new LogLines("io.atoll.purge")) {
            onLoop(purges::start);
            Await.until("it to be in sync", purges::isShownInSync);
            assertEquals("pending", purges.purge(wanted("1", "host/1")).join().state());
            aheadMs.set(9 * days);
            for (int i = 0; i < 2; i++) {
                passedMs.addAndGet(Duration.ofMinutes(11).toMillis());
                onLoop(purges::act);
                assertEquals("pending", purges.find("1").join().orElseThrow().state());
            }
            assertEquals(1, log.lines().stream().filter(line -> line.startsWith("The clock of this host was set forward")).count(), log.lines()::toString);
            onLoop(() -> purges.heard(purge("host/2")));
            onLoop(purges::stop);
            disk.submit(() -> { }).get(10, TimeUnit.SECONDS);
            assertTrue(purges.find("host/2").join().isPresent(), "what another host purged by its clock is not old");
        }
        try (Purges purges = purges(file, "http://127.0.0.1:1")) {
            assertEquals("all", purges.list(1).join().get(0).kind(), "it cannot know which of the clocks was right");
        }
    }

    @Test
    void shouldForgetAPurgeOnceItIsAsOldByTheClockThatWasNotSet() throws Exception {
        try (Purges purges = purges(folder.resolve("purges"))) {
            onLoop(purges::start);
            purges.purge(wanted("1", "host/1")).join();
            for (Duration passed : List.of(Duration.ofMinutes(11), Duration.ofDays(8))) {
                assertEquals("done", purges.find("1").join().orElseThrow().state());
                aheadMs.set(Duration.ofDays(9).toMillis());
                passedMs.addAndGet(passed.toMillis());
                onLoop(purges::act);
            }
            assertTrue(purges.find("1").join().isEmpty());
            onLoop(purges::stop);
        }
    }

    /** No nginx that was away with it removed what was not asked for. */
    @Test
    void shouldPurgeEverythingAfterALongTimeAwayAlsoWithoutOtherAgents() throws Exception {
        Path file = folder.resolve("purges");
        for (String key : List.of("", "host/1")) {
            try (Purges purges = purges(file)) {
                assertEquals(0, purges.count(), "nothing was purged yet that could be forgotten");
                onLoop(purges::start);
                if (!key.isEmpty()) {
                    purges.purge(wanted("1", key)).join();
                }
                onLoop(purges::stop);
                disk.submit(() -> { }).get(10, TimeUnit.SECONDS);
            }
            passedMs.addAndGet(Duration.ofDays(9).toMillis());
        }
        try (Purges purges = purges(file)) {
            onLoop(purges::start);
            assertEquals("all", purges.list(1).join().get(0).kind());
            onLoop(purges::stop);
        }
    }

    @Test
    void shouldRefuseTheSecondOfTwoPurgesThatComeAtOnceWithOneId() throws Exception {
        try (Purges purges = purges(folder.resolve("purges"))) {
            CountDownLatch both = new CountDownLatch(1);
            disk.submit(() -> both.await(10, TimeUnit.SECONDS));
            CompletableFuture<PurgeView> first = purges.purge(wanted("1", "host/1"));
            CompletableFuture<PurgeView> second = purges.purge(wanted("1", "host/2"));
            CompletableFuture<PurgeView> again = purges.purge(wanted("1", "host/1"));
            onLoop(() -> { });
            both.countDown();
            List<String> texts = List.of(first.get(10, TimeUnit.SECONDS).text(), again.get(10, TimeUnit.SECONDS).text());
            assertEquals(List.of("host/1", "host/1"), texts);
            ExecutionException refused = assertThrows(ExecutionException.class, () -> second.get(10, TimeUnit.SECONDS));
            assertEquals(409, ((ApiException) refused.getCause()).status());
            assertEquals(List.of("host/1"), inForce.stream().map(Purge::text).toList());
        }
    }

    private static List<Purge> known(Purges purges) {
        return purges.after(0, 10).join().purges();
    }

    /** Each of two hosts was called with the same id and another key: they tell and ask each other until nothing is new. */
    @Test
    void shouldPurgeBothOfTwoPurgesThatHaveOneIdOnTwoHosts() throws Exception {
        Path file = folder.resolve("a");
        try (Purges a = purges(file); Purges b = purges(folder.resolve("b"))) {
            a.purge(wanted("1", "host/1")).join();
            b.purge(wanted("1", "host/2")).join();
            List<Purge> ofA = known(a);
            List<Purge> ofB = known(b);
            for (int i = 0; i < 2; i++) {
                a.receive(ofB).get(10, TimeUnit.SECONDS);
                b.receive(ofA).get(10, TimeUnit.SECONDS);
                for (Purges one : List.of(a, b)) {
                    assertEquals(Set.of("host/1", "host/2"), Set.copyOf(known(one).stream().map(Purge::text).toList()));
                    assertEquals(2, known(one).size());
                }
            }
            for (int i = 0; i < 3; i++) {
                for (List<Purges> two : List.of(List.of(a, b), List.of(b, a))) {
                    List<Purge> asked = known(two.get(0));
                    CompletableFuture.supplyAsync(() -> two.get(1).heard(asked), loop).thenCompose(heard -> heard).get(10, TimeUnit.SECONDS);
                }
            }
            assertEquals(3, known(a).size(), "host/1 under the id it got on the other host besides");
            assertEquals(3, known(b).size());
        }
        try (Purges a = purges(file)) {
            assertEquals(3, known(a).size());
        }
    }
}
