/* Hot keys: what workers leave in their row, what they believe of a hot set, and who serves a hot key. */
#include "zone_fixture.h"
#include "tap.h"

#include "../atoll_hot.h"

#define PEERS  10
#define T      UINT64_C(5000000)   /* now, milliseconds */
#define PICKS  4000

static char                     names[PEERS][16];
static fixture_peer_t           peers[PEERS];
static fixture_t                fixture;
static atoll_balancer_t         balancer;
static atoll_walk_t             walk;
static atoll_hot_set_record_t  *set;


/* A pool of PEERS, whose hot keys may have up to `replicas` owners. */
static void
fresh(uint32_t replicas)
{
    if (fixture.base != NULL) {
        fixture_close(&fixture);
    }

    for (uint32_t i = 0; i < PEERS; i++) {
        snprintf(names[i], sizeof(names[i]), "s%u", i);
        peers[i] = (fixture_peer_t) {
            .server = names[i], .address = names[i], .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000
        };
    }

    fixture_pool(&fixture, &balancer, peers, PEERS);
    fixture.zone.upstreams[0].replicas = replicas;
    set = &fixture.zone.hot_sets[0];
    atoll_balancer_refresh(&balancer);
}


static void
heat(int entry, uint32_t hash, uint32_t replicas)
{
    set->entries[entry] = (uint64_t) replicas << 32 | hash;
    set->filter |= UINT64_C(1) << (hash >> 26);
    set->until_ms = T + 10000;
}


static int
pick(uint32_t hash)
{
    atoll_walk_init(&walk, hash, 1);
    walk.allocate = fixture_allocate;

    return atoll_pick(&balancer, &walk, T) == ATOLL_PICK_OK ? (int) walk.peer->slot : -1;
}


/* Picks, each of which ends at once; the number at each slot. */
static void
pick_often(uint32_t hash, uint32_t at[PEERS])
{
    memset(at, 0, PEERS * sizeof(uint32_t));

    for (int i = 0; i < PICKS; i++) {
        at[pick(hash)]++;
        atoll_done(&balancer, &walk, T, 0);
    }
}


/* Slots in the order of the walk along the ring. */
static void
order_of(uint32_t hash, int order[PEERS])
{
    atoll_walk_init(&walk, hash, 1);
    walk.owner_only = 1;
    walk.allocate = fixture_allocate;

    for (int i = 0; i < PEERS; i++) {
        order[i] = atoll_pick(&balancer, &walk, T) == ATOLL_PICK_OK ? (int) walk.peer->slot : -1;
        atoll_done(&balancer, &walk, T, 0);
    }
}


static void
shouldLeaveTheLatestKeysInTheRow(void)
{
    atoll_row_t  row;
    uint32_t     count = 3 * ATOLL_SAMPLE_CAPACITY + 7;

    fresh(4);
    row = balancer.row;

    for (uint32_t i = 0; i < count; i++) {
        pick(i * 7919);
    }

    CHECK_EQUAL(count, row.head->sampled);

    for (uint32_t i = count - ATOLL_SAMPLE_CAPACITY; i < count; i++) {
        CHECK_EQUAL(i * 7919, (uint32_t) row.head->samples[i % ATOLL_SAMPLE_CAPACITY]);
        CHECK_EQUAL(0, row.head->samples[i % ATOLL_SAMPLE_CAPACITY] >> 32);
    }
}


static void
shouldSampleInsideTheRowWhateverTheCounterSays(void)
{
    fresh(4);
    balancer.row.head->sampled = UINT64_MAX;
    pick(17);
    CHECK_EQUAL(0, balancer.row.head->sampled);
    CHECK_EQUAL(17, balancer.row.head->samples[ATOLL_SAMPLE_CAPACITY - 1]);
    CHECK_EQUAL(1, balancer.row.upstreams[0].picks);
}


static void
shouldSampleNothingWithoutReplicas(void)
{
    fresh(0);
    heat(0, 4711, 8);
    order_of(4711, (int[PEERS]) {0});
    CHECK_EQUAL(0, balancer.row.head->sampled);

    int owner = pick(4711);

    for (int i = 0; i < 100; i++) {
        CHECK_EQUAL(owner, pick(4711));
    }
}


static void
shouldSpreadAHotKeyOverItsFirstOwnersAlone(void)
{
    int       order[PEERS];
    uint32_t  at[PEERS], hash = (uint32_t) tap_random();

    for (uint32_t replicas = 2; replicas <= PEERS; replicas++) {
        fresh(16);
        order_of(hash, order);
        heat(5, hash, replicas);
        pick_often(hash, at);

        for (uint32_t i = 0; i < PEERS; i++) {
            if (i < replicas) {
                CHECK(at[order[i]] > PICKS / replicas * 8 / 10 && at[order[i]] < PICKS / replicas * 12 / 10);
            } else {
                CHECK_EQUAL(0, at[order[i]]);
            }
        }
    }
}


static void
shouldMoveNoOtherKey(void)
{
    fresh(4);
    uint32_t hot = (uint32_t) tap_random();

    for (int i = 0; i < 1000; i++) {
        uint32_t hash = (uint32_t) tap_random();
        int      owner = pick(hash);

        heat(0, hot, 4);
        CHECK(hash == hot || pick(hash) == owner);
        heat(0, hot ^ 1, 4);
        CHECK(hash == (hot ^ 1) || pick(hash) == owner);
        memset(set, 0, sizeof(*set));
    }
}


static void
shouldGiveNoMoreOwnersThanTheDirectiveLets(void)
{
    int       order[PEERS];
    uint32_t  at[PEERS], hash = (uint32_t) tap_random();

    fresh(3);
    order_of(hash, order);
    heat(0, hash, 9);
    pick_often(hash, at);
    CHECK_EQUAL(PICKS, at[order[0]] + at[order[1]] + at[order[2]]);
    CHECK(at[order[2]] != 0);
}


/* In flight at one peer, counted by another worker: of the two that are drawn it is never the one taken. */
static void
shouldPassOverTheSlowOneOfTwoOverAllWorkers(void)
{
    int          order[PEERS];
    uint32_t     at[PEERS], hash = (uint32_t) tap_random();
    atoll_row_t  other;

    fresh(4);
    other = atoll_zone_row(&fixture.zone, 3);
    order_of(hash, order);
    heat(0, hash, 4);
    other.peers[order[0]].inflight = 2;
    pick_often(hash, at);
    CHECK_EQUAL(0, at[order[0]]);

    other.peers[order[0]].inflight = 20;
    other.peers[order[1]].inflight = 8;
    other.peers[order[2]].inflight = 3;
    pick_often(hash, at);
    CHECK_EQUAL(0, at[order[0]]);
    CHECK(at[order[3]] > at[order[2]] && at[order[2]] > at[order[1]] && at[order[1]] > 0);
}


static void
shouldWeighRequestsInFlightByWeight(void)
{
    int       order[PEERS];
    uint32_t  at[PEERS], hash = (uint32_t) tap_random();

    fresh(2);
    order_of(hash, order);
    heat(0, hash, 2);
    balancer.peers[order[0]]->weight = 3;
    atoll_zone_row(&fixture.zone, 3).peers[order[0]].inflight = 5;
    atoll_zone_row(&fixture.zone, 3).peers[order[1]].inflight = 4;
    pick_often(hash, at);
    CHECK_EQUAL(PICKS, at[order[0]]);
}


/* Another key's picks, all at one peer: the hot key keeps away from it until the others have got as many. */
static void
shouldMakeUpForWhatOtherKeysLeaveUneven(void)
{
    int       order[PEERS], slot;
    uint32_t  at[PEERS], most = 0, least = PICKS, hash = (uint32_t) tap_random();

    fresh(10);
    order_of(hash, order);

    for (int i = 0; i < PICKS / 20; i++) {
        atoll_done(&balancer, &walk, T, 0);
        slot = pick(hash);
    }

    heat(0, hash, 10);
    pick_often(hash, at);
    at[slot] += PICKS / 20;

    for (int i = 0; i < PEERS; i++) {
        most = at[i] > most ? at[i] : most;
        least = at[i] < least ? at[i] : least;
    }

    printf("# after %d picks of another key, %d of a hot one: %u to %u at each of 10\n", PICKS / 20, PICKS, least, most);
    CHECK(most - least <= PICKS / 100);

    balancer.peers[order[0]]->weight = 3;
    heat(0, hash, 2);
    pick_often(hash, at);
    CHECK(at[order[0]] > 2 * at[order[1]]);
}


static void
shouldForgetWhatPeersGotLongAgo(void)
{
    atoll_peer_t  peer;

    memset(&peer, 0, sizeof(peer));

    for (int i = 0; i < 8; i++) {
        atoll_count_lately(&peer, T);
    }

    CHECK_EQUAL(8 * ATOLL_LATELY, atoll_lately(&peer, T));
    CHECK_EQUAL(4 * ATOLL_LATELY, atoll_lately(&peer, T + 1024));
    CHECK_EQUAL(ATOLL_LATELY, atoll_lately(&peer, T + 3 * 1024));
    CHECK_EQUAL(0, atoll_lately(&peer, T + 100000));
    CHECK_EQUAL(0, atoll_lately(&peer, T - 100000));
}


static void
shouldPassOverPeersThatMayNotServe(void)
{
    int       order[PEERS];
    uint32_t  at[PEERS], hash = (uint32_t) tap_random();

    fresh(3);
    order_of(hash, order);
    heat(0, hash, 3);
    fixture.zone.states[order[0]].reason[ATOLL_REASON_PROBE] = T + 1000;
    fixture.zone.states[order[2]].reason[ATOLL_REASON_ADMIN] = ATOLL_FOREVER;
    fixture.zone.states[order[3]].fails = 1;
    pick_often(hash, at);
    CHECK_EQUAL(PICKS, at[order[1]] + at[order[4]] + at[order[5]]);
    CHECK(at[order[1]] != 0 && at[order[4]] != 0 && at[order[5]] != 0);
}


static void
shouldLeaveAKeyToItsOwnerWhenNobodyElseMayServe(void)
{
    int       order[PEERS];
    uint32_t  at[PEERS], hash = (uint32_t) tap_random();

    fresh(16);
    fixture.zone.upstreams[0].panic_percent = 0;
    atoll_balancer_refresh(&balancer);
    balancer.panic_percent = 0;
    order_of(hash, order);
    heat(0, hash, 16);

    for (int i = 1; i < PEERS; i++) {
        fixture.zone.states[order[i]].reason[ATOLL_REASON_PROBE] = T + 1000;
    }

    pick_often(hash, at);
    CHECK_EQUAL(PICKS, at[order[0]]);
}


/* A ramp that leaves the key with the next: the peer gets none of a hot key either. */
static void
shouldKeepAHotKeyFromAPeerWhoseRampHasNotReachedIt(void)
{
    int       order[PEERS];
    uint32_t  at[PEERS], hash = UINT32_C(0x40000000);   /* late: its place in a ramp is 0.25 */

    fresh(2);
    order_of(hash, order);
    heat(0, hash, 2);
    balancer.slow_start_ms = 1000;
    fixture.zone.states[order[0]].ramp_start_ms = T - 1;
    pick_often(hash, at);
    CHECK_EQUAL(0, at[order[0]]);
    CHECK_EQUAL(PICKS, at[order[1]] + at[order[2]]);
    fixture.zone.states[order[0]].ramp_start_ms = T - 999;
    pick_often(hash, at);
    CHECK_EQUAL(PICKS, at[order[0]] + at[order[1]]);
}


/* Of three addresses of one name each gets its turn, as much as the peer of another name, and no backup gets any. */
static void
shouldTakeOneAddressOfANameAtATimeAndNoBackup(void)
{
    uint32_t  at[PEERS], hash = (uint32_t) tap_random();

    fresh(0);
    fixture_close(&fixture);

    for (int i = 0; i < PEERS; i++) {
        peers[i].server = i < 3 ? "a" : i == 3 ? "b" : names[i];
        peers[i].flags = i > 3 ? ATOLL_PEER_FLAG_BACKUP : 0;
    }

    fixture_pool(&fixture, &balancer, peers, PEERS);
    fixture.zone.upstreams[0].replicas = 16;
    set = &fixture.zone.hot_sets[0];
    atoll_balancer_refresh(&balancer);
    heat(0, hash, 16);
    pick_often(hash, at);

    for (int i = 0; i < 4; i++) {
        CHECK(at[i] > PICKS * 24 / 100 && at[i] < PICKS * 26 / 100);
    }

    CHECK_EQUAL(PICKS, at[0] + at[1] + at[2] + at[3]);
}


static void
shouldRetryFromTheOwnerOn(void)
{
    int       order[PEERS];
    uint32_t  hash = (uint32_t) tap_random();

    fresh(4);
    order_of(hash, order);
    heat(0, hash, 4);

    for (int i = 0; i < 100; i++) {
        int first = pick(hash), next;

        atoll_done(&balancer, &walk, T, 0);
        CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, T));
        next = (int) walk.peer->slot;
        atoll_done(&balancer, &walk, T, 0);
        CHECK_EQUAL(first == order[0] ? order[1] : order[0], next);
    }
}


static void
shouldLeaveAHotKeyToItsOwnerWhereOnlyTheOwnerStores(void)
{
    uint32_t hash = (uint32_t) tap_random();

    fresh(4);
    int owner = pick(hash);

    heat(0, hash, 4);

    for (int i = 0; i < 100; i++) {
        atoll_walk_init(&walk, hash, 1);
        walk.owner_only = 1;
        CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, T));
        CHECK_EQUAL(owner, walk.peer->slot);
    }
}


static void
shouldForgetASetWhoseLeaseHasRunOut(void)
{
    fresh(4);
    heat(0, 99, 4);
    CHECK_EQUAL(4, atoll_hot_replicas(set, 99, T + 9999));
    CHECK_EQUAL(0, atoll_hot_replicas(set, 99, T + 10000));
    CHECK_EQUAL(0, atoll_hot_replicas(set, 99, T + 10001));
    set->until_ms = ATOLL_FOREVER;
    CHECK_EQUAL(0, atoll_hot_replicas(set, 99, T));
    set->until_ms = T + ATOLL_HOT_LEASE_LIMIT_MS + 1;
    CHECK_EQUAL(0, atoll_hot_replicas(set, 99, T));
    set->until_ms = T + ATOLL_HOT_LEASE_LIMIT_MS;
    CHECK_EQUAL(4, atoll_hot_replicas(set, 99, T));
}


static void
shouldBoundWhatASetSays(void)
{
    fresh(UINT32_MAX);
    heat(0, 99, UINT32_MAX);
    heat(ATOLL_HOT_CAPACITY - 1, 100, 2);
    CHECK_EQUAL(ATOLL_REPLICAS_LIMIT, atoll_hot_replicas(set, 99, T));
    CHECK_EQUAL(2, atoll_hot_replicas(set, 100, T));
    CHECK_EQUAL(0, atoll_hot_replicas(set, 101, T));

    for (int i = 0; i < 1000; i++) {
        CHECK(pick(99) >= 0);
    }
}


/* Random bytes for a set: each request gets a peer, and counters agree. */
static void
shouldServeWhateverBytesTheSetHas(void)
{
    fresh(16);

    for (int round = 0; round < 20000; round++) {
        uint64_t *words = (uint64_t *) set;

        for (size_t i = 0; i < sizeof(*set) / sizeof(*words); i++) {
            words[i] = tap_random() >> (tap_random() & 63);
        }

        set->filter = tap_random() | tap_random();
        set->until_ms = T + tap_random() % 1000;
        CHECK(pick((uint32_t) set->entries[round % ATOLL_HOT_CAPACITY]) >= 0);
        atoll_done(&balancer, &walk, T, 0);
    }

    CHECK_EQUAL(20000, balancer.row.upstreams[0].requests);
    CHECK_EQUAL(20000, balancer.row.upstreams[0].picks);
    CHECK_EQUAL(0, atoll_zone_inflight(&fixture.zone, 0));
}


int
main(void)
{
    tap_seed();
    RUN(shouldLeaveTheLatestKeysInTheRow);
    RUN(shouldSampleInsideTheRowWhateverTheCounterSays);
    RUN(shouldSampleNothingWithoutReplicas);
    RUN(shouldSpreadAHotKeyOverItsFirstOwnersAlone);
    RUN(shouldMoveNoOtherKey);
    RUN(shouldGiveNoMoreOwnersThanTheDirectiveLets);
    RUN(shouldPassOverTheSlowOneOfTwoOverAllWorkers);
    RUN(shouldWeighRequestsInFlightByWeight);
    RUN(shouldMakeUpForWhatOtherKeysLeaveUneven);
    RUN(shouldForgetWhatPeersGotLongAgo);
    RUN(shouldPassOverPeersThatMayNotServe);
    RUN(shouldLeaveAKeyToItsOwnerWhenNobodyElseMayServe);
    RUN(shouldKeepAHotKeyFromAPeerWhoseRampHasNotReachedIt);
    RUN(shouldTakeOneAddressOfANameAtATimeAndNoBackup);
    RUN(shouldRetryFromTheOwnerOn);
    RUN(shouldLeaveAHotKeyToItsOwnerWhereOnlyTheOwnerStores);
    RUN(shouldForgetASetWhoseLeaseHasRunOut);
    RUN(shouldBoundWhatASetSays);
    RUN(shouldServeWhateverBytesTheSetHas);

    return tap_done();
}
