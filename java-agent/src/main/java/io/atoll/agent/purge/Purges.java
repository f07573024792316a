package io.atoll.agent.purge;

import java.io.IOException;
import java.net.http.HttpClient;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

import io.atoll.agent.api.ApiException;
import io.atoll.agent.api.PurgeService;
import io.atoll.agent.config.AgentConfig.PurgeConfig;
import io.atoll.agent.http.HttpCalls;
import io.atoll.agent.store.Purge;
import io.atoll.agent.store.PurgeJournal;
import io.atoll.agent.view.PurgeView;
import io.atoll.agent.zone.AgentContext;
import io.atoll.agent.zone.ZoneAgent.Obstacle;
import io.atoll.agent.zone.ZoneAgent.PurgeBook;
import io.atoll.core.zone.ZonePurges;
import io.atoll.core.zone.ZonePurges.Kind;
import io.netty.channel.EventLoop;
import io.netty.util.concurrent.ScheduledFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The purges of this host: journals them, puts them in force in its zones, tells the other agents, and asks them for what it
 * missed.
 *
 * <p>A purge is on disk before it is in force, and in force before it is answered. Purges reach an agent in any order, by
 * being told or by asking; each is known by its id and gets a number above all that this host had before, so whatever its
 * caches stored until then is out.
 *
 * <p>State is the agent's thread's; the journal is the disk's.
 */
public final class Purges implements PurgeService, PurgeBook, MeshAgent.Listener, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.purge");
    private static final long ASK_EVERY_MS = 60_000;
    private static final long ALIVE_EVERY_MS = 600_000;
    private static final long ANSWER_AFTER_MS = 1000;
    /** Less than another agent waits for an answer. */
    private static final long TAKE_WITHIN_MS = 2000;
    private static final long SHOWN_MS = 86_400_000;
    private static final long SETTLE_FIRST_MS = 5;
    private static final long SETTLE_MOST_MS = 1000;
    private static final int PAGE = 500;

    private final PurgeConfig config;
    private final Path path;
    private final AgentContext context;
    private final EventLoop loop;
    private final ExecutorService disk;
    private final PurgeJournal journal;
    private final Zones zones;
    private final PurgedFiles files;
    private final Supplier<String> node;
    private final SteadyWall wall;
    private final Map<String, Purge> purges = new LinkedHashMap<>();
    private final Map<String, Map<String, Long>> deliveries;
    private final Map<String, String> boots;
    /** Those of them that the journal does not have yet. */
    private final Map<String, String> unrecordedBoots = new HashMap<>();
    private final List<MeshAgent> agents = new ArrayList<>();
    private final List<Waiting> waiting = new ArrayList<>();
    private final List<Purge> late = new ArrayList<>();
    private final Recurring putting = new Recurring("Purges cannot be put in force", this::putLate);

    private boolean inSync;
    private volatile boolean shownInSync;
    private long last;
    private long settled;
    private long settleAfterMs = SETTLE_FIRST_MS;
    private Set<Obstacle> obstacles = Set.of();
    private CompletableFuture<Void> settling = CompletableFuture.completedFuture(null);
    private CompletableFuture<Void> published = CompletableFuture.completedFuture(null);
    private long startedMs;
    private long aliveMs;
    private ScheduledFuture<?> actions;
    private ScheduledFuture<?> again;

    /** The zones of this host; on the agent's thread. */
    public interface Zones {
        /**
         * Puts purges in force, and what was put before.
         *
         * @return what keeps them from being in force, in any zone; empty when they are. Call again then
         * @throws RuntimeException of a zone; the others have them. Call again with the same
         */
        Set<Obstacle> put(Collection<Purge> purges);

        /** What nginx has in front of a key now, in each zone. */
        Set<Long> generations(String key);
    }

    private record Waiting(BooleanSupplier over, CompletableFuture<Void> answer) {}

    /**
     * @param path of the journal
     * @param node this node's name
     * @throws IOException when the journal is held by another agent
     */
    public Purges(PurgeConfig config, Path path, String token, AgentContext context, ExecutorService disk,
            Zones zones, Supplier<String> node) throws IOException {
        this(config, path, token, context, disk, zones, node, System::currentTimeMillis);
    }

    Purges(PurgeConfig config, Path path, String token, AgentContext context, ExecutorService disk,
            Zones zones, Supplier<String> node, LongSupplier wallClock) throws IOException {
        this.config = config;
        this.path = path;
        this.context = context;
        this.loop = context.loop();
        this.disk = disk;
        this.zones = zones;
        this.node = node;
        this.wall = new SteadyWall(wallClock, context.clock(), config.expire().toMillis() + SHOWN_MS);
        this.journal = PurgeJournal.open(path);
        this.last = journal.last();
        boolean lost = journal.isDamaged() || isTooOld();
        if (lost) {
            purgeAtStart(journal.isDamaged() ? "the journal was damaged" : "away for longer than atoll.purge.expire");
        }
        HttpClient client = config.agents().isEmpty() && config.delete().isEmpty() ? null
                : HttpCalls.client();
        long now = System.currentTimeMillis();
        for (String url : config.agents()) {
            // nothing of before now is used when purges were lost; one that was never asked may be cut off from now on
            agents.add(new MeshAgent(url, lost ? now : journal.heard().getOrDefault(url, now), token, client, loop, context.clock(), context.random(),
                    config.expire().toMillis(), this));
        }
        this.files = new PurgedFiles(config.delete(), client, loop, id -> answerWhoWaits());
        journal.purges().forEach(this::remember);
        this.deliveries = journal.deliveries();
        this.boots = new HashMap<>(journal.zones());
        deliveries.forEach(this::restore);
        this.inSync = agents.isEmpty();
        this.shownInSync = inSync;
    }

    /**
     * Away for so long that the others may have forgotten purges, or that this agent is about to forget its own, while no nginx that was away with it
     * removed what was stored before them.
     */
    private boolean isTooOld() {
        return !(config.agents().isEmpty() && journal.purges().isEmpty()) && journal.aliveWall() != 0
                && wall.now() - journal.aliveWall() > config.expire().toMillis();
    }

    private Purge everything(String why) {
        return new Purge(UUID.randomUUID().toString(), Kind.ALL, "", 0, wall.now(), node.get(), why);
    }

    /** Purges may have been missed for good: nothing of before may be used. */
    private void purgeAtStart(String why) {
        LOG.warn("Purges may have been missed ({}); everything on this host is purged", why);
        Purge purge = everything(why);
        try {
            journal.put(List.of(purge), Set.of(), System.currentTimeMillis());
        } catch (IOException e) {
            remember(new Purge(purge.id(), Kind.ALL, "", Math.max(last + 1, purge.wall() * 1000), purge.wall(),
                    purge.origin(), why));
        }
    }

    private void restore(String id, Map<String, Long> to) {
        for (MeshAgent agent : agents) {
            if (to.getOrDefault(agent.url(), PurgeJournal.EXPIRED) == PurgeJournal.PENDING && purges.containsKey(id)) {
                agent.enqueue(purges.get(id));
            }
        }
    }

    // ---- on the agent's thread

    private void remember(Purge purge) {
        purges.put(purge.id(), purge);
        last = Math.max(last, purge.number());
    }

    /** Begins to tell and to ask. On the agent's thread, after the zones were attached. */
    public void start() {
        startedMs = context.clock().getAsLong();
        settle(List.of());
        aliveNow();
        expire();
        Recurring acting = new Recurring("Other agents can neither be told nor asked", this::act);
        acting.run();
        actions = loop.scheduleWithFixedDelay(acting, 50, 50, TimeUnit.MILLISECONDS);
    }

    void act() {
        agents.forEach(agent -> agent.act(ASK_EVERY_MS));
        long now = context.clock().getAsLong();
        if (!shownInSync && (agents.stream().allMatch(MeshAgent::wasAsked)
                || now - startedMs > config.syncTimeout().toMillis())) {
            inSync = true;
            zones.put(List.of());
            shownInSync = true;
            aliveNow();
            List<String> silent = agents.stream().filter(agent -> !agent.wasAsked())
                    .map(agent -> agent.url() + " (" + agent.trouble() + ")").toList();
            if (silent.isEmpty()) {
                LOG.info("in sync with the purges of {} agents", agents.size());
            } else {
                LOG.warn("These agents did not say within {} ms which purges were missed: {}; caches are used without",
                        config.syncTimeout().toMillis(), silent);
            }
        }
        if (now - aliveMs > ALIVE_EVERY_MS) {
            aliveNow();
            expire();
        }
    }

    private void aliveNow() {
        aliveMs = context.clock().getAsLong();
        recordBoots();
        if (inSync) {
            long nowWall = wall.now();
            Map<String, Long> heard = new LinkedHashMap<>();
            agents.stream().filter(agent -> agent.heardWall() > 0).forEach(agent -> heard.put(agent.url(), agent.heardWall()));
            record("that this agent lives", () -> journal.alive(nowWall, heard));
        }
    }

    /** Gives up telling old purges, and forgets them a day later: caches have nothing of before any more. */
    private void expire() {
        long oldest = wall.now() - config.expire().toMillis();
        for (MeshAgent agent : agents) {
            List<String> late = purges.values().stream().filter(purge -> purge.wall() < oldest && agent.isQueued(purge.id()))
                    .map(Purge::id).toList();
            late.forEach(agent::drop);
            if (!late.isEmpty()) {
                LOG.warn("{} was not told {} purges within atoll.purge.expire; when it comes back it purges everything",
                        agent.url(), late.size());
                delivered(late, agent.url(), PurgeJournal.EXPIRED);
            }
        }
        List<String> over = purges.values().stream().filter(purge -> purge.wall() < oldest - SHOWN_MS).map(Purge::id).toList();
        purges.keySet().removeAll(over);
        deliveries.keySet().removeAll(over);
        if (!over.isEmpty()) {
            record("that purges are over", () -> journal.remove(over));
        }
    }

    private void delivered(List<String> ids, String url, long wall) {
        ids.forEach(id -> deliveries.computeIfAbsent(id, key -> new LinkedHashMap<>()).put(url, wall));
        record("that an agent was told", () -> journal.told(ids, url, wall));
    }

    private interface Writing {
        void run() throws IOException;
    }

    private void record(String what, Writing writing) {
        CompletableFuture.runAsync(() -> {
            try {
                writing.run();
            } catch (IOException e) {
                LOG.warn("The journal {} cannot record {}: {}", path, what, e.toString());
            }
        }, disk);
    }

    /** Whether all that the other agents knew when this one began is in force here, or they were asked long enough. */
    @Override
    public boolean isInSync() {
        return inSync;
    }

    /** When the journal knows less than a zone, it lost purges. */
    @Override
    public void found(Path zone, String boot, long zoneLast) {
        if (!boot.equals(boots.put(zone.toString(), boot))) {
            unrecordedBoots.put(zone.toString(), boot);
        }
        recordBoots();
        if (zoneLast <= last) {
            return;
        }
        LOG.warn("{} has a purge that {} does not know: everything on this host is purged, since a new zone file could not be "
                + "told what was purged before", zone, path);
        last = zoneLast;
        record("a purge", () -> journal.alive(journal.aliveWall(), zoneLast));
        purgeEverything("the journal was behind the zone");
    }

    private void recordBoots() {
        Map.copyOf(unrecordedBoots).forEach((zone, boot) -> record("that a zone is there", () -> {
            journal.found(zone, boot);
            loop.execute(() -> unrecordedBoots.remove(zone, boot));
        }));
    }

    /** A damaged journal may have lost it. */
    @Override
    public boolean isKnown(Path zone, String boot) {
        return journal.isDamaged() || boot.equals(boots.get(zone.toString()));
    }

    /** In force also when the journal cannot record it; then a zone knows more than the journal, which the next agent finds. */
    private CompletableFuture<?> purgeEverything(String why) {
        Purge purge = everything(why);
        return accept(List.of(purge), Set.of()).handleAsync((fresh, problem) -> {
            if (problem != null) {
                LOG.error("{} cannot record that everything is purged, which is in force all the same: {}", path, problem.toString());
                Purge unrecorded = new Purge(purge.id(), Kind.ALL, "", Math.max(last + 1, purge.wall() * 1000), purge.wall(),
                        purge.origin(), why);
                remember(unrecorded);
                record("the number of a purge", () -> journal.alive(journal.aliveWall(), unrecorded.number()));
                settle(List.of(unrecorded));
            }
            return null;
        }, loop).thenComposeAsync(done -> published, loop);
    }

    // ---- what others ask

    /** What another agent knows; two hosts may have given one id to two purges, both of which are purged everywhere. */
    private CompletableFuture<List<Purge>> acceptOfOthers(Collection<Purge> wanted) {
        return accept(() -> put(wanted.stream().map(journal::own).toList(), Set.of()));
    }

    private boolean isKnown(Purge purge) {
        Purge known = purges.get(purge.id());
        return known != null && (known.isLike(purge) || purges.containsKey(purge.apart().id()));
    }

    private List<Purge> put(Collection<Purge> wanted, Set<String> to) {
        try {
            return journal.put(wanted, to, System.currentTimeMillis());
        } catch (IOException e) {
            throw ApiException.notRecorded("purge", path, e);
        }
    }

    /** Journals what is new of it, then puts that in force, as far as nginx does not publish. Completes on the agent's thread. */
    private CompletableFuture<List<Purge>> accept(Collection<Purge> wanted, Set<String> to) {
        return accept(() -> put(wanted, to));
    }

    private CompletableFuture<List<Purge>> accept(Supplier<List<Purge>> writing) {
        return CompletableFuture.supplyAsync(writing, disk).thenApplyAsync(fresh -> {
            Map<Purge, Set<Long>> before = new LinkedHashMap<>();
            fresh.stream().filter(purge -> files.isOn() && purge.kind() == Kind.KEY)
                    .forEach(purge -> before.put(purge, zones.generations(purge.text())));
            fresh.forEach(this::remember);
            settle(fresh);
            before.forEach((purge, generations) -> files.delete(purge.id(), purge.text(), generations));
            return fresh;
        }, loop);
    }

    private void putLate() {
        obstacles = Set.of(Obstacle.SPOILT);
        obstacles = zones.put(late);
        late.clear();
    }

    /** Puts purges in force, and goes on trying while nginx publishes, or has no zone file that can be used. */
    private void settle(Collection<Purge> fresh) {
        late.addAll(fresh);
        putting.run();
        boolean begins = false;
        if (!obstacles.contains(Obstacle.PUBLISHING)) {
            published.complete(null);
        } else if (published.isDone()) {
            published = new CompletableFuture<>();
            begins = true;
        }
        if (obstacles.isEmpty()) {
            settled = last;
            settling.complete(null);
            answerWhoWaits();
        } else if (settling.isDone()) {
            settling = new CompletableFuture<>();
            begins = true;
        }
        if (begins) {
            settleAfterMs = SETTLE_FIRST_MS;
            settleLater();
        }
    }

    private void settleAgain() {
        if (settling.isDone()) {
            return;
        }
        settle(List.of());
        if (!settling.isDone()) {
            settleAfterMs = Math.min(2 * settleAfterMs, SETTLE_MOST_MS);
            settleLater();
        }
    }

    private void settleLater() {
        if (again != null) {
            again.cancel(false);
        }
        again = loop.schedule(this::settleAgain, settleAfterMs, TimeUnit.MILLISECONDS);
    }

    @Override
    public CompletableFuture<PurgeView> purge(Wanted wanted) {
        String id = wanted.id().isEmpty() ? UUID.randomUUID().toString() : wanted.id();
        Set<String> to = new LinkedHashSet<>(config.agents());
        return CompletableFuture.supplyAsync(() -> origin(id, wanted), loop)
                .thenCompose(origin -> accept(List.of(new Purge(id, wanted.kind(), wanted.text(), 0,
                        System.currentTimeMillis(), origin, wanted.note())), to))
                .thenComposeAsync(fresh -> {
                    origin(id, wanted);     // another call may have taken the id meanwhile
                    fresh.forEach(purge -> LOG.info("purge {} {} {}{}", purge.id(), word(purge.kind()), purge.text(),
                            purge.note().isEmpty() ? "" : ": " + purge.note()));
                    for (MeshAgent agent : agents) {
                        fresh.forEach(one -> enqueue(agent, one));
                        agent.hurry();
                        agent.act(ASK_EVERY_MS);
                    }
                    return waitFor(() -> isOver(id), ANSWER_AFTER_MS);
                }, loop).thenApplyAsync(done -> view(purges.get(id)), loop);
    }

    private String origin(String id, Wanted wanted) {
        Purge known = purges.get(id);
        if (known != null && (known.kind() != wanted.kind() || !known.text().equals(wanted.text()))) {
            throw new ApiException(409, "The purge " + id + " is another one: " + word(known.kind()) + " " + known.text(),
                    "id", "a name that was not used yet", "leave it away");
        }
        return node.get();
    }

    private void enqueue(MeshAgent agent, Purge purge) {
        deliveries.computeIfAbsent(purge.id(), key -> new LinkedHashMap<>()).put(agent.url(), PurgeJournal.PENDING);
        agent.enqueue(purge);
    }

    /** Whether nothing is under way for a purge any more, here and elsewhere. */
    private boolean isOver(String id) {
        return isInForce(purges.get(id)) && !files.isUnderWay(id) && agents.stream().noneMatch(agent -> agent.isQueued(id));
    }

    private boolean isInForce(Purge purge) {
        return purge == null || purge.number() <= settled;
    }

    /** Completes when something is over, or after a while. */
    private CompletableFuture<Void> waitFor(BooleanSupplier over, long withinMs) {
        CompletableFuture<Void> answer = new CompletableFuture<>();
        if (over.getAsBoolean()) {
            answer.complete(null);
        } else {
            Waiting one = new Waiting(over, answer);
            waiting.add(one);
            loop.schedule(() -> waiting.remove(one) && answer.complete(null), withinMs, TimeUnit.MILLISECONDS);
        }
        return answer;
    }

    @Override
    public void told(MeshAgent agent, List<Purge> batch) {
        delivered(batch.stream().map(Purge::id).toList(), agent.url(), System.currentTimeMillis());
        answerWhoWaits();
    }

    private void answerWhoWaits() {
        List<Waiting> over = waiting.stream().filter(one -> one.over().getAsBoolean()).toList();
        waiting.removeAll(over);
        over.forEach(one -> one.answer().complete(null));
    }

    @Override
    public CompletableFuture<?> heard(List<Purge> batch) {
        long forgotten = wall.now() - config.expire().toMillis() - SHOWN_MS;
        List<Purge> unknown = batch.stream().filter(purge -> !isKnown(purge) && purge.wall() >= forgotten)
                .toList();
        if (unknown.isEmpty()) {
            return CompletableFuture.completedFuture(null);
        }
        LOG.info("{} purges were missed and are in force now", unknown.size());
        return acceptOfOthers(unknown).thenCompose(fresh -> published);
    }

    @Override
    public CompletableFuture<?> missed(MeshAgent agent) {
        LOG.warn("{} could not be asked for longer than atoll.purge.expire; everything on this host is purged", agent.url());
        return purgeEverything("cut off from " + agent.url());
    }

    @Override
    public CompletableFuture<Integer> receive(List<Purge> batch) {
        BooleanSupplier inForce = () -> batch.stream().allMatch(purge -> isInForce(purges.get(purge.id())) && isInForce(purges.get(purge.apart().id())));
        return acceptOfOthers(batch).thenComposeAsync(fresh -> waitFor(inForce, TAKE_WITHIN_MS), loop).thenApplyAsync(nothing -> {
            if (!inForce.getAsBoolean()) {
                throw new ApiException(503, "The purges are recorded, but not in force: " + hindrance(), path.toString(),
                        "zone files that can be used", "call again: it is tried again and again");
            }
            return batch.size();
        }, loop);
    }

    @Override
    public CompletableFuture<Batch> after(long number, int limit) {
        return CompletableFuture.supplyAsync(() -> {
            int most = Math.min(limit, PAGE);
            List<Purge> later = purges.values().stream().filter(purge -> purge.number() > number).limit(most + 1L).toList();
            boolean more = later.size() > most;
            List<Purge> page = more ? later.subList(0, most) : later;
            return new Batch(page, page.isEmpty() ? number : page.get(page.size() - 1).number(), more);
        }, loop);
    }

    @Override
    public CompletableFuture<List<PurgeView>> list(int limit) {
        return CompletableFuture.supplyAsync(() -> {
            List<Purge> known = new ArrayList<>(purges.values());
            List<PurgeView> views = new ArrayList<>();
            for (int i = known.size() - 1; i >= 0 && views.size() < limit; i--) {
                views.add(view(known.get(i)));
            }
            return views;
        }, loop);
    }

    @Override
    public CompletableFuture<Optional<PurgeView>> find(String id) {
        return CompletableFuture.supplyAsync(() -> Optional.ofNullable(purges.get(id)).map(this::view), loop);
    }

    private PurgeView view(Purge purge) {
        List<PurgeView.Node> nodes = new ArrayList<>();
        nodes.add(new PurgeView.Node("local", isInForce(purge) ? "done" : "pending", "",
                isInForce(purge) ? files.outcome(purge.id()) : hindrance()));
        deliveries.getOrDefault(purge.id(), Map.of()).forEach((url, wall) -> nodes.add(node(url, wall)));
        List<String> states = nodes.stream().map(PurgeView.Node::state).toList();
        return new PurgeView(purge.id(), word(purge.kind()), purge.text(), Long.toHexString(purge.number()),
                Instant.ofEpochMilli(purge.wall()).toString(), purge.origin(), purge.note(),
                states.contains("pending") ? "pending" : states.contains("expired") ? "expired" : "done", nodes);
    }

    private String hindrance() {
        return obstacles.contains(Obstacle.PUBLISHING) ? "nginx publishes a configuration"
                : "a zone file cannot be used: see the zones in /v1/status";
    }

    private PurgeView.Node node(String url, long wall) {
        if (wall > 0) {
            return new PurgeView.Node(url, "done", Instant.ofEpochMilli(wall).toString(), "");
        }
        Optional<MeshAgent> agent = agents.stream().filter(one -> one.url().equals(url)).findFirst();
        boolean pending = wall == PurgeJournal.PENDING && agent.isPresent();
        return new PurgeView.Node(url, pending ? "pending" : "expired", "",
                pending ? agent.get().trouble() : agent.isEmpty() ? "it is not in atoll.mesh.agents any more" : "");
    }

    static String word(Kind kind) {
        return kind.name().toLowerCase(Locale.ROOT);
    }

    /** Whether this agent is in sync and its zones know; from any thread. */
    public boolean isShownInSync() {
        return shownInSync;
    }

    /** Purges that are in force. */
    public int count() {
        return purges.size();
    }

    /** What other agents are still to be told, over all of them. */
    public int pending() {
        return agents.stream().mapToInt(MeshAgent::queued).sum();
    }

    @Override
    public void publish(ZonePurges zone) {
        purges.values().forEach(purge -> zone.put(purge.kind(), purge.text(), purge.number()));
    }

    /** Neither tells nor asks any more. On the agent's thread. */
    public void stop() {
        if (actions != null) {
            actions.cancel(false);
        }
        aliveNow();
    }

    /** Lets go of the journal, once nothing writes to it any more. */
    @Override
    public void close() throws IOException {
        journal.close();
    }
}
