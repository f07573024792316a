/* Tests as sentences: RUN(shouldDoSomething) is one line of TAP. CHECK stops the test at what does not hold. */
#ifndef ATOLL_TAP_H
#define ATOLL_TAP_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static int tap_tests, tap_failures, tap_failed;

#define CHECK(what)                                                                                                     \
    do {                                                                                                                \
        if (!(what)) {                                                                                                  \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #what);                                                         \
            tap_failed = 1;                                                                                             \
            return;                                                                                                     \
        }                                                                                                               \
    } while (0)

#define CHECK_EQUAL(expected, actual)                                                                                   \
    do {                                                                                                                \
        long long expected_ = (long long) (expected), actual_ = (long long) (actual);                                   \
        if (expected_ != actual_) {                                                                                     \
            printf("# %s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #actual, actual_, expected_);            \
            tap_failed = 1;                                                                                             \
            return;                                                                                                     \
        }                                                                                                               \
    } while (0)

/* For what a test calls: hands its failure on. */
#define CHECK_PASSED()                                                                                                  \
    do {                                                                                                                \
        if (tap_failed) {                                                                                               \
            printf("# called at %s:%d\n", __FILE__, __LINE__);                                                          \
            return;                                                                                                     \
        }                                                                                                               \
    } while (0)

#define RUN(test)                                                                                                       \
    do {                                                                                                                \
        tap_failed = 0;                                                                                                 \
        test();                                                                                                         \
        printf("%sok %d - %s\n", tap_failed ? "not " : "", ++tap_tests, #test);                                         \
        fflush(stdout);                                                                                                 \
        tap_failures += tap_failed;                                                                                     \
    } while (0)

static inline int
tap_done(void)
{
    printf("1..%d\n", tap_tests);

    return tap_failures != 0;
}

/* A child that ends with its parent, and after a minute in any case. */
static inline pid_t
tap_fork(void)
{
    pid_t pid = fork();

    if (pid < 0) {
        perror("fork");
        exit(1);
    }

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(60);
    }

    return pid;
}

/* Random numbers (splitmix64). The seed is printed, and taken from ATOLL_SEED when that is set. */
static uint64_t tap_random_state;

static inline uint64_t
tap_random(void)
{
    uint64_t z = tap_random_state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);

    return z ^ (z >> 31);
}

static inline void
tap_seed(void)
{
    const char *given = getenv("ATOLL_SEED");

    tap_random_state = given != NULL ? strtoull(given, NULL, 0) : (uint64_t) time(NULL);
    printf("# ATOLL_SEED=%llu\n", (unsigned long long) tap_random_state);
}

#endif
