package io.atoll.core.zone;

import io.atoll.core.table.CompileRequest;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A table that {@link TablePublisher#publish} can put into force: worked out, with room for it found, and nothing of it written yet. Good for
 * as long as the lock is held under which it was planned. One thread.
 */
public final class PlannedTable {
    static final int NO_SLOT = -1;

    final Upstream upstream;
    final long configEpoch;
    final List<Member> wanted;
    /** Of each member wanted: whether the table names it, and its slot. */
    final boolean[] inTable;
    final int[] slots;
    ByteBuffer table;

    /** Peers of the previous ring, then of the earlier one. */
    List<Placed> previous;
    final long handoverUntilMs;

    /** Slots that the table in force names; those of them that this one does not; those that are given to somebody else. */
    final Set<Integer> serving = new HashSet<>();
    final Set<Integer> leaving = new HashSet<>();
    final Set<Integer> fresh = new HashSet<>();
    /** Slots of the upstream's peers, and those given to peers of rings before that have none. */
    final Map<Key, Integer> known = new HashMap<>();
    final Map<Integer, Member> strangers = new HashMap<>();

    /** Which of the two buffers, where both are to lie, and the bytes of each. */
    int buffer;
    long[] offset;
    long capacity;

    PlannedTable(Upstream upstream, List<Member> wanted, long configEpoch, List<Placed> previous, long handoverUntilMs) {
        this.upstream = upstream;
        this.wanted = List.copyOf(wanted);
        this.configEpoch = configEpoch;
        this.previous = previous;
        this.handoverUntilMs = handoverUntilMs;
        this.inTable = new boolean[wanted.size()];
        this.slots = new int[wanted.size()];
    }

    /** Bytes of the table. */
    public int tableLength() {
        return table.limit();
    }

    /** A peer of a ring, and its slot; or the member that has yet to get one. */
    record Placed(CompileRequest.Peer peer, int slot, Member stranger) {
        Placed(CompileRequest.Peer peer, int slot) {
            this(peer, slot, null);
        }

        Placed in(int ringFlag) {
            return new Placed(peer.withFlags(peer.flags() | ringFlag), slot, stranger);
        }

        static List<CompileRequest.Peer> peers(List<Placed> placed) {
            return placed.stream().map(Placed::peer).toList();
        }
    }

    /** What a slot hangs on. */
    record Key(String server, String address, int ordinal) {
        static Key of(Peer peer) {
            return new Key(peer.server(), peer.address(), peer.ordinal());
        }

        static Key of(Member member) {
            return new Key(member.server(), member.address(), member.ordinal());
        }
    }
}
