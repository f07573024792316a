package io.atoll.agent.zone;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import io.atoll.agent.store.MemberDecision;
import io.atoll.agent.store.ServerName;
import io.atoll.core.zone.MemberChange;

/** What was changed about the members of upstreams, as the agent's thread sees it: what the journal has. */
public final class MemberBook {
    private final Map<ServerName, MemberDecision> decisions = new LinkedHashMap<>();
    private Map<String, List<MemberChange.Address>> resolved = Map.of();
    private long version;

    public MemberBook(Collection<MemberDecision> known) {
        known.forEach(this::put);
    }

    /** What names stand for, by server, as it was found last. */
    Map<String, List<MemberChange.Address>> resolved() {
        return resolved;
    }

    /** Names that were asked for; those that could not be resolved are not among them and stand for what they did. */
    public void resolved(Map<String, List<MemberChange.Address>> found) {
        Map<String, List<MemberChange.Address>> merged = new HashMap<>(resolved);
        merged.putAll(found);
        if (!merged.equals(resolved)) {
            resolved = Map.copyOf(merged);
            version++;
        }
    }

    /** Counts changes of the book. */
    long version() {
        return version;
    }

    /** Null for none. */
    MemberChange get(ServerName name) {
        MemberDecision found = decisions.get(name);
        return found == null ? null : found.change();
    }

    /** Those about an upstream of a zone. */
    List<MemberChange> of(String zone, String upstream) {
        List<MemberChange> found = new ArrayList<>();
        for (MemberDecision decision : decisions.values()) {
            if (decision.name().zone().equals(zone) && decision.name().upstream().equals(upstream)) {
                found.add(decision.change());
            }
        }
        return found;
    }

    public void put(MemberDecision decision) {
        decisions.put(decision.name(), decision);
        version++;
    }

    public void remove(ServerName name) {
        if (decisions.remove(name) != null) {
            version++;
        }
    }

    public int size() {
        return decisions.size();
    }
}
