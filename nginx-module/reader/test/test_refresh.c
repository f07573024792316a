/* Which table a worker uses: the newest of its configuration, its own while newer ones are published, or none. */
#include "zone_fixture.h"
#include "tap.h"

#define PEERS  4
#define SLOTS  64
#define T      UINT64_C(5000000)

static const fixture_peer_t  peers[PEERS] = {
    {"s0", "10.0.0.0:80", 1, 0, 1, 10000, 0},
    {"s1", "10.0.0.1:80", 1, 0, 1, 10000, 0},
    {"s2", "10.0.0.2:80", 1, 0, 1, 10000, 0},
    {"s3", "10.0.0.3:80", 1, 0, 1, 10000, 0}
};

static fixture_t             fixture;
static atoll_balancer_t      balancer;
static atoll_walk_t          walk;
static atoll_table_record_t *table;


/* A zone with room; upstream 0 is "pool", peers in slots 0 to 3, nothing published. */
static void
fresh(void)
{
    if (fixture.base != NULL) {
        fixture_close(&fixture);
        free(table);
    }

    table = fixture_compile(peers, PEERS);
    fixture_open(&fixture, 2, SLOTS, 2, table->length + 1024);
    fixture_upstream(&fixture, 0, "pool");
    fixture_upstream(&fixture, 1, "other");

    for (uint32_t i = 0; i < PEERS; i++) {
        fixture_name_slot(&fixture, i, 0, &peers[i]);
    }

    fixture_balancer(&fixture, &balancer, 0, 0);
    balancer.name = "pool";
    balancer.name_length = 4;
}


static void
publish(uint64_t config_epoch, uint32_t first_slot)
{
    table->config_epoch = config_epoch;
    fixture_publish(&fixture, 0, table, first_slot);
}


static int
pick(uint32_t hash)
{
    int result;

    memset(&walk, 0, sizeof(walk));
    atoll_walk_init(&walk, hash, 1);
    walk.allocate = fixture_allocate;
    result = atoll_pick(&balancer, &walk, T);
    atoll_done(&balancer, &walk, T, 0);

    return result;
}


static uint64_t
sequence_in_use(void)
{
    return pick(1) == ATOLL_PICK_OK ? balancer.table.sequence : 0;
}


static void
shouldFallBackUntilSomethingIsPublished(void)
{
    fresh();
    CHECK(!atoll_balancer_refresh(&balancer));
    CHECK_EQUAL(ATOLL_PICK_FALLBACK, pick(1));
    CHECK_EQUAL(1, balancer.row.head->fallbacks);
    CHECK_EQUAL(1, balancer.row.upstreams[0].requests);
    CHECK_EQUAL(0, balancer.row.upstreams[0].picks);
    CHECK(atoll_owner(&balancer, 1, T, 0) == NULL);

    publish(1, 0);
    CHECK_EQUAL(ATOLL_PICK_OK, pick(1));
    CHECK(atoll_balancer_refresh(&balancer));
}


static void
shouldFallBackForAnUpstreamThatIsNotThere(void)
{
    fresh();
    balancer.upstream = 2;
    CHECK(!atoll_balancer_refresh(&balancer));
    CHECK_EQUAL(ATOLL_PICK_FALLBACK, pick(1));
    CHECK_EQUAL(1, balancer.row.head->fallbacks);
}


static void
shouldFollowTablesOfItsOwnConfiguration(void)
{
    fresh();

    for (uint64_t i = 1; i < 10; i++) {
        publish(1, 0);
        CHECK_EQUAL(i, sequence_in_use());
    }

    CHECK_EQUAL(0, balancer.row.head->torn);
    CHECK_EQUAL(0, balancer.row.head->rejected);
}


static void
shouldKeepItsTableWhileANewerConfigurationIsPublishedBesideIt(void)
{
    fresh();
    publish(1, 0);
    CHECK_EQUAL(1, sequence_in_use());
    publish(2, 0);
    CHECK_EQUAL(1, sequence_in_use());
    CHECK_EQUAL(1, sequence_in_use());

    /* Its bytes are overwritten: now it goes with the times. */
    publish(3, 0);
    CHECK_EQUAL(3, sequence_in_use());
    CHECK_EQUAL(0, balancer.row.head->rejected);
}


static void
shouldTakeTheActiveTableWhenItsOwnIsBeingOverwritten(void)
{
    atoll_table_record_t *head;

    fresh();
    publish(1, 0);
    CHECK_EQUAL(1, sequence_in_use());
    publish(2, 0);
    CHECK_EQUAL(1, sequence_in_use());

    head = (atoll_table_record_t *) (fixture.base + fixture.zone.upstreams[0].buffer_offset[0]);
    head->sequence = 0;
    CHECK_EQUAL(2, sequence_in_use());
}


static void
shouldBeginWithANewerTableWhenItHasNoneOfItsOwn(void)
{
    fresh();
    publish(9, 0);
    CHECK_EQUAL(1, sequence_in_use());
}


static void
shouldKeepATableThatIsFollowedByABrokenOne(void)
{
    fresh();
    publish(1, 0);
    CHECK_EQUAL(1, sequence_in_use());

    table->total_weight[0]++;
    publish(1, 0);
    CHECK_EQUAL(1, sequence_in_use());
    CHECK_EQUAL(1, sequence_in_use());
    CHECK_EQUAL(1, balancer.row.head->rejected);

    table->total_weight[0]--;
    publish(1, 0);
    CHECK_EQUAL(3, sequence_in_use());
    CHECK_EQUAL(0, balancer.row.head->fallbacks);
}


static void
shouldValidateABrokenTableOnlyOnce(void)
{
    fresh();
    table->total_weight[0]++;
    publish(1, 0);
    table->total_weight[0]--;

    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(ATOLL_PICK_FALLBACK, pick(1));
    }

    CHECK_EQUAL(1, balancer.row.head->rejected);
    CHECK_EQUAL(5, balancer.row.head->fallbacks);
}


static void
shouldFallBackFromATableThatStaysTorn(void)
{
    fresh();
    publish(1, 0);
    ((atoll_table_record_t *) (fixture.base + fixture.zone.upstreams[0].buffer_offset[0]))->sequence = 5;
    CHECK_EQUAL(ATOLL_PICK_FALLBACK, pick(1));
    CHECK_EQUAL(3, balancer.row.head->torn);
    CHECK_EQUAL(1, balancer.row.head->fallbacks);
}


static void
shouldRememberWhoWasGivenWhenTheTableIsReplacedBetweenTries(void)
{
    uint32_t hash, first;

    for (uint32_t key = 0; key < 200; key++) {
        fresh();
        publish(1, 0);
        hash = key * UINT32_C(21474836);

        memset(&walk, 0, sizeof(walk));
        atoll_walk_init(&walk, hash, 1);
        CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, T));
        first = walk.peer->slot;
        CHECK_EQUAL(first, atoll_owner(&balancer, hash, T, 0)->slot);
        atoll_done(&balancer, &walk, T, 0);

        publish(1, 0);

        for (int i = 1; i < PEERS; i++) {
            CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &walk, T));
            CHECK(walk.peer->slot != first);
            atoll_done(&balancer, &walk, T, 0);
        }

        CHECK_EQUAL(ATOLL_PICK_NONE, atoll_pick(&balancer, &walk, T));
        CHECK_EQUAL(2, balancer.table.sequence);
    }
}


static void
shouldSettleARequestWhosePeerIsNoLongerInTheTable(void)
{
    atoll_walk_t kept;

    fresh();
    publish(1, 0);
    memset(&kept, 0, sizeof(kept));
    atoll_walk_init(&kept, 3, 1);
    CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(&balancer, &kept, T));

    uint32_t slot = kept.peer->slot;

    for (uint32_t i = 0; i < PEERS; i++) {
        fixture_name_slot(&fixture, 10 + i, 0, &peers[i]);
    }

    publish(1, 10);
    CHECK_EQUAL(ATOLL_PICK_OK, pick(3));
    CHECK_EQUAL(10 + slot, walk.tried_inline[0]);
    CHECK_EQUAL(1, balancer.row.peers[slot].inflight);
    atoll_done(&balancer, &kept, T, 1);
    CHECK_EQUAL(0, balancer.row.peers[slot].inflight);
    CHECK_EQUAL(1, fixture.zone.states[slot].fails);
}


static void
shouldKeepWhatItKnowsOfAPeerOverTables(void)
{
    atoll_peer_t *known;

    fresh();
    publish(1, 0);
    CHECK_EQUAL(ATOLL_PICK_OK, pick(3));
    known = balancer.peers[2];
    known->session = &fixture;
    CHECK_EQUAL(16, known->socklen);
    CHECK(memcmp(known->server, "s2", known->server_length) == 0 && known->server_length == 2);
    CHECK(memcmp(known->address, "10.0.0.2:80", known->address_length) == 0 && known->address_length == 11);

    publish(1, 0);
    CHECK_EQUAL(2, sequence_in_use());
    CHECK(balancer.peers[2] == known);
    CHECK(known->session == &fixture);

    /* Another peer in its slot is another record; requests under way keep the first. */
    fixture_name_slot(&fixture, 2, 0, &peers[2]);
    publish(1, 0);
    CHECK_EQUAL(3, sequence_in_use());
    CHECK(balancer.peers[2] != known);
    CHECK(balancer.peers[2]->session == NULL);
    CHECK_EQUAL(PEERS + 1, balancer.made);
}


static void
shouldNotUseATableWhoseSlotsBelongToAnotherUpstream(void)
{
    fresh();
    fixture_name_slot(&fixture, 2, 1, &peers[2]);
    publish(1, 0);
    CHECK_EQUAL(ATOLL_PICK_FALLBACK, pick(1));
    CHECK_EQUAL(1, balancer.row.head->rejected);
}


static void
shouldNotUseATableOfAnUpstreamThatTookItsPlace(void)
{
    fresh();
    publish(1, 0);
    CHECK_EQUAL(1, sequence_in_use());

    fixture.zone.upstreams[0].state = ATOLL_UPSTREAM_STATE_RETIRED;
    CHECK_EQUAL(1, sequence_in_use());

    fixture_upstream(&fixture, 0, "pond");
    publish(2, 0);
    CHECK_EQUAL(1, sequence_in_use());
    publish(2, 0);
    CHECK_EQUAL(ATOLL_PICK_FALLBACK, pick(1));
}


static void
shouldNotUseATableWhoseSlotChangesHandsMeanwhile(void)
{
    fresh();
    fixture.zone.identities[1].incarnation++;
    publish(1, 0);
    CHECK_EQUAL(ATOLL_PICK_FALLBACK, pick(1));
}


static void
shouldRefuseAnIdentityThatIsTooLong(void)
{
    for (int i = 0; i < 4; i++) {
        fresh();

        switch (i) {
        case 0: fixture.zone.identities[1].sockaddr_length = 129; break;
        case 1: fixture.zone.identities[1].sockaddr_length = 1; break;
        case 2: fixture.zone.identities[1].server_length = 257; break;
        default: fixture.zone.identities[1].address_length = UINT32_MAX; break;
        }

        publish(1, 0);
        CHECK_EQUAL(ATOLL_PICK_FALLBACK, pick(1));
        CHECK_EQUAL(1, balancer.row.head->rejected);
    }
}


static int  allocations_left;

static void *
allocate_some(size_t size, void *data)
{
    return allocations_left-- > 0 ? fixture_allocate(size, data) : NULL;
}


static void
shouldFallBackWhenThereIsNoMemory(void)
{
    for (int i = 0; i < 2 + PEERS; i++) {
        fresh();
        publish(1, 0);
        allocations_left = i;
        balancer.allocate = allocate_some;
        CHECK_EQUAL(ATOLL_PICK_FALLBACK, pick(1));
    }

    fresh();
    publish(1, 0);
    allocations_left = 2 + PEERS;
    balancer.allocate = allocate_some;
    CHECK_EQUAL(ATOLL_PICK_OK, pick(1));
}


/* A zone gone mad gives its slots away all the time: the worker stops making records of it. */
static void
shouldNotMakePeersWithoutEnd(void)
{
    int result = ATOLL_PICK_OK;

    fresh();

    for (int i = 0; i < 64 * SLOTS && result == ATOLL_PICK_OK; i++) {
        for (uint32_t slot = 0; slot < PEERS; slot++) {
            fixture_name_slot(&fixture, slot, 0, &peers[slot]);
        }

        publish(1, 0);
        result = pick(1);
    }

    CHECK_EQUAL(ATOLL_PICK_FALLBACK, result);
    CHECK_EQUAL(64 * SLOTS, balancer.made);
}


/* Slots far apart, downwards and upwards. */
static void
shouldMeetPeersInAnySlot(void)
{
    static const uint32_t  places[] = {40, 36, 59, 0, 24, 60, 1};

    fresh();

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        for (uint32_t j = 0; j < PEERS; j++) {
            fixture_name_slot(&fixture, places[i] + j, 0, &peers[j]);
        }

        publish(1, places[i]);
        CHECK_EQUAL(ATOLL_PICK_OK, pick(7));

        for (uint32_t j = 0; j < PEERS; j++) {
            CHECK_EQUAL(places[i] + j, balancer.peers[j]->slot);
            CHECK(memcmp(balancer.peers[j]->server, peers[j].server, 2) == 0);
            CHECK(balancer.met[places[i] + j - balancer.met_first] == balancer.peers[j]);
        }
    }

    CHECK(balancer.met_count <= SLOTS);
}


static void
shouldTakeSettingsWithTheTable(void)
{
    fresh();
    fixture.zone.upstreams[0].slow_start_ms = 5;
    publish(1, 0);
    CHECK_EQUAL(ATOLL_PICK_OK, pick(7));
    CHECK_EQUAL(5, balancer.slow_start_ms);
    fixture.zone.upstreams[0].slow_start_ms = 6;
    CHECK_EQUAL(ATOLL_PICK_OK, pick(7));
    CHECK_EQUAL(5, balancer.slow_start_ms);
    publish(1, 0);
    CHECK_EQUAL(ATOLL_PICK_OK, pick(7));
    CHECK_EQUAL(6, balancer.slow_start_ms);
}


int
main(void)
{
    tap_seed();
    RUN(shouldFallBackUntilSomethingIsPublished);
    RUN(shouldFallBackForAnUpstreamThatIsNotThere);
    RUN(shouldFollowTablesOfItsOwnConfiguration);
    RUN(shouldKeepItsTableWhileANewerConfigurationIsPublishedBesideIt);
    RUN(shouldTakeTheActiveTableWhenItsOwnIsBeingOverwritten);
    RUN(shouldBeginWithANewerTableWhenItHasNoneOfItsOwn);
    RUN(shouldKeepATableThatIsFollowedByABrokenOne);
    RUN(shouldValidateABrokenTableOnlyOnce);
    RUN(shouldFallBackFromATableThatStaysTorn);
    RUN(shouldRememberWhoWasGivenWhenTheTableIsReplacedBetweenTries);
    RUN(shouldSettleARequestWhosePeerIsNoLongerInTheTable);
    RUN(shouldKeepWhatItKnowsOfAPeerOverTables);
    RUN(shouldNotUseATableWhoseSlotsBelongToAnotherUpstream);
    RUN(shouldNotUseATableOfAnUpstreamThatTookItsPlace);
    RUN(shouldNotUseATableWhoseSlotChangesHandsMeanwhile);
    RUN(shouldRefuseAnIdentityThatIsTooLong);
    RUN(shouldFallBackWhenThereIsNoMemory);
    RUN(shouldNotMakePeersWithoutEnd);
    RUN(shouldMeetPeersInAnySlot);
    RUN(shouldTakeSettingsWithTheTable);

    return tap_done();
}
