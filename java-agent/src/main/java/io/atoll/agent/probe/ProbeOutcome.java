package io.atoll.agent.probe;

/**
 * What a probe found.
 *
 * @param result       the answer
 * @param detail       a few words for people: "status 503", "connection refused"; empty for a success
 * @param latencyNanos from its start to the answer
 */
public record ProbeOutcome(Result result, String detail, long latencyNanos) {
    /** What it says about the peer. */
    public enum Result {
        /** The peer answered as expected. */
        SUCCESS,
        /** It did not. */
        FAILURE,
        /** The probe could not be made here (no descriptors, no local port): says nothing about the peer. */
        NOT_MADE
    }

    public boolean isSuccess() {
        return result == Result.SUCCESS;
    }
}
