/* What the compiler's tests share: a folder of files for the test, a compile request of many peers. */
#ifndef COMPILE_TEST_H
#define COMPILE_TEST_H

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../reader/test/tap.h"
#include "../atoll_compile.h"

/* That text holds part. */
#define CHECK_SAYS(text, part)                                                                                          \
    do {                                                                                                                \
        if (strstr(text, part) == NULL) {                                                                               \
            printf("# %s:%d: \"%s\" says nothing of \"%s\"\n", __FILE__, __LINE__, text, part);                         \
            tap_failed = 1;                                                                                             \
            return;                                                                                                     \
        }                                                                                                               \
    } while (0)


__attribute__((noreturn))
static inline void
bail_out(const char *why)
{
    printf("Bail out! %s: %s\n", why, strerror(errno));
    exit(1);
}


/* The build product that is tried. */
static inline const char *
dist_folder(void)
{
    const char  *dist = getenv("ATOLL_DIST");

    if (dist == NULL) {
        errno = EINVAL;
        bail_out("ATOLL_DIST is not set");
    }

    return dist;
}


static char  test_folder[64];


static int
remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void) status;
    (void) type;
    (void) ftw;

    return remove(path);
}


static void
remove_test_folder(void)
{
    nftw(test_folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}


/* A fresh folder in /tmp that goes when the test ends. */
static inline void
make_test_folder(void)
{
    strcpy(test_folder, "/tmp/atoll-compile.XXXXXX");

    if (mkdtemp(test_folder) == NULL) {
        bail_out(test_folder);
    }

    atexit(remove_test_folder);
}


/* A path in the test's folder; four can be held at a time. */
static inline const char *
in_test_folder(const char *name)
{
    static int   next;
    static char  paths[4][512];

    next = (next + 1) % 4;
    snprintf(paths[next], sizeof(paths[next]), "%s/%s", test_folder, name);

    return paths[next];
}


/* A file with that text in the test's folder, with the folders that lead to it. */
static inline void
make_file(const char *name, const char *text)
{
    char   path[512], *slash;
    FILE  *file;

    snprintf(path, sizeof(path), "%s/%s", test_folder, name);

    for (slash = strchr(path + strlen(test_folder) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) == -1 && errno != EEXIST) {
            bail_out(path);
        }
        *slash = '/';
    }

    file = fopen(path, "w");
    if (file == NULL || fputs(text, file) == EOF || fclose(file) != 0) {
        bail_out(path);
    }
}


/* A Java home as far as looking at its files goes. */
static inline void
make_java_home(const char *name, const char *version)
{
    char  path[256], text[128];

    snprintf(path, sizeof(path), "%s/lib/server/libjvm.so", name);
    make_file(path, "");
    snprintf(path, sizeof(path), "%s/bin/java", name);
    make_file(path, "#!/bin/sh\n");
    chmod(in_test_folder(path), 0755);

    if (version != NULL) {
        snprintf(path, sizeof(path), "%s/release", name);
        snprintf(text, sizeof(text), "IMPLEMENTOR=\"Test\"\nJAVA_VERSION=\"%s\"\nOS_ARCH=\"x86_64\"\n", version);
        make_file(path, text);
    }
}


/* A request of one upstream "cache" with that many peers of weight 1, the last a backup when there are three or more. */
static inline void
open_request(atoll_compile_region_t *region, uint32_t peers)
{
    char                           name[64];
    size_t                         length;
    uint32_t                       i;
    atoll_compile_peer_record_t   *peer;

    if (atoll_compile_region_open(region, 1, peers, 5 + (size_t) peers * 32, (uint64_t) peers * 160) != 0) {
        bail_out("compile region");
    }

    region->upstreams[0].name_offset = atoll_compile_region_name(region, "cache", 5);
    region->upstreams[0].name_length = 5;
    region->upstreams[0].first_peer = 0;
    region->upstreams[0].peer_count = peers;

    for (i = 0; i < peers; i++) {
        length = (size_t) snprintf(name, sizeof(name), "10.%u.%u.%u:8080", i >> 16, i >> 8 & 255, i & 255);
        peer = &region->peers[i];
        peer->name_offset = atoll_compile_region_name(region, name, length);
        peer->name_length = (uint32_t) length;
        peer->weight = 1;
        peer->max_fails = 1;
        peer->fail_timeout_ms = 10000;
        peer->flags = i >= 2 && i == peers - 1 ? ATOLL_PEER_FLAG_BACKUP : 0;
    }
}


static inline int64_t
monotonic_ms(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


static inline int
count_entries(const char *folder)
{
    int   n;
    DIR  *dir;

    dir = opendir(folder);
    if (dir == NULL) {
        return -1;
    }

    for (n = 0; readdir(dir) != NULL; n++) { /* void */ }

    closedir(dir);

    return n;
}


static inline int
count_lines(const char *path)
{
    int    c, n;
    FILE  *file;

    file = fopen(path, "r");
    if (file == NULL) {
        return -1;
    }

    for (n = 0; (c = getc(file)) != EOF; n += c == '\n') { /* void */ }

    fclose(file);

    return n;
}


static inline long
resident_kb(void)
{
    long   pages;
    FILE  *file;

    file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) {
        bail_out("/proc/self/statm");
    }

    fclose(file);

    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}


/* What a process holds that a child could leave behind. */
typedef struct {
    int   descriptors, threads, mappings;
    long  resident_kb;
} footprint_t;


static inline footprint_t
footprint(void)
{
    footprint_t  f;

    f.descriptors = count_entries("/proc/self/fd");
    f.threads = count_entries("/proc/self/task");
    f.mappings = count_lines("/proc/self/maps");
    f.resident_kb = resident_kb();

    return f;
}


/* AddressSanitizer and valgrind (make check-valgrind sets ATOLL_SLOW) hold memory of their own in this process. */
static inline int
is_instrumented(void)
{
#ifdef __SANITIZE_ADDRESS__
    return 1;
#else
    return getenv("ATOLL_SLOW") != NULL;
#endif
}


/* The same descriptors, threads and mappings, no more than that much more memory, and no child, alive or zombie. */
static inline void
check_footprint(footprint_t before, long growth_kb)
{
    footprint_t  after;

    after = footprint();

    printf("# descriptors %d -> %d, threads %d -> %d, mappings %d -> %d, resident %ld -> %ld kB\n", before.descriptors,
           after.descriptors, before.threads, after.threads, before.mappings, after.mappings, before.resident_kb,
           after.resident_kb);

    CHECK(after.descriptors == before.descriptors);
    CHECK(after.threads == before.threads);
    CHECK(after.mappings == before.mappings || is_instrumented());
    CHECK(after.resident_kb <= before.resident_kb + growth_kb + (is_instrumented() ? 64 << 10 : 0));
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

#endif
