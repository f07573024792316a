/*
 * What keeps a process alive whose mapped zone file was cut short: an access behind the end of a mapped file is a SIGBUS, and that
 * ends who has no handler. docs/decisions/0012-a-cut-zone-is-mapped-over.md.
 *
 * The first access that faults maps private memory over the whole mapping, at the same place, and is repeated there: a copy of the zone
 * (atoll_zone_copy.h), or zeros, in which no table is usable. All pointers into the zone stay good, nothing that is read or written
 * there is shared any more, and no later access faults. A SIGBUS of anything else goes to who would have had it before.
 *
 * One thread at a time adds and removes. Children inherit handler and mappings; each process meets its own fault.
 */
#ifndef ATOLL_ZONE_GUARD_H
#define ATOLL_ZONE_GUARD_H

#include <stddef.h>

#include "../reader/atoll_zone.h"

/* Mappings of one process that are guarded at a time; those beyond are not. */
#define ATOLL_GUARDS 64

/* path is kept, not copied: until remove. */
void atoll_guard_add(void *base, size_t length, const char *path);

/* Before munmap. Closes the copy. With the last guard goes the handler, unless another one stands before it: nginx may unload the module. */
void atoll_guard_remove(const void *base);

/* What takes the mapping's place when it is lost: a descriptor that is as long, which now is the guard's. -1: zeros. */
void atoll_guard_copy(const void *base, int copy);

/*
 * 1 when the zone's mapping was lost, or is now: for who finds no usable table. A file that was written over in place faults nowhere, but
 * it has not the header of a zone of this layout any more, and is mapped over as one that was cut. A cut is met here, too.
 */
int atoll_guard_check(const atoll_zone_t *zone);

/* 1 when the mapping was lost. */
int atoll_guard_is_lost(const void *base);

/*
 * Is called once in each process for a mapping that is lost, in place of the access that faulted. first: in no other process, of those
 * that inherited this mapping, before. NULL: nobody is.
 */
extern void (*atoll_guard_lost)(const char *path, int first);

#endif
