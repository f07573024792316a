package io.atoll.core.table;

import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.GroupRecord;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import io.atoll.core.zone.ZoneLayout.PointRecord;
import io.atoll.core.zone.ZoneLayout.TablePeerRecord;
import io.atoll.core.zone.ZoneLayout.TableRecord;
import java.nio.ByteBuffer;
import java.util.zip.CRC32;

/** The validation of a table: after it, no index that the table holds leads out of it. */
final class TableCheck {
    private final Table table;
    private final ByteBuffer bytes;
    private final long length;

    TableCheck(Table table) {
        this.table = table;
        this.bytes = table.bytes;
        this.length = bytes.getLong(TableRecord.LENGTH);
    }

    void check(int slotCount) {
        require(length >= TableRecord.SIZE && length <= bytes.limit(), "length", length,
                "from " + TableRecord.SIZE + " to the " + bytes.limit() + " bytes at hand");
        checkSections();
        checkCounts();
        checkGroups();
        checkPeers(slotCount);
        for (int ring = 0; ring < 2; ring++) {
            checkBuckets(ring);
            checkPoints(ring);
        }
        checkChecksum();
    }

    private void checkSections() {
        section("peers", table.peersOffset, table.peerCount, TablePeerRecord.SIZE, Long.BYTES);
        section("groups", table.groupsOffset, table.groupCount, GroupRecord.SIZE, Long.BYTES);
        for (int r = 0; r < 2; r++) {
            require(table.bucketShift[r] >= 1 && table.bucketShift[r] <= 31, "bucket_shift", table.bucketShift[r], "1 to 31");
            section("points", table.pointsOffset[r], table.pointCount[r], PointRecord.SIZE, Long.BYTES);
            if (table.pointCount[r] > 0) {
                section("buckets", table.bucketsOffset[r], (1L << 32 - table.bucketShift[r]) + 1, Integer.BYTES, Long.BYTES);
            }
        }
    }

    private void section(String what, long offset, long count, int size, int alignment) {
        require(count >= 0 && offset >= TableRecord.SIZE && offset <= length && count * size <= length - offset
                        && offset % alignment == 0,
                what + "_offset", offset, "room for " + count + " records between " + TableRecord.SIZE + " and " + length);
    }

    private void checkCounts() {
        require(table.peerCount >= 1, "peer_count", table.peerCount, "1 or more");
        require(table.pointCount[0] >= 1, "point_count[0]", table.pointCount[0], "1 or more: a primary ring");
        require(table.firstGroup[0] == 0 && table.firstPeer[0] == 0, "first_group[0]", table.firstGroup[0], "0, as first_peer[0]");
        require(table.firstGroup[1] == table.ringGroups[0] && table.ringGroups[0] >= 1 && table.ringGroups[1] >= 0
                        && (long) table.ringGroups[0] + table.ringGroups[1] == table.groupCount,
                "ring_groups", table.ringGroups[0], "with ring_groups[1], group_count " + table.groupCount);
        require(table.firstPeer[1] == table.ringPeers[0] && table.ringPeers[0] >= 1 && table.ringPeers[1] >= 0
                        && (long) table.ringPeers[0] + table.ringPeers[1] == table.peerCount,
                "ring_peers", table.ringPeers[0], "with ring_peers[1], peer_count " + table.peerCount);
        require((table.ringGroups[1] == 0) == (table.ringPeers[1] == 0)
                        && (table.ringPeers[1] == 0) == (table.pointCount[1] == 0),
                "point_count[1]", table.pointCount[1], "0 with no backup, else 1 or more");
        int single = bytes.getInt(TableRecord.SINGLE);
        require(single == (table.peerCount == 1 ? 1 : 0), "single", single, "1 for one peer, else 0");
    }

    private void checkGroups() {
        int peer = 0;
        for (int g = 0; g < table.groupCount; g++) {
            int ring = g < table.ringGroups[0] ? 0 : 1;
            int first = table.groupFirstPeer(g);
            int count = table.groupPeers(g);
            int end = table.firstPeer[ring] + table.ringPeers[ring];
            require(first == peer && count >= 1 && count <= end - first, "group " + g + " first_peer", first,
                    peer + ", with 1 or more of the peers of its ring");
            int ofRing = bytes.getInt(table.groupsOffset + g * GroupRecord.SIZE + GroupRecord.RING);
            require(ofRing == ring, "group " + g + " ring", ofRing, String.valueOf(ring));
            peer += count;
        }
        require(peer == table.peerCount, "peers of all groups", peer, String.valueOf(table.peerCount));
    }

    private void checkPeers(int slotCount) {
        int peer = 0;
        int[] tries = new int[2];
        long[] weight = new long[2];
        for (int g = 0; g < table.groupCount; g++) {
            int ring = g < table.ringGroups[0] ? 0 : 1;
            for (int end = peer + table.groupPeers(g); peer < end; peer++) {
                int flags = table.flags(peer);
                int expected = ring == 1 ? PeerFlag.BACKUP : 0;
                require((flags & ~PeerFlag.DOWN) == expected, "peer " + peer + " flags", flags, expected + ", with or without DOWN");
                require(table.group(peer) == g, "peer " + peer + " group", table.group(peer), String.valueOf(g));
                require(table.weight(peer) >= 1, "peer " + peer + " weight", table.weight(peer), "1 or more");
                require(table.source(peer) >= 0, "peer " + peer + " source", table.source(peer), "0 or more");
                require(slotCount < 0 || table.slot(peer) >= 0 && table.slot(peer) < slotCount, "peer " + peer + " slot",
                        table.slot(peer), "less than " + slotCount);
                tries[ring] += (flags & PeerFlag.DOWN) == 0 ? 1 : 0;
                weight[ring] += table.weight(peer);
            }
        }
        for (int r = 0; r < 2; r++) {
            require(table.tries[r] == tries[r], "tries[" + r + "]", table.tries[r], String.valueOf(tries[r]));
            require(table.totalWeight[r] == weight[r], "total_weight[" + r + "]", table.totalWeight[r], String.valueOf(weight[r]));
        }
    }

    private void checkBuckets(int ring) {
        if (table.pointCount[ring] == 0) {
            return;
        }
        int buckets = 1 << 32 - table.bucketShift[ring];
        int before = 0;
        for (int b = 0; b <= buckets; b++) {
            int first = bytes.getInt(table.bucketsOffset[ring] + b * Integer.BYTES);
            require(first >= before && first <= table.pointCount[ring] && (b > 0 || first == 0), "bucket " + b, first,
                    "from " + before + " to " + table.pointCount[ring] + ", the first 0");
            before = first;
        }
        require(before == table.pointCount[ring], "bucket " + buckets, before, String.valueOf(table.pointCount[ring]));
    }

    private void checkPoints(int ring) {
        long before = -1;
        for (int p = 0; p < table.pointCount[ring]; p++) {
            long hash = Integer.toUnsignedLong(table.pointHash(ring, p));
            require(hash > before, "point " + p + " hash", hash, "more than " + before);
            before = hash;
            int group = table.pointGroup(ring, p) - table.firstGroup[ring];
            require(group >= 0 && group < table.ringGroups[ring], "point " + p + " group", group,
                    "less than the " + table.ringGroups[ring] + " groups of its ring");
            int bucket = table.bucketsOffset[ring] + ((int) hash >>> table.bucketShift[ring]) * Integer.BYTES;
            require(p >= bytes.getInt(bucket) && p < bytes.getInt(bucket + Integer.BYTES), "point " + p + " hash", hash,
                    "to lie in its bucket");
        }
    }

    private void checkChecksum() {
        CRC32 crc = new CRC32();
        int peersEnd = table.peersOffset + table.peerCount * TablePeerRecord.SIZE;
        update(crc, TableRecord.SIZE, table.peersOffset);
        byte[] noSlot = new byte[Integer.BYTES];
        for (int at = table.peersOffset; at < peersEnd; at += TablePeerRecord.SIZE) {
            crc.update(noSlot);
            update(crc, at + Integer.BYTES, at + TablePeerRecord.SIZE);
        }
        update(crc, peersEnd, (int) length);
        int expected = bytes.getInt(TableRecord.CHECKSUM);
        require((int) crc.getValue() == expected, "checksum", expected, String.valueOf((int) crc.getValue()));
    }

    private void update(CRC32 crc, int from, int to) {
        crc.update(bytes.slice(from, to - from));
    }

    private static void require(boolean holds, String what, long found, String expected) {
        if (!holds) {
            throw new InvalidTableException("table: " + what + " is " + found + ", expected " + expected);
        }
    }
}
