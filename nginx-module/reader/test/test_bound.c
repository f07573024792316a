/* Bounded load: how much a peer may hold, to whom a key passes on, and whose requests count. */
#include "zone_fixture.h"
#include "tap.h"

#include "../atoll_bound.h"

#define PEERS   10
#define T       UINT64_C(5000000)   /* now, milliseconds */
#define KEYS    500
#define MOST    400                 /* requests under way */

static char              names[PEERS][16];
static fixture_peer_t    peers[PEERS];
static fixture_t         fixture;
static atoll_balancer_t  balancer;
static atoll_walk_t      walks[MOST];


static void
open_pool(uint32_t count, uint32_t percent)
{
    if (fixture.base != NULL) {
        fixture_close(&fixture);
    }

    fixture_pool(&fixture, &balancer, peers, count);
    fixture.zone.upstreams[0].bound_percent = percent;
    atoll_zone_row(&fixture.zone, 0).head->pid = 1;
}


/* Peers "s0", "s1", … of weight 1, with that bound. */
static void
fresh(uint32_t count, uint32_t percent)
{
    for (uint32_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "s%u", i);
        peers[i] = (fixture_peer_t) {
            .server = names[i], .address = names[i], .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000
        };
    }

    open_pool(count, percent);
}


static uint32_t
pick(atoll_walk_t *walk, uint64_t now)
{
    return atoll_pick(&balancer, walk, now) == ATOLL_PICK_OK ? walk->peer->slot : UINT32_MAX;
}


static uint32_t
pick_key(atoll_walk_t *walk, const char *key, uint64_t now)
{
    memset(walk, 0, sizeof(*walk));
    atoll_walk_init(walk, fixture_hash(key), *key != '\0');
    walk->allocate = fixture_allocate;

    return pick(walk, now);
}


/* The peers along the ring from a key. */
static uint32_t
order_of(const char *key, uint32_t *order)
{
    uint32_t          count = 0;
    atoll_walk_t      walk;
    atoll_balancer_t  unbound;

    fixture_balancer(&fixture, &unbound, 0, 3);
    memset(&walk, 0, sizeof(walk));
    atoll_walk_init(&walk, fixture_hash(key), 1);
    walk.allocate = fixture_allocate;
    atoll_balancer_refresh(&unbound);
    unbound.bound_percent = 0;

    while (atoll_pick(&unbound, &walk, T) == ATOLL_PICK_OK) {
        order[count++] = walk.peer->slot;
        atoll_done(&unbound, &walk, T, 0);
    }

    return count;
}


static uint64_t
inflight(uint32_t slot)
{
    return atoll_zone_inflight(&fixture.zone, slot);
}


/* ceil(percent / 100 x requests x weight / traffic) */
static uint64_t
most_of(uint32_t percent, uint64_t requests, uint64_t weight, uint64_t traffic)
{
    unsigned __int128 share = (unsigned __int128) percent * requests * weight, unit = (unsigned __int128) traffic * 100;

    return (uint64_t) ((share + unit - 1) / unit);
}


static void
shouldAdmitUpToTheShareRoundedUp(void)
{
    CHECK(atoll_bound_admits(125, 0, 0, 1, 10));
    CHECK(!atoll_bound_admits(125, 1, 7, 1, 10));
    CHECK(atoll_bound_admits(125, 1, 8, 1, 10));
    CHECK(atoll_bound_admits(101, 1000, 0, 1, 0));

    for (int i = 0; i < 1000000; i++) {
        uint32_t  percent = ATOLL_BOUND_LEAST + (uint32_t) (tap_random() % (ATOLL_BOUND_MOST - ATOLL_BOUND_LEAST + 1));
        uint64_t  traffic = 1 + tap_random() % (i % 2 ? INT32_MAX : 40), weight = 1 + tap_random() % traffic;
        uint64_t  total = tap_random() % (i % 3 ? ATOLL_BOUND_COUNTED + 1 : 50);
        uint64_t  most = most_of(percent, total + 1, weight, traffic);
        uint64_t  one = most < ATOLL_BOUND_COUNTED ? most : ATOLL_BOUND_COUNTED;

        CHECK(atoll_bound_admits(percent, one - 1, total, weight, traffic));
        CHECK(one < most || !atoll_bound_admits(percent, one, total, weight, traffic));
    }
}


static void
shouldTakeAnyCountsThatAZoneMayHold(void)
{
    CHECK(!atoll_bound_admits(1000, UINT64_MAX, UINT64_MAX, 1, INT32_MAX));
    CHECK(atoll_bound_admits(1000, UINT64_MAX, UINT64_MAX, INT32_MAX, INT32_MAX));
    CHECK(atoll_bound_admits(101, 0, UINT64_MAX, 1, INT32_MAX));
}


static void
shouldPassAKeyOnAlongTheRingWhenItsPeersAreAtTheirBound(void)
{
    uint32_t  order[PEERS], i, n, count;

    fresh(PEERS, 125);
    count = order_of("hot", order);
    CHECK_EQUAL(PEERS, count);

    for (n = 0; n < MOST; n++) {
        uint64_t most = most_of(125, n + 1, 1, PEERS);

        for (i = 0; inflight(order[i]) + 1 > most; i++) { /* void */ }

        CHECK_EQUAL(order[i], pick_key(&walks[n], "hot", T));
        CHECK(inflight(order[i]) <= most);
        CHECK_EQUAL(n + 1, atoll_zone_upstream_inflight(&fixture.zone, 0, 4));
    }

    CHECK_EQUAL(50, inflight(order[0]));
    CHECK_EQUAL(0, inflight(order[PEERS - 1]));
    CHECK(balancer.row.upstreams[0].bounded > MOST / 2);

    for (n = 0; n < MOST; n++) {
        atoll_done(&balancer, &walks[n], T, 0);
        atoll_done(&balancer, &walks[n], T, 0);
    }

    CHECK_EQUAL(0, atoll_zone_upstream_inflight(&fixture.zone, 0, 4));
    CHECK_EQUAL(order[0], pick_key(&walks[0], "hot", T));
}


static void
shouldLeaveKeysWithTheirOwnersBelowTheBound(void)
{
    char      key[16];
    uint32_t  order[PEERS], away = 0;

    fresh(PEERS, 200);

    for (uint32_t n = 0; n < KEYS; n++) {
        snprintf(key, sizeof(key), "k%u", n);
        CHECK_EQUAL(PEERS, order_of(key, order));
        away += pick_key(&walks[n % 8], key, T) != order[0];
        atoll_done(&balancer, &walks[n % 8], T, 0);
    }

    CHECK_EQUAL(0, away);
    CHECK_EQUAL(0, balancer.row.upstreams[0].bounded);
}


static void
shouldShareByWeight(void)
{
    fresh(3, 0);
    peers[1].weight = 4;
    open_pool(3, 110);

    for (uint32_t n = 0; n < 120; n++) {
        CHECK(pick_key(&walks[n], "hot", T) != UINT32_MAX);

        for (uint32_t i = 0; i < 3; i++) {
            CHECK(inflight(i) <= most_of(110, n + 1, peers[i].weight, 6));
        }
    }
}


static void
shouldCountTheRequestsOfAllWorkersAndNotOfOneWhoseRowWasTakenOver(void)
{
    uint32_t     order[PEERS];
    atoll_row_t  other;

    fresh(PEERS, 125);
    CHECK_EQUAL(PEERS, order_of("hot", order));

    other = atoll_zone_row(&fixture.zone, 2);
    other.head->pid = 2;
    other.peers[order[0]].inflight = 6;
    other.upstreams[0].inflight = 30;
    CHECK_EQUAL(order[1], pick_key(&walks[0], "hot", T));

    other.upstreams[0].inflight = 60;
    CHECK_EQUAL(order[0], pick_key(&walks[1], "hot", T));

    other.peers[order[0]].inflight = 50;
    CHECK_EQUAL(order[1], pick_key(&walks[2], "hot", T));

    /* A claim has cleared it. */
    other.head->pid = 0;
    other.peers[order[0]].inflight = 0;
    other.upstreams[0].inflight = 0;
    atoll_done(&balancer, &walks[1], T, 0);
    CHECK_EQUAL(order[0], pick_key(&walks[1], "hot", T));
}


static void
shouldShareAmongThePeersInTraffic(void)
{
    uint32_t order[PEERS];

    fresh(4, 125);
    CHECK_EQUAL(4, order_of("hot", order));
    fixture.zone.states[order[1]].reason[ATOLL_REASON_PROBE] = ATOLL_FOREVER;
    fixture.zone.states[order[2]].reason[ATOLL_REASON_ADMIN] = ATOLL_FOREVER;

    for (uint32_t n = 0; n < 100; n++) {
        pick_key(&walks[n], "hot", T);
        CHECK_EQUAL(n + 1, inflight(order[0]) + inflight(order[3]));
        CHECK(inflight(order[0]) <= most_of(125, n + 1, 1, 2));
    }

    CHECK_EQUAL(63, inflight(order[0]));

    /* One comes back: known within 50 ms. */
    fixture.zone.states[order[2]].reason[ATOLL_REASON_ADMIN] = 0;
    CHECK_EQUAL(order[2], pick_key(&walks[100], "hot", T + 50));
    CHECK_EQUAL(order[2], pick_key(&walks[101], "hot", T + 50));
    CHECK_EQUAL(3, balancer.bound_weight[ATOLL_RING_PRIMARY]);
}


static void
shouldTakeAPeerInItsRampForThePartThatItHas(void)
{
    uint32_t order[PEERS];

    fresh(4, 125);
    CHECK_EQUAL(4, order_of("hot", order));
    peers[order[1]].weight = 100;
    open_pool(4, 125);
    fixture.zone.upstreams[0].slow_start_ms = 1000;
    fixture.zone.states[order[1]].ramp_start_ms = T - 250;

    CHECK(pick_key(&walks[0], "hot", T) != UINT32_MAX);
    CHECK_EQUAL(3 + 25, balancer.bound_weight[ATOLL_RING_PRIMARY]);
    CHECK(pick_key(&walks[1], "hot", T + 751) != UINT32_MAX);
    CHECK_EQUAL(3 + 100, balancer.bound_weight[ATOLL_RING_PRIMARY]);
}


static void
shouldNotBindWhenAllThatAreLeftAreAtTheirBound(void)
{
    uint32_t     order[PEERS];
    atoll_row_t  other;

    fresh(2, 101);
    CHECK_EQUAL(2, order_of("hot", order));
    other = atoll_zone_row(&fixture.zone, 1);
    other.head->pid = 2;
    other.peers[order[1]].inflight = 20;
    other.upstreams[0].inflight = 20;

    CHECK_EQUAL(order[0], pick_key(&walks[0], "hot", T));
    atoll_done(&balancer, &walks[0], T, 0);
    CHECK_EQUAL(order[1], pick(&walks[0], T));
    atoll_done(&balancer, &walks[0], T, 0);
    CHECK_EQUAL(UINT32_MAX, pick(&walks[0], T));
    CHECK_EQUAL(0, balancer.row.upstreams[0].bounded);

    fixture.zone.states[order[0]].reason[ATOLL_REASON_ADMIN] = ATOLL_FOREVER;
    CHECK_EQUAL(order[1], pick_key(&walks[1], "hot", T));
}


static void
shouldAskBackupsOnlyForWantOfPrimariesHoweverBusyThoseAre(void)
{
    fresh(3, 0);
    peers[2].flags = ATOLL_PEER_FLAG_BACKUP;
    peers[0].max_conns = 4;
    peers[1].max_conns = 4;
    open_pool(3, 101);

    for (uint32_t n = 0; n < 8; n++) {
        CHECK(pick_key(&walks[n], "hot", T) < 2);
    }

    CHECK_EQUAL(4, inflight(0));
    CHECK_EQUAL(2, pick_key(&walks[8], "hot", T));
    CHECK_EQUAL(2, pick_key(&walks[9], "hot", T));
}


static void
shouldBindRequestsWithoutAKey(void)
{
    fresh(3, 110);

    for (uint32_t n = 0; n < 30; n++) {
        CHECK(pick_key(&walks[n], "hot", T) != UINT32_MAX);
    }

    for (uint32_t n = 30; n < 90; n++) {
        CHECK(pick_key(&walks[n], "", T) != UINT32_MAX);

        for (uint32_t i = 0; i < 3; i++) {
            CHECK(inflight(i) <= most_of(110, n + 1, 1, 3));
        }
    }
}


/* Two choices among three replicas, as long as their bounds let them; then on along the ring. */
static void
shouldBindTheReplicasOfAHotKey(void)
{
    uint32_t                 order[PEERS], hash = fixture_hash("hot");
    atoll_hot_set_record_t  *set;

    fresh(PEERS, 125);
    CHECK_EQUAL(PEERS, order_of("hot", order));
    set = &fixture.zone.hot_sets[0];
    fixture.zone.upstreams[0].replicas = 3;
    set->entries[0] = UINT64_C(3) << 32 | hash;
    set->filter = UINT64_C(1) << (hash >> 26);
    set->until_ms = T + 1000;
    CHECK(atoll_balancer_refresh(&balancer));
    CHECK(balancer.hot != NULL);

    for (uint32_t n = 0; n < 200; n++) {
        uint32_t slot = pick_key(&walks[n], "hot", T);

        CHECK(slot != UINT32_MAX);
        CHECK(inflight(slot) <= most_of(125, n + 1, 1, PEERS));
        CHECK_EQUAL(n + 1, balancer.row.upstreams[0].inflight);
    }

    CHECK(inflight(order[0]) >= 24 && inflight(order[1]) >= 24 && inflight(order[2]) >= 24);
    CHECK_EQUAL(200, balancer.row.head->sampled);

    for (uint32_t n = 0; n < 200; n++) {
        atoll_done(&balancer, &walks[n], T, 0);
    }

    CHECK_EQUAL(0, balancer.row.upstreams[0].inflight);
}


static void
shouldGiveTheOnlyPeerWhateverItHolds(void)
{
    fresh(1, 101);

    for (uint32_t n = 0; n < 50; n++) {
        CHECK_EQUAL(0, pick_key(&walks[n], "hot", T));
    }

    CHECK_EQUAL(50, inflight(0));
}


static void
shouldCallTheOwnerOwnerHoweverBusyItIs(void)
{
    uint32_t order[PEERS];

    fresh(PEERS, 101);
    CHECK_EQUAL(PEERS, order_of("hot", order));

    for (uint32_t n = 0; n < 20; n++) {
        pick_key(&walks[n], "hot", T);
        CHECK_EQUAL(order[0], atoll_owner(&balancer, fixture_hash("hot"), T, 0)->slot);
    }

    CHECK_EQUAL(20, balancer.row.upstreams[0].inflight);
}


static void
shouldCountNothingMoreWithoutABound(void)
{
    static const uint32_t off[] = {0, 1, 100, ATOLL_BOUND_MOST + 1, UINT32_MAX};
    uint32_t order[PEERS];

    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
        fresh(PEERS, off[i]);
        CHECK_EQUAL(PEERS, order_of("hot", order));
        CHECK(atoll_balancer_refresh(&balancer));

        for (uint32_t n = 0; n < 20; n++) {
            CHECK_EQUAL(order[0], pick_key(&walks[n], "hot", T));
        }

        CHECK_EQUAL(0, balancer.row.upstreams[0].inflight);
        CHECK_EQUAL(0, balancer.looks);
    }
}


static void
shouldEndWhatItCountedWhenTheBoundWasTakenAway(void)
{
    fresh(PEERS, 125);
    pick_key(&walks[0], "hot", T);
    CHECK_EQUAL(1, balancer.row.upstreams[0].inflight);
    balancer.bound_percent = 0;
    atoll_done(&balancer, &walks[0], T, 0);
    CHECK_EQUAL(0, balancer.row.upstreams[0].inflight);

    pick_key(&walks[0], "hot", T);
    balancer.bound_percent = 125;
    atoll_done(&balancer, &walks[0], T, 0);
    CHECK_EQUAL(0, balancer.row.upstreams[0].inflight);
}


/* A hot key of ten peers, three requests in ten, while requests come and go: none holds more than its share rounded up. */
static void
shouldHoldAHotKeysPeersWithinTheirBoundToo(void)
{
    char                     key[32];
    uint32_t                 slot, hash = fixture_hash("hot"), at[PEERS];
    uint64_t                 hot = 0;
    atoll_hot_set_record_t  *set;

    fresh(PEERS, 125);
    fixture.zone.upstreams[0].replicas = 16;
    set = &fixture.zone.hot_sets[0];
    set->entries[0] = UINT64_C(16) << 32 | hash;
    set->filter = UINT64_C(1) << (hash >> 26);
    set->until_ms = T + 10000;
    memset(at, 0, sizeof(at));
    memset(walks, 0, sizeof(walks));

    for (int i = 0; i < 20000; i++) {
        atoll_walk_t  *walk = &walks[i % 60];

        atoll_done(&balancer, walk, T, 0);
        snprintf(key, sizeof(key), "cold%u", (unsigned) (tap_random() % 40));
        slot = pick_key(walk, tap_random() % 10 < 3 ? "hot" : key, T);
        CHECK(slot < PEERS);
        CHECK(inflight(slot) <= most_of(125, i < 60 ? (uint64_t) i + 1 : 60, 1, PEERS));

        if (walk->hash == hash && slot < PEERS) {
            at[slot]++;
            hot++;
        }
    }

    for (int i = 0; i < PEERS; i++) {
        CHECK(at[i] > hot / 50);
    }

    CHECK(atoll_zone_row(&fixture.zone, 0).upstreams[0].bounded != 0);
}


int
main(void)
{
    RUN(shouldAdmitUpToTheShareRoundedUp);
    RUN(shouldTakeAnyCountsThatAZoneMayHold);
    RUN(shouldPassAKeyOnAlongTheRingWhenItsPeersAreAtTheirBound);
    RUN(shouldHoldAHotKeysPeersWithinTheirBoundToo);
    RUN(shouldLeaveKeysWithTheirOwnersBelowTheBound);
    RUN(shouldShareByWeight);
    RUN(shouldCountTheRequestsOfAllWorkersAndNotOfOneWhoseRowWasTakenOver);
    RUN(shouldShareAmongThePeersInTraffic);
    RUN(shouldTakeAPeerInItsRampForThePartThatItHas);
    RUN(shouldNotBindWhenAllThatAreLeftAreAtTheirBound);
    RUN(shouldAskBackupsOnlyForWantOfPrimariesHoweverBusyThoseAre);
    RUN(shouldBindRequestsWithoutAKey);
    RUN(shouldBindTheReplicasOfAHotKey);
    RUN(shouldGiveTheOnlyPeerWhateverItHolds);
    RUN(shouldCallTheOwnerOwnerHoweverBusyItIs);
    RUN(shouldCountNothingMoreWithoutABound);
    RUN(shouldEndWhatItCountedWhenTheBoundWasTakenAway);

    return tap_done();
}
