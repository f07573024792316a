package io.atoll.tests.harness;

import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.PeerIdentityRecord;
import io.atoll.core.zone.ZoneLayout.PeerStateRecord;
import io.atoll.core.zone.ZoneLayout.RowPeerRecord;
import io.atoll.core.zone.ZoneLayout.RowRecord;
import io.atoll.core.zone.ZoneLayout.RowUpstreamRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** A zone file read, and spoilt, from outside: through the page cache, so what processes map is what is seen here. */
public record ZoneFile(Path path) {
    /** A slot as the zone has it now. reasons are the millisecond until which each stands, by ZoneLayout.Reason. */
    public record Peer(int slot, String upstream, String server, String address, int life, long incarnation,
                       long[] reasons, long rampStartMs, int fails) {
        /** True while a reason stands. */
        public boolean stands(int reason) {
            return Long.compareUnsigned(reasons[reason], nowMs()) > 0;
        }
    }

    /** CLOCK_MONOTONIC milliseconds, which System.nanoTime counts on Linux. */
    public static long nowMs() {
        return System.nanoTime() / 1_000_000;
    }

    /** Every slot that was ever used. */
    public List<Peer> peers() {
        ByteBuffer header = read(0, HeaderRecord.SIZE);
        int capacity = header.getInt(HeaderRecord.PEERS_CAPACITY);
        ByteBuffer identities = read(header.getLong(HeaderRecord.IDENTITIES_OFFSET),
                capacity * PeerIdentityRecord.SIZE);
        ByteBuffer states = read(header.getLong(HeaderRecord.STATES_OFFSET), capacity * PeerStateRecord.SIZE);
        ByteBuffer upstreams = read(header.getLong(HeaderRecord.UPSTREAMS_OFFSET),
                header.getInt(HeaderRecord.UPSTREAMS_CAPACITY) * UpstreamRecord.SIZE);
        List<Peer> peers = new ArrayList<>();
        for (int slot = 0; slot < capacity; slot++) {
            int at = slot * PeerIdentityRecord.SIZE;
            int life = identities.getInt(at + PeerIdentityRecord.STATE);
            if (life != ZoneLayout.PeerLife.VACANT) {
                int upstream = identities.getInt(at + PeerIdentityRecord.UPSTREAM) * UpstreamRecord.SIZE;
                peers.add(peer(slot, life, states, identities, at, text(upstreams, upstream + UpstreamRecord.NAME_LENGTH,
                        upstream + UpstreamRecord.NAME)));
            }
        }
        return peers;
    }

    /** The member of an upstream with that address. */
    public Peer peer(String upstream, String address) {
        return peers().stream().filter(peer -> peer.life == ZoneLayout.PeerLife.MEMBER
                        && peer.upstream.equals(upstream) && peer.address.equals(address)).findFirst()
                .orElseThrow(() -> new AssertionError("no peer " + address + " of " + upstream + " in " + path));
    }

    /** True while a reason stands for a member. */
    public boolean stands(String upstream, String address, int reason) {
        return peer(upstream, address).stands(reason);
    }

    /** A 64-bit word. */
    public long word(long offset) {
        return read(offset, 8).getLong(0);
    }

    /** Lets workers ask a peer for copies of before again that failed to answer. */
    public void endAvoidance(int slot) {
        long state = read(0, HeaderRecord.SIZE).getLong(HeaderRecord.STATES_OFFSET) + (long) slot * PeerStateRecord.SIZE;
        write(state + PeerStateRecord.AVOID_UNTIL_MS, new byte[Long.BYTES]);
    }

    /** Writes bytes over the file. */
    public void write(long offset, byte[] bytes) {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(bytes), offset);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Flips a bit in one byte of a thousand anywhere behind the magic. Without its magic a file is somebody else's to nginx: a
     * reload is refused and leaves it alone, which is a scene of its own.
     */
    public void flipBehindMagic(Random random) {
        flip(random, Long.BYTES, length() - Long.BYTES);
    }

    /** Flips a bit in one byte of a thousand, from an offset on. */
    public void flip(Random random, long from, long length) {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ByteBuffer one = ByteBuffer.allocate(1);
            for (long i = 0; i < length / 1000; i++) {
                long at = from + (long) (random.nextDouble() * length);
                one.clear();
                channel.read(one, at);
                one.flip().put(0, (byte) (one.get(0) ^ 1 << random.nextInt(8)));
                channel.write(one, at);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Length of the file in bytes. */
    public long length() {
        try {
            return Files.size(path);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Inode number. */
    public Object inode() {
        try {
            return Files.getAttribute(path, "unix:ino");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** All bytes but the worker rows, which change with every request. */
    public byte[] withoutRows() {
        byte[] bytes = read(0, (int) length()).array();
        ByteBuffer header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        int rows = (int) header.getLong(HeaderRecord.ROWS_OFFSET);
        int length = header.getInt(HeaderRecord.ROWS_CAPACITY) * header.getInt(HeaderRecord.ROW_SIZE);
        java.util.Arrays.fill(bytes, rows, rows + length, (byte) 0);
        return bytes;
    }

    /** Process ids in the worker rows. */
    public List<Long> rowPids() {
        return rows().stream().map(row -> row.getLong(RowRecord.PID)).toList();
    }

    /** Picks that were made without a usable table, over all rows. */
    public long fallbacks() {
        return rows().stream().mapToLong(row -> row.getLong(RowRecord.FALLBACKS)).sum();
    }

    /** Requests at a slot now, over all rows. */
    public long inflight(int slot) {
        int upstreams = read(0, HeaderRecord.SIZE).getInt(HeaderRecord.UPSTREAMS_CAPACITY);
        int at = RowRecord.SIZE + upstreams * RowUpstreamRecord.SIZE + slot * RowPeerRecord.SIZE
                + RowPeerRecord.INFLIGHT;
        return rows().stream().mapToLong(row -> row.getInt(at)).sum();
    }

    /** Requests at all peers of an upstream with a bound now, over all rows. */
    public long upstreamInflight(int upstream) {
        int at = RowRecord.SIZE + upstream * RowUpstreamRecord.SIZE + RowUpstreamRecord.INFLIGHT;
        return rows().stream().mapToLong(row -> row.getInt(at)).sum();
    }

    private List<ByteBuffer> rows() {
        ByteBuffer header = read(0, HeaderRecord.SIZE);
        int size = header.getInt(HeaderRecord.ROW_SIZE);
        long offset = header.getLong(HeaderRecord.ROWS_OFFSET);
        List<ByteBuffer> rows = new ArrayList<>();
        for (int i = 0; i < header.getInt(HeaderRecord.ROWS_CAPACITY); i++) {
            rows.add(read(offset + (long) i * size, size));
        }
        return rows;
    }

    private static Peer peer(int slot, int life, ByteBuffer states, ByteBuffer identities, int at, String upstream) {
        int state = slot * PeerStateRecord.SIZE;
        long[] reasons = new long[PeerStateRecord.REASON_ELEMENTS];
        for (int i = 0; i < reasons.length; i++) {
            reasons[i] = states.getLong(state + PeerStateRecord.REASON + 8 * i);
        }
        return new Peer(slot, upstream,
                text(identities, at + PeerIdentityRecord.SERVER_LENGTH, at + PeerIdentityRecord.SERVER),
                text(identities, at + PeerIdentityRecord.ADDRESS_LENGTH, at + PeerIdentityRecord.ADDRESS), life,
                states.getLong(state + PeerStateRecord.INCARNATION), reasons,
                states.getLong(state + PeerStateRecord.RAMP_START_MS), states.getInt(state + PeerStateRecord.FAILS));
    }

    private static String text(ByteBuffer buffer, int lengthAt, int at) {
        return new String(buffer.array(), at, buffer.getInt(lengthAt), StandardCharsets.UTF_8);
    }

    private ByteBuffer read(long offset, int length) {
        ByteBuffer buffer = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            while (buffer.hasRemaining()) {
                if (channel.read(buffer, offset + buffer.position()) < 0) {
                    throw new AssertionError(path + " ends before byte " + (offset + length));
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return buffer.flip().order(ByteOrder.LITTLE_ENDIAN);
    }
}
