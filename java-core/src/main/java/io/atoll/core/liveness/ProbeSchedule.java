package io.atoll.core.liveness;

import java.util.random.RandomGenerator;

/**
 * When to probe a peer next.
 *
 * <p>From the start of one probe to the start of the next: the interval while it is up; a quarter of it (at least
 * {@value #MIN_FAST_MS} ms) while it is changing, from the first contrary result to the transition; one and a half of it
 * while it is down. Each with {@value #JITTER_PERCENT} % of jitter either way, so that agents and peers do not fall into step. A
 * probe never starts before the one before has ended.
 *
 * <p>Hence, with interval P and timeout T, a peer that turns black is noticed within {@code 1.1 P + fall × T}, or
 * {@code (1.1 + 0.28 (fall − 1)) P + T} when T is short: less than {@code fall × P + T}; and one that is well again within
 * {@code (1.65 + 0.28 (rise − 1)) P}: for the default rise of 2, less than {@code rise × P}.
 */
public final class ProbeSchedule {
    /** Shortest time between two probes of a changing peer, milliseconds. */
    public static final long MIN_FAST_MS = 50;
    /** Jitter, either way. */
    public static final int JITTER_PERCENT = 10;

    private final long intervalMs;

    /** With the interval between two probes of an up peer, milliseconds, 1 or more. */
    public ProbeSchedule(long intervalMs) {
        if (intervalMs < 1) {
            throw new IllegalArgumentException("interval is " + intervalMs + " ms, expected 1 or more");
        }
        this.intervalMs = intervalMs;
    }

    /** When to probe a peer for the first time: at random within one interval, so that a large pool is spread over it. */
    public long firstMs(long nowMs, RandomGenerator random) {
        return nowMs + random.nextLong(intervalMs);
    }

    /**
     * When to probe next.
     *
     * @param startedMs when the last probe started
     * @param nowMs when it ended: its result is in {@code health}
     */
    public long nextMs(PeerHealth health, long startedMs, long nowMs, RandomGenerator random) {
        return Math.max(nowMs, startedMs + jitter(pauseMs(health, nowMs), random));
    }

    private long pauseMs(PeerHealth health, long nowMs) {
        if (health.isChanging(nowMs)) {
            return Math.min(intervalMs, Math.max(MIN_FAST_MS, intervalMs / 4));
        }
        return health.isUp() ? intervalMs : intervalMs + intervalMs / 2;
    }

    private static long jitter(long ms, RandomGenerator random) {
        long most = ms * JITTER_PERCENT / 100;
        return ms - most + random.nextLong(2 * most + 1);
    }

    /** The longest time between the starts of two probes that end at once. */
    public long longestMs() {
        long pause = intervalMs + intervalMs / 2;
        return pause + pause * JITTER_PERCENT / 100;
    }
}
