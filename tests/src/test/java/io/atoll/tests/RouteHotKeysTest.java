package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** A hot object is kept at each edge that is asked for it, and by its owner alone when it has cooled. */
@ExtendWith(SceneExtension.class)
class RouteHotKeysTest {
    private static final Duration FAR = Duration.ofSeconds(20);
    private static final String HOT = "/r/hot";

    /** An owner that no client asks: all that reaches it for the hot object comes from the other edges. */
    private static final int OWNER = 2;

    @Test
    void shouldKeepAHotObjectAtEachEdgeThatIsAskedUntilItCools(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 3, 1);
        for (RouteMesh.Node edge : mesh.edges()) {
            edge.caching("proxy_cache_lock on; add_header X-Hot $atoll_hot;\n"
                    + "add_header X-Cache $upstream_cache_status; add_header X-No-Store $atoll_no_store;");
        }
        mesh.edge(0).inServer("location /agent/ { access_log off; proxy_pass http://" + Agent.listen(scene) + "/; }\n"
                + "listen " + mesh.edge(0).nginx().socket() + ";");
        mesh.start();
        String hot = ownedBy(mesh, OWNER);
        List<Load> loads = new ArrayList<>();
        for (int i = 0; i < OWNER; i++) {
            loads.add(Load.start(scene, mesh.edge(i).socket(), "", 60,
                    random -> random.nextInt(10) < 4 ? hot : cold(random), RouteMesh::body));
        }
        Await.until("the owner to serve the hot object", FAR, () -> atOwner(mesh, hot) > 50);
        assertEquals(Set.of(OWNER), keepers(mesh, hot), "without an agent the owner alone keeps it");

        String zones = mesh.edges().stream().map(edge -> '"' + edge.nginx().zone().toString() + '"')
                .collect(Collectors.joining(", ", "[", "]"));
        Agent agent = Agent.start(scene, mesh.edge(0).nginx(), "atoll.zone = " + zones + "\natoll.hot-keys.rate = 5\n"
                + "atoll.hot-keys.cool = 500 ms\natoll.hot-keys.share = 0.5\n");
        Await.until("a copy at each edge that is asked", FAR, () -> keepers(mesh, hot).equals(Set.of(0, 1, OWNER)));
        Await.until("the edges to look no further", FAR,
                () -> List.of("HIT").equals(caches(mesh.edge(0), hot, 20)) && List.of("HIT").equals(caches(mesh.edge(1), hot, 20)));
        int before = atOwner(mesh, hot);
        int asked = hits(mesh, hot);
        Await.until("200 further requests for it", FAR, () -> hits(mesh, hot) >= asked + 200);
        int after = atOwner(mesh, hot);
        Scene.print("a hot object at two edges: %d requests, of which its owner got %d", hits(mesh, hot) - asked, after - before);
        assertEquals(before, after, "requests that still came to the owner");
        assertEquals(2, hotAt(agent).size(), "edges where it is hot");

        loads.forEach(load -> assertEquals(List.of(), load.stop().failed()));
        Await.until("the object to cool", FAR, () -> hotAt(agent).isEmpty());
        Http.Response cooled = Http.get(mesh.edge(0).socket(), hot);
        assertEquals("front BYPASS", cooled.header("X-Role") + " " + cooled.header("X-Cache"));
        assertEquals("1", cooled.header("X-No-Store"));
        assertEquals("", cooled.header("X-Hot"));
        String other = ownedBy(mesh, OWNER);
        Http.get(mesh.edge(1).socket(), other);
        assertEquals(Set.of(OWNER), keepers(mesh, other), "fronts store no more");
    }

    private static String cold(Random random) {
        return "/r/" + random.nextInt(2000);
    }

    /** An object that this edge owns and nobody has asked for. */
    private static String ownedBy(RouteMesh mesh, int edge) throws IOException {
        for (int i = 0; i < 100; i++) {
            String object = HOT + "/" + System.nanoTime();
            if (Http.get(mesh.edge(edge).socket(), object).header("X-Role").equals("owner")) {
                return object;
            }
        }
        throw new AssertionError(mesh.edge(edge).name() + " owns nothing");
    }

    /** Edges that have a copy. */
    private static Set<Integer> keepers(RouteMesh mesh, String object) {
        Set<Integer> keepers = new HashSet<>();
        for (int i = 0; i < mesh.edges().size(); i++) {
            if (mesh.edge(i).copies().containsKey(object)) {
                keepers.add(i);
            }
        }
        return keepers;
    }

    private static int atOwner(RouteMesh mesh, String object) {
        return (int) mesh.edge(OWNER).log().stream().filter(hop -> hop.uri().equals(object)).count();
    }

    private static int hits(RouteMesh mesh, String object) {
        return (int) mesh.edges().stream().limit(OWNER).flatMap(edge -> edge.log().stream())
                .filter(hop -> hop.uri().equals(object)).count();
    }

    /** What the cache said of the last requests for an object at an edge, each once. */
    private static List<String> caches(RouteMesh.Node edge, String object, int last) {
        List<String> caches = edge.log().stream().filter(hop -> hop.uri().equals(object)).map(RouteMesh.Hop::cache).toList();
        return caches.subList(Math.max(0, caches.size() - last), caches.size()).stream().distinct().toList();
    }

    private static List<String> hotAt(Agent agent) {
        List<String> nodes = new ArrayList<>();
        for (JsonNode key : agent.get("/v1/hot").path("hot")) {
            nodes.add(key.path("node").asText());
        }
        return nodes;
    }
}
