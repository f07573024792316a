#include "atoll_zone.h"

#include <string.h>

#include "atoll_read.h"

/* Magic, version, fingerprint, length and ready stand at these places in every version of the layout. */
#define MAGIC_END        sizeof(uint64_t)
#define FINGERPRINT_END  (offsetof(atoll_header_record_t, fingerprint) + sizeof(uint32_t))
#define READY_END        (offsetof(atoll_header_record_t, ready) + sizeof(uint64_t))

#define PATCH_MASK       UINT32_C(0xff)

static int zone_check_head(const atoll_header_record_t *header, size_t length);
static int zone_sections(atoll_zone_t *zone, const atoll_header_record_t *header, size_t length);
static int zone_purges(atoll_zone_t *zone, const atoll_header_record_t *header, size_t length);
static int zone_buffers(const atoll_zone_t *zone);
static void *zone_section(unsigned char *base, size_t length, uint64_t offset, uint64_t count, uint64_t size);
static int row_take(atoll_row_record_t *head, uint64_t owner, uint64_t pid, uint64_t start, uint64_t config_epoch);
static int row_is_free(atoll_row_record_t *head, uint64_t owner,
                       int (*is_alive)(uint64_t pid, uint64_t start, void *data), void *data);
static void row_clear(const atoll_row_t *row, const atoll_zone_t *zone);


int
atoll_zone_attach(atoll_zone_t *zone, void *base, size_t length)
{
    int result = zone_check_head(base, length);

    if (result != ATOLL_ATTACH_OK) {
        return result;
    }

    memset(zone, 0, sizeof(*zone));
    zone->base = base;
    zone->length = length;
    zone->header = base;

    result = zone_sections(zone, base, length);

    return result == ATOLL_ATTACH_OK ? zone_buffers(zone) : result;
}


static int
zone_check_head(const atoll_header_record_t *header, size_t length)
{
    uint64_t magic;

    if (length < MAGIC_END) {
        return ATOLL_ATTACH_TRUNCATED;
    }

    magic = atoll_read64(&header->magic);

    if (magic != ATOLL_MAGIC && magic != 0) {
        return ATOLL_ATTACH_BAD_MAGIC;
    }

    if (length >= READY_END
        && atomic_load_explicit(&header->ready, memory_order_acquire) != ATOLL_READY)
    {
        return ATOLL_ATTACH_AWAIT_READY;
    }

    if (magic == 0) {
        return ATOLL_ATTACH_BAD_MAGIC;
    }

    if (length < FINGERPRINT_END) {
        return ATOLL_ATTACH_TRUNCATED;
    }

    if ((atoll_read32(&header->version) ^ ATOLL_LAYOUT_VERSION) & ~PATCH_MASK) {
        return ATOLL_ATTACH_VERSION_MISMATCH;
    }

    if (atoll_read32(&header->fingerprint) != ATOLL_LAYOUT_FINGERPRINT) {
        return ATOLL_ATTACH_LAYOUT_MISMATCH;
    }

    if (length < sizeof(atoll_header_record_t) || atoll_read64(&header->length) > length) {
        return ATOLL_ATTACH_TRUNCATED;
    }

    return ATOLL_ATTACH_OK;
}


static int
zone_sections(atoll_zone_t *zone, const atoll_header_record_t *header, size_t length)
{
    unsigned char  *base = zone->base;

    zone->upstream_count = atoll_read32(&header->upstreams_capacity);
    zone->peer_count = atoll_read32(&header->peers_capacity);
    zone->row_count = atoll_read32(&header->rows_capacity);
    zone->row_size = atoll_read32(&header->row_size);
    zone->tables_offset = atoll_read64(&header->tables_offset);
    zone->tables_length = atoll_read64(&header->tables_length);

    zone->upstreams = zone_section(base, length, atoll_read64(&header->upstreams_offset), zone->upstream_count,
                                   sizeof(atoll_upstream_record_t));
    zone->states = zone_section(base, length, atoll_read64(&header->states_offset), zone->peer_count,
                                sizeof(atoll_peer_state_record_t));
    zone->identities = zone_section(base, length, atoll_read64(&header->identities_offset), zone->peer_count,
                                    sizeof(atoll_peer_identity_record_t));
    zone->hot_sets = zone_section(base, length, atoll_read64(&header->hot_sets_offset), zone->upstream_count,
                                  sizeof(atoll_hot_set_record_t));
    zone->rows = zone_section(base, length, atoll_read64(&header->rows_offset), zone->row_count, zone->row_size);

    if (zone->upstreams == NULL || zone->states == NULL || zone->identities == NULL || zone->hot_sets == NULL
        || zone->rows == NULL
        || zone_section(base, length, zone->tables_offset, 1, zone->tables_length) == NULL
        || zone->row_size % ATOLL_CACHE_LINE != 0
        || zone->row_size < atoll_row_size(zone->upstream_count, zone->peer_count))
    {
        return ATOLL_ATTACH_OUT_OF_BOUNDS;
    }

    return zone_purges(zone, header, length);
}


static int
zone_purges(atoll_zone_t *zone, const atoll_header_record_t *header, size_t length)
{
    uint32_t       sets = atoll_read32(&header->purge_sets);
    uint64_t       offset = atoll_read64(&header->purges_offset);
    unsigned char *section;

    if (sets == 0) {
        return ATOLL_ATTACH_OK;
    }

    section = zone_section(zone->base, length, offset, (uint64_t) sets + 1, sizeof(atoll_purge_set_record_t));

    if (section == NULL || (sets & (sets - 1)) != 0) {
        return ATOLL_ATTACH_OUT_OF_BOUNDS;
    }

    zone->purges = (atoll_purges_record_t *) section;
    zone->purge_sets = (atoll_purge_set_record_t *) (section + sizeof(atoll_purges_record_t));
    zone->purge_set_count = sets;

    return ATOLL_ATTACH_OK;
}

_Static_assert(sizeof(atoll_purges_record_t) == sizeof(atoll_purge_set_record_t), "a section of one size of record");


/* A diagnosis for who attaches; readers of tables do not rely on it, since the words can change. */
static int
zone_buffers(const atoll_zone_t *zone)
{
    uint64_t                        offset, capacity;
    uint64_t                        end = zone->tables_offset + zone->tables_length;
    const atoll_upstream_record_t  *upstream;

    for (uint32_t i = 0; i < zone->upstream_count; i++) {
        upstream = &zone->upstreams[i];

        if (atomic_load_explicit(&upstream->state, memory_order_acquire) != ATOLL_UPSTREAM_STATE_USED) {
            continue;
        }

        for (int buffer = 0; buffer < 2; buffer++) {
            offset = atoll_read64(&upstream->buffer_offset[buffer]);
            capacity = atoll_read64(&upstream->buffer_capacity);

            if (offset < zone->tables_offset || offset > end || capacity > end - offset) {
                return ATOLL_ATTACH_OUT_OF_BOUNDS;
            }
        }
    }

    return ATOLL_ATTACH_OK;
}


/* Start of a section of count records behind the header, NULL when it does not lie there. */
static void *
zone_section(unsigned char *base, size_t length, uint64_t offset, uint64_t count, uint64_t size)
{
    if (offset < sizeof(atoll_header_record_t) || offset > length || offset % ATOLL_CACHE_LINE != 0) {
        return NULL;
    }

    if (size != 0 && count > (length - offset) / size) {
        return NULL;
    }

    return base + offset;
}


const char *
atoll_attach_name(int result)
{
    static const char *const names[ATOLL_ATTACH_COUNT_] = {
        "OK", "AWAIT_READY", "BAD_MAGIC", "VERSION_MISMATCH", "LAYOUT_MISMATCH", "TRUNCATED", "OUT_OF_BOUNDS"
    };

    return result >= 0 && result < ATOLL_ATTACH_COUNT_ ? names[result] : "UNKNOWN";
}


int
atoll_zone_find_upstream(const atoll_zone_t *zone, const void *name, size_t length)
{
    const atoll_upstream_record_t  *upstream;

    if (length == 0 || length > sizeof(upstream->name)) {
        return -1;
    }

    for (uint32_t i = 0; i < zone->upstream_count; i++) {
        upstream = &zone->upstreams[i];

        if (atomic_load_explicit(&upstream->state, memory_order_acquire) == ATOLL_UPSTREAM_STATE_USED
            && atoll_read32(&upstream->name_length) == length
            && memcmp(upstream->name, name, length) == 0)
        {
            return (int) i;
        }
    }

    return -1;
}


atoll_row_t
atoll_zone_row(const atoll_zone_t *zone, uint32_t i)
{
    return atoll_row_at(zone->rows + (size_t) i * zone->row_size, zone->upstream_count);
}


size_t
atoll_row_size(uint32_t upstreams, uint32_t peers)
{
    size_t size = sizeof(atoll_row_record_t)
                  + (size_t) upstreams * sizeof(atoll_row_upstream_record_t)
                  + (size_t) peers * sizeof(atoll_row_peer_record_t);

    return (size + ATOLL_CACHE_LINE - 1) & ~(size_t) (ATOLL_CACHE_LINE - 1);
}


atoll_row_t
atoll_row_at(void *memory, uint32_t upstreams)
{
    atoll_row_t row;

    row.head = memory;
    row.upstreams = (atoll_row_upstream_record_t *) (row.head + 1);
    row.peers = (atoll_row_peer_record_t *) (row.upstreams + upstreams);

    return row;
}


/*
 * Two rounds: a row that another claim holds for a moment, to clear it, is free in the second.
 */
int
atoll_row_claim(atoll_row_t *row, const atoll_zone_t *zone, uint64_t pid, uint64_t start, uint64_t config_epoch,
                int (*is_alive)(uint64_t pid, uint64_t start, void *data), void *data)
{
    int          claimed = 0;
    uint64_t     owner;
    atoll_row_t  candidate;

    for (int round = 0; round < 2 && !claimed; round++) {

        for (uint32_t i = 0; i < zone->row_count; i++) {
            candidate = atoll_zone_row(zone, i);
            owner = atomic_load_explicit(&candidate.head->pid, memory_order_acquire);

            if ((owner == 0 && claimed) || !row_is_free(candidate.head, owner, is_alive, data)
                || !row_take(candidate.head, owner, pid, start, config_epoch))
            {
                continue;
            }

            if (!claimed) {
                claimed = 1;
                row_clear(&candidate, zone);
                *row = candidate;

            } else {
                atoll_row_release(&candidate, zone);
            }
        }
    }

    return claimed;
}


/*
 * The start time of a former owner is taken away first: a row whose pid is new and whose start is still another's would
 * look like one whose owner is gone.
 */
static int
row_is_free(atoll_row_record_t *head, uint64_t owner,
            int (*is_alive)(uint64_t pid, uint64_t start, void *data), void *data)
{
    uint64_t start = atomic_load_explicit(&head->start, memory_order_acquire);

    if (atomic_load_explicit(&head->pid, memory_order_acquire) != owner
        || (owner != 0 && is_alive(owner, start, data)))
    {
        return 0;
    }

    return start == 0 || atomic_compare_exchange_strong(&head->start, &start, 0);
}


static int
row_take(atoll_row_record_t *head, uint64_t owner, uint64_t pid, uint64_t start, uint64_t config_epoch)
{
    if (!atomic_compare_exchange_strong(&head->pid, &owner, pid)) {
        return 0;
    }

    atomic_store_explicit(&head->start, start, memory_order_release);
    atoll_set(head->config_epoch, config_epoch);

    return 1;
}


static void
row_clear(const atoll_row_t *row, const atoll_zone_t *zone)
{
    for (uint32_t i = 0; i < zone->upstream_count; i++) {
        atoll_set(row->upstreams[i].inflight, 0);
    }

    for (uint32_t slot = 0; slot < zone->peer_count; slot++) {
        atoll_set(row->peers[slot].inflight, 0);
    }
}


void
atoll_row_release(const atoll_row_t *row, const atoll_zone_t *zone)
{
    row_clear(row, zone);
    atoll_set(row->head->start, 0);
    atomic_store_explicit(&row->head->pid, 0, memory_order_release);
}


uint32_t
atoll_zone_rows_claimed(const atoll_zone_t *zone)
{
    uint32_t rows = zone->row_count;

    while (rows > 0 && atoll_relaxed(atoll_zone_row(zone, rows - 1).head->pid) == 0) {
        rows--;
    }

    return rows;
}


uint64_t
atoll_zone_upstream_inflight(const atoll_zone_t *zone, uint32_t upstream, uint32_t rows)
{
    uint64_t              sum = 0;
    size_t                offset;
    const unsigned char  *row = zone->rows;

    if (upstream >= zone->upstream_count) {
        return 0;
    }

    offset = sizeof(atoll_row_record_t) + (size_t) upstream * sizeof(atoll_row_upstream_record_t);

    for (uint32_t i = 0; i < rows && i < zone->row_count; i++, row += zone->row_size) {
        sum += atoll_relaxed(((const atoll_row_upstream_record_t *) (row + offset))->inflight);
    }

    return sum;
}


uint64_t
atoll_zone_inflight(const atoll_zone_t *zone, uint32_t slot)
{
    return atoll_zone_inflight_of(zone, slot, zone->row_count);
}


uint64_t
atoll_zone_inflight_of(const atoll_zone_t *zone, uint32_t slot, uint32_t rows)
{
    uint64_t                    sum = 0;
    const unsigned char        *row = zone->rows;
    size_t                      offset;

    if (slot >= zone->peer_count) {
        return 0;
    }

    offset = sizeof(atoll_row_record_t) + (size_t) zone->upstream_count * sizeof(atoll_row_upstream_record_t)
             + (size_t) slot * sizeof(atoll_row_peer_record_t);

    for (uint32_t i = 0; i < rows && i < zone->row_count; i++, row += zone->row_size) {
        sum += atoll_relaxed(((const atoll_row_peer_record_t *) (row + offset))->inflight);
    }

    return sum;
}
