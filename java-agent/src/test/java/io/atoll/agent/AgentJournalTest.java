package io.atoll.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

import io.atoll.agent.api.AgentService.Action;
import io.atoll.agent.api.AgentService.Change;
import io.atoll.agent.config.AgentConfig;
import io.atoll.agent.os.ServiceManager;
import io.atoll.agent.store.AdminDecision;
import io.atoll.agent.store.AdminDecision.Kind;
import io.atoll.agent.store.AdminJournal;
import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.FaultyDisk;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import io.atoll.agent.view.ChangeView;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Decisions about a peer that change while its journal's disk keeps an operator's call waiting. */
class AgentJournalTest {
    private static final Server PEER = Server.at(new InetSocketAddress("10.0.0.1", 80));
    private static final String NAME = "own.example:80";
    private static final int SLOT_OF_NAME = 2;

    @TempDir
    Path folder;
    private final FaultyDisk disk = new FaultyDisk();
    private final CountDownLatch held = new CountDownLatch(1);
    private AgentConfig config;
    private ZoneFixture zone;
    private Agent agent;

    @BeforeEach
    void start() throws Exception {
        zone = zone("nginx.zone");
        config = AgentConfig.read(Files.writeString(folder.resolve("agent.conf"), """
                atoll { zone = "%s", heartbeat = 100 ms, lease = 3 s, api.listen = "127.0.0.1:0", store.path = "%s/journal" }
                """.formatted(zone.path(), folder)));
        agent = new Agent(config, new ServiceManager(Map.of()), disk);
        agent.start();
    }

    @AfterEach
    void stop() {
        held.countDown();
        if (!disk.isShutdown()) {
            agent.close();
        }
    }

    private ZoneFixture zone(String file) throws IOException {
        return zone(file, "10.0.0.3");
    }

    private ZoneFixture zone(String file, String addressOfName) throws IOException {
        return ZoneFixture.create(folder.resolve(file), ProbeSpec.none(), 0, PEER, Server.at(new InetSocketAddress("10.0.0.2", 80)),
                new Server(NAME, new InetSocketAddress(addressOfName, 80), 0));
    }

    private CompletableFuture<ChangeView> change(Action action, Duration duration) {
        return change(action, PEER.name(), duration);
    }

    private CompletableFuture<ChangeView> change(Action action, String server, Duration duration) {
        return agent.change(new Change(action, "", ZoneFixture.UPSTREAM, server, "", duration, ""));
    }

    private void hold() {
        disk.execute(() -> {
            try {
                held.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
    }

    /** A call that waits for the disk when this returns. */
    private CompletableFuture<ChangeView> heldUp(Action action, Duration duration) {
        return heldUp(action, PEER.name(), duration);
    }

    private CompletableFuture<ChangeView> heldUp(Action action, String server, Duration duration) {
        hold();
        CompletableFuture<ChangeView> change = change(action, server, duration);
        agent.zones().join();
        assertFalse(change.isDone());
        return change;
    }

    private void finish(CompletableFuture<ChangeView> change) throws Exception {
        held.countDown();
        assertEquals(1, change.get(10, TimeUnit.SECONDS).peers().size());
    }

    /** After the end of the agent. */
    private List<Kind> journaled() throws IOException {
        stop();
        try (AdminJournal journal = AdminJournal.open(config.storePath())) {
            return journal.decisions().stream().map(AdminDecision::kind).toList();
        }
    }

    @Test
    void shouldNotLoseADrainToAMaintenanceThatEndsMeanwhile() throws Exception {
        change(Action.MAINTENANCE, Duration.ofSeconds(1)).join();
        CompletableFuture<ChangeView> drained = heldUp(Action.DRAIN, null);
        assertEquals(1, agent.agent().decisions());
        Await.until("the end of the maintenance", () -> agent.agent().decisions() == 0);
        finish(drained);
        assertEquals(ZoneLayout.FOREVER, zone.word(0, Reason.ADMIN));
        assertEquals(List.of(Kind.DRAIN), journaled(), "what was answered is on disk");
    }

    /** The journal was not there when the agent started, so it keeps a drain that it finds in a zone. */
    @Test
    void shouldNotLoseAMaintenanceToADrainThatIsFoundMeanwhile() throws Exception {
        CompletableFuture<ChangeView> maintained = heldUp(Action.MAINTENANCE, Duration.ofHours(1));
        ZoneFixture next = zone("next.zone");
        next.setWord(0, Reason.ADMIN, ZoneLayout.FOREVER);
        Files.move(next.path(), zone.path(), StandardCopyOption.ATOMIC_MOVE);
        Await.until("the drain in the file that took the place of the first", () -> agent.agent().decisions() == 1);
        finish(maintained);
        assertEquals(List.of(Kind.MAINTENANCE), journaled(), "what was answered is on disk");
    }

    /** As with a name that leads to several addresses: the second waits for the first. */
    @Test
    void shouldJournalAllDrainsThatWereFoundBeforeItEnds() throws Exception {
        hold();
        ZoneFixture next = zone("next.zone");
        next.setWord(0, Reason.ADMIN, ZoneLayout.FOREVER);
        next.setWord(1, Reason.ADMIN, ZoneLayout.FOREVER);
        Files.move(next.path(), zone.path(), StandardCopyOption.ATOMIC_MOVE);
        Await.until("the drains in the file that took the place of the first", () -> agent.agent().decisions() == 2);
        CompletableFuture<Void> closed = CompletableFuture.runAsync(agent::close);
        Await.until("the zone to be left", () -> next.zone().agentPid() == 0);
        held.countDown();
        closed.get(20, TimeUnit.SECONDS);
        assertEquals(List.of(Kind.DRAIN, Kind.DRAIN), journaled());
    }

    /** To another address, which the agent has seen when this returns. */
    private ZoneFixture moveName() throws IOException {
        ZoneFixture next = zone("next.zone", "10.0.0.4");
        Files.move(next.path(), zone.path(), StandardCopyOption.ATOMIC_MOVE);
        Await.until("the zone with the other address", () -> next.zone().agentPid() != 0);
        agent.zones().join();
        return next;
    }

    private static List<String> addresses(ChangeView change) {
        return change.peers().stream().map(ChangeView.ChangedPeer::address).toList();
    }

    @Test
    void shouldUndrainAServerWhereItsNameLeadsMeanwhile() throws Exception {
        change(Action.DRAIN, NAME, null).join();
        CompletableFuture<ChangeView> undrained = heldUp(Action.UNDRAIN, NAME, null);
        ZoneFixture next = moveName();
        assertEquals(2, agent.agent().decisions(), "the drain goes with the name");
        held.countDown();
        assertEquals(List.of("10.0.0.3:80", "10.0.0.4:80"), addresses(undrained.get(10, TimeUnit.SECONDS)));
        assertEquals(0, next.word(SLOT_OF_NAME, Reason.ADMIN));
        assertEquals(List.of(), journaled());
    }

    @Test
    void shouldDrainAServerWhereItsNameLeadsMeanwhile() throws Exception {
        CompletableFuture<ChangeView> drained = heldUp(Action.DRAIN, NAME, null);
        ZoneFixture next = moveName();
        held.countDown();
        assertEquals(List.of("10.0.0.3:80", "10.0.0.4:80"), addresses(drained.get(10, TimeUnit.SECONDS)));
        assertEquals(ZoneLayout.FOREVER, next.word(SLOT_OF_NAME, Reason.ADMIN));
        assertEquals(List.of(Kind.DRAIN, Kind.DRAIN), journaled());
    }

    /** The disk takes the drain of where the name led at first, and not the one of where it leads meanwhile. */
    @Test
    void shouldBringInForceWhatIsJournaledAlsoWhenTheRestCannotBe() throws Exception {
        CompletableFuture<ChangeView> drained = heldUp(Action.DRAIN, NAME, null);
        moveName();
        disk.refuse(1);
        held.countDown();
        assertThrows(ExecutionException.class, () -> drained.get(10, TimeUnit.SECONDS));
        assertEquals(1, agent.agent().decisions());
        assertEquals(List.of(Kind.DRAIN), journaled());
    }
}
