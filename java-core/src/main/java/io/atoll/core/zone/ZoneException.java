package io.atoll.core.zone;

/** The zone cannot be used, or a part of it contradicts itself: its bytes are input, and this is the answer to bad ones. */
public final class ZoneException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final AttachResult result;

    /** A zone that could not be attached. */
    public ZoneException(AttachResult result, String detail) {
        super("zone: " + result + ", " + result.text() + (detail.isEmpty() ? "" : " (" + detail + ")"));
        this.result = result;
    }

    /** A part of an attached zone that is wrong. */
    public ZoneException(String message) {
        super("zone: " + message);
        this.result = AttachResult.OK;
    }

    /** Why attaching failed; OK when a part was wrong afterwards. */
    public AttachResult result() {
        return result;
    }
}
