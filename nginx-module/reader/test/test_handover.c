/* Who may still hold a key: each rule, what ends it, and whom it does not name. */
#include "zone_fixture.h"
#include "../atoll_handover.h"
#include "tap.h"

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
#define T             UINT64_C(5000000)
#define HANDOVER      600000
#define KEYS          20000

#define PREVIOUS      ATOLL_PEER_FLAG_PREVIOUS
#define EARLIER       ATOLL_PEER_FLAG_EARLIER
#define DOWN          ATOLL_PEER_FLAG_DOWN

static fixture_t         fixture;
static atoll_balancer_t  balancer;


/* One upstream of these peers, published; the same server and address has one slot, that of its first. */
static void
open_pool(const fixture_peer_t *peers, uint32_t count, uint64_t until_ms)
{
    uint32_t               slots[16], j;
    atoll_table_record_t  *table = fixture_compile(peers, count);

    table->handover_until_ms = until_ms;
    fixture_open(&fixture, 1, count + 2, 2, 2 * table->length + 4096);
    fixture_upstream(&fixture, 0, "pool")->handover_ms = HANDOVER;

    for (uint32_t i = 0; i < count; i++) {
        for (j = 0; strcmp(peers[j].server, peers[i].server) != 0 || strcmp(peers[j].address, peers[i].address) != 0; j++) {
            /* void */
        }

        slots[i] = j;

        if (i == j) {
            fixture_name_slot(&fixture, i, 0, &peers[i]);
        }
    }

    fixture_publish_slots(&fixture, 0, table, slots, 0);
    fixture_balancer(&fixture, &balancer, 0, 0);
    CHECK(atoll_balancer_refresh(&balancer));
    free(table);
}


/* The server that a ring of these gives a key to. */
static const char *
owner_in(const fixture_peer_t *peers, uint32_t count, uint32_t hash)
{
    const char            *server;
    atoll_ring_t           ring;
    atoll_table_t          table;
    atoll_table_record_t  *head = fixture_compile(peers, count);

    if (atoll_table_check(&table, head, head->length) != ATOLL_TABLE_OK) {
        abort();
    }

    ring = table.ring[ATOLL_RING_PRIMARY];
    server = peers[table.peers[table.groups[ring.points[atoll_ring_find(&ring, hash)].group].first_peer].source].server;
    free(head);

    return server;
}


/* A key, from *hash on, that the ring in use gives to a server. */
static uint32_t
key_of(unsigned ring, const char *server, uint32_t hash)
{
    const atoll_peer_t  *peer;
    const atoll_ring_t  *r = &balancer.table.ring[ring];

    for ( ;; hash += 0x1234567) {
        peer = balancer.peers[balancer.table.groups[r->points[atoll_ring_find(r, hash)].group].first_peer];

        if (peer->server_length == strlen(server) && memcmp(peer->server, server, peer->server_length) == 0) {
            return hash;
        }
    }
}


static const atoll_peer_t *
ask(uint32_t hash, const char *self, uint64_t now, int returned)
{
    return atoll_previous_owner(&balancer, hash, now, self, strlen(self), returned, NULL);
}


static int
is_at(const atoll_peer_t *peer, const char *address)
{
    return peer == NULL ? address == NULL
           : address != NULL && peer->address_length == strlen(address)
             && memcmp(peer->address, address, peer->address_length) == 0;
}

#define CHECK_ASKED(address, hash, self)  CHECK(is_at(ask(hash, self, T, 0), address))


static atoll_peer_state_record_t *
state(uint32_t slot)
{
    return &fixture.zone.states[slot];
}


/* ---- a: the previous ring */

static const fixture_peer_t changed[] = {
    {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
    {"b", "10.0.0.2:80", 1, 0, 1, 10000, 0},
    {"new", "10.0.0.4:80", 1, 0, 1, 10000, 0},
    {"a", "10.0.0.1:80", 1, 0, 1, 10000, PREVIOUS},
    {"b", "10.0.0.2:80", 1, 0, 1, 10000, PREVIOUS},
    {"gone", "10.0.0.3:80", 1, 0, 1, 10000, PREVIOUS}
};

static const fixture_peer_t before[] = {
    {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
    {"b", "10.0.0.2:80", 1, 0, 1, 10000, 0},
    {"gone", "10.0.0.3:80", 1, 0, 1, 10000, 0}
};


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
            CHECK(peer != NULL && peer->server_length == strlen(was) && memcmp(peer->server, was, strlen(was)) == 0);
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
    atoll_peer_t               *gone;
    const atoll_peer_t         *peer;
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

    peer = ask(hash, "a", T, 0);
    gone = balancer.met[peer->slot - balancer.met_first];
    gone->avoid_until_ms = T + 1;
    CHECK_ASKED(NULL, hash, "a");
    gone->avoid_until_ms = T;
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


static int
is_named(const atoll_peer_t *peer, const char *server)
{
    return peer != NULL && peer->server_length == strlen(server) && memcmp(peer->server, server, peer->server_length) == 0;
}


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
        next = peer == NULL ? NULL : atoll_previous_owner(&balancer, hash, T, self, strlen(self), 0, peer);

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
    CHECK(atoll_previous_owner(&balancer, hash, T, "new", 3, 0, peer) == NULL);
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


/* ---- b: a nominal owner that was taken out */

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


/* ---- c: self has come */

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
    uint32_t             hash, count;
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

    hash = key_of(ATOLL_RING_PRIMARY, "b", 5);
    CHECK(ask(hash, "a", T, 1) == NULL);
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

    if (owner != NULL && (owner->server_length != strlen(self) || memcmp(owner->server, self, owner->server_length) != 0)) {
        owner = NULL;
    }

    return atoll_handover_reason(&balancer, owner, now, returned);
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


/* ---- bounds */

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
    RUN(shouldNameADrainedOwnerForAWhile);
    RUN(shouldAskThePreviousRingBeforeADrainedOwner);
    RUN(shouldNameTheNextAlongTheRingForANodeThatCame);
    RUN(shouldSeeThatSelfCameByAnyOfItsAddresses);
    RUN(shouldNameNobodyWhenThereIsNobodyElse);
    RUN(shouldHaveAReasonWheneverSomebodyIsNamed);
    RUN(shouldHaveNoReasonOnceTheTimeIsOver);
    RUN(shouldNotLookAgainForAWhileWhenThereIsNobodyToAsk);
    RUN(shouldLookAt32PointsAtMost);
    RUN(shouldNameNobodyFromATableThatChanges);
    RUN(shouldCountAPeerThatIsGivenAsAPick);
    RUN(shouldKnowAPeerOfBothRingsByItsPresentLimits);

    return tap_done();
}
