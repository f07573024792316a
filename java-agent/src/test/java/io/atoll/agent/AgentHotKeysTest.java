package io.atoll.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

import com.fasterxml.jackson.databind.JsonNode;
import io.atoll.agent.os.Posix;
import io.atoll.agent.testing.AgentRig;
import io.atoll.agent.testing.Await;
import io.atoll.agent.testing.ZoneFixture;
import io.atoll.agent.testing.ZoneFixture.ProbeSpec;
import io.atoll.agent.testing.ZoneFixture.Server;
import io.atoll.core.zone.HotSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** From the samples in a zone to its hot set, and what the agent shows of it. */
class AgentHotKeysTest {
    private static final int HOT = 0xcafe0001;
    private static final String QUICK = """
            atoll.hot-keys { interval = 50 ms, window = 500 ms, cool = 300 ms, rate = 30 }
            """;

    @TempDir
    Path folder;

    private ZoneFixture zone(int replicas) throws Exception {
        List<Server> servers = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            servers.add(Server.at(new InetSocketAddress("127.0.0.1", 9000 + i)));
        }
        ZoneFixture zone = ZoneFixture.create(folder.resolve("nginx.zone"), ProbeSpec.none(), 0, servers);
        zone.setReplicas(replicas);
        return zone;
    }

    private static int replicas(ZoneFixture zone) {
        return zone.zone().hotSet(0).replicasOf(HOT, Posix.monotonicMs());
    }

    /** Requests, one in four for the key, as long as it is open. */
    private static final class Heater implements AutoCloseable {
        private final ZoneFixture zone;
        private final Thread thread = new Thread(this::run, "heater");
        private volatile boolean closed;

        Heater(ZoneFixture zone) {
            this.zone = zone;
            thread.start();
        }

        private void run() {
            for (int other = 1; !closed; other += 3) {
                zone.sample(0, HOT, 1);
                for (int i = 0; i < 3; i++) {
                    zone.sample(1, other + i, 1);
                }
                LockSupport.parkNanos(2_000_000);
            }
        }

        void await(int replicas) {
            Await.until(replicas + " peers for the key", () -> replicas(zone) == replicas);
        }

        @Override
        public void close() {
            closed = true;
            try {
                thread.join();
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }
    }

    @Test
    void shouldTellWorkersAndOperatorsWhichKeyIsHotUntilItCools() throws Exception {
        ZoneFixture zone = zone(6);
        try (AgentRig agent = new AgentRig(folder, QUICK)) {
            agent.awaitState("OK");
            zone.sample(2, HOT, 1);
            assertEquals(0, agent.json("/v1/hot").path("hot").size());
            // A quarter of the requests is two fair shares of eight peers; at a quarter of one each, eight: the limit holds.
            try (Heater heater = new Heater(zone)) {
                heater.await(6);
                JsonNode key = agent.json("/v1/hot?upstream=" + ZoneFixture.UPSTREAM).path("hot").path(0);
                assertEquals("cafe0001", key.path("hash").asText());
                assertEquals("edge1", key.path("node").asText());
                assertEquals(6, key.path("replicas").asInt());
                assertEquals(0.25, key.path("share").asDouble(), 0.1);
                assertTrue(key.path("rate").asDouble() > 30);
                assertEquals(0, agent.json("/v1/hot?upstream=other").path("hot").size());
                assertEquals(400, agent.get("/v1/hot?key=x").statusCode());
                assertEquals(6, agent.json("/v1/upstreams").path("upstreams").path(0).path("replicas").asInt());
                assertEquals(1, agent.metric("atoll_hot_keys{"));
                assertEquals(6, agent.metric("atoll_hot_key_replicas{"));
                assertTrue(agent.metric("atoll_zone_samples_total{") > 0);

                long until = zone.zone().hotSet(0).untilMs();
                Await.until("another lease", () -> zone.zone().hotSet(0).untilMs() > until);
                assertTrue(zone.zone().hotSet(0).untilMs() <= Posix.monotonicMs() + 3000, "a lease of 3 s");
            }

            List<Integer> steps = new ArrayList<>(List.of(6));
            Await.until("it to cool", () -> {
                int now = replicas(zone);
                if (now != steps.get(steps.size() - 1)) {
                    steps.add(now);
                }
                return now == 0;
            });
            assertEquals(List.of(6, 5, 4, 3, 2, 0), steps);
            Await.until("an empty set", () -> zone.zone().hotSet(0).isEmpty());
            assertEquals(0, agent.metric("atoll_hot_keys{"));
        }
    }

    @Test
    void shouldKeepAHotKeyOfATierWhereItIsAskedFor() throws Exception {
        ZoneFixture zone = zone(0);
        try (AgentRig agent = new AgentRig(folder, QUICK)) {
            agent.awaitState("OK");
            try (Heater heater = new Heater(zone)) {
                heater.await(1);
            }
        }
    }

    @Test
    void shouldCoolWhatTheAgentBeforeLeftHot() throws Exception {
        ZoneFixture zone = zone(6);
        zone.zone().writeHotSet(0, new HotSet(Posix.monotonicMs() + 30_000, new int[] {7, HOT}, new int[] {0, 3}));
        try (AgentRig agent = new AgentRig(folder, QUICK.replace("300 ms", "2 s"))) {
            agent.awaitState("OK");
            assertEquals(3, agent.json("/v1/hot").path("hot").path(0).path("replicas").asInt());
            Await.until("the first peer less", () -> replicas(zone) == 2);
        }
    }

    @Test
    void shouldHaveNoHotKeysWhenTheyAreOff() throws Exception {
        ZoneFixture zone = zone(6);
        try (AgentRig agent = new AgentRig(folder, QUICK + "atoll.hot-keys.enabled = false\n")) {
            agent.awaitState("OK");
            zone.sample(0, HOT, 200);
            AgentRig.awaitHeartbeats(zone, 10);
            assertEquals(0, agent.json("/v1/hot").path("hot").size());
            assertTrue(zone.zone().hotSet(0).isEmpty());
        }
    }

    /** An agent that another has taken the zone from writes no more. */
    @Test
    void shouldLeaveTheSetToTheAgentThatHasTheZone() throws Exception {
        ZoneFixture zone = zone(6);
        try (AgentRig agent = new AgentRig(folder, QUICK)) {
            agent.awaitState("OK");
            try (Heater heater = new Heater(zone)) {
                heater.await(6);
            }
            zone.claim(1, Posix.processStart(1));
            zone.heartbeat();
            agent.awaitState("STANDBY");
            HotSet empty = new HotSet(Posix.monotonicMs() + 1000, new int[0], new int[0]);
            zone.zone().writeHotSet(0, empty);
            for (int i = 0; i < 10; i++) {
                zone.sample(0, HOT, 50);
                zone.heartbeat();
                agent.json("/v1/status");
            }
            assertTrue(zone.zone().hotSet(0).isEmpty());
            assertEquals(0, agent.json("/v1/hot").path("hot").size());
        }
    }
}
