/*
 * The zone as a process sees it: one mapping, checked once, then plain pointers to its sections.
 *
 * Pure C11, no nginx, no allocation, no system call. Nothing read from the zone is trusted: each count and offset is
 * bounded by the mapping before it is used, here and again wherever a record refers to another.
 * Twin: io.atoll.core.zone.Zone.
 */
#ifndef ATOLL_ZONE_H
#define ATOLL_ZONE_H

#include "atoll_layout.h"

typedef struct {
    unsigned char                 *base;
    size_t                         length;      /* of the mapping; never the header's word for it */
    atoll_header_record_t         *header;
    atoll_upstream_record_t       *upstreams;
    uint32_t                       upstream_count;
    atoll_peer_state_record_t     *states;      /* by slot */
    atoll_peer_identity_record_t  *identities;  /* by slot */
    uint32_t                       peer_count;  /* slots */
    atoll_hot_set_record_t        *hot_sets;    /* by index of upstream */
    unsigned char                 *rows;
    uint32_t                       row_count;
    uint32_t                       row_size;
    uint64_t                       tables_offset;
    uint64_t                       tables_length;
    atoll_purges_record_t         *purges;      /* NULL: none in this file */
    atoll_purge_set_record_t      *purge_sets;
    uint32_t                       purge_set_count;   /* a power of two */
} atoll_zone_t;

/* A worker's counters: in its row of the zone, or in memory of its own when every row is taken. */
typedef struct {
    atoll_row_record_t           *head;
    atoll_row_upstream_record_t  *upstreams;    /* by index of upstream */
    atoll_row_peer_record_t      *peers;        /* by slot */
} atoll_row_t;

/*
 * Checks what is mapped at base (aligned to a page) and fills zone in. Returns ATOLL_ATTACH_OK or the named reason; zone
 * is valid for OK only. In order:
 *
 *   TRUNCATED          shorter than the magic
 *   BAD_MAGIC          another magic; 0 stands for one that is not written yet, when ready is not there either
 *   AWAIT_READY        long enough for the ready word, which is not there
 *   TRUNCATED          shorter than version and fingerprint
 *   VERSION_MISMATCH   another major or minor version
 *   LAYOUT_MISMATCH    another fingerprint
 *   TRUNCATED          shorter than the header, or than header.length
 *   OUT_OF_BOUNDS      a section, or a buffer of an upstream in use, outside the file, on the header, or misaligned
 */
int atoll_zone_attach(atoll_zone_t *zone, void *base, size_t length);

/*
 * Looks at the last byte, so that a file that was cut short by a page or more faults here and now (../writer/atoll_zone_guard.h), not only
 * once something behind the cut is looked at: in the page that the cut goes through, what is behind it reads as zeros. One load.
 */
static inline void
atoll_zone_touch(const atoll_zone_t *zone)
{
    (void) *(const volatile unsigned char *) (zone->base + zone->length - 1);
}

/* "OK", "AWAIT_READY", ...; "UNKNOWN" for anything else. */
const char *atoll_attach_name(int result);

/* Index of the upstream of that name whose state is USED, or -1. Only names of up to 128 bytes can be found. */
int atoll_zone_find_upstream(const atoll_zone_t *zone, const void *name, size_t length);

/* Row number i; i < zone->row_count. */
atoll_row_t atoll_zone_row(const atoll_zone_t *zone, uint32_t i);

/* Bytes that a row takes in a zone of that many upstreams and slots (a multiple of 64). */
size_t atoll_row_size(uint32_t upstreams, uint32_t peers);

/* Splits row_size() bytes at memory (64-byte aligned) into the parts of a row. */
atoll_row_t atoll_row_at(void *memory, uint32_t upstreams);

/*
 * Gives the calling worker a row: a free one, or one whose owner is_alive() says is gone. Claimed with one
 * compare-and-set of the pid, so two workers never share a row. Counters carry on from the former owner; its in-flight
 * counts, of peers and upstreams, are set to 0. Also clears the in-flight counts of every other dead row, and frees it. Returns 1, or 0 when all
 * rows are taken. A caller killed half-way leaves a row that the next claim finds dead.
 *
 * is_alive: is there a process of that pid which started at start? start 0: not known yet, any process of that pid counts.
 */
int atoll_row_claim(atoll_row_t *row, const atoll_zone_t *zone, uint64_t pid, uint64_t start, uint64_t config_epoch,
                    int (*is_alive)(uint64_t pid, uint64_t start, void *data), void *data);

/* Gives a row back that was claimed: its counters stay in it, and nothing is in flight at its peers and upstreams any more. */
void atoll_row_release(const atoll_row_t *row, const atoll_zone_t *zone);

/* Requests at a slot over all rows. A row of a dead worker counts until a claim has cleared it. */
uint64_t atoll_zone_inflight(const atoll_zone_t *zone, uint32_t slot);

/* The same over the first so many rows. Cost: one load, of a line of its own, a row. */
uint64_t atoll_zone_inflight_of(const atoll_zone_t *zone, uint32_t slot, uint32_t rows);

/* Requests at the peers of an upstream that has a bound, over the first so many rows. Cost as above. */
uint64_t atoll_zone_upstream_inflight(const atoll_zone_t *zone, uint32_t upstream, uint32_t rows);

/* Rows up to the last one that has an owner, dead or alive: those behind it hold no counts. Cost: a load a free row. */
uint32_t atoll_zone_rows_claimed(const atoll_zone_t *zone);

#endif
