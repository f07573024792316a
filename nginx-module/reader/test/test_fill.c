/* Peers that do not answer a fill: what one worker finds out serves all, and few requests wait. */
#include "handover_fixture.h"
#include "../atoll_fill.h"

#define TIMEOUT   500
#define GONE      5
#define SILENT    ATOLL_FILL_SILENCE(TIMEOUT)

static atoll_balancer_t  other;


/* A previous owner that two workers know. */
static void
open_workers(void)
{
    open_pool(changed, COUNT(changed), T + HANDOVER);
    fixture_balancer(&fixture, &other, 0, 1);
    CHECK(atoll_balancer_refresh(&other));
}


static const atoll_peer_t *
gone(const atoll_balancer_t *worker)
{
    return worker->met[GONE - worker->met_first];
}


static int
begin(const atoll_balancer_t *worker, uint64_t now)
{
    return atoll_fill_begin(worker, gone(worker), now, TIMEOUT);
}


static void
shouldNotAskAPeerThatFailedAnotherWorker(void)
{
    const uint32_t  hash = 1;
    uint32_t        key;

    open_workers();
    CHECK_PASSED();
    key = key_of(ATOLL_RING_PREVIOUS, "gone", hash);

    CHECK(begin(&balancer, T));
    atoll_fill_failed(&balancer, gone(&balancer), T + TIMEOUT);

    for (uint64_t now = T + TIMEOUT; now < T + TIMEOUT + ATOLL_FILL_AVOID_MS; now += 100) {
        CHECK(!begin(&other, now));
        CHECK(!begin(&balancer, now));
        CHECK(atoll_previous_owner(&other, key, now, "a", 1, 0, NULL, 0) == NULL);
    }

    CHECK(is_named(atoll_previous_owner(&other, key, T + TIMEOUT + ATOLL_FILL_AVOID_MS, "a", 1, 0, NULL, 0), "gone"));
    fixture_close(&fixture);
}


static void
shouldLetOneRequestTryWhenTheTimeIsOver(void)
{
    uint64_t now = T;

    open_workers();
    CHECK_PASSED();
    atoll_fill_failed(&balancer, gone(&balancer), now);

    for (int round = 0; round < 3; round++) {
        now += ATOLL_FILL_AVOID_MS;
        CHECK(begin(&other, now));
        CHECK(!begin(&balancer, now));
        CHECK(!begin(&other, now + 1));

        if (round == 0) {
            now += TIMEOUT;
            atoll_fill_failed(&other, gone(&other), now);
        }
        /* else the worker is killed meanwhile */
    }

    atoll_fill_answered(&other, gone(&other));
    CHECK(begin(&balancer, now));
    CHECK(begin(&other, now));
    fixture_close(&fixture);
}


static void
shouldKeepFewWaitingForAPeerThatIsSilent(void)
{
    uint64_t now = T;

    open_workers();
    CHECK_PASSED();

    for (int i = 0; i < ATOLL_FILL_WAITING; i++) {
        CHECK(begin(i % 2 == 0 ? &balancer : &other, now));
    }

    CHECK(begin(&other, now + SILENT - 1));
    CHECK(!begin(&other, now + SILENT));
    CHECK(!begin(&balancer, now + TIMEOUT - 1));

    atoll_fill_answered(&other, gone(&other));
    CHECK(begin(&balancer, now + SILENT));
    CHECK(begin(&other, now + 2 * SILENT));
    fixture_close(&fixture);
}


static void
shouldAskOnWhileFewWaitOrAnswersCome(void)
{
    open_workers();
    CHECK_PASSED();

    for (uint64_t now = T; now < T + 20 * TIMEOUT; now += SILENT - 1) {
        for (int i = 0; i < 2 * ATOLL_FILL_WAITING; i++) {
            CHECK(begin(&balancer, now));
        }

        atoll_fill_answered(&other, gone(&other));
    }

    CHECK_EQUAL(0, state(GONE)->unanswered);

    for (int i = 0; i < ATOLL_FILL_WAITING - 1; i++) {
        CHECK(begin(&balancer, T));
    }

    CHECK(begin(&balancer, T + TIMEOUT - 1));
    fixture_close(&fixture);
}


/* Of a worker that was killed, or of a client that went: they time out for nobody. */
static void
shouldForgetQuestionsThatCanWaitNoMore(void)
{
    open_workers();
    CHECK_PASSED();

    for (int i = 0; i < ATOLL_FILL_WAITING; i++) {
        CHECK(begin(&balancer, T));
    }

    CHECK(!begin(&balancer, T + 2 * TIMEOUT - 1));
    CHECK(begin(&balancer, T + 2 * TIMEOUT));
    CHECK(begin(&balancer, T + 2 * TIMEOUT + SILENT));
    fixture_close(&fixture);
}


/* One copy that is revalidated at a slow origin, between others that are fresh. */
static void
shouldAskOnWhenOneAnswerIsLateAndOthersCome(void)
{
    open_workers();
    CHECK_PASSED();

    CHECK(begin(&balancer, T));
    CHECK(begin(&other, T + 1));
    atoll_fill_answered(&other, gone(&other));
    atoll_fill_timed_out(&balancer, gone(&balancer), T, T + TIMEOUT);
    CHECK_EQUAL(0, state(GONE)->avoid_until_ms);

    CHECK(begin(&other, T + TIMEOUT));
    CHECK(begin(&balancer, T + TIMEOUT + 1));
    atoll_fill_answered(&other, gone(&other));
    CHECK(begin(&other, T + TIMEOUT + 2));
    atoll_fill_timed_out(&balancer, gone(&balancer), T + TIMEOUT + 1, T + 2 * TIMEOUT + 1);
    CHECK_EQUAL(0, state(GONE)->avoid_until_ms);
    CHECK_EQUAL((T + TIMEOUT + 2) << 16 | 1, state(GONE)->unanswered);

    atoll_fill_timed_out(&other, gone(&other), T + TIMEOUT + 2, T + 2 * TIMEOUT + 2);
    CHECK_EQUAL(T + 2 * TIMEOUT + 2 + ATOLL_FILL_AVOID_MS, state(GONE)->avoid_until_ms);
    fixture_close(&fixture);
}


static void
shouldNotAskAPeerThatAnswersNobodyInTime(void)
{
    uint64_t now = T + TIMEOUT;

    open_workers();
    CHECK_PASSED();

    CHECK(begin(&balancer, T));
    CHECK(begin(&other, T + 1));
    atoll_fill_timed_out(&balancer, gone(&balancer), T, now);
    CHECK_EQUAL(now + ATOLL_FILL_AVOID_MS, state(GONE)->avoid_until_ms);
    atoll_fill_timed_out(&other, gone(&other), T + 1, now + 1);
    CHECK_EQUAL(now + 1 + ATOLL_FILL_AVOID_MS, state(GONE)->avoid_until_ms);

    now += 1 + ATOLL_FILL_AVOID_MS;
    CHECK(begin(&other, now));
    atoll_fill_timed_out(&other, gone(&other), now, now + TIMEOUT);
    CHECK_EQUAL(now + TIMEOUT + ATOLL_FILL_AVOID_MS, state(GONE)->avoid_until_ms);
    CHECK(!begin(&balancer, now + TIMEOUT));
    fixture_close(&fixture);
}


static void
shouldNotCountAQuestionThatWasNotPut(void)
{
    open_workers();
    CHECK_PASSED();

    for (int i = 0; i < 2 * ATOLL_FILL_WAITING; i++) {
        CHECK(begin(&balancer, T));
        atoll_fill_withdrawn(&balancer, gone(&balancer), T);
        CHECK_EQUAL(0, state(GONE)->unanswered);
    }

    CHECK(begin(&other, T));
    CHECK(begin(&balancer, T + 1));
    atoll_fill_withdrawn(&balancer, gone(&balancer), T + 1);
    CHECK_EQUAL(T << 16 | 1, state(GONE)->unanswered);
    CHECK_EQUAL(0, state(GONE)->avoid_until_ms);

    atoll_fill_answered(&other, gone(&other));
    CHECK(begin(&other, T + 2));
    atoll_fill_withdrawn(&balancer, gone(&balancer), T + 1);
    CHECK_EQUAL((T + 2) << 16 | 1, state(GONE)->unanswered);

    atoll_fill_failed(&other, gone(&other), T);
    CHECK(begin(&other, T + ATOLL_FILL_AVOID_MS));
    CHECK(!begin(&balancer, T + ATOLL_FILL_AVOID_MS));
    atoll_fill_withdrawn(&other, gone(&other), T + ATOLL_FILL_AVOID_MS);
    CHECK(begin(&balancer, T + ATOLL_FILL_AVOID_MS));
    CHECK(!begin(&other, T + ATOLL_FILL_AVOID_MS));
    fixture_close(&fixture);
}


static void
shouldNotBelieveWordsThatNobodyWrites(void)
{
    open_workers();
    CHECK_PASSED();

    state(GONE)->avoid_until_ms = ATOLL_FOREVER;
    CHECK(begin(&balancer, T));
    CHECK_EQUAL(T + ATOLL_FILL_AVOID_MS, state(GONE)->avoid_until_ms);
    CHECK(!begin(&balancer, T));

    state(GONE)->avoid_until_ms = 0;
    state(GONE)->unanswered = UINT64_MAX;
    CHECK(begin(&balancer, T));
    CHECK_EQUAL(T << 16 | 1, state(GONE)->unanswered);

    for (uint64_t first = T - 2 * TIMEOUT - 2; first < T + TIMEOUT + 2; first++) {
        state(GONE)->unanswered = first << 16 | 0xffff;
        CHECK_EQUAL(first <= T - 2 * TIMEOUT || first > T - SILENT, begin(&balancer, T));
    }

    fixture_close(&fixture);
}


static void
shouldLeaveTheWordsOfAnotherPeerAlone(void)
{
    open_workers();
    CHECK_PASSED();
    state(GONE)->incarnation++;

    CHECK(!begin(&balancer, T));
    atoll_fill_failed(&balancer, gone(&balancer), T);
    CHECK_EQUAL(0, state(GONE)->avoid_until_ms);

    state(GONE)->avoid_until_ms = T + 1;
    state(GONE)->unanswered = T << 16 | 1;
    atoll_fill_answered(&balancer, gone(&balancer));
    CHECK_EQUAL(T + 1, state(GONE)->avoid_until_ms);
    CHECK_EQUAL(T << 16 | 1, state(GONE)->unanswered);
    fixture_close(&fixture);
}


int
main(void)
{
    tap_seed();
    RUN(shouldNotAskAPeerThatFailedAnotherWorker);
    RUN(shouldLetOneRequestTryWhenTheTimeIsOver);
    RUN(shouldKeepFewWaitingForAPeerThatIsSilent);
    RUN(shouldAskOnWhileFewWaitOrAnswersCome);
    RUN(shouldForgetQuestionsThatCanWaitNoMore);
    RUN(shouldAskOnWhenOneAnswerIsLateAndOthersCome);
    RUN(shouldNotAskAPeerThatAnswersNobodyInTime);
    RUN(shouldNotCountAQuestionThatWasNotPut);
    RUN(shouldNotBelieveWordsThatNobodyWrites);
    RUN(shouldLeaveTheWordsOfAnotherPeerAlone);

    return tap_done();
}
