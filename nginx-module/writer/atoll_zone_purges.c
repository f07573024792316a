#define _POSIX_C_SOURCE 200809L

#include <time.h>

#include "../reader/atoll_purge.h"
#include "../reader/atoll_read.h"
#include "atoll_zone_plan.h"

uint64_t
atoll_purges_nonce(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_REALTIME, &now);

    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static void
raise_floor(_Atomic uint64_t *floor, uint64_t number)
{
    if (number > atoll_relaxed(*floor)) {
        atoll_set(*floor, number);
    }
}

/* A set of another size of section: its floor goes to all sets that its keys may look in, its purges to their own. */
static void
take_over_set(const atoll_zone_t *from, uint32_t index, const atoll_zone_t *target)
{
    atoll_purge_set_record_t  *set = &from->purge_sets[index];
    uint32_t                   count = target->purge_set_count;

    for (uint32_t i = index & (count - 1); i < count; i += from->purge_set_count) {
        raise_floor(&target->purge_sets[i].floor, atoll_relaxed(set->floor));
    }

    for (int i = 0; i < ATOLL_PURGE_WAYS; i++) {
        uint64_t  hash = atoll_relaxed(set->hash[i]);

        if (hash != 0) {
            atoll_purge_put(target, hash, atoll_relaxed(set->number[i]));
        }
    }
}

static void
take_over_purges(const atoll_zone_t *from, const atoll_zone_t *target)
{
    atoll_purges_record_t  *to = target->purges;

    for (uint32_t i = 0; i < from->purge_set_count; i++) {
        take_over_set(from, i, target);
    }

    for (int i = 0; i < 4; i++) {
        atoll_set(to->lengths[i], atoll_relaxed(from->purges->lengths[i]));
    }

    atoll_set(to->all, atoll_relaxed(from->purges->all));
    atoll_set(to->loaded, atoll_relaxed(from->purges->loaded));
    atoll_set(to->nonce, atoll_relaxed(from->purges->nonce));
    atoll_set(to->since_ms, atoll_relaxed(from->purges->since_ms));
    atomic_store_explicit(&to->last, atoll_relaxed(from->purges->last), memory_order_release);
}

void
atoll_purges_carry(const atoll_zone_t *from, const atoll_zone_t *target, int believed, uint64_t now_ms)
{
    int                     known = from != NULL && from->purges != NULL;
    atoll_purges_record_t  *purges = target->purges;

    if (purges == NULL) {
        return;
    }

    if (known && from != target) {
        take_over_purges(from, target);
    }

    if (!known || !believed) {
        atoll_set(purges->nonce, atoll_purges_nonce());
        atoll_set(purges->since_ms, now_ms);
        atomic_store_explicit(&purges->loaded, ATOLL_PURGES_LOADED_NO, memory_order_release);
    }
}
