/*
 * Compares lookups with those of java-core. Standard input: the stream of io.atoll.core.tools.LookupStream, which describes
 * it. Every table must pass, and every key find the same point, the same group, and the same groups after it.
 *
 * Usage: agreement AT_LEAST; fails when the stream held fewer lookups.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../atoll_table.h"

#define ORDER  4

typedef struct {
    uint32_t  hash;
    uint32_t  point;
    uint32_t  group;
    uint32_t  order[ORDER];
} lookup_t;


/* The first different groups along the ring. */
static void
order_from(const atoll_ring_t *ring, uint32_t point, uint32_t order[ORDER])
{
    uint32_t found = 0, seen;

    memset(order, 0xff, ORDER * sizeof(uint32_t));

    for (uint32_t i = 0; i < ring->point_count && found < ORDER && found < ring->group_count; i++) {
        uint32_t group = ring->points[(point + i) % ring->point_count].group;

        for (seen = 0; seen < found && order[seen] != group; seen++) { /* void */ }

        if (seen == found) {
            order[found++] = group;
        }
    }
}


/* Lookups compared, or -1 with a message. */
static int
compare_table(const unsigned char *bytes, uint32_t length, uint32_t keys, uint64_t number)
{
    int              result;
    lookup_t         expected, actual;
    atoll_table_t    table;
    atoll_ring_t    *ring = &table.ring[ATOLL_RING_PRIMARY];

    result = atoll_table_check(&table, bytes, length);

    if (result != ATOLL_TABLE_OK) {
        printf("# table %llu of %u bytes does not pass: %d\n", (unsigned long long) number, length, result);
        return -1;
    }

    for (uint32_t i = 0; i < keys; i++) {
        if (fread(&expected, sizeof(expected), 1, stdin) != 1) {
            printf("# the stream ends within table %llu\n", (unsigned long long) number);
            return -1;
        }

        actual.hash = expected.hash;
        actual.point = atoll_ring_find(ring, expected.hash);
        actual.group = ring->points[actual.point].group;
        order_from(ring, actual.point, actual.order);

        if (memcmp(&expected, &actual, sizeof(expected)) != 0) {
            printf("# table %llu, hash %08x: Java found point %u, group %u; C point %u, group %u\n",
                   (unsigned long long) number, expected.hash, expected.point, expected.group, actual.point, actual.group);
            return -1;
        }
    }

    return 0;
}


int
main(int argc, char **argv)
{
    uint32_t        head[2];
    uint64_t        tables = 0, lookups = 0, at_least = argc == 2 ? strtoull(argv[1], NULL, 10) : 1;
    unsigned char  *bytes;

    while (fread(head, sizeof(head), 1, stdin) == 1) {
        bytes = aligned_alloc(ATOLL_CACHE_LINE, (head[0] / ATOLL_CACHE_LINE + 1) * (size_t) ATOLL_CACHE_LINE);

        if (bytes == NULL || fread(bytes, 1, head[0], stdin) != head[0]
            || compare_table(bytes, head[0], head[1], tables) != 0)
        {
            printf("not ok 1 - shouldFindWhatJavaFinds\n1..1\n");
            return 1;
        }

        free(bytes);
        tables++;
        lookups += head[1];
    }

    printf("# %llu lookups in %llu tables\n", (unsigned long long) lookups, (unsigned long long) tables);
    printf("%sok 1 - shouldFindWhatJavaFinds\n1..1\n", lookups >= at_least ? "" : "not ");

    return lookups < at_least;
}
