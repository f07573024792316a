package io.atoll.agent.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import com.typesafe.config.ConfigFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AgentConfigTest {
    @TempDir
    Path folder;

    private Path file(String text) throws IOException {
        return Files.writeString(folder.resolve("agent.conf"), text);
    }

    private List<String> problems(String text) throws IOException {
        Path file = file(text);
        return assertThrows(ConfigProblems.class, () -> AgentConfig.read(file)).problems().stream()
                .map(problem -> problem.replace(folder + "/", "")).toList();
    }

    private void assertProblem(String expected, String text) throws IOException {
        assertEquals(List.of(expected), problems(text));
    }

    @Test
    void shouldNotTakeItselfForAnotherAgentWhereItListensOnAllAddresses() throws Exception {
        List<String> own = new ArrayList<>();
        for (NetworkInterface network : Collections.list(NetworkInterface.getNetworkInterfaces())) {
            for (InetAddress address : Collections.list(network.getInetAddresses())) {
                String host = address.getHostAddress().replaceFirst("%.*", "");
                if (!address.isLinkLocalAddress()) {
                    own.add("\"http://" + (host.contains(":") ? "[" + host + "]" : host) + ":6181\"");
                }
            }
        }
        String agents = "atoll.mesh.agents = [" + String.join(", ", own)
                + ", \"http://127.0.0.7:6181\", \"http://127.0.0.1:6182\", \"http://192.0.2.1:6181\", \"http://localhost:6181\"]\n";
        for (String listen : new String[] {"0.0.0.0:6181", "[::]:6181"}) {
            assertEquals(List.of("http://127.0.0.1:6182", "http://192.0.2.1:6181", "http://localhost:6181"),
                    AgentConfig.read(file(agents + "atoll.api.listen = \"" + listen + "\"")).purge().agents(), listen);
        }
        assertEquals(List.of("http://[fd00::2]:6181"), AgentConfig.read(file("""
                atoll.api.listen = "[fd00::1]:6181"
                atoll.mesh.agents = ["http://[fd00:0:0:0::1]:6181", "http://[fd00::2]:6181"]
                """)).purge().agents());
    }

    @Test
    void shouldHaveADefaultForEverything() throws Exception {
        AgentConfig config = AgentConfig.read(null);
        assertEquals(List.of(Path.of("/run/atoll/atoll.zone")), config.zones());
        assertEquals("127.0.0.1:9181", config.apiListen().toString());
        assertEquals(Duration.ofSeconds(1), config.heartbeat());
        assertEquals(Duration.ofSeconds(10), config.lease());
        assertEquals("", config.token());
        assertNull(config.metricsListen());
        assertTrue(config.probe().keepalive());
    }

    @Test
    void shouldTakeOneZoneOrAList() throws Exception {
        assertEquals(List.of(Path.of("/a.zone")), AgentConfig.read(file("atoll.zone = /a.zone")).zones());
        assertEquals(List.of(Path.of("/a.zone"), Path.of("/b/c.zone")),
                AgentConfig.read(file("atoll { zone = [/a.zone, \"/b/./c.zone\"] }")).zones());
    }

    @Test
    void shouldLeaveItselfOutOfTheAgentsToTell() throws Exception {
        AgentConfig config = AgentConfig.read(file("""
                atoll.api.listen = "127.0.0.1:6182"
                atoll.mesh.agents = ["http://127.0.0.1:6181", "http://127.0.0.1:6182/", "http://127.0.0.1:61822"]
                atoll.purge.delete = ["http://127.0.0.1:80/a/delete", "https://[::1]:443/"]
                """));
        assertEquals(List.of("http://127.0.0.1:6181", "http://127.0.0.1:61822"), config.purge().agents());
        assertEquals(List.of("http://127.0.0.1:80/a/delete", "https://[::1]:443"), config.purge().delete());
    }

    @Test
    void shouldRefuseWhatIsNoLocationToDeleteAt() throws IOException {
        for (String wrong : List.of("http://127.0.0.1/delete", "127.0.0.1:80/delete", "http://127.0.0.1:80/a?b", "http://127.0.0.1:80/a b")) {
            assertProblem("agent.conf:1: atoll.purge.delete is \"" + wrong + "\"; expected the address of a location with "
                    + "atoll_purge, such as \"http://127.0.0.1:8099/purge\"", "atoll.purge.delete = [\"" + wrong + "\"]");
        }
    }

    @Test
    void shouldRefuseAgentsThatNoHttpClientCanCall() throws IOException {
        for (String wrong : List.of("http://edge_1:9181", "http://10.0.0.2:91810", "http://10.0.0.2:0", "http://edge.-a:9181", "http://[::g]:1")) {
            String problem = problems("atoll.mesh.agents = [\"" + wrong + "\"]").get(0);
            assertTrue(problem.startsWith("agent.conf:1: atoll.mesh.agents is \"" + wrong + "\"; expected the address of an agent's API, "
                    + "such as \"http://10.0.0.2:9181\""), problem);
        }
        assertProblem("agent.conf:1: atoll.mesh.agents is \"http://edge_1:9181\"; expected the address of an agent's API, such as "
                + "\"http://10.0.0.2:9181\", with a host name of letters, digits, - and . and a port from 1 to 65535",
                "atoll.mesh.agents = [\"http://edge_1:9181\"]");
    }

    @Test
    void shouldNameFileAndLineOfAnUnknownKeyAndTheNearestOne() throws Exception {
        assertProblem("agent.conf:3: atoll.api.tokenfile is not a setting; expected token-file (nearest)",
                "atoll {\n  api {\n    tokenfile = x\n  }\n}\n");
        assertProblem("agent.conf:1: atol is not a setting; expected atoll (nearest)", "atol { lease = 5 s }");
        assertProblem("agent.conf:2: atoll.store.directory is not a setting; expected one of: path, type",
                "\natoll.store.directory = /x");
    }

    @Test
    void shouldNameFileAndLineOfAWrongValueAndWhatWasExpected() throws Exception {
        assertProblem("agent.conf:2: atoll.api.listen is \"localhost\"; expected HOST:PORT or [IPV6]:PORT, "
                + "such as \"127.0.0.1:9181\"", "atoll {\n api.listen = localhost }");
        assertProblem("agent.conf:1: atoll.lease is \"soon\"; expected a time from 300 ms to 10 min, such as \"300 ms\"",
                "atoll.lease = soon");
        assertProblem("agent.conf:1: atoll.lease is \"2 s\"; expected at least 3 heartbeats, 3 s", "atoll.lease = 2 s");
        assertProblem("agent.conf:1: atoll.store.type is \"etcd\"; expected one of: file", "atoll.store.type = etcd");
        assertProblem("agent.conf:1: atoll.store.path is \"journal\"; expected an absolute path",
                "atoll.store.path = journal");
        assertProblem("agent.conf:1: atoll.probe.keepalive is \"perhaps\"; expected true or false",
                "atoll.probe.keepalive = perhaps");
        assertProblem("agent.conf:1: atoll.log.level is \"loud\"; expected one of: debug, info, warn, error",
                "atoll.log.level = loud");
        assertProblem("agent.conf:1: atoll.zone is []; expected a string, or a list of at least one", "atoll.zone = []");
        assertProblem("agent.conf:1: atoll.zone is [\"/a\",\"/a\"]; expected each file once", "atoll.zone = [/a, /a]");
        assertProblem("agent.conf:1: atoll.api is 5; expected a section: api { … }", "atoll.api = 5");
    }

    @Test
    void shouldReportAllProblemsAtOnce() throws Exception {
        assertEquals(3, problems("atoll { lease = x, store.type = y, zon = z }").size());
    }

    @Test
    void shouldNameTheLineOfASyntaxError() throws Exception {
        String problem = problems("atoll {\n  lease = 10 s\n  api { listen = }}}\n").get(0);
        assertTrue(problem.startsWith("agent.conf:3: "), problem);
        assertTrue(problem.contains("expected HOCON"), problem);
    }

    @Test
    void shouldSayThatAFileCannotBeRead() {
        ConfigProblems problems = assertThrows(ConfigProblems.class, () -> AgentConfig.read(folder.resolve("none")));
        assertTrue(problems.getMessage().contains("none cannot be read"), problems.getMessage());
    }

    @Test
    void shouldTakeTheTokenFromItsFile() throws Exception {
        Path token = Files.writeString(folder.resolve("token"), "0123456789abcdef\nmore\n");
        assertEquals("0123456789abcdef", AgentConfig.read(file("atoll.api.token-file = " + token)).token());
        Files.writeString(token, "short\n");
        assertTrue(problems("atoll.api.token-file = " + token).get(0).contains("at least 16 characters"));
        for (String wrong : new String[] {"0123456789 abcdef", "0123456789\tabcdef", "0123456789abcdé€", "\ufeff0123456789abcdef"}) {
            Files.writeString(token, wrong);
            assertTrue(problems("atoll.api.token-file = " + token).get(0).contains("letters, digits and signs of ASCII"), wrong);
        }
        assertTrue(problems("atoll.api.token-file = /none").get(0).contains("a readable file"));
    }

    @Test
    void shouldParseAddressesStrictly() {
        assertEquals(new ListenAddress("::1", 80), ListenAddress.parse("[::1]:80"));
        assertEquals("[::1]:80", ListenAddress.parse("[::1]:80").toString());
        for (String wrong : new String[] {"", ":80", "a", "a:", "a:x", "a:65536", "a:-1", "::1:80", "a b:1", "[a]:1"}) {
            assertNull(ListenAddress.parse(wrong), wrong);
        }
    }

    @Test
    void shouldTakeForALiteralWhatNoResolverIsAskedFor() {
        for (String literal : new String[] {"0.0.0.0", "255.1.2.3", "::1", "fd00::53"}) {
            assertTrue(new ListenAddress(literal, 80).isLiteral(), literal);
        }
        for (String name : new String[] {"999.1.1.1", "256.0.0.1", "1.2.3", "1.2.3.4.5", "localhost", "1.2.3.x"}) {
            assertFalse(new ListenAddress(name, 80).isLiteral(), name);
        }
    }

    @Test
    void shouldReadNameServersAndServices() throws Exception {
        AgentConfig.ResolveConfig resolve = AgentConfig.read(file("""
                atoll.resolve {
                  enabled = true
                  servers = [ "10.0.0.53", "127.0.0.1:5353", "[::1]:54", "fd00::53" ]
                  families = ipv4
                  srv = [ { upstream = edges, service = "_http._tcp.example.com" },
                          { upstream = shields, service = shields.consul, max-conns = 5, max-fails = 3, fail-timeout = 2 s } ]
                }
                """)).resolve();
        assertEquals(List.of("10.0.0.53:53", "127.0.0.1:5353", "[0:0:0:0:0:0:0:1]:54", "[fd00:0:0:0:0:0:0:53]:53"),
                resolve.servers().stream().map(server -> server.toString().substring(1)).toList());
        assertEquals(AgentConfig.Families.IPV4, resolve.families());
        assertEquals(List.of(new AgentConfig.ServiceConfig("edges", "_http._tcp.example.com", 0, 1, Duration.ofSeconds(10)),
                new AgentConfig.ServiceConfig("shields", "shields.consul", 5, 3, Duration.ofSeconds(2))), resolve.services());
    }

    @Test
    void shouldSayWhatIsWrongWithNameServersAndServices() throws Exception {
        assertProblem("agent.conf:1: atoll.resolve.servers is \"ns.example\"; expected the address of a name server: \"10.0.0.53\", "
                + "\"127.0.0.1:5353\", \"[::1]:53\"", "atoll.resolve { servers = [ \"ns.example\" ] }");
        assertProblem("agent.conf:1: atoll.resolve.servers is \"10.0.0.53\"; expected a list of name servers such as [\"10.0.0.53\"]",
                "atoll.resolve.servers = \"10.0.0.53\"");
        assertProblem("agent.conf:1: atoll.resolve.max-ttl is \"1 s\"; expected no less than min-ttl, 1 min",
                "atoll.resolve { min-ttl = 1 m, max-ttl = 1 s }");
        assertProblem("agent.conf:1: atoll.resolve.enabled is false; expected true, since srv names services",
                "atoll.resolve { enabled = false, srv = [ { upstream = a, service = b } ] }");
        assertProblem("agent.conf:2: atoll.resolve.srv[1].service is \"a b\"; expected the name of SRV records, such as \"_http._tcp.example.com\"",
                "atoll.resolve { enabled = true, srv = [ { upstream = a, service = b },\n{ upstream = a, service = \"a b\" } ] }");
        assertProblem("agent.conf:1: atoll.resolve.srv[0].sevice is not a setting; expected service (nearest)",
                "atoll.resolve { enabled = true, srv = [ { upstream = a, service = b, sevice = c } ] }");
        assertTrue(problems("atoll.resolve { enabled = true, srv = [ { service = b } ] }").get(0).contains("srv[0].upstream is \"\"; expected the name"));
    }

    /** The reference page shows each setting with its default, and no other. */
    @Test
    void shouldAgreeWithTheReferencePage() throws Exception {
        Path page = Path.of(System.getProperty("atoll.root"), "docs/reference/agent-configuration.md");
        Set<String> documented = new TreeSet<>();
        Matcher row = Pattern.compile("(?m)^\\| `(atoll\\.[a-z.-]+)` \\| `([^`]*)` \\|").matcher(Files.readString(page));
        while (row.find()) {
            documented.add(row.group(1) + " = " + row.group(2));
        }
        Set<String> settings = new TreeSet<>();
        ConfigFactory.parseResources("reference.conf").entrySet().forEach(
                entry -> settings.add(entry.getKey() + " = " + entry.getValue().render().replace("\"\"", "")
                        .replaceAll("^\"|\"$", "")));
        assertEquals(String.join("\n", settings), String.join("\n", documented));
    }
}
