#include "atoll_purge.h"

#include "atoll_read.h"

#define FNV_BASIS  UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME  UINT64_C(0x100000001b3)

static uint64_t purge_mix(unsigned kind, uint64_t state);
static uint64_t purge_find(const atoll_zone_t *zone, uint64_t hash);


uint64_t
atoll_purge_hash(unsigned kind, const void *text, size_t length)
{
    uint64_t              state = FNV_BASIS;
    const unsigned char  *p = text;

    while (length-- > 0) {
        state = (state ^ *p++) * FNV_PRIME;
    }

    return purge_mix(kind, state);
}


/* The end of MurmurHash3 (fmix64): FNV's low bits, which choose the set, are weak by themselves. */
static uint64_t
purge_mix(unsigned kind, uint64_t state)
{
    state ^= (kind + 1) * UINT64_C(0x9e3779b97f4a7c15);
    state = (state ^ state >> 33) * UINT64_C(0xff51afd7ed558ccd);
    state = (state ^ state >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    state ^= state >> 33;

    return state == 0 ? 1 : state;
}


static uint64_t
greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}


/* The floor is read last: who is pushed out of a place is in the floor before the place is another's. */
static uint64_t
purge_find(const atoll_zone_t *zone, uint64_t hash)
{
    uint64_t                   number = 0;
    atoll_purge_set_record_t  *set = &zone->purge_sets[hash & (zone->purge_set_count - 1)];

    for (int i = 0; i < ATOLL_PURGE_WAYS; i++) {
        if (atomic_load_explicit(&set->hash[i], memory_order_acquire) == hash) {
            number = greater(number, atomic_load_explicit(&set->number[i], memory_order_acquire));
        }
    }

    return greater(number, atomic_load_explicit(&set->floor, memory_order_acquire));
}


uint64_t
atoll_generation(const atoll_zone_t *zone, const void *key, size_t key_length, const void *host, size_t host_length)
{
    uint64_t                 lengths[4], number, state = FNV_BASIS;
    const unsigned char     *p = key;
    atoll_purges_record_t   *purges = zone->purges;

    if (purges == NULL || atomic_load_explicit(&purges->last, memory_order_acquire) == 0) {
        return 0;
    }

    number = atoll_relaxed(purges->all);

    for (int i = 0; i < 4; i++) {
        lengths[i] = atoll_relaxed(purges->lengths[i]);
    }

    for (size_t i = 0; i < key_length; i++) {
        state = (state ^ p[i]) * FNV_PRIME;

        if (i < ATOLL_PURGE_PREFIX_CAPACITY && (lengths[i / 64] >> i % 64 & 1)) {
            number = greater(number, purge_find(zone, purge_mix(ATOLL_PURGE_KIND_PREFIX, state)));
        }
    }

    number = greater(number, purge_find(zone, purge_mix(ATOLL_PURGE_KIND_EXACT, state)));

    return greater(number, purge_find(zone, atoll_purge_hash(ATOLL_PURGE_KIND_SITE, host, host_length)));
}


int
atoll_purges_wait(const atoll_zone_t *zone, uint64_t now_ms, uint64_t wait_ms, uint64_t *nonce)
{
    uint64_t                since;
    atoll_purges_record_t  *purges = zone->purges;

    if (purges == NULL || atomic_load_explicit(&purges->loaded, memory_order_acquire) != ATOLL_PURGES_LOADED_NO) {
        return 0;
    }

    since = atoll_relaxed(purges->since_ms);
    *nonce = atoll_relaxed(purges->nonce);

    return now_ms < since || now_ms - since < wait_ms;
}


/* The place of hash, else a vacant one, else that of the oldest. */
static int
purge_place(const atoll_purge_set_record_t *set, uint64_t hash)
{
    int       place = 0;
    uint64_t  held, number, least = UINT64_MAX;

    for (int i = 0; i < ATOLL_PURGE_WAYS; i++) {
        held = atoll_relaxed(set->hash[i]);
        number = held == 0 ? 0 : atoll_relaxed(set->number[i]);

        if (held == hash) {
            return i;
        }

        if (number < least) {
            least = number;
            place = i;
        }
    }

    return place;
}


void
atoll_purge_put(const atoll_zone_t *zone, uint64_t hash, uint64_t number)
{
    atoll_purge_set_record_t  *set = &zone->purge_sets[hash & (zone->purge_set_count - 1)];
    int                        place = purge_place(set, hash);
    uint64_t                   held = atoll_relaxed(set->hash[place]);

    if (held == hash) {
        atomic_store_explicit(&set->number[place], greater(number, atoll_relaxed(set->number[place])), memory_order_release);
        return;
    }

    if (held != 0) {
        atomic_store_explicit(&set->floor, greater(atoll_relaxed(set->floor), atoll_relaxed(set->number[place])),
                              memory_order_release);
    }

    atomic_store_explicit(&set->number[place], 0, memory_order_release);
    atomic_store_explicit(&set->hash[place], hash, memory_order_release);
    atomic_store_explicit(&set->number[place], number, memory_order_release);
}
