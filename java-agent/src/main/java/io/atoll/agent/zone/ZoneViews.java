package io.atoll.agent.zone;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

import io.atoll.agent.os.Posix;
import io.atoll.agent.probe.ProbeOutcome;
import io.atoll.agent.store.AdminDecision;
import io.atoll.agent.store.PeerName;
import io.atoll.agent.view.HotKeyView;
import io.atoll.agent.view.OwnerView;
import io.atoll.agent.view.PeerView;
import io.atoll.agent.view.PeerView.AdminView;
import io.atoll.agent.view.PeerView.ProbeStateView;
import io.atoll.agent.view.PeerView.ReasonView;
import io.atoll.agent.view.UpstreamView;
import io.atoll.agent.view.UpstreamView.Counters;
import io.atoll.agent.view.UpstreamView.ProbeView;
import io.atoll.agent.view.ZoneView;
import io.atoll.core.liveness.PeerHealth;
import io.atoll.core.liveness.Ramp;
import io.atoll.core.lookup.Owners;
import io.atoll.core.lookup.Walk;
import io.atoll.core.lookup.ZoneWords;
import io.atoll.core.ring.Crc32;
import io.atoll.core.table.Table;
import io.atoll.core.zone.Peer;
import io.atoll.core.zone.PeerState;
import io.atoll.core.zone.ProbeSettings;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.Zone;
import io.atoll.core.zone.ZoneCounters;
import io.atoll.core.zone.ZoneLayout;

/** Pictures of a zone at one moment, for the API and the metrics. Made on the agent's event loop. */
public final class ZoneViews {
    private final ZoneAgent agent;
    private final Zone zone;
    private final long now;
    private final ZoneCounters counters;

    private ZoneViews(ZoneAgent agent, Zone zone, long now) {
        this.agent = agent;
        this.zone = zone;
        this.now = now;
        this.counters = zone.counters(Posix::isAlive);
    }

    /** A zone with its upstreams and peers, or with its state alone when it is not attached. */
    public static ZoneView of(ZoneAgent agent, long now) {
        return agent.reading(() -> {
            Zone zone = agent.zone();
            return zone == null ? detached(agent) : new ZoneViews(agent, zone, now).zone();
        }, () -> detached(agent));
    }

    private static ZoneView detached(ZoneAgent agent) {
        return new ZoneView(agent.path().toString(), agent.node(), agent.state(), agent.detail(), 0, 0, 0, 0, -1, 0,
                false, 0, 0, 0, 0, 0, 0, List.of());
    }

    /** Who serves a key, in each upstream of that name: at most one. */
    public static List<OwnerView> owners(ZoneAgent agent, String upstream, String key, long now) {
        return agent.reading(() -> {
            Zone zone = agent.zone();
            List<OwnerView> owners = new ArrayList<>();
            for (Pool pool : zone == null ? List.<Pool>of() : agent.pools()) {
                if (pool.upstream().name().equals(upstream) && pool.read().isOk()) {
                    owners.add(new ZoneViews(agent, zone, now).owner(pool, key));
                }
            }
            return owners;
        }, List::of);
    }

    private OwnerView owner(Pool pool, String key) {
        Table table = pool.table();
        int hash = Crc32.of(key);
        int point = table.find(hash);
        String home = point == Table.NO_POINT ? ""
                : server(pool, table.groupFirstPeer(table.pointGroup(ZoneLayout.Ring.PRIMARY, point)));
        int index = new Owners(table, new ZoneWords(zone, counters), pool.upstream().slowStartMs(),
                pool.upstream().panicPercent()).owner(hash, now);
        return new OwnerView(agent.node(), pool.upstream().name(), key, Integer.toUnsignedLong(hash), home,
                index == Walk.NONE ? "" : server(pool, index), index == Walk.NONE ? "" : address(pool, index));
    }

    private static String server(Pool pool, int index) {
        return pool.members().stream().filter(member -> member.index() == index).map(member -> member.peer().server())
                .findFirst().orElse("");
    }

    private static String address(Pool pool, int index) {
        return pool.members().stream().filter(member -> member.index() == index).map(member -> member.peer().address())
                .findFirst().orElse("");
    }

    private ZoneView zone() {
        List<UpstreamView> upstreams = new ArrayList<>();
        for (Pool pool : agent.pools()) {
            upstreams.add(upstream(pool));
        }
        return new ZoneView(agent.path().toString(), agent.node(), agent.state(), agent.detail(), zone.length(),
                zone.epoch(), zone.configEpoch(), agent.agentEpoch(), Math.max(0, now - zone.agentHeartbeatMs()),
                zone.masterPid(), Posix.isAlive(zone.masterPid(), zone.masterStart()), counters.workers(),
                counters.torn(), counters.rejected(), counters.fallbacks(), agent.samplesRead(), agent.samplesLost(),
                upstreams);
    }

    private UpstreamView upstream(Pool pool) {
        ZoneCounters.OfUpstream counted = counters.upstream(pool.upstream().index());
        List<PeerView> peers = new ArrayList<>();
        for (Pool.Member member : pool.members()) {
            peers.add(peer(pool, member));
        }
        return new UpstreamView(pool.upstream().name(), pool.upstream().file() + ":" + pool.upstream().line(),
                pool.read().published() >>> 1, pool.read().isOk() ? pool.table().length() : 0,
                pool.upstream().slowStartMs(), pool.upstream().panicPercent(), pool.isGuarded(zone, now),
                probe(pool.upstream().probe()),
                new Counters(counted.requests(), counted.picks(), counted.retries(), counted.none(), counted.passed(),
                        counted.panics(), counted.failures(),
                        agent.bounded().total(pool.upstream().index(), counted.bounded())),
                pool.upstream().replicas(), hot(pool), peers);
    }

    private List<HotKeyView> hot(Pool pool) {
        return agent.hotKeys(pool.upstream().index()).stream().map(key -> new HotKeyView(agent.node(),
                pool.upstream().name(), String.format("%08x", key.hash()), key.replicas(),
                Math.round(key.share() * 1e4) / 1e4, Math.round(key.rate() * 10) / 10.0)).toList();
    }

    private static ProbeView probe(ProbeSettings settings) {
        if (settings.kind() == ProbeSettings.Kind.NONE) {
            return null;
        }
        String expect = settings.expect().stream()
                .map(range -> range.first() == range.last() ? "" + range.first() : range.first() + "-" + range.last())
                .collect(Collectors.joining(","));
        return new ProbeView(text(settings.kind()), settings.tls(), settings.uri(), settings.host(), settings.port(),
                settings.intervalMs(), settings.timeoutMs(), settings.rise(), settings.fall(), expect,
                settings.match());
    }

    private PeerView peer(Pool pool, Pool.Member member) {
        Peer peer = member.peer();
        int slot = peer.slot();
        PeerState state = zone.state(slot);
        List<ReasonView> reasons = new ArrayList<>();
        for (Reason reason : Reason.values()) {
            if (state.stands(reason, now)) {
                long until = state.until(reason);
                reasons.add(new ReasonView(text(reason), until == ZoneLayout.FOREVER ? -1 : until - now));
            }
        }
        PeerMonitor monitor = agent.monitor(slot);
        return new PeerView(agent.node(), pool.upstream().name(), peer.server(), peer.address(), peer.ordinal(), slot,
                peer.weight(), peer.isBackup(), peer.isDown(), peer.isAdded() ? "run_time" : "nginx.conf",
                pool.table().groupShare(pool.table().group(member.index())),
                reasons.isEmpty() && !peer.isDown(), reasons,
                Ramp.share(state.rampStartMs(), pool.upstream().slowStartMs(), now), admin(pool, peer),
                monitor == null ? null : probed(monitor), counters.picks(slot),
                agent.failures().total(slot, counters.failures(slot)), counters.inflight(slot), state.fails());
    }

    private AdminView admin(Pool pool, Peer peer) {
        AdminDecision decision = agent.book().get(new PeerName(agent.path().toString(), pool.upstream().name(),
                peer.server(), peer.address()));
        return decision == null ? null : new AdminView(text(decision.kind()),
                decision.isForever() ? -1 : Math.max(0, decision.untilMs() - now), decision.note());
    }

    private ProbeStateView probed(PeerMonitor monitor) {
        PeerHealth health = monitor.health();
        ProbeOutcome last = monitor.last();
        boolean good = health.state() == PeerHealth.State.UP || health.state() == PeerHealth.State.RISING;
        String state = health.hasResult() ? text(health.state()) : "unknown";
        return new ProbeStateView(state, good ? health.inRow() : 0, good ? 0 : health.inRow(),
                last == null ? "none" : text(last.result()), last == null ? "" : last.detail(),
                last == null ? 0 : Math.round(last.latencyNanos() / 1e4) / 100.0,
                last == null ? -1 : now - monitor.lastMs(), health.transitions());
    }

    private static String text(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT);
    }
}
