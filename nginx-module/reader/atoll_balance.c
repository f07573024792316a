#include "atoll_balance.h"

#include <string.h>

#include "atoll_hot.h"
#include "atoll_walk.h"

/* How often a table that changes under the reader is tried before the request goes without. */
#define ATTEMPTS        3


/* Kept out of the way of what every request runs through. */
#define RARELY  __attribute__((noinline, cold))

static atoll_peer_t *hot_choice(atoll_balancer_t *balancer, atoll_walk_t *walk, uint64_t now);
static inline atoll_peer_t *first_choice(const atoll_balancer_t *balancer, uint32_t hash, uint64_t now, uint32_t *point);
static const atoll_peer_t *owner_by_search(atoll_balancer_t *balancer, uint32_t hash, uint64_t now, int unguarded) RARELY;
static int pick_by_search(atoll_balancer_t *balancer, atoll_walk_t *walk, uint64_t now) RARELY;
static void give_first(const atoll_balancer_t *balancer, atoll_walk_t *walk, atoll_peer_t *peer);
static void give(atoll_balancer_t *balancer, atoll_walk_t *walk, atoll_peer_t *peer);
static void count_at_upstream(const atoll_balancer_t *balancer, atoll_walk_t *walk);
static int walk_reserve(atoll_walk_t *walk);
static void done_failed(atoll_balancer_t *balancer, const atoll_walk_t *walk, atoll_peer_t *peer, uint64_t now) RARELY;
static void peer_failed(atoll_peer_t *peer, atoll_peer_state_record_t *state, uint64_t now);
static void peer_succeeded(const atoll_balancer_t *balancer, const atoll_peer_t *peer, atoll_peer_state_record_t *state,
                           uint64_t now) RARELY;


void
atoll_walk_init(atoll_walk_t *walk, uint32_t hash, int keyed)
{
    walk->hash = hash;
    walk->ring = ATOLL_RING_PRIMARY;
    walk->point = 0;
    walk->sequence = 0;
    walk->peer = NULL;
    walk->picks = 0;
    walk->tried_count = 0;
    walk->tried_capacity = ATOLL_TRIED_INLINE;
    walk->tried = NULL;
    walk->keyed = keyed;
    walk->unguarded = 0;
    walk->owner_only = 0;
    walk->asked = 0;
    walk->counted = ATOLL_COUNTED_NOWHERE;
}


void
atoll_walk_again(atoll_walk_t *walk)
{
    if (walk->tried_count != 0 && walk->picks != 0) {
        walk->tried_count--;
        walk->picks--;
    }
}


int
atoll_pick(atoll_balancer_t *balancer, atoll_walk_t *walk, uint64_t now_ms)
{
    uint64_t       published;
    atoll_peer_t  *peer;

    if (!walk->asked && balancer->usable && walk->keyed) {
        published = atomic_load_explicit(&balancer->zone->upstreams[balancer->upstream].published,
                                         memory_order_acquire);

        if (published == balancer->published) {
            peer = balancer->hot != NULL && !walk->owner_only ? hot_choice(balancer, walk, now_ms) : NULL;

            if (peer != NULL) {
                give_first(balancer, walk, peer);
                count_at_upstream(balancer, walk);
                atoll_count_lately(peer, now_ms);
                return ATOLL_PICK_OK;
            }

            peer = balancer->bound_percent == 0 ? first_choice(balancer, walk->hash, now_ms, &walk->point) : NULL;

            if (peer != NULL && atoll_table_is_current(&balancer->table)) {
                if (peer->effective_weight < peer->weight) {
                    peer->effective_weight++;
                }

                give_first(balancer, walk, peer);

                if (balancer->hot != NULL) {
                    atoll_count_lately(peer, now_ms);
                }

                return ATOLL_PICK_OK;
            }
        }
    }

    return pick_by_search(balancer, walk, now_ms);
}


/* Samples the key; the peer when it is hot. One at its bound leaves the key to the search. */
static inline atoll_peer_t *
hot_choice(atoll_balancer_t *balancer, atoll_walk_t *walk, uint64_t now)
{
    uint32_t       replicas;
    atoll_peer_t  *peer;

    atoll_sample(&balancer->row, balancer->upstream, walk->hash);

    replicas = atoll_hot_replicas(balancer->hot, walk->hash, now);

    peer = replicas > 1 ? atoll_hot_pick(balancer, walk, replicas, now) : NULL;

    return peer == NULL || atoll_walk_admits(balancer, walk, peer, now) ? peer : NULL;
}


/*
 * What nearly all requests get: the owner of the key, the only address of its name, against which no word says anything.
 * NULL: it takes a search.
 */
static inline atoll_peer_t *
first_choice(const atoll_balancer_t *balancer, uint32_t hash, uint64_t now, uint32_t *point)
{
    uint32_t                          group, index;
    atoll_peer_t                     *peer;
    const atoll_ring_t               *ring = &balancer->table.ring[ATOLL_RING_PRIMARY];
    const atoll_peer_state_record_t  *state;

    *point = atoll_ring_find(ring, hash);

    if (*point == ATOLL_NO_POINT) {
        return NULL;
    }

    group = atoll_read32(&ring->points[*point].group);

    if (group >= ring->group_count) {
        return NULL;
    }

    index = atoll_read32(&balancer->table.groups[group].first_peer);

    if (index >= ring->peer_count || atoll_read32(&balancer->table.groups[group].peer_count) != 1) {
        return NULL;
    }

    peer = balancer->peers[index];
    state = &balancer->zone->states[peer->slot];

    if ((peer->flags & ATOLL_PEER_FLAG_DOWN) || peer->max_conns != 0
        || !atoll_peer_is_present(peer, state)
        || (atoll_relaxed(state->reason[ATOLL_REASON_ADMIN]) | atoll_relaxed(state->reason[ATOLL_REASON_PROBE])
            | atoll_relaxed(state->reason[ATOLL_REASON_QUORUM]) | atoll_relaxed(state->reason[ATOLL_REASON_PASSIVE])) != 0
        || now - atoll_relaxed(state->ramp_start_ms) < balancer->slow_start_ms
        || atoll_relaxed(state->fails) != 0)
    {
        return NULL;
    }

    return peer;
}


static int
pick_by_search(atoll_balancer_t *balancer, atoll_walk_t *walk, uint64_t now)
{
    atoll_peer_t                 *peer;
    atoll_search_t                search;
    atoll_row_upstream_record_t  *counters = &balancer->row.upstreams[balancer->upstream];

    walk->peer = NULL;

    if (!walk->asked && balancer->upstream < balancer->zone->upstream_count) {
        atoll_add(counters->requests, 1);
    }

    walk->asked = 1;

    for (int attempt = 0; attempt < ATTEMPTS && atoll_balancer_refresh(balancer); attempt++) {
        memset(&search, 0, sizeof(search));
        search.balancer = balancer;
        search.walk = walk;
        search.now = now;
        search.first = walk->picks == 0;

        peer = walk_reserve(walk) ? atoll_search_next(&search) : NULL;

        if (search.torn) {
            atoll_add(balancer->row.head->torn, 1);
            continue;
        }

        atoll_add(counters->passed, search.passed);

        if (peer == NULL) {
            atoll_add(counters->none, 1);
            return ATOLL_PICK_NONE;
        }

        atoll_add(counters->panics, search.guarded);
        atoll_add(counters->bounded, search.bounded && search.over);
        give(balancer, walk, peer);

        if (balancer->hot != NULL) {
            atoll_count_lately(peer, now);
        }

        return ATOLL_PICK_OK;
    }

    atoll_add(balancer->row.head->fallbacks, 1);

    return ATOLL_PICK_FALLBACK;
}


/* As give(), of a walk that just begins. */
static inline void
give_first(const atoll_balancer_t *balancer, atoll_walk_t *walk, atoll_peer_t *peer)
{
    atoll_row_upstream_record_t  *counters = &balancer->row.upstreams[balancer->upstream];
    atoll_row_peer_record_t      *at_peer = &balancer->row.peers[peer->slot];

    walk->sequence = balancer->table.sequence;
    walk->peer = peer;
    walk->picks = 1;
    walk->tried_count = 1;
    walk->tried_inline[0] = peer->slot;
    walk->asked = 1;
    walk->counted = ATOLL_COUNTED_AT_PEER;

    atoll_add(counters->requests, 1);
    atoll_add(counters->picks, 1);
    atoll_add(at_peer->inflight, 1);
    atoll_add(at_peer->picks, 1);
}


/* Counts the pick and remembers it. Room for it is there. */
static void
give(atoll_balancer_t *balancer, atoll_walk_t *walk, atoll_peer_t *peer)
{
    uint32_t                     *tried = walk->tried != NULL ? walk->tried : walk->tried_inline;
    atoll_row_upstream_record_t  *counters = &balancer->row.upstreams[balancer->upstream];
    atoll_row_peer_record_t      *at_peer = &balancer->row.peers[peer->slot];

    tried[walk->tried_count++] = peer->slot;
    walk->peer = peer;

    atoll_add(counters->picks, 1);

    if (walk->picks++ != 0) {
        atoll_add(counters->retries, 1);
    }

    walk->counted = ATOLL_COUNTED_NOWHERE;

    if (atoll_peer_is_present(peer, &balancer->zone->states[peer->slot])) {
        atoll_add(at_peer->inflight, 1);
        atoll_add(at_peer->picks, 1);
        walk->counted = ATOLL_COUNTED_AT_PEER;

        count_at_upstream(balancer, walk);
    }
}


/* Only for the bound: others do without the word. */
static inline void
count_at_upstream(const atoll_balancer_t *balancer, atoll_walk_t *walk)
{
    if (balancer->bound_percent != 0) {
        atoll_add(balancer->row.upstreams[balancer->upstream].inflight, 1);
        walk->counted = ATOLL_COUNTED_AT_UPSTREAM;
    }
}


int
atoll_give(atoll_balancer_t *balancer, atoll_walk_t *walk, const atoll_peer_t *peer)
{
    atoll_peer_t *met = peer->slot - balancer->met_first < balancer->met_count
                        ? balancer->met[peer->slot - balancer->met_first] : NULL;

    if (met != peer || !atoll_peer_is_present(met, &balancer->zone->states[met->slot]) || !walk_reserve(walk)) {
        return 0;
    }

    if (!walk->asked) {
        atoll_add(balancer->row.upstreams[balancer->upstream].requests, 1);
        walk->asked = 1;
    }

    give(balancer, walk, met);

    return 1;
}


static int
walk_reserve(atoll_walk_t *walk)
{
    uint32_t *tried;

    if (walk->tried_count < walk->tried_capacity) {
        return 1;
    }

    tried = walk->allocate != NULL ? walk->allocate(2 * walk->tried_capacity * sizeof(uint32_t), walk->data) : NULL;

    if (tried == NULL) {
        return 0;
    }

    memcpy(tried, walk->tried != NULL ? walk->tried : walk->tried_inline, walk->tried_count * sizeof(uint32_t));
    walk->tried = tried;
    walk->tried_capacity *= 2;

    return 1;
}


/* Never below 0, whatever the zone says. */
static inline void
count_out(_Atomic uint32_t *word)
{
    uint32_t inflight = atoll_relaxed(*word);

    atoll_set(*word, inflight != 0 ? inflight - 1 : 0);
}


void
atoll_done(atoll_balancer_t *balancer, atoll_walk_t *walk, uint64_t now_ms, int outcome)
{
    atoll_peer_t               *peer = walk->peer;
    atoll_row_peer_record_t    *at_peer;
    atoll_peer_state_record_t  *state;

    if (peer == NULL) {
        return;
    }

    walk->peer = NULL;
    at_peer = &balancer->row.peers[peer->slot];
    state = &balancer->zone->states[peer->slot];

    if (walk->counted) {
        count_out(&at_peer->inflight);

        if (walk->counted == ATOLL_COUNTED_AT_UPSTREAM) {
            count_out(&balancer->row.upstreams[balancer->upstream].inflight);
        }
    }

    if (outcome == ATOLL_DONE_FAILED) {
        done_failed(balancer, walk, peer, now_ms);

    } else if (outcome == ATOLL_DONE_SUCCEEDED && atoll_relaxed(state->fails) != 0 && !balancer->table.single) {
        peer_succeeded(balancer, peer, state, now_ms);
    }
}


static void
done_failed(atoll_balancer_t *balancer, const atoll_walk_t *walk, atoll_peer_t *peer, uint64_t now)
{
    atoll_add(balancer->row.upstreams[balancer->upstream].failures, 1);

    if (walk->counted) {
        atoll_add(balancer->row.peers[peer->slot].failures, 1);
    }

    if (!balancer->table.single) {
        peer_failed(peer, &balancer->zone->states[peer->slot], now);
    }
}


/*
 * The slot may be given to another peer between the look at its incarnation and the write; then the word that would keep
 * that one from traffic is taken back.
 */
static void
peer_failed(atoll_peer_t *peer, atoll_peer_state_record_t *state, uint64_t now)
{
    uint32_t  fails;
    uint64_t  passive, until = now + peer->fail_timeout_ms;

    if (peer->max_fails != 0) {
        peer->effective_weight -= (int32_t) ((uint32_t) peer->weight / peer->max_fails);
        peer->effective_weight = peer->effective_weight < 0 ? 0 : peer->effective_weight;
    }

    passive = atoll_relaxed(state->reason[ATOLL_REASON_PASSIVE]);

    if (!atoll_peer_is_present(peer, state)) {
        return;
    }

    fails = atomic_fetch_add_explicit(&state->fails, 1, memory_order_relaxed) + 1;
    atoll_set(state->accessed_ms, now);
    atoll_set(state->checked_ms, now);

    if (peer->max_fails == 0 || fails < peer->max_fails) {
        return;
    }

    if (atomic_compare_exchange_strong(&state->reason[ATOLL_REASON_PASSIVE], &passive, until)
        && !atoll_peer_is_present(peer, state))
    {
        atomic_compare_exchange_strong(&state->reason[ATOLL_REASON_PASSIVE], &until, 0);
    }
}


/* A success after the first try of a failed peer ends the reason; its share comes back as a ramp, if not in one already. */
static void
peer_succeeded(const atoll_balancer_t *balancer, const atoll_peer_t *peer, atoll_peer_state_record_t *state, uint64_t now)
{
    uint64_t start, passive = atoll_relaxed(state->reason[ATOLL_REASON_PASSIVE]);

    if (!atoll_peer_is_present(peer, state)
        || atoll_relaxed(state->accessed_ms) >= atoll_relaxed(state->checked_ms))
    {
        return;
    }

    if (passive != 0) {
        start = atoll_relaxed(state->ramp_start_ms);

        if (balancer->slow_start_ms != 0 && (start == 0 || now - start >= balancer->slow_start_ms)) {
            atoll_set(state->ramp_start_ms, now);
        }

        if (!atomic_compare_exchange_strong(&state->reason[ATOLL_REASON_PASSIVE], &passive, 0)) {
            return;
        }
    }

    atoll_set(state->fails, 0);
}


const atoll_peer_t *
atoll_owner(atoll_balancer_t *balancer, uint32_t hash, uint64_t now_ms, int unguarded)
{
    const atoll_peer_t *peer = atoll_undisputed_owner(balancer, hash, now_ms);

    return peer != NULL ? peer : owner_by_search(balancer, hash, now_ms, unguarded);
}


const atoll_peer_t *
atoll_undisputed_owner(atoll_balancer_t *balancer, uint32_t hash, uint64_t now_ms)
{
    uint32_t             point;
    const atoll_peer_t  *peer;

    if (!atoll_balancer_refresh(balancer)) {
        return NULL;
    }

    peer = first_choice(balancer, hash, now_ms, &point);

    return peer != NULL && atoll_table_is_current(&balancer->table) ? peer : NULL;
}


static const atoll_peer_t *
owner_by_search(atoll_balancer_t *balancer, uint32_t hash, uint64_t now_ms, int unguarded)
{
    atoll_walk_t         walk;
    atoll_search_t       search;
    const atoll_peer_t  *peer;

    for (int attempt = 0; attempt < ATTEMPTS && atoll_balancer_refresh(balancer); attempt++) {
        atoll_walk_init(&walk, hash, 1);
        walk.unguarded = unguarded;

        memset(&search, 0, sizeof(search));
        search.balancer = balancer;
        search.walk = &walk;
        search.now = now_ms;
        search.first = 1;
        search.peek = 1;

        peer = atoll_search_next(&search);

        if (!search.torn) {
            return peer;
        }
    }

    return NULL;
}
