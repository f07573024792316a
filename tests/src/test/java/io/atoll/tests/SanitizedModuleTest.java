package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Dist;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The module under AddressSanitizer and UndefinedBehaviorSanitizer in a real nginx: no fault makes it report anything. */
@ExtendWith(SceneExtension.class)
class SanitizedModuleTest {
    private static final Duration FAR = Duration.ofSeconds(30);
    private static final int RELOADS = 10;
    private static final int FLIPS = 8;
    private static final List<String> POOLS = List.of("ring", "addresses", "backups", "limited", "single", "unkeyed");

    @Test
    void shouldFindNothingWrongInTheModuleWhateverHappens(Scene scene) throws IOException {
        Path reports = Files.createDirectory(scene.file("reports"));
        Files.setPosixFilePermissions(reports, PosixFilePermissions.fromString("rwxrwxrwx"));
        Peers peers = Peers.start(scene, 4);
        Nginx front = sanitized(scene, reports);
        try {
            drive(scene, front.http(http(front, peers, 0)), peers);
        } finally {
            assertEquals("", said(reports), "reports of the sanitizers");
        }
    }

    private static void drive(Scene scene, Nginx front, Peers peers) throws IOException {
        front.start();
        assertTrue(Proc.maps(front.workerPids().get(0)).stream().anyMatch(line -> line.contains("libasan")),
                "the sanitizer is loaded");

        Load load = Load.startClosing(scene, front.address(), "/ring", 100);
        for (int i = 1; i <= RELOADS; i++) {
            front.http(http(front, peers, i)).reload();
            ask(front, 40);
        }
        Load.Report report = load.stop();
        assertTrue(report.failed().isEmpty(), report.complaint());
        killAWorker(front);
        ask(front, 40);
        flipTheLiveZone(front);

        front.stop();
        Files.delete(front.zone());
        front.start();
        assertEquals(200, Http.get(front.address(), "/ring/o/1").status(), "serves as before");
        front.stop();
    }

    /** Debian's nginx with the runtimes of the sanitizers before all else; the module is built for them. */
    private static Nginx sanitized(Scene scene, Path reports) {
        Proc.must("make", "-s", "-j2", "-C", Dist.ROOT.resolve("nginx-module").toString(), "module-asan");
        Path module = Dist.ROOT.resolve("nginx-module/build/asan-module/ngx_http_atoll_module.so");
        String runtimes = Stream.of("libasan.so", "libubsan.so")
                .map(name -> Proc.must("cc", "-print-file-name=" + name).trim()).reduce((a, b) -> a + ":" + b).orElseThrow();
        return Nginx.in(scene, "front").main("load_module " + module + ";")
                .environment("LD_PRELOAD", runtimes)
                .environment("ASAN_OPTIONS", "handle_segv=0:allow_user_segv_handler=1:detect_leaks=0:log_path="
                        + reports.resolve("asan"))
                .environment("UBSAN_OPTIONS", "print_stacktrace=1:log_path=" + reports.resolve("ubsan"));
    }

    /** Pools whose servers differ from round to round. Nobody listens on port 1. */
    private static String http(Nginx front, Peers peers, int round) {
        StringBuilder ring = new StringBuilder();
        for (int i = 0; i < peers.size(); i++) {
            int peer = (i + round) % peers.size();
            if (i != 3 || round % 2 == 0) {
                ring.append("server ").append(peers.name(peer)).append(" weight=").append(1 + (i + round) % 3)
                        .append(" max_fails=1 fail_timeout=1s;\n");
            }
        }
        String dead = front.scene().address(99) + ":1";
        return """
                atoll_zone %1$s size=4m;
                atoll_java lib=%2$s;
                proxy_connect_timeout 1s;
                proxy_read_timeout 2s;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                upstream ring {
                    atoll $uri replicas=4;
                    %3$s    server %4$s max_fails=1 fail_timeout=1s;
                    atoll_slow_start 500ms;
                    keepalive 8;
                }
                upstream addresses {
                    atoll $uri ketama replicas=2;
                    server localhost:1 max_fails=%5$d;
                    server %6$s;
                    server %7$s down;
                    keepalive 2;
                }
                upstream backups {
                    atoll $uri;
                    server %4$s max_fails=2 fail_timeout=1s;
                    server %6$s backup;
                    server %7$s backup weight=2;
                }
                upstream limited {
                    zone limited 64k;
                    atoll $uri;
                    server %6$s max_conns=1;
                    server %7$s max_conns=2;
                }
                upstream single {
                    atoll $uri;
                    server %6$s;
                }
                upstream unkeyed {
                    atoll $arg_none;
                    server %6$s weight=3;
                    server %4$s max_fails=1 fail_timeout=1s;
                    server %7$s;
                }
                server {
                    listen %8$s backlog=1024;
                    add_header X-Upstream $upstream_addr always;
                    add_header X-Owner $atoll_owner always;
                    location ~ ^/(?<pool>[a-z]+)(?<object>/o/.*)$ { proxy_pass http://$pool$object; }
                    location = /status { atoll_status; }
                }
                """.formatted(front.zone(), Dist.folder(), ring, dead, round % 3, peers.name(round % 4),
                peers.name((round + 1) % 4), front.socket());
    }

    /** Asks every pool, several connections at a time; each must answer, and the status must be whole. */
    private static void ask(Nginx front, int objects) throws IOException {
        List<Http> connections = new ArrayList<>();
        try {
            for (int i = 0; i < 4; i++) {
                connections.add(Http.open(front.address(), FAR));
            }
            for (String pool : POOLS) {
                for (int i = 0; i < objects; i++) {
                    Http.Response response = connections.get(i % connections.size()).send("/" + pool + "/o/" + i);
                    assertEquals(200, response.status(), pool + ", object " + i + ": " + response.headers());
                    assertEquals(Peers.body("/o/" + i), response.body());
                }
            }
        } finally {
            for (Http http : connections) {
                http.close();
            }
        }
        assertEquals(POOLS.size(), status(front).path("upstreams").size());
    }

    private static JsonNode status(Nginx front) throws IOException {
        Http.Response response = Http.get(front.address(), "/status");
        assertEquals(200, response.status());
        return new ObjectMapper().readTree(response.body());
    }

    private static void killAWorker(Nginx front) {
        List<Long> workers = front.workerPids();
        front.expectLog("exited on signal 9");
        Proc.signal(workers.get(0), "KILL");
        Await.until("another worker in its place", FAR, () -> {
            List<Long> now = front.workerPids();
            return now.size() == workers.size() && !now.contains(workers.get(0));
        });
    }

    /** A request may fail while the zone says anything at all, but it is answered, and nobody dies of it. */
    private static void flipTheLiveZone(Nginx front) throws IOException {
        // which is said when it strikes the words by which a zone is known
        front.expectLog("the file was cut short or written over");
        ZoneFile zone = new ZoneFile(front.zone());
        long seed = System.nanoTime();
        Scene.print("seed %d", seed);
        for (int i = 0; i < FLIPS; i++) {
            List<Long> workers = front.workerPids();
            zone.flipBehindMagic(new Random(seed + i));
            try (Http http = Http.open(front.address(), FAR)) {
                for (String pool : POOLS) {
                    for (int n = 0; n < 20; n++) {
                        assertTrue(http.send("/" + pool + "/o/" + n).status() >= 200);
                    }
                }
            }
            assertEquals(POOLS.size(), status(front).path("upstreams").size());
            assertEquals(workers, front.workerPids(), "no worker died, seed " + (seed + i));
            if (i % 4 == 3) {
                front.reload();
            }
        }
    }

    private static String said(Path reports) throws IOException {
        StringBuilder text = new StringBuilder();
        try (Stream<Path> files = Files.list(reports)) {
            for (Path file : files.toList()) {
                text.append(file.getFileName()).append(":\n").append(Files.readString(file));
            }
        }
        return text.toString();
    }
}
