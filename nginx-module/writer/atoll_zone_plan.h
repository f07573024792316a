/*
 * What a commit will do, worked out in private memory: where sections and buffers lie, which slot each peer gets, whose
 * words go where. What it takes from the live zone is copied first, so bytes that change later change no decision.
 */
#ifndef ATOLL_ZONE_PLAN_H
#define ATOLL_ZONE_PLAN_H

#include "atoll_zone_writer.h"

#define ATOLL_NO_SLOT UINT32_MAX

/* What the agent may have changed about a peer, and the greatest weight that it gives. */
#define ATOLL_CHANGES       (ATOLL_PEER_FLAG_REMOVED | ATOLL_PEER_FLAG_ADDED | ATOLL_PEER_FLAG_WEIGHTED)
#define ATOLL_WEIGHT_LIMIT  65535

/* Where the sections of a new file lie. */
typedef struct {
    uint32_t  slots;
    uint32_t  row_size;
    uint64_t  upstreams_offset, states_offset, identities_offset, hot_sets_offset, rows_offset;
    uint64_t  purges_offset, tables_offset, tables_length;
    uint32_t  purge_sets;
} atoll_sections_t;

/* The zone that is there, as it was at prepare. */
typedef struct {
    const atoll_zone_t            *zone;          /* NULL: none, or none that can be read */
    int                            same_boot;     /* its milliseconds mean something */
    atoll_upstream_record_t       *upstreams;     /* copies; what makes no sense is FREE and VACANT */
    atoll_peer_identity_record_t  *identities;
    unsigned char                 *reserved;      /* by slot: 1 when a ring before of an active table names it */
    uint64_t                       epoch, config_epoch, incarnation;   /* highest in use */
    uint64_t                       heap_end;      /* end of the last buffer */
    uint32_t                      *changed;       /* slots of peers that were changed at run time */
    uint32_t                       changed_count;
    int                            damaged;       /* epochs or buffers contradict each other: words can be taken over,
                                                     the file cannot go on */
} atoll_snapshot_t;

typedef struct atoll_plan_peer_s {
    uint32_t  slot;
    uint32_t  origin;     /* its slot in the snapshot, ATOLL_NO_SLOT for a new one */
    uint32_t  ordinal;
    int       joins;      /* gets a ramp */
    int       member;     /* the table names it */
    int       former;     /* of a ring before, and no present one */
    const struct atoll_plan_peer_s  *present;  /* of a ring before: the peer whose slot it shares; NULL otherwise */
} atoll_plan_peer_t;

typedef struct {
    uint32_t            index;       /* of its record */
    uint32_t            origin;      /* index in the snapshot, ATOLL_NO_SLOT for a new one */
    uint32_t            buffer;      /* that is written: not the active one */
    uint64_t            offset[2];
    uint64_t            capacity;
    atoll_plan_peer_t  *peers;       /* by table_peer.source */
} atoll_plan_upstream_t;

/* A peer that is not named any more, with its place in a new file. */
typedef struct {
    uint32_t  slot, origin, upstream;
} atoll_plan_former_t;

typedef struct {
    int                     in_place;      /* the file that is there goes on */
    atoll_sections_t        sections;      /* of the new file, otherwise */
    uint64_t                epoch, config_epoch, incarnation;   /* last ones used */

    atoll_plan_upstream_t  *upstreams;     /* as in the request */
    uint32_t                upstream_count;
    atoll_plan_peer_t      *peers;         /* of all upstreams */
    uint32_t                peer_count;
    uint32_t                slot_count;    /* of them that have a slot of their own */

    atoll_plan_former_t    *formers;       /* new file only */
    uint32_t                former_count;
    uint32_t               *upstream_map;  /* by index in the snapshot: index after commit, or ATOLL_NO_SLOT */
    uint32_t               *slot_map;      /* by slot in the snapshot: slot after commit, or ATOLL_NO_SLOT; of the file that
                                              goes on only present peers */
} atoll_plan_t;

/* What makes a peer the same peer. upstream: index in the snapshot. */
typedef struct {
    uint32_t     upstream, ordinal;
    uint32_t     server_length, address_length;
    const void  *server, *address;
} atoll_peer_key_t;

/* Peers by key. */
typedef struct {
    atoll_peer_key_t  *keys;
    uint32_t          *values;
    uint32_t           mask;
} atoll_peer_map_t;

/* 0, or -1 without memory. capacity: keys that will be put at most. */
int atoll_peer_map_open(atoll_peer_map_t *map, uint32_t capacity);
void atoll_peer_map_close(atoll_peer_map_t *map);

/* The value of key, *made when it was not there. */
uint32_t *atoll_peer_map_put(atoll_peer_map_t *map, const atoll_peer_key_t *key, int *made);

/* The value of key, or NULL. */
uint32_t *atoll_peer_map_get(const atoll_peer_map_t *map, const atoll_peer_key_t *key);

/* Bytes of file, a multiple of 1 MiB, that hold the request at least. */
uint64_t atoll_size_needed(const atoll_writer_request_t *request);

/* Copies what the plan needs of a zone; NULL for none. 0, or -1 without memory. */
int atoll_snapshot_take(atoll_snapshot_t *snapshot, const atoll_zone_t *zone, int same_boot);
/* Index of the upstream of that name, ATOLL_NO_SLOT for none. */
uint32_t atoll_snapshot_find(const atoll_snapshot_t *snapshot, const void *name, size_t length);
void atoll_snapshot_free(atoll_snapshot_t *snapshot);

/*
 * Plans the request. in_place: try to go on in the snapshot's zone; a new file is planned when slots, records or heap do
 * not suffice. 0; 1 when the request does not fit in its size; -1 without memory.
 */
int atoll_plan_make(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_writer_request_t *request,
                    int in_place);
void atoll_plan_free(atoll_plan_t *plan);

/* Writes header (all but ready) and section bounds of a new file, and fills in zone. The memory is all zeros. */
void atoll_plan_lay_out(const atoll_plan_t *plan, atoll_zone_t *zone, void *base, size_t length, uint64_t now_ms);

/*
 * The purges of a file that goes on or of a new one, as the last step before workers see it. from: the file before, NULL for
 * none; target itself when it goes on. believed: no purge can have been missed since from was written.
 */
void atoll_purges_carry(const atoll_zone_t *from, const atoll_zone_t *target, int believed, uint64_t now_ms);

/* For purges that are not believed: another number each time, over files and boots as well. */
uint64_t atoll_purges_nonce(void);

/* Puts the plan into effect in target: the snapshot's zone, or the new file. */
void atoll_plan_publish(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_writer_request_t *request,
                        const atoll_zone_t *target);

#endif
