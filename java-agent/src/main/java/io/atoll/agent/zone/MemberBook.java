package io.atoll.agent.zone;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

import io.atoll.agent.store.MemberDecision;
import io.atoll.agent.store.ServerName;
import io.atoll.core.zone.MemberChange;

/** What was changed about the members of upstreams, as the agent's thread sees it: what the journal has. */
public final class MemberBook {
    private final Map<ServerName, MemberDecision> decisions = new LinkedHashMap<>();
    private final boolean following;
    private Map<String, List<MemberChange.Address>> resolved = Map.of();
    private long version;

    /** @param following whether names are followed to other addresses */
    public MemberBook(Collection<MemberDecision> known, boolean following) {
        this.following = following;
        known.forEach(this::put);
    }

    boolean isFollowing() {
        return following;
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

    /**
     * Forgets what names stand for that no server has any more: one that comes back later stands for what it does then.
     *
     * @param used servers that zones have; those of the book are kept, too
     */
    public void keepResolved(Set<String> used) {
        Map<String, List<MemberChange.Address>> kept = new HashMap<>(resolved);
        decisions.keySet().forEach(name -> kept.remove(name.server()));
        kept.keySet().removeAll(used);
        if (!kept.isEmpty()) {
            Map<String, List<MemberChange.Address>> rest = new HashMap<>(resolved);
            rest.keySet().removeAll(kept.keySet());
            resolved = Map.copyOf(rest);
        }
    }

    /** Counts changes of the book. */
    long version() {
        return version;
    }

    /**
     * What names stand for until they are asked for: what a zone has them at. The agent that wrote that knew better than the journal, which has the
     * addresses of a while ago.
     */
    void resolvedBefore(Map<String, List<MemberChange.Address>> found) {
        Map<String, List<MemberChange.Address>> merged = new HashMap<>(found);
        merged.putAll(resolved);
        resolved = Map.copyOf(merged);
    }

    /** Null for none. */
    public MemberChange get(ServerName name) {
        MemberDecision found = decisions.get(name);
        return found == null ? null : found.change();
    }

    /** The service whose target a server is; empty for any other server. */
    String serviceOf(ServerName name) {
        MemberDecision found = decisions.get(name);
        return found == null ? "" : found.service();
    }

    public Collection<MemberDecision> all() {
        return List.copyOf(decisions.values());
    }

    /** What a server that was added stood for last; empty for any other. */
    public List<MemberChange.Address> lastKnown(String server) {
        return decisions.values().stream().filter(decision -> decision.name().server().equals(server)
                && decision.change().kind() == MemberChange.Kind.ADDED).findFirst()
                .map(decision -> resolved.getOrDefault(server, decision.change().addresses())).orElse(List.of());
    }

    /** Those whose names stand for other addresses than are journaled, with the new ones. */
    public List<MemberDecision> moved() {
        List<MemberDecision> moved = new ArrayList<>();
        for (MemberDecision decision : decisions.values()) {
            List<MemberChange.Address> now = resolved.get(decision.name().server());
            if (decision.change().kind() == MemberChange.Kind.ADDED && now != null && !now.equals(decision.change().addresses())) {
                moved.add(decision.withAddresses(now));
            }
        }
        return moved;
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
