/*
 * Between test_compile_child.c and the libatoll_jni.so that it builds from fake_jni.c. What the fake does is told by the
 * environment variable FAKE; what it saw it writes into the request's output, behind the head of a table.
 */
#ifndef FAKE_JNI_H
#define FAKE_JNI_H

#include <sys/types.h>

#include "../atoll_compile.h"

typedef struct {
    pid_t   pid;                /* stored last, with release */
    int     descriptors;
    int     threads;
    int     session_leader;
    int     signals_default;
    int     signals_blocked;
    int     java_options;       /* one of the variables that JVMs read is set */
    size_t  heap_bytes;
    char    libjvm[512];
    char    library_dir[512];
    char    folder[64];         /* the current one */
} seen_t;

static inline seen_t *
seen_in(void *region)
{
    atoll_compile_request_record_t  *request = region;

    return (seen_t *) ((unsigned char *) region + request->output_offset + sizeof(atoll_table_record_t));
}

#endif
