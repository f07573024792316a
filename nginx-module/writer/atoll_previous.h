/*
 * What the live zone knows of the rings before: read by the master before it has tables compiled, so that the owners
 * before a change stay in the table as its previous and earlier ring (handover). docs/architecture.md, "Handover, exactly".
 *
 * Twin of the rule: io.atoll.core.table.Handover.
 */
#ifndef ATOLL_PREVIOUS_H
#define ATOLL_PREVIOUS_H

#include "atoll_zone_writer.h"

/* Longest handover, milliseconds: 24 h. */
#define ATOLL_HANDOVER_LIMIT_MS  UINT64_C(86400000)

/* A peer of a ring, as it goes into a compile request and to the writer. */
typedef struct {
    atoll_writer_peer_t  peer;         /* flags: ATOLL_PEER_FLAG_DOWN, _MAGLEV or none; conf_weight 0 */
    uint32_t             source;       /* its place in the list it was compiled from */
} atoll_member_t;

/* The peers of a ring in the order in which they were compiled. */
typedef struct {
    const atoll_member_t  *members;
    uint32_t               count;
} atoll_members_t;

/* The rings before: no members, and until_ms 0, for none. */
typedef struct {
    atoll_members_t  members;          /* of the previous ring */
    atoll_members_t  earlier;          /* of the earlier ring */
    uint64_t         until_ms;
} atoll_previous_t;

/* An upstream's active table. */
typedef struct {
    atoll_members_t   primary;         /* of its primary ring; no members: not known */
    atoll_previous_t  previous;        /* its rings before */
    atoll_member_t   *memory;          /* of all */
} atoll_known_upstream_t;

/* The live zone's. */
typedef struct {
    uint32_t                       upstream_count;
    atoll_upstream_record_t       *records;      /* copies */
    atoll_peer_identity_record_t  *identities;   /* copies, where members' names and addresses lie */
    atoll_known_upstream_t        *upstreams;    /* by index in the zone */
} atoll_known_t;

/*
 * Reads the file at path, of this boot, without changing anything. Each table is validated, and each of its peers' records; what does not
 * pass, or cannot be opened, is not known. Never fails: without file or memory nothing is known. Close it when nothing refers
 * to its members any more.
 */
void atoll_known_read(atoll_known_t *known, const char *path);
void atoll_known_close(atoll_known_t *known);

/* The USED upstream of that name, or NULL. */
const atoll_known_upstream_t *atoll_known_find(const atoll_known_t *known, const void *name, size_t length);

/*
 * The rings before, of a table of the members wanted, when the table before had those of known (NULL: there was none).
 *
 *   handover_ms 0, or nothing known             none
 *   no change                                   known.previous while it is open, as it is; then none
 *   change                                      known.primary; earlier: of known.previous while it is open, the earlier ring, else
 *                                               the previous one; for handover_ms from now
 *
 * A change is another set of (server, weight, DOWN, MAGLEV): what moves keys. Known.previous is open while now_ms < until_ms. No earlier
 * ring is one whose members are just those wanted, since what they had they still have, or those of known.primary. until_ms is
 * at most now_ms + handover_ms.
 */
atoll_previous_t atoll_previous_after(const atoll_known_upstream_t *known, const atoll_members_t *wanted, uint64_t now_ms,
                                      uint32_t handover_ms);

#endif
