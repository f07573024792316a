/*
 * A zone whose bytes are wrong: one byte in a thousand, at a place that the seed decides, before a worker attaches and
 * while it picks. What comes out may be wrong; the process lives, ends each pick, and stays within the mapping (its
 * neighbours are pages that nobody may touch).
 */
#include "zone_fixture.h"
#include "../atoll_handover.h"
#include "tap.h"

#include <unistd.h>

#define SEEDS  1000     /* from 1, or from ATOLL_SEED on */
#define PEERS  12
#define HOT    4
#define HOT_STEP  UINT32_C(0x37654321)   /* from one hot key to the next */
#define T      UINT64_C(5000000)

static uint64_t        first_seed = 1;
static fixture_t       pristine;
static unsigned char  *copy;
static fixture_peer_t  peers[PEERS];


static void
fresh(void)
{
    static char       names[PEERS][16];
    size_t            room, page = (size_t) sysconf(_SC_PAGESIZE);
    atoll_balancer_t  balancer;

    for (uint32_t i = 0; i < PEERS; i++) {
        snprintf(names[i], sizeof(names[i]), "peer-%u", i / 3 * 2 + i % 2);
        peers[i] = (fixture_peer_t) {
            .server = names[i], .address = names[i], .weight = 1 + i % 2, .max_fails = 1, .fail_timeout_ms = 1000,
            .max_conns = i % 4 == 0 ? 2 : 0, .flags = i % 5 == 4 ? ATOLL_PEER_FLAG_BACKUP : i % 4 == 3 ? ATOLL_PEER_FLAG_PREVIOUS
                     : i % 5 == 1 ? ATOLL_PEER_FLAG_EARLIER : 0
        };
    }

    fixture_pool(&pristine, &balancer, peers, PEERS);
    pristine.zone.upstreams[0].slow_start_ms = 1000;
    pristine.zone.upstreams[0].handover_ms = 60000;
    ((atoll_table_record_t *) (pristine.base + pristine.zone.upstreams[0].buffer_offset[0]))->handover_until_ms = 2 * T;
    pristine.zone.upstreams[0].replicas = 6;
    pristine.zone.hot_sets[0].until_ms = T + 100000;
    pristine.zone.hot_sets[0].filter = UINT64_MAX;

    for (uint32_t i = 0; i < HOT; i++) {
        pristine.zone.hot_sets[0].entries[7 * i] = (uint64_t) (i + 2) << 32 | i * HOT_STEP;
    }

    pristine.zone.upstreams[0].bound_percent = 150;
    fixture_purges(&pristine.zone);

    /* The copy ends where a page ends; the pages on both sides are closed. */
    room = (pristine.length + page - 1) / page * page;
    copy = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (copy == MAP_FAILED || mprotect(copy + page, room, PROT_READ | PROT_WRITE) != 0) {
        perror("mmap");
        exit(1);
    }

    copy += page + (room - pristine.length) / ATOLL_CACHE_LINE * ATOLL_CACHE_LINE;
}


static void
flip(size_t first, size_t length)
{
    for (size_t n = 0; n < length / 1000 + 1; n++) {
        copy[first + tap_random() % length] ^= (unsigned char) (1 + tap_random() % 255);
    }
}


/* Requests with retries and reports, owners, and a claim; nothing about their answers is checked but that they come. */
static void
use(atoll_balancer_t *balancer, const atoll_zone_t *zone, int requests)
{
    int                  result;
    uint64_t             now = T;
    atoll_walk_t         walk;
    const char          *self = peers[tap_random() % PEERS].server;
    const atoll_peer_t  *former;

    for (int i = 0; i < requests; i++) {
        now += tap_random() % 400;
        memset(&walk, 0, sizeof(walk));
        atoll_walk_init(&walk, i % 3 == 0 ? (uint32_t) i % HOT * HOT_STEP : (uint32_t) tap_random(), tap_random() % 8 != 0);
        walk.allocate = fixture_allocate;

        for (int try = 0; try < 4; try++) {
            result = atoll_pick(balancer, &walk, now);
            CHECK(result == ATOLL_PICK_OK || result == ATOLL_PICK_NONE || result == ATOLL_PICK_FALLBACK);
            CHECK((walk.peer != NULL) == (result == ATOLL_PICK_OK));

            if (walk.peer == NULL) {
                break;
            }

            CHECK(walk.peer->slot < zone->peer_count);
            CHECK(walk.peer->socklen <= 128);
            atoll_done(balancer, &walk, now, tap_random() % 2 == 0);
        }

        fixture_generation(zone, walk.hash, now);
        atoll_owner(balancer, walk.hash, now, 0);
        former = atoll_previous_owner(balancer, walk.hash, now, self, strlen(self), tap_random() % 2 == 0, NULL, 0);
        former = former != NULL && tap_random() % 2 == 0
                 ? atoll_previous_owner(balancer, walk.hash, now, self, strlen(self), 0, former, tap_random() % 2 == 0) : former;

        if (former != NULL && atoll_give(balancer, &walk, former)) {
            CHECK(walk.peer == former);
            CHECK(former->slot < zone->peer_count);
            atoll_done(balancer, &walk, now, tap_random() % 2 == 0);
        }
    }
}


static int
is_alive(uint64_t pid, uint64_t start, void *data)
{
    (void) data;

    return (pid ^ start) & 1;
}


static void
shouldSurviveAThousandDamagedZones(void)
{
    int               attached = 0, usable = 0;
    size_t            first;
    atoll_row_t       row;
    atoll_zone_t      zone;
    atoll_balancer_t  balancer;

    for (uint64_t seed = first_seed; seed < first_seed + SEEDS; seed++) {
        tap_random_state = seed;
        memcpy(copy, pristine.base, pristine.length);

        /* All of it; all but the header; only what lies between header and tables: so that the damage behind is reached. */
        first = seed % 3 == 0 ? 0 : sizeof(atoll_header_record_t);
        flip(first, (seed % 3 == 2 ? pristine.zone.tables_offset : pristine.length) - first);

        if (atoll_zone_attach(&zone, copy, pristine.length) != ATOLL_ATTACH_OK) {
            continue;
        }

        attached++;

        fixture_balancer(&pristine, &balancer, 0, 0);
        balancer.zone = &zone;

        if (!atoll_row_claim(&row, &zone, 1, 1, 1, is_alive, NULL)) {
            row = atoll_zone_row(&zone, 0);
        }

        balancer.row = row;
        usable += atoll_balancer_refresh(&balancer);
        use(&balancer, &zone, 50);
        CHECK_PASSED();
    }

    printf("# of %d zones %d attached, %d with a usable table\n", SEEDS, attached, usable);
    CHECK(attached >= SEEDS / 2);
    CHECK(usable >= SEEDS / 10);
}


/* A copy of the pristine zone, and a balancer that has validated its table. */
static void
attach_copy(uint64_t seed, atoll_zone_t *zone, atoll_balancer_t *balancer)
{
    tap_random_state = seed;
    memcpy(copy, pristine.base, pristine.length);
    CHECK_EQUAL(ATOLL_ATTACH_OK, atoll_zone_attach(zone, copy, pristine.length));

    fixture_balancer(&pristine, balancer, 0, 0);
    balancer->zone = zone;
    balancer->row = atoll_zone_row(zone, 0);
    CHECK(atoll_balancer_refresh(balancer));
}


/* The table was whole when it was validated; then its bytes, and all the others, change under the worker. */
static void
shouldSurviveDamageAfterValidation(void)
{
    int               usable = 0;
    atoll_zone_t      zone;
    atoll_balancer_t  balancer;

    for (uint64_t seed = first_seed; seed < first_seed + SEEDS; seed++) {
        attach_copy(seed, &zone, &balancer);
        CHECK_PASSED();

        for (int round = 0; round < 5; round++) {
            flip(0, pristine.length);
            use(&balancer, &zone, 10);
            CHECK_PASSED();
        }

        usable += balancer.usable;
    }

    printf("# %d of %d tables still in use after the damage\n", usable, SEEDS);
    CHECK(usable > 0);
}


/* Only what a lookup reads is damaged, and all of it: each index in the table is a random one. */
static void
shouldStayWithinTheTableWhenAllItsRecordsAreNoise(void)
{
    atoll_zone_t           zone;
    atoll_balancer_t       balancer;
    atoll_table_record_t  *head;

    for (uint64_t seed = first_seed; seed < first_seed + SEEDS; seed++) {
        attach_copy(seed, &zone, &balancer);
        CHECK_PASSED();

        head = (atoll_table_record_t *) (copy + zone.upstreams[0].buffer_offset[0]);

        for (size_t i = sizeof(*head); i < head->length; i += sizeof(uint32_t)) {
            uint32_t noise = (uint32_t) (tap_random() >> (tap_random() % 33));

            memcpy((unsigned char *) head + i, &noise, sizeof(noise));
        }

        use(&balancer, &zone, 20);
        CHECK_PASSED();
        CHECK(balancer.usable);
    }
}


int
main(void)
{
    const char *given = getenv("ATOLL_SEED");

    if (given != NULL) {
        first_seed = strtoull(given, NULL, 0);
    }

    fresh();
    RUN(shouldSurviveAThousandDamagedZones);
    RUN(shouldSurviveDamageAfterValidation);
    RUN(shouldStayWithinTheTableWhenAllItsRecordsAreNoise);

    return tap_done();
}
