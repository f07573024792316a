/*
 * SipHash-2-4 (Aumasson, Bernstein: SipHash, a fast short-input PRF, INDOCRYPT 2012): the code of a step from node to node. About
 * 300 instructions for a key of 40 bytes, where HMAC-SHA256 takes some 20,000 (docs/decisions/0008).
 *
 * Pure C11, no allocation. Thread-safe.
 */
#ifndef ATOLL_SIPHASH_H
#define ATOLL_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define ATOLL_SIPHASH_HEAD  16   /* bytes */

/* The code of head followed by data, with a secret of 16 bytes: two little-endian words. */
uint64_t atoll_siphash(const uint64_t secret[2], const unsigned char head[ATOLL_SIPHASH_HEAD], const void *data, size_t length);

#endif
