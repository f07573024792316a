package io.atoll.agent.dns;

import java.util.List;

/**
 * What a question led to.
 *
 * @param values of FOUND, one or more; else none
 * @param ttl    of FOUND, seconds for which the answer holds; {@link #NO_TTL} for one that says nothing about it
 * @param detail what went wrong and with whom; empty when nothing did
 */
record Answer<T>(Status status, List<T> values, long ttl, String detail) {
    /** Of the hosts file. */
    static final long NO_TTL = -1;

    /** Kinds of answers. */
    enum Status {
        /** There is something. */
        FOUND,
        /** Who knows says that there is no such name, or nothing of that kind. */
        NONE,
        /** Nobody could say. */
        FAILED
    }

    static <T> Answer<T> found(List<T> values, long ttl) {
        return new Answer<>(Status.FOUND, List.copyOf(values), ttl, "");
    }

    static <T> Answer<T> none(String detail) {
        return new Answer<>(Status.NONE, List.of(), NO_TTL, detail);
    }

    static <T> Answer<T> failed(String detail) {
        return new Answer<>(Status.FAILED, List.of(), NO_TTL, detail);
    }

    boolean isFound() {
        return status == Status.FOUND;
    }

    boolean isFailed() {
        return status == Status.FAILED;
    }
}
