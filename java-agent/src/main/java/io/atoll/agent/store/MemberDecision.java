package io.atoll.agent.store;

import java.util.Locale;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.atoll.core.zone.MemberChange;

/**
 * What an operator changed about the members of an upstream; stands until reset, or until nginx.conf has overtaken it.
 *
 * @param name   whom
 * @param change how
 */
public record MemberDecision(ServerName name, MemberChange change) implements JournalRecord {
    @Override
    public JournalKey key() {
        return name;
    }

    @Override
    public ObjectNode json() {
        ObjectNode record = name.removal().put("kind", change.kind().name().toLowerCase(Locale.ROOT));
        if (change.kind() != MemberChange.Kind.REMOVED) {
            record.put("weight", change.weight());
        }
        if (change.kind() == MemberChange.Kind.ADDED) {
            record.put("max_conns", change.maxConns()).put("max_fails", change.maxFails())
                    .put("fail_timeout_ms", change.failTimeoutMs()).put("backup", change.backup());
            ArrayNode addresses = record.putArray("addresses");
            change.addresses().forEach(address -> addresses.add(address.text()));
        }
        return record;
    }
}
