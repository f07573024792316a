/*
 * The file behind a zone: what is at its path now, and the new one that is made beside it under a temporary name.
 *
 * Each function that returns int answers 0, or -1 with one sentence in error.
 */
#ifndef ATOLL_ZONE_FILE_H
#define ATOLL_ZONE_FILE_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

#include "../reader/atoll_zone.h"

#define ATOLL_FILE_ERROR 1024

/* A mapped file. */
typedef struct {
    int            fd;       /* -1: there is none */
    void          *base;     /* NULL: nothing to map */
    size_t         length;   /* of the file and of the mapping */
    uid_t          user;     /* whom it belongs to */
    int            attach;   /* ATOLL_ATTACH_* */
    atoll_zone_t   zone;     /* for ATOLL_ATTACH_OK */
} atoll_file_t;

/* A new file that waits to take its place. */
typedef struct {
    int            fd;               /* -1: none was made */
    void          *base;
    size_t         length;
    int            made_folder;
    char           folder[PATH_MAX];
    char           temporary[PATH_MAX];
} atoll_new_file_t;

/* Writes the sentence and returns -1. */
int atoll_writer_fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Opens, maps and attaches what is at path. No file: 0, with fd -1. Refuses what cannot be or become a zone file, or is
 * somebody else's data. read_only maps without the right to write.
 */
int atoll_file_open(atoll_file_t *file, const char *path, int read_only, char *error);

/* The header of a file with this layout, also when the rest of it is damaged; NULL otherwise. */
atoll_header_record_t *atoll_file_header(const atoll_file_t *file);

/* Whether the file was made since the machine was started: its times and process ids mean something. */
int atoll_file_is_of_this_boot(const atoll_header_record_t *header);

/* Refuses a file whose nginx master is alive and is neither this process nor its parent or child (binary upgrade). */
int atoll_file_check_owner(const atoll_file_t *file, const char *path, char *error);

/*
 * Takes the publisher's lock of the file: nobody else publishes until it is released or the caller ends. Waits for an agent
 * that holds it, ATOLL_LOCK_WAIT_MS at most. The lock belongs to the descriptor, so it must be released before processes are
 * forked that live on.
 */
int atoll_file_lock(const atoll_file_t *file, const char *path, char *error);
void atoll_file_unlock(const atoll_file_t *file);

/* Whether another file stands at path now. */
int atoll_file_is_replaced(const atoll_file_t *file, const char *path);

/*
 * Makes sure that each page of the file has its memory, so that no process meets SIGBUS on a full file system. A file that was cut short
 * meanwhile stays so, where the file system can: it would be blank where it is mapped.
 */
int atoll_file_reserve(const atoll_file_t *file, const char *path, char *error);

/* Gives the file its mode and group, as far as the caller may. */
void atoll_file_own(int fd, gid_t group);

void atoll_file_close(atoll_file_t *file);

/* Whether atoll_new_file_make would succeed, as far as that can be told without making anything. */
int atoll_new_file_check(const char *path, size_t size, char *error);

/*
 * Makes an empty file of size bytes, zeroed, fully reserved and mapped, in the folder of path. Makes that folder when only
 * its last component is missing. Removes what makers that died left there.
 */
int atoll_new_file_make(atoll_new_file_t *file, const char *path, size_t size, gid_t group, char *error);

/* Renames it to path: 0 or an errno. The mapping stays. */
int atoll_new_file_place(atoll_new_file_t *file, const char *path);

/* Removes it, and the folder if that was made for it. */
void atoll_new_file_discard(atoll_new_file_t *file);

#endif
