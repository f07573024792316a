package io.atoll.core.zone;

import java.net.SocketAddress;
import java.util.List;

/**
 * What an operator changed at run time about a server of an upstream. It is about the server, with all its addresses.
 *
 * @param kind what was done
 * @param server the name, as in {@code server NAME}
 * @param weight of ADDED and WEIGHTED, 1 to {@link #MAX_WEIGHT}
 * @param maxConns of ADDED; 0: no limit
 * @param maxFails of ADDED; 0: never passively down
 * @param failTimeoutMs of ADDED
 * @param backup of ADDED
 * @param addresses of ADDED: what the name stood for when it was resolved last; one or more
 */
public record MemberChange(Kind kind, String server, int weight, int maxConns, int maxFails, int failTimeoutMs, boolean backup,
        List<Address> addresses) {
    /** The greatest weight that can be given at run time. */
    public static final int MAX_WEIGHT = 65_535;

    /** What was done. */
    public enum Kind {
        /** A server that nginx.conf does not name. */
        ADDED,
        /** A server of nginx.conf that is taken out. */
        REMOVED,
        /** A server of nginx.conf with another weight. */
        WEIGHTED
    }

    /** An address: as nginx prints it, and where to connect. */
    public record Address(String text, SocketAddress socketAddress) {}

    /** A server of nginx.conf that is taken out. */
    public static MemberChange removed(String server) {
        return new MemberChange(Kind.REMOVED, server, 0, 0, 0, 0, false, List.of());
    }

    /** A server of nginx.conf with another weight. */
    public static MemberChange weighted(String server, int weight) {
        return new MemberChange(Kind.WEIGHTED, server, weight, 0, 0, 0, false, List.of());
    }

    /** The same at other addresses. */
    public MemberChange withAddresses(List<Address> others) {
        return new MemberChange(kind, server, weight, maxConns, maxFails, failTimeoutMs, backup, others);
    }

    /** The same with another weight. */
    public MemberChange withWeight(int other) {
        return new MemberChange(kind, server, other, maxConns, maxFails, failTimeoutMs, backup, addresses);
    }
}
