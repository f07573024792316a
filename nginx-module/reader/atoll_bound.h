/*
 * Bounded load: a peer takes a request only while it holds less than its fair share of the upstream's requests in flight
 * times a factor; else the key passes on along the ring. Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with
 * Bounded Loads", SODA 2018 (arXiv 1608.01350); HAProxy has it as hash-balance-factor.
 * Twin: io.atoll.core.lookup.Bound.
 */
#ifndef ATOLL_BOUND_H
#define ATOLL_BOUND_H

#include <stdint.h>

/* More requests in flight than this count as this: 64 workers of 65,535 connections each have fewer. */
#define ATOLL_BOUND_COUNTED  UINT64_C(0x3fffff)

/*
 * 1 when a peer that holds inflight requests may take one more: inflight + 1 <= ceil(percent / 100 x (total + 1) x weight /
 * traffic), which without a division is the comparison below. Exact: with the counts capped, percent up to 1000 and
 * weights up to 2^31 - 1 no product exceeds 63 bits.
 *
 *   total    requests in flight at all peers of the upstream
 *   weight   of the peer
 *   traffic  weight of all peers in traffic; 0: nobody is bound
 */
static inline int
atoll_bound_admits(uint32_t percent, uint64_t inflight, uint64_t total, uint64_t weight, uint64_t traffic)
{
    inflight = inflight < ATOLL_BOUND_COUNTED ? inflight : ATOLL_BOUND_COUNTED;
    total = total < ATOLL_BOUND_COUNTED ? total : ATOLL_BOUND_COUNTED;

    return inflight * 100 * traffic < percent * (total + 1) * weight;
}

#endif
