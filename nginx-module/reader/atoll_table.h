/*
 * A published table, validated once and then looked up in about the time of two cache misses.
 *
 * Pure C11: no allocation, no system call, nothing written but the caller's atoll_table_t. For any thread, while the bytes do not
 * change; who looks up in a buffer of the zone compares the sequence afterwards. Twin: io.atoll.core.table.Table.
 */
#ifndef ATOLL_TABLE_H
#define ATOLL_TABLE_H

#include "atoll_read.h"
#include "atoll_zone.h"

enum {
    ATOLL_TABLE_OK = 0,
    ATOLL_TABLE_NONE,      /* the upstream has published nothing yet */
    ATOLL_TABLE_TORN,      /* it changed while it was read; try again */
    ATOLL_TABLE_INVALID    /* its bytes contradict themselves */
};

#define ATOLL_NO_POINT UINT32_MAX

typedef struct {
    const atoll_point_record_t  *points;
    const uint32_t              *buckets;
    uint32_t                     point_count;   /* 0: an empty ring */
    uint32_t                     bucket_shift;  /* 1 to 31 */
    uint32_t                     first_group, group_count;
    uint32_t                     first_peer, peer_count;
    uint32_t                     tries;         /* peers without DOWN */
} atoll_ring_t;

/*
 * Counts and offsets are copies made at validation: bytes that change later cannot move a bound. peer_count and group_count
 * are of the present rings; the records of the previous and the earlier ring follow behind theirs.
 */
typedef struct {
    const atoll_table_record_t       *head;
    uint64_t                          published;     /* the upstream's word that led here; 0 for atoll_table_check */
    uint64_t                          sequence;      /* of the head when it was validated */
    uint64_t                          config_epoch;
    uint64_t                          handover_until_ms;
    atoll_ring_t                      ring[ATOLL_RING_COUNT_];
    const atoll_group_record_t       *groups;
    uint32_t                          group_count;
    const atoll_table_peer_record_t  *peers;
    uint32_t                          peer_count;
    uint32_t                          all_peers;     /* with those of the previous and the earlier ring */
    int                               single;
} atoll_table_t;

/*
 * Validates the active table of an upstream: bounds, order of the points, buckets, groups, peers, slots, checksum.
 * Cost: one pass over it. Returns ATOLL_TABLE_*; table->published is set for each of them.
 */
int atoll_table_open(atoll_table_t *table, const atoll_zone_t *zone, uint32_t upstream);

/* The same for length bytes anywhere (a compiler's output before it is published: slots are not looked at). */
int atoll_table_check(atoll_table_t *table, const void *memory, size_t length);

/* 1 while the table's bytes are those that were validated (acquire; call it after what was read from them). */
static inline int
atoll_table_is_current(const atoll_table_t *table)
{
    atomic_thread_fence(memory_order_acquire);

    return atoll_relaxed(table->head->sequence) == table->sequence;
}

/* Up to here a bucket is walked along; a longer one, as hashes of server names hardly make, is halved first. */
#define ATOLL_BUCKET_WALK  8

/*
 * Index of the first point with hash >= the key's, 0 past the last (nginx: ngx_http_upstream_find_chash_point, modulo
 * the number). ATOLL_NO_POINT for an empty ring or torn buckets.
 */
static inline uint32_t
atoll_ring_find(const atoll_ring_t *ring, uint32_t hash)
{
    uint32_t         low, high, middle;
    const uint32_t  *bucket;

    if (ring->point_count == 0) {
        return ATOLL_NO_POINT;
    }

    bucket = &ring->buckets[hash >> ring->bucket_shift];
    low = atoll_read32(&bucket[0]);
    high = atoll_read32(&bucket[1]);

    if (high > ring->point_count || low > high) {
        return ATOLL_NO_POINT;
    }

    while (high - low > ATOLL_BUCKET_WALK) {
        middle = low + (high - low) / 2;

        if (atoll_read32(&ring->points[middle].hash) < hash) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    while (low < high && atoll_read32(&ring->points[low].hash) < hash) {
        low++;
    }

    return low == ring->point_count ? 0 : low;
}

#endif
