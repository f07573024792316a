package io.atoll.core.lookup;

import io.atoll.core.zone.Reason;
import io.atoll.core.zone.Zone;
import io.atoll.core.zone.ZoneCounters;

/** Peer words read from a zone; requests in flight as they were counted once. */
public final class ZoneWords implements PeerWords {
    private final Zone zone;
    private final ZoneCounters counters;

    /**
     * The present words of a zone.
     *
     * @param counters of the same zone, for the requests in flight
     */
    public ZoneWords(Zone zone, ZoneCounters counters) {
        this.zone = zone;
        this.counters = counters;
    }

    @Override
    public long incarnation(int slot) {
        return zone.incarnation(slot);
    }

    @Override
    public long reason(int slot, Reason reason) {
        return zone.reason(slot, reason);
    }

    @Override
    public long rampStartMs(int slot) {
        return zone.state(slot).rampStartMs();
    }

    @Override
    public long changedMs(int slot) {
        return zone.state(slot).changedMs();
    }

    @Override
    public long avoidUntilMs(int slot) {
        return zone.state(slot).avoidUntilMs();
    }

    @Override
    public int fails(int slot) {
        return zone.state(slot).fails();
    }

    @Override
    public long inflight(int slot) {
        return counters.inflight(slot);
    }
}
