package io.atoll.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetSocketAddress;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import io.atoll.agent.testing.AgentRig;
import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import io.atoll.core.tools.DnsServer;
import io.atoll.core.tools.DnsServer.Mode;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Names that are followed, and services whose targets are members: an agent, a zone and a name server. */
class AgentNamesTest {
    private static final String SERVICE = "_http._tcp.edges.example";
    private static final String SRV = "srv = [ { upstream = %s, service = \"%s\", max-fails = 3 } ]".formatted(ZoneFixture.UPSTREAM, SERVICE);
    /** Where a call fails when no name server answers in time: it may take a moment on a busy machine. */
    private static final String PATIENT = "timeout = 2 s, ";
    private static final String SERVERS = "/v1/upstreams/" + ZoneFixture.UPSTREAM + "/servers";

    @TempDir
    Path folder;
    private DnsServer dns;

    @BeforeEach
    void start() throws Exception {
        dns = DnsServer.start();
        zone();
    }

    @AfterEach
    void stop() {
        dns.close();
    }

    /** nginx.conf names an address and a name. */
    private ZoneFixture zone() throws Exception {
        return ZoneFixture.create(folder.resolve("nginx.zone"), ProbeSpec.none(), 0, Server.at(new InetSocketAddress("10.0.0.1", 80)),
                new Server("own.example:81", new InetSocketAddress("10.0.0.2", 81), 0));
    }

    private AgentRig agent(String more) throws Exception {
        return new AgentRig(folder, """
                atoll.resolve { enabled = true, servers = ["%s"], families = ipv4, min-ttl = 100 ms, interval = 1 s, timeout = 100 ms, %s }
                """.formatted(dns.address(), more));
    }

    private AgentRig following() throws Exception {
        return agent(SRV);
    }

    /** server → addresses, weight, * for a backup. */
    private static Map<String, String> members(AgentRig agent) {
        Map<String, String> members = new TreeMap<>();
        for (JsonNode server : agent.json(SERVERS).path("servers")) {
            if (server.path("state").asText().equals("member")) {
                StringBuilder addresses = new StringBuilder();
                server.path("addresses").forEach(address -> addresses.append(address.asText()).append(' '));
                members.put(server.path("server").asText(), addresses + server.path("weight").asText()
                        + (server.path("backup").asBoolean() ? "*" : ""));
            }
        }
        return members;
    }

    private static void await(AgentRig agent, Map<String, String> members) {
        Await.until("members " + members, () -> members(agent).equals(members), () -> members(agent) + " " + agent.get("/v1/names").body());
    }

    /** With nginx.conf's own. */
    private static Map<String, String> with(String... members) {
        Map<String, String> all = new TreeMap<>(Map.of("10.0.0.1:80", "10.0.0.1:80 1", "own.example:81", "10.0.0.2:81 1"));
        for (int i = 0; i < members.length; i += 2) {
            all.put(members[i], members[i + 1]);
        }
        return all;
    }

    /** Missing for one that is not followed. */
    private static JsonNode name(AgentRig agent, String name) {
        for (JsonNode known : agent.json("/v1/names").path("names")) {
            if (known.path("name").asText().equals(name)) {
                return known;
            }
        }
        return MissingNode.getInstance();
    }

    private static int slot(AgentRig agent, String address) {
        for (JsonNode peer : agent.json("/v1/peers").path("peers")) {
            if (peer.path("address").asText().equals(address)) {
                return peer.path("slot").asInt();
            }
        }
        throw new AssertionError("no peer " + address);
    }

    /** Waits until a name was asked for so many times more, with a result. */
    private static void awaitLookups(AgentRig agent, String name, String result, int count) {
        long before = name(agent, name).path(result).asLong();
        Await.until(count + " look-ups of " + name, () -> name(agent, name).path(result).asLong() >= before + count);
    }

    @Test
    void shouldFollowAServerOfNginxConfWhenItsTimeToLiveEnds() throws Exception {
        dns.host("own.example", 0, "10.0.0.2");
        try (AgentRig agent = agent("")) {
            awaitLookups(agent, "own.example", "found", 2);
            assertEquals(with(), members(agent));
            dns.host("own.example", 0, "10.0.0.3", "10.0.0.4");
            await(agent, with("own.example:81", "10.0.0.3:81 10.0.0.4:81 1"));
            dns.host("own.example", 3600, "10.0.0.5");
            await(agent, with("own.example:81", "10.0.0.5:81 1"));
            assertEquals(3600, name(agent, "own.example").path("ttl").asLong());
            assertTrue(name(agent, "own.example").path("next_ms").asLong() > 500_000, "asked again when it ends, at most the ceiling");
            assertEquals(2.0, agent.metric("atoll_resolve_changes_total{name=\"own.example\",type=\"addresses\""));
        }
    }

    @Test
    void shouldKeepAServerDrainedWhenItsNameLeadsElsewhere() throws Exception {
        dns.host("own.example", 0, "10.0.0.2");
        try (AgentRig agent = agent("")) {
            awaitLookups(agent, "own.example", "found", 1);
            assertEquals(200, agent.change("own.example:81", "drain", "{\"note\": \"new disk\"}").statusCode());
            dns.host("own.example", 0, "10.0.0.3", "10.0.0.4");
            await(agent, with("own.example:81", "10.0.0.3:81 10.0.0.4:81 1"));
            assertEquals(ZoneLayout.FOREVER, admin(agent, "10.0.0.3:81"));
            assertEquals(ZoneLayout.FOREVER, admin(agent, "10.0.0.4:81"));
            assertEquals(0, admin(agent, "10.0.0.1:80"), "others are not");
        }
        try (AgentRig agent = agent("")) {
            agent.awaitState("OK");
            assertEquals("new disk", agent.json("/v1/peers?server=10.0.0.4:81").path("peers").get(0).path("admin").path("note").asText());
            assertEquals(200, agent.change("own.example:81", "undrain", "{\"address\": \"10.0.0.4:81\"}").statusCode());
            dns.host("own.example", 0, "10.0.0.3", "10.0.0.4", "10.0.0.5");
            await(agent, with("own.example:81", "10.0.0.3:81 10.0.0.4:81 10.0.0.5:81 1"));
            assertEquals(0, admin(agent, "10.0.0.5:81"), "not all of its addresses were drained");
        }
    }

    /** After a start no answer was heard yet: what the zone has counts. */
    @Test
    void shouldKeepTheAddressesInTheZoneOfAFamilyThatCannotBeAskedForAfterAStart() throws Exception {
        dns.host("own.example", 0, "10.0.0.2", "fd00::1");
        try (AgentRig agent = agent("families = both")) {
            await(agent, with("own.example:81", "10.0.0.2:81 [fd00::1]:81 1"));
        }
        dns.host("own.example", 0, "10.0.0.3").silentFor("AAAA");
        try (AgentRig agent = agent("families = both")) {
            await(agent, with("own.example:81", "[fd00::1]:81 10.0.0.3:81 1"));
            dns.silentFor("");
            await(agent, with("own.example:81", "10.0.0.3:81 1"));
        }
    }

    @Test
    void shouldForgetWhereANameLedThatNoServerHasAnyMore() throws Exception {
        dns.host("own.example", 0, "10.0.0.3");
        try (AgentRig agent = agent("")) {
            await(agent, with("own.example:81", "10.0.0.3:81 1"));
            ZoneFixture.create(folder.resolve("nginx.zone"), ProbeSpec.none(), 0, Server.at(new InetSocketAddress("10.0.0.1", 80)));
            Await.until("the name not to be followed", () -> name(agent, "own.example").isMissingNode() && members(agent).size() == 1);
            dns.stop();
            zone();
            Await.until("a look-up in vain", () -> name(agent, "own.example").path("failures").asInt() > 0);
            assertEquals(with(), members(agent), "what nginx found, not what it stood for once");
        }
    }

    private static long admin(AgentRig agent, String address) throws Exception {
        return ZoneFixture.open(agent.zonePath()).reason(slot(agent, address), Reason.ADMIN);
    }

    @Test
    void shouldKeepTheLastGoodAddressesWhateverTheServerSays() throws Exception {
        dns.host("own.example", 0, "10.0.0.3", "10.0.0.4");
        try (AgentRig agent = agent("")) {
            Map<String, String> good = with("own.example:81", "10.0.0.3:81 10.0.0.4:81 1");
            await(agent, good);
            for (Mode mode : new Mode[] {Mode.NXDOMAIN, Mode.SERVFAIL, Mode.SILENT, Mode.NOISE, Mode.CUT, Mode.SHORT, Mode.GARBLED,
                    Mode.WRONG_DATA}) {
                dns.mode(mode);
                Await.until("failures with " + mode, () -> name(agent, "own.example").path("failures").asInt() >= 2);
                assertEquals(good, members(agent), mode.name());
                assertEquals(1.0, agent.metric("atoll_resolve_failing{name=\"own.example\""));
                assertTrue(name(agent, "own.example").path("problem").asText().contains(dns.address()), mode.name());
                dns.mode(Mode.ANSWER);
                Await.until("it to be well after " + mode, () -> name(agent, "own.example").path("failures").asInt() == 0);
            }
            dns.stop();
            Await.until("failures without a server", () -> name(agent, "own.example").path("failures").asInt() >= 2);
            assertEquals(good, members(agent));
            dns.restart();
            dns.host("own.example", 0, "10.0.0.6");
            await(agent, with("own.example:81", "10.0.0.6:81 1"));
        }
    }

    @Test
    void shouldAddAServerByANameThatOnlyItsNameServersKnow() throws Exception {
        dns.host("own.example", 60, "10.0.0.2").host("added.example", 0, "10.0.0.7");
        try (AgentRig agent = agent(PATIENT)) {
            HttpResponse<String> added = agent.send("POST", SERVERS, "{\"server\": \"added.example:82\", \"weight\": 3}");
            assertEquals(200, added.statusCode(), added.body());
            assertEquals(with("added.example:82", "10.0.0.7:82 3"), members(agent));
            HttpResponse<String> none = agent.send("POST", SERVERS, "{\"server\": \"none.example:82\"}");
            assertEquals(400, none.statusCode(), none.body());
            assertTrue(none.body().contains("a name that resolves") && none.body().contains("no such name"), none.body());
            dns.host("added.example", 0, "10.0.0.8");
            await(agent, with("added.example:82", "10.0.0.8:82 3"));
            dns.stop();
        }
        try (AgentRig agent = agent("")) {
            Await.until("a look-up in vain", () -> name(agent, "added.example").path("failed").asLong() > 0);
            assertEquals(with("added.example:82", "10.0.0.8:82 3"), members(agent), "not what it stood for when it was added");
        }
        zone();
        try (AgentRig agent = agent("")) {
            await(agent, with("added.example:82", "10.0.0.8:82 3"));
        }
    }

    @Test
    void shouldHaveTheTargetsOfAServiceAsMembers() throws Exception {
        dns.host("own.example", 60, "10.0.0.2").host("one.example", 0, "10.0.1.1").host("two.example", 0, "10.0.1.2")
                .host("three.example", 0, "10.0.1.3");
        dns.service(SERVICE, 0, "10 20 8000 one.example", "10 40 8000 two.example");
        try (AgentRig agent = following()) {
            await(agent, with("one.example:8000", "10.0.1.1:8000 1", "two.example:8000", "10.0.1.2:8000 2"));
            JsonNode server = agent.json(SERVERS).path("servers").get(2);
            assertEquals("srv", server.path("origin").asText());
            assertEquals(SERVICE, server.path("service").asText());
            assertEquals(3, server.path("max_fails").asInt());

            int slot = slot(agent, "10.0.1.1:8000");
            assertEquals(200, agent.change("one.example:8000", "drain", "").statusCode());
            dns.service(SERVICE, 0, "10 10 8000 one.example", "10 10 8001 three.example", "20 5 8000 two.example");
            await(agent, with("one.example:8000", "10.0.1.1:8000 1", "three.example:8001", "10.0.1.3:8001 1",
                    "two.example:8000", "10.0.1.2:8000 1*"));
            assertEquals(slot, slot(agent, "10.0.1.1:8000"), "a target that stays keeps its slot");
            assertEquals(ZoneLayout.FOREVER, admin(agent, "10.0.1.1:8000"), "and its drain");

            dns.host("three.example", 0, "10.0.1.33", "10.0.1.34");
            await(agent, with("one.example:8000", "10.0.1.1:8000 1", "three.example:8001", "10.0.1.33:8001 10.0.1.34:8001 1",
                    "two.example:8000", "10.0.1.2:8000 1*"));
            dns.service(SERVICE, 0, "0 0 8001 three.example");
            await(agent, with("three.example:8001", "10.0.1.33:8001 10.0.1.34:8001 1"));
        }
    }

    @Test
    void shouldKeepTheTargetsThatItKnowsWhileDnsIsDeadOrWrong() throws Exception {
        dns.host("own.example", 60, "10.0.0.2").host("one.example", 0, "10.0.1.1").host("two.example", 0, "10.0.1.2");
        dns.service(SERVICE, 0, "0 1 8000 one.example", "0 1 8000 two.example");
        Map<String, String> both = with("one.example:8000", "10.0.1.1:8000 1", "two.example:8000", "10.0.1.2:8000 1");
        try (AgentRig agent = following()) {
            await(agent, both);
            for (Mode mode : new Mode[] {Mode.NXDOMAIN, Mode.SERVFAIL, Mode.SILENT, Mode.NOISE, Mode.WRONG_DATA}) {
                dns.mode(mode);
                Await.until("failures with " + mode, () -> name(agent, SERVICE).path("failures").asInt() >= 2);
                assertEquals(both, members(agent), mode.name());
                dns.mode(Mode.ANSWER);
                Await.until("it to be well after " + mode, () -> name(agent, SERVICE).path("failures").asInt() == 0);
            }
            dns.service(SERVICE, 0, "0 1 8000 nowhere.example");
            Await.until("the target without an address", () -> name(agent, "nowhere.example").path("none").asLong() > 0);
            awaitLookups(agent, SERVICE, "found", 2);
            assertEquals(both, members(agent), "an answer of which nothing resolves empties nothing");
            dns.service(SERVICE, 0, "0 1 8000 one.example", "0 1 8000 two.example").without("two.example");
            Await.until("one target to be gone", () -> name(agent, "two.example").path("none").asLong() > 0);
            awaitLookups(agent, SERVICE, "found", 2);
            assertEquals(both, members(agent), "a target that does not resolve any more stands for what it did");
        }
        dns.stop();
        try (AgentRig agent = following()) {
            await(agent, both);
            Await.until("a look-up in vain", () -> name(agent, SERVICE).path("failed").asLong() > 0);
            assertEquals(both, members(agent));
        }
        zone();
        try (AgentRig agent = following()) {
            await(agent, both);
            Await.until("a look-up in vain", () -> name(agent, SERVICE).path("failed").asLong() > 0);
            assertEquals(both, members(agent), "with another zone, as after a boot");
        }
    }

    @Test
    void shouldLeaveToNginxConfAndOperatorsWhatIsTheirs() throws Exception {
        dns.host("own.example", 60, "10.0.0.2").host("one.example", 0, "10.0.1.1").host("two.example", 0, "10.0.1.2")
                .host("other.example", 60, "10.0.2.1");
        dns.service(SERVICE, 0, "0 1 8000 one.example", "0 5 81 own.example");
        try (AgentRig agent = agent(PATIENT + SRV)) {
            await(agent, with("one.example:8000", "10.0.1.1:8000 1"));
            assertEquals(200, agent.send("POST", SERVERS, "{\"server\": \"other.example:80\", \"weight\": 2}").statusCode());
            for (String[] call : new String[][] {{"DELETE", "", "{}"}, {"PATCH", "", "{\"weight\": 2}"}, {"POST", "/reset", "{}"}}) {
                HttpResponse<String> refused = agent.send(call[0], SERVERS + "/one.example:8000" + call[1], call[2]);
                assertEquals(409, refused.statusCode(), refused.body());
                assertTrue(refused.body().contains("a target of the service " + SERVICE), refused.body());
            }
            dns.service(SERVICE, 0, "0 1 8000 two.example");
            await(agent, with("two.example:8000", "10.0.1.2:8000 1", "other.example:80", "10.0.2.1:80 2"));
            assertEquals(200, agent.send("POST", "/v1/upstreams/" + ZoneFixture.UPSTREAM + "/reset", "{}").statusCode());
            assertEquals(with("two.example:8000", "10.0.1.2:8000 1"), members(agent), "a reset is about what operators changed");
            assertEquals(200, agent.send("POST", SERVERS, "{\"server\": \"one.example:8000\", \"weight\": 7}").statusCode());
            dns.service(SERVICE, 0, "0 1 8000 two.example", "0 1 8000 one.example");
            await(agent, with("one.example:8000", "10.0.1.1:8000 1", "two.example:8000", "10.0.1.2:8000 1"));
        }
        try (AgentRig agent = agent("")) {
            await(agent, with());
        }
        try (AgentRig agent = following()) {
            await(agent, with("one.example:8000", "10.0.1.1:8000 1", "two.example:8000", "10.0.1.2:8000 1"));
        }
        try (AgentRig agent = new AgentRig(folder)) {
            await(agent, with());
        }
    }

    @Test
    void shouldGoOnWithTheOthersWhenTheJournalCannotBeWritten() throws Exception {
        dns.host("own.example", 60, "10.0.0.2").host("one.example", 0, "10.0.1.1");
        Files.createDirectory(folder.resolve("journal"));
        dns.service(SERVICE, 0, "0 1 8000 one.example");
        try (AgentRig agent = following()) {
            await(agent, with("one.example:8000", "10.0.1.1:8000 1"));
            assertEquals(List.of(), List.of(Files.list(folder.resolve("journal")).toArray()));
        }
    }
}
