package io.atoll.core.table;

/** A compile request that cannot be served; the message is one sentence for whoever runs nginx. */
public final class CompileException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** With the sentence to show. */
    public CompileException(String message) {
        super(message);
    }
}
