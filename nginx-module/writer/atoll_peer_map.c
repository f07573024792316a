#include <stdlib.h>
#include <string.h>

#include "atoll_zone_plan.h"

/* FNV-1a. */
static uint32_t
hash_bytes(uint32_t hash, const void *bytes, size_t length)
{
    const unsigned char  *p = bytes;

    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ p[i]) * UINT32_C(16777619);
    }

    return hash;
}

static uint32_t
key_hash(const atoll_peer_key_t *key)
{
    const uint32_t  numbers[] = { key->upstream, key->ordinal, key->server_length, key->address_length };
    uint32_t        hash = hash_bytes(UINT32_C(2166136261), numbers, sizeof(numbers));

    hash = hash_bytes(hash, key->server, key->server_length);
    hash = hash_bytes(hash, key->address, key->address_length);

    return hash ^ hash >> 15;
}

static int
key_equals(const atoll_peer_key_t *a, const atoll_peer_key_t *b)
{
    return a->upstream == b->upstream && a->ordinal == b->ordinal && a->server_length == b->server_length
           && a->address_length == b->address_length && memcmp(a->server, b->server, a->server_length) == 0
           && memcmp(a->address, b->address, a->address_length) == 0;
}

int
atoll_peer_map_open(atoll_peer_map_t *map, uint32_t capacity)
{
    uint32_t  cells = 16;

    while (cells < 2 * (uint64_t) capacity) {
        cells *= 2;
    }

    map->mask = cells - 1;
    map->keys = calloc(cells, sizeof(*map->keys));
    map->values = calloc(cells, sizeof(*map->values));

    if (map->keys == NULL || map->values == NULL) {
        atoll_peer_map_close(map);
        return -1;
    }

    return 0;
}

void
atoll_peer_map_close(atoll_peer_map_t *map)
{
    free(map->keys);
    free(map->values);
    map->keys = NULL;
    map->values = NULL;
}

/* The cell of key, or the empty one where it belongs. An empty cell has no server. */
static uint32_t
find_cell(const atoll_peer_map_t *map, const atoll_peer_key_t *key)
{
    uint32_t  cell = key_hash(key) & map->mask;

    while (map->keys[cell].server != NULL && !key_equals(&map->keys[cell], key)) {
        cell = (cell + 1) & map->mask;
    }

    return cell;
}

uint32_t *
atoll_peer_map_put(atoll_peer_map_t *map, const atoll_peer_key_t *key, int *made)
{
    uint32_t  cell = find_cell(map, key);

    *made = map->keys[cell].server == NULL;
    if (*made) {
        map->keys[cell] = *key;
    }

    return &map->values[cell];
}

uint32_t *
atoll_peer_map_get(const atoll_peer_map_t *map, const atoll_peer_key_t *key)
{
    uint32_t  cell = find_cell(map, key);

    return map->keys[cell].server == NULL ? NULL : &map->values[cell];
}
