package io.atoll.core.table;

import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Which ring stays in a table as its previous one when members change, so that who owns a key now can ask who owned it
 * before. For whoever publishes a table; pure.
 *
 * <p>Twin: {@code atoll_previous_after} in nginx-module/writer/atoll_previous.h, which the nginx master asks at a start and
 * reload. See docs/architecture.md, "Handover, exactly".
 */
public final class Handover {
    /** Longest handover, milliseconds: 24 h. */
    public static final long LIMIT_MS = 86_400_000;

    private Handover() {}

    /**
     * A previous ring.
     *
     * @param members its peers in the order in which they were compiled; empty for none
     * @param untilMs until when it counts, CLOCK_MONOTONIC milliseconds; 0 for none
     */
    public record Previous(List<CompileRequest.Peer> members, long untilMs) {
        /** No previous ring. */
        public static final Previous NONE = new Previous(List.of(), 0);

        /** A copy of the members. */
        public Previous {
            members = List.copyOf(members);
        }
    }

    /**
     * The previous ring of a table of some members.
     *
     * <ul>
     *   <li>handover off, or no table before: none
     *   <li>no change: the previous ring of the table before, until then, while it is open; none afterwards
     *   <li>a change: the previous ring of the table before while it is open, else its primary ring; for the handover from now
     * </ul>
     *
     * <p>A change is another set of (server, weight, {@code down}): what moves keys. Order, addresses and limits do not
     * count. The oldest open ring stays over several changes, so that what was warm before the first is still found; but not
     * when it is just the ring that is wanted, since its members have what they had.
     *
     * @param before the primary ring of the table before; empty for none
     * @param older the previous ring of the table before
     * @param wanted the primary ring now, without backups
     * @param nowMs CLOCK_MONOTONIC milliseconds
     * @param handoverMs {@code atoll_handover}, 0 to {@value #LIMIT_MS}; 0 off
     */
    public static Previous after(List<CompileRequest.Peer> before, Previous older, List<CompileRequest.Peer> wanted, long nowMs,
            long handoverMs) {
        if (handoverMs < 0 || handoverMs > LIMIT_MS) {
            throw new IllegalArgumentException("handover is " + handoverMs + " ms, expected 0 to " + LIMIT_MS);
        }
        if (handoverMs == 0 || before.isEmpty()) {
            return Previous.NONE;
        }
        long until = nowMs + handoverMs;
        boolean open = !older.members().isEmpty() && nowMs < older.untilMs();
        Set<Kind> now = kinds(wanted);
        if (kinds(before).equals(now)) {
            return open ? new Previous(older.members(), Math.min(older.untilMs(), until)) : Previous.NONE;
        }
        return new Previous(open && !kinds(older.members()).equals(now) ? older.members() : before, until);
    }

    /** What decides which keys a peer owns. */
    private record Kind(String server, int weight, boolean down) {}

    private static Set<Kind> kinds(List<CompileRequest.Peer> members) {
        Set<Kind> kinds = new HashSet<>();
        for (CompileRequest.Peer peer : members) {
            kinds.add(new Kind(peer.server(), peer.weight(), (peer.flags() & PeerFlag.DOWN) != 0));
        }
        return kinds;
    }
}
