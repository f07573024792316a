/*
 * Handover: who may still hold a key that this node owns and lacks, for a while after a change of members.
 *
 * docs/architecture.md, "Handover, exactly". Part of the balancer: same thread, no lock, nothing written. Twin of the
 * question: io.atoll.core.lookup.PreviousOwners.
 */
#ifndef ATOLL_HANDOVER_H
#define ATOLL_HANDOVER_H

#include "atoll_balance.h"

/*
 * The peer that may hold a copy of the key with that hash, for a node that acts as its owner and has none; NULL for nobody.
 * self: this node's server name in the upstream, of self_length bytes. returned: not 0 when the caller knows that this node
 * has just come back to traffic. asked: the answer to the same question before, which has no copy, and then only a's earlier ring
 * counts; NULL for the first question. fresh: not 0 when that one said that its nginx was just started (atoll_is_fresh): it may have come
 * with this node, so b and c count too. now_ms: CLOCK_MONOTONIC milliseconds. The first of these that applies and can be asked:
 *
 *   a  until table.handover_until_ms: the owner in the previous ring, unless that is self; then that in the earlier ring,
 *      likewise. Groups with only DOWN addresses there are passed over
 *   b  the owner in the present primary ring whatever stands against it, unless that is self, when an operator took it out
 *      of traffic (DOWN, admin word) less than handover_ms ago: a drained peer still has its keys
 *   c  self owns the key in the present primary ring and has just joined or come back (returned; or nginx was started, or
 *      self drained, undrained or found well again, less than handover_ms ago): the next group along that ring in which
 *      somebody can be asked and was not kept from traffic by an operator all the while; along the earlier ring, or else the
 *      previous one, while these count and self came before the change that they are from
 *
 * Can be asked: has another server name than self and than asked, still has its slot, its probe, quorum and passive words are not above
 * now_ms, nor does a worker avoid it (atoll_fill.h). Of several addresses of a name the first that can.
 *
 * Looks at up to 32 points in all, over the three rings. NULL too when handover_ms is 0, no table is usable, or the table changes meanwhile.
 * Sets balancer->handover_blind: the answer, of c, has no better reason than that nginx was started, as a whole mesh may be.
 * The answer belongs to the balancer and lives as long as it; hand it to atoll_give at once or not at all.
 */
const atoll_peer_t *atoll_previous_owner(atoll_balancer_t *balancer, uint32_t hash, uint64_t now_ms, const char *self,
                                         size_t self_length, int returned, const atoll_peer_t *asked, int fresh);

/* Whether this node's nginx was started less than handover_ms ago, so that what it lacks may be with who stood in for it. */
int atoll_is_fresh(atoll_balancer_t *balancer, uint64_t now_ms);

enum {
    ATOLL_HANDOVER_NONE = 0,
    ATOLL_HANDOVER_BLIND,      /* only that nginx was started less than handover_ms ago */
    ATOLL_HANDOVER_LOOK
};

/*
 * Whether atoll_previous_owner may name anybody, without a look at the ring; to be asked first, since most keys of most nodes at most times
 * have no previous owner. owner: this node's peer, where atoll_undisputed_owner names it for the key, else NULL. NONE also while,
 * found out less than 50 ms ago, no peer of the upstream can be asked.
 */
int atoll_handover_reason(atoll_balancer_t *balancer, const atoll_peer_t *owner, uint64_t now_ms, int returned);

/* Whether a peer of the table in use that serves came back to traffic less than handover_ms ago, as this node saw it. */
int atoll_has_returned(const atoll_balancer_t *balancer, const atoll_peer_t *peer, uint64_t now_ms);

#endif
