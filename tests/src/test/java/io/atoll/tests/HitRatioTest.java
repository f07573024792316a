package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.RouteMesh.Node;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.SteadyClients;
import io.atoll.tests.harness.StockCache;
import java.io.IOException;
import java.net.SocketAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The share of requests that some cache answers, as clients see it, second by second while nodes come and go: at most 1 % less. */
@ExtendWith(SceneExtension.class)
class HitRatioTest {
    private static final int OBJECTS = 1000;
    private static final int RATE = 300;
    private static final int CLIENTS = 6;
    private static final double DIP = 0.01;
    private static final long SECOND = 1_000_000_000L;
    private static final String SECRET = "a secret of the mesh of this scene";
    private static final String CACHING = "proxy_cache_lock on;";

    /** A request's start, whether the right object came, and whether a cache had it. */
    private record Answer(long startNs, boolean isWell, boolean isHit) {
    }

    /** Clients with a connection for each request, which ask the nodes of the moment for objects at random. */
    private static final class Clients {
        private final List<Answer> answers = new ArrayList<>();
        private final SteadyClients clients;
        private volatile List<SocketAddress> asked;

        Clients(Scene scene, List<SocketAddress> asked) {
            this.asked = asked;
            clients = scene.keep(SteadyClients.start(CLIENTS, RATE, number -> {
                Random random = new Random(number);
                return () -> request(random);
            }));
        }

        private void request(Random random) {
            List<SocketAddress> nodes = asked;
            String object = "/r/" + random.nextInt(OBJECTS);
            long begin = System.nanoTime();
            boolean well = false;
            boolean hit = false;
            try {
                Http.Response response = Http.once(nodes.get(random.nextInt(nodes.size())), "GET", object, "Connection: close");
                well = response.body().equals(RouteMesh.body(object));
                hit = response.header("Cache-Status").contains("; hit");
            } catch (IOException e) {
                well = false;
            }
            synchronized (answers) {
                answers.add(new Answer(begin, well, hit));
            }
        }

        void ask(List<SocketAddress> nodes) {
            asked = nodes;
        }

        /** The worst second that began in between, in steps of a tenth: the share of hits. */
        double worst(long fromNs, long toNs) {
            double worst = 1;
            for (long at = fromNs; at + SECOND <= toNs; at += SECOND / 10) {
                worst = Math.min(worst, share(at, at + SECOND));
            }
            return worst;
        }

        private double share(long fromNs, long toNs) {
            List<Answer> window = between(fromNs, toNs);
            assertTrue(window.size() > RATE / 10, window.size() + " requests in a second");
            return (double) window.stream().filter(Answer::isHit).count() / window.size();
        }

        private List<Answer> between(long fromNs, long toNs) {
            synchronized (answers) {
                return answers.stream().filter(answer -> answer.startNs >= fromNs && answer.startNs < toNs).toList();
            }
        }

        void end() {
            clients.close();
        }

        int count() {
            return between(Long.MIN_VALUE, Long.MAX_VALUE).size();
        }

        long failed() {
            return between(Long.MIN_VALUE, Long.MAX_VALUE).stream().filter(answer -> !answer.isWell).count();
        }
    }

    /** What happens to the nodes, and how the hit ratio of each setup did in the seconds after. */
    private static void during(String event, Runnable change, Clients atoll, Clients stock) {
        long from = System.nanoTime();
        change.run();
        Await.window(Duration.ofMillis(2200));
        long to = System.nanoTime() - 100_000_000;
        double worst = atoll.worst(from, to);
        Scene.print("%s: hit ratio in the worst second %.4f%s", event, worst,
                stock == null ? "" : String.format(", stock %.4f", stock.worst(from, to)));
        assertTrue(worst >= 1 - DIP, event + ": hit ratio " + worst);
    }

    private static Node member(RouteMesh mesh, int number, int... members) {
        String servers = IntStream.of(members).mapToObj(member -> "server " + mesh.edge(Math.abs(member) - 1).server()
                + (member < 0 ? " down; " : "; ")).collect(Collectors.joining());
        return mesh.edge(number - 1).route("atoll_route edges origin;").caching(CACHING).edges(servers);
    }

    private static void reload(RouteMesh mesh, List<Integer> nodes, int... members) {
        nodes.parallelStream().forEach(number -> member(mesh, number, members).reload());
    }

    private static List<SocketAddress> sockets(RouteMesh mesh, int... numbers) {
        return IntStream.of(numbers).mapToObj(number -> mesh.edge(number - 1).socket()).toList();
    }

    private static void warm(List<SocketAddress> nodes) throws IOException {
        List<String> objects = IntStream.range(0, OBJECTS).mapToObj(i -> "/r/" + i).toList();
        for (SocketAddress node : nodes) {
            try (Http http = Http.open(node, Duration.ofSeconds(30))) {
                http.pipeline(objects).forEach(response -> assertEquals(200, response.status()));
            }
        }
    }

    private static void assertNoneFailed(Clients clients) {
        clients.end();
        Scene.print("%d of %d requests failed", clients.failed(), clients.count());
        assertEquals(0, clients.failed());
    }

    /**
     * Edges with the origin right behind them: what a change loses would show. One leaves before the node that joined has all its keys;
     * from then on each object is asked for once between two changes.
     */
    @Test
    void shouldNotDipWhenNodesJoinLeaveAreReplacedAndDrained(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 5, 1).secret(SECRET).startOrigin();
        IntStream.of(1, 2, 3).parallel().forEach(number -> member(mesh, number, 1, 2, 3).start());
        Stock stock = Stock.start(scene, mesh);
        warm(sockets(mesh, 1, 2, 3));
        warm(List.of(stock.front.address()));
        Clients atoll = new Clients(scene, sockets(mesh, 1, 2, 3));
        Clients beside = new Clients(scene, List.of(stock.front.address()));
        during("nothing", () -> { }, atoll, beside);
        during("a 4th edge joins 3", () -> {
            member(mesh, 4, 1, 2, 3, 4).start();
            reload(mesh, List.of(1, 2, 3), 1, 2, 3, 4);
            atoll.ask(sockets(mesh, 1, 2, 3, 4));
            stock.members(1, 2, 3, 4);
        }, atoll, beside);
        during("one of 4 leaves", () -> {
            reload(mesh, List.of(2, 3, 4), 2, 3, 4);
            atoll.ask(sockets(mesh, 2, 3, 4));
            stock.members(2, 3, 4);
        }, atoll, beside);
        warm(sockets(mesh, 2));
        during("one is replaced", () -> {
            member(mesh, 5, 2, -3, 4, 5).start();
            reload(mesh, List.of(2, 3, 4), 2, -3, 4, 5);
            atoll.ask(sockets(mesh, 2, 4, 5));
            stock.members(2, 4, 5);
        }, atoll, beside);
        assertNoneFailed(beside);
        warm(sockets(mesh, 2));
        Agent agent = Agent.start(scene, mesh.edges().stream().map(Node::nginx).filter(Nginx::isRunning).toList());
        during("one is drained", () -> {
            agent.drain("edges", mesh.edge(3).server());
            atoll.ask(sockets(mesh, 2, 5));
        }, atoll, null);
        during("it is taken back", () -> {
            agent.undrain("edges", mesh.edge(3).server());
            atoll.ask(sockets(mesh, 2, 4, 5));
        }, atoll, null);
        assertNoneFailed(atoll);
    }

    /** The tier behind has what dies with a node; the one before, what dies with a shield. */
    @Test
    void shouldNotDipWhenNodesAreKilledAndReturn(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 3, 2).secret(SECRET);
        String failing = "max_fails=1 fail_timeout=1s";
        mesh.nodes().forEach(node -> node.caching(CACHING).edges(RouteMesh.servers(mesh.edges(), failing))
                .shields(RouteMesh.servers(mesh.shields(), failing)));
        mesh.start();
        warm(sockets(mesh, 1, 2, 3));
        Clients atoll = new Clients(scene, sockets(mesh, 2, 3));
        during("nothing", () -> { }, atoll, null);
        for (Node node : List.of(mesh.edge(0), mesh.shield(0))) {
            during(node.name() + " is killed", node.nginx()::kill, atoll, null);
            during(node.name() + " is back", node::start, atoll, null);
        }
        assertNoneFailed(atoll);
    }

    /** Caches with the origin right behind them, and an nginx before them that hashes over those of the moment. */
    private record Stock(RouteMesh mesh, Nginx front, List<String> caches) {
        static Stock start(Scene scene, RouteMesh mesh) {
            Stock stock = new Stock(mesh, Nginx.in(scene, "stock"), new ArrayList<>());
            for (int i = 1; i <= 5; i++) {
                stock.caches.add(scene.address(110 + i) + ":7001");
                StockCache.start(scene, "stock" + i, stock.caches.get(i - 1), "server " + mesh.originServer() + ";",
                        "map $upstream_cache_status $seen { HIT hit; default fwd=miss; }",
                        "proxy_cache_lock on; add_header Cache-Status \"stock; $seen\";");
            }
            stock.configure(1, 2, 3);
            stock.front.start();
            return stock;
        }

        void members(int... members) {
            configure(members);
            front.reload();
        }

        private void configure(int... members) {
            String servers = IntStream.of(members).mapToObj(member -> "server " + caches.get(member - 1) + ";")
                    .collect(Collectors.joining(" "));
            front.http("""
                    upstream caches { hash $uri consistent; %s keepalive 16; }
                    server {
                        listen %s backlog=1024;
                        location / { proxy_pass http://caches; proxy_http_version 1.1; proxy_set_header Connection ""; }
                    }
                    """.formatted(servers, front.socket()));
        }
    }
}
