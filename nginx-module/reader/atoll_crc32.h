/*
 * CRC-32 (IEEE 802.3: reflected, polynomial 0x04c11db7), of tables and of keys, whose hash it is as with `hash key consistent` (nginx:
 * ngx_crc32_long). Up to eight bytes at a time (slicing; Kounavis, Berry: Novel Table Lookup-Based Algorithms for High-Performance CRC
 * Generation, IEEE Transactions on Computers 57, 2008): about 4 instructions a byte, where nginx's table for single bytes takes
 * 8. The tables are 8 KB, made at the first use.
 *
 * Pure C11, no allocation. Thread-safe once a first call has returned.
 */
#ifndef ATOLL_CRC32_H
#define ATOLL_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The state behind length more bytes. A sum begins as ~0, and is ~ of the last state. */
uint32_t atoll_crc32_update(uint32_t state, const void *data, size_t length);

static inline uint32_t
atoll_crc32(const void *data, size_t length)
{
    return ~atoll_crc32_update(~UINT32_C(0), data, length);
}

#endif
