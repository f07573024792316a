package io.atoll.agent.view;

import java.util.List;

/**
 * A purge and what became of it where.
 *
 * @param id      its name on all nodes
 * @param kind    key, prefix, site or all
 * @param text    what is purged; empty for all
 * @param number  in the keys of this host's caches, hexadecimal as there
 * @param created when it was called for, ISO 8601
 * @param origin  node where it was called for
 * @param note    the operator's words
 * @param state   done: in force on all nodes; pending: not on all yet; expired: some were never reached in time
 * @param nodes   by agent, this one first; those that this agent has to tell, when it was called for here
 */
public record PurgeView(String id, String kind, String text, String number, String created, String origin, String note,
        String state, List<Node> nodes) {
    /**
     * A purge on one node.
     *
     * @param agent  "local", or the address of its agent as configured
     * @param state  done, pending or expired
     * @param at     since when, ISO 8601; empty when this agent began anew since
     * @param detail why it is pending
     */
    public record Node(String agent, String state, String at, String detail) {}
}
