#include "atoll_walk.h"

#include <string.h>

#include "atoll_eligible.h"

/* Points walked in vain before each peer of the ring is looked at once. */
#define VAIN_POINTS         32

/* Servers looked at for the replicas of a key. */
#define REPLICA_LOOKS       32

#define NO_GROUP            UINT32_MAX

static atoll_peer_t *search_rings(atoll_search_t *search);
static atoll_peer_t *search_within_bounds(atoll_search_t *search, const atoll_ring_t *ring);
static atoll_peer_t *search_peers(atoll_search_t *search, const atoll_ring_t *ring);
static void search_begin(atoll_search_t *search);
static atoll_peer_t *search_single(atoll_search_t *search);
static atoll_peer_t *search_ring(atoll_search_t *search, const atoll_ring_t *ring);
static int group_peers(atoll_search_t *search, const atoll_ring_t *ring, uint32_t group, uint32_t *first,
                       uint32_t *count);
static atoll_peer_t *take(atoll_search_t *search, uint32_t first, uint32_t count, atoll_ramp_filter_t filter, int *seen);
static atoll_peer_t *best_of(atoll_search_t *search, uint32_t first, uint32_t count, atoll_ramp_filter_t filter, int *seen);
static int win_trial(atoll_search_t *search, const atoll_peer_t *peer);
static void move_weights(atoll_search_t *search, uint32_t first, uint32_t count, atoll_ramp_filter_t filter,
                         atoll_peer_t *best);
static int is_any_eligible(atoll_search_t *search, const atoll_ring_t *ring, uint32_t except);


/* A request is told that nobody is left only by a guard that was worked out for its own millisecond. */
atoll_peer_t *
atoll_search_next(atoll_search_t *search)
{
    atoll_peer_t *peer;

    if (search->walk->sequence != search->balancer->table.sequence) {
        search_begin(search);
    }

    if (search->balancer->table.single) {
        return search_single(search);
    }

    peer = search_rings(search);

    if (peer == NULL && !search->torn && atoll_is_newly_guarded(search)) {
        search_begin(search);
        peer = search_rings(search);
    }

    if (peer == NULL && !atoll_table_is_current(&search->balancer->table)) {
        search->torn = 1;
    }

    return peer;
}


int
atoll_walk_admits(atoll_balancer_t *balancer, atoll_walk_t *walk, const atoll_peer_t *peer, uint64_t now)
{
    atoll_search_t search;

    if (balancer->bound_percent == 0) {
        return 1;
    }

    memset(&search, 0, sizeof(search));
    search.balancer = balancer;
    search.walk = walk;
    search.now = now;
    search.bounded = 1;

    return atoll_is_within_bound(&search, peer);
}


static atoll_peer_t *
search_rings(atoll_search_t *search)
{
    atoll_walk_t         *walk = search->walk;
    atoll_peer_t         *peer;
    const atoll_table_t  *table = &search->balancer->table;

    for ( ;; ) {
        peer = search_within_bounds(search, &table->ring[walk->ring]);

        if (peer != NULL || search->torn || walk->ring == ATOLL_RING_BACKUPS) {
            return peer;
        }

        walk->ring = ATOLL_RING_BACKUPS;
        walk->point = atoll_ring_find(&table->ring[ATOLL_RING_BACKUPS], walk->hash);
    }
}


/* When each peer that is left in the ring is at its bound, none of them is bound. */
static atoll_peer_t *
search_within_bounds(atoll_search_t *search, const atoll_ring_t *ring)
{
    int            first = search->first;
    uint32_t       point = search->walk->point;
    atoll_peer_t  *peer;

    search->over = 0;
    search->bounded = search->balancer->bound_percent != 0 && !search->peek;

    peer = search_peers(search, ring);

    if (peer == NULL && search->over && !search->torn) {
        search->bounded = 0;
        search->first = first;
        search->walk->point = point;

        peer = search_peers(search, ring);
    }

    return peer;
}


static atoll_peer_t *
search_peers(atoll_search_t *search, const atoll_ring_t *ring)
{
    int seen;

    return search->walk->keyed ? search_ring(search, ring)
                               : take(search, ring->first_peer, ring->peer_count, ATOLL_RAMP_ANY, &seen);
}


static void
search_begin(atoll_search_t *search)
{
    atoll_walk_t         *walk = search->walk;
    const atoll_table_t  *table = &search->balancer->table;

    walk->sequence = table->sequence;
    walk->ring = ATOLL_RING_PRIMARY;
    walk->point = atoll_ring_find(&table->ring[ATOLL_RING_PRIMARY], walk->hash);
}


uint32_t
atoll_search_replicas(atoll_search_t *search, uint32_t limit, atoll_peer_t **peers)
{
    int                               seen;
    uint32_t                          group, first, count, looked[REPLICA_LOOKS], looks = 0, replicas = 0;
    const atoll_ring_t               *ring = &search->balancer->table.ring[ATOLL_RING_PRIMARY];
    uint32_t                          point = atoll_ring_find(ring, search->walk->hash);
    atoll_peer_t                     *peer;
    const atoll_peer_state_record_t  *state;

    if (point == ATOLL_NO_POINT) {
        return 0;
    }

    for (uint32_t steps = 0; steps < ring->point_count; steps++, point = point + 1 < ring->point_count ? point + 1 : 0) {

        if (replicas == limit || looks == ring->group_count || looks == REPLICA_LOOKS) {
            break;
        }

        group = atoll_read32(&ring->points[point].group);
        count = looks;

        while (count != 0 && looked[count - 1] != group) {
            count--;
        }

        if (count != 0) {
            continue;
        }

        if (!group_peers(search, ring, group, &first, &count)) {
            return 0;
        }

        looked[looks++] = group;
        peer = best_of(search, first, count, ATOLL_RAMP_ACCEPTING, &seen);

        if (peer == NULL) {
            continue;
        }

        state = &search->balancer->zone->states[peer->slot];

        if (atoll_relaxed(state->fails) == 0 && atoll_peer_is_present(peer, state)) {
            peers[replicas++] = peer;

            if (count > 1) {
                move_weights(search, first, count, ATOLL_RAMP_ACCEPTING, peer);
            }
        }
    }

    return replicas;
}


/* The only peer there is, also a second time (nginx: peers->single). */
static atoll_peer_t *
search_single(atoll_search_t *search)
{
    atoll_balancer_t  *balancer = search->balancer;
    atoll_peer_t      *peer = balancer->peers[0];

    if (!atoll_table_is_current(&balancer->table)) {
        search->torn = 1;
        return NULL;
    }

    if (atoll_is_allowed(balancer, peer, search->now) && atoll_has_room(balancer, peer)) {
        return peer;
    }

    search->passed++;

    return NULL;
}


/*
 * Once around the ring at most. A first pick that meets a peer whose ramp leaves the key elsewhere holds it in reserve
 * and goes on to the next eligible one; when that is in a ramp too, or there is none, the one in reserve serves.
 */
static atoll_peer_t *
search_ring(atoll_search_t *search, const atoll_ring_t *ring)
{
    int            seen;
    uint32_t       group, first, count, point = search->walk->point;
    uint32_t       last = NO_GROUP, reserve = NO_GROUP, reserve_point = 0;
    atoll_peer_t  *peer;

    if (ring->point_count == 0) {
        return NULL;
    }

    if (point >= ring->point_count) {
        search->torn = 1;
        return NULL;
    }

    for (uint32_t steps = 0; steps < ring->point_count; steps++, point = point + 1 < ring->point_count ? point + 1 : 0) {

        if (steps == VAIN_POINTS && !is_any_eligible(search, ring, reserve)) {
            break;
        }

        group = atoll_read32(&ring->points[point].group);

        if (group == last || group == reserve) {
            continue;
        }

        last = group;

        if (!group_peers(search, ring, group, &first, &count)) {
            return NULL;
        }

        peer = take(search, first, count, !search->first ? ATOLL_RAMP_ANY : reserve == NO_GROUP ? ATOLL_RAMP_ACCEPTING : ATOLL_RAMP_STEADY, &seen);

        if (peer != NULL || search->torn) {
            search->walk->point = point;
            return peer;
        }

        if (!seen) {
            continue;
        }

        if (reserve != NO_GROUP) {
            break;
        }

        reserve = group;
        reserve_point = point;
    }

    if (reserve == NO_GROUP || !group_peers(search, ring, reserve, &first, &count)) {
        return NULL;
    }

    search->walk->point = reserve_point;
    search->first = 0;

    peer = take(search, first, count, ATOLL_RAMP_ANY, &seen);

    return peer != NULL || search->torn ? peer : search_ring(search, ring);
}


/* The peers of a group, by their index in the table; what cannot be one of this ring means that the table is torn. */
static int
group_peers(atoll_search_t *search, const atoll_ring_t *ring, uint32_t group, uint32_t *first, uint32_t *count)
{
    const atoll_group_record_t *record;

    if (group - ring->first_group < ring->group_count) {
        record = &search->balancer->table.groups[group];
        *first = atoll_read32(&record->first_peer);
        *count = atoll_read32(&record->peer_count);

        if (*first >= ring->first_peer && *first - ring->first_peer < ring->peer_count
            && *count <= ring->peer_count - (*first - ring->first_peer))
        {
            return 1;
        }
    }

    search->torn = 1;

    return 0;
}


/*
 * One of count addresses by smooth weighted round robin (nginx: ngx_http_upstream_get_chash_peer, get_peer), among equals
 * the first in nginx.conf. seen: one of them was eligible when last looked at. An address whose trial another worker won is not eligible when looked at again.
 */
static atoll_peer_t *
take(atoll_search_t *search, uint32_t first, uint32_t count, atoll_ramp_filter_t filter, int *seen)
{
    atoll_peer_t *best;

    *seen = 0;

    for (uint32_t attempt = 0; attempt <= count; attempt++) {
        best = best_of(search, first, count, filter, seen);

        if (best == NULL || search->peek) {
            return best;
        }

        if (!atoll_table_is_current(&search->balancer->table)) {
            search->torn = 1;
            return NULL;
        }

        if (win_trial(search, best)) {
            move_weights(search, first, count, filter, best);
            return best;
        }
    }

    return NULL;
}


static atoll_peer_t *
best_of(atoll_search_t *search, uint32_t first, uint32_t count, atoll_ramp_filter_t filter, int *seen)
{
    int64_t        weight, best_weight = 0;
    atoll_peer_t  *peer, *best = NULL;

    *seen = 0;

    for (uint32_t i = first; i < first + count; i++) {
        peer = search->balancer->peers[i];

        if (!atoll_is_eligible(search, peer)) {
            continue;
        }

        *seen = 1;

        if (!atoll_fits_ramp(search, peer, filter)) {
            search->passed++;
            continue;
        }

        weight = peer->current_weight + peer->effective_weight;

        if (best == NULL || weight > best_weight || (weight == best_weight && peer->source < best->source)) {
            best = peer;
            best_weight = weight;
        }
    }

    return best;
}


/*
 * A peer that had failed and whose time is over is tried by one request in the whole nginx (nginx: peer->checked = now).
 */
static int
win_trial(atoll_search_t *search, const atoll_peer_t *peer)
{
    uint32_t                    fails;
    uint64_t                    until, now = search->now;
    atoll_peer_state_record_t  *state = &search->balancer->zone->states[peer->slot];

    fails = atoll_relaxed(state->fails);

    if (fails == 0 || !atoll_peer_is_present(peer, state)) {
        return 1;
    }

    until = atoll_relaxed(state->reason[ATOLL_REASON_PASSIVE]);

    /* It failed, or another worker's trial began, since it was found eligible. */
    if (until > now && !atoll_is_guarded(search->balancer, now)) {
        return 0;
    }

    if (until != 0 && until <= now && peer->max_fails != 0 && fails >= peer->max_fails) {
        if (!atomic_compare_exchange_strong(&state->reason[ATOLL_REASON_PASSIVE], &until, now + peer->fail_timeout_ms)) {
            return 0;
        }

        atoll_set(state->checked_ms, now);

    } else if (now - atoll_relaxed(state->checked_ms) > peer->fail_timeout_ms) {
        atoll_set(state->checked_ms, now);
    }

    return 1;
}


static void
move_weights(atoll_search_t *search, uint32_t first, uint32_t count, atoll_ramp_filter_t filter, atoll_peer_t *best)
{
    int64_t        total = 0;
    atoll_peer_t  *peer;

    for (uint32_t i = first; i < first + count; i++) {
        peer = search->balancer->peers[i];

        if (peer != best && !(atoll_is_eligible(search, peer) && atoll_fits_ramp(search, peer, filter))) {
            continue;
        }

        peer->current_weight += peer->effective_weight;
        total += peer->effective_weight;

        if (peer->effective_weight < peer->weight) {
            peer->effective_weight++;
        }
    }

    best->current_weight -= total;
}


static int
is_any_eligible(atoll_search_t *search, const atoll_ring_t *ring, uint32_t except)
{
    int       found = 0;
    uint32_t  passed = search->passed, first = 0, count = 0;

    if (except != NO_GROUP && !group_peers(search, ring, except, &first, &count)) {
        return 0;
    }

    for (uint32_t i = ring->first_peer; i < ring->first_peer + ring->peer_count && !found; i++) {
        found = i - first >= count && atoll_is_eligible(search, search->balancer->peers[i]);
    }

    search->passed = passed;

    return found;
}


