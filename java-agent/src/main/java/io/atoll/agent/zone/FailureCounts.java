package io.atoll.agent.zone;

/**
 * Makes 64-bit counts of the 32-bit words that workers count failed tries in. The sum over rows, modulo 2^32, moves as
 * the true sum does, so it is enough to look at it before 2^32 more failures have come.
 */
final class FailureCounts {
    private final long[] totals;

    FailureCounts(int slots) {
        this.totals = new long[slots];
    }

    /** The total of a slot, given the sum of its words. */
    long total(int slot, long sum) {
        totals[slot] += sum - totals[slot] & 0xffffffffL;
        return totals[slot];
    }
}
