package io.atoll.agent.zone;

import java.util.concurrent.TimeUnit;

import io.atoll.agent.metrics.ProbeMetrics;
import io.atoll.agent.probe.Probe;
import io.atoll.agent.probe.ProbeOutcome;
import io.atoll.core.liveness.Lease;
import io.atoll.core.liveness.PeerHealth;
import io.atoll.core.liveness.ProbeSchedule;
import io.atoll.core.zone.Peer;
import io.netty.channel.EventLoop;
import io.netty.util.concurrent.Future;

/**
 * Probes one peer as its schedule says, counts the outcomes, and tells its verdict at once. On the agent's event loop.
 */
final class PeerMonitor {
    /** Who hears of the first result and of each that changes the verdict. */
    interface Listener {
        void heard(PeerMonitor monitor, PeerHealth.Transition transition, long nowMs);
    }

    private final Peer peer;
    private final Probe probe;
    private final PeerHealth health;
    private final ProbeSchedule schedule;
    private final Lease lease;
    private final AgentContext context;
    private final ProbeMetrics.OfPeer metrics;
    private final Listener listener;
    private final long intervalMs;

    private Future<?> next;
    private long dueMs;
    private ProbeOutcome last;
    private long lastMs;
    private boolean stopped;

    PeerMonitor(Peer peer, Probe probe, PeerHealth health, ProbeSchedule schedule, long intervalMs, Lease lease,
            AgentContext context, ProbeMetrics.OfPeer metrics, Listener listener) {
        this.peer = peer;
        this.probe = probe;
        this.health = health;
        this.schedule = schedule;
        this.intervalMs = intervalMs;
        this.lease = lease;
        this.context = context;
        this.metrics = metrics;
        this.listener = listener;
    }

    /** The first probe comes within one interval; at once for a peer that starts down, whose verdict will run out. */
    void start() {
        long now = context.nowMs();
        at(health.isUp() ? schedule.firstMs(now, context.random()) : now, now);
    }

    void stop() {
        stopped = true;
        if (next != null) {
            next.cancel(false);
        }
        probe.close();
        metrics.remove();
    }

    private void at(long timeMs, long now) {
        dueMs = timeMs;
        EventLoop loop = context.loop();
        next = loop.schedule(this::begin, Math.max(0, timeMs - now), TimeUnit.MILLISECONDS);
    }

    /** A probe that is due since longer than an interval was held up with all others: they are spread again. */
    private void begin() {
        long now = context.nowMs();
        if (now - dueMs > Math.max(intervalMs, 1000)) {
            at(schedule.firstMs(now, context.random()), now);
            return;
        }
        probe.start(outcome -> ended(outcome, now));
    }

    private void ended(ProbeOutcome outcome, long startedMs) {
        if (stopped) {
            return;
        }
        long now = context.nowMs();
        last = outcome;
        lastMs = now;
        metrics.probed(outcome);
        boolean counts = outcome.result() != ProbeOutcome.Result.NOT_MADE;
        boolean first = counts && !health.hasResult();
        PeerHealth.Transition transition = counts ? health.onResult(outcome.isSuccess(), now) : PeerHealth.Transition.NONE;
        // first: whatever becomes of the verdict, it is not the last
        at(schedule.nextMs(health, startedMs, now, context.random()), now);
        if (transition != PeerHealth.Transition.NONE) {
            metrics.transition(transition == PeerHealth.Transition.WENT_UP);
        }
        if (first || transition != PeerHealth.Transition.NONE) {
            listener.heard(this, transition, now);
        }
    }

    Peer peer() {
        return peer;
    }

    PeerHealth health() {
        return health;
    }

    /** The probe word that the results so far justify: the end of the lease, or 0. */
    long word(long nowMs) {
        return lease.word(health, nowMs);
    }

    /** Null before the first. */
    ProbeOutcome last() {
        return last;
    }

    /** When the last probe ended. */
    long lastMs() {
        return lastMs;
    }
}
