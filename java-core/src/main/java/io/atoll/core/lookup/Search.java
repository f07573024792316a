package io.atoll.core.lookup;

import io.atoll.core.liveness.Ramp;
import io.atoll.core.table.Table;
import io.atoll.core.zone.Reason;
import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZoneLayout.PeerFlag;

/**
 * The search for the next peer of a request: docs/architecture.md, "The walk, exactly". Twin: atoll_walk.c, in the order
 * of its functions. Peers are indices of the table.
 */
final class Search {
    /** Points walked in vain before each peer of the ring is looked at once. */
    private static final int VAIN_POINTS = 32;
    /** How long the guard and the weight in traffic hold before they are worked out again. */
    private static final long GUARD_INTERVAL_MS = 50;

    /** Who may be taken among the eligible, by their ramp. */
    private enum Filter {
        ANY,
        /** Without those whose ramp leaves this key elsewhere. */
        ACCEPTING,
        /** Without those in a ramp. */
        STEADY
    }

    final Table table;
    final PeerWords words;
    final WorkerWords worker;
    final int slowStartMs;
    final int panicPercent;
    final int boundPercent;
    final long[] incarnations;
    final int[] effectiveWeight;
    private final long[] currentWeight;
    private boolean guard;
    private long guardCheckedMs;
    private final long[] boundWeight = new long[2];
    private long boundCheckedMs;

    // Of the present call.
    private Walk walk;
    private long now;
    private boolean first;
    private boolean seen;
    private boolean bounded;
    private boolean over;
    private boolean summed;
    private long inflight;

    /**
     * Over a table and the peers that its slots are now.
     *
     * @param worker the same words, to take trials and move weights; null: only asking
     */
    Search(Table table, PeerWords words, WorkerWords worker, int slowStartMs, int panicPercent, int boundPercent) {
        this.table = table;
        this.words = words;
        this.worker = worker;
        this.slowStartMs = slowStartMs;
        this.panicPercent = panicPercent;
        this.boundPercent = boundPercent;
        incarnations = new long[table.peerCount()];
        effectiveWeight = new int[table.peerCount()];
        currentWeight = new long[table.peerCount()];
        for (int peer = 0; peer < table.peerCount(); peer++) {
            incarnations[peer] = words.incarnation(table.slot(peer));
            effectiveWeight[peer] = table.weight(peer);
        }
    }

    /** The next peer; its trial, if it takes one, is won. {@link Walk#NONE} when none is left in both rings. */
    int next(Walk ofWalk, long nowMs) {
        walk = ofWalk;
        now = nowMs;
        first = walk.picks == 0;
        summed = false;
        walk.enter(table);
        if (table.isSingle()) {
            return isAllowed(0) && hasRoom(0) ? 0 : Walk.NONE;
        }
        int peer = searchRings();
        if (peer == Walk.NONE && isNewlyGuarded()) {
            walk.restart();
            peer = searchRings();
        }
        return peer;
    }

    private int searchRings() {
        int peer = searchWithinBounds();
        if (peer == Walk.NONE && walk.ring == ZoneLayout.Ring.PRIMARY) {
            walk.ring = ZoneLayout.Ring.BACKUPS;
            walk.point = table.find(walk.ring, walk.hash);
            peer = searchWithinBounds();
        }
        return peer;
    }

    /** When each peer that is left in the ring is at its bound, none of them is bound. */
    private int searchWithinBounds() {
        boolean wasFirst = first;
        int point = walk.point;
        over = false;
        bounded = boundPercent != 0 && worker != null;
        int peer = searchPeers();
        if (peer == Walk.NONE && over) {
            bounded = false;
            first = wasFirst;
            walk.point = point;
            peer = searchPeers();
        }
        return peer;
    }

    private int searchPeers() {
        if (table.ringPeers(walk.ring) == 0) {
            return Walk.NONE;
        }
        return walk.keyed ? searchPoints() : take(table.firstPeer(walk.ring), table.ringPeers(walk.ring), Filter.ANY);
    }

    /**
     * Once around the ring at most. A first pick that meets a peer whose ramp leaves the key elsewhere holds it in reserve
     * and goes on to the next eligible one; when that is in a ramp too, or there is none, the one in reserve serves.
     */
    private int searchPoints() {
        int points = table.pointCount(walk.ring);
        int point = walk.point;
        int last = -1;
        int reserve = -1;
        int reservePoint = -1;
        for (int steps = 0; steps < points; steps++, point = point + 1 < points ? point + 1 : 0) {
            if (steps == VAIN_POINTS && !isAnyEligible(reserve)) {
                break;
            }
            int group = table.pointGroup(walk.ring, point);
            if (group == last || group == reserve) {
                continue;
            }
            last = group;
            Filter filter = !first ? Filter.ANY : reserve < 0 ? Filter.ACCEPTING : Filter.STEADY;
            int peer = take(table.groupFirstPeer(group), table.groupPeers(group), filter);
            if (peer != Walk.NONE) {
                walk.point = point;
                return peer;
            }
            if (seen) {
                if (reserve >= 0) {
                    break;
                }
                reserve = group;
                reservePoint = point;
            }
        }
        return reserve < 0 ? Walk.NONE : takeReserve(reserve, reservePoint);
    }

    private int takeReserve(int group, int point) {
        walk.point = point;
        first = false;
        int peer = take(table.groupFirstPeer(group), table.groupPeers(group), Filter.ANY);
        return peer != Walk.NONE ? peer : searchPoints();
    }

    /**
     * One of count addresses by smooth weighted round robin (nginx: ngx_http_upstream_get_chash_peer, get_peer), among
     * equals the first in nginx.conf. An address whose trial another worker won is not eligible when looked at again.
     */
    private int take(int from, int count, Filter filter) {
        for (int attempt = 0; attempt <= count; attempt++) {
            int best = bestOf(from, count, filter);
            if (best == Walk.NONE || worker == null) {
                return best;
            }
            if (winTrial(best)) {
                moveWeights(from, count, filter, best);
                return best;
            }
        }
        return Walk.NONE;
    }

    /** Sets {@link #seen} when one of them is eligible, whatever its ramp says. */
    private int bestOf(int from, int count, Filter filter) {
        seen = false;
        int best = Walk.NONE;
        long bestWeight = 0;
        for (int peer = from; peer < from + count; peer++) {
            if (!isEligible(peer)) {
                continue;
            }
            seen = true;
            long weight = currentWeight[peer] + effectiveWeight[peer];
            if (fits(peer, filter) && (best == Walk.NONE || weight > bestWeight
                    || weight == bestWeight && table.source(peer) < table.source(best))) {
                best = peer;
                bestWeight = weight;
            }
        }
        return best;
    }

    /** A peer that had failed and whose time is over is tried by one request in the whole nginx. */
    private boolean winTrial(int peer) {
        int slot = table.slot(peer);
        int fails = words.fails(slot);
        if (fails == 0 || !isPresent(peer)) {
            return true;
        }
        long until = words.reason(slot, Reason.PASSIVE);
        long failTimeout = Integer.toUnsignedLong(table.failTimeoutMs(peer));
        boolean failed = table.maxFails(peer) != 0 && Integer.compareUnsigned(fails, table.maxFails(peer)) >= 0;
        if (until != 0 && !isAfterNow(until) && failed) {
            if (!worker.compareAndSetPassive(slot, until, now + failTimeout)) {
                return false;
            }
            worker.setCheckedMs(slot, now);
        } else if (Long.compareUnsigned(now - worker.checkedMs(slot), failTimeout) > 0) {
            worker.setCheckedMs(slot, now);
        }
        return true;
    }

    private void moveWeights(int from, int count, Filter filter, int best) {
        long total = 0;
        for (int peer = from; peer < from + count; peer++) {
            if (peer != best && !(isEligible(peer) && fits(peer, filter))) {
                continue;
            }
            currentWeight[peer] += effectiveWeight[peer];
            total += effectiveWeight[peer];
            if (effectiveWeight[peer] < table.weight(peer)) {
                effectiveWeight[peer]++;
            }
        }
        currentWeight[best] -= total;
    }

    private boolean isEligible(int peer) {
        return (table.flags(peer) & PeerFlag.DOWN) == 0 && !walk.isTried(table.slot(peer))
                && isAllowed(peer) && hasRoom(peer) && (isWell(peer) || !walk.isUnguarded() && isGuarded())
                && isWithinBound(peer);
    }

    /** Whether a peer of the ring is eligible, those of one group aside. */
    private boolean isAnyEligible(int exceptGroup) {
        int from = table.firstPeer(walk.ring);
        for (int peer = from; peer < from + table.ringPeers(walk.ring); peer++) {
            if (table.group(peer) != exceptGroup && isEligible(peer)) {
                return true;
            }
        }
        return false;
    }

    /** Asked last: only the bound may speak against the peer. */
    private boolean isWithinBound(int peer) {
        if (!bounded || !isPresent(peer)) {
            return true;
        }
        refreshBound();
        if (Bound.admits(boundPercent, words.inflight(table.slot(peer)), inflight, table.weight(peer),
                boundWeight[table.ring(peer)])) {
            return true;
        }
        over = true;
        return false;
    }

    /** The requests in flight are summed up once a search; who shares them, as the guard, every 50 ms. */
    private void refreshBound() {
        if (boundCheckedMs == 0 || now - boundCheckedMs >= GUARD_INTERVAL_MS) {
            boolean guarded = !walk.isUnguarded() && isGuarded();
            boundWeight[ZoneLayout.Ring.PRIMARY] = 0;
            boundWeight[ZoneLayout.Ring.BACKUPS] = 0;
            boundCheckedMs = now;
            for (int peer = 0; peer < table.peerCount(); peer++) {
                if (isAllowed(peer) && (guarded || isWell(peer))) {
                    boundWeight[table.ring(peer)] += weightInTraffic(peer);
                }
            }
        }
        if (!summed) {
            summed = true;
            inflight = worker.upstreamInflight();
        }
    }

    /** In a ramp, the part of its keys that the peer has taken over. */
    private long weightInTraffic(int peer) {
        long start = words.rampStartMs(table.slot(peer));
        boolean ramps = slowStartMs != 0 && isPresent(peer) && Ramp.isRamping(start, slowStartMs, now);
        return ramps ? table.weight(peer) * (now - start) / slowStartMs : table.weight(peer);
    }

    private boolean hasRoom(int peer) {
        int most = table.maxConns(peer);
        return most == 0 || !isPresent(peer) || words.inflight(table.slot(peer)) < Integer.toUnsignedLong(most);
    }

    private boolean fits(int peer, Filter filter) {
        if (filter == Filter.ANY || slowStartMs == 0 || !isPresent(peer)) {
            return true;
        }
        long start = words.rampStartMs(table.slot(peer));
        return !Ramp.isRamping(start, slowStartMs, now)
                || filter == Filter.ACCEPTING && Ramp.takes(walk.hash, start, slowStartMs, now);
    }

    /** By nginx.conf and the operators. */
    private boolean isAllowed(int peer) {
        return (table.flags(peer) & PeerFlag.DOWN) == 0 && (!isPresent(peer) || !stands(peer, Reason.ADMIN));
    }

    /** By probes and requests. */
    private boolean isWell(int peer) {
        return !isPresent(peer)
                || !stands(peer, Reason.PROBE) && !stands(peer, Reason.QUORUM) && !stands(peer, Reason.PASSIVE);
    }

    private boolean stands(int peer, Reason reason) {
        return isAfterNow(words.reason(table.slot(peer), reason));
    }

    private boolean isAfterNow(long ms) {
        return Long.compareUnsigned(ms, now) > 0;
    }

    /** Words of the slot are about this peer. */
    boolean isPresent(int peer) {
        return words.incarnation(table.slot(peer)) == incarnations[peer];
    }

    /** The guard was off when it was worked out, and is on now: nobody is told that none is left by an old one. */
    private boolean isNewlyGuarded() {
        if (walk.isUnguarded() || guard || guardCheckedMs == now) {
            return false;
        }
        guardCheckedMs = 0;
        return isGuarded();
    }

    /**
     * Mass failure: of the primary peers that operators let serve, fewer than panic_percent are well, and no backup is. Then it
     * is likelier that the judgement is wrong than that so many peers are gone.
     */
    private boolean isGuarded() {
        if (panicPercent == 0 || guardCheckedMs != 0 && now - guardCheckedMs < GUARD_INTERVAL_MS) {
            return panicPercent != 0 && guard;
        }
        long allowed = 0;
        long well = 0;
        boolean backup = false;
        for (int peer = 0; peer < table.peerCount(); peer++) {
            if (!isAllowed(peer)) {
                continue;
            }
            if (table.ring(peer) == ZoneLayout.Ring.PRIMARY) {
                allowed++;
                well += isWell(peer) ? 1 : 0;
            } else {
                backup |= isWell(peer);
            }
        }
        guard = !backup && well * 100 < allowed * panicPercent;
        guardCheckedMs = now;
        return guard;
    }
}
