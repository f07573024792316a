package io.atoll.core.liveness;

/**
 * How a peer that comes back, or joins, takes its keys over: over {@code atoll_slow_start}, key by key, chosen by the key's
 * hash, so that each key moves once. The rule that workers follow at each pick, and the rule for when one begins.
 */
public final class Ramp {
    private static final int SPREAD = 0x9E3779B1;

    private Ramp() {}

    /**
     * Whether a peer's ramp is under way.
     *
     * @param rampStartMs when it began; 0: none
     * @param slowStartMs {@code atoll_slow_start}; 0: off
     */
    public static boolean isRamping(long rampStartMs, long slowStartMs, long nowMs) {
        return rampStartMs != 0 && slowStartMs > 0 && nowMs - rampStartMs >= 0 && nowMs - rampStartMs < slowStartMs;
    }

    /** Whether a ramping peer already takes a key: {@code (uint32)(hash × 0x9E3779B1) / 2^32 < elapsed / slowStart}. */
    public static boolean takes(int hash, long rampStartMs, long slowStartMs, long nowMs) {
        long place = Integer.toUnsignedLong(hash * SPREAD);
        return place * slowStartMs < nowMs - rampStartMs << 32;
    }

    /** The share of its keys that a peer takes, 0 to 1. */
    public static double share(long rampStartMs, long slowStartMs, long nowMs) {
        return isRamping(rampStartMs, slowStartMs, nowMs) ? (double) (nowMs - rampStartMs) / slowStartMs : 1;
    }

    /**
     * The {@code ramp_start_ms} of a peer that is back just now: the present, or 0 for no ramp. There is none when slow
     * start is off, and none when nobody else serves in full: then others could not take its keys meanwhile, and a whole
     * pool that starts, or comes back together, serves at once.
     *
     * @param servingInFull other peers of its ring that are eligible and not in a ramp
     */
    public static long begin(long slowStartMs, int servingInFull, long nowMs) {
        return slowStartMs > 0 && servingInFull > 0 ? Math.max(1, nowMs) : 0;
    }
}
