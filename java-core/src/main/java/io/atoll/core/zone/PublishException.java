package io.atoll.core.zone;

/** A table that cannot be published; nothing was changed. The message says what, and how to mend it. */
public final class PublishException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** Why. */
    public enum Cause {
        /** The zone has no room for the table, or no slot for a peer. */
        NO_ROOM,
        /** There is no sound table of the upstream, or its peers cannot be read. */
        NO_TABLE,
        /** A name or an address is longer than the zone holds. */
        TOO_LONG
    }

    private final Cause why;

    PublishException(Cause why, String message) {
        super(message);
        this.why = why;
    }

    /** Why. */
    public Cause why() {
        return why;
    }
}
