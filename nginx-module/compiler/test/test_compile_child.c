/*
 * The child from outside, with a libatoll_jni.so made for the purpose: what reaches it, how each of its ends is told, and
 * that nothing of it stays. No JVM is needed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sched.h>
#include <sys/time.h>

#include "compile_test.h"
#include "fake_jni.h"

static char                     error[ATOLL_COMPILE_ERROR];
static char                     library_dir[256], java_home[256];
static atoll_compile_region_t   region;


static int
run(const char *mode, uint32_t timeout_ms)
{
    atoll_compile_options_t  options;

    options = (atoll_compile_options_t) { library_dir, java_home, timeout_ms };
    setenv("FAKE", mode, 1);
    error[0] = '\0';

    return atoll_compile(&region, &options, error);
}


static seen_t *
seen(void)
{
    return seen_in(region.base);
}


static void
shouldGiveTheChildWhatItNeedsAndNothingElse(void)
{
    int  fd;

    fd = open("/dev/null", O_RDONLY);
    setenv("JAVA_TOOL_OPTIONS", "-version", 1);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);

    CHECK(run("well", 0) == 0);
    CHECK(seen()->pid != getpid());
    CHECK(seen()->descriptors == 4);
    CHECK(seen()->threads == 1);
    CHECK(seen()->session_leader == 1);
    CHECK(seen()->signals_default == 1);
    CHECK(seen()->signals_blocked == 0);
    CHECK(seen()->java_options == 0);
    CHECK(seen()->heap_bytes >= 48 << 20);
    CHECK(strcmp(seen()->folder, "/") == 0);
    CHECK_SAYS(seen()->libjvm, "jdk/lib/server/libjvm.so");
    CHECK(seen()->library_dir[0] == '/');

    signal(SIGPIPE, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    unsetenv("JAVA_TOOL_OPTIONS");
    close(fd);
}


static void
shouldResolveLinksOfTheLibraryFolder(void)
{
    char                     resolved[4096];
    atoll_compile_options_t  options;

    options = (atoll_compile_options_t) { in_test_folder("link"), java_home, 0 };
    setenv("FAKE", "well", 1);

    CHECK(symlink("lib", options.library_dir) == 0);
    CHECK(atoll_compile(&region, &options, error) == 0);
    CHECK(realpath(library_dir, resolved) != NULL && strcmp(seen()->library_dir, resolved) == 0);
}


static void
shouldSayWhichFileIsMissing(void)
{
    atoll_compile_options_t  options;

    options = (atoll_compile_options_t) { in_test_folder("none"), java_home, 0 };
    CHECK(atoll_compile(&region, &options, error) == -1);
    CHECK_SAYS(error, in_test_folder("none"));
    CHECK_SAYS(error, "No such file or directory");

    make_file("no-library/atoll-core.jar", "");
    options.library_dir = in_test_folder("no-library");
    CHECK(atoll_compile(&region, &options, error) == -1);
    CHECK_SAYS(error, "no-library/libatoll_jni.so: No such file or directory");
    CHECK_SAYS(error, "atoll_java lib=");

    make_file("no-jar/libatoll_jni.so", "");
    options.library_dir = in_test_folder("no-jar");
    CHECK(atoll_compile(&region, &options, error) == -1);
    CHECK_SAYS(error, "no-jar/atoll-core.jar: No such file or directory");
}


static void
shouldSayThatTheLibraryIsNone(void)
{
    atoll_compile_options_t  options;

    make_file("text/atoll-core.jar", "");
    make_file("text/libatoll_jni.so", "not a library");
    options = (atoll_compile_options_t) { in_test_folder("text"), java_home, 0 };

    CHECK(atoll_compile(&region, &options, error) == -1);
    CHECK_SAYS(error, "text/libatoll_jni.so");
    CHECK_SAYS(error, "file too short");
}


static void
shouldSayThatNoJvmIsThere(void)
{
    atoll_compile_options_t  options;

    make_java_home("jdk-11", "11.0.2");
    options = (atoll_compile_options_t) { library_dir, in_test_folder("jdk-11"), 0 };

    CHECK(atoll_compile(&region, &options, error) == -1);
    CHECK_SAYS(error, "found version 11.0.2, wanted 17 or newer");
}


static void
shouldPassOnWhatTheLibrarySays(void)
{
    CHECK(run("fail", 0) == -1);
    CHECK_SAYS(error, "no room at the inn (JVM 17.0.1 in ");
}


static void
shouldCutALongErrorWithoutLosingIt(void)
{
    CHECK(run("long error", 0) == -1);
    CHECK_SAYS(error, "java-core gave up: xxx");
    CHECK(strlen(error) == ATOLL_COMPILE_ERROR - 1);
}


static void
shouldTellASignal(void)
{
    CHECK(run("crash", 0) == -1);
    CHECK_SAYS(error, "died of signal 11, Segmentation fault");
}


static void
shouldTellAnExitWithoutAnswer(void)
{
    CHECK(run("_exit", 0) == -1);
    CHECK_SAYS(error, "ended with exit code 3 before it answered");
    CHECK(strstr(error, "answered:") == NULL);

    CHECK(run("exit", 0) == -1);
    CHECK_SAYS(error, "before it answered: I have had; enough");
}


static void
shouldEndAChildThatTakesTooLong(void)
{
    int64_t  start;

    start = monotonic_ms();

    CHECK(run("pause", 200) == -1);
    CHECK_SAYS(error, "gave no answer within 200 ms and was killed");
    CHECK(monotonic_ms() - start >= 200);
    CHECK(kill(seen()->pid, 0) == -1 && errno == ESRCH);
}


static void
shouldEndAStoppedChild(void)
{
    CHECK(run("stop", 200) == -1);
    CHECK_SAYS(error, "gave no answer within 200 ms and was killed");
    CHECK(kill(seen()->pid, 0) == -1 && errno == ESRCH);
}


static void
shouldNotWaitForAChildThatClosedItsPipe(void)
{
    CHECK(run("close and pause", 30000) == -1);
    CHECK_SAYS(error, "died of signal 9, Killed");
    CHECK(kill(seen()->pid, 0) == -1 && errno == ESRCH);
}


static void
shouldNotStallOnAChildThatTalksMuch(void)
{
    CHECK(run("talk", 0) == 0);
}


static void
shouldRefuseATableOutsideTheOutput(void)
{
    CHECK(run("table outside", 0) == -1);
    CHECK_SAYS(error, "outside the output of the compile request");
}


static void
on_alarm(int signal)
{
    (void) signal;
}


static void
shouldWaitOnThroughSignals(void)
{
    int64_t           start;
    struct sigaction  action;

    /* Without SA_RESTART, every 5 ms. */
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval) { { 0, 5000 }, { 0, 5000 } }, NULL);

    start = monotonic_ms();
    CHECK(run("pause", 200) == -1);
    CHECK_SAYS(error, "gave no answer within 200 ms and was killed");
    CHECK(monotonic_ms() - start >= 200);
    CHECK(run("well", 0) == 0);

    setitimer(ITIMER_REAL, &(struct itimerval) { { 0, 0 }, { 0, 0 } }, NULL);
    signal(SIGALRM, SIG_DFL);
}


static volatile sig_atomic_t  reaped;


static void
reap(int signal)
{
    int  saved = errno;

    (void) signal;

    while (waitpid(-1, NULL, WNOHANG) > 0) {
        reaped++;
    }

    errno = saved;
}


static void
shouldGetOnWithAHandlerThatReapsEveryChild(void)
{
    pid_t             other;
    int64_t           deadline;
    footprint_t       before;
    sigset_t          blocked;
    struct sigaction  action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = reap;
    sigaction(SIGCHLD, &action, NULL);
    before = footprint();
    reaped = 0;

    /* Another child of the caller ends while the compile child runs: the handler still gets that one. */
    other = fork();
    if (other == 0) {
        _exit(0);
    }

    CHECK(run("well", 0) == 0);
    CHECK(run("crash", 0) == -1);
    CHECK(run("pause", 100) == -1);

    for (deadline = monotonic_ms() + 10000; reaped == 0 && monotonic_ms() < deadline; sched_yield()) { /* void */ }

    CHECK(reaped == 1);

    sigprocmask(SIG_BLOCK, NULL, &blocked);
    CHECK(!sigismember(&blocked, SIGCHLD));
    check_footprint(before, 1024);
    signal(SIGCHLD, SIG_DFL);
}


/* With SIG_IGN the kernel reaps: waitpid() answers ECHILD, as after a handler that was quicker. */
static void
shouldGetOnWhenTheChildIsReapedByOthers(void)
{
    footprint_t  before;

    signal(SIGCHLD, SIG_IGN);
    before = footprint();

    CHECK(run("well", 0) == 0);
    CHECK(run("_exit", 0) == -1);
    CHECK_SAYS(error, "ended before it answered");
    CHECK(run("pause", 100) == -1);
    CHECK_SAYS(error, "gave no answer within 100 ms");

    check_footprint(before, 1024);
    signal(SIGCHLD, SIG_DFL);
}


static void
shouldWorkWithoutStandardDescriptors(void)
{
    int    status;
    pid_t  pid;

    pid = fork();
    if (pid == 0) {
        close(0);
        close(1);
        close(2);
        _exit(run("well", 0) == 0 && seen()->descriptors == 4 ? 0 : 1);
    }

    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}


static void
leave_a_mark(void)
{
    mkdir(in_test_folder("mark"), 0755);
}


static void
shouldNotRunTheExitHandlersOfTheCaller(void)
{
    int    status;
    pid_t  pid;

    pid = fork();
    if (pid == 0) {
        atexit(leave_a_mark);
        run("well", 0);
        run("exit", 0);
        _exit(0);
    }

    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(access(in_test_folder("mark"), F_OK) == -1);
}


/* The caller is a process of its own here; this one adopts the orphan, and so learns of its end. */
static void
shouldDieWithTheCaller(void)
{
    int      status;
    pid_t    caller, child;
    int64_t  deadline;

    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    seen()->pid = 0;
    deadline = monotonic_ms() + 10000;

    caller = fork();
    if (caller == 0) {
        _exit(run("pause", 20000));
    }

    while ((child = __atomic_load_n(&seen()->pid, __ATOMIC_ACQUIRE)) == 0 && monotonic_ms() < deadline) {
        sched_yield();
    }

    CHECK(child != 0);
    kill(caller, SIGKILL);
    CHECK(waitpid(caller, NULL, 0) == caller);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(monotonic_ms() < deadline);

    prctl(PR_SET_CHILD_SUBREAPER, 0);
}


static void
shouldLeaveNothingBehindIn200RunsOfEachEnd(void)
{
    int          i;
    footprint_t  before;

    for (i = 0; i < 205; i++) {
        if (i == 5) {
            before = footprint();
        }

        CHECK(run("well", 0) == 0);
        CHECK(run("fail", 0) == -1);
        CHECK(run("crash", 0) == -1);
        CHECK(run("exit", 0) == -1);
        CHECK(run("pause", 1) == -1);
    }

    check_footprint(before, 256);
}


/* From fake_jni.c, beside this file. */
static void
make_fake_library(void)
{
    char         command[2048];
    const char  *slash, *cc;

    slash = strrchr(__FILE__, '/');
    cc = getenv("CC");
    make_file("lib/atoll-core.jar", "");

    snprintf(command, sizeof(command), "%s -std=c11 -Wall -Wextra -Werror -shared -fPIC -o %s %.*sfake_jni.c",
             cc != NULL ? cc : "cc", in_test_folder("lib/libatoll_jni.so"), slash == NULL ? 0 : (int) (slash + 1 - __FILE__),
             __FILE__);

    if (system(command) != 0) {
        bail_out(command);
    }
}


int
main(void)
{
    make_test_folder();
    make_fake_library();
    make_java_home("jdk", "17.0.1");
    strcpy(library_dir, in_test_folder("lib"));
    strcpy(java_home, in_test_folder("jdk"));
    open_request(&region, 10);

    RUN(shouldGiveTheChildWhatItNeedsAndNothingElse);
    RUN(shouldResolveLinksOfTheLibraryFolder);
    RUN(shouldSayWhichFileIsMissing);
    RUN(shouldSayThatTheLibraryIsNone);
    RUN(shouldSayThatNoJvmIsThere);
    RUN(shouldPassOnWhatTheLibrarySays);
    RUN(shouldCutALongErrorWithoutLosingIt);
    RUN(shouldTellASignal);
    RUN(shouldTellAnExitWithoutAnswer);
    RUN(shouldEndAChildThatTakesTooLong);
    RUN(shouldEndAStoppedChild);
    RUN(shouldNotWaitForAChildThatClosedItsPipe);
    RUN(shouldNotStallOnAChildThatTalksMuch);
    RUN(shouldRefuseATableOutsideTheOutput);
    RUN(shouldWaitOnThroughSignals);
    RUN(shouldGetOnWithAHandlerThatReapsEveryChild);
    RUN(shouldGetOnWhenTheChildIsReapedByOthers);
    RUN(shouldWorkWithoutStandardDescriptors);
    RUN(shouldNotRunTheExitHandlersOfTheCaller);
    RUN(shouldDieWithTheCaller);
    RUN(shouldLeaveNothingBehindIn200RunsOfEachEnd);

    atoll_compile_region_close(&region);

    return tap_done();
}
