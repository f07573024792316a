package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import com.fasterxml.jackson.databind.JsonNode;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.PurgeMesh;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Purges: gone on all nodes when the answer comes, and never back. */
@ExtendWith(SceneExtension.class)
class PurgeTest {
    private static final Duration LIMIT = Duration.ofSeconds(20);

    private static void warm(PurgeMesh mesh, String... targets) {
        for (PurgeMesh.Node node : mesh.nodes()) {
            for (String target : targets) {
                node.get(target);
                assertEquals("HIT", node.cache(target), target);
            }
        }
    }

    private static void assertAll(PurgeMesh mesh, String expected, String target) {
        for (PurgeMesh.Node node : mesh.nodes()) {
            assertEquals(expected, node.cache(target), target);
        }
    }

    @Test
    void shouldTakeAKeyAndNothingElseOutOfAllCachesBeforeItAnswers(Scene scene) {
        PurgeMesh mesh = PurgeMesh.start(scene, 5);
        warm(mesh, "/o/1", "/o/2", "/o/1?a=b");
        for (int i = 0; i < 5; i++) {
            JsonNode answer = mesh.purge(i, "{\"key\": \"atoll/o/1\"}");
            assertEquals("done", answer.path("state").asText(), answer.toString());
            assertAll(mesh, "MISS", "/o/1");
            assertAll(mesh, "HIT", "/o/1");
            assertAll(mesh, "HIT", "/o/1?a=b");
            assertAll(mesh, "HIT", "/o/2");
        }
        assertEquals(5, mesh.node(3).agent().get("/v1/purges").path("purges").size());
    }

    @Test
    void shouldTakeAllVariantsAndSlicesOfAKey(Scene scene) {
        PurgeMesh mesh = PurgeMesh.start(scene, 1);
        PurgeMesh.Node node = mesh.node(0);
        List<String> languages = List.of("X-Lang: de", "X-Lang: en", "X-Lang: fr");
        languages.forEach(language -> node.get("/vary/1", language));
        languages.forEach(language -> assertEquals("HIT", node.cache("/vary/1", language)));
        node.get("/slices/big");
        awaitFiles(node, 3 + 4);
        mesh.purge(0, "{\"key\": \"atoll/vary/1\"}");
        mesh.purge(0, "{\"key\": \"atoll/slices/big\"}");
        languages.forEach(language -> assertEquals("MISS", node.cache("/vary/1", language), language));
        assertEquals(4096, node.get("/slices/big").body().length());
        awaitFiles(node, 2 * (3 + 4));
        languages.forEach(language -> assertEquals("HIT", node.cache("/vary/1", language), language));
    }

    /** Each variant and each slice is a file. */
    private static void awaitFiles(PurgeMesh.Node node, int count) {
        Await.until(count + " files in the cache", LIMIT, () -> files(node) == count);
    }

    private static int files(PurgeMesh.Node node) {
        try (var files = Files.walk(node.nginx().prefix().resolve("cache"))) {
            return (int) files.filter(Files::isRegularFile).count();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void shouldTakeWhatBeginsWithAPrefixAndWhatAHostHas(Scene scene) {
        PurgeMesh mesh = PurgeMesh.start(scene, 2);
        String[] inside = IntStream.range(0, 300).mapToObj(i -> "/a/" + i).toArray(String[]::new);
        warm(mesh, inside);
        warm(mesh, "/b/1", "http://other/a/1");
        mesh.purge(1, "{\"prefix\": \"atoll/a/\"}");
        for (String target : inside) {
            assertAll(mesh, "MISS", target);
        }
        assertAll(mesh, "HIT", "/b/1");
        assertAll(mesh, "HIT", "http://other/a/1");
        mesh.purge(0, "{\"site\": \"OTHER\"}");
        assertAll(mesh, "MISS", "http://other/a/1");
        assertAll(mesh, "HIT", "/b/1");
        assertAll(mesh, "HIT", "/a/7");
        mesh.purge(0, "{\"site\": true}");
        assertAll(mesh, "MISS", "/b/1");
        assertAll(mesh, "MISS", "/a/7");
        assertAll(mesh, "HIT", "/b/1");
    }

    @Test
    void shouldNotServeAPurgedCopyAfterANodeWasAway(Scene scene) {
        PurgeMesh mesh = PurgeMesh.start(scene, 3);
        PurgeMesh.Node away = mesh.node(2);
        warm(mesh, "/o/1", "/o/2");
        String stale = away.get("/o/1").body();
        away.kill();
        JsonNode answer = mesh.purge(0, "{\"key\": \"atoll/o/1\"}");
        assertEquals("pending", answer.path("state").asText(), answer.toString());
        away.startNginx();
        assertNotEquals(stale, away.get("/o/1").body(), "before its agent runs");
        away.agent().start();
        mesh.awaitDone(0, answer.path("id").asText());
        assertNotEquals(stale, away.get("/o/1").body(), "once it was told");
        Await.until("copies that were not purged to be used again", LIMIT, () -> away.cache("/o/2").equals("HIT"));
        assertEquals("HIT", away.cache("/o/1"));
    }

    @Test
    void shouldNotLoseAPurgeWhenItsAgentIsKilledRightAfterTheAnswer(Scene scene) {
        PurgeMesh mesh = PurgeMesh.start(scene, 2);
        warm(mesh, "/o/1", "/o/2");
        mesh.node(1).agent().kill();
        JsonNode answer = mesh.purge(0, "{\"key\": \"atoll/o/1\", \"note\": \"legal\"}");
        mesh.node(0).agent().kill();
        assertEquals("MISS", mesh.node(0).cache("/o/1"));
        mesh.node(1).agent().start();
        mesh.node(0).agent().start();
        mesh.awaitDone(0, answer.path("id").asText());
        assertEquals("MISS", mesh.node(1).cache("/o/1"));
        assertEquals("HIT", mesh.node(0).cache("/o/1"), "a purge is not done twice");
        assertAll(mesh, "HIT", "/o/2");
    }

    @Test
    void shouldKeepGenerationsOverARestartOfEverything(Scene scene) throws IOException {
        PurgeMesh mesh = PurgeMesh.start(scene, 2);
        warm(mesh, "/o/1", "/o/2", "/a/1");
        String stale = mesh.node(0).get("/o/1").body();
        mesh.purge(0, "{\"key\": \"atoll/o/1\"}");
        mesh.purge(0, "{\"prefix\": \"atoll/a/\"}");
        warm(mesh, "/o/1", "/a/1");
        for (PurgeMesh.Node node : mesh.nodes()) {
            node.kill();
            Files.delete(node.nginx().zone());
        }
        mesh.nodes().forEach(PurgeMesh.Node::startNginx);
        assertNotEquals(stale, mesh.node(0).get("/o/1").body(), "in a new zone without an agent");
        mesh.nodes().parallelStream().forEach(node -> node.agent().start());
        mesh.awaitSync();
        for (String target : List.of("/o/1", "/o/2", "/a/1")) {
            for (PurgeMesh.Node node : mesh.nodes()) {
                Await.until(target + " of before the restart to be used", LIMIT, () -> node.cache(target).equals("HIT"));
            }
        }
        mesh.purge(1, "{\"key\": \"atoll/o/1\"}");
        assertAll(mesh, "MISS", "/o/1");
    }

    @Test
    void shouldNotFetchFromAShieldThatWasNotToldWhatAnEdgePurged(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 1, 1).secret("a secret of the mesh of this scene");
        mesh.nodes().forEach(node -> node.generation("proxy_set_header Atoll-Generation $atoll_generation;"));
        mesh.start();
        RouteMesh.Node edge = mesh.edge(0);
        Agent agent = Agent.in(scene, edge.nginx(), "agent", scene.address(240) + ":7412", "");
        agent.start();
        for (int i = 0; i < 3; i++) {
            assertEquals(200, Http.get(edge.socket(), "/r/1").status());
            assertEquals(200, Http.get(edge.socket(), "/r/1", "Atoll-Generation: " + (77 + i)).status(), "a client's own");
        }
        assertEquals(1, mesh.originLog("/r/1", 1).size());
        assertEquals(200, agent.send("POST", "/v1/purge", "{\"key\": \"atoll/r/1\"}").status());
        for (int i = 0; i < 3; i++) {
            assertEquals(200, Http.get(edge.socket(), "/r/1").status());
        }
        mesh.originLog("/r/1", 2);
        assertEquals(200, Http.get(edge.socket(), "/r/end").status());
        mesh.originLog("/r/end", 1);
        assertEquals(2, mesh.originLog("/r/1", 2).size(), "fetched once more, through the shield");
    }
}
