package io.atoll.core.table;

import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.CompilePeerRecord;
import io.atoll.core.zone.ZoneLayout.CompileRequestRecord;
import io.atoll.core.zone.ZoneLayout.CompileUpstreamRecord;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * A compile request made in Java: what the nginx master writes ({@code atoll_compile_region_open}), for programs and
 * tests that compile tables themselves.
 *
 * <pre>{@code
 * Upstream upstream = new Upstream("cache", List.of(new Peer("cache1:80"), new Peer("cache2:80")));
 * ByteBuffer region = new CompileRequest(List.of(upstream)).region();
 * TableCompiler.compile(region);
 * Table table = Table.open(CompileRequest.table(region, 0));
 * }</pre>
 */
public record CompileRequest(List<Upstream> upstreams) {
    /**
     * An upstream with its peers, primary and backup, in the order of nginx.conf.
     *
     * @param method one of {@code ZoneLayout.Method}
     */
    public record Upstream(String name, List<Peer> peers, int method) {
        /** An upstream with nginx's ring. */
        public Upstream(String name, List<Peer> peers) {
            this(name, peers, ZoneLayout.Method.KETAMA);
        }
    }

    /** One address of a server; see layout record {@code compile_peer}. */
    public record Peer(String server, int weight, int maxConns, int maxFails, int failTimeoutMs, int flags) {
        /** A server as nginx takes it when nothing but its name is given. */
        public Peer(String server) {
            this(server, 1);
        }

        /** A server with a weight. */
        public Peer(String server, int weight) {
            this(server, weight, 0, 1, 10_000, 0);
        }

        /** The same with other {@code ZoneLayout.PeerFlag} bits. */
        public Peer withFlags(int other) {
            return new Peer(server, weight, maxConns, maxFails, failTimeoutMs, other);
        }
    }

    /** A direct region with room for the tables. */
    public ByteBuffer region() {
        long points = 0;
        int peers = 0;
        for (Upstream upstream : upstreams) {
            boolean tables = false;
            for (Peer peer : upstream.peers()) {
                boolean former = (peer.flags() & (PeerFlag.PREVIOUS | PeerFlag.EARLIER)) != 0;
                boolean maglev = former ? (peer.flags() & PeerFlag.MAGLEV) != 0 : upstream.method() == ZoneLayout.Method.MAGLEV;
                tables |= maglev;
                points += maglev ? 0 : (long) Math.max(peer.weight(), 0) * ZoneLayout.POINTS_PER_WEIGHT;
                peers++;
            }
            points += tables ? (long) Table.RINGS * ZoneLayout.MAGLEV_ENTRIES : 0;
        }
        return region(TableCompiler.roomFor(upstreams.size(), peers, points));
    }

    /**
     * A direct region with a given room for the tables.
     *
     * @throws IllegalArgumentException for more than a ByteBuffer holds
     */
    public ByteBuffer region(long outputLength) {
        ByteArrayOutputStream names = new ByteArrayOutputStream();
        int peerCount = upstreams.stream().mapToInt(u -> u.peers().size()).sum();
        int peersOffset = CompileRequestRecord.SIZE + upstreams.size() * CompileUpstreamRecord.SIZE;
        int namesOffset = peersOffset + peerCount * CompilePeerRecord.SIZE;
        int nameBytes = 0;
        for (Upstream upstream : upstreams) {
            nameBytes += upstream.name().getBytes(StandardCharsets.UTF_8).length;
            for (Peer peer : upstream.peers()) {
                nameBytes += peer.server().getBytes(StandardCharsets.UTF_8).length;
            }
        }
        long outputOffset = TablePlan.align(namesOffset + nameBytes);
        if (outputOffset + outputLength > Integer.MAX_VALUE) {
            throw new IllegalArgumentException("compile request: " + outputLength + " bytes for the tables, expected less than "
                    + (Integer.MAX_VALUE - outputOffset));
        }
        ByteBuffer region = ByteBuffer.allocateDirect((int) (outputOffset + outputLength)).order(ByteOrder.LITTLE_ENDIAN);
        putHead(region, peerCount, peersOffset, outputOffset);
        int first = 0;
        for (int i = 0; i < upstreams.size(); i++) {
            Upstream upstream = upstreams.get(i);
            int record = CompileRequestRecord.SIZE + i * CompileUpstreamRecord.SIZE;
            putName(region, record + CompileUpstreamRecord.NAME_OFFSET, record + CompileUpstreamRecord.NAME_LENGTH,
                    namesOffset, names, upstream.name());
            region.putInt(record + CompileUpstreamRecord.FIRST_PEER, first);
            region.putInt(record + CompileUpstreamRecord.PEER_COUNT, upstream.peers().size());
            region.putInt(record + CompileUpstreamRecord.METHOD, upstream.method());
            for (Peer peer : upstream.peers()) {
                putPeer(region, peersOffset + first++ * CompilePeerRecord.SIZE, namesOffset, names, peer);
            }
        }
        region.put(namesOffset, names.toByteArray());
        return region;
    }

    private void putHead(ByteBuffer region, int peerCount, int peersOffset, long outputOffset) {
        region.putLong(CompileRequestRecord.MAGIC, ZoneLayout.REQUEST_MAGIC);
        region.putInt(CompileRequestRecord.VERSION, ZoneLayout.VERSION);
        region.putInt(CompileRequestRecord.FINGERPRINT, ZoneLayout.FINGERPRINT);
        region.putLong(CompileRequestRecord.LENGTH, region.capacity());
        region.putInt(CompileRequestRecord.UPSTREAM_COUNT, upstreams.size());
        region.putInt(CompileRequestRecord.PEER_COUNT, peerCount);
        region.putLong(CompileRequestRecord.UPSTREAMS_OFFSET, CompileRequestRecord.SIZE);
        region.putLong(CompileRequestRecord.PEERS_OFFSET, peersOffset);
        region.putLong(CompileRequestRecord.OUTPUT_OFFSET, outputOffset);
        region.putLong(CompileRequestRecord.OUTPUT_LENGTH, region.capacity() - outputOffset);
    }

    private static void putPeer(ByteBuffer region, int record, int namesOffset, ByteArrayOutputStream names, Peer peer) {
        putName(region, record + CompilePeerRecord.NAME_OFFSET, record + CompilePeerRecord.NAME_LENGTH, namesOffset, names,
                peer.server());
        region.putInt(record + CompilePeerRecord.WEIGHT, peer.weight());
        region.putInt(record + CompilePeerRecord.MAX_CONNS, peer.maxConns());
        region.putInt(record + CompilePeerRecord.MAX_FAILS, peer.maxFails());
        region.putInt(record + CompilePeerRecord.FAIL_TIMEOUT_MS, peer.failTimeoutMs());
        region.putInt(record + CompilePeerRecord.FLAGS, peer.flags());
    }

    private static void putName(ByteBuffer region, int offsetField, int lengthField, int namesOffset,
            ByteArrayOutputStream names, String name) {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        region.putLong(offsetField, namesOffset + names.size());
        region.putInt(lengthField, bytes.length);
        names.writeBytes(bytes);
    }

    /** The bytes of the table that the compiler wrote for an upstream. */
    public static ByteBuffer table(ByteBuffer region, int upstream) {
        ByteBuffer view = region.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        int record = (int) view.getLong(CompileRequestRecord.UPSTREAMS_OFFSET) + upstream * CompileUpstreamRecord.SIZE;
        int offset = (int) view.getLong(record + CompileUpstreamRecord.TABLE_OFFSET);
        int length = (int) view.getLong(record + CompileUpstreamRecord.TABLE_LENGTH);
        return view.slice(offset, length).order(ByteOrder.LITTLE_ENDIAN);
    }
}
