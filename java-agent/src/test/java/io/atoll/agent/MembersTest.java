package io.atoll.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

import io.atoll.agent.api.AgentService.MemberCall;
import io.atoll.agent.api.AgentService.MemberCall.Action;
import io.atoll.agent.config.AgentConfig;
import io.atoll.agent.metrics.ProbeMetrics;
import io.atoll.agent.os.Posix;
import io.atoll.agent.probe.Prober;
import io.atoll.agent.probe.Transport;
import io.atoll.agent.store.AdminJournal;
import io.atoll.agent.store.MemberDecision;
import io.atoll.agent.store.ServerName;
import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import io.atoll.agent.view.MembersView;
import io.atoll.agent.view.NameView;
import io.atoll.agent.zone.AdminBook;
import io.atoll.agent.zone.AgentContext;
import io.atoll.agent.zone.MemberBook;
import io.atoll.agent.zone.ZoneAgent;
import io.atoll.core.tools.DnsServer;
import io.atoll.core.zone.MemberChange;
import io.atoll.core.zone.MemberChange.Kind;
import io.atoll.core.zone.ZonePurges;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.prometheus.client.CollectorRegistry;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Changes to members that meet each other, with the disk's work in the hands of the test. */
class MembersTest {
    private static final String OTHER = "10.0.0.9:80";
    private static final String SERVICE = "_http._tcp.edges.example";

    @TempDir
    Path folder;
    private final Transport transport = new Transport(false);
    private final EventLoopGroup group = transport.newLoop(new DefaultThreadFactory("test", true));
    private final EventLoop loop = group.next();
    private final DnsServer dns = DnsServer.start();
    private final BlockingQueue<Runnable> disk = new LinkedBlockingQueue<>();
    private final List<ZoneAgent> zones = new ArrayList<>();
    private AdminJournal journal;
    private MemberBook book;
    private Members members;
    private ZoneAgent zone;
    private ServerName other;

    /** nginx.conf names one server. */
    @BeforeEach
    void start() throws Exception {
        Path path = folder.resolve("nginx.zone");
        ZoneFixture.create(path, ProbeSpec.none(), 0, Server.at(new InetSocketAddress("10.0.0.1", 80)));
        other = new ServerName(path.toString(), ZoneFixture.UPSTREAM, OTHER);
        AgentConfig config = AgentConfig.read(Files.writeString(folder.resolve("agent.conf"),
                """
                atoll { zone = "%s", store.path = "%s/journal" }
                atoll.resolve { enabled = true, servers = ["%s"], families = ipv4, min-ttl = 100 ms, interval = 1 s, timeout = 500 ms }
                atoll.resolve.srv = [ { upstream = %s, service = "%s" } ]
                """.formatted(path, folder, dns.address(), ZoneFixture.UPSTREAM, SERVICE)));
        journal = AdminJournal.open(config.storePath());
        book = new MemberBook(journal.members(), true);
        AgentContext context = new AgentContext(loop, Posix::monotonicMs, new SplittableRandom(1));
        members = new Members(config, context, transport, journal, book, zones, disk::add, Runnable::run);
        long pid = ProcessHandle.current().pid();
        byte[] boot = Posix.bootId();
        zone = new ZoneAgent(path, new ZoneAgent.Services(context, new Prober(transport, loop, true), new ProbeMetrics(new CollectorRegistry()),
                new AdminBook(List.of(), true, "boot", Posix.monotonicMs(), System.currentTimeMillis()), book, config.lease().toMillis(),
                config.hotKeys(), new NoPurges(), boot, "boot", pid, Posix.processStart(pid), (agent, node) -> "node", decision -> { },
                members::adopt));
        zones.add(zone);
        onLoop(() -> {
            zone.beat();
            return null;
        });
        assertEquals("OK", zone.state(), zone.detail());
    }

    @AfterEach
    void stop() throws Exception {
        onLoop(() -> {
            members.close();
            zone.close();
            return null;
        });
        journal.close();
        dns.close();
        group.shutdownGracefully(0, 1, TimeUnit.SECONDS);
    }

    private static final class NoPurges implements ZoneAgent.PurgeBook {
        @Override
        public void publish(ZonePurges purges) {}

        @Override
        public boolean isInSync() {
            return true;
        }

        @Override
        public void found(Path path, String boot, long last) {}

        @Override
        public boolean isKnown(Path path, String boot) {
            return false;
        }
    }

    private <T> T onLoop(Callable<T> work) throws Exception {
        return loop.submit(work).get(10, TimeUnit.SECONDS);
    }

    private CompletableFuture<MembersView> call(Action action) throws Exception {
        return call(action, OTHER);
    }

    private CompletableFuture<MembersView> call(Action action, String server) throws Exception {
        return onLoop(() -> members.call(new MemberCall(action, "", ZoneFixture.UPSTREAM, server, 0, -1, -1, -1, null)));
    }

    private void beat() throws Exception {
        onLoop(() -> {
            members.beat();
            return null;
        });
    }

    /** What a server that was added stands for, by the book. */
    private List<String> standsFor(String server) {
        return onLoopNow(() -> book.lastKnown(server).stream().map(MemberChange.Address::text).toList());
    }

    private <T> T onLoopNow(Callable<T> work) {
        try {
            return onLoop(work);
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    /** Waits until a name was asked for again, so that what its last change calls for is done. */
    private void awaitLookups(String name) {
        long before = found(name);
        Await.until("look-ups of " + name, () -> found(name) >= before + 3);
    }

    private long found(String name) {
        return onLoopNow(() -> members.names().stream().filter(view -> view.name().equals(name)).mapToLong(NameView::found).sum());
    }

    /** Runs the disk's work until a change is over, and what came behind it. */
    private void finish(CompletableFuture<?> change) throws Exception {
        run(change);
        run(onLoop(() -> members.adopt(List.of(), List.of())));
    }

    private void run(CompletableFuture<?> change) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (!change.isDone() && System.nanoTime() < end) {
            Runnable work = disk.poll(10, TimeUnit.MILLISECONDS);
            if (work != null) {
                work.run();
            }
        }
        change.get(0, TimeUnit.SECONDS);
    }

    private List<Kind> journaled() {
        return journal.members().stream().filter(decision -> decision.name().equals(other)).map(decision -> decision.change().kind()).toList();
    }

    private Kind inBook() throws Exception {
        MemberChange change = onLoop(() -> book.get(other));
        return change == null ? null : change.kind();
    }

    /** The removal of a server that nginx.conf does not name any more is forgotten while an operator adds that server. */
    @Test
    void shouldNotLoseAnAdditionToARemovalThatIsForgottenMeanwhile() throws Exception {
        MemberDecision removal = new MemberDecision(other, MemberChange.removed(OTHER));
        journal.put(List.of(removal));
        onLoop(() -> {
            book.put(removal);
            return null;
        });
        CompletableFuture<MembersView> added = call(Action.ADD);
        onLoop(() -> {
            zone.beat();
            return null;
        });
        assertEquals(null, inBook(), "the removal is forgotten, and the addition not on disk yet");
        assertFalse(added.isDone());
        finish(added);
        assertEquals(Kind.ADDED, inBook());
        assertEquals(List.of(Kind.ADDED), journaled(), "what was answered is on disk");
    }

    /** Its addresses were found when the call came; the calls before it keep it waiting, and the disk. */
    @Test
    void shouldNotBringBackTheAddressesOfACallThatWaited() throws Exception {
        dns.host("own.example", 0, "10.0.0.2");
        finish(call(Action.ADD, "own.example:81"));
        beat();
        awaitLookups("own.example");
        List<CompletableFuture<MembersView>> waiting = List.of(call(Action.ADD, "own.example:81"), call(Action.ADD, "own.example:82"));
        Await.until("a call at the disk", () -> !disk.isEmpty());
        awaitLookups("own.example");
        dns.host("own.example", 0, "10.0.0.3");
        Await.until("the name to lead elsewhere", () -> standsFor("own.example:81").equals(List.of("10.0.0.3:81")));
        for (CompletableFuture<MembersView> call : waiting) {
            finish(call);
        }
        awaitLookups("own.example");
        assertEquals(List.of("10.0.0.3:81"), standsFor("own.example:81"));
        assertEquals(List.of("10.0.0.3:82"), standsFor("own.example:82"));
    }

    @Test
    void shouldNotBringBackTheAddressesOfATargetThatWaited() throws Exception {
        dns.host("one.example", 0, "10.0.1.1").service(SERVICE, 60, "0 1 8000 one.example");
        beat();
        Await.until("the target at the disk", () -> !disk.isEmpty());
        dns.host("one.example", 0, "10.0.1.2");
        awaitLookups("one.example");
        finish(CompletableFuture.completedFuture(null));
        Await.until("the target", () -> !standsFor("one.example:8000").isEmpty());
        awaitLookups("one.example");
        assertEquals(List.of("10.0.1.2:8000"), standsFor("one.example:8000"));
    }

    /** A service has taken over what was found as an operator's. */
    @Test
    void shouldNotJournalATargetOfAServiceAsAnOperatorsServer() throws Exception {
        finish(call(Action.ADD));
        MemberDecision found = journal.members().iterator().next();
        MemberDecision target = new MemberDecision(found.name(), found.change(), SERVICE);
        journal.put(List.of(target));
        onLoop(() -> {
            book.put(target);
            return null;
        });
        finish(onLoop(() -> members.adopt(List.of(found), List.of())));
        assertEquals(List.of(target), List.copyOf(journal.members()));
    }

    /** What a zone knew is to be journaled while an operator takes the same back. */
    @Test
    void shouldNotBringBackWhatWasTakenBackMeanwhile() throws Exception {
        finish(call(Action.ADD));
        MemberDecision found = journal.members().iterator().next();
        CompletableFuture<MembersView> removed = call(Action.REMOVE);
        onLoop(() -> members.adopt(List.of(found), List.of()));
        finish(removed);
        assertEquals(null, inBook());
        assertEquals(List.of(), journaled());
    }
}
