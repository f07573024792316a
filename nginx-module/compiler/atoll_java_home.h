/*
 * Finds the JVM that the compile child will load, by looking at files only: libjvm is never loaded here.
 */
#ifndef ATOLL_JAVA_HOME_H
#define ATOLL_JAVA_HOME_H

#include <stddef.h>

#define ATOLL_JAVA_OLDEST  17
#define ATOLL_JAVA_FOLDER  "/usr/lib/jvm"
#define ATOLL_JAVA_PATH    4096

typedef struct {
    char      home[ATOLL_JAVA_PATH];
    char      libjvm[ATOLL_JAVA_PATH + 32];
    char      version[64];      /* as its release file has it, "unknown" without one */
    unsigned  feature;          /* 17 of 17.0.15, 8 of 1.8.0; 0 unknown: the JVM itself will tell */
} atoll_java_home_t;

/*
 * home, when it is not NULL, is the only place looked at; else JAVA_HOME, then the java on PATH with its links resolved,
 * then the newest in folder. The first that holds a libjvm.so of ATOLL_JAVA_OLDEST or newer is taken. 0, or -1 with a
 * sentence in error that lists each place and what was wrong with it.
 */
int atoll_java_home_find(atoll_java_home_t *java, const char *home, const char *folder, char *error, size_t error_size);

#endif
