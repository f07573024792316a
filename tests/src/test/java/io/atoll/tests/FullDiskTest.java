package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.RouteMesh.Node;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.SmallDisk;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.SocketAddress;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** A cache whose disk is full, by its own copies and by other data: every request is answered, stored or not. */
@ExtendWith(SceneExtension.class)
class FullDiskTest {
    private static final int RATE = 200;
    private static final Duration FAR = Duration.ofSeconds(20);
    private static final Duration PHASE = Duration.ofMillis(1500);
    private static final String LOW = "responses are passed on, not stored";
    private static final String AGAIN = "responses are stored again";
    private static final ObjectMapper JSON = new ObjectMapper();

    /** More than clients that were held up for a second can have stored until the disk is looked at again. */
    private static final int RESERVE = 4 << 20;

    /** A cache over the peers on a small disk; storing says when it does not store. */
    private static Nginx cache(Scene scene, String name, Peers peers, String reserve, String storing) {
        Nginx nginx = Nginx.in(scene, name);
        return nginx.module("""
                %s
                proxy_cache_path cache keys_zone=c:1m inactive=1h;
                upstream pool { %s }
                server {
                    listen %s backlog=1024;
                    location / {
                        proxy_pass http://pool;
                        proxy_cache c;
                        proxy_cache_key $uri$is_args$args;
                        proxy_cache_valid 200 1h;
                        %s
                        add_header X-Upstream $upstream_addr;
                        add_header X-Cache $upstream_cache_status;
                    }
                    location = /status { atoll_status; }
                }
                """.formatted(reserve, peers.servers(""), nginx.socket(), storing));
    }

    private static String cacheStatus(SocketAddress at, String target) {
        try {
            Http.Response response = Http.get(at, target);
            assertEquals(200, response.status(), target);
            return response.header("X-Cache");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static JsonNode disk(SocketAddress at) throws IOException {
        return JSON.readTree(Http.get(at, "/status").body()).path("disks").path(0);
    }

    private static void awaitLow(Nginx nginx) {
        Await.until("the disk to be found full", FAR, () -> {
            try {
                return disk(nginx.address()).path("low").asBoolean();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }

    /** Waits until a new object is stored. */
    private static void awaitStoring(SocketAddress at) {
        int[] next = {0};
        Await.until("a new object to be stored", FAR, () -> {
            String object = "/o/1?new=" + next[0]++;
            return cacheStatus(at, object).equals("MISS") && cacheStatus(at, object).equals("HIT");
        });
    }

    @Test
    void shouldServeWithoutStoringWhileTheDiskIsFull(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 2);
        Nginx stock = cache(scene, "stock", peers, "", "");
        Nginx atoll = cache(scene, "atoll", peers, "atoll_disk_reserve cache " + RESERVE + ";",
                "proxy_no_cache $atoll_no_store; proxy_max_temp_file_size 0;");
        stock.expectLog("No space left on device");
        SmallDisk stockDisk = SmallDisk.under(stock, "2m");
        SmallDisk disk = SmallDisk.under(atoll, "8m");
        stock.start();
        atoll.start();
        Await.until("an object to be stored", FAR, () -> cacheStatus(atoll.address(), "/o/1?kept").equals("HIT"));
        assertEquals(RESERVE, disk(atoll.address()).path("reserve").asInt());
        assertEquals(false, disk(atoll.address()).path("low").asBoolean(true), "there is room");
        stockDisk.fill(1 << 20);
        disk.fill(RESERVE + (768 << 10));
        Load load = Load.start(scene, atoll.address(), "", RATE);
        Load beside = Load.start(scene, stock.address(), "", RATE);

        Await.until("the cache itself to use its disk up to the reserve", FAR, () -> atoll.count(LOW) > 0);
        assertTrue(disk.free() > RESERVE / 2, "most of the reserve is left: " + disk.free());
        assertTrue(disk(atoll.address()).path("low").asBoolean(), "atoll_status says so");
        disk.fill(0);
        long filled = System.nanoTime();
        // the page of a temporary file that is removed is enough for the next one, and for its client
        Await.until("stock to want for space", FAR, () -> {
            stockDisk.fill(0);
            return beside.report().since(filled).failed().size() > RATE / 20;
        });
        long full = System.nanoTime();
        Await.window(PHASE);
        assertEquals(0, disk.free(), "still full");
        assertEquals("HIT", cacheStatus(atoll.address(), "/o/1?kept"), "copies are served");
        assertEquals("MISS", cacheStatus(atoll.address(), "/o/1?other"));
        assertEquals("MISS", cacheStatus(atoll.address(), "/o/1?other"), "none is added");
        long end = System.nanoTime();
        assertEquals(1, atoll.count(LOW), "logged once: " + atoll.errorLog());

        disk.clear();
        awaitStoring(atoll.address());
        assertEquals(1, atoll.count(AGAIN), "logged once: " + atoll.errorLog());
        Load.Report report = load.stop();
        Load.Report cut = beside.stop().between(full, end);
        Scene.print("disk full, stock: %s", cut.line());
        Scene.print("disk full, atoll: %s", report.between(full, end).line());
        assertEquals(List.of(), report.failed(), report.complaint());
        assertTrue(report.between(full, end).count() > RATE, "requests while it was full");
        assertTrue(cut.failed().size() > cut.count() / 10, "this disk is full enough to hurt stock: " + cut.line());
    }

    @Test
    void shouldServeARouteWhenTheDiskOfANodeIsFull(Scene scene) {
        RouteMesh mesh = RouteMesh.in(scene, 3, 1).secret("a secret of the mesh of this scene");
        mesh.nodes().forEach(node -> node.http("atoll_disk_reserve cache temp " + RESERVE + ";").caching("proxy_max_temp_file_size 0;"));
        Node victim = mesh.edge(0);
        SmallDisk disk = SmallDisk.under(victim.nginx(), "5m");
        mesh.start();
        disk.fill(RESERVE + (32 << 10));
        List<Load> loads = mesh.edges().stream().map(edge -> Load.start(scene, edge.socket(), "", RATE / 2)).toList();
        Await.until("the owner's disk to be low", FAR, () -> victim.nginx().count(LOW) > 0);
        disk.fill(0);
        long full = System.nanoTime();
        Await.window(PHASE);
        assertEquals(0, disk.free(), "still full");
        long end = System.nanoTime();
        for (Load load : loads) {
            Load.Report report = load.stop();
            Scene.print("one of three disks full: %s", report.between(full, end).line());
            assertEquals(List.of(), report.failed(), report.complaint());
            assertTrue(report.between(full, end).count() > RATE / 4, "requests while it was full");
        }
    }

    @Test
    void shouldServeWithoutStoringWhileTheDiskIsReadOnly(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 1);
        Nginx nginx = cache(scene, "atoll", peers, "atoll_disk_reserve cache 256k;",
                "proxy_no_cache $atoll_no_store; proxy_max_temp_file_size 0;");
        SmallDisk disk = SmallDisk.under(nginx, "2m");
        nginx.start();
        Await.until("an object to be stored", FAR, () -> cacheStatus(nginx.address(), "/o/1").equals("HIT"));
        disk.readOnly(true);
        awaitLow(nginx);
        assertEquals("HIT", cacheStatus(nginx.address(), "/o/1"));
        for (int i = 2; i < 50; i++) {
            assertEquals("MISS", cacheStatus(nginx.address(), "/o/" + i));
        }
        disk.readOnly(false);
        awaitStoring(nginx.address());
    }

    @Test
    void shouldLookOnlyAtTheDiskOfTheRequestsCache(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 1);
        Nginx nginx = Nginx.in(scene, "two");
        SmallDisk disk = SmallDisk.under(nginx, "1m");
        nginx.workers(1).module("""
                atoll_disk_reserve cache 128k;
                proxy_cache_path cache keys_zone=full:1m;
                proxy_cache_path roomy keys_zone=roomy:1m use_temp_path=off;
                server {
                    listen %s;
                    proxy_cache_valid 200 1h;
                    proxy_no_cache $atoll_no_store;
                    proxy_max_temp_file_size 0;
                    add_header X-Cache $upstream_cache_status;
                    add_header X-Upstream $upstream_addr;
                    location /full/ { proxy_pass http://%2$s/; proxy_cache full; }
                    location /roomy/ { proxy_pass http://%2$s/; proxy_cache roomy; }
                    location = /status { atoll_status; }
                }
                """.formatted(nginx.socket(), peers.name(0))).start();
        disk.fill(0);
        awaitLow(nginx);
        for (String expected : List.of("MISS", "HIT")) {
            assertEquals("MISS", cacheStatus(nginx.address(), "/full/o/1"));
            assertEquals(expected, cacheStatus(nginx.address(), "/roomy/o/1"));
        }
    }
}
