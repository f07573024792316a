/* What is at the path already: whose it is, whether it can go on, and what a new file takes over from it. */
#include "zone_fixture.h"

#include <signal.h>

#define FOREVER ATOLL_FOREVER

static const char  *pool = "edge1=10.0.0.1:80 edge2=10.0.0.2:80 edge3=10.0.0.3:80";

/* A zone with one pool, written by this process. */
static void
make_zone(const char *path, size_t size)
{
    config_t        config;
    atoll_writer_t  writer;

    config_open(&config, path, size);
    config_add(&config, "cdn", pool);
    publish(&writer, &config);
    atoll_writer_close(&writer);
    config_close(&config);
}

/* Publishes the pool over what is at path, and checks that the outcome is a sound zone. */
static atoll_writer_t
publish_over(const char *path, size_t size)
{
    config_t        config;
    atoll_writer_t  writer;

    config_open(&config, path, size);
    config_add(&config, "cdn", pool);
    publish(&writer, &config);

    atoll_zone_t  zone = look(path);

    need(zone.base != NULL && shows(&zone, &config));
    look_away(&zone);
    config_close(&config);

    return writer;
}

static void
shouldGoOnInAFileThatFits(void)
{
    const char  *path = path_in("same.zone");

    make_zone(path, SIZE);

    ino_t           inode = inode_of(path);
    atoll_zone_t    before = look(path);
    atoll_writer_t  writer;

    atomic_store(&before.header->agent_pid, 77);
    writer = publish_over(path, SIZE);
    ok(!writer.created && inode_of(path) == inode && before.header->replaced == 0, "a file of the same size goes on");
    ok(before.header->config_epoch == 2 && before.header->epoch == 2 && before.header->agent_pid == 77,
       "the epochs count on, the agent stays");

    atoll_writer_close(&writer);
    atomic_store(&before.header->replaced, 1);
    writer = publish_over(path, SIZE);
    ok(writer.created && inode_of(path) != inode && writer.zone.header->config_epoch == 3,
       "one that agents were told to leave does not, should somebody have put it back");

    look_away(&before);
    atoll_writer_close(&writer);
    need(unlink(path) == 0);
}

typedef struct {
    const char  *name;
    size_t       offset;     /* where the damage is */
    uint64_t     value;
    size_t       length;     /* of the file, 0 as it is */
    int          result;
} damage_t;

static void
shouldPutANewFileInPlaceOfOneThatCannotBeUsed(void)
{
    static const damage_t  damages[] = {
        { "AWAIT_READY: a file without its ready word is replaced", 128, 0, 0, ATOLL_ATTACH_AWAIT_READY },
        { "VERSION_MISMATCH: a file of another version is replaced", 8, ATOLL_LAYOUT_VERSION + 0x10000, 0,
          ATOLL_ATTACH_VERSION_MISMATCH },
        { "LAYOUT_MISMATCH: a file of another layout is replaced", 8,
          (uint64_t) (ATOLL_LAYOUT_FINGERPRINT ^ 1) << 32 | ATOLL_LAYOUT_VERSION, 0, ATOLL_ATTACH_LAYOUT_MISMATCH },
        { "TRUNCATED: a file that says it is longer is replaced", 16, SIZE + 1, 0, ATOLL_ATTACH_TRUNCATED },
        { "TRUNCATED: a file cut within its header is replaced", 16, SIZE, 100, ATOLL_ATTACH_TRUNCATED },
        { "TRUNCATED: a file cut in its middle is replaced", 16, SIZE, 100000, ATOLL_ATTACH_TRUNCATED },
        { "TRUNCATED: an empty file is replaced", 16, SIZE, UINT64_MAX, ATOLL_ATTACH_TRUNCATED },
        { "OUT_OF_BOUNDS: a section beyond the end is replaced", 64, SIZE, 0, ATOLL_ATTACH_OUT_OF_BOUNDS },
        { "OUT_OF_BOUNDS: epochs at their end are replaced", 192, UINT64_MAX, 0, ATOLL_ATTACH_OUT_OF_BOUNDS },
    };

    const char  *path = path_in("damaged.zone");

    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        const damage_t  *damage = &damages[i];
        atoll_zone_t     before;
        atoll_writer_t   writer;

        make_zone(path, SIZE);
        before = look(path);
        memcpy(before.base + damage->offset, &damage->value, sizeof(damage->value));
        if (damage->length != 0) {
            look_away(&before);
            need(truncate(path, damage->length == UINT64_MAX ? 0 : (off_t) damage->length) == 0);
        }

        ino_t  inode = inode_of(path);

        writer = publish_over(path, SIZE);
        ok(writer.created && writer.replaced == damage->result && inode_of(path) != inode && files_in_folder() == 1,
           damage->name);
        look_away(&before);
        atoll_writer_close(&writer);
        need(unlink(path) == 0);
    }
}

static void
shouldNotGoOnWhereTwoTablesShareABuffer(void)
{
    config_t        config;
    atoll_writer_t  writer;
    const char     *path = path_in("shared.zone");

    config_open(&config, path, SIZE);
    config_add(&config, "cdn", pool);
    config_add(&config, "img", "x=10.1.0.1:80");
    publish(&writer, &config);
    atomic_store(&state_of(&writer.zone, "cdn", "edge1")->fails, 7);
    writer.zone.upstreams[1].buffer_offset[0] = writer.zone.upstreams[0].buffer_offset[1] + 64;
    atoll_writer_close(&writer);

    publish(&writer, &config);
    ok(writer.created && writer.replaced == ATOLL_ATTACH_OUT_OF_BOUNDS && shows(&writer.zone, &config)
       && state_of(&writer.zone, "cdn", "edge1")->fails == 7,
       "OUT_OF_BOUNDS: a file with buffers that overlap is replaced, the words of its peers are kept");
    atoll_writer_close(&writer);
    config_close(&config);
    need(unlink(path) == 0);
}

static void
shouldLeaveForeignDataAlone(void)
{
    static const char *const  contents[] = { "hello", "#!/bin/sh\nrm -rf nothing\n", "\0\0\0\0\0\0\0\0\0\0\0\0" };
    static const size_t       lengths[] = { 5, 25, 12 };
    const char               *path = path_in("foreign.zone");

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        char      found[32] = "";
        config_t  config;
        int       fd = open(path, O_RDWR | O_CREAT, 0600);

        need(fd != -1 && write(fd, contents[i], lengths[i]) == (ssize_t) lengths[i]);
        config_open(&config, path, SIZE);
        config_add(&config, "cdn", pool);
        ok(refuses(&config, "is not a zone file and is left alone; remove it, or choose another path")
           && pread(fd, found, sizeof(found), 0) == (ssize_t) lengths[i] && memcmp(found, contents[i], lengths[i]) == 0,
           "BAD_MAGIC: a file of somebody else is refused and stays");
        config_close(&config);
        close(fd);
        need(unlink(path) == 0);
    }
}

/* Fills the words of a peer with values that tell it from others. */
static void
mark(const atoll_zone_t *zone, const char *server, uint64_t number)
{
    atoll_peer_state_record_t  *state = state_of(zone, "cdn", server);

    for (unsigned reason = 0; reason < ATOLL_REASON_COUNT_; reason++) {
        atomic_store(&state->reason[reason], NOW + number * 10 + reason);
    }

    atomic_store(&state->ramp_start_ms, number * 10 + 4);
    atomic_store(&state->accessed_ms, number * 10 + 5);
    atomic_store(&state->checked_ms, number * 10 + 6);
    atomic_store(&state->fails, (uint32_t) number);
}

static int
is_marked(const atoll_peer_state_record_t *state, uint64_t number)
{
    int  good = 1;

    for (unsigned reason = 0; reason < ATOLL_REASON_COUNT_; reason++) {
        good &= state->reason[reason] == NOW + number * 10 + reason;
    }

    return good && state->ramp_start_ms == number * 10 + 4 && state->accessed_ms == number * 10 + 5
           && state->checked_ms == number * 10 + 6 && state->fails == number;
}

static void
shouldCarryEverythingOverIntoAFileOfAnotherSize(void)
{
    config_t        config;
    atoll_writer_t  writer;
    const char     *path = path_in("resized.zone");

    config_open(&config, path, SIZE);
    config_add(&config, "gone", "gone1=10.9.0.1:80 gone2=10.9.0.2:80");
    config_add(&config, "cdn", pool);
    publish(&writer, &config);
    atoll_writer_close(&writer);

    atoll_zone_t  before = look(path);

    mark(&before, "edge1", 1);
    mark(&before, "edge2", 2);
    mark(&before, "edge3", 3);
    atomic_store(&state_of(&before, "gone", "gone2")->reason[ATOLL_REASON_ADMIN], FOREVER);
    atomic_store(&before.header->agent_pid, 77);
    atomic_store(&before.header->epoch, 500);
    atomic_store(&before.header->config_epoch, 400);

    for (uint32_t i = 0; i < before.row_count; i += 5) {
        atoll_row_t  row = atoll_zone_row(&before, i);

        atomic_store(&row.head->pid, 1000 + i);
        atomic_store(&row.head->torn, 1);
        atomic_store(&row.upstreams[1].requests, 100);
        atomic_store(&row.peers[slot_of(&before, "cdn", "edge2")].picks, 10);
        atomic_store(&row.peers[slot_of(&before, "cdn", "edge2")].inflight, 3);
    }
    config_close(&config);

    config_open(&config, path, 2 * SIZE);
    config_add(&config, "img", "edge2=10.0.0.2:80");
    config_add(&config, "cdn", "edge4=10.0.0.4:80 edge3=10.0.0.3:80 edge2=10.0.0.2:80");
    publish(&writer, &config);

    const atoll_zone_t  *zone = &writer.zone;
    atoll_row_t          sum = atoll_zone_row(zone, 0);
    uint32_t             edge1 = slot_with(zone, "cdn", "edge1", 0, ATOLL_PEER_LIFE_FORMER);
    uint32_t             gone2 = slot_with(zone, "gone", "gone2", 0, ATOLL_PEER_LIFE_FORMER);
    uint32_t             edge2 = slot_of(zone, "cdn", "edge2");

    ok(writer.created && writer.replaced == ATOLL_ATTACH_OK && shows(zone, &config) && zone->length == 2 * SIZE,
       "a changed size makes a new file");
    ok(before.header->replaced != 0, "the old file says that another took its place");
    ok(is_marked(state_of(zone, "cdn", "edge2"), 2) && is_marked(state_of(zone, "cdn", "edge3"), 3),
       "members keep all their words");
    ok(edge1 != UINT32_MAX && is_marked(&zone->states[edge1], 1) && zone->identities[edge1].retired_epoch == 401,
       "a peer that left keeps its words");
    ok(gone2 != UINT32_MAX && zone->states[gone2].reason[ATOLL_REASON_ADMIN] == FOREVER
       && zone->upstreams[zone->identities[gone2].upstream].state == ATOLL_UPSTREAM_STATE_RETIRED,
       "of an upstream that left, an operator's drain is kept");
    ok(slot_with(zone, "gone", "gone1", 0, ATOLL_PEER_LIFE_FORMER) == UINT32_MAX, "others of it are not");
    ok(state_of(zone, "img", "edge2")->fails == 0 && state_of(zone, "cdn", "edge4")->reason[1] == 0,
       "new peers begin with no words, also under a name known elsewhere");
    ok(sum.head->torn == 13 && sum.upstreams[1].requests == 1300 && sum.peers[edge2].picks == 130
       && sum.peers[edge2].inflight == 0 && sum.upstreams[0].requests == 0, "counters are summed up by name");
    ok(atoll_process_start(sum.head->pid) == 0, "their row belongs to nobody");
    ok(zone->header->epoch > 500 && zone->header->config_epoch == 401 && writer.config_epoch == 401, "epochs go on");
    ok(zone->header->agent_pid == 0, "the agent's words begin anew");

    atoll_writer_close(&writer);
    look_away(&before);
    config_close(&config);
    need(unlink(path) == 0);
}

static void
shouldKeepOnlyWhatLastsOverABoot(void)
{
    config_t        config;
    atoll_writer_t  writer;
    const char     *path = path_in("booted.zone");

    make_zone(path, SIZE);

    atoll_zone_t  before = look(path);

    mark(&before, "edge1", 1);
    mark(&before, "edge2", 2);
    atomic_store(&state_of(&before, "cdn", "edge2")->reason[ATOLL_REASON_ADMIN], FOREVER);
    before.header->boot_id[3] ^= 0x55;
    atomic_store(&before.header->agent_heartbeat_ms, UINT64_C(1) << 60);

    config_open(&config, path, SIZE);
    config_add(&config, "cdn", pool);
    publish(&writer, &config);

    const atoll_peer_state_record_t  *edge1 = state_of(&writer.zone, "cdn", "edge1");
    const atoll_peer_state_record_t  *edge2 = state_of(&writer.zone, "cdn", "edge2");

    ok(writer.created && writer.replaced == ATOLL_ATTACH_OK && shows(&writer.zone, &config), "another boot makes a new file");
    ok(edge1->reason[0] == 0 && edge1->reason[1] == 0 && edge1->reason[3] == 0 && edge1->ramp_start_ms == 0
       && edge1->accessed_ms == 0 && edge1->checked_ms == 0 && edge1->fails == 0, "milliseconds of another boot are dropped");
    ok(edge2->reason[0] == FOREVER && edge2->reason[1] == 0, "an operator's drain for ever stands");
    ok(writer.zone.header->agent_heartbeat_ms == 0 && memcmp(writer.zone.header->boot_id, before.header->boot_id, 16) != 0,
       "the file is of this boot");

    look_away(&before);
    atoll_writer_close(&writer);
    config_close(&config);
    need(unlink(path) == 0);
}

static void
shouldReplaceAFileOfAnotherUser(void)
{
    config_t        config;
    atoll_writer_t  writer;
    struct stat     status;
    const char     *path = path_in("theirs.zone");

    if (geteuid() != 0) {
        tests_run++;
        printf("ok %d - a file of another user is replaced # SKIP giving a file away needs root\n", tests_run);
        return;
    }

    make_zone(path, SIZE);

    atoll_zone_t  before = look(path);

    mark(&before, "edge1", 1);
    need(chown(path, 65534, 65534) == 0);
    config_open(&config, path, SIZE);
    config_add(&config, "cdn", pool);
    publish(&writer, &config);
    ok(writer.created && stat(path, &status) == 0 && status.st_uid == 0 && is_marked(state_of(&writer.zone, "cdn", "edge1"), 1),
       "a file of another user, who could cut it short, is replaced; its words are kept");

    look_away(&before);
    atoll_writer_close(&writer);
    config_close(&config);
    need(unlink(path) == 0);
}

/* ---- processes that own a file ---- */

typedef struct {
    int  to[2], from[2];
} link_t;

static void
link_open(link_t *link)
{
    need(pipe(link->to) == 0 && pipe(link->from) == 0);
}

static void
tell(int fd, uint64_t value)
{
    need(write(fd, &value, sizeof(value)) == (ssize_t) sizeof(value));
}

static uint64_t
hear(int fd)
{
    uint64_t  value;

    need(read(fd, &value, sizeof(value)) == (ssize_t) sizeof(value));

    return value;
}

/* In a child: publishes, says so, and stays until told. */
static pid_t
start_master(const char *path, link_t *link)
{
    pid_t  pid = fork();

    if (pid == 0) {
        make_zone(path, SIZE);
        tell(link->from[1], 0);
        hear(link->to[0]);
        _exit(0);
    }

    need(pid > 0);
    hear(link->from[0]);

    return pid;
}

/* What a process that is neither parent nor child of the owner is told. */
static int
stranger_is_refused(const char *path, uint64_t owner)
{
    char   text[64];
    int    status = 0;
    pid_t  pid = fork();

    if (pid == 0) {
        config_t  config;

        snprintf(text, sizeof(text), "master process %" PRIu64 ";", owner);
        config_open(&config, path, SIZE);
        config_add(&config, "cdn", pool);
        _exit(refuses(&config, text) ? 0 : 1);
    }

    need(pid > 0 && waitpid(pid, &status, 0) == pid);

    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
shouldRefuseAFileWhoseNginxIsRunning(void)
{
    char             error[ATOLL_WRITER_ERROR] = "";
    link_t           link;
    config_t         config;
    atoll_writer_t   writer;
    const char      *path = path_in("owned.zone");

    link_open(&link);

    pid_t  owner = start_master(path, &link);

    ok(stranger_is_refused(path, (uint64_t) owner), "a second nginx is refused with the first one's pid");

    config_open(&config, path, SIZE);
    config_add(&config, "cdn", pool);
    ok(atoll_writer_prepare(&writer, &config.request, 1, error) == 0, "a check is not refused for that");
    ok(atoll_writer_prepare(&writer, &config.request, 0, error) == 0, "the owner's parent may publish");
    atoll_writer_abandon(&writer);

    config.request.size = 2 * SIZE;
    publish(&writer, &config);
    ok(writer.created, "so may it with another size");
    atoll_writer_close(&writer);
    config_close(&config);
    tell(link.to[1], 0);
    need(waitpid(owner, NULL, 0) == owner);
    need(unlink(path) == 0);

    owner = start_master(path, &link);
    kill(owner, SIGKILL);

    siginfo_t  gone;

    need(waitid(P_PID, (id_t) owner, &gone, WEXITED | WNOWAIT) == 0);
    ok(!stranger_is_refused(path, (uint64_t) owner), "a master that died owns nothing, even before it is waited for");
    need(waitpid(owner, NULL, 0) == owner);
    need(unlink(path) == 0);
}

static void
shouldLetABinaryUpgradeTakeTheFile(void)
{
    int          status = 0;
    const char  *path = path_in("upgraded.zone");

    make_zone(path, SIZE);

    pid_t  pid = fork();

    if (pid == 0) {
        atoll_writer_t  writer = publish_over(path, SIZE);

        _exit(writer.zone.header->master_pid == (uint64_t) getpid() ? 0 : 1);
    }

    need(pid > 0 && waitpid(pid, &status, 0) == pid);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child of the owner, as in a binary upgrade, takes the file over");
    need(unlink(path) == 0);
}

/* Commits, goes to the background as nginx does, and has the child named by "a worker". */
static void
run_daemon(const char *path, link_t *link)
{
    config_t        config;
    atoll_writer_t  writer;

    config_open(&config, path, SIZE);
    config_add(&config, "cdn", pool);
    publish(&writer, &config);

    if (fork() != 0) {
        _exit(0);
    }

    atoll_writer_own(&writer.zone, (uint64_t) getpid(), writer.config_epoch);
    atoll_writer_own(&writer.zone, 1, writer.config_epoch - 1);
    tell(link->from[1], (uint64_t) getpid());
    hear(link->to[0]);
    _exit(0);
}

static void
shouldKnowTheMasterOfAnNginxInTheBackground(void)
{
    link_t       link;
    const char  *path = path_in("daemon.zone");

    link_open(&link);

    pid_t  pid = fork();

    if (pid == 0) {
        run_daemon(path, &link);
    }

    uint64_t  master = hear(link.from[0]);

    need(waitpid(pid, NULL, 0) == pid);
    ok(stranger_is_refused(path, master), "the daemon is the owner, not the process that committed, nor one of an older epoch");
    tell(link.to[1], 0);
    need(unlink(path) == 0);
}

int
main(void)
{
    enter_folder();
    shouldGoOnInAFileThatFits();
    shouldPutANewFileInPlaceOfOneThatCannotBeUsed();
    shouldNotGoOnWhereTwoTablesShareABuffer();
    shouldLeaveForeignDataAlone();
    shouldCarryEverythingOverIntoAFileOfAnotherSize();
    shouldKeepOnlyWhatLastsOverABoot();
    shouldReplaceAFileOfAnotherUser();
    shouldRefuseAFileWhoseNginxIsRunning();
    shouldLetABinaryUpgradeTakeTheFile();
    shouldKnowTheMasterOfAnNginxInTheBackground();

    return done_testing();
}
