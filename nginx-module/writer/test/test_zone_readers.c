/* Workers that pick at full speed while configurations follow each other: no wrong peer, no pick without a table. */
#include "zone_fixture.h"

#include "../../reader/atoll_balance.h"

#define COMMITS 600u
#define READERS 4u

/* What a reader tells, in memory shared with it. */
typedef struct {
    _Atomic uint64_t  picks, wrong, fallbacks, tables;
    _Atomic uint32_t  stop;
} report_t;

static const char *const  pools[] = { "cdn", "img" };

/* Each commit has other peers: ten in each pool, of which one or two are new. */
static void
variant(config_t *config, unsigned number)
{
    for (unsigned i = 0; i < 2; i++) {
        char  *peers = many_peers(i == 0 ? "cdn-" : "img-", number * (1 + i), 10);

        config_add(config, pools[i], peers);
        free(peers);
    }
}

static void *
allocate(size_t size, void *data)
{
    (void) data;

    return malloc(size);
}

/* As a worker does: a row, a balancer, a walk for each request. Two take each new table, two only when they must. */
static void
run_reader(const char *path, unsigned number, report_t *report)
{
    atoll_zone_t      zone = look(path);
    atoll_balancer_t  balancer = { .zone = &zone, .allocate = allocate };
    const char       *pool = pools[number % 2];
    uint64_t          published = 0;
    atoll_walk_t      walk;

    need(zone.base != NULL);
    balancer.row = atoll_zone_row(&zone, number);
    balancer.upstream = (uint32_t) atoll_zone_find_upstream(&zone, pool, 3);
    balancer.config_epoch = number < 2 ? UINT64_MAX : 1;

    for (uint32_t hash = 0; !atomic_load(&report->stop); hash += UINT32_C(0x9e3779b1)) {
        atoll_walk_init(&walk, hash, 1);

        int  result = atoll_pick(&balancer, &walk, NOW);

        report->picks++;
        report->fallbacks += result == ATOLL_PICK_FALLBACK;
        report->wrong += result == ATOLL_PICK_NONE
                         || (result == ATOLL_PICK_OK && (walk.peer->server_length < 5 || memcmp(walk.peer->server, pool, 3) != 0));
        report->tables += balancer.published != published;
        published = balancer.published;

        if (result == ATOLL_PICK_OK) {
            atoll_done(&balancer, &walk, NOW, 0);
        }
    }

    _exit(0);
}

static void
commit(const char *path, unsigned number)
{
    config_t        config;
    atoll_writer_t  writer;

    config_open(&config, path, 1 << 20);
    variant(&config, number);
    publish(&writer, &config);
    need(!writer.created || number == 0);
    need(shows(&writer.zone, &config));
    atoll_writer_close(&writer);
    config_close(&config);
}

/* Waits for a fact, for a minute at most. */
static void
await(const _Atomic uint64_t *word, uint64_t least)
{
    struct timespec  pause = { .tv_nsec = 100000 };

    for (unsigned i = 0; atomic_load(word) < least; i++) {
        need(i < 600000 && nanosleep(&pause, NULL) == 0);
    }
}

static void
shouldNeverGiveReadersAWrongPeer(void)
{
    const char  *path = path_in("read.zone");
    report_t    *reports = mmap(NULL, READERS * sizeof(*reports), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t        pids[READERS];
    uint64_t     picks = 0, wrong = 0, fallbacks = 0, tables = 0;

    need(reports != MAP_FAILED);
    commit(path, 0);

    for (unsigned i = 0; i < READERS; i++) {
        pids[i] = fork();
        need(pids[i] != -1);
        if (pids[i] == 0) {
            run_reader(path, i, &reports[i]);
        }
    }

    for (unsigned i = 0; i < READERS; i++) {
        await(&reports[i].picks, 1);
    }

    for (unsigned number = 1; number <= COMMITS; number++) {
        commit(path, number);
        if (number % 20 == 0) {
            for (unsigned i = 0; i < READERS; i++) {
                await(&reports[i].picks, reports[i].picks + 1000);
            }
        }
    }

    for (unsigned i = 0; i < READERS; i++) {
        int  status = 0;

        atomic_store(&reports[i].stop, 1);
        need(waitpid(pids[i], &status, 0) == pids[i]);
        wrong += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        picks += reports[i].picks;
        wrong += reports[i].wrong;
        fallbacks += reports[i].fallbacks;
        tables += reports[i].tables;
    }

    note("%" PRIu64 " picks over %" PRIu64 " tables by %u readers, %" PRIu64 " fallbacks", picks, tables, READERS, fallbacks);
    ok(tables > READERS * 5, "the readers met many tables");
    ok(wrong == 0, "no pick gave a peer of another upstream, or none");
    ok(fallbacks == 0, "no pick was left without a table");
}

int
main(void)
{
    enter_folder();
    shouldNeverGiveReadersAWrongPeer();

    return done_testing();
}
