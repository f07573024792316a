#include "atoll_table.h"

#include <string.h>

#include "atoll_crc32.h"

static int table_locate(const atoll_zone_t *zone, uint32_t upstream, uint64_t published,
                        const unsigned char **buffer, uint64_t *capacity);
static int table_validate(atoll_table_t *table, const unsigned char *base, size_t capacity, uint64_t slot_count);
static int table_sections(atoll_table_t *table, const unsigned char *base, size_t length);
static int ring_section(atoll_ring_t *ring, const unsigned char *base, size_t length, unsigned r);
static int ring_validate(const atoll_table_t *table, unsigned r);
static int points_validate(const atoll_ring_t *ring);
static int groups_validate(const atoll_table_t *table, unsigned r);
static int peers_validate(const atoll_table_t *table, unsigned r, uint64_t slot_count);
static const void *table_part(const unsigned char *base, size_t length, uint64_t offset, uint64_t count, size_t size);
static uint32_t table_checksum(const atoll_table_t *table, const unsigned char *base, size_t length);


int
atoll_table_open(atoll_table_t *table, const atoll_zone_t *zone, uint32_t upstream)
{
    uint64_t              published, sequence, capacity;
    const unsigned char  *buffer;

    if (upstream >= zone->upstream_count) {
        return ATOLL_TABLE_NONE;
    }

    published = atomic_load_explicit(&zone->upstreams[upstream].published, memory_order_acquire);

    memset(table, 0, sizeof(*table));
    table->published = published;

    if (published == 0) {
        return ATOLL_TABLE_NONE;
    }

    if (!table_locate(zone, upstream, published, &buffer, &capacity)) {
        return ATOLL_TABLE_INVALID;
    }

    sequence = atomic_load_explicit(&((const atoll_table_record_t *) buffer)->sequence, memory_order_acquire);

    if (sequence == 0 || sequence != published >> 1) {
        return ATOLL_TABLE_TORN;
    }

    if (!table_validate(table, buffer, capacity, zone->peer_count)) {
        return atoll_table_is_current(table) ? ATOLL_TABLE_INVALID : ATOLL_TABLE_TORN;
    }

    return table->sequence == sequence && atoll_table_is_current(table) ? ATOLL_TABLE_OK : ATOLL_TABLE_TORN;
}


int
atoll_table_check(atoll_table_t *table, const void *memory, size_t length)
{
    memset(table, 0, sizeof(*table));

    if (length < sizeof(atoll_table_record_t)) {
        return ATOLL_TABLE_INVALID;
    }

    return table_validate(table, memory, length, UINT64_MAX) ? ATOLL_TABLE_OK : ATOLL_TABLE_INVALID;
}


/* The published buffer, when it lies within the table heap and has room for a head. */
static int
table_locate(const atoll_zone_t *zone, uint32_t upstream, uint64_t published, const unsigned char **buffer,
             uint64_t *capacity)
{
    uint64_t                        offset, end = zone->tables_offset + zone->tables_length;
    const atoll_upstream_record_t  *record = &zone->upstreams[upstream];

    offset = atoll_read64(&record->buffer_offset[published & 1]);
    *capacity = atoll_read64(&record->buffer_capacity);

    if (offset < zone->tables_offset || offset > end || offset % ATOLL_CACHE_LINE != 0
        || *capacity > end - offset || *capacity < sizeof(atoll_table_record_t))
    {
        return 0;
    }

    *buffer = zone->base + offset;

    return 1;
}


static int
table_validate(atoll_table_t *table, const unsigned char *base, size_t capacity, uint64_t slot_count)
{
    uint64_t                     length;
    const atoll_table_record_t  *head = (const atoll_table_record_t *) base;

    table->head = head;
    table->sequence = atoll_relaxed(head->sequence);
    table->config_epoch = atoll_read64(&head->config_epoch);
    table->handover_until_ms = atoll_read64(&head->handover_until_ms);
    length = atoll_read64(&head->length);

    if (length < sizeof(*head) || length > capacity || !table_sections(table, base, length)) {
        return 0;
    }

    for (unsigned r = 0; r < ATOLL_RING_COUNT_; r++) {
        if (!ring_validate(table, r) || !groups_validate(table, r) || !peers_validate(table, r, slot_count)) {
            return 0;
        }
    }

    return table_checksum(table, base, length) == atoll_read32(&head->checksum);
}


/* Copies counts and turns offsets into pointers. The rings follow each other in groups and peers. */
static int
table_sections(atoll_table_t *table, const unsigned char *base, size_t length)
{
    uint32_t                     single;
    uint64_t                     groups = 0, peers = 0;
    atoll_ring_t                *ring;
    const atoll_table_record_t  *head = table->head;
    const atoll_ring_t          *backups = &table->ring[ATOLL_RING_BACKUPS];

    table->peer_count = atoll_read32(&head->peer_count);
    table->group_count = atoll_read32(&head->group_count);
    single = atoll_read32(&head->single);
    table->single = single == 1;

    for (unsigned r = 0; r < ATOLL_RING_COUNT_; r++) {
        ring = &table->ring[r];

        if (!ring_section(ring, base, length, r)) {
            return 0;
        }

        if (ring->point_count == 0 && r != ATOLL_RING_PRIMARY) {
            ring->first_group = (uint32_t) groups;
            ring->first_peer = (uint32_t) peers;
        }

        if (ring->first_group != groups || ring->first_peer != peers) {
            return 0;
        }

        groups += ring->group_count;
        peers += ring->peer_count;

        if (groups > UINT32_MAX || peers > UINT32_MAX
            || (r == ATOLL_RING_BACKUPS && (groups != table->group_count || peers != table->peer_count)))
        {
            return 0;
        }
    }

    table->all_peers = (uint32_t) peers;
    table->peers = table_part(base, length, atoll_read64(&head->peers_offset), peers, sizeof(atoll_table_peer_record_t));
    table->groups = table_part(base, length, atoll_read64(&head->groups_offset), groups, sizeof(atoll_group_record_t));

    return table->peers != NULL && table->groups != NULL
           && single == (table->ring[ATOLL_RING_PRIMARY].peer_count == 1 && backups->peer_count == 0);
}


static int
ring_section(atoll_ring_t *ring, const unsigned char *base, size_t length, unsigned r)
{
    const atoll_table_record_t *head = (const atoll_table_record_t *) base;

    ring->point_count = atoll_read32(&head->point_count[r]);
    ring->bucket_shift = atoll_read32(&head->bucket_shift[r]);
    ring->first_group = atoll_read32(&head->first_group[r]);
    ring->group_count = atoll_read32(&head->ring_groups[r]);
    ring->first_peer = atoll_read32(&head->first_peer[r]);
    ring->peer_count = atoll_read32(&head->ring_peers[r]);
    ring->tries = atoll_read32(&head->tries[r]);

    if (ring->point_count == 0) {
        return ring->group_count == 0 && ring->peer_count == 0;
    }

    if (ring->point_count == ATOLL_NO_POINT || ring->bucket_shift < 1 || ring->bucket_shift > 31) {
        return 0;
    }

    ring->points = table_part(base, length, atoll_read64(&head->points_offset[r]), ring->point_count,
                              sizeof(atoll_point_record_t));
    ring->buckets = table_part(base, length, atoll_read64(&head->buckets_offset[r]),
                               (UINT64_C(1) << (32 - ring->bucket_shift)) + 1, sizeof(uint32_t));

    return ring->points != NULL && ring->buckets != NULL;
}


/* Points in order, each of a group of this ring, and each bucket at the first point that a hash of it can have. */
static int
ring_validate(const atoll_table_t *table, unsigned r)
{
    uint32_t             i = 0;
    uint64_t             bucket, bucket_count;
    const atoll_ring_t  *ring = &table->ring[r];

    if (ring->point_count == 0) {
        return 1;
    }

    if (!points_validate(ring)) {
        return 0;
    }

    bucket_count = UINT64_C(1) << (32 - ring->bucket_shift);

    for (bucket = 0; bucket < bucket_count; bucket++) {
        while (i < ring->point_count && atoll_read32(&ring->points[i].hash) < bucket << ring->bucket_shift) {
            i++;
        }

        if (atoll_read32(&ring->buckets[bucket]) != i) {
            return 0;
        }
    }

    return atoll_read32(&ring->buckets[bucket_count]) == ring->point_count;
}


static int
points_validate(const atoll_ring_t *ring)
{
    uint32_t hash, previous = 0;

    for (uint32_t i = 0; i < ring->point_count; i++) {
        hash = atoll_read32(&ring->points[i].hash);

        if ((i != 0 && hash <= previous)
            || atoll_read32(&ring->points[i].group) - ring->first_group >= ring->group_count)
        {
            return 0;
        }

        previous = hash;
    }

    return 1;
}


/* The groups of a ring share its peers out among them, in order. */
static int
groups_validate(const atoll_table_t *table, unsigned r)
{
    uint32_t                     count, next;
    const atoll_ring_t          *ring = &table->ring[r];
    const atoll_group_record_t  *group;

    next = ring->first_peer;

    for (uint32_t g = ring->first_group; g < ring->first_group + ring->group_count; g++) {
        group = &table->groups[g];
        count = atoll_read32(&group->peer_count);

        if (atoll_read32(&group->ring) != r || atoll_read32(&group->first_peer) != next
            || count == 0 || count > ring->first_peer + ring->peer_count - next)
        {
            return 0;
        }

        for (uint32_t i = next; i < next + count; i++) {
            if (atoll_read32(&table->peers[i].group) != g) {
                return 0;
            }
        }

        next += count;
    }

    return next == ring->first_peer + ring->peer_count;
}


static int
peers_validate(const atoll_table_t *table, unsigned r, uint64_t slot_count)
{
    static const uint32_t             ring_flags[ATOLL_RING_COUNT_] = {
        0, ATOLL_PEER_FLAG_BACKUP, ATOLL_PEER_FLAG_PREVIOUS, ATOLL_PEER_FLAG_EARLIER
    };
    uint32_t                          tries = 0, weight, flags, ring_flag = ring_flags[r];
    uint64_t                          total_weight = 0;
    const atoll_ring_t               *ring = &table->ring[r];
    const atoll_table_peer_record_t  *peer;

    if (ring->peer_count != 0) {
        ring_flag |= atoll_read32(&table->peers[ring->first_peer].flags) & ATOLL_PEER_FLAG_MAGLEV;
    }

    for (uint32_t i = ring->first_peer; i < ring->first_peer + ring->peer_count; i++) {
        peer = &table->peers[i];
        weight = atoll_read32(&peer->weight);
        flags = atoll_read32(&peer->flags);

        if (weight == 0 || atoll_read32(&peer->slot) >= slot_count
            || (flags & (ATOLL_PEER_FLAG_BACKUP | ATOLL_PEER_FLAG_PREVIOUS | ATOLL_PEER_FLAG_EARLIER | ATOLL_PEER_FLAG_MAGLEV))
               != ring_flag)
        {
            return 0;
        }

        tries += !(flags & ATOLL_PEER_FLAG_DOWN);
        total_weight += weight;
    }

    return tries == ring->tries && total_weight <= INT32_MAX
           && total_weight == atoll_read32(&table->head->total_weight[r]);
}


/* count records of size bytes behind the head and within the table, NULL when they do not lie there. */
static const void *
table_part(const unsigned char *base, size_t length, uint64_t offset, uint64_t count, size_t size)
{
    if (offset < sizeof(atoll_table_record_t) || offset > length || offset % sizeof(uint64_t) != 0
        || count > (length - offset) / size)
    {
        return NULL;
    }

    return base + offset;
}


/* CRC-32 of what follows the head, as if no peer had been given a slot yet. */
static uint32_t
table_checksum(const atoll_table_t *table, const unsigned char *base, size_t length)
{
    static const unsigned char  no_slot[sizeof(uint32_t)];
    uint32_t                    crc = 0xffffffff;
    const unsigned char        *p = base + sizeof(atoll_table_record_t);
    const unsigned char        *peer = (const unsigned char *) table->peers;

    for (uint32_t i = 0; i < table->all_peers; i++, peer += sizeof(atoll_table_peer_record_t)) {
        crc = atoll_crc32_update(crc, p, (size_t) (peer - p));
        crc = atoll_crc32_update(crc, no_slot, sizeof(no_slot));
        p = peer + sizeof(no_slot);
    }

    return ~atoll_crc32_update(crc, p, (size_t) (base + length - p));
}
