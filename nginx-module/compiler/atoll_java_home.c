#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atoll_java_home.h"

/* Where it was looked and in vain, as text for the error. */
typedef struct {
    char    text[1024];
    size_t  used;
} trail_t;


__attribute__((format(printf, 2, 3)))
static void
trail_add(trail_t *trail, const char *format, ...)
{
    int      n;
    size_t   room;
    va_list  args;

    room = sizeof(trail->text) - trail->used;

    va_start(args, format);
    n = vsnprintf(trail->text + trail->used, room, format, args);
    va_end(args);

    if (n > 0) {
        trail->used += (size_t) n < room ? (size_t) n : room - 1;
    }
}


/* Reads JAVA_VERSION="17.0.15" from home/release. Without it the version stays unknown. */
static void
read_version(atoll_java_home_t *java)
{
    char   path[ATOLL_JAVA_PATH + 32], line[512];
    FILE  *file;

    java->feature = 0;
    strcpy(java->version, "unknown");

    snprintf(path, sizeof(path), "%s/release", java->home);

    file = fopen(path, "re");
    if (file == NULL) {
        return;
    }

    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "JAVA_VERSION=\"%63[^\"]\"", java->version) == 1) {
            if (sscanf(java->version, "1.%u", &java->feature) != 1) {
                java->feature = (unsigned) strtoul(java->version, NULL, 10);
            }

            break;
        }
    }

    fclose(file);
}


/* Whether home holds a usable JVM; what is wrong with it goes to the trail. */
static int
examine(atoll_java_home_t *java, const char *home, trail_t *trail)
{
    if (strlen(home) >= ATOLL_JAVA_PATH || realpath(home, java->home) == NULL) {
        trail_add(trail, "%.200s: %s", home, strlen(home) >= ATOLL_JAVA_PATH ? "too long" : strerror(errno));
        return 0;
    }

    read_version(java);

    if (java->feature != 0 && java->feature < ATOLL_JAVA_OLDEST) {
        trail_add(trail, "%.200s: found version %s, wanted %d or newer", home, java->version, ATOLL_JAVA_OLDEST);
        return 0;
    }

    snprintf(java->libjvm, sizeof(java->libjvm), "%s/lib/server/libjvm.so", java->home);

    if (access(java->libjvm, R_OK) != 0) {
        trail_add(trail, "%.200s: lib/server/libjvm.so: %s", home, strerror(errno));
        return 0;
    }

    return 1;
}


static int
find_in_environment(atoll_java_home_t *java, trail_t *trail)
{
    const char  *home;

    home = getenv("JAVA_HOME");

    if (home == NULL || *home == '\0') {
        trail_add(trail, "JAVA_HOME (not set)");
        return 0;
    }

    trail_add(trail, "JAVA_HOME (");

    if (examine(java, home, trail)) {
        return 1;
    }

    trail_add(trail, ")");

    return 0;
}


/* The file that `java` starts, with its links resolved. */
static int
find_command(char command[ATOLL_JAVA_PATH])
{
    char         path[ATOLL_JAVA_PATH];
    size_t       length;
    const char  *p;

    for (p = getenv("PATH"); p != NULL && *p != '\0'; p += length + (p[length] == ':')) {
        length = strcspn(p, ":");

        if (length == 0 || length + sizeof("/java") > sizeof(path)) {
            continue;
        }

        snprintf(path, sizeof(path), "%.*s/java", (int) length, p);

        if (access(path, X_OK) == 0 && realpath(path, command) != NULL) {
            return 1;
        }
    }

    return 0;
}


static int
find_on_path(atoll_java_home_t *java, trail_t *trail)
{
    char    command[ATOLL_JAVA_PATH];
    size_t  length;

    static const char  tail[] = "/bin/java";

    if (!find_command(command)) {
        trail_add(trail, ", java on PATH (none)");
        return 0;
    }

    length = strlen(command);

    if (length < sizeof(tail) || strcmp(command + length - (sizeof(tail) - 1), tail) != 0) {
        trail_add(trail, ", java on PATH (%.200s: not in a bin folder of a Java home)", command);
        return 0;
    }

    command[length - (sizeof(tail) - 1)] = '\0';

    trail_add(trail, ", java on PATH (");

    if (examine(java, command, trail)) {
        return 1;
    }

    trail_add(trail, ")");

    return 0;
}


/* Newest by its whole version: 17.0.9 < 17.0.15 < 25. */
static int
find_newest(atoll_java_home_t *java, const char *folder, trail_t *trail)
{
    int                 found;
    char                path[ATOLL_JAVA_PATH];
    DIR                *dir;
    trail_t             seen;
    struct dirent      *entry;
    atoll_java_home_t   candidate;

    dir = opendir(folder);
    if (dir == NULL) {
        trail_add(trail, ", %s (%s)", folder, strerror(errno));
        return 0;
    }

    found = 0;
    seen.used = 0;
    seen.text[0] = '\0';

    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }

        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        trail_add(&seen, seen.used == 0 ? "" : "; ");

        if (examine(&candidate, path, &seen)
            && (!found || strverscmp(candidate.version, java->version) > 0))
        {
            *java = candidate;
            found = 1;
        }
    }

    closedir(dir);

    if (!found) {
        trail_add(trail, ", %s (%s)", folder, seen.used == 0 ? "empty" : seen.text);
    }

    return found;
}


int
atoll_java_home_find(atoll_java_home_t *java, const char *home, const char *folder, char *error, size_t error_size)
{
    trail_t  trail;

    trail.used = 0;
    trail.text[0] = '\0';

    if (home != NULL) {
        if (examine(java, home, &trail)) {
            return 0;
        }

        snprintf(error, error_size, "no usable JVM at the Java home that was given (%s); give the folder of a JDK or JRE "
                 "of version %d or newer, or none to have it looked for", trail.text, ATOLL_JAVA_OLDEST);
        return -1;
    }

    if (find_in_environment(java, &trail) || find_on_path(java, &trail) || find_newest(java, folder, &trail)) {
        return 0;
    }

    snprintf(error, error_size, "no JVM of version %d or newer found; looked at %s; install a JDK or JRE, "
             "or tell its folder with atoll_java home=", ATOLL_JAVA_OLDEST, trail.text);
    return -1;
}
