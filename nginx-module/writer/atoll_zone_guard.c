#define _GNU_SOURCE

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "../reader/atoll_read.h"
#include "atoll_zone_copy.h"
#include "atoll_zone_guard.h"

typedef struct {
    unsigned char          *base;    /* NULL: nobody's */
    size_t                  length;
    const char             *path;
    int                     copy;
    volatile sig_atomic_t   lost;
} guard_t;

static guard_t            guards[ATOLL_GUARDS];
static atomic_uint       *told;         /* by guard, shared with children: who lost it first has told */
static struct sigaction   former;
static int                installed;

void (*atoll_guard_lost)(const char *path, int first);

static guard_t *
guard_of(const void *address)
{
    for (int i = 0; address != NULL && i < ATOLL_GUARDS; i++) {
        if (guards[i].base != NULL && (size_t) ((const unsigned char *) address - guards[i].base) < guards[i].length) {
            return &guards[i];
        }
    }

    return NULL;
}

static int
map_over(guard_t *guard)
{
    const int  prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;

    if (guard->copy != -1 && mmap(guard->base, guard->length, prot, flags, guard->copy, 0) != MAP_FAILED) {
        atoll_copy_begin(guard->base, guard->length);
        return 1;
    }

    return mmap(guard->base, guard->length, prot, flags | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static int
lose(guard_t *guard)
{
    if (guard->lost || !map_over(guard)) {
        return 0;
    }

    guard->lost = 1;

    if (atoll_guard_lost != NULL) {
        atoll_guard_lost(guard->path, told == NULL || atomic_exchange(&told[guard - guards], 1) == 0);
    }

    return 1;
}

/* As if there were no handler here. With the default in place, an instruction that faulted does so again. */
static void
pass_on(int number, siginfo_t *info, void *context)
{
    if (former.sa_flags & SA_SIGINFO) {
        former.sa_sigaction(number, info, context);

    } else if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN) {
        former.sa_handler(number);

    } else if (former.sa_handler == SIG_DFL || info->si_code > 0) {
        (void) signal(number, SIG_DFL);

        if (info->si_code <= 0) {
            (void) raise(number);
        }
    }
}

static void
on_sigbus(int number, siginfo_t *info, void *context)
{
    int       error = errno;
    guard_t  *guard = info->si_code > 0 ? guard_of(info->si_addr) : NULL;

    if (guard == NULL || !lose(guard)) {
        pass_on(number, info, context);
    }

    errno = error;
}

static void
install(void)
{
    struct sigaction  action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

    (void) sigemptyset(&action.sa_mask);
    installed = sigaction(SIGBUS, &action, &former) == 0;

    told = mmap(NULL, ATOLL_GUARDS * sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (told == MAP_FAILED) {
        told = NULL;
    }
}

void
atoll_guard_add(void *base, size_t length, const char *path)
{
    if (!installed) {
        install();
    }

    for (int i = 0; i < ATOLL_GUARDS; i++) {
        if (guards[i].base == NULL) {
            guards[i] = (guard_t) { .length = length, .path = path, .copy = -1 };

            if (told != NULL) {
                atomic_store(&told[i], 0);
            }

            atomic_signal_fence(memory_order_seq_cst);
            guards[i].base = base;
            return;
        }
    }
}

static int
is_in_place(void)
{
    struct sigaction  action;

    return sigaction(SIGBUS, NULL, &action) == 0 && (action.sa_flags & SA_SIGINFO) && action.sa_sigaction == on_sigbus;
}

/* The handler's code is unloaded with the module. */
static void
uninstall(void)
{
    if (!installed || !is_in_place()) {
        return;
    }

    (void) sigaction(SIGBUS, &former, NULL);
    installed = 0;

    if (told != NULL) {
        munmap(told, ATOLL_GUARDS * sizeof(*told));
        told = NULL;
    }
}

static int
is_any_left(void)
{
    for (int i = 0; i < ATOLL_GUARDS; i++) {
        if (guards[i].base != NULL) {
            return 1;
        }
    }

    return 0;
}

void
atoll_guard_remove(const void *base)
{
    guard_t  *guard = guard_of(base);

    if (guard != NULL) {
        atoll_copy_close(guard->copy);
        guard->base = NULL;

        if (!is_any_left()) {
            uninstall();
        }
    }
}

void
atoll_guard_copy(const void *base, int copy)
{
    guard_t  *guard = guard_of(base);

    if (guard == NULL) {
        atoll_copy_close(copy);
        return;
    }

    atoll_copy_close(guard->copy);
    guard->copy = copy;
}

int
atoll_guard_is_lost(const void *base)
{
    guard_t  *guard = guard_of(base);

    return guard != NULL && guard->lost;
}

int
atoll_guard_check(const atoll_zone_t *zone)
{
    guard_t                      *guard = guard_of(zone->base);
    const atoll_header_record_t  *header = zone->header;

    if (guard == NULL) {
        return 0;
    }

    atoll_zone_touch(zone);

    if (atoll_read64(&header->magic) != ATOLL_MAGIC || atoll_relaxed(header->ready) != ATOLL_READY
        || atoll_read32(&header->fingerprint) != ATOLL_LAYOUT_FINGERPRINT)
    {
        (void) lose(guard);
    }

    return guard->lost;
}
