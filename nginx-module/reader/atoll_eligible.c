#include "atoll_eligible.h"

#include "atoll_bound.h"

/* How long the guard and the weight in traffic hold before they are worked out again, milliseconds. */
#define GUARD_INTERVAL_MS   50
/* Spreads the hash of a key over the ramp, independent of its place on the ring (golden ratio, Knuth 6.4). */
#define RAMP_MULTIPLIER     UINT32_C(0x9E3779B1)

static int is_tried(const atoll_walk_t *walk, uint32_t slot);
static void bound_refresh(atoll_search_t *search);
static uint64_t weight_in_traffic(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now);
static int is_ramping(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now, uint64_t *elapsed);
static int is_well(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now);


int
atoll_is_eligible(atoll_search_t *search, const atoll_peer_t *peer)
{
    int                well;
    atoll_balancer_t  *balancer = search->balancer;

    if ((peer->flags & ATOLL_PEER_FLAG_DOWN) || is_tried(search->walk, peer->slot)) {
        return 0;
    }

    balancer->looks++;

    if (atoll_is_allowed(balancer, peer, search->now) && atoll_has_room(balancer, peer)) {

        well = is_well(balancer, peer, search->now);

        if ((well || (!search->walk->unguarded && atoll_is_guarded(balancer, search->now))) && atoll_is_within_bound(search, peer)) {
            search->guarded |= !well;
            return 1;
        }
    }

    search->passed++;

    return 0;
}


static int
is_tried(const atoll_walk_t *walk, uint32_t slot)
{
    const uint32_t *tried = walk->tried != NULL ? walk->tried : walk->tried_inline;

    for (uint32_t i = 0; i < walk->tried_count; i++) {
        if (tried[i] == slot) {
            return 1;
        }
    }

    return 0;
}


/* Asked last: only the bound may speak against the peer. */
int
atoll_is_within_bound(atoll_search_t *search, const atoll_peer_t *peer)
{
    uint64_t           inflight;
    unsigned           ring = peer->flags & ATOLL_PEER_FLAG_BACKUP ? ATOLL_RING_BACKUPS : ATOLL_RING_PRIMARY;
    atoll_balancer_t  *balancer = search->balancer;

    if (!search->bounded || !atoll_peer_is_present(peer, &balancer->zone->states[peer->slot])) {
        return 1;
    }

    bound_refresh(search);
    inflight = atoll_zone_inflight_of(balancer->zone, peer->slot, balancer->bound_rows);

    if (balancer->row_outside) {
        inflight += atoll_relaxed(balancer->row.peers[peer->slot].inflight);
    }

    if (atoll_bound_admits(balancer->bound_percent, inflight, search->inflight, (uint32_t) peer->weight,
                           balancer->bound_weight[ring]))
    {
        return 1;
    }

    search->over = 1;

    return 0;
}


/* The requests in flight are summed up once a search; who shares them, as the guard, every 50 ms. */
static void
bound_refresh(atoll_search_t *search)
{
    int                guard;
    unsigned           ring;
    uint64_t           now = search->now;
    atoll_peer_t      *peer;
    atoll_balancer_t  *balancer = search->balancer;

    if (balancer->bound_checked_ms == 0 || now - balancer->bound_checked_ms >= GUARD_INTERVAL_MS) {
        guard = !search->walk->unguarded && atoll_is_guarded(balancer, now);
        balancer->bound_rows = atoll_zone_rows_claimed(balancer->zone);
        balancer->bound_weight[ATOLL_RING_PRIMARY] = 0;
        balancer->bound_weight[ATOLL_RING_BACKUPS] = 0;
        balancer->bound_checked_ms = now;

        for (uint32_t i = 0; i < balancer->table.peer_count; i++) {
            peer = balancer->peers[i];
            ring = i < balancer->table.ring[ATOLL_RING_PRIMARY].peer_count ? ATOLL_RING_PRIMARY : ATOLL_RING_BACKUPS;

            if (atoll_is_allowed(balancer, peer, now) && (guard || is_well(balancer, peer, now))) {
                balancer->bound_weight[ring] += weight_in_traffic(balancer, peer, now);
            }
        }
    }

    if (search->summed) {
        return;
    }

    search->summed = 1;
    search->inflight = atoll_zone_upstream_inflight(balancer->zone, balancer->upstream, balancer->bound_rows);

    if (balancer->row_outside) {
        search->inflight += atoll_relaxed(balancer->row.upstreams[balancer->upstream].inflight);
    }
}


/* In a ramp, the part of its keys that the peer has taken over. */
static uint64_t
weight_in_traffic(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now)
{
    uint64_t elapsed, weight = (uint32_t) peer->weight;

    if (!is_ramping(balancer, peer, now, &elapsed)) {
        return weight;
    }

    return weight * elapsed / balancer->slow_start_ms;
}


/* Below max_conns, over all workers. */
int
atoll_has_room(const atoll_balancer_t *balancer, const atoll_peer_t *peer)
{
    uint64_t inflight;

    if (peer->max_conns == 0 || !atoll_peer_is_present(peer, &balancer->zone->states[peer->slot])) {
        return 1;
    }

    inflight = atoll_zone_inflight(balancer->zone, peer->slot);

    if (balancer->row_outside) {
        inflight += atoll_relaxed(balancer->row.peers[peer->slot].inflight);
    }

    return inflight < peer->max_conns;
}


int
atoll_fits_ramp(const atoll_search_t *search, const atoll_peer_t *peer, atoll_ramp_filter_t filter)
{
    uint64_t elapsed;

    if (filter == ATOLL_RAMP_ANY || !is_ramping(search->balancer, peer, search->now, &elapsed)) {
        return 1;
    }

    return filter == ATOLL_RAMP_ACCEPTING
           && (uint64_t) (search->walk->hash * RAMP_MULTIPLIER) * search->balancer->slow_start_ms < elapsed << 32;
}


/* elapsed: since the ramp began, less than slow_start_ms. */
static int
is_ramping(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now, uint64_t *elapsed)
{
    uint64_t                          start;
    const atoll_peer_state_record_t  *state = &balancer->zone->states[peer->slot];

    if (balancer->slow_start_ms == 0 || !atoll_peer_is_present(peer, state)) {
        return 0;
    }

    start = atoll_relaxed(state->ramp_start_ms);
    *elapsed = now - start;

    return start != 0 && *elapsed < balancer->slow_start_ms;
}


/* By nginx.conf and the operators. */
int
atoll_is_allowed(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now)
{
    const atoll_peer_state_record_t *state = &balancer->zone->states[peer->slot];

    if (peer->flags & ATOLL_PEER_FLAG_DOWN) {
        return 0;
    }

    return !atoll_peer_is_present(peer, state) || atoll_relaxed(state->reason[ATOLL_REASON_ADMIN]) <= now;
}


/* By probes and requests. */
static int
is_well(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now)
{
    const atoll_peer_state_record_t *state = &balancer->zone->states[peer->slot];

    return !atoll_peer_is_present(peer, state)
           || (atoll_relaxed(state->reason[ATOLL_REASON_PROBE]) <= now
               && atoll_relaxed(state->reason[ATOLL_REASON_QUORUM]) <= now
               && atoll_relaxed(state->reason[ATOLL_REASON_PASSIVE]) <= now);
}


/* The guard was off when it was worked out, and is on now. */
int
atoll_is_newly_guarded(const atoll_search_t *search)
{
    atoll_balancer_t *balancer = search->balancer;

    if (search->walk->unguarded || balancer->guard || balancer->guard_checked_ms == search->now) {
        return 0;
    }

    balancer->guard_checked_ms = 0;

    return atoll_is_guarded(balancer, search->now);
}


/*
 * Mass failure: of the primary peers that operators let serve, fewer than panic_percent are well, and no backup is. Then
 * it is likelier that the judgement is wrong than that so many peers are gone.
 */
int
atoll_is_guarded(atoll_balancer_t *balancer, uint64_t now)
{
    int             backup = 0;
    uint64_t        allowed = 0, well = 0;
    atoll_table_t  *table = &balancer->table;
    atoll_peer_t   *peer;

    if (balancer->panic_percent == 0) {
        return 0;
    }

    if (balancer->guard_checked_ms != 0 && now - balancer->guard_checked_ms < GUARD_INTERVAL_MS) {
        return balancer->guard;
    }

    for (uint32_t i = 0; i < table->peer_count; i++) {
        peer = balancer->peers[i];

        if (!atoll_is_allowed(balancer, peer, now)) {
            continue;
        }

        if (i < table->ring[ATOLL_RING_PRIMARY].peer_count) {
            allowed++;
            well += is_well(balancer, peer, now);

        } else {
            backup |= is_well(balancer, peer, now);
        }
    }

    balancer->guard = !backup && well * 100 < allowed * balancer->panic_percent;
    balancer->guard_checked_ms = now;

    return balancer->guard;
}
