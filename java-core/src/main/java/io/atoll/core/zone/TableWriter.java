package io.atoll.core.zone;

import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.PeerIdentityRecord;
import io.atoll.core.zone.ZoneLayout.PeerLife;
import io.atoll.core.zone.ZoneLayout.PeerStateRecord;
import io.atoll.core.zone.ZoneLayout.TablePeerRecord;
import io.atoll.core.zone.ZoneLayout.TableRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Writes a planned table into the zone, in an order in which its process may die between any two stores: first who the peers are, then
 * the table beside the active one, then the store that publishes it.
 */
final class TableWriter {
    private static final long COUNT_LIMIT = 1L << 62;

    private final Zone zone;
    private final ZoneMemory memory;
    private final ZoneCheck sections;
    private final Runnable step;

    /** @param step called before each store, for tests that end there */
    TableWriter(Zone zone, Runnable step) {
        this.zone = zone;
        this.memory = zone.memory;
        this.sections = zone.sections;
        this.step = step;
    }

    /** See {@link TablePublisher#publish}. */
    long write(PlannedTable plan, long nowMs) {
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

    private static boolean goesOn(PlannedTable plan) {
        for (int i = 0; i < plan.slots.length; i++) {
            if (plan.inTable[i] && !plan.wanted.get(i).isDown() && plan.serving.contains(plan.slots[i])) {
                return true;
            }
        }
        return false;
    }

    /** Takes a slot away from whoever had it, and gives it its name: renew_slot, name_slot of atoll_zone_publish.c. */
    private void nameSlot(PlannedTable plan, int slot, Member member, long incarnation) {
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
        setLong(state + PeerStateRecord.AVOID_UNTIL_MS, 0);
        setLong(state + PeerStateRecord.UNANSWERED, 0);
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
    private void describeStranger(PlannedTable plan, int slot, Member member) {
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

    private void describe(PlannedTable plan, int index, long rampStartMs) {
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
    private void forget(PlannedTable plan, int slot) {
        for (int i = 0; i < plan.slots.length; i++) {
            if (plan.slots[i] == slot) {
                return;
            }
        }
        setInt(zone.identityRecord(slot) + PeerIdentityRecord.FLAGS, 0);
        setInt(zone.identityRecord(slot) + PeerIdentityRecord.CONF_WEIGHT, 0);
    }

    private void writeTable(PlannedTable plan, long epoch) {
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
