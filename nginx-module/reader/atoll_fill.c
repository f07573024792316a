#include "atoll_fill.h"

#include "atoll_walk.h"

/* The bits of peer_state.unanswered that count. */
#define COUNT_BITS  16
#define COUNT_MASK  ((UINT64_C(1) << COUNT_BITS) - 1)

static int count_question(atoll_peer_state_record_t *state, uint64_t now, uint64_t timeout);


int
atoll_fill_begin(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now_ms, uint64_t timeout_ms)
{
    atoll_peer_state_record_t  *state = &balancer->zone->states[peer->slot];
    uint64_t                    until = atoll_relaxed(state->avoid_until_ms);

    if (!atoll_peer_is_present(peer, state) || atoll_fill_is_avoided(state, now_ms)) {
        return 0;
    }

    if (until != 0) {
        return atomic_compare_exchange_strong(&state->avoid_until_ms, &until, now_ms + ATOLL_FILL_AVOID_MS);
    }

    return count_question(state, now_ms, timeout_ms);
}


/* Whoever is in the way puts a question too, or tells of an answer: after a few times there is nothing left to count. */
static int
count_question(atoll_peer_state_record_t *state, uint64_t now, uint64_t timeout)
{
    uint64_t word = atoll_relaxed(state->unanswered), first, waited, next;

    for (int attempt = 0; attempt < 2 * ATOLL_FILL_WAITING; attempt++) {
        first = word >> COUNT_BITS;
        waited = now > first ? now - first : 0;

        if ((word & COUNT_MASK) == 0 || waited >= 2 * timeout || first > now + timeout) {
            next = now << COUNT_BITS | 1;

        } else if ((word & COUNT_MASK) < ATOLL_FILL_WAITING) {
            next = word + 1;

        } else {
            return waited < ATOLL_FILL_SILENCE(timeout);
        }

        if (atomic_compare_exchange_strong(&state->unanswered, &word, next)) {
            break;
        }
    }

    return 1;
}


/* Where another is in the way, the word stays as it is, and runs out. */
void
atoll_fill_withdrawn(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t asked_ms)
{
    atoll_peer_state_record_t  *state = &balancer->zone->states[peer->slot];
    uint64_t                    until = asked_ms + ATOLL_FILL_AVOID_MS;
    uint64_t                    word = atoll_relaxed(state->unanswered);

    if (!atoll_peer_is_present(peer, state) || atomic_compare_exchange_strong(&state->avoid_until_ms, &until, asked_ms)) {
        return;
    }

    if ((word & COUNT_MASK) != 0 && word >> COUNT_BITS <= asked_ms) {
        (void) atomic_compare_exchange_strong(&state->unanswered, &word, (word & COUNT_MASK) == 1 ? 0 : word - 1);
    }
}


/* The slot may go to another peer meanwhile, who loses a word that runs out anyway. */
void
atoll_fill_answered(const atoll_balancer_t *balancer, const atoll_peer_t *peer)
{
    atoll_peer_state_record_t *state = &balancer->zone->states[peer->slot];

    if (!atoll_peer_is_present(peer, state)) {
        return;
    }

    if (atoll_relaxed(state->unanswered) != 0) {
        atoll_set(state->unanswered, 0);
    }

    if (atoll_relaxed(state->avoid_until_ms) != 0) {
        atoll_set(state->avoid_until_ms, 0);
    }
}


/* What would keep another peer, who got the slot meanwhile, from being asked is taken back. */
void
atoll_fill_failed(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now_ms)
{
    atoll_peer_state_record_t  *state = &balancer->zone->states[peer->slot];
    uint64_t                    until = now_ms + ATOLL_FILL_AVOID_MS;

    if (!atoll_peer_is_present(peer, state)) {
        return;
    }

    atoll_set(state->unanswered, 0);
    atoll_set(state->avoid_until_ms, until);

    if (!atoll_peer_is_present(peer, state)) {
        (void) atomic_compare_exchange_strong(&state->avoid_until_ms, &until, 0);
    }
}


/* A trial does not count as a question, but leaves the other word until there is an answer. */
void
atoll_fill_timed_out(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t asked_ms, uint64_t now_ms)
{
    const atoll_peer_state_record_t  *state = &balancer->zone->states[peer->slot];
    uint64_t                          word = atoll_relaxed(state->unanswered);

    if (atoll_relaxed(state->avoid_until_ms) != 0 || ((word & COUNT_MASK) != 0 && word >> COUNT_BITS <= asked_ms)) {
        atoll_fill_failed(balancer, peer, now_ms);
    }
}
