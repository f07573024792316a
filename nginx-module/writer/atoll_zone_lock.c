/*
 * Who may publish: the nginx master or the agent, one at a time. An advisory write lock on the first byte of the zone file,
 * which the kernel drops when its holder dies. Of the descriptor here (F_OFD_SETLK), so that closing another descriptor of the
 * file in this process does not drop it; the agent's is one of its process (java.nio), and the two exclude each other.
 * docs/decisions/0006-two-publishers.md.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "atoll_zone_file.h"
#include "atoll_zone_writer.h"

#define STEP_MS 20

static struct flock
first_byte(short type)
{
    struct flock  lock;

    memset(&lock, 0, sizeof(lock));
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_len = 1;

    return lock;
}

static int
fail_held(const atoll_file_t *file, const char *path, char *error)
{
    struct flock  lock = first_byte(F_WRLCK);
    char          holder[64] = "another nginx";

    if (fcntl(file->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0) {
        snprintf(holder, sizeof(holder), "the agent, process %ld", (long) lock.l_pid);
    }

    return atoll_writer_fail(error, "the zone file \"%s\" has been locked by %s for %d ms; expected it to publish within "
                             "milliseconds: let it go on (is it stopped?) or end it, then try again", path, holder,
                             ATOLL_LOCK_WAIT_MS);
}

int
atoll_file_lock(const atoll_file_t *file, const char *path, char *error)
{
    for (int waited = 0; ; waited += STEP_MS) {
        struct flock     lock = first_byte(F_WRLCK);
        struct timespec  step = { 0, STEP_MS * 1000000L };

        if (fcntl(file->fd, F_OFD_SETLK, &lock) == 0) {
            return 0;
        }

        if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
            return atoll_writer_fail(error, "cannot lock the zone file \"%s\": %s; expected a file system with locks, such as "
                                     "tmpfs", path, strerror(errno));
        }

        if (waited >= ATOLL_LOCK_WAIT_MS) {
            return fail_held(file, path, error);
        }

        (void) nanosleep(&step, NULL);
    }
}

void
atoll_file_unlock(const atoll_file_t *file)
{
    struct flock  lock = first_byte(F_UNLCK);

    if (file->fd != -1) {
        (void) fcntl(file->fd, F_OFD_SETLK, &lock);
    }
}

int
atoll_file_is_replaced(const atoll_file_t *file, const char *path)
{
    struct stat  here, there;

    return fstat(file->fd, &here) == 0 && (lstat(path, &there) == -1 || here.st_dev != there.st_dev
                                           || here.st_ino != there.st_ino);
}
