package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Dist;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The mesh of {@code ./atoll}: what {@code up} prints works as printed, a killed cache is not missed, {@code down} leaves nothing. */
@ExtendWith(SceneExtension.class)
class MeshTest {
    private static final int PORT_BASE = 21000 + (int) (ProcessHandle.current().pid() % 400) * 50;

    @Test
    void shouldServeThroughOwnersAndGoOnWithoutOneOfThem(Scene scene) throws IOException {
        scene.keep(() -> atoll(scene, "down"));
        String up = must(scene, "up", "--no-build");
        Matcher printed = Pattern.compile("\\./atoll kill (edge[23]); curl -i http://127\\.0\\.0\\.1:\\d+(/objects/\\d+)").matcher(up);
        assertTrue(printed.find(), up);
        String owner = printed.group(1);
        String object = printed.group(2);

        String copy = fetch(1, object).body();
        for (int front = 1; front <= 3; front++) {
            Http.Response response = fetch(front, object);
            assertEquals(owner + " HIT", response.header("X-Atoll-Edge"));
            assertEquals("", response.header("X-Atoll-Shield"));
            assertEquals("edge" + front, response.header("X-Atoll-Node"));
            assertEquals(copy, response.body());
        }

        must(scene, "kill", owner);
        Http.Response without = fetch(1, object);
        assertEquals(200, without.status());
        assertNotEquals(owner, without.header("X-Atoll-Edge").split(" ")[0]);
        assertTrue(without.header("X-Atoll-Shield").endsWith(" HIT"), without.header("X-Atoll-Shield"));
        assertEquals(copy, without.body(), "the origin was asked again");

        String peer = "127.0.0.1:" + (PORT_BASE + 10 + Integer.parseInt(owner.substring(4)));
        Await.until("a probe reason at " + peer, Duration.ofSeconds(10), () -> status().matches(reasons(peer, ".*\"probe\".*")));
        String table = must(scene, "status");
        assertTrue(table.contains(peer), table);

        must(scene, "start", owner);
        Await.until("no reason at " + peer, Duration.ofSeconds(15), () -> status().matches(reasons(peer, "")));
        Await.until(owner + " serving " + object + " again", Duration.ofSeconds(20),
                () -> fetch(1, object).header("X-Atoll-Edge").equals(owner + " HIT"));

        assertTrue(get(PORT_BASE + 40, "/metrics").body().lines().anyMatch(line -> line.startsWith("atoll_")));
        String again = must(scene, "up", "--no-build");
        assertEquals(7, again.lines().filter(line -> line.endsWith(" runs already")).count(), again);

        must(scene, "down");
        assertEquals(List.of(), processesIn(scene.folder()));
        assertEquals(3, atoll(scene, "status").exit());
    }

    @Test
    void shouldEndAMeshThatIsHalfStarted(Scene scene) throws IOException {
        scene.keep(() -> atoll(scene, "down"));
        Path file = scene.folder().resolve("edge2");
        Files.writeString(file, "in the way of a folder");
        assertNotEquals(0, atoll(scene, "up", "--no-build").exit());
        assertNotEquals(List.of(), processesIn(scene.folder()), "nothing was started before edge2");
        must(scene, "down");
        assertEquals(List.of(), processesIn(scene.folder()));
    }

    private static Proc.Result atoll(Scene scene, String... arguments) {
        List<String> command = new ArrayList<>(List.of("env", "ATOLL_RUN=" + scene.folder(), "ATOLL_PORT_BASE=" + PORT_BASE,
                Dist.ROOT.resolve("atoll").toString()));
        command.addAll(Arrays.asList(arguments));
        return Proc.run(command);
    }

    private static String must(Scene scene, String... arguments) {
        Proc.Result result = atoll(scene, arguments);
        assertEquals(0, result.exit(), result.output());
        return result.output();
    }

    /** Asks edge 1, 2 or 3, as a client does. */
    private static Http.Response fetch(int front, String object) {
        return get(PORT_BASE + front, object);
    }

    private static String status() {
        return get(PORT_BASE + 1, "/atoll").body().strip();
    }

    private static Http.Response get(int port, String target) {
        try {
            return Http.get(Http.address("127.0.0.1:" + port), target);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String reasons(String peer, String inside) {
        return "(?s).*\"server\":\"" + Pattern.quote(peer) + "\"[^{]*\"reasons\":\\{" + inside + "\\}.*";
    }

    private static List<String> processesIn(Path folder) throws IOException {
        try (Stream<Path> processes = Files.list(Path.of("/proc"))) {
            return processes.map(process -> {
                try {
                    return Files.readSymbolicLink(process.resolve("cwd")).toString();
                } catch (IOException e) {
                    return "";
                }
            }).filter(cwd -> cwd.startsWith(folder.toString())).toList();
        }
    }
}
