package io.atoll.agent.metrics;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

import io.atoll.agent.view.HotKeyView;
import io.atoll.agent.view.PeerView;
import io.atoll.agent.view.UpstreamView;
import io.atoll.agent.view.ZoneView;

/** What the zones say, as Prometheus families. Names and meanings: docs/reference/metrics.md. */
final class ZoneMetrics {
    private static final List<String> ZONE = List.of("node", "zone");
    private static final List<String> UPSTREAM = List.of("node", "upstream");
    private static final List<String> PEER = List.of(ProbeMetrics.PEER);
    private static final List<String> REASONS = List.of("admin", "probe", "quorum", "passive");

    private final Families families = new Families();

    static Families of(List<ZoneView> zones) {
        ZoneMetrics metrics = new ZoneMetrics();
        zones.forEach(metrics::zone);
        return metrics.families;
    }

    private void zone(ZoneView zone) {
        List<String> labels = List.of(zone.node(), zone.path());
        families.gauge("atoll_zone_attached", "1 when the agent has the zone file and writes to it.", ZONE, labels,
                zone.attached() ? 1 : 0);
        if (!zone.attached()) {
            return;
        }
        families.gauge("atoll_zone_epoch", "Tables published in the zone.", ZONE, labels, zone.epoch());
        families.gauge("atoll_zone_config_epoch", "nginx configurations published in the zone.", ZONE, labels,
                zone.configEpoch());
        families.gauge("atoll_zone_heartbeat_age_seconds", "Time since the agent's last heartbeat in the zone.", ZONE,
                labels, zone.heartbeatAgeMs() / 1000.0);
        families.gauge("atoll_zone_workers", "nginx workers that count in the zone.", ZONE, labels, zone.workers());
        families.counter("atoll_zone_torn_total", "Lookups repeated because a table changed under them.", ZONE, labels,
                zone.torn());
        families.counter("atoll_zone_rejected_total", "Published tables that a worker found invalid.", ZONE, labels,
                zone.rejected());
        families.counter("atoll_zone_fallbacks_total", "Picks by round robin for want of a usable table.", ZONE, labels,
                zone.fallbacks());
        families.counter("atoll_zone_samples_total", "Keys that the agent read from the workers' samples.", ZONE, labels,
                zone.samples());
        families.counter("atoll_zone_samples_lost_total", "Samples overwritten before the agent read them.", ZONE, labels,
                zone.samplesLost());
        zone.upstreams().forEach(upstream -> upstream(zone, upstream));
    }

    private void upstream(ZoneView zone, UpstreamView upstream) {
        List<String> labels = List.of(zone.node(), upstream.name());
        UpstreamView.Counters counters = upstream.counters();
        families.counter("atoll_upstream_requests_total", "Requests that asked for a peer.", UPSTREAM, labels,
                counters.requests());
        families.counter("atoll_upstream_picks_total", "Peers given, retries included.", UPSTREAM, labels,
                counters.picks());
        families.counter("atoll_upstream_retries_total", "Peers given after the first of a request.", UPSTREAM, labels,
                counters.retries());
        families.counter("atoll_upstream_none_total", "Requests told that no peer is left.", UPSTREAM, labels,
                counters.none());
        families.counter("atoll_upstream_passed_total",
                "Peers passed over for a reason, max_conns, the bound or a ramp.", UPSTREAM, labels, counters.passed());
        families.counter("atoll_upstream_panics_total", "Picks made with the mass-failure guard on.", UPSTREAM, labels,
                counters.panics());
        families.counter("atoll_upstream_bounded_total", "Picks that went past a peer at its bound.", UPSTREAM, labels,
                counters.bounded());
        families.counter("atoll_upstream_failures_total", "Failed tries.", UPSTREAM, labels, counters.failures());
        families.gauge("atoll_upstream_guard", "1 while the mass-failure guard is on.", UPSTREAM, labels,
                upstream.guard() ? 1 : 0);
        families.gauge("atoll_upstream_peers", "Peers of the active table.", UPSTREAM, labels,
                upstream.peers().size());
        families.gauge("atoll_upstream_peers_up", "Peers that are up.", UPSTREAM, labels,
                upstream.peers().stream().filter(PeerView::up).count());
        families.gauge("atoll_upstream_table_bytes", "Length of the active table.", UPSTREAM, labels,
                upstream.tableBytes());
        families.gauge("atoll_hot_keys", "Keys that are hot.", UPSTREAM, labels, upstream.hot().size());
        families.gauge("atoll_hot_key_replicas", "Peers that the hot keys may be served by, over all of them.", UPSTREAM,
                labels, upstream.hot().stream().mapToInt(HotKeyView::replicas).sum());
        families.gauge("atoll_hot_key_share", "Part of the requests that is for hot keys, 0 to 1.", UPSTREAM, labels,
                upstream.hot().stream().mapToDouble(HotKeyView::share).sum());
        shares(zone, upstream);
        upstream.peers().forEach(this::peer);
    }

    /** One sample a server and ring, however many addresses it has. */
    private void shares(ZoneView zone, UpstreamView upstream) {
        Set<String> seen = new HashSet<>();
        for (PeerView peer : upstream.peers()) {
            String ring = peer.backup() ? "backup" : "primary";
            if (seen.add(ring + " " + peer.server())) {
                families.gauge("atoll_upstream_ring_share", "Part of the ring's keys that a server owns, 0 to 1.",
                        List.of("node", "upstream", "server", "ring"),
                        List.of(zone.node(), upstream.name(), peer.server(), ring), peer.share());
            }
        }
    }

    private void peer(PeerView peer) {
        List<String> labels = List.of(peer.node(), peer.upstream(), peer.server(), peer.label());
        families.gauge("atoll_peer_up", "1 when no reason stands and nginx.conf does not say down.", PEER, labels,
                peer.up() ? 1 : 0);
        List<String> withReason = new ArrayList<>(PEER);
        withReason.add("reason");
        for (String reason : REASONS) {
            List<String> values = new ArrayList<>(labels);
            values.add(reason);
            families.gauge("atoll_peer_reason", "1 while the reason stands.", withReason, values,
                    peer.reasons().stream().anyMatch(standing -> standing.reason().equals(reason)) ? 1 : 0);
        }
        families.gauge("atoll_peer_down", "1 when nginx.conf says down.", PEER, labels, peer.down() ? 1 : 0);
        families.gauge("atoll_peer_ramp", "Share of its keys that it serves in a ramp; 1 otherwise.", PEER, labels,
                peer.ramp());
        families.gauge("atoll_peer_inflight", "Requests at it now.", PEER, labels, peer.inflight());
        families.counter("atoll_peer_picks_total", "Times given, retries included.", PEER, labels, peer.picks());
        families.counter("atoll_peer_failures_total", "Failed tries.", PEER, labels, peer.failures());
    }
}
