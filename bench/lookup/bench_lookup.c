/*
 * What a lookup costs, beside a model of stock nginx (stock.h): the search for the point alone, and the whole of a
 * request's first pick with its report.
 *
 *   bench_lookup {search,pick} PEERS                nanoseconds of processor time, stock and Atoll in turns; one line:
 *                                                   median, least and most of stock, then of Atoll
 *   bench_lookup bound PEERS WORKERS                the same of Atoll's pick without a bound, then with bound=1.25, over so
 *                                                   many rows with an owner
 *   bench_lookup {stock,atoll}-WHAT PEERS COUNT     runs COUNT of them, for callgrind (function measured())
 *
 * Keys are random, not a list that branch prediction could learn, and each depends on the result before, as no two requests
 * of a worker overlap. What the loop itself costs is measured in turns with the others, and taken off.
 */
#include "../../nginx-module/reader/test/stock.h"

#include <time.h>

#define ROUNDS    15
#define KEYS      4096         /* compared before anything is measured */
#define ROUND_NS  40000000.0   /* about what a round takes */
#define T         UINT64_C(3600000)

static stock_peers_t     *pool;
static stock_points_t    *points;
static uintptr_t         *tried;
static size_t             tried_size;
static fixture_t          fixture;
static atoll_balancer_t   balancer;


static uint32_t
nothing(uint32_t hash)
{
    return hash;
}


static uint32_t
stock_search(uint32_t hash)
{
    return (uint32_t) (stock_find_point(points, hash) % points->number);
}


static uint32_t
atoll_search(uint32_t hash)
{
    return atoll_ring_find(&balancer.table.ring[ATOLL_RING_PRIMARY], hash);
}


static uint32_t
stock_pick(uint32_t hash)
{
    stock_peer_t     *peer;
    stock_request_t   request;

    memset(tried, 0, tried_size);
    stock_begin(&request, pool, points, hash, 1, tried);
    peer = stock_get(&request, T / 1000);
    stock_free(&request, T / 1000, 0);

    return peer->source;
}


static uint32_t
atoll_pick_one(uint32_t hash)
{
    uint32_t      slot;
    atoll_walk_t  walk;

    atoll_walk_init(&walk, hash, 1);

    if (atoll_pick(&balancer, &walk, T) != ATOLL_PICK_OK) {
        fprintf(stderr, "no peer for %08x\n", hash);
        exit(1);
    }

    slot = walk.peer->slot;
    atoll_done(&balancer, &walk, T, 0);

    return slot;
}


/* The same with bound=1.25: the requests in flight of all workers are summed up. */
static uint32_t
bound_pick(uint32_t hash)
{
    uint32_t slot;

    balancer.bound_percent = 125;
    slot = atoll_pick_one(hash);
    balancer.bound_percent = 0;

    return slot;
}


static const struct {
    const char  *name;
    uint32_t   (*run)(uint32_t hash);
} whats[] = {
    {"nothing", nothing}, {"stock-search", stock_search}, {"atoll-search", atoll_search}, {"stock-pick", stock_pick},
    {"atoll-pick", atoll_pick_one}
};


static void
set_up(uint32_t count)
{
    char                  (*names)[32] = malloc(count * sizeof(*names));
    uint32_t               *groups = malloc(count * sizeof(*groups));
    fixture_peer_t         *peers = calloc(count, sizeof(*peers));
    atoll_table_record_t   *table;

    for (uint32_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "10.%u.%u.%u:8080", i >> 16, i >> 8 & 255, i & 255);
        peers[i] = (fixture_peer_t) {
            .server = names[i], .address = names[i], .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000
        };
        groups[i] = i;
    }

    pool = stock_pool(peers, count);
    points = stock_points(pool);
    tried_size = (count / STOCK_BITS + 1) * sizeof(uintptr_t);
    tried = malloc(tried_size);

    table = fixture_compile_groups(peers, count, groups);
    fixture_open(&fixture, 1, count, ATOLL_ROW_CAPACITY, table->length);
    fixture_upstream(&fixture, 0, "pool");

    for (uint32_t i = 0; i < count; i++) {
        fixture_name_slot(&fixture, i, 0, &peers[i]);
    }

    fixture_publish(&fixture, 0, table, 0);
    fixture_balancer(&fixture, &balancer, 0, 0);

    if (!atoll_balancer_refresh(&balancer)) {
        fprintf(stderr, "the table of %u peers cannot be used\n", count);
        exit(1);
    }

    for (uint32_t i = 0; i < KEYS; i++) {
        if (stock_pick(i << 20) != atoll_pick_one(i << 20)) {
            fprintf(stderr, "%08x: two peers\n", i << 20);
            exit(1);
        }
    }
}


/* A linear congruential generator (Knuth's MMIX), its upper half the hash. */
__attribute__((noinline)) uint32_t
measured(uint32_t (*run)(uint32_t hash), uint64_t count);

uint32_t
measured(uint32_t (*run)(uint32_t hash), uint64_t count)
{
    uint32_t result = 0;
    uint64_t random = 1;

    while (count-- > 0) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407) + (result & 1);
        result = run((uint32_t) (random >> 32));
    }

    return result;
}


static double
seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);

    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}


static double
nanoseconds(uint32_t (*run)(uint32_t hash), uint64_t count)
{
    double start = seconds();

    measured(run, count);

    return (seconds() - start) * 1e9 / (double) count;
}


static int
compare(const void *one, const void *two)
{
    double a = *(const double *) one, b = *(const double *) two;

    return (a > b) - (a < b);
}


static uint32_t
(*find(const char *prefix, const char *what))(uint32_t hash)
{
    char name[64];

    snprintf(name, sizeof(name), "%s%s", prefix, what);

    for (size_t i = 0; i < sizeof(whats) / sizeof(whats[0]); i++) {
        if (strcmp(name, whats[i].name) == 0) {
            return whats[i].run;
        }
    }

    return NULL;
}


/* Rounds in turns; each as many lookups as take about ROUND_NS. */
static void
take_turns(uint32_t (*const sides[2])(uint32_t hash))
{
    double    loop, results[2][ROUNDS];
    uint64_t  counts[2];

    for (int side = 0; side < 2; side++) {
        counts[side] = (uint64_t) (ROUND_NS / nanoseconds(sides[side], 20000)) + 1;
    }

    for (int round = 0; round < ROUNDS; round++) {
        for (int side = 0; side < 2; side++) {
            loop = nanoseconds(nothing, 1000000);
            results[side][round] = nanoseconds(sides[side], counts[side]) - loop;
        }
    }

    for (int side = 0; side < 2; side++) {
        qsort(results[side], ROUNDS, sizeof(double), compare);
        printf("%.1f %.1f %.1f%c", results[side][ROUNDS / 2], results[side][0], results[side][ROUNDS - 1], " \n"[side]);
    }
}


int
main(int argc, char **argv)
{
    uint32_t (*sides[2])(uint32_t hash);

    if (argc == 3 && (sides[0] = find("stock-", argv[1])) != NULL && (sides[1] = find("atoll-", argv[1])) != NULL) {
        set_up((uint32_t) strtoul(argv[2], NULL, 10));
        take_turns(sides);

        return 0;
    }

    if (argc == 4 && strcmp(argv[1], "bound") == 0) {
        set_up((uint32_t) strtoul(argv[2], NULL, 10));

        for (uint32_t i = 0; i < strtoul(argv[3], NULL, 10) && i < fixture.zone.row_count; i++) {
            atoll_zone_row(&fixture.zone, i).head->pid = i + 1;
        }

        sides[0] = atoll_pick_one;
        sides[1] = bound_pick;
        take_turns(sides);

        return 0;
    }

    if (argc == 4 && (sides[0] = find("", argv[1])) != NULL) {
        set_up((uint32_t) strtoul(argv[2], NULL, 10));
        measured(sides[0], strtoull(argv[3], NULL, 10));

        return 0;
    }

    fprintf(stderr, "usage: bench_lookup {search,pick} PEERS | bench_lookup bound PEERS WORKERS | "
            "bench_lookup {stock,atoll}-{search,pick} PEERS COUNT\n");

    return 2;
}
