#include "atoll_handover.h"

#include <string.h>

#include "atoll_fill.h"
#include "atoll_walk.h"

/* Looked at for one answer, over both rings. */
#define POINTS  32

/* How long it holds that nobody else can be asked, milliseconds. */
#define ALONE_MS  50

#define NO_GROUP  UINT32_MAX

/* One question. */
typedef struct {
    atoll_balancer_t        *balancer;    /* with a usable table */
    uint32_t                 hash;
    uint64_t                 now;
    const char              *self;
    size_t                   self_length;
    int                      returned;
    const atoll_peer_t      *asked;       /* the answer before, NULL for none */
    uint32_t                 points;      /* left to look at */
} handover_t;

/* Where a look along a ring stands. */
typedef struct {
    const atoll_ring_t  *ring;
    uint32_t             point;           /* ATOLL_NO_POINT: at its end */
    uint32_t             group;           /* NO_GROUP before the first */
    uint32_t             first, count;    /* the group's peers */
} handover_step_t;

static const atoll_peer_t *former_owner(handover_t *handover, unsigned ring);
static const atoll_peer_t *present_ring_owner(handover_t *handover);
static const atoll_peer_t *next_along(handover_t *handover, unsigned ring);
static unsigned ring_it_came_to(const handover_t *handover, uint64_t came_ms);
static uint64_t started_ms(const handover_t *handover);
static uint64_t changed_ms(const handover_t *handover, const handover_step_t *step);
static uint64_t peer_changed_ms(const handover_t *handover, const atoll_peer_t *peer);
static int is_alone(const handover_t *handover);
static handover_step_t first_step(const handover_t *handover, unsigned ring);
static int next_group(handover_t *handover, handover_step_t *step);
static int is_down(const handover_t *handover, const handover_step_t *step);
static int is_self(const handover_t *handover, const handover_step_t *step);
static const atoll_peer_t *whom_to_ask(const handover_t *handover, const handover_step_t *step,
                                       int (*fits)(const handover_t *handover, const atoll_peer_t *peer, uint32_t flags));
static int can_be_asked(const handover_t *handover, const atoll_peer_t *peer);
static int is_anybody(const handover_t *handover, const atoll_peer_t *peer, uint32_t flags);
static int was_just_withdrawn(const handover_t *handover, const atoll_peer_t *peer, uint32_t flags);
static int was_serving(const handover_t *handover, const atoll_peer_t *peer, uint32_t flags);
static int is_withdrawn(const handover_t *handover, const atoll_peer_t *peer, uint32_t flags);
static uint32_t flags_of(const handover_t *handover, uint32_t index);
static int is_recent(const handover_t *handover, uint64_t ms);


const atoll_peer_t *
atoll_previous_owner(atoll_balancer_t *balancer, uint32_t hash, uint64_t now_ms, const char *self, size_t self_length,
                     int returned, const atoll_peer_t *asked, int fresh)
{
    handover_t           handover = { balancer, hash, now_ms, self, self_length, returned, asked, POINTS };
    const atoll_peer_t  *peer = NULL;

    if (!atoll_balancer_refresh(balancer) || balancer->handover_ms == 0) {
        return NULL;
    }

    balancer->handover_blind = 0;

    if (now_ms < balancer->table.handover_until_ms) {
        peer = asked == NULL ? former_owner(&handover, ATOLL_RING_PREVIOUS) : NULL;
        peer = peer == NULL ? former_owner(&handover, ATOLL_RING_EARLIER) : peer;
    }

    if (peer == NULL && (asked == NULL || fresh)) {
        peer = present_ring_owner(&handover);
    }

    return peer != NULL && atoll_table_is_current(&balancer->table) ? peer : NULL;
}


int
atoll_is_fresh(atoll_balancer_t *balancer, uint64_t now_ms)
{
    handover_t handover = { .balancer = balancer, .now = now_ms };

    return atoll_balancer_refresh(balancer) && is_recent(&handover, started_ms(&handover));
}


int
atoll_handover_reason(atoll_balancer_t *balancer, const atoll_peer_t *owner, uint64_t now_ms, int returned)
{
    int         blind;
    handover_t  handover = { .balancer = balancer, .now = now_ms };

    if (!atoll_balancer_refresh(balancer) || balancer->handover_ms == 0) {
        return ATOLL_HANDOVER_NONE;
    }

    if (owner == NULL || now_ms < balancer->table.handover_until_ms
        || !atoll_peer_is_present(owner, &balancer->zone->states[owner->slot]))
    {
        return ATOLL_HANDOVER_LOOK;
    }

    blind = !returned && peer_changed_ms(&handover, owner) == 0;

    if ((blind && !is_recent(&handover, started_ms(&handover)))
        || (balancer->alone_ms != 0 && now_ms - balancer->alone_ms < ALONE_MS))
    {
        return ATOLL_HANDOVER_NONE;
    }

    return blind ? ATOLL_HANDOVER_BLIND : ATOLL_HANDOVER_LOOK;
}


int
atoll_has_returned(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now_ms)
{
    handover_t                        handover = { .balancer = (atoll_balancer_t *) balancer, .now = now_ms };
    const atoll_peer_state_record_t  *state = &balancer->zone->states[peer->slot];

    return is_recent(&handover, atoll_relaxed(state->changed_ms)) && !is_withdrawn(&handover, peer, peer->flags)
           && atoll_peer_is_present(peer, state);
}


/* a. */
static const atoll_peer_t *
former_owner(handover_t *handover, unsigned ring)
{
    handover_step_t step = first_step(handover, ring);

    while (next_group(handover, &step)) {
        if (!is_down(handover, &step)) {
            return is_self(handover, &step) ? NULL : whom_to_ask(handover, &step, is_anybody);
        }
    }

    return NULL;
}


/* b, or c. */
static const atoll_peer_t *
present_ring_owner(handover_t *handover)
{
    uint64_t         came;
    handover_step_t  step = first_step(handover, ATOLL_RING_PRIMARY);

    if (!next_group(handover, &step)) {
        return NULL;
    }

    if (!is_self(handover, &step)) {
        return whom_to_ask(handover, &step, was_just_withdrawn);
    }

    came = handover->returned ? UINT64_MAX : changed_ms(handover, &step);
    handover->balancer->handover_blind = came == 0;

    if (is_recent(handover, started_ms(handover)) && came < started_ms(handover)) {
        came = started_ms(handover);
    }

    return came != 0 ? next_along(handover, ring_it_came_to(handover, came)) : NULL;
}


static const atoll_peer_t *
next_along(handover_t *handover, unsigned ring)
{
    handover_step_t      step = first_step(handover, ring);
    const atoll_peer_t  *peer = NULL;

    while (peer == NULL && next_group(handover, &step)) {
        peer = whom_to_ask(handover, &step, was_serving);
    }

    if (peer == NULL && handover->asked == NULL) {
        handover->balancer->alone_ms = is_alone(handover) ? handover->now : 0;
    }

    return peer;
}


/* What joined or left after self may neither have stood in for it, nor have taken the place of who did. */
static unsigned
ring_it_came_to(const handover_t *handover, uint64_t came_ms)
{
    const atoll_table_t  *table = &handover->balancer->table;
    const uint64_t        until = table->handover_until_ms, ms = handover->balancer->handover_ms, since = until > ms ? until - ms : 0;

    if (handover->now >= until || came_ms >= since) {
        return ATOLL_RING_PRIMARY;
    }

    return table->ring[ATOLL_RING_EARLIER].point_count != 0 ? ATOLL_RING_EARLIER : ATOLL_RING_PREVIOUS;
}


/* Nobody in the primary ring can be asked, wherever on it the key lies. */
static int
is_alone(const handover_t *handover)
{
    const atoll_ring_t  *ring = &handover->balancer->table.ring[ATOLL_RING_PRIMARY];
    const atoll_peer_t  *peer;

    for (uint32_t i = ring->first_peer; i < ring->first_peer + ring->peer_count; i++) {
        peer = handover->balancer->peers[i];

        if (can_be_asked(handover, peer) && was_serving(handover, peer, flags_of(handover, i))) {
            return 0;
        }
    }

    return 1;
}


static uint64_t
started_ms(const handover_t *handover)
{
    return atoll_relaxed(handover->balancer->zone->header->started_ms);
}


/* When self, whose group this is, was last taken back to traffic; 0: not a short while ago. */
static uint64_t
changed_ms(const handover_t *handover, const handover_step_t *step)
{
    uint64_t ms, last = 0;

    for (uint32_t i = step->first; i < step->first + step->count; i++) {
        ms = peer_changed_ms(handover, handover->balancer->peers[i]);
        last = ms > last ? ms : last;
    }

    return last;
}


static uint64_t
peer_changed_ms(const handover_t *handover, const atoll_peer_t *peer)
{
    const atoll_peer_state_record_t  *state = &handover->balancer->zone->states[peer->slot];
    uint64_t                          ms = atoll_relaxed(state->changed_ms);

    return is_recent(handover, ms) && atoll_peer_is_present(peer, state) ? ms : 0;
}


/* Before the first point >= the key's hash. */
static handover_step_t
first_step(const handover_t *handover, unsigned ring)
{
    handover_step_t step = { &handover->balancer->table.ring[ring], 0, NO_GROUP, 0, 0 };

    step.point = atoll_ring_find(step.ring, handover->hash);

    return step;
}


/* The group of the next point that is of another than before. 0 when no points are left to look at, or the table is torn. */
static int
next_group(handover_t *handover, handover_step_t *step)
{
    uint32_t                     group, point;
    const atoll_ring_t          *ring = step->ring;
    const atoll_group_record_t  *record;

    while (step->point < ring->point_count && handover->points != 0) {
        handover->points--;
        point = step->point;
        step->point = point + 1 < ring->point_count ? point + 1 : 0;
        group = atoll_read32(&ring->points[point].group);

        if (group == step->group) {
            continue;
        }

        if (group - ring->first_group >= ring->group_count) {
            return 0;
        }

        record = &handover->balancer->table.groups[group];
        step->group = group;
        step->first = atoll_read32(&record->first_peer);
        step->count = atoll_read32(&record->peer_count);

        return step->first - ring->first_peer < ring->peer_count && step->count != 0
               && step->count <= ring->peer_count - (step->first - ring->first_peer);
    }

    return 0;
}


/* As the table has it: a peer of the previous ring may have been down there and be up now. */
static int
is_down(const handover_t *handover, const handover_step_t *step)
{
    for (uint32_t i = step->first; i < step->first + step->count; i++) {
        if (!(flags_of(handover, i) & ATOLL_PEER_FLAG_DOWN)) {
            return 0;
        }
    }

    return 1;
}


static int
is_named(const atoll_peer_t *peer, const char *server, size_t length)
{
    return peer->server_length == length && memcmp(peer->server, server, length) == 0;
}


static int
is_named_self(const handover_t *handover, const atoll_peer_t *peer)
{
    return is_named(peer, handover->self, handover->self_length);
}


static int
was_asked(const handover_t *handover, const atoll_peer_t *peer)
{
    return handover->asked != NULL && is_named(peer, handover->asked->server, handover->asked->server_length);
}


static int
is_self(const handover_t *handover, const handover_step_t *step)
{
    return is_named_self(handover, handover->balancer->peers[step->first]);
}


static const atoll_peer_t *
whom_to_ask(const handover_t *handover, const handover_step_t *step,
            int (*fits)(const handover_t *handover, const atoll_peer_t *peer, uint32_t flags))
{
    const atoll_peer_t *peer;

    for (uint32_t i = step->first; i < step->first + step->count; i++) {
        peer = handover->balancer->peers[i];

        if (can_be_asked(handover, peer) && fits(handover, peer, flags_of(handover, i))) {
            return peer;
        }
    }

    return NULL;
}


static int
can_be_asked(const handover_t *handover, const atoll_peer_t *peer)
{
    const atoll_peer_state_record_t *state = &handover->balancer->zone->states[peer->slot];

    return !is_named_self(handover, peer) && !was_asked(handover, peer) && !atoll_fill_is_avoided(state, handover->now)
           && atoll_relaxed(state->reason[ATOLL_REASON_PROBE]) <= handover->now
           && atoll_relaxed(state->reason[ATOLL_REASON_QUORUM]) <= handover->now
           && atoll_relaxed(state->reason[ATOLL_REASON_PASSIVE]) <= handover->now
           && atoll_peer_is_present(peer, state);
}


static int
is_anybody(const handover_t *handover, const atoll_peer_t *peer, uint32_t flags)
{
    (void) handover;
    (void) peer;
    (void) flags;

    return 1;
}


static int
was_just_withdrawn(const handover_t *handover, const atoll_peer_t *peer, uint32_t flags)
{
    return is_withdrawn(handover, peer, flags)
           && is_recent(handover, atoll_relaxed(handover->balancer->zone->states[peer->slot].changed_ms));
}


static int
was_serving(const handover_t *handover, const atoll_peer_t *peer, uint32_t flags)
{
    return !is_withdrawn(handover, peer, flags) || was_just_withdrawn(handover, peer, flags);
}


/* Out of traffic by nginx.conf or an operator. */
static int
is_withdrawn(const handover_t *handover, const atoll_peer_t *peer, uint32_t flags)
{
    return (flags & ATOLL_PEER_FLAG_DOWN)
           || atoll_relaxed(handover->balancer->zone->states[peer->slot].reason[ATOLL_REASON_ADMIN]) > handover->now;
}


/* Of a peer in its ring: one of the previous ring may be down there and up now. */
static uint32_t
flags_of(const handover_t *handover, uint32_t index)
{
    return atoll_read32(&handover->balancer->table.peers[index].flags);
}


/* Less than handover_ms ago, or ahead, since nginx's clock stands still while it works. 0 is never. */
static int
is_recent(const handover_t *handover, uint64_t ms)
{
    uint64_t distance = ms > handover->now ? ms - handover->now : handover->now - ms;

    return ms != 0 && distance < handover->balancer->handover_ms;
}
