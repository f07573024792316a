package io.atoll.agent.dns;

import java.net.InetAddress;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;

import io.atoll.agent.config.AgentConfig.ResolveConfig;
import io.atoll.agent.view.NameView;
import io.netty.channel.EventLoop;
import io.netty.util.concurrent.Future;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The names that are followed: each is asked for again when its answer does not hold any longer, and stands for what it did as long as there is no other
 * good answer. On the agent's event loop.
 */
public final class Names implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.resolve");
    private static final int AT_A_TIME = 32;
    private static final int FAILING_AT_A_TIME = 16;

    private final Lookup lookup;
    private final EventLoop loop;
    private final LongSupplier clock;
    private final NameSchedule schedule;
    private final Function<String, List<InetAddress>> before;
    private final Runnable changed;
    private final Map<String, Followed<InetAddress>> hosts = new LinkedHashMap<>();
    private final Map<String, Followed<Target>> services = new LinkedHashMap<>();
    private final Queue<Followed<?>> due = new ArrayDeque<>();
    private final Queue<Followed<?>> dueFailing = new ArrayDeque<>();
    private int busy;
    private int busyFailing;
    private boolean closed;

    /** Who is asked. */
    interface Lookup extends AutoCloseable {
        /** As {@link NameLookup#addresses}. */
        CompletableFuture<Answer<InetAddress>> addresses(String host, List<InetAddress> before);

        /** As {@link NameLookup#targets}. */
        CompletableFuture<Answer<Target>> targets(String service);

        @Override
        void close();
    }

    /**
     * @param before  the addresses that a host stood for before this agent followed it: of a family that cannot be asked for, they are kept
     * @param changed called when a name stands for something else, or was asked for the first time
     */
    public Names(ResolveConfig config, NameLookup lookup, EventLoop loop, LongSupplier clock, RandomGenerator random,
            Function<String, List<InetAddress>> before, Runnable changed) {
        this(config, (Lookup) lookup, loop, clock, random, before, changed);
    }

    Names(ResolveConfig config, Lookup lookup, EventLoop loop, LongSupplier clock, RandomGenerator random,
            Function<String, List<InetAddress>> before, Runnable changed) {
        this.lookup = lookup;
        this.loop = loop;
        this.clock = clock;
        this.schedule = new NameSchedule(config, random);
        this.before = before;
        this.changed = changed;
    }

    /**
     * Says which names are to be followed from now on; the others are forgotten.
     *
     * @param hostsOf    hosts, each with the servers that stand on it
     * @param servicesOf services, each with the upstreams that it is for
     */
    public void follow(Map<String, ? extends Set<String>> hostsOf, Map<String, ? extends Set<String>> servicesOf) {
        follow(hosts, hostsOf, host -> new Followed<>(host, "addresses", this::ask, Comparator.comparing(InetAddress::getHostAddress),
                InetAddress::getHostAddress));
        follow(services, servicesOf, service -> new Followed<>(service, "srv", (name, before) -> lookup.targets(name),
                Comparator.naturalOrder(), Target::toString));
    }

    private CompletableFuture<Answer<InetAddress>> ask(String host, List<InetAddress> known) {
        return lookup.addresses(host, known.isEmpty() ? before.apply(host) : known);
    }

    private <T> void follow(Map<String, Followed<T>> known, Map<String, ? extends Set<String>> wanted,
            Function<String, Followed<T>> made) {
        known.values().removeIf(name -> {
            if (!wanted.containsKey(name.name)) {
                name.end();
                return true;
            }
            return false;
        });
        wanted.forEach((name, users) -> {
            Followed<T> followed = known.get(name);
            if (followed == null) {
                followed = made.apply(name);
                known.put(name, followed);
                followed.users = List.copyOf(users);
                followed.ask();
            }
            followed.users = List.copyOf(users);
        });
    }

    /** What a host stands for; empty as long as it was never answered. */
    public List<InetAddress> addresses(String host) {
        Followed<InetAddress> followed = hosts.get(host);
        return followed == null ? List.of() : followed.values;
    }

    /** Whether a host was asked for, with whatever result. */
    public boolean isSettled(String host) {
        Followed<InetAddress> followed = hosts.get(host);
        return followed != null && followed.settled;
    }

    /** The targets of a service; empty as long as it was never answered. */
    public List<Target> targets(String service) {
        Followed<Target> followed = services.get(service);
        return followed == null ? List.of() : followed.values;
    }

    public List<NameView> views() {
        List<NameView> views = new ArrayList<>();
        services.values().forEach(name -> views.add(name.view()));
        hosts.values().forEach(name -> views.add(name.view()));
        return views;
    }

    @Override
    public void close() {
        closed = true;
        hosts.values().forEach(Followed::end);
        services.values().forEach(Followed::end);
        hosts.clear();
        services.clear();
        due.clear();
        dueFailing.clear();
        lookup.close();
    }

    /** Names that did not resolve the last time may wait for their time-outs: they leave room for the others. */
    private void askDue() {
        while (busyFailing < FAILING_AT_A_TIME && busy < AT_A_TIME && !dueFailing.isEmpty()) {
            dueFailing.remove().askNow();
        }
        while (busy < AT_A_TIME && !due.isEmpty()) {
            due.remove().askNow();
        }
    }

    /** A name, what it stands for, and when it is asked for next. */
    private final class Followed<T> {
        private final String name;
        private final String type;
        private final BiFunction<String, List<T>, CompletableFuture<Answer<T>>> question;
        private final Comparator<T> order;
        private final Function<T, String> text;
        private List<String> users = List.of();
        private List<T> values = List.of();
        private boolean settled;
        private boolean ended;
        private Future<?> timer;
        private long ttl = Answer.NO_TTL;
        private long goodMs = -1;
        private long nextMs;
        private int failures;
        private String problem = "";
        private final long[] counts = new long[Answer.Status.values().length];
        private long changes;

        Followed(String name, String type, BiFunction<String, List<T>, CompletableFuture<Answer<T>>> question, Comparator<T> order,
                Function<T, String> text) {
            this.name = name;
            this.type = type;
            this.question = question;
            this.order = order;
            this.text = text;
        }

        void ask() {
            if (!closed && !ended) {
                nextMs = 0;
                (failures > 0 ? dueFailing : due).add(this);
                askDue();
            }
        }

        void askNow() {
            boolean failing = failures > 0;
            busy++;
            busyFailing += failing ? 1 : 0;
            CompletableFuture<Answer<T>> answer;
            try {
                answer = question.apply(name, values);
            } catch (RuntimeException e) {
                answer = CompletableFuture.completedFuture(Answer.failed(e.toString()));
            }
            answer.exceptionally(e -> Answer.failed(e.toString())).thenAcceptAsync(heard -> {
                busy--;
                busyFailing -= failing ? 1 : 0;
                heard(heard);
            }, loop);
        }

        private void heard(Answer<T> answer) {
            if (!closed && !ended) {
                counts[answer.status().ordinal()]++;
                boolean first = !settled;
                settled = true;
                boolean other = answer.isFound() ? good(answer) : bad(answer);
                if (first || other) {
                    changed.run();
                }
            }
            if (!closed) {
                askDue();
            }
        }

        /** Whether it stands for something else now. */
        private boolean good(Answer<T> answer) {
            if (failures > 0) {
                LOG.info("{} resolves again", uses());
            }
            failures = 0;
            problem = answer.detail();
            ttl = answer.ttl();
            goodMs = clock.getAsLong();
            again(schedule.afterAnswer(ttl));
            List<T> found = answer.values().stream().distinct().sorted(order).toList();
            if (found.equals(values)) {
                return false;
            }
            if (!values.isEmpty()) {
                changes++;
            }
            LOG.debug("{} stands for {} for {} s", name, found, ttl);
            values = found;
            return true;
        }

        private boolean bad(Answer<T> answer) {
            problem = answer.detail();
            failures++;
            if (failures == 1) {
                LOG.warn("{} does not resolve: {}; it stands for what it did", uses(), problem);
            }
            again(schedule.afterFailure(failures));
            return false;
        }

        private String uses() {
            return type.equals("srv") || users.isEmpty() ? name : String.join(", ", users);
        }

        private void again(long ms) {
            nextMs = clock.getAsLong() + ms;
            timer = loop.schedule(this::ask, ms, TimeUnit.MILLISECONDS);
        }

        void end() {
            ended = true;
            if (timer != null) {
                timer.cancel(false);
            }
            due.remove(this);
            dueFailing.remove(this);
        }

        NameView view() {
            long now = clock.getAsLong();
            return new NameView(name, type, users, values.stream().map(text).toList(), ttl, goodMs < 0 ? -1 : now - goodMs,
                    nextMs == 0 ? 0 : Math.max(0, nextMs - now), failures, problem, counts[Answer.Status.FOUND.ordinal()],
                    counts[Answer.Status.NONE.ordinal()], counts[Answer.Status.FAILED.ordinal()], changes);
        }
    }
}
