package io.atoll.agent.dns;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class PaceTest {
    private static final long MS = 1_000_000;

    @Test
    void shouldLetAFewGoAtOnceAndTheOthersOneByOne() {
        long now = Long.MAX_VALUE - 3 * MS;
        Pace pace = new Pace(100, 3, now);
        for (long wait : new long[] {0, 0, 0, 10 * MS, 20 * MS, 30 * MS}) {
            assertEquals(wait, pace.place(now));
        }
        now += 35 * MS;
        assertEquals(5 * MS, pace.place(now), "behind those that have their places");
        now += 1000 * MS;
        for (long wait : new long[] {0, 0, 0, 10 * MS}) {
            assertEquals(wait, pace.place(now), "after a pause, no more at once than at the start");
        }
    }
}
