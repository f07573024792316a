package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.RouteMesh.Hop;
import io.atoll.tests.harness.RouteMesh.Node;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.Step;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Every hop climbs: nodes that see different rings, nodes with a wrong name, and forged headers make no loop and skip no shield. */
@ExtendWith(SceneExtension.class)
class RouteLoopTest {
    private static final String SECRET = "0123456789abcdef0123456789abcdef";
    private static final int OBJECTS = 150;

    @Test
    void shouldCrossAtMostTwoNodesOfATierWhenNodesSeeDifferentRings(Scene scene) throws IOException {
        shouldCrossDifferentRings(mesh(scene, 3, 2, "0"), 2);
    }

    @Test
    void shouldCrossOneMoreOfTheTierThatIsAskedWithHandoverWhenNodesSeeDifferentRings(Scene scene) throws IOException {
        shouldCrossDifferentRings(mesh(scene, 3, 2, "10m"), 3);
    }

    private static void shouldCrossDifferentRings(RouteMesh mesh, int most) throws IOException {
        List<Node> edges = mesh.edges();
        mesh.edge(1).edges("server " + edges.get(2).server() + " weight=5; server " + edges.get(1).server() + "; server "
                + edges.get(0).server() + " weight=2;");
        mesh.edge(2).edges(RouteMesh.servers(edges.subList(1, 3)));
        mesh.shield(0).shields("server " + mesh.shield(1).server() + " weight=9; server " + mesh.shield(0).server() + ";");
        mesh.shield(1).shields(RouteMesh.servers(mesh.shields().subList(0, 1)));
        mesh.start();
        fetchEverywhere(mesh, "/r/rings", most);
        List<String> relays = mesh.nodes().stream().flatMap(node -> node.log().stream()).filter(hop -> hop.role().equals("relay"))
                .map(Hop::node).distinct().sorted().toList();
        Scene.print("relayed by %s", relays);
        assertEquals(List.of("edge1", "edge2", "edge3", "shield1", "shield2"), withOutside(mesh, relays),
                "every node meets another view of the ring");
    }

    private static RouteMesh mesh(Scene scene, int edges, int shields, String handover) {
        RouteMesh mesh = RouteMesh.in(scene, edges, shields).secret(SECRET);
        mesh.nodes().forEach(node -> node.handover(handover));
        return mesh;
    }

    /** shield2 is in no tier of its own view, so that it is never a relay by ownership; it takes part as a node outside. */
    private static List<String> withOutside(RouteMesh mesh, List<String> relays) {
        return Stream.concat(relays.stream(), mesh.nodes().stream().flatMap(node -> node.log().stream())
                .filter(hop -> hop.role().equals("outside")).map(Hop::node)).distinct().sorted().toList();
    }

    @Test
    void shouldCrossAtMostTwoNodesOfATierWhenNodesHaveWrongNames(Scene scene) throws IOException {
        shouldCrossWrongNames(mesh(scene, 3, 2, "0"), 2);
    }

    @Test
    void shouldCrossOneMoreOfTheTierThatIsAskedWithHandoverWhenNodesHaveWrongNames(Scene scene) throws IOException {
        shouldCrossWrongNames(mesh(scene, 3, 2, "10m"), 3);
    }

    private static void shouldCrossWrongNames(RouteMesh mesh, int most) throws IOException {
        mesh.edge(1).http("atoll_node " + mesh.edge(0).server() + ";");
        mesh.edge(2).http("atoll_node nobody;");
        mesh.shield(1).http("atoll_node " + mesh.shield(0).address() + ";");
        mesh.start();
        fetchEverywhere(mesh, "/r/names", most);
    }

    /**
     * Asks every node for objects of its own and checks the ways they went: over so many nodes at most of the tier that is asked, that one
     * counted, and over two of a tier behind it.
     */
    private static void fetchEverywhere(RouteMesh mesh, String prefix, int most) throws IOException {
        for (Node node : mesh.nodes()) {
            List<String> objects = IntStream.range(0, OBJECTS).mapToObj(i -> prefix + "-" + node.name() + "-" + i).toList();
            try (Http http = Http.open(node.socket(), Duration.ofSeconds(20))) {
                List<Http.Response> responses = http.pipeline(objects);
                for (int i = 0; i < OBJECTS; i++) {
                    assertEquals(RouteMesh.body(objects.get(i)), responses.get(i).body());
                }
            }
        }
        mesh.originLog(prefix, OBJECTS * mesh.nodes().size());
        Set<String> shields = mesh.shields().stream().map(Node::address).collect(Collectors.toSet());
        mesh.ways().forEach((uri, way) -> {
            boolean behind = uri.startsWith(prefix + "-edge");
            assertTrue(crossed(way, "edge") <= most, () -> "edges crossed: " + way);
            assertTrue(crossed(way, "shield") <= (behind ? 2 : most), () -> "shields crossed: " + way);
            List<Hop> fetches = way.stream().filter(hop -> hop.node().equals("origin")).toList();
            assertEquals(1, fetches.size(), () -> "fetches from the origin: " + way);
            assertTrue(shields.contains(fetches.get(0).from()), () -> "asked the origin past the shields: " + way);
            assertUntold(fetches.get(0));
        });
    }

    /** Times that the request came to a node of a tier. */
    private static long crossed(List<Hop> way, String tier) {
        return way.stream().filter(hop -> hop.node().startsWith(tier)).count();
    }

    /** The origin learns no step. */
    private static void assertUntold(Hop fetch) {
        assertTrue(fetch.step().isBlank() || fetch.step().equals("-"), () -> "the origin was told a step: " + fetch);
    }

    @Test
    void shouldBelieveOnlyAStepThatTheSecretSigned(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 2, 1).secret(SECRET).start();
        String object = objectOfAnother(mesh, "/r/forged-");
        long now = System.currentTimeMillis() / 1000;
        String valid = step(SECRET, 0, now, object);
        assertEquals("relay", role(mesh, object, valid), "a valid step is believed");
        assertEquals("previous", role(mesh, object, Step.sign(SECRET, 0, "fil", now, object)), "a step of another kind");
        assertEquals("previous", role(mesh, object, valid, Step.sign(SECRET, 0, "fil", now, object)), "the higher of two");
        assertEquals("front", role(mesh, object, valid.replace("own", "fil")), "the kind is signed too");
        assertEquals("relay", role(mesh, object, step(SECRET, 0, now - 240, object)), "four minutes old");
        assertEquals("relay", role(mesh, object, step(SECRET, 0, now - 4000, object), valid), "the valid one of two");

        assertEquals("front", role(mesh, object), "no step");
        List<String> forged = List.of(
                valid.substring(0, valid.length() - 1) + (valid.endsWith("0") ? "1" : "0"),
                step("another secret of the same use", 0, now, object),
                step(SECRET, 0, now, "/r/another"),
                step(SECRET, 0, now - 330, object),
                step(SECRET, 0, now + 330, object),
                "1" + valid.substring(1),
                "9" + valid.substring(1),
                valid.substring(0, 15) + "0".repeat(16),
                valid + "0",
                valid.substring(0, 15),
                valid.replace("own", "OWN"),
                "0.own.-0000001." + valid.substring(15),
                "");
        for (String step : forged) {
            assertEquals("front", role(mesh, object, step), "believed " + step);
        }
        assertEquals("front", role(mesh, object, forged.get(0), forged.get(1)), "believed one of two forged steps");
        mesh.originLog(object, 1).forEach(RouteLoopTest::assertUntold);
    }

    @Test
    void shouldBelieveNobodyForAUnixSocketWithoutASecret(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 2, 1);
        Path socket = scene.file("socket");
        mesh.edge(0).handover("0").edges(RouteMesh.servers(mesh.edges()) + "server unix:" + socket + " down;").inServer("listen unix:" + socket + ";");
        mesh.start();
        String object = objectOfAnother(mesh, "/r/socket-");
        Http.Response response = Http.get(UnixDomainSocketAddress.of(socket), object, "Atoll-Step: 0.own.00000000." + "0".repeat(16));
        assertEquals(RouteMesh.body(object), response.body());
        assertEquals("front", response.header("X-Role"));
    }

    @Test
    void shouldBelieveANodesAddressWithoutASecret(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 2, 1).start();
        String object = objectOfAnother(mesh, "/r/address-");
        String step = "0.own.00000000." + "0".repeat(16);
        assertEquals("front", role(mesh, object, step), "believed from outside");
        String[] from = {mesh.edge(1).address(), mesh.shield(0).address(), scene.address(99), scene.address(31)};
        String[] roles = {"relay", "relay", "front", "front"};
        for (int i = 0; i < from.length; i++) {
            String answer = Proc.must("curl", "-s", "-i", "--max-time", "10", "--interface", from[i], "-H", "Atoll-Step: " + step,
                    "http://" + mesh.edge(0).server() + object);
            assertTrue(answer.contains("X-Role: " + roles[i] + "\r\n"), from[i] + " should be " + roles[i] + ": " + answer);
            assertTrue(answer.endsWith(RouteMesh.body(object)), answer);
        }
    }

    @Test
    void shouldServeWhatNamesTheNodeInCdnLoop(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 2, 1).secret(SECRET).start();
        String self = mesh.edge(0).server();
        String object = objectOfAnother(mesh, "/r/loop-");
        for (String loop : List.of(self, "other.example, " + self + "; a=b", "other.example," + self.toUpperCase())) {
            Http.Response response = Http.get(mesh.edge(0).socket(), object, "CDN-Loop: " + loop);
            assertEquals(RouteMesh.body(object), response.body(), loop);
        }
        String another = "/r/through";
        assertEquals(RouteMesh.body(another), Http.get(mesh.edge(0).socket(), another, "CDN-Loop: other.example",
                "CDN-Loop: third.example; v=1, x" + self).body());
        Hop fetch = mesh.originLog(another, 1).get(0);
        List<String> named = Arrays.asList(fetch.loop().split(", "));
        assertEquals(List.of("other.example", "third.example; v=1", "x" + self), named.subList(0, 3), fetch.loop());
        List<String> nodes = named.subList(3, named.size());
        assertTrue(nodes.contains(self) && nodes.size() >= 2 && nodes.size() <= 4, fetch.loop());
        assertTrue(nodes.size() - nodes.stream().distinct().count() <= 1, "a front again, for what it owned before: " + nodes);
        List<Hop> way = mesh.ways().get(another);
        assertEquals(nodes.size(), way.stream().filter(hop -> !hop.node().equals("origin") && hop.status() == 200).count(),
                "a previous owner without a copy hands nothing on: " + way);
    }

    @Test
    void shouldEndALoopThatLeadsThroughTheOrigin(Scene scene) throws IOException {
        shouldEndALoop(scene, "0");
    }

    @Test
    void shouldEndALoopThatLeadsThroughTheOriginWithHandover(Scene scene) throws IOException {
        shouldEndALoop(scene, "10m");
    }

    /** edge2, shield1, then the node that the origin leads back to: edge1, edge2, shield1, edge1 named once, edge1 named twice. */
    private static void shouldEndALoop(Scene scene, String handover) throws IOException {
        RouteMesh mesh = mesh(scene, 2, 1, handover);
        for (Node node : mesh.nodes()) {
            node.http("upstream back { server " + mesh.edge(0).server() + "; }").route("atoll_route edges shields back;").start();
        }
        for (int i = 0; i < 20; i++) {
            Http.Response response = Http.get(mesh.edge(1).socket(), "/r/back" + i);
            assertTrue(response.status() >= 500, "status " + response.status());
        }
        // without previous owners, each of which is asked on the way, has no copy and hands nothing on
        long longest = mesh.ways().values().stream().mapToLong(way -> way.stream().filter(hop -> hop.status() != 404).count()).max().orElse(0);
        Scene.print("an origin that leads back, atoll_handover %s: %d hops at most, then an error", handover, longest);
        assertTrue(longest <= 7, longest + " hops");
        assertTrue(mesh.edge(0).nginx().errorLog().contains("CDN-Loop"), "the error log says why");
    }

    /** An object that edge2 owns, found by asking edge1. */
    private static String objectOfAnother(RouteMesh mesh, String prefix) throws IOException {
        for (int i = 0; i < 100; i++) {
            if (role(mesh, prefix + i).equals("front")) {
                return prefix + i;
            }
        }
        throw new AssertionError("edge1 owns all of " + prefix + "0 to 99");
    }

    /** What edge1 takes itself for, when a request with these steps comes from outside; it has no copy that it could hand over. */
    private static String role(RouteMesh mesh, String object, String... steps) throws IOException {
        String[] headers = Arrays.stream(steps).map(step -> "Atoll-Step: " + step).toArray(String[]::new);
        Http.Response response = Http.get(mesh.edge(0).socket(), object, headers);
        boolean previous = response.header("X-Role").equals("previous");
        assertEquals(previous ? 404 : 200, response.status());
        assertEquals(previous ? "" : RouteMesh.body(object), response.body());
        return response.header("X-Role");
    }

    private static String step(String secret, int tier, long seconds, String key) {
        return Step.sign(secret, tier, "own", seconds, key);
    }
}
