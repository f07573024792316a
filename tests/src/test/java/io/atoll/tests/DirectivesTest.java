package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Backend;
import io.atoll.tests.harness.Dist;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What the directives and variables do in a running nginx. */
@ExtendWith(SceneExtension.class)
class DirectivesTest {
    private static final Duration FAR = Duration.ofSeconds(20);

    /** An http block with one upstream; its location / is proxied with $arg_k as the key. */
    private static Nginx pool(Scene scene, String name, String upstream, String location) {
        Nginx nginx = Nginx.in(scene, name);
        return nginx.atoll("""
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                upstream pool {
                    atoll $arg_k;
                %s}
                server {
                    listen %s;
                    add_header X-Upstream $upstream_addr always;
                    add_header X-Owner $atoll_owner always;
                    add_header X-Node $atoll_node always;
                    location / { proxy_pass http://pool; %s }
                    location /status { atoll_status; }
                }
                """.formatted(upstream, nginx.socket(), location));
    }

    private static JsonNode status(Nginx nginx) throws IOException {
        Http.Response response = Http.get(nginx.address(), "/status");
        assertEquals(200, response.status());
        assertEquals("application/json", response.header("Content-Type"));
        return new ObjectMapper().readTree(response.body());
    }

    @Test
    void shouldServeWithOneDirectiveAloneAtTheDefaultZone(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 2);
        Nginx nginx = Nginx.in(scene, "nginx");
        nginx.module("upstream pool { atoll $uri;\n" + peers.servers("") + "}\nserver { listen " + nginx.socket()
                + "; location / { proxy_pass http://pool; } location /status { atoll_status; } }\n");
        nginx.through(List.of("unshare", "--mount", "--propagation", "private", "sh", "-c",
                "mount -t tmpfs tmpfs /run && mkdir /run/atoll && exec \"$@\"", "sh")).start();
        assertEquals(Peers.body("/o/1"), Http.get(nginx.address(), "/o/1").body());
        JsonNode zone = status(nginx).path("zone");
        assertEquals("/run/atoll/atoll.zone", zone.path("path").asText());
        assertEquals(8 << 20, zone.path("size").asInt());
        Path file = Path.of("/proc", Long.toString(nginx.pid()), "root/run/atoll/atoll.zone");
        assertEquals("rw-rw----", java.nio.file.attribute.PosixFilePermissions.toString(
                Files.getPosixFilePermissions(file)));
    }

    @Test
    void shouldKeepConnectionsToPeersAlive(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 3, "location = /count { return 200 $connection_requests; }");
        Nginx front = pool(scene, "front", peers.servers("") + "    keepalive 8;\n", "").workers(1).start();
        int most = 0;
        try (Http http = Http.open(front.address(), FAR)) {
            for (int i = 0; i < 60; i++) {
                most = Math.max(most, Integer.parseInt(http.send("/count?k=" + i % 6).body()));
            }
        }
        assertTrue(most >= 10, "requests on one connection to a peer: " + most);
    }

    @Test
    void shouldCountMaxConnsOverAllWorkers(Scene scene) throws Exception {
        CountDownLatch gate = new CountDownLatch(1);
        Backend.Protocol slow = Backend.http(() -> {
            try {
                gate.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        Backend[] backends = new Backend[3];
        StringBuilder servers = new StringBuilder();
        for (int i = 0; i < 3; i++) {
            backends[i] = Backend.start(scene, scene.address(11 + i), 8000, slow);
            servers.append("    server ").append(scene.address(11 + i)).append(":8000 max_conns=2;\n");
        }
        Nginx front = pool(scene, "front", servers.toString(), "").workers(4).start();
        List<Http.Response> responses = new ArrayList<>();
        List<Thread> clients = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            Thread client = new Thread(() -> {
                try {
                    Http.Response response = Http.get(front.address(), "/?k=same");
                    synchronized (responses) {
                        responses.add(response);
                    }
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            clients.add(client);
            client.start();
            int sent = i + 1;
            Await.until("request " + sent + " to reach a peer", FAR, () -> backends[0].requests()
                    + backends[1].requests() + backends[2].requests() == sent);
        }
        for (Backend backend : backends) {
            assertEquals(2, backend.requests(), "requests at each peer, though all have one key");
        }
        assertEquals(502, Http.get(front.address(), "/?k=same").status(), "no peer has room");
        gate.countDown();
        for (Thread client : clients) {
            client.join();
        }
        assertTrue(responses.stream().allMatch(response -> response.status() == 200) && responses.size() == 6,
                "all that waited are answered");
        Await.until("room again", FAR, () -> {
            try {
                return Http.get(front.address(), "/?k=same").status() == 200;
            } catch (IOException e) {
                return false;
            }
        });
    }

    @Test
    void shouldAskBackupsOnlyWhenNoPrimaryIsLeft(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 4);
        String servers = "    server %s;\n    server %s;\n    server %s backup;\n    server %s backup;\n".formatted(
                peers.name(0), peers.name(1), peers.name(2), peers.name(3));
        Nginx front = pool(scene, "front", servers, "").start();
        Set<String> before = answering(front, 100);
        assertEquals(Set.of(peers.name(0), peers.name(1)), before);
        peers.nginx(0).kill();
        peers.nginx(1).kill();
        assertEquals(Set.of(peers.name(2), peers.name(3)), answering(front, 100), "both backups, by key");
    }

    private static Set<String> answering(Nginx front, int keys) throws IOException {
        Set<String> peers = new HashSet<>();
        try (Http http = Http.open(front.address(), FAR)) {
            for (int i = 0; i < keys; i++) {
                Http.Response response = http.send("/o/1?k=" + i);
                assertEquals(200, response.status());
                peers.add(response.header("X-Peer"));
            }
        }
        return peers;
    }

    @Test
    void shouldResumeTlsSessionsWithPeersAsStock(Scene scene) throws IOException {
        Path folder = Files.createDirectories(scene.file("tls"));
        Proc.must("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                "2", "-subj", "/CN=peer", "-keyout", folder + "/key", "-out", folder + "/certificate");
        StringBuilder listens = new StringBuilder();
        StringBuilder servers = new StringBuilder();
        for (int i = 0; i < 3; i++) {
            listens.append("listen ").append(scene.address(11 + i)).append(":8443 ssl;\n");
            servers.append("    server ").append(scene.address(11 + i)).append(":8443;\n");
        }
        Nginx.in(scene, "peers").workers(1).http("""
                server {
                    %s
                    ssl_certificate %s/certificate;
                    ssl_certificate_key %s/key;
                    ssl_protocols TLSv1.2;
                    ssl_session_cache shared:tls:1m;
                    location / { return 200 $ssl_session_reused; }
                }
                """.formatted(listens, folder, folder)).start();
        Nginx front = Nginx.in(scene, "front").workers(1);
        front.atoll("""
                upstream by_atoll { atoll $arg_k;
                %1$s}
                upstream by_stock { hash $arg_k consistent;
                %1$s}
                server {
                    listen %2$s;
                    location /atoll { proxy_pass https://by_atoll; }
                    location /stock { proxy_pass https://by_stock; }
                    location /never { proxy_pass https://by_atoll; proxy_ssl_session_reuse off; }
                }
                """.formatted(servers, front.socket())).start();
        int stock = reused(front, "/stock");
        int atoll = reused(front, "/atoll");
        Scene.print("TLS sessions resumed in 60 requests to 3 peers: stock %d, atoll %d", stock, atoll);
        assertEquals(57, stock, "all but the first to each peer");
        assertEquals(stock, atoll);
        assertEquals(0, reused(front, "/never"), "proxy_ssl_session_reuse off");
    }

    private static int reused(Nginx front, String location) throws IOException {
        int reused = 0;
        try (Http http = Http.open(front.address(), FAR)) {
            for (int i = 0; i < 60; i++) {
                Http.Response response = http.send(location + "?k=" + i);
                assertEquals(200, response.status());
                reused += response.body().equals("r") ? 1 : 0;
            }
        }
        return reused;
    }

    @Test
    void shouldBalanceGrpcFastcgiUwsgiAndScgi(Scene scene) throws IOException {
        StringBuilder upstreams = new StringBuilder();
        StringBuilder locations = new StringBuilder();
        StringBuilder listens = new StringBuilder();
        String[] protocols = {"fastcgi", "uwsgi", "scgi", "grpc"};
        for (int p = 0; p < protocols.length; p++) {
            upstreams.append("upstream ").append(protocols[p]).append(" { atoll $arg_k;\n");
            for (int i = 0; i < 3; i++) {
                String host = scene.address(11 + 10 * p + i);
                upstreams.append("server ").append(host).append(":8000;\n");
                switch (protocols[p]) {
                    case "fastcgi" -> Backend.start(scene, host, 8000, Backend.fastcgi(host));
                    case "uwsgi" -> Backend.start(scene, host, 8000, Backend.uwsgi(host));
                    case "scgi" -> Backend.start(scene, host, 8000, Backend.scgi(host));
                    default -> listens.append("listen ").append(host).append(":8000 http2;\n");
                }
            }
            upstreams.append("keepalive 4; }\n");
            locations.append("location /").append(protocols[p]).append(" { ").append(protocols[p]).append("_pass ")
                    .append(protocols[p]).append("; }\n");
        }
        Nginx.in(scene, "peers").workers(1).http("server {\n" + listens
                + "location / { default_type application/grpc; return 200 $server_addr; }\n}\n").start();
        Nginx front = Nginx.in(scene, "front");
        front.atoll(upstreams + "server {\nlisten " + front.socket()
                + ";\nadd_header X-Upstream $upstream_addr always;\n" + locations + "}\n").start();
        for (String protocol : protocols) {
            Set<String> peers = new HashSet<>();
            for (int i = 0; i < 40; i++) {
                Http.Response first = Http.get(front.address(), "/" + protocol + "?k=" + i);
                assertEquals(200, first.status(), protocol + ": " + first.body());
                assertEquals(first.header("X-Upstream"), first.body() + ":8000", protocol);
                assertEquals(first.body(), Http.get(front.address(), "/" + protocol + "?k=" + i).body(), protocol);
                peers.add(first.body());
            }
            assertEquals(3, peers.size(), protocol + " uses every peer: " + peers);
        }
    }

    @Test
    void shouldWorkWithoutAMasterProcess(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 3);
        Nginx front = Front.over(scene, peers).singleProcess().start();
        Load.Report report = Load.run(scene, front.address(), "/atoll", 200, Duration.ofSeconds(1));
        assertEquals(List.of(), report.failed(), report.complaint());
        assertEquals(3, peers.size());
        assertEquals(0, new io.atoll.tests.harness.ZoneFile(front.zone()).fallbacks());
    }

    @Test
    void shouldKnowItsOwnZoneAgainAfterTurningIntoADaemon(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 2);
        Path prefix = Files.createDirectories(scene.file("daemon/logs")).getParent();
        Path conf = Files.writeString(prefix.resolve("nginx.conf"), """
                load_module %s;
                pid nginx.pid;
                error_log logs/error.log notice;
                events { }
                http {
                    access_log off;
                    proxy_temp_path temp; client_body_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp;
                    scgi_temp_path temp;
                    atoll_zone atoll.zone;
                    upstream pool { atoll $uri;
                %s}
                    server { listen unix:%s/sock; location / { proxy_pass http://pool; } }
                }
                """.formatted(Dist.module(), peers.servers(""), prefix));
        String[] command = {"nginx", "-p", prefix + "/", "-c", conf.toString()};
        Proc.must(command);
        Path pidFile = prefix.resolve("nginx.pid");
        long pid = Long.parseLong(Files.readString(pidFile).trim());
        try {
            var address = Http.address("unix:" + prefix + "/sock");
            assertEquals(Peers.body("/o/1"), Http.get(address, "/o/1").body());
            Path other = Files.writeString(prefix.resolve("other.conf"), Files.readString(conf)
                    .replace("nginx.pid", "other.pid").replace("/sock;", "/other;"));
            Proc.Result second = Proc.run("nginx", "-p", prefix + "/", "-c", other.toString());
            assertTrue(second.exit() != 0 && second.output().contains(Long.toString(pid)), second.output());
            List<Long> workers = Proc.children(pid);
            Proc.signal(pid, "HUP");
            Await.until("a reload of the daemon", FAR, () -> Proc.children(pid).stream().noneMatch(workers::contains)
                    && !Proc.children(pid).isEmpty());
            assertFalse(Files.readString(prefix.resolve("logs/error.log")).contains("[emerg]"));
            assertEquals(Peers.body("/o/2"), Http.get(address, "/o/2").body());
        } finally {
            Proc.signal(pid, "QUIT");
            Await.until("the daemon to end", FAR, () -> !Proc.alive(pid));
        }
    }

    @Test
    void shouldNameNodeAndOwner(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 3);
        Nginx front = Nginx.in(scene, "front");
        front.atoll("""
                atoll_node edge7;
                upstream one { atoll $arg_k;
                %1$s}
                upstream two { atoll $arg_k$arg_k;
                %1$s}
                server {
                    listen %2$s;
                    add_header X-Upstream $upstream_addr;
                    add_header X-Owner $atoll_owner;
                    add_header X-Node $atoll_node;
                    location /one { proxy_pass http://one/o/1; }
                    location /named { return 200 "$atoll_owner_one $atoll_owner_two [$atoll_owner]"; }
                    location /two { proxy_pass http://two/o/1; }
                    location /none { return 200 "$atoll_owner_three."; }
                }
                """.formatted(peers.servers(""), front.socket())).start();
        boolean differ = false;
        for (int i = 0; i < 20; i++) {
            Http.Response one = Http.get(front.address(), "/one?k=" + i);
            assertEquals(one.header("X-Upstream"), one.header("X-Owner"), "the owner was asked");
            assertEquals("edge7", one.header("X-Node"));
            String two = Http.get(front.address(), "/two?k=" + i).header("X-Upstream");
            assertEquals(one.header("X-Owner") + " " + two + " []", Http.get(front.address(), "/named?k=" + i).body());
            differ |= !one.header("X-Owner").equals(two);
        }
        assertTrue(differ, "each upstream has a key of its own");
        assertEquals(".", Http.get(front.address(), "/none?k=1").body(), "no such upstream");
    }

    @Test
    void shouldFindThisNodeByItsAddress(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 2);
        Nginx front = Nginx.in(scene, "front");
        String own = scene.address(77) + ":8000";
        front.atoll("upstream pool { atoll $uri;\n" + peers.servers("") + "server " + own + ";\n}\nserver { listen " + own
                + "; listen " + front.socket() + "; location /node { return 200 $atoll_node; } }\n").start();
        assertEquals(own, Http.get(front.address(), "/node").body());
    }

    @Test
    void shouldTellItsStateAsJson(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 3);
        Nginx front = pool(scene, "front", "    server %s weight=2 max_fails=1 fail_timeout=60s;\n    server %s down;\n    server %s backup;\n"
                .formatted(peers.name(0), peers.name(1), peers.name(2)), "").start();
        for (int i = 0; i < 10; i++) {
            assertEquals(200, Http.get(front.address(), "/o/1?k=" + i).status());
        }
        JsonNode pool = status(front).path("upstreams").path(0);
        assertEquals("pool", pool.path("name").asText());
        assertEquals(10, pool.path("requests").asInt());
        assertEquals(10, pool.path("picks").asInt());
        assertEquals(0, pool.path("retries").asInt());
        assertEquals(3 * 160, pool.path("table").path("points").asInt());
        assertEquals(160, pool.path("table").path("backup_points").asInt());
        JsonNode first = peer(pool, peers.name(0));
        assertEquals(10, first.path("picks").asInt());
        assertEquals(2, first.path("weight").asInt());
        assertEquals(0, first.path("reasons").size());
        assertTrue(peer(pool, peers.name(1)).path("down").asBoolean() && peer(pool, peers.name(2)).path("backup").asBoolean());
        assertTrue(status(front).path("agent").isNull(), "no agent was ever here");

        peers.nginx(0).kill();
        assertEquals(peers.name(2), Http.get(front.address(), "/o/1?k=1").header("X-Peer"), "the backup answers");
        JsonNode failed = peer(status(front).path("upstreams").path(0), peers.name(0));
        assertEquals(1, failed.path("fails").asInt());
        long left = failed.path("reasons").path("passive").asLong();
        assertTrue(left > 50_000 && left <= 60_000, "the passive reason stands for fail_timeout: " + failed);
        assertNotEquals(200, Http.once(front.address(), "POST", "/status", "Content-Length: 0").status());
    }

    private static JsonNode peer(JsonNode upstream, String address) {
        for (JsonNode peer : upstream.path("peers")) {
            if (peer.path("address").asText().equals(address)) {
                return peer;
            }
        }
        throw new AssertionError("no peer " + address + " in " + upstream);
    }
}
