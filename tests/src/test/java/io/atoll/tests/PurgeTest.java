package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Gdb;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.PurgeMesh;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.zip.CRC32;
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
    void shouldHaveTheFileOfBeforeDeletedAtOnce(Scene scene) {
        PurgeMesh mesh = PurgeMesh.start(scene, 2, "atoll.purge.delete = [\"http://NODE/delete\"]\n");
        warm(mesh, "/o/1", "/o/2?a=%C3%BC+b", "/a/1");
        assertEquals("file deleted", localDetail(purgeEverywhere(mesh, 0, "{\"key\": \"atoll/o/1\"}")));
        assertEquals(2, files(mesh.node(0)));
        awaitFiles(mesh.node(1), 2);
        assertEquals("no file to delete", localDetail(purgeEverywhere(mesh, 0, "{\"key\": \"atoll/o/1\"}")));
        assertEquals("file deleted", localDetail(purgeEverywhere(mesh, 0, "{\"key\": \"atoll/o/2?a=%C3%BC+b\"}")));
        warm(mesh, "/o/1");
        assertEquals("", localDetail(purgeEverywhere(mesh, 0, "{\"prefix\": \"atoll/o/\"}")), "a prefix is not looked for on disk");
        warm(mesh, "/o/1");
        assertEquals("file deleted", localDetail(purgeEverywhere(mesh, 1, "{\"key\": \"atoll/o/1\"}")), "stored after a purge of its prefix");
        assertAll(mesh, "HIT", "/a/1");
        assertAll(mesh, "MISS", "/o/1");
    }

    @Test
    void shouldPurgeEvenWhereTheFileCannotBeDeleted(Scene scene) {
        PurgeMesh mesh = PurgeMesh.start(scene, 1, "atoll.purge.delete = [\"http://NODE/forbidden\", \"http://NODE/delete\"]\n");
        mesh.node(0).nginx().expectLog("access forbidden by rule");
        warm(mesh, "/o/1");
        JsonNode answer = purgeEverywhere(mesh, 0, "{\"key\": \"atoll/o/1\"}");
        assertEquals("done", answer.path("state").asText(), answer.toString());
        assertTrue(localDetail(answer).matches("file not deleted: http://.*/forbidden answers 403"), answer.toString());
        assertAll(mesh, "MISS", "/o/1");
    }

    /** Returns what the agent says of a purge once it is done on all nodes, which may take longer than the answer waits. */
    private static JsonNode purgeEverywhere(PurgeMesh mesh, int i, String body) {
        String id = mesh.purge(i, body).path("id").asText();
        mesh.awaitDone(i, id);
        Await.until("the file to be looked for", LIMIT,
                () -> !localDetail(mesh.node(i).agent().get("/v1/purges/" + id)).equals("file is being deleted"));
        return mesh.node(i).agent().get("/v1/purges/" + id);
    }

    private static String localDetail(JsonNode purge) {
        assertEquals("local", purge.path("nodes").path(0).path("agent").asText(), purge.toString());
        return purge.path("nodes").path(0).path("detail").asText();
    }

    /** The master stands still when it has copied the purges into a new zone file, before that one takes the old one's place. */
    @Test
    void shouldNotAnswerWhileNginxMakesANewZoneThatMayLackThePurge(Scene scene) {
        PurgeMesh mesh = PurgeMesh.start(scene, 1, "atoll.heartbeat = 10 s\natoll.lease = 30 s\n");
        PurgeMesh.Node node = mesh.node(0);
        warm(mesh, "/o/1");
        CompletableFuture<Void> reload;
        String id;
        try (Gdb gdb = Gdb.attach(scene, node.nginx().pid())) {
            gdb.breakAt("atoll_new_file_place");
            reload = CompletableFuture.runAsync(() -> node.resize("12m"));
            gdb.awaitBreak();
            JsonNode answer = mesh.purge(0, "{\"key\": \"atoll/o/1\"}");
            assertEquals("pending", answer.path("state").asText(), answer.toString());
            assertEquals("nginx publishes a configuration", localDetail(answer));
            id = answer.path("id").asText();
        }
        mesh.awaitDone(0, id);
        reload.join();
        assertEquals("MISS", node.cache("/o/1"), "by a worker of the new file");
        assertEquals("HIT", node.cache("/o/1"));
    }

    private static Path journal(PurgeMesh.Node node) {
        return node.agent().journal().resolveSibling("agent.journal.purges");
    }

    @Test
    void shouldPurgeEverythingOnAHostWhoseJournalIsDamagedOrBehind(Scene scene) throws IOException {
        PurgeMesh mesh = PurgeMesh.start(scene, 2);
        PurgeMesh.Node node = mesh.node(0);
        mesh.purge(0, "{\"key\": \"atoll/o/1\"}");
        mesh.purge(0, "{\"key\": \"atoll/o/2\"}");
        warm(mesh, "/o/1", "/o/3");

        node.agent().kill();
        byte[] whole = Files.readAllBytes(journal(node));
        byte[] flipped = whole.clone();
        flipped[flipped.length / 2] ^= 1;
        Files.write(journal(node), flipped);
        node.agent().start();
        assertEquals("MISS", node.cache("/o/3"), "a bit of the journal was flipped");
        assertEquals("HIT", node.cache("/o/3"));
        assertTrue(node.agent().log().contains("the journal was damaged"), node.agent().log());
        assertEquals("HIT", mesh.node(1).cache("/o/3"), "the other host is none the worse");

        node.agent().kill();
        Files.writeString(journal(node), Files.readAllLines(journal(node)).get(0) + "\n",
                StandardOpenOption.TRUNCATE_EXISTING);
        node.agent().start();
        assertEquals("MISS", node.cache("/o/3"), "all but the journal's first line is missing");
        assertEquals("HIT", node.cache("/o/3"));
        assertTrue(node.agent().log().contains("does not know: everything on this host is purged"), node.agent().log());

        node.agent().kill();
        Files.writeString(journal(node), "0123abcd {\"rec", StandardOpenOption.APPEND);
        node.agent().start();
        assertEquals("HIT", node.cache("/o/3"), "a line that was never finished was never answered");
        mesh.awaitSync();
        mesh.purge(0, "{\"key\": \"atoll/o/3\"}");
        assertAll(mesh, "MISS", "/o/3");
        assertAll(mesh, "HIT", "/o/3");
    }

    @Test
    void shouldGiveUpAnAgentThatWasAwayForTooLongWhichPurgesEverythingThen(Scene scene) throws IOException {
        PurgeMesh mesh = PurgeMesh.start(scene, 2, "atoll.purge.sync-timeout = 500 ms\n");
        PurgeMesh.Node told = mesh.node(0);
        PurgeMesh.Node away = mesh.node(1);
        warm(mesh, "/o/1", "/o/2");
        away.agent().kill();
        String id = mesh.purge(0, "{\"key\": \"atoll/o/1\"}").path("id").asText();
        told.agent().kill();
        age(journal(told), Duration.ofHours(180));
        told.agent().start();
        Await.until("the agent that is away to be given up", LIMIT,
                () -> told.agent().get("/v1/purges/" + id).path("state").asText().equals("expired"));
        assertTrue(told.agent().log().contains("was not told 1 purges within atoll.purge.expire"), told.agent().log());
        assertEquals("MISS", told.cache("/o/2"), "it was away as long itself");
        assertEquals("HIT", away.cache("/o/1"), "nobody told it");
        age(journal(away), Duration.ofHours(180));
        away.agent().start();
        assertEquals("MISS", away.cache("/o/1"));
        assertEquals("MISS", away.cache("/o/2"));
        assertTrue(away.agent().log().contains("away for longer than atoll.purge.expire"), away.agent().log());
        mesh.awaitSync();
        away.agent().kill();
        told.agent().kill();
        told.cache("/o/2");     // it may have been told by now that the other purged everything
        age(journal(told), Duration.ofHours(24));
        told.agent().start();
        assertEquals(404, told.agent().send("GET", "/v1/purges/" + id).status(), "forgotten a day after it expired");
        assertEquals("HIT", told.cache("/o/2"));
    }

    /** Makes a journal of that long ago: takes it off all its times. */
    private static void age(Path journal, Duration time) throws IOException {
        Pattern wall = Pattern.compile("\"wall\":([0-9]+)");
        StringBuilder aged = new StringBuilder();
        for (String line : Files.readAllLines(journal)) {
            String record = wall.matcher(line.substring(9)).replaceAll(
                    found -> "\"wall\":" + (Long.parseLong(found.group(1)) - time.toMillis()));
            CRC32 crc = new CRC32();
            crc.update(record.getBytes(StandardCharsets.UTF_8));
            aged.append("%08x %s%n".formatted(crc.getValue(), record));
        }
        Files.writeString(journal, aged);
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

    /** A hot object has a copy at its owner and one at each edge whose clients ask for it; the shield has another. */
    @Test
    void shouldTakeEachCopyOfAHotObject(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 3, 1);
        mesh.nodes().forEach(node -> node.generation("proxy_set_header Atoll-Generation $atoll_generation;").caching(
                "proxy_cache_bypass $atoll_bypass; proxy_hide_header X-Cache; add_header X-Cache $upstream_cache_status;"));
        mesh.start();
        String zones = mesh.nodes().stream().map(node -> '"' + node.nginx().zone().toString() + '"')
                .collect(Collectors.joining(", ", "[", "]"));
        Agent agent = Agent.in(scene, mesh.edge(0).nginx(), "agent", scene.address(240) + ":7412", "atoll.zone = " + zones
                + "\natoll.hot-keys.rate = 5\natoll.hot-keys.share = 0.1\natoll.hot-keys.cool = 5 m\n");
        agent.start();
        List<Load> loads = mesh.edges().stream().map(edge -> Load.start(scene, edge.socket(), "", 60, random -> "/r/hot",
                RouteMesh::body)).toList();
        Await.until("a copy at each edge and at the shield", LIMIT,
                () -> mesh.nodes().stream().allMatch(node -> node.copies().containsKey("/r/hot")));
        loads.forEach(load -> assertEquals(List.of(), load.stop().failed()));
        assertEquals(List.of("HIT", "HIT", "HIT"), caches(mesh));
        assertEquals(200, Http.get(mesh.edge(0).socket(), "/r/start").status());
        mesh.originLog("/r/start", 1);
        int before = mesh.originLog("/r/hot", 1).size();
        assertEquals(200, agent.send("POST", "/v1/purge", "{\"key\": \"atoll/r/hot\"}").status());
        assertTrue(Collections.frequency(caches(mesh), "MISS") >= 2, "all but the owner, which the others may have asked");
        Await.until("a new copy at each edge and at the shield", LIMIT, () -> mesh.nodes().stream()
                .allMatch(node -> node.copies().keySet().stream().anyMatch(key -> key.matches(" [0-9a-f]+ /r/hot"))));
        assertEquals(List.of("HIT", "HIT", "HIT"), caches(mesh));
        mesh.originLog("/r/hot", before + 1);
        assertEquals(200, Http.get(mesh.edge(0).socket(), "/r/end").status());
        mesh.originLog("/r/end", 1);
        assertEquals(before + 1, mesh.originLog("/r/hot", 1).size(), "fetched once more, by the shield");
    }

    private static List<String> caches(RouteMesh mesh) throws IOException {
        List<String> caches = new ArrayList<>();
        for (RouteMesh.Node edge : mesh.edges()) {
            caches.add(Http.get(edge.socket(), "/r/hot").header("X-Cache"));
        }
        return caches;
    }
}
