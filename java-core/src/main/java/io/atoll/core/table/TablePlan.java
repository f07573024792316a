package io.atoll.core.table;

import io.atoll.core.ring.Ring;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.GroupRecord;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import io.atoll.core.zone.ZoneLayout.PointRecord;
import io.atoll.core.zone.ZoneLayout.TablePeerRecord;
import io.atoll.core.zone.ZoneLayout.TableRecord;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.zip.CRC32;

/**
 * One table before it is written: the peers of an upstream in the order of their list, then by ring and group, and where
 * each section will lie. Head, peers, groups, then points and buckets of each ring, every section on a cache line.
 */
final class TablePlan {
    private static final int RINGS = Table.RINGS;

    // In the order of the upstream's list, without those that were left out.
    private final int[] source;
    private final int[] ring;
    private final int[] group;
    private final int[] weight;
    private final int[] flags;
    private final int[] maxConns;
    private final int[] maxFails;
    private final int[] failTimeoutMs;
    private int count;

    private final int[] ringPeers = new int[RINGS];
    private final int[] tries = new int[RINGS];
    private final long[] totalWeight = new long[RINGS];

    // After arrange().
    private Ring[] rings;
    private final int[] firstGroup = new int[RINGS];
    private int[] firstPeer;
    private int[] groupPeers;
    private final long[] pointsOffset = new long[RINGS];
    private final long[] bucketsOffset = new long[RINGS];
    private long groupsOffset;
    private long length;

    TablePlan(int peers) {
        source = new int[peers];
        ring = new int[peers];
        group = new int[peers];
        weight = new int[peers];
        flags = new int[peers];
        maxConns = new int[peers];
        maxFails = new int[peers];
        failTimeoutMs = new int[peers];
    }

    void add(int place, int ofRing, int groupInRing, int peerWeight, int peerFlags, int conns, int fails, int timeoutMs) {
        source[count] = place;
        ring[count] = ofRing;
        group[count] = groupInRing;
        weight[count] = peerWeight;
        flags[count] = peerFlags;
        maxConns[count] = conns;
        maxFails[count] = fails;
        failTimeoutMs[count] = timeoutMs;
        count++;
        ringPeers[ofRing]++;
        totalWeight[ofRing] += peerWeight;
        if ((peerFlags & PeerFlag.DOWN) == 0) {
            tries[ofRing]++;
        }
    }

    int ringPeers(int ofRing) {
        return ringPeers[ofRing];
    }

    long totalWeight(int ofRing) {
        return totalWeight[ofRing];
    }

    long length() {
        return length;
    }

    /** The next multiple of a cache line. */
    static long align(long offset) {
        return offset + ZoneLayout.CACHE_LINE - 1 & -ZoneLayout.CACHE_LINE;
    }

    /** Numbers groups over all rings, given by their number, and decides where everything lies. */
    void arrange(Ring[] built) {
        rings = built;
        int groups = 0;
        for (int r = 0; r < RINGS; r++) {
            firstGroup[r] = groups;
            groups += rings[r].groupCount();
        }
        groupPeers = new int[groups];
        for (int i = 0; i < count; i++) {
            group[i] += firstGroup[ring[i]];
            groupPeers[group[i]]++;
        }
        firstPeer = new int[groups];
        for (int g = 1; g < groups; g++) {
            firstPeer[g] = firstPeer[g - 1] + groupPeers[g - 1];
        }
        groupsOffset = align(TableRecord.SIZE + (long) count * TablePeerRecord.SIZE);
        long at = align(groupsOffset + (long) groups * GroupRecord.SIZE);
        for (int r = 0; r < RINGS; r++) {
            pointsOffset[r] = at;
            at = align(at + (long) rings[r].pointCount() * PointRecord.SIZE);
            bucketsOffset[r] = at;
            at += ((1L << 32 - rings[r].bucketShift()) + 1) * Integer.BYTES;
            if (r + 1 < RINGS) {
                at = align(at);
            }
        }
        length = at;
    }

    /** Writes the table at a place of a little-endian buffer that has length() bytes there. */
    void write(ByteBuffer to, int at) {
        fillZero(to, at);
        writeHead(to, at);
        writePeers(to, at + TableRecord.SIZE);
        writeGroups(to, at + (int) groupsOffset);
        for (int r = 0; r < RINGS; r++) {
            long[] points = rings[r].points(firstGroup[r]);
            slice(to, at + pointsOffset[r], (long) points.length * PointRecord.SIZE).asLongBuffer().put(points);
            int[] buckets = rings[r].buckets();
            slice(to, at + bucketsOffset[r], (long) buckets.length * Integer.BYTES).asIntBuffer().put(buckets);
        }
        CRC32 crc = new CRC32();
        crc.update(slice(to, at + TableRecord.SIZE, length - TableRecord.SIZE));
        to.putInt(at + TableRecord.CHECKSUM, (int) crc.getValue());
    }

    private static ByteBuffer slice(ByteBuffer to, long at, long bytes) {
        return to.slice((int) at, (int) bytes).order(to.order());
    }

    private void fillZero(ByteBuffer to, int at) {
        byte[] zeros = new byte[4096];
        for (long done = 0; done < length; done += zeros.length) {
            to.put(at + (int) done, zeros, 0, (int) Math.min(zeros.length, length - done));
        }
    }

    private void writeHead(ByteBuffer to, int at) {
        to.putLong(at + TableRecord.LENGTH, length);
        to.putInt(at + TableRecord.PEER_COUNT, ringPeers[ZoneLayout.Ring.PRIMARY] + ringPeers[ZoneLayout.Ring.BACKUPS]);
        to.putLong(at + TableRecord.PEERS_OFFSET, TableRecord.SIZE);
        to.putLong(at + TableRecord.GROUPS_OFFSET, groupsOffset);
        to.putInt(at + TableRecord.GROUP_COUNT, firstGroup[ZoneLayout.Ring.PREVIOUS]);
        to.putInt(at + TableRecord.SINGLE,
                ringPeers[ZoneLayout.Ring.PRIMARY] == 1 && ringPeers[ZoneLayout.Ring.BACKUPS] == 0 ? 1 : 0);
        int ringFirstPeer = 0;
        for (int r = 0; r < RINGS; r++) {
            to.putLong(at + TableRecord.POINTS_OFFSET + r * Long.BYTES, pointsOffset[r]);
            to.putLong(at + TableRecord.BUCKETS_OFFSET + r * Long.BYTES, bucketsOffset[r]);
            int word = r * Integer.BYTES;
            to.putInt(at + TableRecord.POINT_COUNT + word, rings[r].pointCount());
            to.putInt(at + TableRecord.BUCKET_SHIFT + word, rings[r].bucketShift());
            to.putInt(at + TableRecord.FIRST_GROUP + word, firstGroup[r]);
            to.putInt(at + TableRecord.RING_GROUPS + word, rings[r].groupCount());
            to.putInt(at + TableRecord.FIRST_PEER + word, ringFirstPeer);
            to.putInt(at + TableRecord.RING_PEERS + word, ringPeers[r]);
            ringFirstPeer += ringPeers[r];
            to.putInt(at + TableRecord.TRIES + word, tries[r]);
            to.putInt(at + TableRecord.TOTAL_WEIGHT + word, (int) totalWeight[r]);
        }
    }

    private void writePeers(ByteBuffer to, int at) {
        int[] next = Arrays.copyOf(firstPeer, firstPeer.length);
        for (int i = 0; i < count; i++) {
            int record = at + next[group[i]]++ * TablePeerRecord.SIZE;
            to.putInt(record + TablePeerRecord.GROUP, group[i]);
            to.putInt(record + TablePeerRecord.WEIGHT, weight[i]);
            to.putInt(record + TablePeerRecord.MAX_CONNS, maxConns[i]);
            to.putInt(record + TablePeerRecord.MAX_FAILS, maxFails[i]);
            to.putInt(record + TablePeerRecord.FAIL_TIMEOUT_MS, failTimeoutMs[i]);
            to.putInt(record + TablePeerRecord.FLAGS, flags[i]);
            to.putInt(record + TablePeerRecord.SOURCE, source[i]);
        }
    }

    private void writeGroups(ByteBuffer to, int at) {
        for (int r = 0; r < RINGS; r++) {
            for (int i = 0; i < rings[r].groupCount(); i++) {
                int g = firstGroup[r] + i;
                int record = at + g * GroupRecord.SIZE;
                to.putInt(record + GroupRecord.FIRST_PEER, firstPeer[g]);
                to.putInt(record + GroupRecord.PEER_COUNT, groupPeers[g]);
                to.putInt(record + GroupRecord.SHARE, (int) Math.min(rings[r].share(i), 0xffffffffL));
                to.putInt(record + GroupRecord.RING, r);
            }
        }
    }
}
