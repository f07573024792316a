/* Rows of workers: claimed by one process each, taken over from the dead, and what the dead had in flight is forgotten. */
#include "zone_fixture.h"
#include "tap.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROWS     8
#define WORKERS  6
#define ROUNDS   60

static fixture_t  fixture;


/* Start times of the processes by pid, as a test knows them. */
static uint64_t
start_of(uint64_t pid)
{
    return 1000 + pid % 3;
}


static int
is_alive(uint64_t pid, uint64_t start, void *data)
{
    (void) data;

    if (kill((pid_t) pid, 0) != 0 && errno != EPERM) {
        return 0;
    }

    return start == 0 || start == start_of(pid);
}


static int
claim(atoll_row_t *row, uint64_t pid)
{
    return atoll_row_claim(row, &fixture.zone, pid, start_of(pid), 7, is_alive, NULL);
}


/* A pid that no process has: that of a child which is gone. */
static uint64_t
dead_pid(void)
{
    pid_t pid = tap_fork();

    if (pid == 0) {
        _exit(0);
    }

    waitpid(pid, NULL, 0);

    return (uint64_t) pid;
}


static void
shouldClaimAFreeRow(void)
{
    atoll_row_t  row, other;
    uint64_t     pid = (uint64_t) getpid();

    fixture_open(&fixture, 2, 4, 2, 4096);
    CHECK(claim(&row, pid));
    CHECK_EQUAL(pid, row.head->pid);
    CHECK_EQUAL(start_of(pid), row.head->start);
    CHECK_EQUAL(7, row.head->config_epoch);

    CHECK(claim(&other, (uint64_t) getppid()));
    CHECK(other.head != row.head);
    CHECK(!claim(&other, 1));
    fixture_close(&fixture);
}


static void
shouldCarryOnWithTheCountersOfTheDead(void)
{
    atoll_row_t  row, old;

    fixture_open(&fixture, 2, 4, 1, 4096);
    old = atoll_zone_row(&fixture.zone, 0);
    old.head->pid = dead_pid();
    old.head->start = start_of(old.head->pid);
    old.upstreams[1].requests = 41;
    old.peers[3].picks = 42;
    old.peers[3].inflight = 43;

    CHECK(claim(&row, (uint64_t) getpid()));
    CHECK(row.head == old.head);
    CHECK_EQUAL(41, row.upstreams[1].requests);
    CHECK_EQUAL(42, row.peers[3].picks);
    CHECK_EQUAL(0, row.peers[3].inflight);
    fixture_close(&fixture);
}


static void
shouldLeaveNothingInFlightInARowThatIsGivenBack(void)
{
    atoll_row_t  row;

    fixture_open(&fixture, 2, 4, 2, 4096);
    CHECK(claim(&row, (uint64_t) getpid()));
    row.upstreams[1].requests = 41;
    row.upstreams[1].inflight = 42;
    row.peers[3].inflight = 43;

    atoll_row_release(&row, &fixture.zone);
    CHECK_EQUAL(0, row.head->pid);
    CHECK_EQUAL(41, row.upstreams[1].requests);
    CHECK_EQUAL(0, atoll_zone_inflight(&fixture.zone, 3));
    CHECK_EQUAL(0, atoll_zone_upstream_inflight(&fixture.zone, 1, 2));
    fixture_close(&fixture);
}


static void
shouldNotTakeARowWhosePidIsAnotherProcessNow(void)
{
    atoll_row_t  row, old;
    uint64_t     parent = (uint64_t) getppid();

    fixture_open(&fixture, 2, 4, 1, 4096);
    old = atoll_zone_row(&fixture.zone, 0);
    old.head->pid = parent;

    /* Between two owners: the start is not known yet. */
    old.head->start = 0;
    CHECK(!claim(&row, (uint64_t) getpid()));

    /* The pid was given to a process that started at another time. */
    old.head->start = start_of(parent) + 1;
    CHECK(claim(&row, (uint64_t) getpid()));
    fixture_close(&fixture);
}


static void
shouldForgetWhatAllTheDeadHadInFlight(void)
{
    atoll_row_t row;

    fixture_open(&fixture, 2, 4, ROWS, 4096);

    for (uint32_t i = 0; i < ROWS; i++) {
        row = atoll_zone_row(&fixture.zone, i);
        row.peers[2].inflight = 5;
        row.upstreams[1].inflight = 7;
        row.head->pid = i == 3 ? (uint64_t) getppid() : dead_pid();
        row.head->start = start_of(row.head->pid);
    }

    CHECK_EQUAL(5 * ROWS, atoll_zone_inflight(&fixture.zone, 2));
    CHECK_EQUAL(ROWS, atoll_zone_rows_claimed(&fixture.zone));
    CHECK_EQUAL(7 * ROWS, atoll_zone_upstream_inflight(&fixture.zone, 1, ROWS));
    CHECK_EQUAL(7 * ROWS, atoll_zone_upstream_inflight(&fixture.zone, 1, UINT32_MAX));
    CHECK_EQUAL(0, atoll_zone_upstream_inflight(&fixture.zone, 2, ROWS));

    CHECK(claim(&row, (uint64_t) getpid()));
    CHECK_EQUAL(5, atoll_zone_inflight(&fixture.zone, 2));
    CHECK_EQUAL(7, atoll_zone_upstream_inflight(&fixture.zone, 1, ROWS));
    CHECK_EQUAL(4, atoll_zone_rows_claimed(&fixture.zone));
    CHECK_EQUAL(0, atoll_zone_inflight_of(&fixture.zone, 2, 3));
    CHECK_EQUAL(5, atoll_zone_inflight_of(&fixture.zone, 2, 4));

    for (uint32_t i = 0; i < ROWS; i++) {
        uint64_t owner = atoll_zone_row(&fixture.zone, i).head->pid;

        CHECK(owner == 0 || owner == (uint64_t) getpid() || (i == 3 && owner == (uint64_t) getppid()));
    }

    fixture_close(&fixture);
}


/* Claims a row, marks it as its own in a word that only an owner writes, and sees that nobody else does. Then dies. */
static void
worker(int gate, int report)
{
    char         go, verdict = 'x';
    uint64_t     pid = (uint64_t) getpid();
    atoll_row_t  row;

    if (read(gate, &go, 1) >= 0 && claim(&row, pid)) {
        verdict = '1';
        row.peers[0].inflight = 1;
        atomic_store(&row.upstreams[0].requests, pid);

        for (int i = 0; i < 20000; i++) {
            if (atomic_load(&row.upstreams[0].requests) != pid || row.head->pid != pid) {
                verdict = '0';
            }
        }
    }

    if (write(report, &verdict, 1) != 1) {
        _exit(1);
    }

    for ( ;; ) {
        pause();
    }
}


static void
shouldNeverShareARowAmongProcessesThatClaimAtOnce(void)
{
    int          gate[2], report[2];
    char         verdict;
    pid_t        pids[WORKERS];
    atoll_row_t  row;

    fixture_open(&fixture, 2, 4, ROWS, 4096);

    for (int round = 0; round < ROUNDS; round++) {
        CHECK(pipe(gate) == 0 && pipe(report) == 0);

        for (int i = 0; i < WORKERS; i++) {
            pids[i] = tap_fork();

            if (pids[i] == 0) {
                close(gate[1]);
                worker(gate[0], report[1]);
            }
        }

        close(gate[0]);
        close(gate[1]);

        for (int i = 0; i < WORKERS; i++) {
            CHECK_EQUAL(1, read(report[0], &verdict, 1));
            CHECK_EQUAL('1', verdict);
        }

        for (int i = 0; i < WORKERS; i++) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }

        CHECK(atoll_zone_inflight(&fixture.zone, 0) >= WORKERS);
        close(report[0]);
        close(report[1]);
    }

    CHECK(claim(&row, (uint64_t) getpid()));
    CHECK_EQUAL(0, atoll_zone_inflight(&fixture.zone, 0));
    fixture_close(&fixture);
}


static void
claim_for_ever(void)
{
    atoll_row_t row;

    for ( ;; ) {
        if (claim(&row, (uint64_t) getpid())) {
            row.peers[1].inflight = 9;
            atomic_store(&row.head->pid, 0);
        }
    }
}


/* Killed at any instruction of a claim, a process leaves nothing that the next claim cannot mend. */
static void
shouldLoseNoRowToClaimsThatAreKilled(void)
{
    int              status;
    pid_t            pid;
    atoll_row_t      row;
    struct timespec  wait = {0, 0};

    fixture_open(&fixture, 2, 4, 3, 4096);

    for (int round = 0; round < 200; round++) {
        pid = tap_fork();

        if (pid == 0) {
            claim_for_ever();
        }

        wait.tv_nsec = (long) (tap_random() % 1000000);
        nanosleep(&wait, NULL);
        kill(pid, SIGKILL);
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    }

    for (int i = 0; i < 3; i++) {
        CHECK(claim(&row, i == 0 ? (uint64_t) getpid() : i == 1 ? (uint64_t) getppid() : 1));
        CHECK_EQUAL(0, row.peers[1].inflight);
    }

    CHECK(!claim(&row, (uint64_t) getpid()));
    CHECK_EQUAL(0, atoll_zone_inflight(&fixture.zone, 1));
    fixture_close(&fixture);
}


int
main(void)
{
    tap_seed();
    RUN(shouldClaimAFreeRow);
    RUN(shouldCarryOnWithTheCountersOfTheDead);
    RUN(shouldLeaveNothingInFlightInARowThatIsGivenBack);
    RUN(shouldNotTakeARowWhosePidIsAnotherProcessNow);
    RUN(shouldForgetWhatAllTheDeadHadInFlight);
    RUN(shouldNeverShareARowAmongProcessesThatClaimAtOnce);
    RUN(shouldLoseNoRowToClaimsThatAreKilled);

    return tap_done();
}
