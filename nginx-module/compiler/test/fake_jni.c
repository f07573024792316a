/* A libatoll_jni.so without a JVM, for test_compile_child.c: well-behaved, or not. */
#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../jni-bridge/src/main/c/atoll_jni.h"
#include "fake_jni.h"


/* Those of valgrind lie above 1000. */
static int
count_descriptors(void)
{
    int  fd, n = 0;

    for (fd = 0; fd < 1000; fd++) {
        n += fcntl(fd, F_GETFD) != -1;
    }

    return n;
}


static int
count_threads(void)
{
    int  n = 0;
    DIR *dir = opendir("/proc/self/task");

    while (readdir(dir) != NULL) {
        n++;
    }

    closedir(dir);

    return n - 2;
}


static void
look(seen_t *seen)
{
    int               i;
    sigset_t          blocked;
    struct sigaction  action;

    seen->descriptors = count_descriptors();
    seen->threads = count_threads();
    seen->session_leader = getsid(0) == getpid();
    seen->signals_default = 1;
    seen->signals_blocked = 0;
    seen->java_options = getenv("JAVA_TOOL_OPTIONS") || getenv("_JAVA_OPTIONS") || getenv("JDK_JAVA_OPTIONS");

    sigprocmask(SIG_BLOCK, NULL, &blocked);

    for (i = 1; i < 32; i++) {
        sigaction(i, NULL, &action);
        seen->signals_default &= action.sa_handler == SIG_DFL;
        seen->signals_blocked += sigismember(&blocked, i);
    }

    if (getcwd(seen->folder, sizeof(seen->folder)) == NULL) {
        seen->folder[0] = '\0';
    }
}


static void
wait_for_ever(void)
{
    for ( ;; ) {
        pause();
    }
}


static void
talk(void)
{
    int  i;

    for (i = 0; i < 100000; i++) {
        printf("line %d of much\n", i);
        fprintf(stderr, "and more\n");
    }

    fflush(stdout);
}


int
atoll_jni_compile(const char *libjvm_path, const char *library_dir, void *region, size_t length, size_t heap_bytes,
                  char *error, size_t error_size)
{
    seen_t                           *seen = seen_in(region);
    const char                       *mode = getenv("FAKE");
    atoll_compile_request_record_t   *request = region;
    atoll_compile_upstream_record_t  *upstream;

    (void) length;

    upstream = (atoll_compile_upstream_record_t *) ((unsigned char *) region + request->upstreams_offset);
    upstream->table_offset = request->output_offset;
    upstream->table_length = sizeof(atoll_table_record_t);

    look(seen);
    seen->heap_bytes = heap_bytes;
    snprintf(seen->libjvm, sizeof(seen->libjvm), "%s", libjvm_path);
    snprintf(seen->library_dir, sizeof(seen->library_dir), "%s", library_dir);
    __atomic_store_n(&seen->pid, getpid(), __ATOMIC_RELEASE);

    if (strcmp(mode, "fail") == 0) {
        snprintf(error, error_size, "no room at the inn");
        return -ENOSPC;

    } else if (strcmp(mode, "long error") == 0) {
        memset(error, 'x', error_size - 1);
        error[error_size - 1] = '\0';
        return -EPROTO;

    } else if (strcmp(mode, "pause") == 0) {
        wait_for_ever();

    } else if (strcmp(mode, "stop") == 0) {
        raise(SIGSTOP);
        wait_for_ever();

    } else if (strcmp(mode, "close and pause") == 0) {
        close(3);
        wait_for_ever();

    } else if (strcmp(mode, "exit") == 0) {
        fprintf(stderr, "# \n#  I have had\n# enough\n");
        exit(3);

    } else if (strcmp(mode, "_exit") == 0) {
        _exit(3);

    } else if (strcmp(mode, "crash") == 0) {
        raise(SIGSEGV);

    } else if (strcmp(mode, "talk") == 0) {
        talk();

    } else if (strcmp(mode, "table outside") == 0) {
        upstream->table_offset += request->output_length;
    }

    return 0;
}
