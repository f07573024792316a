package io.atoll.agent.store;

import java.util.Locale;

import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * What an operator decided about a peer: it gets no traffic until {@code untilMs}, or until lifted.
 *
 * @param peer       whom
 * @param kind       drain or maintenance
 * @param untilMs    end on the monotonic clock of the boot {@code boot}; {@link #FOREVER} for none
 * @param untilWall  the same end in milliseconds of wall-clock time, for another boot; {@link #FOREVER} for none
 * @param boot       hexadecimal identity of the kernel that {@code untilMs} counts on
 * @param note       the operator's words, may be empty
 */
public record AdminDecision(PeerName peer, Kind kind, long untilMs, long untilWall, String boot, String note)
        implements JournalRecord {
    /** No end: stands until lifted. */
    public static final long FOREVER = Long.MAX_VALUE;

    /** Words of the API and the CLI. */
    public enum Kind { DRAIN, MAINTENANCE }

    public boolean isForever() {
        return untilWall == FOREVER;
    }

    /**
     * The end on the monotonic clock of this boot. After a restart of the machine the wall clock is all there is; a
     * jump of it can then shorten or lengthen what is left.
     */
    public long untilMs(String thisBoot, long nowMs, long nowWall) {
        if (isForever() || boot.equals(thisBoot)) {
            return untilMs;
        }
        return nowMs + Math.max(0, untilWall - nowWall);
    }

    @Override
    public JournalKey key() {
        return peer;
    }

    @Override
    public ObjectNode json() {
        ObjectNode record = peer.removal().put("kind", kind.name().toLowerCase(Locale.ROOT));
        if (!isForever()) {
            record.put("until_ms", untilMs).put("until_wall", untilWall);
        }
        return record.put("boot", boot).put("note", note);
    }
}
