/*
 * Hot keys: workers leave samples of the keys that are asked for in their row; the agent finds the few that many ask for
 * and publishes them as the upstream's hot set, each with the number of peers that may serve it.
 *
 * A key is known by its CRC-32: another key with the same one is taken for hot too, which costs nothing but its second
 * owners. The set is a lease: when the agent dies, it runs out and each key is back with its owner. No lock; each entry is
 * one word, so a reader meets entries that were there before or after a change, never a mixture.
 */
#ifndef ATOLL_HOT_H
#define ATOLL_HOT_H

#include "atoll_balance.h"
#include "atoll_read.h"

/* Leaves a key in the worker's row, over the oldest there. One writer. */
static inline void
atoll_sample(const atoll_row_t *row, uint32_t upstream, uint32_t hash)
{
    uint64_t sampled = atoll_relaxed(row->head->sampled);

    atoll_set(row->head->samples[sampled % ATOLL_SAMPLE_CAPACITY], (uint64_t) upstream << 32 | hash);
    atomic_store_explicit(&row->head->sampled, sampled + 1, memory_order_release);
}

/* As atoll_hot_replicas, of a key whose bit in the filter is set. Looks at ATOLL_HOT_CAPACITY words. */
uint32_t atoll_hot_find(const atoll_hot_set_record_t *set, uint32_t hash, uint64_t now_ms);

/*
 * How many peers may serve a key: 0 for one that is not hot, else 1 to ATOLL_REPLICAS_LIMIT, whatever the zone says. One
 * load and a test for nearly all keys. now_ms: CLOCK_MONOTONIC milliseconds.
 */
static inline uint32_t
atoll_hot_replicas(const atoll_hot_set_record_t *set, uint32_t hash, uint64_t now_ms)
{
    if ((atoll_relaxed(set->filter) >> (hash >> 26) & 1) == 0) {
        return 0;
    }

    return atoll_hot_find(set, hash, now_ms);
}

/*
 * Counts a pick, of any key, at its peer. The count halves with each period of 1,024 ms of now_ms, the same for all peers, so it
 * stands for the picks of the last two seconds or so. Units of 1 / ATOLL_LATELY.
 */
#define ATOLL_LATELY         256
#define ATOLL_LATELY_PERIOD  10

static inline uint64_t
atoll_lately(const atoll_peer_t *peer, uint64_t now_ms)
{
    uint64_t periods = (now_ms >> ATOLL_LATELY_PERIOD) - peer->lately_until;

    return periods < 64 ? peer->lately >> periods : 0;
}

static inline void
atoll_count_lately(atoll_peer_t *peer, uint64_t now_ms)
{
    peer->lately = atoll_lately(peer, now_ms) + ATOLL_LATELY;
    peer->lately_until = now_ms >> ATOLL_LATELY_PERIOD;
}

/*
 * The peer for the first pick of a hot key: the first `replicas` eligible peers along the primary ring, two of them at
 * random, and of these the one that this worker picked less often lately for its weight, so that hot keys make up for what the
 * ring and the other keys leave uneven. One with more than twice the other's requests in flight for its weight, over all workers, is
 * passed over whatever it got: it is slow (M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
 *
 * Sets walk->point to the owner's, from where retries go on. NULL when fewer than two are eligible, or the table changed: the
 * caller goes on as for any key. The balancer's table is usable.
 */
atoll_peer_t *atoll_hot_pick(atoll_balancer_t *balancer, atoll_walk_t *walk, uint32_t replicas, uint64_t now_ms);

#endif
