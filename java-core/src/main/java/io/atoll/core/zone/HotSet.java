package io.atoll.core.zone;

/**
 * The hot keys of an upstream. A key is known by its CRC-32: another key with the same one counts as hot too.
 *
 * @param untilMs CLOCK_MONOTONIC milliseconds until which the set stands
 * @param hashes CRC-32 of each key
 * @param replicas how many peers may serve it, up to {@code ZoneLayout.REPLICAS_LIMIT}; 1 in a tier of a route; 0: no entry
 */
public record HotSet(long untilMs, int[] hashes, int[] replicas) {
    /** Whether no key is hot. */
    public boolean isEmpty() {
        for (int count : replicas) {
            if (count > 0) {
                return false;
            }
        }
        return true;
    }

    /** How many peers may serve a key; 0 for one that is not hot. Lookup of the workers: atoll_hot_replicas. */
    public int replicasOf(int hash, long nowMs) {
        long left = untilMs - nowMs;
        for (int i = 0; i < hashes.length && left > 0 && left <= ZoneLayout.HOT_LEASE_LIMIT_MS; i++) {
            if (hashes[i] == hash && replicas[i] > 0) {
                return replicas[i];
            }
        }
        return 0;
    }
}
