package io.atoll.core.liveness;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.liveness.PeerHealth.State;
import io.atoll.core.liveness.PeerHealth.Transition;
import java.util.Random;
import java.util.function.LongPredicate;
import org.junit.jupiter.api.Test;

class PeerHealthTest {
    private static final long P = 1000;

    private final PeerHealth health = new PeerHealth(2, 3, true, 0);
    private long now;

    private Transition next(boolean good) {
        now += P;
        return health.onResult(good, now);
    }

    /** Results every second for some minutes; the transitions that they made. */
    private static long transitions(PeerHealth health, int minutes, LongPredicate good) {
        for (long at = P; at <= minutes * 60_000L; at += P) {
            health.onResult(good.test(at), at);
        }
        return health.transitions();
    }

    @Test
    void shouldGoDownAfterExactlyFallFailuresInARow() {
        assertEquals(State.UP, health.state());
        assertEquals(Transition.NONE, next(false));
        assertEquals(Transition.NONE, next(false));
        assertEquals(State.FALLING, health.state());
        assertEquals(Transition.NONE, next(true));
        assertEquals(Transition.NONE, next(false));
        assertEquals(Transition.NONE, next(false));
        assertTrue(health.isUp());
        assertEquals(Transition.WENT_DOWN, next(false));
        assertEquals(State.DOWN, health.state());
        assertEquals(Transition.NONE, next(false));
        assertEquals(4, health.inRow());
    }

    @Test
    void shouldComeUpAfterExactlyRiseSuccessesOfACleanOutage() {
        for (int i = 0; i < 10; i++) {
            next(false);
        }
        assertEquals(Transition.NONE, next(true));
        assertEquals(State.RISING, health.state());
        assertEquals(0, health.heldMs(now));
        assertEquals(Transition.WENT_UP, next(true));
        assertEquals(2, health.transitions());
    }

    @Test
    void shouldStartDownWhereAVerdictStillStands() {
        PeerHealth resumed = new PeerHealth(2, 3, false, 0);
        assertEquals(State.DOWN, resumed.state());
        assertFalse(resumed.hasResult());
        assertEquals(Transition.NONE, resumed.onResult(true, 1));
        assertEquals(Transition.WENT_UP, resumed.onResult(true, 2));
    }

    @Test
    void shouldHoldAPeerDownThatRelapses() {
        for (int outage = 0; outage < 2; outage++) {
            next(false);
            next(false);
            assertEquals(Transition.WENT_DOWN, next(false));
            next(true);
            if (outage == 0) {
                assertEquals(Transition.WENT_UP, next(true));
            }
        }
        // Unsteadiness is just under 4: the hold-down is 8 s from the first success.
        assertEquals(8000, health.heldMs(now));
        assertFalse(health.isChanging(now));
        for (int i = 0; i < 7; i++) {
            assertEquals(Transition.NONE, next(true));
        }
        assertEquals(Transition.WENT_UP, next(true));
    }

    @Test
    void shouldForgetUnsteadinessByOneAMinute() {
        next(false);
        next(true);
        assertEquals(2, health.unsteadiness(now), 0.05);
        assertEquals(1, health.unsteadiness(now + 60_000), 0.05);
        assertEquals(0, health.unsteadiness(now + 120_000), 0.05);
    }

    @Test
    void shouldNeverDelayGoingDown() {
        Random random = new Random(1);
        for (int i = 0; i < 1000; i++) {
            next(random.nextBoolean());
        }
        next(true);
        for (int i = 0; i < 200; i++) {
            next(true);
        }
        assertTrue(health.isUp());
        next(false);
        next(false);
        assertEquals(Transition.WENT_DOWN, next(false));
    }

    @Test
    void shouldMakeAtMostOneTransitionAMinuteUnderPacketLoss() {
        for (int loss : new int[] {5, 30, 50}) {
            for (int seed = 0; seed < 50; seed++) {
                Random random = new Random(seed);
                long made = transitions(new PeerHealth(2, 3, true, 0), 10, at -> random.nextInt(100) >= loss);
                assertTrue(made <= 10, made + " transitions in 10 minutes at " + loss + " % loss, seed " + seed);
            }
        }
    }

    @Test
    void shouldBoundTransitionsWhateverThePeriodOfFlapping() {
        for (int period = 2; period <= 400; period++) {
            long half = period * P / 2;
            PeerHealth flapping = new PeerHealth(1, 1, true, 0);
            long made = transitions(flapping, 60, at -> at / half % 2 == 0);
            assertTrue(made <= 8 + 60, made + " transitions in an hour, period " + period + " s");
        }
    }

    /** A peer that knows the rule: well for just as long as it takes to come up, then bad for just as long as to go down. */
    @Test
    void shouldBoundTransitionsOfTheWorstPeer() {
        PeerHealth worst = new PeerHealth(1, 1, true, 0);
        for (int minute = 1; minute <= 120; minute++) {
            for (int i = 0; i < 600; i++) {
                now += 100;
                worst.onResult(!worst.isUp(), now);
            }
            assertTrue(worst.transitions() <= 8 + minute, worst.transitions() + " transitions in " + minute + " minutes");
        }
    }

    @Test
    void shouldComeUpAtLastWhenItIsSteady() {
        for (int i = 0; i < 100; i++) {
            next(i % 4 == 0);
        }
        assertFalse(health.isUp());
        int results = 0;
        while (next(true) == Transition.NONE) {
            results++;
            assertTrue(results < 130, "still down after 130 s of success");
        }
        assertTrue(results >= 120, "up after " + results + " s");
    }

    @Test
    void shouldSayWhenTheNextFewResultsDecide() {
        assertFalse(health.isChanging(now));
        next(false);
        assertTrue(health.isChanging(now));
        next(false);
        next(false);
        assertFalse(health.isChanging(now));
        next(true);
        assertTrue(health.isChanging(now));
        next(true);
        assertFalse(health.isChanging(now));
    }

    @Test
    void shouldRefuseCountsBelowOne() {
        assertThrows(IllegalArgumentException.class, () -> new PeerHealth(0, 1, true, 0));
        assertThrows(IllegalArgumentException.class, () -> new PeerHealth(1, 0, true, 0));
    }
}
