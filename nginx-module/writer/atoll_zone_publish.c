#include <string.h>

#include "../reader/atoll_read.h"
#include "atoll_process.h"
#include "atoll_zone_plan.h"

/* Owner of the row that holds the counters of a former file: above every pid that Linux gives. */
#define DEAD_PID INT32_MAX

static void
store_release(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static void
store_state(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

void
atoll_plan_lay_out(const atoll_plan_t *plan, atoll_zone_t *zone, void *base, size_t length, uint64_t now_ms)
{
    const atoll_sections_t  *sections = &plan->sections;
    atoll_header_record_t   *header = base;

    header->magic = ATOLL_MAGIC;
    header->version = ATOLL_LAYOUT_VERSION;
    header->fingerprint = ATOLL_LAYOUT_FINGERPRINT;
    header->length = length;
    header->created_ms = now_ms;
    header->upstreams_offset = sections->upstreams_offset;
    header->upstreams_capacity = ATOLL_UPSTREAM_CAPACITY;
    header->peers_capacity = sections->slots;
    header->states_offset = sections->states_offset;
    header->identities_offset = sections->identities_offset;
    header->hot_sets_offset = sections->hot_sets_offset;
    header->rows_offset = sections->rows_offset;
    header->rows_capacity = ATOLL_ROW_CAPACITY;
    header->row_size = sections->row_size;
    header->tables_offset = sections->tables_offset;
    header->tables_length = sections->tables_length;
    header->purges_offset = sections->purges_offset;
    header->purge_sets = sections->purge_sets;
    atoll_boot_id(header->boot_id);

    zone->base = base;
    zone->length = length;
    zone->header = header;
    zone->upstreams = (atoll_upstream_record_t *) (zone->base + sections->upstreams_offset);
    zone->upstream_count = ATOLL_UPSTREAM_CAPACITY;
    zone->states = (atoll_peer_state_record_t *) (zone->base + sections->states_offset);
    zone->identities = (atoll_peer_identity_record_t *) (zone->base + sections->identities_offset);
    zone->peer_count = sections->slots;
    zone->hot_sets = (atoll_hot_set_record_t *) (zone->base + sections->hot_sets_offset);
    zone->rows = zone->base + sections->rows_offset;
    zone->row_count = ATOLL_ROW_CAPACITY;
    zone->row_size = sections->row_size;
    zone->tables_offset = sections->tables_offset;
    zone->tables_length = sections->tables_length;
    zone->purges = (atoll_purges_record_t *) (zone->base + sections->purges_offset);
    zone->purge_sets = (atoll_purge_set_record_t *) (zone->purges + 1);
    zone->purge_set_count = sections->purge_sets;
}

/*
 * Takes a slot away from whoever had it. The new incarnation comes first: a verdict that is on its way to the former peer is
 * then either cleared here or taken back by its writer, who looks at the incarnation again after it wrote.
 */
static void
renew_slot(const atoll_zone_t *zone, uint32_t slot, uint64_t incarnation)
{
    atoll_peer_state_record_t  *state = &zone->states[slot];

    store_state(&zone->identities[slot].state, ATOLL_PEER_LIFE_VACANT);
    atomic_store(&state->incarnation, incarnation);

    for (int reason = 0; reason < ATOLL_REASON_COUNT_; reason++) {
        atomic_store(&state->reason[reason], 0);
    }

    atoll_set(state->ramp_start_ms, 0);
    atoll_set(state->changed_ms, 0);
    atoll_set(state->accessed_ms, 0);
    atoll_set(state->checked_ms, 0);
    atoll_set(state->fails, 0);
    atoll_set(state->avoid_until_ms, 0);
    atoll_set(state->unanswered, 0);
}

/* What a former file knew of a peer. Of another boot only what stands for ever means something. */
static void
take_over_words(const atoll_snapshot_t *snapshot, uint32_t origin, atoll_peer_state_record_t *to)
{
    atoll_peer_state_record_t  *from = &snapshot->zone->states[origin];

    if (!snapshot->same_boot) {
        if (atoll_relaxed(from->reason[ATOLL_REASON_ADMIN]) == ATOLL_FOREVER) {
            atoll_set(to->reason[ATOLL_REASON_ADMIN], ATOLL_FOREVER);
        }
        return;
    }

    for (int reason = 0; reason < ATOLL_REASON_COUNT_; reason++) {
        atoll_set(to->reason[reason], atoll_relaxed(from->reason[reason]));
    }

    atoll_set(to->ramp_start_ms, atoll_relaxed(from->ramp_start_ms));
    atoll_set(to->changed_ms, atoll_relaxed(from->changed_ms));
    atoll_set(to->accessed_ms, atoll_relaxed(from->accessed_ms));
    atoll_set(to->checked_ms, atoll_relaxed(from->checked_ms));
    atoll_set(to->fails, atoll_relaxed(from->fails));
    atoll_set(to->avoid_until_ms, atoll_relaxed(from->avoid_until_ms));
}

/* Gives a slot that renew_slot() emptied its name. Its incarnation, which makes the name readable, follows later. */
static void
name_slot(atoll_peer_identity_record_t *identity, uint32_t upstream, uint32_t ordinal, const atoll_writer_peer_t *peer)
{
    identity->upstream = upstream;
    identity->ordinal = ordinal;
    identity->server_length = peer->server_length;
    identity->address_length = peer->address_length;
    memcpy(identity->server, peer->server, peer->server_length);
    memcpy(identity->address, peer->address, peer->address_length);
}

/* DOWN when the configuration before had the peer so. One that is DOWN from the first served before, for all that is known. */
static uint32_t
was_down(const atoll_snapshot_t *snapshot, const atoll_plan_peer_t *planned)
{
    return planned->origin == ATOLL_NO_SLOT ? 0 : snapshot->identities[planned->origin].flags & ATOLL_PEER_FLAG_DOWN;
}

static void
publish_peer(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_plan_upstream_t *upstream,
             const atoll_plan_peer_t *planned, const atoll_writer_peer_t *peer, const atoll_zone_t *target, uint64_t now_ms)
{
    atoll_peer_identity_record_t  *identity = &target->identities[planned->slot];
    uint64_t                       incarnation = identity->incarnation;

    if (planned->present != NULL || (planned->former && plan->in_place && planned->origin != ATOLL_NO_SLOT)) {
        return;     /* said by the present peer; stays as it is, and retire() makes it FORMER */
    }

    if (!plan->in_place || planned->origin == ATOLL_NO_SLOT) {
        incarnation = ++plan->incarnation;
        renew_slot(target, planned->slot, incarnation);
        name_slot(identity, upstream->index, planned->ordinal, peer);

        if (planned->origin != ATOLL_NO_SLOT) {
            take_over_words(snapshot, planned->origin, &target->states[planned->slot]);
        }
    }

    if (!planned->former && was_down(snapshot, planned) != (peer->flags & ATOLL_PEER_FLAG_DOWN)) {
        atoll_set(target->states[planned->slot].changed_ms, now_ms);
    }

    identity->flags = peer->flags & ~(ATOLL_FORMER_RINGS | ATOLL_PEER_FLAG_MAGLEV);
    identity->weight = peer->weight;
    identity->conf_weight = peer->conf_weight;
    identity->max_conns = peer->max_conns;
    identity->max_fails = peer->max_fails;
    identity->fail_timeout_ms = peer->fail_timeout_ms;
    identity->retired_epoch = planned->member ? 0 : plan->config_epoch;

    if (identity->sockaddr_length != peer->socklen || memcmp(identity->sockaddr, peer->sockaddr, peer->socklen) != 0) {
        identity->sockaddr_length = peer->socklen;
        memcpy(identity->sockaddr, peer->sockaddr, peer->socklen);
    }

    if (planned->joins) {
        atoll_set(target->states[planned->slot].ramp_start_ms, now_ms);
    }

    atomic_thread_fence(memory_order_release);
    identity->incarnation = incarnation;
    store_state(&identity->state, planned->member ? ATOLL_PEER_LIFE_MEMBER : ATOLL_PEER_LIFE_FORMER);
}

static void
write_settings(atoll_upstream_record_t *record, const atoll_upstream_record_t *settings)
{
    const size_t  first = offsetof(atoll_upstream_record_t, slow_start_ms);

    memcpy((unsigned char *) record + first, (const unsigned char *) settings + first, sizeof(*record) - first);
}

/* Copies a table under its slots, between the two stores of its sequence. */
static void
write_table(unsigned char *buffer, const atoll_plan_upstream_t *upstream, const atoll_writer_upstream_t *wanted,
            uint64_t epoch, uint64_t config_epoch)
{
    const size_t           first = sizeof(uint64_t);
    atoll_table_record_t  *head = (atoll_table_record_t *) buffer;

    atoll_set(head->sequence, 0);
    atomic_thread_fence(memory_order_release);

    memcpy(buffer + first, (const unsigned char *) wanted->table + first, wanted->table_length - first);

    const atoll_table_record_t  *source = wanted->table;
    atoll_table_peer_record_t   *peers = (atoll_table_peer_record_t *) (buffer + source->peers_offset);

    uint32_t                     count = source->peer_count + source->ring_peers[ATOLL_RING_PREVIOUS]
                                         + source->ring_peers[ATOLL_RING_EARLIER];

    for (uint32_t i = 0; i < count; i++) {
        peers[i].slot = upstream->peers[peers[i].source].slot;
    }

    head->config_epoch = config_epoch;
    head->handover_until_ms = wanted->handover_until_ms;
    store_release(&head->sequence, epoch);
}

/*
 * The buffer that is not active may move before, the active one only after the other has been published. In between the
 * capacity says too much about the active one, which its place below the new ones makes harmless to readers.
 */
static void
publish_upstream(atoll_plan_t *plan, const atoll_plan_upstream_t *upstream, const atoll_writer_upstream_t *wanted,
                 const atoll_zone_t *target)
{
    uint32_t                  buffer = upstream->buffer;
    atoll_upstream_record_t  *record = &target->upstreams[upstream->index];

    if (!plan->in_place || upstream->origin == ATOLL_NO_SLOT) {
        record->name_length = wanted->settings->name_length;
        memcpy(record->name, wanted->settings->name, wanted->settings->name_length);
        record->buffer_offset[1 - buffer] = upstream->offset[1 - buffer];
        atoll_set(record->published, 0);
    }

    record->buffer_offset[buffer] = upstream->offset[buffer];
    atomic_thread_fence(memory_order_release);
    record->buffer_capacity = upstream->capacity;
    write_settings(record, wanted->settings);

    plan->epoch++;
    write_table(target->base + upstream->offset[buffer], upstream, wanted, plan->epoch, plan->config_epoch);

    store_release(&record->published, plan->epoch << 1 | buffer);
    store_release(&target->header->epoch, plan->epoch);
    record->buffer_offset[1 - buffer] = upstream->offset[1 - buffer];
    store_state(&record->state, ATOLL_UPSTREAM_STATE_USED);
}

/* Slots and records whose bytes made no sense to the snapshot. */
static void
clear_damaged(const atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_zone_t *zone)
{
    for (uint32_t i = 0; plan->in_place && i < zone->upstream_count; i++) {
        if (snapshot->upstreams[i].state == ATOLL_UPSTREAM_STATE_FREE) {
            store_state(&zone->upstreams[i].state, ATOLL_UPSTREAM_STATE_FREE);
        }
    }

    for (uint32_t slot = 0; plan->in_place && slot < zone->peer_count; slot++) {
        if (snapshot->identities[slot].state == ATOLL_PEER_LIFE_VACANT) {
            store_state(&zone->identities[slot].state, ATOLL_PEER_LIFE_VACANT);
        }
    }
}

/* What was changed at run time is forgotten once nginx.conf names the upstream and not the server. */
static void
forget_changes(atoll_peer_identity_record_t *identity)
{
    identity->flags &= ~ATOLL_CHANGES;
    identity->conf_weight = 0;
}

/* Peers and upstreams of the file that goes on which are not named any more. Their tables stay for workers that use them. */
static void
retire(const atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_zone_t *zone)
{
    for (uint32_t slot = 0; slot < zone->peer_count; slot++) {
        if (snapshot->identities[slot].state != ATOLL_PEER_LIFE_VACANT && plan->slot_map[slot] == ATOLL_NO_SLOT
            && zone->identities[slot].incarnation == snapshot->identities[slot].incarnation
            && plan->upstream_map[snapshot->identities[slot].upstream] != ATOLL_NO_SLOT)
        {
            forget_changes(&zone->identities[slot]);
        }

        if (snapshot->identities[slot].state == ATOLL_PEER_LIFE_MEMBER && plan->slot_map[slot] == ATOLL_NO_SLOT) {
            zone->identities[slot].retired_epoch = plan->config_epoch;
            store_state(&zone->identities[slot].state, ATOLL_PEER_LIFE_FORMER);
        }
    }

    for (uint32_t i = 0; i < zone->upstream_count; i++) {
        if (snapshot->upstreams[i].state == ATOLL_UPSTREAM_STATE_USED && plan->upstream_map[i] == ATOLL_NO_SLOT) {
            store_state(&zone->upstreams[i].state, ATOLL_UPSTREAM_STATE_RETIRED);
        }
    }
}

/* Peers that are not named any more, into a new file. */
static void
take_over_formers(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_zone_t *target)
{
    for (uint32_t i = 0; i < plan->former_count; i++) {
        const atoll_plan_former_t           *former = &plan->formers[i];
        const atoll_peer_identity_record_t  *old = &snapshot->identities[former->origin];
        atoll_peer_identity_record_t        *identity = &target->identities[former->slot];
        atoll_upstream_record_t             *record = &target->upstreams[former->upstream];

        *identity = *old;
        renew_slot(target, former->slot, ++plan->incarnation);
        take_over_words(snapshot, former->origin, &target->states[former->slot]);

        identity->upstream = former->upstream;
        identity->incarnation = plan->incarnation;
        identity->retired_epoch = old->state == ATOLL_PEER_LIFE_MEMBER ? plan->config_epoch : old->retired_epoch;
        if (former->upstream < plan->upstream_count) {
            forget_changes(identity);
        }
        store_state(&identity->state, ATOLL_PEER_LIFE_FORMER);

        if (record->state == ATOLL_UPSTREAM_STATE_FREE) {
            record->name_length = snapshot->upstreams[old->upstream].name_length;
            memcpy(record->name, snapshot->upstreams[old->upstream].name, sizeof(record->name));
            store_state(&record->state, ATOLL_UPSTREAM_STATE_RETIRED);
        }
    }
}

#define ADD(to, from, field) atoll_add((to)->field, atoll_relaxed((from)->field))

static void
add_upstream_counters(atoll_row_upstream_record_t *to, atoll_row_upstream_record_t *from)
{
    ADD(to, from, requests);
    ADD(to, from, picks);
    ADD(to, from, retries);
    ADD(to, from, none);
    ADD(to, from, passed);
    ADD(to, from, panics);
    ADD(to, from, failures);
    ADD(to, from, bounded);
}

/* Sums the rows of the former file up into one of a dead worker, so that no total falls. */
static void
take_over_counters(const atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_zone_t *target)
{
    const atoll_zone_t  *zone = snapshot->zone;
    atoll_row_t          sum = atoll_zone_row(target, 0);

    for (uint32_t i = 0; i < zone->row_count; i++) {
        atoll_row_t  row = atoll_zone_row(zone, i);

        ADD(sum.head, row.head, torn);
        ADD(sum.head, row.head, rejected);
        ADD(sum.head, row.head, fallbacks);

        for (uint32_t n = 0; n < zone->upstream_count; n++) {
            if (plan->upstream_map[n] != ATOLL_NO_SLOT) {
                add_upstream_counters(&sum.upstreams[plan->upstream_map[n]], &row.upstreams[n]);
            }
        }

        for (uint32_t slot = 0; slot < zone->peer_count; slot++) {
            if (plan->slot_map[slot] != ATOLL_NO_SLOT) {
                ADD(&sum.peers[plan->slot_map[slot]], &row.peers[slot], failures);
                ADD(&sum.peers[plan->slot_map[slot]], &row.peers[slot], picks);
            }
        }
    }

    atoll_set(sum.head->start, 0);
    store_release(&sum.head->pid, DEAD_PID);
}

static void
write_node(atoll_header_record_t *header, const char *node)
{
    size_t  length = strlen(node);

    if (header->node_length == length && memcmp(header->node, node, length) == 0) {
        return;
    }

    header->node_length = 0;
    atomic_thread_fence(memory_order_release);
    memcpy(header->node, node, length);
    atomic_thread_fence(memory_order_release);
    header->node_length = (uint32_t) length;
}

void
atoll_plan_publish(atoll_plan_t *plan, const atoll_snapshot_t *snapshot, const atoll_writer_request_t *request,
                   const atoll_zone_t *target)
{
    plan->config_epoch++;

    write_node(target->header, request->node);
    clear_damaged(plan, snapshot, target);

    for (uint32_t i = 0; i < plan->upstream_count; i++) {
        const atoll_plan_upstream_t    *upstream = &plan->upstreams[i];
        const atoll_writer_upstream_t  *wanted = &request->upstreams[i];

        for (uint32_t n = 0; n < wanted->peer_count; n++) {
            publish_peer(plan, snapshot, upstream, &upstream->peers[n], &wanted->peers[n], target, request->now_ms);
        }

        publish_upstream(plan, upstream, wanted, target);
    }

    if (plan->in_place) {
        retire(plan, snapshot, target);

    } else if (snapshot->zone != NULL) {
        take_over_formers(plan, snapshot, target);
        take_over_counters(plan, snapshot, target);
    }

    store_release(&target->header->config_epoch, plan->config_epoch);
}
