package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.RouteMesh.Hop;
import io.atoll.tests.harness.RouteMesh.Node;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What clients and configurations may do with a route: methods, ranges, large bodies, HTTP/2, aborts, locks, pools, mistakes. */
@ExtendWith(SceneExtension.class)
class RouteClientTest {
    private static final String SECRET = "0123456789abcdef0123456789abcdef";
    private static final int BIG = 5 * 1024 * 1024 + 12345;
    private static final String ONE_FETCH = "proxy_cache_lock on;";
    private static final Duration FAR = Duration.ofSeconds(10);

    @Test
    void shouldServeMethodsRangesAndLargeBodies(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 2, 2).secret(SECRET);
        mesh.edges().forEach(edge -> edge.inServer("listen " + edge.address() + ":7002 http2;"));
        mesh.nodes().forEach(node -> node.caching(ONE_FETCH));
        mesh.start();
        Path big = bytes(mesh.originFile("big"), BIG);

        for (Node edge : mesh.edges()) {
            String head = Proc.must("curl", "-s", "-I", "http://" + edge.server() + "/big");
            assertTrue(head.startsWith("HTTP/1.1 200") && head.contains("Content-Length: " + BIG + "\r\n"), head);
            assertSame(big, scene, "http://" + edge.server() + "/big");
            assertSame(big, scene, "http://" + edge.address() + ":7002/big", "--http2-prior-knowledge");
            Path part = scene.file("part");
            String status = Proc.must("curl", "-s", "-o", part.toString(), "-w", "%{http_code}", "-r", "1000000-3000000",
                    "http://" + edge.server() + "/big");
            assertEquals("206", status);
            assertArrayEquals(Arrays.copyOfRange(Files.readAllBytes(big), 1000000, 3000001), Files.readAllBytes(part));
        }
        assertEquals(1, mesh.originLog("/big", 1).size(), "fetches of one large object, by HEAD, GET and Range at both edges");

        for (Node edge : mesh.edges()) {
            String object = "/r/h2-" + edge.name();
            assertEquals(RouteMesh.body(object), Proc.must("curl", "-s", "--http2-prior-knowledge", "http://" + edge.address()
                    + ":7002" + object));
        }
    }

    /** A range of a large object is not worth the whole of it between two nodes, nor is a HEAD, nor what the client has. */
    @Test
    void shouldPassOnToTheOwnerWhatTheClientAsked(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 2, 1).secret(SECRET);
        mesh.edges().forEach(edge -> edge.caching("add_header X-Asked-"
                + edge.name() + " '$request_method|$http_range|$http_if_none_match' always;"));
        mesh.start();
        String object = "/o/1";
        Node front = mesh.edges().stream().filter(edge -> role(edge, object).equals("front")).findFirst().orElseThrow();
        Node owner = mesh.edges().stream().filter(edge -> edge != front).findFirst().orElseThrow();
        String asked = "X-Asked-" + owner.name();
        String tag = Http.get(owner.socket(), object).header("ETag");

        Http.Response range = Http.get(front.socket(), object, "Range: bytes=1-3");
        assertEquals(206, range.status());
        assertEquals(Peers.body(object).substring(1, 4), range.body());
        assertEquals("GET|bytes=1-3|", range.header(asked));
        Http.Response ranges = Http.get(front.socket(), object, "Range: bytes=1-1,3-3");
        assertTrue(ranges.status() == 206 && ranges.header("Content-Type").startsWith("multipart/byteranges"), ranges.toString());
        Http.Response same = Http.get(front.socket(), object, "If-None-Match: " + tag);
        assertEquals(304, same.status());
        assertEquals("GET||" + tag, same.header(asked));
        Http.Response head = Http.once(front.socket(), "HEAD", object);
        assertEquals("HEAD||", head.header(asked));
        assertEquals(1, mesh.originLog(object, 1).size(), "fetches");
        assertEquals(Map.of(object, 1), owner.copies());
        assertEquals(Map.of(), front.copies());

        owner.nginx().kill();
        assertEquals(Peers.body(object), Http.get(front.socket(), object).body());
        assertEquals(Map.of(object, 1), front.copies(), "kept by who acts as the owner after all");
    }

    private static String role(Node edge, String object) {
        try {
            return Http.get(edge.socket(), object).header("X-Role");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void shouldSendWhatNoCacheKeepsUpAndOnce(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 3, 2).secret(SECRET);
        mesh.edge(2).caching("proxy_request_buffering off;");
        mesh.start();
        for (int i = 0; i < 30; i++) {
            Node edge = mesh.edge(i % 3);
            assertEquals(RouteMesh.body("/r/post-" + i), Proc.must("curl", "-s", "-d", "posted", "http://" + edge.server()
                    + "/r/post-" + i));
        }
        Path upload = bytes(scene.file("upload"), BIG);
        put(mesh, upload, "before");
        mesh.shield(0).nginx().kill();
        put(mesh, upload, "half");
        mesh.shield(1).nginx().kill();
        put(mesh, upload, "none");
        mesh.originLog("/", 39);
        mesh.ways().forEach((uri, way) -> {
            assertEquals(1, way.stream().filter(hop -> hop.node().startsWith("edge")).count(), () -> "sideways: " + way);
            assertEquals(1, way.stream().filter(hop -> hop.node().equals("origin")).count(), () -> "not once: " + way);
            assertEquals(way.stream().anyMatch(hop -> hop.uri().contains("none")) ? 0 : 1,
                    way.stream().filter(hop -> hop.node().startsWith("shield")).count(), () -> "shields: " + way);
        });
    }

    /** Uploads a file through each edge. */
    private static void put(RouteMesh mesh, Path upload, String name) throws IOException {
        for (Node edge : mesh.edges()) {
            String uri = "/put/" + name + "-" + edge.name();
            assertEquals("201", Proc.must("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:", "-T",
                    upload.toString(), "http://" + edge.server() + uri));
            assertEquals(-1, Files.mismatch(upload, mesh.originFile(uri.substring(1))), uri);
        }
    }

    @Test
    void shouldOutliveClientsThatGoAway(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 2, 1).secret(SECRET);
        mesh.nodes().forEach(node -> node.inServer("location = /status { access_log off; atoll_status; }"));
        mesh.start();
        for (int i = 0; i < 20; i++) {
            bytes(mesh.originFile("slow/" + i), 60_000);
            for (Node edge : mesh.edges()) {
                try (SocketChannel client = SocketChannel.open(edge.socket())) {
                    client.write(ByteBuffer.wrap(("GET /slow/" + i + " HTTP/1.1\r\nHost: atoll\r\n\r\n").getBytes(StandardCharsets.US_ASCII)));
                    if (i % 2 == 0) {
                        client.read(ByteBuffer.allocate(100));
                    }
                }
            }
        }
        for (int i = 0; i < 20; i++) {
            for (Node edge : mesh.edges()) {
                assertSame(mesh.originFile("slow/" + i), scene, "http://" + edge.server() + "/slow/" + i);
            }
        }
        for (Node node : mesh.nodes()) {
            Await.until("no request in flight at " + node.name(), FAR, () -> inFlight(node) == 0);
        }
    }

    private static long inFlight(Node node) {
        try {
            return Pattern.compile("\"inflight\":(\\d+)").matcher(Http.get(node.socket(), "/status").body()).results()
                    .mapToLong(match -> Long.parseLong(match.group(1))).sum();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void shouldFetchOnceForManyClientsOfANewObject(Scene scene) throws Exception {
        RouteMesh mesh = RouteMesh.in(scene, 3, 2).secret(SECRET);
        mesh.nodes().forEach(node -> node.caching(ONE_FETCH));
        mesh.start();
        Path object = bytes(mesh.originFile("slow/new"), 100_000);
        ExecutorService clients = Executors.newFixedThreadPool(50);
        try {
            List<Callable<Http.Response>> asks = new ArrayList<>();
            for (int i = 0; i < 50; i++) {
                Node edge = mesh.edge(i % 3);
                asks.add(() -> Http.get(edge.socket(), "/slow/new"));
            }
            long start = System.nanoTime();
            String expected = new String(Files.readAllBytes(object), StandardCharsets.ISO_8859_1);
            for (Future<Http.Response> answer : clients.invokeAll(asks)) {
                assertEquals(expected, answer.get().body());
            }
            Scene.print("50 clients at 3 edges for one new object of half a second: %.0f ms, %d fetches",
                    (System.nanoTime() - start) / 1e6, mesh.originLog("/slow/new", 1).size());
        } finally {
            clients.shutdownNow();
        }
        assertEquals(1, mesh.originLog("/slow/new", 1).size());
    }

    @Test
    void shouldServeSlicesFromTheirOwnOwners(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 3, 2).secret(SECRET);
        mesh.nodes().forEach(node -> node.key("$uri$slice_range")
                .caching("slice 256k; proxy_set_header Range $slice_range;"));
        mesh.start();
        Path big = bytes(mesh.originFile("big"), BIG);
        for (Node edge : mesh.edges()) {
            assertSame(big, scene, "http://" + edge.server() + "/big");
        }
        int slices = (BIG + 256 * 1024 - 1) / (256 * 1024);
        assertEquals(slices, mesh.originLog("/big", slices).size(), "fetches of slices");
        assertSpread(mesh.edges(), slices);
        assertSpread(mesh.shields(), slices);
    }

    private static void assertSpread(List<Node> tier, int slices) {
        Map<String, Integer> copies = new HashMap<>();
        tier.forEach(node -> node.copies().forEach((key, count) -> copies.merge(key, count, Integer::sum)));
        assertEquals(slices, copies.size(), "slices kept");
        assertEquals(Set.of(1), Set.copyOf(copies.values()), "copies of a slice: " + copies);
        assertTrue(tier.stream().filter(node -> !node.copies().isEmpty()).count() > 1, "slices lie on several nodes");
    }

    @Test
    void shouldServeStaleCopiesAndUpdateThemBehindTheClient(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 2, 1).secret(SECRET);
        mesh.nodes().forEach(node -> node.caching("proxy_cache_valid 200 1s; proxy_cache_use_stale updating error timeout http_502;"
                + " proxy_cache_background_update on; proxy_next_upstream error timeout;"));
        mesh.start();
        String object = "/r/stale";
        for (Node edge : mesh.edges()) {
            assertEquals(RouteMesh.body(object), Http.get(edge.socket(), object).body());
        }
        Node owner = mesh.edges().stream().filter(edge -> !edge.copies().isEmpty()).findFirst().orElseThrow();
        Await.window(Duration.ofMillis(2100));
        Http.Response stale = Http.get(owner.socket(), object);
        assertEquals(RouteMesh.body(object), stale.body());
        assertEquals("\"" + owner.server() + "\"; hit", stale.header("Cache-Status"));
        assertEquals("", stale.header("X-Upstream"), "answered without asking anybody");
        mesh.originLog(object, 2);
        Await.window(Duration.ofMillis(1100));
        mesh.shield(0).nginx().kill();
        mesh.origin().kill();
        for (Node edge : mesh.edges()) {
            assertEquals(RouteMesh.body(object), Http.get(edge.socket(), object).body(), "with nobody left above " + edge.name());
        }
    }

    @Test
    void shouldSayWhenTheStepIsNotHandedOn(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 2, 1).secret(SECRET);
        mesh.edge(0).step("");
        mesh.start();
        assertEquals(RouteMesh.body("/r/without"), Http.get(mesh.edge(0).socket(), "/r/without").body());
        Hop fetch = mesh.originLog("/r/without", 1).get(0);
        assertEquals(mesh.edge(0).address(), fetch.from());
        assertTrue(mesh.edge(0).nginx().errorLog().contains("add \"proxy_set_header Atoll-Step $atoll_step;\" to the location"));
    }

    @Test
    void shouldGoFromAFailedPoolToTheNext(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 2, 1).secret(SECRET);
        String bucket = scene.address(32) + ":7001";
        Nginx store = Nginx.in(scene, "bucket").http("""
                log_format step '$uri $http_atoll_step'; access_log logs/access.log step;
                server { listen %s; location / { return 200 "bucket $uri\\n"; } }
                """.formatted(bucket)).start();
        Node blind = mesh.front().step("");
        for (Node node : Stream.concat(mesh.nodes().stream(), Stream.of(blind)).toList()) {
            node.http("map $uri $pool { ~^/r/b bucket; ~^/r/x nowhere; default vm; }\n"
                    + "upstream vm { server " + mesh.originServer() + " max_fails=1 fail_timeout=1s; }\n"
                    + "upstream bucket { server " + bucket + "; }").route("atoll_route edges shields $pool vm bucket;");
        }
        mesh.start();
        blind.start();
        Node edge = mesh.edge(0);
        assertEquals(RouteMesh.body("/r/1"), Http.get(edge.socket(), "/r/1").body());
        assertEquals("bucket /r/b\n", Http.get(edge.socket(), "/r/b").body());
        assertEquals(RouteMesh.body("/r/x"), Http.get(edge.socket(), "/r/x").body(), "a pool that is not there");
        assertTrue(mesh.nodes().stream().anyMatch(node -> node.nginx().errorLog().contains("\"$pool\" gives \"nowhere\"")));
        assertEquals(RouteMesh.body("/r/2"), Http.get(blind.socket(), "/r/2").body(), "the pool, without a step");

        mesh.origin().kill();
        for (int i = 10; i < 30; i++) {
            assertEquals("bucket /r/" + i + "\n", Http.get(mesh.edge(i % 2).socket(), "/r/" + i).body());
        }
        mesh.origin().start();
        int[] next = {100};
        Await.until("the pool to be asked again", FAR, () -> get(edge, "/r/" + next[0]++).startsWith("object "));
        mesh.originLog().forEach(hop -> assertTrue(hop.step().isBlank() || hop.step().equals("-"), hop.toString()));
        List<String> told = Files.readAllLines(store.prefix().resolve("logs/access.log"));
        assertTrue(told.size() > 20 && told.stream().allMatch(line -> line.matches("\\S+ [- ]*")), told.toString());
    }

    private static String get(Node node, String uri) {
        try {
            return Http.get(node.socket(), uri).body();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void shouldTakeTheRouteOfWhereARequestWasRedirectedTo(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 1, 1).secret(SECRET).startOrigin();
        String second = scene.address(50) + ":" + RouteMesh.PORT;
        Node edge = mesh.edge(0).route("atoll_route edges origin;")
                .http("upstream second { server " + second + "; } upstream other { atoll_route edges second; }"
                        + "server { listen " + second + "; location / { return 200 second; } }")
                .inServer("""
                        location /gone/ {
                            proxy_pass http://cdn;
                            proxy_set_header Atoll-Step $atoll_step;
                            proxy_intercept_errors on;
                            error_page 404 = @second;
                        }
                        location @second {
                            set $role $atoll_role;
                            proxy_pass http://other;
                            proxy_set_header Atoll-Step $atoll_step;
                        }
                        """).start();
        Http.Response response = Http.get(edge.socket(), "/gone/1");
        assertEquals("200 second", response.status() + " " + response.body());
    }

    /** Also where another would be asked after other errors. */
    @Test
    void shouldStoreAnErrorOfANodesOwnAsItSays(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 1, 1).secret(SECRET);
        mesh.shield(0).caching("deny all; add_header Set-Cookie a=1 always;").nginx().expectLog("access forbidden by rule");
        mesh.edge(0).caching("proxy_cache_valid any 1m;");
        mesh.start();
        for (int i = 0; i < 2; i++) {
            Http.Response response = Http.get(mesh.edge(0).socket(), "/r/1");
            assertEquals(403, response.status());
            assertEquals("a=1", response.header("Set-Cookie"));
        }
        assertEquals(Map.of(), mesh.edge(0).copies());
    }

    @Test
    void shouldTakeAHostWithAPortForNoRoute(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 1, 1).secret(SECRET);
        mesh.edge(0).inServer("set $name cdn; location /port/ { proxy_pass http://$name:81; add_header X-Role is-$atoll_role always; }")
                .nginx().expectLog("no resolver defined to resolve cdn");
        mesh.start();
        Http.Response response = Http.get(mesh.edge(0).socket(), "/port/1");
        assertEquals(502, response.status());
        assertEquals("is-", response.header("X-Role"));
    }

    @Test
    void shouldOutliveATierWhoseVariableNamesAnotherUpstreamLaterOn(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 1, 1).secret(SECRET).startOrigin();
        Node edge = mesh.edge(0).http("""
                map $upstream_cache_status $pool { volatile; '' edges; default plain; }
                upstream plain { server %1$s; }
                upstream last { atoll $uri; server %1$s; }
                """.formatted(mesh.originServer())).route("atoll_route $pool last;")
                .edges("server " + mesh.edge(0).server() + "; server " + scene.address(50) + ":1;").start();
        for (int i = 0; i < 8; i++) {
            assertEquals(RouteMesh.body("/r/" + i), Http.get(edge.socket(), "/r/" + i).body(), "an object of either owner");
        }
    }

    @Test
    void shouldRefuseConfigurationsThatMakeNoRoute(Scene scene) throws IOException {
        Path weak = scene.file("weak");
        Files.writeString(weak, "0123456789abcde\n");
        Map<String, String> routes = Map.of(
                "atoll_route edges nowhere origin;", "there is no upstream \"nowhere\"",
                "server 127.0.0.1:1; atoll_route edges origin;", "must stand alone in upstream \"cdn\"",
                "atoll_route edges origin; server 127.0.0.1:1;", "cdn",
                "atoll $uri; atoll_route edges origin;", "cdn",
                "atoll_route edges origin; atoll $uri;", "cdn",
                "atoll_route edges shields cdn;", "is a route itself",
                "atoll_route " + "edges ".repeat(9) + ";", "names 9 tiers: expected up to 8",
                "atoll_route edges origin; atoll_route edges origin;", "is duplicate",
                "atoll_route;", "invalid number of arguments");
        int[] number = {0};
        routes.forEach((route, complaint) -> {
            String said = RouteMesh.in(scene, 1, 1).front("bad" + number[0]++).route(route).refused();
            assertTrue(said.contains("[emerg]") && said.contains(complaint), route + " gave " + said);
        });
        Map<String, String> secrets = Map.of(
                "atoll_secret " + weak + ";", "holds 15 bytes: expected 16 to 4095",
                "atoll_secret " + scene.file("gone") + ";", "gone\" (2: No such file or directory)");
        secrets.forEach((secret, complaint) -> {
            String said = RouteMesh.in(scene, 1, 1).front("bad" + number[0]++).http(secret).refused();
            assertTrue(said.contains("[emerg]") && said.contains(complaint), secret + " gave " + said);
        });
    }

    /** A file of random bytes, readable for everybody. */
    private static Path bytes(Path file, int size) throws IOException {
        byte[] content = new byte[size];
        new Random(size).nextBytes(content);
        return Files.write(file, content);
    }

    /** What curl gets is the file, byte for byte. */
    private static void assertSame(Path file, Scene scene, String url, String... options) throws IOException {
        Path got = scene.file("got");
        List<String> command = new ArrayList<>(List.of("curl", "-s", "-f", "--max-time", "20", "-o", got.toString(), url));
        command.addAll(Arrays.asList(options));
        Proc.must(command.toArray(String[]::new));
        assertEquals(-1, Files.mismatch(file, got), url);
    }
}
