package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.Reason;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.RouteMesh;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** A zone file that somebody cuts short, or writes over, under the nginx that has it mapped. */
@ExtendWith(SceneExtension.class)
class CutZoneTest {
    private static final int RATE = 300;
    private static final int OBJECTS = 16;
    private static final String LOST = "the file was cut short or written over";
    private static final Duration LIMIT = Duration.ofSeconds(20);

    /** What is done to the file, and whether nginx can make it anew without help. */
    private enum Fault {
        EMPTIED(true, true) {
            @Override
            void strike(ZoneFile zone) throws IOException {
                truncate(zone, 0);
            }
        },
        CUT_IN_THE_HEADER(true, true) {
            @Override
            void strike(ZoneFile zone) throws IOException {
                truncate(zone, HeaderRecord.SIZE / 2);
            }
        },
        CUT_IN_THE_TABLE(true, true) {
            @Override
            void strike(ZoneFile zone) throws IOException {
                long upstream = zone.word(HeaderRecord.UPSTREAMS_OFFSET);
                long active = zone.word(upstream + UpstreamRecord.PUBLISHED) & 1;
                truncate(zone, zone.word(upstream + UpstreamRecord.BUFFER_OFFSET + Long.BYTES * active) + 4096);
            }
        },
        COPIED_OVER(true, false) {
            @Override
            void strike(ZoneFile zone) throws IOException {
                Files.write(zone.path(), garbage(64 << 10), StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE);
            }
        },
        WRITTEN_OVER_AT_ITS_LENGTH(true, false) {
            @Override
            void strike(ZoneFile zone) {
                zone.write(0, garbage((int) zone.length()));
            }
        },
        ZEROED(true, false) {
            @Override
            void strike(ZoneFile zone) {
                zone.write(0, new byte[(int) zone.length()]);
            }
        },
        REMOVED(false, true) {
            @Override
            void strike(ZoneFile zone) throws IOException {
                Files.delete(zone.path());
            }
        };

        private final boolean lost;
        private final boolean replaced;

        Fault(boolean lost, boolean replaced) {
            this.lost = lost;
            this.replaced = replaced;
        }

        abstract void strike(ZoneFile zone) throws IOException;

        static void truncate(ZoneFile zone, long length) throws IOException {
            truncate(zone.path(), length);
        }

        static void truncate(Path file, long length) throws IOException {
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                channel.truncate(length);
            }
        }

        static byte[] garbage(int length) {
            byte[] bytes = new byte[length];
            new Random(7).nextBytes(bytes);
            return bytes;
        }
    }

    @Test
    void shouldServeOnWithTheSameOwnersAndDrainsWhenTheZoneIsCutUnderIt(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 4);
        Nginx front = Front.over(scene, peers).expectLog(LOST).start();
        Agent agent = Agent.startAsTheUnitDoes(scene, front);
        agent.drain(Front.ATOLL, peers.name(3));
        front.reload();
        Map<String, String> owners = Front.owners(front);
        assertTrue(!owners.containsValue(peers.name(3)), "no object is the drained peer's");
        Load load = Load.startClosing(scene, front.address(), "/atoll", RATE);
        for (Fault fault : Fault.values()) {
            List<Long> workers = front.workerPids();
            int said = front.count(LOST);
            long began = System.nanoTime();
            fault.strike(new ZoneFile(front.zone()));
            if (fault.lost) {
                Await.until(fault + " to be noticed", LIMIT, () -> front.count(LOST) > said);
            }
            assertEquals(owners, Front.owners(front), fault + ": owners");
            Await.until(fault + " in atoll_status", LIMIT, () -> status(front).contains("\"lost\":" + fault.lost));
            assertEquals(workers, front.workerPids(), fault + ": workers");
            assertEquals(said + (fault.lost ? 1 : 0), front.count(LOST), fault + ": times it was said");
            JsonNode purge = agent.call("POST", "/v1/purge", "{\"key\": \"any/key\"}");
            assertEquals(fault.lost ? "pending" : "done", purge.path("state").asText(), fault + ": " + purge);
            Load.Report report = load.report().since(began);
            Scene.print("%s: %s", fault, report.line());
            mend(fault, front, agent, purge.path("id").asText());
            ZoneFile zone = new ZoneFile(front.zone());
            Await.until(fault + ": the agent to bring the drain back", LIMIT, () -> zone.word(HeaderRecord.AGENT_PID) == agent.pid()
                    && zone.stands(Front.ATOLL, peers.name(3), Reason.ADMIN));
            Await.until(fault + ": the purge to be in force", LIMIT,
                    () -> agent.get("/v1/purges/" + purge.path("id").asText()).path("state").asText().equals("done"));
            front.reload();
            assertTrue(status(front).contains("\"lost\":false"), fault + ": " + status(front));
            assertEquals(owners, Front.owners(front), fault + ": owners after the reload");
        }
        Load.Report report = load.stop();
        Scene.print("in all: %s", report.line());
        assertEquals(List.of(), report.failed(), report.complaint());
    }

    @Test
    void shouldKeepItsRolesInARouteOfOneTierAndInNewWorkers(Scene scene) throws IOException {
        RouteMesh mesh = RouteMesh.in(scene, 2, 1);
        for (RouteMesh.Node edge : mesh.edges()) {
            edge.route("atoll_route edges origin;").nginx().expectLog(LOST).expectLog("exited on signal 9");
        }
        mesh.start();
        Nginx first = mesh.edge(0).nginx();
        Nginx second = mesh.edge(1).nginx();
        List<String> ofFirst = roles(mesh.edge(0));
        List<String> ofSecond = roles(mesh.edge(1));
        assertTrue(Set.copyOf(ofFirst).equals(Set.of("owner", "front")), ofFirst.toString());

        Fault.WRITTEN_OVER_AT_ITS_LENGTH.strike(new ZoneFile(first.zone()));
        assertEquals(ofFirst, roles(mesh.edge(0)), "roles in a zone that was written over");
        assertEquals(1, first.count(LOST), "times it was said");

        long worker = second.workerPids().get(0);
        long length = Files.size(second.zone());
        Fault.truncate(second.zone(), 0);
        try (RandomAccessFile file = new RandomAccessFile(second.zone().toFile(), "rw")) {
            file.setLength(length);
        }
        Proc.must("kill", "-9", Long.toString(worker));
        Await.until("a new worker", LIMIT, () -> !second.workerPids().contains(worker) && second.workerPids().size() == 1);
        assertEquals(ofSecond, roles(mesh.edge(1)), "roles in a worker that was started after the file was blanked");
        assertEquals(1, second.count(LOST), "times it was said");
    }

    @Test
    void shouldSayOnceThatTheZoneWasCutWhileItWasMade(Scene scene) throws IOException {
        String written = "the file was cut short while it was written";
        Peers peers = Peers.start(scene, 2);
        Nginx front = Front.over(scene, peers).daemon().expectLog(written);
        front.through(List.of("gdb", "-q", "-nx", "--batch", "-ex", "set debuginfod enabled off", "-ex", "set breakpoint pending on", "-ex",
                "break atoll_copy_make", "-ex", "run", "-ex", "shell truncate -s 8192 '" + front.zone() + "'", "-ex", "detach", "--args"));
        front.start();
        assertEquals(200, Http.get(front.address(), "/atoll/o/1").status());
        String said = front.errorLog() + Files.readString(front.prefix().resolve("logs/output"));
        assertEquals(1, front.count(written), said);
        assertTrue(!said.contains(LOST), said);
    }

    private static List<String> roles(RouteMesh.Node node) throws IOException {
        List<String> roles = new ArrayList<>();
        for (int i = 0; i < OBJECTS; i++) {
            roles.add(Http.get(node.socket(), "/r/cut-" + i).header("X-Role"));
        }
        return roles;
    }

    /** As the error log says; what is another's file is left alone until it is gone. */
    private static void mend(Fault fault, Nginx front, Agent agent, String purge) throws IOException {
        if (!fault.replaced) {
            Files.delete(front.zone());
            Await.until(fault + ": the agent to miss it", LIMIT,
                    () -> agent.get("/v1/status").path("zones").get(0).path("state").asText().equals("MISSING"));
            assertEquals("pending", agent.get("/v1/purges/" + purge).path("state").asText(), fault + ", removed");
        }
        if (fault == Fault.ZEROED) {
            JsonNode another = agent.call("POST", "/v1/purge", "{\"key\": \"another/key\"}");
            assertEquals("pending", another.path("state").asText(), fault + ", removed: " + another);
        }
        front.reload();
    }

    private static String status(Nginx front) {
        try {
            return Http.get(front.address(), "/status").body();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
