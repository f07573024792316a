package io.atoll.core.liveness;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.liveness.PeerHealth.Transition;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ProbeScheduleTest {
    private static final long P = 1000;
    private static final long T = 500;
    private static final int FALL = 3;
    private static final int RISE = 2;

    private final ProbeSchedule schedule = new ProbeSchedule(P);
    private final Random random = new Random(1);

    private void assertPause(PeerHealth health, long low, long high) {
        long least = Long.MAX_VALUE;
        long most = 0;
        for (int i = 0; i < 2000; i++) {
            long next = schedule.nextMs(health, 10_000, 10_000, random) - 10_000;
            least = Math.min(least, next);
            most = Math.max(most, next);
        }
        assertEquals(low, least, 5);
        assertEquals(high, most, 5);
    }

    @Test
    void shouldKeepTheIntervalWithTenPercentOfJitter() {
        assertPause(new PeerHealth(RISE, FALL, true, 0), 900, 1100);
    }

    @Test
    void shouldProbeFasterWhileAPeerIsChangingAndSlowerWhileItIsDown() {
        PeerHealth health = new PeerHealth(RISE, FALL, true, 0);
        health.onResult(false, 1);
        assertPause(health, 225, 275);
        health.onResult(false, 2);
        health.onResult(false, 3);
        assertPause(health, 1350, 1650);
        assertEquals(1650, schedule.longestMs());
        health.onResult(true, 4);
        assertPause(health, 225, 275);
    }

    @Test
    void shouldNotStartAProbeBeforeTheOneBeforeHasEnded() {
        PeerHealth health = new PeerHealth(RISE, FALL, true, 0);
        health.onResult(false, 600);
        assertEquals(600, schedule.nextMs(health, 100, 600, random));
    }

    @Test
    void shouldSpreadTheFirstProbesOverOneInterval() {
        int[] tenths = new int[10];
        for (int i = 0; i < 10_000; i++) {
            tenths[(int) (schedule.firstMs(0, random) / 100)]++;
        }
        for (int count : tenths) {
            assertEquals(1000, count, 200);
        }
    }

    /** The promise of ProbeSchedule, over many draws: a black hole, whose probes all take the timeout, and a refusal. */
    @Test
    void shouldNoticeWithinFallTimesIntervalAndTimeout() {
        for (long takes : new long[] {0, T}) {
            for (int i = 0; i < 5000; i++) {
                PeerHealth health = new PeerHealth(RISE, FALL, true, 0);
                long deadAt = random.nextLong(P) + 1;
                assertTrue(untilTransition(health, Transition.WENT_DOWN, deadAt, takes) <= FALL * P + T);
            }
        }
    }

    @Test
    void shouldBringAPeerBackWithinRiseTimesInterval() {
        for (int i = 0; i < 5000; i++) {
            PeerHealth health = new PeerHealth(RISE, FALL, false, 0);
            health.onResult(false, 0);
            assertTrue(untilTransition(health, Transition.WENT_UP, random.nextLong(P) + 1, 1) <= RISE * P);
        }
    }

    /** From a change of the peer's true state at changeMs to the transition, probes starting from 0. */
    private long untilTransition(PeerHealth health, Transition wanted, long changeMs, long takesMs) {
        boolean wasUp = health.isUp();
        long started = 0;
        while (true) {
            boolean changed = started >= changeMs;
            long ended = started + (changed ? takesMs : 1);
            if (health.onResult(changed != wasUp, ended) == wanted) {
                return ended - changeMs;
            }
            started = schedule.nextMs(health, started, ended, random);
        }
    }

    @Test
    void shouldRefuseAnIntervalBelowOne() {
        assertThrows(IllegalArgumentException.class, () -> new ProbeSchedule(0));
    }

    @Test
    void shouldWorkAtTheShortestInterval() {
        ProbeSchedule shortest = new ProbeSchedule(1);
        PeerHealth health = new PeerHealth(RISE, FALL, true, 0);
        assertEquals(1, shortest.nextMs(health, 0, 0, random));
        assertEquals(0, shortest.firstMs(0, random));
    }
}
