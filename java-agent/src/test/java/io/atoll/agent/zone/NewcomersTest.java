package io.atoll.agent.zone;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import io.atoll.agent.testing.AgentRig;
import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.ScriptedServer;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import io.atoll.core.zone.ZoneLayout.Ring;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A zone whose nginx was just started learns of the owners before from other agents, whatever these answer. */
class NewcomersTest {
    private static final int HANDOVER_MS = 600_000;
    private static final int ATTEMPTS = 30;
    private static final long CALL_LIMIT_NS = TimeUnit.SECONDS.toNanos(2);
    private static final Set<String> BEFORE = Set.of("10.0.0.1:80", "10.0.0.2:80");
    private static final String TOLD = ScriptedServer.response(200, "{\"rings\": [" + rings(server("10.0.0.1:80"), server("10.0.0.2:80")) + "]}");
    /** Of a node that was told of the change already. */
    private static final String KNOWN = ScriptedServer.response(200, "{\"rings\": ["
            + rings(server("10.0.0.1:80"), server("10.0.0.2:80"), server("10.0.0.3:80")) + "]}");

    @TempDir
    Path folder;
    private final List<ScriptedServer> others = new ArrayList<>();
    private ZoneFixture zone;

    @BeforeEach
    void startNginx() throws Exception {
        zone = ZoneFixture.create(folder.resolve("nginx.zone"), ProbeSpec.none(), 0,
                IntStream.rangeClosed(1, 3).mapToObj(i -> Server.at(new InetSocketAddress("10.0.0." + i, 80))).toList());
        zone.startWithHandover(HANDOVER_MS);
    }

    @AfterEach
    void endOthers() throws Exception {
        for (ScriptedServer other : others) {
            other.close();
        }
    }

    /** What one does that is asked for rings; returns the answer, empty for none. It knows of no purges. */
    @FunctionalInterface
    private interface Other {
        String answer(int number);
    }

    private ScriptedServer other(Other does) throws Exception {
        AtomicInteger asked = new AtomicInteger();
        others.add(new ScriptedServer(connection -> {
            for (String request; (request = connection.readRequest()) != null; ) {
                connection.send(isForRings(request) ? does.answer(asked.getAndIncrement()) : ScriptedServer.response(404, ""));
            }
        }));
        return others.get(others.size() - 1);
    }

    private static boolean isForRings(String request) {
        return request.startsWith("GET /v1/mesh/rings?upstream=" + ZoneFixture.UPSTREAM + " ");
    }

    private static long asked(ScriptedServer other) {
        return other.requests().stream().filter(NewcomersTest::isForRings).count();
    }

    private AgentRig agent() throws Exception {
        return new AgentRig(folder, "atoll.mesh.agents = [" + others.stream()
                .map(other -> "\"http://127.0.0.1:" + other.address().getPort() + "\"").collect(Collectors.joining(", ")) + "]\n");
    }

    private static String server(String name) {
        return server(name, name, "1");
    }

    private static String server(String name, String address, String weight) {
        return "{\"server\": \"" + name + "\", \"address\": \"" + address + "\", \"weight\": " + weight + "}";
    }

    /** As one node has it that knows of no change. */
    private static String rings(String... primary) {
        return "{\"primary\": [" + String.join(", ", primary) + "], \"remaining_ms\": 0}";
    }

    private static String message(String... primary) {
        return ScriptedServer.response(200, "{\"rings\": [" + rings(primary) + "]}");
    }

    private void awaitTold() {
        Await.until("the owners before", () -> new TreeSet<>(zone.ring(Ring.PREVIOUS)).equals(BEFORE));
    }

    private void awaitRequests(ScriptedServer other, int count) {
        Await.until(count + " questions", () -> asked(other) >= count);
    }

    @Test
    void shouldPublishTheOwnersBeforeThatAnotherAgentTellsOf() throws Exception {
        ScriptedServer other = other(number -> TOLD);
        try (AgentRig agent = agent()) {
            awaitTold();
            assertEquals("OK", agent.state());
            assertEquals(3, zone.zone().table(0).table().ringPeers(Ring.PRIMARY));
            AgentRig.awaitHeartbeats(zone, 3);
            assertEquals(1, asked(other), "nobody is asked once it is known");
        }
    }

    /** Each in turn, then the rings: nothing of it is published, nor keeps the agent from asking again. */
    @Test
    void shouldAskAgainAfterAnAnswerThatIsNone() throws Exception {
        String deep = "[".repeat(100_000);
        List<String> answers = List.of(
                "what is this?\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"rings\": [",
                "HTTP/1.1 200 OK\r\nContent-Length: " + (17 << 20) + "\r\n\r\n" + " ".repeat(17 << 20),
                ScriptedServer.response(200, ""),
                ScriptedServer.response(200, "<html>"),
                ScriptedServer.response(200, deep),
                ScriptedServer.response(200, "{\"rings\": " + deep),
                ScriptedServer.response(200, "[1, null, {}]"),
                ScriptedServer.response(200, "{\"rings\": {\"a\": 1, \"b\": [[]]}}"),
                ScriptedServer.response(200, "{\"rings\": [{\"primary\": 7, \"previous\": {\"a\": \"b\"}, \"remaining_ms\": \"soon\"}]}"),
                ScriptedServer.response(200, "{\"rings\": [" + "{},".repeat(100_000) + rings(server("10.0.0.1:80")) + "]}"),
                ScriptedServer.response(200, "{\"rings\": [{\"remaining_ms\": 1e300}]}"),
                ScriptedServer.response(503, "{\"rings\": [" + rings(server("10.0.0.1:80")) + "]}"),
                message(server("10.0.0.1:80", "edge1.example:80", "1")),
                message(server("10.0.0.1:80", "[edge1.example]:80", "1")),
                message(server("10.0.0.1:80", "unix:/run/x", "1")),
                message(server("10.0.0.1:80", "10.0.0.1:99999", "1")),
                message(server("10.0.0.1:80", "10.0.0.1:80", "0")),
                message(server("10.0.0.1:80", "10.0.0.1:80", "65536")),
                message(server("n".repeat(10_000), "10.0.0.1:80", "1")),
                message(server("a\\u0000b", "10.0.0.1:80", "1")),
                message(Stream.generate(() -> server("10.0.0.1:80")).limit(10_001).toArray(String[]::new)),
                message(IntStream.range(0, 1000).mapToObj(i -> server("s" + i, "10.1.0.1:80", "65535")).toArray(String[]::new)));
        ScriptedServer other = other(number -> number < answers.size() ? answers.get(number) : TOLD);
        try (AgentRig agent = agent()) {
            for (int i = 1; i <= answers.size(); i++) {
                awaitRequests(other, i);
                assertEquals(List.of(), zone.ring(Ring.PREVIOUS), "before answer " + i);
            }
            awaitTold();
            assertEquals("OK", agent.state());
        }
    }

    @Test
    void shouldBelieveOneThatAnswersWhileAnotherNeverDoes() throws Exception {
        ScriptedServer silent = other(number -> "");
        AtomicLong askedNs = new AtomicLong();
        AtomicLong waitedNs = new AtomicLong();
        ScriptedServer other = other(number -> {
            waitedNs.set(System.nanoTime() - askedNs.getAndSet(System.nanoTime()));
            return number == 0 ? KNOWN : TOLD;
        });
        try (AgentRig agent = agent()) {
            awaitTold();
            assertTrue(waitedNs.get() > CALL_LIMIT_NS / 2, "asked again when all calls have ended, not after " + waitedNs.get() + " ns");
            awaitRequests(silent, 2);
            AgentRig.awaitHeartbeats(zone, 3);
            assertEquals(2, asked(silent), "nobody is asked once it is known");
            assertEquals(2, asked(other));
            assertEquals("OK", agent.state());
        }
    }

    @Test
    void shouldLeaveItAtWhatTheZoneKnowsAfterSomeAttempts() throws Exception {
        ScriptedServer other = other(number -> KNOWN);
        try (AgentRig agent = agent()) {
            awaitRequests(other, ATTEMPTS);
            AgentRig.awaitHeartbeats(zone, 5);
            assertEquals(ATTEMPTS, asked(other));
            assertEquals(List.of(), zone.ring(Ring.PREVIOUS));
            assertEquals("OK", agent.state());
        }
    }
}
