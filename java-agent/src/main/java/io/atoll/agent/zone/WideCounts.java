package io.atoll.agent.zone;

import java.util.Arrays;

/**
 * Makes 64-bit counts of the 32-bit words that workers count in. The sum over rows, modulo 2^32, moves as the true sum does, so it is enough to look at it before
 * 2^32 more have come. What the words lost before the first look is not known.
 */
final class WideCounts {
    private static final long NEVER = -1;

    private final long[] totals;

    /** @param places that have a count each */
    WideCounts(int places) {
        this.totals = new long[places];
        Arrays.fill(totals, NEVER);
    }

    /** The total of a place, given the sum of its words. */
    long total(int place, long sum) {
        totals[place] = totals[place] == NEVER ? sum : totals[place] + (sum - totals[place] & 0xffffffffL);
        return totals[place];
    }
}
