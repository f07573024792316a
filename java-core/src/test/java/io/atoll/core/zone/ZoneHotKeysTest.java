package io.atoll.core.zone;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.tools.ZoneImage;
import io.atoll.core.zone.ZoneLayout.HotSetRecord;
import io.atoll.core.zone.ZoneLayout.RowRecord;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The keys that workers leave in their rows, and the sets that an agent writes for them. */
class ZoneHotKeysTest {
    private static final int CAPACITY = ZoneLayout.SAMPLE_CAPACITY;

    private final ZoneImage image = new ZoneImage(8, 40_000);
    private final ByteBuffer bytes = image.bytes();
    private final Zone zone = Zone.attach(bytes);
    private final Map<Integer, Long> weights = new HashMap<>();

    /** As atoll_sample. */
    private void sample(int row, int upstream, int hash) {
        long sampled = bytes.getLong(image.row(row) + RowRecord.SAMPLED);
        bytes.putLong(image.row(row) + RowRecord.SAMPLES + (int) (sampled % CAPACITY) * Long.BYTES,
                (long) upstream << 32 | Integer.toUnsignedLong(hash));
        bytes.putLong(image.row(row) + RowRecord.SAMPLED, sampled + 1);
    }

    private void read(ZoneSamples samples) {
        weights.clear();
        samples.read((upstream, hash, weight) -> weights.merge(upstream * 1000 + hash, weight, Long::sum));
    }

    @Test
    void shouldHandOnEachSampleOnce() {
        sample(0, 0, 5);
        ZoneSamples samples = zone.samples();
        read(samples);
        assertEquals(Map.of(), weights);

        sample(0, 0, 7);
        sample(0, 1, 7);
        sample(2, 1, 7);
        read(samples);
        assertEquals(Map.of(7, 16L, 1007, 32L), weights);
        read(samples);
        assertEquals(Map.of(), weights);
        assertEquals(3, samples.read());
        assertEquals(0, samples.lost());
    }

    @Test
    void shouldLetWhatIsLeftOfAnOverrunRingStandForAll() {
        ZoneSamples samples = zone.samples();
        for (int i = 0; i < 4 * CAPACITY; i++) {
            sample(0, 0, i < 3 * CAPACITY ? 1 : 2);
        }
        read(samples);
        // The sample at the place that the worker may be writing now is left out.
        assertEquals(java.util.Set.of(2), weights.keySet());
        assertEquals(4 * CAPACITY * 16L, weights.get(2), CAPACITY * 16L / 8);
        assertEquals(CAPACITY - 1, samples.read());
        assertEquals(3 * CAPACITY + 1, samples.lost());
    }

    @Test
    void shouldReadOnOverTheEndOfTheCounter() {
        bytes.putLong(image.row(1) + RowRecord.SAMPLED, -2L);
        ZoneSamples samples = zone.samples();
        for (int hash = 1; hash <= 4; hash++) {
            long sampled = bytes.getLong(image.row(1) + RowRecord.SAMPLED);
            bytes.putLong(image.row(1) + RowRecord.SAMPLES + (int) (sampled & CAPACITY - 1) * Long.BYTES, hash);
            bytes.putLong(image.row(1) + RowRecord.SAMPLED, sampled + 1);
        }
        read(samples);
        assertEquals(Map.of(1, 16L, 2, 16L, 3, 16L, 4, 16L), weights);
    }

    @Test
    void shouldIgnoreSamplesOfUpstreamsThatAreNotThere() {
        ZoneSamples samples = zone.samples();
        sample(0, 4, 1);
        sample(0, -1, 1);
        sample(0, 3, 1);
        read(samples);
        assertEquals(Map.of(3001, 16L), weights);
    }

    @Test
    void shouldSurviveAnyBytes() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        ZoneSamples samples = zone.samples();
        for (int round = 0; round < 2000; round++) {
            for (int row = 0; row < 3; row++) {
                bytes.putLong(image.row(row) + RowRecord.SAMPLED, random.nextLong() >> random.nextInt(64));
                bytes.putLong(image.row(row) + RowRecord.SAMPLES + random.nextInt(CAPACITY) * Long.BYTES,
                        random.nextLong());
            }
            samples.read((upstream, hash, weight) -> assertTrue(upstream >= 0 && upstream < 4 && weight > 0, "seed " + seed));
            bytes.putLong(image.hotSet(1) + 8 * random.nextInt(HotSetRecord.SIZE / 8), random.nextLong());
            for (int count : zone.hotSet(1).replicas()) {
                assertTrue(count >= 0 && count <= ZoneLayout.REPLICAS_LIMIT, "seed " + seed);
            }
        }
    }

    @Test
    void shouldReadTheSetThatWasWritten() {
        zone.writeHotSet(2, new HotSet(9000, new int[] {0xdeadbeef, 0, 17}, new int[] {3, 2, 0}));
        HotSet set = zone.hotSet(2);
        assertEquals(9000, set.untilMs());
        assertEquals(3, set.replicasOf(0xdeadbeef, 8999));
        assertEquals(2, set.replicasOf(0, 8999));
        assertEquals(0, set.replicasOf(17, 8999));
        assertEquals(0, set.replicasOf(0xdeadbeef, 9000));
        assertEquals(0, new HotSet(ZoneLayout.FOREVER, set.hashes(), set.replicas()).replicasOf(0, 8999));
        assertEquals(1L << 55 | 1L, bytes.getLong(image.hotSet(2) + HotSetRecord.FILTER));
        assertFalse(set.isEmpty());
        assertTrue(zone.hotSet(1).isEmpty());

        zone.writeHotSet(2, new HotSet(9000, new int[0], new int[0]));
        assertTrue(zone.hotSet(2).isEmpty());
        assertEquals(0, bytes.getLong(image.hotSet(2) + HotSetRecord.FILTER));
    }
}
