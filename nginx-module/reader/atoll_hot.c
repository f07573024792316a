#include "atoll_hot.h"

#include <string.h>

#include "atoll_walk.h"

static uint32_t gather(atoll_balancer_t *balancer, atoll_walk_t *walk, uint32_t replicas, uint64_t now,
                       atoll_peer_t **peers);
static atoll_peer_t *better(const atoll_balancer_t *balancer, atoll_peer_t *one, atoll_peer_t *other, uint64_t now);
static int is_slower(const atoll_peer_t *one, uint64_t busy_one, const atoll_peer_t *other, uint64_t busy_other);
static uint64_t busy(const atoll_balancer_t *balancer, const atoll_peer_t *peer);
static uint32_t next_random(atoll_balancer_t *balancer);


uint32_t
atoll_hot_find(const atoll_hot_set_record_t *set, uint32_t hash, uint64_t now_ms)
{
    uint32_t  replicas;
    uint64_t  entry, left = atoll_relaxed(set->until_ms) - now_ms;

    /* run out, or not a lease that an agent gives */
    if (left == 0 || left > ATOLL_HOT_LEASE_LIMIT_MS) {
        return 0;
    }

    for (uint32_t i = 0; i < ATOLL_HOT_CAPACITY; i++) {
        entry = atoll_relaxed(set->entries[i]);
        replicas = (uint32_t) (entry >> 32);

        if ((uint32_t) entry == hash && replicas != 0) {
            return replicas < ATOLL_REPLICAS_LIMIT ? replicas : ATOLL_REPLICAS_LIMIT;
        }
    }

    return 0;
}


atoll_peer_t *
atoll_hot_pick(atoll_balancer_t *balancer, atoll_walk_t *walk, uint32_t replicas, uint64_t now_ms)
{
    uint32_t       count, one, other, point;
    atoll_peer_t  *peer, *peers[ATOLL_REPLICAS_LIMIT];

    replicas = replicas < balancer->replicas ? replicas : balancer->replicas;
    count = gather(balancer, walk, replicas, now_ms, peers);

    if (count < 2) {
        return NULL;
    }

    one = next_random(balancer) % count;
    other = (one + 1 + next_random(balancer) % (count - 1)) % count;
    peer = better(balancer, peers[one], peers[other], now_ms);

    point = atoll_ring_find(&balancer->table.ring[ATOLL_RING_PRIMARY], walk->hash);

    if (point == ATOLL_NO_POINT || !atoll_table_is_current(&balancer->table)) {
        return NULL;
    }

    walk->point = point;

    if (peer->effective_weight < peer->weight) {
        peer->effective_weight++;
    }

    return peer;
}


/* The servers that may have the key, as far as they are worth a try: the trial of one that failed is for its own keys. */
static uint32_t
gather(atoll_balancer_t *balancer, atoll_walk_t *walk, uint32_t replicas, uint64_t now, atoll_peer_t **peers)
{
    atoll_search_t search;

    memset(&search, 0, sizeof(search));
    search.balancer = balancer;
    search.walk = walk;
    search.now = now;
    search.first = 1;
    search.peek = 1;

    return atoll_search_replicas(&search, replicas, peers);
}


static atoll_peer_t *
better(const atoll_balancer_t *balancer, atoll_peer_t *one, atoll_peer_t *other, uint64_t now)
{
    uint64_t  busy_one = busy(balancer, one);
    uint64_t  busy_other = busy(balancer, other);

    if (is_slower(one, busy_one, other, busy_other)) {
        return other;
    }

    if (is_slower(other, busy_other, one, busy_one)) {
        return one;
    }

    return atoll_lately(other, now) * (uint32_t) one->weight < atoll_lately(one, now) * (uint32_t) other->weight ? other : one;
}


/* One more each, so that few requests say nothing. */
static int
is_slower(const atoll_peer_t *one, uint64_t busy_one, const atoll_peer_t *other, uint64_t busy_other)
{
    return (busy_one + 1) * (uint32_t) other->weight > 2 * (busy_other + 1) * (uint32_t) one->weight;
}


/* Requests in flight at a peer, over all workers. */
static uint64_t
busy(const atoll_balancer_t *balancer, const atoll_peer_t *peer)
{
    uint64_t inflight = atoll_zone_inflight(balancer->zone, peer->slot);

    if (balancer->row_outside) {
        inflight += atoll_relaxed(balancer->row.peers[peer->slot].inflight);
    }

    return inflight;
}


/* Marsaglia's xorshift32: workers must differ, nothing depends on more. */
static uint32_t
next_random(atoll_balancer_t *balancer)
{
    uint32_t x = balancer->random;

    if (x == 0) {
        x = (uint32_t) ((uintptr_t) balancer->row.head / ATOLL_CACHE_LINE) * UINT32_C(0x9E3779B1) | 1;
    }

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    balancer->random = x;

    return x;
}
