package io.atoll.agent.api;

import java.io.IOException;
import java.nio.file.Path;

/** A call that cannot be answered: what, where, what was expected, how to mend it. */
public final class ApiException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final int status;
    private final String where;
    private final String expected;
    private final String fix;

    public ApiException(int status, String what, String where, String expected, String fix) {
        super(what);
        this.status = status;
        this.where = where;
        this.expected = expected;
        this.fix = fix;
    }

    /** Nothing was done, since it could not be made to last. */
    public static ApiException notRecorded(String what, Path journal, IOException problem) {
        return new ApiException(503, "The " + what + " cannot be recorded: " + problem, journal.toString(),
                "a journal that can be written", "make room or mend the permissions of its folder, then try again");
    }

    public int status() {
        return status;
    }

    public String where() {
        return where;
    }

    public String expected() {
        return expected;
    }

    public String fix() {
        return fix;
    }
}
