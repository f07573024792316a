#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../reader/atoll_read.h"
#include "../reader/atoll_table.h"
#include "atoll_zone_copy.h"
#include "atoll_zone_plan.h"

#define PAGE 4096

static int
is_blank(const unsigned char *p, size_t length)
{
    return *p == 0 && memcmp(p, p + 1, length - 1) == 0;
}

static int
write_whole(int copy, const unsigned char *p, size_t length, uint64_t offset)
{
    ssize_t  written;

    errno = ENOSPC;     /* of one that ends early */

    do {
        written = pwrite(copy, p, length, (off_t) offset);
    } while (written == -1 && errno == EINTR);

    return written == (ssize_t) length ? 0 : -1;
}

/* Writes the bytes from first to end of the zone to the same place; blank pages stay holes. */
static int
copy_range(int copy, const atoll_zone_t *zone, uint64_t first, uint64_t end)
{
    uint64_t  next;

    for ( /* void */ ; first < end; first = next) {
        next = first - first % PAGE + PAGE;
        next = next < end ? next : end;

        if (!is_blank(zone->base + first, next - first)
            && write_whole(copy, zone->base + first, next - first, first) != 0)
        {
            return -1;
        }
    }

    return 0;
}

/* All but rows and tables, whichever of the two comes first. */
static int
copy_sections(int copy, const atoll_zone_t *zone)
{
    uint64_t  rows = (uint64_t) (zone->rows - zone->base), rows_end = rows + (uint64_t) zone->row_count * zone->row_size;
    uint64_t  tables = zone->tables_offset, tables_end = tables + zone->tables_length;

    if (rows < tables) {
        return copy_range(copy, zone, 0, rows) == 0 && copy_range(copy, zone, rows_end, tables) == 0
               ? copy_range(copy, zone, tables_end, zone->length) : -1;
    }

    return copy_range(copy, zone, 0, tables) == 0 && copy_range(copy, zone, tables_end, rows) == 0
           ? copy_range(copy, zone, rows_end, zone->length) : -1;
}

static int
copy_tables(int copy, const atoll_zone_t *zone)
{
    uint64_t       first, length;
    const uint64_t end = zone->tables_offset + zone->tables_length;
    atoll_table_t  table;

    for (uint32_t i = 0; i < zone->upstream_count; i++) {
        if (atoll_relaxed(zone->upstreams[i].state) != ATOLL_UPSTREAM_STATE_USED
            || atoll_table_open(&table, zone, i) != ATOLL_TABLE_OK)
        {
            continue;
        }

        first = (uint64_t) ((const unsigned char *) table.head - zone->base);

        length = atoll_read64(&table.head->length);

        if (copy_range(copy, zone, first, length < end - first ? first + length : end) != 0) {
            return -1;
        }
    }

    return 0;
}

static int
put_word(int copy, const atoll_zone_t *zone, const void *place, uint64_t word)
{
    return pwrite(copy, &word, sizeof(word), (const unsigned char *) place - zone->base) == (ssize_t) sizeof(word) ? 0 : -1;
}

static int
put_words(int copy, const atoll_zone_t *zone)
{
    if (put_word(copy, zone, &zone->header->agent_heartbeat_ms, 0) != 0) {
        return -1;
    }

    return zone->purges == NULL
           || (put_word(copy, zone, &zone->purges->loaded, ATOLL_PURGES_LOADED_NO) == 0
               && put_word(copy, zone, &zone->purges->nonce, atoll_purges_nonce()) == 0) ? 0 : -1;
}

int
atoll_copy_make(const atoll_zone_t *zone)
{
    int  error, copy = memfd_create("atoll-zone", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (copy == -1) {
        return -1;
    }

    if (ftruncate(copy, (off_t) zone->length) == 0 && copy_sections(copy, zone) == 0 && copy_tables(copy, zone) == 0
        && put_words(copy, zone) == 0 && fcntl(copy, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
    {
        return copy;
    }

    error = errno;
    close(copy);
    errno = error;

    return -1;
}

void
atoll_copy_begin(void *base, size_t length)
{
    struct timespec               now;
    const atoll_header_record_t  *header = base;
    atoll_purges_record_t        *purges;

    if (header->purge_sets == 0 || header->purges_offset % ATOLL_CACHE_LINE != 0
        || header->purges_offset > length - sizeof(*purges))
    {
        return;
    }

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    purges = (atoll_purges_record_t *) ((unsigned char *) base + header->purges_offset);
    atoll_set(purges->since_ms, (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000);
}

void
atoll_copy_close(int copy)
{
    if (copy != -1) {
        close(copy);
    }
}
