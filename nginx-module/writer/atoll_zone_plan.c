#include <stdlib.h>
#include <string.h>

#include "../reader/atoll_read.h"
#include "atoll_zone_plan.h"

#define MEBIBYTE        UINT64_C(1048576)
#define PAGE            UINT64_C(4096)
#define SLOT_SHARE      8192       /* bytes of file for each slot, unless the request needs more slots */
#define SLOT_LIMIT      1048576
#define PURGE_SHARE     4096       /* bytes of file for each set of purges, which takes 128 */
#define NO_MEMORY       (-1)

static uint64_t
align(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

static uint64_t
buffer_size(uint64_t table_length)
{
    return align(table_length, ATOLL_CACHE_LINE);
}

static uint64_t
peer_total(const atoll_writer_request_t *request)
{
    uint64_t  total = 0;

    for (uint32_t i = 0; i < request->upstream_count; i++) {
        total += request->upstreams[i].peer_count;
    }

    return total;
}

static uint64_t
heap_needed(const atoll_writer_request_t *request)
{
    uint64_t  total = 0;

    for (uint32_t i = 0; i < request->upstream_count; i++) {
        total += 2 * buffer_size(request->upstreams[i].table_length);
    }

    return total;
}

/* The greatest power of two that leaves each set its share of the file. */
static uint32_t
purge_sets(uint64_t size)
{
    uint32_t  sets = 1;

    while (sets < UINT32_C(1) << 24 && (uint64_t) sets * 2 * PURGE_SHARE <= size) {
        sets *= 2;
    }

    return sets;
}

/* Lays a file of size bytes out for at least that many peers; the table heap takes what is left. */
static void
lay_out_sections(atoll_sections_t *sections, uint64_t size, uint64_t peers)
{
    uint64_t  slots = size / SLOT_SHARE;

    slots = slots > SLOT_LIMIT ? SLOT_LIMIT : slots / ATOLL_CACHE_LINE * ATOLL_CACHE_LINE;
    if (slots < peers || slots == 0) {
        slots = align(peers == 0 ? 1 : peers, ATOLL_CACHE_LINE);
    }

    sections->slots = (uint32_t) slots;
    sections->row_size = (uint32_t) atoll_row_size(ATOLL_UPSTREAM_CAPACITY, sections->slots);
    sections->upstreams_offset = sizeof(atoll_header_record_t);
    sections->states_offset = sections->upstreams_offset + ATOLL_UPSTREAM_CAPACITY * sizeof(atoll_upstream_record_t);
    sections->identities_offset = sections->states_offset + slots * sizeof(atoll_peer_state_record_t);
    sections->hot_sets_offset = sections->identities_offset + slots * sizeof(atoll_peer_identity_record_t);
    sections->rows_offset = sections->hot_sets_offset + ATOLL_UPSTREAM_CAPACITY * sizeof(atoll_hot_set_record_t);
    sections->purges_offset = sections->rows_offset + (uint64_t) ATOLL_ROW_CAPACITY * sections->row_size;
    sections->purge_sets = purge_sets(size);
    sections->tables_offset = align(sections->purges_offset + sizeof(atoll_purges_record_t)
                                    + sections->purge_sets * sizeof(atoll_purge_set_record_t), PAGE);
    sections->tables_length = size <= sections->tables_offset
                              ? 0 : (size - sections->tables_offset) / ATOLL_CACHE_LINE * ATOLL_CACHE_LINE;
}

uint64_t
atoll_size_needed(const atoll_writer_request_t *request)
{
    uint64_t          heap = heap_needed(request);
    uint64_t          size = align(heap + 1, MEBIBYTE);
    atoll_sections_t  sections;

    for ( ;; ) {
        lay_out_sections(&sections, size, peer_total(request));
        if (sections.tables_length >= heap && sections.tables_length > 0) {
            return size;
        }
        size += MEBIBYTE;
    }
}

static int
plan_open(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_writer_request_t *request)
{
    uint32_t  old_upstreams = snapshot->zone == NULL ? 0 : snapshot->zone->upstream_count;
    uint32_t  old_slots = snapshot->zone == NULL ? 0 : snapshot->zone->peer_count;
    uint32_t  peers = 0;

    memset(plan, 0, sizeof(*plan));
    plan->upstream_count = request->upstream_count;
    plan->peer_count = (uint32_t) peer_total(request);
    plan->epoch = snapshot->epoch;
    plan->config_epoch = snapshot->config_epoch;
    plan->incarnation = snapshot->incarnation;

    plan->upstreams = calloc((size_t) plan->upstream_count + 1, sizeof(*plan->upstreams));
    plan->peers = calloc((size_t) plan->peer_count + 1, sizeof(*plan->peers));
    plan->formers = calloc((size_t) old_slots + 1, sizeof(*plan->formers));
    plan->upstream_map = malloc(((size_t) old_upstreams + 1) * sizeof(*plan->upstream_map));
    plan->slot_map = malloc(((size_t) old_slots + 1) * sizeof(*plan->slot_map));

    if (plan->upstreams == NULL || plan->peers == NULL || plan->formers == NULL || plan->upstream_map == NULL
        || plan->slot_map == NULL)
    {
        return NO_MEMORY;
    }

    for (uint32_t i = 0; i < plan->upstream_count; i++) {
        plan->upstreams[i].peers = plan->peers + peers;
        peers += request->upstreams[i].peer_count;
    }

    return 0;
}

void
atoll_plan_free(atoll_plan_t *plan)
{
    free(plan->upstreams);
    free(plan->peers);
    free(plan->formers);
    free(plan->upstream_map);
    free(plan->slot_map);
    memset(plan, 0, sizeof(*plan));
}

/* Peers of the snapshot with that life. The first slot of a name counts. */
static void
map_peers(atoll_peer_map_t *map, const atoll_snapshot_t *snapshot, uint32_t life)
{
    int  made;

    for (uint32_t slot = 0; snapshot->zone != NULL && slot < snapshot->zone->peer_count; slot++) {
        const atoll_peer_identity_record_t  *peer = &snapshot->identities[slot];
        const atoll_peer_key_t               key = {
            peer->upstream, peer->ordinal, peer->server_length, peer->address_length, peer->server, peer->address
        };

        if (peer->state == life) {
            uint32_t  *value = atoll_peer_map_put(map, &key, &made);

            if (made) {
                *value = slot;
            }
        }
    }
}

/* Peers by key while they are matched. The upstream of a key is its index in the snapshot for known, in the request else. */
typedef struct {
    atoll_peer_map_t  known;      /* slots of the snapshot */
    atoll_peer_map_t  repeats;    /* counts, those of the rings before by upstream | ring << RING_SHIFT */
    atoll_peer_map_t  present;    /* places in plan->peers, of former peers once */
} matching_t;

#define RING_SHIFT  30

/* 0: a present one. */
static uint32_t
former_ring(const atoll_writer_peer_t *peer)
{
    return peer->flags & ATOLL_PEER_FLAG_PREVIOUS ? ATOLL_RING_PREVIOUS
           : peer->flags & ATOLL_PEER_FLAG_EARLIER ? ATOLL_RING_EARLIER : 0;
}

/*
 * Numbers the repeats of a server and address within its upstream, those of each ring before for themselves, and finds the
 * slot that has been the peer's, or the present peer, or that of the previous ring, that it is.
 */
static void
match_peer(atoll_plan_t *plan, const atoll_plan_upstream_t *upstream, uint32_t index, uint32_t n,
           const atoll_writer_peer_t *peer, matching_t *matching)
{
    int                 made;
    atoll_plan_peer_t  *planned = &upstream->peers[n];
    atoll_peer_key_t    key = { index, 0, peer->server_length, peer->address_length, peer->server, peer->address };
    uint32_t           *value;

    key.upstream = index | former_ring(peer) << RING_SHIFT;
    value = atoll_peer_map_put(&matching->repeats, &key, &made);

    planned->ordinal = (*value)++;
    planned->origin = ATOLL_NO_SLOT;
    planned->slot = ATOLL_NO_SLOT;
    key.upstream = index;
    key.ordinal = planned->ordinal;

    value = former_ring(peer) == 0 ? NULL : atoll_peer_map_get(&matching->present, &key);

    if (value != NULL) {
        planned->present = &plan->peers[*value];
    } else {
        planned->former = former_ring(peer) != 0;
        *atoll_peer_map_put(&matching->present, &key, &made) = (uint32_t) (planned - plan->peers);
    }

    plan->slot_count += planned->present == NULL;

    if (upstream->origin != ATOLL_NO_SLOT && planned->present == NULL) {
        key.upstream = upstream->origin;
        value = atoll_peer_map_get(&matching->known, &key);
        planned->origin = value == NULL ? ATOLL_NO_SLOT : *value;
    }
}

static void
match_peers(atoll_plan_t *plan, uint32_t index, const atoll_writer_upstream_t *upstream, uint32_t ring, matching_t *matching)
{
    for (uint32_t n = 0; n < upstream->peer_count; n++) {
        if (former_ring(&upstream->peers[n]) == ring) {
            match_peer(plan, &plan->upstreams[index], index, n, &upstream->peers[n], matching);
        }
    }
}

static void
matching_close(matching_t *matching)
{
    atoll_peer_map_close(&matching->known);
    atoll_peer_map_close(&matching->repeats);
    atoll_peer_map_close(&matching->present);
}

/* Finds what of the request is in the snapshot already. */
static int
match(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_writer_request_t *request)
{
    matching_t  matching = { 0 };

    if (atoll_peer_map_open(&matching.known, snapshot->zone == NULL ? 0 : snapshot->zone->peer_count) != 0
        || atoll_peer_map_open(&matching.repeats, plan->peer_count) != 0
        || atoll_peer_map_open(&matching.present, plan->peer_count) != 0)
    {
        matching_close(&matching);
        return NO_MEMORY;
    }

    map_peers(&matching.known, snapshot, ATOLL_PEER_LIFE_MEMBER);
    map_peers(&matching.known, snapshot, ATOLL_PEER_LIFE_FORMER);

    for (uint32_t i = 0; i < request->upstream_count; i++) {
        const atoll_writer_upstream_t  *upstream = &request->upstreams[i];

        plan->upstreams[i].origin = atoll_snapshot_find(snapshot, upstream->settings->name, upstream->settings->name_length);
        match_peers(plan, i, upstream, 0, &matching);
        match_peers(plan, i, upstream, ATOLL_RING_PREVIOUS, &matching);
        match_peers(plan, i, upstream, ATOLL_RING_EARLIER, &matching);
    }

    matching_close(&matching);

    return 0;
}

/* Marks the peers that the table names: not those that were removed at run time. */
static void
find_members(atoll_plan_upstream_t *upstream, const atoll_writer_upstream_t *wanted)
{
    const atoll_table_record_t       *table = wanted->table;
    const atoll_table_peer_record_t  *peers = (const atoll_table_peer_record_t *) ((const char *) table + table->peers_offset);

    for (uint32_t i = 0; i < table->peer_count; i++) {
        upstream->peers[peers[i].source].member = 1;
    }
}

/* Whether a peer served in the last configuration. */
static int
was_serving(const atoll_snapshot_t *snapshot, uint32_t origin)
{
    const atoll_peer_identity_record_t  *peer = &snapshot->identities[origin];

    return peer->state == ATOLL_PEER_LIFE_MEMBER && (peer->flags & ATOLL_PEER_FLAG_DOWN) == 0;
}

/* Who joins a pool that was serving before, and has others that go on. */
static void
find_joining(atoll_plan_upstream_t *upstream, const atoll_snapshot_t *snapshot, const atoll_writer_upstream_t *wanted)
{
    int  goes_on = 0;

    if (wanted->settings->slow_start_ms == 0 || upstream->origin == ATOLL_NO_SLOT
        || snapshot->upstreams[upstream->origin].published == 0)
    {
        return;
    }

    for (uint32_t n = 0; n < wanted->peer_count; n++) {
        const atoll_plan_peer_t  *peer = &upstream->peers[n];

        goes_on |= peer->member && peer->origin != ATOLL_NO_SLOT && was_serving(snapshot, peer->origin);
    }

    for (uint32_t n = 0; goes_on && n < wanted->peer_count; n++) {
        atoll_plan_peer_t  *peer = &upstream->peers[n];

        peer->joins = peer->member && (wanted->peers[n].flags & ATOLL_PEER_FLAG_DOWN) == 0
                      && (peer->origin == ATOLL_NO_SLOT || !was_serving(snapshot, peer->origin));
    }
}

/* What a new buffer has beyond its table. */
typedef enum {
    NO_ROOM,
    ROOM_TO_GROW,       /* an eighth */
    ROOM_FOR_HANDOVER   /* as much again where a previous ring may come, so that a change of members needs no other buffer */
} room_t;

static uint64_t
room_beyond(const atoll_writer_upstream_t *upstream, room_t room)
{
    if (room == ROOM_FOR_HANDOVER && upstream->settings->handover_ms != 0 && upstream->handover_until_ms == 0) {
        return buffer_size(upstream->table_length);
    }

    return room == NO_ROOM ? 0 : buffer_size(buffer_size(upstream->table_length) / 8);
}

/*
 * Gives each table two buffers between first and end: in_place those it has, if they are large enough. Returns 1 when they
 * fit.
 */
static int
place_buffers(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_writer_request_t *request, uint64_t first,
              uint64_t end, room_t room)
{
    for (uint32_t i = 0; i < plan->upstream_count; i++) {
        atoll_plan_upstream_t  *upstream = &plan->upstreams[i];
        uint64_t                needed = buffer_size(request->upstreams[i].table_length);

        if (plan->in_place && upstream->origin != ATOLL_NO_SLOT) {
            const atoll_upstream_record_t  *old = &snapshot->upstreams[upstream->origin];

            upstream->buffer = old->published == 0 ? 0 : 1 - (old->published & 1);

            if (old->buffer_capacity >= needed) {
                memcpy(upstream->offset, old->buffer_offset, sizeof(upstream->offset));
                upstream->capacity = old->buffer_capacity;
                continue;
            }
        }

        upstream->capacity = needed + room_beyond(&request->upstreams[i], room);
        upstream->offset[0] = first;
        upstream->offset[1] = first + upstream->capacity;
        first += 2 * upstream->capacity;
    }

    return first <= end;
}

/* With as much room as there is. */
static int
place_buffers_with_room(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_writer_request_t *request,
                        uint64_t first, uint64_t end)
{
    return place_buffers(plan, snapshot, request, first, end, ROOM_FOR_HANDOVER)
           || place_buffers(plan, snapshot, request, first, end, ROOM_TO_GROW)
           || place_buffers(plan, snapshot, request, first, end, NO_ROOM);
}

/* Records keep their name for the file's life, since old workers know them by index: a new name takes a free one. */
static int
place_records(atoll_plan_t *plan, const atoll_snapshot_t *snapshot)
{
    uint32_t  next = 0;

    for (uint32_t i = 0; i < plan->upstream_count; i++) {
        atoll_plan_upstream_t  *upstream = &plan->upstreams[i];

        if (upstream->origin != ATOLL_NO_SLOT) {
            upstream->index = upstream->origin;
            continue;
        }

        while (next < snapshot->zone->upstream_count && snapshot->upstreams[next].state != ATOLL_UPSTREAM_STATE_FREE) {
            next++;
        }

        if (next >= snapshot->zone->upstream_count || next >= ATOLL_UPSTREAM_CAPACITY) {
            return 0;
        }

        upstream->index = next++;
    }

    return 1;
}

/* A slot with what decides its turn. */
typedef struct {
    uint32_t  slot;
    int       former, drained;
    uint64_t  retired_epoch;
} candidate_t;

static int
compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* In the order in which slots are given away: vacant, then former from the oldest. */
static int
compare_free(const void *a, const void *b)
{
    const candidate_t  *x = a, *y = b;
    int                 order = x->former - y->former;

    order = order != 0 ? order : compare_numbers(x->retired_epoch, y->retired_epoch);

    return order != 0 ? order : compare_numbers(x->slot, y->slot);
}

/* Peers of the rings before lie in the slots of the present peers that they are; of the earlier one, of the previous one's. */
static void
share_slots(const atoll_plan_t *plan)
{
    for (uint32_t i = 0; i < plan->peer_count; i++) {
        if (plan->peers[i].present != NULL) {
            plan->peers[i].slot = plan->peers[i].present->slot;
        }
    }
}

/* Whether a slot of the zone that is there can be given to another peer. */
static int
is_free(const atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const unsigned char *kept, uint32_t slot)
{
    return plan->slot_map[slot] == ATOLL_NO_SLOT && snapshot->identities[slot].state != ATOLL_PEER_LIFE_MEMBER
           && !snapshot->reserved[slot] && !kept[slot];
}

/*
 * New peers get a slot of the zone that is there. Slots of peers that leave with this configuration are not among them, nor
 * those of an active previous ring: the table that is active until the last moment names them. Returns 1, 0 when they do not
 * suffice, NO_MEMORY.
 */
static int
place_slots(atoll_plan_t *plan, const atoll_snapshot_t *snapshot)
{
    uint32_t      slots = snapshot->zone->peer_count;
    uint32_t      count = 0, next = 0;
    candidate_t  *candidates = calloc((size_t) slots + 1, sizeof(*candidates) + 1);

    if (candidates == NULL) {
        return NO_MEMORY;
    }

    unsigned char  *kept = (unsigned char *) (candidates + slots + 1);   /* for the rings before, by slot */

    for (uint32_t i = 0; i < plan->peer_count; i++) {
        if (plan->peers[i].former && plan->peers[i].origin != ATOLL_NO_SLOT) {
            kept[plan->peers[i].origin] = 1;
        }
    }

    for (uint32_t slot = 0; slot < slots; slot++) {
        const atoll_peer_identity_record_t  *peer = &snapshot->identities[slot];

        if (is_free(plan, snapshot, kept, slot)) {
            int  former = peer->state == ATOLL_PEER_LIFE_FORMER;

            candidates[count++] = (candidate_t) { slot, former, 0, former ? peer->retired_epoch : 0 };
        }
    }

    qsort(candidates, count, sizeof(*candidates), compare_free);

    for (uint32_t i = 0; i < plan->peer_count; i++) {
        atoll_plan_peer_t  *peer = &plan->peers[i];

        if (peer->present != NULL) {
            continue;
        }
        if (peer->origin != ATOLL_NO_SLOT) {
            peer->slot = peer->origin;
        } else if (next < count) {
            peer->slot = candidates[next++].slot;
        } else {
            free(candidates);
            return 0;
        }
    }

    free(candidates);
    share_slots(plan);

    return 1;
}

/* Clears both maps, then enters what the request names: at its own place, or where a new file puts it. */
static void
map_named(atoll_plan_t *plan, const atoll_snapshot_t *snapshot)
{
    for (uint32_t i = 0; snapshot->zone != NULL && i < snapshot->zone->upstream_count; i++) {
        plan->upstream_map[i] = ATOLL_NO_SLOT;
    }
    for (uint32_t i = 0; snapshot->zone != NULL && i < snapshot->zone->peer_count; i++) {
        plan->slot_map[i] = ATOLL_NO_SLOT;
    }

    for (uint32_t i = 0; i < plan->upstream_count; i++) {
        uint32_t  origin = plan->upstreams[i].origin;

        if (origin != ATOLL_NO_SLOT) {
            plan->upstream_map[origin] = plan->in_place ? origin : i;
        }
    }

    for (uint32_t i = 0; i < plan->peer_count; i++) {
        uint32_t  origin = plan->peers[i].origin;

        if (origin != ATOLL_NO_SLOT && !(plan->in_place && plan->peers[i].former)) {
            plan->slot_map[origin] = plan->in_place ? origin : plan->peers[i].slot;
        }
    }
}

/* In the order in which former peers are taken into a new file: those that operators keep out first, then the latest. */
static int
compare_kept(const void *a, const void *b)
{
    const candidate_t  *x = a, *y = b;
    int                 order = y->drained - x->drained;

    order = order != 0 ? order : compare_numbers(y->retired_epoch, x->retired_epoch);

    return order != 0 ? order : compare_numbers(x->slot, y->slot);
}

/* Gives the record of an upstream that is not named a place in the new file. Returns 0 when there is none. */
static int
place_retired(atoll_plan_t *plan, uint32_t upstream, uint32_t *records)
{
    if (plan->upstream_map[upstream] == ATOLL_NO_SLOT) {
        if (*records == ATOLL_UPSTREAM_CAPACITY) {
            return 0;
        }
        plan->upstream_map[upstream] = (*records)++;
    }

    return 1;
}

/*
 * Takes peers that are not named into the new file, as far as slots go: all of a named upstream, of others those that an
 * operator keeps out.
 */
static int
place_formers(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, uint64_t now_ms)
{
    uint32_t      slots = snapshot->zone == NULL ? 0 : snapshot->zone->peer_count;
    uint32_t      count = 0, records = plan->upstream_count, next = plan->slot_count;
    candidate_t  *candidates = calloc((size_t) slots + 1, sizeof(*candidates));

    if (candidates == NULL) {
        return NO_MEMORY;
    }

    for (uint32_t slot = 0; slot < slots; slot++) {
        const atoll_peer_identity_record_t  *peer = &snapshot->identities[slot];
        uint64_t                             admin = atoll_relaxed(snapshot->zone->states[slot].reason[ATOLL_REASON_ADMIN]);
        int                                  drained = snapshot->same_boot ? admin > now_ms : admin == ATOLL_FOREVER;

        if (peer->state != ATOLL_PEER_LIFE_VACANT && plan->slot_map[slot] == ATOLL_NO_SLOT
            && (drained || plan->upstream_map[peer->upstream] != ATOLL_NO_SLOT))
        {
            candidates[count++] = (candidate_t) {
                slot, 1, drained, peer->state == ATOLL_PEER_LIFE_MEMBER ? UINT64_MAX : peer->retired_epoch
            };
        }
    }

    qsort(candidates, count, sizeof(*candidates), compare_kept);

    for (uint32_t i = 0; i < count && next < plan->sections.slots; i++) {
        uint32_t  slot = candidates[i].slot;
        uint32_t  upstream = snapshot->identities[slot].upstream;

        if (place_retired(plan, upstream, &records)) {
            plan->slot_map[slot] = next;
            plan->formers[plan->former_count++] = (atoll_plan_former_t) { next++, slot, plan->upstream_map[upstream] };
        }
    }

    free(candidates);

    return 0;
}

/* 1 when the file that is there can go on, 0 when not, NO_MEMORY. */
static int
plan_in_place(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_writer_request_t *request)
{
    const atoll_zone_t  *zone = snapshot->zone;

    plan->in_place = 1;
    map_named(plan, snapshot);

    int  placed = place_slots(plan, snapshot);

    if (placed != 1) {
        return placed;
    }

    return place_records(plan, snapshot)
           && place_buffers_with_room(plan, snapshot, request, snapshot->heap_end,
                                      zone->tables_offset + zone->tables_length);
}

static int
plan_new_file(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_writer_request_t *request)
{
    uint32_t  slot = 0;
    uint64_t  first = plan->sections.tables_offset;

    plan->in_place = 0;

    for (uint32_t i = 0; i < plan->upstream_count; i++) {
        plan->upstreams[i].index = i;
        plan->upstreams[i].buffer = 0;
    }

    for (uint32_t i = 0; i < plan->peer_count; i++) {
        plan->peers[i].slot = plan->peers[i].present == NULL ? slot++ : ATOLL_NO_SLOT;
    }

    share_slots(plan);
    map_named(plan, snapshot);
    (void) place_buffers_with_room(plan, snapshot, request, first, first + plan->sections.tables_length);

    return place_formers(plan, snapshot, request->now_ms);
}

int
atoll_plan_make(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_writer_request_t *request, int in_place)
{
    int  placed = 0;

    if (plan_open(plan, snapshot, request) != 0 || match(plan, snapshot, request) != 0) {
        atoll_plan_free(plan);
        return NO_MEMORY;
    }

    lay_out_sections(&plan->sections, request->size, plan->slot_count);
    if (plan->sections.tables_length == 0 || plan->sections.tables_length < heap_needed(request)) {
        atoll_plan_free(plan);
        return 1;
    }

    for (uint32_t i = 0; i < plan->upstream_count; i++) {
        find_members(&plan->upstreams[i], &request->upstreams[i]);
        find_joining(&plan->upstreams[i], snapshot, &request->upstreams[i]);
    }

    if (in_place && !snapshot->damaged) {
        placed = plan_in_place(plan, snapshot, request);
    }
    if (placed == 0) {
        placed = plan_new_file(plan, snapshot, request) == 0 ? 1 : NO_MEMORY;
    }
    if (placed != 1) {
        atoll_plan_free(plan);
        return NO_MEMORY;
    }

    return 0;
}
