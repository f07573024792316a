/* One upstream whose keys are handed over, who is asked for them, and what stands about a slot. For a program with one file. */
#ifndef HANDOVER_FIXTURE_H
#define HANDOVER_FIXTURE_H

#include "zone_fixture.h"
#include "../atoll_handover.h"
#include "tap.h"

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
#define T             UINT64_C(5000000)
#define HANDOVER      600000
#define KEYS          20000

#define PREVIOUS      ATOLL_PEER_FLAG_PREVIOUS
#define EARLIER       ATOLL_PEER_FLAG_EARLIER
#define DOWN          ATOLL_PEER_FLAG_DOWN

static fixture_t         fixture;
static atoll_balancer_t  balancer;

/* "new" has come, "gone" has left. */
static const fixture_peer_t changed[] = {
    {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
    {"b", "10.0.0.2:80", 1, 0, 1, 10000, 0},
    {"new", "10.0.0.4:80", 1, 0, 1, 10000, 0},
    {"a", "10.0.0.1:80", 1, 0, 1, 10000, PREVIOUS},
    {"b", "10.0.0.2:80", 1, 0, 1, 10000, PREVIOUS},
    {"gone", "10.0.0.3:80", 1, 0, 1, 10000, PREVIOUS}
};

static const fixture_peer_t before[] = {
    {"a", "10.0.0.1:80", 1, 0, 1, 10000, 0},
    {"b", "10.0.0.2:80", 1, 0, 1, 10000, 0},
    {"gone", "10.0.0.3:80", 1, 0, 1, 10000, 0}
};


/* One upstream of these peers, published; the same server and address has one slot, that of its first. */
static inline void
open_pool(const fixture_peer_t *peers, uint32_t count, uint64_t until_ms)
{
    uint32_t               slots[16], j;
    atoll_table_record_t  *table = fixture_compile(peers, count);

    table->handover_until_ms = until_ms;
    fixture_open(&fixture, 1, count + 2, 2, 2 * table->length + 4096);
    fixture_upstream(&fixture, 0, "pool")->handover_ms = HANDOVER;

    for (uint32_t i = 0; i < count; i++) {
        for (j = 0; strcmp(peers[j].server, peers[i].server) != 0 || strcmp(peers[j].address, peers[i].address) != 0; j++) {
            /* void */
        }

        slots[i] = j;

        if (i == j) {
            fixture_name_slot(&fixture, i, 0, &peers[i]);
        }
    }

    fixture_publish_slots(&fixture, 0, table, slots, 0);
    fixture_balancer(&fixture, &balancer, 0, 0);
    CHECK(atoll_balancer_refresh(&balancer));
    free(table);
}


/* The server that a ring of these gives a key to. */
static inline const char *
owner_in(const fixture_peer_t *peers, uint32_t count, uint32_t hash)
{
    const char            *server;
    atoll_ring_t           ring;
    atoll_table_t          table;
    atoll_table_record_t  *head = fixture_compile(peers, count);

    if (atoll_table_check(&table, head, head->length) != ATOLL_TABLE_OK) {
        abort();
    }

    ring = table.ring[ATOLL_RING_PRIMARY];
    server = peers[table.peers[table.groups[ring.points[atoll_ring_find(&ring, hash)].group].first_peer].source].server;
    free(head);

    return server;
}


static inline int
is_named(const atoll_peer_t *peer, const char *server)
{
    return peer != NULL && peer->server_length == strlen(server) && memcmp(peer->server, server, peer->server_length) == 0;
}


/* A key, from hash on, that the ring in use gives to a server. */
static inline uint32_t
key_of(unsigned ring, const char *server, uint32_t hash)
{
    const atoll_peer_t  *peer;
    const atoll_ring_t  *r = &balancer.table.ring[ring];

    for ( ;; hash += 0x1234567) {
        peer = balancer.peers[balancer.table.groups[r->points[atoll_ring_find(r, hash)].group].first_peer];

        if (is_named(peer, server)) {
            return hash;
        }
    }
}


static inline const atoll_peer_t *
ask(uint32_t hash, const char *self, uint64_t now, int returned)
{
    return atoll_previous_owner(&balancer, hash, now, self, strlen(self), returned, NULL, 0);
}


static inline int
is_at(const atoll_peer_t *peer, const char *address)
{
    return peer == NULL ? address == NULL
           : address != NULL && peer->address_length == strlen(address)
             && memcmp(peer->address, address, peer->address_length) == 0;
}

#define CHECK_ASKED(address, hash, self)  CHECK(is_at(ask(hash, self, T, 0), address))


static inline atoll_peer_state_record_t *
state(uint32_t slot)
{
    return &fixture.zone.states[slot];
}

#endif
