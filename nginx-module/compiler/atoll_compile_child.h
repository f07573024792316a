/*
 * The compile child: the process that loads the JVM. Between atoll_compile.c, which forks it, and atoll_compile_child.c,
 * which it runs.
 */
#ifndef ATOLL_COMPILE_CHILD_H
#define ATOLL_COMPILE_CHILD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the child is to do. Paths are absolute and without links. */
typedef struct {
    const char  *libjvm;
    const char  *library_dir;
    void        *region;
    size_t       length;
    size_t       heap_bytes;
    pid_t        parent;
} atoll_compile_job_t;

/* Head of the answer on the pipe, in host order; then `length` bytes of text, not terminated. */
typedef struct {
    int32_t      status;     /* 0, or the -errno of atoll_jni_compile */
    uint32_t     length;     /* 0 when status is 0; less than ATOLL_COMPILE_ERROR */
} atoll_compile_answer_t;

/*
 * Runs in the fork, with every signal blocked. Gives up all that it inherited but the region and the two pipes, loads
 * libatoll_jni.so, runs the job, writes the answer, and ends by _exit(): none of the parent's atexit handlers run.
 */
_Noreturn void atoll_compile_child(const atoll_compile_job_t *job, int answer_fd, int text_fd);

#endif
