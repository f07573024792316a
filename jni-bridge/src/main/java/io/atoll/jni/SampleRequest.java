package io.atoll.jni;

import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.CompilePeerRecord;
import io.atoll.core.zone.ZoneLayout.CompileRequestRecord;
import io.atoll.core.zone.ZoneLayout.CompileUpstreamRecord;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * A compile request with a bit of everything: weights, several addresses of a name, a name without port, a unix socket,
 * {@code down}, {@code backup}, an upstream of one peer. The class-data archive is made from a run over it.
 */
public final class SampleRequest {
    private static final int UPSTREAMS = 2;
    private static final int OUTPUT_BYTES = 1 << 20;

    private record Peer(String name, int weight, int flags) {}

    private static final Peer[] MANY = {
        new Peer("10.0.0.1:80", 1, 0),
        new Peer("10.0.0.2:80", 5, 0),
        new Peer("cache.example", 2, 0),
        new Peer("cache.example", 2, 0),
        new Peer("unix:/run/cache.sock", 1, 0),
        new Peer("10.0.0.3:80", 1, PeerFlag.DOWN),
        new Peer("10.0.0.4:80", 1, PeerFlag.BACKUP),
        new Peer("10.0.0.5:80", 3, PeerFlag.BACKUP),
    };
    private static final Peer[] ONE = {new Peer("127.0.0.1:8080", 1, 0)};

    private final ByteBuffer region;
    private final int peersOffset = CompileRequestRecord.SIZE + UPSTREAMS * CompileUpstreamRecord.SIZE;
    private int names = peersOffset + (MANY.length + ONE.length) * CompilePeerRecord.SIZE;
    private int peers;

    private SampleRequest() {
        int outputOffset = 4096;
        region = ByteBuffer.allocateDirect(outputOffset + OUTPUT_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        region.putLong(CompileRequestRecord.MAGIC, ZoneLayout.REQUEST_MAGIC);
        region.putInt(CompileRequestRecord.VERSION, ZoneLayout.VERSION);
        region.putInt(CompileRequestRecord.FINGERPRINT, ZoneLayout.FINGERPRINT);
        region.putLong(CompileRequestRecord.LENGTH, region.capacity());
        region.putInt(CompileRequestRecord.UPSTREAM_COUNT, UPSTREAMS);
        region.putInt(CompileRequestRecord.PEER_COUNT, MANY.length + ONE.length);
        region.putLong(CompileRequestRecord.UPSTREAMS_OFFSET, CompileRequestRecord.SIZE);
        region.putLong(CompileRequestRecord.PEERS_OFFSET, peersOffset);
        region.putLong(CompileRequestRecord.OUTPUT_OFFSET, outputOffset);
        region.putLong(CompileRequestRecord.OUTPUT_LENGTH, OUTPUT_BYTES);
    }

    /** A request of its own for each caller, with absolute positions and in little-endian order. */
    public static ByteBuffer create() {
        SampleRequest sample = new SampleRequest();
        sample.addUpstream(0, "many", MANY);
        sample.addUpstream(1, "one", ONE);
        return sample.region;
    }

    private void addUpstream(int index, String name, Peer[] list) {
        int at = CompileRequestRecord.SIZE + index * CompileUpstreamRecord.SIZE;
        region.putInt(at + CompileUpstreamRecord.NAME_LENGTH, name.length());
        region.putLong(at + CompileUpstreamRecord.NAME_OFFSET, addName(name));
        region.putInt(at + CompileUpstreamRecord.FIRST_PEER, peers);
        region.putInt(at + CompileUpstreamRecord.PEER_COUNT, list.length);
        for (Peer peer : list) {
            addPeer(peer);
        }
    }

    private void addPeer(Peer peer) {
        int at = peersOffset + peers++ * CompilePeerRecord.SIZE;
        region.putLong(at + CompilePeerRecord.NAME_OFFSET, addName(peer.name));
        region.putInt(at + CompilePeerRecord.NAME_LENGTH, peer.name.length());
        region.putInt(at + CompilePeerRecord.WEIGHT, peer.weight);
        region.putInt(at + CompilePeerRecord.MAX_FAILS, 1);
        region.putInt(at + CompilePeerRecord.FAIL_TIMEOUT_MS, 10_000);
        region.putInt(at + CompilePeerRecord.FLAGS, peer.flags);
    }

    private int addName(String name) {
        byte[] bytes = name.getBytes(StandardCharsets.US_ASCII);
        region.put(names, bytes);
        names += bytes.length;
        return names - bytes.length;
    }

    /**
     * Compiles the sample once.
     *
     * @param arguments none
     */
    public static void main(String[] arguments) {
        CompileEntry.compile(create());
    }
}
