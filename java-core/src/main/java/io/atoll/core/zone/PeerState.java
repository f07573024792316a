package io.atoll.core.zone;

/**
 * The words of a slot at about one moment; milliseconds are of CLOCK_MONOTONIC, unsigned.
 *
 * @param incarnation of the slot; the other words mean something for the same number only
 * @param admin until when the operator's reason stands; 0 never, FOREVER always
 * @param probe until when the probes' reason stands
 * @param quorum until when the agents' common reason stands
 * @param passive until when the workers' reason stands
 * @param rampStartMs when the present ramp began; 0 none
 * @param changedMs when an operator took the peer out of traffic or let it back, or a probe or quorum verdict was lifted;
 *     0 never
 * @param accessedMs last failed request
 * @param checkedMs last failure, or first try after fail_timeout
 * @param fails failed requests since the last success
 * @param avoidUntilMs until when no worker asks the peer for a copy of before, since such a question failed; 0 none failed
 */
public record PeerState(long incarnation, long admin, long probe, long quorum, long passive, long rampStartMs,
        long changedMs, long accessedMs, long checkedMs, int fails, long avoidUntilMs) {
    /** Until when a reason stands. */
    public long until(Reason reason) {
        return switch (reason) {
            case ADMIN -> admin;
            case PROBE -> probe;
            case QUORUM -> quorum;
            case PASSIVE -> passive;
        };
    }

    /** Whether a reason stands at a time. */
    public boolean stands(Reason reason, long nowMs) {
        return Long.compareUnsigned(until(reason), nowMs) > 0;
    }

    /** Whether any reason stands at a time. */
    public boolean standsAny(long nowMs) {
        for (Reason reason : Reason.values()) {
            if (stands(reason, nowMs)) {
                return true;
            }
        }
        return false;
    }
}
