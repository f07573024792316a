/* Attaching to a zone file: what is refused, under which name, and where its parts are found. */
#include "zone_fixture.h"
#include "tap.h"

static fixture_t  fixture;


static int
attach(size_t length)
{
    atoll_zone_t zone;

    return atoll_zone_attach(&zone, fixture.base, length);
}


static atoll_header_record_t *
fresh(void)
{
    if (fixture.base != NULL) {
        fixture_close(&fixture);
    }

    fixture_open(&fixture, 4, 8, 3, 4096);
    fixture_upstream(&fixture, 0, "edges");
    fixture_upstream(&fixture, 2, "shields");

    return fixture.zone.header;
}


static void
shouldNameEachResult(void)
{
    const char *const names[] = {
        "OK", "AWAIT_READY", "BAD_MAGIC", "VERSION_MISMATCH", "LAYOUT_MISMATCH", "TRUNCATED", "OUT_OF_BOUNDS"
    };

    for (int i = 0; i < ATOLL_ATTACH_COUNT_; i++) {
        CHECK(strcmp(names[i], atoll_attach_name(i)) == 0);
    }

    CHECK(strcmp("UNKNOWN", atoll_attach_name(-1)) == 0);
    CHECK(strcmp("UNKNOWN", atoll_attach_name(ATOLL_ATTACH_COUNT_)) == 0);
}


static void
shouldAttachToAWholeZone(void)
{
    fresh();
    CHECK_EQUAL(ATOLL_ATTACH_OK, attach(fixture.length));
    CHECK_EQUAL(ATOLL_ATTACH_OK, attach(fixture.length + 4096));
    CHECK_EQUAL(4, fixture.zone.upstream_count);
    CHECK_EQUAL(8, fixture.zone.peer_count);
    CHECK_EQUAL(3, fixture.zone.row_count);
}


static void
shouldRefuseAForeignFileHoweverShort(void)
{
    fresh()->magic++;

    for (size_t length = sizeof(uint64_t); length < fixture.length; length += 61) {
        CHECK_EQUAL(ATOLL_ATTACH_BAD_MAGIC, attach(length));
    }

    CHECK_EQUAL(ATOLL_ATTACH_TRUNCATED, attach(7));
    CHECK_EQUAL(ATOLL_ATTACH_TRUNCATED, attach(0));

    memset(fresh(), 0, 100);
    CHECK_EQUAL(ATOLL_ATTACH_BAD_MAGIC, attach(100));
    CHECK_EQUAL(ATOLL_ATTACH_BAD_MAGIC, attach(fixture.length));
}


static void
shouldWaitForAZoneThatIsBeingCreated(void)
{
    fresh()->ready = 0;
    CHECK_EQUAL(ATOLL_ATTACH_AWAIT_READY, attach(fixture.length));

    fixture.zone.header->version = 0;
    CHECK_EQUAL(ATOLL_ATTACH_AWAIT_READY, attach(fixture.length));

    memset(fixture.base, 0, fixture.length);
    CHECK_EQUAL(ATOLL_ATTACH_AWAIT_READY, attach(fixture.length));
}


static void
shouldTakeAnotherPatchReleaseAndRefuseAnyOtherVersion(void)
{
    fresh()->version ^= 0x7f;
    CHECK_EQUAL(ATOLL_ATTACH_OK, attach(fixture.length));

    fresh()->version += 0x100;
    CHECK_EQUAL(ATOLL_ATTACH_VERSION_MISMATCH, attach(fixture.length));
    CHECK_EQUAL(ATOLL_ATTACH_VERSION_MISMATCH, attach(16));

    fresh()->version += 0x10000;
    fixture.zone.header->fingerprint++;
    CHECK_EQUAL(ATOLL_ATTACH_VERSION_MISMATCH, attach(fixture.length));
}


static void
shouldRefuseAnotherLayoutOfTheSameVersion(void)
{
    fresh()->fingerprint++;
    CHECK_EQUAL(ATOLL_ATTACH_LAYOUT_MISMATCH, attach(fixture.length));
}


static void
shouldRefuseATruncatedFile(void)
{
    fresh();

    for (size_t length = 0; length < fixture.length; length += 8) {
        CHECK_EQUAL(ATOLL_ATTACH_TRUNCATED, attach(length));
    }

    fixture.zone.header->length++;
    CHECK_EQUAL(ATOLL_ATTACH_TRUNCATED, attach(fixture.length));
    fixture.zone.header->length = UINT64_MAX;
    CHECK_EQUAL(ATOLL_ATTACH_TRUNCATED, attach(fixture.length));
}


/* Every word that leads somewhere, with values that lead out of the file. */
static void
shouldRefuseSectionsOutOfBounds(void)
{
    const size_t    offsets[] = {
        offsetof(atoll_header_record_t, upstreams_offset), offsetof(atoll_header_record_t, states_offset),
        offsetof(atoll_header_record_t, identities_offset), offsetof(atoll_header_record_t, rows_offset),
        offsetof(atoll_header_record_t, hot_sets_offset),
        offsetof(atoll_header_record_t, tables_offset), offsetof(atoll_header_record_t, purges_offset)
    };
    const size_t    counts[] = {
        offsetof(atoll_header_record_t, upstreams_capacity), offsetof(atoll_header_record_t, peers_capacity),
        offsetof(atoll_header_record_t, rows_capacity), offsetof(atoll_header_record_t, row_size),
        offsetof(atoll_header_record_t, purge_sets)
    };
    const uint64_t  bad[] = {0, 8, 4095, 4097, UINT64_MAX, UINT64_MAX - 63, (uint64_t) 1 << 63, (uint64_t) 1 << 32};

    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
            memcpy((unsigned char *) fresh() + offsets[i], &bad[j], sizeof(uint64_t));
            CHECK_EQUAL(ATOLL_ATTACH_OUT_OF_BOUNDS, attach(fixture.length));
        }
    }

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        memset((unsigned char *) fresh() + counts[i], 0xff, sizeof(uint32_t));
        CHECK_EQUAL(ATOLL_ATTACH_OUT_OF_BOUNDS, attach(fixture.length));
    }

    fresh()->tables_length++;
    CHECK_EQUAL(ATOLL_ATTACH_OUT_OF_BOUNDS, attach(fixture.length));
    fresh()->row_size -= 64;
    CHECK_EQUAL(ATOLL_ATTACH_OUT_OF_BOUNDS, attach(fixture.length));
}


static void
shouldRefuseTableBuffersOutOfBounds(void)
{
    fresh();
    fixture.zone.upstreams[2].buffer_offset[1] = fixture.length;
    CHECK_EQUAL(ATOLL_ATTACH_OUT_OF_BOUNDS, attach(fixture.length));

    fresh();
    fixture.zone.upstreams[0].buffer_offset[0] = 0;
    CHECK_EQUAL(ATOLL_ATTACH_OUT_OF_BOUNDS, attach(fixture.length));

    fresh();
    fixture.zone.upstreams[0].buffer_capacity = UINT64_MAX;
    CHECK_EQUAL(ATOLL_ATTACH_OUT_OF_BOUNDS, attach(fixture.length));

    fixture.zone.upstreams[0].state = ATOLL_UPSTREAM_STATE_RETIRED;
    CHECK_EQUAL(ATOLL_ATTACH_OK, attach(fixture.length));
}


static void
shouldFindUpstreamsInUseByName(void)
{
    char long_name[129];

    fresh();
    CHECK_EQUAL(0, atoll_zone_find_upstream(&fixture.zone, "edges", 5));
    CHECK_EQUAL(2, atoll_zone_find_upstream(&fixture.zone, "shields", 7));
    CHECK_EQUAL(-1, atoll_zone_find_upstream(&fixture.zone, "shield", 6));
    CHECK_EQUAL(-1, atoll_zone_find_upstream(&fixture.zone, "", 0));

    memset(long_name, 'a', sizeof(long_name));
    CHECK_EQUAL(-1, atoll_zone_find_upstream(&fixture.zone, long_name, 129));
    memset(fixture.zone.upstreams[1].name, 'a', 128);
    fixture.zone.upstreams[1].name_length = 128;
    fixture.zone.upstreams[1].state = ATOLL_UPSTREAM_STATE_USED;
    CHECK_EQUAL(1, atoll_zone_find_upstream(&fixture.zone, long_name, 128));
    fixture.zone.upstreams[1].name_length = 129;
    CHECK_EQUAL(-1, atoll_zone_find_upstream(&fixture.zone, long_name, 128));

    fixture.zone.upstreams[0].state = ATOLL_UPSTREAM_STATE_RETIRED;
    CHECK_EQUAL(-1, atoll_zone_find_upstream(&fixture.zone, "edges", 5));
}


static void
shouldKeepTheRowsApart(void)
{
    atoll_row_t  row, next;
    size_t       size = atoll_row_size(4, 8);

    fresh();
    CHECK_EQUAL(0, size % 64);
    CHECK(size >= sizeof(atoll_row_record_t) + 4 * sizeof(atoll_row_upstream_record_t) + 8 * sizeof(atoll_row_peer_record_t));

    row = atoll_zone_row(&fixture.zone, 0);
    next = atoll_zone_row(&fixture.zone, 1);
    CHECK((unsigned char *) row.head == fixture.zone.rows);
    CHECK((unsigned char *) (row.peers + 8) <= (unsigned char *) next.head);
    CHECK((unsigned char *) (atoll_zone_row(&fixture.zone, 2).peers + 8) <= fixture.base + fixture.zone.tables_offset);

    row.peers[7].inflight = 2;
    next.peers[7].inflight = UINT32_MAX;
    CHECK_EQUAL(UINT64_C(2) + UINT32_MAX, atoll_zone_inflight(&fixture.zone, 7));
    CHECK_EQUAL(0, atoll_zone_inflight(&fixture.zone, 6));
    CHECK_EQUAL(0, atoll_zone_inflight(&fixture.zone, 8));
    CHECK_EQUAL(0, atoll_zone_inflight(&fixture.zone, UINT32_MAX));
}


int
main(void)
{
    RUN(shouldNameEachResult);
    RUN(shouldAttachToAWholeZone);
    RUN(shouldRefuseAForeignFileHoweverShort);
    RUN(shouldWaitForAZoneThatIsBeingCreated);
    RUN(shouldTakeAnotherPatchReleaseAndRefuseAnyOtherVersion);
    RUN(shouldRefuseAnotherLayoutOfTheSameVersion);
    RUN(shouldRefuseATruncatedFile);
    RUN(shouldRefuseSectionsOutOfBounds);
    RUN(shouldRefuseTableBuffersOutOfBounds);
    RUN(shouldFindUpstreamsInUseByName);
    RUN(shouldKeepTheRowsApart);

    return tap_done();
}
