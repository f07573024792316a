package io.atoll.agent.zone;

import java.util.ArrayList;
import java.util.List;

import io.atoll.core.liveness.Ramp;
import io.atoll.core.table.Table;
import io.atoll.core.zone.Peer;
import io.atoll.core.zone.PeerState;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.TableRead;
import io.atoll.core.zone.Upstream;
import io.atoll.core.zone.Zone;

/**
 * An upstream of the running configuration with the peers of its active table, as read at one epoch.
 *
 * @param upstream its settings
 * @param read     its table
 * @param members  its peers, in the order of the table; those that could not be read are missing
 */
record Pool(Upstream upstream, TableRead read, List<Member> members) {
    /**
     * A peer and its index in the table.
     */
    record Member(int index, Peer peer) {}

    static Pool read(Zone zone, Upstream upstream) {
        TableRead read = zone.table(upstream.index());
        List<Member> members = new ArrayList<>();
        if (read.isOk()) {
            for (int i = 0; i < read.table().peerCount(); i++) {
                int index = i;
                zone.peer(read.table().slot(i)).ifPresent(peer -> members.add(new Member(index, peer)));
            }
        }
        return new Pool(upstream, read, members);
    }

    Table table() {
        return read.table();
    }

    /** When a ramp that begins now for a peer begins: the present, or 0 for none; see {@link Ramp#begin}. */
    long rampStart(Zone zone, Peer back, long nowMs) {
        int servingInFull = 0;
        for (Member member : members) {
            Peer other = member.peer();
            if (other.slot() != back.slot() && other.isBackup() == back.isBackup() && !other.isDown()) {
                PeerState state = zone.state(other.slot());
                boolean ramping = Ramp.isRamping(state.rampStartMs(), upstream.slowStartMs(), nowMs);
                servingInFull += state.standsAny(nowMs) || ramping ? 0 : 1;
            }
        }
        return Ramp.begin(upstream.slowStartMs(), servingInFull, nowMs);
    }

    /**
     * Whether the workers' mass-failure guard is on: of the primary peers that operators let serve, fewer than
     * {@code atoll_panic} percent are free of other reasons, and no backup is.
     */
    boolean isGuarded(Zone zone, long nowMs) {
        int allowed = 0;
        int free = 0;
        for (Member member : members) {
            PeerState state = zone.state(member.peer().slot());
            if (member.peer().isDown() || state.stands(Reason.ADMIN, nowMs)) {
                continue;
            }
            boolean stands = state.standsAny(nowMs);
            if (member.peer().isBackup()) {
                if (!stands) {
                    return false;
                }
            } else {
                allowed++;
                free += stands ? 0 : 1;
            }
        }
        return allowed > 0 && free * 100L < (long) upstream.panicPercent() * allowed;
    }
}
