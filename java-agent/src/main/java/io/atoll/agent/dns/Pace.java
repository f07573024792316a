package io.atoll.agent.dns;

/**
 * So many a second and no more, after a few at once: a bucket of tokens, as its virtual clock (ITU-T I.371, GCRA). Times are nanoseconds of one clock that
 * only grows. One thread.
 */
final class Pace {
    private static final long SECOND = 1_000_000_000;

    private final long gapNs;
    private final long slackNs;
    private long nextNs;

    /**
     * @param rate   a second
     * @param atOnce after a pause
     */
    Pace(int rate, int atOnce, long nowNs) {
        this.gapNs = SECOND / rate;
        this.slackNs = gapNs * (atOnce - 1);
        this.nextNs = nowNs;
    }

    /** How long the next one has to wait, behind those that wait already; 0: it may go now. It has its place in any case. */
    long place(long nowNs) {
        long idealNs = nextNs - nowNs > 0 ? nextNs : nowNs;
        nextNs = idealNs + gapNs;
        return Math.max(0, idealNs - slackNs - nowNs);
    }
}
