package io.atoll.core.zone;

import io.atoll.core.table.CompileRequest;
import io.atoll.core.table.Handover;
import io.atoll.core.table.Table;
import io.atoll.core.zone.PlannedTable.Placed;
import io.atoll.core.zone.PublishException.Cause;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import io.atoll.core.zone.ZoneLayout.PeerIdentityRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** The members and rings of the tables that are in force in a zone. Writes nothing. One thread. */
final class TablesInForce {
    private final Zone zone;
    private final ZoneMemory memory;
    private final ZoneCheck sections;

    TablesInForce(Zone zone) {
        this.zone = zone;
        this.memory = zone.memory;
        this.sections = zone.sections;
    }

    /** As {@link TablePublisher#members}. */
    List<Member> members(Upstream upstream) {
        Table table = table(upstream);
        List<Integer> order = new ArrayList<>();
        for (int i = 0; i < table.peerCount(); i++) {
            order.add(i);
        }
        order.sort(Comparator.comparing(table::source));
        Set<Integer> named = new HashSet<>();
        List<Member> members = new ArrayList<>();
        for (int i : order) {
            Member member = member(upstream, table.slot(i));
            members.add(new Member(member.server(), member.address(), member.ordinal(), member.socketAddress(), table.weight(i),
                    member.confWeight(), table.maxConns(i), table.maxFails(i), table.failTimeoutMs(i), member.flags()));
            named.add(table.slot(i));
        }
        for (int slot = 0; slot < sections.slots; slot++) {
            int flags = memory.plainInt(zone.identityRecord(slot) + PeerIdentityRecord.FLAGS);
            if ((flags & PeerFlag.REMOVED) != 0 && !named.contains(slot)
                    && zone.peer(slot).filter(peer -> peer.upstream() == upstream.index()).isPresent()) {
                members.add(member(upstream, slot));
            }
        }
        return members;
    }

    /** As {@link TablePublisher#isInForce}. */
    boolean isInForce(Upstream upstream, List<Member> wanted) {
        List<Member> present = members(upstream);
        int named = table(upstream).peerCount();
        List<Member> inTable = Membership.inTable(wanted);
        return present.equals(wanted) && inTable.size() == named && new HashSet<>(inTable).containsAll(present.subList(0, named));
    }

    /** @throws PublishException NO_TABLE */
    Table table(Upstream upstream) {
        TableRead read = zone.table(upstream.index());
        if (!read.isOk()) {
            throw new PublishException(Cause.NO_TABLE, "the table of upstream " + upstream.name() + " is " + read.status() + ": "
                    + read.detail() + "; reload nginx, which publishes it anew");
        }
        return read.table();
    }

    /** @throws PublishException NO_TABLE when the slot is no peer of the upstream */
    Member member(Upstream upstream, int slot) {
        Peer peer = zone.peer(slot).filter(found -> found.upstream() == upstream.index())
                .orElseThrow(() -> new PublishException(Cause.NO_TABLE, "slot " + slot + ", which the table of upstream "
                        + upstream.name() + " names, is no peer of it; reload nginx, which publishes it anew"));
        int record = zone.identityRecord(slot);
        return new Member(peer.server(), peer.address(), peer.ordinal(), peer.socketAddress(), Math.max(1, peer.weight()),
                memory.plainInt(record + PeerIdentityRecord.CONF_WEIGHT), memory.plainInt(record + PeerIdentityRecord.MAX_CONNS),
                memory.plainInt(record + PeerIdentityRecord.MAX_FAILS),
                memory.plainInt(record + PeerIdentityRecord.FAIL_TIMEOUT_MS), peer.flags());
    }

    /** The peers of a ring in the order of their places in the list; none when one of them has lost its slot. */
    List<Placed> ring(Upstream upstream, Table table, int ring) {
        List<Integer> order = new ArrayList<>();
        for (int i = 0; i < table.ringPeers(ring); i++) {
            order.add(table.firstPeer(ring) + i);
            if (zone.peer(table.slot(order.get(i))).filter(peer -> peer.upstream() == upstream.index()).isEmpty()) {
                return List.of();
            }
        }
        order.sort(Comparator.comparing(table::source));
        List<Placed> placed = new ArrayList<>();
        for (int i : order) {
            placed.add(new Placed(new CompileRequest.Peer(member(upstream, table.slot(i)).server(), table.weight(i), table.maxConns(i),
                    table.maxFails(i), table.failTimeoutMs(i), table.flags(i) & Handover.PLACING_FLAGS), table.slot(i)));
        }
        return placed;
    }

    /** As {@link TablePublisher#rings}. */
    FormerRings rings(Upstream upstream, long nowMs) {
        Table active = table(upstream);
        boolean open = nowMs < active.handoverUntilMs();
        return new FormerRings(servers(upstream, active, ZoneLayout.Ring.PRIMARY),
                open ? servers(upstream, active, ZoneLayout.Ring.PREVIOUS) : List.of(),
                open ? servers(upstream, active, ZoneLayout.Ring.EARLIER) : List.of(),
                open ? Math.min(Handover.LIMIT_MS, active.handoverUntilMs() - nowMs) : 0);
    }

    private List<FormerRings.Server> servers(Upstream upstream, Table table, int ring) {
        return ring(upstream, table, ring).stream().map(placed -> {
            Member member = member(upstream, placed.slot());
            return new FormerRings.Server(member.server(), new MemberChange.Address(member.address(), member.socketAddress()),
                    placed.peer().weight(), placed.peer().flags());
        }).toList();
    }

    /** As {@link TablePublisher#isNew}. */
    boolean isNew(Upstream upstream, long nowMs) {
        long handoverMs = handoverMs(upstream);
        Table active = table(upstream);
        long startedMs = zone.startedMs();
        return handoverMs != 0 && startedMs != 0 && Math.abs(nowMs - startedMs) < handoverMs
                && (active.ringPeers(ZoneLayout.Ring.PREVIOUS) == 0 || nowMs >= active.handoverUntilMs());
    }

    /** {@code atoll_handover} of the upstream, in milliseconds; 0 for off, or for what no nginx writes. */
    long handoverMs(Upstream upstream) {
        int ms = memory.plainInt(zone.upstreamRecord(upstream.index()) + UpstreamRecord.HANDOVER_MS);
        return ms < 0 || ms > Handover.LIMIT_MS ? 0 : ms;
    }
}
