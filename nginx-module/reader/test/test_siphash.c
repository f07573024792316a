/* SipHash-2-4-128 against what OpenSSL 3.0 gives for the same bytes: `openssl mac -macopt hexkey:0001…0f -macopt size:16 SIPHASH`. */
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
    {0, "6ee2a4ca67b054bbfd3315bf85230577"},
    {1, "473d06e8738db89854c066c47ae47740"},
    {2, "a426e5e423bf4885294da481feaef723"},
    {3, "78017731cf65fab074d5208952512eb1"},
    {4, "9e25fc833f2290733e9344a5e83839eb"},
    {5, "568e495abe525a218a2214cd3e071d12"},
    {6, "4a29b54552d16b9a469c10528eff0aae"},
    {7, "c9d184ddd5a9f5e0cf8ce29a9abf691c"},
    {8, "2db479ae78bd50d8882a8a178a6132ad"},
    {9, "8ece5f042d5e447b5051b9eacb8d8f6f"},
    {10, "9c0b53b4b3c307e87eaee08678141f66"},
    {11, "abf248af69a6eae4bfd3eb2f129eeb94"},
    {12, "0664da1668574b88b935f3027358aef4"},
    {13, "aa4b9dc4bf337de90cd4fd3c467c6ab7"},
    {14, "ea5c7f471faf6bde2b1ad7d4686d2287"},
    {15, "2939b0183223fafc1723de4f52c43d35"},
    {16, "7c3956ca5eeafc3e363e9d556546eb68"},
    {24, "df6a301e95c95dad97ae0cc8c6913bd8"},
    {31, "e61c432b720b19d18ec8d84bdc63151b"},
    {240, "67a00304d3834c4612eaee7b5f579acb"}
};


static void
code_of(const uint64_t secret[2], const unsigned char *bytes, size_t length, char text[2 * ATOLL_SIPHASH_BYTES + 1])
{
    unsigned char code[ATOLL_SIPHASH_BYTES];

    atoll_siphash(secret, bytes, bytes + ATOLL_SIPHASH_HEAD, length, code);

    for (size_t i = 0; i < sizeof(code); i++) {
        sprintf(text + 2 * i, "%02x", code[i]);
    }
}


static void
shouldGiveTheCodesOfOpenSsl(void)
{
    char           text[2 * ATOLL_SIPHASH_BYTES + 1];
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
