/* Zone files that are cut short, or written over, under the processes that have them mapped. */
#include "zone_fixture.h"

#include <signal.h>

#include "../atoll_zone_guard.h"

#define POINTS 160

static atomic_uint  *told;     /* shared: how often it was told first */
static const char   *path;

static struct sigaction  at_start;

static void
count_told(const char *at, int first)
{
    *told += first && strcmp(at, path) == 0;
}

static void
variant(config_t *config, unsigned number)
{
    char  *peers = many_peers("cdn-", number, 20);

    config_open(config, path, SIZE);
    config_add_with(config, "cdn", peers, POINTS);
    free(peers);
}

/* Publishes variant number at path. */
static void
start(atoll_writer_t *writer, unsigned number)
{
    config_t  config;

    variant(&config, number);
    publish(writer, &config);
    need(writer->copy_errno == 0 && !writer->lost);
    config_close(&config);
}

/* A digest of who owns the keys, 0 when there is no usable table. */
static uint64_t
owners(const atoll_zone_t *zone)
{
    uint64_t       sum = 1;
    atoll_table_t  table;

    if (atoll_table_open(&table, zone, 0) != ATOLL_TABLE_OK) {
        return 0;
    }

    for (uint32_t hash = 0, i = 0; i < 1000; i++, hash += UINT32_C(0x9e3779b1)) {
        uint32_t  point = atoll_ring_find(&table.ring[ATOLL_RING_PRIMARY], hash);
        uint32_t  group = table.ring[ATOLL_RING_PRIMARY].points[point].group;

        sum = sum * 31 + zone->states[table.peers[table.groups[group].first_peer].slot].incarnation;
    }

    return sum;
}

/* In a child, so that what is not caught is told: its status. */
static int
run(int (*action)(atoll_writer_t *writer), atoll_writer_t *writer)
{
    int    status;
    pid_t  pid = fork();

    need(pid != -1);

    if (pid == 0) {
        _exit(action(writer));
    }

    need(waitpid(pid, &status, 0) == pid);

    if (WIFSIGNALED(status)) {
        note("signal %d", WTERMSIG(status));
    }

    return status;
}

static uint64_t  expected;

static int
has_the_owners(atoll_writer_t *writer)
{
    atoll_zone_touch(&writer->zone);

    return owners(&writer->zone) == expected && atoll_guard_check(&writer->zone) ? 0 : 1;
}

static void
shouldGoOnWithTheTablesOfTheLastCommitWhereverTheFileIsCut(void)
{
    int  good = 1;

    for (unsigned i = 0; i < 40; i++) {
        atoll_writer_t  writer;

        start(&writer, i);
        expected = owners(&writer.zone);

        off_t  cut = i == 0 ? 0 : i == 1 ? 2048 : (off_t) random_below(SIZE - 4096);

        *told = 0;
        need(expected != 0 && truncate(path, cut) == 0);

        int  first = run(has_the_owners, &writer), second = run(has_the_owners, &writer);

        if (first != 0 || second != 0 || *told != 1) {
            note("cut at %ld: %d, %d, told %u times", (long) cut, first, second, *told);
            good = 0;
        }
        atoll_writer_close(&writer);
    }

    ok(good, "wherever the file is cut, each process goes on with the tables of the last commit, and one tells of it");
}

static int
tries_each_word(atoll_writer_t *writer)
{
    atoll_zone_t  *zone = &writer->zone;
    atoll_row_t    row = atoll_zone_row(zone, 3);
    uint64_t       last = atoll_relaxed(zone->purges->last);

    atomic_fetch_add(&row.peers[2].picks, 1);
    atomic_store(&zone->states[2].reason[ATOLL_REASON_PASSIVE], NOW);

    return atoll_guard_is_lost(zone->base) && last == 7 && row.peers[2].picks == 1 && zone->header->agent_heartbeat_ms == 0
           && atoll_relaxed(zone->states[1].reason[ATOLL_REASON_ADMIN]) == UINT64_MAX ? 0 : 1;
}

static int
keeps_no_purges_believed(atoll_writer_t *writer)
{
    const atoll_purges_record_t  *purges = writer->zone.purges;
    struct timespec               now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    atoll_zone_touch(&writer->zone);

    return atoll_relaxed(purges->loaded) == ATOLL_PURGES_LOADED_NO && atoll_relaxed(purges->nonce) != expected
           && (uint64_t) now.tv_sec * 1000 + 1000 - atoll_relaxed(purges->since_ms) < 10000 ? 0 : 1;
}

static void
shouldKeepDrainsAndBelieveNoPurges(void)
{
    config_t        config;
    atoll_writer_t  writer;

    start(&writer, 0);
    atomic_store(&writer.zone.states[1].reason[ATOLL_REASON_ADMIN], UINT64_MAX);
    atomic_store(&writer.zone.header->agent_heartbeat_ms, NOW);
    atomic_store(&writer.zone.purges->last, 7);
    atomic_store(&writer.zone.purges->loaded, ATOLL_PURGES_LOADED_YES);
    atoll_writer_close(&writer);

    variant(&config, 0);
    publish(&writer, &config);
    config_close(&config);
    atomic_store(&writer.zone.purges->loaded, ATOLL_PURGES_LOADED_YES);
    expected = writer.zone.purges->nonce;
    need(truncate(path, 0) == 0);

    ok(run(tries_each_word, &writer) == 0, "drains stand, words are written, no agent is there any more");
    ok(run(keeps_no_purges_believed, &writer) == 0, "purges that may have come since are waited for: nothing of before is used");
    atoll_writer_close(&writer);
}

static void
shouldNoticeAFileThatWasWrittenOver(void)
{
    static unsigned char  garbage[SIZE];
    atoll_writer_t        writer;
    int                   fd;

    for (size_t i = 0; i < sizeof(garbage); i++) {
        garbage[i] = (unsigned char) random_next();
    }

    start(&writer, 0);
    expected = owners(&writer.zone);
    ok(!atoll_guard_check(&writer.zone), "a zone that is there is not lost");
    fd = open(path, O_RDWR);
    need(fd != -1 && pwrite(fd, garbage, sizeof(garbage), 0) == sizeof(garbage) && close(fd) == 0);
    ok(owners(&writer.zone) == 0 && atoll_guard_check(&writer.zone) && owners(&writer.zone) == expected,
       "one that was written over at its length is, once somebody finds no table");
    atoll_writer_close(&writer);
    need(unlink(path) == 0);

    start(&writer, 0);
    need(truncate(path, 0) == 0 && truncate(path, SIZE) == 0);
    ok(atoll_guard_check(&writer.zone) && owners(&writer.zone) == expected, "as is one that was cut and made as long again");
    atoll_writer_close(&writer);
    need(unlink(path) == 0);
}

static int
reads_zeros(atoll_writer_t *writer)
{
    atoll_guard_copy(writer->zone.base, -1);
    atoll_zone_touch(&writer->zone);

    return owners(&writer->zone) == 0 && writer->zone.header->magic == 0 ? 0 : 1;
}

static void
shouldReadZerosWithoutACopy(void)
{
    atoll_writer_t  writer;

    start(&writer, 0);
    need(truncate(path, 0) == 0);
    ok(run(reads_zeros, &writer) == 0, "without a copy the zone is blank, and no table is usable");
    atoll_writer_close(&writer);
}

/* ---- other faults ---- */

static volatile unsigned char *
cut_mapping(void)
{
    const char  *other = path_in("other");
    int          fd = open(other, O_RDWR | O_CREAT, 0600);

    need(fd != -1 && ftruncate(fd, 8192) == 0);

    unsigned char  *base = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    need(base != MAP_FAILED && ftruncate(fd, 0) == 0 && close(fd) == 0);

    return base;
}

static int
touches_another(atoll_writer_t *writer)
{
    (void) writer;

    return *cut_mapping();
}

static int
is_sent_one(atoll_writer_t *writer)
{
    (void) writer;
    raise(SIGBUS);

    return 0;
}

static void
exit_with_seven(int number)
{
    (void) number;
    _exit(7);
}

static void
exit_with_nine(int number, siginfo_t *info, void *context)
{
    (void) number;
    (void) context;
    _exit(info->si_code > 0 ? 9 : 10);
}

/* In a process that has no guard yet: a handler is there before it, or none. */
static int
with_former(void (*handler)(int), void (*action)(int, siginfo_t *, void *), int (*fault)(atoll_writer_t *writer))
{
    int    status;
    pid_t  pid = fork();

    need(pid != -1);

    if (pid == 0) {
        struct sigaction  former = { .sa_handler = handler };
        atoll_writer_t    writer;

        if (action != NULL) {
            former.sa_sigaction = action;
            former.sa_flags = SA_SIGINFO;
        }

        need(sigaction(SIGBUS, &former, NULL) == 0);
        start(&writer, 0);
        _exit(fault(&writer));
    }

    need(waitpid(pid, &status, 0) == pid);

    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void
shouldPassEveryOtherSignalOn(void)
{
    ok(with_former(SIG_DFL, NULL, touches_another) == -SIGBUS, "another mapping that is cut ends the process, as without the guard");
    ok(with_former(SIG_IGN, NULL, touches_another) == -SIGBUS, "also where SIGBUS is ignored");
    ok(with_former(exit_with_seven, NULL, touches_another) == 7, "or calls the handler that was there");
    ok(with_former(NULL, exit_with_nine, touches_another) == 9, "with what is known of the fault");
    ok(with_former(SIG_DFL, NULL, is_sent_one) == -SIGBUS, "one that is sent ends the process");
    ok(with_former(SIG_IGN, NULL, is_sent_one) == 0, "or is ignored");
    ok(with_former(NULL, exit_with_nine, is_sent_one) == 10, "or handled");
}

/* ---- the master ---- */

/* Cuts the file again and again, at random, until it is killed. */
static pid_t
start_cutting(void)
{
    pid_t  pid = fork();

    need(pid != -1);

    if (pid == 0) {
        for ( ;; ) {
            struct timespec  pause = { 0, 20000 + random_below(10) * random_below(400000) };

            struct stat      status;

            nanosleep(&pause, NULL);

            if (stat(path, &status) == 0 && status.st_size > 0) {
                (void) truncate(path, random_below(4) == 0 ? 0 : (off_t) random_below((uint32_t) status.st_size));
            }
        }
    }

    return pid;
}

static int
commits_while_it_is_cut(atoll_writer_t *writer)
{
    unsigned  lost = 0, wrong = 0, rounds = getenv("ATOLL_SLOW") ? 40 : 400;

    for (unsigned i = 0; i < rounds; i++) {
        config_t  config;
        char      error[ATOLL_WRITER_ERROR] = "";

        variant(&config, i % 50);

        if (atoll_writer_prepare(writer, &config.request, 0, error) != 0) {
            note("refused: %s", error);
            wrong++;
        } else {
            atoll_writer_commit(writer, &config.request);
            lost += writer->lost != 0;
            atoll_zone_touch(&writer->zone);
            (void) atoll_guard_check(&writer->zone);
            wrong += !writer->lost && writer->copy_errno == 0 && !shows(&writer->zone, &config);
            atoll_writer_close(writer);
        }

        config_close(&config);
    }

    note("%u commits, lost in %u, wrong %u", rounds, lost, wrong);

    return wrong != 0;
}

static void
shouldCommitWhileTheFileIsCut(void)
{
    atoll_writer_t  writer = { 0 };
    pid_t           cutter;

    (void) unlink(path);
    fflush(stdout);
    cutter = start_cutting();
    ok(run(commits_while_it_is_cut, &writer) == 0, "a master that publishes while the file is cut at any moment lives, and its tables are right");
    need(kill(cutter, SIGKILL) == 0 && waitpid(cutter, NULL, 0) == cutter);

    config_t  config;

    (void) unlink(path);
    start(&writer, 3);
    variant(&config, 3);
    ok(shows(&writer.zone, &config), "and publishes once it is left alone");
    config_close(&config);
    atoll_writer_close(&writer);
}

/* By another one than had it at the start: a sanitizer has its own. */
static int
is_handled(void)
{
    struct sigaction  action;

    need(sigaction(SIGBUS, NULL, &action) == 0);

    return action.sa_handler != at_start.sa_handler;
}

static void
shouldLeaveNoHandlerBehind(void)
{
    atoll_writer_t  writer = { 0 }, next = { 0 };

    ok(!is_handled(), "without a zone there is no handler");

    start(&writer, 1);
    start(&next, 2);
    ok(is_handled(), "with zones there is");

    atoll_writer_close(&writer);
    ok(is_handled(), "with one of two as well");

    atoll_writer_close(&next);
    ok(!is_handled(), "and with the last zone it goes");
}

int
main(void)
{
    random_seed();
    need(sigaction(SIGBUS, NULL, &at_start) == 0);
    enter_folder();
    path = strdup(path_in("cut.zone"));
    told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(path != NULL && told != MAP_FAILED);

    shouldPassEveryOtherSignalOn();
    atoll_guard_lost = count_told;
    shouldGoOnWithTheTablesOfTheLastCommitWhereverTheFileIsCut();
    shouldKeepDrainsAndBelieveNoPurges();
    shouldNoticeAFileThatWasWrittenOver();
    shouldReadZerosWithoutACopy();
    shouldCommitWhileTheFileIsCut();
    shouldLeaveNoHandlerBehind();

    return done_testing();
}
