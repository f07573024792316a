package io.atoll.core.lookup;

import io.atoll.core.zone.Reason;

/**
 * What a walk reads about peers, by slot: from a zone, or from plain arrays. Times are CLOCK_MONOTONIC milliseconds,
 * unsigned.
 */
public interface PeerWords {
    /** Changes whenever the slot is given to another peer. */
    long incarnation(int slot);

    /** Until when a reason stands. */
    long reason(int slot, Reason reason);

    /** When the present ramp began; 0 none. */
    long rampStartMs(int slot);

    /** When the peer was last taken out of traffic by an operator, let back, or found well again; 0 never. */
    long changedMs(int slot);

    /** Until when no worker asks the peer for a copy of before, since such a question failed; 0 none failed. */
    long avoidUntilMs(int slot);

    /** Failed requests since the last success, unsigned. */
    int fails(int slot);

    /** Requests at the peer now. */
    long inflight(int slot);
}
