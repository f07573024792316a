/*
 * A zone that is rewritten while a worker uses it: the input is what the worker does and what is written between its calls,
 * and one thread writes the same words over and over meanwhile. 8 bytes a step: one for what, three for the place, four for
 * the value.
 */
#include "fuzz.h"

#include <pthread.h>

enum { STEP_WRITE, STEP_RACE, STEP_REQUEST, STEP_PUBLISH, STEP_REFRESH, STEP_NAME, STEP_KINDS };

#define RACES  16

typedef struct {
    uint32_t  place;
    uint32_t  value;
} write_t;

static fixture_t              live;
static atoll_table_record_t  *tables[2];
static write_t                races[RACES];
static unsigned               race_count;
static atomic_int             done;


static void
write_word(const write_t *what)
{
    volatile uint32_t *words = (volatile uint32_t *) live.base;

    words[what->place % (live.length / 4)] = what->value;
}


static void *
race(void *data)
{
    (void) data;

    do {
        for (unsigned i = 0; i < race_count; i++) {
            write_word(&races[i]);
        }
    } while (!atomic_load_explicit(&done, memory_order_relaxed));

    return NULL;
}


/* The sections lie where they were validated; buffers are published only where they are. */
static void
publish(uint32_t which)
{
    atoll_upstream_record_t *upstream = fixture_upstream(&live, which % 2, which % 2 ? "one" : "pool");

    upstream->slow_start_ms = which >> 8;
    fixture_publish(&live, which % 2, tables[which % 2], which % 2 ? FUZZ_PEERS : 0);
}


static void
step(atoll_balancer_t *balancers, uint32_t kind, const write_t *what)
{
    switch (kind) {

    case STEP_WRITE:
        write_word(what);
        break;

    case STEP_REQUEST:
        fuzz_request(&balancers[what->place % 2], what->value, what->place >> 1 | 8, FUZZ_T + what->value % 4096);
        break;

    case STEP_PUBLISH:
        publish(what->value);
        break;

    case STEP_NAME:
        fixture_name_slot(&live, what->value % FUZZ_PEERS, 0, &fuzz_peers[what->value % FUZZ_PEERS]);
        break;

    default:
        fuzz_request(&balancers[0], what->value, 9, FUZZ_T);
        atoll_balancer_refresh(&balancers[what->place % 2]);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char  *pristine;
    write_t                what;
    pthread_t              thread;
    atoll_row_t            rows[2];
    atoll_balancer_t       balancers[2];

    if (pristine == NULL) {
        fuzz_open(&live);
        pristine = malloc(live.length);
        memcpy(pristine, live.base, live.length);
        tables[0] = fixture_compile(fuzz_peers, FUZZ_PEERS);
        tables[1] = fixture_compile(fuzz_peers, 1);
    }

    memcpy(live.base, pristine, live.length);
    race_count = 0;

    for (size_t i = 0; i + 8 <= size && race_count < RACES; i += 8) {
        if (data[i] % STEP_KINDS == STEP_RACE) {
            races[race_count].place = data[i + 1] | (uint32_t) data[i + 2] << 8 | (uint32_t) data[i + 3] << 16;
            memcpy(&races[race_count++].value, data + i + 4, sizeof(uint32_t));
        }
    }

    for (uint32_t i = 0; i < 2; i++) {
        rows[i] = atoll_zone_row(&live.zone, i);
        fuzz_balancer(&live.zone, &balancers[i], i, &rows[i]);
        atoll_balancer_refresh(&balancers[i]);
    }

    atomic_store(&done, 0);

    if (race_count > 0 && pthread_create(&thread, NULL, race, NULL) != 0) {
        race_count = 0;
    }

    for ( /* void */ ; size >= 8; data += 8, size -= 8) {
        what.place = data[1] | (uint32_t) data[2] << 8 | (uint32_t) data[3] << 16;
        memcpy(&what.value, data + 4, sizeof(uint32_t));
        step(balancers, data[0] % STEP_KINDS, &what);
    }

    if (race_count > 0) {
        atomic_store(&done, 1);
        pthread_join(thread, NULL);
    }

    fuzz_free();

    return 0;
}
