#include "atoll_crc32.h"

#include <stdatomic.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "four bytes are taken as a little-endian word"
#endif

#define POLYNOMIAL  UINT32_C(0xedb88320)   /* reflected */

/* tables[n][b] is the CRC of b followed by n zero bytes. */
static uint32_t    tables[8][256];
static atomic_int  tables_ready;

static void tables_fill(void) __attribute__((noinline, cold));


static void
tables_fill(void)
{
    uint32_t crc;

    for (uint32_t i = 0; i < 256; i++) {
        crc = i;

        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        }

        tables[0][i] = crc;
    }

    for (uint32_t i = 0; i < 256; i++) {
        for (int n = 1; n < 8; n++) {
            crc = tables[n - 1][i];
            tables[n][i] = crc >> 8 ^ tables[0][crc & 0xff];
        }
    }

    atomic_store_explicit(&tables_ready, 1, memory_order_release);
}


/* What a word gives with so many bytes behind it. */
static inline uint32_t
slice(uint32_t word, int behind)
{
    return tables[behind + 3][word & 0xff] ^ tables[behind + 2][word >> 8 & 0xff] ^ tables[behind + 1][word >> 16 & 0xff]
           ^ tables[behind][word >> 24];
}


uint32_t
atoll_crc32_update(uint32_t state, const void *data, size_t length)
{
    uint32_t              word[2];
    const unsigned char  *p = data, *end = p + length;

    if (!atomic_load_explicit(&tables_ready, memory_order_acquire)) {
        tables_fill();
    }

    for ( /* void */ ; end - p >= 8; p += 8) {
        memcpy(word, p, sizeof(word));
        state = slice(word[0] ^ state, 4) ^ slice(word[1], 0);
    }

    if (end - p >= 4) {
        memcpy(word, p, sizeof(word[0]));
        state = slice(word[0] ^ state, 0);
        p += 4;
    }

    for ( /* void */ ; p < end; p++) {
        state = state >> 8 ^ tables[0][(state ^ *p) & 0xff];
    }

    return state;
}
