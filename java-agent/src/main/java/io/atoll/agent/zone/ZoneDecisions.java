package io.atoll.agent.zone;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
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
        Map<PeerName, List<PeerName>> decided = decided();
        if (decided.isEmpty()) {
            return;
        }
        Map<PeerName, List<PeerName>> then = byServer(before, decided.keySet());
        Map<PeerName, List<PeerName>> now = byServer(after, decided.keySet());
        List<AdminDecision> inherited = new ArrayList<>();
        now.forEach((server, names) -> {
            // those that the book knows, when none of them is here
            List<PeerName> away = Collections.disjoint(decided.get(server), names) ? decided.get(server) : List.of();
            List<PeerName> had = then.getOrDefault(server, away);
            for (PeerName name : names) {
                if (book.get(name) == null && !had.isEmpty() && !had.contains(name) && had.stream().allMatch(other -> book.get(other) != null)) {
                    AdminDecision decision = book.get(had.get(0));
                    LOG.info("{}: {} of {} goes with the name to {}", path, decision.kind(), decision.peer(), name.address());
                    inherited.add(new AdminDecision(name, decision.kind(), decision.untilMs(), decision.untilWall(), decision.boot(),
                            decision.note()));
                }
            }
        });
        inherited.forEach(journal);
    }

    /** A server without its addresses. */
    private static PeerName serverOf(PeerName peer) {
        return new PeerName(peer.zone(), peer.upstream(), peer.server(), "");
    }

    /** The peers of this zone that the book knows, by server. */
    private Map<PeerName, List<PeerName>> decided() {
        Map<PeerName, List<PeerName>> decided = new LinkedHashMap<>();
        book.all().stream().map(AdminDecision::peer).filter(peer -> peer.zone().equals(path))
                .forEach(peer -> decided.computeIfAbsent(serverOf(peer), server -> new ArrayList<>()).add(peer));
        return decided;
    }

    /** The peers of some servers, by server, in one pass over all. */
    private Map<PeerName, List<PeerName>> byServer(List<Pool> pools, Set<PeerName> servers) {
        Map<PeerName, List<PeerName>> names = new LinkedHashMap<>();
        for (Pool pool : pools) {
            for (Pool.Member member : pool.members()) {
                PeerName name = nameOf(pool, member.peer());
                PeerName server = serverOf(name);
                if (servers.contains(server)) {
                    names.computeIfAbsent(server, one -> new ArrayList<>()).add(name);
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
        Map<PeerName, List<PeerName>> decided = decided();
        byServer(pools, decided.keySet()).forEach((server, here) -> {
            if (here.stream().anyMatch(lifted::contains) && here.stream().allMatch(peer -> lifted.contains(peer) || book.get(peer) == null)) {
                decided.get(server).stream().filter(peer -> !here.contains(peer)).forEach(left::add);
            }
        });
        return left;
    }

    private static boolean isMeant(Change change, PeerName peer) {
        return peer.upstream().equals(change.upstream())
                && (change.server().equals(peer.server()) || change.server().equals(peer.address()))
                && (change.address().isEmpty() || change.address().equals(peer.address()));
    }
}
