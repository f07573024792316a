package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.zone.ZoneLayout.Reason;
import io.atoll.tests.harness.AccessLog;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.NetNs;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Proc;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * Peers that die in different ways under steady load: 200 requests a second through `atoll` with probes, and as many through
 * stock, to the same four peers at the same time.
 */
@ExtendWith(SceneExtension.class)
class DeadPeersTest {
    private static final int RATE = 200;
    private static final int VICTIM = 2;
    /** What a busy test machine may add to a moment that processes agree upon. */
    private static final int TOLERANCE_MS = 400;
    private static final Duration FAR = Duration.ofSeconds(20);

    /** A pool under load, before anything is broken. */
    private record Stage(Peers peers, Nginx front, Agent agent, ZoneFile zone, Load stock, Load atoll) {
        static Stage open(Scene scene, NetNs netns) {
            Peers peers = netns == null ? Peers.start(scene, 4) : Peers.start(scene, 4, netns);
            Nginx front = Front.over(scene, peers);
            if (netns != null) {
                front.through(netns.prefix());
            }
            front.start();
            Agent agent = Agent.start(scene, front, netns, List.of());
            Load stock = Load.start(scene, front.address(), "/stock", RATE);
            Load atoll = Load.start(scene, front.address(), "/atoll", RATE);
            Stage stage = new Stage(peers, front, agent, new ZoneFile(front.zone()), stock, atoll);
            Await.until("load on every peer", FAR, () -> stage.atoll.report().where(Load.Shot::isWell).count() > RATE);
            return stage;
        }

        String victim() {
            return peers.name(VICTIM);
        }

        boolean isProbedDown() {
            return zone.stands(Front.ATOLL, victim(), Reason.PROBE);
        }

        void awaitProbedDown() {
            Await.until("the probes to call " + victim() + " down", FAR, this::isProbedDown);
        }

        void awaitProbedUp() {
            Await.until("the probes to call " + victim() + " up", FAR, () -> !isProbedDown());
        }
    }

    /** What a fault looked like to clients, printed for both. */
    private static void print(String fault, Stage stage, long faultNs, Load.Report stock, Load.Report atoll) {
        Scene.print("%s, stock: %s, last first try after %.0f ms", fault, stock.line(),
                stock.noticeMs(faultNs, stage.victim()));
        Scene.print("%s, atoll: %s, last first try after %.0f ms", fault, atoll.line(),
                atoll.noticeMs(faultNs, stage.victim()));
    }

    /** Nobody saw an error, and the peer got nothing any more after fall x interval + timeout. */
    private static void assertUnseen(Stage stage, long faultNs, Load.Report report) {
        assertEquals(List.of(), report.failed(), report.complaint());
        double notice = report.noticeMs(faultNs, stage.victim());
        assertTrue(notice <= Front.NOTICE_MS + TOLERANCE_MS, "the dead peer was asked first " + notice
                + " ms after its death, expected within " + Front.NOTICE_MS + " ms (+ " + TOLERANCE_MS + ")");
        Load.Report later = report.since(faultNs + (Front.NOTICE_MS + TOLERANCE_MS) * 1_000_000L);
        assertTrue(later.count() > RATE, "requests after the notice window");
        assertEquals(0, later.touching(stage.victim()).count(), "requests at the dead peer after the notice window");
    }

    /** Lets the fault be, for the notice window and two seconds more, and ends the load. */
    private static Load.Report[] observe(Stage stage, long faultNs) {
        Await.moment(faultNs + (Front.NOTICE_MS + TOLERANCE_MS + 2000) * 1_000_000L);
        return new Load.Report[] {stage.stock.stop(), stage.atoll.stop()};
    }

    @Test
    void shouldHideAKilledPeerAndMoveOnlyItsKeys(Scene scene) {
        Stage stage = Stage.open(scene, null);
        long fault = System.nanoTime();
        stage.peers.nginx(VICTIM).kill();
        Load.Report[] reports = observe(stage, fault);
        print("kill -9", stage, fault, reports[0].since(fault), reports[1].since(fault));
        assertUnseen(stage, fault, reports[1]);

        Map<String, String> before = new HashMap<>();
        reports[1].between(0, fault - 50_000_000).shots().forEach(shot -> before.put(shot.object(), shot.last()));
        for (Load.Shot shot : reports[1].since(fault + 50_000_000).shots()) {
            String owner = before.getOrDefault(shot.object(), shot.last());
            assertTrue(owner.equals(stage.victim()) || owner.equals(shot.last()),
                    shot.object() + " moved from " + owner + " to " + shot.last());
        }
        assertLogsAgree(stage, reports);
    }

    /** Clients, nginx and agent tell one story. */
    private static void assertLogsAgree(Stage stage, Load.Report[] reports) {
        int sent = reports[0].count() + reports[1].count();
        Path log = stage.front.prefix().resolve("logs/access.log");
        AccessLog access = AccessLog.read(log);
        assertEquals(sent, access.lines().size(), "requests in " + log);
        assertEquals(reports[1].where(shot -> shot.upstreams().size() > 1).count(),
                access.lines().stream().filter(line -> line.uri().startsWith("/atoll")
                        && line.upstreams().size() > 1).count(), "retried requests in " + log);
        assertTrue(stage.agent.log().contains(stage.victim()), "the agent's log names the peer that went down");
    }

    @Test
    void shouldBringAPeerBackAsARamp(Scene scene) {
        Stage stage = Stage.open(scene, null);
        Map<String, String> owners = Front.owners(stage.front);
        Predicate<Load.Shot> ownKey = shot -> owners.get(shot.object()).equals(stage.victim());
        stage.peers.nginx(VICTIM).kill();
        stage.awaitProbedDown();
        stage.peers.nginx(VICTIM).start();
        stage.awaitProbedUp();
        Await.until("two seconds after its ramp", FAR, () -> {
            long start = stage.zone.peer(Front.ATOLL, stage.victim()).rampStartMs();
            return start > 0 && ZoneFile.nowMs() > start + Front.SLOW_START_MS + 2000;
        });
        long up = stage.zone.peer(Front.ATOLL, stage.victim()).rampStartMs() * 1_000_000L;
        Load.Report stock = stage.stock.stop().where(ownKey);
        Load.Report whole = stage.atoll.stop();
        Load.Report atoll = whole.where(ownKey);

        double[] share = new double[5];
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < share.length; i++) {
            long from = up + i * Front.SLOW_START_MS * 250_000L;
            long to = i == 4 ? Long.MAX_VALUE : from + Front.SLOW_START_MS * 250_000L;
            share[i] = atoll.between(from, to).share(stage.victim());
            line.append(String.format(" %.2f (stock %.2f)", share[i], stock.between(from, to).share(stage.victim())));
        }
        Scene.print("share of its keys that a peer serves, by quarters of its ramp of %d ms, and after:%s", Front.SLOW_START_MS,
                line);
        assertEquals(List.of(), whole.failed(), whole.complaint());
        assertTrue(share[0] < 0.4, "a beginning ramp gives little: " + share[0]);
        assertTrue(share[0] < share[2] && share[1] < share[3] && share[3] > 0.6, "the share grows");
        Load.Report after = whole.since(up + (Front.SLOW_START_MS + TOLERANCE_MS) * 1_000_000L);
        assertEquals(0, after.where(shot -> !shot.first().equals(owners.get(shot.object()))).count(),
                "after the ramp every key is where it was");

        Set<String> taken = new HashSet<>();
        for (Load.Shot shot : atoll.since(up).shots()) {
            assertTrue(shot.first().equals(stage.victim()) || !taken.contains(shot.object()), shot.object() + " moved twice");
            if (shot.first().equals(stage.victim())) {
                taken.add(shot.object());
            }
        }
    }

    @Test
    void shouldHideAPeerThatRefusesWithAReset(Scene scene) {
        NetNs netns = NetNs.in(scene);
        Stage stage = Stage.open(scene, netns);
        long fault = System.nanoTime();
        netns.reset(stage.victim());
        Load.Report[] reports = observe(stage, fault);
        print("RST", stage, fault, reports[0].since(fault), reports[1].since(fault));
        assertUnseen(stage, fault, reports[1]);
    }

    @Test
    void shouldHideABlackHoledPeer(Scene scene) {
        NetNs netns = NetNs.in(scene);
        Stage stage = Stage.open(scene, netns);
        long fault = System.nanoTime();
        netns.drop(stage.victim());
        Load.Report[] reports = observe(stage, fault);
        print("black hole", stage, fault, reports[0].since(fault), reports[1].since(fault));
        assertUnseen(stage, fault, reports[1]);
        assertOnlySlowWhileUnnoticed(fault, reports[1]);
        netns.heal();
        stage.awaitProbedUp();
    }

    @Test
    void shouldHideAPeerThatAcceptsAndNeverAnswers(Scene scene) {
        Stage stage = Stage.open(scene, null);
        long pid = stage.peers.nginx(VICTIM).pid();
        long fault = System.nanoTime();
        Proc.signal(pid, "STOP");
        try {
            Load.Report[] reports = observe(stage, fault);
            print("half open", stage, fault, reports[0].since(fault), reports[1].since(fault));
            assertUnseen(stage, fault, reports[1]);
            assertOnlySlowWhileUnnoticed(fault, reports[1]);
        } finally {
            Proc.signal(pid, "CONT");
        }
        stage.awaitProbedUp();
    }

    /** Requests that began before the notice may wait for a timeout; later ones never. */
    private static void assertOnlySlowWhileUnnoticed(long faultNs, Load.Report report) {
        Load.Report later = report.since(faultNs + (Front.NOTICE_MS + TOLERANCE_MS) * 1_000_000L);
        assertEquals(0, later.slowerThan(900), "requests that waited for a dead peer after the notice window");
    }

    @Test
    void shouldNotCallAPeerUpByTcpWhileRealRequestsFail(Scene scene) {
        Peers peers = Peers.start(scene, 4);
        Nginx front = Front.over(scene, peers.servers("max_fails=1 fail_timeout=60s"),
                "    atoll_probe tcp interval=300ms timeout=300ms rise=1 fall=1;\n").start();
        Agent.start(scene, front);
        ZoneFile zone = new ZoneFile(front.zone());
        long pid = peers.nginx(VICTIM).pid();
        Proc.signal(pid, "STOP");
        try {
            Load load = Load.start(scene, front.address(), "/atoll", RATE);
            Await.until("a failed request to count", FAR,
                    () -> zone.stands(Front.ATOLL, peers.name(VICTIM), Reason.PASSIVE));
            long from = System.nanoTime();
            Await.window(Duration.ofSeconds(3));
            Load.Report report = load.stop();
            assertFalse(zone.stands(Front.ATOLL, peers.name(VICTIM), Reason.PROBE), "TCP probes succeed");
            assertEquals(List.of(), report.failed(), report.complaint());
            assertEquals(0, report.since(from + 100_000_000).touching(peers.name(VICTIM)).count(),
                    "the passive reason stands although TCP probes succeed");
        } finally {
            Proc.signal(pid, "CONT");
        }
    }

    @Test
    void shouldNotNoticeFlapsThatAreFasterThanItsFall(Scene scene) {
        Stage stage = Stage.open(scene, null);
        long pid = stage.peers.nginx(VICTIM).pid();
        int transitions = flap(stage, 25, 200, down -> Proc.signal(pid, down ? "STOP" : "CONT"));
        assertEquals(0, transitions, "transitions");
    }

    @Test
    void shouldHoldDownAPeerThatFlapsSlowly(Scene scene) {
        Stage stage = Stage.open(scene, null);
        int transitions = flap(stage, 12, 900, down -> stage.peers.setHealth(VICTIM, down ? 503 : 200, "well"));
        assertTrue(transitions >= 1 && transitions <= 9, transitions + " transitions, expected no more than 8 and one a minute");
    }

    /** Flaps one peer with a period of twice halfMs and counts what its probe reason does. */
    private static int flap(Stage stage, int flaps, int halfMs, Consumer<Boolean> fault) {
        int transitions = 0;
        boolean down = false;
        long start = System.nanoTime();
        try {
            for (int i = 0; i < 2 * flaps; i++) {
                fault.accept(i % 2 == 0);
                for (long end = start + (i + 1) * halfMs * 1_000_000L; System.nanoTime() < end;
                        LockSupport.parkNanos(5_000_000)) {
                    boolean now = stage.isProbedDown();
                    transitions += now == down ? 0 : 1;
                    down = now;
                }
            }
        } finally {
            fault.accept(false);
        }
        Load.Report report = stage.atoll.stop();
        Scene.print("%d flaps, %d ms each way, stock: %s", flaps, halfMs, stage.stock.stop().line());
        Scene.print("%d flaps, %d ms each way, atoll: %s, transitions %d", flaps, halfMs, report.line(), transitions);
        assertEquals(List.of(), report.failed(), report.complaint());
        return transitions;
    }

    @Test
    void shouldGoDownAndUpByStatusAndBody(Scene scene) {
        Peers peers = Peers.start(scene, 4);
        Nginx front = Front.over(scene, peers.servers("max_fails=1 fail_timeout=2s"),
                Front.probe().replace("fall=", "match=well expect=200-299 fall=")).start();
        Agent.start(scene, front);
        ZoneFile zone = new ZoneFile(front.zone());
        Load load = Load.start(scene, front.address(), "/atoll", RATE);
        int[] statuses = {503, 500, 404, 200};
        double[] up = new double[statuses.length];
        for (int i = 0; i < statuses.length; i++) {
            String peer = peers.name(i);
            long from = System.nanoTime();
            peers.setHealth(i, statuses[i], "out of order");
            Await.until(peer + " to be down", FAR, () -> zone.stands(Front.ATOLL, peer, Reason.PROBE));
            double down = (System.nanoTime() - from) / 1e6;
            long mended = System.nanoTime();
            peers.setHealth(i, 200, "all is well");
            Await.until(peer + " to be up", FAR, () -> !zone.stands(Front.ATOLL, peer, Reason.PROBE));
            up[i] = (System.nanoTime() - mended) / 1e6;
            Scene.print("status %d with a wrong body: down after %.0f ms, up again after %.0f ms", statuses[i], down, up[i]);
            assertTrue(down <= Front.NOTICE_MS + TOLERANCE_MS, "down after " + down + " ms");
        }
        Load.Report report = load.stop();
        assertEquals(List.of(), report.failed(), report.complaint());
        Arrays.sort(up);
        assertTrue(up[1] <= Front.RISE * Front.INTERVAL_MS * 1.1 + TOLERANCE_MS,
                "after a clean outage a peer is back within rise x interval: " + Arrays.toString(up));
    }

    @Test
    void shouldIgnoreProbesWhenMoreThanHalfOfThePoolFailsThem(Scene scene) {
        Stage stage = Stage.open(scene, null);
        for (int i = 0; i < 3; i++) {
            stage.peers.setHealth(i, 503, "");
        }
        Await.until("three peers to be down by their probes", FAR, () -> List.of(0, 1, 2).stream()
                .allMatch(i -> stage.zone.stands(Front.ATOLL, stage.peers.name(i), Reason.PROBE)));
        long from = System.nanoTime() + 100_000_000;
        Await.window(Duration.ofSeconds(2));
        stage.stock.stop();
        Load.Report report = stage.atoll.stop().since(from);
        assertEquals(List.of(), report.failed(), report.complaint());
        for (int i = 0; i < 4; i++) {
            double share = report.share(stage.peers.name(i));
            Scene.print("share of peer %d with the guard on: %.2f", i, share);
            assertTrue(share > 0.08, "each peer keeps its keys, so none is stampeded");
        }
    }
}
