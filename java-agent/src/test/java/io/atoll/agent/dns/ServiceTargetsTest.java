package io.atoll.agent.dns;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

import io.atoll.agent.config.AgentConfig.ServiceConfig;
import io.atoll.agent.store.ServerAddress;
import io.atoll.core.zone.MemberChange;
import org.junit.jupiter.api.Test;

class ServiceTargetsTest {
    private static final ServiceConfig SERVICE = new ServiceConfig("edges", "_http._tcp.example.com", 7, 2, Duration.ofSeconds(5));

    private static Target target(int priority, int weight, String server) {
        String[] parts = server.split(":");
        return new Target(priority, weight, Integer.parseInt(parts[1]), parts[0]);
    }

    private static List<MemberChange.Address> at(Target target) {
        return target.host().startsWith("gone") ? List.of() : List.of(ServerAddress.literal("10.0.0.1:" + target.port()));
    }

    /** "server weight", with * for a backup. */
    private static List<String> servers(Target... targets) {
        List<String> servers = new ArrayList<>();
        for (MemberChange server : ServiceTargets.servers(SERVICE, ServiceTargets.named(List.of(targets)), ServiceTargetsTest::at)) {
            servers.add(server.server() + " " + server.weight() + (server.backup() ? "*" : ""));
        }
        return servers;
    }

    @Test
    void shouldGiveServersTheirTargetsWeightsAsSmallAsTheyCanBe() {
        assertEquals(List.of("a:80 1", "b:80 1"), servers(target(0, 33, "a:80"), target(0, 33, "b:80")));
        assertEquals(List.of("a:80 1", "b:80 2"), servers(target(0, 20, "a:80"), target(0, 40, "b:80")));
        assertEquals(List.of("a:80 3", "b:80 5"), servers(target(0, 3, "a:80"), target(0, 5, "b:80")));
        assertEquals(List.of("a:80 1", "b:80 1"), servers(target(0, 0, "a:80"), target(0, 0, "b:80")), "0 counts as 1");
        assertEquals(List.of("a:80 1", "b:80 10"), servers(target(0, 0, "a:80"), target(0, 10, "b:80")));
        assertEquals(List.of("a:80 100", "b:80 50", "c:80 1"),
                servers(target(0, 65535, "a:80"), target(0, 32768, "b:80"), target(0, 1, "c:80")), "scaled down, and none to nothing");
    }

    @Test
    void shouldTakeTheLowestPriorityAsPrimaryServersAndTheOthersAsBackup() {
        assertEquals(List.of("a:80 1", "b:80 2", "c:80 1*", "d:80 3*"), servers(target(10, 10, "a:80"), target(10, 20, "b:80"),
                target(20, 5, "c:80"), target(30, 15, "d:80")), "weights are proportional within each ring");
        assertEquals(List.of("b:80 1*"), servers(target(1, 1, "gone:80"), target(2, 1, "b:80")),
                "a primary one that does not resolve does not make its stand-ins primary");
    }

    @Test
    void shouldLeaveOutWhatHasNoAddressOrNoNameThatNginxTakes() {
        assertEquals(List.of("a:80 1"), servers(target(0, 1, "a:80"), target(0, 1, "gone:80"), target(0, 1, "a b:80"), target(0, 1, "a/b:80"),
                target(0, 1, "10.0.0.1:80"), new Target(0, 1, 80, "x".repeat(300))));
    }

    @Test
    void shouldTellWhichTargetsAreNoNames() {
        Target address = target(0, 1, "10.0.0.1:80");
        Target numbers = target(0, 1, "300.1.1.1:80");
        assertEquals(List.of(address, numbers), ServiceTargets.refused(List.of(target(0, 1, "a:80"), address, numbers)));
    }

    @Test
    void shouldTakeATargetThatIsNamedTwiceOnce() {
        assertEquals(List.of("a:80 3", "b:80 2"), servers(target(0, 1, "a:80"), target(0, 2, "a:80"), target(0, 2, "b:80")));
        assertEquals(List.of("a:80 1", "b:80 2"), servers(target(1, 9, "a:80"), target(0, 1, "a:80"), target(0, 2, "b:80")));
        assertEquals(List.of("a:80 1", "a:81 1"), servers(target(0, 1, "a:80"), target(0, 1, "a:81")), "another port is another server");
    }

    @Test
    void shouldGiveThemTheLimitsOfTheConfiguration() {
        MemberChange server = ServiceTargets.servers(SERVICE, List.of(target(0, 1, "a:80")), ServiceTargetsTest::at).get(0);
        assertEquals(new MemberChange(MemberChange.Kind.ADDED, "a:80", 1, 7, 2, 5000, false, List.of(ServerAddress.literal("10.0.0.1:80"))), server);
    }
}
