package io.atoll.core.table;

/** Bytes that are not a table: they contradict themselves. The message says where. */
public final class InvalidTableException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** With what was found and what was expected. */
    public InvalidTableException(String message) {
        super(message);
    }
}
