/*
 * The zone as the nginx master writes it: create, lay out, give slots to peers by name, publish tables.
 *
 * Pure POSIX C11, no nginx. Called by the master only, at configuration time; may allocate, may block on the file
 * system, waits for an agent that publishes at the same moment, but no longer than ATOLL_LOCK_WAIT_MS. In steps, so that a
 * configuration that fails later leaves no trace:
 *
 *   open      opens the file that is there, checks who owns it, takes the publisher's lock, which is held until commit or
 *             abandon; from here on what was changed at run time can be asked for (atoll_writer_changed, _next_added)
 *   plan      everything else that can fail: creates (under a temporary name, fully allocated), checks that the tables fit
 *   prepare   open and plan, for a caller to whom run-time changes mean nothing
 *   commit    cannot fail: renames a new file into place, copies what the old one knew, publishes
 *   abandon   instead of commit: removes what plan made
 */
#ifndef ATOLL_ZONE_WRITER_H
#define ATOLL_ZONE_WRITER_H

#include <sys/types.h>

#include "../reader/atoll_table.h"

/* Flags of the rings before. */
#define ATOLL_FORMER_RINGS  (ATOLL_PEER_FLAG_PREVIOUS | ATOLL_PEER_FLAG_EARLIER)

/*
 * An upstream to publish: its settings and its compiled table (in a compile region), with the address of each peer. A peer of
 * the previous or the earlier ring (ATOLL_FORMER_RINGS) has the slot of the present peer of the same server and address, else that
 * which it had before; it keeps that slot, its words and its name until a table without it has been followed by another.
 */
typedef struct {
    const void           *sockaddr;         /* struct sockaddr */
    uint32_t              socklen;
    const char           *address;          /* as nginx prints it */
    uint32_t              address_length;
    const char           *server;
    uint32_t              server_length;
    uint32_t              weight;
    uint32_t              flags;            /* ATOLL_PEER_FLAG_* */
    uint32_t              conf_weight;      /* in nginx.conf; 0: not named there */
    uint32_t              max_conns;
    uint32_t              max_fails;
    uint32_t              fail_timeout_ms;
} atoll_writer_peer_t;

typedef struct {
    const atoll_upstream_record_t  *settings;   /* state, published and buffer_* are ignored */
    const void                     *table;
    size_t                          table_length;
    const atoll_writer_peer_t      *peers;      /* by table_peer.source; those that the table does not name keep a slot */
    uint32_t                        peer_count;
    uint64_t                        handover_until_ms;  /* of the table; 0: it has no rings before */
} atoll_writer_upstream_t;

typedef struct {
    const char                     *path;
    size_t                          size;       /* of the file, bytes */
    gid_t                           group;      /* of the file, when the caller is root */
    const char                     *node;       /* name of this node; "" when not known */
    uint64_t                        now_ms;     /* CLOCK_MONOTONIC */
    const atoll_writer_upstream_t  *upstreams;
    uint32_t                        upstream_count;
} atoll_writer_request_t;

typedef struct {
    atoll_zone_t   zone;          /* mapped, shared; valid after commit */
    uint64_t       config_epoch;  /* of this configuration, after commit */
    int            created;       /* 1: a new file took the place of none, of an unusable one, or of one that was full */
    int            replaced;      /* attach result of the file that was replaced; ATOLL_ATTACH_OK when there was none, or
                                     when its states were carried over (other size, full, made in another boot) */
    int            rename_errno;  /* after commit: not 0 when the folder went away under the new file, so that nginx has
                                     its zone but nobody else can find it */
    int            lost;          /* after commit: 1 when the file was cut short meanwhile, so that no process shares the zone */
    int            copy_errno;    /* after commit: not 0 when there is no copy to go on with once the file is cut short */
    void          *state;         /* the writer's own */
} atoll_writer_t;

#define ATOLL_WRITER_ERROR 1024
#define ATOLL_LOCK_WAIT_MS 2000

/*
 * Each returns 0, or -1 with one clear sentence in error: what, where, expected, how to mend; nothing is left behind then.
 * check_only (nginx -t) tells what would be told, takes no lock and leaves nothing behind: commit must not follow.
 */
int atoll_writer_open(atoll_writer_t *writer, const char *path, int check_only, char error[ATOLL_WRITER_ERROR]);
int atoll_writer_plan(atoll_writer_t *writer, const atoll_writer_request_t *request, int check_only,
                      char error[ATOLL_WRITER_ERROR]);

/*
 * After open: what was changed at run time about a server of nginx.conf. REMOVED and WEIGHTED of the answer, with its weight
 * in *weight when it has WEIGHTED; 0 for a server that was not changed.
 */
uint32_t atoll_writer_changed(const atoll_writer_t *writer, const void *upstream, size_t upstream_length,
                              const void *server, size_t server_length, uint32_t *weight);

/* After open: the upstream's next peer that was added at run time, from *slot on, which is moved behind it; NULL: no more. */
const atoll_peer_identity_record_t *atoll_writer_next_added(const atoll_writer_t *writer, const void *upstream,
                                                            size_t upstream_length, uint32_t *slot);

int atoll_writer_prepare(atoll_writer_t *writer, const atoll_writer_request_t *request, int check_only,
                         char error[ATOLL_WRITER_ERROR]);
void atoll_writer_commit(atoll_writer_t *writer, const atoll_writer_request_t *request);
void atoll_writer_abandon(atoll_writer_t *writer);

/*
 * Names the process that owns the file, for the refusal of a second nginx. commit names its caller; in daemon mode that
 * process ends and its child is the master, so each worker names its parent when it starts. Does nothing once a newer
 * configuration than config_epoch was published (a binary upgrade: the file is the new master's).
 */
void atoll_writer_own(atoll_zone_t *zone, uint64_t pid, uint64_t config_epoch);

/*
 * Says that the running nginx.conf declares none of the zone's upstreams any more, so that agents leave their peers alone.
 * All that is known of them stays for a configuration that names them again.
 */
void atoll_writer_retire(atoll_zone_t *zone);

/* Unmaps. Workers that inherited the mapping keep theirs. */
void atoll_writer_close(atoll_writer_t *writer);

/* Start time of a process (field 22 of /proc/PID/stat), 0 when it is gone or a zombie. */
uint64_t atoll_process_start(uint64_t pid);

#endif
