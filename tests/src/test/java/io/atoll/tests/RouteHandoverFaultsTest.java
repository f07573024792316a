package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.ring.Crc32;
import io.atoll.core.ring.Ring;
import io.atoll.core.zone.ZoneLayout.Reason;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.RouteMesh.Node;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ScriptedOrigin;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * Two edges whose third has just left, the previous owner of a third of the keys, and fails: nobody waits for it longer than
 * `timeout=` of atoll_handover, each node asks it once, whichever of its workers, and all objects come from the origin.
 */
@ExtendWith(SceneExtension.class)
class RouteHandoverFaultsTest {
    private static final int OBJECTS = 40;
    private static final int WORKERS = 4;
    /** Questions that must wait before further ones do not. */
    private static final int WAITING = 4;
    private static final Duration TIMEOUT = Duration.ofMillis(300);
    /** For a question in vain and an answer of the origin, on a busy machine; nginx waits 60 s without limits of its own. */
    private static final Duration LONGEST = Duration.ofSeconds(4);

    private final CountDownLatch over = new CountDownLatch(1);
    private final AtomicInteger asked = new AtomicInteger();
    private RouteMesh mesh;
    private volatile Fault fault;
    private Duration timeout = TIMEOUT;

    /** What the one that left does with a question; returns whether the connection is kept. */
    @FunctionalInterface
    private interface Fault {
        boolean answer(OutputStream out) throws IOException;
    }

    private void startEdges(Scene scene) {
        mesh = RouteMesh.in(scene, 3, 1).secret("a secret of the mesh of this scene").startOrigin();
        edges().parallelStream().forEach(edge -> member(edge, mesh.edges()).start());
        reload();
    }

    private List<Node> edges() {
        return mesh.edges().subList(1, 3);
    }

    private Node member(Node node, List<Node> members) {
        node.listen("reuseport").nginx().workers(WORKERS).expectLog("upstream");
        return node.route("atoll_route edges origin;").caching("proxy_cache_lock on;")
                .edges(RouteMesh.servers(members) + "atoll_handover 10m timeout=" + timeout.toMillis() + "ms;");
    }

    private void reload() {
        edges().parallelStream().forEach(edge -> member(edge, edges()).reload());
    }

    /** As when the time is over for which nobody asks the one that left. */
    private void endAvoidance() {
        edges().forEach(edge -> left(edge).forEach(peer -> new ZoneFile(edge.nginx().zone()).endAvoidance(peer.slot())));
    }

    /** Fetches objects that nobody has; returns how long the slowest took, in milliseconds. */
    private long fetch(String series) throws IOException {
        long slowest = 0;
        for (int i = 0; i < OBJECTS; i++) {
            String object = "/r/" + series + i;
            long start = System.nanoTime();
            Http.Response response = Http.get(edges().get(i % 2).socket(), object);
            slowest = Math.max(slowest, (System.nanoTime() - start) / 1_000_000);
            assertEquals(200, response.status(), series + ": " + response);
            assertEquals(RouteMesh.body(object), response.body(), series);
        }
        assertTrue(slowest < LONGEST.toMillis(), series + ": " + slowest + " ms");
        return slowest;
    }

    /** How many objects the one that left had before it did; which ones, its random address decides. */
    private long ownedByTheFirst(String series) {
        Ring before = ring(mesh.edges());
        return IntStream.range(0, OBJECTS).filter(i -> owner(before, "/r/" + series + i) == 0).count();
    }

    /** So many objects that the one that left had before it did, and that an edge, 0 or 1, has now. */
    private Stream<String> movedTo(int edge, String series, int count) {
        Ring before = ring(mesh.edges());
        Ring now = ring(edges());
        return IntStream.iterate(0, i -> i + 1).mapToObj(i -> "/r/" + series + i)
                .filter(object -> owner(before, object) == 0 && owner(now, object) == edge).limit(count);
    }

    private static int owner(Ring ring, String object) {
        return ring.group(ring.find(Crc32.of(object)));
    }

    private static Ring ring(List<Node> nodes) {
        Ring.Builder builder = new Ring.Builder();
        nodes.forEach(node -> builder.add(node.server().getBytes(StandardCharsets.US_ASCII), 1));
        return builder.build();
    }

    /** By each node that had a reason to, whichever of its workers. */
    private void assertAskedOnce(String what, int count) {
        assertTrue(count > 0 && count <= edges().size(), what + ": asked " + count + " times");
    }

    private void shouldGoUp(String name, Fault does) throws IOException {
        assertAskedOnce(name, goUp(name, does));
    }

    /** Returns how often the one that left was asked. */
    private int goUp(String name, Fault does) throws IOException {
        fault = does;
        asked.set(0);
        endAvoidance();
        long slowest = fetch(name.replaceAll("\\W", "-"));
        Scene.print("%s: asked %d times, slowest of %d requests %d ms", name, asked.get(), OBJECTS, slowest);
        edges().forEach(edge -> assertEquals(List.of(false), passive(edge), name + " does not count for max_fails"));
        return asked.get();
    }

    /** Whether a passive reason stands against the one that left, which keeps its slot. */
    private List<Boolean> passive(Node edge) {
        return left(edge).map(peer -> peer.stands(Reason.PASSIVE)).toList();
    }

    /** The one that left, as an edge knows it. */
    private Stream<ZoneFile.Peer> left(Node edge) {
        return new ZoneFile(edge.nginx().zone()).peers().stream()
                .filter(peer -> peer.upstream().equals("edges") && peer.address().equals(mesh.edge(0).server()));
    }

    /** At the address of the one that left. */
    private void startLeft(Scene scene) throws IOException {
        String[] at = mesh.edge(0).server().split(":");
        scene.keep(ScriptedOrigin.start(at[0], Integer.parseInt(at[1]), (request, out) -> {
            asked.incrementAndGet();
            assertTrue(request.header("atoll-step").startsWith("0.fil."), request::toString);
            return fault.answer(out);
        }));
    }

    private static Fault says(String text) {
        return out -> {
            out.write(text.replace("\n", "\r\n").getBytes(StandardCharsets.US_ASCII));
            return true;
        };
    }

    private static Fault status(int status) {
        return says("HTTP/1.1 " + status + " As Told\nContent-Length: 5\nCache-Status: \"edge1\"; fwd=miss\n\nsorry");
    }

    @AfterEach
    void endFaults() {
        over.countDown();
    }

    @Test
    void shouldGoUpWhenThePreviousOwnerAnswersWithAnErrorOfItsOwn(Scene scene) throws IOException {
        startEdges(scene);
        startLeft(scene);
        for (int status : new int[] {502, 503, 504, 429}) {
            shouldGoUp("status " + status, status(status));
        }
        assertTrue(goUp("status 403", status(403)) > 2 * edges().size(), "a 403 may be about one object");
        shouldGoUp("a plain 503", says("HTTP/1.1 503 Busy\nConnection: close\n\n"));
    }

    @Test
    void shouldGoUpWhenThePreviousOwnerBreaksOffOrHangs(Scene scene) throws IOException {
        startEdges(scene);
        startLeft(scene);
        shouldGoUp("closes", out -> false);
        shouldGoUp("half a header", out -> {
            out.write("HTTP/1.1 200 OK\r\nContent-Le".getBytes(StandardCharsets.US_ASCII));
            return false;
        });
        shouldGoUp("a header in drops", out -> {
            for (byte drop : "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n".repeat(4).getBytes(StandardCharsets.US_ASCII)) {
                out.write(drop);
                Await.window(Duration.ofMillis(50));
            }
            return false;
        });
        shouldGoUp("no HTTP", says("\u0001\u0002\u0003 what is this?\n\n"));
        shouldGoUp("silence", this::isSilent);
        reload();
        asked.set(0);
        fetch("reloaded");
        assertEquals(0, asked.get(), "asked by new workers");
    }

    private boolean isSilent(OutputStream out) {
        try {
            over.await(30, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return false;
    }

    /** Those who wait for it already are all who will, long before the first of them gives up. */
    @Test
    void shouldKeepFewWaitingForAPreviousOwnerThatIsSilent(Scene scene) throws Exception {
        timeout = Duration.ofSeconds(3);
        startEdges(scene);
        startLeft(scene);
        fault = this::isSilent;
        ExecutorService clients = Executors.newCachedThreadPool();
        List<Future<Http.Response>> first = IntStream.range(0, 2).boxed()
                .flatMap(edge -> movedTo(edge, "first", WAITING)
                        .map(object -> clients.submit(() -> Http.get(edges().get(edge).socket(), object)))).toList();
        clients.shutdown();
        Await.until("all to wait for the one that left", LONGEST, () -> asked.get() == first.size());
        Await.window(timeout.dividedBy(4));

        fetchMoved("meanwhile");
        assertEquals(first.size(), asked.get(), "asked while others waited");
        for (Future<Http.Response> response : first) {
            assertEquals(200, response.get().status());
        }
        fetchMoved("later");
        assertEquals(first.size(), asked.get(), "asked in all");
    }

    private void fetchMoved(String series) throws IOException {
        for (int edge = 0; edge < 2; edge++) {
            for (String object : movedTo(edge, series, 2 * WAITING).toList()) {
                assertEquals(RouteMesh.body(object), Http.get(edges().get(edge).socket(), object).body());
            }
        }
    }

    @Test
    void shouldGoUpWhenThePreviousOwnerRefusesConnections(Scene scene) throws IOException {
        startEdges(scene);
        long slowest = fetch("refused");
        int refused = edges().stream().mapToInt(edge -> edge.nginx().count("connect() failed (111")).sum();
        Scene.print("refused: asked %d times, slowest of %d requests %d ms", refused, OBJECTS, slowest);
        assertAskedOnce("refused", refused);
    }

    /** With kept connections to it, which break. */
    @Test
    void shouldGoUpWhenThePreviousOwnerIsKilled(Scene scene) throws IOException {
        mesh = RouteMesh.in(scene, 3, 1).secret("a secret of the mesh of this scene").startOrigin();
        mesh.edges().parallelStream().forEach(edge -> member(edge, mesh.edges()).start());
        reload();
        fetch("well");
        List<String> roles = new ArrayList<>(mesh.edge(0).log().stream().map(RouteMesh.Hop::role).toList());
        long owned = ownedByTheFirst("well");
        assertTrue(roles.size() > owned / 2 && roles.stream().allMatch("previous"::equals), () -> "of " + owned + ": " + roles);
        mesh.edge(0).nginx().kill();
        long slowest = fetch("killed");
        int refused = edges().stream().mapToInt(edge -> edge.nginx().count("connect() failed (111")).sum();
        Scene.print("killed: asked %d times, slowest of %d requests %d ms", refused, OBJECTS, slowest);
        assertAskedOnce("killed", refused);
    }
}
