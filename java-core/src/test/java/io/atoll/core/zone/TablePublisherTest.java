package io.atoll.core.zone;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.table.Table;
import io.atoll.core.tools.ZoneImage;
import io.atoll.core.zone.MemberChange.Address;
import io.atoll.core.zone.MemberChange.Kind;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class TablePublisherTest {
    private static final long NOW = 50_000;

    private ZoneImage image = new ZoneImage(2, 12, 40_000);
    private final Map<String, MemberChange> changes = new LinkedHashMap<>();
    private Zone zone;

    private void declare(Peer... peers) {
        image.publish(0, "cache", List.of(peers));
        image.publish(1, "other", List.of(new Peer("x:80")));
        zone = Zone.attach(image.bytes());
    }

    private static MemberChange added(String server, int weight) {
        int port = 20_000 + Math.floorMod(server.hashCode(), 1000);
        return new MemberChange(Kind.ADDED, server, weight, 0, 1, 10_000, false,
                List.of(new Address("127.0.0.9:" + port, new InetSocketAddress("127.0.0.9", port))));
    }

    private void change(MemberChange change) {
        changes.put(change.server(), change);
    }

    private void publish() {
        publish(new TablePublisher(zone));
    }

    private void publish(TablePublisher publisher) {
        Upstream upstream = zone.upstreams().get(0);
        List<Member> wanted = Membership.apply(publisher.members(upstream), changes.values());
        publisher.publish(publisher.plan(upstream, wanted), NOW);
        assertTrue(publisher.isInForce(upstream, Membership.apply(publisher.members(upstream), changes.values())));
    }

    /** server → weight, of the table in force. */
    private Map<String, Integer> inForce() {
        TableRead read = zone.table(0);
        assertTrue(read.isOk(), read.detail());
        Map<String, Integer> found = new TreeMap<>();
        Table table = read.table();
        for (int i = 0; i < table.peerCount(); i++) {
            found.put(zone.peer(table.slot(i)).orElseThrow().server(), table.weight(i));
        }
        return found;
    }

    private int slot(String server) {
        for (Placed peer : peers()) {
            if (peer.server().equals(server)) {
                return peer.slot();
            }
        }
        return -1;
    }

    private record Placed(String server, int slot) {}

    private List<Placed> peers() {
        Table table = zone.table(0).table();
        return IntStream.range(0, table.peerCount())
                .mapToObj(i -> new Placed(zone.peer(table.slot(i)).orElseThrow().server(), table.slot(i))).toList();
    }

    @Test
    void shouldAddRemoveAndReweight() {
        declare(new Peer("a:80"), new Peer("b:80", 2), new Peer("c:80"));
        change(added("d:80", 3));
        change(MemberChange.removed("a:80"));
        change(MemberChange.weighted("b:80", 5));
        publish();
        assertEquals(Map.of("b:80", 5, "c:80", 1, "d:80", 3), inForce());
        changes.clear();
        publish();
        assertEquals(Map.of("a:80", 1, "b:80", 2, "c:80", 1), inForce());
        assertTrue(zone.table(1).isOk());
    }

    @Test
    void shouldPublishMaglevTablesWhereNginxDeclaresThem() {
        image = new ZoneImage(2, 12, 1_300_000);
        declare(new Peer("a:80"), new Peer("b:80"), new Peer("c:80"));
        image.bytes().putInt(image.upstream(0) + UpstreamRecord.METHOD, ZoneLayout.Method.MAGLEV);
        change(added("d:80", 3));
        change(MemberChange.weighted("b:80", 1_000_000));
        publish();
        assertEquals(Map.of("a:80", 1, "b:80", 1_000_000, "c:80", 1, "d:80", 3), inForce());
        changes.clear();
        publish();
        Table table = zone.table(0).table();
        assertTrue(table.pointCount(0) > 30_000 && table.pointCount(0) <= ZoneLayout.MAGLEV_ENTRIES, table.pointCount(0) + " points");
        assertEquals(1 / 3.0, table.groupShare(0), 0.001);
    }

    @Test
    void shouldKeepSlotAndWordsOfAPeerThatComesBack() {
        declare(new Peer("a:80"), new Peer("b:80"));
        int slot = slot("a:80");
        long incarnation = zone.incarnation(slot);
        zone.writeReason(slot, incarnation, Reason.PROBE, 77_777);
        change(MemberChange.removed("a:80"));
        publish();
        assertTrue(zone.peer(slot).orElseThrow().former());
        changes.clear();
        publish();
        assertEquals(slot, slot("a:80"));
        assertEquals(incarnation, zone.incarnation(slot));
        assertEquals(77_777, zone.reason(slot, Reason.PROBE));
    }

    @Test
    void shouldGiveANewPeerASlotWithoutTheWordsOfAnother() {
        declare(new Peer("a:80"), new Peer("b:80"));
        for (int i = 0; i < 60; i++) {
            changes.clear();
            change(added("n" + i + ":80", 1));
            publish();
            int slot = slot("n" + i + ":80");
            assertEquals(0, zone.reason(slot, Reason.PROBE));
            assertTrue(zone.writeReason(slot, zone.incarnation(slot), Reason.PROBE, 90_000));
            assertNotEquals(slot("a:80"), slot);
            assertEquals(3, inForce().size());
        }
    }

    @Test
    void shouldNeverGiveTheSlotOfARemovedServerAway() {
        declare(new Peer("a:80"), new Peer("b:80"));
        int slot = slot("a:80");
        change(MemberChange.removed("a:80"));
        publish();
        MemberChange removal = changes.get("a:80");
        for (int i = 0; i < 60; i++) {
            changes.clear();
            change(removal);
            change(added("n" + i + ":80", 1));
            publish();
        }
        assertEquals("a:80", zone.peer(slot).orElseThrow().server());
        changes.clear();
        publish();
        assertEquals(slot, slot("a:80"));
    }

    @Test
    void shouldRampUpAPeerThatJoinsAPoolThatServes() {
        declare(new Peer("a:80"));
        image.bytes().putInt(image.upstream(0) + UpstreamRecord.SLOW_START_MS, 5_000);
        change(added("b:80", 1));
        publish();
        assertEquals(NOW, zone.state(slot("b:80")).rampStartMs());
        assertEquals(0, zone.state(slot("a:80")).rampStartMs());
    }

    @Test
    void shouldMoveToLargerBuffersWhereTheHeapHasRoomAndSayWhenItHasNot() {
        ZoneImage tight = new ZoneImage(4, 12, 3_000);
        tight.publish(1, "other", List.of(new Peer("x:80")));
        tight.publish(0, "cache", List.of(new Peer("a:80")));
        zone = Zone.attach(tight.bytes());
        change(added("b:80", 1));
        Upstream upstream = zone.upstreams().get(0);
        TablePublisher publisher = new TablePublisher(zone);
        List<Member> wanted = Membership.apply(publisher.members(upstream), changes.values());
        publisher.publish(publisher.plan(upstream, wanted), NOW);
        assertEquals(Map.of("a:80", 1, "b:80", 1), inForce());
        change(added("c:80", 1));
        byte[] before = new byte[tight.bytes().capacity()];
        tight.bytes().get(0, before);
        PublishException refused = assertThrows(PublishException.class, () -> publisher.plan(upstream,
                Membership.apply(publisher.members(upstream), changes.values())));
        assertTrue(refused.getMessage().contains("raise size= of atoll_zone"), refused.getMessage());
        byte[] after = new byte[before.length];
        tight.bytes().get(0, after);
        assertArrayEquals(before, after);
    }

    @Test
    void shouldKeepServersInWhenAllPrimariesWereRemoved() {
        declare(new Peer("a:80"), new Peer("b:80").withFlags(PeerFlag.BACKUP));
        change(MemberChange.removed("a:80"));
        publish();
        assertEquals(Map.of("a:80", 1, "b:80", 1), inForce());
    }

    @Test
    void shouldMoveANameToOtherAddressesAndKeepItsPointsAndTheStateOfThoseThatStay() {
        declare(new Peer("a:80"), new Peer("b:80"));
        int slot = slot("a:80");
        Map<Integer, String> before = owners();
        Address stays = new Address("127.0.0.1:" + (10_000 + slot), new InetSocketAddress("127.0.0.1", 10_000 + slot));
        Address joins = new Address("127.0.0.7:80", new InetSocketAddress("127.0.0.7", 80));
        resolve(Map.of("a:80", List.of(stays, joins)));
        assertEquals(List.of("127.0.0.1:" + (10_000 + slot), "127.0.0.7:80"), addresses("a:80"));
        assertEquals(slot, slot("a:80"));
        resolve(Map.of("a:80", List.of(joins)));
        assertEquals(List.of("127.0.0.7:80"), addresses("a:80"));
        assertEquals(before, owners());
        resolve(Map.of("a:80", List.of(stays)));
        assertEquals(slot, slot("a:80"));
    }

    /** Server of each point. */
    private Map<Integer, String> owners() {
        return owners(ZoneLayout.Ring.PRIMARY);
    }

    private Map<Integer, String> previousOwners() {
        return owners(ZoneLayout.Ring.PREVIOUS);
    }

    private Map<Integer, String> owners(int ring) {
        Table table = zone.table(0).table();
        Map<Integer, String> owners = new HashMap<>();
        for (int i = 0; i < table.pointCount(ring); i++) {
            owners.put(table.pointHash(ring, i),
                    zone.peer(table.slot(table.groupFirstPeer(table.pointGroup(ring, i)))).orElseThrow().server());
        }
        return owners;
    }

    private void resolve(Map<String, List<Address>> resolved) {
        TablePublisher publisher = new TablePublisher(zone);
        Upstream upstream = zone.upstreams().get(0);
        List<Member> wanted = Membership.apply(publisher.members(upstream), changes.values(), resolved);
        publisher.publish(publisher.plan(upstream, wanted), NOW);
        assertTrue(publisher.isInForce(upstream, Membership.apply(publisher.members(upstream), changes.values(), resolved)));
    }

    private List<String> addresses(String server) {
        Table table = zone.table(0).table();
        return IntStream.range(0, table.peerCount()).mapToObj(i -> zone.peer(table.slot(i)).orElseThrow())
                .filter(peer -> peer.server().equals(server)).map(io.atoll.core.zone.Peer::address).toList();
    }

    @Test
    void shouldKeepTheRingsBeforeTheLastAndTheFirstChangeForTheHandover() {
        declare(new Peer("a:80"), new Peer("b:80"));
        image.bytes().putInt(image.upstream(0) + ZoneLayout.UpstreamRecord.HANDOVER_MS, 10_000);
        Map<Integer, String> before = owners();
        change(added("c:80", 1));
        publishAt(NOW);
        assertEquals(before, previousOwners());
        assertEquals(NOW + 10_000, zone.table(0).table().handoverUntilMs());
        assertEquals(Map.of("a:80", 1, "b:80", 1, "c:80", 1), inForce());

        assertEquals(Map.of(), owners(ZoneLayout.Ring.EARLIER));

        Map<Integer, String> first = owners();
        change(MemberChange.removed("a:80"));
        publishAt(NOW + 5_000);
        assertEquals(first, previousOwners(), "the ring before the change");
        assertEquals(before, owners(ZoneLayout.Ring.EARLIER), "of two changes within the time, that before the first too");
        assertEquals(NOW + 15_000, zone.table(0).table().handoverUntilMs());

        Map<Integer, String> between = owners();
        change(added("d:80", 1));
        publishAt(NOW + 20_000);
        assertEquals(between, previousOwners(), "the time is over: the ring before this change");
        assertEquals(Map.of(), owners(ZoneLayout.Ring.EARLIER));

        changes.remove("d:80");
        publishAt(NOW + 21_000);
        assertEquals(Map.of("b:80", 1, "c:80", 1), inForce());
        image.bytes().putInt(image.upstream(0) + ZoneLayout.UpstreamRecord.HANDOVER_MS, 0);
        change(added("e:80", 1));
        publishAt(NOW + 22_000);
        assertEquals(Map.of(), previousOwners(), "handover is off");
    }

    @Test
    void shouldKeepTheRingsBeforeByTheMethodThatTheyWereMadeBy() {
        image = new ZoneImage(2, 12, 3_000_000);
        declare(new Peer("a:80"), new Peer("b:80"));
        image.bytes().putInt(image.upstream(0) + UpstreamRecord.HANDOVER_MS, 10_000);
        Map<Integer, String> ketama = owners();
        image.bytes().putInt(image.upstream(0) + UpstreamRecord.METHOD, ZoneLayout.Method.MAGLEV);
        publishAt(NOW);
        Map<Integer, String> maglev = owners();
        assertTrue(maglev.size() > 10_000, maglev.size() + " points");
        assertEquals(ketama, previousOwners(), "another method is a change");

        change(added("c:80", 1));
        publishAt(NOW + 1000);
        assertEquals(maglev, previousOwners());
        assertEquals(ketama, owners(ZoneLayout.Ring.EARLIER));
        FormerRings told = new TablePublisher(zone).rings(zone.upstreams().get(0), NOW + 1000);
        assertEquals(Set.of(PeerFlag.MAGLEV), flags(told.primary()));
        assertEquals(Set.of(PeerFlag.MAGLEV), flags(told.previous()));
        assertEquals(Set.of(0), flags(told.earlier()));

        image.bytes().putLong(ZoneLayout.HeaderRecord.STARTED_MS, NOW);
        TablePublisher publisher = new TablePublisher(zone);
        FormerRings other = new FormerRings(told.earlier(), told.previous(), List.of(), 5000);
        publisher.publish(publisher.planAfter(zone.upstreams().get(0), other, NOW + 2000).orElseThrow(), NOW + 2000);
        assertEquals(ketama, previousOwners(), "as another node tells of it");
        assertEquals(maglev, owners(ZoneLayout.Ring.EARLIER));
    }

    private static Set<Integer> flags(List<FormerRings.Server> ring) {
        return ring.stream().map(FormerRings.Server::flags).collect(Collectors.toSet());
    }

    @Test
    void shouldTakeOverTheRingsThatAnotherNodeTellsOf() {
        declare(new Peer("a:80"), new Peer("b:80"), new Peer("new:80"));
        image.bytes().putInt(image.upstream(0) + ZoneLayout.UpstreamRecord.HANDOVER_MS, 10_000);
        TablePublisher publisher = new TablePublisher(zone);
        Upstream upstream = zone.upstreams().get(0);
        assertFalse(publisher.isNew(upstream, NOW), "not started");
        image.bytes().putLong(ZoneLayout.HeaderRecord.STARTED_MS, NOW - 1000);
        assertTrue(publisher.isNew(upstream, NOW));
        Map<Integer, String> owners = owners();

        List<FormerRings.Server> same = publisher.rings(upstream, NOW).primary();
        assertEquals(List.of("a:80", "b:80", "new:80"), same.stream().map(FormerRings.Server::name).toList());
        assertTrue(publisher.planAfter(upstream, new FormerRings(same, List.of(), List.of(), 0), NOW).isEmpty(), "nothing new");

        List<FormerRings.Server> heavy = List.of(same.get(0), new FormerRings.Server("gone:80", same.get(0).address(), 65_535, 0));
        assertThrows(PublishException.class,
                () -> publisher.planAfter(upstream, new FormerRings(heavy, List.of(), List.of(), 5000), NOW), "no room");

        List<FormerRings.Server> before = List.of(same.get(0), same.get(1), server("gone:80"));
        List<FormerRings.Server> first = List.of(same.get(0), server("gone:80"));
        publisher.publish(publisher.planAfter(upstream, new FormerRings(before, first, List.of(), 5000), NOW).orElseThrow(), NOW);
        assertFalse(publisher.isNew(upstream, NOW));
        assertEquals(owners, owners());
        assertEquals(Set.of("a:80", "b:80", "gone:80"), Set.copyOf(previousOwners().values()));
        assertEquals(Set.of("a:80", "gone:80"), Set.copyOf(owners(ZoneLayout.Ring.EARLIER).values()));
        assertEquals(NOW + 10_000, zone.table(0).table().handoverUntilMs());
        assertEquals(new FormerRings(same, before, first, 9000), publisher.rings(upstream, NOW + 1000), "as it was told");
        assertEquals(Map.of("a:80", 1, "b:80", 1, "new:80", 1), inForce(), "who is told of is no member");

        change(added("c:80", 1));
        publishAt(NOW + 1000);
        assertEquals(Set.of("a:80", "gone:80"), Set.copyOf(owners(ZoneLayout.Ring.EARLIER).values()), "it keeps its slot");
    }

    private static FormerRings.Server server(String name) {
        return new FormerRings.Server(name, added(name, 1).addresses().get(0), 1, 0);
    }

    private void publishAt(long nowMs) {
        TablePublisher publisher = new TablePublisher(zone);
        Upstream upstream = zone.upstreams().get(0);
        List<Member> wanted = Membership.apply(publisher.members(upstream), changes.values());
        publisher.publish(publisher.plan(upstream, wanted, nowMs), nowMs);
        assertTrue(publisher.isInForce(upstream, Membership.apply(publisher.members(upstream), changes.values())));
    }

    @Test
    void shouldForgetAChangeThatNginxConfHasOvertaken() {
        declare(new Peer("a:80"), new Peer("b:80"));
        List<Member> present = new TablePublisher(zone).members(zone.upstreams().get(0));
        assertTrue(Membership.isSpent(Membership.declared(present), added("a:80", 1)));
        assertTrue(Membership.isSpent(Membership.declared(present), MemberChange.removed("gone:80")));
        assertEquals(false, Membership.isSpent(Membership.declared(present), MemberChange.weighted("b:80", 2)));
        assertEquals(false, Membership.isSpent(Membership.declared(present), added("new:80", 1)));
    }

    /** Changes at random against a model; words and slots of who stays are looked at after each. */
    @Test
    void shouldAgreeWithAModelOverManyChanges() {
        long seed = Long.getLong("seed", System.nanoTime());
        Random random = new Random(seed);
        declare(new Peer("a:80"), new Peer("b:80", 2), new Peer("c:80", 3));
        Map<String, Integer> declared = Map.of("a:80", 1, "b:80", 2, "c:80", 3);
        for (int i = 0; i < 300; i++) {
            randomChange(random, declared);
            Map<String, Integer> slots = new HashMap<>();
            peers().forEach(peer -> slots.put(peer.server(), peer.slot()));
            publish();
            assertEquals(model(declared), inForce(), "seed " + seed + ", change " + i);
            peers().stream().filter(peer -> slots.containsKey(peer.server())).forEach(
                    peer -> assertEquals(slots.get(peer.server()), peer.slot(), "seed " + seed));
        }
    }

    private void randomChange(Random random, Map<String, Integer> declared) {
        String server = List.of("a:80", "b:80", "n1:80", "n2:80", "n3:80", "n4:80").get(random.nextInt(6));
        if (random.nextInt(3) == 0) {
            changes.remove(server);
        } else if (declared.containsKey(server)) {
            change(random.nextBoolean() ? MemberChange.removed(server) : MemberChange.weighted(server, 1 + random.nextInt(4)));
        } else {
            change(added(server, 1 + random.nextInt(3)));
        }
    }

    private Map<String, Integer> model(Map<String, Integer> declared) {
        Map<String, Integer> model = new TreeMap<>(declared);
        for (MemberChange change : changes.values()) {
            if (change.kind() == Kind.REMOVED) {
                model.remove(change.server());
            } else {
                model.put(change.server(), change.weight());
            }
        }
        return model;
    }

    private static final class Killed extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    /** A publisher that dies before any of its stores leaves the old table or the new one, and the next one carries on. */
    @Test
    void shouldLeaveATableInForceWhereverItsWriterDies() {
        for (int end = 0; ; end++) {
            changes.clear();
            ZoneImage fresh = new ZoneImage(2, 12, 40_000);
            fresh.publish(0, "cache", List.of(new Peer("a:80"), new Peer("b:80", 2), new Peer("c:80")));
            zone = Zone.attach(fresh.bytes());
            Map<String, Integer> before = inForce();
            change(added("d:80", 3));
            change(MemberChange.removed("a:80"));
            change(MemberChange.weighted("b:80", 5));
            Map<String, Integer> after = Map.of("b:80", 5, "c:80", 1, "d:80", 3);
            int[] left = {end};
            TablePublisher dying = new TablePublisher(zone, () -> {
                if (left[0]-- == 0) {
                    throw new Killed();
                }
            });
            boolean died = false;
            try {
                publish(dying);
            } catch (Killed e) {
                died = true;
            }
            Map<String, Integer> found = inForce();
            assertTrue(found.equals(before) || found.equals(after), "after " + end + " stores: " + found);
            publish();
            assertEquals(after, inForce(), "after " + end + " stores");
            if (!died) {
                assertTrue(end > 40, "stores: " + end);
                return;
            }
        }
    }
}
