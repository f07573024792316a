package io.atoll.core.lookup;

import io.atoll.core.table.Table;
import io.atoll.core.zone.ZoneLayout;
import java.util.Arrays;

/** One request on its way along the rings: where it stands, and whom it was given already. Twin: {@code atoll_walk_t}. */
public final class Walk {
    /** No peer. */
    public static final int NONE = -1;

    final int hash;
    final boolean keyed;
    private boolean unguarded;
    Table table;
    int ring = ZoneLayout.Ring.PRIMARY;
    int point;
    int peer = NONE;
    int picks;
    private int[] tried = new int[4];
    private int triedCount;

    /** The walk of a key, by its CRC-32. */
    public static Walk ofKey(int hash) {
        return new Walk(hash, true);
    }

    /** The walk of a request with an empty key: weighted round robin, as nginx. */
    public static Walk withoutKey() {
        return new Walk(0, false);
    }

    private Walk(int hash, boolean keyed) {
        this.hash = hash;
        this.keyed = keyed;
    }

    /**
     * Reasons count whatever the guard says: in a route the next tier serves when none is eligible.
     *
     * @return this walk
     */
    public Walk unguarded() {
        unguarded = true;
        return this;
    }

    boolean isUnguarded() {
        return unguarded;
    }

    /** The peer picked last and not reported yet, by index in the table; {@link #NONE}. */
    public int peer() {
        return peer;
    }

    /** Picks so far. */
    public int picks() {
        return picks;
    }

    boolean isTried(int slot) {
        for (int i = 0; i < triedCount; i++) {
            if (tried[i] == slot) {
                return true;
            }
        }
        return false;
    }

    void give(int index, int slot) {
        if (triedCount == tried.length) {
            tried = Arrays.copyOf(tried, 2 * triedCount);
        }
        tried[triedCount++] = slot;
        peer = index;
        picks++;
    }

    /** Step 1: from the first point of the primary ring, when nothing was picked from this table yet. */
    void enter(Table next) {
        if (table != next) {
            table = next;
            restart();
        }
    }

    /** Back to the first point of the primary ring; who was given stays given. */
    void restart() {
        ring = ZoneLayout.Ring.PRIMARY;
        point = table.find(ring, hash);
    }
}
