/* A zone file is created whole, or refused with a sentence that helps; `nginx -t` leaves nothing. */
#include "zone_fixture.h"

#include <sched.h>
#include <sys/mount.h>

static void
shouldCreateAZoneThatAReaderAttaches(void)
{
    config_t        config;
    atoll_writer_t  writer;
    struct stat     status;
    const char     *path = path_in("new.zone");

    config_open(&config, path, SIZE);
    config.request.node = "edge1";
    config_add(&config, "cdn", "edge1=10.0.0.1:80 edge2=10.0.0.2:80 edge2=10.0.0.3:80 *spare=10.0.0.9:80 !old=10.0.0.8:80")
        ->slow_start_ms = 30000;
    config_add(&config, "img", "img1=10.1.0.1:80");
    publish(&writer, &config);

    atoll_zone_t  zone = look(path);

    ok(zone.base != NULL, "a new file attaches");
    ok(writer.created && writer.replaced == ATOLL_ATTACH_OK && writer.rename_errno == 0, "it says that the file is new");
    ok(shows(&zone, &config), "both tables are there, each peer with the slot of its name");
    ok(zone.header->epoch == 2 && zone.header->config_epoch == 1 && writer.config_epoch == 1, "epochs begin at 1");
    ok(zone.header->node_length == 5 && memcmp(zone.header->node, "edge1", 5) == 0, "the node's name is there");
    ok(zone.header->master_pid == (uint64_t) getpid() && zone.header->master_start == atoll_process_start((uint64_t) getpid()),
       "the owner is this process");
    ok(zone.upstreams[0].slow_start_ms == 30000 && zone.upstreams[1].slow_start_ms == 0, "settings are there");
    ok(stat(path, &status) == 0 && (status.st_mode & 07777) == 0660 && status.st_gid == config.request.group
       && status.st_size == SIZE, "mode 0660, the group asked for, the size asked for");
    ok(status.st_blocks * 512 >= SIZE, "each page is reserved");
    ok(files_in_folder() == 1, "no temporary file is left");

    look_away(&zone);
    atoll_writer_close(&writer);
    config_close(&config);
    need(unlink(path) == 0);
}

static void
shouldTellThatANewFileCouldNotBePutInItsPlace(void)
{
    config_t        config;
    atoll_writer_t  writer;
    char            error[ATOLL_WRITER_ERROR] = "";
    const char     *folder_then = path_in("then"), *folder_now = path_in("now");

    need(mkdir(folder_then, 0755) == 0);
    config_open(&config, path_in("then/atoll.zone"), SIZE);
    config_add(&config, "cdn", "a=10.0.0.1:80 b=10.0.0.2:80");

    need(atoll_writer_prepare(&writer, &config.request, 0, error) == 0);
    need(rename(folder_then, folder_now) == 0);
    atoll_writer_commit(&writer, &config.request);

    ok(writer.rename_errno == ENOENT, "the folder that went away is told");
    ok(writer.created && shows(&writer.zone, &config), "nginx has its zone all the same");

    atoll_writer_close(&writer);
    config_close(&config);

    char  left[300];

    snprintf(left, sizeof(left), "%s/.atoll.zone.%d.%" PRIu64 ".new", folder_now, (int) getpid(),
             atoll_process_start((uint64_t) getpid()));
    need(unlink(left) == 0 && rmdir(folder_now) == 0);
}

static void
shouldHoldAThousandPeersInEightMegabytes(void)
{
    config_t        config;
    atoll_writer_t  writer;
    const char     *path = path_in("thousand.zone");
    char           *peers = many_peers("edge", 0, 1000);

    config_open(&config, path, SIZE);
    config_add_with(&config, "cdn", peers, 160);
    publish(&writer, &config);
    ok(shows(&writer.zone, &config) && writer.zone.peer_count == 1024, "1,000 peers with 160 points each fit in 8m");
    note("table %zu bytes, heap %" PRIu64, config.upstreams[0].table_length, writer.zone.tables_length);
    atoll_writer_close(&writer);
    config_close(&config);
    free(peers);
    need(unlink(path) == 0);
}

static void
shouldTellTheSizeThatIsNeeded(void)
{
    static const unsigned  counts[] = { 300, 1000, 1700 };
    const char            *path = path_in("small.zone");

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        char            error[ATOLL_WRITER_ERROR] = "";
        config_t        config;
        atoll_writer_t  writer;
        unsigned long   needed = 0;
        char           *peers = many_peers("edge", 0, counts[i]);

        config_open(&config, path, 1 << 20);
        config_add_with(&config, "cdn", peers, 160);
        need(atoll_writer_prepare(&writer, &config.request, 0, error) == -1);
        note("%s", error);

        char  *found = strstr(error, "size=");

        ok(found != NULL && sscanf(found, "size=%lum", &needed) == 1 && files_in_folder() == 0,
           "a file too small is refused with the size that is needed");

        config.request.size = (needed - 1) << 20;
        ok(refuses(&config, found == NULL ? "?" : found), "one megabyte less is too small as well");

        config.request.size = needed << 20;
        publish(&writer, &config);
        ok(shows(&writer.zone, &config), "the size told is enough");

        atoll_writer_close(&writer);
        config_close(&config);
        free(peers);
        need(unlink(path) == 0);
    }
}

static void
shouldTellAnNginxTestTheSameAndLeaveNothing(void)
{
    char            error[ATOLL_WRITER_ERROR] = "";
    config_t        config;
    atoll_writer_t  writer;
    struct stat     before, after;
    const char     *path = path_in("checked.zone");

    config_open(&config, path, SIZE);
    config_add(&config, "cdn", "edge1=10.0.0.1:80");

    need(stat(folder, &before) == 0);
    ok(atoll_writer_prepare(&writer, &config.request, 1, error) == 0 && writer.state == NULL, "a check without a file passes");
    ok(stat(folder, &after) == 0 && files_in_folder() == 0 && memcmp(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim)) == 0,
       "it makes nothing in the folder");

    publish(&writer, &config);
    atoll_writer_close(&writer);
    config_add(&config, "img", "img1=10.1.0.1:80");

    for (size_t size = SIZE; size <= 2 * SIZE; size += SIZE) {
        char          *copy = malloc(SIZE);
        atoll_zone_t   zone = look(path);

        memcpy(copy, zone.base, SIZE);
        need(stat(path, &before) == 0);
        config.request.size = size;
        ok(atoll_writer_prepare(&writer, &config.request, 1, error) == 0, size == SIZE
           ? "a check of a changed configuration passes" : "a check of a changed size passes");
        ok(stat(path, &after) == 0 && before.st_ino == after.st_ino && files_in_folder() == 1
           && memcmp(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim)) == 0
           && memcmp(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim)) == 0
           && memcmp(copy, zone.base, SIZE) == 0, "inode, times and content are as before");
        atoll_writer_abandon(&writer);
        atoll_writer_close(&writer);
        look_away(&zone);
        free(copy);
    }

    config.request.size = 64 << 10;
    ok(atoll_writer_prepare(&writer, &config.request, 1, error) == -1 && strstr(error, "size=1m") != NULL,
       "a check refuses a size that is too small");
    config.request.path = path_in("no/such/atoll.zone");
    config.request.size = SIZE;
    ok(atoll_writer_prepare(&writer, &config.request, 1, error) == -1 && strstr(error, "cannot create the folder") != NULL,
       "a check refuses a folder that cannot be made");
    note("%s", error);

    config_close(&config);
    need(unlink(path) == 0);
}

static void
shouldLeaveNothingWhenAbandoned(void)
{
    char            error[ATOLL_WRITER_ERROR] = "", path[400];
    config_t        config;
    atoll_writer_t  writer;

    snprintf(path, sizeof(path), "%s/made/atoll.zone", folder);
    config_open(&config, path, SIZE);
    config_add(&config, "cdn", "edge1=10.0.0.1:80");

    need(atoll_writer_prepare(&writer, &config.request, 0, error) == 0);
    ok(access(path_in("made"), F_OK) == 0 && access(path, F_OK) == -1, "prepare makes a missing folder, not yet the file");
    atoll_writer_abandon(&writer);
    ok(files_in_folder() == 0, "abandon removes both");

    publish(&writer, &config);
    atoll_writer_close(&writer);

    struct stat  status;

    ok(stat(path_in("made"), &status) == 0 && (status.st_mode & 07777) == 0755 && access(path, F_OK) == 0,
       "commit leaves the file in its folder of mode 0755");

    atoll_zone_t  zone = look(path);
    char         *copy = malloc(SIZE);

    memcpy(copy, zone.base, SIZE);
    config_add(&config, "img", "img1=10.1.0.1:80");
    need(atoll_writer_prepare(&writer, &config.request, 0, error) == 0);
    atoll_writer_abandon(&writer);
    ok(memcmp(copy, zone.base, SIZE) == 0, "abandon leaves a live zone as it was, byte for byte");

    look_away(&zone);
    free(copy);
    config_close(&config);
    remove_folder();
    need(mkdir(folder, 0700) == 0);
}

static void
shouldRefuseWhatCannotBeAZoneFile(void)
{
    config_t     config;
    const char  *path = path_in("odd");

    config_open(&config, path, SIZE);
    config_add(&config, "cdn", "edge1=10.0.0.1:80");

    need(symlink("target", path) == 0);
    ok(refuses(&config, "symbolic link") && access(path_in("target"), F_OK) == -1, "a symbolic link is not followed");
    need(unlink(path) == 0 && mkdir(path, 0755) == 0);
    ok(refuses(&config, "not a regular file"), "a folder is refused");
    need(rmdir(path) == 0 && mkfifo(path, 0600) == 0);
    ok(refuses(&config, "not a regular file"), "a pipe is refused, without waiting for its other end");
    need(unlink(path) == 0);

    config.request.path = path_in("no/such/atoll.zone");
    ok(refuses(&config, "cannot create the folder"), "a folder whose parent is missing is refused");
    config.request.path = path_in("");
    ok(refuses(&config, "atoll_zone"), "a path without a file name is refused");
    config.request.path = "/dev/null/atoll.zone";
    ok(refuses(&config, "Not a directory"), "a file in place of the folder is refused");
    config_close(&config);
}

static void
shouldRefuseWhatDoesNotFitInARecord(void)
{
    char             text[400], name[140];
    config_t         config;
    const char      *path = path_in("long.zone");

    memset(text, 'a', 257);
    strcpy(text + 257, "=10.0.0.1:80");
    config_open(&config, path, SIZE);
    config_add(&config, "cdn", text);
    ok(refuses(&config, "257 bytes; the zone holds up to 256"), "a server name of 257 bytes is refused");
    config_close(&config);

    strcpy(text, "edge=unix:");
    memset(text + 10, 'p', 160);
    text[170] = '\0';
    config_open(&config, path, SIZE);
    config_add(&config, "cdn", text);
    ok(refuses(&config, "165 bytes; the zone holds up to 160"), "an address of 165 bytes is refused");
    config_close(&config);

    config_open(&config, path, SIZE);
    config_add(&config, "cdn", "edge1=10.0.0.1:80");
    config_add(&config, "cdn", "edge2=10.0.0.2:80");
    ok(refuses(&config, "declared twice"), "two upstreams of one name are refused");
    config_close(&config);

    config_open(&config, path, SIZE);
    for (unsigned i = 0; i < 65; i++) {
        snprintf(name, sizeof(name), "cdn%u", i);
        config_add(&config, name, "edge1=10.0.0.1:80");
    }
    ok(refuses(&config, "65 upstreams use atoll; a zone holds up to 64"), "65 upstreams are refused");
    config_close(&config);

    config_open(&config, path, SIZE);
    config_add(&config, "cdn", "edge1=10.0.0.1:80 edge2=10.0.0.2:80");
    ((unsigned char *) (uintptr_t) config.upstreams[0].table)[300] ^= 1;
    ok(refuses(&config, "is not valid"), "a table that contradicts itself is refused");
    config_close(&config);
    ok(files_in_folder() == 0, "none of them leaves a file");
}

/* In a mount namespace of its own, as root: 2 MiB of disk. */
static int
fill_disk(const char *mount_point)
{
    char             error[ATOLL_WRITER_ERROR] = "", path[300];
    config_t         config;
    atoll_writer_t   writer;

    if (unshare(CLONE_NEWNS) == -1 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == -1
        || mount("tmpfs", mount_point, "tmpfs", 0, "size=2m") == -1)
    {
        return 2;
    }

    snprintf(path, sizeof(path), "%s/atoll.zone", mount_point);
    config_open(&config, path, SIZE);
    config_add(&config, "cdn", "edge1=10.0.0.1:80");

    for (int check_only = 0; check_only < 2; check_only++) {
        if (atoll_writer_prepare(&writer, &config.request, check_only, error) != -1
            || strstr(error, "No space left on device") == NULL)
        {
            return 1;
        }
    }

    note("%s", error);
    config.request.size = 1 << 20;
    publish(&writer, &config);

    return rmdir(mount_point) == -1 && access(path, F_OK) == 0 && shows(&writer.zone, &config) ? 0 : 1;
}

static void
shouldRefuseAFullDiskAtOnce(void)
{
    int          status = 0;
    const char  *mount_point = path_in("disk");

    if (geteuid() != 0) {
        tests_run++;
        printf("ok %d - a full disk is refused at once # SKIP mounting needs root\n", tests_run);
        return;
    }

    need(mkdir(mount_point, 0755) == 0);

    pid_t  child = fork();

    if (child == 0) {
        _exit(fill_disk(mount_point));
    }

    need(waitpid(child, &status, 0) == child);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a full disk is refused at once, and a file that fits is made");
    need(rmdir(mount_point) == 0);
}

/* As another user, when root. */
static int
meet_denial(const char *path, const char *closed)
{
    config_t  config;

    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
        return 2;
    }

    config_open(&config, path, SIZE);
    config_add(&config, "cdn", "edge1=10.0.0.1:80");
    if (!refuses(&config, "Permission denied")) {
        return 1;
    }

    config.request.path = closed;

    return refuses(&config, "Permission denied") ? 0 : 1;
}

static void
shouldRefuseWhereNginxMayNotWrite(void)
{
    int          status = 0;
    const char  *path = path_in("denied.zone");
    const char  *closed = path_in("closed/atoll.zone");

    need(chmod(folder, 0755) == 0 && close(open(path, O_CREAT | O_WRONLY, 0400)) == 0);
    need(mkdir(path_in("closed"), 0555) == 0);

    pid_t  child = fork();

    if (child == 0) {
        _exit(meet_denial(path, closed));
    }

    need(waitpid(child, &status, 0) == child);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a file or a folder that may not be written is refused");
    need(unlink(path) == 0 && rmdir(path_in("closed")) == 0);
}

static void
shouldRemoveWhatMakersThatDiedLeft(void)
{
    char            stale[300], live[300];
    config_t        config;
    atoll_writer_t  writer;
    const char     *path = path_in("atoll.zone");
    uint64_t        parent = (uint64_t) getppid();

    snprintf(stale, sizeof(stale), "%s/.atoll.zone.%" PRIu64 ".%" PRIu64 ".new", folder, parent, atoll_process_start(parent) + 1);
    snprintf(live, sizeof(live), "%s/.atoll.zone.%" PRIu64 ".%" PRIu64 ".new", folder, parent, atoll_process_start(parent));
    need(close(open(stale, O_CREAT | O_WRONLY, 0600)) == 0 && close(open(live, O_CREAT | O_WRONLY, 0600)) == 0);
    need(close(open(path_in(".atoll.zone.12.new"), O_CREAT | O_WRONLY, 0600)) == 0);

    config_open(&config, path, SIZE);
    config_add(&config, "cdn", "edge1=10.0.0.1:80");
    publish(&writer, &config);
    ok(access(stale, F_OK) == -1, "the temporary file of a maker that is gone is removed");
    ok(access(live, F_OK) == 0 && access(path_in(".atoll.zone.12.new"), F_OK) == 0, "that of a live one, and other files, stay");

    atoll_writer_close(&writer);
    config_close(&config);
}

int
main(void)
{
    enter_folder();
    shouldCreateAZoneThatAReaderAttaches();
    shouldTellThatANewFileCouldNotBePutInItsPlace();
    shouldHoldAThousandPeersInEightMegabytes();
    shouldTellTheSizeThatIsNeeded();
    shouldTellAnNginxTestTheSameAndLeaveNothing();
    shouldLeaveNothingWhenAbandoned();
    shouldRefuseWhatCannotBeAZoneFile();
    shouldRefuseWhatDoesNotFitInARecord();
    shouldRefuseAFullDiskAtOnce();
    shouldRefuseWhereNginxMayNotWrite();
    shouldRemoveWhatMakersThatDiedLeft();

    return done_testing();
}
