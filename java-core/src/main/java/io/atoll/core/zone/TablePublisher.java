package io.atoll.core.zone;

import io.atoll.core.table.CompileRequest;
import io.atoll.core.table.Handover;
import io.atoll.core.table.Table;
import io.atoll.core.table.TableCompiler;
import io.atoll.core.zone.PlannedTable.Placed;
import io.atoll.core.zone.PublishException.Cause;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Publishes another table of an upstream while nginx runs: compiled by the same {@link TableCompiler} as nginx's, under the
 * configuration epoch of the table in force, so that the running workers take it. What is there is read by
 * {@link TablesInForce}; {@link TableRoom} finds slots and a buffer; {@link TableWriter} writes.
 *
 * <p>The caller holds the publisher's lock of the zone file (architecture.md) from {@link #members} to {@link #publish}; then
 * nobody else writes what is read here. One thread. A process that dies inside leaves the table before in force, and whoever
 * publishes next goes on from there.
 */
public final class TablePublisher {
    private final TablesInForce inForce;
    private final TableRoom room;
    private final TableWriter writer;

    public TablePublisher(Zone zone) {
        this(zone, () -> { });
    }

    /** @param step called before each store, for tests that end there */
    TablePublisher(Zone zone, Runnable step) {
        this.inForce = new TablesInForce(zone);
        this.room = new TableRoom(zone);
        this.writer = new TableWriter(zone, step);
    }

    /**
     * The members of an upstream: those of its table in the order of their places in the list, then those that were removed
     * at run time.
     *
     * @throws PublishException NO_TABLE
     */
    public List<Member> members(Upstream upstream) {
        return inForce.members(upstream);
    }

    /**
     * Whether members are in force as they are wanted.
     *
     * @throws PublishException NO_TABLE
     */
    public boolean isInForce(Upstream upstream, List<Member> wanted) {
        return inForce.isInForce(upstream, wanted);
    }

    /**
     * Whether this node's nginx was started less than a handover ago and its table has no ring before that counts: it may not
     * know who owned its keys.
     *
     * @param nowMs CLOCK_MONOTONIC in milliseconds
     * @throws PublishException NO_TABLE
     */
    public boolean isNew(Upstream upstream, long nowMs) {
        return inForce.isNew(upstream, nowMs);
    }

    /**
     * The rings of the table in force, for other nodes.
     *
     * @param nowMs CLOCK_MONOTONIC in milliseconds
     * @throws PublishException NO_TABLE
     */
    public FormerRings rings(Upstream upstream, long nowMs) {
        return inForce.rings(upstream, nowMs);
    }

    /**
     * Compiles the table of these members and finds slots and a buffer for it. Writes nothing.
     *
     * @param wanted members, from {@link Membership#apply}; those that are removed keep their slot
     * @throws PublishException naming what is missing
     * @throws io.atoll.core.table.CompileException for members that make no table
     */
    public PlannedTable plan(Upstream upstream, List<Member> wanted) {
        return plan(upstream, wanted, inForce.table(upstream), List.of(), 0);
    }

    /**
     * As {@link #plan(Upstream, List)}, with the previous and the earlier ring that {@link Handover#after} finds, as far as there
     * is room for them.
     *
     * @param nowMs CLOCK_MONOTONIC in milliseconds, from which the handover counts
     * @throws PublishException naming what is missing
     * @throws io.atoll.core.table.CompileException for members that make no table
     */
    public PlannedTable plan(Upstream upstream, List<Member> wanted, long nowMs) {
        Table active = inForce.table(upstream);
        List<Placed> before = inForce.ring(upstream, active, ZoneLayout.Ring.PRIMARY);
        List<Placed> older = inForce.ring(upstream, active, ZoneLayout.Ring.PREVIOUS);
        List<Placed> oldest = inForce.ring(upstream, active, ZoneLayout.Ring.EARLIER);
        List<CompileRequest.Peer> primary = Membership.inTable(wanted).stream().filter(member -> !member.isBackup())
                .map(member -> peer(member).withFlags(member.flags() & PeerFlag.DOWN | methodFlag(upstream))).toList();
        Handover.Previous previous = Handover.after(Placed.peers(before), new Handover.Previous(Placed.peers(older),
                Placed.peers(oldest), active.handoverUntilMs()), primary, nowMs, inForce.handoverMs(upstream));
        List<Placed> kept = previous.members().equals(Placed.peers(before)) ? before : older;
        List<Placed> kept2 = previous.earlier().equals(Placed.peers(oldest)) ? oldest : older;
        for (int rings = previous.earlier().isEmpty() ? previous.members().isEmpty() ? 0 : 1 : 2; rings > 0; rings--) {
            List<Placed> behind = new ArrayList<>();
            kept.forEach(placed -> behind.add(placed.in(PeerFlag.PREVIOUS)));
            if (rings == 2) {
                kept2.forEach(placed -> behind.add(placed.in(PeerFlag.EARLIER)));
            }
            try {
                return plan(upstream, wanted, active, behind, previous.untilMs());
            } catch (PublishException e) {
                if (e.why() != Cause.NO_ROOM) {
                    throw e;
                }
            }
        }
        return plan(upstream, wanted);
    }

    /**
     * The table of the members as they are, with the rings before that it would have if the table before it had been the one that
     * another node tells of. Writes nothing.
     *
     * @param nowMs CLOCK_MONOTONIC in milliseconds
     * @return nothing when that says nothing new
     * @throws PublishException naming what is missing
     */
    public Optional<PlannedTable> planAfter(Upstream upstream, FormerRings told, long nowMs) {
        Table active = inForce.table(upstream);
        List<CompileRequest.Peer> primary = Placed.peers(inForce.ring(upstream, active, ZoneLayout.Ring.PRIMARY));
        Handover.Previous previous = told.after(primary, nowMs, inForce.handoverMs(upstream));
        if (previous.members().isEmpty()) {
            return Optional.empty();
        }
        List<Placed> behind = new ArrayList<>();
        room.checkWeight(upstream, ketamaWeight(previous.members()));
        room.checkWeight(upstream, ketamaWeight(previous.earlier()));
        told.ring(previous.members()).forEach(server -> behind.add(stranger(server).in(PeerFlag.PREVIOUS)));
        if (!previous.earlier().isEmpty()) {
            told.ring(previous.earlier()).forEach(server -> behind.add(stranger(server).in(PeerFlag.EARLIER)));
        }
        return Optional.of(plan(upstream, members(upstream), active, behind, previous.untilMs()));
    }

    /** What the peers of a ring of this method have in their flags. */
    private static int methodFlag(Upstream upstream) {
        return upstream.method() == ZoneLayout.Method.MAGLEV ? PeerFlag.MAGLEV : 0;
    }

    private static long ketamaWeight(List<CompileRequest.Peer> ring) {
        return ring.stream().filter(peer -> (peer.flags() & PeerFlag.MAGLEV) == 0).mapToLong(CompileRequest.Peer::weight).sum();
    }

    private static Placed stranger(FormerRings.Server server) {
        return new Placed(server.peer(), PlannedTable.NO_SLOT, server.member());
    }

    private PlannedTable plan(Upstream upstream, List<Member> wanted, Table active, List<Placed> previous, long untilMs) {
        PlannedTable plan = new PlannedTable(upstream, wanted, active.configEpoch(), previous, untilMs);
        room.checkPoints(plan);
        compile(plan);
        room.placeSlots(plan, active);
        room.placeBuffer(plan);
        return plan;
    }

    private static CompileRequest.Peer peer(Member member) {
        return new CompileRequest.Peer(member.server(), member.weight(), member.maxConns(), member.maxFails(),
                member.failTimeoutMs(), member.flags());
    }

    private static void compile(PlannedTable plan) {
        List<CompileRequest.Peer> peers = new ArrayList<>();
        plan.wanted.forEach(member -> peers.add(peer(member)));
        peers.addAll(Placed.peers(plan.previous));
        ByteBuffer region = new CompileRequest(List.of(new CompileRequest.Upstream(plan.upstream.name(), peers,
                plan.upstream.method()))).region();
        TableCompiler.compile(region);
        plan.table = CompileRequest.table(region, 0);
        Table table = Table.open(plan.table);
        for (int i = 0; i < table.peerCount(); i++) {
            plan.inTable[table.source(i)] = true;
        }
    }

    /**
     * Puts a plan into force.
     *
     * @param nowMs CLOCK_MONOTONIC in milliseconds, from which peers that join ramp up
     * @return the epoch of the table
     */
    public long publish(PlannedTable plan, long nowMs) {
        return writer.write(plan, nowMs);
    }
}
