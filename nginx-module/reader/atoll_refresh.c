#include "atoll_balance.h"

#include <string.h>

#include "atoll_read.h"
#include "atoll_walk.h"

/* How often a table that changes under the reader is tried before the one in use stays. */
#define ATTEMPTS        3
/* Peers that a worker makes in its life for each slot of the zone, at most: a zone gone mad must not eat its memory. */
#define MADE_PER_SLOT   64

static int balancer_update(atoll_balancer_t *balancer, uint64_t published) __attribute__((noinline, cold));
static int balancer_take(atoll_balancer_t *balancer, const atoll_table_t *table);
static uint32_t bound_of(const atoll_upstream_record_t *record);
static int balancer_is_named(const atoll_balancer_t *balancer);
static int balancer_reserve(atoll_balancer_t *balancer, uint32_t peer_count);
static atoll_peer_t *balancer_meet(atoll_balancer_t *balancer, uint32_t slot);
static int balancer_reserve_met(atoll_balancer_t *balancer, uint32_t slot);
static atoll_peer_t *peer_make(atoll_balancer_t *balancer, uint32_t slot, uint64_t incarnation);
static void balancer_limits(atoll_peer_t *const *peers, const atoll_table_t *table);
static void peer_limits(atoll_peer_t *peer, const atoll_table_peer_record_t *record);


int
atoll_balancer_refresh(atoll_balancer_t *balancer)
{
    uint64_t published;

    if (balancer->upstream >= balancer->zone->upstream_count) {
        return 0;
    }

    atoll_zone_touch(balancer->zone);

    published = atomic_load_explicit(&balancer->zone->upstreams[balancer->upstream].published, memory_order_acquire);

    if (published == balancer->published && balancer->usable && atoll_table_is_current(&balancer->table)) {
        return 1;
    }

    return balancer_update(balancer, published);
}


static int
balancer_update(atoll_balancer_t *balancer, uint64_t published)
{
    int                  result;
    atoll_table_t        table;
    const atoll_zone_t  *zone = balancer->zone;

    balancer->usable = balancer->usable && atoll_table_is_current(&balancer->table);
    balancer->row_outside = (uintptr_t) balancer->row.head - (uintptr_t) zone->base >= zone->length;

    if (published == balancer->published && balancer->refused) {
        return balancer->usable;
    }

    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        result = atoll_table_open(&table, zone, balancer->upstream);

        if (result == ATOLL_TABLE_TORN) {
            atoll_add(balancer->row.head->torn, 1);
            continue;
        }

        balancer->published = table.published;
        balancer->refused = 0;

        if (result == ATOLL_TABLE_NONE
            || (balancer->usable && table.config_epoch > balancer->config_epoch
                && result == ATOLL_TABLE_OK && atoll_table_is_current(&balancer->table)))
        {
            return balancer->usable;
        }

        if (result == ATOLL_TABLE_OK && balancer_take(balancer, &table)) {
            return 1;
        }

        atoll_add(balancer->row.head->rejected, 1);
        balancer->refused = 1;
        break;
    }

    return balancer->usable;
}


/* Makes the table the one in use, when it is this upstream's and each of its slots is a peer of it. */
static int
balancer_take(atoll_balancer_t *balancer, const atoll_table_t *table)
{
    atoll_peer_t                   **peers;
    const atoll_upstream_record_t   *record = &balancer->zone->upstreams[balancer->upstream];

    if (!balancer_is_named(balancer) || !balancer_reserve(balancer, table->all_peers)) {
        return 0;
    }

    peers = balancer->next_peers;

    for (uint32_t i = 0; i < table->all_peers; i++) {
        peers[i] = balancer_meet(balancer, atoll_read32(&table->peers[i].slot));

        if (peers[i] == NULL) {
            return 0;
        }
    }

    balancer_limits(peers, table);

    balancer->next_peers = balancer->peers;
    balancer->peers = peers;
    balancer->table = *table;
    balancer->slow_start_ms = atoll_read32(&record->slow_start_ms);
    balancer->panic_percent = atoll_read32(&record->panic_percent);
    balancer->replicas = atoll_read32(&record->replicas);
    balancer->hot = balancer->replicas > 1 && !table->single ? &balancer->zone->hot_sets[balancer->upstream] : NULL;
    balancer->bound_percent = bound_of(record);
    balancer->handover_ms = atoll_read32(&record->handover_ms);
    balancer->guard_checked_ms = 0;
    balancer->bound_checked_ms = 0;
    balancer->alone_ms = 0;
    balancer->usable = 1;

    return 1;
}


/* What no nginx.conf gives is off. */
static uint32_t
bound_of(const atoll_upstream_record_t *record)
{
    uint32_t percent = atoll_read32(&record->bound_percent);

    return percent >= ATOLL_BOUND_LEAST && percent <= ATOLL_BOUND_MOST ? percent : 0;
}


static int
balancer_is_named(const atoll_balancer_t *balancer)
{
    const atoll_upstream_record_t *record = &balancer->zone->upstreams[balancer->upstream];

    return balancer->name == NULL
           || (balancer->name_length <= sizeof(record->name)
               && atoll_read32(&record->name_length) == balancer->name_length
               && memcmp(record->name, balancer->name, balancer->name_length) == 0);
}


static int
balancer_reserve(atoll_balancer_t *balancer, uint32_t peer_count)
{
    size_t          capacity = balancer->peers_capacity;
    atoll_peer_t  **both;

    if (peer_count <= capacity) {
        return 1;
    }

    capacity = peer_count > 2 * capacity ? peer_count : 2 * capacity;
    both = balancer->allocate(2 * capacity * sizeof(atoll_peer_t *), balancer->data);

    if (both == NULL) {
        return 0;
    }

    if (balancer->peers != NULL) {
        memcpy(both, balancer->peers, balancer->peers_capacity * sizeof(atoll_peer_t *));
    }

    balancer->peers = both;
    balancer->next_peers = both + capacity;
    balancer->peers_capacity = (uint32_t) capacity;

    return 1;
}


/* This worker's record of the peer that has the slot now. */
static atoll_peer_t *
balancer_meet(atoll_balancer_t *balancer, uint32_t slot)
{
    uint64_t        incarnation;
    atoll_peer_t  **met;

    if (slot >= balancer->zone->peer_count || !balancer_reserve_met(balancer, slot)) {
        return NULL;
    }

    incarnation = atomic_load_explicit(&balancer->zone->states[slot].incarnation, memory_order_acquire);
    met = &balancer->met[slot - balancer->met_first];

    if (*met == NULL || (*met)->incarnation != incarnation) {
        atoll_peer_t *peer = peer_make(balancer, slot, incarnation);

        if (peer == NULL) {
            return NULL;
        }

        *met = peer;
    }

    return *met;
}


/* Widens the range of slots met, at least to twice its size, up to the whole zone. */
static int
balancer_reserve_met(atoll_balancer_t *balancer, uint32_t slot)
{
    uint32_t        first = balancer->met_first, end = first + balancer->met_count, limit = balancer->zone->peer_count;
    uint32_t        step = balancer->met_count != 0 ? balancer->met_count : balancer->peers_capacity;
    atoll_peer_t  **met;

    if (slot >= first && slot < end) {
        return 1;
    }

    if (balancer->met_count == 0) {
        first = slot;
        end = slot;
    }

    if (slot < first) {
        first = first - slot > step ? slot : first > step ? first - step : 0;
    }

    if (slot >= end) {
        end = slot - end >= step ? slot + 1 : limit - end > step ? end + step : limit;
    }

    met = balancer->allocate((end - first) * sizeof(atoll_peer_t *), balancer->data);

    if (met == NULL) {
        return 0;
    }

    memset(met, 0, (end - first) * sizeof(atoll_peer_t *));

    if (balancer->met_count != 0) {
        memcpy(met + (balancer->met_first - first), balancer->met, balancer->met_count * sizeof(atoll_peer_t *));
    }

    balancer->met = met;
    balancer->met_first = first;
    balancer->met_count = end - first;

    return 1;
}


/* Copies who a slot is; NULL when that is not a peer of this upstream, or changes meanwhile. */
static atoll_peer_t *
peer_make(atoll_balancer_t *balancer, uint32_t slot, uint64_t incarnation)
{
    uint32_t                             socklen, server, address;
    atoll_peer_t                        *peer;
    const atoll_zone_t                  *zone = balancer->zone;
    const atoll_peer_identity_record_t  *identity = &zone->identities[slot];

    socklen = atoll_read32(&identity->sockaddr_length);
    server = atoll_read32(&identity->server_length);
    address = atoll_read32(&identity->address_length);

    if (atoll_read64(&identity->incarnation) != incarnation
        || atoll_read32(&identity->upstream) != balancer->upstream
        || socklen < sizeof(uint16_t) || socklen > sizeof(identity->sockaddr)
        || server > sizeof(identity->server) || address > sizeof(identity->address)
        || balancer->made / MADE_PER_SLOT >= zone->peer_count)
    {
        return NULL;
    }

    peer = balancer->allocate(sizeof(*peer) + socklen + server + address, balancer->data);

    if (peer == NULL) {
        return NULL;
    }

    balancer->made++;
    memset(peer, 0, sizeof(*peer));

    peer->slot = slot;
    peer->incarnation = incarnation;
    peer->socklen = socklen;
    peer->server_length = server;
    peer->address_length = address;
    peer->sockaddr = (unsigned char *) (peer + 1);
    peer->server = (char *) peer->sockaddr + socklen;
    peer->address = peer->server + server;

    memcpy(peer->sockaddr, identity->sockaddr, socklen);
    memcpy(peer->server, identity->server, server);
    memcpy(peer->address, identity->address, address);

    atomic_thread_fence(memory_order_acquire);

    return atoll_relaxed(zone->states[slot].incarnation) == incarnation
           && atoll_read64(&identity->incarnation) == incarnation ? peer : NULL;
}


/* A peer of the previous or the earlier ring that is a present one too has the limits of the present one. */
static void
balancer_limits(atoll_peer_t *const *peers, const atoll_table_t *table)
{
    for (uint32_t i = table->peer_count; i < table->all_peers; i++) {
        peers[i]->flags = ATOLL_PEER_FLAG_PREVIOUS;
    }

    for (uint32_t i = 0; i < table->peer_count; i++) {
        peer_limits(peers[i], &table->peers[i]);
    }

    for (uint32_t i = table->peer_count; i < table->all_peers; i++) {
        if (peers[i]->flags & ATOLL_PEER_FLAG_PREVIOUS) {
            peer_limits(peers[i], &table->peers[i]);
        }
    }
}


static void
peer_limits(atoll_peer_t *peer, const atoll_table_peer_record_t *record)
{
    uint32_t weight = atoll_read32(&record->weight);

    weight = weight == 0 || weight > INT32_MAX ? 1 : weight;

    if (peer->weight != (int32_t) weight) {
        peer->weight = (int32_t) weight;
        peer->effective_weight = (int32_t) weight;
    }

    peer->flags = atoll_read32(&record->flags);
    peer->max_conns = atoll_read32(&record->max_conns);
    peer->max_fails = atoll_read32(&record->max_fails);
    peer->fail_timeout_ms = atoll_read32(&record->fail_timeout_ms);
    peer->source = atoll_read32(&record->source);
}
