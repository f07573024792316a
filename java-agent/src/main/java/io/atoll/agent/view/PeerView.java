package io.atoll.agent.view;

import java.util.List;

/**
 * A peer at one moment.
 *
 * @param node         of its zone
 * @param upstream     its upstream
 * @param server       name in nginx.conf
 * @param address      where requests go
 * @param ordinal      0; 1, 2, … for a server and address that the upstream lists again
 * @param slot         in the zone
 * @param weight       of the server
 * @param backup       {@code backup} in nginx.conf
 * @param down         {@code down} in nginx.conf
 * @param origin       nginx.conf, or run_time for a server that was added through the agent
 * @param share        part of its ring's keys that its server owns, 0 to 1
 * @param up           no reason stands and it is not {@code down}
 * @param reasons      those that stand
 * @param ramp         share of its keys that it serves while it ramps up, 0 to 1; 1 otherwise
 * @param admin        null when no operator's decision stands
 * @param probe        null without probes
 * @param picks        times given
 * @param failures     failed tries
 * @param inflight     requests at it now
 * @param passiveFails failed tries since the last success
 */
public record PeerView(String node, String upstream, String server, String address, int ordinal, int slot, int weight,
        boolean backup, boolean down, String origin, double share, boolean up, List<ReasonView> reasons, double ramp, AdminView admin,
        ProbeStateView probe, long picks, long failures, long inflight, int passiveFails) {
    /**
     * Why it gets no traffic.
     *
     * @param reason      admin, probe, quorum or passive
     * @param remainingMs until it runs out unless renewed; -1 for none
     */
    public record ReasonView(String reason, long remainingMs) {}

    /**
     * An operator's decision.
     *
     * @param kind        drain or maintenance
     * @param remainingMs until it ends by itself; -1 for never
     * @param note        the operator's words
     */
    public record AdminView(String kind, long remainingMs, String note) {}

    /**
     * What the probes say.
     *
     * @param state       up, falling, down, rising; unknown before the first answer
     * @param successes   in a row
     * @param failures    in a row
     * @param last        success, failure, not_made, or none before the first
     * @param detail      what was wrong with the last
     * @param latencyMs   of the last
     * @param ageMs       since the last; -1 before the first
     * @param transitions between up and down, since the agent started
     */
    public record ProbeStateView(String state, int successes, int failures, String last, String detail,
            double latencyMs, long ageMs, long transitions) {}

    /** The address, made different for a server and address that the upstream lists again. */
    public String label() {
        return ordinal == 0 ? address : address + "#" + ordinal;
    }
}
