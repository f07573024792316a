package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.StockCache;
import java.io.IOException;
import java.net.SocketAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Three edges and two shields are one cache: each object is fetched once, and kept once in each tier. */
@ExtendWith(SceneExtension.class)
class RouteOneCopyTest {
    private static final int OBJECTS = 5000;
    /** Kept connections to each edge. */
    private static final int CLIENTS = 4;
    private static final String LOCK = "proxy_cache_lock on;";

    @Test
    void shouldFetchEachObjectOnceAndKeepItOncePerTier(Scene scene) throws Exception {
        RouteMesh mesh = RouteMesh.in(scene, 3, 2).secret("a secret of the mesh of this scene");
        mesh.nodes().forEach(node -> node.caching(LOCK));
        mesh.start();
        List<String> objects = IntStream.range(0, OBJECTS).mapToObj(i -> "/r/" + i).toList();
        fetch(mesh.edges().stream().map(RouteMesh.Node::socket).toList(), objects);
        Map<String, Integer> fetches = fetches(mesh);
        Map<String, Integer> onEdges = copies(mesh.edges());
        Map<String, Integer> onShields = copies(mesh.shields());
        Scene.print("atoll: %d objects through 3 edges: %d fetched from the origin, %d copies on edges, %d on shields", OBJECTS,
                sum(fetches), sum(onEdges), sum(onShields));
        stock(scene, mesh, objects);

        Map<String, Integer> one = new HashMap<>();
        objects.forEach(object -> one.put(object, 1));
        assertEquals(one, fetches, "fetches from the origin");
        assertEquals(one, onEdges, "copies on edges");
        assertEquals(one, onShields, "copies on shields");
        for (RouteMesh.Node node : mesh.nodes()) {
            int share = node.copies().size() * (node.name().startsWith("edge") ? 3 : 2);
            assertTrue(share > OBJECTS / 2 && share < 2 * OBJECTS, node.name() + " keeps " + node.copies().size());
        }
    }

    /** The usual two tiers without Atoll, over the same origin: every edge caches what it serves. */
    private static void stock(Scene scene, RouteMesh mesh, List<String> objects) throws Exception {
        List<Nginx> nodes = new ArrayList<>();
        String shields = "hash $uri consistent; server " + scene.address(121) + ":7001; server " + scene.address(122) + ":7001;";
        for (int i = 1; i <= 5; i++) {
            String address = scene.address((i <= 3 ? 110 : 117) + i) + ":7001";
            nodes.add(StockCache.start(scene, "stock" + i, address, i <= 3 ? shields : "server " + mesh.originServer() + ";", "", LOCK));
        }
        int before = mesh.originLog().size();
        fetch(IntStream.rangeClosed(1, 3).mapToObj(i -> Http.address(scene.address(110 + i) + ":7001")).toList(), objects);
        int[] copies = nodes.stream().mapToInt(node -> sum(RouteMesh.copies(node.prefix().resolve("cache")))).toArray();
        Scene.print("stock: %d objects through 3 edges: %d fetched from the origin, %d copies on edges, %d on shields", OBJECTS,
                mesh.originLog("/r/", before + OBJECTS).size() - before, copies[0] + copies[1] + copies[2], copies[3] + copies[4]);
    }

    /** All objects from each edge, from all of them at once, each beginning elsewhere. */
    private static void fetch(List<SocketAddress> edges, List<String> objects) throws Exception {
        List<Callable<Void>> clients = new ArrayList<>();
        for (int e = 0; e < edges.size(); e++) {
            SocketAddress edge = edges.get(e);
            List<String> turned = new ArrayList<>(objects);
            Collections.rotate(turned, e * OBJECTS / edges.size());
            for (int c = 0; c < CLIENTS; c++) {
                List<String> part = turned.subList(c * OBJECTS / CLIENTS, (c + 1) * OBJECTS / CLIENTS);
                clients.add(() -> fetch(edge, part));
            }
        }
        ExecutorService threads = Executors.newFixedThreadPool(clients.size());
        try {
            for (Future<Void> client : threads.invokeAll(clients)) {
                client.get();
            }
        } finally {
            threads.shutdownNow();
        }
    }

    private static Void fetch(SocketAddress address, List<String> objects) throws IOException {
        try (Http http = Http.open(address, Duration.ofSeconds(20))) {
            List<Http.Response> responses = http.pipeline(objects);
            for (int i = 0; i < objects.size(); i++) {
                assertEquals(200, responses.get(i).status());
                assertEquals(RouteMesh.body(objects.get(i)), responses.get(i).body());
            }
        }
        return null;
    }

    private static Map<String, Integer> fetches(RouteMesh mesh) {
        Map<String, Integer> fetches = new HashMap<>();
        mesh.originLog("/r/", OBJECTS).forEach(hop -> fetches.merge(hop.uri(), 1, Integer::sum));
        return fetches;
    }

    private static Map<String, Integer> copies(List<RouteMesh.Node> nodes) {
        Map<String, Integer> copies = new HashMap<>();
        nodes.forEach(node -> node.copies().forEach((key, count) -> copies.merge(key, count, Integer::sum)));
        return copies;
    }

    private static int sum(Map<String, Integer> counts) {
        return counts.values().stream().mapToInt(Integer::intValue).sum();
    }
}
