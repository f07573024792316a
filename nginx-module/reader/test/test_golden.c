/* Lookups recorded from a stock nginx (tests/golden): the same peers in the same order, and so does our model of stock. */
#include "stock.h"
#include "tap.h"

#include <dirent.h>

#define MAX_PEERS  128
#define T          UINT64_C(5000000)

static char            text[MAX_PEERS][2][128];
static fixture_peer_t  peers[MAX_PEERS];
static char            folder[4096], path[4096 + 256];


/* A line `key KEY HASH ADDRESS…`; the lines of a file follow each other in one worker. */
static void
compare_line(char *line, atoll_balancer_t *balancer, stock_peers_t *pool, stock_points_t *points, uint64_t *compared)
{
    char             *rest, *word = strtok_r(line, " \n", &rest);
    uint32_t          hash;
    uintptr_t         tried[MAX_PEERS / STOCK_BITS + 1] = {0};
    atoll_walk_t      walk;
    stock_peer_t     *stock;
    stock_request_t   request;

    CHECK(strcmp(word, "key") == 0);
    word = strtok_r(NULL, " \n", &rest);
    hash = (uint32_t) strtoul(strtok_r(NULL, " \n", &rest), NULL, 16);
    CHECK_EQUAL(fixture_hash(word), hash);

    memset(&walk, 0, sizeof(walk));
    atoll_walk_init(&walk, hash, 1);
    walk.allocate = fixture_allocate;
    stock_begin(&request, pool, points, hash, 1, tried);

    while ((word = strtok_r(NULL, " \n", &rest)) != NULL) {
        stock = stock_get(&request, T / 1000);

        if (request.tries > 20) {
            break;
        }

        CHECK(stock != NULL && strcmp(peers[stock->source].address, word) == 0);
        CHECK_EQUAL(ATOLL_PICK_OK, atoll_pick(balancer, &walk, T));
        CHECK_EQUAL(strlen(word), walk.peer->address_length);
        CHECK(memcmp(word, walk.peer->address, walk.peer->address_length) == 0);
        stock_free(&request, T / 1000, 1);
        atoll_done(balancer, &walk, T, 1);
        (*compared)++;
    }
}


static void
compare_file(const char *name)
{
    FILE              *file;
    char              *line = NULL, flags[16];
    size_t             room = 0;
    uint32_t           count = 0;
    uint64_t           compared = 0;
    fixture_t          fixture;
    stock_peers_t     *pool = NULL;
    stock_points_t    *points = NULL;
    atoll_balancer_t   balancer;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "r");
    CHECK(file != NULL);

    while (getline(&line, &room, file) > 0) {

        if (strncmp(line, "peer ", 5) == 0) {
            CHECK(count < MAX_PEERS && pool == NULL);
            flags[0] = '\0';
            CHECK(sscanf(line, "peer %127s %127s %u %15s", text[count][0], text[count][1], &peers[count].weight, flags) >= 3);
            peers[count].server = text[count][0];
            peers[count].address = text[count][1];
            peers[count].fail_timeout_ms = 10000;
            peers[count].flags = strcmp(flags, "down") == 0 ? ATOLL_PEER_FLAG_DOWN : 0;
            count++;

        } else if (line[0] != '#') {
            if (pool == NULL) {
                fixture_pool(&fixture, &balancer, peers, count);
                pool = stock_pool(peers, count);
                points = stock_points(pool);
            }

            compare_line(line, &balancer, pool, points, &compared);
            CHECK_PASSED();
        }
    }

    printf("# %s: %llu picks\n", name, (unsigned long long) compared);
    CHECK(compared >= 50);

    stock_pool_free(pool);
    free(points);
    free(line);
    fclose(file);
    fixture_close(&fixture);
}


static void
shouldPickAsStockNginxWasSeenToDo(void)
{
    int             files = 0;
    DIR            *dir;
    const char     *dot;
    struct dirent  *entry;

    dir = opendir(folder);
    CHECK(dir != NULL);

    while ((entry = readdir(dir)) != NULL) {
        dot = strrchr(entry->d_name, '.');

        if (dot != NULL && strcmp(dot, ".txt") == 0) {
            compare_file(entry->d_name);
            CHECK_PASSED();
            files++;
        }
    }

    closedir(dir);
    CHECK(files >= 8);
}


int
main(void)
{
    const char *end = strstr(__FILE__, "reader/test/");

    snprintf(folder, sizeof(folder), "%.*s../tests/golden", (int) (end - __FILE__), __FILE__);
    RUN(shouldPickAsStockNginxWasSeenToDo);

    return tap_done();
}
