/* The request's region: where everything lies, and what does not fit. */
#define _GNU_SOURCE
#include "compile_test.h"


static void
shouldLayTheRequestOutAsItsHeadSays(void)
{
    atoll_compile_region_t           region;
    atoll_compile_request_record_t  *request;

    CHECK(atoll_compile_region_open(&region, 3, 7, 100, 7 * 160) == 0);

    request = region.request;
    CHECK((unsigned char *) request == region.base);
    CHECK(request->magic == ATOLL_REQUEST_MAGIC);
    CHECK(request->version == ATOLL_LAYOUT_VERSION);
    CHECK(request->fingerprint == ATOLL_LAYOUT_FINGERPRINT);
    CHECK(request->length == region.length);
    CHECK(request->upstream_count == 3 && request->peer_count == 7);
    CHECK(request->upstreams_offset == sizeof(*request));
    CHECK((unsigned char *) region.upstreams == region.base + request->upstreams_offset);
    CHECK(request->peers_offset == request->upstreams_offset + 3 * sizeof(atoll_compile_upstream_record_t));
    CHECK((unsigned char *) region.peers == region.base + request->peers_offset);
    CHECK(region.strings_offset == request->peers_offset + 7 * sizeof(atoll_compile_peer_record_t));
    CHECK(request->output_offset % 64 == 0);
    CHECK(request->output_offset >= region.strings_offset + 100);
    CHECK(request->output_offset + request->output_length == region.length);

    atoll_compile_region_close(&region);
}


static void
shouldKeepNamesOneAfterAnother(void)
{
    uint64_t                first, second;
    atoll_compile_region_t  region;

    CHECK(atoll_compile_region_open(&region, 1, 1, 9, 160) == 0);

    first = atoll_compile_region_name(&region, "cache", 5);
    second = atoll_compile_region_name(&region, "a:80", 4);

    CHECK(first == region.strings_offset);
    CHECK(second == first + 5);
    CHECK(memcmp(region.base + first, "cachea:80", 9) == 0);
    CHECK(second + 4 <= region.request->output_offset);

    atoll_compile_region_close(&region);
}


static void
shouldTouchNoMoreMemoryThanIsWritten(void)
{
    long                    before;
    atoll_compile_region_t  region;

    before = resident_kb();

    CHECK(atoll_compile_region_open(&region, 64, 10000, 320000, 16000000) == 0);
    CHECK(region.length > 128u << 20);
    CHECK(resident_kb() - before < 1024);

    atoll_compile_region_close(&region);
}


static void
shouldRefuseWhatAByteBufferCannotAddress(void)
{
    atoll_compile_region_t  region;

    errno = 0;
    CHECK(atoll_compile_region_open(&region, 1, 1, 10, UINT64_MAX) == -1 && errno == EOVERFLOW);
    errno = 0;
    CHECK(atoll_compile_region_open(&region, 1, 1, SIZE_MAX, 160) == -1 && errno == EOVERFLOW);
    errno = 0;
    CHECK(atoll_compile_region_open(&region, UINT32_MAX, UINT32_MAX, 10, 160) == -1 && errno == EOVERFLOW);
    errno = 0;
    CHECK(atoll_compile_region_open(&region, 1, 1, 10, INT32_MAX / 16) == -1 && errno == EOVERFLOW);
}


static void
shouldUnmapOnClose(void)
{
    int                     before;
    atoll_compile_region_t  region;

    before = count_lines("/proc/self/maps");

    CHECK(atoll_compile_region_open(&region, 1, 1, 10, 160) == 0);
    atoll_compile_region_close(&region);
    atoll_compile_region_close(&region);

    CHECK(region.base == NULL);
    CHECK(count_lines("/proc/self/maps") == before);
}


int
main(void)
{
    RUN(shouldLayTheRequestOutAsItsHeadSays);
    RUN(shouldKeepNamesOneAfterAnother);
    RUN(shouldTouchNoMoreMemoryThanIsWritten);
    RUN(shouldRefuseWhatAByteBufferCannotAddress);
    RUN(shouldUnmapOnClose);

    return tap_done();
}
