package io.atoll.core.table;

import io.atoll.core.ring.Ring;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.CompilePeerRecord;
import io.atoll.core.zone.ZoneLayout.CompileRequestRecord;
import io.atoll.core.zone.ZoneLayout.CompileUpstreamRecord;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Turns a compile request into tables: one for each upstream, written into the output part of the request's region.
 *
 * <p>Runs in the compile child, in a JVM that lives for this call: plain loops and bulk copies, no streams, lambdas or
 * string switches, which would cost more to set up than to run. Nor are texts put together before they are needed: the first
 * {@code +} of strings costs such a JVM 14 ms.
 */
public final class TableCompiler {
    /** Longest name of a server or upstream, bytes. */
    public static final int MAX_NAME = 4096;

    private static final int KNOWN_FLAGS = PeerFlag.DOWN | PeerFlag.BACKUP | PeerFlag.REMOVED | PeerFlag.ADDED
            | PeerFlag.WEIGHTED | PeerFlag.PREVIOUS | PeerFlag.EARLIER | PeerFlag.MAGLEV;
    private static final int FORMER_FLAGS = PeerFlag.PREVIOUS | PeerFlag.EARLIER;
    private static final int RING_FLAGS = PeerFlag.BACKUP | FORMER_FLAGS;

    private final ByteBuffer region;
    private final int upstreamsOffset;
    private final int upstreamCount;
    private final int peersOffset;
    private final int peerCount;
    private final int outputOffset;
    private final int outputEnd;

    /**
     * Compiles every upstream of a request and fills in its {@code table_offset} and {@code table_length}.
     *
     * @param region the compile region from index 0; its position and limit stay as they are
     * @throws CompileException for a request that contradicts itself or has too little room for its tables
     */
    public static void compile(ByteBuffer region) {
        new TableCompiler(region.duplicate().order(ByteOrder.LITTLE_ENDIAN)).run();
    }

    /**
     * Bytes that the tables of some upstreams take at most.
     *
     * @param upstreams tables
     * @param peers addresses, over all upstreams and rings
     * @param points {@code weight × 160} for each address, or {@code MAGLEV_ENTRIES} for each ring, over all upstreams
     */
    public static long roomFor(int upstreams, int peers, long points) {
        return upstreams * 1024L + peers * 48L + points * 16L;
    }

    private TableCompiler(ByteBuffer region) {
        this.region = region;
        long limit = region.limit();
        if (limit < CompileRequestRecord.SIZE) {
            throw new CompileException("compile request: the region has " + limit + " bytes, expected at least "
                    + CompileRequestRecord.SIZE);
        }
        checkHead(limit);
        long length = region.getLong(CompileRequestRecord.LENGTH);
        upstreamCount = region.getInt(CompileRequestRecord.UPSTREAM_COUNT);
        peerCount = region.getInt(CompileRequestRecord.PEER_COUNT);
        upstreamsOffset = section("upstreams", CompileRequestRecord.UPSTREAMS_OFFSET, upstreamCount,
                CompileUpstreamRecord.SIZE, length);
        peersOffset = section("peers", CompileRequestRecord.PEERS_OFFSET, peerCount, CompilePeerRecord.SIZE, length);
        long output = region.getLong(CompileRequestRecord.OUTPUT_OFFSET);
        long room = region.getLong(CompileRequestRecord.OUTPUT_LENGTH);
        if (output % ZoneLayout.CACHE_LINE != 0 || !within(output, room, CompileRequestRecord.SIZE, length)) {
            throw new CompileException("compile request: output of " + Long.toUnsignedString(room) + " bytes at "
                    + Long.toUnsignedString(output) + ", expected a multiple of 64 within the region of " + length
                    + " bytes");
        }
        outputOffset = (int) output;
        outputEnd = (int) (output + room);
        if (overlapsOutput(upstreamsOffset, (long) upstreamCount * CompileUpstreamRecord.SIZE)
                || overlapsOutput(peersOffset, (long) peerCount * CompilePeerRecord.SIZE)) {
            throw new CompileException("compile request: the output at " + output + " overlaps the upstreams or peers to compile");
        }
    }

    private void checkHead(long limit) {
        long magic = region.getLong(CompileRequestRecord.MAGIC);
        if (magic != ZoneLayout.REQUEST_MAGIC) {
            throw new CompileException("compile request: magic is 0x" + Long.toHexString(magic) + ", expected 0x"
                    + Long.toHexString(ZoneLayout.REQUEST_MAGIC));
        }
        int version = region.getInt(CompileRequestRecord.VERSION);
        int fingerprint = region.getInt(CompileRequestRecord.FINGERPRINT);
        if (version != ZoneLayout.VERSION || fingerprint != ZoneLayout.FINGERPRINT) {
            throw new CompileException("compile request: layout is " + versionText(version) + " ("
                    + Integer.toHexString(fingerprint) + "), this atoll-core.jar has " + versionText(ZoneLayout.VERSION) + " ("
                    + Integer.toHexString(ZoneLayout.FINGERPRINT)
                    + "); take the module, the library and the jar from one build");
        }
        long length = region.getLong(CompileRequestRecord.LENGTH);
        if (length < CompileRequestRecord.SIZE || length > limit) {
            throw new CompileException("compile request: says it has " + Long.toUnsignedString(length)
                    + " bytes, the region has " + limit);
        }
    }

    private static String versionText(int version) {
        return (version >>> 16) + "." + (version >>> 8 & 0xff) + "." + (version & 0xff);
    }

    private int section(String what, int field, int count, int size, long length) {
        long offset = region.getLong(field);
        if (count < 1 || offset % Long.BYTES != 0 || !within(offset, (long) count * size, CompileRequestRecord.SIZE, length)) {
            throw new CompileException("compile request: " + Integer.toUnsignedString(count) + " " + what + " at "
                    + Long.toUnsignedString(offset) + ", expected 1 or more within the region of " + length + " bytes");
        }
        return (int) offset;
    }

    /** Whether {@code [offset, offset + bytes)} lies in {@code [from, to)}; arguments may be anything. */
    private static boolean within(long offset, long bytes, long from, long to) {
        return offset >= from && bytes >= 0 && offset <= to && bytes <= to - offset;
    }

    private boolean overlapsOutput(long offset, long bytes) {
        return offset < outputEnd && offset + bytes > outputOffset;
    }

    private void run() {
        long end = outputOffset;
        for (int i = 0; i < upstreamCount; i++) {
            TablePlan plan = plan(i);
            long at = TablePlan.align(end);
            end = at + plan.length();
            if (end <= outputEnd) {
                int record = upstreamsOffset + i * CompileUpstreamRecord.SIZE;
                plan.write(region, (int) at);
                region.putLong(record + CompileUpstreamRecord.TABLE_OFFSET, at);
                region.putLong(record + CompileUpstreamRecord.TABLE_LENGTH, plan.length());
            }
        }
        if (end > outputEnd) {
            throw new CompileException("compile request: the output has room for " + (outputEnd - outputOffset)
                    + " bytes, the tables need " + (end - outputOffset));
        }
    }

    private TablePlan plan(int index) {
        int record = upstreamsOffset + index * CompileUpstreamRecord.SIZE;
        byte[] upstreamName = name(record + CompileUpstreamRecord.NAME_OFFSET, record + CompileUpstreamRecord.NAME_LENGTH);
        if (upstreamName == null) {
            throw badName("upstream " + index, record + CompileUpstreamRecord.NAME_OFFSET,
                    record + CompileUpstreamRecord.NAME_LENGTH);
        }
        String upstream = text(upstreamName);
        long first = Integer.toUnsignedLong(region.getInt(record + CompileUpstreamRecord.FIRST_PEER));
        long count = Integer.toUnsignedLong(region.getInt(record + CompileUpstreamRecord.PEER_COUNT));
        if (count < 1 || first + count > peerCount) {
            throw new CompileException("upstream \"" + upstream + "\": peers " + first + " to " + (first + count - 1)
                    + " of a request that has " + peerCount + ", expected 1 or more of them");
        }
        int method = region.getInt(record + CompileUpstreamRecord.METHOD);
        if (method != ZoneLayout.Method.KETAMA && method != ZoneLayout.Method.MAGLEV) {
            throw new CompileException("upstream \"" + upstream + "\": method is " + Integer.toUnsignedString(method)
                    + ", expected 0 (ketama) or 1 (maglev)");
        }
        Ring.Builder[] rings = new Ring.Builder[Table.RINGS];
        TablePlan plan = new TablePlan((int) count);
        int from = peersOffset + (int) first * CompilePeerRecord.SIZE;
        boolean honoured = leavesPrimary(from, (int) count);
        for (int i = 0; i < count; i++) {
            int peer = from + i * CompilePeerRecord.SIZE;
            if (!honoured || (region.getInt(peer + CompilePeerRecord.FLAGS) & PeerFlag.REMOVED) == 0) {
                addPeer(plan, rings, method, upstream, i, peer);
            }
        }
        if (plan.ringPeers(0) == 0) {
            throw new CompileException("upstream \"" + upstream
                    + "\": no server without \"backup\"; add one, or take \"backup\" from one");
        }
        Ring[] built = new Ring[rings.length];
        for (int r = 0; r < rings.length; r++) {
            built[r] = (rings[r] == null ? new Ring.Builder(method) : rings[r]).build();
        }
        plan.arrange(built);
        return plan;
    }

    /** Whether a primary server is left without those that were removed at run time; if not, they stay. */
    private boolean leavesPrimary(int from, int count) {
        for (int i = 0; i < count; i++) {
            int flags = region.getInt(from + i * CompilePeerRecord.SIZE + CompilePeerRecord.FLAGS);
            if ((flags & (PeerFlag.REMOVED | RING_FLAGS)) == 0) {
                return true;
            }
        }
        return false;
    }

    private void addPeer(TablePlan plan, Ring.Builder[] rings, int ofPresent, String upstream, int source, int record) {
        byte[] server = name(record + CompilePeerRecord.NAME_OFFSET, record + CompilePeerRecord.NAME_LENGTH);
        if (server == null) {
            throw badName("upstream \"" + upstream + "\", peer " + source, record + CompilePeerRecord.NAME_OFFSET,
                    record + CompilePeerRecord.NAME_LENGTH);
        }
        int weight = region.getInt(record + CompilePeerRecord.WEIGHT);
        int flags = region.getInt(record + CompilePeerRecord.FLAGS);
        boolean former = (flags & FORMER_FLAGS) != 0;
        if (weight < 1 || (flags & ~KNOWN_FLAGS) != 0 || Integer.bitCount(flags & RING_FLAGS) > 1
                || !former && (flags & PeerFlag.MAGLEV) != 0) {
            throw new CompileException("upstream \"" + upstream + "\", server \"" + text(server) + "\": weight "
                    + Integer.toUnsignedString(weight) + " and flags 0x" + Integer.toHexString(flags)
                    + ", expected a weight from 1 to " + Integer.MAX_VALUE + " and flags within 0x"
                    + Integer.toHexString(KNOWN_FLAGS) + ", not both BACKUP and PREVIOUS, nor either with EARLIER, nor MAGLEV without PREVIOUS or EARLIER");
        }
        int ring = (flags & PeerFlag.BACKUP) != 0 ? ZoneLayout.Ring.BACKUPS
                : (flags & PeerFlag.PREVIOUS) != 0 ? ZoneLayout.Ring.PREVIOUS
                : (flags & PeerFlag.EARLIER) != 0 ? ZoneLayout.Ring.EARLIER : ZoneLayout.Ring.PRIMARY;
        int method = !former ? ofPresent
                : (flags & PeerFlag.MAGLEV) != 0 ? ZoneLayout.Method.MAGLEV : ZoneLayout.Method.KETAMA;
        if (rings[ring] == null) {
            rings[ring] = new Ring.Builder(method);
        } else if (rings[ring].method() != method) {
            throw new CompileException("upstream \"" + upstream + "\", server \"" + text(server)
                    + "\": flags 0x" + Integer.toHexString(flags) + ", expected MAGLEV on all peers of a ring or on none");
        }
        int group;
        try {
            group = rings[ring].add(server, weight);
        } catch (IllegalArgumentException e) {
            throw new CompileException("upstream \"" + upstream + "\": " + e.getMessage());
        }
        plan.add(source, ring, group, weight, flags & (PeerFlag.DOWN | RING_FLAGS)
                        | (method == ZoneLayout.Method.MAGLEV ? PeerFlag.MAGLEV : 0),
                region.getInt(record + CompilePeerRecord.MAX_CONNS),
                region.getInt(record + CompilePeerRecord.MAX_FAILS),
                region.getInt(record + CompilePeerRecord.FAIL_TIMEOUT_MS));
        if (plan.totalWeight(ring) > Integer.MAX_VALUE) {
            throw new CompileException("upstream \"" + upstream + "\": the weights add up to more than " + Integer.MAX_VALUE
                    + "; divide all of them by a common factor");
        }
    }

    /** The bytes of a name, null when it does not lie in the region or is too long. */
    private byte[] name(int offsetField, int lengthField) {
        long offset = region.getLong(offsetField);
        long length = Integer.toUnsignedLong(region.getInt(lengthField));
        if (length < 1 || length > MAX_NAME
                || !within(offset, length, CompileRequestRecord.SIZE, region.getLong(CompileRequestRecord.LENGTH))) {
            return null;
        }
        byte[] name = new byte[(int) length];
        region.get((int) offset, name);
        return name;
    }

    private CompileException badName(String whose, int offsetField, int lengthField) {
        return new CompileException("compile request, " + whose + ": name of "
                + Integer.toUnsignedString(region.getInt(lengthField)) + " bytes at "
                + Long.toUnsignedString(region.getLong(offsetField)) + ", expected 1 to " + MAX_NAME
                + " bytes within the region");
    }

    private static String text(byte[] name) {
        return new String(name, StandardCharsets.UTF_8);
    }
}
