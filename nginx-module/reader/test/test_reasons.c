/* Why a peer gets no traffic, and how it comes back: reasons, guard, the trial of a failed peer, ramps. */
#include "zone_fixture.h"
#include "tap.h"

#include <sys/wait.h>
#include <unistd.h>

#define PEERS    10
#define T        UINT64_C(5000000)   /* now, milliseconds */
#define TIMEOUT  10000
#define KEYS     4000

static char                names[PEERS][16];
static fixture_peer_t      peers[PEERS];
static fixture_t           fixture;
static atoll_balancer_t    balancer;
static atoll_walk_t        walk;


static void
open_pool(uint32_t count)
{
    if (fixture.base != NULL) {
        fixture_close(&fixture);
    }

    fixture_pool(&fixture, &balancer, peers, count);
}


/* A reason for ever, of the peers from first on to the one before end. */
static void
take_out(int first, int end, int reason)
{
    for (int i = first; i < end; i++) {
        fixture.zone.states[i].reason[reason] = ATOLL_FOREVER;
    }
}


/* Peers "s0", "s1", … */
static void
fresh(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "s%u", i);
        peers[i] = (fixture_peer_t) {
            .server = names[i], .address = names[i], .weight = 1, .max_fails = 1, .fail_timeout_ms = TIMEOUT
        };
    }

    open_pool(count);
}


static int
pick(uint32_t hash, uint64_t now)
{
    int result;

    memset(&walk, 0, sizeof(walk));
    atoll_walk_init(&walk, hash, 1);
    walk.allocate = fixture_allocate;
    result = atoll_pick(&balancer, &walk, now);

    return result == ATOLL_PICK_OK ? (int) walk.peer->slot : -1 - result;
}


/* Slot of the peer that gets the key, without a trace. */
static int
peek(uint32_t hash, uint64_t now)
{
    int slot = pick(hash, now);

    atoll_done(&balancer, &walk, now, 0);

    return slot;
}


/* A key whose first choice is the slot. */
static uint32_t
key_of(int slot)
{
    uint32_t hash;

    do {
        hash = (uint32_t) tap_random();
    } while (peek(hash, T) != slot);

    return hash;
}


static void
shouldPassOverAPeerUntilEachOfItsReasonsHasRunOut(void)
{
    for (int reason = 0; reason < ATOLL_REASON_COUNT_; reason++) {
        fresh(4);

        uint32_t hash = key_of(2);
        int      next;

        fixture.zone.states[2].reason[reason] = T + 1;
        next = peek(hash, T);
        CHECK(next != 2 && next >= 0);
        CHECK_EQUAL(1, balancer.row.upstreams[0].passed);
        CHECK_EQUAL(next, atoll_owner(&balancer, hash, T, 0)->slot);
        CHECK_EQUAL(2, peek(hash, T + 1));
        CHECK_EQUAL(2, atoll_owner(&balancer, hash, T + 1, 0)->slot);

        fixture.zone.states[2].reason[reason] = ATOLL_FOREVER;
        CHECK_EQUAL(next, peek(hash, UINT64_MAX - 1));
    }
}


static void
shouldMoveOnlyKeysOfAPeerThatIsOut(void)
{
    int before[KEYS];

    fresh(PEERS);

    for (uint32_t i = 0; i < KEYS; i++) {
        before[i] = peek(i * UINT32_C(1073741), T);
    }

    fixture.zone.states[4].reason[ATOLL_REASON_QUORUM] = ATOLL_FOREVER;

    for (uint32_t i = 0; i < KEYS; i++) {
        int after = peek(i * UINT32_C(1073741), T);

        CHECK(after != 4);
        CHECK(before[i] == 4 || before[i] == after);
    }
}


static void
shouldIgnoreWordsOfAnotherIncarnation(void)
{
    uint32_t hash;

    fresh(4);
    hash = key_of(1);

    /* The slot was given to another peer: what is said there is not about the one that this table means. */
    fixture.zone.states[1].incarnation = 77;
    fixture.zone.states[1].reason[ATOLL_REASON_ADMIN] = ATOLL_FOREVER;
    fixture.zone.states[1].fails = 1;
    fixture.zone.states[1].ramp_start_ms = T;
    fixture.zone.upstreams[0].slow_start_ms = 1000;

    CHECK_EQUAL(1, pick(hash, T));
    CHECK_EQUAL(0, balancer.row.peers[1].inflight);
    atoll_done(&balancer, &walk, T, 1);
    CHECK_EQUAL(1, fixture.zone.states[1].fails);
    CHECK_EQUAL(0, fixture.zone.states[1].reason[ATOLL_REASON_PASSIVE]);
    CHECK_EQUAL(1, balancer.row.upstreams[0].failures);
}


static void
shouldIgnoreReasonsWhileMostPeersSeemDown(void)
{
    uint32_t hash;

    fresh(PEERS);
    hash = key_of(0);

    take_out(0, 5, ATOLL_REASON_PROBE);

    /* Half are well: not fewer than half. */
    CHECK(peek(hash, T) >= 5);
    CHECK_EQUAL(0, balancer.row.upstreams[0].panics);

    fixture.zone.states[5].reason[ATOLL_REASON_QUORUM] = ATOLL_FOREVER;
    CHECK(peek(hash, T + 49) >= 6);
    CHECK_EQUAL(0, peek(hash, T + 50));
    CHECK_EQUAL(1, balancer.row.upstreams[0].panics);

    /* An operator is obeyed also then. */
    fixture.zone.states[0].reason[ATOLL_REASON_ADMIN] = ATOLL_FOREVER;
    CHECK(peek(hash, T + 51) != 0);
    fixture.zone.states[0].reason[ATOLL_REASON_ADMIN] = 0;

    /* Back among the living: half are well again. */
    fixture.zone.states[5].reason[ATOLL_REASON_QUORUM] = 0;
    CHECK_EQUAL(0, peek(hash, T + 99));
    CHECK(peek(hash, T + 100) >= 5);
}


static void
shouldCountOnlyPeersThatOperatorsLetServeForTheGuard(void)
{
    uint32_t hash;

    fresh(PEERS);
    hash = key_of(0);

    for (int i = 0; i < 9; i++) {
        fixture.zone.states[i].reason[i == 0 ? ATOLL_REASON_PROBE : ATOLL_REASON_ADMIN] = ATOLL_FOREVER;
    }

    CHECK_EQUAL(9, peek(hash, T));

    fixture.zone.states[9].reason[ATOLL_REASON_PASSIVE] = ATOLL_FOREVER;
    CHECK(peek(hash, T + 50) >= 0);
    CHECK_EQUAL(1, balancer.row.upstreams[0].panics);
}


static void
shouldLeaveAnUnguardedWalkToWhatStandsBehindIt(void)
{
    fresh(4);

    take_out(0, 4, ATOLL_REASON_PROBE);

    memset(&walk, 0, sizeof(walk));
    atoll_walk_init(&walk, 1, 1);
    walk.unguarded = 1;
    CHECK_EQUAL(ATOLL_PICK_NONE, atoll_pick(&balancer, &walk, T));
    CHECK(atoll_owner(&balancer, 1, T, 1) == NULL);
    CHECK(atoll_owner(&balancer, 1, T, 0) != NULL);
    CHECK(pick(1, T) >= 0);
}


static void
shouldWorkTheGuardOutAgainBeforeNoneIsLeft(void)
{
    uint32_t hash;

    fresh(4);
    hash = key_of(0);
    fixture.zone.states[0].reason[ATOLL_REASON_PROBE] = ATOLL_FOREVER;
    CHECK(peek(hash, T) >= 1);

    take_out(1, 4, ATOLL_REASON_PROBE);

    CHECK_EQUAL(0, peek(hash, T + 1));
    CHECK_EQUAL(1, balancer.row.upstreams[0].panics);
}


static void
shouldHaveNoGuardWhenItIsOffOrABackupIsWell(void)
{
    fresh(4);
    fixture.zone.upstreams[0].panic_percent = 0;

    take_out(0, 4, ATOLL_REASON_PROBE);

    CHECK_EQUAL(-1 - ATOLL_PICK_NONE, peek(1, T));

    peers[3].flags = ATOLL_PEER_FLAG_BACKUP;
    open_pool(4);

    take_out(0, 3, ATOLL_REASON_PROBE);

    CHECK_EQUAL(3, peek(1, T));
    CHECK_EQUAL(0, balancer.row.upstreams[0].panics);

    fixture.zone.states[3].reason[ATOLL_REASON_QUORUM] = ATOLL_FOREVER;
    CHECK(peek(1, T + 50) < 3);
    CHECK_EQUAL(1, balancer.row.upstreams[0].panics);
}


static void
shouldAnswerNobodyWhenOperatorsTookEverybodyOut(void)
{
    fresh(4);

    take_out(0, 4, ATOLL_REASON_ADMIN);

    CHECK_EQUAL(-1 - ATOLL_PICK_NONE, peek(1, T));
    CHECK(atoll_owner(&balancer, 1, T, 0) == NULL);
    CHECK_EQUAL(1, balancer.row.upstreams[0].none);
}


static void
shouldLeaveAFailedPeerForItsTimeoutAndTryItOnce(void)
{
    uint32_t      hash;
    atoll_walk_t  first;

    fresh(4);
    hash = key_of(2);

    CHECK_EQUAL(2, pick(hash, T));
    atoll_done(&balancer, &walk, T, 1);
    CHECK_EQUAL(1, fixture.zone.states[2].fails);
    CHECK_EQUAL(T + TIMEOUT, fixture.zone.states[2].reason[ATOLL_REASON_PASSIVE]);
    CHECK_EQUAL(T, fixture.zone.states[2].accessed_ms);

    CHECK(peek(hash, T + TIMEOUT - 1) != 2);

    /* Time is over: the first request tries, the others go elsewhere meanwhile. */
    CHECK_EQUAL(2, pick(hash, T + TIMEOUT));
    first = walk;
    CHECK(peek(hash, T + TIMEOUT) != 2);
    CHECK(peek(hash, T + TIMEOUT + 5) != 2);

    atoll_done(&balancer, &first, T + TIMEOUT + 6, 0);
    CHECK_EQUAL(0, fixture.zone.states[2].fails);
    CHECK_EQUAL(0, fixture.zone.states[2].reason[ATOLL_REASON_PASSIVE]);
    CHECK_EQUAL(2, peek(hash, T + TIMEOUT + 7));

    /* Without slow start there is no ramp. */
    CHECK_EQUAL(0, fixture.zone.states[2].ramp_start_ms);
}


static void
shouldStayDownWhenTheTrialFails(void)
{
    uint32_t hash;

    fresh(4);
    hash = key_of(2);
    CHECK_EQUAL(2, pick(hash, T));
    atoll_done(&balancer, &walk, T, 1);
    CHECK_EQUAL(2, pick(hash, T + TIMEOUT));
    atoll_done(&balancer, &walk, T + TIMEOUT + 9, 1);
    CHECK_EQUAL(T + 2 * TIMEOUT + 9, fixture.zone.states[2].reason[ATOLL_REASON_PASSIVE]);
    CHECK_EQUAL(2, fixture.zone.states[2].fails);
}


static void
shouldBeDownAfterMaxFailsAndNeverWithoutThem(void)
{
    uint32_t hash;

    fresh(4);
    peers[1].max_fails = 3;
    peers[2].max_fails = 0;
    open_pool(4);

    hash = key_of(1);

    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(0, fixture.zone.states[1].reason[ATOLL_REASON_PASSIVE]);
        CHECK_EQUAL(1, pick(hash, T));
        atoll_done(&balancer, &walk, T, 1);
    }

    CHECK_EQUAL(T + TIMEOUT, fixture.zone.states[1].reason[ATOLL_REASON_PASSIVE]);
    hash = key_of(2);

    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(2, pick(hash, T));
        atoll_done(&balancer, &walk, T, 1);
    }

    CHECK_EQUAL(0, fixture.zone.states[2].reason[ATOLL_REASON_PASSIVE]);
}


/* As nginx: successes within fail_timeout do not wipe the count, the first request after it does. */
static void
shouldForgetSingleFailuresAfterTheTimeout(void)
{
    uint32_t hash;

    fresh(4);
    peers[1].max_fails = 3;
    open_pool(4);
    hash = key_of(1);

    CHECK_EQUAL(1, pick(hash, T));
    atoll_done(&balancer, &walk, T, 1);
    CHECK_EQUAL(1, peek(hash, T + TIMEOUT));
    CHECK_EQUAL(1, fixture.zone.states[1].fails);
    CHECK_EQUAL(1, peek(hash, T + TIMEOUT + 1));
    CHECK_EQUAL(0, fixture.zone.states[1].fails);
}


/* Processes that see the same failed peer at the same moment: one of them tries it. */
static void
shouldLetOneOfManyProcessesTryAFailedPeer(void)
{
    int       report[2], tried;
    char      verdict;
    uint32_t  hash;

    fresh(4);
    hash = key_of(2);

    for (int round = 0; round < 100; round++) {
        atomic_int *gate = (atomic_int *) &fixture.zone.header->agent_pid;

        fixture.zone.states[2].fails = 1;
        fixture.zone.states[2].reason[ATOLL_REASON_PASSIVE] = T - 1;
        atomic_store(gate, 0);
        CHECK(pipe(report) == 0);

        for (uint32_t i = 0; i < 4; i++) {
            if (tap_fork() == 0) {
                balancer.row = atoll_zone_row(&fixture.zone, i);
                atomic_fetch_add(gate, 1);
                while (atomic_load(gate) < 4) { /* all start at once */ }
                verdict = pick(hash, T) == 2 ? '1' : '0';
                _exit(write(report[1], &verdict, 1) != 1);
            }
        }

        close(report[1]);
        tried = 0;

        for (int i = 0; i < 4; i++) {
            CHECK_EQUAL(1, read(report[0], &verdict, 1));
            tried += verdict == '1';
            CHECK(wait(NULL) > 0);
        }

        close(report[0]);
        CHECK_EQUAL(1, tried);
        CHECK_EQUAL(T + TIMEOUT, fixture.zone.states[2].reason[ATOLL_REASON_PASSIVE]);
    }
}


static void
shouldBeginARampWhenAFailedPeerIsWellAgain(void)
{
    uint32_t hash;

    fresh(4);
    fixture.zone.upstreams[0].slow_start_ms = 1000;
    hash = key_of(2);
    CHECK_EQUAL(2, pick(hash, T));
    atoll_done(&balancer, &walk, T, 1);
    CHECK_EQUAL(2, pick(hash, T + TIMEOUT));
    CHECK_EQUAL(0, fixture.zone.states[2].ramp_start_ms);
    atoll_done(&balancer, &walk, T + TIMEOUT + 20, 0);
    CHECK_EQUAL(T + TIMEOUT + 20, fixture.zone.states[2].ramp_start_ms);
}


/* The agent saw it first. */
static void
shouldNotBeginARampAnewThatIsOn(void)
{
    uint32_t hash;

    fresh(4);
    fixture.zone.upstreams[0].slow_start_ms = 1000;
    hash = key_of(2);
    CHECK_EQUAL(2, pick(hash, T));
    atoll_done(&balancer, &walk, T, 1);
    fixture.zone.states[2].ramp_start_ms = T + TIMEOUT - 999;
    CHECK_EQUAL(2, pick(hash, T + TIMEOUT));
    atoll_done(&balancer, &walk, T + TIMEOUT, 0);
    CHECK_EQUAL(T + TIMEOUT - 999, fixture.zone.states[2].ramp_start_ms);
    CHECK_EQUAL(0, fixture.zone.states[2].reason[ATOLL_REASON_PASSIVE]);
}


/* Each key goes over once and stays; the share at t is the part of the slow start that has passed. */
static void
shouldGiveARampingPeerItsKeysBackOneByOne(void)
{
    int   owned = 0, moved;
    char  is_back[KEYS] = {0};

    fresh(PEERS);
    fixture.zone.upstreams[0].slow_start_ms = 1000;
    CHECK(atoll_balancer_refresh(&balancer));

    for (uint32_t i = 0; i < KEYS; i++) {
        owned += peek(i * UINT32_C(1073741), T) == 3;
    }

    fixture.zone.states[3].ramp_start_ms = T;

    for (uint64_t t = T; t <= T + 1000; t += 100) {
        moved = 0;

        for (uint32_t i = 0; i < KEYS; i++) {
            uint32_t  hash = i * UINT32_C(1073741);
            int       slot = peek(hash, t);

            CHECK_EQUAL(slot, atoll_owner(&balancer, hash, t, 0)->slot);
            CHECK(slot != 3 || t == T + 1000 || atoll_undisputed_owner(&balancer, hash, t) == NULL);
            CHECK(slot == 3 || !is_back[i]);
            is_back[i] = slot == 3;
            moved += is_back[i];
        }

        CHECK(moved >= (int) ((t - T) * (uint64_t) owned / 1000) - 50);
        CHECK(moved <= (int) ((t - T) * (uint64_t) owned / 1000) + 50);
    }

    CHECK_EQUAL(owned, moved);
}


/* A search, asked for by a walk that seems to be under way, finds the same. */
static void
shouldAgreeWithTheSearchOnAnUndisputedOwner(void)
{
    int                  undisputed = 0;
    atoll_walk_t         walk;
    const atoll_peer_t  *owner;

    for (int round = 0; round < 2000; round++) {
        fresh(PEERS);
        fixture.zone.upstreams[0].slow_start_ms = 1000;

        for (uint32_t i = 0; i < PEERS; i++) {
            fixture.zone.states[i].reason[tap_random() % 4] = tap_random() % 3 != 0 ? 0 : T - 1 + tap_random() % 3;
            fixture.zone.states[i].ramp_start_ms = tap_random() % 4 != 0 ? 0 : T - tap_random() % 1200;
            fixture.zone.states[i].fails = tap_random() % 4 == 0;
        }

        CHECK(atoll_balancer_refresh(&balancer));

        for (int i = 0; i < 10; i++) {
            atoll_walk_init(&walk, (uint32_t) tap_random(), 1);
            walk.asked = 1;
            owner = atoll_undisputed_owner(&balancer, walk.hash, T);
            undisputed += owner != NULL;

            CHECK(owner == NULL || (atoll_pick(&balancer, &walk, T) == ATOLL_PICK_OK && walk.peer == owner));
        }
    }

    CHECK(undisputed > 0);
}


static void
shouldServeARampItselfWhenTheNextIsRampingToo(void)
{
    fresh(2);
    fixture.zone.upstreams[0].slow_start_ms = 1000;

    uint32_t hash = key_of(0);

    fixture.zone.states[0].ramp_start_ms = T;
    CHECK_EQUAL(1, peek(hash, T));
    fixture.zone.states[1].ramp_start_ms = T;
    CHECK_EQUAL(0, peek(hash, T));

    /* Nor does anybody stand in when nobody else is eligible. */
    fixture.zone.states[1].ramp_start_ms = 0;
    fixture.zone.states[1].reason[ATOLL_REASON_ADMIN] = ATOLL_FOREVER;
    CHECK_EQUAL(0, peek(hash, T));
}


/* As a fill to it that was put before and fails, or a kept connection that it had closed. */
static void
shouldTakeNoPeerBackForAnOutcomeThatTellsNothing(void)
{
    uint32_t      hash;
    atoll_walk_t  unknown;

    fresh(4);
    fixture.zone.upstreams[0].slow_start_ms = 1000;
    hash = key_of(2);

    CHECK_EQUAL(2, pick(hash, T));
    unknown = walk;
    CHECK_EQUAL(2, pick(hash, T));
    atoll_done(&balancer, &walk, T, ATOLL_DONE_FAILED);
    CHECK_EQUAL(2, pick(hash, T + TIMEOUT + 5));
    CHECK_EQUAL(2, atoll_zone_inflight(&fixture.zone, 2));

    atoll_done(&balancer, &unknown, T + TIMEOUT + 6, ATOLL_DONE_UNKNOWN);
    CHECK(unknown.peer == NULL);
    CHECK_EQUAL(1, atoll_zone_inflight(&fixture.zone, 2));
    CHECK_EQUAL(T + 2 * TIMEOUT + 5, fixture.zone.states[2].reason[ATOLL_REASON_PASSIVE]);
    CHECK_EQUAL(1, fixture.zone.states[2].fails);
    CHECK_EQUAL(0, fixture.zone.states[2].ramp_start_ms);

    atoll_done(&balancer, &walk, T + TIMEOUT + 7, ATOLL_DONE_SUCCEEDED);
    CHECK_EQUAL(0, fixture.zone.states[2].fails);
    CHECK_EQUAL(0, fixture.zone.states[2].reason[ATOLL_REASON_PASSIVE]);
    CHECK_EQUAL(T + TIMEOUT + 7, fixture.zone.states[2].ramp_start_ms);
    CHECK_EQUAL(2, pick(hash, T + 2 * TIMEOUT));

    atoll_done(&balancer, &walk, T + 2 * TIMEOUT, ATOLL_DONE_UNKNOWN);
    CHECK_EQUAL(0, fixture.zone.states[2].fails);
    CHECK_EQUAL(0, atoll_zone_inflight(&fixture.zone, 2));
}


static void
shouldNotLookAtRampsOnARetry(void)
{
    fresh(2);
    fixture.zone.upstreams[0].slow_start_ms = 1000;

    uint32_t hash = key_of(0);

    fixture.zone.states[0].ramp_start_ms = T;
    CHECK_EQUAL(1, pick(hash, T));
    atoll_done(&balancer, &walk, T, 1);
    CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, T));
    CHECK_EQUAL(0, walk.peer->slot);
}


static void
shouldPreferAnAddressOfTheSameNameThatIsNotRamping(void)
{
    fresh(3);
    peers[1].server = peers[0].server;
    open_pool(3);
    fixture.zone.upstreams[0].slow_start_ms = 1000;

    uint32_t hash;

    do {
        hash = (uint32_t) tap_random();
    } while (peek(hash, T) == 2);

    fixture.zone.states[0].ramp_start_ms = T;

    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(1, peek(hash, T));
    }

    fixture.zone.states[1].ramp_start_ms = T;
    CHECK_EQUAL(2, peek(hash, T));
}


static void
shouldRampNobodyWithoutSlowStartOrAfterIt(void)
{
    fresh(2);

    uint32_t hash = key_of(0);

    fixture.zone.states[0].ramp_start_ms = T;
    CHECK_EQUAL(0, peek(hash, T));

    fresh(2);
    fixture.zone.upstreams[0].slow_start_ms = 1000;
    fixture.zone.states[0].ramp_start_ms = T;
    CHECK_EQUAL(0, peek(hash, T + 1000));
    CHECK_EQUAL(0, peek(hash, T - 1));
}


int
main(void)
{
    tap_seed();
    RUN(shouldPassOverAPeerUntilEachOfItsReasonsHasRunOut);
    RUN(shouldMoveOnlyKeysOfAPeerThatIsOut);
    RUN(shouldIgnoreWordsOfAnotherIncarnation);
    RUN(shouldIgnoreReasonsWhileMostPeersSeemDown);
    RUN(shouldCountOnlyPeersThatOperatorsLetServeForTheGuard);
    RUN(shouldLeaveAnUnguardedWalkToWhatStandsBehindIt);
    RUN(shouldWorkTheGuardOutAgainBeforeNoneIsLeft);
    RUN(shouldHaveNoGuardWhenItIsOffOrABackupIsWell);
    RUN(shouldAnswerNobodyWhenOperatorsTookEverybodyOut);
    RUN(shouldLeaveAFailedPeerForItsTimeoutAndTryItOnce);
    RUN(shouldStayDownWhenTheTrialFails);
    RUN(shouldTakeNoPeerBackForAnOutcomeThatTellsNothing);
    RUN(shouldBeDownAfterMaxFailsAndNeverWithoutThem);
    RUN(shouldForgetSingleFailuresAfterTheTimeout);
    RUN(shouldLetOneOfManyProcessesTryAFailedPeer);
    RUN(shouldBeginARampWhenAFailedPeerIsWellAgain);
    RUN(shouldNotBeginARampAnewThatIsOn);
    RUN(shouldGiveARampingPeerItsKeysBackOneByOne);
    RUN(shouldAgreeWithTheSearchOnAnUndisputedOwner);
    RUN(shouldServeARampItselfWhenTheNextIsRampingToo);
    RUN(shouldNotLookAtRampsOnARetry);
    RUN(shouldPreferAnAddressOfTheSameNameThatIsNotRamping);
    RUN(shouldRampNobodyWithoutSlowStartOrAfterIt);

    return tap_done();
}
