package io.atoll.tests;

import static io.atoll.tests.MembersTest.address;
import static io.atoll.tests.MembersTest.at;
import static io.atoll.tests.MembersTest.moved;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.atoll.core.tools.DnsServer;
import io.atoll.core.tools.DnsServer.Mode;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.NetNs;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Names that lead elsewhere while nginx runs, and services (SRV records) whose targets come and go; a name server of the scene's own. */
@ExtendWith(SceneExtension.class)
class NamesTest {
    private static final int RATE = 200;
    private static final Duration FAR = Duration.ofSeconds(20);
    private static final String SERVICE = "_http._tcp.caches.example";

    private static Nginx front(Scene scene, Peers peers) {
        Nginx front = Nginx.in(scene, "front");
        return front.atoll(Front.http(front, "    server " + peers.name(0) + ";\n", "")).start();
    }

    private static Agent agent(Scene scene, Nginx front, DnsServer dns, String more) {
        return Agent.start(scene, front, """
                atoll.resolve { enabled = true, servers = ["%s"], families = ipv4, interval = 1 s, timeout = 300 ms, %s }
                """.formatted(dns.address(), more));
    }

    private static Set<String> owning(Nginx front) {
        return new TreeSet<>(Front.owners(front).values());
    }

    private static void awaitName(Agent agent, String name, String what, Predicate<JsonNode> fact) {
        Await.until(name + ": " + what, FAR, () -> {
            for (JsonNode known : agent.get("/v1/names").path("names")) {
                if (known.path("name").asText().equals(name)) {
                    return fact.test(known);
                }
            }
            return false;
        });
    }

    private static void awaitAddresses(Agent agent, String server, String... addresses) {
        Await.until("the agent to follow " + server, FAR, () -> new TreeSet<>(agent.get("/v1/peers?server=" + server).path("peers")
                .findValuesAsText("address")).equals(new TreeSet<>(Set.of(addresses))));
    }

    @Test
    void shouldFollowATimeToLiveOfASecondUnderLoadWithoutAReload(Scene scene) {
        Peers peers = Peers.start(scene, 4);
        Nginx front = front(scene, peers);
        try (DnsServer dns = DnsServer.start().host("cache.example", 1, address(peers, 1))) {
            Agent agent = agent(scene, front, dns, "");
            agent.add(Front.ATOLL, "cache.example:8000", 2);
            Map<String, String> owners = Front.owners(front);
            assertTrue(at(owners, "cache.example:8000") > 0, "the name owns keys");
            Load load = Load.start(scene, front.address(), "/atoll", RATE);
            dns.host("cache.example", 1, address(peers, 2));
            awaitAddresses(agent, "cache.example:8000", peers.name(2));
            long movedAt = System.nanoTime();
            assertEquals(0, moved(owners, Front.owners(front)), "points hang on the name");
            dns.host("cache.example", 1, address(peers, 2), address(peers, 3));
            awaitAddresses(agent, "cache.example:8000", peers.name(2), peers.name(3));
            for (Mode mode : new Mode[] {Mode.NOISE, Mode.SHORT}) {
                dns.mode(mode);
                awaitName(agent, "cache.example", "failures with " + mode, name -> name.path("failures").asInt() >= 1);
                dns.mode(Mode.ANSWER);
                awaitName(agent, "cache.example", "to be well again", name -> name.path("failures").asInt() == 0);
            }
            dns.stop();
            awaitName(agent, "cache.example", "failures", name -> name.path("failures").asInt() >= 1);
            awaitAddresses(agent, "cache.example:8000", peers.name(2), peers.name(3));
            assertEquals(0, moved(owners, Front.owners(front)), "a name that does not resolve stands for what it did");
            Load.Report report = load.stop();
            assertEquals(0, report.failed().size(), report.complaint());
            assertEquals(0, report.since(movedAt).firstTo(peers.name(1)).count(), "first tries at the address of before");
            assertTrue(report.touching(peers.name(2)).count() > 0 && report.touching(peers.name(3)).count() > 0, "both addresses serve");
            assertTrue(agent.log().contains("cache.example:8000 does not resolve"), agent.log());
            Scene.print("under load: %s", report.line());
        }
    }

    /** Its address; it ends with the scene. */
    private static String nameServer(Scene scene, NetNs netns, String... hosts) throws IOException {
        List<String> command = new ArrayList<>(netns.prefix());
        command.addAll(List.of(ProcessHandle.current().info().command().orElse("java"), "-XX:TieredStopAtLevel=1", "-cp",
                System.getProperty("java.class.path"), DnsServer.class.getName(), "::1"));
        command.addAll(List.of(hosts));
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        scene.keep((AutoCloseable) process::destroy);
        BufferedReader out = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.US_ASCII));
        Await.until("the address of the name server", FAR, () -> {
            try {
                return out.ready() || !process.isAlive();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        return out.readLine();
    }

    private static Set<String> upstreams(Nginx front, String server, Map<String, String> owners) throws IOException {
        Set<String> found = new TreeSet<>();
        for (Map.Entry<String, String> object : owners.entrySet()) {
            if (object.getValue().equals(server)) {
                Http.Response response = Http.get(front.address(), "/atoll" + object.getKey());
                assertEquals(200, response.status(), object.getKey());
                found.add(response.header("X-Upstream"));
            }
        }
        return found;
    }

    /** A host with IPv6 addresses alone, besides 127.0.0.1, asks for such alone, a name server over IPv6. */
    @Test
    void shouldAskIpv6ServersOfNamesOnAHostOfIpv6Alone(Scene scene) throws IOException {
        NetNs netns = NetNs.in(scene).with("fd00::10").with("fd00::11").with("fd00::12");
        Nginx.in(scene, "peers").http("""
                server { listen [fd00::10]:8000; listen [fd00::11]:8000; listen [fd00::12]:8000; location / { return 200; } }
                """).through(netns.prefix()).start();
        Nginx front = Nginx.in(scene, "front");
        front.atoll(Front.http(front, "    server [fd00::10]:8000;\n", "")).through(netns.prefix()).start();
        String dns = nameServer(scene, netns, "six.example=fd00::11,fd00::12", "both.example=10.0.0.1,fd00::12");
        Agent agent = Agent.start(scene, front, netns, List.of(), """
                atoll.resolve { enabled = true, servers = ["%s"] }
                """.formatted(dns));
        agent.add(Front.ATOLL, "six.example:8000", 2);
        agent.add(Front.ATOLL, "both.example:8000", 1);
        awaitAddresses(agent, "six.example:8000", "[fd00::11]:8000", "[fd00::12]:8000");
        awaitAddresses(agent, "both.example:8000", "[fd00::12]:8000");
        Map<String, String> owners = Front.owners(front);
        assertEquals(Set.of("[fd00::11]:8000", "[fd00::12]:8000"), upstreams(front, "six.example:8000", owners));
        assertEquals(Set.of("[fd00::12]:8000"), upstreams(front, "both.example:8000", owners));
        awaitName(agent, "six.example", "further answers", name -> name.path("found").asInt() >= 2);
    }

    @Test
    void shouldHaveTheTargetsOfAServiceAsServersUnderLoad(Scene scene) {
        Peers peers = Peers.start(scene, 5);
        Nginx front = front(scene, peers);
        try (DnsServer dns = DnsServer.start()) {
            dns.host("one.example", 1, address(peers, 1)).host("two.example", 1, address(peers, 2)).host("three.example", 1, address(peers, 3));
            dns.service(SERVICE, 1, "10 10 8000 one.example", "10 10 8000 two.example");
            Agent agent = agent(scene, front, dns, "srv = [ { upstream = %s, service = \"%s\", max-fails = 0 } ]"
                    .formatted(Front.ATOLL, SERVICE));
            Await.until("both targets", FAR, () -> owning(front).equals(Set.of(peers.name(0), "one.example:8000", "two.example:8000")));
            Map<String, String> two = Front.owners(front);
            Load load = Load.start(scene, front.address(), "/atoll", RATE);

            dns.service(SERVICE, 1, "10 10 8000 one.example", "10 10 8000 two.example", "10 10 8000 three.example");
            Await.until("a third target", FAR, () -> owning(front).contains("three.example:8000"));
            Map<String, String> three = Front.owners(front);
            assertEquals(moved(two, three), at(three, "three.example:8000"), "keys move to the new target only");

            dns.service(SERVICE, 1, "10 10 8000 one.example", "10 10 8000 two.example", "10 30 8000 three.example");
            Await.until("another weight", FAR, () -> at(Front.owners(front), "three.example:8000") > at(three, "three.example:8000"));
            Map<String, String> weighted = Front.owners(front);
            assertEquals(at(weighted, "three.example:8000") - at(three, "three.example:8000"), moved(three, weighted), "keys move to it only");

            dns.host("three.example", 1, address(peers, 4));
            awaitAddresses(agent, "three.example:8000", peers.name(4));
            assertEquals(0, moved(weighted, Front.owners(front)), "another address moves no key");

            dns.service(SERVICE, 1, "10 10 8000 one.example", "10 30 8000 three.example");
            Await.until("a target to leave", FAR, () -> !owning(front).contains("two.example:8000"));
            long leftAt = System.nanoTime();
            Map<String, String> left = Front.owners(front);
            assertEquals(at(weighted, "two.example:8000"), moved(weighted, left), "only its keys move");

            Load.Report report = load.stop();
            assertEquals(0, report.failed().size(), report.complaint());
            assertEquals(0, report.since(leftAt).firstTo(peers.name(2)).count(), "first tries at the target that left");
            assertTrue(report.touching(peers.name(4)).count() > 0, "the other address serves");
            Scene.print("under load: %s", report.line());

            dns.mode(Mode.NXDOMAIN);
            awaitName(agent, SERVICE, "failures", name -> name.path("failures").asInt() >= 2);
            assertEquals(0, moved(left, Front.owners(front)), "a service that is gone keeps its targets");
            dns.stop();
            agent.kill();
            front.reload();
            agent.start();
            awaitName(agent, SERVICE, "failures of another agent", name -> name.path("failures").asInt() >= 1);
            assertEquals(0, moved(left, Front.owners(front)), "over a reload and a death of the agent, too, without DNS");
        }
    }
}
