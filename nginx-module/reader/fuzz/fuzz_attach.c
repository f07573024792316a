/* The input is the zone file, in memory that ends where it ends (but for up to 63 bytes). */
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    atoll_zone_t    zone;
    unsigned char  *base = aligned_alloc(ATOLL_CACHE_LINE, fixture_align(size));

    memcpy(base, data, size);

    if (atoll_zone_attach(&zone, base, size) == ATOLL_ATTACH_OK) {
        fuzz_use(&zone);
    }

    free(base);

    return 0;
}
