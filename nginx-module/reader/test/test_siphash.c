/* SipHash-2-4 against what OpenSSL 3.0 gives for the same bytes: `openssl mac -macopt hexkey:0001…0f -macopt size:8 SIPHASH`. */
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "../atoll_siphash.h"
#include "tap.h"

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))

/* The code of the bytes 0, 1, 2, … (length + ATOLL_SIPHASH_HEAD of them) with the secret 0, 1, … 15. */
static const struct {
    size_t       length;
    const char  *code;
} codes[] = {
    {0, "db9bc2577fcc2a3f"},
    {1, "9447be2cf5e99a69"},
    {2, "9cd38d96f0b3c14b"},
    {3, "bd6179a71dc96dbb"},
    {4, "98eea21af25cd6be"},
    {5, "c7673b2eb0cbf2d0"},
    {6, "883ea3e395675393"},
    {7, "c8ce5ccd8c030ca8"},
    {8, "94af49f6c650adb8"},
    {9, "eab8858ade92e1bc"},
    {10, "f315bb5bb835d817"},
    {11, "adcf6b0763612e2f"},
    {12, "a5c91da7acaa4dde"},
    {13, "716595876650a2a6"},
    {14, "28ef495c53a387ad"},
    {15, "42c341d8fa92d832"},
    {16, "ce7cf2722f512771"},
    {24, "d0a704536ba93e0e"},
    {31, "eb75095ccd986cd0"},
    {240, "d7bfa7d226059d99"}
};


static void
code_of(const uint64_t secret[2], const unsigned char *bytes, size_t length, char text[2 * sizeof(uint64_t) + 1])
{
    uint64_t code = atoll_siphash(secret, bytes, bytes + ATOLL_SIPHASH_HEAD, length);

    /* little-endian, as OpenSSL writes it */
    for (size_t i = 0; i < sizeof(code); i++) {
        sprintf(text + 2 * i, "%02x", (unsigned) (code >> 8 * i & 0xff));
    }
}


static void
shouldGiveTheCodesOfOpenSsl(void)
{
    char           text[2 * sizeof(uint64_t) + 1];
    uint64_t       secret[2];
    unsigned char  bytes[512];

    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char) i;
    }

    memcpy(secret, bytes, sizeof(secret));

    for (size_t i = 0; i < COUNT(codes); i++) {
        code_of(secret, bytes, codes[i].length, text);
        CHECK(strcmp(text, codes[i].code) == 0);

        secret[i & 1] ^= 1;
        code_of(secret, bytes, codes[i].length, text);
        CHECK(strcmp(text, codes[i].code) != 0);
        secret[i & 1] ^= 1;
    }
}


int
main(void)
{
    RUN(shouldGiveTheCodesOfOpenSsl);

    return tap_done();
}
