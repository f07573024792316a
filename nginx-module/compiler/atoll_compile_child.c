#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../jni-bridge/src/main/c/atoll_jni.h"
#include "atoll_compile.h"
#include "atoll_compile_child.h"

/* The child's descriptors: 0 is /dev/null, 1 and 2 the pipe for what the JVM says, then the answer's pipe. */
#define ANSWER_FD 3


static void
answer(int fd, int status, const char *text)
{
    size_t                  sent, size;
    ssize_t                 n;
    unsigned char           bytes[sizeof(atoll_compile_answer_t) + ATOLL_COMPILE_ERROR];
    atoll_compile_answer_t  head;

    head.status = status;
    head.length = status == 0 ? 0 : (uint32_t) strnlen(text, ATOLL_COMPILE_ERROR - 1);

    memcpy(bytes, &head, sizeof(head));
    memcpy(bytes + sizeof(head), text, head.length);
    size = sizeof(head) + head.length;

    for (sent = 0; sent < size; sent += (size_t) n) {
        do {
            n = write(fd, bytes + sent, size - sent);
        } while (n == -1 && errno == EINTR);

        if (n == -1) {
            _exit(2);
        }
    }
}


/* Dies with its parent, has no part in the terminal's signals, leaves no core and nothing in the current folder. */
static void
detach(pid_t parent)
{
    struct rlimit  none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(2);
    }

    setsid();

    none.rlim_cur = none.rlim_max = 0;
    setrlimit(RLIMIT_CORE, &none);

    if (chdir("/") == -1) {
        _exit(2);
    }
}


static void
reset_signals(void)
{
    int               number;
    sigset_t          none;
    struct sigaction  action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_DFL;

    for (number = 1; number < NSIG; number++) {
        sigaction(number, &action, NULL);
    }

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}


static void
close_from(int first)
{
    int  fd, last;

#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned) first, ~0u, 0u) == 0) {
        return;
    }
#endif

    last = (int) sysconf(_SC_OPEN_MAX);

    for (fd = first; fd < last; fd++) {
        close(fd);
    }
}


/* Listening sockets, logs and the other ends of the pipes go; what stays has its fixed number. */
static void
keep_descriptors(int answer_fd, int text_fd)
{
    int  null;

    null = open("/dev/null", O_RDWR);

    answer_fd = fcntl(answer_fd, F_DUPFD, ANSWER_FD + 1);
    text_fd = fcntl(text_fd, F_DUPFD, ANSWER_FD + 1);
    null = fcntl(null, F_DUPFD, ANSWER_FD + 1);

    if (dup2(null, 0) == -1 || dup2(text_fd, 1) == -1 || dup2(text_fd, 2) == -1 || dup2(answer_fd, ANSWER_FD) == -1) {
        _exit(2);
    }

    close_from(ANSWER_FD + 1);
}


/*
 * A JVM that cannot start, or is told to by Java, calls exit(). This handler, the last one registered, comes before those
 * that were inherited, and spares the parent's.
 */
static void
leave(void)
{
    _exit(1);
}


/* These would add options to the JVM, and have it print that they did. */
static void
clean_environment(void)
{
    unsetenv("JAVA_TOOL_OPTIONS");
    unsetenv("JDK_JAVA_OPTIONS");
    unsetenv("_JAVA_OPTIONS");
    unsetenv("CLASSPATH");
}


static int
compile(const atoll_compile_job_t *job, char error[ATOLL_COMPILE_ERROR])
{
    char                  path[4200];
    void                 *library;
    atoll_jni_compile_pt  run;

    snprintf(path, sizeof(path), "%s/libatoll_jni.so", job->library_dir);

    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(error, ATOLL_COMPILE_ERROR, "%s", dlerror());
        return -ENOENT;
    }

    *(void **) &run = dlsym(library, ATOLL_JNI_SYMBOL);
    if (run == NULL) {
        snprintf(error, ATOLL_COMPILE_ERROR, "%.1000s has no %s: it is of another build", path, ATOLL_JNI_SYMBOL);
        return -ENOEXEC;
    }

    return run(job->libjvm, job->library_dir, job->region, job->length, job->heap_bytes, error, ATOLL_COMPILE_ERROR);
}


_Noreturn void
atoll_compile_child(const atoll_compile_job_t *job, int answer_fd, int text_fd)
{
    int   status;
    char  error[ATOLL_COMPILE_ERROR];

    detach(job->parent);
    keep_descriptors(answer_fd, text_fd);
    clean_environment();
    reset_signals();
    atexit(leave);

    error[0] = '\0';
    status = compile(job, error);
    answer(ANSWER_FD, status, error);

    _exit(0);
}
