/* Writes the first inputs of each target into a folder: zones that are whole, and damage at the places that matter. */
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void) data;
    (void) size;

    return 0;
}


static void
write_seed(const char *folder, const char *target, int number, const void *data, size_t size)
{
    char   path[1024];
    FILE  *file;

    snprintf(path, sizeof(path), "%s/%s/seed-%02d", folder, target, number);
    file = fopen(path, "wb");

    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}


int
main(int argc, char **argv)
{
    fixture_t       fixture;
    const char     *folder = argc == 2 ? argv[1] : "corpus";
    uint32_t        steps[64] = {0};

    fuzz_open(&fixture);
    write_seed(folder, "attach", 1, fixture.base, fixture.length);
    write_seed(folder, "attach", 2, fixture.base, 4096);

    /* A word of each part, then checksums that fit. */
    const uint64_t places[] = {
        0, 8, 64, 88, 96, 128, sizeof(atoll_header_record_t), (uint64_t) ((unsigned char *) fixture.zone.states - fixture.base),
        (uint64_t) ((unsigned char *) fixture.zone.identities - fixture.base), (uint64_t) (fixture.zone.rows - fixture.base),
        fixture.zone.tables_offset + 16, fixture.zone.tables_offset + 28, fixture.zone.tables_offset + 88,
        fixture.zone.tables_offset + 256, fixture.zone.tables_offset + 448, fixture.zone.tables_offset + 1024,
        offsetof(atoll_header_record_t, purge_sets), (uint64_t) ((unsigned char *) fixture.zone.purges - fixture.base) + 32,
        (uint64_t) ((unsigned char *) fixture.zone.purge_sets - fixture.base), sizeof(atoll_header_record_t)
            + offsetof(atoll_upstream_record_t, bound_percent), (uint64_t) ((unsigned char *) fixture.zone.hot_sets - fixture.base)
    };

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const uint32_t damage[] = {(uint32_t) places[i], 0xffffffff, UINT32_MAX, 0};
        const uint32_t rewrite[] = {
            2, 0x11111111, 3, 0, 2 | 0x500, 0x77777777, 1 | (uint32_t) places[i] / 4 << 8, 3, 2 | 0x7f00, 0x22222222,
            0 | (uint32_t) places[i] / 4 << 8, 0xffffffff, 2 | 0xff00, 0x33333333, 5, 1, 3, 0x20000, 2 | 0x3d00, 0x44444444
        };

        write_seed(folder, "zone", (int) i + 1, damage, sizeof(damage));
        write_seed(folder, "rewrite", (int) i + 1, rewrite, sizeof(rewrite));
    }

    for (int i = 0; i < 64; i += 2) {
        steps[i] = 2 | (uint32_t) i * 0x9e3700;
        steps[i + 1] = (uint32_t) i * 0x08108108;
    }

    write_seed(folder, "rewrite", 40, steps, sizeof(steps));

    return 0;
}
