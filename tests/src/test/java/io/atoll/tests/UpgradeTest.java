package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.Reason;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.RouteMesh.Node;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** nginx's binary upgrade (USR2, WINCH, QUIT) of each node of a mesh in turn, under load. */
@ExtendWith(SceneExtension.class)
class UpgradeTest {
    private static final Duration FAR = Duration.ofSeconds(20);
    private static final int RATE = 100;

    /** Without handover a ring that forgot what was changed at run time would fetch objects anew. */
    @Test
    void shouldServeThroughAnUpgradeOfEachNodeAndKeepItsState(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 3, 2).secret("a secret of the mesh of this scene");
        for (Node node : mesh.nodes()) {
            node.handover("0").caching("proxy_cache_lock on;").nginx().daemon();
        }
        mesh.start();
        Agent agent = Agent.start(scene, mesh.nodes().stream().map(Node::nginx).toList());
        String drained = mesh.edge(2).server();
        agent.drain("edges", drained);
        agent.weight("shields", mesh.shield(1).server(), 3);
        List<String> objects = IntStream.range(0, Peers.OBJECTS).mapToObj(i -> "/o/" + i).toList();
        for (Node edge : mesh.edges().subList(0, 2)) {
            try (Http http = Http.open(edge.socket(), Duration.ofSeconds(30))) {
                http.pipeline(objects).forEach(response -> assertEquals(200, response.status()));
            }
        }
        int fetched = mesh.originLog("/o/", Peers.OBJECTS).size();
        int atShield = mesh.shield(1).copies().size();

        List<Load> loads = mesh.edges().subList(0, 2).stream().map(edge -> Load.startClosing(scene, edge.socket(), "", RATE)).toList();
        for (Node node : mesh.nodes()) {
            ZoneFile zone = new ZoneFile(node.nginx().zone());
            Object inode = zone.inode();
            long before = node.nginx().pid();
            node.nginx().upgrade();
            assertNotEquals(before, node.nginx().pid());
            assertEquals(node.nginx().pid(), zone.word(HeaderRecord.MASTER_PID), "the zone's master");
            assertEquals(inode, zone.inode(), "the same file");
            assertTrue(zone.stands("edges", drained, Reason.ADMIN), "the drain at " + node.name());
        }
        Await.window(Duration.ofMillis(500));
        int count = 0;
        for (Load load : loads) {
            Load.Report report = load.stop();
            Scene.print("five nodes upgraded in turn: %s", report.line());
            assertEquals(List.of(), report.failed(), report.complaint());
            count += report.count();
        }
        assertTrue(count > RATE, count + " requests");
        assertEquals(fetched, mesh.originLog().size(), "objects fetched anew");
        assertEquals(atShield, mesh.shield(1).copies().size(), "its weight of run time");
        assertTrue(atShield > Peers.OBJECTS * 6 / 10, "three of four parts at the second shield: " + atShield);
        assertEquals(List.of(), mesh.edge(2).log(), "requests at the drained edge");
        Await.until("nothing in flight", FAR, () -> mesh.nodes().stream().map(node -> new ZoneFile(node.nginx().zone()))
                .allMatch(zone -> zone.peers().stream().allMatch(peer -> zone.inflight(peer.slot()) == 0)));
    }
}
