package io.atoll.agent.api;

import static io.atoll.agent.testing.ScriptedServer.always;
import static io.atoll.agent.testing.ScriptedServer.response;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import com.fasterxml.jackson.databind.JsonNode;
import io.atoll.agent.testing.AgentRig;
import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.ScriptedServer;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import io.atoll.core.ring.ConsistentHash;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The API over HTTP, of a real agent on a real zone file. */
class ApiTest {
    private static final String TOKEN = "0123456789abcdef-token";

    @TempDir
    Path folder;
    private ScriptedServer server;
    private ZoneFixture zone;

    @BeforeEach
    void start() throws Exception {
        server = new ScriptedServer(always(response(200, "x")));
        zone = ZoneFixture.create(folder.resolve("nginx.zone"), ProbeSpec.http(), 0, Server.at(server.address()),
                new Server("b:80", server.address(), 0), new Server("c:80", server.address(), PeerFlag.DOWN));
    }

    @AfterEach
    void stop() throws Exception {
        server.close();
    }

    private static void assertError(int status, String what, HttpResponse<String> response) {
        assertEquals(status, response.statusCode(), response.body());
        JsonNode error = AgentRig.parse(response.body()).path("error");
        assertTrue(error.path("what").asText().contains(what), response.body());
        for (String part : new String[] {"what", "where", "expected", "fix"}) {
            assertFalse(error.path(part).asText().isEmpty(), part + " in " + response.body());
        }
        assertEquals("application/json", response.headers().firstValue("content-type").orElse(""));
    }

    @Test
    void shouldAnswerStatusPeersAndUpstreams() throws Exception {
        try (AgentRig agent = new AgentRig(folder)) {
            JsonNode status = agent.json("/v1/status");
            assertEquals(ProcessHandle.current().pid(), status.path("agent").path("pid").asLong());
            assertEquals("1.0.0", status.path("agent").path("layout").asText());
            assertEquals("edge1", status.path("zones").get(0).path("node").asText());
            assertEquals(3, status.path("zones").get(0).path("peers").asInt());
            JsonNode upstream = agent.json("/v1/upstreams").path("upstreams").get(0);
            assertEquals("caches", upstream.path("name").asText());
            assertEquals("/etc/nginx/nginx.conf:7", upstream.path("declared").asText());
            assertEquals(100, upstream.path("probe").path("interval_ms").asInt());
            JsonNode peers = agent.json("/v1/peers").path("peers");
            double share = 0;
            for (JsonNode peer : peers) {
                share += peer.path("share").asDouble();
            }
            assertEquals(1, share, 1e-6);
            assertTrue(peers.get(2).path("down").asBoolean());
            assertFalse(peers.get(2).path("up").asBoolean());
        }
    }

    @Test
    void shouldFilterPeers() throws Exception {
        try (AgentRig agent = new AgentRig(folder)) {
            assertEquals(3, agent.json("/v1/peers?upstream=caches&node=edge1").path("peers").size());
            assertEquals(0, agent.json("/v1/peers?upstream=other").path("peers").size());
            assertEquals(0, agent.json("/v1/peers?node=edge2").path("peers").size());
            assertEquals(1, agent.json("/v1/peers?server=b:80").path("peers").size());
            assertEquals(3, agent.json("/v1/peers?server=" + ZoneFixture.text(server.address())).path("peers").size());
            assertError(400, "nod is not understood", agent.get("/v1/peers?nod=edge1"));
        }
    }

    @Test
    void shouldNameTheOwnerThatTheRingNames() throws Exception {
        String first = ZoneFixture.text(server.address());
        ConsistentHash ring = ConsistentHash.of(first, "b:80", "c:80");
        try (AgentRig agent = new AgentRig(folder)) {
            for (int i = 0; i < 50; i++) {
                String key = "/föö bar/" + i + "?a=b&c";
                JsonNode owner = agent.json("/v1/owner?upstream=caches&key=" + AgentRig.encode(key)).path("owners").get(0);
                assertEquals(ring.owner(key), owner.path("owner").asText(), key);
                assertEquals(ring.owner(key, name -> !name.equals("c:80")).orElseThrow(),
                        owner.path("server").asText(), "c:80 is down in nginx.conf");
            }
            agent.change(first, "drain", "");
            agent.change("b:80", "drain", "");
            assertEquals("", agent.json("/v1/owner?upstream=caches&key=x").path("owners").get(0).path("server").asText());
            assertError(404, "has an upstream other", agent.get("/v1/owner?upstream=other&key=x"));
            assertError(400, "missing", agent.get("/v1/owner?upstream=caches"));
        }
    }

    @Test
    void shouldRefuseWhatItDoesNotKnow() throws Exception {
        try (AgentRig agent = new AgentRig(folder)) {
            for (String path : new String[] {"/", "/v1", "/v1/nothing", "/v2/status", "/v1/peers/caches/b%3A80/destroy",
                "/v1/peers/caches/drain", "/healthz/x", "/v1/status/x"}) {
                assertError(404, "nothing here", agent.get(path));
            }
            assertError(405, "POST is not possible", agent.send("POST", "/v1/status", ""));
            assertError(405, "DELETE is not possible", agent.send("DELETE", "/v1/peers", ""));
            HttpResponse<String> get = agent.get("/v1/peers/caches/b%3A80/drain");
            assertError(405, "GET does not change", get);
            assertEquals("POST", get.headers().firstValue("allow").orElse(""));
            assertError(404, "No peer x:80 in upstream caches", agent.change("x:80", "drain", ""));
            assertError(400, "not a JSON object", agent.change("b:80", "drain", "{"));
            assertError(400, "not a JSON object", agent.change("b:80", "drain", "[1]"));
            assertError(400, "nod is not understood", agent.change("b:80", "drain", "{\"nod\": \"x\"}"));
            assertError(400, "note is not understood", agent.change("b:80", "drain", "{\"note\": 5}"));
            assertError(400, "duration does not go with drain",
                    agent.change("b:80", "drain", "{\"duration\": \"10m\"}"));
            assertError(400, "duration is \"soon\"", agent.change("b:80", "maintenance", "{\"duration\": \"soon\"}"));
            assertError(400, "note is too long",
                    agent.change("b:80", "drain", "{\"note\": \"" + "x".repeat(1001) + "\"}"));
            assertError(413, "too large", agent.change("b:80", "drain", " ".repeat(70_000)));
            assertError(413, "too large", agent.change("b:80", "drain", " ".repeat(7_000_000)));
            assertFalse(zone.stands(1, Reason.ADMIN));
        }
    }

    @Test
    void shouldRefuseARequestThatIsNotHttp() throws Exception {
        try (AgentRig agent = new AgentRig(folder)) {
            assertTrue(raw(agent, "GET /healthz NOT/HTTP\r\n\r\n").startsWith("HTTP/1.1 400 "));
            assertTrue(raw(agent, "GET /v1/peers/%zz/a/drain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    .startsWith("HTTP/1.1 400 "));
            assertTrue(raw(agent, "GET /" + "x".repeat(5000) + " HTTP/1.1\r\n\r\n").startsWith("HTTP/1.1 414 "));
            assertTrue(raw(agent, "GET / HTTP/1.1\r\nA: " + "x".repeat(10_000) + "\r\n\r\n")
                    .startsWith("HTTP/1.1 431 "));
            String head = raw(agent, "HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            assertTrue(head.startsWith("HTTP/1.1 ") && head.endsWith("\r\n\r\n"), head);
            // two at once on one connection, answered in order
            String both = raw(agent, "GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n"
                    + "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            assertTrue(both.indexOf("\"zones\"") < both.indexOf("\"complaints\""), both);
        }
    }

    @Test
    void shouldAnswerInTheOrderOfTheRequestsHoweverLongOneTakes() throws Exception {
        try (AgentRig agent = new AgentRig(folder, "atoll.mesh.agents = [\"http://127.0.0.1:1\"]")) {
            String purge = "{\"key\": \"host/1\"}";
            String both = raw(agent, "POST /v1/purge HTTP/1.1\r\nHost: a\r\nContent-Length: " + purge.length() + "\r\n\r\n" + purge
                    + "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            assertTrue(both.contains("\"host/1\"") && both.indexOf("\"host/1\"") < both.indexOf("\"complaints\""), both);
        }
    }

    private static final String NEXT = "GET /healthz HTTP/1.1\r\nHost: a\r\n";

    private static String post(int length, String header, String body) {
        return "POST /v1/purge HTTP/1.1\r\nHost: a\r\nContent-Length: " + length + "\r\n" + header + "\r\n" + body;
    }

    /** The statuses of what comes for requests that are sent at once, in their order; the first takes a while. */
    private static List<String> statuses(AgentRig agent, String... requests) throws IOException {
        String purge = "{\"key\": \"host/1\"}";
        String answers = raw(agent, post(purge.length(), "", purge) + String.join("", requests));
        return Pattern.compile("HTTP/1\\.1 (\\d+) ").matcher(answers).results().map(found -> found.group(1)).toList();
    }

    @Test
    void shouldRefuseInTheOrderOfTheRequestsToo() throws Exception {
        String last = "GET /v1/nowhere HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n";
        try (AgentRig agent = new AgentRig(folder, "atoll.mesh.agents = [\"http://127.0.0.1:1\"]")) {
            assertEquals(List.of("202", "413", "404"), statuses(agent, post(70_000, "", "x".repeat(70_000)), last));
            assertEquals(List.of("202", "413"), statuses(agent, post(70_000, "Expect: 100-continue\r\n", "")));
            assertEquals(List.of("202", "100", "400", "404"), statuses(agent, post(1, "Expect: 100-continue\r\n", "x"), last));
            assertEquals(List.of("202", "400", "404"), statuses(agent, post(1, "Expect: a-miracle\r\n", "x"), last));
        }
    }

    @Test
    void shouldAnswerManyRequestsThatWaitedForOne() throws Exception {
        try (AgentRig agent = new AgentRig(folder, "atoll.mesh.agents = [\"http://127.0.0.1:1\"]")) {
            // the first ones have the server read in large pieces, so that many lie in wait behind the purge
            String many = "GET /healthz HTTP/1.1\r\n\r\n".repeat(2500);
            String purge = "{\"key\": \"host/1\"}";
            String answers = raw(agent, many + post(purge.length(), "", purge) + many + NEXT + "Connection: close\r\n\r\n");
            assertEquals(5002, Pattern.compile("HTTP/1\\.1 \\d+ ").matcher(answers).results().count());
        }
    }

    private static String raw(AgentRig agent, String request) throws IOException {
        try (Socket socket = new Socket("127.0.0.1", agent.agent().apiAddress().getPort())) {
            socket.setSoTimeout(20_000);
            socket.getOutputStream().write(request.getBytes(StandardCharsets.ISO_8859_1));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    @Test
    void shouldWantTheTokenForChangesOnly() throws Exception {
        Path token = Files.writeString(folder.resolve("token"), TOKEN + "\n");
        try (AgentRig agent = new AgentRig(folder, "atoll.api.token-file = \"" + token + "\"")) {
            String drain = "/v1/peers/caches/b%3A80/drain";
            for (String reading : new String[] {"/v1/peers", "/v1/mesh/rings?upstream=caches", "/v1/mesh/purges?after=0"}) {
                assertEquals(200, agent.get(reading).statusCode(), reading);
            }
            assertError(401, "missing", agent.send("POST", "/v1/mesh/purges", "{\"purges\": []}"));
            HttpResponse<String> without = agent.send("POST", drain, "");
            assertError(401, "missing", without);
            assertEquals("Bearer", without.headers().firstValue("www-authenticate").orElse(""));
            for (String wrong : new String[] {"Bearer " + TOKEN + "x", "Bearer " + TOKEN.substring(1)}) {
                assertError(401, "wrong", agent.send("POST", drain, "", "Authorization", wrong));
            }
            assertError(401, "missing", agent.send("POST", drain, "", "Authorization", "Basic " + TOKEN));
            assertFalse(zone.stands(1, Reason.ADMIN));
            assertEquals(200, agent.send("POST", drain, "", "Authorization", "Bearer " + TOKEN).statusCode());
            assertTrue(zone.stands(1, Reason.ADMIN));
        }
    }

    @Test
    void shouldRefuseChangesFromElsewhereWithoutAToken() throws Exception {
        try (AgentRig agent = new AgentRig(folder, "atoll.api.listen = \"0.0.0.0:0\"")) {
            assertEquals(200, agent.get("/v1/peers").statusCode());
            assertError(403, "refused", agent.change("b:80", "drain", ""));
            assertFalse(zone.stands(1, Reason.ADMIN));
        }
        Path token = Files.writeString(folder.resolve("token"), TOKEN + "\n");
        try (AgentRig agent = new AgentRig(folder, "atoll.api { listen = \"0.0.0.0:0\", token-file = \"" + token
                + "\" }")) {
            assertEquals(200, agent.send("POST", "/v1/peers/caches/b%3A80/drain", "", "Authorization", "Bearer " + TOKEN)
                    .statusCode());
        }
    }

    @Test
    void shouldRefuseChangesFromAWebPageWithoutAToken() throws Exception {
        try (AgentRig agent = new AgentRig(folder)) {
            assertError(403, "web page",
                    agent.send("POST", "/v1/peers/caches/b%3A80/drain", "", "Origin", "http://evil.example"));
            assertFalse(zone.stands(1, Reason.ADMIN));
        }
    }

    @Test
    void shouldServeMetricsApart() throws Exception {
        try (AgentRig agent = new AgentRig(folder, "atoll.metrics { listen = \"127.0.0.1:0\", jvm = true }")) {
            assertError(404, "nothing here", agent.get("/metrics"));
            int port = agent.agent().metricsAddress().getPort();
            try (Socket socket = new Socket("127.0.0.1", port)) {
                socket.setSoTimeout(20_000);
                socket.getOutputStream().write("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".getBytes());
                String page = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
                assertTrue(page.contains("atoll_zone_attached") && page.contains("jvm_memory"), page);
            }
            try (Socket socket = new Socket("127.0.0.1", port)) {
                socket.setSoTimeout(20_000);
                socket.getOutputStream().write("GET /v1/peers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".getBytes());
                assertTrue(new String(socket.getInputStream().readAllBytes()).startsWith("HTTP/1.1 404"));
            }
        }
    }

    /** The page and a scrape have the same names, both ways, and the same labels. */
    @Test
    void shouldAgreeWithTheReferencePageOfMetrics() throws Exception {
        Set<String> documented = new TreeSet<>();
        Matcher row = Pattern.compile("(?m)^\\| `(atoll_[a-z_]+)` \\| (\\w+) \\| ([^|]*) \\|")
                .matcher(Files.readString(Path.of(System.getProperty("atoll.root"), "docs/reference/metrics.md")));
        while (row.find()) {
            documented.add(row.group(1) + " " + row.group(2) + " " + row.group(3).replace("`", "").trim());
        }
        try (AgentRig agent = new AgentRig(folder, "atoll.resolve { enabled = true, servers = [\"127.0.0.1:1\"] }")) {
            Await.until("names that are followed", () -> agent.get("/metrics").body().contains("atoll_resolve_lookups_total"));
            Await.until("a probe", () -> agent.get("/metrics").body().contains("atoll_peer_probe_seconds_count"));
            String page = agent.get("/metrics").body();
            Set<String> scraped = new TreeSet<>();
            Matcher type = Pattern.compile("(?m)^# TYPE (\\S+) (\\S+)$").matcher(page);
            while (type.find()) {
                Matcher sample = Pattern.compile("(?m)^" + type.group(1) + "(?:_count)?(?:\\{(.*?),?\\})? ").matcher(page);
                assertTrue(sample.find(), type.group(1));
                String labels = sample.group(1) == null ? "-" : sample.group(1).replaceAll("=\"[^\"]*\"", "")
                        .replace(",", ", ");
                scraped.add(type.group(1) + " " + type.group(2) + " " + labels);
            }
            assertEquals(String.join("\n", documented), String.join("\n", scraped));
        }
    }

    @Test
    void shouldReadDurationsAsPeopleWriteThem() {
        assertEquals(Duration.ofMillis(500), Durations.parse("500ms"));
        assertEquals(Duration.ofSeconds(30), Durations.parse("30s"));
        assertEquals(Duration.ofMinutes(10), Durations.parse("10 m"));
        assertEquals(Duration.ofHours(2), Durations.parse("2h"));
        assertEquals(Duration.ofDays(366), Durations.parse("366d"));
        for (String wrong : new String[] {"", "0s", "10", "-1s", "1w", "367d", "1.5h", "9999999999s"}) {
            assertThrows(ApiException.class, () -> Durations.parse(wrong), wrong);
        }
        assertEquals("1h 5m", Durations.text(3_900_000));
        assertEquals("12s", Durations.text(12_345));
        assertEquals("2d 3h", Durations.text(51L * 3_600_000));
    }
}
