package io.atoll.agent.testing;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

import io.atoll.agent.os.Posix;
import io.atoll.core.table.CompileRequest;
import io.atoll.core.table.Table;
import io.atoll.core.tools.ZoneImage;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.Zone;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.PeerIdentityRecord;
import io.atoll.core.zone.ZoneLayout.PeerStateRecord;
import io.atoll.core.zone.ZoneLayout.ProbeKind;
import io.atoll.core.zone.ZoneLayout.PurgeSetRecord;
import io.atoll.core.zone.ZoneLayout.PurgesRecord;
import io.atoll.core.zone.ZoneLayout.RowRecord;
import io.atoll.core.zone.ZoneLayout.RowUpstreamRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;

/** A zone file as nginx's master makes it, with the test in the parts of master and workers. One upstream, "caches". */
public final class ZoneFixture {
    public static final String UPSTREAM = "caches";
    private static final int SLOTS = 16;
    private static final int BUFFER = 64 * 1024;
    private static final int PURGE_SETS = 16;

    /** How its peers are probed. */
    public record ProbeSpec(int kind, String uri, int intervalMs, int timeoutMs, int rise, int fall) {
        /** GET /, each 100 ms. */
        public static ProbeSpec http() {
            return new ProbeSpec(ProbeKind.HTTP, "/", 100, 2000, 2, 3);
        }

        public static ProbeSpec none() {
            return new ProbeSpec(ProbeKind.NONE, "/", 100, 2000, 2, 3);
        }
    }

    /** A server of the upstream and where it listens. */
    public record Server(String name, InetSocketAddress address, int flags) {
        public static Server at(InetSocketAddress address) {
            return new Server(text(address), address, 0);
        }
    }

    private final Path path;
    private final ZoneImage image;
    private final ByteBuffer bytes;

    private ZoneFixture(Path path, ZoneImage image, ByteBuffer bytes) {
        this.path = path;
        this.image = image;
        this.bytes = bytes;
    }

    public static String text(InetSocketAddress address) {
        return address.getAddress().getHostAddress() + ":" + address.getPort();
    }

    /** Makes the file beside the path and renames it into place, whole. */
    public static ZoneFixture create(Path path, ProbeSpec probe, int slowStartMs, Server... servers) throws IOException {
        return create(path, probe, slowStartMs, List.of(servers));
    }

    public static ZoneFixture create(Path path, ProbeSpec probe, int slowStartMs, List<Server> servers)
            throws IOException {
        ZoneImage image = new ZoneImage(Math.max(SLOTS, servers.size()), BUFFER + servers.size() * 2048);
        image.bytes().put(HeaderRecord.BOOT_ID, Posix.bootId());
        publish(image, probe, slowStartMs, servers);
        Path fresh = path.resolveSibling(path.getFileName() + ".new");
        try (FileChannel file = FileChannel.open(fresh, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING,
                StandardOpenOption.WRITE)) {
            file.write(withPurges(image.bytes()).duplicate().clear());
        }
        Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        try (FileChannel file = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ByteBuffer mapped = file.map(FileChannel.MapMode.READ_WRITE, 0, file.size());
            return new ZoneFixture(path, image, mapped.order(ByteOrder.LITTLE_ENDIAN));
        }
    }

    /** The file with room for purges behind. */
    private static ByteBuffer withPurges(ByteBuffer image) {
        int offset = image.capacity() + ZoneLayout.CACHE_LINE - 1 & -ZoneLayout.CACHE_LINE;
        ByteBuffer file = ByteBuffer.allocate(offset + PurgesRecord.SIZE + PURGE_SETS * PurgeSetRecord.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        file.put(0, image, 0, image.capacity());
        return file.putLong(HeaderRecord.LENGTH, file.capacity()).putLong(HeaderRecord.PURGES_OFFSET, offset)
                .putInt(HeaderRecord.PURGE_SETS, PURGE_SETS);
    }

    /** Which node it is the zone of. */
    public void setNode(String name) {
        byte[] utf8 = name.getBytes(StandardCharsets.UTF_8);
        bytes.putInt(HeaderRecord.NODE_LENGTH, utf8.length);
        bytes.put(HeaderRecord.NODE, utf8);
    }

    /** What lies at a path now, for reading. */
    public static Zone open(Path path) throws IOException {
        try (FileChannel file = FileChannel.open(path, StandardOpenOption.READ)) {
            return Zone.attach(file.map(FileChannel.MapMode.READ_ONLY, 0, file.size()).order(ByteOrder.LITTLE_ENDIAN));
        }
    }

    private static void publish(ZoneImage image, ProbeSpec probe, int slowStartMs, List<Server> servers) {
        List<CompileRequest.Peer> peers = new ArrayList<>();
        for (Server server : servers) {
            peers.add(new CompileRequest.Peer(server.name(), 1, 0, 1, 10_000, server.flags()));
        }
        image.publish(0, UPSTREAM, peers);
        for (int i = 0; i < servers.size(); i++) {
            putAddress(image.bytes(), image.identity(i), servers.get(i).address());
        }
        putProbe(image.bytes(), image.upstream(0), probe, slowStartMs);
    }

    private static void putProbe(ByteBuffer bytes, int upstream, ProbeSpec probe, int slowStartMs) {
        bytes.putInt(upstream + UpstreamRecord.SLOW_START_MS, slowStartMs);
        bytes.putInt(upstream + UpstreamRecord.PROBE_KIND, probe.kind());
        bytes.putInt(upstream + UpstreamRecord.PROBE_INTERVAL_MS, probe.intervalMs());
        bytes.putInt(upstream + UpstreamRecord.PROBE_TIMEOUT_MS, probe.timeoutMs());
        bytes.putInt(upstream + UpstreamRecord.PROBE_RISE, probe.rise());
        bytes.putInt(upstream + UpstreamRecord.PROBE_FALL, probe.fall());
        byte[] uri = probe.uri().getBytes(StandardCharsets.UTF_8);
        bytes.putInt(upstream + UpstreamRecord.PROBE_URI_LENGTH, uri.length);
        bytes.put(upstream + UpstreamRecord.PROBE_URI, uri);
    }

    private static void putAddress(ByteBuffer bytes, int identity, InetSocketAddress address) {
        byte[] text = text(address).getBytes(StandardCharsets.UTF_8);
        byte[] ip = address.getAddress().getAddress();
        int port = address.getPort();
        byte[] sockaddr = {2, 0, (byte) (port >> 8), (byte) port, ip[0], ip[1], ip[2], ip[3], 0, 0, 0, 0, 0, 0, 0, 0};
        bytes.putInt(identity + PeerIdentityRecord.ADDRESS_LENGTH, text.length);
        bytes.put(identity + PeerIdentityRecord.ADDRESS, text);
        bytes.putInt(identity + PeerIdentityRecord.SOCKADDR_LENGTH, sockaddr.length);
        bytes.put(identity + PeerIdentityRecord.SOCKADDR, sockaddr);
    }

    public Path path() {
        return path;
    }

    /** A zone over the same mapping, for what tests want to read. */
    public Zone zone() {
        return Zone.attach(bytes);
    }

    public long word(int slot, Reason reason) {
        return zone().reason(slot, reason);
    }

    /** In milliseconds from now; below 0 it has run out or never stood. */
    public long remaining(int slot, Reason reason) {
        return word(slot, reason) - Posix.monotonicMs();
    }

    public boolean stands(int slot, Reason reason) {
        return Long.compareUnsigned(word(slot, reason), Posix.monotonicMs()) > 0;
    }

    public void setWord(int slot, Reason reason, long value) {
        bytes.putLong(image.state(slot) + PeerStateRecord.REASON + reason.ordinal() * Long.BYTES, value);
    }

    public long rampStart(int slot) {
        return zone().state(slot).rampStartMs();
    }

    /** When the peer was last taken out by an operator, or came back. */
    public long changed(int slot) {
        return zone().state(slot).changedMs();
    }

    /** The master gives the slot to another peer: words to 0, another number, another name. */
    public void giveSlotAway(int slot) {
        for (Reason reason : Reason.values()) {
            setWord(slot, reason, 0);
        }
        long next = zone().incarnation(slot) + 1;
        bytes.putLong(image.identity(slot) + PeerIdentityRecord.INCARNATION, next);
        bytes.putLong(image.state(slot) + PeerStateRecord.INCARNATION, next);
        bytes.putLong(HeaderRecord.CONFIG_EPOCH, zone().configEpoch() + 1);
    }

    /** A reload that changed no server: another configuration number. Also for a zone whose sections are damaged. */
    public void countConfiguration() {
        bytes.putLong(HeaderRecord.CONFIG_EPOCH, bytes.getLong(HeaderRecord.CONFIG_EPOCH) + 1);
    }

    /** A record that no nginx.conf gives. */
    public void damageUpstream() {
        bytes.putInt(image.upstream(0) + UpstreamRecord.NAME_LENGTH, -1);
        countConfiguration();
    }

    public void setProbe(ProbeSpec probe) {
        putProbe(bytes, image.upstream(0), probe, 0);
        countConfiguration();
    }

    /** The word that tells an agent of another file. */
    public void markReplaced() {
        bytes.putLong(HeaderRecord.REPLACED, 1);
    }

    public void setReady(boolean ready) {
        bytes.putLong(HeaderRecord.READY, ready ? ZoneLayout.READY : 0);
    }

    public void setVersion(int version) {
        bytes.putInt(HeaderRecord.VERSION, version);
    }

    public void setBootId(byte[] id) {
        bytes.put(HeaderRecord.BOOT_ID, id);
    }

    /** As another agent would. */
    public long claim(long pid, long start) {
        return zone().claimAgent(pid, start, Posix.monotonicMs());
    }

    public void heartbeat() {
        bytes.putLong(HeaderRecord.AGENT_HEARTBEAT_MS, Posix.monotonicMs());
    }

    /** `atoll_handover`, of an nginx that was started just now. */
    public void startWithHandover(int ms) {
        bytes.putInt(image.upstream(0) + UpstreamRecord.HANDOVER_MS, ms);
        bytes.putLong(HeaderRecord.STARTED_MS, Posix.monotonicMs());
    }

    /** Servers of a ring of the table in force, in the order of the table. */
    public List<String> ring(int ring) {
        Table table = zone().table(0).table();
        List<String> servers = new ArrayList<>();
        for (int i = 0; i < table.ringPeers(ring); i++) {
            servers.add(zone().peer(table.slot(table.firstPeer(ring) + i)).orElseThrow().server());
        }
        return servers;
    }

    /** `replicas=` of nginx.conf. */
    public void setReplicas(int replicas) {
        bytes.putInt(image.upstream(0) + UpstreamRecord.REPLICAS, replicas);
        countConfiguration();
    }

    /** A worker samples that many requests for a key. */
    public void sample(int row, int hash, int count) {
        long sampled = bytes.getLong(image.row(row) + RowRecord.SAMPLED);
        for (int i = 0; i < count; i++) {
            int at = (int) ((sampled + i) % ZoneLayout.SAMPLE_CAPACITY);
            bytes.putLong(image.row(row) + RowRecord.SAMPLES + at * Long.BYTES, Integer.toUnsignedLong(hash));
        }
        bytes.putLong(image.row(row) + RowRecord.SAMPLED, sampled + count);
    }

    /** A worker's count of picks that went past a peer at its bound: a word that wraps. */
    public void countBounded(int row, int bounded) {
        bytes.putInt(image.rowUpstream(row, 0) + RowUpstreamRecord.BOUNDED, bounded);
    }

    /** A worker's counters: that many requests and failures at slot 0. */
    public void count(int row, long requests, int failures) {
        bytes.putLong(image.row(row) + RowRecord.PID, ProcessHandle.current().pid());
        int upstream = image.rowUpstream(row, 0);
        bytes.putLong(upstream + RowUpstreamRecord.REQUESTS, requests);
        bytes.putLong(upstream + RowUpstreamRecord.PICKS, requests);
        bytes.putLong(image.rowPeer(row, 0) + ZoneLayout.RowPeerRecord.PICKS, requests);
        bytes.putInt(image.rowPeer(row, 0) + ZoneLayout.RowPeerRecord.FAILURES, failures);
    }
}
