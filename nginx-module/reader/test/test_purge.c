/* Purges: which keys a purge concerns, what a full set costs, and that no byte of the section can do harm. */
#include "zone_fixture.h"
#include "tap.h"

#define SETS 16

static atoll_zone_t  zone;
static struct {
    atoll_purges_record_t    head;
    atoll_purge_set_record_t sets[SETS];
} section __attribute__((aligned(64)));


static void
fresh(void)
{
    memset(&section, 0, sizeof(section));
    memset(&zone, 0, sizeof(zone));
    zone.purges = &section.head;
    zone.purge_sets = section.sets;
    zone.purge_set_count = SETS;
}


static uint64_t
generation(const char *key, const char *host)
{
    return atoll_generation(&zone, key, strlen(key), host, strlen(host));
}


static void
purge(unsigned kind, const char *text, uint64_t number)
{
    fixture_purge(&zone, kind, text, number);
}


static void
shouldHashAsJavaDoes(void)
{
    CHECK(UINT64_C(0x99239fa69090ca8b) == atoll_purge_hash(ATOLL_PURGE_KIND_EXACT, "a/b", 3));
    CHECK(UINT64_C(0x9182bea401a3dc9e) == atoll_purge_hash(ATOLL_PURGE_KIND_PREFIX, "a/b", 3));
    CHECK(UINT64_C(0x765ba009ae97681a) == atoll_purge_hash(ATOLL_PURGE_KIND_SITE, "", 0));
}


static void
shouldSayNothingAsLongAsNothingWasPurged(void)
{
    fresh();
    CHECK_EQUAL(0, generation("a/1", "a"));
    zone.purges = NULL;
    CHECK_EQUAL(0, generation("a/1", "a"));
}


static void
shouldGiveTheGreatestNumberThatConcernsAKey(void)
{
    fresh();
    purge(ATOLL_PURGE_KIND_EXACT, "a/x/1", 5);
    CHECK_EQUAL(5, generation("a/x/1", "a"));
    CHECK_EQUAL(0, generation("a/x/2", "a"));
    CHECK_EQUAL(0, generation("a/x/", "a"));

    purge(ATOLL_PURGE_KIND_PREFIX, "a/x/", 7);
    CHECK_EQUAL(7, generation("a/x/1", "a"));
    CHECK_EQUAL(7, generation("a/x/2", "a"));
    CHECK_EQUAL(7, generation("a/x/", "a"));
    CHECK_EQUAL(0, generation("a/x", "a"));
    CHECK_EQUAL(0, generation("a/y/1", "a"));

    purge(ATOLL_PURGE_KIND_PREFIX, "a/", 9);
    CHECK_EQUAL(9, generation("a/x/1", "a"));
    purge(ATOLL_PURGE_KIND_SITE, "b", 11);
    CHECK_EQUAL(9, generation("a/x/1", "a"));
    CHECK_EQUAL(11, generation("a/x/1", "b"));
    purge(ATOLL_PURGE_KIND_EXACT, "a/x/1", 12);
    CHECK_EQUAL(12, generation("a/x/1", "b"));

    section.head.all = 20;
    CHECK_EQUAL(20, generation("", ""));
}


static void
shouldNeverGoBack(void)
{
    fresh();
    purge(ATOLL_PURGE_KIND_EXACT, "a", 9);
    purge(ATOLL_PURGE_KIND_EXACT, "a", 3);
    CHECK_EQUAL(9, generation("a", ""));
}


static void
shouldMatchAPrefixOfTheGreatestLengthOnly(void)
{
    char key[300];

    fresh();
    memset(key, 'k', sizeof(key));
    key[299] = '\0';
    key[256] = '\0';
    purge(ATOLL_PURGE_KIND_PREFIX, key, 4);
    key[256] = 'k';
    CHECK_EQUAL(4, generation(key, ""));
    key[255] = 'x';
    CHECK_EQUAL(0, generation(key, ""));
    key[255] = '\0';
    CHECK_EQUAL(0, generation(key, ""));
}


/* 1,000 purges in 112 places: each key keeps at least its number, and a full set concerns others. */
static void
shouldPurgeTooMuchAndNeverTooLittleWhenASetIsFull(void)
{
    char  key[16];
    int   too_little = 0, too_much = 0;

    fresh();

    for (uint64_t i = 1; i <= 1000; i++) {
        snprintf(key, sizeof(key), "k%d", (int) i);
        purge(i % 2 ? ATOLL_PURGE_KIND_EXACT : ATOLL_PURGE_KIND_PREFIX, key, i);
    }

    for (uint64_t i = 1; i <= 1000; i++) {
        snprintf(key, sizeof(key), "k%d", (int) i);
        too_little += generation(key, "") < i;
        snprintf(key, sizeof(key), "other%d", (int) i);
        too_much += generation(key, "") != 0;
    }

    CHECK_EQUAL(0, too_little);
    CHECK_EQUAL(1000, too_much);
}


static void
shouldWaitForAnAgentAsLongAsItWasTold(void)
{
    uint64_t nonce = 0;

    fresh();
    section.head.nonce = 77;
    section.head.since_ms = 1000;
    CHECK_EQUAL(1, atoll_purges_wait(&zone, 5000, UINT64_MAX, &nonce));
    CHECK_EQUAL(77, nonce);
    CHECK_EQUAL(1, atoll_purges_wait(&zone, 5000, 4001, &nonce));
    CHECK_EQUAL(0, atoll_purges_wait(&zone, 5000, 4000, &nonce));
    section.head.loaded = ATOLL_PURGES_LOADED_AGED;
    CHECK_EQUAL(0, atoll_purges_wait(&zone, 5000, UINT64_MAX, &nonce));
    zone.purges = NULL;
    CHECK_EQUAL(0, atoll_purges_wait(&zone, 5000, UINT64_MAX, &nonce));
}


static void
shouldSurviveAnyBytes(void)
{
    uint64_t  seed = UINT64_C(0x9e3779b97f4a7c15), nonce;
    char      key[600];

    fresh();

    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < sizeof(section) / 8; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            memcpy((char *) &section + 8 * i, &seed, 8);
        }

        memset(key, 'a' + round % 26, sizeof(key));
        (void) atoll_generation(&zone, key, seed % sizeof(key), key, seed % 40);
        (void) atoll_purges_wait(&zone, seed, 5, &nonce);
    }

    CHECK(1);
}


static void
shouldRefuseASectionOutsideTheFile(void)
{
    fixture_t  fixture;
    atoll_zone_t  attached;

    fixture_open(&fixture, 4, 8, 3, 4096);
    fixture.zone.header->purges_offset = fixture.zone.rows - fixture.base;
    fixture.zone.header->purge_sets = 4;
    CHECK_EQUAL(ATOLL_ATTACH_OK, atoll_zone_attach(&attached, fixture.base, fixture.length));
    CHECK_EQUAL(4, attached.purge_set_count);
    fixture.zone.header->purge_sets = 3;
    CHECK_EQUAL(ATOLL_ATTACH_OUT_OF_BOUNDS, atoll_zone_attach(&attached, fixture.base, fixture.length));
    fixture.zone.header->purge_sets = UINT32_C(1) << 31;
    CHECK_EQUAL(ATOLL_ATTACH_OUT_OF_BOUNDS, atoll_zone_attach(&attached, fixture.base, fixture.length));
    fixture.zone.header->purge_sets = 4;
    fixture.zone.header->purges_offset = fixture.length - 64;
    CHECK_EQUAL(ATOLL_ATTACH_OUT_OF_BOUNDS, atoll_zone_attach(&attached, fixture.base, fixture.length));
    fixture.zone.header->purges_offset = 4096 + 8;
    CHECK_EQUAL(ATOLL_ATTACH_OUT_OF_BOUNDS, atoll_zone_attach(&attached, fixture.base, fixture.length));
    fixture_close(&fixture);
}


int
main(void)
{
    RUN(shouldHashAsJavaDoes);
    RUN(shouldSayNothingAsLongAsNothingWasPurged);
    RUN(shouldGiveTheGreatestNumberThatConcernsAKey);
    RUN(shouldNeverGoBack);
    RUN(shouldMatchAPrefixOfTheGreatestLengthOnly);
    RUN(shouldPurgeTooMuchAndNeverTooLittleWhenASetIsFull);
    RUN(shouldWaitForAnAgentAsLongAsItWasTold);
    RUN(shouldSurviveAnyBytes);
    RUN(shouldRefuseASectionOutsideTheFile);

    return tap_done();
}
