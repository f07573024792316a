package io.atoll.core.table;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.table.CompileRequest.Upstream;
import io.atoll.core.tools.RandomUpstreams;
import io.atoll.core.zone.ZoneLayout.GroupRecord;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import io.atoll.core.zone.ZoneLayout.TablePeerRecord;
import io.atoll.core.zone.ZoneLayout.TableRecord;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Random;
import java.util.function.Supplier;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;

class TableTest {
    private static final ByteBuffer GOOD = RandomUpstreams.table(new Upstream("pool", List.of(new Peer("a", 2), new Peer("b"),
            new Peer("a"), new Peer("c").withFlags(PeerFlag.BACKUP))));

    private static ByteBuffer bytes() {
        return ByteBuffer.allocate(GOOD.limit()).order(ByteOrder.LITTLE_ENDIAN).put(0, GOOD, 0, GOOD.limit());
    }

    private static String failure(ByteBuffer bytes) {
        return failure(bytes, -1);
    }

    private static String failure(ByteBuffer bytes, int slots) {
        return assertThrows(InvalidTableException.class, () -> Table.open(bytes, slots)).getMessage();
    }

    /** Makes the checksum right again, so that the other checks are what refuses. */
    private static ByteBuffer sign(ByteBuffer bytes) {
        ByteBuffer copy = ByteBuffer.allocate(bytes.limit()).order(ByteOrder.LITTLE_ENDIAN).put(0, bytes, 0, bytes.limit());
        int peers = (int) copy.getLong(TableRecord.PEERS_OFFSET);
        int previous = copy.getInt(TableRecord.RING_PEERS + 2 * Integer.BYTES) + copy.getInt(TableRecord.RING_PEERS + 3 * Integer.BYTES);
        for (int i = 0; i < copy.getInt(TableRecord.PEER_COUNT) + previous; i++) {
            copy.putInt(peers + i * TablePeerRecord.SIZE + TablePeerRecord.SLOT, 0);
        }
        CRC32 crc = new CRC32();
        crc.update(copy.array(), TableRecord.SIZE, copy.limit() - TableRecord.SIZE);
        return bytes.putInt(TableRecord.CHECKSUM, (int) crc.getValue());
    }

    @Test
    void shouldOpenWhatTheCompilerWrote() {
        Table table = Table.open(bytes());
        assertEquals(4, table.peerCount());
        assertEquals(3, table.groupCount());
        assertEquals(table.length(), bytes().limit());
        assertEquals(0, table.sequence());
    }

    @Test
    void shouldOpenATableWithSlotsUnderTheSameChecksum() {
        Table table = Table.open(RandomUpstreams.withSlots(bytes()), 4);
        assertEquals(2, table.slot(1));
        assertEquals(1, table.slot(2));
    }

    @Test
    void shouldRefuseASlotThatTheZoneHasNot() {
        assertTrue(failure(RandomUpstreams.withSlots(bytes()), 3).contains("slot is 3, expected less than 3"));
    }

    @Test
    void shouldRefuseEveryPrefix() {
        ByteBuffer whole = bytes();
        for (int length = 0; length < whole.capacity(); length += length < 600 ? 1 : 97) {
            failure(whole.duplicate().limit(length));
        }
    }

    @Test
    void shouldRefuseEachByteOfContentThatChanged() {
        ByteBuffer whole = bytes();
        int peers = (int) whole.getLong(TableRecord.PEERS_OFFSET);
        int peersEnd = peers + 4 * TablePeerRecord.SIZE;
        for (int at = TableRecord.SIZE; at < whole.limit(); at += at < 2000 ? 1 : 61) {
            boolean slot = at >= peers && at < peersEnd && (at - peers) % TablePeerRecord.SIZE < Integer.BYTES;
            if (!slot) {
                whole.put(at, (byte) (whole.get(at) ^ 4));
                failure(whole);
                whole.put(at, (byte) (whole.get(at) ^ 4));
            }
        }
        Table.open(whole);
    }

    @Test
    void shouldRefuseContradictionsUnderARightChecksum() {
        int groups = (int) bytes().getLong(TableRecord.GROUPS_OFFSET);
        int points = (int) bytes().getLong(TableRecord.POINTS_OFFSET);
        int buckets = (int) bytes().getLong(TableRecord.BUCKETS_OFFSET);
        assertTrue(failure(sign(bytes().putInt(points, -1))).contains("point 0 hash"));
        assertTrue(failure(sign(bytes().putInt(points + 4, 2))).contains("point 0 group"));
        assertTrue(failure(sign(bytes().putInt(buckets + 40, -5))).contains("bucket 10"));
        assertTrue(failure(sign(bytes().putInt(groups + GroupRecord.PEER_COUNT, 1))).contains("group 1 first_peer"));
        assertTrue(failure(sign(bytes().putInt(groups + GroupRecord.PEER_COUNT, 4))).contains("group 0 first_peer"));
        assertTrue(failure(sign(bytes().putInt(groups + GroupRecord.RING, 1))).contains("group 0 ring"));
        int peers = TableRecord.SIZE;
        assertTrue(failure(sign(bytes().putInt(peers + TablePeerRecord.WEIGHT, 0))).contains("peer 0 weight"));
        assertTrue(failure(sign(bytes().putInt(peers + TablePeerRecord.GROUP, 1))).contains("peer 0 group"));
        assertTrue(failure(sign(bytes().putInt(peers + TablePeerRecord.FLAGS, PeerFlag.BACKUP))).contains("peer 0 flags"));
        assertTrue(failure(sign(bytes().putInt(peers + TablePeerRecord.SOURCE, -1))).contains("peer 0 source"));
        assertTrue(failure(sign(bytes().putInt(peers + TablePeerRecord.FLAGS, PeerFlag.DOWN))).contains("tries[0]"));
        assertTrue(failure(sign(bytes().putInt(TableRecord.BUCKET_SHIFT, 32))).contains("bucket_shift"));
        assertTrue(failure(sign(bytes().putInt(TableRecord.SINGLE, 1))).contains("single"));
    }

    @Test
    void shouldRefuseContradictionsInThePreviousRing() {
        Upstream upstream = new Upstream("pool", List.of(new Peer("a"), new Peer("a").withFlags(PeerFlag.PREVIOUS),
                new Peer("gone", 2).withFlags(PeerFlag.PREVIOUS | PeerFlag.DOWN)));
        Supplier<ByteBuffer> whole = () -> RandomUpstreams.withSlots(RandomUpstreams.table(upstream));
        assertEquals(2, Table.open(whole.get(), 3).slot(2));
        assertTrue(failure(whole.get(), 2).contains("slot is 2, expected less than 2"));
        int gone = TableRecord.SIZE + 2 * TablePeerRecord.SIZE;
        int group = (int) whole.get().getLong(TableRecord.GROUPS_OFFSET) + 2 * GroupRecord.SIZE;
        int points = (int) whole.get().getLong(TableRecord.POINTS_OFFSET + 2 * Long.BYTES);
        assertTrue(failure(sign(whole.get().putInt(gone + TablePeerRecord.FLAGS, PeerFlag.DOWN))).contains("peer 2 flags"));
        assertTrue(failure(sign(whole.get().putInt(gone + TablePeerRecord.FLAGS, PeerFlag.PREVIOUS))).contains("tries[2]"));
        assertTrue(failure(sign(whole.get().putInt(gone + TablePeerRecord.WEIGHT, 5))).contains("total_weight[2]"));
        assertTrue(failure(sign(whole.get().putInt(gone + TablePeerRecord.SOURCE, -1))).contains("peer 2 source"));
        assertTrue(failure(sign(whole.get().putInt(TableRecord.SIZE + TablePeerRecord.FLAGS, PeerFlag.PREVIOUS)))
                .contains("peer 0 flags"));
        assertTrue(failure(sign(whole.get().putInt(group + GroupRecord.FIRST_PEER, 1))).contains("group 2 first_peer"));
        assertTrue(failure(sign(whole.get().putInt(group + GroupRecord.RING, 0))).contains("group 2 ring"));
        assertTrue(failure(sign(whole.get().putInt(points + 4, 0))).contains("point 0 group"));
        int word = 2 * Integer.BYTES;
        assertTrue(failure(whole.get().putInt(TableRecord.RING_PEERS + word, -1)).contains("ring_peers[2]"));
        assertTrue(failure(whole.get().putInt(TableRecord.RING_PEERS + word, 0)).contains("ring_peers[2]"));
        assertTrue(failure(whole.get().putInt(TableRecord.RING_GROUPS + word, 0)).contains("ring_groups[2]"));
        assertTrue(failure(whole.get().putInt(TableRecord.FIRST_PEER + word, 0)).contains("first_peer[2]"));
        assertTrue(failure(whole.get().putInt(TableRecord.FIRST_GROUP + word, 0)).contains("first_group[2]"));
        assertTrue(failure(whole.get().putInt(TableRecord.PEER_COUNT, 3)).contains("peer_count"));
    }

    @Test
    void shouldAnswerAnyHeadWithATableOrANamedException() {
        long seed = System.nanoTime();
        System.out.println("TableTest.shouldAnswerAnyHeadWithATableOrANamedException seed " + seed);
        Random random = new Random(seed);
        int refused = 0;
        for (int i = 0; i < 10_000; i++) {
            ByteBuffer bytes = bytes();
            for (int n = 1 + random.nextInt(4); n > 0; n--) {
                int at = random.nextInt(random.nextBoolean() ? TableRecord.SIZE : bytes.limit());
                bytes.put(at, (byte) random.nextInt());
            }
            try {
                Table table = Table.open(random.nextBoolean() ? sign(bytes) : bytes);
                int point = table.find(random.nextInt());
                assertTrue(table.pointGroup(0, point) < table.groupCount());
            } catch (InvalidTableException e) {
                refused++;
            } catch (IndexOutOfBoundsException e) {
                // sign() met an offset that leads out of the bytes; opening must say so by name.
                failure(bytes);
                refused++;
            }
        }
        assertTrue(refused > 2000, refused + " refused");
    }
}
