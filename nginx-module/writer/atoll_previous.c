#define _POSIX_C_SOURCE 200809L

#include <stdlib.h>
#include <string.h>

#include "../reader/atoll_read.h"
#include "atoll_previous.h"
#include "atoll_process.h"
#include "atoll_zone_file.h"
#include "atoll_zone_plan.h"

/* What tells, beside name and weight, who gets which key. */
#define PLACING_FLAGS  (ATOLL_PEER_FLAG_DOWN | ATOLL_PEER_FLAG_MAGLEV)

static int
compare_sources(const void *a, const void *b)
{
    const atoll_member_t  *x = a, *y = b;

    return (x->source > y->source) - (x->source < y->source);
}

/* Copies a peer of a table; 0 when it or its slot is not as the master writes them. */
static int
take_member(atoll_member_t *member, const atoll_table_peer_record_t *record, uint32_t upstream,
            const atoll_snapshot_t *snapshot)
{
    uint32_t                             slot = atoll_read32(&record->slot);
    const atoll_peer_identity_record_t  *identity;

    if (slot >= snapshot->zone->peer_count) {
        return 0;
    }

    identity = &snapshot->identities[slot];
    member->peer = (atoll_writer_peer_t) {
        .sockaddr = identity->sockaddr, .socklen = identity->sockaddr_length,
        .address = (const char *) identity->address, .address_length = identity->address_length,
        .server = (const char *) identity->server, .server_length = identity->server_length,
        .weight = atoll_read32(&record->weight), .flags = atoll_read32(&record->flags) & PLACING_FLAGS,
        .max_conns = atoll_read32(&record->max_conns), .max_fails = atoll_read32(&record->max_fails),
        .fail_timeout_ms = atoll_read32(&record->fail_timeout_ms)
    };
    member->source = atoll_read32(&record->source);

    return identity->state != ATOLL_PEER_LIFE_VACANT && identity->upstream == upstream && identity->server_length != 0
           && identity->address_length != 0 && identity->sockaddr_length >= sizeof(uint16_t)
           && member->peer.weight >= 1 && member->peer.weight <= INT32_MAX;
}

/* The members of a ring into memory; none when one of them cannot be used. */
static atoll_members_t
take_ring(atoll_member_t *memory, const atoll_table_t *table, unsigned ring, uint32_t upstream,
          const atoll_snapshot_t *snapshot)
{
    const atoll_ring_t  *from = &table->ring[ring];
    atoll_members_t      none = { NULL, 0 };

    for (uint32_t i = 0; i < from->peer_count; i++) {
        if (!take_member(&memory[i], &table->peers[from->first_peer + i], upstream, snapshot)) {
            return none;
        }
    }

    qsort(memory, from->peer_count, sizeof(*memory), compare_sources);

    return (atoll_members_t) { memory, from->peer_count };
}

static void
take_upstream(atoll_known_upstream_t *known, const atoll_snapshot_t *snapshot, uint32_t upstream)
{
    uint32_t       primaries, previous;
    atoll_table_t  table;

    if (snapshot->upstreams[upstream].state != ATOLL_UPSTREAM_STATE_USED
        || atoll_table_open(&table, snapshot->zone, upstream) != ATOLL_TABLE_OK)
    {
        return;
    }

    primaries = table.ring[ATOLL_RING_PRIMARY].peer_count;
    previous = table.ring[ATOLL_RING_PREVIOUS].peer_count;
    known->memory = calloc((size_t) primaries + previous + table.ring[ATOLL_RING_EARLIER].peer_count + 1, sizeof(*known->memory));

    if (known->memory == NULL) {
        return;
    }

    known->primary = take_ring(known->memory, &table, ATOLL_RING_PRIMARY, upstream, snapshot);
    known->previous.members = take_ring(known->memory + primaries, &table, ATOLL_RING_PREVIOUS, upstream, snapshot);
    known->previous.earlier = take_ring(known->memory + primaries + previous, &table, ATOLL_RING_EARLIER, upstream, snapshot);
    known->previous.until_ms = known->previous.members.count == 0 ? 0 : table.handover_until_ms;

    if (!atoll_table_is_current(&table)) {
        memset(&known->primary, 0, sizeof(known->primary));
        memset(&known->previous, 0, sizeof(known->previous));
    }
}

/* Takes the copies out of the snapshot, which goes with the file. */
static void
take_zone(atoll_known_t *known, const atoll_zone_t *zone)
{
    atoll_snapshot_t  snapshot;

    if (atoll_snapshot_take(&snapshot, zone, 1) != 0) {
        return;
    }

    known->upstreams = calloc((size_t) zone->upstream_count + 1, sizeof(*known->upstreams));

    if (known->upstreams != NULL) {
        known->upstream_count = zone->upstream_count;
        known->records = snapshot.upstreams;
        known->identities = snapshot.identities;

        for (uint32_t i = 0; i < zone->upstream_count; i++) {
            take_upstream(&known->upstreams[i], &snapshot, i);
        }

        snapshot.upstreams = NULL;
        snapshot.identities = NULL;
    }

    atoll_snapshot_free(&snapshot);
}

void
atoll_known_read(atoll_known_t *known, const char *path)
{
    char          error[ATOLL_FILE_ERROR];
    atoll_file_t  file;

    memset(known, 0, sizeof(*known));

    if (atoll_file_open(&file, path, 1, error) != 0 || file.fd == -1) {
        return;
    }

    if (file.attach == ATOLL_ATTACH_OK && atoll_file_is_of_this_boot(file.zone.header)) {
        take_zone(known, &file.zone);
    }

    atoll_file_close(&file);
}

void
atoll_known_close(atoll_known_t *known)
{
    for (uint32_t i = 0; i < known->upstream_count; i++) {
        free(known->upstreams[i].memory);
    }

    free(known->upstreams);
    free(known->records);
    free(known->identities);
    memset(known, 0, sizeof(*known));
}

const atoll_known_upstream_t *
atoll_known_find(const atoll_known_t *known, const void *name, size_t length)
{
    for (uint32_t i = 0; i < known->upstream_count; i++) {
        const atoll_upstream_record_t  *record = &known->records[i];

        if (record->state == ATOLL_UPSTREAM_STATE_USED && record->name_length == length
            && memcmp(record->name, name, length) == 0)
        {
            return &known->upstreams[i];
        }
    }

    return NULL;
}

/* By what places points, then by who may serve. */
static int
compare_members(const void *a, const void *b)
{
    const atoll_writer_peer_t  *x = &(*(const atoll_member_t *const *) a)->peer;
    const atoll_writer_peer_t  *y = &(*(const atoll_member_t *const *) b)->peer;
    int                         order = (x->server_length > y->server_length) - (x->server_length < y->server_length);

    order = order != 0 ? order : memcmp(x->server, y->server, x->server_length);
    order = order != 0 ? order : (x->weight > y->weight) - (x->weight < y->weight);

    return order != 0 ? order : (int) (x->flags & PLACING_FLAGS) - (int) (y->flags & PLACING_FLAGS);
}

/* Pointers to the members in order, each kind once; *count of them. NULL without memory. */
static const atoll_member_t **
kinds_of(const atoll_members_t *members, uint32_t *count)
{
    const atoll_member_t  **kinds = calloc((size_t) members->count + 1, sizeof(*kinds));
    uint32_t                kept = 0;

    if (kinds == NULL) {
        return NULL;
    }

    for (uint32_t i = 0; i < members->count; i++) {
        kinds[i] = &members->members[i];
    }

    qsort(kinds, members->count, sizeof(*kinds), compare_members);

    for (uint32_t i = 0; i < members->count; i++) {
        if (kept == 0 || compare_members(&kinds[i], &kinds[kept - 1]) != 0) {
            kinds[kept++] = kinds[i];
        }
    }

    *count = kept;

    return kinds;
}

/* Whether two rings give each key to the same server. Without memory: no. */
static int
is_same(const atoll_members_t *a, const atoll_members_t *b)
{
    uint32_t                a_count = 0, b_count = 0;
    const atoll_member_t  **a_kinds = kinds_of(a, &a_count), **b_kinds = kinds_of(b, &b_count);
    int                     same = a_kinds != NULL && b_kinds != NULL && a_count == b_count;

    for (uint32_t i = 0; same && i < a_count; i++) {
        same = compare_members(&a_kinds[i], &b_kinds[i]) == 0;
    }

    free(a_kinds);
    free(b_kinds);

    return same;
}

/* As the earlier ring: neither the one that is wanted, whose members have what they had, nor the one before. */
static int
is_worth_keeping(const atoll_members_t *ring, const atoll_known_upstream_t *known, const atoll_members_t *wanted)
{
    return ring->count != 0 && !is_same(ring, wanted) && !is_same(ring, &known->primary);
}

atoll_previous_t
atoll_previous_after(const atoll_known_upstream_t *known, const atoll_members_t *wanted, uint64_t now_ms,
                     uint32_t handover_ms)
{
    int                     open;
    const atoll_previous_t  none = { { NULL, 0 }, { NULL, 0 }, 0 };
    uint64_t                until = now_ms + handover_ms;
    atoll_previous_t        previous;

    if (handover_ms == 0 || known == NULL || known->primary.count == 0) {
        return none;
    }

    open = known->previous.members.count != 0 && now_ms < known->previous.until_ms;

    if (is_same(&known->primary, wanted)) {
        previous = open ? known->previous : none;
        previous.until_ms = previous.until_ms < until ? previous.until_ms : until;

        return previous;
    }

    previous = none;
    previous.members = known->primary;
    previous.until_ms = until;

    if (open && is_worth_keeping(&known->previous.earlier, known, wanted)) {
        previous.earlier = known->previous.earlier;
    } else if (open && is_worth_keeping(&known->previous.members, known, wanted)) {
        previous.earlier = known->previous.members;
    }

    return previous;
}
