package io.atoll.agent.zone;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import io.atoll.agent.store.AdminDecision;
import io.atoll.agent.store.PeerName;

/** The operators' decisions that stand, as the agent's thread sees them: what the journal has, with ends on this boot's clock. */
public final class AdminBook {
    private final Map<PeerName, AdminDecision> decisions = new LinkedHashMap<>();
    private final boolean trusted;

    /**
     * @param known   from the journal
     * @param trusted whether the journal was whole: then an admin word without a decision is lifted; else it is taken for
     *                a decision that the journal lost
     */
    public AdminBook(Collection<AdminDecision> known, boolean trusted, String boot, long nowMs, long nowWall) {
        this.trusted = trusted;
        for (AdminDecision decision : known) {
            long until = decision.untilMs(boot, nowMs, nowWall);
            decisions.put(decision.peer(), new AdminDecision(decision.peer(), decision.kind(), until,
                    decision.untilWall(), boot, decision.note()));
        }
    }

    boolean isTrusted() {
        return trusted;
    }

    /** Null for none. */
    public AdminDecision get(PeerName peer) {
        return decisions.get(peer);
    }

    public void put(AdminDecision decision) {
        decisions.put(decision.peer(), decision);
    }

    public void remove(PeerName peer) {
        decisions.remove(peer);
    }

    public int size() {
        return decisions.size();
    }

    public Collection<AdminDecision> all() {
        return decisions.values();
    }

    /** Decisions whose end has come. */
    public List<PeerName> ended(long nowMs) {
        List<PeerName> ended = new ArrayList<>();
        for (AdminDecision decision : decisions.values()) {
            if (decision.untilMs() <= nowMs) {
                ended.add(decision.peer());
            }
        }
        return ended;
    }
}
