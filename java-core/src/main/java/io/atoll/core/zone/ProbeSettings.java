package io.atoll.core.zone;

import java.util.List;

/**
 * What {@code atoll_probe} declares for the peers of an upstream.
 *
 * @param kind what is sent
 * @param tls whether it goes over TLS
 * @param port 1 to 65535; 0: each peer's own
 * @param intervalMs milliseconds between two probes of a peer, 1 or more
 * @param timeoutMs milliseconds for a whole probe, 1 or more
 * @param rise successes in a row that make a down peer up, 1 or more
 * @param fall failures in a row that make an up peer down, 1 or more
 * @param expect statuses that count as success
 * @param uri request target of an HTTP probe
 * @param match what the first 64 KiB of the body must contain; empty: any body
 * @param host Host header and TLS server name; empty: the server's name
 */
public record ProbeSettings(Kind kind, boolean tls, int port, int intervalMs, int timeoutMs, int rise, int fall,
        List<StatusRange> expect, String uri, String match, String host) {
    /** Longest interval and timeout, milliseconds: a day. */
    public static final int MAX_MS = 86_400_000;

    /** What a probe sends; numbers as in layout enum {@code probe_kind}. */
    public enum Kind {
        /** No probe declared. */
        NONE,
        /** Connect, and close. */
        TCP,
        /** GET, and look at status and body. */
        HTTP
    }

    /** Statuses from first to last, both included. */
    public record StatusRange(int first, int last) {
        /** Whether a status lies within. */
        public boolean contains(int status) {
            return status >= first && status <= last;
        }
    }

    /** No probe. The numbers are the defaults of atoll_probe. */
    public static final ProbeSettings NONE = new ProbeSettings(Kind.NONE, false, 0, 1000, 500, 2, 3,
            List.of(new StatusRange(200, 399)), "/", "", "");

    /** Whether a status counts as success. */
    public boolean expects(int status) {
        return expect.stream().anyMatch(range -> range.contains(status));
    }
}
