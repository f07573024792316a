#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../reader/atoll_read.h"
#include "atoll_process.h"
#include "atoll_zone_copy.h"
#include "atoll_zone_file.h"
#include "atoll_zone_guard.h"
#include "atoll_zone_plan.h"

_Static_assert(ATOLL_WRITER_ERROR == ATOLL_FILE_ERROR, "one size of message");

/* Between prepare and commit. */
typedef struct {
    atoll_file_t      old;        /* what is at the path */
    atoll_new_file_t  fresh;      /* what will take its place, if anything */
    atoll_snapshot_t  snapshot;
    atoll_plan_t      plan;
} writer_state_t;

static int
fail_length(char *error, const char *what, const char *text, size_t length, size_t limit)
{
    return atoll_writer_fail(error, "the %s \"%.*s%s\" has %zu bytes; the zone holds up to %zu", what,
                             length > 64 ? 64 : (int) length, text, length > 64 ? "..." : "", length, limit);
}

static int
check_peers(const atoll_writer_upstream_t *upstream, char *error)
{
    const atoll_peer_identity_record_t  *limits = NULL;

    for (uint32_t i = 0; i < upstream->peer_count; i++) {
        const atoll_writer_peer_t  *peer = &upstream->peers[i];

        if (peer->server_length > sizeof(limits->server)) {
            return fail_length(error, "server name", peer->server, peer->server_length, sizeof(limits->server));
        }
        if (peer->address_length > sizeof(limits->address)) {
            return fail_length(error, "address", peer->address, peer->address_length, sizeof(limits->address));
        }
        if (peer->socklen > sizeof(limits->sockaddr)) {
            return fail_length(error, "socket address of", peer->address, peer->socklen, sizeof(limits->sockaddr));
        }
    }

    return 0;
}

/* The table must be sound, and each of its peers one of the upstream's, of the same kind of ring. */
static int
check_table(const atoll_writer_upstream_t *upstream, char *error)
{
    atoll_table_t  table;
    int            sound = upstream->table_length >= sizeof(atoll_table_record_t)
                           && atoll_table_check(&table, upstream->table, upstream->table_length) == ATOLL_TABLE_OK;

    for (uint32_t i = 0; sound && i < table.all_peers; i++) {
        sound = table.peers[i].source < upstream->peer_count
                && ((upstream->peers[table.peers[i].source].flags & ATOLL_FORMER_RINGS) != 0) == (i >= table.peer_count);
    }

    if (!sound) {
        return atoll_writer_fail(error, "the table compiled for the upstream \"%.*s\" is not valid; the module and its "
                                 "atoll-core.jar may be of different builds", (int) upstream->settings->name_length,
                                 (const char *) upstream->settings->name);
    }

    return 0;
}

static int
check_upstream(const atoll_writer_request_t *request, uint32_t index, char *error)
{
    const atoll_writer_upstream_t  *upstream = &request->upstreams[index];
    const atoll_upstream_record_t  *settings = upstream->settings;

    if (settings->name_length == 0 || settings->name_length > sizeof(settings->name)) {
        return atoll_writer_fail(error, "the name of an upstream has %" PRIu32 " bytes; the zone holds 1 to %zu",
                                 settings->name_length, sizeof(settings->name));
    }

    for (uint32_t i = 0; i < index; i++) {
        const atoll_upstream_record_t  *other = request->upstreams[i].settings;

        if (other->name_length == settings->name_length
            && memcmp(other->name, settings->name, settings->name_length) == 0)
        {
            return atoll_writer_fail(error, "the upstream \"%.*s\" is declared twice", (int) settings->name_length,
                                     (const char *) settings->name);
        }
    }

    return check_peers(upstream, error) != 0 ? -1 : check_table(upstream, error);
}

static int
check_request(const atoll_writer_request_t *request, char *error)
{
    if (request->upstream_count > ATOLL_UPSTREAM_CAPACITY) {
        return atoll_writer_fail(error, "%" PRIu32 " upstreams use atoll; a zone holds up to %" PRIu32,
                                 request->upstream_count, ATOLL_UPSTREAM_CAPACITY);
    }

    if (strlen(request->node) > sizeof(((atoll_header_record_t *) 0)->node)) {
        return fail_length(error, "node name", request->node, strlen(request->node),
                           sizeof(((atoll_header_record_t *) 0)->node));
    }

    for (uint32_t i = 0; i < request->upstream_count; i++) {
        if (check_upstream(request, i, error) != 0) {
            return -1;
        }
    }

    return 0;
}

static int
fail_size(const atoll_writer_request_t *request, char *error)
{
    uint64_t  peers = 0;

    for (uint32_t i = 0; i < request->upstream_count; i++) {
        peers += request->upstreams[i].peer_count;
    }

    return atoll_writer_fail(error, "the zone file \"%s\" of %zu bytes is too small for %" PRIu32 " upstream%s with %" PRIu64
                             " peer%s; write \"atoll_zone %s size=%" PRIu64 "m;\", or more", request->path, request->size,
                             request->upstream_count, request->upstream_count == 1 ? "" : "s", peers, peers == 1 ? "" : "s",
                             request->path, atoll_size_needed(request) >> 20);
}

/* Whether the file that is there can go on, as far as the file itself is concerned. */
static int
goes_on(const atoll_file_t *file, const atoll_writer_request_t *request)
{
    const atoll_header_record_t  *header = file->zone.header;

    return file->length == request->size && header->length == request->size && file->user == geteuid()
           && atoll_relaxed(header->replaced) == 0 && atoll_file_is_of_this_boot(header);
}

static int
fail_memory(const char *path, char *error)
{
    return atoll_writer_fail(error, "out of memory while planning the zone file \"%s\"", path);
}

static int
is_known(const writer_state_t *state)
{
    return state->old.fd != -1 && state->old.attach == ATOLL_ATTACH_OK;
}

static int
prepare_plan(writer_state_t *state, const atoll_writer_request_t *request, char *error)
{
    int  in_place = is_known(state) && goes_on(&state->old, request);

    switch (atoll_plan_make(&state->plan, &state->snapshot, request, in_place)) {
    case 0:
        return 0;
    case 1:
        return fail_size(request, error);
    default:
        return fail_memory(request->path, error);
    }
}

static int
prepare_file(writer_state_t *state, const atoll_writer_request_t *request, int check_only, char *error)
{
    if (state->plan.in_place) {
        return check_only ? 0 : atoll_file_reserve(&state->old, request->path, error);
    }

    if (check_only) {
        return atoll_new_file_check(request->path, request->size, error);
    }

    return atoll_new_file_make(&state->fresh, request->path, request->size, request->group, error);
}

/* The file at path, locked, and still the one at path then. */
static int
open_locked(writer_state_t *state, const char *path, char *error)
{
    for ( ;; ) {
        if (atoll_file_open(&state->old, path, 0, error) != 0) {
            return -1;
        }

        if (state->old.fd == -1) {
            return 0;
        }

        if (atoll_file_check_owner(&state->old, path, error) != 0 || atoll_file_lock(&state->old, path, error) != 0) {
            return -1;
        }

        if (!atoll_file_is_replaced(&state->old, path)) {
            return 0;
        }

        atoll_file_close(&state->old);
    }
}

static int
open_state(writer_state_t *state, const char *path, int check_only, char *error)
{
    int  opened = check_only ? atoll_file_open(&state->old, path, 1, error) : open_locked(state, path, error);

    if (opened != 0) {
        return -1;
    }

    atoll_zone_t  *zone = is_known(state) ? &state->old.zone : NULL;

    return atoll_snapshot_take(&state->snapshot, zone, zone != NULL && atoll_file_is_of_this_boot(zone->header)) == 0
           ? 0 : fail_memory(path, error);
}

static void
state_free(writer_state_t *state)
{
    atoll_file_unlock(&state->old);
    atoll_file_close(&state->old);
    atoll_new_file_discard(&state->fresh);
    atoll_snapshot_free(&state->snapshot);
    atoll_plan_free(&state->plan);
    free(state);
}

/* Why the file that was there is not gone on with: ATOLL_ATTACH_OK when what it knew is carried over whole. */
static int
replaced_for(const writer_state_t *state)
{
    if (state->plan.in_place || state->old.fd == -1) {
        return ATOLL_ATTACH_OK;
    }

    return state->snapshot.damaged ? ATOLL_ATTACH_OUT_OF_BOUNDS : state->old.attach;
}

int
atoll_writer_open(atoll_writer_t *writer, const char *path, int check_only, char error[ATOLL_WRITER_ERROR])
{
    memset(writer, 0, sizeof(*writer));

    writer_state_t  *state = calloc(1, sizeof(*state));

    if (state == NULL) {
        return fail_memory(path, error);
    }

    state->old.fd = -1;
    state->fresh.fd = -1;

    if (open_state(state, path, check_only, error) != 0) {
        state_free(state);
        return -1;
    }

    writer->state = state;

    return 0;
}

int
atoll_writer_plan(atoll_writer_t *writer, const atoll_writer_request_t *request, int check_only,
                  char error[ATOLL_WRITER_ERROR])
{
    writer_state_t  *state = writer->state;
    int              result = check_request(request, error);

    if (result == 0) {
        result = prepare_plan(state, request, error);
    }
    if (result == 0) {
        result = prepare_file(state, request, check_only, error);
    }

    if (result != 0 || check_only) {
        atoll_writer_abandon(writer);
        return result;
    }

    writer->created = !state->plan.in_place;
    writer->replaced = replaced_for(state);

    return 0;
}

int
atoll_writer_prepare(atoll_writer_t *writer, const atoll_writer_request_t *request, int check_only,
                     char error[ATOLL_WRITER_ERROR])
{
    return atoll_writer_open(writer, request->path, check_only, error) != 0
           ? -1 : atoll_writer_plan(writer, request, check_only, error);
}

/* The snapshot, when it knows an upstream of that name; its index in *upstream. */
static const atoll_snapshot_t *
snapshot_of(const atoll_writer_t *writer, const void *name, size_t length, uint32_t *upstream)
{
    const atoll_snapshot_t  *snapshot = &((writer_state_t *) writer->state)->snapshot;

    *upstream = snapshot->zone == NULL ? ATOLL_NO_SLOT : atoll_snapshot_find(snapshot, name, length);

    return *upstream == ATOLL_NO_SLOT ? NULL : snapshot;
}

uint32_t
atoll_writer_changed(const atoll_writer_t *writer, const void *upstream, size_t upstream_length, const void *server,
                     size_t server_length, uint32_t *weight)
{
    uint32_t                 index, changes = ATOLL_PEER_FLAG_REMOVED | ATOLL_PEER_FLAG_WEIGHTED;
    const atoll_snapshot_t  *snapshot = snapshot_of(writer, upstream, upstream_length, &index);

    for (uint32_t i = 0; snapshot != NULL && i < snapshot->changed_count; i++) {
        const atoll_peer_identity_record_t  *peer = &snapshot->identities[snapshot->changed[i]];

        if (peer->upstream == index && (peer->flags & changes) != 0 && (peer->flags & ATOLL_PEER_FLAG_ADDED) == 0
            && peer->server_length == server_length && memcmp(peer->server, server, server_length) == 0)
        {
            *weight = peer->weight;
            return peer->flags & changes;
        }
    }

    return 0;
}

const atoll_peer_identity_record_t *
atoll_writer_next_added(const atoll_writer_t *writer, const void *upstream, size_t upstream_length, uint32_t *slot)
{
    uint32_t                 index;
    const atoll_snapshot_t  *snapshot = snapshot_of(writer, upstream, upstream_length, &index);

    for (uint32_t i = 0; snapshot != NULL && i < snapshot->changed_count; i++) {
        const atoll_peer_identity_record_t  *peer = &snapshot->identities[snapshot->changed[i]];

        if (snapshot->changed[i] >= *slot && peer->upstream == index && (peer->flags & ATOLL_PEER_FLAG_ADDED) != 0) {
            *slot = snapshot->changed[i] + 1;
            return peer;
        }
    }

    return NULL;
}

/*
 * Whether no purge can have been missed since the file was written: its nginx runs, or an agent that is up to date does.
 * After a time without both, other nodes may have purged what the caches of this one still have.
 */
static int
purges_are_believed(const atoll_zone_t *zone)
{
    const atoll_header_record_t  *header = zone->header;

    if (zone->purges == NULL || !atoll_file_is_of_this_boot(header)) {
        return 0;
    }

    return atoll_process_is(atomic_load(&header->master_pid), atomic_load(&header->master_start))
           || (atoll_relaxed(zone->purges->loaded) == ATOLL_PURGES_LOADED_YES
               && atoll_process_is(atomic_load(&header->agent_pid), atomic_load(&header->agent_start)));
}

/*
 * When this nginx was started: now, unless the owner that the header names goes on: a reload, or the former of a binary
 * upgrade. Ask before name_owner().
 */
static uint64_t
started_ms(const atoll_file_t *file, uint64_t now_ms)
{
    const atoll_header_record_t  *header = file->attach == ATOLL_ATTACH_OK ? atoll_file_header(file) : NULL;
    uint64_t                      started;

    if (header == NULL || !atoll_file_is_of_this_boot(header)
        || !atoll_process_is(atomic_load(&header->master_pid), atomic_load(&header->master_start)))
    {
        return now_ms;
    }

    started = atoll_relaxed(header->started_ms);

    return started == 0 || started > now_ms ? now_ms : started;
}

static void
name_owner(atoll_header_record_t *header, uint64_t pid)
{
    atomic_store(&header->master_pid, 0);
    atomic_store(&header->master_start, atoll_process_start(pid));
    atomic_store(&header->master_pid, pid);
}

/* The mapping that stays is taken out of the file, which closes without it. */
static void
commit_in_place(atoll_writer_t *writer, writer_state_t *state, const atoll_writer_request_t *request)
{
    writer->zone = state->old.zone;

    atoll_file_own(state->old.fd, request->group);
    atoll_purges_carry(&writer->zone, &writer->zone, purges_are_believed(&writer->zone), request->now_ms);
    atoll_set(writer->zone.header->started_ms, started_ms(&state->old, request->now_ms));
    name_owner(writer->zone.header, (uint64_t) getpid());
    atoll_plan_publish(&state->plan, &state->snapshot, request, &writer->zone);

    state->old.base = NULL;
}

static void
commit_new_file(atoll_writer_t *writer, writer_state_t *state, const atoll_writer_request_t *request)
{
    atoll_new_file_t    *fresh = &state->fresh;
    const atoll_zone_t  *before = state->snapshot.zone;

    atoll_plan_lay_out(&state->plan, &writer->zone, fresh->base, fresh->length, request->now_ms);
    atoll_set(writer->zone.header->started_ms, started_ms(&state->old, request->now_ms));
    name_owner(writer->zone.header, (uint64_t) getpid());
    atoll_plan_publish(&state->plan, &state->snapshot, request, &writer->zone);
    atoll_purges_carry(before, &writer->zone, before != NULL && purges_are_believed(before), request->now_ms);
    atomic_store_explicit(&writer->zone.header->ready, ATOLL_READY, memory_order_release);

    writer->rename_errno = atoll_new_file_place(fresh, request->path);

    atoll_header_record_t  *old = atoll_file_header(&state->old);

    if (old != NULL && writer->rename_errno == 0) {
        atomic_store_explicit(&old->replaced, 1, memory_order_release);
    }

    fresh->base = NULL;
    fresh->made_folder = 0;
}

/* As the last look at the file: whoever cut it before has not spoilt the copy unseen. */
static void
commit_copy(atoll_writer_t *writer)
{
    int  copy = atoll_copy_make(&writer->zone), error = errno;

    atoll_zone_touch(&writer->zone);

    if (atoll_guard_check(&writer->zone)) {
        writer->lost = 1;
        atoll_copy_close(copy);

    } else if (copy == -1) {
        writer->copy_errno = error;

    } else {
        atoll_guard_copy(writer->zone.base, copy);
    }
}

void
atoll_writer_commit(atoll_writer_t *writer, const atoll_writer_request_t *request)
{
    writer_state_t  *state = writer->state;

    if (state->plan.in_place) {
        commit_in_place(writer, state, request);
    } else {
        commit_new_file(writer, state, request);
    }

    writer->config_epoch = state->plan.config_epoch;
    commit_copy(writer);
    writer->state = NULL;
    state_free(state);
}

void
atoll_writer_abandon(atoll_writer_t *writer)
{
    if (writer->state != NULL) {
        state_free(writer->state);
        writer->state = NULL;
    }
}

void
atoll_writer_own(atoll_zone_t *zone, uint64_t pid, uint64_t config_epoch)
{
    atoll_header_record_t  *header = zone->header;

    if (atomic_load(&header->config_epoch) == config_epoch
        && (atomic_load(&header->master_pid) != pid || atomic_load(&header->master_start) != atoll_process_start(pid)))
    {
        name_owner(header, pid);
    }
}

void
atoll_writer_retire(atoll_zone_t *zone)
{
    for (uint32_t i = 0; i < zone->upstream_count; i++) {
        uint32_t  used = ATOLL_UPSTREAM_STATE_USED;

        atomic_compare_exchange_strong(&zone->upstreams[i].state, &used, ATOLL_UPSTREAM_STATE_RETIRED);
    }

    atomic_fetch_add(&zone->header->config_epoch, 1);
}

void
atoll_writer_close(atoll_writer_t *writer)
{
    atoll_writer_abandon(writer);

    if (writer->zone.base != NULL) {
        atoll_guard_remove(writer->zone.base);
        munmap(writer->zone.base, writer->zone.length);
        writer->zone.base = NULL;
    }
}
