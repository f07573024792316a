package io.atoll.core.zone;

import io.atoll.core.table.CompileRequest;
import io.atoll.core.table.Handover;
import io.atoll.core.table.Table;
import io.atoll.core.table.TableCompiler;
import io.atoll.core.zone.PublishException.Cause;
import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import io.atoll.core.zone.ZoneLayout.PeerIdentityRecord;
import io.atoll.core.zone.ZoneLayout.PeerLife;
import io.atoll.core.zone.ZoneLayout.PeerStateRecord;
import io.atoll.core.zone.ZoneLayout.PointRecord;
import io.atoll.core.zone.ZoneLayout.TablePeerRecord;
import io.atoll.core.zone.ZoneLayout.TableRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamState;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Publishes another table of an upstream while nginx runs: compiled by the same {@link TableCompiler} as nginx's, under the
 * configuration epoch of the table in force, so that the running workers take it. Slots go by name, as in
 * {@code atoll_zone_plan.c}.
 *
 * <p>The caller holds the publisher's lock of the zone file (architecture.md) from {@link #members} to {@link #publish}; then
 * nobody else writes what is read here. One thread. A process that dies inside leaves the table before in force, and whoever
 * publishes next goes on from there.
 */
public final class TablePublisher {
    private static final long COUNT_LIMIT = 1L << 62;
    private static final int NO_SLOT = -1;

    private final Zone zone;
    private final ZoneMemory memory;
    private final ZoneCheck sections;
    private final Runnable step;

    public TablePublisher(Zone zone) {
        this(zone, () -> { });
    }

    /** @param step called before each store, for tests that end there */
    TablePublisher(Zone zone, Runnable step) {
        this.zone = zone;
        this.memory = zone.memory;
        this.sections = zone.sections;
        this.step = step;
    }

    /** What will be published: worked out, with room for it found, and nothing written yet. */
    public static final class Plan {
        private final Upstream upstream;
        private final List<Member> wanted;
        private final boolean[] inTable;
        private final int[] slots;
        private final Set<Integer> leaving = new HashSet<>();
        private final Set<Integer> serving = new HashSet<>();
        private final Set<Integer> fresh = new HashSet<>();
        private final Map<Key, Integer> known = new HashMap<>();
        private final Map<Integer, Member> strangers = new HashMap<>();
        private ByteBuffer table;
        private long configEpoch;
        /** Peers of the previous ring, then of the earlier one. */
        private List<Placed> previous = List.of();
        private long handoverUntilMs;
        private int buffer;
        private long[] offset;
        private long capacity;

        private Plan(Upstream upstream, List<Member> wanted) {
            this.upstream = upstream;
            this.wanted = wanted;
            this.inTable = new boolean[wanted.size()];
            this.slots = new int[wanted.size()];
        }

        /** Bytes of the table. */
        public int tableLength() {
            return table.limit();
        }
    }

    /** A peer of a ring, and its slot; or the member that has yet to get one. */
    private record Placed(CompileRequest.Peer peer, int slot, Member stranger) {
        Placed(CompileRequest.Peer peer, int slot) {
            this(peer, slot, null);
        }

        Placed in(int ringFlag) {
            return new Placed(peer.withFlags(peer.flags() | ringFlag), slot, stranger);
        }
    }

    private record Key(String server, String address, int ordinal) {
        static Key of(Peer peer) {
            return new Key(peer.server(), peer.address(), peer.ordinal());
        }

        static Key of(Member member) {
            return new Key(member.server(), member.address(), member.ordinal());
        }
    }

    // ---- what is there

    /**
     * The members of an upstream: those of its table in the order of their places in the list, then those that were removed
     * at run time.
     *
     * @throws PublishException NO_TABLE
     */
    public List<Member> members(Upstream upstream) {
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

    /** Whether members are in force as they are wanted. */
    public boolean isInForce(Upstream upstream, List<Member> wanted) {
        List<Member> present = members(upstream);
        int named = table(upstream).peerCount();
        List<Member> inTable = Membership.inTable(wanted);
        return present.equals(wanted) && inTable.size() == named && inTable.containsAll(present.subList(0, named));
    }

    private Table table(Upstream upstream) {
        TableRead read = zone.table(upstream.index());
        if (!read.isOk()) {
            throw new PublishException(Cause.NO_TABLE, "the table of upstream " + upstream.name() + " is " + read.status() + ": "
                    + read.detail() + "; reload nginx, which publishes it anew");
        }
        return read.table();
    }

    private Member member(Upstream upstream, int slot) {
        Peer peer = zone.peer(slot).filter(found -> found.upstream() == upstream.index())
                .orElseThrow(() -> new PublishException(Cause.NO_TABLE, "slot " + slot + ", which the table of upstream "
                        + upstream.name() + " names, is no peer of it; reload nginx, which publishes it anew"));
        int record = zone.identityRecord(slot);
        return new Member(peer.server(), peer.address(), peer.ordinal(), peer.socketAddress(), Math.max(1, peer.weight()),
                memory.plainInt(record + PeerIdentityRecord.CONF_WEIGHT), memory.plainInt(record + PeerIdentityRecord.MAX_CONNS),
                memory.plainInt(record + PeerIdentityRecord.MAX_FAILS),
                memory.plainInt(record + PeerIdentityRecord.FAIL_TIMEOUT_MS), peer.flags());
    }

    // ---- planning

    /**
     * Compiles the table of these members and finds slots and a buffer for it. Writes nothing.
     *
     * @param wanted members, from {@link Membership#apply}; those that are removed keep their slot
     * @throws PublishException naming what is missing
     * @throws io.atoll.core.table.CompileException for members that make no table
     */
    public Plan plan(Upstream upstream, List<Member> wanted) {
        return plan(upstream, wanted, table(upstream), List.of(), 0);
    }

    /**
     * As {@link #plan(Upstream, List)}, with the previous and the earlier ring that {@link Handover#after} finds, as far as there
     * is room for them.
     *
     * @param nowMs CLOCK_MONOTONIC, from which the handover counts
     */
    public Plan plan(Upstream upstream, List<Member> wanted, long nowMs) {
        Table active = table(upstream);
        List<Placed> before = ring(upstream, active, ZoneLayout.Ring.PRIMARY);
        List<Placed> older = ring(upstream, active, ZoneLayout.Ring.PREVIOUS);
        List<Placed> oldest = ring(upstream, active, ZoneLayout.Ring.EARLIER);
        List<CompileRequest.Peer> primary = Membership.inTable(wanted).stream().filter(member -> !member.isBackup())
                .map(TablePublisher::peer).toList();
        Handover.Previous previous = Handover.after(peers(before), new Handover.Previous(peers(older), peers(oldest),
                active.handoverUntilMs()), primary, nowMs, handoverMs(upstream));
        List<Placed> kept = previous.members().equals(peers(before)) ? before : older;
        List<Placed> kept2 = previous.earlier().equals(peers(oldest)) ? oldest : older;
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

    // ---- handover to a node that has just come

    /**
     * Whether this node's nginx was started less than a handover ago and its table has no ring before that counts: it may not
     * know who owned its keys.
     */
    public boolean isNew(Upstream upstream, long nowMs) {
        long handoverMs = handoverMs(upstream);
        Table active = table(upstream);
        long startedMs = zone.startedMs();
        return handoverMs != 0 && startedMs != 0 && Math.abs(nowMs - startedMs) < handoverMs
                && (active.ringPeers(ZoneLayout.Ring.PREVIOUS) == 0 || nowMs >= active.handoverUntilMs());
    }

    /** The rings of the table in force, for other nodes. */
    public FormerRings rings(Upstream upstream, long nowMs) {
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
                    placed.peer().weight(), (placed.peer().flags() & PeerFlag.DOWN) != 0);
        }).toList();
    }

    /**
     * The table of the members as they are, with the rings before that it would have if the table before it had been the one that
     * another node tells of. Writes nothing.
     *
     * @return nothing when that says nothing new
     * @throws PublishException naming what is missing
     */
    public Optional<Plan> planAfter(Upstream upstream, FormerRings told, long nowMs) {
        Table active = table(upstream);
        List<CompileRequest.Peer> primary = peers(ring(upstream, active, ZoneLayout.Ring.PRIMARY));
        Handover.Previous previous = told.after(primary, nowMs, handoverMs(upstream));
        if (previous.members().isEmpty()) {
            return Optional.empty();
        }
        List<Placed> behind = new ArrayList<>();
        if (upstream.method() != ZoneLayout.Method.MAGLEV) {
            checkWeight(upstream, told.ring(previous.members()).stream().mapToLong(server -> server.peer().weight()).sum());
            checkWeight(upstream, told.ring(previous.earlier()).stream().mapToLong(server -> server.peer().weight()).sum());
        }
        told.ring(previous.members()).forEach(server -> behind.add(stranger(server).in(PeerFlag.PREVIOUS)));
        if (!previous.earlier().isEmpty()) {
            told.ring(previous.earlier()).forEach(server -> behind.add(stranger(server).in(PeerFlag.EARLIER)));
        }
        return Optional.of(plan(upstream, members(upstream), active, behind, previous.untilMs()));
    }

    private static Placed stranger(FormerRings.Server server) {
        return new Placed(server.peer(), NO_SLOT, server.member());
    }

    private Plan plan(Upstream upstream, List<Member> wanted, Table active, List<Placed> previous, long untilMs) {
        Plan plan = new Plan(upstream, List.copyOf(wanted));
        plan.configEpoch = active.configEpoch();
        plan.previous = previous;
        plan.handoverUntilMs = untilMs;
        checkPoints(plan);
        compile(plan);
        placeSlots(plan, active);
        placeBuffer(plan);
        return plan;
    }

    /** The peers of a ring in the order of their places in the list; none when one of them has lost its slot. */
    private List<Placed> ring(Upstream upstream, Table table, int ring) {
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
                    table.maxFails(i), table.failTimeoutMs(i), table.flags(i) & PeerFlag.DOWN), table.slot(i)));
        }
        return placed;
    }

    private static List<CompileRequest.Peer> peers(List<Placed> placed) {
        return placed.stream().map(Placed::peer).toList();
    }

    private long handoverMs(Upstream upstream) {
        int ms = memory.plainInt(zone.upstreamRecord(upstream.index()) + UpstreamRecord.HANDOVER_MS);
        return ms < 0 || ms > Handover.LIMIT_MS ? 0 : ms;
    }

    /** Refuses weights whose points could not be held, before they are worked out. Those of a Maglev table are few. */
    private void checkPoints(Plan plan) {
        if (plan.upstream.method() == ZoneLayout.Method.MAGLEV) {
            return;
        }
        Map<String, Integer> weights = new HashMap<>();
        for (Member member : plan.wanted) {
            weights.merge(member.server() + (member.isBackup() ? "\0backup" : ""), member.weight(), Math::max);
        }
        checkWeight(plan.upstream, weights.values().stream().mapToLong(Integer::longValue).sum());
    }

    private void checkWeight(Upstream upstream, long weight) {
        long most = (sections.tablesEnd - sections.tablesOffset) / (2L * PointRecord.SIZE * ZoneLayout.POINTS_PER_WEIGHT);
        if (weight > most) {
            throw new PublishException(Cause.NO_ROOM, "the weights of upstream " + upstream.name() + " add up to " + weight
                    + "; the zone file of " + zone.length() + " bytes has room for the points of less than " + most
                    + "; use smaller weights, or raise size= of atoll_zone and reload nginx");
        }
    }

    private static CompileRequest.Peer peer(Member member) {
        return new CompileRequest.Peer(member.server(), member.weight(), member.maxConns(), member.maxFails(),
                member.failTimeoutMs(), member.flags());
    }

    private static void compile(Plan plan) {
        List<CompileRequest.Peer> peers = new ArrayList<>();
        plan.wanted.forEach(member -> peers.add(peer(member)));
        peers.addAll(peers(plan.previous));
        ByteBuffer region = new CompileRequest(List.of(new CompileRequest.Upstream(plan.upstream.name(), peers,
                plan.upstream.method()))).region();
        TableCompiler.compile(region);
        plan.table = CompileRequest.table(region, 0);
        Table table = Table.open(plan.table);
        for (int i = 0; i < table.peerCount(); i++) {
            plan.inTable[table.source(i)] = true;
        }
    }

    private void placeSlots(Plan plan, Table active) {
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

    private void giveSlots(Plan plan, List<Integer> free) {
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
    private void giveStrangersSlots(Plan plan, List<Integer> free) {
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
    private void placeBuffer(Plan plan) {
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

    // ---- writing

    /**
     * Puts a plan into force.
     *
     * @param nowMs CLOCK_MONOTONIC, from which peers that join ramp up
     * @return the epoch of the table
     */
    public long publish(Plan plan, long nowMs) {
        long incarnation = highestIncarnation();
        boolean goesOn = plan.upstream.slowStartMs() > 0 && goesOn(plan);
        for (int i = 0; i < plan.slots.length; i++) {
            boolean joins = goesOn && plan.inTable[i] && !plan.wanted.get(i).isDown() && !plan.serving.contains(plan.slots[i]);
            if (plan.fresh.contains(plan.slots[i])) {
                nameSlot(plan, plan.slots[i], plan.wanted.get(i), ++incarnation);
            }
            describe(plan, i, joins ? Math.max(1, nowMs) : 0);
        }
        for (Map.Entry<Integer, Member> stranger : plan.strangers.entrySet()) {
            nameSlot(plan, stranger.getKey(), stranger.getValue(), ++incarnation);
            describeStranger(plan, stranger.getKey(), stranger.getValue());
        }
        for (int slot : plan.leaving) {
            forget(plan, slot);
        }
        long epoch = highestEpoch() + 1;
        writeTable(plan, epoch);
        for (int slot : plan.leaving) {
            int record = zone.identityRecord(slot);
            setLong(record + PeerIdentityRecord.RETIRED_EPOCH, plan.configEpoch);
            releaseInt(record + PeerIdentityRecord.STATE, PeerLife.FORMER);
        }
        return epoch;
    }

    private static boolean goesOn(Plan plan) {
        for (int i = 0; i < plan.slots.length; i++) {
            if (plan.inTable[i] && !plan.wanted.get(i).isDown() && plan.serving.contains(plan.slots[i])) {
                return true;
            }
        }
        return false;
    }

    /** Takes a slot away from whoever had it, and gives it its name: renew_slot, name_slot of atoll_zone_publish.c. */
    private void nameSlot(Plan plan, int slot, Member member, long incarnation) {
        int record = zone.identityRecord(slot);
        int state = zone.stateRecord(slot);
        releaseInt(record + PeerIdentityRecord.STATE, PeerLife.VACANT);
        setLong(state + PeerStateRecord.INCARNATION, incarnation);
        VarHandle.fullFence();
        for (int reason = 0; reason < Reason.values().length; reason++) {
            setLong(state + PeerStateRecord.REASON + reason * Long.BYTES, 0);
        }
        setLong(state + PeerStateRecord.RAMP_START_MS, 0);
        setLong(state + PeerStateRecord.CHANGED_MS, 0);
        setLong(state + PeerStateRecord.ACCESSED_MS, 0);
        setLong(state + PeerStateRecord.CHECKED_MS, 0);
        setInt(state + PeerStateRecord.FAILS, 0);
        setInt(record + PeerIdentityRecord.UPSTREAM, plan.upstream.index());
        setInt(record + PeerIdentityRecord.ORDINAL, member.ordinal());
        setText(record + PeerIdentityRecord.SERVER_LENGTH, record + PeerIdentityRecord.SERVER, member.server());
        setText(record + PeerIdentityRecord.ADDRESS_LENGTH, record + PeerIdentityRecord.ADDRESS, member.address());
        byte[] sockaddr = SocketAddresses.encode(member.socketAddress());
        setInt(record + PeerIdentityRecord.SOCKADDR_LENGTH, sockaddr.length);
        setBytes(record + PeerIdentityRecord.SOCKADDR, sockaddr);
        VarHandle.releaseFence();
        setLong(record + PeerIdentityRecord.INCARNATION, incarnation);
    }

    /** A peer that is no member and never was one here. */
    private void describeStranger(Plan plan, int slot, Member member) {
        describe(slot, member);
        int record = zone.identityRecord(slot);
        setLong(record + PeerIdentityRecord.RETIRED_EPOCH, plan.configEpoch);
        releaseInt(record + PeerIdentityRecord.STATE, PeerLife.FORMER);
    }

    private void describe(int slot, Member member) {
        int record = zone.identityRecord(slot);
        setInt(record + PeerIdentityRecord.FLAGS, member.flags());
        setInt(record + PeerIdentityRecord.WEIGHT, member.weight());
        setInt(record + PeerIdentityRecord.CONF_WEIGHT, member.confWeight());
        setInt(record + PeerIdentityRecord.MAX_CONNS, member.maxConns());
        setInt(record + PeerIdentityRecord.MAX_FAILS, member.maxFails());
        setInt(record + PeerIdentityRecord.FAIL_TIMEOUT_MS, member.failTimeoutMs());
    }

    private void describe(Plan plan, int index, long rampStartMs) {
        int slot = plan.slots[index];
        int record = zone.identityRecord(slot);
        describe(slot, plan.wanted.get(index));
        if (rampStartMs != 0) {
            setLong(zone.stateRecord(slot) + PeerStateRecord.RAMP_START_MS, rampStartMs);
        }
        if (plan.inTable[index]) {
            setLong(record + PeerIdentityRecord.RETIRED_EPOCH, 0);
            releaseInt(record + PeerIdentityRecord.STATE, PeerLife.MEMBER);
        } else if (!plan.serving.contains(slot)) {
            releaseInt(record + PeerIdentityRecord.STATE, PeerLife.FORMER);
        }
    }

    /** A peer that is not wanted at all any more: a master that merges after a crash here must not take it for an added one. */
    private void forget(Plan plan, int slot) {
        for (int i = 0; i < plan.slots.length; i++) {
            if (plan.slots[i] == slot) {
                return;
            }
        }
        setInt(zone.identityRecord(slot) + PeerIdentityRecord.FLAGS, 0);
        setInt(zone.identityRecord(slot) + PeerIdentityRecord.CONF_WEIGHT, 0);
    }

    private void writeTable(Plan plan, long epoch) {
        int record = zone.upstreamRecord(plan.upstream.index());
        int at = (int) plan.offset[plan.buffer];
        setLong(record + UpstreamRecord.BUFFER_OFFSET + plan.buffer * Long.BYTES, at);
        VarHandle.releaseFence();
        setLong(record + UpstreamRecord.BUFFER_CAPACITY, plan.capacity);
        byte[] bytes = new byte[plan.table.limit()];
        plan.table.get(0, bytes);
        ByteBuffer head = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        head.putLong(TableRecord.CONFIG_EPOCH, plan.configEpoch);
        int peers = (int) head.getLong(TableRecord.PEERS_OFFSET);
        head.putLong(TableRecord.HANDOVER_UNTIL_MS, plan.handoverUntilMs);
        for (int i = 0; i < head.getInt(TableRecord.PEER_COUNT) + plan.previous.size(); i++) {
            int peer = peers + i * TablePeerRecord.SIZE;
            int source = head.getInt(peer + TablePeerRecord.SOURCE);
            head.putInt(peer + TablePeerRecord.SLOT, source < plan.slots.length ? plan.slots[source]
                    : plan.previous.get(source - plan.slots.length).slot());
        }
        setLong(at + TableRecord.SEQUENCE, 0);
        VarHandle.releaseFence();
        step.run();
        memory.bytes.put(at + Long.BYTES, bytes, Long.BYTES, bytes.length - Long.BYTES);
        releaseLong(at + TableRecord.SEQUENCE, epoch);
        releaseLong(record + UpstreamRecord.PUBLISHED, epoch << 1 | plan.buffer);
        releaseLong(HeaderRecord.EPOCH, epoch);
        setLong(record + UpstreamRecord.BUFFER_OFFSET + (1 - plan.buffer) * Long.BYTES, plan.offset[1 - plan.buffer]);
    }

    private long highestIncarnation() {
        long highest = 0;
        for (int slot = 0; slot < sections.slots; slot++) {
            long incarnation = zone.incarnation(slot);
            highest = incarnation >= 0 && incarnation < COUNT_LIMIT ? Math.max(highest, incarnation) : highest;
        }
        return highest;
    }

    private long highestEpoch() {
        long highest = Math.max(0, zone.epoch());
        for (int i = 0; i < sections.upstreams; i++) {
            highest = Math.max(highest, zone.published(i) >>> 1);
        }
        return highest;
    }

    private void setText(int lengthField, int field, String text) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        setInt(lengthField, utf8.length);
        setBytes(field, utf8);
    }

    private void setBytes(int offset, byte[] value) {
        step.run();
        memory.put(offset, value);
    }

    private void setInt(int offset, int value) {
        step.run();
        memory.setRelaxedInt(offset, value);
    }

    private void setLong(int offset, long value) {
        step.run();
        memory.setRelaxed(offset, value);
    }

    private void releaseInt(int offset, int value) {
        step.run();
        memory.setReleaseInt(offset, value);
    }

    private void releaseLong(int offset, long value) {
        step.run();
        memory.setRelease(offset, value);
    }
}
