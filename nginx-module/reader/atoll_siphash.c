#include "atoll_siphash.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words of a zone, and of a code, are little-endian"
#endif

#define ROTATE(x, bits)  ((x) << (bits) | (x) >> (64 - (bits)))


static inline void
rounds(uint64_t v[4], int count)
{
    while (count-- > 0) {
        v[0] += v[1];
        v[1] = ROTATE(v[1], 13) ^ v[0];
        v[0] = ROTATE(v[0], 32);
        v[2] += v[3];
        v[3] = ROTATE(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = ROTATE(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = ROTATE(v[1], 17) ^ v[2];
        v[2] = ROTATE(v[2], 32);
    }
}


static inline void
absorb(uint64_t v[4], const unsigned char *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));

    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
}


uint64_t
atoll_siphash(const uint64_t secret[2], const unsigned char head[ATOLL_SIPHASH_HEAD], const void *data, size_t length)
{
    uint64_t              v[4];
    unsigned char         last[8] = { 0 };
    const unsigned char  *p = data, *end = p + (length & ~(size_t) 7);

    v[0] = secret[0] ^ 0x736f6d6570736575u;
    v[1] = secret[1] ^ 0x646f72616e646f6du;
    v[2] = secret[0] ^ 0x6c7967656e657261u;
    v[3] = secret[1] ^ 0x7465646279746573u;

    absorb(v, head);
    absorb(v, head + 8);

    for ( /* void */ ; p < end; p += 8) {
        absorb(v, p);
    }

    for (size_t i = 0; i < (length & 7); i++) {
        last[i] = p[i];
    }

    last[7] = (unsigned char) (length + ATOLL_SIPHASH_HEAD);
    absorb(v, last);

    v[2] ^= 0xff;
    rounds(v, 4);

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
