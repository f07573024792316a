/* A writer that is killed at any instruction, and a zone whose bytes lie: the next commit makes it whole. */
#include "zone_fixture.h"

#include <signal.h>
#include <sys/ptrace.h>

#define VARIANTS 4

/* Instructions that are stepped through at most: six commits, but not all that a sanitizer or valgrind adds to them. */
#define STEPS_LIMIT (getenv("ATOLL_SLOW") == NULL ? 150000u : 10000u)

static const char  *path;

/* Configurations that take turns: peers come, go, return, change places; tables grow; an upstream comes and goes. */
static void
variant(config_t *config, unsigned number)
{
    switch (number % VARIANTS) {
    case 0:
        config_add(config, "cdn", "a=10.0.0.1:80 b=10.0.0.2:80 c=10.0.0.3:80")->slow_start_ms = 1000;
        break;
    case 1:
        config_add(config, "cdn", "c=10.0.0.3:80 n=10.0.0.9:80 *a=10.0.0.1:80")->slow_start_ms = 1000;
        config_add(config, "img", "x=10.1.0.1:80 x=10.1.0.1:80");
        break;
    case 2:
        config_add(config, "img", "y=10.1.0.2:80 x=10.1.0.1:80");
        config_add_with(config, "cdn", "b=10.0.0.2:80 c=10.0.0.3:80 m=10.0.0.8:80 o=10.0.0.7:80", 16 + 16 * (number % 12));
        break;
    default:
        config_add(config, "cdn", "!a=10.0.0.1:80 c=10.0.0.3:80");
        config_add(config, "new", "z=10.2.0.1:80");
        break;
    }
}

static int
commit_variant(const char *file, unsigned number, size_t size)
{
    config_t        config;
    atoll_writer_t  writer;

    config_open(&config, file, size);
    variant(&config, number);
    publish(&writer, &config);

    atoll_zone_t  zone = look(file);
    int           good = zone.base != NULL && shows(&zone, &config);

    look_away(&zone);
    atoll_writer_close(&writer);
    config_close(&config);

    return good;
}

/* Whether a reader that comes now finds for each upstream a sound table, and each of its peers in a slot of that upstream. */
static int
is_whole(const atoll_zone_t *zone)
{
    atoll_table_t  table;

    for (uint32_t i = 0; i < 8; i++) {
        if (zone->upstreams[i].published == 0) {
            continue;
        }
        if (atoll_table_open(&table, zone, i) != ATOLL_TABLE_OK) {
            return 0;
        }
        for (uint32_t n = 0; n < table.peer_count; n++) {
            const atoll_peer_identity_record_t  *peer = &zone->identities[table.peers[n].slot];

            if (peer->upstream != i || peer->incarnation != zone->states[table.peers[n].slot].incarnation
                || peer->state == ATOLL_PEER_LIFE_VACANT)
            {
                return 0;
            }
        }
    }

    return 1;
}

/* Whether each buffer that says it holds a table holds it whole: a reader may still be looking keys up in the older one. */
static int
has_sound_buffers(const atoll_zone_t *zone)
{
    atoll_table_t  table;

    for (uint32_t i = 0; i < 8; i++) {
        const atoll_upstream_record_t  *upstream = &zone->upstreams[i];

        for (int buffer = 0; upstream->buffer_capacity != 0 && buffer < 2; buffer++) {
            unsigned char  *head = zone->base + upstream->buffer_offset[buffer];

            if (((atoll_table_record_t *) head)->sequence != 0
                && atoll_table_check(&table, head, zone->base + zone->length - head) != ATOLL_TABLE_OK)
            {
                return 0;
            }
        }
    }

    return 1;
}

#define MARK (NOW + 12345)

/* Gives each slot a word that only its change of hands takes away, and notes whose it is. */
static void
mark_slots(const atoll_zone_t *zone, uint64_t *incarnations)
{
    for (uint32_t slot = 0; slot < zone->peer_count; slot++) {
        atomic_store(&zone->states[slot].reason[ATOLL_REASON_PROBE], MARK);
        incarnations[slot] = zone->states[slot].incarnation;
    }
}

/* Whether no slot lost its word before it had a new incarnation, and none has a new name with the word of before. */
static int
words_follow(const atoll_zone_t *zone, const uint64_t *incarnations)
{
    for (uint32_t slot = 0; slot < zone->peer_count; slot++) {
        uint64_t  incarnation = zone->states[slot].incarnation;
        int       marked = zone->states[slot].reason[ATOLL_REASON_PROBE] == MARK;

        if (incarnation == incarnations[slot] ? !marked : marked && zone->identities[slot].incarnation == incarnation) {
            return 0;
        }
    }

    return 1;
}

/* Whether two slots in use have the same name. */
static int
has_twins(const atoll_zone_t *zone)
{
    for (uint32_t a = 0; a < zone->peer_count; a++) {
        for (uint32_t b = 0; b < a && zone->identities[a].state != ATOLL_PEER_LIFE_VACANT; b++) {
            const atoll_peer_identity_record_t  *x = &zone->identities[a], *y = &zone->identities[b];

            if (y->state != ATOLL_PEER_LIFE_VACANT && x->upstream == y->upstream && x->ordinal == y->ordinal
                && x->server_length == y->server_length && memcmp(x->server, y->server, x->server_length) == 0
                && x->address_length == y->address_length && memcmp(x->address, y->address, x->address_length) == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}

/* Writes the zone's bytes, as they are now, to another file. */
static void
copy_zone(const atoll_zone_t *zone, const char *to)
{
    unlink(to);

    int  fd = open(to, O_RDWR | O_CREAT, 0600);

    need(fd != -1 && write(fd, zone->base, zone->length) == (ssize_t) zone->length);
    close(fd);
}

/* Commits number with the process stopped before and after the commit itself. */
static void
commit_in_steps(unsigned number, size_t size)
{
    config_t        config;
    atoll_writer_t  writer;
    char            error[ATOLL_WRITER_ERROR];

    config_open(&config, path, size);
    variant(&config, number);
    need(atoll_writer_prepare(&writer, &config.request, 0, error) == 0);
    need(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    raise(SIGSTOP);
    atoll_writer_commit(&writer, &config.request);
    raise(SIGSTOP);
    _exit(0);
}

typedef struct {
    unsigned long  steps, retries;
    int            whole, sound, followed, mended;
} steps_t;

/*
 * Runs one commit an instruction at a time. After each the zone must be whole; every so often a copy of it, as a kill at that
 * point would leave it, gets the next commit.
 */
static void
step_through(unsigned number, size_t size, unsigned every, steps_t *result)
{
    int           status;
    char          copy[300];
    atoll_zone_t  zone = look(path);
    uint64_t     *incarnations = calloc(zone.peer_count, sizeof(uint64_t));

    need(zone.base != NULL && incarnations != NULL);
    mark_slots(&zone, incarnations);

    pid_t  pid = fork();

    snprintf(copy, sizeof(copy), "%s.copy", path);
    need(pid != -1);

    if (pid == 0) {
        commit_in_steps(number, size);
    }

    need(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);

    for ( ;; ) {
        need(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
        if (WSTOPSIG(status) == SIGSTOP || result->steps == STEPS_LIMIT) {
            break;
        }

        result->steps++;
        result->whole &= is_whole(&zone);
        result->sound &= has_sound_buffers(&zone);
        result->followed &= words_follow(&zone, incarnations);

        if (result->steps % every == 0) {
            copy_zone(&zone, copy);
            result->retries++;
            result->mended &= commit_variant(copy, number + 1, size);

            atoll_zone_t  mended = look(copy);

            result->mended &= mended.base != NULL && is_whole(&mended) && !has_twins(&mended);
            look_away(&mended);
        }
    }

    need(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
    unlink(copy);
    look_away(&zone);
    free(incarnations);
}

static void
shouldLeaveAWholeZoneAtEveryInstruction(void)
{
    const size_t  size = 1 << 20;
    steps_t       result = { .whole = 1, .sound = 1, .followed = 1, .mended = 1 };

    path = path_in("stepped.zone");
    need(commit_variant(path, 0, size));

    for (unsigned number = 1; number <= VARIANTS + 2 && result.steps < STEPS_LIMIT; number++) {
        step_through(number, size, 997, &result);
        need(commit_variant(path, number, size));
    }

    note("%lu instructions, %lu times killed and mended", result.steps, result.retries);
    ok(result.steps > 1000 && result.whole, "at every instruction of a commit a reader finds a whole table");
    ok(result.sound, "who still uses the table of before sees that it is being overwritten");
    ok(result.followed, "a slot that changes hands has a new incarnation before its words go, and a name after they went");
    ok(result.retries > 5 && result.mended, "the next commit after a kill there is right, and no peer has two slots");
    need(unlink(path) == 0);
}

static void
shouldSurviveWritersThatAreKilledAtRandom(void)
{
    const size_t     size = 1 << 20;
    unsigned         number = 0, kills = 0;
    int              whole = 1, mended = 1;
    struct timespec  pause = { 0 };

    path = path_in("killed.zone");
    need(commit_variant(path, 0, size));

    for ( ; kills < 60; kills++) {
        pid_t  pid = fork();

        if (pid == 0) {
            for ( ;; ) {
                commit_variant(path, ++number, size);
            }
        }

        pause.tv_nsec = 200000 + random_below(2000000);
        need(pid != -1 && nanosleep(&pause, NULL) == 0 && kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);

        atoll_zone_t  zone = look(path);

        whole &= zone.base != NULL && is_whole(&zone);
        look_away(&zone);
        number = random_below(1000);
        mended &= commit_variant(path, number, size);
        zone = look(path);
        mended &= zone.base != NULL && !has_twins(&zone) && files_in_folder() == 1;
        look_away(&zone);
    }

    ok(whole, "60 writers killed at random each leave a whole zone");
    ok(mended, "after each the next commit is right, and takes away what the dead one left");
    need(unlink(path) == 0);
}

/* Changes bytes: mostly where the numbers are, which do harm, not in text. */
static void
damage(const atoll_zone_t *zone, unsigned count)
{
    const size_t  tables = (size_t) zone->tables_offset;

    for (unsigned i = 0; i < count; i++) {
        static const uint64_t  nasty[] = { 0, 1, UINT64_MAX, INT32_MAX, UINT32_MAX, UINT64_C(1) << 63, 4096 };
        size_t                 places[] = {
            136 + random_below(512),
            4096 + random_below(8 * (uint32_t) sizeof(atoll_upstream_record_t)),
            (size_t) ((unsigned char *) zone->identities - zone->base)
                + random_below(16 * (uint32_t) sizeof(atoll_peer_identity_record_t)),
            (size_t) ((unsigned char *) zone->states - zone->base) + random_below(16 * 128),
            tables + random_below((uint32_t) (zone->length - tables)),
            128 + random_below((uint32_t) zone->length - 136)
        };
        size_t                 place = places[random_below(6)];

        if (random_below(2)) {
            zone->base[place] ^= (unsigned char) (1 + random_below(255));
        } else {
            memcpy(zone->base + (place & ~(size_t) 7), &nasty[random_below(7)], 8);
        }
    }
}

static void
shouldTakeAZoneOfLiesForInput(void)
{
    const unsigned  rounds = getenv("ATOLL_SLOW") ? 50 : 400;
    const size_t    size = 1 << 20;
    unsigned        replaced = 0;
    int             right = 1;

    path = path_in("lying.zone");

    for (unsigned round = 0; round < rounds; round++) {
        config_t        config;
        atoll_writer_t  writer;
        char            error[ATOLL_WRITER_ERROR] = "";

        need(commit_variant(path, round, size));

        atoll_zone_t  live = look(path);
        atoll_zone_t  now;

        need(live.base != NULL);
        atomic_store(&live.header->master_pid, 0);
        damage(&live, 1 + random_below(40));
        atomic_store(&live.header->master_pid, 0);

        config_open(&config, path, random_below(8) == 0 ? 2 * size : size);
        variant(&config, round + 1);
        if (atoll_writer_prepare(&writer, &config.request, 0, error) != 0) {
            note("round %u: %s", round, error);
            right = 0;
            break;
        }

        replaced += (unsigned) writer.created;
        damage(&live, random_below(40));
        atoll_writer_commit(&writer, &config.request);

        /* Damage between prepare and commit may stay; with the next commit all of it must be gone. */
        now = look(path);
        if (now.base != NULL) {
            atomic_store(&now.header->master_pid, 0);
        }
        look_away(&now);
        right &= commit_variant(path, round + 2, size);
        look_away(&live);
        atoll_writer_close(&writer);
        config_close(&config);
        need(unlink(path) == 0);
    }

    note("%u rounds, %u new files", rounds, replaced);
    ok(right && replaced > rounds / 20 && replaced < rounds, "zones with lies in them are mended or replaced by the next commits");
}

int
main(void)
{
    random_seed();
    enter_folder();
    shouldLeaveAWholeZoneAtEveryInstruction();
    shouldSurviveWritersThatAreKilledAtRandom();
    shouldTakeAZoneOfLiesForInput();

    return done_testing();
}
