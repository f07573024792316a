package io.atoll.core.zone;

import io.atoll.core.table.Table;

/**
 * What reading the active table of an upstream answers.
 *
 * @param status whether there is one
 * @param published the word that led to it, to see later whether another has been published
 * @param table a private copy, or null unless status is OK
 * @param detail what was wrong, else empty
 */
public record TableRead(Status status, long published, Table table, String detail) {
    /** The same names as {@code ATOLL_TABLE_*}. */
    public enum Status {
        /** A table. */
        OK,
        /** The upstream has published nothing yet. */
        NONE,
        /** It changed while it was read, three times in a row; try again. */
        TORN,
        /** Its bytes contradict themselves. */
        INVALID
    }

    /** Whether there is a table. */
    public boolean isOk() {
        return status == Status.OK;
    }
}
