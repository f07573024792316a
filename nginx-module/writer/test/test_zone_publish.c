/* What a reload does to the zone that is there: each peer keeps its own words, whatever happens to the list. */
#include "zone_fixture.h"

static const char  *path;

/* A word that tells its peer by the name. */
static uint64_t
word_of(const char *server, uint32_t ordinal)
{
    return NOW + crc32_of(ordinal, server, strlen(server));
}

static void
mark_all(const atoll_zone_t *zone)
{
    char  server[257];

    for (uint32_t slot = 0; slot < zone->peer_count; slot++) {
        const atoll_peer_identity_record_t  *peer = &zone->identities[slot];

        if (peer->state == ATOLL_PEER_LIFE_MEMBER) {
            snprintf(server, sizeof(server), "%.*s", (int) peer->server_length, (const char *) peer->server);
            atomic_store(&zone->states[slot].reason[ATOLL_REASON_PROBE], word_of(server, peer->ordinal));
        }
    }
}

/* Whether each of these servers has its own word, or none at all where it is new ('+' before the name). */
static int
keeps(const atoll_zone_t *zone, const char *servers)
{
    char  *text = strdup(servers), *rest = NULL;
    int    good = 1;

    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        int       is_new = *word == '+';
        uint32_t  ordinal = 0;
        char     *colon = strchr(word, '#');

        if (colon != NULL) {
            *colon = '\0';
            ordinal = (uint32_t) atoi(colon + 1);
        }

        uint32_t  slot = slot_with(zone, "cdn", word + is_new, ordinal, ATOLL_PEER_LIFE_MEMBER);

        if (slot == UINT32_MAX
            || zone->states[slot].reason[ATOLL_REASON_PROBE] != (is_new ? 0 : word_of(word, ordinal)))
        {
            note("%s (%u) has slot %d, a word of another", word, ordinal, (int) slot);
            good = 0;
        }
    }
    free(text);

    return good;
}

static void
shouldKeepTheWordsOfEachPeerByName(void)
{
    config_t        config;
    atoll_writer_t  writer;

    begin(&writer, &config, path, SIZE);
    config_add(&config, "cdn", "a=10.0.0.1:80 b=10.0.0.2:80 c=10.0.0.3:80 *d=10.0.0.4:80");
    config_add(&config, "img", "x=10.1.0.1:80");
    ok(reload(&writer, &config), "the first configuration is published");
    mark_all(&writer.zone);

    config_add(&config, "img", "x=10.1.0.1:80");
    config_add(&config, "cdn", "*d=10.0.0.4:80 c=10.0.0.3:80 a=10.0.0.1:80 b=10.0.0.2:80");
    ok(reload(&writer, &config) && !writer.created && keeps(&writer.zone, "a b c d"),
       "reordered servers and upstreams keep their words");

    config_add(&config, "cdn", "n=10.0.0.9:80 c=10.0.0.3:80 a=10.0.0.1:80");
    ok(reload(&writer, &config) && keeps(&writer.zone, "+n c a"), "removed ones leave, a new one begins with none");
    ok(atoll_zone_find_upstream(&writer.zone, "img", 3) == -1
       && slot_with(&writer.zone, "img", "x", 0, ATOLL_PEER_LIFE_FORMER) != UINT32_MAX, "an upstream that is gone is retired");
    mark_all(&writer.zone);

    config_add(&config, "cdn", "b=10.0.0.2:80 n=10.0.0.9:80 !a=10.0.0.1:80 c=10.0.0.3:80");
    config_add(&config, "img", "x=10.1.0.1:80 a=10.0.0.1:80");
    ok(reload(&writer, &config) && keeps(&writer.zone, "a b c n"), "who comes back finds its words");
    ok(state_of(&writer.zone, "img", "a")->reason[ATOLL_REASON_PROBE] == 0
       && state_of(&writer.zone, "img", "x")->reason[ATOLL_REASON_PROBE] == word_of("x", 0),
       "the same server of another upstream is another peer");

    config_add(&config, "cdn", "b=10.0.0.7:80 a=10.0.0.1:80");
    ok(reload(&writer, &config) && keeps(&writer.zone, "+b a"), "another address of a name is another peer");

    atoll_writer_close(&writer);
}

static void
shouldTellRepeatsOfAServerApart(void)
{
    config_t        config;
    atoll_writer_t  writer;

    begin(&writer, &config, path, SIZE);
    config_add(&config, "cdn", "a=10.0.0.1:80 a=10.0.0.1:80 a=10.0.0.2:80 a=10.0.0.1:80 b=10.0.0.1:80");
    ok(reload(&writer, &config), "a server listed three times has three slots");
    mark_all(&writer.zone);

    config_add(&config, "cdn", "b=10.0.0.1:80 a=10.0.0.1:80 a=10.0.0.1:80");
    ok(reload(&writer, &config) && keeps(&writer.zone, "b a#0 a#1"), "the first ones keep their words");

    config_add(&config, "cdn", "a=10.0.0.1:80 a=10.0.0.1:80 a=10.0.0.1:80 a=10.0.0.1:80");
    ok(reload(&writer, &config) && keeps(&writer.zone, "a#0 a#1 a#2 +a#3"), "the third finds its own again, the fourth is new");
    atoll_writer_close(&writer);
}

static void
shouldGrowByNothingOver500Commits(void)
{
    struct stat     status;
    config_t        config;
    atoll_writer_t  writer;
    uint64_t        epoch = 0, config_epoch = 0, offset[2] = { 0 };
    int             buffer = -1, alternates = 1, grows = 1, places = 1, keeps_all = 1;
    ino_t           inode = 0;

    begin(&writer, &config, path, 1 << 20);

    for (int i = 0; i < 500; i++) {
        char  text[200];

        snprintf(text, sizeof(text), "a=10.0.0.1:80 b=10.0.0.2:80 v%d=10.2.0.1:80", i % 40);
        config_add(&config, "cdn", text);
        config_add(&config, "img", i % 3 == 0 ? "x=10.1.0.1:80" : "y=10.1.0.2:80 x=10.1.0.1:80");
        keeps_all &= reload(&writer, &config);

        const atoll_upstream_record_t  *record = &writer.zone.upstreams[atoll_zone_find_upstream(&writer.zone, "cdn", 3)];

        alternates &= (int) (record->published & 1) != buffer;
        buffer = (int) (record->published & 1);
        grows &= writer.zone.header->epoch == epoch + 2 && writer.zone.header->config_epoch == config_epoch + 1;
        epoch = writer.zone.header->epoch;
        config_epoch = writer.zone.header->config_epoch;

        if (i == 0) {
            inode = inode_of(path);
            memcpy(offset, record->buffer_offset, sizeof(offset));
            mark_all(&writer.zone);
        }
        places &= memcmp(offset, record->buffer_offset, sizeof(offset)) == 0;
    }

    ok(keeps_all && keeps(&writer.zone, "a b"), "each of 500 commits shows its configuration; who stays keeps its words");
    ok(alternates, "the two buffers take turns");
    ok(grows && epoch == 1000 && config_epoch == 500, "epochs count each table and each configuration");
    ok(places && inode_of(path) == inode && stat(path, &status) == 0 && status.st_size == 1 << 20 && files_in_folder() == 1,
       "nothing grows: same file, same buffers");
    atoll_writer_close(&writer);
}

static int
count_life(const atoll_zone_t *zone, uint32_t life)
{
    int  count = 0;

    for (uint32_t slot = 0; slot < zone->peer_count; slot++) {
        count += zone->identities[slot].state == life;
    }

    return count;
}

/* Publishes one upstream of count peers from first. */
static int
reload_range(atoll_writer_t *writer, config_t *config, unsigned first, unsigned count)
{
    char  *peers = many_peers("p", first, count);

    config_add(config, "cdn", peers);

    int  good = reload(writer, config);

    free(peers);

    return good;
}

static void
shouldGiveSlotsAwayFromTheOldest(void)
{
    config_t        config;
    atoll_writer_t  writer;

    begin(&writer, &config, path, 1 << 20);
    ok(reload_range(&writer, &config, 0, 50) && writer.zone.peer_count == 128, "50 peers in 128 slots");
    need(reload_range(&writer, &config, 50, 50));
    ok(count_life(&writer.zone, ATOLL_PEER_LIFE_FORMER) == 50, "50 others: the first ones are former");

    uint32_t  p0 = slot_with(&writer.zone, "cdn", "p0", 0, ATOLL_PEER_LIFE_FORMER);
    uint64_t  incarnation = writer.zone.states[p0].incarnation;

    for (unsigned reason = 0; reason < ATOLL_REASON_COUNT_; reason++) {
        atomic_store(&writer.zone.states[p0].reason[reason], ATOLL_FOREVER);
    }

    need(reload_range(&writer, &config, 100, 28));
    ok(count_life(&writer.zone, ATOLL_PEER_LIFE_FORMER) == 100 && count_life(&writer.zone, ATOLL_PEER_LIFE_VACANT) == 0
       && writer.zone.states[p0].incarnation == incarnation, "vacant slots go first");

    need(reload_range(&writer, &config, 130, 40));

    int  oldest = 1, later = 1;

    for (unsigned i = 0; i < 100; i++) {
        char  name[16];

        snprintf(name, sizeof(name), "p%u", i);

        int  kept = slot_with(&writer.zone, "cdn", name, 0, ATOLL_PEER_LIFE_FORMER) != UINT32_MAX;

        oldest &= i >= 40 || !kept;
        later &= i < 40 || kept;
    }

    ok(oldest && later && !writer.created, "then those of the oldest former peers");
    ok(writer.zone.states[p0].incarnation > incarnation && writer.zone.states[p0].reason[0] == 0
       && writer.zone.states[p0].reason[3] == 0, "a slot given away has a new incarnation and no words");

    uint64_t  seen = 0;
    int       unique = 1;

    for (uint32_t slot = 0; slot < writer.zone.peer_count; slot++) {
        seen += writer.zone.states[slot].incarnation;
        for (uint32_t other = 0; other < slot; other++) {
            unique &= writer.zone.states[slot].incarnation != writer.zone.states[other].incarnation;
        }
    }
    ok(unique && seen != 0, "no two slots have the same incarnation");

    ino_t  inode = inode_of(path);

    ok(reload_range(&writer, &config, 300, 100) && writer.created && writer.replaced == ATOLL_ATTACH_OK
       && inode_of(path) != inode,
       "slots of peers that leave with this very configuration are not given away: a new file takes over");
    atoll_writer_close(&writer);
}

static void
shouldRampWhoJoinsAPoolThatWasThere(void)
{
    config_t        config;
    atoll_writer_t  writer;

    begin(&writer, &config, path, SIZE);
    config_add(&config, "cdn", "a=10.0.0.1:80 !b=10.0.0.2:80 c=10.0.0.3:80")->slow_start_ms = 30000;
    need(reload(&writer, &config));
    ok(state_of(&writer.zone, "cdn", "a")->ramp_start_ms == 0 && state_of(&writer.zone, "cdn", "c")->ramp_start_ms == 0,
       "nobody ramps in the first configuration");

    config.request.now_ms = NOW + 1;
    config_add(&config, "cdn", "a=10.0.0.1:80 b=10.0.0.2:80 n=10.0.0.4:80")->slow_start_ms = 30000;
    need(reload(&writer, &config));
    ok(state_of(&writer.zone, "cdn", "a")->ramp_start_ms == 0 && state_of(&writer.zone, "cdn", "n")->ramp_start_ms == NOW + 1,
       "a new peer of a pool that was there does");
    ok(state_of(&writer.zone, "cdn", "b")->ramp_start_ms == NOW + 1, "so does one that is not `down` any more");

    config.request.now_ms = NOW + 2;
    config_add(&config, "cdn", "a=10.0.0.1:80 c=10.0.0.3:80 n=10.0.0.4:80")->slow_start_ms = 30000;
    need(reload(&writer, &config));
    ok(state_of(&writer.zone, "cdn", "c")->ramp_start_ms == NOW + 2 && state_of(&writer.zone, "cdn", "n")->ramp_start_ms == NOW + 1,
       "so does one that comes back; the others go on with theirs");

    config_add(&config, "cdn", "x=10.0.0.5:80 y=10.0.0.6:80")->slow_start_ms = 30000;
    need(reload(&writer, &config));
    ok(state_of(&writer.zone, "cdn", "x")->ramp_start_ms == 0, "nobody does when every peer is new");

    config_add(&config, "cdn", "x=10.0.0.5:80 z=10.0.0.7:80");
    need(reload(&writer, &config));
    ok(state_of(&writer.zone, "cdn", "z")->ramp_start_ms == 0, "nor without slow start");

    config.request.size = 2 * SIZE;
    config.request.now_ms = NOW + 3;
    config_add(&config, "cdn", "x=10.0.0.5:80 w=10.0.0.8:80")->slow_start_ms = 30000;
    need(reload(&writer, &config) && writer.created);
    ok(state_of(&writer.zone, "cdn", "x")->ramp_start_ms == 0 && state_of(&writer.zone, "cdn", "w")->ramp_start_ms == NOW + 3,
       "a new file makes no difference");
    atoll_writer_close(&writer);
}

/* Whether no two buffers of used upstreams share a byte. */
static int
buffers_are_apart(const atoll_zone_t *zone)
{
    int  good = 1;

    for (uint32_t i = 0; i < 2 * zone->upstream_count; i++) {
        const atoll_upstream_record_t  *a = &zone->upstreams[i / 2];

        for (uint32_t j = 0; j < i; j++) {
            const atoll_upstream_record_t  *b = &zone->upstreams[j / 2];
            uint64_t                        x = a->buffer_offset[i % 2], y = b->buffer_offset[j % 2];

            if (a->state != 0 && b->state != 0 && a->buffer_capacity != 0 && b->buffer_capacity != 0) {
                good &= x + a->buffer_capacity <= y || y + b->buffer_capacity <= x;
            }
        }
    }

    return good;
}

/* Publishes 100 peers with that many points each, and an upstream beside. */
static int
reload_points(atoll_writer_t *writer, config_t *config, unsigned per_group)
{
    char  *peers = many_peers("p", 0, 100);

    config_add_with(config, "cdn", peers, per_group);
    config_add(config, "img", "x=10.1.0.1:80");
    free(peers);

    return reload(writer, config) && buffers_are_apart(&writer->zone);
}

static void
shouldMoveATableThatOutgrowsItsBuffers(void)
{
    config_t        config;
    atoll_writer_t  writer;
    atoll_zone_t    before;
    atoll_table_t   table;
    uint64_t        first;
    int             good = 1, moved = 0;
    unsigned        points = 8;

    begin(&writer, &config, path, 2 << 20);
    need(reload_points(&writer, &config, points));
    mark_all(&writer.zone);
    before = look(path);
    first = before.upstreams[0].buffer_offset[0];
    need(atoll_table_open(&table, &before, 0) == ATOLL_TABLE_OK);

    while (points < 1000) {
        points = points * 3 / 2;
        good &= reload_points(&writer, &config, points) && keeps(&writer.zone, "p0 p1 p99");
        if (writer.created) {
            break;
        }
        moved += writer.zone.upstreams[0].buffer_offset[0] != first;
        first = writer.zone.upstreams[0].buffer_offset[0];
        good &= atoll_table_is_current(&table);
    }

    note("moved %d times, then a new file at %u points for each of 100 peers", moved, points);
    ok(good && moved > 4, "a table that grows moves to larger buffers of the same file, which share nothing");
    ok(writer.created && writer.replaced == ATOLL_ATTACH_OK, "when the heap is used up, a new file takes over");
    ok(atoll_table_is_current(&table), "the table that the first workers have stays as it was all the time");
    atoll_writer_close(&writer);
    look_away(&before);
}

static void
shouldTakeANewFileWhenRecordsRunOut(void)
{
    config_t        config;
    atoll_writer_t  writer;
    int             created = 0, good = 1, round = 0;

    begin(&writer, &config, path, SIZE);

    for ( ; round < 70; round++) {
        char  name[32];

        snprintf(name, sizeof(name), "pool%d", round);
        config_add(&config, "cdn", "a=10.0.0.1:80 b=10.0.0.2:80");
        config_add(&config, name, "x=10.1.0.1:80");
        good &= reload(&writer, &config) && buffers_are_apart(&writer.zone);
        created += writer.created;
        if (round == 0) {
            mark_all(&writer.zone);
        }
    }

    ok(good && created == 2, "63 names later a new file takes over, since a record keeps its name for life");
    ok(keeps(&writer.zone, "a b") && writer.zone.header->config_epoch == 70, "words stay, epochs count on");
    atoll_writer_close(&writer);
}

static void
shouldKeepWhatIsKnownOfUpstreamsThatNobodyDeclaresForAWhile(void)
{
    config_t        config;
    atoll_writer_t  writer;

    begin(&writer, &config, path, SIZE);
    config_add(&config, "cdn", "a=10.0.0.1:80 b=10.0.0.2:80");
    reload(&writer, &config);
    mark_all(&writer.zone);

    uint32_t  slot = slot_of(&writer.zone, "cdn", "b");
    uint64_t  epoch = writer.zone.header->config_epoch;

    atoll_writer_retire(&writer.zone);
    ok(atoll_zone_find_upstream(&writer.zone, "cdn", 3) == -1 && writer.zone.header->config_epoch == epoch + 1,
       "who looks again finds no upstream");

    config_add(&config, "cdn", "b=10.0.0.2:80 a=10.0.0.1:80 c=10.0.0.3:80");
    ok(reload(&writer, &config) && !writer.created && writer.config_epoch == epoch + 2,
       "declared again, in the same file, it is published");
    ok(keeps(&writer.zone, "a b +c") && slot_of(&writer.zone, "cdn", "b") == slot, "with the words and slots of before");
    atoll_writer_close(&writer);
}

int
main(void)
{
    enter_folder();
    path = path_in("atoll.zone");
    shouldKeepTheWordsOfEachPeerByName();
    shouldTellRepeatsOfAServerApart();
    shouldGrowByNothingOver500Commits();
    shouldGiveSlotsAwayFromTheOldest();
    shouldRampWhoJoinsAPoolThatWasThere();
    shouldMoveATableThatOutgrowsItsBuffers();
    shouldTakeANewFileWhenRecordsRunOut();
    shouldKeepWhatIsKnownOfUpstreamsThatNobodyDeclaresForAWhile();

    return done_testing();
}
