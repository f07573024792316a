/*
 * Reading bytes that another process may change at any moment. Each call is one load, so that what was checked is what
 * is used: the compiler may neither repeat it nor assume that two of them agree.
 */
#ifndef ATOLL_READ_H
#define ATOLL_READ_H

#include <stdatomic.h>
#include <stdint.h>

static inline uint32_t
atoll_read32(const uint32_t *word)
{
    return *(const volatile uint32_t *) word;
}

static inline uint64_t
atoll_read64(const uint64_t *word)
{
    return *(const volatile uint64_t *) word;
}

/* Shorthand for the words whose order against others does not matter. */
#define atoll_relaxed(word)        atomic_load_explicit(&(word), memory_order_relaxed)
#define atoll_set(word, value)     atomic_store_explicit(&(word), (value), memory_order_relaxed)
/* For a word with one writer: no locked instruction. */
#define atoll_add(word, n)         atoll_set(word, atoll_relaxed(word) + (n))

#endif
