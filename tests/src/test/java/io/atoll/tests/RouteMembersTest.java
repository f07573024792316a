package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.zone.MemberChange;
import io.atoll.core.zone.MemberChange.Address;
import io.atoll.core.zone.Membership;
import io.atoll.core.zone.TablePublisher;
import io.atoll.core.zone.Upstream;
import io.atoll.core.zone.Zone;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** A node that joins a tier at run time, known to no nginx.conf, not even to its own. */
@ExtendWith(SceneExtension.class)
class RouteMembersTest {
    private static final int OBJECTS = 600;

    @Test
    void shouldMakeAnOwnerOfANodeThatNoNginxConfNames(Scene scene) throws IOException {
        join(scene, RouteMesh.in(scene, 3, 1).secret("a secret of the mesh of this scene"));
    }

    @Test
    void shouldBelieveTheAddressOfANodeThatNoNginxConfNames(Scene scene) throws IOException {
        join(scene, RouteMesh.in(scene, 3, 1));
    }

    private static void join(Scene scene, RouteMesh mesh) throws IOException {
        String two = RouteMesh.servers(mesh.edges().subList(0, 2));
        mesh.nodes().forEach(node -> node.edges(two));
        mesh.start();
        RouteMesh.Node third = mesh.edge(2);
        for (RouteMesh.Node node : mesh.nodes()) {
            add(node.nginx(), third.server());
        }
        List<String> objects = IntStream.range(0, OBJECTS).mapToObj(i -> "/r/" + i).toList();
        for (RouteMesh.Node edge : mesh.edges()) {
            try (Http http = Http.open(edge.socket(), Duration.ofSeconds(20))) {
                http.pipeline(objects).forEach(response -> assertEquals(200, response.status()));
            }
        }
        Map<String, Integer> one = new HashMap<>();
        objects.forEach(object -> one.put(object, 1));
        Map<String, Integer> copies = new HashMap<>();
        mesh.edges().forEach(edge -> edge.copies().forEach((key, count) -> copies.merge(key, count, Integer::sum)));
        Scene.print("%d of %d objects are kept by the node that joined", third.copies().size(), OBJECTS);
        assertEquals(one, copies, "copies on edges");
        assertTrue(third.copies().size() > OBJECTS / 6, "the new node keeps " + third.copies().size());
        assertEquals(OBJECTS, mesh.originLog("/r/", OBJECTS).size(), "fetches from the origin");
    }

    /** What the node's agent does. */
    private static void add(Nginx node, String server) throws IOException {
        int colon = server.lastIndexOf(':');
        Address address = new Address(server, new InetSocketAddress(server.substring(0, colon),
                Integer.parseInt(server.substring(colon + 1))));
        try (FileChannel file = FileChannel.open(node.zone(), StandardOpenOption.READ, StandardOpenOption.WRITE);
                FileLock lock = file.lock(0, 1, false)) {
            assertTrue(lock.isValid());
            Zone zone = Zone.attach(file.map(FileChannel.MapMode.READ_WRITE, 0, file.size()));
            Upstream edges = zone.upstreams().stream().filter(upstream -> upstream.name().equals("edges")).findFirst().orElseThrow();
            TablePublisher publisher = new TablePublisher(zone);
            publisher.publish(publisher.plan(edges, Membership.apply(publisher.members(edges), List.of(new MemberChange(
                    MemberChange.Kind.ADDED, server, 1, 0, 1, 10_000, false, List.of(address)))), ZoneFile.nowMs()), ZoneFile.nowMs());
        }
    }
}
