package io.atoll.core.zone;

import io.atoll.core.table.InvalidTableException;
import io.atoll.core.table.Table;
import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.HotSetRecord;
import io.atoll.core.zone.ZoneLayout.PeerIdentityRecord;
import io.atoll.core.zone.ZoneLayout.PeerStateRecord;
import io.atoll.core.zone.ZoneLayout.TableRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * The zone as a process that did not make it sees it: attached once, then read, and written where the agent may.
 *
 * <pre>{@code
 * try (FileChannel file = FileChannel.open(path, READ, WRITE)) {
 *     Zone zone = Zone.attach(file.map(READ_WRITE, 0, file.size()));
 *     for (Upstream upstream : zone.upstreams()) { … }
 * }
 * }</pre>
 *
 * <p>Nothing read is trusted: counts and offsets are copied and bounded when attaching, and again where a record refers
 * to another. Bad bytes cost a {@link ZoneException}, an empty answer or a named {@link TableRead.Status}, nothing else.
 * Safe for use by several threads. Times are CLOCK_MONOTONIC milliseconds and unsigned.
 *
 * <p>The file must not be made shorter while it is mapped (the master never does). Twin: {@code atoll_zone_t} in
 * nginx-module/reader/atoll_zone.h; who may write which word: docs/architecture.md.
 */
public final class Zone {
    private static final int TORN_READS = 3;

    final ZoneMemory memory;
    final ZoneCheck sections;
    private final ZoneRows rows;
    private final AtomicReferenceArray<TableRead> tables;

    /**
     * Checks a mapping, without using it.
     *
     * @param mapping all of the file (or its first 2 GB), direct
     */
    public static AttachResult check(ByteBuffer mapping) {
        return new ZoneCheck(memory(mapping)).check();
    }

    /**
     * The zone in a mapping.
     *
     * @param mapping all of the file, direct; read-only for a zone that is not to be written
     * @throws ZoneException with the named result, for anything but a zone that is whole and of this version
     */
    public static Zone attach(ByteBuffer mapping) {
        ZoneMemory memory = memory(mapping);
        ZoneCheck sections = new ZoneCheck(memory);
        AttachResult result = sections.check();
        if (result != AttachResult.OK) {
            throw new ZoneException(result, sections.detail);
        }
        return new Zone(memory, sections);
    }

    private static ZoneMemory memory(ByteBuffer mapping) {
        if (!mapping.isDirect() || mapping.limit() > 0 && mapping.alignmentOffset(0, Long.BYTES) != 0) {
            throw new IllegalArgumentException("a zone needs a direct buffer, aligned to 8 bytes");
        }
        return new ZoneMemory(mapping.duplicate().clear().limit(mapping.limit()).order(ByteOrder.LITTLE_ENDIAN));
    }

    private Zone(ZoneMemory memory, ZoneCheck sections) {
        this.memory = memory;
        this.sections = sections;
        this.rows = new ZoneRows(memory, sections);
        this.tables = new AtomicReferenceArray<>(sections.upstreams);
    }

    // ---- header

    /** Places for upstreams. */
    public int upstreamCapacity() {
        return sections.upstreams;
    }

    /** Slots. */
    public int slotCount() {
        return sections.slots;
    }

    /** Bytes of the whole file. */
    public long length() {
        return memory.plainLong(HeaderRecord.LENGTH);
    }

    /** When the file was made. */
    public long createdMs() {
        return memory.plainLong(HeaderRecord.CREATED_MS);
    }

    /** Of the kernel that wrote the file, 16 bytes; leases of another boot mean nothing. */
    public byte[] bootId() {
        return memory.copy(HeaderRecord.BOOT_ID, HeaderRecord.BOOT_ID_ELEMENTS);
    }

    /** Counts published tables, over all upstreams. When it is the one last seen, nothing was published since. */
    public long epoch() {
        return memory.acquire(HeaderRecord.EPOCH);
    }

    /** Counts the nginx configurations published here. */
    public long configEpoch() {
        return memory.acquire(HeaderRecord.CONFIG_EPOCH);
    }

    /** Whether another file has taken this one's place at its path: attach again. */
    public boolean isReplaced() {
        return memory.acquire(HeaderRecord.REPLACED) != 0;
    }

    /** The nginx master that owns the file. */
    public long masterPid() {
        return memory.relaxed(HeaderRecord.MASTER_PID);
    }

    /** Its start time, clock ticks since boot. */
    public long masterStart() {
        return memory.relaxed(HeaderRecord.MASTER_START);
    }

    /** CLOCK_MONOTONIC milliseconds at which this node's nginx was started, not reloaded or upgraded; 0 never. */
    public long startedMs() {
        return memory.relaxed(HeaderRecord.STARTED_MS);
    }

    /** Name of this node; empty when not known. */
    public String node() {
        String node = memory.text(HeaderRecord.NODE_LENGTH, HeaderRecord.NODE, HeaderRecord.NODE_ELEMENTS);
        return node == null ? "" : node;
    }

    // ---- the agent's words

    /** The agent that writes verdicts; 0 none yet. */
    public long agentPid() {
        return memory.relaxed(HeaderRecord.AGENT_PID);
    }

    /** Its start time, clock ticks since boot. */
    public long agentStart() {
        return memory.relaxed(HeaderRecord.AGENT_START);
    }

    /** Counts the agents that attached. */
    public long agentEpoch() {
        return memory.acquire(HeaderRecord.AGENT_EPOCH);
    }

    /** Last heartbeat of the agent. */
    public long agentHeartbeatMs() {
        return memory.acquire(HeaderRecord.AGENT_HEARTBEAT_MS);
    }

    /**
     * Makes the calling process the agent. Whether the one before still lives is for the caller to find out first; when it
     * does, it finds another epoch at its next heartbeat and stops writing.
     *
     * @param start of the process, clock ticks since boot
     * @return the agent epoch of the caller
     */
    public long claimAgent(long pid, long start, long nowMs) {
        long epoch;
        do {
            epoch = agentEpoch();
        } while (!memory.compareAndSet(HeaderRecord.AGENT_EPOCH, epoch, epoch + 1));
        memory.setRelaxed(HeaderRecord.AGENT_PID, pid);
        memory.setRelaxed(HeaderRecord.AGENT_START, start);
        memory.setRelease(HeaderRecord.AGENT_HEARTBEAT_MS, nowMs);
        return epoch + 1;
    }

    /** Writes a heartbeat, unless another agent has attached since: then false, and the caller must write no more. */
    public boolean heartbeat(long agentEpoch, long nowMs) {
        if (agentEpoch() != agentEpoch) {
            return false;
        }
        memory.setRelease(HeaderRecord.AGENT_HEARTBEAT_MS, nowMs);
        return true;
    }

    /** Tells that the agent ended, so that nobody takes it for hung. Does nothing when another has attached. */
    public void releaseAgent(long agentEpoch) {
        if (agentEpoch() == agentEpoch) {
            memory.setRelaxed(HeaderRecord.AGENT_PID, 0);
            memory.setRelease(HeaderRecord.AGENT_HEARTBEAT_MS, 0);
        }
    }

    // ---- upstreams and tables

    /**
     * The upstreams that the running nginx.conf declares. While the master publishes, settings may mix old and new: read
     * again when {@link #epoch} or {@link #configEpoch} has changed.
     *
     * @throws ZoneException for an upstream whose record is wrong
     */
    public List<Upstream> upstreams() {
        List<Upstream> upstreams = new ArrayList<>();
        for (int i = 0; i < sections.upstreams; i++) {
            if (isUsed(i)) {
                upstreams.add(ZoneUpstream.read(memory, i, upstreamRecord(i)));
            }
        }
        return upstreams;
    }

    private boolean isUsed(int upstream) {
        return memory.acquireInt(upstreamRecord(upstream) + UpstreamRecord.STATE) == ZoneLayout.UpstreamState.USED;
    }

    int upstreamRecord(int upstream) {
        return sections.upstreamsOffset + bounded("upstream", upstream, sections.upstreams) * UpstreamRecord.SIZE;
    }

    /** The word that publishes an upstream's table: while it stays the same, so does the table. */
    public long published(int upstream) {
        return memory.acquire(upstreamRecord(upstream) + UpstreamRecord.PUBLISHED);
    }

    /** The active table of an upstream, copied and validated once for each publication. */
    public TableRead table(int upstream) {
        TableRead last = tables.get(bounded("upstream", upstream, sections.upstreams));
        if (last != null && last.published() == published(upstream)) {
            return last;
        }
        TableRead read = readTable(upstream);
        for (int i = 1; i < TORN_READS && read.status() == TableRead.Status.TORN; i++) {
            read = readTable(upstream);
        }
        tables.set(upstream, read.isOk() ? read : null);
        return read;
    }

    private TableRead readTable(int upstream) {
        long published = published(upstream);
        if (published == 0) {
            return new TableRead(TableRead.Status.NONE, published, null, "nothing published");
        }
        long offset = sections.bufferOffset(upstream, (int) (published & 1));
        long capacity = sections.bufferCapacity(upstream);
        if (!sections.isBuffer(offset, capacity) || capacity < TableRecord.SIZE || offset % ZoneLayout.CACHE_LINE != 0) {
            return new TableRead(TableRead.Status.INVALID, published, null, "its buffer lies outside the tables");
        }
        int at = (int) offset;
        if (memory.acquire(at + TableRecord.SEQUENCE) != published >>> 1) {
            return new TableRead(TableRead.Status.TORN, published, null, "its sequence is another");
        }
        long length = memory.plainLong(at + TableRecord.LENGTH);
        if (length < TableRecord.SIZE || length > capacity) {
            return wrong(at, published, "its length is " + length);
        }
        ByteBuffer copy = ByteBuffer.wrap(memory.copy(at, (int) length));
        try {
            Table table = Table.open(copy, sections.slots);
            return isCurrent(at, published) ? new TableRead(TableRead.Status.OK, published, table, "")
                    : new TableRead(TableRead.Status.TORN, published, null, "it changed while it was read");
        } catch (InvalidTableException e) {
            return wrong(at, published, e.getMessage());
        }
    }

    private TableRead wrong(int at, long published, String detail) {
        TableRead.Status status = isCurrent(at, published) ? TableRead.Status.INVALID : TableRead.Status.TORN;
        return new TableRead(status, published, null, detail);
    }

    private boolean isCurrent(int at, long published) {
        VarHandle.acquireFence();
        return memory.relaxed(at + TableRecord.SEQUENCE) == published >>> 1;
    }

    // ---- peers

    /**
     * Who a slot is, as long as that can be said: empty for a slot that was never used, that is given to another just now,
     * or whose record is wrong.
     */
    public Optional<Peer> peer(int slot) {
        int record = identityRecord(slot);
        int life = memory.acquireInt(record + PeerIdentityRecord.STATE);
        long incarnation = incarnation(slot);
        if (life != ZoneLayout.PeerLife.MEMBER && life != ZoneLayout.PeerLife.FORMER) {
            return Optional.empty();
        }
        Peer peer = ZoneUpstream.readPeer(memory, slot, record, incarnation, life == ZoneLayout.PeerLife.FORMER);
        VarHandle.acquireFence();
        boolean same = memory.plainLong(record + PeerIdentityRecord.INCARNATION) == incarnation
                && incarnation(slot) == incarnation;
        return same && peer != null && peer.upstream() < sections.upstreams ? Optional.of(peer) : Optional.empty();
    }

    int identityRecord(int slot) {
        return sections.identitiesOffset + bounded("slot", slot, sections.slots) * PeerIdentityRecord.SIZE;
    }

    /** The peers of an upstream's active table, by index of the table's peers; those that cannot be read are left out. */
    public List<Peer> peers(Table table) {
        List<Peer> peers = new ArrayList<>();
        for (int i = 0; i < table.peerCount(); i++) {
            if (table.slot(i) < sections.slots) {
                peer(table.slot(i)).ifPresent(peers::add);
            }
        }
        return peers;
    }

    /** The words of a slot. */
    public PeerState state(int slot) {
        int record = stateRecord(slot);
        long incarnation = incarnation(slot);
        return new PeerState(incarnation, reason(slot, Reason.ADMIN), reason(slot, Reason.PROBE), reason(slot, Reason.QUORUM),
                reason(slot, Reason.PASSIVE),
                memory.relaxed(record + PeerStateRecord.RAMP_START_MS),
                memory.relaxed(record + PeerStateRecord.CHANGED_MS),
                memory.relaxed(record + PeerStateRecord.ACCESSED_MS),
                memory.relaxed(record + PeerStateRecord.CHECKED_MS),
                memory.relaxedInt(record + PeerStateRecord.FAILS),
                memory.relaxed(record + PeerStateRecord.AVOID_UNTIL_MS));
    }

    /** Changes whenever a slot is given to another peer. */
    public long incarnation(int slot) {
        return memory.acquire(stateRecord(slot) + PeerStateRecord.INCARNATION);
    }

    /** Until when a reason stands at a slot. */
    public long reason(int slot, Reason reason) {
        return memory.relaxed(reasonWord(slot, reason));
    }

    int stateRecord(int slot) {
        return sections.statesOffset + bounded("slot", slot, sections.slots) * PeerStateRecord.SIZE;
    }

    private int reasonWord(int slot, Reason reason) {
        return stateRecord(slot) + PeerStateRecord.REASON + reason.ordinal() * Long.BYTES;
    }

    /**
     * Sets until when a reason stands for a peer. When its slot is given to another peer meanwhile, the value is taken back.
     *
     * @param untilMs 0: it does not stand; {@code ZoneLayout.FOREVER}: for ever
     * @return whether the slot was the peer's before and after
     * @throws IllegalArgumentException for {@link Reason#PASSIVE}, which only workers write
     */
    public boolean writeReason(int slot, long incarnation, Reason reason, long untilMs) {
        if (reason == Reason.PASSIVE) {
            throw new IllegalArgumentException("the passive reason is written by nginx workers only");
        }
        return write(slot, incarnation, reasonWord(slot, reason), untilMs);
    }

    /** Sets when a peer's ramp began; 0: it has none. Returns whether the slot was the peer's before and after. */
    public boolean writeRampStart(int slot, long incarnation, long rampStartMs) {
        return write(slot, incarnation, stateRecord(slot) + PeerStateRecord.RAMP_START_MS, rampStartMs);
    }

    /**
     * Sets when an operator took a peer out of traffic or let it back, or a verdict was lifted: before the word that does it,
     * so that who sees the one sees the other. Returns whether the slot was the peer's before and after.
     */
    public boolean writeChanged(int slot, long incarnation, long changedMs) {
        return write(slot, incarnation, stateRecord(slot) + PeerStateRecord.CHANGED_MS, changedMs);
    }

    private boolean write(int slot, long incarnation, int word, long value) {
        if (incarnation(slot) != incarnation) {
            return false;
        }
        memory.setRelease(word, value);
        // The store above comes before the second look: the master stores the new incarnation first, then 0 to the words,
        // so it either clears this value or is seen here.
        VarHandle.fullFence();
        if (incarnation(slot) == incarnation) {
            return true;
        }
        memory.compareAndSet(word, value, 0);
        return false;
    }

    // ---- hot keys

    /** The hot set of an upstream, as it was last written. */
    public HotSet hotSet(int upstream) {
        int record = hotSetRecord(upstream);
        int[] hashes = new int[ZoneLayout.HOT_CAPACITY];
        int[] replicas = new int[ZoneLayout.HOT_CAPACITY];
        for (int i = 0; i < hashes.length; i++) {
            long entry = memory.relaxed(record + HotSetRecord.ENTRIES + i * Long.BYTES);
            hashes[i] = (int) entry;
            replicas[i] = (int) Math.min(entry >>> 32, ZoneLayout.REPLICAS_LIMIT);
        }
        return new HotSet(memory.relaxed(record + HotSetRecord.UNTIL_MS), hashes, replicas);
    }

    /**
     * Writes the hot set of an upstream. Each entry is one word: workers that read meanwhile meet old and new ones, none in
     * between. An entry that stays where it was is there all the time.
     *
     * @param set at most {@code ZoneLayout.HOT_CAPACITY} entries; those of 0 replicas are none
     */
    public void writeHotSet(int upstream, HotSet set) {
        int record = hotSetRecord(upstream);
        long filter = 0;
        for (int i = 0; i < ZoneLayout.HOT_CAPACITY; i++) {
            boolean used = i < set.hashes().length && set.replicas()[i] > 0;
            long entry = used ? (long) set.replicas()[i] << 32 | Integer.toUnsignedLong(set.hashes()[i]) : 0;
            filter |= used ? 1L << (set.hashes()[i] >>> 26) : 0;
            memory.setRelaxed(record + HotSetRecord.ENTRIES + i * Long.BYTES, entry);
        }
        memory.setRelaxed(record + HotSetRecord.UNTIL_MS, set.untilMs());
        memory.setRelease(record + HotSetRecord.FILTER, filter);
    }

    private int hotSetRecord(int upstream) {
        return sections.hotSetsOffset + bounded("upstream", upstream, sections.upstreams) * HotSetRecord.SIZE;
    }

    /** A reader of the keys that workers leave in their rows, from now on. */
    public ZoneSamples samples() {
        return new ZoneSamples(memory, sections);
    }

    // ---- purges

    /** The purges of this zone; empty when the file has no room for any. */
    public Optional<ZonePurges> purges() {
        return sections.purgeSets == 0 ? Optional.empty()
                : Optional.of(new ZonePurges(memory, sections.purgesOffset, sections.purgeSets));
    }

    // ---- rows

    /** Whether a worker still runs. */
    @FunctionalInterface
    public interface Alive {
        /** Whether there is a process of that pid which started at that time (clock ticks since boot; 0: not known yet). */
        boolean isAlive(long pid, long start);
    }

    /** What all workers counted; in-flight requests of those that run. One pass over the rows. */
    public ZoneCounters counters(Alive alive) {
        return rows.sum(alive);
    }

    private static int bounded(String what, int index, int count) {
        if (index < 0 || index >= count) {
            throw new IndexOutOfBoundsException(what + " " + index + " of " + count);
        }
        return index;
    }
}
