package io.atoll.core.table;

import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.GroupRecord;
import io.atoll.core.zone.ZoneLayout.PointRecord;
import io.atoll.core.zone.ZoneLayout.TablePeerRecord;
import io.atoll.core.zone.ZoneLayout.TableRecord;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A table that was validated once, then looked up. A view: the bytes must not change under it (the zone hands out a
 * copy). Counts and offsets are copies made at validation.
 *
 * <p>Twin: {@code atoll_table_t}, {@code atoll_ring_find} in nginx-module/reader/atoll_table.h. Indices of groups and
 * peers count over all rings, those of the previous and the earlier ring behind the present ones; indices of points count within a ring.
 */
public final class Table {
    /** What {@link #find} answers for a ring without points. */
    public static final int NO_POINT = -1;

    static final int RINGS = 4;

    final ByteBuffer bytes;
    final long sequence;
    final long configEpoch;
    final int peerCount;
    final int peersOffset;
    final int groupCount;
    final int groupsOffset;
    final long allPeers;
    final long allGroups;
    final boolean single;
    final long handoverUntilMs;
    final int[] pointsOffset = new int[RINGS];
    final int[] bucketsOffset = new int[RINGS];
    final int[] pointCount = new int[RINGS];
    final int[] bucketShift = new int[RINGS];
    final int[] firstGroup = new int[RINGS];
    final int[] ringGroups = new int[RINGS];
    final int[] firstPeer = new int[RINGS];
    final int[] ringPeers = new int[RINGS];
    final int[] tries = new int[RINGS];
    final int[] totalWeight = new int[RINGS];

    /**
     * Validates what lies from index 0 to the buffer's limit: bounds, points, buckets, groups, peers, checksum. One pass.
     *
     * @param slotCount slots of the zone, which bound {@link #slot}; −1 for a table that is not published: slots are not
     *     looked at
     * @throws InvalidTableException for bytes that are not a table
     */
    public static Table open(ByteBuffer bytes, int slotCount) {
        ByteBuffer view = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        if (view.limit() < TableRecord.SIZE) {
            throw new InvalidTableException("table: " + view.limit() + " bytes, expected a head of " + TableRecord.SIZE);
        }
        Table table = new Table(view);
        new TableCheck(table).check(slotCount);
        return table;
    }

    /** {@link #open(ByteBuffer, int)} for a compiler's output. */
    public static Table open(ByteBuffer bytes) {
        return open(bytes, -1);
    }

    private Table(ByteBuffer bytes) {
        this.bytes = bytes;
        sequence = bytes.getLong(TableRecord.SEQUENCE);
        configEpoch = bytes.getLong(TableRecord.CONFIG_EPOCH);
        peerCount = bytes.getInt(TableRecord.PEER_COUNT);
        peersOffset = offset(TableRecord.PEERS_OFFSET);
        groupCount = bytes.getInt(TableRecord.GROUP_COUNT);
        groupsOffset = offset(TableRecord.GROUPS_OFFSET);
        single = bytes.getInt(TableRecord.SINGLE) == 1;
        handoverUntilMs = bytes.getLong(TableRecord.HANDOVER_UNTIL_MS);
        for (int r = 0; r < RINGS; r++) {
            pointsOffset[r] = offset(TableRecord.POINTS_OFFSET + r * Long.BYTES);
            bucketsOffset[r] = offset(TableRecord.BUCKETS_OFFSET + r * Long.BYTES);
            int word = r * Integer.BYTES;
            pointCount[r] = bytes.getInt(TableRecord.POINT_COUNT + word);
            bucketShift[r] = bytes.getInt(TableRecord.BUCKET_SHIFT + word);
            firstGroup[r] = bytes.getInt(TableRecord.FIRST_GROUP + word);
            ringGroups[r] = bytes.getInt(TableRecord.RING_GROUPS + word);
            firstPeer[r] = bytes.getInt(TableRecord.FIRST_PEER + word);
            ringPeers[r] = bytes.getInt(TableRecord.RING_PEERS + word);
            tries[r] = bytes.getInt(TableRecord.TRIES + word);
            totalWeight[r] = bytes.getInt(TableRecord.TOTAL_WEIGHT + word);
        }
        allPeers = (long) peerCount + ringPeers[ZoneLayout.Ring.PREVIOUS] + ringPeers[ZoneLayout.Ring.EARLIER];
        allGroups = (long) groupCount + ringGroups[ZoneLayout.Ring.PREVIOUS] + ringGroups[ZoneLayout.Ring.EARLIER];
    }

    /** An offset of the head, or −1 when it is not even a positive int. */
    private int offset(int field) {
        long offset = bytes.getLong(field);
        return offset < 0 || offset > Integer.MAX_VALUE ? -1 : (int) offset;
    }

    /** Epoch of the content; 0 before it is published. */
    public long sequence() {
        return sequence;
    }

    /** Of the nginx configuration it belongs to; 0 before it is published. */
    public long configEpoch() {
        return configEpoch;
    }

    /** Bytes. */
    public int length() {
        return (int) bytes.getLong(TableRecord.LENGTH);
    }

    /** Whether there is one peer and no backup (nginx: {@code peers->single}). */
    public boolean isSingle() {
        return single;
    }

    /** Addresses of the present rings: those of the previous and the earlier ring are not counted. */
    public int peerCount() {
        return peerCount;
    }

    /** Groups of the present rings. */
    public int groupCount() {
        return groupCount;
    }

    /**
     * Until when the previous and the earlier ring count, CLOCK_MONOTONIC milliseconds; 0 when there is none, and before the table is
     * published.
     */
    public long handoverUntilMs() {
        return handoverUntilMs;
    }

    // ---- a ring: ZoneLayout.Ring.PRIMARY, BACKUPS, PREVIOUS or EARLIER

    /** Points of a ring; 0 for an empty one. */
    public int pointCount(int ring) {
        return pointCount[ring];
    }

    /** First group of a ring. */
    public int firstGroup(int ring) {
        return firstGroup[ring];
    }

    /** Groups of a ring. */
    public int ringGroups(int ring) {
        return ringGroups[ring];
    }

    /** First peer of a ring. */
    public int firstPeer(int ring) {
        return firstPeer[ring];
    }

    /** Peers of a ring. */
    public int ringPeers(int ring) {
        return ringPeers[ring];
    }

    /** Peers of a ring that are not {@code down} (nginx: {@code peers->tries}). */
    public int tries(int ring) {
        return tries[ring];
    }

    /** Sum of the weights of a ring's peers. */
    public int totalWeight(int ring) {
        return totalWeight[ring];
    }

    /**
     * Index of the first point of a ring with a hash no smaller than the key's, 0 past the last one
     * (nginx: {@code ngx_http_upstream_find_chash_point}, modulo the number of points); {@link #NO_POINT} for an empty ring.
     */
    public int find(int ring, int hash) {
        int points = pointCount[ring];
        if (points == 0) {
            return NO_POINT;
        }
        int bucket = bucketsOffset[ring] + (hash >>> bucketShift[ring]) * Integer.BYTES;
        int low = bytes.getInt(bucket);
        int high = bytes.getInt(bucket + Integer.BYTES);
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (Integer.compareUnsigned(pointHash(ring, middle), hash) < 0) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low == points ? 0 : low;
    }

    /** {@link #find(int, int)} on the primary ring. */
    public int find(int hash) {
        return find(ZoneLayout.Ring.PRIMARY, hash);
    }

    /** Hash of a point. */
    public int pointHash(int ring, int point) {
        return bytes.getInt(pointsOffset[ring] + point * PointRecord.SIZE + PointRecord.HASH);
    }

    /** Group of a point. */
    public int pointGroup(int ring, int point) {
        return bytes.getInt(pointsOffset[ring] + point * PointRecord.SIZE + PointRecord.GROUP);
    }

    // ---- groups and peers, over all rings

    /** First peer of a group. */
    public int groupFirstPeer(int group) {
        return bytes.getInt(groupsOffset + group * GroupRecord.SIZE + GroupRecord.FIRST_PEER);
    }

    /** Peers of a group. */
    public int groupPeers(int group) {
        return bytes.getInt(groupsOffset + group * GroupRecord.SIZE + GroupRecord.PEER_COUNT);
    }

    /** Part of its ring's keys that a group owns, 0 to 1. */
    public double groupShare(int group) {
        long share = Integer.toUnsignedLong(bytes.getInt(groupsOffset + group * GroupRecord.SIZE + GroupRecord.SHARE));
        return share == 0xffffffffL ? 1 : share / 0x1p32;
    }

    /** Slot of a peer in the zone; 0 before the table is published. */
    public int slot(int peer) {
        return peerWord(peer, TablePeerRecord.SLOT);
    }

    /** Group of a peer. */
    public int group(int peer) {
        return peerWord(peer, TablePeerRecord.GROUP);
    }

    /** Weight of a peer, 1 or more. */
    public int weight(int peer) {
        return peerWord(peer, TablePeerRecord.WEIGHT);
    }

    /** Requests at a peer at a time, unsigned; 0: no limit. */
    public int maxConns(int peer) {
        return peerWord(peer, TablePeerRecord.MAX_CONNS);
    }

    /** Failures after which a peer is passively down, unsigned; 0: never. */
    public int maxFails(int peer) {
        return peerWord(peer, TablePeerRecord.MAX_FAILS);
    }

    /** Milliseconds, unsigned. */
    public int failTimeoutMs(int peer) {
        return peerWord(peer, TablePeerRecord.FAIL_TIMEOUT_MS);
    }

    /** {@code ZoneLayout.PeerFlag} bits of a peer. */
    public int flags(int peer) {
        return peerWord(peer, TablePeerRecord.FLAGS);
    }

    /** Place of a peer in the upstream's list of the compile request: that of nginx.conf, then the previous ones. */
    public int source(int peer) {
        return peerWord(peer, TablePeerRecord.SOURCE);
    }

    /** Ring of a peer. */
    public int ring(int peer) {
        int ring = RINGS - 1;
        while (peer < firstPeer[ring]) {
            ring--;
        }
        return ring;
    }

    private int peerWord(int peer, int field) {
        return bytes.getInt(peersOffset + peer * TablePeerRecord.SIZE + field);
    }
}
