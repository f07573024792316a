package io.atoll.agent.zone;

import java.io.IOException;
import java.net.InetAddress;
import java.nio.channels.FileLock;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.function.Supplier;

import io.atoll.agent.api.AgentService.Change;
import io.atoll.agent.api.AgentService.MemberCall;
import io.atoll.agent.config.AgentConfig.HotKeysConfig;
import io.atoll.agent.hot.HotKeys;
import io.atoll.agent.metrics.ProbeMetrics;
import io.atoll.agent.os.Posix;
import io.atoll.agent.probe.Prober;
import io.atoll.agent.store.AdminDecision;
import io.atoll.agent.store.MemberDecision;
import io.atoll.agent.store.PeerName;
import io.atoll.agent.store.Purge;
import io.atoll.agent.store.ServerName;
import io.atoll.agent.view.ServerView;
import io.atoll.core.zone.FormerRings;
import io.atoll.core.zone.MemberChange;
import io.atoll.core.zone.Peer;
import io.atoll.core.zone.PublishException;
import io.atoll.core.zone.TablePublisher;
import io.atoll.core.zone.Upstream;
import io.atoll.core.zone.Zone;
import io.atoll.core.zone.ZoneException;
import io.atoll.core.zone.ZonePurges;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The agent's part in one zone: waits for the file, claims it, follows its replacement, runs the probes of its peers,
 * writes verdicts and the operators' decisions. All on the agent's event loop.
 *
 * <p>One agent writes to a zone. It finds out by {@code agent_epoch}: each claim counts it up, and an agent that sees
 * another value than its own stops writing and stands by until the other is gone (its process ended, or it gave no
 * heartbeat for a lease's time).
 */
public final class ZoneAgent {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.zone");

    /** Until it has looked for the file. */
    private static final String NEW = "NEW";

    /** What is the same for all zones of an agent. */
    public record Services(AgentContext context, Prober prober, ProbeMetrics metrics, AdminBook book,
            MemberBook members, long leaseMs, HotKeysConfig hotKeys, PurgeBook purges,
            byte[] bootId, String boot, long pid, long processStart, BiFunction<ZoneAgent, String, String> naming,
            Consumer<AdminDecision> adopt, BiConsumer<List<MemberDecision>, List<ServerName>> adoptMembers) {}

    /** The purges, as a zone needs them. */
    public interface PurgeBook {
        /** Puts all that stand into a zone. */
        void publish(ZonePurges zone);

        /** Whether what other agents know is among them. */
        boolean isInSync();

        /** Tells of a zone that has purges up to a number. */
        void found(Path zone, String boot, long last);

        /** Whether a zone may have been found since the machine started, by this agent or by one before it. */
        boolean isKnown(Path zone, String boot);
    }

    /** What keeps purges from being in force in a zone. */
    public enum Obstacle {
        /** nginx may have copied the purges of before into a file that is to take this one's place. Over in some 0.1 s. */
        PUBLISHING,
        /** nginx may serve from a copy, or from a file, that this agent does not reach. Until somebody mends it. */
        SPOILT
    }

    private final Path path;
    private final Services services;
    private final AgentContext context;
    private final Set<String> complaints = new LinkedHashSet<>();
    private final ZoneMembers members;
    private final ZoneDecisions decisions;
    private final ZoneProbes probes;

    private String state = NEW;
    private String detail = "";
    private boolean known;
    private boolean spoilt;
    private ZoneFile file;
    private Zone zone;
    private long agentEpoch;
    private long seenEpoch;
    private long seenConfigEpoch;
    private boolean adopting;
    private boolean adoptingMembers;
    private ZoneMembers.Outcome membership = ZoneMembers.Outcome.DONE;
    private long seenMembers = -1;
    private Set<String> names = Set.of();
    private Map<String, Set<InetAddress>> hosts = Map.of();
    private long namesEpoch = -1;
    private String node;
    private String refusedSuccessor = "";
    private PeerWriter peers;
    private WideCounts failures;
    private WideCounts bounded;
    private HotSets hot;

    public ZoneAgent(Path path, Services services) {
        this.path = path;
        this.services = services;
        this.context = services.context();
        this.members = new ZoneMembers(path.toString(), services.members(), services.adoptMembers());
        this.decisions = new ZoneDecisions(path.toString(), services.book(), services.boot(), services.leaseMs(), services.adopt());
        this.probes = new ZoneProbes(services, decisions, this::whileAttached, this::complain);
        this.node = services.naming().apply(this, "");
        this.known = services.purges().isKnown(path, services.boot());
    }

    /** To be called at each heartbeat: looks after the file, writes the heartbeat and renews what stands. */
    public void beat() {
        guarded(this::lookAfter);
    }

    private void lookAfter() {
        if (file != null) {
            keep();
        }
        if (file == null) {
            attach();
        }
    }

    /** Runs what touches the zone; see {@link #reading}. */
    private void guarded(Runnable action) {
        reading(() -> {
            action.run();
            return null;
        }, () -> null);
    }

    /** Runs what writes about peers, unless the zone is not this agent's any more. */
    private void whileAttached(Consumer<PeerWriter> action) {
        guarded(() -> {
            if (zone != null && zone.agentEpoch() == agentEpoch) {
                action.accept(peers);
            }
        });
    }

    // ---- the file

    private void attach() {
        ZoneFile opened;
        try {
            opened = ZoneFile.open(path, services.bootId());
        } catch (ZoneFile.Refused e) {
            note(e.state(), e.getMessage());
            return;
        }
        Zone found = opened.zone();
        if (isServed(found)) {
            note("STANDBY", "the agent with pid " + found.agentPid() + " writes its verdicts; expected one agent for a "
                    + "zone: stop one of the two");
            opened.close();
            return;
        }
        use(opened);
    }

    /** Whether another agent that lives writes here. */
    private boolean isServed(Zone found) {
        long pid = found.agentPid();
        return pid != 0 && pid != services.pid() && context.nowMs() - found.agentHeartbeatMs() < services.leaseMs()
                && Posix.isAlive(pid, found.agentStart());
    }

    private void use(ZoneFile opened) {
        file = opened;
        zone = opened.zone();
        peers = new PeerWriter(zone);
        namesEpoch = -1;
        agentEpoch = zone.claimAgent(services.pid(), services.processStart(), context.nowMs());
        failures = new WideCounts(zone.slotCount());
        bounded = new WideCounts(zone.upstreamCapacity());
        hot = services.hotKeys().enabled()
                ? new HotSets(zone, services.hotKeys(), services.leaseMs(), context.nowMs()) : null;
        adopting = !services.book().isTrusted();
        adoptingMembers = adopting;
        seenEpoch = -1;
        refusedSuccessor = "";
        note("OK", "");
        takePurges();
        renew();
    }

    private void keep() {
        if ((zone.isReplaced() || file.isReplaced()) && follow()) {
            return;
        } else if (!zone.heartbeat(agentEpoch, context.nowMs())) {
            lose("STANDBY", "another agent, pid " + zone.agentPid() + ", has claimed it; this one stopped writing; "
                    + "expected one agent for a zone: stop one of the two");
        } else {
            renew();
        }
    }

    /** Moves to the file that stands at the path now. As long as that one cannot be used, the old one is kept. */
    private boolean follow() {
        try {
            ZoneFile opened = ZoneFile.open(path, services.bootId());
            LOG.info("{}: another file has taken its place; following", path);
            probes.carryOver(peers);
            letGo();
            use(opened);
            probes.carriedOver();
            return true;
        } catch (ZoneFile.Refused e) {
            if (!refusedSuccessor.equals(e.state())) {
                refusedSuccessor = e.state();
                LOG.warn("{}: the file that took its place is {}: {}; going on with the one before", path, e.state(),
                        e.getMessage());
            }
            return false;
        }
    }

    private void lose(String newState, String why) {
        letGo();
        note(newState, why);
    }

    private void letGo() {
        probes.stop();
        peers = null;
        hot = null;
        if (file != null) {
            file.close();
        }
        file = null;
        zone = null;
    }

    /** Stops; verdicts that stand run out by themselves, operators' decisions stay. */
    public void close() {
        guarded(() -> {
            if (file != null) {
                zone.releaseAgent(agentEpoch);
            }
        });
        letGo();
    }

    private void note(String newState, String why) {
        if (newState.equals(state) && why.equals(detail)) {
            return;
        }
        state = newState;
        detail = why;
        known |= newState.equals("OK");
        spoilt = isSpoiltAfter(newState);
        if (newState.equals("OK")) {
            LOG.info("{}: attached as agent {}: epoch {}, {} slots, layout OK", path, agentEpoch, zone.epoch(),
                    zone.slotCount());
        } else if (newState.equals("MISSING") || newState.equals("AWAIT_READY") || newState.equals("OTHER_BOOT")) {
            LOG.info("{}: {}: {}", path, newState, why);
        } else {
            LOG.warn("{}: {}: {}", path, newState, why);
        }
    }

    // ---- purges

    /**
     * A zone that was just claimed. While others have yet to say what this agent missed, workers of an nginx that runs go on with
     * what they have, and one that starts waits.
     */
    private void takePurges() {
        zone.purges().ifPresent(purges -> {
            services.purges().found(path, services.boot(), purges.last());
            services.purges().publish(purges);
            if (services.purges().isInSync()) {
                purges.setLoaded();
            } else if (Posix.isAlive(zone.masterPid(), zone.masterStart())) {
                purges.setAged();
            } else {
                purges.setAwaited(System.nanoTime() ^ System.currentTimeMillis() << 20, context.nowMs());
            }
        });
    }

    /** nginx may have begun anew, or the agent be in sync now. */
    private void renewPurges() {
        zone.purges().ifPresent(purges -> {
            if (!purges.isLoaded() && services.purges().isInSync()) {
                services.purges().publish(purges);
                purges.setLoaded();
            }
        });
    }

    /**
     * Puts purges in force, at once, also where another file has just taken this one's place; and tells workers when the
     * agent is in sync.
     *
     * @return what keeps them from being in force; empty when they are. Call again then
     */
    public Optional<Obstacle> purge(Collection<Purge> purges) {
        return reading(() -> put(purges), () -> Optional.of(Obstacle.SPOILT));
    }

    private Optional<Obstacle> put(Collection<Purge> purges) {
        if (zone != null && zone.agentEpoch() != agentEpoch) {
            lookAfter();
        }
        if (zone == null) {
            return spoilt || known && state.equals(NEW) ? Optional.of(Obstacle.SPOILT) : Optional.empty();
        }
        if (zone.agentEpoch() != agentEpoch) {
            return Optional.empty();
        }
        zone.purges().ifPresent(section -> purges.forEach(purge -> section.put(purge.kind(), purge.text(), purge.number())));
        renewPurges();
        boolean publishing = isPublishing();
        boolean replaced = zone.isReplaced() || file.isReplaced();
        if (replaced && follow()) {
            return Optional.empty();
        }
        return publishing ? Optional.of(Obstacle.PUBLISHING) : replaced ? Optional.of(Obstacle.SPOILT) : Optional.empty();
    }

    /**
     * Whether nginx may serve from what this agent does not reach: since a file stood there that cannot be used, or the one that was
     * attached is gone, to this agent or one before it, and until one can be used again. Of a file that was never there, or is of another
     * boot, no nginx has a copy.
     */
    private boolean isSpoiltAfter(String newState) {
        return switch (newState) {
            case "OK" -> false;
            case "STANDBY" -> spoilt;
            case "MISSING", "OTHER_BOOT" -> spoilt || known;
            default -> true;
        };
    }

    /** Whether nginx, or who else publishes, holds the lock. Who takes it after this call sees all that was written before. */
    private boolean isPublishing() {
        try (FileLock lock = file.tryLock()) {
            return lock == null;
        } catch (IOException e) {
            LOG.warn("{}: it cannot be seen whether nginx publishes: {}", path, e.toString());
            return false;
        }
    }

    /**
     * The generation of a key here, of the host before its first slash: what nginx's copy of it has in its own key. Empty while not
     * attached.
     */
    public OptionalLong generation(String key) {
        return reading(() -> zone() == null || zone.purges().isEmpty() ? OptionalLong.empty()
                : OptionalLong.of(zone.purges().get().generation(key, key.substring(0, Math.max(0, key.indexOf('/'))))),
                OptionalLong::empty);
    }

    // ---- what it says

    private void renew() {
        renewPurges();
        if (zone.epoch() != seenEpoch || zone.configEpoch() != seenConfigEpoch) {
            scan();
            seenMembers = -1;
        }
        if (seenMembers != services.members().version() || membership == ZoneMembers.Outcome.LOCKED) {
            reconcileMembers();
        }
        probes.renew(peers, context.nowMs());
        applyDecisions();
    }

    /** Reads upstreams, tables and peers, and starts and stops probes accordingly. */
    private void scan() {
        long epoch = zone.epoch();
        long configEpoch = zone.configEpoch();
        List<Pool> read = new ArrayList<>();
        try {
            for (Upstream upstream : zone.upstreams()) {
                read.add(Pool.read(zone, upstream));
            }
        } catch (ZoneException e) {
            complain("upstreams", e.getMessage());
            return;
        }
        boolean whole = true;
        for (Pool pool : read) {
            if (!pool.read().isOk()) {
                complain(pool.upstream().name(), "the table of upstream " + pool.upstream().name() + " is "
                        + pool.read().status() + ": " + pool.read().detail());
                whole = false;
            }
        }
        if (whole) {
            complaints.clear();
        }
        decisions.inherit(peers.pools(), read);
        peers.setPools(read);
        node = services.naming().apply(this, zone.node());
        probes.watch(peers, node);
        if (whole) {
            seenEpoch = epoch;
            seenConfigEpoch = configEpoch;
        }
    }

    static String label(Peer peer) {
        return peer.ordinal() == 0 ? peer.address() : peer.address() + "#" + peer.ordinal();
    }

    private void complain(String about, String sentence) {
        if (complaints.add(about)) {
            LOG.warn("{}: {}", path, sentence);
        }
    }

    /** Reads what the workers sampled, and tells them which keys are hot. */
    public void heat() {
        guarded(() -> {
            if (hot != null && zone() != null && zone.agentEpoch() == agentEpoch) {
                hot.round(peers.pools(), context.nowMs());
            }
        });
    }

    // ---- members

    private void reconcileMembers() {
        long version = services.members().version();
        long epoch = zone.epoch();
        membership = members.reconcile(file, adoptingMembers, context.nowMs());
        if (membership != ZoneMembers.Outcome.LOCKED) {
            adoptingMembers = false;
            seenMembers = version == services.members().version() ? version : -1;
        }
        if (zone.epoch() != epoch) {
            scan();
            applyDecisions();
        }
    }

    /** Brings the members in line with the book now. Not DONE while not attached, too. */
    public ZoneMembers.Outcome applyMembers() {
        ZoneMembers.Outcome[] outcome = {ZoneMembers.Outcome.REFUSED};
        guarded(() -> {
            if (zone != null && zone.agentEpoch() == agentEpoch) {
                reconcileMembers();
                outcome[0] = membership;
            }
        });
        return outcome[0];
    }

    /** Upstreams whose owners before this zone may not know, since its nginx has just been started. */
    Set<String> newIn() {
        return ofUpstreams((publisher, upstream) -> publisher.isNew(upstream, context.nowMs()) ? Set.of(upstream.name()) : Set.of());
    }

    /** The rings of an upstream, for other nodes; empty when it is not here. */
    public List<FormerRings> rings(String name) {
        return List.copyOf(ofUpstreams((publisher, upstream) -> upstream.name().equals(name)
                ? Set.of(publisher.rings(upstream, context.nowMs())) : Set.of()));
    }

    private <T> Set<T> ofUpstreams(BiFunction<TablePublisher, Upstream, Set<T>> look) {
        return reading(() -> {
            Set<T> found = new LinkedHashSet<>();
            if (zone() != null && zone.agentEpoch() == agentEpoch) {
                TablePublisher publisher = new TablePublisher(zone);
                for (Upstream upstream : readableUpstreams()) {
                    try {
                        found.addAll(look.apply(publisher, upstream));
                    } catch (PublishException | ZoneException e) {
                        // no table yet, or none that can be read: the scan tells of it
                    }
                }
            }
            return found;
        }, Set::of);
    }

    /** None when one of them is wrong: the scan tells of it. */
    private List<Upstream> readableUpstreams() {
        try {
            return zone.upstreams();
        } catch (ZoneException e) {
            return List.of();
        }
    }

    /** Takes over from other nodes who owned the keys of an upstream before. */
    void learn(String name, List<FormerRings> told) {
        guarded(() -> {
            for (Upstream upstream : upstreams("", name)) {
                if (zone.agentEpoch() == agentEpoch && new TablePublisher(zone).isNew(upstream, context.nowMs())
                        && members.learn(file, upstream, told, context.nowMs()) == ZoneMembers.Outcome.DONE) {
                    scan();
                }
            }
        });
    }

    /** When its nginx was started; 0 while not attached. */
    long startedMs() {
        return reading(() -> zone() == null ? 0L : zone.startedMs(), () -> 0L);
    }

    /** What a call about members would change here; empty when it is not about this zone. */
    public Map<ServerName, MemberChange> decide(MemberCall call, List<MemberChange.Address> addresses) {
        return reading(() -> {
            for (Upstream upstream : upstreams(call.node(), call.upstream())) {
                return members.decide(zone, upstream, call, addresses);
            }
            return Map.of();
        }, Map::of);
    }

    /** The servers of an upstream; empty when it is not here. */
    public List<ServerView> servers(String ofNode, String name) {
        return reading(() -> {
            for (Upstream upstream : upstreams(ofNode, name)) {
                return members.servers(zone, node, upstream);
            }
            return List.of();
        }, List::of);
    }

    /** What the targets of services change about the members here, see {@link ZoneMembers}; empty without such an upstream. */
    public Map<ServerName, MemberDecision> decide(String name, Map<String, List<MemberChange>> services) {
        return reading(() -> {
            for (Upstream upstream : upstreams("", name)) {
                return members.decide(zone, upstream, services);
            }
            return Map.of();
        }, Map::of);
    }

    /** Servers that are names, to be followed. */
    public Set<String> names() {
        return reading(() -> {
            if (zone() == null) {
                return Set.of();
            }
            readNames();
            return names;
        }, Set::of);
    }

    /** Once for each epoch: there may be thousands, and each asks. */
    private void readNames() {
        if (zone.epoch() != namesEpoch) {
            namesEpoch = zone.epoch();
            try {
                names = members.names(zone);
                hosts = members.hosts(zone);
            } catch (PublishException | ZoneException e) {
                namesEpoch = -1;
            }
        }
    }

    /** What servers on a host have in the tables now; empty for a host that no server is on. */
    public Set<InetAddress> addresses(String host) {
        return reading(() -> {
            if (zone() == null) {
                return Set.of();
            }
            readNames();
            return hosts.getOrDefault(host, Set.of());
        }, Set::of);
    }

    /** The names of its upstreams; empty while not attached. */
    public Set<String> upstreamNames() {
        return ofUpstreams((publisher, upstream) -> Set.of(upstream.name()));
    }

    private List<Upstream> upstreams(String ofNode, String name) {
        if (zone() == null || !ofNode.isEmpty() && !ofNode.equals(node)) {
            return List.of();
        }
        return zone.upstreams().stream().filter(upstream -> upstream.name().equals(name)).toList();
    }

    // ---- operators

    /** Brings the admin words in line with the book. */
    public void applyDecisions() {
        whileAttached(writer -> {
            decisions.apply(writer, adopting, context.nowMs());
            adopting = adopting && writer.pools().isEmpty();
        });
    }

    /** The peers that a call names, and, where it lifts, decisions about peers that are not here now. */
    public Collection<PeerName> match(Change change, boolean lifts) {
        return change.node().isEmpty() || change.node().equals(node) ? decisions.match(pools(), change, lifts) : Set.of();
    }

    // ---- what it shows

    public Path path() {
        return path;
    }

    public String node() {
        return node;
    }

    /** OK, or why not. */
    public String state() {
        return state;
    }

    public String detail() {
        return detail;
    }

    /** Null while not attached. */
    Zone zone() {
        return zone;
    }

    long agentEpoch() {
        return agentEpoch;
    }

    List<Pool> pools() {
        return peers == null ? List.of() : peers.pools();
    }

    /** Failed tries, by slot. */
    WideCounts failures() {
        return failures;
    }

    /** Picks that went past a peer at its bound, by upstream. */
    WideCounts bounded() {
        return bounded;
    }

    /** The hot keys of an upstream, those most asked for first. */
    List<HotKeys.Hot> hotKeys(int upstream) {
        return hot == null ? List.of() : hot.keys(upstream);
    }

    long samplesRead() {
        return hot == null ? 0 : hot.samplesRead();
    }

    long samplesLost() {
        return hot == null ? 0 : hot.samplesLost();
    }

    AdminBook book() {
        return services.book();
    }

    /** Null for a slot that is not probed. */
    PeerMonitor monitor(int slot) {
        return probes.monitor(slot);
    }

    /**
     * Runs what touches the zone. A file that was made shorter is let go before, so that the action finds no zone; when it happens
     * meanwhile, the fallback stands for it.
     */
    <T> T reading(Supplier<T> action, Supplier<T> fallback) {
        if (file != null && !file.isWhole()) {
            loseCut();
        }
        return MappingGuard.call(action, () -> {
            loseCut();
            return fallback.get();
        });
    }

    private void loseCut() {
        lose("TRUNCATED", "it was made shorter while it was mapped; waiting for nginx to make it anew");
    }
}
