package io.atoll.agent.zone;

import java.util.List;

import io.atoll.core.zone.Peer;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.Zone;

/**
 * What the agent writes about the peers of one attached zone file, with the peers as they were read last. On the agent's event loop, while the zone is its own.
 */
final class PeerWriter {
    private final Zone zone;
    private List<Pool> pools = List.of();

    PeerWriter(Zone zone) {
        this.zone = zone;
    }

    Zone zone() {
        return zone;
    }

    List<Pool> pools() {
        return pools;
    }

    void setPools(List<Pool> read) {
        pools = read;
    }

    /** @throws IllegalStateException for a peer that is not among those that were read */
    Pool poolOf(Peer peer) {
        for (Pool pool : pools) {
            if (pool.upstream().index() == peer.upstream()) {
                return pool;
            }
        }
        throw new IllegalStateException("peer " + peer + " is of no upstream");
    }

    /** Begins a ramp for a peer whose reason is about to be lifted: before, so that no worker sees it without one. */
    void ramp(Peer peer, long now) {
        long start = poolOf(peer).rampStart(zone, peer, now);
        if (start != zone.state(peer.slot()).rampStartMs()) {
            zone.writeRampStart(peer.slot(), peer.incarnation(), start);
        }
    }

    void write(Peer peer, Reason reason, long word) {
        if (zone.reason(peer.slot(), reason) != word) {
            zone.writeReason(peer.slot(), peer.incarnation(), reason, word);
        }
    }

    void changed(Peer peer, long now) {
        zone.writeChanged(peer.slot(), peer.incarnation(), now);
    }
}
