/**
 * Who serves a key: the walk of docs/architecture.md over a table and the words of its peers, in Java; and who may hold it from
 * before.
 *
 * <p>nginx workers do the same in C (nginx-module/reader/atoll_walk.c, atoll_handover.c); the two are tested against each
 * other. Here it answers the agent's and the command line's questions, and gives tests something to compare with.
 */
package io.atoll.core.lookup;
