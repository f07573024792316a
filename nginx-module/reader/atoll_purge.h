/*
 * Purges: the generation of a key, which is part of what nginx caches it under. A purge gives every key that it concerns a
 * generation greater than all before, so that its copies (all variants, all slices, stale ones too) are found no more;
 * nothing on disk is looked at.
 *
 * Pure C11, no allocation, no system call. One writer, the agent; readers take no lock and trust no byte: whatever lies in
 * the section gives a number, at worst one that costs a miss. Twin: io.atoll.core.zone.ZonePurges, with the same hash.
 */
#ifndef ATOLL_PURGE_H
#define ATOLL_PURGE_H

#include "atoll_zone.h"

#define ATOLL_PURGE_WAYS 7      /* purges in a set */

/*
 * The hash of a purge: FNV-1a of 64 bits over the text, with the kind (ATOLL_PURGE_KIND_*) mixed in; never 0. Two texts of
 * one hash are purged together.
 */
uint64_t atoll_purge_hash(unsigned kind, const void *text, size_t length);

/*
 * The greatest number of a purge that concerns the key of a request to that host; 0: none does. In a zone where nothing
 * was purged one load, else one multiplication for each byte of key and host and up to two cache lines for the key, for the
 * host and for each length of a prefix that was purged.
 */
uint64_t atoll_generation(const atoll_zone_t *zone, const void *key, size_t key_length, const void *host, size_t host_length);

/*
 * Whether copies of before must not be used, since no agent has said yet which purges stand. *nonce, not 0, stands for the
 * generation of all keys then. A zone without purges never waits. wait_ms: for how long at most, from the moment on that
 * the zone has waited.
 */
int atoll_purges_wait(const atoll_zone_t *zone, uint64_t now_ms, uint64_t wait_ms, uint64_t *nonce);

/*
 * Puts a purge into the section: for its one writer. The oldest of a set that is full goes into the set's floor, where it
 * concerns every key that is looked for in that set.
 */
void atoll_purge_put(const atoll_zone_t *zone, uint64_t hash, uint64_t number);

#endif
