package io.atoll.core.zone;

import io.atoll.core.zone.ZoneLayout.RowRecord;
import java.lang.invoke.VarHandle;

/**
 * Reads the keys that workers leave in their rows, each once. A worker's row remembers the last
 * {@code ZoneLayout.SAMPLE_CAPACITY}; when more came since the last call, those that are left stand for all of them and
 * weigh more. Not for several threads.
 */
public final class ZoneSamples {
    /** What a key weighs that stands for itself alone. */
    public static final int WEIGHT = 16;

    private static final long MOST = 1L << 32;

    private final ZoneMemory memory;
    private final ZoneCheck sections;
    private final long[] next;
    private final long[] copy = new long[ZoneLayout.SAMPLE_CAPACITY];
    private long read;
    private long lost;

    /** Takes samples. */
    @FunctionalInterface
    public interface Sink {
        /**
         * A key that was asked for.
         *
         * @param upstream index in the zone
         * @param hash CRC-32 of the key
         * @param weight requests that it stands for, times {@link #WEIGHT}
         */
        void sample(int upstream, int hash, long weight);
    }

    ZoneSamples(ZoneMemory memory, ZoneCheck sections) {
        this.memory = memory;
        this.sections = sections;
        this.next = new long[sections.rows];
        for (int row = 0; row < next.length; row++) {
            next[row] = memory.acquire(row(row) + RowRecord.SAMPLED);
        }
    }

    private int row(int index) {
        return sections.rowsOffset + index * sections.rowSize;
    }

    /** Hands what was left since the last call to the sink. */
    public void read(Sink sink) {
        for (int row = 0; row < next.length; row++) {
            read(row, sink);
        }
    }

    private void read(int index, Sink sink) {
        int row = row(index);
        long end = memory.acquire(row + RowRecord.SAMPLED);
        long came = end - next[index];
        long first = came > copy.length ? end - copy.length : next[index];
        next[index] = end;
        if (came <= 0 || came > MOST) {
            return;
        }
        for (long i = first; i < end; i++) {
            int at = (int) (i & copy.length - 1);
            copy[at] = memory.relaxed(row + RowRecord.SAMPLES + at * Long.BYTES);
        }
        VarHandle.acquireFence();
        // What the worker overwrote meanwhile is newer than end, and comes with the next call.
        first = Math.max(first, memory.relaxed(row + RowRecord.SAMPLED) - copy.length + 1);
        for (long i = first; i < end; i++) {
            long sample = copy[(int) (i & copy.length - 1)];
            int upstream = (int) (sample >>> 32);
            if (upstream >= 0 && upstream < sections.upstreams) {
                sink.sample(upstream, (int) sample, WEIGHT * came / (end - first));
            }
        }
        read += Math.max(0, end - first);
        lost += came - Math.max(0, end - first);
    }

    /** Samples handed on so far. */
    public long read() {
        return read;
    }

    /** Samples that were overwritten before they could be read; others stood for them. */
    public long lost() {
        return lost;
    }
}
