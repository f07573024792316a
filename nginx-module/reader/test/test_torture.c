/*
 * One process publishes tables over and over in the two buffers of a zone, others look keys up in them, and all are killed
 * at random moments. The table of each epoch has a ring and slots of its own, so a lookup over bytes of two epochs shows.
 */
#include "zone_fixture.h"
#include "tap.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARIANTS  16
#define PEERS     5
#define READERS   3
#define SECONDS   3
#define T         UINT64_C(5000000)

typedef struct {
    _Atomic uint64_t  picks;
    _Atomic uint64_t  fallbacks;
    _Atomic uint64_t  wrong;
    _Atomic uint64_t  tables;      /* taken by readers */
} tally_t;

static fixture_t              fixture;
static atoll_table_record_t  *tables[VARIANTS];
static atoll_table_t          expected[VARIANTS];
static tally_t               *tally;


static void
fresh(void)
{
    static char      names[VARIANTS][PEERS][24];
    fixture_peer_t   peers[PEERS];

    fixture_open(&fixture, 1, VARIANTS * PEERS, READERS + 1, 65536);
    fixture_upstream(&fixture, 0, "pool");

    for (uint32_t v = 0; v < VARIANTS; v++) {
        for (uint32_t i = 0; i < PEERS; i++) {
            snprintf(names[v][i], sizeof(names[v][i]), "v%u-p%u", v, i);
            peers[i] = (fixture_peer_t) {
                .server = names[v][i], .address = names[v][i], .weight = 1 + (v + i) % 3, .max_fails = 1,
                .fail_timeout_ms = 1000
            };
            fixture_name_slot(&fixture, v * PEERS + i, 0, &peers[i]);
        }

        tables[v] = fixture_compile(peers, PEERS);

        if (atoll_table_check(&expected[v], tables[v], tables[v]->length) != ATOLL_TABLE_OK) {
            fprintf(stderr, "variant %u cannot be used\n", v);
            exit(1);
        }
    }

    tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}


static int
is_alive(uint64_t pid, uint64_t start, void *data)
{
    (void) start;
    (void) data;

    return kill((pid_t) pid, 0) == 0;
}


/* Publishes at full speed for a while, then with pauses in which readers run, in turns. */
static void
publish_for_ever(void)
{
    struct timespec wait = {0, 0};

    for (uint64_t i = 0; ; i++) {
        uint64_t epoch = fixture.zone.header->epoch + 1;

        fixture_publish(&fixture, 0, tables[epoch % VARIANTS], (uint32_t) (epoch % VARIANTS) * PEERS);

        if (i / 64 % 2) {
            wait.tv_nsec = (long) (tap_random() % 50000);
            nanosleep(&wait, NULL);
        }
    }
}


static uint32_t
expected_slot(uint64_t sequence, uint32_t hash)
{
    uint32_t              variant = sequence % VARIANTS;
    const atoll_table_t  *table = &expected[variant];
    const atoll_ring_t   *ring = &table->ring[ATOLL_RING_PRIMARY];
    uint32_t              group = ring->points[atoll_ring_find(ring, hash)].group;

    return variant * PEERS + table->peers[table->groups[group].first_peer].source;
}


static void
look_up_for_ever(void)
{
    uint64_t          before = 0;
    atoll_walk_t      walk;
    atoll_balancer_t  balancer;

    fixture_balancer(&fixture, &balancer, 0, 0);

    if (!atoll_row_claim(&balancer.row, &fixture.zone, (uint64_t) getpid(), 1, 1, is_alive, NULL)) {
        atomic_fetch_add(&tally->wrong, 1);
        _exit(1);
    }

    tap_random_state ^= (uint64_t) getpid() << 32;

    for ( ;; ) {
        atoll_walk_init(&walk, (uint32_t) tap_random(), 1);

        if (atoll_pick(&balancer, &walk, T) != ATOLL_PICK_OK) {
            atomic_fetch_add(&tally->fallbacks, 1);
            continue;
        }

        if (walk.peer->slot != expected_slot(walk.sequence, walk.hash)) {
            atomic_fetch_add(&tally->wrong, 1);
        }

        if (balancer.table.sequence != before) {
            before = balancer.table.sequence;
            atomic_fetch_add(&tally->tables, 1);
        }

        atomic_fetch_add(&tally->picks, 1);
        atoll_done(&balancer, &walk, T, 0);
    }
}


static pid_t
start(void (*what)(void))
{
    pid_t pid = tap_fork();

    if (pid == 0) {
        what();
    }

    return pid;
}


static void
shouldNeverMixTwoTablesNorLoseARowToTheKilled(void)
{
    int               status, kills = 0;
    pid_t             pids[READERS + 1];
    atoll_row_t       row;
    struct timespec   now, end, wait = {0, 0};

    fresh();
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += SECONDS;

    for (int i = 0; i <= READERS; i++) {
        pids[i] = start(i == 0 ? publish_for_ever : look_up_for_ever);
    }

    do {
        int i = (int) (tap_random() % (READERS + 1));

        wait.tv_nsec = (long) (tap_random() % 8000000);
        nanosleep(&wait, NULL);
        kill(pids[i], SIGKILL);
        CHECK(waitpid(pids[i], &status, 0) == pids[i]);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        kills++;
        pids[i] = start(i == 0 ? publish_for_ever : look_up_for_ever);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));

    for (int i = 0; i <= READERS; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], &status, 0);
    }

    printf("# %llu tables published, %llu taken, %llu lookups, %llu fallbacks, %d processes killed\n",
           (unsigned long long) fixture.zone.header->epoch, (unsigned long long) tally->tables,
           (unsigned long long) tally->picks, (unsigned long long) tally->fallbacks, kills);

    CHECK_EQUAL(0, tally->wrong);
    CHECK(tally->picks > 1000);
    CHECK(tally->tables > 100);
    CHECK(fixture.zone.header->epoch > 1000);

    CHECK(atoll_row_claim(&row, &fixture.zone, (uint64_t) getpid(), 1, 1, is_alive, NULL));

    for (uint32_t slot = 0; slot < VARIANTS * PEERS; slot++) {
        CHECK_EQUAL(0, atoll_zone_inflight(&fixture.zone, slot));
    }
}


int
main(void)
{
    tap_seed();
    RUN(shouldNeverMixTwoTablesNorLoseARowToTheKilled);

    return tap_done();
}
