package io.atoll.core.zone;

import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.net.SocketAddress;

/**
 * Who a slot is: a copy, made when it was read, whole even while the master writes.
 *
 * @param slot its index in the zone
 * @param incarnation of the slot: what is written for this peer is meant for this number only
 * @param former whether it belongs to no published table any more
 * @param upstream index of its upstream
 * @param ordinal 0, or 1, 2, … for a server and address that the upstream lists again
 * @param flags {@code ZoneLayout.PeerFlag} bits
 * @param weight of the server
 * @param server the name in {@code server NAME}
 * @param address as nginx prints it: {@code 10.0.0.1:80}, {@code [::1]:80}, {@code unix:/path}
 * @param socketAddress where to connect, or null for a family other than IPv4, IPv6 and unix
 */
public record Peer(int slot, long incarnation, boolean former, int upstream, int ordinal, int flags, int weight,
        String server, String address, SocketAddress socketAddress) {
    /** Whether nginx.conf has it {@code down}. */
    public boolean isDown() {
        return (flags & PeerFlag.DOWN) != 0;
    }

    /** Whether nginx.conf has it {@code backup}. */
    public boolean isBackup() {
        return (flags & PeerFlag.BACKUP) != 0;
    }

    /** Whether it was added at run time. */
    public boolean isAdded() {
        return (flags & PeerFlag.ADDED) != 0;
    }
}
