package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Dist;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.net.SocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** `./atoll up` as an operator meets it: the mesh, the commands that it prints, and `./atoll down`. */
@ExtendWith(SceneExtension.class)
class MeshTest {
    private static final Duration FAR = Duration.ofSeconds(30);

    /** A mesh in a folder and on ports of the scene's own. */
    private record Mesh(Path run, int port, String printed) implements AutoCloseable {
        static Mesh up(Scene scene) {
            Path run = scene.file("mesh");
            int port = 10000 + (int) (ProcessHandle.current().pid() % 220) * 100;    // below what the kernel gives to connections
            scene.keep(new Mesh(run, port, ""));
            Proc.Result up = command(run, port, "./atoll up --no-build");
            assertEquals(0, up.exit(), up.output());
            return new Mesh(run, port, up.output());
        }

        Proc.Result command(String text) {
            return command(run, port, text);
        }

        String must(String text) {
            Proc.Result result = command(text);
            assertEquals(0, result.exit(), text + "\n" + result.output());
            return result.output();
        }

        SocketAddress edge(int number) {
            return Http.address("127.0.0.1:" + (port + number));
        }

        /** The edge that the answer calls the owner, as it calls itself. */
        String owner(Http.Response response) {
            String server = response.header("X-Atoll-Owner");
            assertTrue(server.startsWith("127.0.0.1:"), "X-Atoll-Owner: " + server);
            return "edge" + (Integer.parseInt(server.substring(10)) - port);
        }

        /** Requests that the origin answered. */
        long originRequests(String path) throws IOException {
            try (Stream<String> lines = Files.lines(run.resolve("origin/access.log"))) {
                return lines.filter(line -> line.contains(path)).count();
            }
        }

        @Override
        public void close() {
            command("./atoll down");
        }

        private static Proc.Result command(Path run, int port, String text) {
            try {
                ProcessBuilder builder = new ProcessBuilder("bash", "-c", text).directory(Dist.ROOT.toFile())
                        .redirectErrorStream(true).redirectOutput(run.resolveSibling("command.log").toFile());
                builder.environment().put("ATOLL_RUN", run.toString());
                builder.environment().put("ATOLL_PORT_BASE", Integer.toString(port));
                Process process = builder.start();
                assertTrue(process.waitFor(120, TimeUnit.SECONDS), "not finished after 120 s: " + text);
                return new Proc.Result(process.exitValue(), Files.readString(run.resolveSibling("command.log")));
            } catch (IOException | InterruptedException e) {
                throw new AssertionError(text, e);
            }
        }
    }

    /** Whether the answer was a hit of this node, asked itself or by another one. */
    private static boolean hit(Http.Response response, String node) {
        return response.header("Cache-Status").startsWith("\"" + node + "\"; hit");
    }

    @Test
    void shouldDoWhatItsPrintedCommandsPromise(Scene scene) throws IOException {
        Mesh mesh = Mesh.up(scene);
        List<String> commands = mesh.printed.lines().filter(line -> line.startsWith("         ")).map(String::trim).toList();
        assertEquals(7, commands.size(), mesh.printed);

        String fetched = mesh.must(commands.get(0));
        Matcher killed = Pattern.compile("\\./atoll kill (edge[0-9])").matcher(commands.get(1));
        assertTrue(killed.find(), commands.get(1));
        String owner = killed.group(1);
        assertTrue(fetched.contains("\"" + owner + "\"; hit, \"edge1\"; fwd=bypass"), fetched);
        String object = commands.get(0).replaceAll(".*:[0-9]+", "");
        String target = "http://127.0.0.1" + object;    // with the host that curl asks for: it is part of the key
        for (int edge = 1; edge <= 3; edge++) {
            Http.Response response = Http.get(mesh.edge(edge), target);
            assertTrue(mesh.owner(response).equals(owner) && hit(response, owner), edge + ": " + response);
        }

        String again = mesh.must(commands.get(1));
        assertTrue(again.contains("200 OK") && !again.contains("\"" + owner), again);
        Await.until("the status to show " + owner + " down", FAR,
                () -> mesh.command(commands.get(2)).output().contains(" down"));
        mesh.must(commands.get(3));
        Await.until("edge1 to see " + owner + " as the owner again", FAR, () -> {
            try {
                return mesh.owner(Http.get(mesh.edge(1), target)).equals(owner);
            } catch (IOException e) {
                return false;
            }
        });
        assertEquals(1, mesh.originRequests(object + " "), "so far all copies are of one fetch");
        String purged = mesh.must(commands.get(4));
        assertTrue(purged.contains("done"), purged);
        String anew = mesh.must(commands.get(5));
        assertTrue(anew.contains("; fwd=miss; fwd-status=200, ") && !anew.contains("; hit"), anew);
        assertEquals(2, mesh.originRequests(object + " "), "fetched anew, once");
        String metrics = mesh.must(commands.get(6));
        assertTrue(metrics.contains("atoll_peer_up{"), metrics);

        mesh.must("./atoll down");
        assertEquals(3, mesh.command("./atoll status").exit(), "status of a mesh that is down");
        List<Long> left = ProcessHandle.allProcesses().map(ProcessHandle::pid)
                .filter(pid -> Proc.title(pid).contains(mesh.run.toString())).toList();
        assertEquals(List.of(), left, "processes left behind");
    }

    @Test
    void shouldFetchEachObjectFromTheOriginOnceAndKeepServingWhenAnEdgeDies(Scene scene) throws IOException {
        Mesh mesh = Mesh.up(scene);
        int objects = 150;
        Map<String, String> owners = new HashMap<>();
        for (int round = 0; round < 2; round++) {
            for (int edge = 1; edge <= 3; edge++) {
                for (int i = 0; i < objects; i++) {
                    Http.Response response = Http.get(mesh.edge(edge), "/objects/scene-" + i);
                    assertEquals(200, response.status());
                    String owner = mesh.owner(response);
                    assertEquals(owners.computeIfAbsent("/objects/scene-" + i, key -> owner), owner, "owner of object " + i);
                }
            }
        }
        assertEquals(objects, mesh.originRequests("/objects/scene-"), "requests at the origin for " + objects + " objects");
        assertEquals(Set.of("edge1", "edge2", "edge3"), new HashSet<>(owners.values()));

        List<String> failed = new ArrayList<>();
        mesh.must("./atoll kill edge3");
        for (int i = 0; i < objects; i++) {
            Http.Response response = Http.get(mesh.edge(1 + i % 2), "/objects/scene-" + i);
            if (response.status() != 200 || response.header("Cache-Status").contains("\"edge3\"")) {
                failed.add(i + ": " + response);
            }
        }
        assertEquals(List.of(), failed, "requests after an edge died");
        long refetched = mesh.originRequests("/objects/scene-") - objects;
        Scene.print("%d objects asked 6 times: the origin saw %d requests; after the death of edge3 %d more", objects, objects,
                refetched);
        assertEquals(0, refetched, "the shields hold what the dead edge held");
    }
}
