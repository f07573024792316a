package io.atoll.core.table;

import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Which rings stay in a table as its previous and its earlier one when members change, so that who owns a key now can ask who owned it
 * before. For whoever publishes a table; pure.
 *
 * <p>Twin: {@code atoll_previous_after} in nginx-module/writer/atoll_previous.h, which the nginx master asks at a start and
 * reload. See docs/architecture.md, "Handover, exactly".
 */
public final class Handover {
    /** Longest handover, milliseconds: 24 h. */
    public static final long LIMIT_MS = 86_400_000;

    /** Flags that decide, beside name and weight, which keys a peer owns. */
    public static final int PLACING_FLAGS = PeerFlag.DOWN | PeerFlag.MAGLEV;

    private Handover() {}

    /**
     * The rings before.
     *
     * @param members peers of the previous ring in the order in which they were compiled; empty for none
     * @param earlier peers of the earlier ring, likewise; empty without a previous one
     * @param untilMs until when they count, CLOCK_MONOTONIC milliseconds; 0 for none
     */
    public record Previous(List<CompileRequest.Peer> members, List<CompileRequest.Peer> earlier, long untilMs) {
        /** No rings before. */
        public static final Previous NONE = new Previous(List.of(), List.of(), 0);

        /** A copy of the members. */
        public Previous {
            members = List.copyOf(members);
            earlier = List.copyOf(earlier);
        }
    }

    /**
     * The rings before, of a table of some members.
     *
     * <ul>
     *   <li>handover off, or no table before: none
     *   <li>no change: those of the table before, until then, while they are open; none afterwards
     *   <li>a change: the primary ring of the table before; and as the earlier one, of a table whose rings before are open, its
     *       earlier one, else its previous one; for the handover from now
     * </ul>
     *
     * <p>A change is another set of (server, weight, {@code down}, {@code MAGLEV}): what moves keys. Order, addresses and limits do not
     * count. The oldest open ring stays over several changes, so that what was warm before the first is still found; but not
     * when it is just the ring that is wanted, since its members have what they had, or the one before.
     *
     * @param before the primary ring of the table before; empty for none
     * @param older the rings before of the table before
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
            return open ? new Previous(older.members(), older.earlier(), Math.min(older.untilMs(), until)) : Previous.NONE;
        }
        List<CompileRequest.Peer> earlier = List.of();
        for (List<CompileRequest.Peer> ring : open ? List.of(older.earlier(), older.members()) : List.<List<CompileRequest.Peer>>of()) {
            Set<Kind> kinds = kinds(ring);
            if (earlier.isEmpty() && !kinds.equals(now) && !kinds.equals(kinds(before))) {
                earlier = ring;
            }
        }
        return new Previous(before, earlier, until);
    }

    /** What decides which keys a peer owns. */
    private record Kind(String server, int weight, int flags) {}

    private static Set<Kind> kinds(List<CompileRequest.Peer> members) {
        Set<Kind> kinds = new HashSet<>();
        for (CompileRequest.Peer peer : members) {
            kinds.add(new Kind(peer.server(), peer.weight(), peer.flags() & PLACING_FLAGS));
        }
        return kinds;
    }
}
