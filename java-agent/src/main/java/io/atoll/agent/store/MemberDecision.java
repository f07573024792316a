package io.atoll.agent.store;

import java.util.List;
import java.util.Locale;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.atoll.core.zone.MemberChange;

/**
 * What was changed about the members of an upstream, by an operator or because a service has such a target. An operator's change stands until reset, or until
 * nginx.conf has overtaken it.
 *
 * @param name    whom
 * @param change  how
 * @param service whose target it is, such as {@code _http._tcp.example.com}; empty for an operator's change
 */
public record MemberDecision(ServerName name, MemberChange change, String service) implements JournalRecord {
    /** An operator's. */
    public MemberDecision(ServerName name, MemberChange change) {
        this(name, change, "");
    }

    /** Whether it comes from DNS rather than from an operator. */
    public boolean isOfService() {
        return !service.isEmpty();
    }

    /** The same with the server at other addresses. */
    public MemberDecision withAddresses(List<MemberChange.Address> addresses) {
        return new MemberDecision(name, change.withAddresses(addresses), service);
    }

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
        if (isOfService()) {
            record.put("service", service);
        }
        return record;
    }
}
