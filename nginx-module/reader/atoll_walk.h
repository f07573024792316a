/*
 * The search for the next peer of a request: everything but a first choice that is simply eligible. Part of the
 * balancer; not for callers of the reader.
 */
#ifndef ATOLL_WALK_H
#define ATOLL_WALK_H

#include "atoll_balance.h"

typedef struct {
    atoll_balancer_t  *balancer;   /* with a usable table */
    atoll_walk_t      *walk;       /* ring, point and sequence are moved on */
    uint64_t           now;
    int                first;      /* first pick of the request: ramps count */
    int                peek;       /* only asking: no trial is taken, no weight moved */
    int                torn;       /* set when the table changed meanwhile: the answer means nothing */
    int                guarded;    /* set when a reason was ignored for the guard's sake */
    int                bounded;    /* bounds count: so it is until all peers of a ring are at theirs */
    int                over;       /* set when a peer was passed over that only its bound speaks against */
    int                summed;     /* inflight is */
    uint64_t           inflight;   /* requests at all peers of the upstream */
    uint32_t           passed;     /* peers passed over */
} atoll_search_t;

/* The next peer; its trial, if it takes one, is won. NULL when none is left in both rings, or torn. */
atoll_peer_t *atoll_search_next(atoll_search_t *search);

/*
 * The first servers of the primary ring for the walk's key that are eligible, did not fail of late, and do not leave the key
 * elsewhere in a ramp: at most limit of them, ATOLL_REPLICAS_LIMIT or less, one address each: where a name has
 * several they take turns. No trial is taken. Looks at REPLICA_LOOKS servers at most.
 */
uint32_t atoll_search_replicas(atoll_search_t *search, uint32_t limit, atoll_peer_t **peers);

/* 1 while the peer may take one more request for its bound, or the upstream has none. */
int atoll_walk_admits(atoll_balancer_t *balancer, atoll_walk_t *walk, const atoll_peer_t *peer, uint64_t now);

/* Words of the slot are about this peer (acquire). */
static inline int
atoll_peer_is_present(const atoll_peer_t *peer, const atoll_peer_state_record_t *state)
{
    return atomic_load_explicit(&state->incarnation, memory_order_acquire) == peer->incarnation;
}

#endif
