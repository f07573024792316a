/*
 * A zone in shared memory, made without the writer and without Java: peers to a table, tables to buffers, slots in the
 * order of the peers. To be included first.
 */
#ifndef ATOLL_ZONE_FIXTURE_H
#define ATOLL_ZONE_FIXTURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "../atoll_balance.h"
#include "../atoll_purge.h"

#define FIXTURE_PURGE_SETS  4

typedef struct {
    const char  *server;
    const char  *address;
    uint32_t     weight;
    uint32_t     max_conns;
    uint32_t     max_fails;
    uint32_t     fail_timeout_ms;
    uint32_t     flags;
} fixture_peer_t;

typedef struct {
    unsigned char  *base;
    size_t          length;
    atoll_zone_t    zone;
    size_t          buffer_capacity;
    uint32_t        incarnations;   /* given out */
} fixture_t;

typedef struct {
    uint32_t  hash;
    uint32_t  group;
} fixture_point_t;

static inline uint32_t
fixture_crc32(uint32_t crc, const void *data, size_t length)
{
    const unsigned char *p = data;

    while (length-- > 0) {
        crc ^= *p++;

        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
        }
    }

    return crc;
}

static inline uint32_t
fixture_hash(const char *key)
{
    return ~fixture_crc32(0xffffffff, key, strlen(key));
}

static inline size_t
fixture_align(size_t n)
{
    return (n + ATOLL_CACHE_LINE - 1) & ~(size_t) (ATOLL_CACHE_LINE - 1);
}

static inline int
fixture_compare_points(const void *one, const void *two)
{
    uint32_t a = ((const fixture_point_t *) one)->hash, b = ((const fixture_point_t *) two)->hash;

    return (a > b) - (a < b);
}

/* The points of one server as nginx places them: CRC-32 of HOST \0 PORT and the hash before. */
static inline void
fixture_points(fixture_point_t *points, uint32_t count, const char *server, uint32_t group)
{
    size_t       host = strlen(server), port = 0;
    uint32_t     base, hash = 0;
    const char  *p;

    if (strncasecmp(server, "unix:", 5) == 0) {
        server += 5;
        host -= 5;

    } else {
        p = strrchr(server, ':');

        if (p != NULL && strspn(p + 1, "0123456789") == strlen(p + 1)) {
            port = strlen(p + 1);
            host = (size_t) (p - server);
        }
    }

    base = fixture_crc32(0xffffffff, server, host);
    base = fixture_crc32(base, "", 1);
    base = fixture_crc32(base, server + host + 1, port);

    for (uint32_t i = 0; i < count; i++) {
        hash = ~fixture_crc32(base, &hash, sizeof(hash));
        points[i].hash = hash;
        points[i].group = group;
    }
}

static inline unsigned
fixture_ring(const fixture_peer_t *peer)
{
    return peer->flags & ATOLL_PEER_FLAG_BACKUP ? ATOLL_RING_BACKUPS
           : peer->flags & ATOLL_PEER_FLAG_PREVIOUS ? ATOLL_RING_PREVIOUS
           : peer->flags & ATOLL_PEER_FLAG_EARLIER ? ATOLL_RING_EARLIER : ATOLL_RING_PRIMARY;
}

/* Index of each peer's group among those of its ring: one for each name. */
static inline void
fixture_name_groups(const fixture_peer_t *peers, uint32_t count, uint32_t *groups)
{
    uint32_t j, next[ATOLL_RING_COUNT_] = {0};

    for (uint32_t i = 0; i < count; i++) {
        for (j = 0; j < i; j++) {
            if (fixture_ring(&peers[j]) == fixture_ring(&peers[i]) && strcmp(peers[j].server, peers[i].server) == 0) {
                break;
            }
        }

        groups[i] = j < i ? groups[j] : next[fixture_ring(&peers[i])]++;
    }
}

/* Peers of a table, those of the previous and the earlier ring included. */
static inline uint64_t
fixture_all_peers(const atoll_table_record_t *head)
{
    return (uint64_t) head->peer_count + head->ring_peers[ATOLL_RING_PREVIOUS] + head->ring_peers[ATOLL_RING_EARLIER];
}

static inline uint32_t
fixture_checksum(const unsigned char *table)
{
    uint32_t                     crc;
    unsigned char               *copy;
    const atoll_table_record_t  *head = (const atoll_table_record_t *) table;

    copy = malloc(head->length);
    memcpy(copy, table, head->length);

    for (uint32_t i = 0; i < fixture_all_peers(head); i++) {
        ((atoll_table_peer_record_t *) (copy + head->peers_offset))[i].slot = 0;
    }

    crc = ~fixture_crc32(0xffffffff, copy + sizeof(*head), head->length - sizeof(*head));
    free(copy);

    return crc;
}

/* Compiles one ring behind *at, its groups numbered on from head->group_count and its peers from head->peer_count. */
static inline void
fixture_compile_ring(unsigned char *table, size_t *at, const fixture_peer_t *peers, const uint32_t *groups, uint32_t count,
                     unsigned ring)
{
    uint32_t                    point_count = 0, unique = 0, shift = 31, bucket, i;
    atoll_table_record_t       *head = (atoll_table_record_t *) table;
    atoll_table_peer_record_t  *to = (atoll_table_peer_record_t *) (table + head->peers_offset);
    atoll_group_record_t       *group = (atoll_group_record_t *) (table + head->groups_offset);
    fixture_point_t            *points;
    uint32_t                   *buckets;

    head->first_group[ring] = head->group_count;
    head->first_peer[ring] = head->peer_count;
    points = (fixture_point_t *) (table + *at);

    for (i = 0; i < count; i++) {
        if (fixture_ring(&peers[i]) != ring) {
            continue;
        }

        head->ring_groups[ring] = groups[i] >= head->ring_groups[ring] ? groups[i] + 1 : head->ring_groups[ring];
        head->total_weight[ring] += peers[i].weight;
        head->tries[ring] += !(peers[i].flags & ATOLL_PEER_FLAG_DOWN);

        fixture_points(points + point_count, peers[i].weight * ATOLL_POINTS_PER_WEIGHT, peers[i].server,
                       head->group_count + groups[i]);
        point_count += peers[i].weight * ATOLL_POINTS_PER_WEIGHT;
    }

    for (uint32_t g = 0; g < head->ring_groups[ring]; g++) {
        group[head->group_count].first_peer = head->peer_count;
        group[head->group_count].ring = ring;

        for (i = 0; i < count; i++) {
            if (groups[i] != g || fixture_ring(&peers[i]) != ring) {
                continue;
            }

            to[head->peer_count++] = (atoll_table_peer_record_t) {
                .group = head->group_count, .weight = peers[i].weight, .max_conns = peers[i].max_conns,
                .max_fails = peers[i].max_fails, .fail_timeout_ms = peers[i].fail_timeout_ms, .flags = peers[i].flags,
                .source = i
            };
            group[head->group_count].peer_count++;
        }

        head->group_count++;
    }

    head->ring_peers[ring] = head->peer_count - head->first_peer[ring];
    head->points_offset[ring] = *at;

    qsort(points, point_count, sizeof(*points), fixture_compare_points);

    for (i = 0; i < point_count; i++) {
        if (i == 0 || points[i].hash != points[unique - 1].hash) {
            points[unique++] = points[i];
        }
    }

    memset(points + unique, 0, (point_count - unique) * sizeof(*points));
    head->point_count[ring] = unique;
    *at = fixture_align(*at + unique * sizeof(*points));

    while (shift > 8 && UINT64_C(1) << (32 - shift) < (unique + 3) / 4) {
        shift--;
    }

    head->bucket_shift[ring] = shift;
    head->buckets_offset[ring] = *at;
    buckets = (uint32_t *) (table + *at);

    for (bucket = 0, i = 0; bucket < UINT32_C(1) << (32 - shift); bucket++) {
        while (i < unique && points[i].hash < (uint64_t) bucket << shift) {
            i++;
        }

        buckets[bucket] = i;
    }

    buckets[bucket] = unique;
    *at = fixture_align(*at + (bucket + 1) * sizeof(*buckets));
}

/* Bytes that are enough for the table of these peers. */
static inline size_t
fixture_table_room(const fixture_peer_t *peers, uint32_t count)
{
    size_t room = 8192 + count * (size_t) 64;

    for (uint32_t i = 0; i < count; i++) {
        room += peers[i].weight * (size_t) ATOLL_POINTS_PER_WEIGHT * 24;
    }

    return fixture_align(room);
}

/* The table of these peers, allocated, with its sequence 0 and no slots. groups: of each in its ring, NULL: by name. */
static inline atoll_table_record_t *
fixture_compile_groups(const fixture_peer_t *peers, uint32_t count, const uint32_t *groups)
{
    size_t                 at, room = fixture_table_room(peers, count);
    unsigned char         *table = aligned_alloc(ATOLL_CACHE_LINE, room);
    atoll_table_record_t  *head = (atoll_table_record_t *) table;
    uint32_t              *named = malloc((count + 1) * sizeof(uint32_t));

    if (groups != NULL) {
        memcpy(named, groups, count * sizeof(uint32_t));

    } else {
        fixture_name_groups(peers, count, named);
    }

    memset(table, 0, room);
    head->peers_offset = sizeof(*head);
    head->groups_offset = fixture_align(sizeof(*head) + count * sizeof(atoll_table_peer_record_t));
    at = fixture_align(head->groups_offset + count * sizeof(atoll_group_record_t));

    fixture_compile_ring(table, &at, peers, named, count, ATOLL_RING_PRIMARY);
    fixture_compile_ring(table, &at, peers, named, count, ATOLL_RING_BACKUPS);
    fixture_compile_ring(table, &at, peers, named, count, ATOLL_RING_PREVIOUS);
    fixture_compile_ring(table, &at, peers, named, count, ATOLL_RING_EARLIER);

    head->length = at;
    head->group_count = head->first_group[ATOLL_RING_PREVIOUS];
    head->peer_count = head->first_peer[ATOLL_RING_PREVIOUS];
    head->single = head->ring_peers[ATOLL_RING_PRIMARY] == 1 && head->ring_peers[ATOLL_RING_BACKUPS] == 0;
    head->config_epoch = 1;
    head->checksum = fixture_checksum(table);
    free(named);

    return head;
}

static inline atoll_table_record_t *
fixture_compile(const fixture_peer_t *peers, uint32_t count)
{
    return fixture_compile_groups(peers, count, NULL);
}

/* A ready zone without upstreams; buffer_capacity bytes for each table. */
static inline void
fixture_open(fixture_t *fixture, uint32_t upstreams, uint32_t slots, uint32_t rows, size_t buffer_capacity)
{
    atoll_header_record_t   header;
    size_t                  at = sizeof(header);

    memset(&header, 0, sizeof(header));
    memset(fixture, 0, sizeof(*fixture));

    header.magic = ATOLL_MAGIC;
    header.version = ATOLL_LAYOUT_VERSION;
    header.fingerprint = ATOLL_LAYOUT_FINGERPRINT;
    header.upstreams_offset = at;
    header.upstreams_capacity = upstreams;
    header.states_offset = at += upstreams * sizeof(atoll_upstream_record_t);
    header.peers_capacity = slots;
    header.identities_offset = at += slots * sizeof(atoll_peer_state_record_t);
    header.hot_sets_offset = at += slots * sizeof(atoll_peer_identity_record_t);
    header.rows_offset = at += upstreams * sizeof(atoll_hot_set_record_t);
    header.rows_capacity = rows;
    header.row_size = (uint32_t) atoll_row_size(upstreams, slots);
    header.purges_offset = at += (size_t) rows * header.row_size;
    header.purge_sets = FIXTURE_PURGE_SETS;
    header.tables_offset = at += (1 + FIXTURE_PURGE_SETS) * sizeof(atoll_purge_set_record_t);
    header.tables_length = 2 * upstreams * fixture_align(buffer_capacity);
    header.length = at + header.tables_length;
    header.ready = ATOLL_READY;
    header.config_epoch = 1;

    fixture->buffer_capacity = fixture_align(buffer_capacity);
    fixture->length = header.length;
    fixture->base = mmap(NULL, fixture->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (fixture->base == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }

    memcpy(fixture->base, &header, sizeof(header));

    if (atoll_zone_attach(&fixture->zone, fixture->base, fixture->length) != ATOLL_ATTACH_OK) {
        fprintf(stderr, "the fixture's zone cannot be attached\n");
        exit(1);
    }
}

static inline void
fixture_close(fixture_t *fixture)
{
    munmap(fixture->base, fixture->length);
}

static inline atoll_upstream_record_t *
fixture_upstream(fixture_t *fixture, uint32_t i, const char *name)
{
    atoll_upstream_record_t *upstream = &fixture->zone.upstreams[i];

    upstream->name_length = (uint32_t) strlen(name);
    memcpy(upstream->name, name, upstream->name_length);
    upstream->buffer_offset[0] = fixture->zone.tables_offset + 2 * i * fixture->buffer_capacity;
    upstream->buffer_offset[1] = upstream->buffer_offset[0] + fixture->buffer_capacity;
    upstream->buffer_capacity = fixture->buffer_capacity;
    upstream->panic_percent = 50;
    upstream->state = ATOLL_UPSTREAM_STATE_USED;

    return upstream;
}

/* Puts a purge into the zone, as the agent does. */
static inline void
fixture_purge(const atoll_zone_t *zone, unsigned kind, const char *text, uint64_t number)
{
    size_t length = strlen(text);

    atoll_purge_put(zone, atoll_purge_hash(kind, text, length), number);

    if (kind == ATOLL_PURGE_KIND_PREFIX && length != 0 && length <= ATOLL_PURGE_PREFIX_CAPACITY) {
        zone->purges->lengths[(length - 1) / 64] |= UINT64_C(1) << (length - 1) % 64;
    }

    zone->purges->last = number;
}

/* More of them than the sets hold, of each kind. */
static inline void
fixture_purges(const atoll_zone_t *zone)
{
    char text[16];

    for (uint64_t i = 1; i <= 10 * ATOLL_PURGE_WAYS; i++) {
        snprintf(text, sizeof(text), "host/%u", (unsigned) i);
        fixture_purge(zone, i % 3 == 0 ? ATOLL_PURGE_KIND_PREFIX : i % 3 == 1 ? ATOLL_PURGE_KIND_EXACT : ATOLL_PURGE_KIND_SITE, text, i);
    }
}

/* What a worker asks about a key's purges; damage may change the answers. */
static inline uint64_t
fixture_generation(const atoll_zone_t *zone, uint32_t hash, uint64_t now)
{
    char      key[ATOLL_PURGE_PREFIX_CAPACITY + 32];
    uint64_t  nonce = 0;
    int       length = snprintf(key, sizeof(key), "host/%-*u", (int) (hash % (ATOLL_PURGE_PREFIX_CAPACITY + 20)), hash % 90);

    return atoll_generation(zone, key, (size_t) length, key, hash % 6) ^ (uint64_t) atoll_purges_wait(zone, now, hash, &nonce) ^ nonce;
}

/* Gives a slot to a peer: another one than before, whose words are all 0. */
static inline void
fixture_name_slot(fixture_t *fixture, uint32_t slot, uint32_t upstream, const fixture_peer_t *peer)
{
    atoll_peer_identity_record_t  *identity = &fixture->zone.identities[slot];
    uint64_t                       incarnation = ++fixture->incarnations;

    memset(&fixture->zone.states[slot], 0, sizeof(atoll_peer_state_record_t));
    memset(identity, 0, sizeof(*identity));
    identity->state = ATOLL_PEER_LIFE_MEMBER;
    identity->upstream = upstream;
    identity->incarnation = incarnation;
    identity->weight = peer->weight;
    identity->flags = peer->flags;
    identity->server_length = (uint32_t) strlen(peer->server);
    memcpy(identity->server, peer->server, identity->server_length);
    identity->address_length = (uint32_t) strlen(peer->address);
    memcpy(identity->address, peer->address, identity->address_length);
    identity->sockaddr_length = 16;
    identity->sockaddr[0] = 2;
    memcpy(identity->sockaddr + 2, &slot, sizeof(slot));

    atomic_store_explicit(&fixture->zone.states[slot].incarnation, incarnation, memory_order_release);
}

/* Publishes a table in the buffer that is not active, with slot = slots[source], or first_slot + source for NULL. Writes only
 * where buffers are, come what may of the zone's word for it. */
static inline void
fixture_publish_slots(fixture_t *fixture, uint32_t upstream, const atoll_table_record_t *table, const uint32_t *slots,
                      uint32_t first_slot)
{
    uint64_t                    epoch = fixture->zone.header->epoch + 1;
    atoll_upstream_record_t    *record = &fixture->zone.upstreams[upstream];
    uint64_t                    buffer = record->published == 0 ? 0 : !(record->published & 1);
    unsigned char              *to;
    atoll_table_peer_record_t  *peers;

    to = fixture->base + fixture->zone.tables_offset + (2 * upstream + buffer) * fixture->buffer_capacity;

    atomic_store_explicit(&((atoll_table_record_t *) to)->sequence, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);

    memcpy(to + sizeof(uint64_t), (const unsigned char *) table + sizeof(uint64_t), table->length - sizeof(uint64_t));
    peers = (atoll_table_peer_record_t *) (to + table->peers_offset);

    for (uint32_t i = 0; i < fixture_all_peers(table); i++) {
        peers[i].slot = slots != NULL ? slots[peers[i].source] : first_slot + peers[i].source;
    }

    atomic_store_explicit(&((atoll_table_record_t *) to)->sequence, epoch, memory_order_release);
    atomic_store_explicit(&record->published, epoch << 1 | buffer, memory_order_release);
    atomic_store_explicit(&fixture->zone.header->epoch, epoch, memory_order_release);
}

static inline void
fixture_publish(fixture_t *fixture, uint32_t upstream, const atoll_table_record_t *table, uint32_t first_slot)
{
    fixture_publish_slots(fixture, upstream, table, NULL, first_slot);
}

/* Memory of a worker, which it never gives back: kept within reach of the leak checker. */
static inline void *
fixture_allocate(size_t size, void *data)
{
    static void  *kept;
    void        **block = malloc(2 * sizeof(void *) + size);

    (void) data;

    if (block == NULL) {
        return NULL;
    }

    block[0] = kept;
    kept = block;

    return block + 2;
}

/* A worker's balancer, counting in the row of that number. */
static inline void
fixture_balancer(const fixture_t *fixture, atoll_balancer_t *balancer, uint32_t upstream, uint32_t row)
{
    memset(balancer, 0, sizeof(*balancer));
    balancer->zone = &fixture->zone;
    balancer->row = atoll_zone_row(&fixture->zone, row);
    balancer->upstream = upstream;
    balancer->config_epoch = 1;
    balancer->allocate = fixture_allocate;
}

/* One upstream of these peers, in slots from 0, published; with a balancer. */
static inline void
fixture_pool(fixture_t *fixture, atoll_balancer_t *balancer, const fixture_peer_t *peers, uint32_t count)
{
    atoll_table_record_t *table = fixture_compile(peers, count);

    fixture_open(fixture, 2, 2 * count + 2, 4, 2 * table->length + 4096);
    fixture_upstream(fixture, 0, "pool");

    for (uint32_t i = 0; i < count; i++) {
        fixture_name_slot(fixture, i, 0, &peers[i]);
    }

    fixture_publish(fixture, 0, table, 0);
    fixture_balancer(fixture, balancer, 0, 0);
    free(table);
}

#endif
