package io.atoll.core.zone;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.tools.RandomUpstreams;
import io.atoll.core.tools.ZoneImage;
import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.PeerIdentityRecord;
import io.atoll.core.zone.ZoneLayout.PeerStateRecord;
import io.atoll.core.zone.ZoneLayout.RowPeerRecord;
import io.atoll.core.zone.ZoneLayout.RowRecord;
import io.atoll.core.zone.ZoneLayout.RowUpstreamRecord;
import io.atoll.core.zone.ZoneLayout.TableRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import java.net.InetSocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ZoneTest {
    private static final List<Peer> THREE = List.of(new Peer("a:80"), new Peer("b:80", 2), new Peer("c:80"));

    private final ZoneImage image = new ZoneImage(8, 40_000);
    private final ByteBuffer bytes = image.bytes();

    private Zone publishedZone() {
        image.publish(0, "cache", THREE);
        image.publish(1, "other", List.of(new Peer("x")));
        return Zone.attach(bytes);
    }

    @Test
    void shouldNameWhatKeepsItFromAttaching() {
        assertEquals(AttachResult.OK, Zone.check(bytes));
        assertEquals(AttachResult.TRUNCATED, Zone.check(bytes.duplicate().limit(7)));
        assertEquals(AttachResult.TRUNCATED, Zone.check(bytes.duplicate().limit(0)));
        assertEquals(AttachResult.TRUNCATED, Zone.check(bytes.duplicate().limit(12)));
        assertEquals(AttachResult.TRUNCATED, Zone.check(bytes.duplicate().limit(4095)));
        assertEquals(AttachResult.TRUNCATED, Zone.check(bytes.duplicate().limit(bytes.capacity() - 1)));
        assertAttach(AttachResult.BAD_MAGIC, HeaderRecord.MAGIC, 1);
        assertAttach(AttachResult.BAD_MAGIC, HeaderRecord.MAGIC, 0);
        assertAttach(AttachResult.AWAIT_READY, HeaderRecord.READY, 0);
        assertAttach(AttachResult.TRUNCATED, HeaderRecord.LENGTH, bytes.capacity() + 1);
        assertAttach(AttachResult.TRUNCATED, HeaderRecord.LENGTH, -1);
        long versionAndFingerprint = bytes.getLong(HeaderRecord.VERSION);
        assertAttach(AttachResult.VERSION_MISMATCH, HeaderRecord.VERSION, versionAndFingerprint ^ 0x100);
        assertAttach(AttachResult.VERSION_MISMATCH, HeaderRecord.VERSION, versionAndFingerprint ^ 0x10000);
        assertAttach(AttachResult.OK, HeaderRecord.VERSION, versionAndFingerprint ^ 1);
        assertAttach(AttachResult.LAYOUT_MISMATCH, HeaderRecord.VERSION, versionAndFingerprint ^ 1L << 40);
        for (int field : new int[] {HeaderRecord.UPSTREAMS_OFFSET, HeaderRecord.STATES_OFFSET, HeaderRecord.IDENTITIES_OFFSET,
            HeaderRecord.ROWS_OFFSET, HeaderRecord.HOT_SETS_OFFSET, HeaderRecord.TABLES_OFFSET}) {
            for (long wrong : new long[] {0, 64, 4097, bytes.capacity() + 64, -64, Long.MIN_VALUE, Long.MAX_VALUE}) {
                assertAttach(AttachResult.OUT_OF_BOUNDS, field, wrong);
            }
        }
        assertAttach(AttachResult.OUT_OF_BOUNDS, HeaderRecord.UPSTREAMS_CAPACITY, -1);
        assertAttach(AttachResult.OUT_OF_BOUNDS, HeaderRecord.ROWS_CAPACITY, 1L << 32 | 3);
        assertAttach(AttachResult.OUT_OF_BOUNDS, HeaderRecord.TABLES_LENGTH, Long.MAX_VALUE);
    }

    private void assertAttach(AttachResult expected, int field, long value) {
        long before = bytes.getLong(field);
        bytes.putLong(field, value);
        try {
            assertEquals(expected, Zone.check(bytes), "field " + field + " = " + value);
            if (expected != AttachResult.OK) {
                ZoneException e = assertThrows(ZoneException.class, () -> Zone.attach(bytes));
                assertEquals(expected, e.result());
                assertTrue(e.getMessage().contains(expected.name()), e.getMessage());
            }
        } finally {
            bytes.putLong(field, before);
        }
    }

    @Test
    void shouldHaveTheAttachResultsOfTheLayout() throws ReflectiveOperationException {
        for (AttachResult result : AttachResult.values()) {
            assertEquals(result.ordinal(), ZoneLayout.Attach.class.getField(result.name()).getInt(null));
        }
        for (Reason reason : Reason.values()) {
            assertEquals(reason.ordinal(), ZoneLayout.Reason.class.getField(reason.name()).getInt(null));
        }
        for (ProbeSettings.Kind kind : ProbeSettings.Kind.values()) {
            assertEquals(kind.ordinal(), ZoneLayout.ProbeKind.class.getField(kind.name()).getInt(null));
        }
    }

    @Test
    void shouldRefuseABufferThatCannotBeShared() {
        assertThrows(IllegalArgumentException.class, () -> Zone.check(ByteBuffer.allocate(8192)));
        assertThrows(IllegalArgumentException.class, () -> Zone.check(bytes.slice(4, 8192)));
    }

    @Test
    void shouldReadHeaderAndUpstreams() {
        Zone zone = publishedZone();
        assertEquals("edge1", zone.node());
        assertEquals(2, zone.epoch());
        assertEquals(1, zone.configEpoch());
        assertFalse(zone.isReplaced());
        assertEquals(16, zone.bootId().length);
        assertEquals(bytes.capacity(), zone.length());
        List<Upstream> upstreams = zone.upstreams();
        assertEquals(2, upstreams.size());
        assertEquals(new Upstream(0, "cache", 0, 50, 0, 0, ProbeSettings.NONE, "/etc/nginx/nginx.conf", 7), upstreams.get(0));
        bytes.putInt(image.upstream(0) + UpstreamRecord.STATE, ZoneLayout.UpstreamState.RETIRED);
        assertEquals(List.of("other"), zone.upstreams().stream().map(Upstream::name).toList());
    }

    @Test
    void shouldReadTheDeclaredProbe() {
        int record = image.upstream(0);
        image.publish(0, "cache", THREE);
        putProbe(record);
        ProbeSettings probe = Zone.attach(bytes).upstreams().get(0).probe();
        assertEquals(new ProbeSettings(ProbeSettings.Kind.HTTP, true, 8443, 2000, 700, 4, 5,
                List.of(new ProbeSettings.StatusRange(200, 299), new ProbeSettings.StatusRange(404, 404)), "/up", "fine", "h.example"),
                probe);
        assertTrue(probe.expects(204) && probe.expects(404) && !probe.expects(301));
        int[] positive = {UpstreamRecord.PROBE_INTERVAL_MS, UpstreamRecord.PROBE_TIMEOUT_MS, UpstreamRecord.PROBE_RISE,
            UpstreamRecord.PROBE_FALL};
        for (int field : positive) {
            assertRefused(record + field, 0);
            assertRefused(record + field, -1);
        }
        assertRefused(record + UpstreamRecord.PROBE_INTERVAL_MS, ProbeSettings.MAX_MS + 1);
        assertRefused(record + UpstreamRecord.PROBE_KIND, 3);
        assertRefused(record + UpstreamRecord.PROBE_PORT, 65536);
        assertRefused(record + UpstreamRecord.PROBE_EXPECT_COUNT, 9);
        assertRefused(record + UpstreamRecord.PROBE_URI_LENGTH, 513);
        assertRefused(record + UpstreamRecord.PROBE_MATCH_LENGTH, -1);
        assertRefused(record + UpstreamRecord.NAME_LENGTH, 129);
        assertRefused(record + UpstreamRecord.PANIC_PERCENT, 101);
    }

    private void putProbe(int record) {
        bytes.putInt(record + UpstreamRecord.PROBE_KIND, ZoneLayout.ProbeKind.HTTP);
        bytes.putInt(record + UpstreamRecord.PROBE_TLS, 1);
        bytes.putInt(record + UpstreamRecord.PROBE_PORT, 8443);
        bytes.putInt(record + UpstreamRecord.PROBE_INTERVAL_MS, 2000);
        bytes.putInt(record + UpstreamRecord.PROBE_TIMEOUT_MS, 700);
        bytes.putInt(record + UpstreamRecord.PROBE_RISE, 4);
        bytes.putInt(record + UpstreamRecord.PROBE_FALL, 5);
        bytes.putInt(record + UpstreamRecord.PROBE_EXPECT_COUNT, 2);
        bytes.putShort(record + UpstreamRecord.PROBE_EXPECT, (short) 200).putShort(record + UpstreamRecord.PROBE_EXPECT + 2, (short) 299);
        bytes.putShort(record + UpstreamRecord.PROBE_EXPECT + 4, (short) 404).putShort(record + UpstreamRecord.PROBE_EXPECT + 6, (short) 404);
        putText(record + UpstreamRecord.PROBE_URI_LENGTH, record + UpstreamRecord.PROBE_URI, "/up");
        putText(record + UpstreamRecord.PROBE_MATCH_LENGTH, record + UpstreamRecord.PROBE_MATCH, "fine");
        putText(record + UpstreamRecord.PROBE_HOST_LENGTH, record + UpstreamRecord.PROBE_HOST, "h.example");
    }

    private void putText(int lengthField, int field, String text) {
        bytes.putInt(lengthField, text.length()).put(field, text.getBytes(StandardCharsets.US_ASCII));
    }

    private void assertRefused(int field, int value) {
        int before = bytes.getInt(field);
        bytes.putInt(field, value);
        ZoneException e = assertThrows(ZoneException.class, () -> Zone.attach(bytes).upstreams());
        assertTrue(e.getMessage().startsWith("zone: upstream 0: "), e.getMessage());
        bytes.putInt(field, before);
    }

    @Test
    void shouldReadWhoASlotIs() {
        Zone zone = publishedZone();
        io.atoll.core.zone.Peer peer = zone.peer(1).orElseThrow();
        assertEquals("b:80", peer.server());
        assertEquals("127.0.0.1:10001", peer.address());
        assertEquals(new InetSocketAddress("127.0.0.1", 10001), peer.socketAddress());
        assertEquals(2, peer.weight());
        assertEquals(zone.incarnation(1), peer.incarnation());
        assertFalse(peer.former());
        assertEquals(Optional.empty(), zone.peer(5));
        assertEquals(List.of("a:80", "b:80", "c:80"),
                zone.peers(zone.table(0).table()).stream().map(io.atoll.core.zone.Peer::server).toList());
    }

    @Test
    void shouldReadEveryKindOfAddress() {
        Zone zone = publishedZone();
        int record = image.identity(0);
        byte[] v6 = new byte[28];
        v6[0] = 10;
        v6[3] = 80;
        v6[23] = 1;
        bytes.putInt(record + PeerIdentityRecord.SOCKADDR_LENGTH, 28).put(record + PeerIdentityRecord.SOCKADDR, v6);
        assertEquals(new InetSocketAddress("::1", 80), zone.peer(0).orElseThrow().socketAddress());
        byte[] unix = "\1\0/run/a.sock\0\0".getBytes(StandardCharsets.US_ASCII);
        bytes.putInt(record + PeerIdentityRecord.SOCKADDR_LENGTH, unix.length).put(record + PeerIdentityRecord.SOCKADDR, unix);
        assertEquals(UnixDomainSocketAddress.of("/run/a.sock"), zone.peer(0).orElseThrow().socketAddress());
        bytes.put(record + PeerIdentityRecord.SOCKADDR, (byte) 99);
        assertNull(zone.peer(0).orElseThrow().socketAddress());
        bytes.putInt(record + PeerIdentityRecord.SOCKADDR_LENGTH, 129);
        assertEquals(Optional.empty(), zone.peer(0));
    }

    @Test
    void shouldNotSayWhoASlotIsWhileItChangesHands() {
        Zone zone = publishedZone();
        bytes.putLong(image.state(1) + PeerStateRecord.INCARNATION, 77);
        assertEquals(Optional.empty(), zone.peer(1));
    }

    @Test
    void shouldReadTheActiveTable() {
        Zone zone = publishedZone();
        assertEquals(TableRead.Status.NONE, zone.table(2).status());
        TableRead first = zone.table(0);
        assertTrue(first.isOk(), first.detail());
        assertEquals(3, first.table().peerCount());
        assertEquals(1, first.table().sequence());
        image.publish(0, "cache", THREE.subList(0, 2));
        assertEquals(3, first.table().peerCount(), "a table read before is a copy");
        assertEquals(2, zone.table(0).table().peerCount());
        assertEquals(zone.published(0), zone.table(0).published());
    }

    @Test
    void shouldCallAHalfWrittenTableTornAndAWrongOneInvalid() {
        Zone zone = publishedZone();
        int table = image.buffer(0, image.active(0));
        bytes.putLong(table + TableRecord.SEQUENCE, 0);
        assertEquals(TableRead.Status.TORN, zone.table(0).status());
        bytes.putLong(table + TableRecord.SEQUENCE, 1);
        bytes.putInt(table + TableRecord.CHECKSUM, 1);
        assertEquals(TableRead.Status.INVALID, zone.table(0).status());
        bytes.putLong(image.upstream(0) + UpstreamRecord.BUFFER_OFFSET + image.active(0) * Long.BYTES, bytes.capacity());
        assertEquals(TableRead.Status.INVALID, zone.table(0).status());
    }

    @Test
    void shouldWriteReasonsForTheRightIncarnationOnly() {
        Zone zone = publishedZone();
        long incarnation = zone.incarnation(1);
        assertTrue(zone.writeReason(1, incarnation, Reason.PROBE, 5000));
        assertTrue(zone.writeReason(1, incarnation, Reason.ADMIN, ZoneLayout.FOREVER));
        assertTrue(zone.writeRampStart(1, incarnation, 4000));
        assertTrue(zone.writeChanged(1, incarnation, 3000));
        PeerState state = zone.state(1);
        assertTrue(state.stands(Reason.PROBE, 4999));
        assertFalse(state.stands(Reason.PROBE, 5000));
        assertTrue(state.stands(Reason.ADMIN, Long.MAX_VALUE));
        assertFalse(state.stands(Reason.PASSIVE, 0));
        assertTrue(state.standsAny(9000));
        assertEquals(4000, state.rampStartMs());
        assertEquals(3000, state.changedMs());
        assertFalse(zone.writeChanged(1, incarnation + 1, 9000));
        assertEquals(3000, zone.state(1).changedMs());
        assertFalse(zone.writeReason(1, incarnation + 1, Reason.PROBE, 6000));
        assertEquals(5000, zone.reason(1, Reason.PROBE));
        assertThrows(IllegalArgumentException.class, () -> zone.writeReason(1, incarnation, Reason.PASSIVE, 1));
        assertThrows(IndexOutOfBoundsException.class, () -> zone.writeReason(32, incarnation, Reason.PROBE, 1));
    }

    /** The master clears, then changes the incarnation: whatever an agent writes meanwhile must not stay. */
    @Test
    void shouldTakeBackAVerdictWhenTheSlotChangesHandsMeanwhile() throws InterruptedException {
        Zone zone = publishedZone();
        ZoneMemory memory = new ZoneMemory(bytes);
        int word = image.state(2) + PeerStateRecord.REASON + Reason.PROBE.ordinal() * Long.BYTES;
        int incarnation = image.state(2) + PeerStateRecord.INCARNATION;
        AtomicBoolean stop = new AtomicBoolean();
        Thread agent = new Thread(() -> {
            while (!stop.get()) {
                long seen = zone.incarnation(2);
                if (zone.writeReason(2, seen, Reason.PROBE, seen * 1000)) {
                    zone.writeReason(2, seen, Reason.PROBE, 0);
                }
            }
        });
        agent.start();
        for (long next = 2; next < 20_000; next++) {
            memory.setRelease(word, 0);
            memory.setRelease(incarnation, next);
        }
        stop.set(true);
        agent.join();
        long left = zone.reason(2, Reason.PROBE);
        assertTrue(left == 0 || left == 19_999_000L, "a verdict of incarnation " + left / 1000 + " stayed");
    }

    @Test
    void shouldHandTheAgentsWordsFromOneAgentToTheNext() {
        Zone zone = publishedZone();
        long first = zone.claimAgent(100, 7, 1000);
        assertTrue(zone.heartbeat(first, 2000));
        assertEquals(2000, zone.agentHeartbeatMs());
        assertEquals(100, zone.agentPid());
        long second = zone.claimAgent(200, 8, 3000);
        assertFalse(zone.heartbeat(first, 4000));
        zone.releaseAgent(first);
        assertEquals(3000, zone.agentHeartbeatMs());
        assertEquals(200, zone.agentPid());
        assertEquals(8, zone.agentStart());
        zone.releaseAgent(second);
        assertEquals(0, zone.agentPid());
    }

    @Test
    void shouldSumTheRowsOfAllWorkersAndTheInflightOfLivingOnes() {
        Zone zone = publishedZone();
        for (int row = 0; row < 3; row++) {
            bytes.putLong(image.row(row) + RowRecord.PID, row == 2 ? 0 : 500 + row);
            bytes.putLong(image.row(row) + RowRecord.START, 9);
            bytes.putLong(image.row(row) + RowRecord.TORN, 1).putLong(image.row(row) + RowRecord.FALLBACKS, 10);
            for (int count = 0; count < 7; count++) {
                bytes.putLong(image.rowUpstream(row, 1) + count * Long.BYTES, count + 1);
            }
            bytes.putInt(image.rowUpstream(row, 1) + RowUpstreamRecord.INFLIGHT, 77);
            bytes.putInt(image.rowUpstream(row, 1) + RowUpstreamRecord.BOUNDED, 8);
            bytes.putInt(image.rowPeer(row, 3) + RowPeerRecord.INFLIGHT, 5);
            bytes.putInt(image.rowPeer(row, 3) + RowPeerRecord.FAILURES, -1);
            bytes.putLong(image.rowPeer(row, 3) + RowPeerRecord.PICKS, 4);
        }
        assertEquals(0, RowUpstreamRecord.REQUESTS);
        ZoneCounters counters = zone.counters((pid, start) -> pid == 500 && start == 9);
        assertEquals(3, counters.torn());
        assertEquals(30, counters.fallbacks());
        assertEquals(0, counters.rejected());
        assertEquals(1, counters.workers());
        assertEquals(new ZoneCounters.OfUpstream(3, 6, 9, 12, 15, 18, 21, 24), counters.upstream(1));
        assertEquals(5, counters.inflight(3));
        assertEquals(3 * 0xffffffffL, counters.failures(3));
        assertEquals(12, counters.picks(3));
    }

    @Test
    void shouldReadAMappingThatMayNotBeWritten() {
        publishedZone();
        Zone zone = Zone.attach(bytes.asReadOnlyBuffer());
        assertEquals("cache", zone.upstreams().get(0).name());
        assertTrue(zone.table(0).isOk());
    }

    /** Bytes of every section changed at random: named answers only. */
    @Test
    void shouldAnswerAnyBytesWithoutAnUnnamedException() {
        long seed = System.nanoTime();
        System.out.println("ZoneTest.shouldAnswerAnyBytesWithoutAnUnnamedException seed " + seed);
        Random random = new Random(seed);
        publishedZone();
        byte[] good = new byte[bytes.capacity()];
        bytes.get(0, good);
        int[] places = {0, 400, image.upstream(0), image.upstream(1), image.state(0), image.identity(0), image.identity(1),
            image.row(0), image.buffer(0, image.active(0)), image.buffer(1, image.active(1))};
        int attached = 0;
        for (int i = 0; i < 2500; i++) {
            bytes.put(0, good);
            for (int n = 1 + random.nextInt(4); n > 0; n--) {
                int at = places[random.nextInt(places.length)] + random.nextInt(300);
                bytes.put(at, random.nextBoolean() ? (byte) random.nextInt() : (byte) (bytes.get(at) ^ 1 << random.nextInt(8)));
            }
            attached += useAll() ? 1 : 0;
        }
        assertTrue(attached > 400 && attached < 2500, attached + " attached");
    }

    private boolean useAll() {
        Zone zone;
        try {
            zone = Zone.attach(bytes);
        } catch (ZoneException e) {
            return false;
        }
        try {
            zone.upstreams();
        } catch (ZoneException e) {
            assertTrue(e.getMessage().contains("upstream"), e.getMessage());
        }
        zone.node();
        zone.counters((pid, start) -> true);
        for (int u = 0; u < zone.upstreamCapacity(); u++) {
            TableRead read = zone.table(u);
            if (read.isOk()) {
                zone.peers(read.table());
                read.table().find(u * 0x12345678);
            }
        }
        for (int slot = 0; slot < zone.slotCount(); slot++) {
            zone.peer(slot);
            zone.state(slot).standsAny(1);
        }
        return true;
    }

    @Test
    void shouldNeverAttachToNoise() {
        Random random = new Random(11);
        ByteBuffer noise = ByteBuffer.allocateDirect(20_000).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < 2000; i++) {
            byte[] content = new byte[random.nextInt(20_000)];
            random.nextBytes(content);
            noise.clear().put(0, content).limit(content.length);
            AttachResult expected = content.length < 8 ? AttachResult.TRUNCATED : AttachResult.BAD_MAGIC;
            assertEquals(expected, Zone.check(noise));
        }
    }

    /** A reader beside a master that publishes all the time sees whole tables only. */
    @Test
    void shouldNeverReadATornTableAsAWholeOne() throws InterruptedException {
        RandomUpstreams upstreams = new RandomUpstreams(3);
        Zone zone = publishedZone();
        AtomicBoolean stop = new AtomicBoolean();
        Thread master = new Thread(() -> {
            while (!stop.get()) {
                int count = 1 + upstreams.random().nextInt(8);
                image.publish(0, "cache", IntStream.range(0, count).mapToObj(i -> new Peer("p" + i + "-" + count)).toList());
            }
        });
        master.start();
        int whole = 0;
        int torn = 0;
        for (int i = 0; i < 1500; i++) {
            TableRead read = zone.table(0);
            if (read.isOk()) {
                whole++;
                assertEquals(read.table().peerCount(), read.table().groupCount());
            } else {
                torn++;
                assertEquals(TableRead.Status.TORN, read.status(), read.detail());
            }
        }
        stop.set(true);
        master.join();
        assertTrue(whole > 0, whole + " whole, " + torn + " torn");
    }
}
