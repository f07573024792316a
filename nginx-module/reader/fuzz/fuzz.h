/* What the fuzz targets share: a zone with two small upstreams, memory that ends with the input, and all that a worker does. */
#ifndef ATOLL_FUZZ_H
#define ATOLL_FUZZ_H

#include "../test/zone_fixture.h"
#include "../atoll_handover.h"

#define FUZZ_PEERS  9
#define FUZZ_T      UINT64_C(5000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const fixture_peer_t  fuzz_peers[FUZZ_PEERS] = {
    {"a:80", "10.0.0.1:80", 1, 0, 1, 1000, 0},
    {"b", "10.0.0.2:80", 1, 2, 1, 1000, 0},
    {"b", "10.0.0.3:80", 1, 0, 0, 1000, 0},
    {"c", "10.0.0.4:80", 1, 0, 2, 1000, ATOLL_PEER_FLAG_DOWN},
    {"d", "10.0.0.5:80", 1, 0, 1, 1000, ATOLL_PEER_FLAG_BACKUP},
    {"b", "10.0.0.2:80", 1, 0, 1, 1000, ATOLL_PEER_FLAG_PREVIOUS},
    {"e", "10.0.0.6:80", 1, 0, 1, 1000, ATOLL_PEER_FLAG_PREVIOUS},
    {"f", "10.0.0.7:80", 1, 0, 1, 1000, ATOLL_PEER_FLAG_EARLIER},
    {"b", "10.0.0.3:80", 1, 0, 1, 1000, ATOLL_PEER_FLAG_EARLIER}
};

static void  *fuzz_memory;

static inline void *
fuzz_allocate(size_t size, void *data)
{
    void **block = size < (1 << 20) ? malloc(2 * sizeof(void *) + size) : NULL;

    (void) data;

    if (block == NULL) {
        return NULL;
    }

    block[0] = fuzz_memory;
    fuzz_memory = block;

    return block + 2;
}

static inline void
fuzz_free(void)
{
    void **block;

    while ((block = fuzz_memory) != NULL) {
        fuzz_memory = block[0];
        free(block);
    }
}

/* Upstream 0 with all peers, a hot key and a bound, purges, upstream 1 with the first alone; two rows. */
static inline void
fuzz_open(fixture_t *fixture)
{
    atoll_table_record_t *table = fixture_compile(fuzz_peers, FUZZ_PEERS), *single = fixture_compile(fuzz_peers, 1);

    fixture_open(fixture, 2, FUZZ_PEERS + 2, 2, table->length);
    table->handover_until_ms = 2 * FUZZ_T;
    fixture_upstream(fixture, 0, "pool")->slow_start_ms = 500;
    fixture->zone.upstreams[0].replicas = 3;
    fixture->zone.upstreams[0].bound_percent = 125;
    fixture->zone.hot_sets[0].until_ms = FUZZ_T + 4000;
    fixture->zone.hot_sets[0].filter = UINT64_MAX;
    fixture->zone.hot_sets[0].entries[1] = UINT64_C(3) << 32 | 5 * UINT32_C(0x0aaaaaaa);
    fixture->zone.upstreams[0].handover_ms = 60000;
    fixture->zone.upstreams[1].handover_ms = 60000;
    fixture_upstream(fixture, 1, "one");

    for (uint32_t i = 0; i < FUZZ_PEERS; i++) {
        fixture_name_slot(fixture, i, 0, &fuzz_peers[i]);
    }

    fixture_name_slot(fixture, FUZZ_PEERS, 1, &fuzz_peers[0]);
    fixture_publish(fixture, 0, table, 0);
    fixture_publish(fixture, 1, single, FUZZ_PEERS);
    fixture_purges(&fixture->zone);
    free(table);
    free(single);
}

static inline int
fuzz_is_alive(uint64_t pid, uint64_t start, void *data)
{
    (void) data;

    return (pid ^ start) & 1;
}

static inline void
fuzz_check(int holds)
{
    if (!holds) {
        abort();
    }
}

/* One request: a first pick, retries, reports. Aborts where an answer breaks the contract. */
static inline void
fuzz_request(atoll_balancer_t *balancer, uint32_t hash, uint32_t how, uint64_t now)
{
    int                  result;
    atoll_walk_t         walk;
    const atoll_peer_t  *former;

    memset(&walk, 0, sizeof(walk));
    atoll_walk_init(&walk, hash, how & 1);
    walk.allocate = how & 2 ? fuzz_allocate : NULL;

    for (uint32_t try = 0; try < (how >> 2 & 15); try++) {
        result = atoll_pick(balancer, &walk, now);
        fuzz_check((walk.peer != NULL) == (result == ATOLL_PICK_OK));

        if (walk.peer == NULL) {
            break;
        }

        fuzz_check(walk.peer->slot < balancer->zone->peer_count && walk.peer->socklen <= 128);
        atoll_done(balancer, &walk, now, how >> (6 + try) & 1);
        now += how >> 24;
    }

    fixture_generation(balancer->zone, hash, now);
    atoll_owner(balancer, hash, now, 0);
    former = atoll_previous_owner(balancer, hash, now, how & 1 ? "b" : "a:80", how & 1 ? 1 : 4, how >> 23 & 1, NULL, 0);

    if (former != NULL && (how >> 21 & 1)) {
        former = atoll_previous_owner(balancer, hash, now, "b", 1, 0, former, how & 1);
    }

    if (former != NULL && atoll_give(balancer, &walk, former)) {
        fuzz_check(walk.peer == former && former->slot < balancer->zone->peer_count);
        atoll_done(balancer, &walk, now, how >> 22 & 1);
    }
}

static inline void
fuzz_balancer(const atoll_zone_t *zone, atoll_balancer_t *balancer, uint32_t upstream, const atoll_row_t *row)
{
    memset(balancer, 0, sizeof(*balancer));
    balancer->zone = zone;
    balancer->row = *row;
    balancer->upstream = upstream;
    balancer->config_epoch = 1;
    balancer->allocate = fuzz_allocate;
}

/* All that can be done with a zone that could be attached. */
static inline void
fuzz_use(const atoll_zone_t *zone)
{
    int               claimed;
    atoll_row_t       row;
    unsigned char    *own = NULL;
    atoll_balancer_t  balancer;

    atoll_zone_find_upstream(zone, "pool", 4);
    claimed = atoll_row_claim(&row, zone, 1, 1, 1, fuzz_is_alive, NULL);

    if (!claimed) {
        own = aligned_alloc(ATOLL_CACHE_LINE, atoll_row_size(zone->upstream_count, zone->peer_count));
        memset(own, 0, atoll_row_size(zone->upstream_count, zone->peer_count));
        row = atoll_row_at(own, zone->upstream_count);
    }

    for (uint32_t upstream = 0; upstream <= zone->upstream_count && upstream < 4; upstream++) {
        fuzz_balancer(zone, &balancer, upstream, &row);

        for (uint32_t i = 0; i < 24; i++) {
            fuzz_request(&balancer, i * UINT32_C(0x0aaaaaaa), i * UINT32_C(0x01234567) | 8, FUZZ_T + i * 250);
        }
    }

    for (uint32_t slot = 0; slot < 8; slot++) {
        atoll_zone_inflight(zone, slot);
    }

    if (zone->purges != NULL) {
        fixture_purges(zone);
    }

    free(own);
    fuzz_free();
}

#endif
