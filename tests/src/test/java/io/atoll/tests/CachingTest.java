package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Dist;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ScriptedOrigin;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.SocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * Two edges with a route over an origin take the same caching decisions as one stock nginx: each of {@link CachingCases} runs against a
 * stock cache, the edge that owns the object, the other edge, and both in turn, each time with an object of its own; and against an edge
 * that has taken all keys over from another a moment ago, which has no copy, or the first answer. Status, headers and
 * body of each answer, and the requests that the origin saw meanwhile, are the same. One worker each, since a second one may be asked
 * before the first has put its copy in place, in any nginx.
 */
@ExtendWith(SceneExtension.class)
class CachingTest {
    private static final Duration FAR = Duration.ofSeconds(5);
    private static final int THREADS = 64;
    /** Headers of the connection and of the moment, and those that Atoll adds as documented. */
    private static final List<String> OWN = List.of("connection", "keep-alive", "date", "cache-status", "cdn-loop", "atoll-step",
            "atoll-generation");

    /** What each location has beside what docs/route.md says. */
    private static final Map<String, String> LOCATIONS = new LinkedHashMap<>();

    static {
        LOCATIONS.put("plain", "");
        LOCATIONS.put("valid", "proxy_cache_valid 200 301 302 404 1h;");
        LOCATIONS.put("any", "proxy_cache_valid any 1h;");
        LOCATIONS.put("revalidate", "proxy_cache_revalidate on;");
        LOCATIONS.put("stale", "proxy_cache_use_stale error timeout invalid_header updating http_500 http_502 http_503 http_504;");
        LOCATIONS.put("background", "proxy_cache_use_stale updating; proxy_cache_background_update on; proxy_cache_revalidate on;");
        LOCATIONS.put("ignore", "proxy_ignore_headers Cache-Control Expires Set-Cookie Vary; proxy_cache_valid 200 1h;");
        LOCATIONS.put("force", "proxy_force_ranges on;");
        LOCATIONS.put("methods", "proxy_cache_methods GET HEAD POST;");
        LOCATIONS.put("twice", "proxy_cache_min_uses 2;");
        LOCATIONS.put("gzip", "gzip on; gzip_min_length 1; gzip_proxied any; gzip_vary on; gzip_types text/plain;");
        LOCATIONS.put("unbuffered", "proxy_buffering off;");
        LOCATIONS.put("cookie", "add_header Set-Cookie node=1 always;");
        LOCATIONS.put("slices", "slice 1k; proxy_set_header Range $slice_range; proxy_cache_valid 206 1h;");
    }

    /** Who is asked. */
    private enum Lane { STOCK, OWNER, FRONT, TURNS, HANDOVER, MOVED }

    /** What a step brought: the answer, and what the origin saw. */
    private record Outcome(int status, Map<String, String> headers, String body, List<String> origin, String asked) {
    }

    /** One case's object in one lane, as the origin sees it. */
    private static final class Track {
        private final CachingCase script;
        private final List<ScriptedOrigin.Request> seen = new ArrayList<>();

        private Track(CachingCase script) {
            this.script = script;
        }

        synchronized int count() {
            return seen.size();
        }

        synchronized List<ScriptedOrigin.Request> since(int from) {
            return List.copyOf(seen.subList(from, seen.size()));
        }

        boolean answer(ScriptedOrigin.Request request, OutputStream out) throws IOException {
            int number;
            synchronized (this) {
                number = seen.size();
                seen.add(request);
            }
            return script.answer(number, request, out);
        }
    }

    private final Map<String, Nginx> nodes = new HashMap<>();
    private final Map<String, Track> tracks = new ConcurrentHashMap<>();
    private SocketAddress stock;
    private List<String> edges;
    /** Who had all keys, and who has them now. */
    private List<String> moved;

    @TestFactory
    Stream<DynamicTest> shouldDecideAsStock(Scene scene) throws Exception {
        List<CachingCase> cases = CachingCases.all();
        start(scene);
        ExecutorService threads = scene.keep(new Threads()).pool;
        Map<CachingCase, Map<Lane, Future<List<Outcome>>>> runs = new LinkedHashMap<>();
        for (int i = 0; i < cases.size(); i++) {
            Map<Lane, Future<List<Outcome>>> lanes = new HashMap<>();
            for (Lane lane : Lane.values()) {
                int number = i;
                lanes.put(lane, threads.submit(() -> run(cases.get(number), number, lane)));
            }
            runs.put(cases.get(i), lanes);
        }
        Scene.print("%d cases, each in %d lanes", cases.size(), Lane.values().length);
        assertTrue(cases.size() >= 100, "cases: " + cases.size());
        return runs.entrySet().stream().map(run -> DynamicTest.dynamicTest(run.getKey().name, () -> compare(run.getKey(), run.getValue())));
    }

    private static final class Threads implements AutoCloseable {
        private final ExecutorService pool = Executors.newFixedThreadPool(THREADS);

        @Override
        public void close() {
            pool.shutdownNow();
        }
    }

    private void start(Scene scene) throws IOException {
        String origin = scene.address(31) + ":7001";
        scene.keep(ScriptedOrigin.start(scene.address(31), 7001, (request, out) -> {
            String[] parts = request.target().split("[/?]", 5);
            return tracks.get(parts[2] + "/" + parts[3].replaceAll("\\D.*", "")).answer(request, out);
        }));
        Nginx single = Nginx.in(scene, "stock").http(locations(scene.address(10) + ":7001", "", """
                proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; proxy_pass_header X-Accel-Expires;
                """, "origin") + "upstream origin { server " + origin + "; }").workers(1);
        stock = Http.address(scene.address(10) + ":7001");
        edges = List.of(scene.address(11) + ":7001", scene.address(12) + ":7001");
        for (String edge : edges) {
            edge(scene, edge, origin, "0", edges).start();
        }
        moved = List.of(scene.address(13) + ":7001", scene.address(14) + ":7001");
        edge(scene, moved.get(0), origin, "10m timeout=5s", moved.subList(0, 1)).start();
        edge(scene, moved.get(1), origin, "10m timeout=5s", moved.subList(0, 1)).start();
        edge(scene, moved.get(1), origin, "10m timeout=5s", moved.subList(1, 2)).reload();
        Await.until("the new worker to answer", FAR, () -> owner(moved.get(1), "/").equals(moved.get(1)));
        single.start();
    }

    private Nginx edge(Scene scene, String edge, String origin, String handover, List<String> members) throws IOException {
        String servers = members.stream().map(member -> "server " + member + " max_fails=0; ").collect(Collectors.joining())
                + "keepalive 16; atoll_handover " + handover + ";";
        Nginx node = nodes.computeIfAbsent(edge, name -> Nginx.in(scene, "edge" + name.split("[.:]")[3]).expectLog("CDN-Loop"));
        return node.atoll(locations(edge, """
                if ($http_x_who) { return 200 $atoll_owner_edges; }
                """, "include " + Dist.ROOT.resolve("conf-examples/atoll_params") + ";", "cdn") + """
                atoll_secret %s;
                upstream edges { atoll $host$uri$is_args$args; %s }
                upstream edges_slices { atoll $host$uri$is_args$args$slice_range; %s }
                upstream origin { server %s; }
                upstream cdn { atoll_route edges origin; }
                upstream cdn_slices { atoll_route edges_slices origin; }
                """.formatted(secret(scene), servers, servers, origin)).workers(1);
    }

    private static String owner(String edge, String target) {
        try {
            return Http.get(Http.address(edge), target, "X-Who: 1").body();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Path secret(Scene scene) throws IOException {
        return Files.writeString(scene.file("secret"), "a secret of the mesh of this scene\n");
    }

    /** A cache in all its locations. */
    private static String locations(String listen, String server, String lines, String upstream) {
        StringBuilder text = new StringBuilder("""
                proxy_cache_path cache keys_zone=c:16m inactive=1h;
                server {
                    listen %s backlog=1024;
                    access_log off;
                    %s
                    location = /internal { internal; add_header Cache-Control max-age=60; return 200 "from inside"; }
                """.formatted(listen, server));
        LOCATIONS.forEach((name, own) -> text.append("""
                    location /%s/ {
                        proxy_pass http://%s;
                        %s
                        proxy_cache c;
                        proxy_cache_key $host$uri$is_args$args%s;
                        proxy_cache_lock on;
                        proxy_connect_timeout 3s;
                        proxy_read_timeout 3s;
                        proxy_next_upstream error timeout http_502 http_503 http_504;
                        %s
                    }
                """.formatted(name, upstream + (name.equals("slices") && upstream.equals("cdn") ? "_slices" : ""), lines,
                name.equals("slices") ? "$slice_range" : "", own)));
        return text.append("}\n").toString();
    }

    /** Runs a case in one lane. The owner differs from stock in nothing, also when it has just taken its keys over. */
    private List<Outcome> run(CachingCase script, int number, Lane lane) throws IOException {
        Track track = new Track(script);
        String base = "/" + script.location + "/" + lane.name().toLowerCase(Locale.ROOT) + "/" + number;
        tracks.put(base.split("/")[2] + "/" + number, track);
        List<Outcome> outcomes = new ArrayList<>();
        int turn = 0;
        for (CachingCase.Step step : script.steps) {
            if (step.method().isEmpty()) {
                Await.window(Duration.ofMillis(step.pauseMs()));
                continue;
            }
            int before = track.count();
            String target = base + step.suffix();
            Http.Response response;
            try {
                response = Http.once(at(lane, target, turn), step.method(), target, step.headers().toArray(String[]::new));
            } catch (IOException e) {
                throw new IOException(script + ", " + lane + ", request " + (turn + 1), e);
            }
            int expected = turn < script.asked.length() ? expected(script.asked.charAt(turn)) : 0;
            long deadline = System.nanoTime() + FAR.toNanos();
            while (track.count() < before + expected && System.nanoTime() < deadline) {
                Await.window(Duration.ofMillis(5));
            }
            outcomes.add(outcome(response, track.since(before), base));
            turn++;
        }
        return outcomes;
    }

    private static int expected(char asked) {
        return asked == '-' ? 0 : Character.isDigit(asked) ? asked - '0' : 1;
    }

    private SocketAddress at(Lane lane, String target, int turn) throws IOException {
        if (lane == Lane.STOCK) {
            return stock;
        }
        if (lane == Lane.TURNS) {
            return Http.address(edges.get(turn % 2));
        }
        if (lane == Lane.HANDOVER || lane == Lane.MOVED) {
            return Http.address(moved.get(lane == Lane.MOVED && turn == 0 ? 0 : 1));
        }
        String owner = owner(edges.get(0), target);
        int index = edges.indexOf(owner);
        assertTrue(index >= 0, "owner of " + target + ": " + owner);
        return Http.address(edges.get(lane == Lane.OWNER ? index : 1 - index));
    }

    private static Outcome outcome(Http.Response response, List<ScriptedOrigin.Request> seen, String base) {
        Map<String, String> headers = new TreeMap<>(response.headers());
        headers.keySet().removeAll(OWN);
        headers.replaceAll((name, value) -> value.replace(base, "/BASE"));
        List<String> origin = new ArrayList<>();
        StringBuilder asked = new StringBuilder();
        for (ScriptedOrigin.Request request : seen) {
            Map<String, String> kept = new TreeMap<>(request.headers());
            kept.keySet().removeAll(OWN);
            origin.add(request.method() + " " + request.target().replace(base, "/BASE") + " " + kept + " " + request.header("atoll-step"));
            asked.append(request.header("if-none-match").isEmpty() && request.header("if-modified-since").isEmpty() ? 'F' : 'R');
        }
        String body = response.body().replaceAll("(?m)(?<=^--)\\d{20}", "BOUNDARY");
        headers.computeIfPresent("content-type", (name, value) -> value.replaceAll("(?<=boundary=)\\d{20}", "BOUNDARY"));
        return new Outcome(response.status(), headers, body, origin, asked.isEmpty() ? "-" : asked.toString());
    }

    private static void compare(CachingCase script, Map<Lane, Future<List<Outcome>>> lanes) throws Throwable {
        try {
            List<Outcome> stock = lanes.get(Lane.STOCK).get();
            StringBuilder asked = new StringBuilder();
            stock.forEach(outcome -> asked.append(outcome.asked.length() == 1 ? outcome.asked : Integer.toString(outcome.asked.length())));
            assertEquals(script.asked, asked.toString(), script + ": what stock asked the origin, step by step: " + stock);
            List<String> found = new ArrayList<>();
            for (Lane lane : List.of(Lane.OWNER, Lane.FRONT, Lane.TURNS, Lane.HANDOVER, Lane.MOVED)) {
                compare(lane, stock, lanes.get(lane).get(), lane == Lane.MOVED ? script.movedDifferences
                        : lane == Lane.OWNER || lane == Lane.HANDOVER ? Set.of() : script.differences, found);
            }
            assertEquals(List.of(), found, () -> script + ": differs from stock, which had " + stock);
        } catch (ExecutionException e) {
            throw e.getCause();
        }
    }

    private static void compare(Lane lane, List<Outcome> stock, List<Outcome> atoll, Set<String> differences, List<String> found) {
        for (int i = 0; i < stock.size(); i++) {
            String where = lane + ", request " + (i + 1) + ": ";
            Outcome a = stock.get(i);
            Outcome b = atoll.get(i);
            differ(where, "status", a.status, b.status, differences, found);
            differ(where, "body", a.body, b.body, differences, found);
            differ(where, "origin", a.origin, b.origin, differences, found);
            TreeMap<String, String> names = new TreeMap<>(a.headers);
            names.putAll(b.headers);
            names.keySet().forEach(name -> differ(where, name, a.headers.get(name), b.headers.get(name), differences, found));
        }
    }

    private static void differ(String where, String what, Object stock, Object atoll, Set<String> differences, List<String> found) {
        if (!Objects.equals(stock, atoll) && !differences.contains(what)) {
            found.add(where + what + ": stock " + brief(stock) + ", atoll " + brief(atoll));
        }
    }

    private static String brief(Object value) {
        String text = String.valueOf(value);
        return text.length() <= 400 ? text : text.substring(0, 400) + "... (" + text.length() + ")";
    }
}
