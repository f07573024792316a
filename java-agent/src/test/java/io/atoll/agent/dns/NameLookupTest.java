package io.atoll.agent.dns;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import io.atoll.agent.config.AgentConfig.Families;
import io.atoll.agent.config.AgentConfig.ResolveConfig;
import io.atoll.agent.probe.Transport;
import io.atoll.core.tools.DnsServer;
import io.atoll.core.tools.DnsServer.Mode;
import io.netty.channel.EventLoopGroup;
import io.netty.util.concurrent.DefaultThreadFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Look-ups at name servers on loopback. */
class NameLookupTest {
    private final Transport transport = new Transport(Transport.isEpollAvailable());
    private EventLoopGroup group;
    private DnsServer dns;
    private final List<NameLookup> lookups = new ArrayList<>();

    @BeforeEach
    void start() {
        group = transport.newLoop(new DefaultThreadFactory("test", true));
        dns = DnsServer.start();
    }

    @AfterEach
    void stop() {
        lookups.forEach(NameLookup::close);
        dns.close();
        group.shutdownGracefully(0, 1, TimeUnit.SECONDS);
    }

    private NameLookup lookup(Families families, DnsServer... servers) {
        return lookup(families, 100_000, servers);
    }

    private NameLookup lookup(Families families, int rate, DnsServer... servers) {
        List<InetSocketAddress> addresses = new ArrayList<>();
        for (DnsServer server : servers) {
            String[] parts = server.address().split(":");
            addresses.add(new InetSocketAddress(parts[0], Integer.parseInt(parts[1])));
        }
        NameLookup lookup = new NameLookup(new ResolveConfig(true, addresses, families, Duration.ofSeconds(1), Duration.ofMinutes(1),
                Duration.ofSeconds(1), Duration.ofMillis(300), rate, List.of()), group.next(), transport);
        lookups.add(lookup);
        return lookup;
    }

    private <T> Answer<T> get(java.util.function.Supplier<CompletableFuture<Answer<T>>> question) {
        return CompletableFuture.supplyAsync(question, group.next()).thenCompose(answer -> answer).orTimeout(10, TimeUnit.SECONDS).join();
    }

    private Answer<InetAddress> addresses(String name) {
        NameLookup lookup = lookup(Families.BOTH, dns);
        return get(() -> lookup.addresses(name, List.of()));
    }

    private static List<String> texts(Answer<InetAddress> answer) {
        return answer.values().stream().map(InetAddress::getHostAddress).sorted().toList();
    }

    @Test
    void shouldFindAddressesOfBothFamiliesAndForHowLongTheyHold() {
        dns.host("cache.example", 77, "10.0.0.1", "10.0.0.2", "fd00::1");
        Answer<InetAddress> answer = addresses("CACHE.example");
        assertEquals(List.of("10.0.0.1", "10.0.0.2", "fd00:0:0:0:0:0:0:1"), texts(answer));
        assertEquals(77, answer.ttl());
        NameLookup four = lookup(Families.IPV4, dns);
        assertEquals(List.of("10.0.0.1", "10.0.0.2"), texts(get(() -> four.addresses("cache.example", List.of()))));
        NameLookup six = lookup(Families.IPV6, dns);
        assertEquals(List.of("fd00:0:0:0:0:0:0:1"), texts(get(() -> six.addresses("cache.example.", List.of()))));
    }

    @Test
    void shouldHoldAnAliasForTheShortestTimeOfItsChain() {
        dns.alias("www.example", 3, "cache.example").host("cache.example", 600, "10.0.0.1");
        Answer<InetAddress> answer = addresses("www.example");
        assertEquals(List.of("10.0.0.1"), texts(answer));
        assertEquals(3, answer.ttl());
        dns.alias("far.example", 50, "www.example");
        answer = addresses("far.example");
        assertEquals(List.of("10.0.0.1"), texts(answer), "the server tells one step at a time");
        assertEquals(3, answer.ttl());
        dns.alias("a.example", 5, "b.example").alias("b.example", 5, "a.example");
        assertEquals(Answer.Status.NONE, addresses("a.example").status(), "a chain without an end ends");
    }

    @Test
    void shouldAskOverTcpForWhatDoesNotFit() {
        String[] many = new String[200];
        for (int i = 0; i < many.length; i++) {
            many[i] = "10.0.1." + i;
        }
        dns.host("many.example", 60, many);
        assertEquals(200, addresses("many.example").values().size());
        assertTrue(dns.tcpQueries() > 0);
    }

    @Test
    void shouldTellANameThatIsNotThereFromOneThatNobodyKnows() {
        dns.host("empty.example", 60);
        assertEquals(Answer.Status.NONE, addresses("none.example").status());
        assertEquals(Answer.Status.NONE, addresses("empty.example").status());
        dns.host("cache.example", 60, "10.0.0.1");
        for (Mode mode : new Mode[] {Mode.SERVFAIL, Mode.SILENT, Mode.NOISE, Mode.WRONG_DATA}) {
            dns.mode(mode);
            Answer<InetAddress> answer = addresses("cache.example");
            assertEquals(Answer.Status.FAILED, answer.status(), mode.name());
            assertTrue(answer.detail().contains(dns.address()), mode + ": " + answer.detail());
        }
        dns.stop();
        assertEquals(Answer.Status.FAILED, addresses("cache.example").status());
        dns.restart();
        dns.mode(Mode.ANSWER);
        assertEquals(Answer.Status.FOUND, addresses("cache.example").status());
    }

    @Test
    void shouldAskTheNextServerWhenOneDoesNotKnow() {
        try (DnsServer second = DnsServer.start()) {
            second.host("cache.example", 60, "10.0.0.2");
            NameLookup lookup = lookup(Families.IPV4, dns, second);
            for (Mode mode : new Mode[] {Mode.SERVFAIL, Mode.SILENT, Mode.WRONG_DATA}) {
                dns.mode(mode).host("cache.example", 60, "10.0.0.1");
                assertEquals(List.of("10.0.0.2"), texts(get(() -> lookup.addresses("cache.example", List.of()))), mode.name());
            }
            dns.mode(Mode.ANSWER);
            assertEquals(List.of("10.0.0.1"), texts(get(() -> lookup.addresses("cache.example", List.of()))));
            dns.mode(Mode.NXDOMAIN);
            assertEquals(Answer.Status.NONE, get(() -> lookup.addresses("cache.example", List.of())).status(), "who knows is believed");
        }
    }

    @Test
    void shouldNotTakeSomeOfTheRecordsForAllOfThem() {
        dns.withoutTcp().mode(Mode.TRUNCATED).host("cache.example", 60, "10.0.0.1", "10.0.0.2");
        NameLookup alone = lookup(Families.IPV4, dns);
        Answer<InetAddress> answer = get(() -> alone.addresses("cache.example", List.of()));
        assertEquals(Answer.Status.FAILED, answer.status(), answer.toString());
        assertTrue(answer.detail().contains("a cut answer from " + dns.address()), answer.detail());
        try (DnsServer second = DnsServer.start()) {
            second.host("cache.example", 60, "10.0.0.1", "10.0.0.2");
            NameLookup both = lookup(Families.IPV4, dns, second);
            assertEquals(List.of("10.0.0.1", "10.0.0.2"), texts(get(() -> both.addresses("cache.example", List.of()))));
        }
    }

    @Test
    void shouldAskOverTcpForAnAnswerThatEndsEarly() {
        dns.wellOverTcp(true).host("cache.example", 60, "10.0.0.1", "10.0.0.2", "10.0.0.3");
        NameLookup lookup = lookup(Families.IPV4, dns);
        for (Mode mode : new Mode[] {Mode.CUT, Mode.SHORT, Mode.GARBLED}) {
            dns.mode(mode);
            int before = dns.tcpQueries();
            assertEquals(List.of("10.0.0.1", "10.0.0.2", "10.0.0.3"), texts(get(() -> lookup.addresses("cache.example", List.of()))), mode.name());
            assertEquals(before + 1, dns.tcpQueries(), mode.name());
        }
    }

    @Test
    void shouldAskNoMoreOftenThanItsRateAllows() throws Exception {
        NameLookup lookup = lookup(Families.IPV4, 100, dns);
        List<CompletableFuture<Answer<InetAddress>>> answers = new ArrayList<>();
        long began = System.nanoTime();
        group.next().submit(() -> {
            for (int i = 0; i < 62; i++) {
                dns.host("name-" + i, 60, "10.0.0." + i);
                answers.add(lookup.addresses("name-" + i, List.of()));
            }
        }).get(10, TimeUnit.SECONDS);
        for (CompletableFuture<Answer<InetAddress>> answer : answers) {
            assertEquals(Answer.Status.FOUND, answer.get(10, TimeUnit.SECONDS).status());
        }
        long tookMs = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began);
        assertTrue(tookMs >= 300, "32 at once, and 30 more in 300 ms at least; took " + tookMs + " ms");
    }

    @Test
    void shouldCountWhatItAsksOverTcp() {
        dns.mode(Mode.TRUNCATED).wellOverTcp(true).host("cache.example", 60, "10.0.0.1", "10.0.0.2");
        NameLookup lookup = lookup(Families.IPV4, 20, dns);
        long began = System.nanoTime();
        for (int i = 0; i < 21; i++) {
            assertEquals(2, get(() -> lookup.addresses("cache.example", List.of())).values().size());
        }
        long tookMs = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began);
        assertTrue(tookMs >= 450, "32 at once, and 9 more in 450 ms at least; took " + tookMs + " ms");
    }

    @Test
    void shouldNotTakeAnAnswerThatEndsEarlyForAWholeOne() {
        dns.host("cache.example", 60, "10.0.0.1", "10.0.0.2");
        NameLookup lookup = lookup(Families.IPV4, dns);
        for (boolean tcp : new boolean[] {true, false}) {
            for (Mode mode : new Mode[] {Mode.CUT, Mode.SHORT, Mode.GARBLED}) {
                dns.mode(mode);
                Answer<InetAddress> answer = get(() -> lookup.addresses("cache.example", List.of()));
                assertEquals(Answer.Status.FAILED, answer.status(), mode + " " + answer);
                assertTrue(answer.detail().contains("a cut answer from " + dns.address()), mode + " " + answer);
            }
            dns.withoutTcp();
        }
        try (DnsServer second = DnsServer.start()) {
            second.host("cache.example", 60, "10.0.0.1", "10.0.0.2");
            NameLookup both = lookup(Families.IPV4, dns, second);
            assertEquals(List.of("10.0.0.1", "10.0.0.2"), texts(get(() -> both.addresses("cache.example", List.of()))));
        }
    }

    @Test
    void shouldKeepTheAddressesOfAFamilyThatCannotBeAskedFor() throws Exception {
        InetAddress six = InetAddress.getByName("fd00::1");
        InetAddress four = InetAddress.getByName("10.0.0.9");
        Answer<InetAddress> found = Answer.found(List.of(InetAddress.getByName("10.0.0.1")), 60);
        Answer<InetAddress> both = NameLookup.together(found, Answer.failed("no answer"), List.of(six, four));
        assertEquals(List.of("10.0.0.1", "fd00:0:0:0:0:0:0:1"), texts(both));
        assertEquals("no answer", both.detail());
        assertEquals(List.of("10.0.0.1"), texts(NameLookup.together(found, Answer.none("nothing"), List.of(six, four))));
        assertEquals(Answer.Status.FAILED, NameLookup.together(Answer.none("nothing"), Answer.failed("no answer"), List.of(six)).status());
    }

    @Test
    void shouldFindTheTargetsOfAService() {
        dns.service("_http._tcp.example", 9, "10 60 8000 One.example", "10 40 8001 two.example", "20 0 8000 three.example");
        NameLookup lookup = lookup(Families.IPV4, dns);
        Answer<Target> answer = get(() -> lookup.targets("_http._tcp.example"));
        assertEquals(List.of(new Target(10, 60, 8000, "one.example"), new Target(10, 40, 8001, "two.example"),
                new Target(20, 0, 8000, "three.example")), answer.values());
        assertEquals(9, answer.ttl());
        dns.service("_http._tcp.example", 9, "0 0 0 .");
        assertEquals(Answer.Status.NONE, get(() -> lookup.targets("_http._tcp.example")).status(), "decidedly not there");
    }

    @Test
    void shouldTakeNamesOfTheHostsFileFromThere() {
        Answer<InetAddress> answer = addresses("localhost");
        assertTrue(texts(answer).contains("127.0.0.1"), answer.toString());
        assertEquals(Answer.NO_TTL, answer.ttl());
        assertEquals(0, dns.queries("localhost"));
    }
}
