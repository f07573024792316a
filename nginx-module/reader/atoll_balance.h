/*
 * Which peer serves a request: the walk along the ring, past peers that get no traffic, and what comes back of it.
 *
 * Per worker and upstream one atoll_balancer_t; per request one atoll_walk_t. One thread. No lock; the only words
 * written in the zone are the worker's own row, and the passive words of a peer (compare-and-set), so a worker may be
 * killed at any instruction. Twin of the walk: io.atoll.core.lookup.
 *
 *   atoll_balance.c   the first choice; counting
 *   atoll_refresh.c   taking published tables into use; what a worker knows of a peer
 *   atoll_walk.c      every other choice
 *   atoll_eligible.c  whether a peer may take a request
 *   atoll_hot.c       the first choice for a hot key
 *   atoll_bound.h     how much a peer of an upstream with bounded load may hold
 *   atoll_handover.c  who may still hold a key that this node owns and lacks
 *   atoll_fill.c      how those answer
 */
#ifndef ATOLL_BALANCE_H
#define ATOLL_BALANCE_H

#include "atoll_table.h"

/*
 * What a worker knows of a peer, in its own memory: made when a table first names its slot, kept for the worker's life.
 * First line: what a pick reads.
 */
typedef struct {
    uint32_t   slot;
    uint32_t   flags;              /* ATOLL_PEER_FLAG_*; this and the limits as the table in use has them */
    uint64_t   incarnation;        /* words of the slot count only while the zone's is the same */
    int64_t    current_weight;     /* smooth weighted round robin among the addresses of one name, as nginx does */
    int32_t    effective_weight;
    int32_t    weight;
    uint32_t   max_conns;
    uint32_t   max_fails;
    uint32_t   fail_timeout_ms;
    uint32_t   source;             /* place in the upstream's list */
    uint32_t   socklen;
    uint32_t   server_length;
    uint32_t   address_length;
    void      *session;            /* the caller's (TLS session) */
    uint64_t   lately_until;       /* period (atoll_hot.h) that lately counts up to */
    uint64_t   lately;             /* picks of this worker, fading; 0 where no key is hot */
    unsigned char  *sockaddr;      /* these three lie behind the record */
    char      *server;             /* as `server NAME` has it; not terminated */
    char      *address;            /* "10.0.0.1:80"; not terminated */
} atoll_peer_t;

typedef struct {
    /* set by the caller before the first pick; the rest is zero then */
    const atoll_zone_t  *zone;
    atoll_row_t          row;
    uint32_t             upstream;       /* index in the zone */
    uint64_t             config_epoch;   /* of this worker's configuration: newer tables are left to newer workers */
    const char          *name;           /* of the upstream: a table published under another is not used; NULL: any */
    size_t               name_length;
    void              *(*allocate)(size_t size, void *data);  /* worker memory, never freed; NULL when there is none */
    void                *data;

    /* the reader's own */
    uint64_t             published;      /* the word last looked at */
    int                  usable;         /* table is */
    int                  refused;        /* what published leads to is not */
    int                  row_outside;    /* row is not part of the zone */
    atoll_table_t        table;
    atoll_peer_t       **peers;          /* by index of table_peer, table.all_peers of them */
    atoll_peer_t       **next_peers;     /* those of a table being taken */
    uint32_t             peers_capacity; /* of each of the two */
    atoll_peer_t       **met;            /* by slot - met_first, NULL where not met yet */
    uint32_t             met_first;
    uint32_t             met_count;
    uint64_t             made;           /* peers, ever */
    uint32_t             slow_start_ms;  /* of the upstream when table was taken */
    uint32_t             panic_percent;
    uint32_t             handover_ms;
    int                  handover_blind; /* see atoll_previous_owner */
    uint64_t             alone_ms;       /* when no other peer could be asked for a handover; 0: not for this table */
    int                  guard;          /* mass failure: only admin, down and max_conns count */
    uint64_t             guard_checked_ms; /* when the guard was last worked out; 0: not for this table */
    uint32_t             replicas;       /* peers of a hot key at most */
    const atoll_hot_set_record_t  *hot;  /* NULL: no key of this upstream has more than one owner */
    uint32_t             random;         /* state, 0: not seeded */
    uint32_t             bound_percent;  /* bounded load; 0 off */
    uint32_t             bound_rows;     /* rows to sum up; this and the weights as of bound_checked_ms */
    uint64_t             bound_weight[ATOLL_RING_COUNT_]; /* of the peers in traffic, by ring */
    uint64_t             bound_checked_ms; /* 0: not for this table */
    uint64_t             looks;          /* at peers that were not simply the first choice */
} atoll_balancer_t;

#define ATOLL_TRIED_INLINE 6

typedef struct {
    uint32_t         hash;          /* CRC-32 of the key */
    uint32_t         ring;          /* ATOLL_RING_* being walked */
    uint32_t         point;         /* where the walk stands */
    uint64_t         sequence;      /* of the table that point belongs to; 0: not begun */
    atoll_peer_t    *peer;          /* picked last; NULL none, or not ours to report */
    uint32_t         picks;
    uint32_t         tried_count;
    uint32_t         tried_capacity;
    uint32_t        *tried;         /* slots given already; NULL: tried_inline */
    uint32_t         tried_inline[ATOLL_TRIED_INLINE];
    int              unguarded;     /* reasons count whatever the guard says: something else serves when none is eligible */
    int              owner_only;    /* also of a hot key: in a tier, where only the owner stores */
    int              keyed;         /* 0: the key is empty, weighted round robin as stock does */
    int              asked;         /* counted as a request */
    int              counted;       /* ATOLL_COUNTED_* */
    void          *(*allocate)(size_t size, void *data);   /* request memory, for more than ATOLL_TRIED_INLINE tries */
    void            *data;
} atoll_walk_t;

/* Where the peer of a walk is counted as in flight. */
enum {
    ATOLL_COUNTED_NOWHERE = 0,
    ATOLL_COUNTED_AT_PEER,
    ATOLL_COUNTED_AT_UPSTREAM  /* and at the peer: the upstream has a bound */
};

enum {
    ATOLL_PICK_OK = 0,
    ATOLL_PICK_NONE,       /* no eligible peer is left (nginx: NGX_BUSY), or no memory to remember it */
    ATOLL_PICK_FALLBACK    /* no usable table: the caller balances without Atoll (counted in row.fallbacks) */
};

/* What came of a pick. */
enum {
    ATOLL_DONE_SUCCEEDED = 0,
    ATOLL_DONE_FAILED,     /* a real failure, for max_fails */
    ATOLL_DONE_UNKNOWN     /* nothing is known about the peer: only the counts in flight are given back */
};

/* Sets all but allocate and data, which the caller may set before or after. */
void atoll_walk_init(atoll_walk_t *walk, uint32_t hash, int keyed);

/*
 * Brings the balancer up to date with what is published (cheap when nothing is new: two loads). Returns 1 when there is
 * a usable table. Called by atoll_pick; call it yourself before reading table.ring[].tries, and once when a worker
 * starts, so that no request waits for the validation.
 *
 * A newer table that does not pass leaves the one in use in place for as long as its bytes are there.
 */
int atoll_balancer_refresh(atoll_balancer_t *balancer);

/*
 * The next peer for a request, into walk->peer. now_ms: CLOCK_MONOTONIC milliseconds.
 * A peer that was given before is not given again in the same ring, as in nginx; the only one of a single upstream is.
 */
int atoll_pick(atoll_balancer_t *balancer, atoll_walk_t *walk, uint64_t now_ms);

/*
 * Gives a request a peer that was found otherwise (atoll_previous_owner), as atoll_pick gives one: into walk->peer, counted as
 * a pick and as in flight until atoll_done, not given again by atoll_pick. Returns 1; 0, with walk as it was, when the slot has gone to
 * another peer or there is no memory to remember it.
 */
int atoll_give(atoll_balancer_t *balancer, atoll_walk_t *walk, const atoll_peer_t *peer);

/*
 * Reports how the peer picked last did (nginx: ngx_http_upstream_free_round_robin_peer). Clears walk->peer; a second
 * call does nothing. outcome: ATOLL_DONE_*.
 */
void atoll_done(atoll_balancer_t *balancer, atoll_walk_t *walk, uint64_t now_ms, int outcome);

/* After atoll_done: the peer picked last may be picked again, since it was not really asked. */
void atoll_walk_again(atoll_walk_t *walk);

/*
 * Who is asked first for a key now, without counting or changing anything: the owner among the eligible, whatever its
 * bound says. NULL for none.
 */
const atoll_peer_t *atoll_owner(atoll_balancer_t *balancer, uint32_t hash, uint64_t now_ms, int unguarded);

/*
 * The same, where it is the owner by the ring itself, the only address of its name, and no word says anything against it; else NULL. As
 * cheap as a lookup.
 */
const atoll_peer_t *atoll_undisputed_owner(atoll_balancer_t *balancer, uint32_t hash, uint64_t now_ms);

#endif
