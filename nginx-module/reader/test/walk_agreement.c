/*
 * Compares walks, and who is asked for a key that a node lacks, with those of java-core. Standard input: the stream of
 * io.atoll.core.tools.WalkStream, which describes it. Every pick must give the same peer, every word about a peer come out the
 * same, and every question name the same previous owner.
 *
 * Usage: walk_agreement AT_LEAST; fails when the stream held fewer picks, or no answer by one of the rules.
 */
#include "zone_fixture.h"
#include "../atoll_handover.h"

#define REQUESTS  4

enum { BEGIN, KEYLESS, PICK, DONE, SET, IS, OTHERS, ASK, GONE };
enum { RAMP = 4, FAILS, INFLIGHT, CHANGED, STARTED, AVOID };

/* io.atoll.core.lookup.PreviousOwners.Rule, from 1; then who stood in and is gone, and the second answer to a question. */
enum { NOBODY, PREVIOUS_RING, EARLIER_RING, WITHDRAWN, STOOD_IN, STARTED_BLIND, STOOD_IN_AND_LEFT, AGAIN, RULES };

static const char *const rules[RULES] = {
    "nobody", "previous ring", "earlier ring", "withdrawn", "stood in", "started", "stood in and left", "asked again"
};

typedef struct {
    uint32_t  kind;
    uint32_t  request;
    uint32_t  argument;
    uint32_t  slot;
    uint64_t  now;
    uint64_t  value;
} operation_t;

typedef struct {
    atoll_zone_t         zone;
    atoll_balancer_t     balancer;
    atoll_walk_t         walks[REQUESTS];
    const atoll_peer_t  *asked;     /* the last answer to a first question */
} player_t;

static uint64_t answers[RULES];


static void
begin(player_t *player, const operation_t *operation)
{
    atoll_walk_t *walk = &player->walks[operation->request];

    atoll_done(&player->balancer, walk, operation->now, 0);
    atoll_walk_init(walk, operation->argument, operation->kind == BEGIN);
    walk->allocate = fixture_allocate;
}


static uint64_t
pick(player_t *player, const operation_t *operation)
{
    atoll_walk_t *walk = &player->walks[operation->request];

    switch (atoll_pick(&player->balancer, walk, operation->now)) {
    case ATOLL_PICK_OK:
        return walk->peer->slot;
    case ATOLL_PICK_NONE:
        return UINT32_MAX;
    default:
        return UINT64_MAX;
    }
}


/* The slot of the previous owner. Counts the answer by the rule that Java has; a blind one must be so in both. */
static uint64_t
ask(player_t *player, const operation_t *operation)
{
    size_t                               length = 0;
    uint32_t                             self = (uint32_t) operation->value, rule = (uint32_t) (operation->value >> 40);
    const char                          *name = "";
    const atoll_peer_t                  *peer;
    const atoll_peer_identity_record_t  *identity;

    if (self != UINT32_MAX) {
        identity = &player->zone.identities[self];
        name = (const char *) identity->server;
        length = identity->server_length;
    }

    peer = atoll_previous_owner(&player->balancer, operation->argument, operation->now, name, length,
                                (int) (operation->value >> 32 & 1), operation->request != 0 ? player->asked : NULL, (int) (operation->value >> 33 & 1));
    player->asked = operation->request != 0 ? player->asked : peer;
    answers[operation->request != 0 && rule != NOBODY ? AGAIN : rule < RULES ? rule : NOBODY]++;

    if (peer == NULL) {
        return UINT32_MAX;
    }

    answers[STOOD_IN_AND_LEFT] += rule >= STOOD_IN && (peer->flags & (ATOLL_PEER_FLAG_PREVIOUS | ATOLL_PEER_FLAG_EARLIER)) != 0;

    return player->balancer.handover_blind == (rule == STARTED_BLIND) ? peer->slot : UINT64_MAX;
}


static void
set(const player_t *player, const operation_t *operation)
{
    atoll_peer_state_record_t *state = &player->zone.states[operation->slot];

    switch (operation->argument) {
    case RAMP:
        state->ramp_start_ms = operation->value;
        break;
    case CHANGED:
        state->changed_ms = operation->value;
        break;
    case STARTED:
        player->zone.header->started_ms = operation->value;
        break;
    case AVOID:
        state->avoid_until_ms = operation->value;
        break;
    default:
        state->reason[operation->argument] = operation->value;
    }
}


/* As the writer does. The worker keeps what it knew of the slot until the next table. */
static void
give_away(const player_t *player, const operation_t *operation)
{
    memset(&player->zone.states[operation->slot], 0, sizeof(atoll_peer_state_record_t));
    player->zone.identities[operation->slot].incarnation = operation->value;
    player->zone.states[operation->slot].incarnation = operation->value;
}


static void
set_others(const player_t *player, const operation_t *operation)
{
    atoll_row_t row = atoll_zone_row(&player->zone, 1);

    row.upstreams[0].inflight += (uint32_t) operation->value - row.peers[operation->slot].inflight;
    row.peers[operation->slot].inflight = (uint32_t) operation->value;
}


static uint64_t
word(const player_t *player, const operation_t *operation)
{
    const atoll_peer_state_record_t *state = &player->zone.states[operation->slot];

    switch (operation->argument) {
    case RAMP:
        return state->ramp_start_ms;
    case FAILS:
        return state->fails;
    case INFLIGHT:
        return atoll_zone_inflight(&player->zone, operation->slot);
    default:
        return state->reason[operation->argument];
    }
}


/* 1 when it comes out as it should. */
static int
play(player_t *player, const operation_t *operation, uint64_t *picks)
{
    static const char *const kinds[] = {
        [PICK] = "pick of request", [IS] = "word", [ASK] = "previous owner of hash"
    };
    uint64_t actual, expected = operation->value;

    switch (operation->kind) {
    case BEGIN:
    case KEYLESS:
        begin(player, operation);
        return 1;
    case DONE:
        atoll_done(&player->balancer, &player->walks[operation->request], operation->now, operation->argument == 1);
        return 1;
    case SET:
        set(player, operation);
        return 1;
    case OTHERS:
        set_others(player, operation);
        return 1;
    case GONE:
        give_away(player, operation);
        return 1;
    case PICK:
        actual = pick(player, operation);
        expected = operation->slot;
        (*picks)++;
        break;
    case ASK:
        actual = ask(player, operation);
        expected = operation->slot;
        break;
    case IS:
        actual = word(player, operation);
        break;
    default:
        printf("# an unknown operation, %u\n", operation->kind);
        return 0;
    }

    if (actual != expected) {
        printf("# %s %u, slot %u, %u ms: Java has %llu, C %llu\n", kinds[operation->kind],
               operation->kind == PICK ? operation->request : operation->argument, operation->slot,
               (unsigned) operation->now, (unsigned long long) expected, (unsigned long long) actual);
    }

    return actual == expected;
}


/* The zone of a record, whose rows 0 and 1 are given owners. */
static int
open_player(player_t *player, unsigned char *bytes, size_t length)
{
    fixture_t fixture;

    memset(player, 0, sizeof(*player));

    if (atoll_zone_attach(&player->zone, bytes, length) != ATOLL_ATTACH_OK) {
        return 0;
    }

    fixture.zone = player->zone;
    fixture_balancer(&fixture, &player->balancer, 0, 0);
    player->balancer.zone = &player->zone;
    atoll_zone_row(&player->zone, 0).head->pid = 1;
    atoll_zone_row(&player->zone, 1).head->pid = 2;

    return atoll_balancer_refresh(&player->balancer);
}


/* 1 when somebody was named by each rule, and nobody as well. */
static int
is_each_rule_seen(void)
{
    int seen = 1;

    for (int rule = NOBODY; rule < RULES; rule++) {
        printf("# %llu questions: %s\n", (unsigned long long) answers[rule], rules[rule]);
        seen = seen && answers[rule] != 0;
    }

    return seen;
}


int
main(int argc, char **argv)
{
    int             well = 1;
    uint32_t        head[2], done;
    uint64_t        zones = 0, picks = 0, at_least = argc == 2 ? strtoull(argv[1], NULL, 10) : 1;
    player_t        player;
    operation_t     operation;
    unsigned char  *bytes;

    while (well && fread(head, sizeof(head), 1, stdin) == 1) {
        bytes = aligned_alloc(4096, fixture_align(head[0]) + 4096 - fixture_align(head[0]) % 4096);
        well = bytes != NULL && fread(bytes, 1, head[0], stdin) == head[0] && open_player(&player, bytes, head[0]);

        for (done = 0; well && done < head[1]; done++) {
            well = fread(&operation, sizeof(operation), 1, stdin) == 1 && play(&player, &operation, &picks);
        }

        if (!well) {
            printf("# zone %llu, operation %u\n", (unsigned long long) zones, done);
        }

        zones++;
        free(bytes);
    }

    printf("# %llu picks in %llu zones\n", (unsigned long long) picks, (unsigned long long) zones);
    well = is_each_rule_seen() && well && picks >= at_least;
    printf("%sok 1 - shouldWalkAndAskAsJavaDoes\n1..1\n", well ? "" : "not ");

    return !well;
}
