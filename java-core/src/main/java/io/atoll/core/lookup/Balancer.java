package io.atoll.core.lookup;

import io.atoll.core.liveness.Ramp;
import io.atoll.core.table.Table;
import io.atoll.core.zone.Reason;

/**
 * Gives peers to requests and takes in how they did, as a worker does with one table. Not thread-safe. Twin:
 * {@code atoll_pick}, {@code atoll_done} in nginx-module/reader/atoll_balance.c.
 */
public final class Balancer {
    private final Table table;
    private final WorkerWords words;
    private final Search search;

    /**
     * Over a table and the words of its peers.
     *
     * @param slowStartMs {@code atoll_slow_start}, 0 off
     * @param panicPercent {@code atoll_panic}, 0 off
     */
    public Balancer(Table table, WorkerWords words, int slowStartMs, int panicPercent) {
        this(table, words, slowStartMs, panicPercent, 0);
    }

    /**
     * The same with bounded load.
     *
     * @param boundPercent {@code bound=} of {@code atoll} in percent, 101 to 1000; 0 off
     */
    public Balancer(Table table, WorkerWords words, int slowStartMs, int panicPercent, int boundPercent) {
        this.table = table;
        this.words = words;
        this.search = new Search(table, words, words, slowStartMs, panicPercent, boundPercent);
    }

    /** The next peer for a request, by index in the table; {@link Walk#NONE} when none is left. */
    public int pick(Walk walk, long nowMs) {
        int peer = search.next(walk, nowMs);
        if (peer == Walk.NONE) {
            walk.peer = Walk.NONE;
            return peer;
        }
        walk.give(peer, table.slot(peer));
        words.addInflight(table.slot(peer), 1);
        return peer;
    }

    /** Reports how the peer picked last did; a second call does nothing. */
    public void done(Walk walk, long nowMs, boolean failed) {
        int peer = walk.peer;
        if (peer == Walk.NONE) {
            return;
        }
        walk.peer = Walk.NONE;
        words.addInflight(table.slot(peer), -1);
        if (table.isSingle()) {
            return;
        }
        if (failed) {
            failed(peer, nowMs);
        } else if (words.fails(table.slot(peer)) != 0) {
            succeeded(peer, nowMs);
        }
    }

    private void failed(int peer, long nowMs) {
        int slot = table.slot(peer);
        int maxFails = table.maxFails(peer);
        if (maxFails != 0) {
            int less = search.effectiveWeight[peer] - Integer.divideUnsigned(table.weight(peer), maxFails);
            search.effectiveWeight[peer] = Math.max(0, less);
        }
        if (!search.isPresent(peer)) {
            return;
        }
        int fails = words.fails(slot) + 1;
        words.setFails(slot, fails);
        words.setAccessedMs(slot, nowMs);
        words.setCheckedMs(slot, nowMs);
        if (maxFails != 0 && Integer.compareUnsigned(fails, maxFails) >= 0) {
            words.compareAndSetPassive(slot, words.reason(slot, Reason.PASSIVE),
                    nowMs + Integer.toUnsignedLong(table.failTimeoutMs(peer)));
        }
    }

    private void succeeded(int peer, long nowMs) {
        int slot = table.slot(peer);
        if (!search.isPresent(peer) || Long.compareUnsigned(words.accessedMs(slot), words.checkedMs(slot)) >= 0) {
            return;
        }
        long passive = words.reason(slot, Reason.PASSIVE);
        if (passive != 0) {
            if (search.slowStartMs != 0 && !Ramp.isRamping(words.rampStartMs(slot), search.slowStartMs, nowMs)) {
                words.setRampStartMs(slot, nowMs);
            }
            if (!words.compareAndSetPassive(slot, passive, 0)) {
                return;
            }
        }
        words.setFails(slot, 0);
    }
}
