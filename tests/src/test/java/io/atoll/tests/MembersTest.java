package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.LockHolder;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Servers added, removed and re-weighted while nginx runs, without a reload. */
@ExtendWith(SceneExtension.class)
class MembersTest {
    private static final int RATE = 200;
    private static final Duration FAR = Duration.ofSeconds(20);

    private static Nginx front(Scene scene, Peers peers, int... servers) {
        Nginx front = Nginx.in(scene, "front");
        return front.atoll(http(front, peers, servers));
    }

    private static String http(Nginx front, Peers peers, int... servers) {
        StringBuilder lines = new StringBuilder();
        for (int i : servers) {
            lines.append("    server ").append(peers.name(i)).append(" max_fails=1 fail_timeout=2s;\n");
        }
        return Front.http(front, lines.toString(), Front.probe());
    }

    /** How many keys of `from` have another owner in `to`. */
    static long moved(Map<String, String> from, Map<String, String> to) {
        return from.entrySet().stream().filter(owner -> !owner.getValue().equals(to.get(owner.getKey()))).count();
    }

    static long at(Map<String, String> owners, String server) {
        return owners.values().stream().filter(server::equals).count();
    }

    /** server → weight, for the members of the upstream as the agent has them. */
    private static Map<String, Integer> members(Agent agent) {
        Map<String, Integer> members = new TreeMap<>();
        for (JsonNode server : agent.get("/v1/upstreams/" + Front.ATOLL + "/servers").path("servers")) {
            if (server.path("state").asText().equals("member")) {
                members.put(server.path("server").asText(), server.path("weight").asInt());
            }
        }
        return members;
    }

    @Test
    void shouldAddRemoveAndReweightUnderLoadWithoutAFailedRequest(Scene scene) {
        Peers peers = Peers.start(scene, 4);
        Nginx front = front(scene, peers, 0, 1, 2).start();
        Agent agent = Agent.startAsTheUnitDoes(scene, front);
        Map<String, String> before = Front.owners(front);
        Load load = Load.start(scene, front.address(), "/atoll", RATE);

        agent.add(Front.ATOLL, peers.name(3), 1);
        Map<String, String> added = Front.owners(front);
        Scene.print("added one to three: %d of %d keys moved, %d at the new one", moved(before, added), before.size(),
                at(added, peers.name(3)));
        assertEquals(moved(before, added), at(added, peers.name(3)), "keys move to the new server only");
        assertTrue(at(added, peers.name(3)) > before.size() / 8 && at(added, peers.name(3)) < before.size() * 3 / 8, "about a quarter");

        agent.remove(Front.ATOLL, peers.name(0));
        long removedAt = System.nanoTime();
        Map<String, String> removed = Front.owners(front);
        assertEquals(at(added, peers.name(0)), moved(added, removed), "only the keys of the removed server move");
        assertEquals(0, at(removed, peers.name(0)), "the removed server owns nothing");

        agent.weight(Front.ATOLL, peers.name(1), 3);
        Map<String, String> weighted = Front.owners(front);
        Scene.print("weight 1 to 3 among three: from %d to %d of %d keys", at(removed, peers.name(1)), at(weighted, peers.name(1)),
                before.size());
        assertEquals(at(weighted, peers.name(1)) - at(removed, peers.name(1)), moved(removed, weighted), "keys move to it only");
        assertTrue(at(weighted, peers.name(1)) > before.size() * 0.45, "about three of five");

        Load.Report report = load.stop();
        assertEquals(0, report.failed().size(), report.complaint());
        assertEquals(0, report.since(removedAt).firstTo(peers.name(0)).count(), "first tries at the removed server");
        Scene.print("under load: %s", report.line());
    }

    @Test
    void shouldKeepChangesOverReloadsAndHandThemToNginxConf(Scene scene) {
        Peers peers = Peers.start(scene, 4);
        Nginx front = front(scene, peers, 0, 1, 2).start();
        Agent agent = Agent.start(scene, front);
        agent.add(Front.ATOLL, peers.name(3), 2);
        agent.remove(Front.ATOLL, peers.name(0));
        agent.weight(Front.ATOLL, peers.name(1), 3);
        Map<String, String> owners = Front.owners(front);
        agent.kill();

        front.reload();
        assertEquals(owners, Front.owners(front), "a reload keeps them, without an agent");
        front.atoll("size=12m", http(front, peers, 0, 1, 2)).reload();
        assertEquals(owners, Front.owners(front), "so does a new file");
        assertTrue(front.errorLog().contains("1 peers added, 2 removed or with another weight"), "nginx says so");

        agent.start();
        assertEquals(Map.of(peers.name(1), 3, peers.name(2), 1, peers.name(3), 2), members(agent));
        front.atoll("size=12m", http(front, peers, 1, 2, 3)).reload();
        Await.until("the agent to leave to nginx.conf what it names", FAR,
                () -> Map.of(peers.name(1), 3, peers.name(2), 1, peers.name(3), 1).equals(members(agent)));
        Await.until("the agent to forget a removal that nginx.conf has taken over", FAR,
                () -> agent.log().contains(peers.name(0) + " of " + front.zone() + ": its removal is forgotten"));
        front.atoll("size=12m", http(front, peers, 0, 1, 2, 3)).reload();
        Await.until("a server that nginx.conf names anew to be back", FAR,
                () -> members(agent).containsKey(peers.name(0)));
        assertTrue(at(Front.owners(front), peers.name(0)) > 0, "it serves");
        agent.call("POST", "/v1/upstreams/" + Front.ATOLL + "/reset", "{}");
        assertEquals(Map.of(peers.name(0), 1, peers.name(1), 1, peers.name(2), 1, peers.name(3), 1), members(agent));
    }

    @Test
    void shouldKeepAcknowledgedChangesOverTheAgentsDeathAndTheLossOfTheZone(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 4);
        Nginx front = front(scene, peers, 0, 1, 2).start();
        Agent agent = Agent.start(scene, front);
        agent.add(Front.ATOLL, peers.name(3), 1);
        agent.remove(Front.ATOLL, peers.name(0));
        agent.kill();
        Map<String, String> owners = Front.owners(front);
        assertTrue(at(owners, peers.name(3)) > 0 && at(owners, peers.name(0)) == 0, "what was acknowledged is in force");
        front.stop();
        Files.delete(front.zone());
        front.start();
        assertTrue(at(Front.owners(front), peers.name(0)) > 0, "a zone made from nothing has nginx.conf's servers");
        agent.start();
        Await.until("the agent to bring its changes back", FAR, () -> owners.equals(Front.owners(front)));
        Files.delete(agent.journal());
        agent.kill();
        agent.start();
        assertEquals(owners, Front.owners(front), "an agent that lost its journal takes them from the zone");
        assertEquals(Map.of(peers.name(1), 1, peers.name(2), 1, peers.name(3), 1), members(agent));
    }

    @Test
    void shouldRefuseWhatCannotBe(Scene scene) {
        Peers peers = Peers.start(scene, 2);
        Nginx front = front(scene, peers, 0, 1).start();
        Agent agent = Agent.start(scene, front);
        String servers = "/v1/upstreams/" + Front.ATOLL + "/servers";
        refused(agent.send("POST", servers, "{\"server\": \"no.such.host.invalid:80\"}"), 400, "a name that resolves");
        refused(agent.send("POST", servers, "{\"server\": \"10.0.0.1:99999\"}"), 400, "a port from 1 to 65535");
        refused(agent.send("POST", servers, "{\"weight\": 3}"), 400, "server is missing");
        refused(agent.send("POST", servers, "{\"server\": \"10.0.0.1:80\", \"weight\": 0}"), 400, "a whole number from 1");
        refused(agent.send("POST", "/v1/upstreams/nobody/servers", "{\"server\": \"10.0.0.1:80\"}"), 404, "No attached zone");
        refused(agent.send("DELETE", servers + "/10.9.9.9:80", "{}"), 404, "No server 10.9.9.9:80");
        refused(agent.send("POST", servers, "{\"server\": \"" + peers.name(0) + "\", \"max_fails\": 3}"), 409, "nginx.conf names");
        refused(agent.send("POST", servers, "{\"server\": \"10.0.0.1:80\", \"weight\": 65535}"), 507, "raise size= of atoll_zone");
        agent.remove(Front.ATOLL, peers.name(0));
        agent.remove(Front.ATOLL, peers.name(0));
        refused(agent.send("DELETE", servers + "/" + peers.name(1), "{}"), 409, "has no server left");
        refused(agent.send("PATCH", servers + "/" + peers.name(0), "{\"weight\": 2}"), 409, "was removed");
        assertEquals(Map.of(peers.name(1), 1), members(agent));
        agent.add(Front.ATOLL, peers.name(0), 1);
        agent.add(Front.ATOLL, peers.name(0), 1);
        assertEquals(Map.of(peers.name(0), 1, peers.name(1), 1), members(agent));
    }

    private static void refused(Http.Response response, int status, String text) {
        assertEquals(status, response.status(), response.body());
        assertTrue(response.body().contains(text), response.body());
    }

    @Test
    void shouldFollowANameToAnotherAddress(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 4);
        Nginx front = front(scene, peers, 0, 1).start();
        Path hosts = scene.file("hosts");
        Files.writeString(hosts, address(peers, 2) + " cache.example\n");
        Agent agent = Agent.start(scene, front, null, List.of("-Djdk.net.hosts.file=" + hosts),
                "atoll.resolve.enabled = true\natoll.resolve.interval = 1 s\n");
        agent.add(Front.ATOLL, "cache.example:8000", 2);
        Map<String, String> owners = Front.owners(front);
        Load load = Load.start(scene, front.address(), "/atoll", RATE);
        assertTrue(at(owners, "cache.example:8000") > 0, "the name owns keys");
        Files.writeString(hosts, address(peers, 3) + " cache.example\n");
        Await.until("the agent to follow the name", FAR, () -> agent.get("/v1/peers?server=cache.example:8000").path("peers")
                .findValuesAsText("address").equals(List.of(peers.name(3))));
        assertEquals(owners, Front.owners(front), "points hang on the name");
        Files.writeString(hosts, "\n");
        Await.until("the agent to miss the name", FAR, () -> agent.log().contains("cache.example:8000 does not resolve"));
        assertEquals(owners, Front.owners(front), "a name that is gone stands for what it did");
        Load.Report report = load.stop();
        assertEquals(0, report.failed().size(), report.complaint());
        assertTrue(report.touching(peers.name(3)).count() > 0, "its new address serves");
    }

    static String address(Peers peers, int i) {
        return peers.name(i).substring(0, peers.name(i).indexOf(':'));
    }

    /** What nginx does (C) and what the agent says of the same zone (Java) over changes and reloads at random. */
    @Test
    void shouldAgreeWithNginxOverRandomChangesAndReloads(Scene scene) {
        long seed = Long.getLong("seed", System.nanoTime());
        Scene.print("seed %d", seed);
        Random random = new Random(seed);
        Peers peers = Peers.start(scene, 6);
        Nginx front = front(scene, peers, 0, 1, 2).start();
        Agent agent = Agent.start(scene, front);
        Load load = Load.startClosing(scene, front.address(), "/atoll", RATE);
        Map<String, Integer> model = new TreeMap<>();
        for (int i = 0; i < 3; i++) {
            model.put(peers.name(i), 1);
        }
        for (int i = 0; i < 100; i++) {
            String server = peers.name(random.nextInt(6));
            int weight = 1 + random.nextInt(4);
            if (!model.containsKey(server)) {
                agent.add(Front.ATOLL, server, weight);
                model.put(server, weight);
            } else if (random.nextBoolean() || model.size() == 1) {
                agent.weight(Front.ATOLL, server, weight);
                model.put(server, weight);
            } else {
                agent.remove(Front.ATOLL, server);
                model.remove(server);
            }
            if (random.nextInt(10) == 0) {
                front.reload();
            }
            assertEquals(model, members(agent), "seed " + seed + ", change " + i);
            if (i % 20 == 19) {
                agree(front, agent, random);
            }
        }
        Load.Report report = load.stop();
        assertEquals(0, report.failed().size(), report.complaint());
        Scene.print("100 changes under load: %s", report.line());
    }

    private static void agree(Nginx front, Agent agent, Random random) {
        Map<String, String> owners = new HashMap<>(Front.owners(front));
        for (int i = 0; i < 20; i++) {
            String object = "/o/" + random.nextInt(Peers.OBJECTS);
            JsonNode said = agent.get("/v1/owner?upstream=" + Front.ATOLL + "&key=" + object).path("owners").get(0);
            assertEquals(owners.get(object), said.path("owner").asText(), object);
        }
    }

    @Test
    void shouldSayWhoHoldsTheLockAndGoOnWithTheOldConfiguration(Scene scene) {
        Peers peers = Peers.start(scene, 3);
        Nginx front = front(scene, peers, 0, 1).start();
        try (LockHolder holder = LockHolder.of(front.zone())) {
            front.atoll(http(front, peers, 0, 1, 2));
            String log = front.reloadRefused();
            assertTrue(log.contains("has been locked by the agent, process " + holder.pid()), log);
            assertEquals(0, at(Front.owners(front), peers.name(2)), "the old configuration serves");
            Agent agent = Agent.start(scene, front);
            Http.Response locked = agent.send("POST", "/v1/upstreams/" + Front.ATOLL + "/servers",
                    "{\"server\": \"" + peers.name(2) + "\"}");
            refused(locked, 503, "nginx publishes a configuration");
            assertEquals("1", locked.header("Retry-After"));
            Proc.signal(holder.pid(), "KILL");
            Await.until("the agent to publish once the holder is dead", FAR,
                    () -> at(Front.owners(front), peers.name(2)) > 0);
        }
        front.reload();
        assertTrue(at(Front.owners(front), peers.name(2)) > 0, "and nginx to reload");
    }
}
