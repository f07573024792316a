/* CRC-32 against its check value (of "123456789", as catalogues of CRCs give it) and against one bit at a time. */
#include <stdint.h>
#include <sys/types.h>

#include "../atoll_crc32.h"
#include "tap.h"


static uint32_t
bit_by_bit(const unsigned char *p, size_t length)
{
    uint32_t crc = ~0u;

    while (length-- > 0) {
        crc ^= *p++;

        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
        }
    }

    return ~crc;
}


static void
shouldGiveTheCheckValue(void)
{
    CHECK(atoll_crc32("123456789", 9) == 0xcbf43926u);
    CHECK(atoll_crc32("", 0) == 0);
}


static void
shouldAgreeWithOneBitAtATimeAtEachLengthAndPlace(void)
{
    unsigned char bytes[300];

    tap_seed();

    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char) tap_random();
    }

    for (size_t from = 0; from < 8; from++) {
        for (size_t length = 0; from + length <= sizeof(bytes); length++) {
            CHECK(atoll_crc32(bytes + from, length) == bit_by_bit(bytes + from, length));
            CHECK(~atoll_crc32_update(atoll_crc32_update(~0u, bytes, from), bytes + from, length) == bit_by_bit(bytes, from + length));
        }
    }
}


int
main(void)
{
    RUN(shouldGiveTheCheckValue);
    RUN(shouldAgreeWithOneBitAtATimeAtEachLengthAndPlace);

    return tap_done();
}
