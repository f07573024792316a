package io.atoll.agent.probe;

import java.nio.charset.StandardCharsets;

import io.netty.util.ByteProcessor;

/** Looks for a byte string in a stream without keeping the stream (Knuth, Morris, Pratt 1977). */
final class StreamSearch implements ByteProcessor {
    private final byte[] wanted;
    private final int[] fallback;
    private int matched;

    /** @param wanted looked for as UTF-8; empty is found at once */
    StreamSearch(String wanted) {
        this.wanted = wanted.getBytes(StandardCharsets.UTF_8);
        this.fallback = new int[this.wanted.length];
        for (int i = 1, length = 0; i < this.wanted.length; i++) {
            while (length > 0 && this.wanted[i] != this.wanted[length]) {
                length = fallback[length - 1];
            }
            length += this.wanted[i] == this.wanted[length] ? 1 : 0;
            fallback[i] = length;
        }
    }

    boolean isFound() {
        return matched == wanted.length;
    }

    /** Takes the next byte; false once the string was found. */
    @Override
    public boolean process(byte next) {
        if (isFound()) {
            return false;
        }
        while (matched > 0 && wanted[matched] != next) {
            matched = fallback[matched - 1];
        }
        matched += wanted[matched] == next ? 1 : 0;
        return !isFound();
    }
}
