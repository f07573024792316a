/* The order in which peers are given: stock nginx's where it walks, and on from there. */
#include "stock.h"
#include "tap.h"

#define MAX_PEERS  64
#define HOUR       UINT64_C(3600000)

static char names[MAX_PEERS][32];
static int stock_left_the_ring;


/* A pool of random shape; weights, limits, several addresses under a name, names with and without port, down, backup. */
static uint32_t
random_pool(fixture_peer_t *peers, int with_failures)
{
    uint32_t count = 1 + (uint32_t) (tap_random() % (tap_random() % 4 == 0 ? MAX_PEERS : 6));

    for (uint32_t i = 0; i < count; i++) {
        static const char *const shapes[] = {"10.0.0.%u:80", "cache-%u.example", "unix:/run/c%u", "[fd00::%u]:8080"};
        uint32_t                 same = i > 0 && tap_random() % 4 == 0 ? (uint32_t) (tap_random() % i) : i;

        if (same == i) {
            snprintf(names[i], sizeof(names[i]), shapes[tap_random() % 4], i);
        }

        peers[i] = (fixture_peer_t) {
            .server = same == i ? names[i] : peers[same].server,
            .address = "127.0.0.1:80",
            .weight = tap_random() % 3 == 0 ? 1 + (uint32_t) (tap_random() % 5) : 1,
            .max_conns = tap_random() % 5 == 0 ? 1 + (uint32_t) (tap_random() % 2) : 0,
            .max_fails = with_failures ? (uint32_t) (tap_random() % 3) : 0,
            .fail_timeout_ms = 10000,
            .flags = tap_random() % 6 == 0 ? ATOLL_PEER_FLAG_DOWN : 0
        };
        peers[i].flags |= i > 0 && count > 2 && tap_random() % 8 == 0 ? ATOLL_PEER_FLAG_BACKUP : 0;
    }

    peers[0].flags &= ~(uint32_t) ATOLL_PEER_FLAG_BACKUP;

    return count;
}


static void
compare_request(atoll_balancer_t *balancer, stock_peers_t *pool, stock_points_t *points, uint32_t hash, int keyed,
                uint32_t retries, uint64_t now, int may_fail)
{
    int               result, failed;
    uintptr_t         tried[MAX_PEERS / STOCK_BITS + 1] = {0};
    atoll_walk_t      walk;
    stock_peer_t     *expected;
    stock_request_t   request;

    memset(&walk, 0, sizeof(walk));
    atoll_walk_init(&walk, hash, keyed);
    walk.allocate = fixture_allocate;
    stock_begin(&request, pool, points, hash, keyed, tried);

    for (uint32_t i = 0; i <= retries; i++) {
        int walks = request.tries <= 20;

        expected = stock_get(&request, (int64_t) (now / 1000));
        result = atoll_pick(balancer, &walk, now);

        /* Stock went round robin and gave somebody: its weights drift away, this is as far as they can be compared. */
        if (keyed && walks && request.tries > 20 && expected != NULL) {
            stock_left_the_ring = 1;
            return;
        }

        CHECK_EQUAL(expected != NULL ? ATOLL_PICK_OK : ATOLL_PICK_NONE, result);

        if (expected == NULL) {
            return;
        }

        CHECK_EQUAL(expected->source, walk.peer->slot);

        failed = may_fail && tap_random() % 2;
        stock_free(&request, (int64_t) (now / 1000), failed);
        atoll_done(balancer, &walk, now, failed);
    }
}


/* So many requests in a row on each pool, until stock leaves the ring. */
static void
compare_pools(int pools, int requests, int keyed, int may_fail)
{
    int                compared = 0;
    fixture_t          fixture;
    stock_peers_t     *pool;
    stock_points_t    *points;
    fixture_peer_t     peers[MAX_PEERS];
    atoll_balancer_t   balancer;

    for (int i = 0; i < pools; i++) {
        uint64_t now = HOUR;
        uint32_t count = random_pool(peers, may_fail);

        fixture_pool(&fixture, &balancer, peers, count);
        fixture.zone.upstreams[0].panic_percent = 0;
        pool = stock_pool(peers, count);
        points = stock_points(pool);

        stock_left_the_ring = 0;

        for (int j = 0; j < requests && !stock_left_the_ring; j++) {
            now += tap_random() % 8 == 0 ? 11000 : 0;
            compare_request(&balancer, pool, points, (uint32_t) tap_random(), keyed, (uint32_t) (tap_random() % 5),
                            now, may_fail);
            CHECK_PASSED();
            compared++;
        }

        free(points);
        stock_pool_free(pool);
        fixture_close(&fixture);
    }

    CHECK(compared > pools * requests / 2);
}


static void shouldChooseAndRetryAsStockDoes(void) { compare_pools(300, 200, 1, 0); }
static void shouldCountFailuresAsStockDoes(void) { compare_pools(300, 200, 1, 1); }
static void shouldTakeTurnsForAnEmptyKeyAsStockDoes(void) { compare_pools(200, 100, 0, 0); }
static void shouldTakeTurnsAsStockDoesWhilePeersFail(void) { compare_pools(200, 100, 0, 1); }


/* Plain peers "s0", "s1", … of weight 1. */
static void
plain_peers(fixture_peer_t *peers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "s%u", i);
        peers[i] = (fixture_peer_t) {
            .server = names[i], .address = names[i], .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000
        };
    }
}


static void
shouldGoOnAlongTheRingWhereStockGivesUp(void)
{
    uint32_t           point, group, given = 0;
    uint8_t            seen[MAX_PEERS] = {0};
    fixture_t          fixture;
    atoll_walk_t       walk;
    fixture_peer_t     peers[MAX_PEERS];
    atoll_balancer_t   balancer;

    plain_peers(peers, MAX_PEERS);
    fixture_pool(&fixture, &balancer, peers, MAX_PEERS);

    memset(&walk, 0, sizeof(walk));
    atoll_walk_init(&walk, fixture_hash("/a"), 1);
    walk.allocate = fixture_allocate;

    CHECK(atoll_balancer_refresh(&balancer));
    point = atoll_ring_find(&balancer.table.ring[0], walk.hash);

    while (given < MAX_PEERS) {
        group = balancer.table.ring[0].points[point].group;
        point = (point + 1) % balancer.table.ring[0].point_count;

        if (seen[group]) {
            continue;
        }

        seen[group] = 1;
        given++;
        CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, HOUR));
        CHECK_EQUAL(balancer.table.groups[group].first_peer, walk.peer->slot);
        atoll_done(&balancer, &walk, HOUR, 0);
    }

    CHECK_EQUAL(ATOLL_PICK_NONE, atoll_pick(&balancer, &walk, HOUR));
    CHECK_EQUAL(MAX_PEERS, balancer.row.upstreams[0].picks);
    CHECK_EQUAL(1, balancer.row.upstreams[0].requests);
    CHECK_EQUAL(MAX_PEERS - 1, balancer.row.upstreams[0].retries);
    CHECK_EQUAL(1, balancer.row.upstreams[0].none);

    fixture_close(&fixture);
}


static void
shouldGiveNoPeerWhenTheTriedCannotBeRemembered(void)
{
    fixture_t          fixture;
    atoll_walk_t       walk;
    fixture_peer_t     peers[MAX_PEERS];
    atoll_balancer_t   balancer;

    plain_peers(peers, MAX_PEERS);
    fixture_pool(&fixture, &balancer, peers, MAX_PEERS);
    memset(&walk, 0, sizeof(walk));
    atoll_walk_init(&walk, 7, 1);

    for (int i = 0; i < ATOLL_TRIED_INLINE; i++) {
        CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, HOUR));
        atoll_done(&balancer, &walk, HOUR, 1);
    }

    CHECK_EQUAL(ATOLL_PICK_NONE, atoll_pick(&balancer, &walk, HOUR));
    fixture_close(&fixture);
}


static void
shouldLookOnceAtEachPeerWhenAllAreDown(void)
{
    fixture_t          fixture;
    atoll_walk_t       walk;
    fixture_peer_t     peers[MAX_PEERS];
    atoll_balancer_t   balancer;

    plain_peers(peers, MAX_PEERS);
    fixture_pool(&fixture, &balancer, peers, MAX_PEERS);

    for (uint32_t i = 0; i < MAX_PEERS; i++) {
        fixture.zone.states[i].reason[ATOLL_REASON_ADMIN] = ATOLL_FOREVER;
    }

    atoll_walk_init(&walk, fixture_hash("/b"), 1);
    CHECK_EQUAL(ATOLL_PICK_NONE, atoll_pick(&balancer, &walk, HOUR));

    /* 32 points, then each peer. */
    CHECK(balancer.looks >= MAX_PEERS);
    CHECK(balancer.looks <= 32 + MAX_PEERS);
    CHECK_EQUAL(0, balancer.row.upstreams[0].picks);

    fixture_close(&fixture);
}


static void
shouldFindTheOnlyEligiblePeerHoweverFar(void)
{
    fixture_t          fixture;
    atoll_walk_t       walk;
    fixture_peer_t     peers[MAX_PEERS];
    atoll_balancer_t   balancer;

    plain_peers(peers, MAX_PEERS);
    fixture_pool(&fixture, &balancer, peers, MAX_PEERS);

    for (uint32_t i = 0; i < MAX_PEERS; i++) {
        fixture.zone.states[i].reason[ATOLL_REASON_ADMIN] = i == 17 ? 0 : ATOLL_FOREVER;
    }

    for (uint32_t i = 0; i < 1000; i++) {
        atoll_walk_init(&walk, (uint32_t) tap_random(), 1);
        CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, HOUR));
        CHECK_EQUAL(17, walk.peer->slot);
        CHECK_EQUAL(17, atoll_owner(&balancer, walk.hash, HOUR, 0)->slot);
        atoll_done(&balancer, &walk, HOUR, 0);
    }

    fixture_close(&fixture);
}


static void
shouldGiveTheOnlyPeerAgainAndNotCountItsFailures(void)
{
    fixture_t          fixture;
    atoll_walk_t       walk;
    fixture_peer_t     peer;
    atoll_balancer_t   balancer;

    plain_peers(&peer, 1);
    peer.max_conns = 1;
    fixture_pool(&fixture, &balancer, &peer, 1);
    atoll_walk_init(&walk, 1, 1);

    for (int i = 0; i < ATOLL_TRIED_INLINE; i++) {
        CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, HOUR));
        atoll_done(&balancer, &walk, HOUR, 1);
    }

    CHECK_EQUAL(0, fixture.zone.states[0].fails);
    CHECK_EQUAL(0, fixture.zone.states[0].reason[ATOLL_REASON_PASSIVE]);
    CHECK_EQUAL(ATOLL_TRIED_INLINE, balancer.row.upstreams[0].failures);

    fixture.zone.states[0].reason[ATOLL_REASON_PROBE] = ATOLL_FOREVER;
    atoll_walk_init(&walk, 1, 1);
    CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, HOUR));
    atoll_walk_init(&walk, 1, 1);
    CHECK_EQUAL(ATOLL_PICK_NONE, atoll_pick(&balancer, &walk, HOUR));   /* max_conns */

    fixture.zone.states[0].reason[ATOLL_REASON_ADMIN] = HOUR + 1;
    balancer.row.peers[0].inflight = 0;
    CHECK_EQUAL(ATOLL_PICK_NONE, atoll_pick(&balancer, &walk, HOUR));
    CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, HOUR + 1));

    fixture_close(&fixture);
}


static void
shouldAskBackupsOnlyWhenNoPrimaryIsLeft(void)
{
    fixture_t          fixture;
    atoll_walk_t       walk;
    fixture_peer_t     peers[5];
    atoll_balancer_t   balancer;

    plain_peers(peers, 5);
    peers[1].flags = ATOLL_PEER_FLAG_BACKUP;
    peers[3].flags = ATOLL_PEER_FLAG_BACKUP;
    fixture_pool(&fixture, &balancer, peers, 5);

    for (uint32_t key = 0; key < 100; key++) {
        atoll_walk_init(&walk, key * UINT32_C(42949673), 1);

        for (int i = 0; i < 5; i++) {
            CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, HOUR));
            CHECK_EQUAL(i >= 3, walk.peer->slot == 1 || walk.peer->slot == 3);
            atoll_done(&balancer, &walk, HOUR, 0);
        }

        CHECK_EQUAL(ATOLL_PICK_NONE, atoll_pick(&balancer, &walk, HOUR));
    }

    fixture_close(&fixture);
}


static void
shouldCountRequestsOfAllWorkersForMaxConns(void)
{
    uint32_t           first;
    fixture_t          fixture;
    atoll_walk_t       walk;
    fixture_peer_t     peers[3];
    atoll_balancer_t   balancer, outside;
    unsigned char     *memory;

    plain_peers(peers, 3);
    peers[0].max_conns = peers[1].max_conns = peers[2].max_conns = 4;
    fixture_pool(&fixture, &balancer, peers, 3);

    atoll_walk_init(&walk, 99, 1);
    CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, HOUR));
    first = walk.peer->slot;

    atoll_zone_row(&fixture.zone, 1).peers[first].inflight = 1;
    atoll_zone_row(&fixture.zone, 3).peers[first].inflight = 2;
    CHECK_EQUAL(4, atoll_zone_inflight(&fixture.zone, first));

    atoll_walk_init(&walk, 99, 1);
    CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, HOUR));
    CHECK(walk.peer->slot != first);

    /* A worker without a row of the zone counts its own requests all the same. */
    atoll_zone_row(&fixture.zone, 1).peers[first].inflight = 0;
    memory = aligned_alloc(ATOLL_CACHE_LINE, fixture.zone.row_size);
    memset(memory, 0, fixture.zone.row_size);
    fixture_balancer(&fixture, &outside, 0, 0);
    outside.row = atoll_row_at(memory, fixture.zone.upstream_count);

    atoll_walk_init(&walk, 99, 1);
    CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&outside, &walk, HOUR));
    CHECK_EQUAL(first, walk.peer->slot);
    atoll_walk_init(&walk, 99, 1);
    CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&outside, &walk, HOUR));
    CHECK(walk.peer->slot != first);

    free(memory);
    fixture_close(&fixture);
}


static void
shouldReportAPeerOnce(void)
{
    fixture_t          fixture;
    atoll_walk_t       walk;
    fixture_peer_t     peers[2];
    atoll_balancer_t   balancer;

    plain_peers(peers, 2);
    fixture_pool(&fixture, &balancer, peers, 2);
    atoll_walk_init(&walk, 5, 1);
    atoll_done(&balancer, &walk, HOUR, 1);
    CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, HOUR));

    uint32_t slot = walk.peer->slot;

    CHECK_EQUAL(1, balancer.row.peers[slot].inflight);
    atoll_done(&balancer, &walk, HOUR, 1);
    atoll_done(&balancer, &walk, HOUR, 1);
    CHECK_EQUAL(0, balancer.row.peers[slot].inflight);
    CHECK_EQUAL(1, balancer.row.peers[slot].failures);
    CHECK_EQUAL(1, fixture.zone.states[slot].fails);

    fixture_close(&fixture);
}


static void
shouldSpreadKeysByWeight(void)
{
    uint32_t           given[4] = {0};
    fixture_t          fixture;
    atoll_walk_t       walk;
    fixture_peer_t     peers[4];
    atoll_balancer_t   balancer;

    plain_peers(peers, 4);
    peers[2].weight = 5;
    fixture_pool(&fixture, &balancer, peers, 4);

    for (int i = 0; i < 80000; i++) {
        atoll_walk_init(&walk, (uint32_t) tap_random(), 1);
        CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, HOUR));
        given[walk.peer->slot]++;
        atoll_done(&balancer, &walk, HOUR, 0);
    }

    for (int i = 0; i < 4; i++) {
        CHECK(given[i] > (i == 2 ? 40000 : 7000));
        CHECK(given[i] < (i == 2 ? 60000 : 13000));
    }

    fixture_close(&fixture);
}


int
main(void)
{
    tap_seed();
    RUN(shouldChooseAndRetryAsStockDoes);
    RUN(shouldCountFailuresAsStockDoes);
    RUN(shouldTakeTurnsForAnEmptyKeyAsStockDoes);
    RUN(shouldTakeTurnsAsStockDoesWhilePeersFail);
    RUN(shouldGoOnAlongTheRingWhereStockGivesUp);
    RUN(shouldGiveNoPeerWhenTheTriedCannotBeRemembered);
    RUN(shouldLookOnceAtEachPeerWhenAllAreDown);
    RUN(shouldFindTheOnlyEligiblePeerHoweverFar);
    RUN(shouldGiveTheOnlyPeerAgainAndNotCountItsFailures);
    RUN(shouldAskBackupsOnlyWhenNoPrimaryIsLeft);
    RUN(shouldCountRequestsOfAllWorkersForMaxConns);
    RUN(shouldReportAPeerOnce);
    RUN(shouldSpreadKeysByWeight);

    return tap_done();
}
