package io.atoll.core.liveness;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

class LeaseAndRampTest {
    private final Lease lease = new Lease(10_000);

    private static PeerHealth downSince(long ms) {
        PeerHealth health = new PeerHealth(2, 1, true, 0);
        health.onResult(false, ms);
        return health;
    }

    @Test
    void shouldStandFromTheConfirmingResultNotFromTheWriting() {
        PeerHealth health = downSince(5000);
        assertEquals(15_000, lease.word(health, 5000));
        assertEquals(15_000, lease.word(health, 14_999));
        health.onResult(false, 6500);
        assertEquals(16_500, lease.word(health, 6500));
    }

    @Test
    void shouldNotRenewAfterAMinuteWithoutResults() {
        assertEquals(0, lease.word(downSince(5000), 65_000));
        assertFalse(lease.isFresh(5000, 15_000));
    }

    @Test
    void shouldHaveNoWordForAnUpPeerNorForOneNeverProbed() {
        assertEquals(0, lease.word(new PeerHealth(2, 3, true, 0), 0));
        assertEquals(0, lease.word(new PeerHealth(2, 3, false, 0), 0));
    }

    @Test
    void shouldOutliveTwoMissingResults() {
        assertEquals(10_000, Lease.of(new ProbeSchedule(1000), 500).lengthMs());
        assertEquals(3 * (16_500 + 2000), Lease.of(new ProbeSchedule(10_000), 2000).lengthMs());
        assertThrows(IllegalArgumentException.class, () -> new Lease(0));
    }

    @Test
    void shouldTakeEachKeyOnceAndAllInTheEnd() {
        Random random = new Random(1);
        for (int k = 0; k < 1000; k++) {
            int hash = random.nextInt();
            boolean before = false;
            for (long t = 0; t < 30_000; t += 100) {
                boolean takes = Ramp.takes(hash, 500, 30_000, 500 + t);
                assertTrue(takes || !before, "key left again");
                before = takes;
            }
        }
        assertFalse(Ramp.isRamping(500, 30_000, 30_500));
        assertFalse(Ramp.isRamping(0, 30_000, 500));
        assertFalse(Ramp.isRamping(500, 0, 500));
        assertFalse(Ramp.isRamping(500, 30_000, 499));
        assertTrue(Ramp.isRamping(500, 30_000, 30_499));
    }

    @Test
    void shouldTakeTheShareOfItsKeysThatTimeHasGiven() {
        Random random = new Random(2);
        for (int percent : new int[] {0, 10, 50, 90}) {
            int taken = 0;
            for (int k = 0; k < 20_000; k++) {
                taken += Ramp.takes(random.nextInt(), 1, 10_000, 1 + percent * 100L) ? 1 : 0;
            }
            assertEquals(percent / 100.0, taken / 20_000.0, 0.02);
            assertEquals(percent / 100.0, Ramp.share(1, 10_000, 1 + percent * 100L), 1e-9);
        }
        assertEquals(1, Ramp.share(0, 10_000, 5));
    }

    @Test
    void shouldNotOverflowWithTheLongestSlowStart() {
        assertTrue(Ramp.takes(1, 1, Integer.MAX_VALUE, Integer.MAX_VALUE));
        assertFalse(Ramp.takes(1, 1, Integer.MAX_VALUE, 2));
    }

    @Test
    void shouldBeginOnlyWhileAnotherPeerServesInFull() {
        assertEquals(7000, Ramp.begin(30_000, 1, 7000));
        assertEquals(0, Ramp.begin(30_000, 0, 7000));
        assertEquals(0, Ramp.begin(0, 5, 7000));
        assertEquals(1, Ramp.begin(30_000, 5, 0));
    }
}
