/*
 * Fills: questions for a copy to a peer that may hold one from before (atoll_handover.h). What the workers tell each other, in the zone,
 * about peers that do not answer, so that one worker's discovery serves all, and few requests wait for one such peer.
 *
 * No lock: words of peer_state, by compare-and-set where it matters. A worker that dies leaves nothing that does not run out.
 */
#ifndef ATOLL_FILL_H
#define ATOLL_FILL_H

#include "atoll_balance.h"
#include "atoll_read.h"

/* How long a peer that failed is asked by nobody, milliseconds. At most ATOLL_AVOID_LIMIT_MS, with room for clocks that lag. */
#define ATOLL_FILL_AVOID_MS   10000

/* Questions that must wait before a peer counts as silent. */
#define ATOLL_FILL_WAITING    4
/* The part of the time for an answer, without one, after which it does. */
#define ATOLL_FILL_SILENCE(timeout_ms)  ((timeout_ms) / 4)

/*
 * To be asked before each fill. 1: the question may be put to peer, and counts as put. 0: it must not, since
 *
 *   the peer failed less than ATOLL_FILL_AVOID_MS ago; when that time is over, the first to ask gets 1 and puts it off by as much, all
 *   others get 0 until one of the functions below tells what came of it
 *
 *   or it is silent: ATOLL_FILL_WAITING questions or more were put since its last answer, the first of them ATOLL_FILL_SILENCE or longer
 *   ago, but no longer than any may wait
 *
 * now_ms: CLOCK_MONOTONIC milliseconds. timeout_ms: how long a connection is waited for, and then an answer; above 0.
 */
int atoll_fill_begin(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now_ms, uint64_t timeout_ms);

/* The question was not put after all: it does not count, and a try is left to the next. asked_ms: now_ms of atoll_fill_begin. */
void atoll_fill_withdrawn(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t asked_ms);

/* The header of an answer came, whatever it says. */
void atoll_fill_answered(const atoll_balancer_t *balancer, const atoll_peer_t *peer);

/* The connection was refused or broke, or the answer stands for a failure. */
void atoll_fill_failed(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now_ms);

/*
 * None came in time to a question put at asked_ms: as atoll_fill_failed, unless the peer has answered another question meanwhile, since
 * then it is this answer alone that takes its time.
 */
void atoll_fill_timed_out(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t asked_ms, uint64_t now_ms);

/* A word that is too far ahead was written by nobody. */
static inline int
atoll_fill_is_avoided(const atoll_peer_state_record_t *state, uint64_t now_ms)
{
    uint64_t until = atoll_relaxed(state->avoid_until_ms);

    return until > now_ms && until - now_ms <= ATOLL_AVOID_LIMIT_MS;
}

#endif
