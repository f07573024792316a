package io.atoll.core.zone;

import io.atoll.core.zone.ZoneLayout.RowPeerRecord;
import io.atoll.core.zone.ZoneLayout.RowRecord;
import io.atoll.core.zone.ZoneLayout.RowUpstreamRecord;

/** Sums over the worker rows. A row without owner keeps its counters, so all are summed. */
final class ZoneRows {
    private static final int COUNTS = 8;

    private final ZoneMemory memory;
    private final ZoneCheck sections;

    ZoneRows(ZoneMemory memory, ZoneCheck sections) {
        this.memory = memory;
        this.sections = sections;
    }

    ZoneCounters sum(Zone.Alive alive) {
        ZoneCounters sum = new ZoneCounters(sections.upstreams, sections.slots);
        long[][] upstreams = new long[sections.upstreams][COUNTS];
        for (int i = 0; i < sections.rows; i++) {
            addRow(sum, upstreams, sections.rowsOffset + i * sections.rowSize, alive);
        }
        for (int u = 0; u < upstreams.length; u++) {
            long[] c = upstreams[u];
            sum.upstreams[u] = new ZoneCounters.OfUpstream(c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]);
        }
        return sum;
    }

    private void addRow(ZoneCounters sum, long[][] upstreams, int row, Zone.Alive alive) {
        long pid = memory.acquire(row + RowRecord.PID);
        boolean living = pid != 0 && alive.isAlive(pid, memory.relaxed(row + RowRecord.START));
        sum.workers += living ? 1 : 0;
        sum.torn += memory.relaxed(row + RowRecord.TORN);
        sum.rejected += memory.relaxed(row + RowRecord.REJECTED);
        sum.fallbacks += memory.relaxed(row + RowRecord.FALLBACKS);
        for (int u = 0; u < upstreams.length; u++) {
            addUpstream(upstreams[u], row + RowRecord.SIZE + u * RowUpstreamRecord.SIZE);
        }
        int peers = row + RowRecord.SIZE + upstreams.length * RowUpstreamRecord.SIZE;
        for (int slot = 0; slot < sections.slots; slot++) {
            int record = peers + slot * RowPeerRecord.SIZE;
            sum.picks[slot] += memory.relaxed(record + RowPeerRecord.PICKS);
            sum.failures[slot] += Integer.toUnsignedLong(memory.relaxedInt(record + RowPeerRecord.FAILURES));
            if (living) {
                sum.inflight[slot] += Integer.toUnsignedLong(memory.relaxedInt(record + RowPeerRecord.INFLIGHT));
            }
        }
    }

    private void addUpstream(long[] counts, int record) {
        counts[0] += memory.relaxed(record + RowUpstreamRecord.REQUESTS);
        counts[1] += memory.relaxed(record + RowUpstreamRecord.PICKS);
        counts[2] += memory.relaxed(record + RowUpstreamRecord.RETRIES);
        counts[3] += memory.relaxed(record + RowUpstreamRecord.NONE);
        counts[4] += memory.relaxed(record + RowUpstreamRecord.PASSED);
        counts[5] += memory.relaxed(record + RowUpstreamRecord.PANICS);
        counts[6] += memory.relaxed(record + RowUpstreamRecord.FAILURES);
        counts[7] += Integer.toUnsignedLong(memory.relaxedInt(record + RowUpstreamRecord.BOUNDED));
    }
}
