#include <stdlib.h>
#include <string.h>

#include "../reader/atoll_read.h"
#include "atoll_zone_plan.h"

/* No count of ours comes near; beyond it a number was not written by us, and the next one could wrap. */
#define COUNT_LIMIT (UINT64_C(1) << 62)

/* A range of the file. */
typedef struct {
    uint64_t  first, end;
} extent_t;

static uint64_t
greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static int
compare_extents(const void *a, const void *b)
{
    const extent_t  *x = a, *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

/* Whether the buffer can be written: within the heap, large enough for the head of a table, on a cache line. */
static int
extent_is_sound(const atoll_zone_t *zone, uint64_t offset, uint64_t capacity)
{
    uint64_t  end = zone->tables_offset + zone->tables_length;

    return offset >= zone->tables_offset && offset <= end && capacity <= end - offset && offset % ATOLL_CACHE_LINE == 0
           && capacity >= sizeof(atoll_table_record_t);
}

/* Finds the end of the heap's used part, and whether each buffer has its bytes for itself. -1 without memory. */
static int
take_heap(atoll_snapshot_t *snapshot)
{
    const atoll_zone_t  *zone = snapshot->zone;
    extent_t            *extents = calloc(2 * (size_t) zone->upstream_count + 1, sizeof(*extents));
    size_t               count = 0;

    if (extents == NULL) {
        return -1;
    }

    snapshot->heap_end = zone->tables_offset;

    for (uint32_t i = 0; i < zone->upstream_count; i++) {
        const atoll_upstream_record_t  *upstream = &snapshot->upstreams[i];

        if (upstream->state == ATOLL_UPSTREAM_STATE_FREE || upstream->buffer_capacity == 0) {
            continue;
        }

        for (int buffer = 0; buffer < 2; buffer++) {
            uint64_t  offset = upstream->buffer_offset[buffer];

            if (!extent_is_sound(zone, offset, upstream->buffer_capacity)) {
                snapshot->damaged = 1;
                continue;
            }

            extents[count].first = offset;
            extents[count].end = offset + upstream->buffer_capacity;
            snapshot->heap_end = greater(snapshot->heap_end, extents[count].end);
            count++;
        }
    }

    qsort(extents, count, sizeof(*extents), compare_extents);

    for (size_t i = 1; i < count; i++) {
        if (extents[i].first < extents[i - 1].end) {
            snapshot->damaged = 1;
        }
    }

    free(extents);

    return 0;
}

static void
take_upstreams(atoll_snapshot_t *snapshot)
{
    for (uint32_t i = 0; i < snapshot->zone->upstream_count; i++) {
        atoll_upstream_record_t  *upstream = &snapshot->upstreams[i];
        uint64_t                  epoch = upstream->published >> 1;

        if ((upstream->state != ATOLL_UPSTREAM_STATE_USED && upstream->state != ATOLL_UPSTREAM_STATE_RETIRED)
            || upstream->name_length == 0 || upstream->name_length > sizeof(upstream->name))
        {
            upstream->state = ATOLL_UPSTREAM_STATE_FREE;
            continue;
        }

        if (epoch >= COUNT_LIMIT) {
            upstream->published = 0;
            snapshot->damaged = 1;
        } else {
            snapshot->epoch = greater(snapshot->epoch, epoch);
        }
    }
}

/* Whether there is a run-time change, and one that an agent makes. */
static int
change_is_sound(const atoll_peer_identity_record_t *peer)
{
    return (peer->flags & ATOLL_CHANGES) != 0 && peer->weight >= 1 && peer->weight <= ATOLL_WEIGHT_LIMIT
           && peer->server_length != 0 && peer->address_length != 0 && peer->sockaddr_length >= sizeof(uint16_t);
}

static void
take_peers(atoll_snapshot_t *snapshot)
{
    const atoll_zone_t  *zone = snapshot->zone;

    for (uint32_t slot = 0; slot < zone->peer_count; slot++) {
        atoll_peer_identity_record_t  *peer = &snapshot->identities[slot];
        uint64_t                       incarnation = atoll_relaxed(zone->states[slot].incarnation);

        if (incarnation < COUNT_LIMIT) {
            snapshot->incarnation = greater(snapshot->incarnation, incarnation);
        }

        if ((peer->state != ATOLL_PEER_LIFE_MEMBER && peer->state != ATOLL_PEER_LIFE_FORMER)
            || peer->incarnation != incarnation || incarnation == 0
            || peer->upstream >= zone->upstream_count
            || snapshot->upstreams[peer->upstream].state == ATOLL_UPSTREAM_STATE_FREE
            || peer->server_length > sizeof(peer->server)
            || peer->address_length > sizeof(peer->address)
            || peer->sockaddr_length > sizeof(peer->sockaddr))
        {
            peer->state = ATOLL_PEER_LIFE_VACANT;
        }

        if (peer->state != ATOLL_PEER_LIFE_VACANT && change_is_sound(peer)) {
            snapshot->changed[snapshot->changed_count++] = slot;
        }
    }
}

/* The slots that workers may look at for a former owner until the next table is published. */
static void
take_reserved(atoll_snapshot_t *snapshot)
{
    atoll_table_t  table;

    for (uint32_t i = 0; i < snapshot->zone->upstream_count; i++) {
        if (snapshot->upstreams[i].state != ATOLL_UPSTREAM_STATE_USED
            || atoll_table_open(&table, snapshot->zone, i) != ATOLL_TABLE_OK)
        {
            continue;
        }

        for (uint32_t n = table.peer_count; n < table.all_peers; n++) {
            uint32_t  slot = atoll_read32(&table.peers[n].slot);

            if (slot < snapshot->zone->peer_count) {
                snapshot->reserved[slot] = 1;
            }
        }
    }
}

int
atoll_snapshot_take(atoll_snapshot_t *snapshot, const atoll_zone_t *zone, int same_boot)
{
    memset(snapshot, 0, sizeof(*snapshot));

    if (zone == NULL) {
        return 0;
    }

    size_t  upstreams = zone->upstream_count * sizeof(*snapshot->upstreams);
    size_t  identities = zone->peer_count * sizeof(*snapshot->identities);

    snapshot->zone = zone;
    snapshot->same_boot = same_boot;
    snapshot->upstreams = malloc(upstreams + 1);
    snapshot->identities = malloc(identities + 1);
    snapshot->changed = malloc(((size_t) zone->peer_count + 1) * sizeof(*snapshot->changed));
    snapshot->reserved = calloc((size_t) zone->peer_count + 1, 1);

    if (snapshot->upstreams == NULL || snapshot->identities == NULL || snapshot->changed == NULL
        || snapshot->reserved == NULL)
    {
        atoll_snapshot_free(snapshot);
        return -1;
    }

    memcpy(snapshot->upstreams, zone->upstreams, upstreams);
    memcpy(snapshot->identities, zone->identities, identities);
    snapshot->epoch = atoll_relaxed(zone->header->epoch);
    snapshot->config_epoch = atoll_relaxed(zone->header->config_epoch);

    if (snapshot->epoch >= COUNT_LIMIT || snapshot->config_epoch >= COUNT_LIMIT) {
        snapshot->epoch = 0;
        snapshot->config_epoch = 0;
        snapshot->damaged = 1;
    }

    take_upstreams(snapshot);
    take_peers(snapshot);
    take_reserved(snapshot);

    if (take_heap(snapshot) != 0) {
        atoll_snapshot_free(snapshot);
        return -1;
    }

    return 0;
}

void
atoll_snapshot_free(atoll_snapshot_t *snapshot)
{
    free(snapshot->upstreams);
    free(snapshot->identities);
    free(snapshot->changed);
    free(snapshot->reserved);
    memset(snapshot, 0, sizeof(*snapshot));
}

uint32_t
atoll_snapshot_find(const atoll_snapshot_t *snapshot, const void *name, size_t length)
{
    for (uint32_t i = 0; snapshot->zone != NULL && i < snapshot->zone->upstream_count; i++) {
        const atoll_upstream_record_t  *upstream = &snapshot->upstreams[i];

        if (upstream->state != ATOLL_UPSTREAM_STATE_FREE && upstream->name_length == length
            && memcmp(upstream->name, name, length) == 0)
        {
            return i;
        }
    }

    return ATOLL_NO_SLOT;
}
