package io.atoll.agent.hot;

import java.util.ArrayList;
import java.util.List;

import org.apache.datasketches.frequencies.ErrorType;
import org.apache.datasketches.frequencies.LongsSketch;

/**
 * The keys of an upstream that are asked for most, over the last while. Two sketches (Apache DataSketches' frequent items,
 * after Misra and Gries) take every sample; each begins anew when its window is over, half a window after the other. The
 * older one is asked, so an answer is about half a window to a whole one, and what ended half a window ago fades within
 * another half.
 *
 * <p>Up to {@value #KEYS} different keys in a window the counts are exact; beyond, each is at most 0.1 % of all too high.
 * At most 150 kB an upstream. One thread.
 */
final class HeavyHitters {
    static final int KEYS = 3072;
    private static final int MAP = 4096;

    /**
     * A key and what it got.
     *
     * @param hash   CRC-32 of the key
     * @param weight of its samples
     */
    record Hitter(int hash, long weight) {}

    /**
     * What came in a window.
     *
     * @param spanMs  its length so far
     * @param weight  of all samples
     * @param samples that came; of unequal weight where a row was overrun
     * @param hitters those from the asked share on, heaviest first
     */
    record Window(long spanMs, long weight, long samples, List<Hitter> hitters) {
        /** About how many samples a hitter is known by. */
        double samplesOf(Hitter hitter) {
            return (double) hitter.weight() * samples / weight;
        }
    }

    private final long windowMs;
    private final LongsSketch[] sketches = {new LongsSketch(MAP), new LongsSketch(MAP)};
    private final long[] startedMs;
    private final long[] samples = new long[2];
    private boolean begun;

    HeavyHitters(long windowMs, long nowMs) {
        this.windowMs = windowMs;
        this.startedMs = new long[] {nowMs, nowMs + windowMs / 2};
    }

    void add(int hash, long weight) {
        sketches[0].update(hash, weight);
        sketches[1].update(hash, weight);
        samples[0]++;
        samples[1]++;
    }

    private void begin(int index, long nowMs) {
        sketches[index].reset();
        samples[index] = 0;
        startedMs[index] = nowMs;
    }

    /** To be called after a round of samples; begins a window anew that is over. */
    Window window(double share, long nowMs) {
        int older = startedMs[0] <= startedMs[1] ? 0 : 1;
        LongsSketch sketch = sketches[older];
        List<Hitter> hitters = new ArrayList<>();
        long threshold = Math.max(1, (long) (share * sketch.getStreamLength()));
        for (LongsSketch.Row row : sketch.getFrequentItems(threshold, ErrorType.NO_FALSE_NEGATIVES)) {
            hitters.add(new Hitter((int) row.getItem(), row.getEstimate()));
        }
        Window window = new Window(nowMs - startedMs[older], sketch.getStreamLength(), samples[older],
                hitters);
        if (nowMs - startedMs[older] >= windowMs) {
            begin(older, nowMs);
        } else if (!begun && nowMs >= startedMs[1]) {
            begin(1, nowMs);
            begun = true;
        }
        return window;
    }
}
