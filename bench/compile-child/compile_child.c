/*
 * Times whole calls of atoll_compile(), in turns over several JVMs and library folders.
 *
 *   compile_child RUNS NAME JAVA_HOME LIBRARY_DIR [NAME JAVA_HOME LIBRARY_DIR]...
 */
#define _GNU_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "../../nginx-module/compiler/atoll_compile.h"
#include "../../nginx-module/reader/atoll_table.h"

#define RUNS_MAX  200
#define CASES_MAX 16

typedef struct {
    double  wall_ms, processor_ms, check_ms;
} sample_t;

typedef struct {
    const char  *name, *java_home, *library_dir;
    sample_t     samples[RUNS_MAX];
} case_t;

static case_t  cases[CASES_MAX];
static int     case_count, run_count;


static double
seconds_of(struct timeval time)
{
    return (double) time.tv_sec + (double) time.tv_usec / 1e6;
}


static double
now_ms(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}


/* Of this process and the children it has waited for. */
static double
processor_ms(void)
{
    struct rusage  own, children;

    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);

    return 1e3 * (seconds_of(own.ru_utime) + seconds_of(own.ru_stime) + seconds_of(children.ru_utime)
                  + seconds_of(children.ru_stime));
}


static void
open_request(atoll_compile_region_t *region, uint32_t peers)
{
    char    name[64];
    size_t  length;

    if (atoll_compile_region_open(region, 1, peers, 5 + (size_t) peers * 32, (uint64_t) peers * 160) != 0) {
        perror("compile region");
        exit(1);
    }

    region->upstreams[0].name_offset = atoll_compile_region_name(region, "cache", 5);
    region->upstreams[0].name_length = 5;
    region->upstreams[0].peer_count = peers;

    for (uint32_t i = 0; i < peers; i++) {
        length = (size_t) snprintf(name, sizeof(name), "10.%u.%u.%u:8080", i >> 16, i >> 8 & 255, i & 255);
        region->peers[i].name_offset = atoll_compile_region_name(region, name, length);
        region->peers[i].name_length = (uint32_t) length;
        region->peers[i].weight = 1;
        region->peers[i].max_fails = 1;
        region->peers[i].fail_timeout_ms = 10000;
    }
}


static sample_t
measure(const case_t *c, uint32_t peers)
{
    char                     error[ATOLL_COMPILE_ERROR];
    double                   start, processor;
    sample_t                 sample;
    atoll_table_t            table;
    atoll_compile_region_t   region;
    atoll_compile_options_t  options;

    open_request(&region, peers);
    options = (atoll_compile_options_t) { c->library_dir, c->java_home, 0 };

    start = now_ms();
    processor = processor_ms();

    if (atoll_compile(&region, &options, error) != 0) {
        fprintf(stderr, "%s: %s\n", c->name, error);
        exit(1);
    }

    sample.wall_ms = now_ms() - start;
    sample.processor_ms = processor_ms() - processor;

    start = now_ms();

    if (atoll_table_check(&table, region.base + region.upstreams[0].table_offset, region.upstreams[0].table_length)
        != ATOLL_TABLE_OK)
    {
        fprintf(stderr, "%s: the table is not valid\n", c->name);
        exit(1);
    }

    sample.check_ms = now_ms() - start;
    atoll_compile_region_close(&region);

    return sample;
}


static int
compare(const void *a, const void *b)
{
    double  x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}


/* Sorted values of one field of a case. */
static void
collect(double values[RUNS_MAX], const case_t *c, size_t field)
{
    for (int i = 0; i < run_count; i++) {
        memcpy(&values[i], (const char *) &c->samples[i] + field, sizeof(double));
    }

    qsort(values, (size_t) run_count, sizeof(double), compare);
}


static void
report(uint32_t peers)
{
    double  wall[RUNS_MAX], processor[RUNS_MAX], check[RUNS_MAX];

    for (int i = 0; i < case_count; i++) {
        collect(wall, &cases[i], offsetof(sample_t, wall_ms));
        collect(processor, &cases[i], offsetof(sample_t, processor_ms));
        collect(check, &cases[i], offsetof(sample_t, check_ms));

        printf("| %5u | %-38s | %7.0f | %4.0f - %4.0f | %9.0f | %5.1f |\n", peers, cases[i].name, wall[run_count / 2],
               wall[0], wall[run_count - 1], processor[run_count / 2], check[run_count / 2]);
    }
}


int
main(int argc, char **argv)
{
    static const uint32_t  pools[] = { 100, 1000 };

    if (argc < 5 || (argc - 2) % 3 != 0 || (argc - 2) / 3 > CASES_MAX
        || (run_count = atoi(argv[1])) < 1 || run_count > RUNS_MAX)
    {
        fprintf(stderr, "usage: compile_child RUNS NAME JAVA_HOME LIBRARY_DIR ...\n");
        return 2;
    }

    for (int i = 2; i < argc; i += 3) {
        cases[case_count++] = (case_t) { .name = argv[i], .java_home = argv[i + 1], .library_dir = argv[i + 2] };
    }

    printf("| peers | JVM, archive                           | wall ms | min  - max  | processor | check |\n");
    printf("|------:|----------------------------------------|--------:|-------------|----------:|------:|\n");

    for (size_t pool = 0; pool < sizeof(pools) / sizeof(pools[0]); pool++) {
        for (int run = 0; run < run_count; run++) {
            for (int i = 0; i < case_count; i++) {
                cases[i].samples[run] = measure(&cases[i], pools[pool]);
            }
        }

        report(pools[pool]);
    }

    return 0;
}
