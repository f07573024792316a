/* Tables: what is refused, and that a lookup finds the point that a search through all of them finds. */
#include "zone_fixture.h"
#include "tap.h"

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))

static const fixture_peer_t peers[] = {
    {"10.0.0.1:80", "10.0.0.1:80", 1, 0, 1, 10000, 0},
    {"10.0.0.2:80", "10.0.0.2:80", 3, 0, 1, 10000, 0},
    {"twice", "10.0.0.3:80", 1, 0, 1, 10000, 0},
    {"spare", "10.0.0.4:80", 2, 0, 1, 10000, ATOLL_PEER_FLAG_BACKUP},
    {"twice", "10.0.0.5:80", 1, 0, 1, 10000, ATOLL_PEER_FLAG_DOWN},
    {"unix:/run/c", "unix:/run/c", 1, 0, 1, 10000, 0},
    {"10.0.0.1:80", "10.0.0.1:80", 1, 0, 1, 10000, ATOLL_PEER_FLAG_PREVIOUS},
    {"gone", "10.0.0.6:80", 2, 0, 1, 10000, ATOLL_PEER_FLAG_PREVIOUS | ATOLL_PEER_FLAG_DOWN},
    {"long gone", "10.0.0.7:80", 1, 0, 1, 10000, ATOLL_PEER_FLAG_EARLIER}
};


static int
check(const atoll_table_record_t *table)
{
    atoll_table_t checked;

    return atoll_table_check(&checked, table, table->length);
}


/* The same, with a checksum that fits: only the other checks can refuse it. */
static int
check_summed(atoll_table_record_t *table, size_t room)
{
    atoll_table_t checked;

    if (table->length <= room && table->peers_offset <= table->length && table->peers_offset % 8 == 0
        && fixture_all_peers(table) <= UINT32_MAX
        && fixture_all_peers(table) <= (table->length - table->peers_offset) / sizeof(atoll_table_peer_record_t))
    {
        table->checksum = fixture_checksum((unsigned char *) table);
    }

    return atoll_table_check(&checked, table, room);
}


static void
shouldTakeACompiledTable(void)
{
    atoll_table_t          table;
    atoll_table_record_t  *head = fixture_compile(peers, COUNT(peers));

    CHECK_EQUAL(ATOLL_TABLE_OK, atoll_table_check(&table, head, head->length));
    CHECK_EQUAL(6, table.peer_count);
    CHECK_EQUAL(5, table.group_count);
    CHECK_EQUAL(9, table.all_peers);
    CHECK_EQUAL(6, table.ring[ATOLL_RING_PREVIOUS].first_peer);
    CHECK_EQUAL(2, table.ring[ATOLL_RING_PREVIOUS].peer_count);
    CHECK_EQUAL(2, table.ring[ATOLL_RING_PREVIOUS].group_count);
    CHECK_EQUAL(1, table.ring[ATOLL_RING_PREVIOUS].tries);
    CHECK_EQUAL(480, table.ring[ATOLL_RING_PREVIOUS].point_count);
    CHECK_EQUAL(8, table.ring[ATOLL_RING_EARLIER].first_peer);
    CHECK_EQUAL(1, table.ring[ATOLL_RING_EARLIER].peer_count);
    CHECK_EQUAL(160, table.ring[ATOLL_RING_EARLIER].point_count);
    CHECK_EQUAL(4, table.ring[ATOLL_RING_PRIMARY].group_count);
    CHECK_EQUAL(5, table.ring[ATOLL_RING_PRIMARY].peer_count);
    CHECK_EQUAL(4, table.ring[ATOLL_RING_PRIMARY].tries);
    CHECK_EQUAL(1, table.ring[ATOLL_RING_BACKUPS].peer_count);
    CHECK_EQUAL(1, table.ring[ATOLL_RING_BACKUPS].tries);
    CHECK_EQUAL(320, table.ring[ATOLL_RING_BACKUPS].point_count);
    CHECK_EQUAL(0, table.single);
    CHECK_EQUAL(2, table.groups[2].peer_count);
    CHECK_EQUAL(4, table.peers[table.groups[2].first_peer + 1].source);
    free(head);

    head = fixture_compile(peers, 1);
    CHECK_EQUAL(ATOLL_TABLE_OK, atoll_table_check(&table, head, head->length));
    CHECK_EQUAL(1, table.single);
    CHECK_EQUAL(0, table.ring[ATOLL_RING_BACKUPS].point_count);
    CHECK_EQUAL(0, table.ring[ATOLL_RING_PREVIOUS].point_count);
    CHECK_EQUAL(1, table.all_peers);
    CHECK_EQUAL(ATOLL_NO_POINT, atoll_ring_find(&table.ring[ATOLL_RING_BACKUPS], 1));
    free(head);
}


/* Each byte behind the head is covered by the checksum, but for the slots; each count of the head by another check. */
static void
shouldRefuseEachByteThatIsWrong(void)
{
    atoll_table_record_t  *head = fixture_compile(peers, COUNT(peers));
    unsigned char         *bytes = (unsigned char *) head;

    for (size_t i = offsetof(atoll_table_record_t, checksum); i < head->length; i++) {
        int is_slot = i >= head->peers_offset && i < head->peers_offset + COUNT(peers) * 32 && (i - head->peers_offset) % 32 < 4;

        if (i >= offsetof(atoll_table_record_t, handover_until_ms) && i < sizeof(*head)) {
            continue;
        }

        bytes[i] ^= 0x55;
        CHECK_EQUAL(is_slot ? ATOLL_TABLE_OK : ATOLL_TABLE_INVALID, check(head));
        bytes[i] ^= 0x55;
    }

    CHECK_EQUAL(ATOLL_TABLE_OK, check(head));
    free(head);
}


static void
shouldRefuseATruncatedTable(void)
{
    atoll_table_t          table;
    atoll_table_record_t  *head = fixture_compile(peers, COUNT(peers));

    for (size_t length = 0; length < head->length; length += 8) {
        CHECK_EQUAL(ATOLL_TABLE_INVALID, atoll_table_check(&table, head, length));
    }

    free(head);
}


/* The checksum is not what keeps a reader within bounds: with one that fits, what leads astray is refused all the same. */
static void
shouldRefuseWhatContradictsItselfUnderAChecksumThatFits(void)
{
    uint64_t               bad;
    const size_t           room = fixture_table_room(peers, COUNT(peers));
    atoll_table_record_t  *original = fixture_compile(peers, COUNT(peers)), *head;
    const uint64_t         values[] = {0, 1, 2, 5, 7, 31, 32, 33, 255, 256, 257, UINT32_MAX, UINT64_MAX, UINT64_MAX - 7};

    head = aligned_alloc(ATOLL_CACHE_LINE, room);

    for (size_t i = offsetof(atoll_table_record_t, length); i < offsetof(atoll_table_record_t, handover_until_ms); i += 4) {
        if (i == offsetof(atoll_table_record_t, config_epoch) || i == offsetof(atoll_table_record_t, config_epoch) + 4
            || i == offsetof(atoll_table_record_t, checksum))
        {
            continue;
        }

        for (size_t v = 0; v < COUNT(values); v++) {
            memcpy(head, original, room);
            bad = values[v];

            if (memcmp((unsigned char *) head + i, &bad, 4) == 0) {
                continue;
            }

            memcpy((unsigned char *) head + i, &bad, 4);

            if (i == offsetof(atoll_table_record_t, length) && head->length > original->length) {
                continue;
            }

            CHECK_EQUAL(ATOLL_TABLE_INVALID, check_summed(head, room));
        }
    }

    free(original);
    free(head);
}


static void
shouldRefuseRecordsThatLeadAstray(void)
{
    const size_t           room = fixture_table_room(peers, COUNT(peers));
    atoll_table_record_t  *original = fixture_compile(peers, COUNT(peers)), *head;

    head = aligned_alloc(ATOLL_CACHE_LINE, room);

    for (int what = 0; what < 16; what++) {
        memcpy(head, original, room);

        atoll_point_record_t       *points = (atoll_point_record_t *) ((unsigned char *) head + head->points_offset[0]);
        uint32_t                   *buckets = (uint32_t *) ((unsigned char *) head + head->buckets_offset[0]);
        atoll_group_record_t       *groups = (atoll_group_record_t *) ((unsigned char *) head + head->groups_offset);
        atoll_table_peer_record_t  *records = (atoll_table_peer_record_t *) ((unsigned char *) head + head->peers_offset);

        switch (what) {
        case 0: points[1].hash = points[0].hash; break;
        case 1: points[5].hash = UINT32_MAX; break;
        case 2: points[2].group = 4; break;             /* of the other ring */
        case 3: points[2].group = UINT32_MAX; break;
        case 4: buckets[3]++; break;
        case 5: buckets[0] = UINT32_MAX; break;
        case 6: groups[1].first_peer = 0; break;
        case 7: groups[0].peer_count = 0; break;
        case 8: groups[4].peer_count = 2; break;
        case 9: groups[0].ring = ATOLL_RING_BACKUPS; break;
        case 10: records[0].group = 3; break;
        case 11: records[5].flags = 0; break;           /* a backup among the backups without the flag */
        case 12: records[6].flags = 0; break;           /* the same in the previous ring */
        case 13: records[0].flags = ATOLL_PEER_FLAG_PREVIOUS; break;
        case 14: records[7].flags |= ATOLL_PEER_FLAG_BACKUP; break;
        default: groups[6].ring = ATOLL_RING_PRIMARY; break;
        }

        CHECK_EQUAL(ATOLL_TABLE_INVALID, check_summed(head, room));
    }

    free(original);
    free(head);
}


static void
shouldFindTheFirstPointAtOrAfterAHash(void)
{
    uint32_t               hash, expected, low, high;
    atoll_table_t          table;
    atoll_table_record_t  *head = fixture_compile(peers, COUNT(peers));

    CHECK_EQUAL(ATOLL_TABLE_OK, atoll_table_check(&table, head, head->length));

    for (uint32_t i = 0; i < 2000000; i++) {
        const atoll_ring_t *ring = &table.ring[i % 2];

        hash = i % 8 < 4 ? (uint32_t) tap_random() : ring->points[tap_random() % ring->point_count].hash + i % 3 - 1;

        for (low = 0, high = ring->point_count; low < high; ) {
            uint32_t middle = (low + high) / 2;

            if (ring->points[middle].hash < hash) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }

        expected = low % ring->point_count;
        CHECK_EQUAL(expected, atoll_ring_find(ring, hash));
    }

    CHECK_EQUAL(0, atoll_ring_find(&table.ring[0], 0));
    CHECK_EQUAL(0, atoll_ring_find(&table.ring[0], UINT32_MAX));
    free(head);
}


static void
shouldFindPointsInABucketThatHoldsThemAll(void)
{
    uint32_t              i;
    atoll_ring_t          ring;
    atoll_point_record_t  points[1000];
    uint32_t              buckets[3] = {0, 1000, 1000};

    for (i = 0; i < 1000; i++) {
        points[i].hash = 10 + 2 * i;
        points[i].group = 0;
    }

    memset(&ring, 0, sizeof(ring));
    ring.points = points;
    ring.buckets = buckets;
    ring.point_count = 1000;
    ring.bucket_shift = 31;

    for (i = 0; i < 1000; i++) {
        CHECK_EQUAL(i, atoll_ring_find(&ring, 10 + 2 * i));
        CHECK_EQUAL(i, atoll_ring_find(&ring, 9 + 2 * i));
    }

    CHECK_EQUAL(0, atoll_ring_find(&ring, 3000));
    CHECK_EQUAL(0, atoll_ring_find(&ring, UINT32_MAX));

    /* Torn buckets name no point. */
    buckets[1] = 1001;
    CHECK_EQUAL(ATOLL_NO_POINT, atoll_ring_find(&ring, 5));
    buckets[0] = 7;
    buckets[1] = 6;
    CHECK_EQUAL(ATOLL_NO_POINT, atoll_ring_find(&ring, 5));
}


static void
shouldOpenWhatIsPublishedAndNothingElse(void)
{
    fixture_t              fixture;
    atoll_table_t          table;
    atoll_balancer_t       balancer;
    atoll_table_record_t  *head;

    fixture_pool(&fixture, &balancer, peers, COUNT(peers));
    CHECK_EQUAL(ATOLL_TABLE_OK, atoll_table_open(&table, &fixture.zone, 0));
    CHECK_EQUAL(1, table.sequence);
    CHECK_EQUAL(2, table.published);
    CHECK(atoll_table_is_current(&table));
    CHECK_EQUAL(ATOLL_TABLE_NONE, atoll_table_open(&table, &fixture.zone, 1));
    CHECK_EQUAL(ATOLL_TABLE_NONE, atoll_table_open(&table, &fixture.zone, 2));

    head = (atoll_table_record_t *) (fixture.base + fixture.zone.upstreams[0].buffer_offset[0]);
    CHECK_EQUAL(ATOLL_TABLE_OK, atoll_table_open(&table, &fixture.zone, 0));

    head->sequence = 0;
    CHECK(!atoll_table_is_current(&table));
    CHECK_EQUAL(ATOLL_TABLE_TORN, atoll_table_open(&table, &fixture.zone, 0));
    head->sequence = 9;
    CHECK_EQUAL(ATOLL_TABLE_TORN, atoll_table_open(&table, &fixture.zone, 0));
    head->sequence = 1;

    head->total_weight[0]++;
    CHECK_EQUAL(ATOLL_TABLE_INVALID, atoll_table_open(&table, &fixture.zone, 0));
    head->total_weight[0]--;

    ((atoll_table_peer_record_t *) ((unsigned char *) head + head->peers_offset))->slot = fixture.zone.peer_count;
    CHECK_EQUAL(ATOLL_TABLE_INVALID, atoll_table_open(&table, &fixture.zone, 0));
    CHECK_EQUAL(ATOLL_TABLE_OK, check(head));
    ((atoll_table_peer_record_t *) ((unsigned char *) head + head->peers_offset))->slot = 0;
    CHECK_EQUAL(ATOLL_TABLE_OK, atoll_table_open(&table, &fixture.zone, 0));

    fixture_close(&fixture);
}


static void
shouldRefuseABufferOutsideTheTableHeap(void)
{
    fixture_t                 fixture;
    atoll_table_t             table;
    atoll_balancer_t          balancer;
    atoll_upstream_record_t  *upstream;

    fixture_pool(&fixture, &balancer, peers, COUNT(peers));
    upstream = &fixture.zone.upstreams[0];

    const uint64_t right = upstream->buffer_offset[0];
    const uint64_t wrong[] = {
        0, 64, fixture.zone.tables_offset - 64, right + 8, fixture.length - 64, fixture.length, UINT64_MAX, UINT64_MAX - 63
    };

    for (size_t i = 0; i < COUNT(wrong); i++) {
        upstream->buffer_offset[0] = wrong[i];
        CHECK_EQUAL(ATOLL_TABLE_INVALID, atoll_table_open(&table, &fixture.zone, 0));
    }

    upstream->buffer_offset[0] = right;
    upstream->buffer_capacity = UINT64_MAX;
    CHECK_EQUAL(ATOLL_TABLE_INVALID, atoll_table_open(&table, &fixture.zone, 0));
    upstream->buffer_capacity = sizeof(atoll_table_record_t) - 1;
    CHECK_EQUAL(ATOLL_TABLE_INVALID, atoll_table_open(&table, &fixture.zone, 0));

    fixture_close(&fixture);
}


int
main(void)
{
    tap_seed();
    RUN(shouldTakeACompiledTable);
    RUN(shouldRefuseEachByteThatIsWrong);
    RUN(shouldRefuseATruncatedTable);
    RUN(shouldRefuseWhatContradictsItselfUnderAChecksumThatFits);
    RUN(shouldRefuseRecordsThatLeadAstray);
    RUN(shouldFindTheFirstPointAtOrAfterAHash);
    RUN(shouldFindPointsInABucketThatHoldsThemAll);
    RUN(shouldOpenWhatIsPublishedAndNothingElse);
    RUN(shouldRefuseABufferOutsideTheTableHeap);

    return tap_done();
}
