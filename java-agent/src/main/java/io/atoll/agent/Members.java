package io.atoll.agent;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

import io.atoll.agent.api.AgentService.MemberCall;
import io.atoll.agent.api.ApiException;
import io.atoll.agent.config.AgentConfig;
import io.atoll.agent.config.AgentConfig.ServiceConfig;
import io.atoll.agent.dns.NameLookup;
import io.atoll.agent.dns.Names;
import io.atoll.agent.dns.ServiceTargets;
import io.atoll.agent.dns.Target;
import io.atoll.agent.os.Posix;
import io.atoll.agent.probe.Transport;
import io.atoll.agent.store.AdminJournal;
import io.atoll.agent.store.MemberDecision;
import io.atoll.agent.store.ServerAddress;
import io.atoll.agent.store.ServerName;
import io.atoll.agent.view.MembersView;
import io.atoll.agent.view.NameView;
import io.atoll.agent.view.ServerView;
import io.atoll.agent.zone.AgentContext;
import io.atoll.agent.zone.MemberBook;
import io.atoll.agent.zone.ZoneAgent;
import io.atoll.core.zone.MemberChange;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The members of upstreams as they change at run time: by operators' calls, by names that stand for other addresses, and by services whose targets come and
 * go. One change after the other: decided on the agent's event loop, journaled on the disk's thread, in force on the loop again.
 */
final class Members implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.members");
    private static final long PUBLISH_MS = 5_000;
    private static final long RETRY_MS = 50;
    private static final long GATHER_MS = 20;
    private static final long GATHER_MOST_MS = 5_000;
    private static final long REST = 9;
    private static final long JOURNAL_ADDRESSES_MS = 60_000;

    private final AgentConfig config;
    private final AgentContext context;
    private final AdminJournal journal;
    private final MemberBook book;
    private final List<ZoneAgent> zones;
    private final Executor disk;
    private final Executor resolver;
    private final NameLookup lookup;
    private final Names names;
    private final ChangeChain chain;
    private Set<String> complaints = Set.of();
    private boolean following;
    private boolean gathering;
    private long restUntilMs;
    private boolean closed;
    private long addressesJournaledMs;

    /**
     * @param zones    filled before the first call
     * @param disk     the journal's thread
     * @param resolver where the system's resolver may keep a thread waiting
     */
    Members(AgentConfig config, AgentContext context, Transport transport, AdminJournal journal, MemberBook book, List<ZoneAgent> zones,
            Executor disk, Executor resolver) {
        this.config = config;
        this.context = context;
        this.journal = journal;
        this.book = book;
        this.zones = zones;
        this.disk = disk;
        this.resolver = resolver;
        this.chain = new ChangeChain(context.loop());
        boolean enabled = config.resolve().enabled();
        this.lookup = enabled ? new NameLookup(config.resolve(), context.loop(), transport) : null;
        this.names = enabled ? new Names(config.resolve(), lookup, context.loop(), context.clock(), context.random(), this::before, this::heard)
                : null;
    }

    private static long now() {
        return Posix.monotonicMs();
    }

    // ---- operators' calls

    /** One call after the other: what one decides is in force before the next one looks. */
    CompletableFuture<MembersView> call(MemberCall call) {
        return addresses(call).thenComposeAsync(addresses -> chain.append(() -> CompletableFuture.completedFuture(decide(call, addresses))
                .thenApplyAsync(this::record, disk)
                .thenComposeAsync(changes -> inForce(call, addresses, changes), context.loop())), context.loop());
    }

    /**
     * What a zone knew and the journal lost, and what nginx.conf has overtaken: the book has it so already. Journaled behind the changes that are on their way,
     * as far as these have left it so.
     *
     * @return done when that is on disk, or the log says why not
     */
    CompletableFuture<?> adopt(List<MemberDecision> found, List<ServerName> spent) {
        return chain.append(() -> {
            Map<ServerName, MemberDecision> changes = new LinkedHashMap<>();
            Set<MemberDecision> known = new HashSet<>(book.all());
            found.stream().filter(known::contains)
                    .forEach(decision -> changes.put(decision.name(), decision));
            spent.stream().filter(name -> book.get(name) == null).forEach(name -> changes.put(name, null));
            return CompletableFuture.supplyAsync(() -> writeOrSay(changes, "a change of members that was found"), disk);
        });
    }

    /** Of a server that is to be added; empty for other calls. */
    private CompletableFuture<List<MemberChange.Address>> addresses(MemberCall call) {
        if (call.action() != MemberCall.Action.ADD) {
            return CompletableFuture.completedFuture(List.of());
        }
        return CompletableFuture.supplyAsync(() -> {
            try {
                ServerAddress.check(call.server());
                boolean asked = lookup != null && ServerAddress.isName(call.server());
                return asked ? null : ServerAddress.resolve(call.server());
            } catch (IllegalArgumentException e) {
                throw notAServer(call, e.getMessage());
            }
        }, resolver).thenCompose(found -> found != null ? CompletableFuture.completedFuture(found) : ask(call));
    }

    private CompletableFuture<List<MemberChange.Address>> ask(MemberCall call) {
        return CompletableFuture.supplyAsync(() -> lookup.find(ServerAddress.host(call.server())), context.loop())
                .thenCompose(found -> found).handle((found, problem) -> {
                    if (problem != null) {
                        Throwable cause = problem instanceof CompletionException ? problem.getCause() : problem;
                        throw notAServer(call, "a name that resolves, or an address (" + cause.getMessage() + ")");
                    }
                    return ServerAddress.at(call.server(), found);
                });
    }

    private static ApiException notAServer(MemberCall call, String expected) {
        return new ApiException(400, call.server() + " cannot be a server", "server", expected,
                "compare with the server lines of nginx.conf; for a name, ask this host's resolver");
    }

    private Map<ServerName, MemberDecision> decide(MemberCall call, List<MemberChange.Address> addresses) {
        Map<ServerName, MemberDecision> changes = new LinkedHashMap<>();
        boolean found = false;
        for (ZoneAgent zone : zones) {
            found |= !zone.servers(call.node(), call.upstream()).isEmpty();
            zone.decide(call, addresses).forEach((name, change) -> changes.put(name,
                    change == null ? null : new MemberDecision(name, change)));
        }
        if (!found) {
            throw new ApiException(404, "No attached zone has an upstream " + call.upstream(), "/v1/upstreams/"
                    + call.upstream(), "an upstream of GET /v1/upstreams", "compare the name with nginx.conf; check node");
        }
        return changes;
    }

    /** On the disk's thread, before anything is in force. */
    private Map<ServerName, MemberDecision> record(Map<ServerName, MemberDecision> changes) {
        try {
            write(changes);
            return changes;
        } catch (IOException e) {
            throw ApiException.notRecorded("change", config.storePath(), e);
        }
    }

    private void write(Map<ServerName, MemberDecision> changes) throws IOException {
        List<MemberDecision> puts = new ArrayList<>();
        List<ServerName> lifts = new ArrayList<>();
        changes.forEach((name, decision) -> {
            if (decision == null) {
                lifts.add(name);
            } else {
                puts.add(decision);
            }
        });
        journal.change(puts, lifts);
    }

    private void take(Map<ServerName, MemberDecision> changes) {
        changes.forEach((name, decision) -> {
            if (decision == null) {
                book.remove(name);
            } else {
                book.put(decision);
            }
        });
    }

    private CompletableFuture<MembersView> inForce(MemberCall call, List<MemberChange.Address> addresses, Map<ServerName, MemberDecision> changes) {
        String action = call.action().name().toLowerCase(Locale.ROOT);
        take(changes);
        if (!addresses.isEmpty() && names != null) {
            book.resolved(Map.of(call.server(), current(call.server(), addresses)));
        }
        changes.keySet().forEach(name -> LOG.info("{} of {}", action, name));
        CompletableFuture<MembersView> done = new CompletableFuture<>();
        publish(call, action, done, now() + PUBLISH_MS);
        return done;
    }

    /** Again and again while nginx publishes. */
    private void publish(MemberCall call, String action, CompletableFuture<MembersView> done, long untilMs) {
        boolean locked = false;
        try {
            for (ZoneAgent zone : zones) {
                if (zone.servers(call.node(), call.upstream()).isEmpty()) {
                    continue;
                }
                switch (zone.applyMembers()) {
                    case DONE -> { }
                    case LOCKED -> locked = true;
                    default -> throw new ApiException(503, "The change is recorded, but cannot be in force in zone "
                            + zone.path(), zone.path().toString(), "a zone that can be written", "see the agent's log");
                }
            }
            if (!locked) {
                done.complete(new MembersView(action, servers(call.node(), call.upstream())));
            } else if (now() < untilMs) {
                context.loop().schedule(() -> publish(call, action, done, untilMs), RETRY_MS, TimeUnit.MILLISECONDS);
            } else {
                throw new ApiException(503, "The change is recorded; nginx publishes a configuration, so it is not in force yet",
                        "zone file", "nginx to finish its start or reload within " + PUBLISH_MS + " ms",
                        "the agent goes on trying; look at GET /v1/upstreams/" + call.upstream() + "/servers");
            }
        } catch (RuntimeException e) {
            done.completeExceptionally(e);
        }
    }

    /** The servers of an upstream, in all zones that have it. On the agent's event loop, as what follows. */
    List<ServerView> servers(String node, String upstream) {
        return zones.stream().flatMap(zone -> zone.servers(node, upstream).stream()).toList();
    }

    // ---- names

    /** To be called at each heartbeat: sees to it that the names of all servers are followed. */
    void beat() {
        forgetServices();
        if (names == null) {
            return;
        }
        follow();
        if (now() - addressesJournaledMs >= JOURNAL_ADDRESSES_MS) {
            addressesJournaledMs = now();
            journalAddresses();
        }
    }

    /** What is known of the names that are followed. */
    List<NameView> names() {
        return names == null ? List.of() : names.views();
    }

    private void follow() {
        Map<String, Set<String>> hosts = new LinkedHashMap<>();
        Map<String, Set<String>> services = new LinkedHashMap<>();
        Set<String> servers = new HashSet<>();
        zones.forEach(zone -> servers.addAll(zone.names()));
        servers.forEach(server -> use(hosts, server));
        book.keepResolved(servers);
        for (ServiceConfig service : config.resolve().services()) {
            services.computeIfAbsent(service.name(), name -> new TreeSet<>()).add(service.upstream());
            ServiceTargets.named(names.targets(service.name())).forEach(target -> use(hosts, target.server()));
        }
        names.follow(hosts, services);
        followServices();
        complain();
    }

    /** Once about each thing for as long as it lasts. */
    private void complain() {
        Set<String> now = new LinkedHashSet<>();
        Set<String> upstreams = new HashSet<>();
        zones.forEach(zone -> upstreams.addAll(zone.upstreamNames()));
        boolean allKnown = zones.stream().noneMatch(zone -> zone.upstreamNames().isEmpty());
        for (ServiceConfig service : config.resolve().services()) {
            if (allKnown && !upstreams.contains(service.upstream())) {
                now.add("atoll.resolve.srv: no zone has the upstream " + service.upstream() + " that the service " + service.name()
                        + " is for; compare with nginx.conf");
            }
            ServiceTargets.refused(names.targets(service.name())).forEach(target -> now.add("The target "
                    + target.server().replaceAll("[^!-~]", "?") + " of the service " + service.name()
                    + " is passed over: expected a name that nginx takes, not an address"));
        }
        now.stream().filter(sentence -> !complaints.contains(sentence)).forEach(LOG::warn);
        complaints = now;
    }

    private static void use(Map<String, Set<String>> hosts, String server) {
        hosts.computeIfAbsent(ServerAddress.host(server), host -> new TreeSet<>()).add(server);
    }

    /** What servers on a host have in zones; without any there, what the book has of those that were added. */
    private List<InetAddress> before(String host) {
        Set<InetAddress> found = new LinkedHashSet<>();
        zones.forEach(zone -> found.addAll(zone.addresses(host)));
        if (found.isEmpty()) {
            book.all().stream().map(decision -> decision.name().server()).filter(server -> ServerAddress.host(server).equals(host))
                    .forEach(server -> book.lastKnown(server).forEach(address -> {
                        if (address.socketAddress() instanceof InetSocketAddress ip) {
                            found.add(ip.getAddress());
                        }
                    }));
        }
        return List.copyOf(found);
    }

    /** A name stands for something else. What comes within a moment is published together, and within a longer one where that takes long. */
    private void heard() {
        if (!gathering) {
            gathering = true;
            context.loop().schedule(this::resolved, Math.max(GATHER_MS, restUntilMs - now()), TimeUnit.MILLISECONDS);
        }
    }

    private void resolved() {
        gathering = false;
        if (closed) {
            return;
        }
        long began = System.nanoTime();
        Map<String, List<MemberChange.Address>> found = new HashMap<>();
        for (String server : serversOfNames()) {
            List<MemberChange.Address> addresses = current(server, List.of());
            if (!addresses.isEmpty()) {
                found.put(server, addresses);
            }
        }
        book.resolved(found);
        zones.forEach(ZoneAgent::applyMembers);
        follow();
        long tookMs = (System.nanoTime() - began) / 1_000_000;
        restUntilMs = now() + Math.min(GATHER_MOST_MS, REST * tookMs);
    }

    /** Those of zones, and those of the book that no zone has yet, because nginx publishes. */
    private Set<String> serversOfNames() {
        Set<String> servers = new HashSet<>();
        zones.forEach(zone -> servers.addAll(zone.names()));
        book.all().stream().map(decision -> decision.name().server()).filter(ServerAddress::isName).forEach(servers::add);
        return servers;
    }

    /**
     * What a server stands for now: as its name is followed to. A change may have waited for others and for the disk since its own addresses were found, and
     * a name that leads elsewhere says so once.
     *
     * @param found of a server whose name is not followed, or was not answered yet
     */
    private List<MemberChange.Address> current(String server, List<MemberChange.Address> found) {
        List<InetAddress> followed = ServerAddress.isName(server) ? names.addresses(ServerAddress.host(server)) : List.of();
        return followed.isEmpty() ? found : ServerAddress.at(server, followed);
    }

    /** Addresses that names stand for now, for a start without both zone and DNS. Now and then, since they may change often. */
    private void journalAddresses() {
        if (book.moved().isEmpty()) {
            return;
        }
        chain.append(() -> CompletableFuture.completedFuture(takeMoved()).thenApplyAsync(this::writeOrSay, disk));
    }

    /** Decided when no other change is on its way to the journal: of a server that is being removed, nothing must be put behind its removal. */
    private Map<ServerName, MemberDecision> takeMoved() {
        Map<ServerName, MemberDecision> moved = new LinkedHashMap<>();
        book.moved().forEach(decision -> moved.put(decision.name(), decision));
        take(moved);
        return moved;
    }

    // ---- services

    /** Targets of services that the configuration does not have any more. */
    private void forgetServices() {
        Map<ServerName, MemberDecision> changes = new LinkedHashMap<>();
        for (MemberDecision decision : book.all()) {
            boolean configured = config.resolve().services().stream().anyMatch(service -> service.name().equals(decision.service())
                    && service.upstream().equals(decision.name().upstream()));
            if (decision.isOfService() && !configured) {
                LOG.info("{} is no member any more: the configuration does not have its service {}", decision.name(), decision.service());
                changes.put(decision.name(), null);
            }
        }
        if (!changes.isEmpty()) {
            take(changes);
            chain.append(() -> CompletableFuture.supplyAsync(() -> writeOrSay(changes), disk));
        }
    }

    /** Brings the members in line with the targets of services, unless that is being done. */
    private void followServices() {
        if (following || decideServices().isEmpty()) {
            return;
        }
        following = true;
        chain.append(() -> CompletableFuture.completedFuture(decideServices())
                .thenApplyAsync(this::writeOrSay, disk)
                .thenAcceptAsync(this::servicesInForce, context.loop()))
                .whenCompleteAsync((nothing, problem) -> {
                    following = false;
                    if (problem != null) {
                        LOG.error("The targets of services could not be brought in force", problem);
                    }
                }, context.loop());
    }

    private Map<ServerName, MemberDecision> decideServices() {
        Map<String, Map<String, List<MemberChange>>> upstreams = new LinkedHashMap<>();
        for (ServiceConfig service : config.resolve().services()) {
            upstreams.computeIfAbsent(service.upstream(), name -> new LinkedHashMap<>()).put(service.name(), targets(service));
        }
        Map<ServerName, MemberDecision> changes = new LinkedHashMap<>();
        upstreams.forEach((upstream, services) -> zones.forEach(zone -> changes.putAll(zone.decide(upstream, services))));
        return changes;
    }

    /** Null as long as it is not known what to do: no answer yet, not all targets asked for, or none of them with an address. */
    private List<MemberChange> targets(ServiceConfig service) {
        List<Target> targets = ServiceTargets.named(names.targets(service.name()));
        if (targets.stream().anyMatch(target -> !names.isSettled(target.host()))) {
            return null;
        }
        List<MemberChange> servers = ServiceTargets.servers(service, targets, this::addresses);
        return servers.isEmpty() ? null : servers;
    }

    /** Those of a member that cannot be asked for are the ones that it has. */
    private List<MemberChange.Address> addresses(Target target) {
        List<InetAddress> found = names.addresses(target.host());
        return found.isEmpty() ? book.lastKnown(target.server()) : ServerAddress.at(target.server(), found);
    }

    /** DNS is where they come from: what cannot be journaled is in force all the same, and asked for again after a restart. */
    private Map<ServerName, MemberDecision> writeOrSay(Map<ServerName, MemberDecision> changes) {
        return writeOrSay(changes, "where names lead");
    }

    private Map<ServerName, MemberDecision> writeOrSay(Map<ServerName, MemberDecision> changes, String what) {
        try {
            write(changes);
        } catch (IOException e) {
            LOG.warn("The journal cannot record {}: {}", what, e.getMessage());
        }
        return changes;
    }

    private void servicesInForce(Map<ServerName, MemberDecision> changes) {
        Map<String, List<MemberChange.Address>> found = new HashMap<>();
        changes.forEach((name, decision) -> {
            if (decision == null) {
                LOG.info("{} is no target of its service any more", name);
            } else {
                found.put(name.server(), current(name.server(), decision.change().addresses()));
                LOG.info("{} is a target of the service {}: weight {}{}", name, decision.service(), decision.change().weight(),
                        decision.change().backup() ? ", backup" : "");
            }
        });
        take(changes);
        book.resolved(found);
        zones.forEach(ZoneAgent::applyMembers);
    }

    /** Done when the changes that are on their way are over. */
    CompletableFuture<Void> over() {
        return chain.over();
    }

    /** On the agent's event loop. What was not journaled yet is on its way to the disk's thread then, or behind a change that is. */
    @Override
    public void close() {
        closed = true;
        if (names != null) {
            journalAddresses();
            names.close();
        }
    }
}
