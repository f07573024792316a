package io.atoll.agent.zone;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.FileLock;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiConsumer;

import io.atoll.agent.api.AgentService.MemberCall;
import io.atoll.agent.api.ApiException;
import io.atoll.agent.store.MemberDecision;
import io.atoll.agent.store.ServerAddress;
import io.atoll.agent.store.ServerName;
import io.atoll.agent.view.ServerView;
import io.atoll.core.table.CompileException;
import io.atoll.core.zone.FormerRings;
import io.atoll.core.zone.Member;
import io.atoll.core.zone.MemberChange;
import io.atoll.core.zone.MemberChange.Kind;
import io.atoll.core.zone.Membership;
import io.atoll.core.zone.PlannedTable;
import io.atoll.core.zone.PublishException;
import io.atoll.core.zone.TablePublisher;
import io.atoll.core.zone.Upstream;
import io.atoll.core.zone.Zone;
import io.atoll.core.zone.ZoneException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Run-time membership of one zone: brings its tables in line with nginx.conf and the book, and says what a call would change.
 * On the agent's event loop. What it publishes, it publishes under the publisher's lock of the file, which it takes without
 * waiting and holds for no longer than one function.
 */
public final class ZoneMembers {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.members");

    /** What came of bringing a zone in line. */
    public enum Outcome {
        /** All is in force. */
        DONE,
        /** nginx is publishing; try again. */
        LOCKED,
        /** Something cannot be in force; the log says what. */
        REFUSED
    }

    private final String path;
    private final MemberBook book;
    private final BiConsumer<List<MemberDecision>, List<ServerName>> journal;
    private final Set<String> complaints = new LinkedHashSet<>();

    /** @param journal told of decisions that a zone knew and the book did not, and of those that nginx.conf has overtaken */
    ZoneMembers(String path, MemberBook book, BiConsumer<List<MemberDecision>, List<ServerName>> journal) {
        this.path = path;
        this.book = book;
        this.journal = journal;
    }

    // ---- bringing in line

    /**
     * Publishes what differs.
     *
     * @param adopting whether changes that the zone has and the book has not are taken into the book, rather than taken back
     */
    Outcome reconcile(ZoneFile file, boolean adopting, long nowMs) {
        Zone zone = file.zone();
        TablePublisher publisher = new TablePublisher(zone);
        try {
            if (book.isFollowing()) {
                book.resolvedBefore(addresses(zone, publisher));
            }
            if (isInLine(zone, publisher, adopting)) {
                return Outcome.DONE;
            }
            try (FileLock lock = file.tryLock()) {
                if (lock == null || zone.isReplaced() || file.isReplaced()) {
                    return Outcome.LOCKED;
                }
                return publish(zone, publisher, adopting, nowMs);
            }
        } catch (ZoneException | PublishException | CompileException e) {
            complain(e.getMessage());
            return Outcome.REFUSED;
        } catch (java.io.IOException e) {
            complain("the zone file cannot be locked (" + e.getMessage() + "); nothing can be published");
            return Outcome.REFUSED;
        }
    }

    /** What names that were added at run time stand for in the zone. */
    private Map<String, List<MemberChange.Address>> addresses(Zone zone, TablePublisher publisher) {
        Map<String, List<MemberChange.Address>> found = new LinkedHashMap<>();
        for (Upstream upstream : zone.upstreams()) {
            Map<String, List<Member>> added = new LinkedHashMap<>();
            for (Member member : publisher.members(upstream)) {
                if (member.isAdded() && ServerAddress.isName(member.server())) {
                    added.computeIfAbsent(member.server(), server -> new ArrayList<>()).add(member);
                }
            }
            added.forEach((server, members) -> found.putIfAbsent(server, addresses(members, server)));
        }
        return found;
    }

    private static List<MemberChange.Address> addresses(List<Member> present, String server) {
        return present.stream().filter(member -> member.server().equals(server) && member.socketAddress() != null)
                .map(member -> new MemberChange.Address(member.address(), member.socketAddress())).toList();
    }

    private void complain(String sentence) {
        if (complaints.add(sentence)) {
            LOG.warn("{}: members: {}", path, sentence);
        }
    }

    private boolean isInLine(Zone zone, TablePublisher publisher, boolean adopting) {
        for (Upstream upstream : zone.upstreams()) {
            List<MemberChange> changes = book.of(path, upstream.name());
            List<Member> present = publisher.members(upstream);
            Set<String> declared = Membership.declared(present);
            if (adopting && !adopted(upstream, present).isEmpty()
                    || changes.stream().anyMatch(change -> Membership.isSpent(declared, change))
                    || !publisher.isInForce(upstream, Membership.apply(present, changes, book.resolved()))) {
                return false;
            }
        }
        return true;
    }

    private Outcome publish(Zone zone, TablePublisher publisher, boolean adopting, long nowMs) {
        Outcome outcome = Outcome.DONE;
        for (Upstream upstream : zone.upstreams()) {
            try {
                publish(upstream, publisher, adopting, nowMs);
            } catch (PublishException | CompileException e) {
                complain(e.getMessage());
                outcome = Outcome.REFUSED;
            }
        }
        return outcome;
    }

    private void publish(Upstream upstream, TablePublisher publisher, boolean adopting, long nowMs) {
        List<Member> present = publisher.members(upstream);
        List<MemberDecision> found = adopting ? adopted(upstream, present) : List.of();
        List<ServerName> spent = new ArrayList<>();
        found.forEach(book::put);
        Set<String> declared = Membership.declared(present);
        for (MemberChange change : book.of(path, upstream.name())) {
            if (Membership.isSpent(declared, change)) {
                ServerName name = name(upstream, change.server());
                LOG.info("{}: {} is forgotten: nginx.conf {}", name, text(change), change.kind() == Kind.ADDED
                        ? "names the server itself now" : "does not name the server any more");
                book.remove(name);
                spent.add(name);
            }
        }
        if (!found.isEmpty() || !spent.isEmpty()) {
            journal.accept(found, spent);
        }
        List<Member> wanted = Membership.apply(present, book.of(path, upstream.name()), book.resolved());
        if (!publisher.isInForce(upstream, wanted)) {
            long epoch = publisher.publish(publisher.plan(upstream, wanted, nowMs), nowMs);
            complaints.clear();
            LOG.info("{}: members of upstream {} published as epoch {}: {} in the table, {} removed", path, upstream.name(), epoch,
                    Membership.inTable(wanted).size(), wanted.stream().filter(Member::isRemoved).count());
        }
    }

    /**
     * Publishes the table of an upstream as it is, with the rings before that another node's zone has.
     *
     * @param told by other nodes; the first that says something new counts
     */
    Outcome learn(ZoneFile file, Upstream upstream, List<FormerRings> told, long nowMs) {
        TablePublisher publisher = new TablePublisher(file.zone());
        try (FileLock lock = file.tryLock()) {
            if (lock == null || file.zone().isReplaced() || file.isReplaced()) {
                return Outcome.LOCKED;
            }
            for (FormerRings rings : told) {
                Optional<PlannedTable> plan = publisher.planAfter(upstream, rings, nowMs);
                if (plan.isPresent()) {
                    long epoch = publisher.publish(plan.get(), nowMs);
                    LOG.info("{}: the owners before of upstream {}, as another node knows them, published as epoch {}", path,
                            upstream.name(), epoch);
                    return Outcome.DONE;
                }
            }
            return Outcome.REFUSED;
        } catch (ZoneException | PublishException | CompileException e) {
            complain(e.getMessage());
        } catch (java.io.IOException e) {
            complain("the zone file cannot be locked (" + e.getMessage() + "); nothing can be published");
        }
        return Outcome.REFUSED;
    }

    /** Changes that the zone has and the book does not. */
    private List<MemberDecision> adopted(Upstream upstream, List<Member> present) {
        Map<ServerName, MemberDecision> found = new LinkedHashMap<>();
        for (Member member : present) {
            ServerName name = name(upstream, member.server());
            MemberChange change = changeOf(member, present);
            if (change != null && book.get(name) == null) {
                found.put(name, new MemberDecision(name, change));
            }
        }
        return List.copyOf(found.values());
    }

    private static MemberChange changeOf(Member member, List<Member> present) {
        if (member.isRemoved()) {
            return MemberChange.removed(member.server());
        }
        if (member.isAdded()) {
            return new MemberChange(Kind.ADDED, member.server(), member.weight(), member.maxConns(), member.maxFails(),
                    member.failTimeoutMs(), member.isBackup(), addresses(present, member.server()));
        }
        return member.isDeclared() && member.weight() != member.confWeight()
                ? MemberChange.weighted(member.server(), member.weight()) : null;
    }

    private ServerName name(Upstream upstream, String server) {
        return new ServerName(path, upstream.name(), server);
    }

    private static String text(MemberChange change) {
        return switch (change.kind()) {
            case ADDED -> "its addition";
            case REMOVED -> "its removal";
            case WEIGHTED -> "its weight " + change.weight();
        };
    }

    // ---- calls

    /**
     * What a call would change: decisions to keep, or to take back where the change is null.
     *
     * @param addresses of a server that is added
     * @throws ApiException for a call that cannot be; nothing was changed
     */
    Map<ServerName, MemberChange> decide(Zone zone, Upstream upstream, MemberCall call, List<MemberChange.Address> addresses) {
        TablePublisher publisher = new TablePublisher(zone);
        try {
            List<Member> present = publisher.members(upstream);
            Map<ServerName, MemberChange> changes = new LinkedHashMap<>();
            if (call.action() == MemberCall.Action.RESET && call.server().isEmpty()) {
                book.of(path, upstream.name()).stream().map(change -> name(upstream, change.server()))
                        .filter(name -> book.serviceOf(name).isEmpty()).forEach(name -> changes.put(name, null));
            } else {
                ServerName name = name(upstream, serverOf(present, call.server()));
                checkIsNotOfService(name);
                changes.put(name, decide(name, present, call, addresses));
            }
            checkFits(publisher, upstream, present, changes, call);
            return changes;
        } catch (PublishException e) {
            throw new ApiException(e.why() == PublishException.Cause.NO_TABLE ? 503 : 507, e.getMessage(), where(upstream),
                    "room in the zone", "raise size= of atoll_zone and reload nginx, then try again");
        }
    }

    private void checkIsNotOfService(ServerName name) {
        String service = book.serviceOf(name);
        if (!service.isEmpty()) {
            throw new ApiException(409, name.server() + " is a target of the service " + service + ", which says whether it is a member and with "
                    + "what weight", where(name), "a server of nginx.conf, or one that was added",
                    "change the SRV records of " + service + ", or drain the server to take it out of traffic");
        }
    }

    /** A server may be named by one of its addresses. */
    private static String serverOf(List<Member> present, String named) {
        boolean known = present.stream().anyMatch(member -> member.server().equals(named));
        return known ? named : present.stream().filter(member -> member.address().equals(named)).map(Member::server)
                .findFirst().orElse(named);
    }

    private MemberChange decide(ServerName name, List<Member> present, MemberCall call, List<MemberChange.Address> addresses) {
        MemberChange before = book.get(name);
        int declared = present.stream().filter(member -> member.isDeclared() && member.server().equals(name.server()))
                .mapToInt(Member::confWeight).findFirst().orElse(0);
        if (declared == 0 && call.action() != MemberCall.Action.ADD && before == null) {
            throw new ApiException(404, "No server " + name.server() + " in upstream " + name.upstream(), where(name),
                    "a server of GET /v1/upstreams/" + name.upstream() + "/servers", "percent-encode the name (/ is %2F)");
        }
        return switch (call.action()) {
            case ADD -> declared == 0 ? call.added(name.server(), addresses) : addedAgain(name, declared, call);
            case REMOVE -> declared == 0 ? null : MemberChange.removed(name.server());
            case WEIGHT -> weighted(name, declared, call.weight(), before);
            case RESET -> null;
        };
    }

    /** A server of nginx.conf: it is back, with the weight that is wished for. */
    private static MemberChange addedAgain(ServerName name, int declared, MemberCall call) {
        if (call.hasLimits()) {
            throw new ApiException(409, "nginx.conf names " + name.server() + ", and gives it its limits", where(name),
                    "weight alone for a server of nginx.conf", "leave max_conns, max_fails, fail_timeout_ms and backup away");
        }
        return call.weight() == 0 || call.weight() == declared ? null : MemberChange.weighted(name.server(), call.weight());
    }

    private static MemberChange weighted(ServerName name, int declared, int weight, MemberChange before) {
        if (before != null && before.kind() == Kind.REMOVED) {
            throw new ApiException(409, name.server() + " was removed, so it has no weight", where(name), "a member",
                    "add it again, with the weight");
        }
        if (declared == 0) {
            return before.withWeight(weight);
        }
        return weight == declared ? null : MemberChange.weighted(name.server(), weight);
    }

    private List<Member> wanted(Upstream upstream, List<Member> present, Map<ServerName, MemberChange> changes) {
        Map<String, MemberChange> wished = new LinkedHashMap<>();
        book.of(path, upstream.name()).forEach(change -> wished.put(change.server(), change));
        changes.forEach((name, change) -> {
            wished.remove(name.server());
            if (change != null) {
                wished.put(name.server(), change);
            }
        });
        return Membership.apply(present, wished.values(), book.resolved());
    }

    private void checkFits(TablePublisher publisher, Upstream upstream, List<Member> present,
            Map<ServerName, MemberChange> changes, MemberCall call) {
        List<Member> wanted = wanted(upstream, present, changes);
        if (call.action() != MemberCall.Action.ADD && (wanted.isEmpty() || !Membership.leavesPrimary(wanted))) {
            throw new ApiException(409, "Without " + call.server() + ", upstream " + upstream.name() + " has no server left",
                    where(upstream), "another server that is no backup", "add one before you remove this one");
        }
        try {
            publisher.plan(upstream, wanted);
        } catch (CompileException e) {
            throw new ApiException(409, e.getMessage(), where(upstream), "members that make a ring", "use smaller weights");
        }
    }

    // ---- services

    /**
     * What the targets of services change about the members of an upstream: decisions to keep, or to take back where null. Servers of nginx.conf stay
     * its own; one that an operator added becomes the service's.
     *
     * @param services those of this upstream, each with its targets as servers; null for one that is not known yet, whose servers stay
     */
    Map<ServerName, MemberDecision> decide(Zone zone, Upstream upstream, Map<String, List<MemberChange>> services) {
        TablePublisher publisher = new TablePublisher(zone);
        Map<ServerName, MemberDecision> changes = new LinkedHashMap<>();
        try {
            List<Member> present = publisher.members(upstream);
            Map<ServerName, MemberDecision> targets = targets(upstream, present, services);
            targets.forEach((name, decision) -> {
                if (!isKept(name, decision)) {
                    changes.put(name, decision);
                }
            });
            for (MemberChange change : book.of(path, upstream.name())) {
                ServerName name = name(upstream, change.server());
                String service = book.serviceOf(name);
                boolean known = !services.containsKey(service) || services.get(service) != null;
                if (!service.isEmpty() && known && !targets.containsKey(name)) {
                    changes.put(name, null);
                }
            }
            if (!changes.isEmpty()) {
                Map<ServerName, MemberChange> plain = new LinkedHashMap<>();
                changes.forEach((name, decision) -> plain.put(name, decision == null ? null : decision.change()));
                publisher.plan(upstream, wanted(upstream, present, plain));
            }
            return changes;
        } catch (PublishException | CompileException e) {
            complain("the targets of " + String.join(", ", services.keySet()) + " cannot all be members of upstream " + upstream.name() + ": "
                    + e.getMessage());
            return Map.of();
        }
    }

    private Map<ServerName, MemberDecision> targets(Upstream upstream, List<Member> present, Map<String, List<MemberChange>> services) {
        Map<ServerName, MemberDecision> targets = new LinkedHashMap<>();
        Set<String> declared = Membership.declared(present);
        services.forEach((service, servers) -> {
            for (MemberChange server : servers == null ? List.<MemberChange>of() : servers) {
                if (!declared.contains(server.server())) {
                    ServerName name = name(upstream, server.server());
                    targets.putIfAbsent(name, new MemberDecision(name, server, service));
                }
            }
        });
        return targets;
    }

    /** Other addresses alone are no other decision: where a name leads is known apart from it. */
    private boolean isKept(ServerName name, MemberDecision decision) {
        MemberChange before = book.get(name);
        return before != null && book.serviceOf(name).equals(decision.service())
                && before.withAddresses(List.of()).equals(decision.change().withAddresses(List.of()));
    }

    private static String where(ServerName name) {
        return "/v1/upstreams/" + name.upstream() + "/servers/" + name.server();
    }

    private static String where(Upstream upstream) {
        return "/v1/upstreams/" + upstream.name() + "/servers";
    }

    // ---- what it shows

    /** Servers that are names, to be resolved now and then. */
    Set<String> names(Zone zone) {
        Set<String> names = new LinkedHashSet<>();
        for (Upstream upstream : zone.upstreams()) {
            for (Member member : new TablePublisher(zone).members(upstream)) {
                if (ServerAddress.isName(member.server())) {
                    names.add(member.server());
                }
            }
        }
        return names;
    }

    /** The IP addresses of the members that are names, by host. */
    Map<String, Set<InetAddress>> hosts(Zone zone) {
        Map<String, Set<InetAddress>> hosts = new HashMap<>();
        for (Upstream upstream : zone.upstreams()) {
            for (Member member : new TablePublisher(zone).members(upstream)) {
                if (ServerAddress.isName(member.server()) && member.socketAddress() instanceof InetSocketAddress ip) {
                    hosts.computeIfAbsent(ServerAddress.host(member.server()), host -> new LinkedHashSet<>()).add(ip.getAddress());
                }
            }
        }
        return hosts;
    }

    private String origin(Upstream upstream, Member member) {
        if (member.isDeclared()) {
            return "nginx.conf";
        }
        return book.serviceOf(name(upstream, member.server())).isEmpty() ? "run_time" : "srv";
    }

    /** The servers of an upstream: nginx.conf's and those added, those that were removed included. */
    List<ServerView> servers(Zone zone, String node, Upstream upstream) {
        List<Member> present = new TablePublisher(zone).members(upstream);
        List<Member> inTable = Membership.inTable(present);
        Map<String, ServerView> servers = new LinkedHashMap<>();
        for (Member member : present) {
            List<String> addresses = present.stream().filter(other -> other.server().equals(member.server()))
                    .map(Member::address).distinct().toList();
            servers.putIfAbsent(member.server(), new ServerView(node, upstream.name(), member.server(), addresses,
                    origin(upstream, member), book.serviceOf(name(upstream, member.server())), inTable.contains(member) ? "member" : "removed",
                    member.weight(), member.isDeclared() ? member.confWeight() : 0, member.isBackup(), member.isDown(),
                    member.maxConns(), member.maxFails(), member.failTimeoutMs()));
        }
        return List.copyOf(servers.values());
    }
}
