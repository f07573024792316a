package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamState;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Gdb;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Reloads that nobody makes every day: away from a zone, over a zone that was wiped, into a folder that is gone. */
@ExtendWith(SceneExtension.class)
class ReloadEdgesTest {
    private static final Duration FAR = Duration.ofSeconds(30);

    @Test
    void shouldRetireTheUpstreamsOfAZoneThatItLeaves(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 2);
        Nginx front = Nginx.in(scene, "front");
        String http = http(front, peers, 2);
        Path other = scene.file("other.zone");
        front.atoll(http).start();
        assertEquals(UpstreamState.USED, stateOfTheFirst(front.zone()));
        front.module("atoll_zone " + other + ";\n" + http).reload();
        assertEquals(UpstreamState.RETIRED, stateOfTheFirst(front.zone()), "the zone of another path");
        assertEquals(UpstreamState.USED, stateOfTheFirst(other));
        front.module("server { listen " + front.socket() + "; location / { return 200; } }").reload();
        assertEquals(UpstreamState.RETIRED, stateOfTheFirst(other), "no upstream with atoll any more");
        front.module("atoll_zone " + other + ";\n" + http).reload();
        assertEquals(UpstreamState.USED, stateOfTheFirst(other), "declared again");
        assertEquals(200, Http.get(front.address(), "/atoll/o/1").status());
    }

    private static int stateOfTheFirst(Path zone) {
        ZoneFile file = new ZoneFile(zone);
        return (int) file.word(file.word(HeaderRecord.UPSTREAMS_OFFSET) + UpstreamRecord.STATE);
    }

    @Test
    void shouldSayOnceThatAnUpstreamIsServedWithoutItsTable(Scene scene) throws IOException {
        String said = "no usable table for upstream \"pool_atoll\"";
        Peers peers = Peers.start(scene, 2);
        Nginx front = Nginx.in(scene, "front").workers(1);
        front.atoll(http(front, peers, 2)).start();
        ZoneFile zone = new ZoneFile(front.zone());
        ask(front);
        assertFalse(front.errorLog().contains(said), "while all is well");
        zone.write(zone.word(HeaderRecord.TABLES_OFFSET), new byte[(int) zone.word(HeaderRecord.TABLES_LENGTH)]);
        ask(front);
        assertEquals(1, front.count(said), front.errorLog());
        assertTrue(zone.fallbacks() > 0, "stock round robin serves");
        JsonNode told = Agent.json(Http.get(front.address(), "/status")).path("zone");
        assertEquals(zone.fallbacks(), told.path("fallbacks").asLong(), told.toString());
        assertTrue(told.path("torn").asLong() > 0 && told.path("rejected").isNumber(), told.toString());
        front.reload();
        long before = zone.fallbacks();
        ask(front);
        assertEquals(before, zone.fallbacks(), "picks without a table after the reload");
        assertEquals(1, front.count(said), front.errorLog());
    }

    @Test
    void shouldSayThatNobodyFindsAZoneWhoseFolderWentAway(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, 2);
        Path folder = Files.createDirectory(scene.file("run"));
        Nginx front = Nginx.in(scene, "front").expectLog("could not be put in its place");
        String http = http(front, peers, 2);
        front.module("atoll_zone " + folder + "/atoll.zone size=2m;\n" + http).start();
        front.module("atoll_zone " + folder + "/atoll.zone size=3m;\n" + http).check();
        try (Gdb gdb = Gdb.attach(scene, front.pid())) {
            gdb.breakAt("atoll_writer_commit");
            Proc.signal(front.pid(), "HUP");
            gdb.awaitBreak();
            Files.move(folder, scene.file("away"));
        }
        Await.until("the master to say so", FAR, () -> front.count("could not be put in its place") == 1);
        ask(front);
        Files.move(scene.file("away"), folder);
        front.reload();
        assertEquals(3 << 20, new ZoneFile(folder.resolve("atoll.zone")).length(), "mended by a reload");
        ask(front);
    }

    private static void ask(Nginx front) throws IOException {
        for (int i = 0; i < 50; i++) {
            assertEquals(200, Http.get(front.address(), "/atoll/o/" + i).status(), "object " + i);
        }
    }

    private static String http(Nginx front, Peers peers, int count) {
        StringBuilder servers = new StringBuilder();
        for (int i = 0; i < count; i++) {
            servers.append("    server ").append(peers.name(i)).append(";\n");
        }
        return Front.http(front, servers.toString(), "");
    }
}
