/*
 * Asks java-core for tables: forks a child, has it load the JVM, waits for its answer, cleans up.
 *
 * Pure POSIX C11, no nginx, no jni.h (the child loads libatoll_jni.so, which has it). Called by a single-threaded
 * process at configuration time. The JVM lives and dies in the child.
 */
#ifndef ATOLL_COMPILE_H
#define ATOLL_COMPILE_H

#include <stddef.h>
#include <stdint.h>

#include "../reader/atoll_layout.h"

typedef struct {
    const char  *library_dir;   /* holds libatoll_jni.so and atoll-core.jar (and atoll-core.jsa, if it is there) */
    const char  *java_home;     /* NULL: JAVA_HOME, then the java on PATH, then the newest of /usr/lib/jvm */
    uint32_t     timeout_ms;    /* of the whole child; 0: 30,000 */
} atoll_compile_options_t;

#define ATOLL_COMPILE_ERROR 2048

/* A compile request: one shared anonymous mapping that the child inherits. */
typedef struct {
    unsigned char                    *base;
    size_t                            length;
    atoll_compile_request_record_t   *request;
    atoll_compile_upstream_record_t  *upstreams;
    atoll_compile_peer_record_t      *peers;
    size_t                            strings_used, strings_offset, strings_length;
} atoll_compile_region_t;

/*
 * Maps a region for that many upstreams, peers, bytes of names, and points in all (160 x weight each; for an upstream
 * with maglev, ATOLL_MAGLEV_ENTRIES for each ring). The pages come when they are touched. 0, or -1 (errno).
 */
int atoll_compile_region_open(atoll_compile_region_t *region, uint32_t upstreams, uint32_t peers, size_t names,
                              uint64_t points);
/* Copies a name into the region and returns its offset; names given in all must not exceed what open was told. */
uint64_t atoll_compile_region_name(atoll_compile_region_t *region, const void *name, size_t length);
void atoll_compile_region_close(atoll_compile_region_t *region);

/*
 * Runs the child over the region. 0: every compile_upstream has its table_offset and table_length, within the output
 * part of the region (validate the tables with atoll_table_check all the same). -1: error holds one clear sentence.
 * Leaves no process, thread, descriptor or zombie, also when the caller's SIGCHLD handler reaps the child first.
 */
int atoll_compile(atoll_compile_region_t *region, const atoll_compile_options_t *options, char error[ATOLL_COMPILE_ERROR]);

#endif
