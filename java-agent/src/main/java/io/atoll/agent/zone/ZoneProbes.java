package io.atoll.agent.zone;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

import io.atoll.agent.metrics.ProbeMetrics;
import io.atoll.agent.probe.Probe;
import io.atoll.agent.probe.Prober;
import io.atoll.agent.store.PeerName;
import io.atoll.core.liveness.Lease;
import io.atoll.core.liveness.PeerHealth;
import io.atoll.core.liveness.ProbeSchedule;
import io.atoll.core.zone.Peer;
import io.atoll.core.zone.ProbeSettings;
import io.atoll.core.zone.Reason;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The probes of one zone's peers, and the verdicts that they lead to. On the agent's event loop. */
final class ZoneProbes {
    private static final Logger PEERS = LoggerFactory.getLogger("io.atoll.peer");

    private record Watched(PeerMonitor monitor, Peer peer, ProbeSettings settings, String node) {}

    private final AgentContext context;
    private final Prober prober;
    private final ProbeMetrics metrics;
    private final long leaseMs;
    private final ZoneDecisions names;
    private final Consumer<Consumer<PeerWriter>> whileAttached;
    private final BiConsumer<String, String> complain;
    private final Map<Integer, Watched> watched = new HashMap<>();
    private final Set<PeerName> carried = new HashSet<>();

    /**
     * @param whileAttached runs what writes to the zone, unless that is not the agent's any more
     * @param complain      takes what something is about, and a sentence
     */
    ZoneProbes(ZoneAgent.Services services, ZoneDecisions names, Consumer<Consumer<PeerWriter>> whileAttached,
            BiConsumer<String, String> complain) {
        this.context = services.context();
        this.prober = services.prober();
        this.metrics = services.metrics();
        this.leaseMs = services.leaseMs();
        this.names = names;
        this.whileAttached = whileAttached;
        this.complain = complain;
    }

    /** Starts and stops probes according to the peers that were read. */
    void watch(PeerWriter peers, String node) {
        Map<Integer, Watched> before = new HashMap<>(watched);
        watched.clear();
        for (Pool pool : peers.pools()) {
            if (pool.upstream().probe().kind() != ProbeSettings.Kind.NONE) {
                for (Pool.Member member : pool.members()) {
                    watch(peers, node, pool, member.peer(), before.remove(member.peer().slot()));
                }
            }
        }
        before.values().forEach(left -> left.monitor().stop());
    }

    private void watch(PeerWriter peers, String node, Pool pool, Peer peer, Watched before) {
        ProbeSettings settings = pool.upstream().probe();
        boolean samePeer = before != null && before.peer().incarnation() == peer.incarnation();
        if (samePeer && before.settings().equals(settings) && before.node().equals(node)
                && String.valueOf(before.peer().socketAddress()).equals(String.valueOf(peer.socketAddress()))) {
            watched.put(peer.slot(), before);
            return;
        }
        if (before != null) {
            before.monitor().stop();
        }
        Probe probe = prober.newProbe(peer, settings);
        if (probe == null) {
            complain.accept(peer.address(), "peer " + peer.address() + " of upstream " + pool.upstream().name()
                    + " cannot be probed with this transport; unix sockets need epoll");
            return;
        }
        long now = context.nowMs();
        boolean up = samePeer ? before.monitor().health().isUp()
                : !peers.zone().state(peer.slot()).stands(Reason.PROBE, now) && !carried.contains(names.nameOf(pool, peer));
        ProbeSchedule schedule = new ProbeSchedule(settings.intervalMs());
        PeerMonitor monitor = new PeerMonitor(peer, probe, new PeerHealth(settings.rise(), settings.fall(), up, now),
                schedule, settings.intervalMs(), Lease.of(leaseMs, schedule, settings.timeoutMs()), context,
                metrics.of(node, pool.upstream().name(), peer.server(), ZoneAgent.label(peer)),
                (heard, transition, at) -> whileAttached.accept(writer -> heard(writer, node, heard, transition, at)));
        watched.put(peer.slot(), new Watched(monitor, peer, settings, node));
        monitor.start();
    }

    /** A verdict is new: written at once. The heartbeat renews it. */
    private void heard(PeerWriter peers, String node, PeerMonitor monitor, PeerHealth.Transition transition, long now) {
        Peer peer = monitor.peer();
        writeVerdict(peers, monitor, now);
        if (transition != PeerHealth.Transition.NONE) {
            boolean up = transition == PeerHealth.Transition.WENT_UP;
            PEERS.info("{} {} {} is {}{}", node, peers.poolOf(peer).upstream().name(), name(peer), up ? "up" : "down",
                    up ? " after " + monitor.health().inRow() + " good probes"
                            : ": " + monitor.last().detail() + ", " + monitor.health().inRow() + " times in a row");
        }
    }

    private static String name(Peer peer) {
        return peer.server().equals(peer.address()) ? peer.server() : peer.server() + " (" + peer.address() + ")";
    }

    /** Writes the verdicts again that have results behind them. */
    void renew(PeerWriter peers, long now) {
        for (Watched peer : watched.values()) {
            if (peer.monitor().health().hasResult()) {
                writeVerdict(peers, peer.monitor(), now);
            }
        }
    }

    /**
     * Writes what the results so far justify. A word that has run out is set again by a failure only: after a pause of
     * this process, a first success must not bring back what was believed before. None of this node about itself: when its nginx
     * reads the word it runs, and one that has just been started must own its keys at once.
     */
    private static void writeVerdict(PeerWriter peers, PeerMonitor monitor, long now) {
        Peer peer = monitor.peer();
        long word = peer.server().equals(peers.zone().node()) ? 0 : monitor.word(now);
        boolean stands = peers.zone().state(peer.slot()).stands(Reason.PROBE, now);
        if (word != 0 && !stands && monitor.health().state() == PeerHealth.State.RISING) {
            return;
        }
        if (word == 0 && stands) {
            peers.ramp(peer, now);
            peers.changed(peer, now);
        }
        peers.write(peer, Reason.PROBE, word);
    }

    /** Remembers who is down, by name: a file that nginx made from nothing does not know it. */
    void carryOver(PeerWriter peers) {
        long now = context.nowMs();
        for (Watched peer : watched.values()) {
            if (peer.monitor().word(now) != 0) {
                carried.add(names.nameOf(peers.poolOf(peer.peer()), peer.peer()));
            }
        }
    }

    /** The other file is in use. */
    void carriedOver() {
        carried.clear();
    }

    void stop() {
        watched.values().forEach(peer -> peer.monitor().stop());
        watched.clear();
    }

    /** Null for a slot that is not probed. */
    PeerMonitor monitor(int slot) {
        Watched found = watched.get(slot);
        return found == null ? null : found.monitor();
    }
}
