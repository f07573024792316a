/*
 * What stock nginx 1.22 does for `hash KEY consistent`: the search for the point, and the choice among all peers by the
 * name found there, with its counters. Follows ngx_http_upstream_find_chash_point, ngx_http_upstream_get_chash_peer and
 * ngx_http_upstream_{get,free}_round_robin_peer step by step; without locks. Time is in seconds, as there.
 */
#ifndef ATOLL_STOCK_H
#define ATOLL_STOCK_H

#include "zone_fixture.h"

#define STOCK_BITS  (8 * sizeof(uintptr_t))

typedef struct {
    size_t       length;
    const char  *data;
} stock_name_t;

typedef struct stock_peer_s  stock_peer_t;

struct stock_peer_s {
    stock_name_t    server;
    uint32_t        source;           /* place in the list, primary and backup */
    intptr_t        current_weight, effective_weight, weight;
    uintptr_t       conns, max_conns;
    uintptr_t       fails;
    int64_t         accessed, checked;
    uintptr_t       max_fails;
    int64_t         fail_timeout;
    uintptr_t       down;
    stock_peer_t   *next;
};

typedef struct {
    uint32_t             hash;
    const stock_name_t  *server;
} stock_point_t;

typedef struct {
    uintptr_t      number;
    stock_point_t  point[];
} stock_points_t;

typedef struct stock_peers_s  stock_peers_t;

struct stock_peers_s {
    stock_peer_t   *first;
    uint32_t        number;
    int             single;
    stock_peers_t  *backups;
};

typedef struct {
    stock_peers_t   *peers;           /* being asked: primary, then backups */
    stock_points_t  *points;
    stock_peer_t    *current;
    uintptr_t       *tried;
    uintptr_t        tries, point;
    int              keyed;
} stock_request_t;

static inline int
stock_compare_points(const void *one, const void *two)
{
    uint32_t a = ((const stock_point_t *) one)->hash, b = ((const stock_point_t *) two)->hash;

    return (a > b) - (a < b);
}

static inline stock_peers_t *
stock_list(const fixture_peer_t *peers, uint32_t count, unsigned ring)
{
    stock_peers_t  *list = calloc(1, sizeof(*list));
    stock_peer_t   *peer, **end = &list->first;

    for (uint32_t i = 0; i < count; i++) {
        if (fixture_ring(&peers[i]) != ring) {
            continue;
        }

        peer = calloc(1, sizeof(*peer));
        peer->server.data = peers[i].server;
        peer->server.length = strlen(peers[i].server);
        peer->source = i;
        peer->weight = peers[i].weight;
        peer->effective_weight = peers[i].weight;
        peer->max_conns = peers[i].max_conns;
        peer->max_fails = peers[i].max_fails;
        peer->fail_timeout = peers[i].fail_timeout_ms / 1000;
        peer->down = peers[i].flags & ATOLL_PEER_FLAG_DOWN;
        *end = peer;
        end = &peer->next;
        list->number++;
    }

    return list;
}

static inline stock_peers_t *
stock_pool(const fixture_peer_t *peers, uint32_t count)
{
    stock_peers_t *pool = stock_list(peers, count, ATOLL_RING_PRIMARY);

    pool->single = pool->number == 1;
    pool->backups = stock_list(peers, count, ATOLL_RING_BACKUPS);

    if (pool->backups->number == 0) {
        free(pool->backups);
        pool->backups = NULL;

    } else {
        pool->single = 0;
    }

    return pool;
}

static inline void
stock_pool_free(stock_peers_t *pool)
{
    stock_peer_t *peer;

    while ((peer = pool->first) != NULL) {
        pool->first = peer->next;
        free(peer);
    }

    if (pool->backups != NULL) {
        stock_pool_free(pool->backups);
    }

    free(pool);
}

static inline stock_points_t *
stock_points(const stock_peers_t *pool)
{
    uintptr_t        count = 0, kept = 0;
    fixture_point_t *placed;
    stock_points_t  *points;

    for (stock_peer_t *peer = pool->first; peer; peer = peer->next) {
        count += (uintptr_t) peer->weight * ATOLL_POINTS_PER_WEIGHT;
    }

    points = malloc(sizeof(*points) + count * sizeof(stock_point_t));
    placed = malloc(count * sizeof(*placed));
    points->number = 0;

    for (stock_peer_t *peer = pool->first; peer; peer = peer->next) {
        uint32_t n = (uint32_t) peer->weight * ATOLL_POINTS_PER_WEIGHT;

        fixture_points(placed, n, peer->server.data, 0);

        for (uint32_t i = 0; i < n; i++) {
            points->point[points->number].hash = placed[i].hash;
            points->point[points->number++].server = &peer->server;
        }
    }

    free(placed);
    qsort(points->point, points->number, sizeof(stock_point_t), stock_compare_points);

    for (uintptr_t i = 0; i < points->number; i++) {
        if (i == 0 || points->point[i].hash != points->point[kept - 1].hash) {
            points->point[kept++] = points->point[i];
        }
    }

    points->number = kept;

    return points;
}

static inline uintptr_t
stock_find_point(const stock_points_t *points, uint32_t hash)
{
    uintptr_t             i = 0, j = points->number, k;
    const stock_point_t  *point = &points->point[0];

    while (i < j) {
        k = (i + j) / 2;

        if (hash > point[k].hash) {
            i = k + 1;

        } else if (hash < point[k].hash) {
            j = k;

        } else {
            return k;
        }
    }

    return i;
}

/* tried: a bit for each peer of the larger list, zero. */
static inline void
stock_begin(stock_request_t *request, stock_peers_t *pool, stock_points_t *points, uint32_t hash, int keyed,
            uintptr_t *tried)
{
    memset(request, 0, sizeof(*request));
    request->peers = pool;
    request->points = points;
    request->keyed = keyed;
    request->tried = tried;
    request->point = stock_find_point(points, hash);
}

static inline int
stock_is_out(const stock_request_t *request, const stock_peer_t *peer, uintptr_t i, int64_t now)
{
    return (request->tried[i / STOCK_BITS] & ((uintptr_t) 1 << i % STOCK_BITS))
           || peer->down
           || (peer->max_fails && peer->fails >= peer->max_fails && now - peer->checked <= peer->fail_timeout)
           || (peer->max_conns && peer->conns >= peer->max_conns);
}

/* The best by smooth weighted round robin: of that server's addresses, or with NULL of all. */
static inline stock_peer_t *
stock_best(stock_request_t *request, const stock_name_t *server, int64_t now)
{
    intptr_t       total = 0;
    uintptr_t      i = 0, best_i = 0;
    stock_peer_t  *peer, *best = NULL;

    for (peer = request->peers->first; peer; peer = peer->next, i++) {

        if (stock_is_out(request, peer, i, now)) {
            continue;
        }

        if (server != NULL
            && (peer->server.length != server->length
                || strncmp(peer->server.data, server->data, server->length) != 0))
        {
            continue;
        }

        peer->current_weight += peer->effective_weight;
        total += peer->effective_weight;

        if (peer->effective_weight < peer->weight) {
            peer->effective_weight++;
        }

        if (best == NULL || peer->current_weight > best->current_weight) {
            best = peer;
            best_i = i;
        }
    }

    if (best != NULL) {
        best->current_weight -= total;
        request->tried[best_i / STOCK_BITS] |= (uintptr_t) 1 << best_i % STOCK_BITS;
    }

    return best;
}

static inline stock_peer_t *
stock_give(stock_request_t *request, stock_peer_t *peer, int64_t now)
{
    request->current = peer;
    peer->conns++;

    if (now - peer->checked > peer->fail_timeout) {
        peer->checked = now;
    }

    return peer;
}

static inline stock_peer_t *
stock_get_round_robin(stock_request_t *request, int64_t now)
{
    stock_peer_t *peer = request->peers->first;

    if (!request->peers->single) {
        peer = stock_best(request, NULL, now);

    } else if (peer->down || (peer->max_conns && peer->conns >= peer->max_conns)) {
        peer = NULL;
    }

    if (peer != NULL) {
        return stock_give(request, peer, now);
    }

    if (request->peers->backups == NULL) {
        return NULL;
    }

    request->peers = request->peers->backups;
    memset(request->tried, 0, (request->peers->number / STOCK_BITS + 1) * sizeof(uintptr_t));

    return stock_get_round_robin(request, now);
}

/* The next peer; NULL: nginx answers NGX_BUSY. request->tries above 20: the walk along the ring was given up. */
static inline stock_peer_t *
stock_get(stock_request_t *request, int64_t now)
{
    stock_peer_t          *peer;
    const stock_points_t  *points = request->points;

    if (request->tries > 20 || request->peers->single || !request->keyed) {
        return stock_get_round_robin(request, now);
    }

    for ( ;; ) {
        peer = stock_best(request, points->point[request->point % points->number].server, now);

        if (peer != NULL) {
            return stock_give(request, peer, now);
        }

        request->point++;

        if (++request->tries > 20) {
            return stock_get_round_robin(request, now);
        }
    }
}

static inline void
stock_free(stock_request_t *request, int64_t now, int failed)
{
    stock_peer_t *peer = request->current;

    peer->conns--;

    if (request->peers->single) {
        return;
    }

    if (failed) {
        peer->fails++;
        peer->accessed = now;
        peer->checked = now;

        if (peer->max_fails) {
            peer->effective_weight -= peer->weight / (intptr_t) peer->max_fails;
        }

        if (peer->effective_weight < 0) {
            peer->effective_weight = 0;
        }

    } else if (peer->accessed < peer->checked) {
        peer->fails = 0;
    }
}

#endif
