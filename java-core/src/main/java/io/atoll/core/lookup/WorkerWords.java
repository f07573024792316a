package io.atoll.core.lookup;

/** What a worker also writes about peers. */
public interface WorkerWords extends PeerWords {
    /** Last failed request. */
    long accessedMs(int slot);

    /** Last failure, or first try after fail_timeout. */
    long checkedMs(int slot);

    /** Sets {@link #accessedMs}. */
    void setAccessedMs(int slot, long ms);

    /** Sets {@link #checkedMs}. */
    void setCheckedMs(int slot, long ms);

    /** Sets {@link #fails}. */
    void setFails(int slot, int fails);

    /** Sets {@link #rampStartMs}. */
    void setRampStartMs(int slot, long ms);

    /** Adds to {@link #inflight}. */
    void addInflight(int slot, int n);

    /** Requests at all peers of the upstream now. */
    long upstreamInflight();

    /** Sets the passive reason when it has the expected value. */
    boolean compareAndSetPassive(int slot, long expected, long value);
}
