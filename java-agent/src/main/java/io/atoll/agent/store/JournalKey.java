package io.atoll.agent.store;

import com.fasterxml.jackson.databind.node.ObjectNode;

/** Whom a record of the journal is about. Equal keys: the later record replaces the one before. */
public sealed interface JournalKey permits PeerName, ServerName {
    /** The key's fields, and the kind of the record that removes what is known of it. */
    ObjectNode removal();
}
