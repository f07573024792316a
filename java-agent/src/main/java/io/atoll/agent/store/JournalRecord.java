package io.atoll.agent.store;

import com.fasterxml.jackson.databind.node.ObjectNode;

/** What the journal keeps: the last word about its key, until that is lifted. */
public sealed interface JournalRecord permits AdminDecision, MemberDecision {
    JournalKey key();

    /** As a line of the journal has it. */
    ObjectNode json();
}
