package io.atoll.core.table;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.ring.Ring;
import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.table.CompileRequest.Upstream;
import io.atoll.core.tools.RandomUpstreams;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.CompilePeerRecord;
import io.atoll.core.zone.ZoneLayout.CompileRequestRecord;
import io.atoll.core.zone.ZoneLayout.CompileUpstreamRecord;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class TableCompilerTest {
    private static final int PRIMARY = ZoneLayout.Ring.PRIMARY;
    private static final int BACKUPS = ZoneLayout.Ring.BACKUPS;
    private static final int PREVIOUS = ZoneLayout.Ring.PREVIOUS;

    private static Table compile(Peer... peers) {
        return Table.open(RandomUpstreams.table(new Upstream("pool", List.of(peers))));
    }

    private static ByteBuffer region(Peer... peers) {
        return new CompileRequest(List.of(new Upstream("pool", List.of(peers)))).region();
    }

    private static String failure(ByteBuffer region) {
        return assertThrows(CompileException.class, () -> TableCompiler.compile(region)).getMessage();
    }

    private static void assertSameRing(Table table, int ring, List<Peer> peers) {
        Ring.Builder builder = new Ring.Builder();
        peers.forEach(p -> builder.add(p.server().getBytes(StandardCharsets.UTF_8), p.weight()));
        Ring expected = builder.build();
        assertEquals(expected.pointCount(), table.pointCount(ring));
        for (int i = 0; i < expected.pointCount(); i++) {
            assertEquals(expected.hash(i), table.pointHash(ring, i));
            assertEquals(expected.group(i) + table.firstGroup(ring), table.pointGroup(ring, i));
            assertEquals(i, table.find(ring, expected.hash(i)));
        }
    }

    @Test
    void shouldWriteThePointsOfTheRings() {
        long seed = System.nanoTime();
        System.out.println("TableCompilerTest.shouldWriteThePointsOfTheRings seed " + seed);
        RandomUpstreams upstreams = new RandomUpstreams(seed);
        for (int i = 0; i < 100; i++) {
            Upstream upstream = upstreams.next(30);
            Table table = Table.open(RandomUpstreams.table(upstream));
            List<Peer> primaries = new ArrayList<>(upstream.peers());
            primaries.removeIf(p -> (p.flags() & PeerFlag.BACKUP) != 0);
            List<Peer> backups = new ArrayList<>(upstream.peers());
            backups.removeIf(p -> (p.flags() & PeerFlag.BACKUP) == 0);
            assertSameRing(table, PRIMARY, primaries);
            assertSameRing(table, BACKUPS, backups);
        }
    }

    /** The same ring as when its members are compiled alone, wherever they stand in the list. */
    @Test
    void shouldPutThePreviousRingBehindThePresentOnes() {
        long seed = System.nanoTime();
        System.out.println("TableCompilerTest.shouldPutThePreviousRingBehindThePresentOnes seed " + seed);
        RandomUpstreams upstreams = new RandomUpstreams(seed);
        for (int i = 0; i < 100; i++) {
            List<Peer> present = upstreams.next(20).peers();
            List<Peer> before = new ArrayList<>(upstreams.next(20).peers());
            before.removeIf(p -> (p.flags() & PeerFlag.BACKUP) != 0);
            List<Peer> all = new ArrayList<>(present);
            int at = i % 2 == 0 ? all.size() : 0;
            for (int p = before.size() - 1; p >= 0; p--) {
                all.add(at, before.get(p).withFlags(before.get(p).flags() | PeerFlag.PREVIOUS));
            }
            Table table = Table.open(RandomUpstreams.table(new Upstream("pool", all)));
            Table alone = Table.open(RandomUpstreams.table(new Upstream("pool", before)));
            Table without = Table.open(RandomUpstreams.table(new Upstream("pool", present)));

            assertEquals(present.size(), table.peerCount(), "peers of the present rings");
            assertEquals(without.groupCount(), table.groupCount());
            assertEquals(without.isSingle(), table.isSingle());
            assertSameRing(table, PREVIOUS, before);
            for (int ring : new int[] {PRIMARY, BACKUPS}) {
                assertEquals(without.tries(ring), table.tries(ring));
                assertEquals(without.totalWeight(ring), table.totalWeight(ring));
                assertEquals(without.pointCount(ring), table.pointCount(ring));
            }
            assertEquals(before.size(), table.ringPeers(PREVIOUS));
            assertEquals(alone.tries(PRIMARY), table.tries(PREVIOUS));
            assertEquals(table.peerCount(), table.firstPeer(PREVIOUS));
            for (int p = 0; p < before.size(); p++) {
                int peer = table.firstPeer(PREVIOUS) + p;
                assertEquals(PREVIOUS, table.ring(peer));
                assertEquals(alone.weight(p), table.weight(peer));
                assertEquals(alone.source(p) + at, table.source(peer));
                assertEquals(alone.flags(p) | PeerFlag.PREVIOUS, table.flags(peer));
                assertEquals(alone.group(p) + table.firstGroup(PREVIOUS), table.group(peer));
            }
        }
    }

    @Test
    void shouldLeaveThePreviousRingEmptyWhenNothingWasBefore() {
        Table table = compile(new Peer("a"), new Peer("b").withFlags(PeerFlag.BACKUP));
        assertEquals(0, table.pointCount(PREVIOUS));
        assertEquals(0, table.ringPeers(PREVIOUS));
        assertEquals(0, table.ringGroups(PREVIOUS));
        assertEquals(2, table.firstPeer(PREVIOUS));
        assertEquals(Table.NO_POINT, table.find(PREVIOUS, 1));
        assertEquals(0, table.handoverUntilMs());
    }

    @Test
    void shouldFindTheFirstPointNotBeforeAHash() {
        Random random = new Random(7);
        Table table = compile(new Peer("a"), new Peer("b"), new Peer("c", 5));
        for (int k = 0; k < 10_000; k++) {
            int hash = random.nextInt();
            int expected = 0;
            while (expected < table.pointCount(PRIMARY)
                    && Integer.compareUnsigned(table.pointHash(PRIMARY, expected), hash) < 0) {
                expected++;
            }
            assertEquals(expected % table.pointCount(PRIMARY), table.find(hash));
        }
        assertEquals(Table.NO_POINT, table.find(BACKUPS, 1));
    }

    @Test
    void shouldPutPeersByGroupAndGroupsInOrderOfFirstAppearance() {
        Table table = compile(new Peer("b", 2), new Peer("x").withFlags(PeerFlag.BACKUP), new Peer("a"), new Peer("b", 3),
                new Peer("b").withFlags(PeerFlag.BACKUP), new Peer("a", 4).withFlags(PeerFlag.DOWN));
        int[] sources = {0, 3, 2, 5, 1, 4};
        int[] groups = {0, 0, 1, 1, 2, 3};
        for (int i = 0; i < sources.length; i++) {
            assertEquals(sources[i], table.source(i));
            assertEquals(groups[i], table.group(i));
            assertEquals(0, table.slot(i));
        }
        assertEquals(4, table.groupCount());
        assertEquals(2, table.ringGroups(PRIMARY));
        assertEquals(2, table.firstGroup(BACKUPS));
        assertEquals(4, table.firstPeer(BACKUPS));
        assertEquals(3, table.tries(PRIMARY));
        assertEquals(2, table.tries(BACKUPS));
        assertEquals(10, table.totalWeight(PRIMARY));
        assertEquals(2, table.totalWeight(BACKUPS));
        assertEquals(1, table.groupShare(0) + table.groupShare(1), 1e-9);
        assertEquals(1, table.groupShare(2) + table.groupShare(3), 1e-9);
    }

    @Test
    void shouldCarryTheLimitsOfEachPeer() {
        Table table = compile(new Peer("a", 7, 11, 13, 17, PeerFlag.DOWN), new Peer("b"));
        assertEquals(7, table.weight(0));
        assertEquals(11, table.maxConns(0));
        assertEquals(13, table.maxFails(0));
        assertEquals(17, table.failTimeoutMs(0));
        assertEquals(PeerFlag.DOWN, table.flags(0));
    }

    @Test
    void shouldLeaveOutWhatWasRemovedAtRunTime() {
        Table table = compile(new Peer("a").withFlags(PeerFlag.REMOVED), new Peer("b").withFlags(PeerFlag.WEIGHTED),
                new Peer("c").withFlags(PeerFlag.ADDED | PeerFlag.BACKUP));
        assertEquals(2, table.peerCount());
        assertEquals(1, table.source(0));
        assertEquals(0, table.flags(0));
        assertEquals(2, table.source(1));
        assertEquals(PeerFlag.BACKUP, table.flags(1));
    }

    @Test
    void shouldKeepWhatWasRemovedWhenNoOtherPrimaryIsLeft() {
        Table table = compile(new Peer("a").withFlags(PeerFlag.REMOVED), new Peer("b").withFlags(PeerFlag.BACKUP));
        assertEquals(2, table.peerCount());
        assertEquals(0, table.flags(0));
    }

    @Test
    void shouldCallOnePeerWithoutBackupSingle() {
        assertTrue(compile(new Peer("a")).isSingle());
        assertEquals(1.0, compile(new Peer("a")).groupShare(0));
        assertEquals(false, compile(new Peer("a"), new Peer("b").withFlags(PeerFlag.BACKUP)).isSingle());
        assertEquals(false, compile(new Peer("a"), new Peer("a")).isSingle());
    }

    @Test
    void shouldCompileMaglevTablesOfEveryKindOfPool() {
        long seed = System.nanoTime();
        System.out.println("TableCompilerTest.shouldCompileMaglevTablesOfEveryKindOfPool seed " + seed);
        RandomUpstreams upstreams = new RandomUpstreams(seed);
        for (int i = 0; i < 20; i++) {
            Upstream ketama = upstreams.next(30);
            Upstream maglev = new Upstream(ketama.name(), ketama.peers(), ZoneLayout.Method.MAGLEV);
            Table rings = Table.open(RandomUpstreams.table(ketama));
            Table table = Table.open(RandomUpstreams.table(maglev));
            assertEquals(rings.peerCount(), table.peerCount());
            for (int peer = 0; peer < table.peerCount(); peer++) {
                assertEquals(rings.source(peer), table.source(peer));
                assertEquals(rings.group(peer), table.group(peer));
                assertEquals(rings.flags(peer) | PeerFlag.MAGLEV, table.flags(peer));
            }
            for (int ring = PRIMARY; ring <= BACKUPS; ring++) {
                int points = table.pointCount(ring);
                assertTrue(points <= ZoneLayout.MAGLEV_ENTRIES && points >= table.ringGroups(ring), points + " points");
                assertTrue(points == 0 || table.pointHash(ring, points - 1) == -1, "the last entry ends with the hashes");
            }
        }
    }

    @Test
    void shouldCompileARingBeforeByItsOwnMethod() {
        List<Peer> servers = List.of(new Peer("a", 2), new Peer("b"), new Peer("c"));
        Table ketama = Table.open(RandomUpstreams.table(new Upstream("pool", servers)));
        Table maglev = Table.open(RandomUpstreams.table(new Upstream("pool", servers, ZoneLayout.Method.MAGLEV)));
        for (int method : new int[] {ZoneLayout.Method.KETAMA, ZoneLayout.Method.MAGLEV}) {
            List<Peer> peers = new ArrayList<>(servers);
            servers.forEach(server -> peers.add(server.withFlags(PeerFlag.PREVIOUS | PeerFlag.MAGLEV)));
            servers.forEach(server -> peers.add(server.withFlags(PeerFlag.EARLIER)));
            Table table = Table.open(RandomUpstreams.table(new Upstream("pool", peers, method)));
            assertSamePoints(method == ZoneLayout.Method.MAGLEV ? maglev : ketama, table, PRIMARY);
            assertSamePoints(maglev, table, PREVIOUS);
            assertSamePoints(ketama, table, ZoneLayout.Ring.EARLIER);
            assertEquals(PeerFlag.PREVIOUS | PeerFlag.MAGLEV, table.flags(table.firstPeer(PREVIOUS)));
            assertEquals(PeerFlag.EARLIER, table.flags(table.firstPeer(ZoneLayout.Ring.EARLIER)));
        }
        assertTrue(failure(region(new Peer("a"), new Peer("b").withFlags(PeerFlag.PREVIOUS), new Peer("c")
                .withFlags(PeerFlag.PREVIOUS | PeerFlag.MAGLEV))).contains("\"c\": flags 0xa0, expected MAGLEV on all peers of a ring or on none"));
    }

    private static void assertSamePoints(Table alone, Table table, int ring) {
        assertEquals(alone.pointCount(PRIMARY), table.pointCount(ring));
        for (int i = 0; i < table.pointCount(ring); i++) {
            assertEquals(alone.pointHash(PRIMARY, i), table.pointHash(ring, i));
            assertEquals(alone.pointGroup(PRIMARY, i) + table.firstGroup(ring), table.pointGroup(ring, i));
        }
    }

    @Test
    void shouldRefuseAMethodThatItDoesNotKnow() {
        ByteBuffer region = region(new Peer("a"));
        region.putInt((int) region.getLong(CompileRequestRecord.UPSTREAMS_OFFSET) + CompileUpstreamRecord.METHOD, 2);
        assertTrue(failure(region).contains("\"pool\": method is 2, expected 0 (ketama) or 1 (maglev)"));
    }

    @Test
    void shouldCompileManyUpstreamsEachOnItsCacheLine() {
        RandomUpstreams upstreams = new RandomUpstreams(5);
        List<Upstream> all = new ArrayList<>();
        for (int i = 0; i < 64; i++) {
            all.add(upstreams.next(6));
        }
        ByteBuffer region = new CompileRequest(all).region();
        TableCompiler.compile(region);
        int records = (int) region.getLong(CompileRequestRecord.UPSTREAMS_OFFSET);
        for (int i = 0; i < all.size(); i++) {
            assertEquals(0, region.getLong(records + i * CompileUpstreamRecord.SIZE + CompileUpstreamRecord.TABLE_OFFSET) % 64);
            assertEquals(all.get(i).peers().size(), Table.open(CompileRequest.table(region, i)).peerCount());
            assertEquals(RandomUpstreams.table(all.get(i)), CompileRequest.table(region, i));
        }
    }

    @Test
    void shouldSayHowManyBytesAreNeeded() {
        CompileRequest request = new CompileRequest(List.of(new Upstream("a", List.of(new Peer("a"), new Peer("b"))),
                new Upstream("b", List.of(new Peer("c", 3)))));
        String message = failure(request.region(1000));
        Matcher needed = Pattern.compile("room for 1000 bytes, the tables need (\\d+)").matcher(message);
        assertTrue(needed.find(), message);
        int bytes = Integer.parseInt(needed.group(1));
        assertTrue(failure(request.region(bytes - 1)).contains("need " + bytes));
        ByteBuffer enough = request.region(bytes);
        TableCompiler.compile(enough);
        assertEquals(480, Table.open(CompileRequest.table(enough, 1)).pointCount(PRIMARY));
        assertTrue(bytes <= TableCompiler.roomFor(2, 3, 800));
    }

    @Test
    void shouldRefuseAnotherLayout() {
        ByteBuffer region = region(new Peer("a"));
        region.putInt(CompileRequestRecord.FINGERPRINT, 1);
        assertTrue(failure(region).contains("from one build"));
        region.putInt(CompileRequestRecord.FINGERPRINT, ZoneLayout.FINGERPRINT).putInt(CompileRequestRecord.VERSION, 0x20304);
        assertTrue(failure(region).contains("layout is 2.3.4"));
        region.putLong(CompileRequestRecord.MAGIC, 5);
        assertTrue(failure(region).contains("magic is 0x5"));
    }

    @Test
    void shouldRefuseARegionShorterThanItSays() {
        ByteBuffer region = region(new Peer("a"));
        region.limit(region.capacity() - 1);
        assertTrue(failure(region).contains("says it has"));
        assertTrue(failure(ByteBuffer.allocate(100)).contains("100 bytes"));
    }

    @Test
    void shouldNameTheUpstreamAndServerThatIsWrong() {
        assertTrue(failure(region(new Peer("a"), new Peer("bad", 0))).contains("upstream \"pool\", server \"bad\": weight 0"));
        assertTrue(failure(region(new Peer("a").withFlags(PeerFlag.BACKUP))).contains("\"pool\": no server without \"backup\""));
        assertTrue(failure(region(new Peer("a").withFlags(128))).contains("flags 0x80"));
        assertTrue(failure(region(new Peer("a"), new Peer("b").withFlags(PeerFlag.BACKUP | PeerFlag.PREVIOUS)))
                .contains("flags 0x22, expected a weight from 1 to 2147483647 and flags within 0xff, not both"));
        assertTrue(failure(region(new Peer("a"), new Peer("b").withFlags(PeerFlag.EARLIER | PeerFlag.PREVIOUS))).contains("flags 0x60"));
        assertTrue(failure(region(new Peer("a").withFlags(PeerFlag.PREVIOUS))).contains("no server without \"backup\""));
        ByteBuffer huge = region(new Peer("a"), new Peer("huge"));
        int peers = (int) huge.getLong(CompileRequestRecord.PEERS_OFFSET);
        huge.putInt(peers + CompilePeerRecord.SIZE + CompilePeerRecord.WEIGHT, 1_000_000);
        assertTrue(failure(huge).contains("server \"huge\": with weight 1000000 the ring would have"));
    }

    @Test
    void shouldRefuseOutputThatOverlapsTheRequest() {
        ByteBuffer region = region(new Peer("a"));
        region.putLong(CompileRequestRecord.OUTPUT_OFFSET, 128);
        region.putLong(CompileRequestRecord.OUTPUT_LENGTH, region.capacity() - 128);
        assertTrue(failure(region).contains("overlaps"));
    }

    @Test
    void shouldAnswerAnyBytesWithTablesOrACompileException() {
        long seed = System.nanoTime();
        System.out.println("TableCompilerTest.shouldAnswerAnyBytesWithTablesOrACompileException seed " + seed);
        RandomUpstreams upstreams = new RandomUpstreams(seed);
        Random random = upstreams.random();
        int refused = 0;
        for (int i = 0; i < 1500; i++) {
            ByteBuffer region = new CompileRequest(List.of(upstreams.next(3), upstreams.next(3))).region();
            int requestBytes = (int) region.getLong(CompileRequestRecord.OUTPUT_OFFSET);
            for (int n = 1 + random.nextInt(3); n > 0; n--) {
                // Not the weights' upper bytes alone: rings of millions of points are slow, not wrong.
                int at = 16 + random.nextInt(requestBytes - 16);
                region.put(at, random.nextBoolean() ? (byte) random.nextInt() : (byte) (region.get(at) ^ 1 << random.nextInt(8)));
            }
            capWeights(region);
            try {
                TableCompiler.compile(region);
            } catch (CompileException e) {
                assertNotEquals(null, e.getMessage());
                refused++;
            }
        }
        assertTrue(refused > 50, refused + " refused");
    }

    private static void capWeights(ByteBuffer region) {
        long peers = region.getLong(CompileRequestRecord.PEERS_OFFSET);
        for (long at = peers; peers > 0 && at < peers + 6 * CompilePeerRecord.SIZE && at + 32 < region.capacity(); at += CompilePeerRecord.SIZE) {
            int word = (int) at + CompilePeerRecord.WEIGHT;
            region.putInt(word, Math.min(region.getInt(word), 500));
        }
    }
}
