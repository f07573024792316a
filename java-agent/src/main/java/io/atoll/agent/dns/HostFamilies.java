package io.atoll.agent.dns;

import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;

import io.atoll.agent.config.AgentConfig.Families;

/**
 * The families that this host has addresses of, as AI_ADDRCONFIG of getaddrinfo(3) has it, with which nginx asks: 127.0.0.1 and ::1 do not count, and a host
 * that has no others, or others of both families, is asked about in both (glibc, sysdeps/posix/getaddrinfo.c). Looked at once a second at most: it costs
 * system calls for each interface. One thread.
 */
final class HostFamilies {
    private static final long HOLDS_NS = 1_000_000_000;

    private Families found;
    private long foundNs;

    /** IPV4, IPV6 or BOTH. */
    Families get() {
        if (found == null || System.nanoTime() - foundNs > HOLDS_NS) {
            found = of(addresses());
            foundNs = System.nanoTime();
        }
        return found;
    }

    static Families of(Collection<InetAddress> addresses) {
        boolean four = addresses.stream().anyMatch(address -> address instanceof Inet4Address && !isLocalhost(address));
        boolean six = addresses.stream().anyMatch(address -> address instanceof Inet6Address && !address.isLoopbackAddress());
        return four == six ? Families.BOTH : four ? Families.IPV4 : Families.IPV6;
    }

    /** 127.0.0.1 alone: others of 127.0.0.0/8 count. */
    private static boolean isLocalhost(InetAddress address) {
        byte[] bytes = address.getAddress();
        return bytes[0] == 127 && bytes[1] == 0 && bytes[2] == 0 && bytes[3] == 1;
    }

    private static List<InetAddress> addresses() {
        List<InetAddress> addresses = new ArrayList<>();
        try {
            for (NetworkInterface network : Collections.list(NetworkInterface.getNetworkInterfaces())) {
                addresses.addAll(Collections.list(network.getInetAddresses()));
            }
        } catch (SocketException e) {
            // none that can be seen
        }
        return addresses;
    }
}
