package io.atoll.agent.view;

import java.util.List;

/**
 * An upstream at one moment. Counters are sums over the workers' rows and only grow while the zone lives.
 *
 * @param name         as in nginx.conf
 * @param declared     file:line
 * @param epoch        of its table
 * @param tableBytes   length of its table; 0 when it has none that is valid
 * @param slowStartMs  0 off
 * @param panicPercent 0 off
 * @param guard        whether the mass-failure guard is on, as the workers would work it out now
 * @param probe        null without {@code atoll_probe}
 * @param counters     what the workers counted
 * @param replicas     owners of a hot key at most; 0: each key has one
 * @param hot          its hot keys, those most asked for first
 * @param peers        in the order of the table
 */
public record UpstreamView(String name, String declared, long epoch, int tableBytes, int slowStartMs, int panicPercent,
        boolean guard, ProbeView probe, Counters counters, int replicas, List<HotKeyView> hot, List<PeerView> peers) {
    /**
     * How its peers are probed.
     *
     * @param kind       tcp or http
     * @param tls        over TLS
     * @param uri        of an HTTP probe
     * @param host       Host header and server name
     * @param port       0: the peer's own
     * @param intervalMs between two probes
     * @param timeoutMs  of a whole probe
     * @param rise       successes to come up
     * @param fall       failures to go down
     * @param expect     statuses: 200-399
     * @param match      text that the body must contain; empty for any
     */
    public record ProbeView(String kind, boolean tls, String uri, String host, int port, int intervalMs, int timeoutMs,
            int rise, int fall, String expect, String match) {}

    /**
     * Sums over the workers' rows.
     *
     * @param requests that asked for a peer
     * @param picks    peers given
     * @param retries  picks after the first of a request
     * @param none     requests told that no peer is left
     * @param passed   peers passed over
     * @param panics   picks made with the guard on
     * @param failures failed tries
     * @param bounded  picks that went past a peer at its bound
     */
    public record Counters(long requests, long picks, long retries, long none, long passed, long panics,
            long failures, long bounded) {}
}
