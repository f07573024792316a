package io.atoll.core.zone;

import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.net.SocketAddress;

/**
 * An address of a server that belongs to an upstream, or would if it were not removed at run time.
 *
 * @param server the name in {@code server NAME}; places its points
 * @param address as nginx prints it: {@code 10.0.0.1:80}, {@code [::1]:80}, {@code unix:/path}
 * @param ordinal 0, or 1, 2, … for a server and address that the upstream lists again
 * @param socketAddress where to connect; null for a family other than IPv4, IPv6 and unix, which only nginx.conf can give
 * @param weight in force, 1 or more
 * @param confWeight in nginx.conf; 0: nginx.conf does not name it
 * @param maxConns requests at it at a time, unsigned; 0: no limit
 * @param maxFails failures after which it is passively down, unsigned; 0: never
 * @param failTimeoutMs milliseconds, unsigned
 * @param flags {@code ZoneLayout.PeerFlag} bits
 */
public record Member(String server, String address, int ordinal, SocketAddress socketAddress, int weight, int confWeight,
        int maxConns, int maxFails, int failTimeoutMs, int flags) {
    /** Whether nginx.conf names the server. */
    public boolean isDeclared() {
        return confWeight != 0;
    }

    /** Whether it was taken out at run time. */
    public boolean isRemoved() {
        return (flags & PeerFlag.REMOVED) != 0;
    }

    /** Whether it was added at run time. */
    public boolean isAdded() {
        return (flags & PeerFlag.ADDED) != 0;
    }

    /** Whether it is {@code backup}. */
    public boolean isBackup() {
        return (flags & PeerFlag.BACKUP) != 0;
    }

    /** Whether nginx.conf has it {@code down}. */
    public boolean isDown() {
        return (flags & PeerFlag.DOWN) != 0;
    }

    Member at(MemberChange.Address other) {
        return new Member(server, other.text(), 0, other.socketAddress(), weight, confWeight, maxConns, maxFails, failTimeoutMs,
                flags);
    }

    Member with(int otherWeight, int otherFlags) {
        return new Member(server, address, ordinal, socketAddress, otherWeight, confWeight, maxConns, maxFails, failTimeoutMs,
                otherFlags);
    }
}
