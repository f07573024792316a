/*
 * What a master that reloads for days would notice: 200 compiles in a row with the real JVM, and nothing left of them.
 * ATOLL_DIST as for test_compile_tables.c.
 */
#define _GNU_SOURCE
#include "compile_test.h"

static const char  *dist;


static int
compile_once(void)
{
    int                      result;
    char                     error[ATOLL_COMPILE_ERROR];
    atoll_compile_region_t   region;
    atoll_compile_options_t  options;

    options = (atoll_compile_options_t) { dist, NULL, 0 };
    open_request(&region, 100);
    result = atoll_compile(&region, &options, error);
    atoll_compile_region_close(&region);

    if (result != 0) {
        printf("# %s\n", error);
    }

    return result;
}


static int
maps_name(const char *part)
{
    int    found;
    char   line[4096];
    FILE  *file;

    file = fopen("/proc/self/maps", "r");
    if (file == NULL) {
        bail_out("/proc/self/maps");
    }

    for (found = 0; !found && fgets(line, sizeof(line), file) != NULL; found = strstr(line, part) != NULL) { /* void */ }

    fclose(file);

    return found;
}


static void
shouldLeaveNothingBehindIn200Runs(void)
{
    int          i;
    int64_t      start;
    footprint_t  before;

    CHECK(compile_once() == 0);
    before = footprint();
    start = monotonic_ms();

    for (i = 0; i < 200 && tap_failed == 0; i++) {
        CHECK(compile_once() == 0);
    }

    printf("# %d ms for one of %d\n", (int) ((monotonic_ms() - start) / (i == 0 ? 1 : i)), i);
    check_footprint(before, 256);
}


static void
shouldNeverHaveAJvmInTheCaller(void)
{
    CHECK(compile_once() == 0);
    CHECK(maps_name("libc"));
    CHECK(!maps_name("libjvm"));
    CHECK(!maps_name("libatoll_jni"));
    CHECK(!maps_name(".jar"));
}


int
main(void)
{
    dist = dist_folder();

    RUN(shouldLeaveNothingBehindIn200Runs);
    RUN(shouldNeverHaveAJvmInTheCaller);

    return tap_done();
}
