#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "atoll_compile.h"
#include "atoll_compile_child.h"
#include "atoll_java_home.h"

#define DEFAULT_TIMEOUT_MS 30000

/* Java heap: what an empty compile needs with room to spare, and the arrays of a ring while it is built, in proportion to
 * the room for tables; see docs/jni-bridge.md for the measurement. */
#define HEAP_BASE_BYTES             (48u << 20)
#define HEAP_BYTES_PER_OUTPUT_BYTE  2u

/* Output bytes: a table's head with the gaps of aligned sections and the smallest bucket indexes; a point with up to
 * four bucket words; a peer with its group. */
#define OUTPUT_BYTES_PER_UPSTREAM  4096u
#define OUTPUT_BYTES_PER_POINT     (sizeof(atoll_point_record_t) + 4 * sizeof(uint32_t))
#define OUTPUT_BYTES_PER_PEER      (sizeof(atoll_table_peer_record_t) + sizeof(atoll_group_record_t))

/* The parent's view of a child. */
typedef struct {
    pid_t          pid;
    int            answer_fd;           /* -1 once closed */
    int            text_fd;             /* its stdout and stderr */
    int            timed_out;
    int            reaped;              /* 0: somebody else did, its wait_status is not known */
    int            wait_status;
    size_t         received;
    unsigned char  answer[sizeof(atoll_compile_answer_t) + ATOLL_COMPILE_ERROR];
    size_t         said;
    char           text[1024];          /* the first it wrote to stdout and stderr */
} child_t;


__attribute__((format(printf, 2, 3)))
static int
fail(char error[ATOLL_COMPILE_ERROR], const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    vsnprintf(error, ATOLL_COMPILE_ERROR, format, args);
    va_end(args);

    return -1;
}


static uint64_t
align(uint64_t n)
{
    return (n + ATOLL_CACHE_LINE - 1) / ATOLL_CACHE_LINE * ATOLL_CACHE_LINE;
}


int
atoll_compile_region_open(atoll_compile_region_t *region, uint32_t upstreams, uint32_t peers, size_t names,
                          uint64_t points)
{
    uint64_t                         output, output_length, peers_offset, strings;
    atoll_compile_request_record_t  *request;

    peers_offset = sizeof(atoll_compile_request_record_t) + (uint64_t) upstreams * sizeof(atoll_compile_upstream_record_t);
    strings = peers_offset + (uint64_t) peers * sizeof(atoll_compile_peer_record_t);

    /* Java sees the region as one ByteBuffer, whose positions are ints. */
    if (names > INT32_MAX || points > INT32_MAX) {
        errno = EOVERFLOW;
        return -1;
    }

    output = align(strings + names);
    output_length = align((uint64_t) upstreams * OUTPUT_BYTES_PER_UPSTREAM + points * OUTPUT_BYTES_PER_POINT
                          + peers * OUTPUT_BYTES_PER_PEER);

    if (output + output_length > INT32_MAX) {
        errno = EOVERFLOW;
        return -1;
    }

    region->length = (size_t) (output + output_length);
    region->base = mmap(NULL, region->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region->base == MAP_FAILED) {
        region->base = NULL;
        return -1;
    }

    request = (atoll_compile_request_record_t *) region->base;
    request->magic = ATOLL_REQUEST_MAGIC;
    request->version = ATOLL_LAYOUT_VERSION;
    request->fingerprint = ATOLL_LAYOUT_FINGERPRINT;
    request->length = region->length;
    request->upstream_count = upstreams;
    request->peer_count = peers;
    request->upstreams_offset = sizeof(*request);
    request->peers_offset = peers_offset;
    request->output_offset = output;
    request->output_length = output_length;

    region->request = request;
    region->upstreams = (atoll_compile_upstream_record_t *) (region->base + request->upstreams_offset);
    region->peers = (atoll_compile_peer_record_t *) (region->base + request->peers_offset);
    region->strings_offset = (size_t) strings;
    region->strings_length = names;
    region->strings_used = 0;

    return 0;
}


uint64_t
atoll_compile_region_name(atoll_compile_region_t *region, const void *name, size_t length)
{
    uint64_t  offset;

    assert(length <= region->strings_length - region->strings_used);

    offset = region->strings_offset + region->strings_used;
    memcpy(region->base + offset, name, length);
    region->strings_used += length;

    return offset;
}


void
atoll_compile_region_close(atoll_compile_region_t *region)
{
    if (region->base != NULL) {
        munmap(region->base, region->length);
        region->base = NULL;
    }
}


/* The folder with its links resolved, once the files in it are known to be there. */
static int
find_library(char path[PATH_MAX], const char *library_dir, char *error)
{
    size_t  i;
    char    file[PATH_MAX + 32];

    static const char *const  names[] = { "libatoll_jni.so", "atoll-core.jar" };

    if (realpath(library_dir, path) == NULL) {
        return fail(error, "cannot use the folder of the Atoll libraries \"%.500s\": %s", library_dir, strerror(errno));
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(file, sizeof(file), "%s/%s", path, names[i]);

        if (access(file, R_OK) != 0) {
            return fail(error, "cannot read %s: %s; it belongs beside the nginx module, or in the folder that atoll_java lib= "
                        "tells", file, strerror(errno));
        }
    }

    return 0;
}


static int64_t
now_ms(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


/* Both pipes, read ends non-blocking; none when it fails. */
static int
open_pipes(int answer[2], int text[2])
{
    if (pipe2(answer, O_CLOEXEC) == -1) {
        return -1;
    }

    if (pipe2(text, O_CLOEXEC) == -1) {
        close(answer[0]);
        close(answer[1]);
        return -1;
    }

    fcntl(answer[0], F_SETFL, O_NONBLOCK);
    fcntl(text[0], F_SETFL, O_NONBLOCK);

    return 0;
}


/*
 * Forks with every signal blocked, so that no handler of the caller runs in the child. The caller goes on with the mask
 * in mask.
 */
static int
start(child_t *child, const atoll_compile_job_t *job, const sigset_t *mask, char *error)
{
    int       answer[2], text[2], saved;
    sigset_t  all;

    if (open_pipes(answer, text) == -1) {
        return fail(error, "no pipe for the compile child: %s", strerror(errno));
    }

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);

    memset(child, 0, sizeof(*child));
    child->pid = fork();

    if (child->pid == 0) {
        atoll_compile_child(job, answer[1], text[1]);
    }

    saved = errno;
    sigprocmask(SIG_SETMASK, mask, NULL);

    close(answer[1]);
    close(text[1]);

    if (child->pid == -1) {
        close(answer[0]);
        close(text[0]);
        return fail(error, "cannot fork the compile child: %s", strerror(saved));
    }

    child->answer_fd = answer[0];
    child->text_fd = text[0];

    return 0;
}


/* Reads what is there, dropping what has no room. 1 at the end of the pipe. */
static int
drain(int fd, void *buffer, size_t size, size_t *used)
{
    char     spill[512];
    ssize_t  n;

    for ( ;; ) {
        n = *used < size ? read(fd, (char *) buffer + *used, size - *used) : read(fd, spill, sizeof(spill));

        if (n == -1) {
            if (errno == EINTR) {
                continue;
            }

            return errno != EAGAIN;
        }

        if (n == 0) {
            return 1;
        }

        *used += *used < size ? (size_t) n : 0;
    }
}


static int
is_answered(const child_t *child)
{
    atoll_compile_answer_t  head;

    if (child->received < sizeof(head)) {
        return 0;
    }

    memcpy(&head, child->answer, sizeof(head));

    return head.length < ATOLL_COMPILE_ERROR && child->received == sizeof(head) + head.length;
}


/* Until the answer is whole, the child has closed its end, or time is up. */
static void
await_answer(child_t *child, int64_t deadline)
{
    int            open;
    int64_t        left;
    struct pollfd  fds[2];

    fds[0].fd = child->answer_fd;
    fds[1].fd = child->text_fd;
    fds[0].events = fds[1].events = POLLIN;
    open = 1;

    while (open && !is_answered(child)) {
        left = deadline - now_ms();
        if (left <= 0) {
            child->timed_out = 1;
            return;
        }

        fds[0].revents = fds[1].revents = 0;

        if (poll(fds, 2, left > INT32_MAX ? INT32_MAX : (int) left) == -1) {
            continue;
        }

        if (fds[1].revents && drain(child->text_fd, child->text, sizeof(child->text) - 1, &child->said)) {
            fds[1].fd = -1;
        }

        if (fds[0].revents) {
            open = !drain(child->answer_fd, child->answer, sizeof(child->answer), &child->received);
        }
    }
}


/*
 * Ends the child, whatever it does (one that is exiting keeps its status), and takes its status unless a SIGCHLD handler or
 * SIG_IGN was quicker.
 */
static void
finish(child_t *child)
{
    pid_t  pid;

    kill(child->pid, SIGKILL);

    do {
        pid = waitpid(child->pid, &child->wait_status, 0);
    } while (pid == -1 && errno == EINTR);

    child->reaped = pid == child->pid;

    drain(child->text_fd, child->text, sizeof(child->text) - 1, &child->said);
    child->text[child->said] = '\0';

    close(child->answer_fd);
    close(child->text_fd);
}


/* What the child wrote to stdout and stderr, on one line: ": a; b", without the marks of a JVM's crash report; "" if nothing. */
static const char *
said(child_t *child, char line[600])
{
    char    *save, *p;
    size_t   used;

    used = 0;
    line[0] = '\0';

    for (p = strtok_r(child->text, "\r\n", &save); p != NULL && used < 500; p = strtok_r(NULL, "\r\n", &save)) {
        p += strspn(p, "# \t");

        if (*p != '\0') {
            used += (size_t) snprintf(line + used, 600 - used, "%s%.*s", used == 0 ? ": " : "; ", (int) (500 - used), p);
        }
    }

    return line;
}


static int
fail_without_answer(child_t *child, const atoll_java_home_t *java, char *error)
{
    int   status;
    char  line[600];

    status = child->wait_status;

    if (child->reaped && WIFSIGNALED(status)) {
        return fail(error, "the compile child (JVM %s in %s) died of signal %d, %s%s", java->version, java->home,
                    WTERMSIG(status), strsignal(WTERMSIG(status)), said(child, line));
    }

    if (child->reaped) {
        return fail(error, "the compile child (JVM %s in %s) ended with exit code %d before it answered%s", java->version,
                    java->home, WEXITSTATUS(status), said(child, line));
    }

    return fail(error, "the compile child (JVM %s in %s) ended before it answered%s", java->version, java->home,
                said(child, line));
}


/* What is said to be in the output part lies in it; what the tables hold is for atoll_table_check. */
static int
check_output(const atoll_compile_region_t *region, uint64_t offset, uint64_t length, char *error)
{
    uint32_t                                i;
    const atoll_compile_upstream_record_t  *upstream;

    for (i = 0; i < region->request->upstream_count; i++) {
        upstream = &region->upstreams[i];

        if (upstream->table_offset < offset || upstream->table_offset - offset > length
            || upstream->table_length > length - (upstream->table_offset - offset)
            || upstream->table_length < sizeof(atoll_table_record_t)
            || upstream->table_offset % ATOLL_CACHE_LINE != 0)
        {
            return fail(error, "java-core put the table of upstream number %u outside the output of the compile request "
                        "(offset %llu, length %llu): nginx module and atoll-core.jar are not of one build", i,
                        (unsigned long long) upstream->table_offset, (unsigned long long) upstream->table_length);
        }
    }

    return 0;
}


static int
judge(child_t *child, const atoll_java_home_t *java, uint32_t timeout_ms, char *error)
{
    atoll_compile_answer_t  head;

    if (child->timed_out) {
        return fail(error, "the compile child (JVM %s in %s) gave no answer within %u ms and was killed: the machine is "
                    "overloaded, or this JVM does not work", java->version, java->home, timeout_ms);
    }

    if (!is_answered(child)) {
        return fail_without_answer(child, java, error);
    }

    memcpy(&head, child->answer, sizeof(head));

    if (head.status == 0) {
        return 0;
    }

    return fail(error, "%s%.*s (JVM %s in %s)", head.status == -EPROTO ? "java-core gave up: " : "", (int) head.length,
                (char *) child->answer + sizeof(head), java->version, java->home);
}


/*
 * SIGCHLD stays blocked while the child lives: its process id cannot pass to another process before the kill() in finish().
 */
int
atoll_compile(atoll_compile_region_t *region, const atoll_compile_options_t *options, char error[ATOLL_COMPILE_ERROR])
{
    int                  result;
    char                 library[PATH_MAX];
    int64_t              deadline;
    child_t              child;
    sigset_t             mask, saved;
    uint32_t             timeout_ms;
    uint64_t             output_length, output_offset;
    atoll_java_home_t    java;
    atoll_compile_job_t  job;

    timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
    deadline = now_ms() + timeout_ms;
    output_offset = region->request->output_offset;
    output_length = region->request->output_length;

    if (find_library(library, options->library_dir, error) != 0
        || atoll_java_home_find(&java, options->java_home, ATOLL_JAVA_FOLDER, error, ATOLL_COMPILE_ERROR) != 0)
    {
        return -1;
    }

    job = (atoll_compile_job_t) { java.libjvm, library, region->base, region->length,
                                  HEAP_BASE_BYTES + output_length * HEAP_BYTES_PER_OUTPUT_BYTE, getpid() };

    sigprocmask(SIG_BLOCK, NULL, &saved);
    mask = saved;
    sigaddset(&mask, SIGCHLD);

    result = start(&child, &job, &mask, error);

    if (result == 0) {
        await_answer(&child, deadline);
        finish(&child);
        result = judge(&child, &java, timeout_ms, error);
    }

    sigprocmask(SIG_SETMASK, &saved, NULL);

    return result == 0 ? check_output(region, output_offset, output_length, error) : -1;
}
