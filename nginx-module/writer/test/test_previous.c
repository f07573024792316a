/* The ring before a change: what is known of it, which one stays, and that its peers keep their slots and words. */
#include "zone_fixture.h"

#include <libgen.h>
#include <signal.h>

#include "../atoll_previous.h"

#define HANDOVER  600

static const char  *path;

/* ---- which ring stays ---- */

typedef struct {
    atoll_member_t  members[8];
    char            text[128];
    atoll_members_t list;
} members_t;

/* "a,b*2,!c,%d", "-" for none. */
static void
parse_members(members_t *into, const char *text)
{
    char  *rest = NULL;

    memset(into, 0, sizeof(*into));
    snprintf(into->text, sizeof(into->text), "%s", text);
    into->list.members = into->members;

    for (char *word = strtok_r(into->text, ",", &rest); word != NULL && strcmp(text, "-") != 0;
         word = strtok_r(NULL, ",", &rest))
    {
        atoll_writer_peer_t  *peer = &into->members[into->list.count++].peer;
        char                 *star = strchr(word, '*');

        need(into->list.count <= 8);
        peer->flags = *word == '!' ? ATOLL_PEER_FLAG_DOWN : *word == '%' ? ATOLL_PEER_FLAG_MAGLEV : 0;
        peer->server = word += peer->flags != 0;
        peer->server_length = (uint32_t) (star == NULL ? strlen(word) : (size_t) (star - word));
        peer->weight = star == NULL ? 1 : (uint32_t) atoi(star + 1);
    }
}

static int
same_lists(const atoll_members_t *a, const atoll_members_t *b)
{
    int  same = a->count == b->count;

    for (uint32_t i = 0; same && i < a->count; i++) {
        const atoll_writer_peer_t  *x = &a->members[i].peer, *y = &b->members[i].peer;

        same = same_server(x, y) && x->weight == y->weight && x->flags == y->flags;
    }

    return same;
}

static int
case_holds(char word[10][64])
{
    members_t               before, older, oldest, wanted, expected, earlier;
    atoll_known_upstream_t  known = { 0 };
    atoll_previous_t        previous;

    parse_members(&before, word[0]);
    parse_members(&older, word[1]);
    parse_members(&oldest, word[2]);
    parse_members(&wanted, word[4]);
    parse_members(&expected, word[7]);
    parse_members(&earlier, word[8]);
    known.primary = before.list;
    known.previous.members = older.list;
    known.previous.earlier = oldest.list;
    known.previous.until_ms = strtoull(word[3], NULL, 10);

    previous = atoll_previous_after(&known, &wanted.list, strtoull(word[5], NULL, 10), (uint32_t) atoi(word[6]));

    return same_lists(&previous.members, &expected.list) && same_lists(&previous.earlier, &earlier.list)
           && previous.until_ms == strtoull(word[9], NULL, 10);
}

/* Those that HandoverTest.java reads. */
static void
shouldKeepTheRingThatTheCasesName(void)
{
    int        cases = 0, good = 1;
    char       file_name[4096], line[512], word[10][64];
    FILE      *file;
    members_t  wanted;

    snprintf(file_name, sizeof(file_name), "%s", __FILE__);
    strncat(dirname(file_name), "/../../../tests/cases/handover.txt", 40);
    file = fopen(file_name, "r");
    need(file != NULL);

    while (fgets(line, sizeof(line), file) != NULL) {
        if (line[0] != '#' && sscanf(line, "%63s %63s %63s %63s %63s %63s %63s %63s %63s %63s", word[0], word[1], word[2],
                                     word[3], word[4], word[5], word[6], word[7], word[8], word[9]) == 10)
        {
            cases++;
            if (!case_holds(word)) {
                note("%s", line);
                good = 0;
            }
        }
    }

    fclose(file);
    ok(good && cases >= 20, "the ring of each case stays");

    parse_members(&wanted, "a,b");
    ok(atoll_previous_after(NULL, &wanted.list, NOW, HANDOVER).members.count == 0, "of an upstream that is new, none");
}

/* ---- what is known ---- */

/* "a=11 b=12 " of a list, with a mark before each name. */
static void
write_list(char *to, const atoll_members_t *list, const char *mark)
{
    *to = '\0';

    for (uint32_t i = 0; i < list->count; i++) {
        const atoll_writer_peer_t  *peer = &list->members[i].peer;

        to += sprintf(to, "%s%s%.*s=%.*s ", mark, peer->flags & ATOLL_PEER_FLAG_DOWN ? "!" : "", (int) peer->server_length,
                      peer->server, (int) peer->address_length, peer->address);
    }
}

/* What is known of "cdn": "primary | previous", "nothing" when it is not known. */
static const char *
known_of(const char *name, uint64_t *until)
{
    static char                    text[8192];
    atoll_known_t                  known;
    const atoll_known_upstream_t  *upstream;

    atoll_known_read(&known, path);
    upstream = atoll_known_find(&known, name, strlen(name));
    strcpy(text, "nothing");

    if (upstream != NULL && upstream->primary.count != 0) {
        write_list(text, &upstream->primary, "");
        strcat(text, "| ");
        write_list(text + strlen(text), &upstream->previous.members, "");
        *until = upstream->previous.until_ms;
    }

    atoll_known_close(&known);

    return text;
}

static int
knows(const char *name, const char *expected)
{
    uint64_t     until = 0;
    const char  *found = known_of(name, &until);

    if (strcmp(found, expected) != 0) {
        note("found \"%s\", expected \"%s\"", found, expected);
    }

    return strcmp(found, expected) == 0;
}

static void
shouldKnowTheRingsOfTheLiveZone(void)
{
    uint64_t        until = 0;
    config_t        config;
    atoll_writer_t  writer;

    begin(&writer, &config, path, SIZE);
    ok(knows("cdn", "nothing"), "without a file nothing is known");

    config_add(&config, "cdn", "b=10.0.0.2:80 twice=11 !a=10.0.0.1:80 *spare=13 twice=12 ^gone=10.0.0.4:80 ^b=10.0.0.2:80");
    config_add(&config, "other", "x=19");
    config.upstreams[0].handover_until_ms = NOW + 5;
    need(reload(&writer, &config));

    ok(knows("cdn", "b=10.0.0.2:80 twice=11 !a=10.0.0.1:80 twice=12 | gone=10.0.0.4:80 b=10.0.0.2:80 "),
       "both rings in the order in which they were compiled, without backups");
    known_of("cdn", &until);
    ok(until == NOW + 5, "and until when the previous one counts");
    ok(knows("other", "x=19 | ") && knows("none", "nothing"), "each upstream by its name");

    writer.zone.header->boot_id[0] ^= 1;
    ok(knows("cdn", "nothing"), "what another boot wrote is not known");
    writer.zone.header->boot_id[0] ^= 1;

    atoll_writer_retire(&writer.zone);
    ok(knows("cdn", "nothing"), "nor upstreams that were given up");
    atoll_writer_close(&writer);
}

static void
shouldKnowNothingOfWhatIsDamaged(void)
{
    int                            survived = 0;
    config_t                       config;
    atoll_writer_t                 writer;
    unsigned char                 *copy;
    atoll_table_record_t          *head;
    atoll_peer_identity_record_t  *gone;

    begin(&writer, &config, path, 1 << 20);
    config_add(&config, "cdn", "a=11 b=12 ^gone=13 ^b=12");
    config.upstreams[0].handover_until_ms = NOW + 5;
    need(reload(&writer, &config));

    head = (atoll_table_record_t *) (writer.zone.base + writer.zone.upstreams[0].buffer_offset[writer.zone.upstreams[0].published & 1]);
    gone = &writer.zone.identities[slot_with(&writer.zone, "cdn", "gone", 0, ATOLL_PEER_LIFE_FORMER)];

    head->checksum++;
    ok(knows("cdn", "nothing"), "a table that does not pass is not used");
    head->checksum--;

    gone->address_length = 1000;
    ok(knows("cdn", "a=11 b=12 | "), "a former peer that makes no sense leaves no previous ring");
    gone->address_length = 2;
    gone->sockaddr_length = 1;
    ok(knows("cdn", "a=11 b=12 | "), "nor one without an address");
    gone->sockaddr_length = 2;
    gone->upstream = 5;
    ok(knows("cdn", "a=11 b=12 | "), "nor one of another upstream");

    random_seed();
    copy = malloc(writer.zone.length);
    need(copy != NULL);
    memcpy(copy, writer.zone.base, writer.zone.length);

    for (int round = 0; round < 300; round++) {
        uint64_t  until;

        memcpy(writer.zone.base, copy, writer.zone.length);
        for (size_t i = 0; i < 200; i++) {
            writer.zone.base[sizeof(atoll_header_record_t) + random_below(writer.zone.length - sizeof(atoll_header_record_t))]
                ^= (unsigned char) (1 + random_below(255));
        }
        survived += strcmp(known_of("cdn", &until), "nothing") != 0;
    }

    ok(survived < 300, "bytes flipped everywhere are read without harm");
    free(copy);
    atoll_writer_close(&writer);
}

/* ---- slots and words ---- */

/* The slot that the previous ring of cdn has for a server, ATOLL none: UINT32_MAX. */
static uint32_t
previous_slot(const atoll_zone_t *zone, const char *server)
{
    atoll_table_t  table;

    need(atoll_table_open(&table, zone, (uint32_t) atoll_zone_find_upstream(zone, "cdn", 3)) == ATOLL_TABLE_OK);

    for (uint32_t i = table.peer_count; i < table.all_peers; i++) {
        const atoll_peer_identity_record_t  *identity = &zone->identities[table.peers[i].slot];

        if (identity->server_length == strlen(server) && memcmp(identity->server, server, identity->server_length) == 0) {
            return table.peers[i].slot;
        }
    }

    return UINT32_MAX;
}

static void
set_words(const atoll_zone_t *zone, uint32_t slot, uint64_t base)
{
    atomic_store(&zone->states[slot].reason[ATOLL_REASON_ADMIN], base + 1);
    atomic_store(&zone->states[slot].reason[ATOLL_REASON_PROBE], base + 2);
    atomic_store(&zone->states[slot].changed_ms, base + 3);
    atomic_store(&zone->states[slot].avoid_until_ms, base + 4);
}

static int
has_words(const atoll_zone_t *zone, uint32_t slot, uint64_t base)
{
    return atomic_load(&zone->states[slot].reason[ATOLL_REASON_ADMIN]) == base + 1
           && atomic_load(&zone->states[slot].reason[ATOLL_REASON_PROBE]) == base + 2
           && atomic_load(&zone->states[slot].changed_ms) == base + 3
           && atomic_load(&zone->states[slot].avoid_until_ms) == base + 4;
}

static void
shouldKeepSlotAndWordsOfARemovedPeer(void)
{
    uint32_t        a, c;
    uint64_t        incarnation;
    config_t        config;
    atoll_writer_t  writer;

    begin(&writer, &config, path, SIZE);
    config_add(&config, "cdn", "a=11 b=12 c=13");
    need(reload(&writer, &config));
    a = slot_of(&writer.zone, "cdn", "a");
    c = slot_of(&writer.zone, "cdn", "c");
    incarnation = writer.zone.states[c].incarnation;
    set_words(&writer.zone, a, 100);
    set_words(&writer.zone, c, 200);

    config_add(&config, "cdn", "d=14 b=12 a=11 ^a=11 ^b=12 ^c=13")->slow_start_ms = 1000;
    config.upstreams[0].handover_until_ms = NOW + 600;
    ok(reload(&writer, &config) && !writer.created, "it stays, in the same file, behind the present ones");
    ok(previous_slot(&writer.zone, "c") == c && writer.zone.states[c].incarnation == incarnation
       && writer.zone.identities[c].state == ATOLL_PEER_LIFE_FORMER && has_words(&writer.zone, c, 200),
       "in its slot, a former one, with its words");
    ok(previous_slot(&writer.zone, "a") == a && slot_of(&writer.zone, "cdn", "a") == a && has_words(&writer.zone, a, 100),
       "who stays has one slot in both rings");
    ok(writer.zone.states[slot_of(&writer.zone, "cdn", "d")].ramp_start_ms == NOW
       && writer.zone.states[c].ramp_start_ms == 0, "who joins gets its ramp; who left, none");

    config_add(&config, "cdn", "c=13 a=11 b=12 d=14 ^a=11 ^b=12 ^c=13")->slow_start_ms = 1000;
    ok(reload(&writer, &config) && slot_of(&writer.zone, "cdn", "c") == c && has_words(&writer.zone, c, 200)
       && writer.zone.states[c].incarnation == incarnation && writer.zone.states[c].ramp_start_ms == NOW,
       "who comes back is a member again, in the slot that it had");
    atoll_writer_close(&writer);
}

static void
shouldTellRepeatsApartInBothRings(void)
{
    uint32_t        first, second;
    config_t        config;
    atoll_writer_t  writer;

    begin(&writer, &config, path, SIZE);
    config_add(&config, "cdn", "a=11 a=11 b=12");
    need(reload(&writer, &config));
    first = slot_with(&writer.zone, "cdn", "a", 0, ATOLL_PEER_LIFE_MEMBER);
    second = slot_with(&writer.zone, "cdn", "a", 1, ATOLL_PEER_LIFE_MEMBER);

    config_add(&config, "cdn", "b=12 a=11 ^a=11 ^a=11 ^b=12");
    ok(reload(&writer, &config) && slot_with(&writer.zone, "cdn", "a", 0, ATOLL_PEER_LIFE_MEMBER) == first
       && slot_with(&writer.zone, "cdn", "a", 1, ATOLL_PEER_LIFE_FORMER) == second, "the second of them has left");
    atoll_writer_close(&writer);
}

/* Peers that fill the zone but for some slots. */
static char *
fill_but(const atoll_zone_t *zone, unsigned first, unsigned spare)
{
    return many_peers("p", first, zone->peer_count - spare);
}

static void
shouldNotGiveASlotAwayWhileATableNamesIt(void)
{
    char           *many, *both;
    uint32_t        gone, slots;
    uint64_t        incarnation;
    config_t        config;
    atoll_writer_t  writer;

    begin(&writer, &config, path, 1 << 20);
    config_add(&config, "cdn", "a=11 gone=12");
    need(reload(&writer, &config));
    gone = slot_of(&writer.zone, "cdn", "gone");
    incarnation = writer.zone.states[gone].incarnation;
    slots = writer.zone.peer_count;

    config_add(&config, "cdn", "a=11 ^a=11 ^gone=12");
    need(reload(&writer, &config));

    /* All other slots are wanted by a second upstream, and then all of them; per_group 1 keeps the tables small. */
    many = fill_but(&writer.zone, 0, 2);
    config_add(&config, "cdn", "a=11 ^a=11 ^gone=12");
    config_add_with(&config, "big", many, 1);
    ok(reload(&writer, &config) && !writer.created && previous_slot(&writer.zone, "gone") == gone
       && writer.zone.states[gone].incarnation == incarnation, "as long as the ring is named, others take other slots");
    free(many);

    many = many_peers("p", 0, slots - 1);
    config_add(&config, "cdn", "a=11");
    config_add_with(&config, "big", many, 1);
    both = many;
    ok(reload(&writer, &config) && writer.created, "the table that is dropped is active until the last moment: no slot is left");
    free(both);
    atoll_writer_close(&writer);

    begin(&writer, &config, path, 1 << 20);
    config_add(&config, "cdn", "a=11 gone=12");
    need(reload(&writer, &config));
    config_add(&config, "cdn", "a=11 ^a=11 ^gone=12");
    need(reload(&writer, &config));
    config_add(&config, "cdn", "a=11");
    need(reload(&writer, &config));
    many = many_peers("p", 0, slots - 1);
    config_add(&config, "cdn", "a=11");
    config_add_with(&config, "big", many, 1);
    ok(reload(&writer, &config) && !writer.created, "once no table names it, it is given away");
    free(many);
    atoll_writer_close(&writer);
}

static void
shouldTakeThePreviousRingIntoANewFile(void)
{
    uint32_t        a, c;
    config_t        config;
    atoll_writer_t  writer;

    begin(&writer, &config, path, SIZE);
    config_add(&config, "cdn", "a=11 b=12 c=13");
    need(reload(&writer, &config));
    set_words(&writer.zone, slot_of(&writer.zone, "cdn", "a"), 100);
    set_words(&writer.zone, slot_of(&writer.zone, "cdn", "c"), 200);

    config.request.size = 2 * SIZE;
    config_add(&config, "cdn", "b=12 a=11 new=14 ^a=11 ^b=12 ^c=13 ^never=15");
    config.upstreams[0].handover_until_ms = NOW + 600;
    ok(reload(&writer, &config) && writer.created, "another size, another file");
    a = previous_slot(&writer.zone, "a");
    c = previous_slot(&writer.zone, "c");
    ok(has_words(&writer.zone, a, 100) && slot_of(&writer.zone, "cdn", "a") == a, "who stays is there once");
    ok(has_words(&writer.zone, c, 200) && writer.zone.identities[c].state == ATOLL_PEER_LIFE_FORMER, "who left came along");
    ok(writer.zone.identities[previous_slot(&writer.zone, "never")].state == ATOLL_PEER_LIFE_FORMER,
       "who was not known is made a former one");
    ok(knows("cdn", "b=12 a=11 new=14 | a=11 b=12 c=13 never=15 "), "the next reload knows both rings");
    atoll_writer_close(&writer);
}

static void
shouldRefuseATableWhosePeersAreOfOtherRings(void)
{
    config_t              config;
    atoll_writer_t        writer;
    atoll_writer_peer_t  *peers;

    begin(&writer, &config, path, SIZE);
    config_add(&config, "cdn", "a=11 ^b=12");
    peers = (atoll_writer_peer_t *) (uintptr_t) config.upstreams[0].peers;
    peers[1].flags = 0;
    ok(refuses(&config, "is not valid"), "a present peer in the previous ring");
    peers[1].flags = ATOLL_PEER_FLAG_PREVIOUS;
    peers[0].flags = ATOLL_PEER_FLAG_PREVIOUS;
    ok(refuses(&config, "is not valid"), "a previous one among the present ones");
    config_close(&config);
}

/* ---- many reloads ---- */

/* A random choice of servers, never none. */
static void
random_pool(char *to)
{
    unsigned  chosen = 1 + (unsigned) random_below(255);

    *to = '\0';
    for (unsigned i = 0; i < 8; i++) {
        if (chosen >> i & 1) {
            to += sprintf(to, "%ss%u=1%u ", random_below(10) == 0 ? "!" : "", i, i);
        }
    }
}

static void
shouldShowTheRingThatTheRuleChoseOverManyReloads(void)
{
    int             good = 1, previous_rings = 0;
    char            pool[256] = "s0=10 s1=11 ", both[1024];
    config_t        config;
    atoll_writer_t  writer;

    begin(&writer, &config, path, SIZE);
    random_seed();

    for (int round = 0; round < 400 && good; round++) {
        atoll_known_t     known;
        atoll_previous_t  previous;
        config_t          wanted;
        atoll_member_t    members[8] = { 0 };
        atoll_members_t   list = { members, 0 };
        char              expected[2048];

        config.request.now_ms += random_below(HANDOVER);
        if (random_below(3) != 0) {
            random_pool(pool);
        }

        config_open(&wanted, path, SIZE);
        config_add(&wanted, "cdn", pool);
        for ( ; list.count < wanted.upstreams[0].peer_count; list.count++) {
            members[list.count].peer = wanted.upstreams[0].peers[list.count];
        }

        atoll_known_read(&known, path);
        previous = atoll_previous_after(atoll_known_find(&known, "cdn", 3), &list, config.request.now_ms, HANDOVER);
        previous_rings += previous.members.count != 0;

        strcpy(both, pool);
        write_list(both + strlen(both), &previous.members, "^");
        snprintf(expected, sizeof(expected), "%s| ", pool);
        write_list(expected + strlen(expected), &previous.members, "");

        config_add(&config, "cdn", both);
        config.upstreams[0].handover_until_ms = previous.until_ms;
        good = reload(&writer, &config) && knows("cdn", expected) && !(round > 0 && writer.created);
        atoll_known_close(&known);
        config_close(&wanted);
    }

    ok(good && previous_rings > 100, "each shows what it was told, and is known by it to the next");
    note("%d of 400 with a previous ring", previous_rings);
    atoll_writer_close(&writer);
}

/* ---- when nginx was started ---- */

static void
shouldTellWhenNginxWasStarted(void)
{
    pid_t           child;
    config_t        config;
    atoll_writer_t  writer;

    begin(&writer, &config, path, SIZE);
    config_add(&config, "cdn", "a=11");
    need(reload(&writer, &config));
    ok(writer.zone.header->started_ms == NOW, "the first publication is a start");

    config.request.now_ms = NOW + 1000;
    config_add(&config, "cdn", "a=11");
    need(reload(&writer, &config));
    ok(writer.zone.header->started_ms == NOW, "a reload is none");

    config.request.size = 2 * SIZE;
    config_add(&config, "cdn", "a=11");
    need(reload(&writer, &config) && writer.created);
    ok(writer.zone.header->started_ms == NOW, "nor is one that takes a new file");

    child = fork();
    need(child != -1);
    if (child == 0) {
        pause();
        _exit(0);
    }
    atoll_writer_own(&writer.zone, (uint64_t) child, writer.config_epoch);
    config_add(&config, "cdn", "a=11");
    need(reload(&writer, &config));
    ok(writer.zone.header->started_ms == NOW, "nor a binary upgrade, whose former master goes on");

    atoll_writer_own(&writer.zone, (uint64_t) child, writer.config_epoch);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    config.request.now_ms = NOW + 3000;
    config_add(&config, "cdn", "a=11");
    need(reload(&writer, &config));
    ok(writer.zone.header->started_ms == NOW + 3000, "after a master that is gone, it is a start");
    atoll_writer_close(&writer);
}

int
main(void)
{
    enter_folder();
    path = path_in("atoll.zone");
    shouldKeepTheRingThatTheCasesName();
    shouldKnowTheRingsOfTheLiveZone();
    shouldKnowNothingOfWhatIsDamaged();
    shouldKeepSlotAndWordsOfARemovedPeer();
    shouldTellRepeatsApartInBothRings();
    shouldNotGiveASlotAwayWhileATableNamesIt();
    shouldTakeThePreviousRingIntoANewFile();
    shouldRefuseATableWhosePeersAreOfOtherRings();
    shouldShowTheRingThatTheRuleChoseOverManyReloads();
    shouldTellWhenNginxWasStarted();

    return done_testing();
}
