/*
 * The zone as it was published, kept where nobody can change or cut it (a sealed memfd): what a process goes on with that has lost its
 * mapping. Without the worker rows, the agent's heartbeat, and tables that are not active; with its purges not to be believed,
 * since some may have come after it was made.
 */
#ifndef ATOLL_ZONE_COPY_H
#define ATOLL_ZONE_COPY_H

#include <stddef.h>

#include "../reader/atoll_zone.h"

/*
 * Makes one, as long as the zone. The descriptor, or -1 and errno. Memory: what is not blank of the active tables, slots, upstreams,
 * hot sets and purges. Time: a look at all of that, and writing it.
 */
int atoll_copy_make(const atoll_zone_t *zone);

/* A copy that has just been mapped at base: what it has for purges begins to wait now. Async-signal-safe. */
void atoll_copy_begin(void *base, size_t length);

/* -1: does nothing. */
void atoll_copy_close(int copy);

#endif
