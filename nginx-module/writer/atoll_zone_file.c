#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "atoll_process.h"
#include "atoll_zone_file.h"
#include "atoll_zone_guard.h"

#define TEMPORARY_SUFFIX ".new"

int
atoll_writer_fail(char *error, const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    vsnprintf(error, ATOLL_FILE_ERROR, format, args);
    va_end(args);

    return -1;
}

/* Whether the first bytes are those of a zone file, as far as there are any. */
static int
has_magic(const atoll_file_t *file)
{
    const uint64_t  magic = ATOLL_MAGIC;

    return file->length == 0 || memcmp(file->base, &magic, file->length < 8 ? file->length : 8) == 0;
}

static int
file_map(atoll_file_t *file, const char *path, int read_only, char *error)
{
    file->attach = ATOLL_ATTACH_TRUNCATED;

    if (file->length == 0) {
        return 0;
    }

    void  *base = mmap(NULL, file->length, PROT_READ | (read_only ? 0 : PROT_WRITE), MAP_SHARED, file->fd, 0);

    if (base == MAP_FAILED) {
        return atoll_writer_fail(error, "cannot map the zone file \"%s\": %s", path, strerror(errno));
    }

    file->base = base;
    atoll_guard_add(base, file->length, path);

    if (!has_magic(file) && !atoll_guard_is_lost(base)) {
        return atoll_writer_fail(error, "\"%s\" is not a zone file and is left alone; remove it, or choose another "
                                 "path in atoll_zone", path);
    }

    file->attach = atoll_zone_attach(&file->zone, file->base, file->length);

    return 0;
}

int
atoll_file_open(atoll_file_t *file, const char *path, int read_only, char *error)
{
    struct stat  status;

    memset(file, 0, sizeof(*file));

    file->fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (file->fd == -1) {
        switch (errno) {
        case ENOENT:
            return 0;
        case ELOOP:
            return atoll_writer_fail(error, "\"%s\" is a symbolic link; atoll_zone needs the path of the zone file itself",
                                     path);
        case EISDIR:
        case ENXIO:
            return atoll_writer_fail(error, "\"%s\" is not a regular file; remove it, or choose another path in atoll_zone",
                                     path);
        default:
            return atoll_writer_fail(error, "cannot open the zone file \"%s\": %s; nginx must be able to read and write it",
                                     path, strerror(errno));
        }
    }

    if (fstat(file->fd, &status) == -1) {
        atoll_writer_fail(error, "cannot look at the zone file \"%s\": %s", path, strerror(errno));
        atoll_file_close(file);
        return -1;
    }

    if (!S_ISREG(status.st_mode)) {
        atoll_writer_fail(error, "\"%s\" is not a regular file; remove it, or choose another path in atoll_zone", path);
        atoll_file_close(file);
        return -1;
    }

    file->length = (size_t) status.st_size;
    file->user = status.st_uid;

    if (file_map(file, path, read_only, error) != 0) {
        atoll_file_close(file);
        return -1;
    }

    return 0;
}

atoll_header_record_t *
atoll_file_header(const atoll_file_t *file)
{
    atoll_header_record_t  *header = file->base;

    return file->base != NULL && file->length >= sizeof(*header) && header->version == ATOLL_LAYOUT_VERSION
           && header->fingerprint == ATOLL_LAYOUT_FINGERPRINT ? header : NULL;
}

int
atoll_file_is_of_this_boot(const atoll_header_record_t *header)
{
    uint8_t  boot[16];

    atoll_boot_id(boot);

    return memcmp(boot, header->boot_id, sizeof(boot)) == 0;
}

int
atoll_file_check_owner(const atoll_file_t *file, const char *path, char *error)
{
    const atoll_header_record_t  *header = atoll_file_header(file);

    if (header == NULL) {
        return 0;
    }

    uint64_t  pid = atomic_load(&header->master_pid);
    uint64_t  start = atomic_load(&header->master_start);

    if (!atoll_file_is_of_this_boot(header) || !atoll_process_is(pid, start)) {
        return 0;
    }

    if (pid == (uint64_t) getpid() || pid == (uint64_t) getppid() || atoll_process_parent(pid) == (uint64_t) getpid()) {
        return 0;
    }

    return atoll_writer_fail(error, "the zone file \"%s\" belongs to a running nginx, master process %" PRIu64 "; stop that "
                             "one, or choose another path in atoll_zone", path, pid);
}

/* posix_fallocate, whole in spite of signals: 0 or an errno. */
static int
reserve(int fd, size_t size)
{
    int  result;

    do {
        result = posix_fallocate(fd, 0, (off_t) size);
    } while (result == EINTR);

    return result;
}

static int
fail_reserve(char *error, const char *path, size_t size, int number)
{
    return atoll_writer_fail(error, "cannot reserve %zu bytes for the zone file \"%s\": %s; free space there, or give "
                             "atoll_zone another path or a smaller size", size, path, strerror(number));
}

int
atoll_file_reserve(const atoll_file_t *file, const char *path, char *error)
{
    int  result = fallocate(file->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t) file->length) == 0 ? 0 : errno;

    if (result == EOPNOTSUPP || result == EINTR) {
        result = reserve(file->fd, file->length);
    }

    return result == 0 ? 0 : fail_reserve(error, path, file->length, result);
}

void
atoll_file_own(int fd, gid_t group)
{
    struct stat  status;

    if (fstat(fd, &status) == -1) {
        return;
    }

    if ((geteuid() != 0 || status.st_gid == group || fchown(fd, (uid_t) -1, group) == 0)
        && (status.st_mode & 07777) != 0660)
    {
        (void) fchmod(fd, 0660);
    }
}

void
atoll_file_close(atoll_file_t *file)
{
    if (file->base != NULL) {
        atoll_guard_remove(file->base);
        munmap(file->base, file->length);
        file->base = NULL;
    }

    if (file->fd != -1) {
        close(file->fd);
        file->fd = -1;
    }
}

/* Splits path into its folder and the name in it. */
static int
split(const char *path, char *folder, const char **name, char *error)
{
    const char  *slash = strrchr(path, '/');

    *name = slash == NULL ? path : slash + 1;

    if (**name == '\0' || strlen(path) >= PATH_MAX - 64) {
        return atoll_writer_fail(error, "\"%s\" cannot be a zone file: %s", path,
                                 **name == '\0' ? "a file name is missing" : "the path is too long");
    }

    if (slash == NULL) {
        strcpy(folder, ".");
    } else {
        size_t  length = slash == path ? 1 : (size_t) (slash - path);

        memcpy(folder, path, length);
        folder[length] = '\0';
    }

    return 0;
}

/* The folder above; the text is changed. */
static const char *
parent_of(char *folder)
{
    char  *slash = strrchr(folder, '/');

    if (slash == NULL) {
        return ".";
    }

    slash[slash == folder ? 1 : 0] = '\0';

    return folder;
}

static int
fail_folder(char *error, const char *folder, const char *path, int number)
{
    return atoll_writer_fail(error, "cannot write in the folder \"%s\" for the zone file \"%s\": %s; make it writable for "
                             "nginx, or choose another path in atoll_zone", folder, path, strerror(number));
}

static int
fail_make_folder(char *error, const char *folder, int number)
{
    return atoll_writer_fail(error, "cannot create the folder \"%s\" for the zone file: %s; create it, or choose another path "
                             "in atoll_zone", folder, strerror(number));
}

/* In a sticky folder only the owners of file and folder may replace the file. */
static int
may_replace(const char *path, const struct stat *folder)
{
    struct stat  file;
    uid_t        user = geteuid();

    return user == 0 || (folder->st_mode & S_ISVTX) == 0 || folder->st_uid == user || lstat(path, &file) == -1
           || file.st_uid == user;
}

/* Whether a file can be made in the folder: 0, 1 when the folder must be made first, or -1. */
static int
check_folder(const char *path, const char *folder, char *error)
{
    char         above[PATH_MAX];
    struct stat  status;

    if (stat(folder, &status) == 0) {
        if (!S_ISDIR(status.st_mode)) {
            return fail_folder(error, folder, path, ENOTDIR);
        }
        if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == -1) {
            return fail_folder(error, folder, path, errno);
        }
        if (!may_replace(path, &status)) {
            return fail_folder(error, folder, path, EPERM);
        }
        return 0;
    }

    if (errno != ENOENT) {
        return fail_folder(error, folder, path, errno);
    }

    strcpy(above, folder);
    if (faccessat(AT_FDCWD, parent_of(above), W_OK | X_OK, AT_EACCESS) == -1) {
        return fail_make_folder(error, folder, errno);
    }

    return 1;
}

int
atoll_new_file_check(const char *path, size_t size, char *error)
{
    char            folder[PATH_MAX];
    const char     *name;
    struct statvfs  space;

    if (split(path, folder, &name, error) != 0) {
        return -1;
    }

    int  missing = check_folder(path, folder, error);

    if (missing == -1) {
        return -1;
    }

    if (statvfs(missing ? parent_of(folder) : folder, &space) == 0 && space.f_blocks != 0) {
        uint64_t  blocks = geteuid() == 0 ? space.f_bfree : space.f_bavail;

        if (blocks < size / space.f_frsize) {
            return fail_reserve(error, path, size, ENOSPC);
        }
    }

    return 0;
}

/* Whether entry is a temporary file for name whose maker is gone. */
static int
is_stale(const char *entry, const char *name)
{
    uint64_t  pid, start;
    size_t    length = strlen(name);
    int       end = 0;

    if (entry[0] != '.' || strncmp(entry + 1, name, length) != 0) {
        return 0;
    }

    entry += 1 + length;

    return sscanf(entry, ".%" SCNu64 ".%" SCNu64 TEMPORARY_SUFFIX "%n", &pid, &start, &end) == 2 && end != 0
           && entry[end] == '\0' && !atoll_process_is(pid, start);
}

static void
remove_stale(const char *folder, const char *name)
{
    DIR            *stream = opendir(folder);
    struct dirent  *entry;

    if (stream == NULL) {
        return;
    }

    while ((entry = readdir(stream)) != NULL) {
        if (is_stale(entry->d_name, name)) {
            (void) unlinkat(dirfd(stream), entry->d_name, 0);
        }
    }

    closedir(stream);
}

static int
new_file_fill(atoll_new_file_t *file, const char *path, gid_t group, char *error)
{
    if (geteuid() == 0 && fchown(file->fd, (uid_t) -1, group) == -1) {
        return atoll_writer_fail(error, "cannot give the zone file \"%s\" to group %lu: %s", path, (unsigned long) group,
                                 strerror(errno));
    }

    if (fchmod(file->fd, 0660) == -1) {
        return atoll_writer_fail(error, "cannot set the mode of the zone file \"%s\": %s", path, strerror(errno));
    }

    int  result = reserve(file->fd, file->length);

    if (result != 0) {
        return fail_reserve(error, path, file->length, result);
    }

    void  *base = mmap(NULL, file->length, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);

    if (base == MAP_FAILED) {
        return atoll_writer_fail(error, "cannot map the zone file \"%s\": %s", path, strerror(errno));
    }

    file->base = base;
    atoll_guard_add(base, file->length, path);

    return 0;
}

int
atoll_new_file_make(atoll_new_file_t *file, const char *path, size_t size, gid_t group, char *error)
{
    const char  *name;

    memset(file, 0, sizeof(*file));
    file->fd = -1;
    file->length = size;

    if (split(path, file->folder, &name, error) != 0) {
        return -1;
    }

    int  missing = check_folder(path, file->folder, error);

    if (missing == -1) {
        return -1;
    }

    if (missing) {
        if (mkdir(file->folder, 0755) == -1) {
            return fail_make_folder(error, file->folder, errno);
        }
        file->made_folder = 1;
        (void) chmod(file->folder, 0755);
    }

    remove_stale(file->folder, name);

    uint64_t  pid = (uint64_t) getpid();

    snprintf(file->temporary, sizeof(file->temporary), "%.*s.%s.%" PRIu64 ".%" PRIu64 TEMPORARY_SUFFIX,
             (int) (name - path), path, name, pid, atoll_process_start(pid));

    (void) unlink(file->temporary);
    file->fd = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (file->fd == -1) {
        fail_folder(error, file->folder, path, errno);
        atoll_new_file_discard(file);
        return -1;
    }

    if (new_file_fill(file, path, group, error) != 0) {
        atoll_new_file_discard(file);
        return -1;
    }

    return 0;
}

int
atoll_new_file_place(atoll_new_file_t *file, const char *path)
{
    int  result = rename(file->temporary, path) == 0 ? 0 : errno;

    if (result != 0) {
        (void) unlink(file->temporary);
    }

    close(file->fd);
    file->fd = -1;

    return result;
}

void
atoll_new_file_discard(atoll_new_file_t *file)
{
    if (file->base != NULL) {
        atoll_guard_remove(file->base);
        munmap(file->base, file->length);
        file->base = NULL;
    }

    if (file->fd != -1) {
        close(file->fd);
        (void) unlink(file->temporary);
        file->fd = -1;
    }

    if (file->made_folder) {
        (void) rmdir(file->folder);
        file->made_folder = 0;
    }
}
