package io.atoll.core.tools;

import io.atoll.core.table.CompileRequest;
import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.table.TableCompiler;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.HotSetRecord;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import io.atoll.core.zone.ZoneLayout.PeerIdentityRecord;
import io.atoll.core.zone.ZoneLayout.PeerLife;
import io.atoll.core.zone.ZoneLayout.PeerStateRecord;
import io.atoll.core.zone.ZoneLayout.RowPeerRecord;
import io.atoll.core.zone.ZoneLayout.RowRecord;
import io.atoll.core.zone.ZoneLayout.RowUpstreamRecord;
import io.atoll.core.zone.ZoneLayout.TablePeerRecord;
import io.atoll.core.zone.ZoneLayout.TableRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamState;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A zone in memory as the nginx master writes it, for tests that want one without nginx. Upstream i gets the slots from
 * {@code i × slotsPerUpstream} on; addresses are 127.0.0.1 with port 10000 + slot.
 */
public final class ZoneImage {
    private static final VarHandle WORD = MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
    private static final int ROWS = 3;

    private final ByteBuffer bytes;
    private final int upstreams;
    private final int slotsPerUpstream;
    private final int bufferCapacity;
    private final int upstreamsOffset;
    private final int statesOffset;
    private final int identitiesOffset;
    private final int hotSetsOffset;
    private final int rowsOffset;
    private final int rowSize;
    private final int tablesOffset;
    private long epoch;

    /** An empty zone of 4 upstreams that is ready. */
    public ZoneImage(int slotsPerUpstream, int bufferCapacity) {
        this(4, slotsPerUpstream, bufferCapacity);
    }

    /**
     * An empty zone that is ready.
     *
     * @param slotsPerUpstream room for peers of each upstream
     * @param bufferCapacity bytes of one table buffer
     */
    public ZoneImage(int upstreams, int slotsPerUpstream, int bufferCapacity) {
        this.upstreams = upstreams;
        this.slotsPerUpstream = slotsPerUpstream;
        this.bufferCapacity = bufferCapacity;
        int slots = upstreams * slotsPerUpstream;
        upstreamsOffset = HeaderRecord.SIZE;
        statesOffset = upstreamsOffset + upstreams * UpstreamRecord.SIZE;
        identitiesOffset = statesOffset + slots * PeerStateRecord.SIZE;
        hotSetsOffset = align(identitiesOffset + slots * PeerIdentityRecord.SIZE);
        rowsOffset = hotSetsOffset + upstreams * HotSetRecord.SIZE;
        rowSize = align(RowRecord.SIZE + upstreams * RowUpstreamRecord.SIZE + slots * RowPeerRecord.SIZE);
        tablesOffset = rowsOffset + ROWS * rowSize;
        int tablesLength = upstreams * 2 * align(bufferCapacity);
        bytes = ByteBuffer.allocateDirect(tablesOffset + tablesLength).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putLong(HeaderRecord.MAGIC, ZoneLayout.MAGIC);
        bytes.putInt(HeaderRecord.VERSION, ZoneLayout.VERSION);
        bytes.putInt(HeaderRecord.FINGERPRINT, ZoneLayout.FINGERPRINT);
        bytes.putLong(HeaderRecord.LENGTH, bytes.capacity());
        bytes.putLong(HeaderRecord.CREATED_MS, 1);
        bytes.putLong(HeaderRecord.UPSTREAMS_OFFSET, upstreamsOffset);
        bytes.putInt(HeaderRecord.UPSTREAMS_CAPACITY, upstreams);
        bytes.putInt(HeaderRecord.PEERS_CAPACITY, slots);
        bytes.putLong(HeaderRecord.STATES_OFFSET, statesOffset);
        bytes.putLong(HeaderRecord.IDENTITIES_OFFSET, identitiesOffset);
        bytes.putLong(HeaderRecord.HOT_SETS_OFFSET, hotSetsOffset);
        bytes.putLong(HeaderRecord.ROWS_OFFSET, rowsOffset);
        bytes.putInt(HeaderRecord.ROWS_CAPACITY, ROWS);
        bytes.putInt(HeaderRecord.ROW_SIZE, rowSize);
        bytes.putLong(HeaderRecord.TABLES_OFFSET, tablesOffset);
        bytes.putLong(HeaderRecord.TABLES_LENGTH, tablesLength);
        putText(HeaderRecord.NODE_LENGTH, HeaderRecord.NODE, "edge1");
        bytes.putLong(HeaderRecord.READY, ZoneLayout.READY);
    }

    private static int align(int offset) {
        return offset + ZoneLayout.CACHE_LINE - 1 & -ZoneLayout.CACHE_LINE;
    }

    /** The file. Changes to it are changes of the zone. */
    public ByteBuffer bytes() {
        return bytes;
    }

    /** Where an upstream's record is. */
    public int upstream(int index) {
        return upstreamsOffset + index * UpstreamRecord.SIZE;
    }

    /** Where a slot's words are. */
    public int state(int slot) {
        return statesOffset + slot * PeerStateRecord.SIZE;
    }

    /** Where a slot's identity is. */
    public int identity(int slot) {
        return identitiesOffset + slot * PeerIdentityRecord.SIZE;
    }

    /** Where an upstream's hot set is. */
    public int hotSet(int upstream) {
        return hotSetsOffset + upstream * HotSetRecord.SIZE;
    }

    /** Where a worker's row is. */
    public int row(int index) {
        return rowsOffset + index * rowSize;
    }

    /** Where a row's counters of an upstream are. */
    public int rowUpstream(int row, int upstream) {
        return row(row) + RowRecord.SIZE + upstream * RowUpstreamRecord.SIZE;
    }

    /** Where a row's counters of a slot are. */
    public int rowPeer(int row, int slot) {
        return row(row) + RowRecord.SIZE + upstreams * RowUpstreamRecord.SIZE + slot * RowPeerRecord.SIZE;
    }

    /** Where an upstream's buffer is. */
    public int buffer(int upstream, int which) {
        return tablesOffset + (2 * upstream + which) * align(bufferCapacity);
    }

    /** Which buffer of an upstream is active. */
    public int active(int upstream) {
        return (int) bytes.getLong(upstream(upstream)) & 1;
    }

    /** Declares an upstream, and publishes its table in the buffer that is not active. */
    public void publish(int index, String name, List<Peer> peers) {
        publish(index, name, peers, IntStream.range(0, peers.size()).toArray(), 0);
    }

    /**
     * The same with peers of former rings among them.
     *
     * @param slots of each peer among those of the upstream; each that is first met takes its slot
     * @param handoverUntilMs until when the former rings count
     */
    public void publish(int index, String name, List<Peer> peers, int[] slots, long handoverUntilMs) {
        int record = upstream(index);
        bytes.putInt(record + UpstreamRecord.STATE, UpstreamState.USED);
        putText(record + UpstreamRecord.NAME_LENGTH, record + UpstreamRecord.NAME, name);
        bytes.putLong(record + UpstreamRecord.BUFFER_OFFSET, buffer(index, 0));
        bytes.putLong(record + UpstreamRecord.BUFFER_OFFSET + Long.BYTES, buffer(index, 1));
        bytes.putLong(record + UpstreamRecord.BUFFER_CAPACITY, bufferCapacity);
        bytes.putInt(record + UpstreamRecord.PANIC_PERCENT, 50);
        putText(record + UpstreamRecord.FILE_LENGTH, record + UpstreamRecord.FILE, "/etc/nginx/nginx.conf");
        bytes.putInt(record + UpstreamRecord.FILE_LINE, 7);
        for (int i = 0; i < peers.size(); i++) {
            int slot = slots[i];
            if (Arrays.stream(slots, 0, i).noneMatch(taken -> taken == slot)) {
                putPeer(index * slotsPerUpstream + slot, index, peers.get(i));
            }
        }
        putTable(index, peers, slots, handoverUntilMs);
    }

    private void putTable(int index, List<Peer> peers, int[] slots, long handoverUntilMs) {
        ByteBuffer region = new CompileRequest(List.of(new CompileRequest.Upstream("u", peers))).region();
        TableCompiler.compile(region);
        ByteBuffer table = CompileRequest.table(region, 0);
        epoch++;
        table.putLong(TableRecord.CONFIG_EPOCH, 1);
        table.putLong(TableRecord.HANDOVER_UNTIL_MS, handoverUntilMs);
        int firstPeer = (int) table.getLong(TableRecord.PEERS_OFFSET);
        for (int i = 0; i < peers.size(); i++) {
            int peer = firstPeer + i * TablePeerRecord.SIZE;
            table.putInt(peer + TablePeerRecord.SLOT, index * slotsPerUpstream + slots[table.getInt(peer + TablePeerRecord.SOURCE)]);
        }
        int which = 1 - active(index);
        int at = buffer(index, which);
        WORD.setOpaque(bytes, at + TableRecord.SEQUENCE, 0L);
        VarHandle.releaseFence();
        bytes.put(at + Long.BYTES, table, Long.BYTES, table.limit() - Long.BYTES);
        WORD.setRelease(bytes, at + TableRecord.SEQUENCE, epoch);
        WORD.setRelease(bytes, upstream(index) + UpstreamRecord.PUBLISHED, epoch << 1 | which);
        WORD.setRelease(bytes, HeaderRecord.EPOCH, epoch);
        WORD.setRelease(bytes, HeaderRecord.CONFIG_EPOCH, 1L);
    }

    private void putPeer(int slot, int upstream, Peer peer) {
        int record = identity(slot);
        long incarnation = bytes.getLong(record + PeerIdentityRecord.INCARNATION) + 1;
        bytes.putInt(record + PeerIdentityRecord.STATE,
                (peer.flags() & (PeerFlag.PREVIOUS | PeerFlag.EARLIER)) == 0 ? PeerLife.MEMBER : PeerLife.FORMER);
        bytes.putInt(record + PeerIdentityRecord.UPSTREAM, upstream);
        bytes.putLong(record + PeerIdentityRecord.INCARNATION, incarnation);
        bytes.putInt(record + PeerIdentityRecord.FLAGS, peer.flags());
        bytes.putInt(record + PeerIdentityRecord.WEIGHT, peer.weight());
        bytes.putInt(record + PeerIdentityRecord.CONF_WEIGHT, peer.weight());
        bytes.putInt(record + PeerIdentityRecord.MAX_CONNS, peer.maxConns());
        bytes.putInt(record + PeerIdentityRecord.MAX_FAILS, peer.maxFails());
        bytes.putInt(record + PeerIdentityRecord.FAIL_TIMEOUT_MS, peer.failTimeoutMs());
        int port = 10_000 + slot;
        putText(record + PeerIdentityRecord.SERVER_LENGTH, record + PeerIdentityRecord.SERVER, peer.server());
        putText(record + PeerIdentityRecord.ADDRESS_LENGTH, record + PeerIdentityRecord.ADDRESS, "127.0.0.1:" + port);
        byte[] sockaddr = {2, 0, (byte) (port >> 8), (byte) port, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0};
        bytes.putInt(record + PeerIdentityRecord.SOCKADDR_LENGTH, sockaddr.length);
        bytes.put(record + PeerIdentityRecord.SOCKADDR, sockaddr);
        bytes.putLong(state(slot) + PeerStateRecord.INCARNATION, incarnation);
    }

    private void putText(int lengthField, int field, String text) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        bytes.putInt(lengthField, utf8.length);
        bytes.put(field, utf8);
    }
}
