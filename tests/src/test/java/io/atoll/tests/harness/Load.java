package io.atoll.tests.harness;

import java.io.IOException;
import java.net.SocketAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * Steady load: a fixed rate over a few keep-alive connections, each answer checked against the object it must be. The front
 * has to answer with header X-Upstream = $upstream_addr.
 */
public final class Load implements AutoCloseable {
    /** Enough of them that those who wait for a dead peer do not thin the load out. */
    public static final int CLIENTS = 40;

    private static final Duration TIMEOUT = Duration.ofSeconds(20);

    /** One request. startNs is System.nanoTime; upstreams are the peers that were tried, in order. */
    public record Shot(long startNs, long latencyNs, String object, List<String> upstreams, String problem) {
        /** True when the right object came back. */
        public boolean isWell() {
            return problem.isEmpty();
        }

        /** The peer that the request was sent to first; empty when no answer told. */
        public String first() {
            return upstreams.isEmpty() ? "" : upstreams.get(0);
        }

        /** The peer that answered. */
        public String last() {
            return upstreams.isEmpty() ? "" : upstreams.get(upstreams.size() - 1);
        }
    }

    private final SocketAddress address;
    private final String location;
    private final boolean keepAlive;
    private final SteadyClients clients;
    private final List<List<Shot>> shots = new ArrayList<>();
    private final Function<Random, String> objects;
    private final UnaryOperator<String> bodies;

    private Load(SocketAddress address, String location, int rate, int clients, boolean keepAlive, long seed,
            Function<Random, String> objects, UnaryOperator<String> bodies) {
        this.address = address;
        this.location = location;
        this.keepAlive = keepAlive;
        this.objects = objects;
        this.bodies = bodies;
        this.clients = SteadyClients.start(clients, rate, number -> {
            List<Shot> mine = new ArrayList<>();
            shots.add(mine);
            return new Client(new Random(seed * 1000 + number), mine);
        });
    }

    /** Starts: rate requests per second in all over 40 keep-alive clients, to LOCATION/o/N for random N. */
    public static Load start(Scene scene, SocketAddress address, String location, int rate) {
        return scene.keep(new Load(address, location, rate, CLIENTS, true, 1, Load::anyObject, Peers::body));
    }

    /** As {@link #start}, with a connection for each request. */
    public static Load startClosing(Scene scene, SocketAddress address, String location, int rate) {
        return scene.keep(new Load(address, location, rate, CLIENTS, false, 1, Load::anyObject, Peers::body));
    }

    /** As {@link #start}, for objects that are drawn by a function, each with the body that another gives. */
    public static Load start(Scene scene, SocketAddress address, String location, int rate,
            Function<Random, String> objects, UnaryOperator<String> bodies) {
        return scene.keep(new Load(address, location, rate, CLIENTS, true, 1, objects, bodies));
    }

    private static String anyObject(Random random) {
        return "/o/" + random.nextInt(Peers.OBJECTS);
    }

    /** Runs it for a while, to the end. */
    public static Report run(Scene scene, SocketAddress address, String location, int rate, Duration length) {
        Load load = start(scene, address, location, rate);
        Await.window(length);
        return load.stop();
    }

    /** Ends it and returns what happened. */
    public Report stop() {
        close();
        return report();
    }

    /** What happened so far. */
    public Report report() {
        List<Shot> all = new ArrayList<>();
        for (List<Shot> mine : shots) {
            synchronized (mine) {
                all.addAll(mine);
            }
        }
        all.sort((a, b) -> Long.compare(a.startNs, b.startNs));
        return new Report(all);
    }

    /** Ends it without waiting for answers that may never come. */
    public void abandon() {
        clients.abandon();
    }

    @Override
    public void close() {
        clients.close();
    }

    private final class Client implements SteadyClients.Client {
        private final Random random;
        private final List<Shot> mine;
        private Http http;

        private Client(Random random, List<Shot> mine) {
            this.random = random;
            this.mine = mine;
        }

        @Override
        public void request() {
            String object = objects.apply(random);
            long begin = System.nanoTime();
            List<String> upstreams = List.of();
            String problem;
            try {
                if (http == null) {
                    http = Http.open(address, TIMEOUT);
                }
                Http.Response response = http.send("GET", location + object,
                        keepAlive ? "Connection: keep-alive" : "Connection: close");
                problem = problem(object, response);
                upstreams = upstreams(response);
                if (http.isClosing()) {
                    http.close();
                    http = null;
                }
            } catch (IOException e) {
                problem = e.toString();
                http = closed(http);
            }
            Shot shot = new Shot(begin, System.nanoTime() - begin, object, upstreams, problem);
            synchronized (mine) {
                mine.add(shot);
            }
        }

        @Override
        public void close() {
            closed(http);
        }
    }

    private static Http closed(Http http) {
        if (http != null) {
            try {
                http.close();
            } catch (IOException e) {
                return null;
            }
        }
        return null;
    }

    /** The peers that X-Upstream names, in the order they were tried. */
    public static List<String> upstreams(Http.Response response) {
        String header = response.header("X-Upstream");
        return header.isEmpty() ? List.of() : Arrays.asList(header.split("(, | : )"));
    }

    private String problem(String object, Http.Response response) {
        if (response.status() != 200) {
            return "status " + response.status();
        }
        return response.body().equals(bodies.apply(object)) ? "" : "wrong body: " + response.body();
    }

    /** The requests of a load, in order of their start. */
    public record Report(List<Shot> shots) {
        /** Those that began in a window of System.nanoTime. */
        public Report between(long fromNs, long toNs) {
            return where(shot -> shot.startNs >= fromNs && shot.startNs < toNs);
        }

        /** Those that began at a moment or later. */
        public Report since(long fromNs) {
            return between(fromNs, Long.MAX_VALUE);
        }

        /** Those that a test holds for. */
        public Report where(Predicate<Shot> test) {
            return new Report(shots.stream().filter(test).toList());
        }

        /** Those sent to a peer first. */
        public Report firstTo(String peer) {
            return where(shot -> shot.first().equals(peer));
        }

        /** Those in which a peer was asked at all. */
        public Report touching(String peer) {
            return where(shot -> shot.upstreams.contains(peer));
        }

        /** How many. */
        public int count() {
            return shots.size();
        }

        /** Those that did not bring the right object. */
        public List<Shot> failed() {
            return shots.stream().filter(shot -> !shot.isWell()).toList();
        }

        /** How many took longer. */
        public int slowerThan(int ms) {
            return where(shot -> shot.latencyNs > ms * 1_000_000L).count();
        }

        /** Latency in milliseconds that this share (0 to 1) of the requests kept within. */
        public double percentile(double share) {
            long[] sorted = shots.stream().mapToLong(Shot::latencyNs).sorted().toArray();
            return sorted.length == 0 ? 0 : sorted[(int) Math.min(sorted.length - 1, share * sorted.length)] / 1e6;
        }

        /** Milliseconds from a moment to the start of the last request first sent to a peer; 0 for none. */
        public double noticeMs(long fromNs, String peer) {
            return since(fromNs).firstTo(peer).shots.stream().mapToLong(Shot::startNs).max().orElse(fromNs) / 1e6
                    - fromNs / 1e6;
        }

        /** Share of the requests that went to a peer first, 0 to 1. */
        public double share(String peer) {
            return shots.isEmpty() ? 0 : (double) firstTo(peer).count() / shots.size();
        }

        /** One line of figures. */
        public String line() {
            return String.format("failed %d of %d, retried %d, slower than 200 ms %d, p50 %.1f ms, p99 %.1f ms, worst %.0f ms",
                    failed().size(), count(), where(shot -> shot.upstreams.size() > 1).count(), slowerThan(200),
                    percentile(0.5), percentile(0.99), percentile(1));
        }

        /** For the message of an assertion: the first few failures. */
        public Supplier<String> complaint() {
            return () -> failed().stream().limit(5).map(Shot::toString).toList().toString();
        }
    }
}
