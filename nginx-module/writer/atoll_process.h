/* Processes and boots, told apart: what makes a pid or a millisecond in the zone mean something. */
#ifndef ATOLL_PROCESS_H
#define ATOLL_PROCESS_H

#include <stdint.h>

/* See atoll_zone_writer.h. */
uint64_t atoll_process_start(uint64_t pid);

/* Parent of a process, 0 when it is gone. */
uint64_t atoll_process_parent(uint64_t pid);

/* 1 when the process with that pid is the one that started then. */
int atoll_process_is(uint64_t pid, uint64_t start);

/* Of the running kernel; zeros where there is none. */
void atoll_boot_id(uint8_t id[16]);

#endif
