package io.atoll.core.lookup;

/**
 * Bounded load: a peer takes a request only while it holds less than its fair share of the upstream's requests in flight
 * times a factor; else the key passes on along the ring. Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded
 * Loads", SODA 2018 (arXiv 1608.01350). Twin: {@code atoll_bound_admits} in nginx-module/reader/atoll_bound.h.
 */
final class Bound {
    /** More requests in flight than this count as this. */
    static final long COUNTED = 0x3fffff;

    private Bound() {}

    /**
     * Whether a peer that holds {@code inflight} requests may take one more: {@code inflight + 1 <= ceil(percent / 100 ×
     * (total + 1) × weight / traffic)}. Exact: no product exceeds 63 bits.
     *
     * @param percent 101 to 1000
     * @param total requests in flight at all peers of the upstream
     * @param weight of the peer
     * @param traffic weight of all peers in traffic; 0: nobody is bound
     */
    static boolean admits(int percent, long inflight, long total, long weight, long traffic) {
        return Math.min(inflight, COUNTED) * 100 * traffic < percent * (Math.min(total, COUNTED) + 1) * weight;
    }
}
