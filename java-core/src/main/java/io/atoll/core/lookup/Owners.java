package io.atoll.core.lookup;

import io.atoll.core.ring.Crc32;
import io.atoll.core.table.Table;
import java.util.ArrayList;
import java.util.List;

/**
 * Who is asked for a key, without asking: nothing is counted, no trial taken, no weight moved. Bounds do not count: the
 * owner of a key is the same however busy it is. Not thread-safe; cheap to make. Twin: {@code atoll_owner}.
 */
public final class Owners {
    private final Table table;
    private final Search search;

    /**
     * Over a table and the words of its peers.
     *
     * @param slowStartMs {@code atoll_slow_start}, 0 off
     * @param panicPercent {@code atoll_panic}, 0 off
     */
    public Owners(Table table, PeerWords words, int slowStartMs, int panicPercent) {
        this.table = table;
        this.search = new Search(table, words, null, slowStartMs, panicPercent, 0);
    }

    /** The peer that is asked first now, by index in the table; {@link Walk#NONE} when none is eligible. */
    public int owner(int hash, long nowMs) {
        return search.next(Walk.ofKey(hash), nowMs);
    }

    /** {@link #owner(int, long)} of a key, as UTF-8. */
    public int owner(String key, long nowMs) {
        return owner(Crc32.of(key), nowMs);
    }

    /** The first peers that are asked now when each before fails, by index in the table. */
    public List<Integer> order(int hash, int most, long nowMs) {
        List<Integer> order = new ArrayList<>();
        Walk walk = Walk.ofKey(hash);
        while (order.size() < most) {
            int peer = search.next(walk, nowMs);
            if (peer == Walk.NONE) {
                break;
            }
            walk.give(peer, table.slot(peer));
            order.add(peer);
            if (table.isSingle()) {
                break;
            }
        }
        return order;
    }
}
