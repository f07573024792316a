/* Who may still hold a key by the rings before the last changes: who is named, until when, at what cost, and by which limits. */
#include "handover_fixture.h"


static void
shouldNameTheOwnerInThePreviousRing(void)
{
    uint32_t             hash, kept = 0;
    const char          *owner, *was;
    const atoll_peer_t  *peer;

    open_pool(changed, COUNT(changed), T + 1);

    for (uint32_t i = 0; i < 400; i++) {
        hash = (uint32_t) tap_random();
        owner = owner_in(changed, 3, hash);
        was = owner_in(before, 3, hash);
        peer = ask(hash, owner, T, 0);

        if (strcmp(owner, was) == 0) {
            CHECK(peer == NULL);
            kept++;

        } else {
            CHECK(is_named(peer, was));
        }
    }

    CHECK(kept > 50 && kept < 350);
    fixture_close(&fixture);
}


static void
shouldNameNobodyOnceTheWindowIsOver(void)
{
    uint32_t hash;

    open_pool(changed, COUNT(changed), T + 1);
    hash = key_of(ATOLL_RING_PREVIOUS, "gone", 1);
    CHECK(is_at(ask(hash, "a", T, 0), "10.0.0.3:80"));
    CHECK(is_at(ask(hash, "a", T + 1, 0), NULL));
    CHECK(is_at(ask(hash, "a", UINT64_MAX, 0), NULL));
    fixture_close(&fixture);

    open_pool(changed, 3, T + 1);
    CHECK(is_at(ask(hash, "a", T, 0), NULL));
    fixture_close(&fixture);
}


static void
shouldNameNobodyWhenHandoverIsOff(void)
{
    uint32_t hash;

    open_pool(changed, COUNT(changed), T + 1);
    hash = key_of(ATOLL_RING_PREVIOUS, "gone", 1);
    balancer.handover_ms = 0;
    CHECK_ASKED(NULL, hash, "a");
    CHECK(ask(hash, "a", T, 1) == NULL);
    fixture_close(&fixture);
}


static void
shouldNotNameWhoCannotBeAsked(void)
{
    uint32_t                    hash;
    atoll_peer_state_record_t  *words;

    open_pool(changed, COUNT(changed), T + 1);
    hash = key_of(ATOLL_RING_PREVIOUS, "gone", 1);
    words = state(5);

    for (int reason = 0; reason < ATOLL_REASON_COUNT_; reason++) {
        words->reason[reason] = T + 1;
        CHECK_ASKED(reason == ATOLL_REASON_ADMIN ? "10.0.0.3:80" : NULL, hash, "a");
        words->reason[reason] = T;
        CHECK_ASKED("10.0.0.3:80", hash, "a");
    }

    words->avoid_until_ms = T + 1;
    CHECK_ASKED(NULL, hash, "a");
    words->avoid_until_ms = T + ATOLL_AVOID_LIMIT_MS;
    CHECK_ASKED(NULL, hash, "a");
    words->avoid_until_ms = T + ATOLL_AVOID_LIMIT_MS + 1;   /* nobody's word */
    CHECK_ASKED("10.0.0.3:80", hash, "a");
    words->avoid_until_ms = T;
    CHECK_ASKED("10.0.0.3:80", hash, "a");

    CHECK_ASKED(NULL, hash, "gone");

    words->incarnation++;
    CHECK_ASKED(NULL, hash, "a");
    fixture_close(&fixture);
}


/* Of several changes in a row: whom the ring before the last leads to, then whom that before the first does. */
static const fixture_peer_t twice[] = {
    {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
    {"b", "10.0.0.2:80", 1, 0, 1, 10000, 0},
    {"new", "10.0.0.4:80", 1, 0, 1, 10000, 0},
    {"a", "10.0.0.1:80", 1, 0, 1, 10000, PREVIOUS},
    {"b", "10.0.0.2:80", 1, 0, 1, 10000, PREVIOUS},
    {"between", "10.0.0.5:80", 1, 0, 1, 10000, PREVIOUS},
    {"a", "10.0.0.1:80", 1, 0, 1, 10000, EARLIER},
    {"gone", "10.0.0.3:80", 1, 0, 1, 10000, EARLIER}
};


static void
shouldNameTheOwnerInTheEarlierRingNext(void)
{
    static const fixture_peer_t between[] = {
        {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
        {"b", "10.0.0.2:80", 1, 0, 1, 10000, 0},
        {"between", "10.0.0.5:80", 1, 0, 1, 10000, 0}
    };
    static const fixture_peer_t first[] = {
        {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
        {"gone", "10.0.0.3:80", 1, 0, 1, 10000, 0}
    };
    uint32_t                    hash, both = 0;
    const char                 *self, *was, *oldest;
    const atoll_peer_t         *peer, *next;

    open_pool(twice, COUNT(twice), T + 1);

    for (uint32_t i = 0; i < 400; i++) {
        hash = (uint32_t) tap_random();
        self = owner_in(twice, 3, hash);
        was = owner_in(between, 3, hash);
        oldest = owner_in(first, 2, hash);
        peer = ask(hash, self, T, 0);
        next = peer == NULL ? NULL : atoll_previous_owner(&balancer, hash, T, self, strlen(self), 0, peer, 0);

        if (strcmp(self, was) == 0) {
            CHECK(strcmp(self, oldest) == 0 ? peer == NULL : is_named(peer, oldest));
            CHECK(next == NULL);

        } else if (strcmp(self, oldest) == 0 || strcmp(was, oldest) == 0) {
            CHECK(is_named(peer, was));
            CHECK(next == NULL);

        } else {
            CHECK(is_named(peer, was));
            CHECK(is_named(next, oldest));
            both++;
        }
    }

    CHECK(both > 20);
    fixture_close(&fixture);
}


static void
shouldNameTheOwnerInTheEarlierRingAtOnceWhenThePreviousOneCannotBeAsked(void)
{
    uint32_t             hash;
    const atoll_peer_t  *peer;

    open_pool(twice, COUNT(twice), T + 1);

    do {
        hash = key_of(ATOLL_RING_PREVIOUS, "between", (uint32_t) tap_random());
    } while (hash != key_of(ATOLL_RING_EARLIER, "gone", hash));

    CHECK_ASKED("10.0.0.5:80", hash, "new");
    state(5)->reason[ATOLL_REASON_PROBE] = T + 1;
    CHECK_ASKED("10.0.0.3:80", hash, "new");
    peer = ask(hash, "new", T, 0);
    CHECK(atoll_previous_owner(&balancer, hash, T, "new", 3, 0, peer, 0) == NULL);
    CHECK(is_at(ask(hash, "new", T + 1, 0), NULL));
    fixture_close(&fixture);
}


/* Down in the previous ring, up in the present one, and the other way. */
static void
shouldPassOverWhoWasDownBefore(void)
{
    static const fixture_peer_t peers[] = {
        {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
        {"b", "10.0.0.2:80", 1, 0, 1, 10000, 0},
        {"c", "10.0.0.3:80", 1, 0, 1, 10000, DOWN},
        {"a", "10.0.0.1:80", 1, 0, 1, 10000, PREVIOUS},
        {"b", "10.0.0.2:80", 1, 0, 1, 10000, PREVIOUS | DOWN},
        {"c", "10.0.0.3:80", 1, 0, 1, 10000, PREVIOUS}
    };
    static const fixture_peer_t serving[] = {
        {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
        {"c", "10.0.0.3:80", 1, 0, 1, 10000, 0}
    };
    uint32_t hash, named[2] = {0, 0};

    open_pool(peers, COUNT(peers), T + 1);
    CHECK_EQUAL(0, balancer.peers[1]->flags);
    CHECK_EQUAL(DOWN, balancer.peers[2]->flags);

    for (uint32_t i = 0; i < 200; i++) {
        hash = key_of(ATOLL_RING_PREVIOUS, "b", (uint32_t) tap_random());
        const char *was = owner_in(serving, 2, hash);

        CHECK_ASKED(*was == 'a' ? "10.0.0.1:80" : "10.0.0.3:80", hash, "b");
        named[*was == 'a']++;
    }

    CHECK(named[0] > 0 && named[1] > 0);
    fixture_close(&fixture);
}


static void
shouldNameTheFirstAddressThatCanBeAsked(void)
{
    static const fixture_peer_t peers[] = {
        {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
        {"many", "10.0.0.2:80", 1, 0, 1, 10000, PREVIOUS},
        {"many", "10.0.0.3:80", 1, 0, 1, 10000, PREVIOUS},
        {"many", "10.0.0.4:80", 1, 0, 1, 10000, PREVIOUS}
    };

    open_pool(peers, COUNT(peers), T + 1);
    CHECK_ASKED("10.0.0.2:80", 7, "a");
    state(1)->reason[ATOLL_REASON_PROBE] = T + 1;
    CHECK_ASKED("10.0.0.3:80", 7, "a");
    state(2)->reason[ATOLL_REASON_PASSIVE] = ATOLL_FOREVER;
    CHECK_ASKED("10.0.0.4:80", 7, "a");
    state(3)->incarnation++;
    CHECK_ASKED(NULL, 7, "a");
    fixture_close(&fixture);
}


/* A peer of the previous ring alone is never walked to, counted or guarded. */
static void
shouldNeverGiveARequestToThePreviousRingByItself(void)
{
    int           result;
    atoll_walk_t  walk;

    open_pool(changed, COUNT(changed), T + 1);
    CHECK_EQUAL(3, balancer.table.ring[ATOLL_RING_PRIMARY].tries + balancer.table.ring[ATOLL_RING_BACKUPS].tries);

    for (uint32_t slot = 0; slot < 3; slot++) {
        state(slot)->reason[ATOLL_REASON_ADMIN] = slot < 2 ? ATOLL_FOREVER : 0;
    }

    for (uint32_t i = 0; i < KEYS; i++) {
        atoll_walk_init(&walk, (uint32_t) tap_random(), i % 4 != 0);
        walk.allocate = NULL;
        result = atoll_pick(&balancer, &walk, T + i);
        CHECK_EQUAL(ATOLL_PICK_OK, result);
        CHECK_EQUAL(2, walk.peer->slot);
        atoll_done(&balancer, &walk, T + i, 0);
        CHECK_EQUAL(ATOLL_PICK_NONE, atoll_pick(&balancer, &walk, T + i));
    }

    /* One of one present peer is well: no guard, whatever stands against the one that left. */
    state(5)->reason[ATOLL_REASON_PROBE] = ATOLL_FOREVER;
    state(2)->reason[ATOLL_REASON_PROBE] = 0;
    atoll_walk_init(&walk, 1, 1);
    CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, T + 2 * KEYS));
    CHECK(!balancer.guard);
    fixture_close(&fixture);
}


/* 300 servers that are all down in between: the answer costs 32 points, not a ring. */
static void
shouldLookAt32PointsAtMost(void)
{
    static char            names[300][8];
    static fixture_peer_t  peers[301];
    uint32_t               reached = 0;

    for (uint32_t i = 0; i < 300; i++) {
        snprintf(names[i], sizeof(names[i]), "s%u", i);
        peers[i] = (fixture_peer_t) {names[i], names[i], 1, 0, 1, 10000, i < 299 ? PREVIOUS | DOWN : PREVIOUS};
    }

    peers[300] = (fixture_peer_t) {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0};

    atoll_table_record_t *table = fixture_compile(peers, 301);

    table->handover_until_ms = T + 1;
    fixture_open(&fixture, 1, 301, 2, 2 * table->length);
    fixture_upstream(&fixture, 0, "pool")->handover_ms = HANDOVER;

    for (uint32_t i = 0; i < 301; i++) {
        fixture_name_slot(&fixture, i, 0, &peers[i]);
    }

    fixture_publish(&fixture, 0, table, 0);
    fixture_balancer(&fixture, &balancer, 0, 0);

    for (uint32_t i = 0; i < KEYS; i++) {
        reached += ask((uint32_t) tap_random(), "a", T, 0) != NULL;
    }

    /* One point in 300 is the server that is up: 32 of them hold it with 10 %. */
    CHECK(reached > KEYS / 20 && reached < KEYS / 6);
    free(table);
    fixture_close(&fixture);
}


static void
shouldNameNobodyFromATableThatChanges(void)
{
    uint32_t               hash;
    atoll_table_record_t  *head;

    open_pool(changed, COUNT(changed), T + 1);
    hash = key_of(ATOLL_RING_PREVIOUS, "gone", 1);
    head = (atoll_table_record_t *) (fixture.base + fixture.zone.upstreams[0].buffer_offset[0]);
    head->sequence = 0;
    CHECK_ASKED(NULL, hash, "a");
    fixture_close(&fixture);
}


/* Who is asked now, an address of a peer that is present and was, has its present limits. */
static void
shouldKnowAPeerOfBothRingsByItsPresentLimits(void)
{
    static const fixture_peer_t peers[] = {
        {"a", "10.0.0.1:80", 3, 7, 2, 500, 0},
        {"a", "10.0.0.1:80", 1, 0, 1, 10000, PREVIOUS | DOWN},
        {"gone", "10.0.0.3:80", 2, 5, 4, 900, PREVIOUS}
    };

    open_pool(peers, COUNT(peers), T + 1);
    CHECK(balancer.table.single);
    CHECK(balancer.peers[0] == balancer.peers[1]);
    CHECK_EQUAL(3, balancer.peers[0]->weight);
    CHECK_EQUAL(7, balancer.peers[0]->max_conns);
    CHECK_EQUAL(2, balancer.peers[0]->max_fails);
    CHECK_EQUAL(500, balancer.peers[0]->fail_timeout_ms);
    CHECK_EQUAL(0, balancer.peers[0]->flags);
    CHECK_EQUAL(2, balancer.peers[2]->weight);
    CHECK_EQUAL(5, balancer.peers[2]->max_conns);
    CHECK_EQUAL(PREVIOUS, balancer.peers[2]->flags);
    fixture_close(&fixture);
}


int
main(void)
{
    tap_seed();
    RUN(shouldNameTheOwnerInThePreviousRing);
    RUN(shouldNameNobodyOnceTheWindowIsOver);
    RUN(shouldNameNobodyWhenHandoverIsOff);
    RUN(shouldNotNameWhoCannotBeAsked);
    RUN(shouldNameTheOwnerInTheEarlierRingNext);
    RUN(shouldNameTheOwnerInTheEarlierRingAtOnceWhenThePreviousOneCannotBeAsked);
    RUN(shouldPassOverWhoWasDownBefore);
    RUN(shouldNameTheFirstAddressThatCanBeAsked);
    RUN(shouldNeverGiveARequestToThePreviousRingByItself);
    RUN(shouldLookAt32PointsAtMost);
    RUN(shouldNameNobodyFromATableThatChanges);
    RUN(shouldKnowAPeerOfBothRingsByItsPresentLimits);

    return tap_done();
}
