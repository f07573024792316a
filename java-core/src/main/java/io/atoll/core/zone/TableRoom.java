package io.atoll.core.zone;

import io.atoll.core.table.Table;
import io.atoll.core.zone.PlannedTable.Key;
import io.atoll.core.zone.PlannedTable.Placed;
import io.atoll.core.zone.PublishException.Cause;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import io.atoll.core.zone.ZoneLayout.PeerIdentityRecord;
import io.atoll.core.zone.ZoneLayout.PeerLife;
import io.atoll.core.zone.ZoneLayout.PointRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamState;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Room in a zone for a table: slots for its peers, which go by name as in {@code atoll_zone_plan.c}, and a buffer. Writes nothing;
 * what there is no room for is told by a {@link PublishException} NO_ROOM.
 */
final class TableRoom {
    private static final int NO_SLOT = PlannedTable.NO_SLOT;

    private final Zone zone;
    private final ZoneMemory memory;
    private final ZoneCheck sections;

    TableRoom(Zone zone) {
        this.zone = zone;
        this.memory = zone.memory;
        this.sections = zone.sections;
    }

    /** Refuses weights whose points could not be held, before they are worked out. Those of a Maglev table are few. */
    void checkPoints(PlannedTable plan) {
        if (plan.upstream.method() == ZoneLayout.Method.MAGLEV) {
            return;
        }
        Map<String, Integer> weights = new HashMap<>();
        for (Member member : plan.wanted) {
            weights.merge(member.server() + (member.isBackup() ? "\0backup" : ""), member.weight(), Math::max);
        }
        checkWeight(plan.upstream, weights.values().stream().mapToLong(Integer::longValue).sum());
    }

    /** Refuses weights of a ring, in all, whose points could not be held. */
    void checkWeight(Upstream upstream, long weight) {
        long most = (sections.tablesEnd - sections.tablesOffset) / (2L * PointRecord.SIZE * ZoneLayout.POINTS_PER_WEIGHT);
        if (weight > most) {
            throw new PublishException(Cause.NO_ROOM, "the weights of upstream " + upstream.name() + " add up to " + weight
                    + "; the zone file of " + zone.length() + " bytes has room for the points of less than " + most
                    + "; use smaller weights, or raise size= of atoll_zone and reload nginx");
        }
    }

    /** A slot for each member and each peer of a ring before: its own, else a vacant one, else that of who left longest ago. */
    void placeSlots(PlannedTable plan, Table active) {
        Map<Key, Integer> known = plan.known;
        List<Integer> free = new ArrayList<>();
        List<Integer> former = new ArrayList<>();
        for (int slot = 0; slot < sections.slots; slot++) {
            int state = memory.acquireInt(zone.identityRecord(slot) + PeerIdentityRecord.STATE);
            Peer peer = zone.peer(slot).orElse(null);
            if (peer == null) {
                if (state == PeerLife.VACANT) {
                    free.add(slot);
                }
                continue;
            }
            if (peer.upstream() == plan.upstream.index()) {
                known.merge(Key.of(peer), slot, (first, second) -> zone.peer(first).map(Peer::former).orElse(true)
                        && !peer.former() ? second : first);
            }
            if (peer.former() && (peer.flags() & PeerFlag.REMOVED) == 0) {
                former.add(slot);
            }
        }
        for (int i = 0; i < active.peerCount(); i++) {
            plan.serving.add(active.slot(i));
            plan.leaving.add(active.slot(i));
        }
        Set<Integer> taken = new HashSet<>();
        for (int i = 0; i < plan.wanted.size(); i++) {
            plan.slots[i] = known.getOrDefault(Key.of(plan.wanted.get(i)), NO_SLOT);
            taken.add(plan.slots[i]);
        }
        former.removeAll(taken);
        former.removeAll(plan.serving);
        former.removeAll(previousSlots());
        former.sort(Comparator.<Integer>comparingLong(
                slot -> memory.plainLong(zone.identityRecord(slot) + PeerIdentityRecord.RETIRED_EPOCH)).thenComparing(slot -> slot));
        free.addAll(former);
        giveSlots(plan, free);
        for (int i = 0; i < plan.slots.length; i++) {
            if (plan.inTable[i]) {
                plan.leaving.remove(plan.slots[i]);
            }
        }
    }

    /** Slots that previous rings name: of the tables in force, which stay so if this process dies half-way. */
    private Set<Integer> previousSlots() {
        Set<Integer> slots = new HashSet<>();
        for (int i = 0; i < sections.upstreams; i++) {
            TableRead read = zone.table(i);
            for (int ring : new int[] {ZoneLayout.Ring.PREVIOUS, ZoneLayout.Ring.EARLIER}) {
                for (int p = 0; read.isOk() && p < read.table().ringPeers(ring); p++) {
                    slots.add(read.table().slot(read.table().firstPeer(ring) + p));
                }
            }
        }
        return slots;
    }

    private void giveSlots(PlannedTable plan, List<Integer> free) {
        int next = 0;
        for (int i = 0; i < plan.slots.length; i++) {
            if (plan.slots[i] != NO_SLOT) {
                continue;
            }
            checkTexts(plan.wanted.get(i));
            if (next == free.size()) {
                throw new PublishException(Cause.NO_ROOM, "the zone file of " + zone.length() + " bytes has " + sections.slots
                        + " slots and none left for " + plan.wanted.get(i).address() + " of upstream " + plan.upstream.name()
                        + "; raise size= of atoll_zone and reload nginx");
            }
            plan.slots[i] = free.get(next++);
            plan.fresh.add(plan.slots[i]);
        }
        giveStrangersSlots(plan, free.subList(next, free.size()));
    }

    /** Those of the rings before that this zone has not met: told by another node. */
    private void giveStrangersSlots(PlannedTable plan, List<Integer> free) {
        List<Placed> placed = new ArrayList<>();
        int next = 0;
        for (Placed peer : plan.previous) {
            if (peer.slot() != NO_SLOT) {
                placed.add(peer);
                continue;
            }
            Integer slot = plan.known.get(Key.of(peer.stranger()));
            if (slot == null) {
                checkTexts(peer.stranger());
                if (next == free.size()) {
                    throw new PublishException(Cause.NO_ROOM, "the zone file of " + zone.length() + " bytes has no slot left for the "
                            + "former server " + peer.stranger().address() + " of upstream " + plan.upstream.name()
                            + "; raise size= of atoll_zone and reload nginx");
                }
                slot = free.get(next++);
                plan.known.put(Key.of(peer.stranger()), slot);
                plan.strangers.put(slot, peer.stranger());
            }
            placed.add(new Placed(peer.peer(), slot));
        }
        plan.previous = placed;
    }

    private static void checkTexts(Member member) {
        if (member.server().getBytes(StandardCharsets.UTF_8).length > PeerIdentityRecord.SERVER_ELEMENTS
                || member.address().getBytes(StandardCharsets.UTF_8).length > PeerIdentityRecord.ADDRESS_ELEMENTS
                || SocketAddresses.encode(member.socketAddress()) == null) {
            throw new PublishException(Cause.TOO_LONG, "server " + member.server() + " with address " + member.address()
                    + " cannot be kept; the zone holds names of up to " + PeerIdentityRecord.SERVER_ELEMENTS
                    + " bytes, addresses of IPv4, IPv6, and unix paths of up to 107");
        }
    }

    /** The buffer that is not active; both move to the end of the heap when the table has outgrown them. */
    void placeBuffer(PlannedTable plan) {
        int upstream = plan.upstream.index();
        plan.buffer = 1 - (int) (zone.published(upstream) & 1);
        plan.offset = new long[] {sections.bufferOffset(upstream, 0), sections.bufferOffset(upstream, 1)};
        plan.capacity = sections.bufferCapacity(upstream);
        long needed = align(plan.table.limit());
        if (needed <= plan.capacity && sections.isBuffer(plan.offset[plan.buffer], plan.capacity)) {
            return;
        }
        long first = heapEnd();
        long room = sections.tablesEnd - first;
        for (long capacity : new long[] {2 * needed, needed + align(needed / 8), needed}) {
            if (2 * capacity <= room) {
                plan.capacity = capacity;
                plan.offset = new long[] {first, first + capacity};
                return;
            }
        }
        throw new PublishException(Cause.NO_ROOM, "the zone file of " + zone.length() + " bytes has no room for a table of "
                + needed + " bytes of upstream " + plan.upstream.name() + " (" + Math.max(0, room) + " bytes are free, twice the "
                + "table is needed); raise size= of atoll_zone and reload nginx");
    }

    private long heapEnd() {
        long end = sections.tablesOffset;
        for (int i = 0; i < sections.upstreams; i++) {
            long capacity = sections.bufferCapacity(i);
            boolean used = memory.acquireInt(zone.upstreamRecord(i) + UpstreamRecord.STATE) != UpstreamState.FREE;
            for (int b = 0; used && capacity != 0 && b < 2; b++) {
                if (sections.isBuffer(sections.bufferOffset(i, b), capacity)) {
                    end = Math.max(end, sections.bufferOffset(i, b) + capacity);
                }
            }
        }
        return align(end);
    }

    private static long align(long bytes) {
        return bytes + ZoneLayout.CACHE_LINE - 1 & -ZoneLayout.CACHE_LINE;
    }
}
