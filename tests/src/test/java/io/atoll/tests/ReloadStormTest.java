package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.Reason;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Reloads: many of them under load, and with servers reordered, added and removed. */
@ExtendWith(SceneExtension.class)
class ReloadStormTest {
    private static final int RELOADS = 500;
    private static final int WARM_UP = 50;
    private static final int RATE = 200;
    private static final Duration FAR = Duration.ofSeconds(30);

    /** What could grow. */
    private record Size(int children, int masterDescriptors, int masterMaps, long masterKb, int workerDescriptors,
                        int workerMaps, long workerKb, long zoneBytes) {
        static Size of(Nginx front) {
            front.awaitChildren(2, FAR);
            long worker = front.workerPids().get(0);
            return new Size(Proc.children(front.pid()).size(), Proc.descriptors(front.pid()),
                    Proc.maps(front.pid()).size(), Proc.privateKb(front.pid()), Proc.descriptors(worker),
                    Proc.maps(worker).size(), Proc.privateKb(worker), new ZoneFile(front.zone()).length());
        }
    }

    @Test
    void shouldServeThroughFiveHundredReloadsAndGrowNothing(Scene scene) {
        Peers peers = Peers.start(scene, 4);
        Nginx front = Front.over(scene, peers).start();
        Agent agent = Agent.start(scene, front);
        ZoneFile zone = new ZoneFile(front.zone());
        agent.drain(Front.ATOLL, peers.name(0));
        peers.nginx(1).kill();
        Await.until("the probes to notice", FAR, () -> zone.stands(Front.ATOLL, peers.name(1), Reason.PROBE));
        Map<String, Integer> slots = slots(zone);
        Object inode = zone.inode();

        Load load = Load.startClosing(scene, front.address(), "/atoll", RATE);
        long start = System.nanoTime();
        Size before = null;
        for (int i = 0; i < RELOADS; i++) {
            if (i == WARM_UP) {
                before = Size.of(front);
            }
            front.reload();
            assertTrue(zone.stands(Front.ATOLL, peers.name(0), Reason.ADMIN), "the drain after reload " + i);
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        Load.Report report = load.stop();
        Size after = Size.of(front);
        Scene.print("%d reloads in %.0f s under load: %s", RELOADS, seconds, report.line());
        Scene.print("after %d reloads: %s", WARM_UP, before);
        Scene.print("after %d reloads: %s", RELOADS, after);

        assertEquals(List.of(), report.failed(), report.complaint());
        assertEquals(0, report.touching(peers.name(0)).count(), "requests at the drained peer");
        assertEquals(0, report.firstTo(peers.name(1)).count(), "first tries at the peer that is down");
        assertEquals(slots, slots(zone), "every peer has the slot it had");
        assertEquals(inode, zone.inode(), "the same file");
        assertTrue(after.masterDescriptors <= before.masterDescriptors && after.workerDescriptors
                <= before.workerDescriptors + 8, "descriptors");
        assertTrue(after.masterMaps <= before.masterMaps + 4 && after.workerMaps <= before.workerMaps + 4, "maps");
        assertTrue(after.masterKb <= before.masterKb + 1024 && after.workerKb <= before.workerKb + 1024, "memory");
        assertEquals(before.zoneBytes, after.zoneBytes, "the zone's size");
    }

    private static Map<String, Integer> slots(ZoneFile zone) {
        Map<String, Integer> slots = new HashMap<>();
        zone.peers().forEach(peer -> slots.put(peer.upstream() + " " + peer.address(), peer.slot()));
        return slots;
    }

    @Test
    void shouldLeaveNoJvmAndNoCompileChildBehind(Scene scene) {
        Peers peers = Peers.start(scene, 2);
        Nginx front = Front.over(scene, peers).start();
        for (int i = 0; i < 5; i++) {
            front.reload();
        }
        front.awaitChildren(2, FAR);
        List<Long> pids = new ArrayList<>(front.workerPids());
        pids.add(front.pid());
        for (long pid : pids) {
            assertEquals(List.of(), Proc.maps(pid).stream()
                    .filter(line -> line.contains("libjvm") || line.contains("libatoll_jni") || line.contains(".jar"))
                    .toList(), "maps of nginx process " + pid);
        }
        assertTrue(Proc.maps(front.pid()).stream().anyMatch(line -> line.contains("ngx_http_atoll_module.so")),
                "the module itself is seen this way");
    }

    @Test
    void shouldKeepStateByNameWhenServersAreReorderedAddedAndRemoved(Scene scene) {
        Peers peers = Peers.start(scene, 6);
        Nginx front = Nginx.in(scene, "front");
        front.atoll(http(front, peers, 0, 1, 2, 3, 4)).start();
        Agent agent = Agent.start(scene, front);
        ZoneFile zone = new ZoneFile(front.zone());
        agent.drain(Front.ATOLL, peers.name(1));
        peers.nginx(2).kill();
        Await.until("the probes to notice", FAR, () -> zone.stands(Front.ATOLL, peers.name(2), Reason.PROBE));
        Map<String, String> owners = Front.owners(front);

        Load load = Load.startClosing(scene, front.address(), "/atoll", RATE);
        int[][] orders = {{4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}, {1, 2, 3, 4, 5}, {5, 4, 2, 1}, {0, 1, 2, 3, 4}};
        for (int[] order : orders) {
            front.atoll(http(front, peers, order)).reload();
            for (int i : order) {
                ZoneFile.Peer peer = zone.peer(Front.ATOLL, peers.name(i));
                assertEquals(i == 1, peer.reasons()[Reason.ADMIN] == ZoneLayout.FOREVER, "drain of peer " + i);
                assertEquals(i == 2, peer.stands(Reason.PROBE), "probe reason of peer " + i);
            }
            Map<String, String> now = Front.owners(front);
            long moved = owners.entrySet().stream().filter(owner -> !owner.getValue().equals(now.get(owner.getKey())))
                    .count();
            Scene.print("servers %s: %d of %d keys have another owner than at first", java.util.Arrays.toString(order),
                    moved, owners.size());
            if (order.length == 5 && java.util.Arrays.stream(order).max().getAsInt() == 4) {
                assertEquals(0, moved, "the order of servers places no key");
            } else if (order.length == 5) {
                assertTrue(moved < owners.size() * 0.65, "one server of three eligible replaced");
            }
        }
        Load.Report report = load.stop();
        assertEquals(List.of(), report.failed(), report.complaint());
        assertEquals(0, report.touching(peers.name(1)).count(), "requests at the drained peer");
        assertEquals(0, report.firstTo(peers.name(2)).count(), "first tries at the peer that is down");
    }

    @Test
    void shouldNotGiveAPeersStateToAnotherThatTakesItsPlace(Scene scene) {
        Peers peers = Peers.start(scene, 6);
        Nginx front = Nginx.in(scene, "front");
        front.atoll(http(front, peers, 0, 1, 2)).start();
        Agent agent = Agent.start(scene, front);
        ZoneFile zone = new ZoneFile(front.zone());
        agent.drain(Front.ATOLL, peers.name(1));
        front.atoll(http(front, peers, 0, 4, 2)).reload();
        assertEquals(0, zone.peer(Front.ATOLL, peers.name(4)).reasons()[Reason.ADMIN], "the newcomer is not drained");
        Load.Report report = Load.run(scene, front.address(), "/atoll", RATE, Duration.ofSeconds(1));
        assertTrue(report.touching(peers.name(4)).count() > 0, "the newcomer serves");
        front.atoll(http(front, peers, 0, 1, 2)).reload();
        assertTrue(zone.stands(Front.ATOLL, peers.name(1), Reason.ADMIN), "who comes back is still drained");
    }

    @Test
    void shouldFollowAChangedSizeWithItsState(Scene scene) {
        Peers peers = Peers.start(scene, 3);
        Nginx front = Nginx.in(scene, "front");
        String http = http(front, peers, 0, 1, 2);
        front.atoll("size=8m", http).start();
        Agent agent = Agent.start(scene, front);
        ZoneFile zone = new ZoneFile(front.zone());
        agent.drain(Front.ATOLL, peers.name(1));
        Load load = Load.startClosing(scene, front.address(), "/atoll", RATE);
        front.atoll("size=12m", http).reload();
        assertEquals(12 << 20, zone.length(), "a new file of the new size");
        assertTrue(zone.stands(Front.ATOLL, peers.name(1), Reason.ADMIN), "the drain came along");
        Await.until("the agent to follow the new file", FAR,
                () -> zone.word(ZoneLayout.HeaderRecord.AGENT_PID) == agent.pid());
        peers.nginx(2).kill();
        Await.until("the agent's verdict in the new file", FAR,
                () -> zone.stands(Front.ATOLL, peers.name(2), Reason.PROBE));
        Load.Report report = load.stop();
        assertEquals(List.of(), report.failed(), report.complaint());
        assertEquals(0, report.touching(peers.name(1)).count(), "requests at the drained peer");
    }

    private static String http(Nginx front, Peers peers, int... order) {
        StringBuilder servers = new StringBuilder();
        for (int i : order) {
            servers.append("    server ").append(peers.name(i)).append(" max_fails=1 fail_timeout=2s;\n");
        }
        return Front.http(front, servers.toString(), Front.probe());
    }
}
