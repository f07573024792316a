package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Dist;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.SocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Every folder of conf-examples that holds an nginx.conf or an agent's configuration: started as its README says, and asked. */
@ExtendWith(SceneExtension.class)
class ExamplesTest {
    private static final Path EXAMPLES = Dist.ROOT.resolve("conf-examples");
    private static final Duration FAR = Duration.ofSeconds(20);

    /** An example as it runs: its folder and ports (the first is the clients'). */
    private record Example(Path run, List<Integer> ports) implements AutoCloseable {
        /** Fills a folder's files in and starts its nginx. */
        static Example start(Scene scene, String name) throws IOException {
            Example example = new Example(scene.file(name), freePorts(8));
            example.fill(name);
            Path prepare = EXAMPLES.resolve(name).resolve("prepare.sh");
            if (Files.exists(prepare)) {
                Proc.must("sh", prepare.toString(), example.run.toString());
            }
            Proc.must("nginx", "-p", example.run.toString(), "-e", example.run + "/error.log", "-c",
                    example.run + "/conf/nginx.conf");
            scene.keep(example);
            Await.until("the example's nginx to answer", FAR, example::isListening);
            return example;
        }

        void fill(String name) throws IOException {
            Path conf = Files.createDirectories(run.resolve("conf"));
            try (Stream<Path> files = Files.list(EXAMPLES.resolve(name))) {
                for (Path file : files.filter(path -> path.toString().endsWith(".conf")).toList()) {
                    String text = Files.readString(file).replace("@ROOT@/dist", Dist.folder().toString())
                            .replace("@ROOT@", Dist.ROOT.toString()).replace("@RUN@", run.toString());
                    for (int i = 1; i < ports.size(); i++) {
                        text = text.replace("@PORT" + i + "@", Integer.toString(ports.get(i)));
                    }
                    text = text.replace("@PORT@", Integer.toString(ports.get(0)));
                    assertFalse(text.matches("(?s).*@[A-Z0-9]+@.*"), "a variable that README does not have: " + file);
                    Files.writeString(conf.resolve(file.getFileName().toString()), text);
                }
            }
        }

        SocketAddress address() {
            return Http.address("127.0.0.1:" + ports.get(0));
        }

        String peer(int i) {
            return "127.0.0.1:" + ports.get(i);
        }

        boolean isWithoutHandover() throws IOException {
            return Files.readString(run.resolve("conf/nginx.conf")).contains("atoll_handover 0;");
        }

        /** Its tiers ask each other for nothing from then on. */
        void reloadWithoutHandover() throws IOException {
            Path conf = run.resolve("conf/nginx.conf");
            Files.writeString(conf, Files.readString(conf).replaceAll("(?m)^( +atoll +\\$.*;.*)$", "        atoll_handover 0;\n$1"));
            assertTrue(isWithoutHandover(), "no tier in " + conf);
            List<Long> old = workers();
            Proc.signal(pid(), "HUP");
            Await.until("new workers alone", FAR, () -> !workers().isEmpty() && workers().stream().noneMatch(old::contains));
        }

        private List<Long> workers() {
            return Proc.children(pid()).stream().filter(worker -> Proc.title(worker).startsWith("nginx: worker process")).toList();
        }

        private long pid() {
            try {
                return Long.parseLong(Files.readString(run.resolve("nginx.pid")).trim());
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        }

        boolean isListening() {
            return Proc.run("curl", "-s", "-o", run + "/curl", "http://127.0.0.1:" + ports.get(0) + "/").exit() != 7;
        }

        @Override
        public void close() throws IOException {
            long pid = pid();
            Proc.signal(pid, "QUIT");
            Await.until("the example's nginx to end", FAR, () -> !Proc.alive(pid));
            String log = Files.readString(run.resolve("error.log"));
            assertFalse(log.matches("(?s).*\\[(emerg|alert)].*"), log);
        }
    }

    private static List<Integer> freePorts(int count) throws IOException {
        List<ServerSocket> sockets = new ArrayList<>();
        try {
            for (int i = 0; i < count; i++) {
                sockets.add(new ServerSocket(0, 1, InetAddress.getLoopbackAddress()));
            }
            return sockets.stream().map(ServerSocket::getLocalPort).toList();
        } finally {
            for (ServerSocket socket : sockets) {
                socket.close();
            }
        }
    }

    @Test
    void shouldHaveASceneForEachExample() throws IOException {
        try (Stream<Path> folders = Files.list(EXAMPLES)) {
            assertEquals(Set.of("minimal", "probes", "slow-start", "hot-keys", "bounded-load", "purge", "protocols", "one-tier-route",
                    "two-tiers", "regions",
                    "origin-pool", "slices", "tls", "agent", "mesh"),
                    new HashSet<>(folders.filter(Files::isDirectory).map(path -> path.getFileName().toString()).toList()));
        }
    }

    @Test
    void shouldServeTheMinimalExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "minimal");
        Set<String> owners = new HashSet<>();
        for (int i = 0; i < 30; i++) {
            Http.Response first = Http.get(example.address(), "/any/" + i);
            Http.Response second = Http.get(example.address(), "/any/" + i);
            assertEquals(200, first.status());
            assertEquals(first.body(), second.body(), "the same peer each time");
            assertTrue(first.body().contains("/any/" + i) && first.body().contains(first.header("X-Atoll-Owner")), first.body());
            owners.add(first.header("X-Atoll-Owner"));
        }
        assertEquals(Set.of(example.peer(1), example.peer(2), example.peer(3)), owners);
    }

    @Test
    void shouldServeTheProbesExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "probes");
        for (String path : new String[] {"/any", "/secure/any", "/plain/any", "/aside/any"}) {
            assertEquals(200, Http.get(example.address(), path).status(), path);
        }
        Http.Response status = Http.get(example.address(), "/atoll");
        assertTrue(status.status() == 200 && status.body().contains("\"secure\""), status.body());
        withAgent(example, "single.conf", () -> {
            Await.until("every probed peer to be known", FAR, () -> count(agent(example, "/v1/peers"), "\"state\":\"up\"") == 8);
            return null;
        });
    }

    @Test
    void shouldServeTheSlowStartExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "slow-start");
        for (int i = 0; i < 30; i++) {
            Http.Response response = Http.get(example.address(), "/any/" + i);
            assertEquals(200, response.status());
            assertFalse(response.body().contains(example.peer(3)) || response.body().contains(example.peer(4)),
                    "down, and backup: " + response.body());
        }
    }

    @Test
    void shouldServeTheHotKeysExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "hot-keys");
        String owner = Http.get(example.address(), "/any/name").body();
        for (int i = 0; i < 30; i++) {
            assertEquals(owner, Http.get(example.address(), "/any/name").body(), "one peer without an agent");
        }
        withAgent(example, "hot-keys.conf", () -> {
            Set<String> peers = new HashSet<>();
            Await.until("all three peers to serve the key", FAR, () -> {
                Http.Response response = get(example, "/any/name");
                peers.addAll(response.header("X-Atoll-Hot").equals("1") ? Set.of(response.body()) : Set.of());
                return peers.size() == 3;
            });
            return null;
        });
    }

    @Test
    void shouldServeThePurgeExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "purge");
        withAgent(example, "purge.conf", () -> {
            Await.until("the agent to be in sync", FAR, () -> agent(example, "/metrics").contains("purges_in_sync1.0"));
            String before = get(example, "/images/1.jpg").body();
            String other = get(example, "/other").body();
            assertEquals(before, get(example, "/images/1.jpg").body());
            Http.Response answer = Http.withBody(Http.address("127.0.0.1:" + example.ports.get(6)), "POST", "/v1/purge",
                    "{\"prefix\": \"atoll/images/\"}");
            assertEquals(200, answer.status(), answer.body());
            assertEquals("MISS", get(example, "/images/1.jpg").header("X-Cache"));
            assertEquals(other, get(example, "/other").body());
            answer = Http.withBody(Http.address("127.0.0.1:" + example.ports.get(6)), "POST", "/v1/purge",
                    "{\"key\": \"atoll/other\"}");
            assertTrue(answer.body().contains("\"file deleted\""), answer.body());
            assertEquals("MISS", get(example, "/other").header("X-Cache"));
            return null;
        });
    }

    private static Http.Response get(Example example, String path) {
        try {
            return Http.get(example.address(), path);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    @Test
    void shouldServeTheBoundedLoadExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "bounded-load");
        Set<String> owners = new HashSet<>();
        for (int i = 0; i < 40; i++) {
            Http.Response response = Http.get(example.address(), "/any/" + i);
            assertEquals(200, response.status());
            assertTrue(response.body().contains(response.header("X-Atoll-Owner")), response.body());
            owners.add(response.header("X-Atoll-Owner"));
        }
        assertEquals(4, owners.size(), "owners: " + owners);
        String status = Http.get(example.address(), "/atoll").body();
        assertTrue(status.contains("\"method\":\"maglev\",\"bound_percent\":125,"), status);
    }

    @Test
    void shouldServeTheProtocolsExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "protocols");
        String head = Proc.must("curl", "-s", "-i", "--http2-prior-knowledge", "http://127.0.0.1:" + example.ports.get(0) + "/any");
        assertTrue(head.startsWith("HTTP/2 200") && head.contains("application/grpc"), head);
        String php = Proc.must("curl", "-s", "-i", "--http2-prior-knowledge", "http://127.0.0.1:" + example.ports.get(0) + "/a.php");
        assertTrue(php.startsWith("HTTP/2 502"), php);
    }

    @Test
    void shouldServeTheOneTierExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "one-tier-route");
        askRoute(example, "/any/", Set.of("the origin"), Set.of(cacheAt(example, "cache", 1), cacheAt(example, "cache", 2)));
    }

    @Test
    void shouldServeTheTwoTiersExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "two-tiers");
        askRoute(example, "/any/", Set.of(cacheAt(example, "shield", 3), cacheAt(example, "shield", 4)),
                Set.of(cacheAt(example, "edge", 1), cacheAt(example, "edge", 2)));
    }

    @Test
    void shouldServeTheRegionsExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "regions");
        askRoute(example, "/eu/", Set.of(cacheAt(example, "node", 2)), Set.of(cacheAt(example, "node", 1)));
        askRoute(example, "/us/", Set.of(cacheAt(example, "node", 3)), Set.of(cacheAt(example, "node", 1)));
    }

    @Test
    void shouldServeTheOriginPoolExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "origin-pool");
        Set<String> other = Set.of(cacheAt(example, "cache", 1));
        askRoute(example, "/any/", Set.of("a machine"), other);
        askRoute(example, "/media/", Set.of("the bucket"), other);
        askRoute(example, "/media/new/", Set.of("a machine"), other);
        askRoute(example, "/broken/", Set.of("the bucket"), other);
    }

    @Test
    void shouldServeTheSlicesExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "slices");
        String url = "http://127.0.0.1:" + example.ports.get(0) + "/film.bin";
        byte[] film = Files.readAllBytes(example.run.resolve("files/film.bin"));
        Path got = example.run.resolve("got");
        Proc.must("curl", "-s", "-f", "-o", got.toString(), url);
        assertArrayEquals(film, Files.readAllBytes(got), "the whole film");
        Proc.must("curl", "-s", "-f", "-r", "1500000-3200000", "-o", got.toString(), url);
        assertArrayEquals(Arrays.copyOfRange(film, 1_500_000, 3_200_001), Files.readAllBytes(got), "a range over three slices");
    }

    @Test
    void shouldServeTheTlsExample(Scene scene) throws IOException {
        Example example = Example.start(scene, "tls");
        askRoute(example, "/any/", Set.of(cacheAt(example, "node", 3)), Set.of(cacheAt(example, "node", 2)));
        String nodes = "https://127.0.0.1:" + example.ports.get(1) + "/any/1";
        assertTrue(Proc.must("curl", "-s", "-k", "-i", nodes).startsWith("HTTP/1.1 400"), "no certificate, no answer");
    }

    private static String cacheAt(Example example, String kind, int port) {
        return "the " + kind + " at " + example.ports.get(port);
    }

    /**
     * Asks for a hundred objects, twice: those owned come from above and then from the cache, the others from beside, each time. An owner
     * that was just started asks the next node along the ring first, so what is above is asked for once without handover.
     */
    private static void askRoute(Example example, String path, Set<String> above, Set<String> beside) throws IOException {
        if (!example.isWithoutHandover()) {
            Set<String> either = new HashSet<>(above);
            either.addAll(beside);
            askRoute(example, path + "early/", either, beside, beside);
            example.reloadWithoutHandover();
        }
        Set<String> all = new HashSet<>(above);
        all.addAll(beside);
        askRoute(example, path, above, beside, all);
    }

    private static void askRoute(Example example, String path, Set<String> above, Set<String> beside, Set<String> all) throws IOException {
        Set<String> seen = new HashSet<>();
        for (int i = 0; i < 100; i++) {
            Http.Response first = Http.get(example.address(), path + i);
            Http.Response second = Http.get(example.address(), path + i);
            assertEquals(200, first.status(), first.body());
            assertEquals(first.body(), second.body(), "the same place each time");
            String from = first.body().strip().replaceAll("^.* from ", "").replaceAll(" over TLS.*$", "");
            boolean owner = "owner".equals(first.header("X-Atoll-Role"));
            assertTrue((owner ? above : beside).contains(from), first.header("X-Atoll-Role") + ": " + first.body());
            assertEquals(owner, second.header("Cache-Status").endsWith("; hit"), second.header("Cache-Status"));
            seen.add(from);
        }
        assertTrue(seen.containsAll(all), seen + " has not all of " + all);
    }

    @Test
    void shouldStartEachExampleOfAnAgent(Scene scene) throws IOException {
        Example example = Example.start(scene, "minimal");
        for (String conf : new String[] {"single.conf", "impatient.conf"}) {
            withAgent(example, conf, () -> {
                Await.until(conf + " to be well", FAR, () -> agent(example, "/healthz").contains("\"ok\":true"));
                return null;
            });
        }
        withAgent(example, "names.conf", () -> {
            Await.until("the service of names.conf to be asked for", FAR, () -> agent(example, "/v1/names").contains("_http._tcp.caches"));
            return null;
        });
        Files.writeString(example.run.resolve("token"), "the-token-of-this-example");
        withAgent(example, "several.conf", () -> {
            Await.until("both zones of several.conf to be waited for", FAR, () -> agent(example, "/v1/status")
                    .contains("shield.zone"));
            assertEquals(200, Http.get(Http.address("127.0.0.1:" + example.ports.get(7)), "/metrics").status());
            return null;
        });
    }

    /** Runs an agent of conf-examples/agent on the last ports of an example that runs. */
    private static void withAgent(Example example, String conf, java.util.concurrent.Callable<Void> asked) throws IOException {
        String text = Files.readString(EXAMPLES.resolve("agent").resolve(conf)).replace("@RUN@", example.run.toString())
                .replace("@PORT1@", Integer.toString(example.ports.get(7)))
                .replace("@PORT2@", Integer.toString(example.ports.get(0)))
                .replace("@PORT@", Integer.toString(example.ports.get(6)));
        Path file = Files.writeString(example.run.resolve(conf), text);
        Process agent = new ProcessBuilder(ProcessHandle.current().info().command().orElse("java"), "-jar",
                Dist.agent().toString(), "--config", file.toString()).redirectErrorStream(true)
                .redirectOutput(example.run.resolve(conf + ".log").toFile()).start();
        try {
            asked.call();
            agent.destroy();
            assertTrue(agent.waitFor(FAR.toSeconds(), TimeUnit.SECONDS), "the agent ends on SIGTERM");
        } catch (IOException | RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new AssertionError(e);
        } finally {
            agent.destroyForcibly();
        }
    }

    private static String agent(Example example, String path) {
        try {
            return Http.get(Http.address("127.0.0.1:" + example.ports.get(6)), path).body().replaceAll("\\s", "");
        } catch (IOException e) {
            return "";
        }
    }

    private static int count(String text, String part) {
        return text.split(java.util.regex.Pattern.quote(part), -1).length - 1;
    }
}
