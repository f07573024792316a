package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Backend;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** atoll_purge: one entry leaves nginx's own cache and the disk, whatever else happens to it at the time. */
@ExtendWith(SceneExtension.class)
class PurgeFileTest {
    private static final Duration LIMIT = Duration.ofSeconds(20);
    private static final int BIG = 1 << 20;

    /** A cache "c" with its locations, and /purge/… for the entry of /…; the origin has /o/…, /vary/… and the files of /big/. */
    private static Nginx cache(Scene scene, String parameters, String lines) throws IOException {
        Path big = Files.createDirectories(scene.file("objects/big"));
        for (int i = 0; i < 8; i++) {
            Files.writeString(big.resolve(Integer.toString(i)), Integer.toString(i).repeat(BIG));
        }
        String origin = scene.address(9) + ":7421";
        Nginx.in(scene, "origin").workers(1).http("""
                server {
                    listen %s;
                    root %s;
                    location / { return 200 "$request_id\\n"; }
                    location /vary/ { add_header Vary X-Lang; return 200 "$request_id\\n"; }
                    location /big/ { }
                }
                """.formatted(origin, scene.file("objects"))).start();
        Nginx nginx = Nginx.in(scene, "cache");
        return nginx.module("""
                server {
                    listen %s;
                    proxy_cache_key $uri;
                    proxy_cache_valid 200 1h;
                    proxy_cache_lock on;
                    add_header X-Cache $upstream_cache_status;
                    location / { proxy_pass http://%s; proxy_cache c; }
                    location ~ ^/purge(?<object>/.+)$ { atoll_purge c $object; }
                %s
                }
                proxy_cache_path cache levels=1:2 keys_zone=c:1m inactive=1h %s;
                proxy_cache_path marks keys_zone=marks:1m max_size=1m;
                """.formatted(nginx.socket(), origin, lines, parameters));
    }

    private static String cached(Nginx nginx, String target, String... headers) {
        try {
            Http.Response response = Http.get(nginx.address(), target, headers);
            assertEquals(200, response.status(), target);
            return response.header("X-Cache");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Fetches an object that is not stored. nginx may answer before it has stored it. */
    private static void store(Nginx nginx, String target, String... headers) {
        assertEquals("MISS", cached(nginx, target, headers), target);
        Await.until(target + " to be stored", LIMIT, () -> cached(nginx, target, headers).equals("HIT"));
    }

    private static Http.Response purge(Nginx nginx, String target) throws IOException {
        return Http.once(nginx.address(), "PURGE", "/purge" + target);
    }

    private static int files(Nginx nginx, String folder) {
        try (var files = Files.walk(nginx.prefix().resolve(folder))) {
            return (int) files.filter(Files::isRegularFile).count();
        } catch (IOException e) {
            return -1;
        }
    }

    @Test
    void shouldRemoveOneEntryAndItsFileAtOnce(Scene scene) throws IOException {
        Nginx nginx = cache(scene, "", "").start();
        for (int i = 0; i < 3; i++) {
            store(nginx, "/big/" + i);
        }
        Http.Response answer = purge(nginx, "/big/1");
        assertEquals(200, answer.status(), answer.body());
        assertTrue(Agent.json(answer).path("purged").asBoolean(), answer.body());
        assertTrue(Agent.json(answer).path("bytes").asLong() >= BIG, answer.body());
        assertEquals(2, files(nginx, "cache"));
        assertEquals("{\"purged\":false,\"bytes\":0}\n", purge(nginx, "/big/1").body());
        assertEquals(404, purge(nginx, "/big/1").status());
        store(nginx, "/big/1");
        assertEquals("HIT", cached(nginx, "/big/0"));
        assertEquals("HIT", cached(nginx, "/big/2"));
        assertEquals(200, purge(nginx, "/big/1").status(), "stored anew, and purged again");
    }

    @Test
    void shouldAnswerWhoMayNotAndWhatIsNoCall(Scene scene) throws IOException {
        Nginx nginx = cache(scene, "", """
                location /denied { deny all; atoll_purge c $uri; }
                location /named { atoll_purge c $atoll_generation$atoll_purge_key; }
                location /empty { atoll_purge c $arg_none; }
                """).start();
        for (String method : List.of("PURGE", "POST", "DELETE")) {
            store(nginx, "/o/1");
            assertEquals(200, Http.once(nginx.address(), method, "/purge/o/1", "Content-Length: 0").status(), method);
        }
        for (String method : List.of("GET", "HEAD", "PUT", "PURGES", "OPTIONS")) {
            Http.Response refused = Http.once(nginx.address(), method, "/purge/o/1", "Content-Length: 0");
            assertEquals(405, refused.status(), method);
            assertEquals("PURGE, POST, DELETE", refused.header("Allow"), method);
        }
        assertEquals(403, Http.once(nginx.address(), "PURGE", "/denied").status());
        assertEquals(400, Http.once(nginx.address(), "PURGE", "/empty").status(), "no key");
        store(nginx, "/o/1");
        store(nginx, "/o/%C3%BC%20x");
        assertEquals(400, Http.once(nginx.address(), "PURGE", "/named?key=%2Fo%2F1&generation=x").status(), "no number");
        assertEquals(404, Http.once(nginx.address(), "PURGE", "/named?key=%2Fo%2F%C3%BC%20x&generation=77").status());
        assertEquals(200, Http.once(nginx.address(), "PURGE", "/named?key=%2Fo%2F%C3%BC%20x&generation=0").status());
        assertEquals(1, files(nginx, "cache"));
    }

    @Test
    void shouldPurgeWhereAnIfOfTheLocationApplies(Scene scene) throws IOException {
        Nginx nginx = cache(scene, "", "location /if { if ($request_method = PURGE) { access_log off; } atoll_purge c $arg_of; }").start();
        store(nginx, "/big/1");
        assertEquals(200, Http.once(nginx.address(), "PURGE", "/if?of=/big/1").status());
        assertEquals("MISS", cached(nginx, "/big/1"));
    }

    @Test
    void shouldWorkForFastcgiUwsgiAndScgiCaches(Scene scene) throws IOException {
        StringBuilder paths = new StringBuilder();
        StringBuilder locations = new StringBuilder();
        int p = 0;
        for (String protocol : List.of("fastcgi", "uwsgi", "scgi")) {
            String host = scene.address(11 + p++);
            Backend.start(scene, host, 8000, switch (protocol) {
                case "fastcgi" -> Backend.fastcgi(host);
                case "uwsgi" -> Backend.uwsgi(host);
                default -> Backend.scgi(host);
            });
            paths.append(protocol).append("_cache_path ").append(protocol).append(" keys_zone=").append(protocol).append(":1m;\n");
            locations.append("location /%1$s { %1$s_pass %2$s:8000; %1$s_cache %1$s; %1$s_cache_key $uri; %1$s_cache_valid 1h; }\n"
                    .formatted(protocol, host));
            locations.append("location = /purge/%1$s { atoll_purge %1$s /%1$s; }\n".formatted(protocol));
        }
        Nginx nginx = Nginx.in(scene, "cache");
        nginx.module(paths + "server { listen " + nginx.socket() + "; add_header X-Cache $upstream_cache_status;\n" + locations
                + "}\n").start();
        for (String protocol : List.of("fastcgi", "uwsgi", "scgi")) {
            store(nginx, "/" + protocol);
            assertEquals(200, purge(nginx, "/" + protocol).status());
            assertEquals(0, files(nginx, protocol));
            assertEquals("MISS", cached(nginx, "/" + protocol));
        }
    }

    /** Of the variants under Vary, the first that was stored lies at the key; the others lie where only their requests lead. */
    @Test
    void shouldRemoveTheFirstVariantAlone(Scene scene) throws IOException {
        Nginx nginx = cache(scene, "", "").start();
        store(nginx, "/vary/1", "X-Lang: de");
        store(nginx, "/vary/1", "X-Lang: en");
        assertEquals(200, purge(nginx, "/vary/1").status());
        assertEquals(1, files(nginx, "cache"), "the second stays, until inactive");
        assertEquals("MISS", cached(nginx, "/vary/1", "X-Lang: de"));
        assertEquals("HIT", cached(nginx, "/vary/1", "X-Lang: en"), "and is found again: why keys have a generation");
    }

    @Test
    void shouldLetThoseWhoReadItGoOn(Scene scene) throws IOException {
        Nginx nginx = cache(scene, "", "location /slow/ { proxy_pass http://%s/big/; proxy_cache c; limit_rate 1m; }\n"
                .formatted(scene.address(9) + ":7421")).start();
        cached(nginx, "/slow/3");
        Await.until("it to be stored", LIMIT, () -> files(nginx, "cache") == 1 && !isOpen(nginx));
        Thread reader = new Thread(() -> {
            try {
                Http.Response response = Http.get(nginx.address(), "/slow/3");
                assertEquals("HIT", response.header("X-Cache"));
                assertEquals("3".repeat(BIG), response.body());
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        });
        Throwable[] problem = new Throwable[1];
        reader.setUncaughtExceptionHandler((thread, thrown) -> problem[0] = thrown);
        reader.start();
        Await.until("nginx to have the file open for the reader", LIMIT, () -> isOpen(nginx));
        assertEquals(200, purge(nginx, "/slow/3").status());
        assertTrue(isOpen(nginx), "it is being read still");
        assertEquals(0, files(nginx, "cache"));
        assertEquals(404, purge(nginx, "/slow/3").status());
        Await.until("the reader to end", LIMIT, () -> !reader.isAlive());
        assertEquals(null, problem[0]);
        Await.until("the space to be free", LIMIT, () -> !isOpen(nginx));
        assertEquals("MISS", cached(nginx, "/slow/3"));
    }

    private static boolean isOpen(Nginx nginx) {
        for (long pid : nginx.workerPids()) {
            try (var descriptors = Files.list(Path.of("/proc/" + pid + "/fd"))) {
                for (Path descriptor : descriptors.toList()) {
                    if (Files.readSymbolicLink(descriptor).toString().startsWith(nginx.prefix().resolve("cache/").toString())) {
                        return true;
                    }
                }
            } catch (IOException e) {
                // closed meanwhile
            }
        }
        return false;
    }

    /** Before the loader has found a file, nginx has no node of it. */
    @Test
    void shouldRemoveWhatTheLoaderHasNotFoundYet(Scene scene) throws IOException {
        Nginx nginx = cache(scene, "loader_files=1 loader_sleep=30s", "").start();
        for (int i = 0; i < 5; i++) {
            store(nginx, "/o/" + i);
        }
        nginx.stop();
        nginx.start();
        assertEquals("HIT", cached(nginx, "/o/1"), "known by its node");
        for (int i = 0; i < 5; i++) {
            assertEquals(200, purge(nginx, "/o/" + i).status(), "object " + i);
            assertEquals(404, purge(nginx, "/o/" + i).status(), "object " + i);
            assertEquals(4 - i, files(nginx, "cache"));
        }
        assertEquals("MISS", cached(nginx, "/o/1"));
    }

    /** What nginx believes the cache to take must go up and down with the files, or it would evict too much or too little. */
    @Test
    void shouldKeepTheSizeOfTheCacheRight(Scene scene) throws IOException {
        Nginx nginx = cache(scene, "max_size=3m", "location /marks/ { proxy_pass http://%s/big/; proxy_cache marks; }"
                .formatted(scene.address(9) + ":7421")).start();
        store(nginx, "/o/oldest");
        for (int i = 0; i < 40; i++) {
            store(nginx, "/big/" + i % 2);
            assertEquals(200, purge(nginx, "/big/" + i % 2).status());
        }
        awaitManager(nginx);
        assertEquals("HIT", cached(nginx, "/o/oldest"), "nothing had to go");
        for (int i = 0; i < 8; i++) {
            store(nginx, "/big/" + i);
        }
        awaitManager(nginx);
        assertEquals(2, files(nginx, "cache"), "of 1m and a header each, in 3m");
    }

    /** A new cache manager goes through all caches at once, one after the other: the one behind shows that it has. */
    private static void awaitManager(Nginx nginx) {
        cached(nginx, "/marks/1");
        nginx.reload();
        Await.until("the new cache manager to look at the caches", LIMIT, () -> files(nginx, "marks") == 0);
    }

    @Test
    void shouldStayWholeWhileObjectsAreFetchedAndPurgedAtOnce(Scene scene) throws Exception {
        Nginx nginx = cache(scene, "max_size=8m", "").start();
        long end = System.nanoTime() + Duration.ofSeconds(2).toNanos();
        List<Thread> threads = IntStream.range(0, 6).mapToObj(t -> new Thread(() -> {
            ThreadLocalRandom random = ThreadLocalRandom.current();
            try (Http http = Http.open(nginx.address(), Duration.ofSeconds(10))) {
                while (System.nanoTime() < end) {
                    int i = random.nextInt(3);
                    if (t < 2) {
                        http.send("PURGE", "/purge/o/" + i);
                    } else {
                        assertEquals(200, http.send("/o/" + i).status());
                    }
                }
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        })).toList();
        Throwable[] problem = new Throwable[1];
        threads.forEach(thread -> thread.setUncaughtExceptionHandler((one, thrown) -> problem[0] = thrown));
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        assertEquals(null, problem[0]);
        for (int i = 0; i < 3; i++) {
            purge(nginx, "/o/" + i);
            store(nginx, "/o/" + i);
            String before = Http.get(nginx.address(), "/o/" + i).body();
            assertEquals(before, Http.get(nginx.address(), "/o/" + i).body(), "stored and found");
            assertEquals(200, purge(nginx, "/o/" + i).status());
            assertNotEquals(before, Http.get(nginx.address(), "/o/" + i).body(), "gone");
        }
        assertEquals(0, nginx.count("[crit]"), nginx.errorLog());
    }
}
