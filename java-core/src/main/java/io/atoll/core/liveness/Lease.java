package io.atoll.core.liveness;

/**
 * How long a verdict stands.
 *
 * <p>A verdict runs out some time after the <em>result</em> that last confirmed it, not after it was last written. So an
 * agent that was stopped for a minute and goes on where it was can only write a lease that is over already: nothing that it
 * believed overrides what happened meanwhile. A healthy agent renews with each result, long before the end.
 */
public final class Lease {
    /** Default length, milliseconds. */
    public static final long DEFAULT_MS = 10_000;

    private final long lengthMs;

    /** A lease of the default length, or longer where results come too seldom for it. */
    public static Lease of(ProbeSchedule schedule, long timeoutMs) {
        return of(DEFAULT_MS, schedule, timeoutMs);
    }

    /**
     * A lease that outlives two missing results.
     *
     * @param lengthMs wanted length, milliseconds
     * @param schedule of the probes that confirm the verdict
     * @param timeoutMs of a probe
     */
    public static Lease of(long lengthMs, ProbeSchedule schedule, long timeoutMs) {
        return new Lease(Math.max(lengthMs, 3 * (schedule.longestMs() + timeoutMs)));
    }

    /** A lease of a length, milliseconds, 1 or more. */
    public Lease(long lengthMs) {
        if (lengthMs < 1) {
            throw new IllegalArgumentException("a lease of " + lengthMs + " ms, expected 1 or more");
        }
        this.lengthMs = lengthMs;
    }

    /** Milliseconds from the confirming result to the end. */
    public long lengthMs() {
        return lengthMs;
    }

    /** Until when a verdict stands that a result at {@code resultMs} confirmed. */
    public long untilMs(long resultMs) {
        return resultMs + lengthMs;
    }

    /** Whether a verdict confirmed at {@code resultMs} may still be written: it has not run out. */
    public boolean isFresh(long resultMs, long nowMs) {
        return nowMs < untilMs(resultMs);
    }

    /**
     * The word for a verdict: when it ends, or 0 for none when the peer is up or the result too old. Before the first
     * result it is 0 too: leave a word that an agent before wrote as it is until then, it runs out by itself.
     */
    public long word(PeerHealth health, long nowMs) {
        boolean stands = !health.isUp() && health.hasResult() && isFresh(health.lastResultMs(), nowMs);
        return stands ? untilMs(health.lastResultMs()) : 0;
    }
}
