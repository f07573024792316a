package io.atoll.core.zone;

/**
 * What all workers counted, summed over their rows. Counts only ever grow over the life of a zone file, also from one
 * worker to the next; they start again at 0 with another file.
 */
public final class ZoneCounters {
    long torn;
    long rejected;
    long fallbacks;
    int workers;
    final OfUpstream[] upstreams;
    final long[] inflight;
    final long[] failures;
    final long[] picks;

    ZoneCounters(int upstreams, int slots) {
        this.upstreams = new OfUpstream[upstreams];
        inflight = new long[slots];
        failures = new long[slots];
        picks = new long[slots];
    }

    /**
     * What all workers counted for one upstream.
     *
     * @param requests requests that asked for a peer
     * @param picks peers given, retries included
     * @param retries picks after the first of a request
     * @param none requests told that no peer is left
     * @param passed peers passed over
     * @param panics picks made with the mass-failure guard on
     * @param failures failed tries
     * @param bounded picks that went past a peer at its bound; a row's word has 32 bits
     */
    public record OfUpstream(long requests, long picks, long retries, long none, long passed, long panics, long failures,
            long bounded) {}

    /** Lookups repeated because a table changed under them. */
    public long torn() {
        return torn;
    }

    /** Published tables that did not pass a worker's validation. */
    public long rejected() {
        return rejected;
    }

    /** Picks by stock round robin, for want of a usable table. */
    public long fallbacks() {
        return fallbacks;
    }

    /** Rows that belong to a living worker. */
    public int workers() {
        return workers;
    }

    /** Counts of an upstream by its index. */
    public OfUpstream upstream(int index) {
        return upstreams[index];
    }

    /** Requests at a slot now, over the rows of living workers. */
    public long inflight(int slot) {
        return inflight[slot];
    }

    /** Failed tries at a slot. A row's word has 32 bits: with more than 4 billion in one row, the sum is less. */
    public long failures(int slot) {
        return failures[slot];
    }

    /** Times a slot was given, retries included. */
    public long picks(int slot) {
        return picks[slot];
    }
}
