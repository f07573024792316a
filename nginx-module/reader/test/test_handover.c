/* Who may still hold a key when no ring before tells: an owner that was taken out, a node that has just come; and whether to ask. */
#include "handover_fixture.h"


/* ---- a nominal owner that was taken out */

static const fixture_peer_t pool[] = {
    {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
    {"b", "10.0.0.2:80", 1, 0, 1, 10000, 0},
    {"c", "10.0.0.3:80", 1, 0, 1, 10000, 0},
    {"d", "10.0.0.4:80", 1, 0, 1, 10000, DOWN},
    {"spare", "10.0.0.9:80", 1, 0, 1, 10000, ATOLL_PEER_FLAG_BACKUP}
};


static void
shouldNameADrainedOwnerForAWhile(void)
{
    uint32_t hash;

    open_pool(pool, COUNT(pool), 0);
    hash = key_of(ATOLL_RING_PRIMARY, "b", 1);

    CHECK_ASKED(NULL, hash, "a");
    state(1)->reason[ATOLL_REASON_ADMIN] = ATOLL_FOREVER;
    CHECK_ASKED(NULL, hash, "a");               /* since when is not known: long ago */
    state(1)->changed_ms = T - HANDOVER + 1;
    CHECK_ASKED("10.0.0.2:80", hash, "a");
    state(1)->changed_ms = T - HANDOVER;
    CHECK_ASKED(NULL, hash, "a");
    state(1)->changed_ms = T + 2;               /* another process's clock is ahead of nginx's */
    CHECK_ASKED("10.0.0.2:80", hash, "a");
    CHECK(!is_at(ask(hash, "b", T, 0), "10.0.0.2:80"));
    state(1)->reason[ATOLL_REASON_PROBE] = T + 1;
    CHECK_ASKED(NULL, hash, "a");               /* drained, and gone */
    state(1)->reason[ATOLL_REASON_PROBE] = 0;
    state(1)->reason[ATOLL_REASON_ADMIN] = 0;
    CHECK_ASKED(NULL, hash, "a");               /* back: it answers for itself */

    hash = key_of(ATOLL_RING_PRIMARY, "d", 1);
    CHECK_ASKED(NULL, hash, "a");
    state(3)->changed_ms = T - 1;
    CHECK_ASKED("10.0.0.4:80", hash, "a");
    fixture_close(&fixture);
}


static void
shouldAskThePreviousRingBeforeADrainedOwner(void)
{
    uint32_t hash;

    open_pool(changed, COUNT(changed), T + 1);

    /* The previous owner is another than the one that is drained now. */
    for (hash = key_of(ATOLL_RING_PREVIOUS, "gone", 1); strcmp(owner_in(changed, 3, hash), "b") != 0; ) {
        hash = key_of(ATOLL_RING_PREVIOUS, "gone", (uint32_t) tap_random());
    }

    state(1)->reason[ATOLL_REASON_ADMIN] = ATOLL_FOREVER;
    state(1)->changed_ms = T;
    CHECK_ASKED("10.0.0.3:80", hash, "a");
    state(5)->reason[ATOLL_REASON_PROBE] = ATOLL_FOREVER;
    CHECK_ASKED("10.0.0.2:80", hash, "a");
    fixture_close(&fixture);
}


/* ---- self has come */

/* Along the ring from the key, the servers in order of their first point. */
static uint32_t
others_along(uint32_t hash, const atoll_peer_t *others[8])
{
    uint32_t             count = 0, point, j;
    const atoll_ring_t  *ring = &balancer.table.ring[ATOLL_RING_PRIMARY];
    const atoll_peer_t  *peer;

    point = atoll_ring_find(ring, hash);

    for (uint32_t i = 0; i < ring->point_count; i++) {
        peer = balancer.peers[balancer.table.groups[ring->points[(point + i) % ring->point_count].group].first_peer];

        for (j = 0; j < count && others[j] != peer; j++) {
            /* void */
        }

        if (j == count) {
            others[count++] = peer;
        }
    }

    return count;
}


static void
shouldNameTheNextAlongTheRingForANodeThatCame(void)
{
    uint32_t             hash, count, past = 0;
    const atoll_peer_t  *others[8], *peer;

    open_pool(pool, 3, 0);

    for (uint32_t i = 0; i < 100; i++) {
        hash = key_of(ATOLL_RING_PRIMARY, "a", (uint32_t) tap_random());
        count = others_along(hash, others);
        CHECK_EQUAL(3, count);

        CHECK_ASKED(NULL, hash, "a");
        peer = ask(hash, "a", T, 1);
        CHECK(peer == others[1]);

        fixture.zone.header->started_ms = T - HANDOVER + 1;
        CHECK(ask(hash, "a", T, 0) == others[1]);
        CHECK_EQUAL(1, balancer.handover_blind);
        CHECK(ask(hash, "a", T, 1) == others[1]);
        CHECK_EQUAL(0, balancer.handover_blind);
        fixture.zone.header->started_ms = T - HANDOVER;
        CHECK_ASKED(NULL, hash, "a");
        fixture.zone.header->started_ms = 0;

        state(0)->changed_ms = T - HANDOVER + 1;
        CHECK(ask(hash, "a", T, 0) == others[1]);
        CHECK_EQUAL(0, balancer.handover_blind);
        state(0)->changed_ms = T - HANDOVER;
        CHECK_ASKED(NULL, hash, "a");
        state(0)->changed_ms = 0;

        /* Past one that came at the same time, when it says so. */
        peer = atoll_previous_owner(&balancer, hash, T, "a", 1, 1, others[1], 1);
        CHECK(peer == others[2] || peer == NULL);   /* NULL: further than 32 points */
        past += peer != NULL;
        CHECK(atoll_previous_owner(&balancer, hash, T, "a", 1, 1, others[1], 0) == NULL);
        CHECK(atoll_previous_owner(&balancer, hash, T, "a", 1, 0, others[1], 1) == NULL);

        /* Past one that cannot be asked. */
        state(others[1]->slot)->reason[ATOLL_REASON_PROBE] = T + 1;
        peer = ask(hash, "a", T, 1);
        CHECK(peer == others[2] || peer == NULL);   /* NULL: further than 32 points */
        state(others[1]->slot)->reason[ATOLL_REASON_PROBE] = 0;

        /* One that is drained since longer than a handover did not stand in; one that just was did. */
        state(others[1]->slot)->reason[ATOLL_REASON_ADMIN] = T + 1;
        CHECK(ask(hash, "a", T, 1) != others[1]);
        state(others[1]->slot)->changed_ms = T - 1;
        CHECK(ask(hash, "a", T, 1) == others[1]);
        state(others[1]->slot)->reason[ATOLL_REASON_ADMIN] = 0;
        state(others[1]->slot)->changed_ms = 0;

        CHECK_PASSED();
    }

    CHECK(past > 90);
    CHECK_EQUAL(0, balancer.alone_ms);
    hash = key_of(ATOLL_RING_PRIMARY, "b", 5);
    CHECK(ask(hash, "a", T, 1) == NULL);
    fixture_close(&fixture);
}


/* "new" came to the others; then "gone" left, and "late" joined. */
static void
shouldNameWhoStoodInBeforeAnotherChange(void)
{
    static const fixture_peer_t peers[] = {
        {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
        {"new", "10.0.0.4:80", 1, 0, 1, 10000, 0},
        {"late", "10.0.0.5:80", 8, 0, 1, 10000, 0},
        {"a", "10.0.0.1:80", 1, 0, 1, 10000, PREVIOUS},
        {"new", "10.0.0.4:80", 1, 0, 1, 10000, PREVIOUS},
        {"gone", "10.0.0.3:80", 1, 0, 1, 10000, PREVIOUS}
    };
    static const fixture_peer_t met[] = {
        {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
        {"gone", "10.0.0.3:80", 1, 0, 1, 10000, 0}
    };
    uint32_t                    hash, left = 0;
    const char                 *held;
    const uint64_t              change = T - 100;

    open_pool(peers, COUNT(peers), change + HANDOVER);

    for (uint32_t i = 0; i < 100; i++) {
        do {
            hash = key_of(ATOLL_RING_PRIMARY, "new", (uint32_t) tap_random());
        } while (hash != key_of(ATOLL_RING_PREVIOUS, "new", hash));

        held = owner_in(met, 2, hash);
        left += *held == 'g';
        fixture.zone.header->started_ms = change - 1;
        CHECK(is_named(ask(hash, "new", T, 0), held));
        CHECK_EQUAL(1, balancer.handover_blind);
        state(1)->changed_ms = change - 1;
        CHECK(is_named(ask(hash, "new", T, 0), held));
        CHECK_EQUAL(0, balancer.handover_blind);

        /* Come back after that change: who is next now stood in. */
        state(1)->changed_ms = change;
        CHECK(!is_named(ask(hash, "new", T, 0), "gone"));
        CHECK(!is_named(ask(hash, "new", T, 1), "gone"));
        state(1)->changed_ms = 0;
        fixture.zone.header->started_ms = change;
        CHECK(!is_named(ask(hash, "new", T, 0), "gone"));
        CHECK_PASSED();
    }

    CHECK(left > 20 && left < 80);
    fixture_close(&fixture);
}


/* One of the addresses of self tells; the slot of another peer does not. */
static void
shouldSeeThatSelfCameByAnyOfItsAddresses(void)
{
    static const fixture_peer_t peers[] = {
        {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
        {"a", "10.0.0.5:80", 1, 0, 1, 10000, 0},
        {"b", "10.0.0.2:80", 1, 0, 1, 10000, 0}
    };
    uint32_t hash;

    open_pool(peers, COUNT(peers), 0);
    hash = key_of(ATOLL_RING_PRIMARY, "a", 1);
    state(2)->changed_ms = T;
    CHECK_ASKED(NULL, hash, "a");
    state(1)->changed_ms = T;
    CHECK_ASKED("10.0.0.2:80", hash, "a");
    state(1)->incarnation++;
    CHECK_ASKED(NULL, hash, "a");
    fixture_close(&fixture);
}


static void
shouldNameNobodyWhenThereIsNobodyElse(void)
{
    open_pool(pool, 1, T + 1);
    CHECK(ask(1, "a", T, 1) == NULL);
    CHECK(ask(1, "", T, 1) == NULL);
    fixture_close(&fixture);
}


/* ---- whether to ask at all */

static int
reason(uint32_t hash, const char *self, uint64_t now, int returned)
{
    const atoll_peer_t *owner = atoll_undisputed_owner(&balancer, hash, now);

    return atoll_handover_reason(&balancer, is_named(owner, self) ? owner : NULL, now, returned);
}


static uint64_t
random_time(void)
{
    static const uint64_t times[] = { 0, 1, T - HANDOVER, T - HANDOVER + 1, T - 1, T, T + 1, UINT64_MAX };

    return tap_random() % 3 != 0 ? 0 : times[tap_random() % COUNT(times)];
}


/* Whatever stands in the words: where somebody is named there was a reason, and a blind one is a blind answer. */
static void
shouldHaveAReasonWheneverSomebodyIsNamed(void)
{
    int                  found, named[3] = { 0 };
    uint32_t             hash;
    const atoll_peer_t  *peer;

    for (int round = 0; round < 5000; round++) {
        open_pool(changed, COUNT(changed), random_time());
        fixture.zone.header->started_ms = random_time();

        for (uint32_t i = 0; i < 6; i++) {
            state(i)->reason[ATOLL_REASON_ADMIN] = random_time();
            state(i)->reason[ATOLL_REASON_PROBE] = random_time();
            state(i)->changed_ms = random_time();
            state(i)->incarnation += tap_random() % 20 == 0;
        }

        for (uint32_t i = 0; i < 4; i++) {
            hash = (uint32_t) tap_random();
            balancer.alone_ms = 0;
            found = reason(hash, "a", T, i & 1);
            peer = ask(hash, "a", T, i & 1);
            named[found] += peer != NULL;

            CHECK(peer == NULL || found != ATOLL_HANDOVER_NONE);
            CHECK(peer == NULL || found != ATOLL_HANDOVER_BLIND || balancer.handover_blind);
        }

        fixture_close(&fixture);
    }

    CHECK(named[ATOLL_HANDOVER_BLIND] > 0 && named[ATOLL_HANDOVER_LOOK] > 0);
}


static void
shouldHaveNoReasonOnceTheTimeIsOver(void)
{
    uint32_t hash;

    open_pool(pool, 3, T);
    hash = key_of(ATOLL_RING_PRIMARY, "a", 1);
    CHECK_EQUAL(ATOLL_HANDOVER_LOOK, reason(hash, "a", T - 1, 0));
    CHECK_EQUAL(ATOLL_HANDOVER_NONE, reason(hash, "a", T, 0));
    CHECK_EQUAL(ATOLL_HANDOVER_LOOK, reason(hash, "a", T, 1));
    fixture.zone.header->started_ms = T - HANDOVER + 1;
    CHECK_EQUAL(ATOLL_HANDOVER_BLIND, reason(hash, "a", T, 0));
    CHECK_EQUAL(ATOLL_HANDOVER_NONE, reason(hash, "a", T + 1, 0));
    state(0)->changed_ms = T - HANDOVER + 1;
    CHECK_EQUAL(ATOLL_HANDOVER_LOOK, reason(hash, "a", T, 0));
    CHECK_EQUAL(ATOLL_HANDOVER_NONE, reason(hash, "a", T + 1, 0));
    CHECK_EQUAL(ATOLL_HANDOVER_LOOK, reason(hash, "b", T + 1, 0));
    fixture_close(&fixture);
}


/* Found out by a look in vain; forgotten 50 ms later, and at once with another table. */
static void
shouldNotLookAgainForAWhileWhenThereIsNobodyToAsk(void)
{
    uint32_t hash;

    open_pool(pool, 3, 0);
    hash = key_of(ATOLL_RING_PRIMARY, "a", 1);
    fixture.zone.header->started_ms = T;

    for (uint32_t i = 1; i < 3; i++) {
        state(i)->reason[ATOLL_REASON_PROBE] = T + 10;
    }

    CHECK_EQUAL(ATOLL_HANDOVER_BLIND, reason(hash, "a", T, 0));
    CHECK_ASKED(NULL, hash, "a");
    CHECK_EQUAL(ATOLL_HANDOVER_NONE, reason(hash, "a", T, 0));
    CHECK_EQUAL(ATOLL_HANDOVER_NONE, reason(hash, "a", T + 49, 1));
    CHECK_EQUAL(ATOLL_HANDOVER_BLIND, reason(hash, "a", T + 50, 0));
    CHECK(ask(hash, "a", T + 10, 0) != NULL);
    balancer.alone_ms = 0;

    /* One of them can be asked: only the look along the ring tells whether for this key. */
    state(1)->reason[ATOLL_REASON_PROBE] = 0;
    ask(hash, "a", T, 0);
    CHECK_EQUAL(ATOLL_HANDOVER_BLIND, reason(hash, "a", T, 0));
    fixture_close(&fixture);
}


/* ---- giving it */

static void
shouldCountAPeerThatIsGivenAsAPick(void)
{
    uint32_t                     hash;
    atoll_walk_t                 walk;
    const atoll_peer_t          *peer;
    atoll_row_upstream_record_t  *counters;

    open_pool(changed, COUNT(changed), T + 1);
    counters = balancer.row.upstreams;
    hash = key_of(ATOLL_RING_PREVIOUS, "gone", 1);
    peer = ask(hash, "a", T, 0);
    memset(&walk, 0, sizeof(walk));
    atoll_walk_init(&walk, hash, 1);

    CHECK_EQUAL(1, atoll_give(&balancer, &walk, peer));
    CHECK(walk.peer == peer);
    CHECK_EQUAL(1, counters->requests);
    CHECK_EQUAL(1, counters->picks);
    CHECK_EQUAL(0, counters->retries);
    CHECK_EQUAL(1, atoll_zone_inflight(&fixture.zone, peer->slot));
    CHECK_EQUAL(1, balancer.row.peers[peer->slot].picks);

    atoll_done(&balancer, &walk, T, 1);
    CHECK(walk.peer == NULL);
    CHECK_EQUAL(0, atoll_zone_inflight(&fixture.zone, peer->slot));
    CHECK_EQUAL(1, counters->failures);
    CHECK_EQUAL(T + 10000, state(5)->reason[ATOLL_REASON_PASSIVE]);

    /* Then the walk, as after any other first pick. */
    CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, T));
    CHECK(walk.peer != NULL && walk.peer != peer);
    CHECK_EQUAL(1, counters->requests);
    CHECK_EQUAL(1, counters->retries);
    atoll_done(&balancer, &walk, T, 0);

    /* Given to another meanwhile. */
    fixture_name_slot(&fixture, 5, 0, &before[0]);
    atoll_walk_init(&walk, hash, 1);
    CHECK_EQUAL(0, atoll_give(&balancer, &walk, peer));
    CHECK(walk.peer == NULL);
    CHECK_EQUAL(1, counters->requests);
    fixture_close(&fixture);
}


int
main(void)
{
    tap_seed();
    RUN(shouldNameADrainedOwnerForAWhile);
    RUN(shouldAskThePreviousRingBeforeADrainedOwner);
    RUN(shouldNameTheNextAlongTheRingForANodeThatCame);
    RUN(shouldNameWhoStoodInBeforeAnotherChange);
    RUN(shouldSeeThatSelfCameByAnyOfItsAddresses);
    RUN(shouldNameNobodyWhenThereIsNobodyElse);
    RUN(shouldHaveAReasonWheneverSomebodyIsNamed);
    RUN(shouldHaveNoReasonOnceTheTimeIsOver);
    RUN(shouldNotLookAgainForAWhileWhenThereIsNobodyToAsk);
    RUN(shouldCountAPeerThatIsGivenAsAPick);

    return tap_done();
}
