#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atoll_process.h"

/* Fields of /proc/PID/stat by their number in proc(5); the first that follows the command is number 3. */
enum {
    FIELD_STATE = 3,
    FIELD_PARENT = 4,
    FIELD_START = 22
};

/* The text of a field, in line; NULL when the process is gone. The command may hold blanks and brackets. */
static const char *
process_field(uint64_t pid, int field, char *line, size_t size)
{
    char    path[64];
    FILE   *file;
    size_t  length;

    snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);

    file = fopen(path, "re");
    if (file == NULL) {
        return NULL;
    }

    length = fread(line, 1, size - 1, file);
    fclose(file);
    line[length] = '\0';

    char *text = strrchr(line, ')');

    for (int i = FIELD_STATE - 1; text != NULL && i < field; i++) {
        text = strchr(text + 1, ' ');
    }

    return text == NULL ? NULL : text + 1;
}

uint64_t
atoll_process_start(uint64_t pid)
{
    char         line[1024];
    const char  *state, *start;

    if (pid == 0) {
        return 0;
    }

    state = process_field(pid, FIELD_STATE, line, sizeof(line));
    if (state == NULL || *state == 'Z' || *state == 'X') {
        return 0;
    }

    start = process_field(pid, FIELD_START, line, sizeof(line));

    return start == NULL ? 0 : strtoull(start, NULL, 10);
}

uint64_t
atoll_process_parent(uint64_t pid)
{
    char         line[1024];
    const char  *parent = pid == 0 ? NULL : process_field(pid, FIELD_PARENT, line, sizeof(line));

    return parent == NULL ? 0 : strtoull(parent, NULL, 10);
}

int
atoll_process_is(uint64_t pid, uint64_t start)
{
    uint64_t  found = atoll_process_start(pid);

    return found != 0 && found == start;
}

void
atoll_boot_id(uint8_t id[16])
{
    char      text[64] = "";
    unsigned  count = 0;
    FILE     *file;

    memset(id, 0, 16);

    file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file == NULL) {
        return;
    }
    if (fgets(text, sizeof(text), file) == NULL) {
        text[0] = '\0';
    }
    fclose(file);

    for (const char *c = text; *c != '\0' && count < 32; c++) {
        const char  *digits = "0123456789abcdef";
        const char  *digit = strchr(digits, *c);

        if (digit != NULL) {
            id[count / 2] = (uint8_t) (id[count / 2] << 4 | (digit - digits));
            count++;
        }
    }
}
