package io.atoll.agent.zone;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

import io.atoll.agent.api.AgentService.Change;
import io.atoll.agent.store.AdminDecision;
import io.atoll.agent.store.PeerName;
import io.atoll.core.zone.Peer;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The operators' decisions in one zone: drains and maintenance. On the agent's event loop. */
final class ZoneDecisions {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.zone");

    private final String path;
    private final AdminBook book;
    private final String boot;
    private final long leaseMs;
    private final Consumer<AdminDecision> journal;

    /** @param journal takes decisions that no operator's call made into book and journal */
    ZoneDecisions(String path, AdminBook book, String boot, long leaseMs, Consumer<AdminDecision> journal) {
        this.path = path;
        this.book = book;
        this.boot = boot;
        this.leaseMs = leaseMs;
        this.journal = journal;
    }

    /**
     * Brings the admin words in line with the book. A decision with an end gets a word that stands a lease longer: the
     * agent lifts it in time, with a ramp; an agent that is gone cannot.
     *
     * @param adopting whether a word that the book does not know is taken into it, rather than lifted
     */
    void apply(PeerWriter peers, boolean adopting, long now) {
        for (Pool pool : peers.pools()) {
            for (Pool.Member member : pool.members()) {
                apply(peers, pool, member.peer(), adopting, now);
            }
        }
    }

    private void apply(PeerWriter peers, Pool pool, Peer peer, boolean adopting, long now) {
        PeerName peerName = nameOf(pool, peer);
        AdminDecision decision = book.get(peerName);
        long word = peers.zone().reason(peer.slot(), Reason.ADMIN);
        if (decision == null && adopting && Long.compareUnsigned(word, now) > 0) {
            decision = new AdminDecision(peerName, AdminDecision.Kind.DRAIN, AdminDecision.FOREVER,
                    AdminDecision.FOREVER, boot, "found in the zone");
            LOG.info("{}: {} is drained in the zone, and the journal does not know it: kept as a drain", path, peerName);
            journal.accept(decision);
        }
        long wanted = 0;
        if (decision != null && decision.untilMs() > now) {
            wanted = decision.isForever() ? ZoneLayout.FOREVER : decision.untilMs() + leaseMs;
        }
        boolean stands = Long.compareUnsigned(word, now) > 0;
        if (wanted == 0 && stands) {
            peers.ramp(peer, now);
        }
        if (wanted == 0 ? stands : !stands) {
            peers.changed(peer, now);
        }
        peers.write(peer, Reason.ADMIN, wanted);
    }

    /**
     * A server whose name leads elsewhere: what was decided about all addresses that it had is decided about its new ones. Of a server that was not here
     * before, as after the start of an agent or with another zone file, the book says which addresses it had.
     *
     * @param before the peers until now
     * @param after  those from now on
     */
    void inherit(List<Pool> before, List<Pool> after) {
        List<AdminDecision> inherited = new ArrayList<>();
        for (Pool pool : after) {
            for (Pool.Member member : pool.members()) {
                PeerName name = nameOf(pool, member.peer());
                List<PeerName> had = namesOf(before, name);
                if (had.isEmpty()) {
                    had = decidedAway(after, name);
                }
                if (book.get(name) == null && !had.isEmpty() && !had.contains(name) && had.stream().allMatch(other -> book.get(other) != null)) {
                    AdminDecision decision = book.get(had.get(0));
                    LOG.info("{}: {} of {} goes with the name to {}", path, decision.kind(), decision.peer(), name.address());
                    inherited.add(new AdminDecision(name, decision.kind(), decision.untilMs(), decision.untilWall(), decision.boot(),
                            decision.note()));
                }
            }
        }
        inherited.forEach(journal);
    }

    /** The peers of a server that the book knows; empty when one of them is here. */
    private List<PeerName> decidedAway(List<Pool> pools, PeerName server) {
        List<PeerName> decided = book.all().stream().map(AdminDecision::peer).filter(peer -> isSameServer(peer, server)).toList();
        return Collections.disjoint(decided, namesOf(pools, server)) ? decided : List.of();
    }

    private static boolean isSameServer(PeerName one, PeerName other) {
        return one.zone().equals(other.zone()) && one.upstream().equals(other.upstream()) && one.server().equals(other.server());
    }

    /** The peers of a server, itself included. */
    private List<PeerName> namesOf(List<Pool> pools, PeerName server) {
        List<PeerName> names = new ArrayList<>();
        for (Pool pool : pools) {
            for (Pool.Member member : pool.members()) {
                PeerName name = nameOf(pool, member.peer());
                if (isSameServer(name, server)) {
                    names.add(name);
                }
            }
        }
        return names;
    }

    PeerName nameOf(Pool pool, Peer peer) {
        return new PeerName(path, pool.upstream().name(), peer.server(), peer.address());
    }

    /** The peers that a call names, and, where it lifts, decisions about peers that are not here now. */
    Collection<PeerName> match(List<Pool> pools, Change change, boolean lifts) {
        Set<PeerName> matching = new LinkedHashSet<>();
        for (Pool pool : pools) {
            for (Pool.Member member : pool.members()) {
                PeerName peerName = nameOf(pool, member.peer());
                if (isMeant(change, peerName)) {
                    matching.add(peerName);
                }
            }
        }
        for (AdminDecision decision : book.all()) {
            if (lifts && decision.peer().zone().equals(path) && isMeant(change, decision.peer())) {
                matching.add(decision.peer());
            }
        }
        if (lifts) {
            matching.addAll(left(pools, matching));
        }
        return matching;
    }

    /**
     * Decisions about addresses that a server had, when none stands about the ones that it has any more: a later start would have them go with the name.
     */
    private List<PeerName> left(List<Pool> pools, Set<PeerName> lifted) {
        List<PeerName> left = new ArrayList<>();
        for (AdminDecision decision : book.all()) {
            List<PeerName> here = namesOf(pools, decision.peer());
            if (!here.contains(decision.peer()) && here.stream().anyMatch(lifted::contains)
                    && here.stream().allMatch(peer -> lifted.contains(peer) || book.get(peer) == null)) {
                left.add(decision.peer());
            }
        }
        return left;
    }

    private static boolean isMeant(Change change, PeerName peer) {
        return peer.upstream().equals(change.upstream())
                && (change.server().equals(peer.server()) || change.server().equals(peer.address()))
                && (change.address().isEmpty() || change.address().equals(peer.address()));
    }
}
