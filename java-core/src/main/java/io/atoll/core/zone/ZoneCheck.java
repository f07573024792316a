package io.atoll.core.zone;

import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.HotSetRecord;
import io.atoll.core.zone.ZoneLayout.PeerIdentityRecord;
import io.atoll.core.zone.ZoneLayout.PeerStateRecord;
import io.atoll.core.zone.ZoneLayout.PurgeSetRecord;
import io.atoll.core.zone.ZoneLayout.RowPeerRecord;
import io.atoll.core.zone.ZoneLayout.RowRecord;
import io.atoll.core.zone.ZoneLayout.RowUpstreamRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;

/** The checks of attaching, in the order of {@code atoll_zone_attach}, and where the sections lie after them. */
final class ZoneCheck {
    private final ZoneMemory memory;
    String detail = "";
    int upstreams;
    int upstreamsOffset;
    int slots;
    int statesOffset;
    int identitiesOffset;
    int hotSetsOffset;
    int rows;
    int rowSize;
    int rowsOffset;
    int purgesOffset;
    int purgeSets;
    long tablesOffset;
    long tablesEnd;

    ZoneCheck(ZoneMemory memory) {
        this.memory = memory;
    }

    AttachResult check() {
        AttachResult head = head();
        if (head != AttachResult.OK) {
            return head;
        }
        return sections() && buffers() ? AttachResult.OK : AttachResult.OUT_OF_BOUNDS;
    }

    private AttachResult head() {
        long length = memory.length();
        if (length < HeaderRecord.MAGIC + Long.BYTES) {
            return fail(AttachResult.TRUNCATED, length + " bytes");
        }
        long magic = memory.plainLong(HeaderRecord.MAGIC);
        if (magic != ZoneLayout.MAGIC && magic != 0) {
            return fail(AttachResult.BAD_MAGIC, "0x" + Long.toHexString(magic));
        }
        if (length >= HeaderRecord.READY + Long.BYTES && memory.acquire(HeaderRecord.READY) != ZoneLayout.READY) {
            return fail(AttachResult.AWAIT_READY, "");
        }
        if (magic == 0) {
            return fail(AttachResult.BAD_MAGIC, "0x0");
        }
        if (length < HeaderRecord.FINGERPRINT + Integer.BYTES) {
            return fail(AttachResult.TRUNCATED, length + " bytes");
        }
        int version = memory.plainInt(HeaderRecord.VERSION);
        if (version >>> 8 != ZoneLayout.VERSION >>> 8) {
            return fail(AttachResult.VERSION_MISMATCH, versionText(version) + ", here " + versionText(ZoneLayout.VERSION));
        }
        int fingerprint = memory.plainInt(HeaderRecord.FINGERPRINT);
        if (fingerprint != ZoneLayout.FINGERPRINT) {
            return fail(AttachResult.LAYOUT_MISMATCH,
                    Integer.toHexString(fingerprint) + ", here " + Integer.toHexString(ZoneLayout.FINGERPRINT));
        }
        if (length < HeaderRecord.SIZE || Long.compareUnsigned(memory.plainLong(HeaderRecord.LENGTH), length) > 0) {
            return fail(AttachResult.TRUNCATED, length + " bytes");
        }
        return AttachResult.OK;
    }

    private static String versionText(int version) {
        return (version >>> 16) + "." + (version >>> 8 & 0xff) + "." + (version & 0xff);
    }

    private AttachResult fail(AttachResult result, String why) {
        detail = why;
        return result;
    }

    private boolean sections() {
        upstreams = memory.plainInt(HeaderRecord.UPSTREAMS_CAPACITY);
        slots = memory.plainInt(HeaderRecord.PEERS_CAPACITY);
        rows = memory.plainInt(HeaderRecord.ROWS_CAPACITY);
        rowSize = memory.plainInt(HeaderRecord.ROW_SIZE);
        upstreamsOffset = section("upstreams", HeaderRecord.UPSTREAMS_OFFSET, upstreams, UpstreamRecord.SIZE);
        statesOffset = section("states", HeaderRecord.STATES_OFFSET, slots, PeerStateRecord.SIZE);
        identitiesOffset = section("identities", HeaderRecord.IDENTITIES_OFFSET, slots, PeerIdentityRecord.SIZE);
        hotSetsOffset = section("hot sets", HeaderRecord.HOT_SETS_OFFSET, upstreams, HotSetRecord.SIZE);
        rowsOffset = section("rows", HeaderRecord.ROWS_OFFSET, rows, Integer.toUnsignedLong(rowSize));
        int tables = section("tables", HeaderRecord.TABLES_OFFSET, 1, memory.plainLong(HeaderRecord.TABLES_LENGTH));
        if (!detail.isEmpty()) {
            return false;
        }
        tablesOffset = tables;
        tablesEnd = tables + memory.plainLong(HeaderRecord.TABLES_LENGTH);
        long needed = RowRecord.SIZE + (long) upstreams * RowUpstreamRecord.SIZE + (long) slots * RowPeerRecord.SIZE;
        if (rowSize % ZoneLayout.CACHE_LINE != 0 || rowSize < needed) {
            detail = "row_size is " + rowSize + ", expected a multiple of 64 from " + needed;
        }
        return detail.isEmpty() && purges();
    }

    private boolean purges() {
        purgeSets = memory.plainInt(HeaderRecord.PURGE_SETS);
        if (purgeSets == 0) {
            return true;
        }
        if (purgeSets < 0 || Integer.bitCount(purgeSets) != 1) {
            detail = Integer.toUnsignedString(purgeSets) + " sets of purges, expected a power of two";
            return false;
        }
        purgesOffset = section("purges", HeaderRecord.PURGES_OFFSET, purgeSets + 1, PurgeSetRecord.SIZE);
        return detail.isEmpty();
    }

    /** Start of a section of count records, or −1 with a detail. */
    private int section(String what, int field, int count, long size) {
        long offset = memory.plainLong(field);
        boolean lies = offset >= HeaderRecord.SIZE && offset <= memory.length() && offset % ZoneLayout.CACHE_LINE == 0
                && count >= 0 && size >= 0 && (size == 0 || count <= (memory.length() - offset) / size);
        if (!lies && detail.isEmpty()) {
            detail = Integer.toUnsignedString(count) + " records of " + what + " at " + Long.toUnsignedString(offset)
                    + " in " + memory.length() + " bytes";
        }
        return lies ? (int) offset : -1;
    }

    private boolean buffers() {
        for (int i = 0; i < upstreams; i++) {
            int record = upstreamsOffset + i * UpstreamRecord.SIZE;
            if (memory.acquireInt(record + UpstreamRecord.STATE) != ZoneLayout.UpstreamState.USED) {
                continue;
            }
            for (int b = 0; b < 2; b++) {
                if (!isBuffer(bufferOffset(i, b), bufferCapacity(i))) {
                    detail = "table buffers of upstream " + i;
                    return false;
                }
            }
        }
        return true;
    }

    long bufferOffset(int upstream, int buffer) {
        int record = upstreamsOffset + upstream * UpstreamRecord.SIZE;
        return memory.plainLong(record + UpstreamRecord.BUFFER_OFFSET + buffer * Long.BYTES);
    }

    long bufferCapacity(int upstream) {
        return memory.plainLong(upstreamsOffset + upstream * UpstreamRecord.SIZE + UpstreamRecord.BUFFER_CAPACITY);
    }

    boolean isBuffer(long offset, long capacity) {
        return offset >= tablesOffset && offset <= tablesEnd && capacity >= 0 && capacity <= tablesEnd - offset;
    }
}
