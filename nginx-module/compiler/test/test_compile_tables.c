/*
 * The whole way with the real JVM and java-core: ATOLL_DIST is the folder with libatoll_jni.so, atoll-core.jar and
 * atoll-core.jsa. What comes back is checked with the workers' own reader.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "../../reader/atoll_table.h"
#include "../atoll_java_home.h"
#include "compile_test.h"

static const char  *dist;
static char         error[ATOLL_COMPILE_ERROR];


static int
compile(atoll_compile_region_t *region, const char *library_dir, const char *java_home)
{
    atoll_compile_options_t  options;

    options = (atoll_compile_options_t) { library_dir, java_home, 0 };
    error[0] = '\0';

    return atoll_compile(region, &options, error);
}


static void
check_table(const atoll_compile_region_t *region, uint32_t peers)
{
    atoll_table_t  table;

    CHECK(atoll_table_check(&table, region->base + region->upstreams[0].table_offset, region->upstreams[0].table_length)
          == ATOLL_TABLE_OK);
    CHECK(table.peer_count == peers);
    CHECK(table.group_count == peers);
    CHECK(table.ring[ATOLL_RING_PRIMARY].peer_count == peers - 1);
    CHECK(table.ring[ATOLL_RING_BACKUPS].peer_count == 1);
    CHECK(table.ring[ATOLL_RING_PRIMARY].point_count > (peers - 1) * 159);
}


static void
compile_peers(uint32_t peers, const char *java_home)
{
    atoll_compile_region_t  region;

    open_request(&region, peers);

    CHECK(compile(&region, dist, java_home) == 0);

    if (error[0] == '\0') {
        check_table(&region, peers);
    } else {
        printf("# %s\n", error);
    }

    atoll_compile_region_close(&region);
}


static void
shouldCompileAHundredPeers(void)
{
    compile_peers(100, NULL);
}


static void
shouldCompileTenThousandPeersInTheHeapOfItsSize(void)
{
    compile_peers(10000, NULL);
}


static void
shouldCompileWithEveryJvmOfThisMachine(void)
{
    char                home[512];
    DIR                *dir;
    struct dirent      *entry;
    atoll_java_home_t   java;

    dir = opendir(ATOLL_JAVA_FOLDER);

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        snprintf(home, sizeof(home), "%s/%s", ATOLL_JAVA_FOLDER, entry->d_name);

        if (entry->d_type == DT_DIR && entry->d_name[0] != '.'
            && atoll_java_home_find(&java, home, ATOLL_JAVA_FOLDER, error, sizeof(error)) == 0)
        {
            printf("# JVM %s\n", java.version);
            compile_peers(100, home);
        }
    }

    if (dir != NULL) {
        closedir(dir);
    }
}


static void
shouldNotListenToTheEnvironmentOptionsOfJava(void)
{
    setenv("JAVA_TOOL_OPTIONS", "-Dsome=thing -XX:NoSuchOption", 1);
    setenv("_JAVA_OPTIONS", "-Xmx1k", 1);
    setenv("JDK_JAVA_OPTIONS", "-XX:NoSuchOption", 1);

    compile_peers(10, NULL);

    unsetenv("JAVA_TOOL_OPTIONS");
    unsetenv("_JAVA_OPTIONS");
    unsetenv("JDK_JAVA_OPTIONS");
}


static void
shouldTellTheExceptionOfJava(void)
{
    atoll_compile_region_t  region;

    open_request(&region, 3);
    region.peers[1].weight = 0;

    CHECK(compile(&region, dist, NULL) == -1);
    CHECK_SAYS(error, "java-core gave up: io.atoll.core.table.CompileException: ");
    CHECK_SAYS(error, "10.0.0.1:8080");
    CHECK_SAYS(error, "(JVM ");
    CHECK(strchr(error, '\n') == NULL);

    atoll_compile_region_close(&region);
}


static void
shouldRefuseAJarOfAnotherLayout(void)
{
    atoll_compile_region_t  region;

    open_request(&region, 3);
    region.request->fingerprint ^= 1;

    CHECK(compile(&region, dist, NULL) == -1);
    CHECK_SAYS(error, "one build");

    atoll_compile_region_close(&region);
}


/* dist in the test's folder, each file a link or, with a text, a file of its own. */
static const char *
make_dist(const char *name, const char *jar)
{
    size_t  i;
    char    path[512], target[1024];

    static const char *const  files[] = { "libatoll_jni.so", "atoll-core.jar" };

    snprintf(path, sizeof(path), "%s/README", name);
    make_file(path, "");

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", name, files[i]);
        snprintf(target, sizeof(target), "%s/%s", dist, files[i]);

        if (i == 1 && jar != NULL) {
            make_file(path, jar);

        } else if (symlink(target, in_test_folder(path)) == -1) {
            bail_out(path);
        }
    }

    return in_test_folder(name);
}


static void
shouldSayThatTheJarHoldsNoCompiler(void)
{
    atoll_compile_region_t  region;

    open_request(&region, 3);

    CHECK(compile(&region, make_dist("no-jar", "not a jar"), NULL) == -1);
    CHECK_SAYS(error, "atoll-core.jar has no usable class io/atoll/jni/CompileEntry: it is damaged or of another build");

    atoll_compile_region_close(&region);
}


static void
shouldWorkWithoutAnArchiveAndWithOneThatIsNotItsOwn(void)
{
    char                     archive[1024];
    const char              *folder;
    atoll_compile_region_t   region;

    open_request(&region, 100);

    folder = make_dist("no-archive", NULL);
    CHECK(compile(&region, folder, NULL) == 0);
    check_table(&region, 100);

    make_file("no-archive/atoll-core.jsa", "not an archive, and rather short");
    CHECK(compile(&region, folder, NULL) == 0);
    check_table(&region, 100);

    /* Made for the jar at its path in dist: what is found when that folder was moved. */
    snprintf(archive, sizeof(archive), "%s/atoll-core.jsa", dist);
    folder = make_dist("moved", NULL);
    CHECK(symlink(archive, in_test_folder("moved/atoll-core.jsa")) == 0);
    CHECK(compile(&region, folder, NULL) == 0);
    check_table(&region, 100);

    atoll_compile_region_close(&region);
}


/* A folder whose jar has FakeEntry.java for its CompileEntry. */
static void
make_fake_dist(void)
{
    char         command[4096];
    const char  *slash;

    slash = strrchr(__FILE__, '/');
    make_dist("fake", "");
    make_file("fake-java/README", "");

    snprintf(command, sizeof(command), "cp %.*sFakeEntry.java %s/fake-java/CompileEntry.java && cd %s/fake-java && "
             "javac -d . CompileEntry.java && jar cf ../fake/atoll-core.jar io",
             slash == NULL ? 0 : (int) (slash + 1 - __FILE__), __FILE__, test_folder, test_folder);

    if (system(command) != 0) {
        bail_out(command);
    }
}


/* Runs the fake in that mode; it fails. */
static void
run_fake(const char *mode, uint32_t timeout_ms)
{
    atoll_compile_region_t   region;
    atoll_compile_options_t  options;

    open_request(&region, 3);
    options = (atoll_compile_options_t) { in_test_folder("fake"), NULL, timeout_ms };
    setenv("FAKE", mode, 1);
    error[0] = '\0';

    CHECK(atoll_compile(&region, &options, error) == -1);

    atoll_compile_region_close(&region);
}


static void
shouldPutAMessageOfSeveralLinesOnOne(void)
{
    run_fake("throw two lines", 0);
    CHECK_SAYS(error, "java-core gave up: java.io.IOException: first  second (JVM ");

    run_fake("throw null", 0);
    CHECK_SAYS(error, "java-core gave up: java.lang.NullPointerException");
}


static void
shouldTellThatJavaRanOutOfMemory(void)
{
    run_fake("run out of memory", 0);
    CHECK_SAYS(error, "java.lang.OutOfMemoryError: Java heap space");
}


static void
shouldRunJavaOnAThreadOfItsOwnInASmallHeapAndLeaveSignalsAlone(void)
{
    long         heap;
    const char  *text;

    run_fake("describe", 0);

    CHECK_SAYS(error, "first thread false, caught signals 0, heap ");

    text = strstr(error, "heap ");
    heap = text == NULL ? 0 : strtol(text + 5, NULL, 10);
    CHECK(heap > 0 && heap <= 64);
}


/* Whether a child of this process maps a file of that name now. */
static int
child_maps(const char *name)
{
    int    found, pid;
    char   path[64], line[1024];
    FILE  *children, *maps;

    found = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int) getpid());

    children = fopen(path, "re");
    if (children == NULL) {
        bail_out(path);
    }

    while (!found && fscanf(children, "%d", &pid) == 1) {
        snprintf(path, sizeof(path), "/proc/%d/maps", pid);
        maps = fopen(path, "re");

        while (maps != NULL && !found && fgets(line, sizeof(line), maps) != NULL) {
            found = strstr(line, name) != NULL;
        }

        if (maps != NULL) {
            fclose(maps);
        }
    }

    fclose(children);

    return found;
}


static void *
watch_for_archive(void *data)
{
    atomic_int  *state = data;

    while (atomic_load(state) == 0) {
        if (child_maps("/atoll-core.jsa")) {
            atomic_store(state, 1);
        }
    }

    return NULL;
}


/* state: 0 looking, 1 seen, 2 the compile is over. */
static void
shouldStartFromTheArchiveOfItsClasses(void)
{
    int                     i, seen, failed;
    pthread_t               watcher;
    atomic_int              state;
    atoll_compile_region_t  region;

    seen = 0;
    open_request(&region, 100);

    for (i = 0; i < 10 && !seen; i++) {
        atomic_store(&state, 0);
        CHECK(pthread_create(&watcher, NULL, watch_for_archive, &state) == 0);
        failed = compile(&region, dist, NULL);
        seen = atomic_exchange(&state, 2) == 1;
        pthread_join(watcher, NULL);
        CHECK(failed == 0);
    }

    CHECK(seen);

    atoll_compile_region_close(&region);
}


static void
shouldTellThatJavaExited(void)
{
    run_fake("exit", 0);
    CHECK_SAYS(error, "ended with exit code 1 before it answered: enough");
}


/* Files named so in a folder. */
static int
count_named(const char *folder, const char *prefix)
{
    int             n;
    DIR            *dir;
    struct dirent  *entry;

    dir = opendir(folder);
    if (dir == NULL) {
        bail_out(folder);
    }

    for (n = 0; (entry = readdir(dir)) != NULL; n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0) { /* void */ }

    closedir(dir);

    return n;
}


static void
shouldTellACrashOfTheJvmAndLeaveNoReportFile(void)
{
    int  reports, roots;

    reports = count_named(".", "hs_err") + count_named("/tmp", "hs_err");
    roots = count_named("/", "hs_err") + count_named("/", "core");

    run_fake("crash", 0);

    CHECK_SAYS(error, "before it answered: A fatal error has been detected by the Java Runtime Environment");
    CHECK_SAYS(error, "SIGSEGV");
    CHECK_SAYS(error, "Problematic frame");
    CHECK(strchr(error, '\n') == NULL);
    CHECK(count_named(".", "hs_err") + count_named("/tmp", "hs_err") == reports);
    CHECK(count_named("/", "hs_err") + count_named("/", "core") == roots);
}


static void
shouldEndJavaThatDoesNot(void)
{
    footprint_t  before;

    before = footprint();
    run_fake("loop", 1000);

    CHECK_SAYS(error, "gave no answer within 1000 ms and was killed");
    check_footprint(before, 1024);
}


static void
shouldSayThatLibjvmIsNoJvm(void)
{
    char                    library[1024];
    atoll_compile_region_t  region;

    open_request(&region, 3);
    make_java_home("text-jvm", "17.0.1");

    CHECK(compile(&region, dist, in_test_folder("text-jvm")) == -1);
    CHECK_SAYS(error, "text-jvm/lib/server/libjvm.so: file too short");

    make_java_home("other-jvm", "17.0.1");
    unlink(in_test_folder("other-jvm/lib/server/libjvm.so"));
    snprintf(library, sizeof(library), "%s/libatoll_jni.so", dist);
    CHECK(symlink(library, in_test_folder("other-jvm/lib/server/libjvm.so")) == 0);
    CHECK(compile(&region, dist, in_test_folder("other-jvm")) == -1);
    CHECK_SAYS(error, "is no JVM");

    atoll_compile_region_close(&region);
}


static void
shouldSayWhyTheJvmDidNotStart(void)
{
    char                    command[1024];
    atoll_java_home_t       java;
    atoll_compile_region_t  region;

    /* A JVM that has lost its class library. */
    CHECK(atoll_java_home_find(&java, NULL, ATOLL_JAVA_FOLDER, error, sizeof(error)) == 0);
    make_java_home("bare-jvm", java.version);
    snprintf(command, sizeof(command), "cp %.400s %.400s", java.libjvm, in_test_folder("bare-jvm/lib/server/libjvm.so"));
    CHECK(system(command) == 0);

    open_request(&region, 3);

    CHECK(compile(&region, dist, in_test_folder("bare-jvm")) == -1);
    CHECK_SAYS(error, "ended with exit code 1 before it answered: Error occurred during initialization of VM; ");
    CHECK_SAYS(error, "bare-jvm");

    atoll_compile_region_close(&region);
}


int
main(void)
{
    dist = dist_folder();

    make_test_folder();
    make_fake_dist();

    RUN(shouldCompileAHundredPeers);
    RUN(shouldCompileTenThousandPeersInTheHeapOfItsSize);
    RUN(shouldCompileWithEveryJvmOfThisMachine);
    RUN(shouldNotListenToTheEnvironmentOptionsOfJava);
    RUN(shouldTellTheExceptionOfJava);
    RUN(shouldRefuseAJarOfAnotherLayout);
    RUN(shouldSayThatTheJarHoldsNoCompiler);
    RUN(shouldWorkWithoutAnArchiveAndWithOneThatIsNotItsOwn);
    RUN(shouldPutAMessageOfSeveralLinesOnOne);
    RUN(shouldTellThatJavaRanOutOfMemory);
    RUN(shouldRunJavaOnAThreadOfItsOwnInASmallHeapAndLeaveSignalsAlone);
    RUN(shouldStartFromTheArchiveOfItsClasses);
    RUN(shouldTellThatJavaExited);
    RUN(shouldTellACrashOfTheJvmAndLeaveNoReportFile);
    RUN(shouldEndJavaThatDoesNot);
    RUN(shouldSayThatLibjvmIsNoJvm);
    RUN(shouldSayWhyTheJvmDidNotStart);

    return tap_done();
}
