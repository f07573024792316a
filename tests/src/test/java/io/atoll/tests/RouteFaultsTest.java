package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Backend;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.RouteMesh.Hop;
import io.atoll.tests.harness.RouteMesh.Node;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ScriptedOrigin;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Origins, shields and regions that fail behind a route: what clients get, and how often the origin is asked. */
@ExtendWith(SceneExtension.class)
class RouteFaultsTest {
    private static final String SECRET = "a secret of the mesh of this scene";
    private static final Duration FAR = Duration.ofSeconds(20);
    private static final String RETRY = "error timeout http_502 http_503 http_504";
    private static final String LOCK = "proxy_cache_lock on; proxy_cache_bypass $atoll_no_store;";

    /** Counts requests by method and target, and answers them all alike. */
    private static final class Origin {
        private final Map<String, Integer> counts = new ConcurrentHashMap<>();
        private volatile int status = 200;
        private volatile boolean broken;

        static Origin start(Scene scene, RouteMesh mesh) throws IOException {
            Origin origin = new Origin();
            String[] at = mesh.originServer().split(":");
            scene.keep(ScriptedOrigin.start(at[0], Integer.parseInt(at[1]), (request, out) -> {
                origin.counts.merge(request.method() + " " + request.target(), 1, Integer::sum);
                if (origin.broken) {
                    return false;
                }
                out.write(("HTTP/1.1 " + origin.status + " As Told\r\nContent-Length: 3\r\n\r\nok\n").getBytes(StandardCharsets.US_ASCII));
                return true;
            }));
            return origin;
        }

        int count(String request) {
            return counts.getOrDefault(request, 0);
        }
    }

    @Test
    void shouldAskTheOriginOnceForAnErrorThatItAnswers(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 3, 2).secret(SECRET);
        mesh.nodes().forEach(node -> node.retry(RETRY));
        Origin origin = Origin.start(scene, mesh);
        mesh.nodes().parallelStream().forEach(Node::start);
        for (int status : List.of(503, 502, 504)) {
            origin.status = status;
            for (int i = 0; i < 12; i++) {
                String object = "/e/" + status + "-" + i;
                assertEquals(status, Http.get(mesh.edge(i % 3).socket(), object).status());
                assertEquals(1, origin.count("GET " + object), "requests to the origin for one of a client");
            }
        }
        origin.status = 200;
        for (int i = 0; i < 12; i++) {
            assertEquals(200, Http.get(mesh.edge(i % 3).socket(), "/e/well-" + i).status(), "no node is taken for failed");
            assertEquals(1, origin.count("GET /e/well-" + i));
        }
    }

    /** Connections to it are not kept: nginx itself sends once more what one of those loses. */
    @Test
    void shouldAskABrokenOriginOnceForARequest(Scene scene) throws Exception {
        RouteMesh mesh = RouteMesh.in(scene, 3, 2).secret(SECRET);
        mesh.nodes().forEach(node -> node.retry(RETRY).caching(LOCK + " proxy_cache_valid 502 504 1m;"));
        Node front = mesh.front().retry(RETRY);
        Origin origin = Origin.start(scene, mesh);
        origin.broken = true;
        mesh.nodes().parallelStream().forEach(Node::start);
        front.start();
        List<Node> asked = Stream.concat(mesh.edges().stream(), Stream.of(front)).toList();
        for (int i = 0; i < 40; i++) {
            String object = "/e/broken-" + i;
            Http.Response response = Http.get(asked.get(i % 4).socket(), object);
            assertEquals(502, response.status());
            assertTrue(response.header("Cache-Status").contains("; detail=no-answer"), response::toString);
            assertEquals(1, origin.count("GET " + object), "requests to the origin for one of a client");
        }
        concurrent(24, 30 * 12, i -> assertEquals(502, Http.get(mesh.edge(i % 3).socket(), "/e/crowd-" + i / 12).status()));
        for (int i = 0; i < 30; i++) {
            assertEquals(1, origin.count("GET /e/crowd-" + i), "requests to the origin for 12 of clients at 3 edges");
        }
        mesh.shields().forEach(shield -> shield.nginx().kill());
        for (int i = 0; i < 12; i++) {
            assertEquals(502, Http.get(asked.get(i % 4).socket(), "/e/direct-" + i).status());
            assertEquals(1, origin.count("GET /e/direct-" + i), "requests of the edges to the origin");
        }
        Scene.print("an origin that breaks connections, 3 edges, 2 shields: asked once for each of 82 objects, also by 12 clients at once");
    }

    @Test
    void shouldServeStaleWhileTheOriginIsDown(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 2, 1).secret(SECRET);
        mesh.nodes().forEach(node -> node.retry(RETRY)
                .caching(LOCK + " proxy_cache_valid 200 1s; proxy_cache_use_stale error timeout updating http_502 http_503 http_504;"));
        mesh.start();
        List<String> objects = IntStream.range(0, 20).mapToObj(i -> "/r/" + i).toList();
        for (String object : objects) {
            for (Node edge : mesh.edges()) {
                assertEquals(RouteMesh.body(object), Http.get(edge.socket(), object).body());
            }
        }
        mesh.origin().kill();
        Await.window(Duration.ofMillis(2100));
        int served = 0;
        for (long end = System.nanoTime() + 1_500_000_000; System.nanoTime() < end; ) {
            String object = objects.get(served % objects.size());
            Http.Response response = Http.get(mesh.edge(served++ / objects.size() % 2).socket(), object);
            assertEquals(RouteMesh.body(object), response.body(), () -> "with the origin down: " + response);
        }
        assertEquals(502, Http.get(mesh.edge(0).socket(), "/r/new").status(), "what nobody has");
        Scene.print("origin down: %d requests, all answered by copies of before", served);
        mesh.origin().start();
        int before = mesh.originLog().size();
        Await.until("the origin to be asked again", FAR, () -> {
            objects.forEach(object -> assertEquals(RouteMesh.body(object), get(mesh.edge(0), object)));
            return mesh.originLog().size() > before;
        });
    }

    private static String get(Node node, String uri) {
        try {
            return Http.get(node.socket(), uri).body();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private interface Ask {
        void run(int i) throws IOException;
    }

    /** Asks that often, over so many threads. */
    private static void concurrent(int threads, int count, Ask ask) throws Exception {
        ExecutorService clients = Executors.newFixedThreadPool(threads);
        try {
            List<Callable<Void>> asks = IntStream.range(0, count).mapToObj(i -> (Callable<Void>) () -> {
                ask.run(i);
                return null;
            }).toList();
            for (Future<Void> answer : clients.invokeAll(asks)) {
                answer.get();
            }
        } finally {
            clients.shutdownNow();
        }
    }

    @Test
    void shouldAskTheOriginOncePerObjectWithoutShields(Scene scene) throws Exception {
        RouteMesh mesh = RouteMesh.in(scene, 3, 2).secret(SECRET);
        mesh.nodes().forEach(node -> node.caching(LOCK));
        mesh.start();
        mesh.shields().forEach(shield -> shield.nginx().kill());
        int objects = 30;
        concurrent(24, objects * 12, i -> {
            String object = "/r/direct-" + i / 12;
            assertEquals(RouteMesh.body(object), Http.get(mesh.edge(i % 3).socket(), object).body());
        });
        Map<String, Integer> fetches = new HashMap<>();
        mesh.originLog("/r/direct-", objects).forEach(hop -> fetches.merge(hop.uri(), 1, Integer::sum));
        Scene.print("shields down: %d objects, 12 clients each at 3 edges: %d requests to the origin", objects,
                fetches.values().stream().mapToInt(Integer::intValue).sum());
        assertEquals(objects, fetches.size());
        assertEquals(Set.of(1), Set.copyOf(fetches.values()), fetches.toString());
    }

    @Test
    void shouldSendAPostAtMostOnceOverAllTiers(Scene scene) throws Exception {
        RouteMesh mesh = RouteMesh.in(scene, 2, 2).secret(SECRET);
        String timeout = "proxy_read_timeout 300ms;";
        mesh.nodes().forEach(node -> node.retry(RETRY + " invalid_header").caching(timeout));
        Origin origin = Origin.start(scene, mesh);
        mesh.nodes().parallelStream().forEach(Node::start);
        Node eager = mesh.front().retry(RETRY + " non_idempotent").route("atoll_route origin edges;").caching(timeout).start();
        origin.broken = true;
        for (int i = 0; i < 4; i++) {
            assertEquals(502, post(mesh.edge(i % 2), "/p/broken-" + i), "the connection breaks behind the POST");
            assertEquals(1, origin.count("POST /p/broken-" + i));
        }
        assertEquals(502, post(eager, "/p/eager"));
        assertTrue(origin.count("POST /p/eager") > 1, "a front that may repeat a POST does: " + origin.counts);
        origin.broken = false;
        origin.status = 503;
        assertEquals(503, post(mesh.edge(0), "/p/unavailable"));
        assertEquals(1, origin.count("POST /p/unavailable"));
        origin.status = 200;

        int posts = 400;
        int[] answered = new int[600];
        List<Thread> clients = new ArrayList<>();
        for (int c = 0; c < 4; c++) {
            int first = c;
            clients.add(new Thread(() -> {
                for (int i = first; i < posts; i += 4) {
                    int status = post(mesh.edge(i % 2), "/p/" + i);
                    synchronized (answered) {
                        answered[status]++;
                    }
                    Await.window(Duration.ofMillis(15));
                }
            }));
        }
        clients.forEach(Thread::start);
        int kills = 0;
        while (clients.stream().anyMatch(Thread::isAlive)) {
            Node shield = mesh.shield(kills++ % 2);
            shield.nginx().kill();
            Await.window(Duration.ofMillis(100));
            shield.nginx().start();
        }
        for (Thread client : clients) {
            client.join();
        }
        Map<Integer, Long> times = IntStream.range(0, posts).mapToObj(i -> origin.count("POST /p/" + i))
                .collect(Collectors.groupingBy(count -> count, Collectors.counting()));
        Scene.print("%d POSTs while shields were killed %d times: %d answered 200, %d cut; times seen by the origin: %s", posts, kills,
                answered[200], posts - answered[200], times);
        assertTrue(Set.of(0, 1).containsAll(times.keySet()), "sent twice: " + times);
        assertTrue(times.getOrDefault(1, 0L) >= answered[200], "answered, so sent");
    }

    private static int post(Node node, String uri) {
        try {
            return Http.once(node.socket(), "POST", uri, "Content-Length: 0").status();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void shouldServeByTheNextTierWhenARegionIsLost(Scene scene) {
        RouteMesh mesh = RouteMesh.in(scene, 3, 4).secret(SECRET);
        List<Node> east = mesh.shields().subList(0, 2);
        List<Node> west = mesh.shields().subList(2, 4);
        String failing = "max_fails=1 fail_timeout=1s";
        mesh.nodes().forEach(node -> node.caching(LOCK).edges(RouteMesh.servers(mesh.edges(), failing)).http("""
                map $uri $region { ~[02468]$ east; default west; }
                upstream east { atoll $uri; %s keepalive 16; }
                upstream west { atoll $uri; %s keepalive 16; }
                upstream source { atoll $uri; server %s; keepalive 16; }
                """.formatted(RouteMesh.servers(east, failing), RouteMesh.servers(west, failing), mesh.originServer()))
                .route("atoll_route edges $region source;"));
        mesh.start();
        List<Load> loads = mesh.edges().stream().map(edge -> Load.start(scene, edge.socket(), "", 80)).toList();
        Await.window(Duration.ofMillis(1500));
        assertTrue(askers(mesh.originLog(), 0, "").stream().noneMatch(addresses(mesh.edges())::contains), "shields alone ask the origin");
        int lost = mesh.lose(east);
        long from = System.nanoTime();
        Await.window(Duration.ofMillis(2000));
        int count = 0;
        for (Load load : loads) {
            Load.Report report = load.stop();
            count += report.since(from).count();
            Scene.print("a region lost: %s", report.since(from).line());
            assertEquals(List.of(), report.failed(), report.complaint());
        }
        List<Hop> log = mesh.originLog();
        Map<String, Integer> fetches = new HashMap<>();
        log.forEach(hop -> fetches.merge(hop.uri(), 1, Integer::sum));
        int asked = log.size() - lost;
        Scene.print("a region lost: %d requests of clients, %d of the mesh to the origin, for %d objects", count, asked,
                log.subList(lost, log.size()).stream().map(Hop::uri).distinct().count());
        assertTrue(addresses(mesh.edges()).containsAll(askers(log, lost, "[02468]")), "the lost region's objects: edges ask");
        assertTrue(addresses(west).containsAll(askers(log, lost, "[13579]")), "the other region's: its shields ask");
        long again = fetches.values().stream().filter(times -> times > 1).count();
        assertTrue(again <= asked / 20, again + " of " + fetches.size() + " objects fetched more than once");
    }

    /** The line that hands the step on, by protocol. */
    private static final Map<String, String> STEPS = Map.of("proxy", "proxy_set_header Atoll-Step", "grpc", "grpc_set_header Atoll-Step",
            "fastcgi", "fastcgi_param HTTP_ATOLL_STEP", "uwsgi", "uwsgi_param HTTP_ATOLL_STEP", "scgi", "scgi_param HTTP_ATOLL_STEP");

    @Test
    void shouldGoOnFromNodesThatBreakOffInAnyProtocol(Scene scene) throws IOException {
        String host = scene.address(31);
        Nginx.in(scene, "origin").workers(1).http("server { listen " + host + ":8001; listen " + host + ":8002 http2; location / { return 200 "
                + host + "; } }").start();
        Backend.start(scene, host, 8003, Backend.fastcgi(host));
        Backend.start(scene, host, 8004, Backend.uwsgi(host));
        Backend.start(scene, host, 8005, Backend.scgi(host));
        Map<String, Integer> ports = Map.of("proxy", 8001, "grpc", 8002, "fastcgi", 8003, "uwsgi", 8004, "scgi", 8005);
        StringBuilder nodes = new StringBuilder();
        for (int i = 11; i <= 12; i++) {
            Backend.start(scene, scene.address(i), 8000, (in, out) -> in.read());
            nodes.append("server ").append(scene.address(i)).append(":8000 max_fails=0; ");
        }
        StringBuilder routes = new StringBuilder("upstream nodes { atoll $uri; " + nodes + "}\n");
        StringBuilder locations = new StringBuilder();
        STEPS.forEach((protocol, step) -> {
            routes.append("upstream %1$s_origin { server %2$s:%3$d; } upstream %1$s { atoll_route nodes %1$s_origin; }%n"
                    .formatted(protocol, host, ports.get(protocol)));
            locations.append("location = /%1$s { %1$s_pass %2$s%1$s; %3$s $atoll_step; }%n"
                    .formatted(protocol, protocol.equals("proxy") ? "http://" : "", step));
        });
        Nginx front = Nginx.in(scene, "front");
        front.atoll(routes + "server { listen " + front.socket() + "; add_header X-Upstream $upstream_addr always;\n" + locations + "}").start();
        for (String protocol : STEPS.keySet()) {
            Http.Response response = Http.get(front.address(), "/" + protocol);
            assertEquals("200 " + host, response.status() + " " + response.body(), protocol);
            assertEquals(3, response.header("X-Upstream").split(", ").length, protocol + " asked " + response.header("X-Upstream"));
        }
    }

    private static Set<String> addresses(List<Node> nodes) {
        return nodes.stream().map(Node::address).collect(Collectors.toSet());
    }

    /** Who asked the origin from this line of its log on, for objects that end with this. */
    private static Set<String> askers(List<Hop> log, int from, String end) {
        return log.subList(from, log.size()).stream().filter(hop -> hop.uri().matches(".*" + end)).map(Hop::from)
                .collect(Collectors.toCollection(HashSet::new));
    }
}
