/*
 * Whether a peer may take a request of a search now: reasons and the guard, max_conns, the bound, the ramp. Part of the balancer;
 * not for callers of the reader.
 */
#ifndef ATOLL_ELIGIBLE_H
#define ATOLL_ELIGIBLE_H

#include "atoll_walk.h"

/* Who may be taken among the eligible, by their ramp. */
typedef enum {
    ATOLL_RAMP_ANY,
    ATOLL_RAMP_ACCEPTING,  /* without those whose ramp leaves this key elsewhere */
    ATOLL_RAMP_STEADY      /* without those in a ramp */
} atoll_ramp_filter_t;

/* 1 when the peer was not given to the request yet and nothing but a ramp speaks against it; counts it in passed otherwise. */
int atoll_is_eligible(atoll_search_t *search, const atoll_peer_t *peer);

/* 1 while the peer may take one more request for its bound, as far as the search knows bounds. Sets search->over otherwise. */
int atoll_is_within_bound(atoll_search_t *search, const atoll_peer_t *peer);

/* Below max_conns, over all workers. */
int atoll_has_room(const atoll_balancer_t *balancer, const atoll_peer_t *peer);

/* Whether the peer's ramp leaves it the search's key. */
int atoll_fits_ramp(const atoll_search_t *search, const atoll_peer_t *peer, atoll_ramp_filter_t filter);

/* By nginx.conf and the operators. */
int atoll_is_allowed(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now);

/* Mass failure: the reasons of probes and requests are not believed. Worked out every 50 ms at most. */
int atoll_is_guarded(atoll_balancer_t *balancer, uint64_t now);

/* The guard was off when it was worked out, and is on now. */
int atoll_is_newly_guarded(const atoll_search_t *search);

#endif
