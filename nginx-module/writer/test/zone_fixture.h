/*
 * What the tests of the writer share: TAP, a folder of their own, and configurations in one line of text with the table
 * that a compiler would make of them.
 */
#ifndef ZONE_FIXTURE_H
#define ZONE_FIXTURE_H

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../reader/atoll_read.h"
#include "../atoll_zone_writer.h"

#define UNUSED __attribute__((unused))

#define NOW      UINT64_C(1000000)   /* CLOCK_MONOTONIC milliseconds of the tests that need no real ones */
#define SIZE     (8u << 20)

/* ---- TAP ---- */

static int  tests_run, tests_failed;

static UNUSED int
ok(int condition, const char *name)
{
    tests_run++;
    tests_failed += !condition;
    printf("%s %d - %s\n", condition ? "ok" : "not ok", tests_run, name);
    fflush(stdout);

    return condition;
}

static UNUSED void __attribute__((format(printf, 1, 2)))
note(const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    printf("# ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
}

/* A step that must work for the test to mean anything. */
#define need(condition) \
    do { if (!(condition)) { printf("Bail out! %s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, strerror(errno)); exit(1); } } while (0)

static UNUSED int
done_testing(void)
{
    printf("1..%d\n", tests_run);

    return tests_failed != 0;
}

/* ---- random numbers, by a seed that is printed ---- */

static uint64_t  random_state;

static UNUSED uint64_t
random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return random_state;
}

static UNUSED uint32_t
random_below(uint32_t limit)
{
    return (uint32_t) ((random_next() >> 11) % limit);
}

static UNUSED void
random_seed(void)
{
    const char       *given = getenv("SEED");
    struct timespec   now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    random_state = given != NULL ? strtoull(given, NULL, 10) : (uint64_t) now.tv_nsec << 8 | 1;
    note("SEED=%" PRIu64, random_state);
}

/* ---- a folder ---- */

static char  folder[256];

static UNUSED void
remove_folder(void)
{
    char  command[300];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    need(system(command) == 0);
}

static pid_t  folder_owner;

static UNUSED void
leave_folder(void)
{
    if (getpid() == folder_owner) {
        remove_folder();
    }
}

/* Makes a folder that goes with the process. */
static UNUSED void
enter_folder(void)
{
    snprintf(folder, sizeof(folder), "%s/atoll-writer-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    need(mkdtemp(folder) != NULL);
    folder_owner = getpid();
    atexit(leave_folder);
}

static UNUSED const char *
path_in(const char *name)
{
    static char   paths[8][300];
    static int    next;
    char         *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);

    return path;
}

/* ---- tables ---- */

static UNUSED uint32_t
crc32_of(uint32_t crc, const void *bytes, size_t length)
{
    const unsigned char  *p = bytes;

    crc = ~crc;
    for (size_t i = 0; i < length; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
        }
    }

    return ~crc;
}

static UNUSED int
compare_points(const void *a, const void *b)
{
    const atoll_point_record_t  *x = a, *y = b;

    return (x->hash > y->hash) - (x->hash < y->hash);
}

static UNUSED int
same_server(const atoll_writer_peer_t *a, const atoll_writer_peer_t *b)
{
    return a->server_length == b->server_length && memcmp(a->server, b->server, a->server_length) == 0;
}

#define RING_FLAGS  (ATOLL_PEER_FLAG_BACKUP | ATOLL_PEER_FLAG_PREVIOUS | ATOLL_PEER_FLAG_EARLIER)

/* Groups and peers of one ring, in the order of their first appearance. */
static UNUSED void
fill_ring(atoll_table_record_t *head, unsigned ring, const atoll_writer_peer_t *peers, uint32_t count,
          atoll_group_record_t *groups, atoll_table_peer_record_t *out)
{
    uint32_t  wanted = ring == ATOLL_RING_BACKUPS ? ATOLL_PEER_FLAG_BACKUP
                       : ring == ATOLL_RING_PREVIOUS ? ATOLL_PEER_FLAG_PREVIOUS
                       : ring == ATOLL_RING_EARLIER ? ATOLL_PEER_FLAG_EARLIER : 0;

    head->first_group[ring] = head->group_count;
    head->first_peer[ring] = head->peer_count;

    for (uint32_t i = 0; i < count; i++) {
        int  met = (peers[i].flags & RING_FLAGS) != wanted;

        for (uint32_t n = 0; n < i && !met; n++) {
            met = (peers[n].flags & RING_FLAGS) == wanted && same_server(&peers[n], &peers[i]);
        }
        if (met) {
            continue;
        }

        atoll_group_record_t  *group = &groups[head->group_count];

        *group = (atoll_group_record_t) { .first_peer = head->peer_count, .ring = ring };

        for (uint32_t n = i; n < count; n++) {
            if ((peers[n].flags & RING_FLAGS) == wanted && same_server(&peers[n], &peers[i])) {
                out[head->peer_count++] = (atoll_table_peer_record_t) {
                    .group = head->group_count, .weight = peers[n].weight, .max_fails = 1, .fail_timeout_ms = 10000,
                    .flags = peers[n].flags, .source = n
                };
                group->peer_count++;
                head->tries[ring] += !(peers[n].flags & ATOLL_PEER_FLAG_DOWN);
                head->total_weight[ring] += peers[n].weight;
            }
        }

        head->group_count++;
    }

    head->ring_groups[ring] = head->group_count - head->first_group[ring];
    head->ring_peers[ring] = head->peer_count - head->first_peer[ring];
}

/* Points of one ring: per_group for each name, from its bytes. */
static UNUSED uint32_t
fill_points(const atoll_table_record_t *head, unsigned ring, const atoll_writer_peer_t *peers,
            const atoll_table_peer_record_t *ordered, const atoll_group_record_t *groups, unsigned per_group,
            atoll_point_record_t *points)
{
    uint32_t  count = 0, kept = 0;

    for (uint32_t g = head->first_group[ring]; g < head->first_group[ring] + head->ring_groups[ring]; g++) {
        const atoll_writer_peer_t  *peer = &peers[ordered[groups[g].first_peer].source];
        uint32_t                    hash = crc32_of(0, peer->server, peer->server_length);

        for (unsigned i = 0; i < per_group; i++) {
            hash = hash * UINT32_C(1664525) + UINT32_C(1013904223);
            points[count++] = (atoll_point_record_t) { hash, g };
        }
    }

    qsort(points, count, sizeof(*points), compare_points);

    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || points[i].hash != points[kept - 1].hash) {
            points[kept++] = points[i];
        }
    }

    return kept;
}

/* A table with per_group points for each name; *length its bytes. The caller frees it. */
static UNUSED void *
make_table(const atoll_writer_peer_t *peers, uint32_t count, unsigned per_group, size_t *length)
{
    size_t                      room = 4096 + (size_t) count * (64 + per_group * 24);
    unsigned char              *bytes = aligned_alloc(64, room = (room + (64 << 4)) / 64 * 64);
    atoll_table_record_t       *head = (atoll_table_record_t *) bytes;
    atoll_table_peer_record_t  *ordered = (atoll_table_peer_record_t *) (head + 1);
    atoll_group_record_t       *groups = (atoll_group_record_t *) (ordered + count);

    need(bytes != NULL);
    memset(bytes, 0, room);
    head->peers_offset = sizeof(*head);
    head->groups_offset = (uint64_t) ((unsigned char *) groups - bytes);

    fill_ring(head, ATOLL_RING_PRIMARY, peers, count, groups, ordered);
    fill_ring(head, ATOLL_RING_BACKUPS, peers, count, groups, ordered);
    fill_ring(head, ATOLL_RING_PREVIOUS, peers, count, groups, ordered);
    fill_ring(head, ATOLL_RING_EARLIER, peers, count, groups, ordered);
    head->single = head->ring_peers[0] == 1 && head->ring_peers[1] == 0;

    unsigned char  *next = (unsigned char *) (groups + head->group_count);

    for (unsigned ring = 0; ring < ATOLL_RING_COUNT_; ring++) {
        atoll_point_record_t  *points = (atoll_point_record_t *) next;
        uint32_t               bits = 1, point = 0;

        head->point_count[ring] = fill_points(head, ring, peers, ordered, groups, per_group, points);
        if (head->point_count[ring] == 0) {
            continue;
        }

        while (UINT32_C(1) << bits < head->point_count[ring]) {
            bits++;
        }

        uint32_t  *buckets = (uint32_t *) (points + head->point_count[ring]);

        head->points_offset[ring] = (uint64_t) (next - bytes);
        head->buckets_offset[ring] = (uint64_t) ((unsigned char *) buckets - bytes);
        head->bucket_shift[ring] = 32 - bits;

        for (uint64_t bucket = 0; bucket < UINT64_C(1) << bits; bucket++) {
            while (point < head->point_count[ring] && points[point].hash < bucket << (32 - bits)) {
                point++;
            }
            buckets[bucket] = point;
        }
        buckets[UINT64_C(1) << bits] = head->point_count[ring];
        next = (unsigned char *) (buckets + (UINT64_C(1) << bits) + 2);
    }

    head->group_count = head->first_group[ATOLL_RING_PREVIOUS];
    head->peer_count = head->first_peer[ATOLL_RING_PREVIOUS];
    need(next <= bytes + room);
    head->length = *length = (size_t) (next - bytes);
    head->checksum = crc32_of(0, bytes + sizeof(*head), *length - sizeof(*head));

    return bytes;
}

/* ---- configurations ---- */

#define UPSTREAMS 70

typedef struct {
    atoll_writer_request_t   request;
    atoll_writer_upstream_t  upstreams[UPSTREAMS];
    char                    *texts[UPSTREAMS];
} config_t;

static UNUSED void
config_open(config_t *config, const char *path, size_t size)
{
    memset(config, 0, sizeof(*config));
    config->request = (atoll_writer_request_t) {
        .path = path, .size = size, .group = getegid(), .node = "", .now_ms = NOW, .upstreams = config->upstreams
    };
}

/*
 * Adds an upstream. peers: "server=address" separated by blanks, in the order of nginx.conf, `*` before a backup, `!`
 * before one that is down, `^` before one of the previous ring. Returns its settings.
 */
static UNUSED atoll_upstream_record_t *
config_add_with(config_t *config, const char *name, const char *peers, unsigned per_group)
{
    atoll_writer_upstream_t  *upstream = &config->upstreams[config->request.upstream_count++];
    atoll_upstream_record_t  *settings = calloc(1, sizeof(*settings));
    char                     *text = strdup(peers), *rest = NULL;
    atoll_writer_peer_t      *list = calloc(strlen(peers) + 1, sizeof(*list));

    need(config->request.upstream_count <= UPSTREAMS && settings != NULL && text != NULL && list != NULL);

    settings->name_length = (uint32_t) strlen(name);
    memcpy(settings->name, name, settings->name_length);

    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        atoll_writer_peer_t  *peer = &list[upstream->peer_count++];

        for ( ; strchr("*!^~", *word) != NULL; word++) {
            peer->flags |= *word == '*' ? ATOLL_PEER_FLAG_BACKUP
                           : *word == '!' ? ATOLL_PEER_FLAG_DOWN
                           : *word == '^' ? ATOLL_PEER_FLAG_PREVIOUS : ATOLL_PEER_FLAG_EARLIER;
        }

        char  *equals = strchr(word, '=');

        need(equals != NULL);
        peer->weight = 1;
        peer->server = word;
        peer->server_length = (uint32_t) (equals - word);
        peer->address = equals + 1;
        peer->address_length = (uint32_t) strlen(peer->address);
        peer->sockaddr = peer->address;
        peer->socklen = peer->address_length < 128 ? peer->address_length : 128;
    }

    config->texts[config->request.upstream_count - 1] = text;
    upstream->settings = settings;
    upstream->peers = list;
    upstream->table = make_table(list, upstream->peer_count, per_group, &upstream->table_length);

    return settings;
}

static UNUSED atoll_upstream_record_t *
config_add(config_t *config, const char *name, const char *peers)
{
    return config_add_with(config, name, peers, 16);
}

/* "PREFIX0=10.0.0.0:80 PREFIX1=..." */
static UNUSED char *
many_peers(const char *prefix, unsigned first, unsigned count)
{
    size_t   room = (size_t) count * (strlen(prefix) + 48) + 1, used = 0;
    char    *text = calloc(1, room);

    need(text != NULL);
    for (unsigned i = first; i < first + count; i++) {
        used += (size_t) snprintf(text + used, room - used, "%s%u=10.%u.%u.%u:80 ", prefix, i, i >> 16 & 255, i >> 8 & 255,
                                  i & 255);
    }

    return text;
}

static UNUSED void
config_close(config_t *config)
{
    for (uint32_t i = 0; i < config->request.upstream_count; i++) {
        atoll_writer_upstream_t  *upstream = &config->upstreams[i];

        free(config->texts[i]);
        free((void *) (uintptr_t) upstream->settings);
        free((void *) (uintptr_t) upstream->peers);
        free((void *) (uintptr_t) upstream->table);
        memset(upstream, 0, sizeof(*upstream));
    }
    config->request.upstream_count = 0;
}

/* ---- steps ---- */

/* Prepares and commits; the zone is in writer. */
static UNUSED void
publish(atoll_writer_t *writer, const config_t *config)
{
    char  error[ATOLL_WRITER_ERROR] = "";

    if (atoll_writer_prepare(writer, &config->request, 0, error) != 0) {
        printf("Bail out! prepare: %s\n", error);
        exit(1);
    }

    atoll_writer_commit(writer, &config->request);
}

/* Prepares, which must be refused: 1 when the sentence holds text. */
static UNUSED int
refuses(const config_t *config, const char *text)
{
    char            error[ATOLL_WRITER_ERROR] = "";
    atoll_writer_t  writer;
    int             result = atoll_writer_prepare(&writer, &config->request, 0, error);
    int             good = result == -1 && strstr(error, text) != NULL;

    if (!good) {
        note("prepare: %d, \"%s\"; expected \"%s\"", result, error, text);
    }
    atoll_writer_abandon(&writer);

    return good;
}

/* The slot of a member, ATOLL none: UINT32_MAX. */
static UNUSED uint32_t
slot_with(const atoll_zone_t *zone, const char *upstream, const char *server, uint32_t ordinal, uint32_t life)
{
    for (uint32_t slot = 0; slot < zone->peer_count; slot++) {
        const atoll_peer_identity_record_t  *peer = &zone->identities[slot];
        const atoll_upstream_record_t       *record = &zone->upstreams[peer->upstream % zone->upstream_count];

        if (peer->state == life && peer->ordinal == ordinal && peer->server_length == strlen(server)
            && memcmp(peer->server, server, peer->server_length) == 0 && record->name_length == strlen(upstream)
            && memcmp(record->name, upstream, record->name_length) == 0)
        {
            return slot;
        }
    }

    return UINT32_MAX;
}

static UNUSED uint32_t
slot_of(const atoll_zone_t *zone, const char *upstream, const char *server)
{
    return slot_with(zone, upstream, server, 0, ATOLL_PEER_LIFE_MEMBER);
}

/* The words of a member. */
static UNUSED atoll_peer_state_record_t *
state_of(const atoll_zone_t *zone, const char *upstream, const char *server)
{
    uint32_t  slot = slot_of(zone, upstream, server);

    need(slot != UINT32_MAX);

    return &zone->states[slot];
}

/*
 * Whether the published tables are those of the configuration, and each of their peers has the slot of its name: one for
 * each present peer, which one of the previous ring shares when it is the same.
 */
static UNUSED int
shows(const atoll_zone_t *zone, const config_t *config)
{
    unsigned char  *taken = calloc(1, (size_t) zone->peer_count + 1);
    int             good = 1;

    for (uint32_t i = 0; i < config->request.upstream_count && good; i++) {
        const atoll_writer_upstream_t  *upstream = &config->upstreams[i];
        int                             index = atoll_zone_find_upstream(zone, upstream->settings->name,
                                                                         upstream->settings->name_length);
        atoll_table_t                   table;

        good = index >= 0 && atoll_table_open(&table, zone, (uint32_t) index) == ATOLL_TABLE_OK
               && table.all_peers == upstream->peer_count;

        for (uint32_t n = 0; good && n < table.all_peers; n++) {
            const atoll_writer_peer_t           *peer = &upstream->peers[table.peers[n].source];
            const atoll_peer_identity_record_t  *identity = &zone->identities[table.peers[n].slot];
            int                                  present = n < table.peer_count;

            good = (present ? !taken[table.peers[n].slot] && identity->state == ATOLL_PEER_LIFE_MEMBER
                              && identity->flags == peer->flags
                            : taken[table.peers[n].slot] != 2
                              && identity->state == (taken[table.peers[n].slot] ? ATOLL_PEER_LIFE_MEMBER : ATOLL_PEER_LIFE_FORMER))
                   && identity->upstream == (uint32_t) index && identity->incarnation != 0
                   && identity->incarnation == zone->states[table.peers[n].slot].incarnation
                   && identity->server_length == peer->server_length
                   && memcmp(identity->server, peer->server, peer->server_length) == 0
                   && identity->address_length == peer->address_length
                   && memcmp(identity->address, peer->address, peer->address_length) == 0
                   && (!present || (identity->sockaddr_length == peer->socklen
                                    && memcmp(identity->sockaddr, peer->sockaddr, peer->socklen) == 0));
            taken[table.peers[n].slot] = present ? 1 : 2;
        }
    }

    free(taken);

    return good;
}

/* The zone at path as another process sees it; base NULL when it cannot be attached. */
static UNUSED atoll_zone_t
look(const char *path)
{
    atoll_zone_t  zone = { 0 };
    struct stat   status;
    int           fd = open(path, O_RDWR);

    if (fd == -1 || fstat(fd, &status) == -1 || status.st_size == 0) {
        return zone;
    }

    void  *base = mmap(NULL, (size_t) status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    need(base != MAP_FAILED);
    close(fd);

    if (atoll_zone_attach(&zone, base, (size_t) status.st_size) != ATOLL_ATTACH_OK) {
        munmap(base, (size_t) status.st_size);
        zone.base = NULL;
    }

    return zone;
}

static UNUSED void
look_away(atoll_zone_t *zone)
{
    if (zone->base != NULL) {
        munmap(zone->base, zone->length);
        zone->base = NULL;
    }
}

static UNUSED ino_t
inode_of(const char *path)
{
    struct stat  status;

    return lstat(path, &status) == 0 ? status.st_ino : 0;
}

static UNUSED int
files_in_folder(void)
{
    char   command[300];
    int    count = -1;

    snprintf(command, sizeof(command), "ls -A '%s' | wc -l", folder);

    FILE  *pipe = popen(command, "r");

    need(pipe != NULL && fscanf(pipe, "%d", &count) == 1);
    pclose(pipe);

    return count;
}

/* Nothing at path, and an empty configuration for it. */
static UNUSED void
begin(atoll_writer_t *writer, config_t *config, const char *path, size_t size)
{
    memset(writer, 0, sizeof(*writer));
    unlink(path);
    config_open(config, path, size);
}

/* Publishes what config holds and empties it for the next one; 1 when the zone shows it. */
static UNUSED int
reload(atoll_writer_t *writer, config_t *config)
{
    atoll_writer_close(writer);
    publish(writer, config);

    int  good = shows(&writer->zone, config);

    config_close(config);

    return good;
}

#endif
