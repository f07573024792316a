/*
 * A good zone with words replaced before anybody attaches. The input is a list of 8 bytes each: place, then value, both
 * little-endian 32 bits. A place beyond the zone asks for checksums that fit: so the damage is not simply refused by them.
 */
#include "fuzz.h"

static void
fit_checksums(fixture_t *fixture)
{
    uint64_t               offset;
    atoll_table_record_t  *head;

    for (uint32_t i = 0; i < 2; i++) {
        offset = fixture->zone.tables_offset + 2 * i * fixture->buffer_capacity;
        head = (atoll_table_record_t *) (fixture->base + offset);

        if (head->length <= fixture->buffer_capacity && head->length >= sizeof(*head) && head->peers_offset % 8 == 0
            && head->peers_offset <= head->length
            && fixture_all_peers(head) <= UINT32_MAX
        && fixture_all_peers(head) <= (head->length - head->peers_offset) / sizeof(atoll_table_peer_record_t))
        {
            head->checksum = fixture_checksum((unsigned char *) head);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fixture_t       pristine, damaged;
    static unsigned char  *base;
    uint32_t               word[2];
    atoll_zone_t           zone;

    if (base == NULL) {
        fuzz_open(&pristine);
        base = aligned_alloc(ATOLL_CACHE_LINE, pristine.length);
    }

    memcpy(base, pristine.base, pristine.length);
    damaged = pristine;
    damaged.base = base;

    for ( /* void */ ; size >= sizeof(word); data += sizeof(word), size -= sizeof(word)) {
        memcpy(word, data, sizeof(word));

        if (word[0] / 4 < pristine.length / 4) {
            memcpy(base + word[0] / 4 * 4, &word[1], sizeof(uint32_t));

        } else {
            fit_checksums(&damaged);
        }
    }

    if (atoll_zone_attach(&zone, base, pristine.length) == ATOLL_ATTACH_OK) {
        fuzz_use(&zone);
    }

    return 0;
}
