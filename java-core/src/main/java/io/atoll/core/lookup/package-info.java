/**
 * Who serves a key: the walk of docs/architecture.md over a table and the words of its peers, in Java; and who may hold it from
 * before.
 *
 * <p>nginx workers do the same in C (nginx-module/reader/atoll_walk.c, atoll_handover.c); the two are tested against each
 * other. Here it answers the agent's and the command line's questions, and gives tests something to compare with.
 *
 * <p>Times are CLOCK_MONOTONIC milliseconds, and arguments: nothing here reads a clock. A hash is the CRC-32 of a key, its 32 bits in
 * an {@code int}. Peers are indices of the table, slots those of the zone. An object that walks is for one thread; its table and
 * words may serve several.
 */
package io.atoll.core.lookup;
