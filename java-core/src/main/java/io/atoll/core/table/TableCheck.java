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
        for (int ring = 0; ring < Table.RINGS; ring++) {
            checkBuckets(ring);
            checkPoints(ring);
        }
        checkChecksum();
    }

    private void checkSections() {
        section("peers", table.peersOffset, table.allPeers, TablePeerRecord.SIZE, Long.BYTES);
        section("groups", table.groupsOffset, table.allGroups, GroupRecord.SIZE, Long.BYTES);
        for (int r = 0; r < Table.RINGS; r++) {
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
        long groups = 0;
        long peers = 0;
        for (int r = 0; r < Table.RINGS; r++) {
            require(table.firstGroup[r] == groups, "first_group[" + r + "]", table.firstGroup[r], String.valueOf(groups));
            require(table.firstPeer[r] == peers, "first_peer[" + r + "]", table.firstPeer[r], String.valueOf(peers));
            require(table.ringGroups[r] >= 0 && (table.ringGroups[r] == 0) == (table.pointCount[r] == 0),
                    "ring_groups[" + r + "]", table.ringGroups[r], "0 for a ring without points, else 1 or more");
            require(table.ringPeers[r] >= 0 && (table.ringPeers[r] == 0) == (table.pointCount[r] == 0),
                    "ring_peers[" + r + "]", table.ringPeers[r], "0 for a ring without points, else 1 or more");
            groups += table.ringGroups[r];
            peers += table.ringPeers[r];
            if (r == ZoneLayout.Ring.BACKUPS) {
                require(groups == table.groupCount, "group_count", table.groupCount, String.valueOf(groups));
                require(peers == table.peerCount, "peer_count", table.peerCount, String.valueOf(peers));
            }
        }
        int single = bytes.getInt(TableRecord.SINGLE);
        require(single == (table.peerCount == 1 ? 1 : 0), "single", single, "1 for one present peer, else 0");
    }

    private void checkGroups() {
        int peer = 0;
        for (int ring = 0; ring < Table.RINGS; ring++) {
            int end = table.firstPeer[ring] + table.ringPeers[ring];
            for (int i = 0; i < table.ringGroups[ring]; i++) {
                int g = table.firstGroup[ring] + i;
                int first = table.groupFirstPeer(g);
                int count = table.groupPeers(g);
                require(first == peer && count >= 1 && count <= end - first, "group " + g + " first_peer", first,
                        peer + ", with 1 or more of the peers of its ring");
                int ofRing = bytes.getInt(table.groupsOffset + g * GroupRecord.SIZE + GroupRecord.RING);
                require(ofRing == ring, "group " + g + " ring", ofRing, String.valueOf(ring));
                peer += count;
            }
            require(peer == end, "peers of the groups of ring " + ring, peer, String.valueOf(end));
        }
    }

    private void checkPeers(int slotCount) {
        int[] ringFlags = {0, PeerFlag.BACKUP, PeerFlag.PREVIOUS, PeerFlag.EARLIER};
        for (int ring = 0; ring < Table.RINGS; ring++) {
            int tries = 0;
            long weight = 0;
            int ringFlag = ringFlags[ring] | (table.ringPeers[ring] == 0 ? 0 : table.flags(table.firstPeer[ring]) & PeerFlag.MAGLEV);
            for (int i = 0; i < table.ringGroups[ring]; i++) {
                int g = table.firstGroup[ring] + i;
                int first = table.groupFirstPeer(g);
                for (int peer = first; peer < first + table.groupPeers(g); peer++) {
                    checkPeer(peer, g, ringFlag, slotCount);
                    tries += (table.flags(peer) & PeerFlag.DOWN) == 0 ? 1 : 0;
                    weight += table.weight(peer);
                }
            }
            require(table.tries[ring] == tries, "tries[" + ring + "]", table.tries[ring], String.valueOf(tries));
            require(table.totalWeight[ring] == weight, "total_weight[" + ring + "]", table.totalWeight[ring],
                    String.valueOf(weight));
        }
    }

    private void checkPeer(int peer, int group, int ringFlag, int slotCount) {
        int flags = table.flags(peer);
        require((flags & ~PeerFlag.DOWN) == ringFlag, "peer " + peer + " flags", flags, ringFlag + ", with or without DOWN");
        require(table.group(peer) == group, "peer " + peer + " group", table.group(peer), String.valueOf(group));
        require(table.weight(peer) >= 1, "peer " + peer + " weight", table.weight(peer), "1 or more");
        require(table.source(peer) >= 0, "peer " + peer + " source", table.source(peer), "0 or more");
        require(slotCount < 0 || table.slot(peer) >= 0 && table.slot(peer) < slotCount, "peer " + peer + " slot",
                table.slot(peer), "less than " + slotCount);
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
        int peersEnd = table.peersOffset + (int) table.allPeers * TablePeerRecord.SIZE;
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
