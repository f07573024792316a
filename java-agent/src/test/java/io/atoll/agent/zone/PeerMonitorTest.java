package io.atoll.agent.zone;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

import io.atoll.agent.metrics.ProbeMetrics;
import io.atoll.agent.probe.Probe;
import io.atoll.agent.probe.ProbeOutcome;
import io.atoll.agent.probe.ProbeOutcome.Result;
import io.atoll.core.liveness.Lease;
import io.atoll.core.liveness.PeerHealth;
import io.atoll.core.liveness.ProbeSchedule;
import io.atoll.core.zone.Peer;
import io.netty.channel.embedded.EmbeddedChannel;
import io.prometheus.client.CollectorRegistry;
import org.junit.jupiter.api.Test;

/** Schedules and verdicts on a clock that the test moves: Netty's event loop with its time frozen. */
class PeerMonitorTest {
    private static final long INTERVAL_MS = 1000;
    private static final long LEASE_MS = 10_000;

    private final EmbeddedChannel channel = new EmbeddedChannel();
    private final List<Long> started = new ArrayList<>();
    private final List<PeerHealth.Transition> heard = new ArrayList<>();
    private long now = 1_000_000;
    private Result answer = Result.SUCCESS;
    private Consumer<ProbeOutcome> waiting;
    private boolean answersAtOnce = true;
    private boolean deaf;
    private PeerMonitor monitor;

    private void start(boolean up) {
        channel.freezeTime();
        ProbeSchedule schedule = new ProbeSchedule(INTERVAL_MS);
        AgentContext context = new AgentContext(channel.eventLoop(), () -> now, new SplittableRandom(5));
        Peer peer = new Peer(0, 1, false, 0, 0, 0, 1, "a:80", "a:80", new InetSocketAddress(80));
        Probe probe = new Probe() {
            @Override
            public void start(Consumer<ProbeOutcome> done) {
                started.add(now);
                waiting = done;
                if (answersAtOnce) {
                    answer();
                }
            }

            @Override
            public void close() {
                waiting = null;
            }
        };
        monitor = new PeerMonitor(peer, probe, new PeerHealth(2, 3, up, now), schedule, INTERVAL_MS,
                Lease.of(LEASE_MS, schedule, 500), context,
                new ProbeMetrics(new CollectorRegistry()).of("n", "u", "s", "a"),
                this::hear);
        monitor.start();
    }

    private void hear(PeerMonitor who, PeerHealth.Transition transition, long when) {
        if (deaf) {
            throw new IllegalStateException("a fault of the test");
        }
        if (transition != PeerHealth.Transition.NONE) {
            heard.add(transition);
        }
    }

    private void answer() {
        waiting.accept(new ProbeOutcome(answer, answer == Result.SUCCESS ? "" : "status 503", 1_000_000));
    }

    /** Time passes, and the loop runs what is due in it, each at its time. */
    private void pass(long ms) {
        for (long i = 0; i < ms; i++) {
            now++;
            channel.advanceTimeBy(1, TimeUnit.MILLISECONDS);
            channel.runScheduledPendingTasks();
        }
    }

    /** The process is stopped: time passes and nothing runs; then it goes on with all that is due. */
    private void stall(long ms) {
        now += ms;
        channel.advanceTimeBy(ms, TimeUnit.MILLISECONDS);
        channel.runScheduledPendingTasks();
    }

    @Test
    void shouldProbeOnceAnIntervalWithTenPercentOfJitter() {
        start(true);
        pass(100_000);
        assertTrue(started.size() >= 90 && started.size() <= 111, started.size() + " probes in 100 s");
        boolean jittered = false;
        for (int i = 1; i < started.size(); i++) {
            long pause = started.get(i) - started.get(i - 1);
            assertTrue(pause >= 900 && pause <= 1100, pause + " ms");
            jittered |= pause != INTERVAL_MS;
        }
        assertTrue(jittered);
    }

    @Test
    void shouldGoOnProbingAfterAFaultOfWhoHears() {
        start(true);
        pass(5000);
        deaf = true;
        answer = Result.FAILURE;
        pass(5000);
        deaf = false;
        int before = started.size();
        answer = Result.SUCCESS;
        pass(5000);
        assertTrue(started.size() > before, before + " probes");
        assertEquals(List.of(PeerHealth.Transition.WENT_UP), heard);
    }

    @Test
    void shouldTellATransitionAtTheProbeThatDecidesIt() {
        start(true);
        pass(5000);
        int before = started.size();
        answer = Result.FAILURE;
        while (heard.isEmpty()) {
            pass(1);
        }
        assertEquals(List.of(PeerHealth.Transition.WENT_DOWN), heard);
        assertEquals(before + 3, started.size(), "fall is 3");
        assertEquals(now + LEASE_MS, monitor.word(now));
        answer = Result.SUCCESS;
        int failed = started.size();
        while (heard.size() == 1) {
            pass(1);
        }
        assertEquals(PeerHealth.Transition.WENT_UP, heard.get(1));
        assertEquals(failed + 2, started.size(), "rise is 2");
        assertEquals(0, monitor.word(now));
    }

    @Test
    void shouldProbeAtOnceAPeerThatStartsDown() {
        start(false);
        pass(2);
        assertEquals(1, started.size());
    }

    @Test
    void shouldNotWriteAVerdictThatRanOutWhileItWasStopped() {
        start(true);
        answer = Result.FAILURE;
        pass(10_000);
        assertTrue(monitor.word(now) > now);
        long last = monitor.word(now);
        answersAtOnce = false;
        stall(60_000);
        assertEquals(0, monitor.word(now), "what was believed a minute ago is over");
        assertTrue(last < now);
        answersAtOnce = true;
        pass(2000);
        assertEquals(1, heard.size(), "still down, by a new probe");
        assertTrue(monitor.word(now) > now);
    }

    @Test
    void shouldSpreadItsProbesAgainAfterAPause() {
        start(true);
        pass(3000);
        int before = started.size();
        stall(60_000);
        assertEquals(before, started.size(), "none at the moment when all peers would be probed");
        pass(INTERVAL_MS + 1);
        assertTrue(started.size() > before);
    }

    @Test
    void shouldHoldAProbeThatWasNotMadeAgainstNobody() {
        start(true);
        answer = Result.NOT_MADE;
        pass(20_000);
        assertTrue(heard.isEmpty());
        assertFalse(monitor.health().hasResult());
        assertEquals(Result.NOT_MADE, monitor.last().result());
    }

    @Test
    void shouldBeSilentOnceStopped() {
        start(true);
        answer = Result.FAILURE;
        answersAtOnce = false;
        pass(2000);
        Consumer<ProbeOutcome> late = waiting;
        monitor.stop();
        late.accept(new ProbeOutcome(Result.FAILURE, "late", 1));
        pass(5000);
        assertEquals(1, started.size());
        assertTrue(heard.isEmpty());
    }
}
