package io.atoll.agent;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

import io.atoll.agent.api.AgentService;
import io.atoll.agent.api.ApiException;
import io.atoll.agent.api.HttpServer;
import io.atoll.agent.api.PurgeService;
import io.atoll.agent.api.Request;
import io.atoll.agent.api.Response;
import io.atoll.agent.api.Routes;
import io.atoll.agent.config.AgentConfig;
import io.atoll.agent.config.ListenAddress;
import io.atoll.agent.metrics.MetricsPage;
import io.atoll.agent.metrics.ProbeMetrics;
import io.atoll.agent.metrics.PurgeMetrics;
import io.atoll.agent.os.Posix;
import io.atoll.agent.os.ServiceManager;
import io.atoll.agent.probe.Prober;
import io.atoll.agent.probe.Transport;
import io.atoll.agent.purge.Purges;
import io.atoll.agent.store.AdminDecision;
import io.atoll.agent.store.AdminJournal;
import io.atoll.agent.store.PeerName;
import io.atoll.agent.store.Purge;
import io.atoll.agent.view.AgentView;
import io.atoll.agent.view.ChangeView;
import io.atoll.agent.view.MembersView;
import io.atoll.agent.view.NameView;
import io.atoll.agent.view.OwnerView;
import io.atoll.agent.view.ServerView;
import io.atoll.agent.view.ZoneView;
import io.atoll.agent.zone.AdminBook;
import io.atoll.agent.zone.AgentContext;
import io.atoll.agent.zone.MemberBook;
import io.atoll.agent.zone.Newcomers;
import io.atoll.agent.zone.ZoneAgent;
import io.atoll.agent.zone.ZoneViews;
import io.atoll.core.zone.FormerRings;
import io.atoll.core.zone.ZoneLayout;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.netty.util.concurrent.Future;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The running agent. Three threads: {@code agent} has the zones, the probes, the names and all their state; {@code api} talks HTTP;
 * {@code journal} waits for the disk. They hand each other work and share no other state.
 */
public final class Agent implements AgentService, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.agent");
    private static final long STOP_SECONDS = 5;

    private final AgentConfig config;
    private final long startedMs = Posix.monotonicMs();
    private final Transport transport;
    private final EventLoopGroup agentGroup;
    private final EventLoopGroup apiGroup;
    private final EventLoop loop;
    private final ExecutorService disk;
    private final AdminJournal journal;
    private final AdminBook book;
    private final ChangeChain changes;
    private final Members members;
    private final ExecutorService names = Executors.newSingleThreadExecutor(thread("names"));
    private final Purges purges;
    private final Newcomers newcomers;
    private final String boot;
    private final List<ZoneAgent> zones = new ArrayList<>();
    private final MetricsPage metrics;
    private final ServiceManager manager;
    private final List<HttpServer> servers = new ArrayList<>();

    private volatile long lastBeatMs;
    private volatile Map<Path, String> troubles = Map.of();
    private volatile int decisions;
    private InetSocketAddress apiAddress;
    private InetSocketAddress metricsAddress;
    private String lastStatus = "";
    private Future<?> beats;
    private Future<?> heats;

    /** @throws IOException when the journal is held by another agent; the message says by which file */
    public Agent(AgentConfig config, ServiceManager manager) throws IOException {
        this(config, manager, Executors.newSingleThreadExecutor(thread("journal")));
    }

    /** @param disk the journal's thread, and no more than one; ended by {@link #close} */
    Agent(AgentConfig config, ServiceManager manager, ExecutorService disk) throws IOException {
        this.config = config;
        this.manager = manager;
        this.disk = disk;
        this.journal = AdminJournal.open(config.storePath());
        this.transport = new Transport(switch (config.probe().transport()) {
            case AUTO -> Transport.isEpollAvailable();
            case EPOLL -> true;
            case NIO -> false;
        });
        this.agentGroup = transport.newLoop(thread("agent"));
        this.apiGroup = transport.newLoop(thread("api"));
        this.loop = agentGroup.next();
        this.metrics = new MetricsPage(this, config.metricsJvm());
        byte[] bootId = Posix.bootId();
        this.boot = HexFormat.of().formatHex(bootId);
        long now = Posix.monotonicMs();
        this.book = new AdminBook(journal.decisions(), journal.isTrusted(), boot, now, System.currentTimeMillis());
        this.changes = new ChangeChain(loop);
        this.decisions = book.size();
        MemberBook memberBook = new MemberBook(journal.members(), config.resolve().enabled());
        AgentContext context = new AgentContext(loop, Posix::monotonicMs, new SplittableRandom());
        this.members = new Members(config, context, transport, journal, memberBook, zones, disk, names);
        this.purges = new Purges(config.purge(), purgeJournal(config.storePath()), config.token(), context, disk,
                new ZonesOfPurges(), () -> zones.isEmpty() ? "" : zones.get(0).node());
        new PurgeMetrics(metrics.registry(), purges);
        this.newcomers = new Newcomers(config.purge().agents(), config.token(), context, zones);
        long pid = ProcessHandle.current().pid();
        ZoneAgent.Services services = new ZoneAgent.Services(context,
                new Prober(transport, loop, config.probe().keepalive()), new ProbeMetrics(metrics.registry()), book, memberBook,
                config.lease().toMillis(), config.hotKeys(), purges, bootId, boot, pid, Posix.processStart(pid),
                this::uniqueName, this::adopt, members::adopt);
        for (Path path : config.zones()) {
            zones.add(new ZoneAgent(path, services));
        }
    }

    /** Beside the journal of drains. */
    private static Path purgeJournal(Path store) {
        return store.resolveSibling(store.getFileName() + ".purges");
    }

    private static ThreadFactory thread(String name) {
        return new DefaultThreadFactory(name, true);
    }

    /**
     * Attaches, begins to probe, and listens.
     *
     * @throws IOException when an address cannot be listened on; the message says which setting
     */
    public void start() throws IOException {
        onAgent(() -> {
            beat();
            purges.start();
            return null;
        }).join();
        beats = loop.scheduleWithFixedDelay(this::beat, config.heartbeat().toMillis(), config.heartbeat().toMillis(),
                TimeUnit.MILLISECONDS);
        heats = loop.scheduleWithFixedDelay(this::heat, config.hotKeys().interval().toMillis(),
                config.hotKeys().interval().toMillis(), TimeUnit.MILLISECONDS);
        boolean apart = config.metricsListen() != null;
        Routes routes = new Routes(this, config.token(), config.apiListen().resolve().getAddress().isLoopbackAddress(),
                apart ? null : metrics);
        warmUp(routes);
        HttpServer api = listen("atoll.api.listen", config.apiListen(), routes);
        apiAddress = api.address();
        metricsAddress = apiAddress;
        if (apart) {
            metricsAddress = listen("atoll.metrics.listen", config.metricsListen(), metrics.alone()).address();
        }
        LOG.info("Atoll agent {} listens on {}, metrics on {}; {} transport, heartbeat {} ms, lease {} ms", version(),
                text(apiAddress), text(metricsAddress), transport.name(), config.heartbeat().toMillis(),
                config.lease().toMillis());
        manager.ready(summary());
        if (manager.watchdogMs() > 0) {
            loop.scheduleWithFixedDelay(manager::watchdog, 0, manager.watchdogMs() / 2, TimeUnit.MILLISECONDS);
        }
    }

    /** Loads what the first calls need, so that an operator's first drain is as quick as the later ones. */
    private void warmUp(Routes routes) {
        routes.apply(new Request("GET", List.of("v1", "status"), Map.of(), Map.of(), new byte[0])).toCompletableFuture()
                .join();
        change(new Change(Action.DRAIN, "", "", "", "", null, "")).join();
    }

    private HttpServer listen(String setting, ListenAddress address,
            Function<Request, CompletionStage<Response>> routes) throws IOException {
        try {
            HttpServer server = HttpServer.listen(transport, apiGroup, address.resolve(), routes);
            servers.add(server);
            return server;
        } catch (IOException e) {
            throw new IOException(setting + " is " + address + ", where the agent cannot listen: " + e.getMessage()
                    + "; expected a free address of this host; end what listens there or choose another", e);
        }
    }

    private static String text(InetSocketAddress address) {
        String host = address.getAddress().getHostAddress();
        return (host.contains(":") ? "[" + host + "]" : host) + ":" + address.getPort();
    }

    public InetSocketAddress apiAddress() {
        return apiAddress;
    }

    public InetSocketAddress metricsAddress() {
        return metricsAddress;
    }

    /** Of the build. */
    public static String version() {
        String version = Agent.class.getPackage().getImplementationVersion();
        return version == null ? "unpackaged" : version;
    }

    // ---- on the agent's thread

    private void beat() {
        try {
            List<Runnable> parts = new ArrayList<>(List.of(this::endDecisions));
            zones.forEach(zone -> parts.add(zone::beat));
            parts.addAll(List.of(members::beat, newcomers::beat, this::findTroubles));
            runAll(parts);
            lastBeatMs = Posix.monotonicMs();
            String status = summary();
            if (!status.equals(lastStatus)) {
                lastStatus = status;
                manager.status(status);
            }
        } catch (RuntimeException e) {
            LOG.error("A heartbeat failed", e);
        }
    }

    private void findTroubles() {
        Map<Path, String> found = new HashMap<>();
        for (ZoneAgent zone : zones) {
            if (!zone.state().equals("OK")) {
                found.put(zone.path(), zone.state() + ": " + zone.detail());
            }
        }
        troubles = found;
    }

    /** Each, whatever becomes of those before; then throws the last exception, if any. */
    private static void runAll(List<Runnable> parts) {
        RuntimeException problem = null;
        for (Runnable part : parts) {
            try {
                part.run();
            } catch (RuntimeException e) {
                problem = e;
            }
        }
        if (problem != null) {
            throw problem;
        }
    }

    private void heat() {
        try {
            runAll(zones.stream().<Runnable>map(zone -> zone::heat).toList());
        } catch (RuntimeException e) {
            LOG.error("A round of hot keys failed", e);
        }
    }

    private String summary() {
        long attached = zones.stream().filter(zone -> zone.state().equals("OK")).count();
        return attached + " of " + zones.size() + " zones attached, API on " + (apiAddress == null ? config.apiListen()
                : text(apiAddress));
    }

    private void endDecisions() {
        List<PeerName> ended = book.ended(Posix.monotonicMs());
        for (PeerName peer : ended) {
            LOG.info("The maintenance of {} is over", peer);
            book.remove(peer);
        }
        decisions = book.size();
        if (!ended.isEmpty()) {
            recordLater(List.of(), ended, "the end of a maintenance");
        }
    }

    /** A decision that a zone knows and the journal lost. */
    private void adopt(AdminDecision decision) {
        book.put(decision);
        decisions = book.size();
        recordLater(List.of(decision), List.of(), "a drain that was found");
    }

    /** What the book has already: journaled behind the calls that are on their way, as far as these have left it so. */
    private void recordLater(List<AdminDecision> found, List<PeerName> ended, String what) {
        changes.append(() -> {
            List<AdminDecision> puts = found.stream().filter(decision -> decision.equals(book.get(decision.peer()))).toList();
            List<PeerName> lifts = ended.stream().filter(peer -> book.get(peer) == null).toList();
            return onDisk(() -> {
                journal.change(puts, lifts);
                return null;
            });
        }).exceptionally(problem -> {
            LOG.warn("The journal cannot record {}: {}", what, problem.getCause().getMessage());
            return null;
        });
    }

    /** The node's name, or the file's when there is none; the path when another zone has that name already. */
    private String uniqueName(ZoneAgent zone, String node) {
        String file = zone.path().getFileName().toString();
        String name = !node.isEmpty() ? node : file.endsWith(".zone") ? file.substring(0, file.length() - 5) : file;
        boolean taken = zones.stream().anyMatch(other -> other != zone && name.equals(other.node()));
        return taken ? zone.path().toString() : name;
    }

    private final class ZonesOfPurges implements Purges.Zones {
        @Override
        public Set<ZoneAgent.Obstacle> put(Collection<Purge> fresh) {
            Set<ZoneAgent.Obstacle> obstacles = EnumSet.noneOf(ZoneAgent.Obstacle.class);
            runAll(zones.stream().<Runnable>map(zone -> () -> zone.purge(fresh).ifPresent(obstacles::add)).toList());
            return obstacles;
        }

        @Override
        public Set<Long> generations(String key) {
            Set<Long> generations = new LinkedHashSet<>();
            zones.forEach(zone -> zone.generation(key).ifPresent(generations::add));
            return generations;
        }
    }

    // ---- handing work over

    /** Runs on the agent's thread; what follows the future runs on the API's. */
    private <T> CompletableFuture<T> onAgent(Callable<T> work) {
        return CompletableFuture.supplyAsync(() -> call(work), loop).thenApplyAsync(result -> result, apiGroup.next());
    }

    private <T> CompletableFuture<T> onDisk(Callable<T> work) {
        return CompletableFuture.supplyAsync(() -> call(work), disk);
    }

    private static <T> T call(Callable<T> work) {
        try {
            return work.call();
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new CompletionException(e);
        }
    }

    // ---- the API's questions

    @Override
    public AgentView agent() {
        return new AgentView(version(), layout(), ProcessHandle.current().pid(), Posix.monotonicMs() - startedMs,
                transport.name(), config.heartbeat().toMillis(), config.lease().toMillis(),
                config.storePath().toString(), decisions);
    }

    @Override
    public PurgeService purges() {
        return purges;
    }

    private static String layout() {
        int version = ZoneLayout.VERSION;
        return (version >> 16) + "." + (version >> 8 & 0xff) + "." + (version & 0xff);
    }

    @Override
    public CompletableFuture<List<ZoneView>> zones() {
        return onAgent(() -> {
            long now = Posix.monotonicMs();
            return zones.stream().map(zone -> ZoneViews.of(zone, now)).toList();
        });
    }

    @Override
    public CompletableFuture<List<OwnerView>> owners(String node, String upstream, String key) {
        return onAgent(() -> {
            long now = Posix.monotonicMs();
            return zones.stream().filter(zone -> node.isEmpty() || node.equals(zone.node()))
                    .flatMap(zone -> ZoneViews.owners(zone, upstream, key, now).stream()).toList();
        });
    }

    @Override
    public CompletableFuture<ChangeView> change(Change change) {
        return CompletableFuture.supplyAsync(() -> changes.append(() -> changed(change)), loop)
                .thenCompose(result -> result)
                .thenApplyAsync(result -> result, apiGroup.next());
    }

    /** When a part of it cannot be recorded, what is in the journal by then is in force all the same. */
    private CompletableFuture<ChangeView> changed(Change change) {
        Map<PeerName, AdminDecision> known = new LinkedHashMap<>();
        return recorded(change, known).whenCompleteAsync((view, problem) -> {
            if (problem != null && !known.isEmpty()) {
                inForce(change, known.values());
            }
        }, loop);
    }

    /** Records and brings in force. The name of a server may lead elsewhere while the disk writes: what it meets there is recorded, too. */
    private CompletableFuture<ChangeView> recorded(Change change, Map<PeerName, AdminDecision> known) {
        List<PeerName> peers = match(change).stream().filter(peer -> !known.containsKey(peer)).toList();
        if (peers.isEmpty()) {
            return CompletableFuture.completedFuture(inForce(change, known.values()));
        }
        return CompletableFuture.supplyAsync(() -> record(change, peers), disk).thenComposeAsync(wanted -> {
            wanted.forEach(decision -> known.put(decision.peer(), decision));
            return recorded(change, known);
        }, loop);
    }

    private List<PeerName> match(Change change) {
        boolean lifts = change.action() == Action.UNDRAIN;
        return zones.stream().flatMap(zone -> zone.match(change, lifts).stream()).toList();
    }

    /** On the disk's thread: the decision is journaled before it is in force, and in force before it is answered. */
    private List<AdminDecision> record(Change change, List<PeerName> peers) {
        List<AdminDecision> wanted = new ArrayList<>();
        for (PeerName peer : peers) {
            wanted.add(decision(change, peer));
        }
        try {
            if (change.action() == Action.UNDRAIN) {
                journal.lift(peers);
            } else {
                journal.put(wanted);
            }
            return wanted;
        } catch (IOException e) {
            throw ApiException.notRecorded("change", config.storePath(), e);
        }
    }

    private AdminDecision decision(Change change, PeerName peer) {
        AdminDecision.Kind kind = change.action() == Action.MAINTENANCE ? AdminDecision.Kind.MAINTENANCE
                : AdminDecision.Kind.DRAIN;
        if (change.duration() == null) {
            return new AdminDecision(peer, kind, AdminDecision.FOREVER, AdminDecision.FOREVER, boot, change.note());
        }
        long ms = change.duration().toMillis();
        return new AdminDecision(peer, kind, Posix.monotonicMs() + ms, System.currentTimeMillis() + ms, boot,
                change.note());
    }

    private ChangeView inForce(Change change, Collection<AdminDecision> wanted) {
        List<ChangeView.ChangedPeer> changed = new ArrayList<>();
        String action = change.action().name().toLowerCase(Locale.ROOT);
        for (AdminDecision decision : wanted) {
            PeerName peer = decision.peer();
            if (change.action() == Action.UNDRAIN) {
                book.remove(peer);
            } else {
                book.put(decision);
            }
            changed.add(new ChangeView.ChangedPeer(peer.zone(), peer.upstream(), peer.server(), peer.address()));
            LOG.info("{} of {}{}", action, peer, change.note().isEmpty() ? "" : ": " + change.note());
        }
        decisions = book.size();
        zones.forEach(ZoneAgent::applyDecisions);
        return new ChangeView(action, changed);
    }

    // ---- members

    @Override
    public CompletableFuture<MembersView> members(MemberCall call) {
        return members.call(call).thenApplyAsync(result -> result, apiGroup.next());
    }

    @Override
    public CompletableFuture<List<ServerView>> servers(String node, String upstream) {
        return onAgent(() -> members.servers(node, upstream));
    }

    @Override
    public CompletableFuture<List<FormerRings>> rings(String upstream) {
        return onAgent(() -> zones.stream().flatMap(zone -> zone.rings(upstream).stream()).toList());
    }

    @Override
    public CompletableFuture<List<NameView>> names() {
        return onAgent(members::names);
    }

    @Override
    public List<String> complaints() {
        List<String> complaints = new ArrayList<>();
        for (Map.Entry<Path, String> trouble : troubles.entrySet()) {
            complaints.add("zone " + trouble.getKey() + " is " + trouble.getValue());
        }
        long age = Posix.monotonicMs() - lastBeatMs;
        if (age > 3 * config.heartbeat().toMillis()) {
            complaints.add("the last heartbeat is " + age + " ms old; expected one each "
                    + config.heartbeat().toMillis() + " ms");
        }
        return complaints;
    }

    // ---- the end

    /** The future is done when what was on its way to the journal is there, or has been given its time. */
    private CompletableFuture<Void> leaveZones() {
        if (beats != null) {
            beats.cancel(false);
        }
        if (heats != null) {
            heats.cancel(false);
        }
        purges.stop();
        members.close();
        zones.forEach(ZoneAgent::close);
        return CompletableFuture.allOf(changes.over(), members.over()).completeOnTimeout(null, STOP_SECONDS, TimeUnit.SECONDS);
    }

    /**
     * Stops listening, probing and writing. Verdicts that stand run out with their leases; operators' decisions stay in
     * force.
     */
    @Override
    public void close() {
        manager.stopping();
        servers.forEach(HttpServer::close);
        try {
            CompletableFuture.supplyAsync(this::leaveZones, loop).get(STOP_SECONDS, TimeUnit.SECONDS).get();
            names.shutdownNow();
            disk.shutdown();
            if (!disk.awaitTermination(STOP_SECONDS, TimeUnit.SECONDS)) {
                LOG.warn("The journal is still being written after {} s", STOP_SECONDS);
            }
            journal.close();
            purges.close();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (Exception e) {
            LOG.warn("The agent did not stop cleanly: {}", e.toString());
        }
        apiGroup.shutdownGracefully(0, 1, TimeUnit.SECONDS);
        agentGroup.shutdownGracefully(0, 1, TimeUnit.SECONDS);
        LOG.info("stopped; verdicts run out within their lease, drains stay in force");
    }
}
