package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.RouteMesh.Hop;
import io.atoll.tests.harness.RouteMesh.Node;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Whole tiers lost at once under load, noticed by nothing but the requests themselves: the next tier answers each of them. */
@ExtendWith(SceneExtension.class)
class RouteOutageTest {
    private static final int RATE = 150;
    private static final Duration PHASE = Duration.ofMillis(1500);
    private static final Duration FAR = Duration.ofSeconds(20);
    /** Copies live so short that each tier is asked all the time. */
    private static final String CACHING = "proxy_cache_valid 200 1s; proxy_cache_lock off;";

    /** The mesh, a plain front of no tier before it, and load through the front and through the first edge. */
    private record Stage(RouteMesh mesh, Load front, Load edge) {
        static Stage open(Scene scene) {
            RouteMesh mesh = RouteMesh.in(scene, 3, 2).secret("a secret of the mesh of this scene");
            String failing = "max_fails=1 fail_timeout=1s";
            Node front = mesh.front();
            for (Node node : Stream.concat(mesh.nodes().stream(), Stream.of(front)).toList()) {
                node.edges(RouteMesh.servers(mesh.edges(), failing)).shields(RouteMesh.servers(mesh.shields(), failing))
                        .caching(CACHING);
            }
            mesh.start();
            front.start();
            Stage stage = new Stage(mesh, Load.start(scene, front.socket(), "", RATE),
                    Load.start(scene, mesh.edge(0).socket(), "", RATE));
            stage.observe("all there");
            return stage;
        }

        /** Lets the load run for a phase; no request of it may fail. Returns what the front and the edge saw. */
        List<Load.Report> observe(String phase) {
            long from = System.nanoTime();
            Await.moment(from + PHASE.toNanos());
            List<Load.Report> reports = List.of(front.report().since(from), edge.report().since(from));
            Scene.print("%s: front: %s", phase, reports.get(0).line());
            Scene.print("%s: edge1: %s", phase, reports.get(1).line());
            return reports;
        }

        void assertNoneFailed() {
            for (Load load : List.of(front, edge)) {
                Load.Report report = load.stop();
                assertTrue(report.count() > RATE, report.line());
                assertEquals(List.of(), report.failed(), report.complaint());
            }
        }

        void assertOnlyShieldsAsked(int from) {
            Set<String> askers = askers(from);
            assertTrue(!askers.isEmpty() && addresses(mesh.shields()).containsAll(askers), "asked the origin: " + askers);
        }

        /** Waits until each of these edges answers the front again. */
        void awaitEdges(List<Node> edges) {
            long from = System.nanoTime();
            Await.until("the front to be served by " + edges.size() + " edges again", FAR, () -> {
                Load.Report report = front.report().since(from);
                return edges.stream().allMatch(
                        edge -> report.where(shot -> shot.last().equals(edge.server())).count() > RATE / 10);
            });
        }

        /** Who asked the origin from this line of its log on. */
        Set<String> askers(int from) {
            List<Hop> log = mesh.originLog();
            return log.subList(from, log.size()).stream().map(Hop::from).collect(Collectors.toSet());
        }
    }

    private static Set<String> addresses(List<Node> nodes) {
        return nodes.stream().map(Node::address).collect(Collectors.toSet());
    }

    @Test
    void shouldServeByTheNextTierWhenTiersAreLost(Scene scene) {
        Stage stage = Stage.open(scene);
        loseAllEdgesButOne(stage);
        loseTheShields(stage);
        loseAllButTheOrigin(stage);
        stage.assertNoneFailed();
    }

    private static void loseAllEdgesButOne(Stage stage) {
        List<Node> lost = stage.mesh.edges().subList(1, 3);
        stage.mesh.lose(lost);
        stage.observe("all edges but one lost");
        stage.assertOnlyShieldsAsked(0);
        lost.forEach(node -> node.nginx().start());
        stage.awaitEdges(lost);
    }

    private static void loseTheShields(Stage stage) {
        int before = stage.mesh.lose(stage.mesh.shields());
        stage.observe("all shields lost");
        assertEquals(addresses(stage.mesh.edges()), stage.askers(before), "edges ask the origin");
        stage.mesh.originLog().forEach(hop -> assertTrue(hop.step().isBlank() || hop.step().equals("-"), hop.toString()));
        stage.mesh.shields().forEach(node -> node.nginx().start());
        Await.until("the origin to be asked by shields alone", FAR, () -> {
            int mark = stage.mesh.originLog().size();
            Await.window(Duration.ofMillis(300));
            Set<String> now = stage.askers(mark);
            return !now.isEmpty() && addresses(stage.mesh.shields()).containsAll(now);
        });
    }

    private static void loseAllButTheOrigin(Stage stage) {
        stage.edge.stop();
        int before = stage.mesh.lose(stage.mesh.edges());
        stage.observe("all edges lost");
        stage.assertOnlyShieldsAsked(before);
        before = stage.mesh.lose(stage.mesh.shields());
        Load.Report alone = stage.observe("all but the origin lost").get(0);
        assertEquals(Set.of(stage.mesh.frontAddress()), stage.askers(before), "the front asks the origin");
        assertTrue(alone.where(shot -> shot.last().equals(stage.mesh.originServer())).count() > RATE / 2, alone.line());
        stage.mesh.nodes().forEach(node -> node.nginx().start());
        stage.awaitEdges(stage.mesh.edges());
    }
}
