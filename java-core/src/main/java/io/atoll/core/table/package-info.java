/**
 * Tables: the flat form of an upstream that nginx workers look up. Compiled here, executed in C.
 *
 * <p>Pure: nothing here reads a clock or a file, or starts a thread. A {@link io.atoll.core.table.Table} may be read by several
 * threads as long as its bytes do not change; compiling is for one thread a region. Times are CLOCK_MONOTONIC milliseconds, lengths
 * and offsets bytes.
 */
package io.atoll.core.table;
