package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.RouteMesh.Node;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Edges that join with empty caches and zones where no agent tells them who owned the keys before. */
@ExtendWith(SceneExtension.class)
class RouteJoinTest {
    private static final int OBJECTS = 1000;
    /** What the workers of the new nodes ask for before a question of theirs has found a copy: one or two each. */
    private static final int FIRST = 10;

    private RouteMesh mesh;

    private Node member(Node node, int members) {
        return node.route("atoll_route edges origin;").caching("proxy_cache_lock on;")
                .edges(RouteMesh.servers(mesh.edges().subList(0, members)) + "atoll_handover 10m timeout=5s;");
    }

    /** Fetches all objects through the first nodes in turn. */
    private void fetch(int nodes) throws IOException {
        for (int i = 0; i < nodes; i++) {
            int part = i;
            List<String> objects = IntStream.range(0, OBJECTS).filter(n -> n % nodes == part).mapToObj(n -> "/r/" + n).toList();
            try (Http http = Http.open(mesh.edge(i).socket(), Duration.ofSeconds(30))) {
                List<Http.Response> responses = http.pipeline(objects);
                for (int j = 0; j < objects.size(); j++) {
                    assertEquals(RouteMesh.body(objects.get(j)), responses.get(j).body());
                }
            }
        }
    }

    /** How often the origin was asked for the objects, once its log has what came after them. */
    private int fetched() throws IOException {
        Http.get(mesh.edge(0).socket(), "/r/last");
        mesh.originLog("/r/last", 1);
        return (int) mesh.originLog().stream().filter(hop -> !hop.uri().equals("/r/last")).count();
    }

    @Test
    void shouldFetchNextToNothingAnewWhenTwoNodesJoinAtOnceThatNobodyTells(Scene scene) throws IOException {
        mesh = RouteMesh.in(scene, 5, 1).secret("a secret of the mesh of this scene").startOrigin();
        mesh.edges().subList(0, 3).parallelStream().forEach(edge -> member(edge, 3).start());
        fetch(3);
        mesh.edges().subList(3, 5).parallelStream().forEach(edge -> member(edge, 5).start());
        mesh.edges().subList(0, 3).parallelStream().forEach(edge -> member(edge, 5).reload());
        fetch(5);
        int anew = fetched() - OBJECTS;
        long fills = mesh.edges().stream().flatMap(edge -> edge.log().stream()).filter(hop -> hop.role().equals("previous")).count();
        Scene.print("two of five joined at once, told by nobody: of %d objects %d fetched anew, %d fills", OBJECTS, anew, fills);
        assertTrue(anew <= FIRST, anew + " fetched anew");
    }
}
