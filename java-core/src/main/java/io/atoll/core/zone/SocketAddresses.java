package io.atoll.core.zone;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.util.Arrays;

/** {@code struct sockaddr} of Linux: family in host order (little-endian), port in network order. */
final class SocketAddresses {
    private static final int AF_UNIX = 1;
    private static final int AF_INET = 2;
    private static final int AF_INET6 = 10;
    private static final int UNIX_LENGTH = 110;

    private SocketAddresses() {}

    /** Null for a family other than IPv4, IPv6 and unix. */
    static SocketAddress decode(byte[] sockaddr) {
        int family = sockaddr.length < 2 ? 0 : sockaddr[0] & 0xff | (sockaddr[1] & 0xff) << 8;
        if (family == AF_INET && sockaddr.length >= 8) {
            return inet(sockaddr, 4, 4);
        }
        if (family == AF_INET6 && sockaddr.length >= 24) {
            return inet(sockaddr, 8, 16);
        }
        return family == AF_UNIX ? unix(sockaddr) : null;
    }

    private static SocketAddress inet(byte[] sockaddr, int offset, int bytes) {
        byte[] address = Arrays.copyOfRange(sockaddr, offset, offset + bytes);
        try {
            return new InetSocketAddress(InetAddress.getByAddress(address), (sockaddr[2] & 0xff) << 8 | sockaddr[3] & 0xff);
        } catch (UnknownHostException e) {
            throw new IllegalStateException("an address of " + bytes + " bytes", e);
        }
    }

    private static SocketAddress unix(byte[] sockaddr) {
        int end = 2;
        while (end < sockaddr.length && sockaddr[end] != 0) {
            end++;
        }
        try {
            return end == 2 ? null : UnixDomainSocketAddress.of(new String(sockaddr, 2, end - 2, StandardCharsets.UTF_8));
        } catch (InvalidPathException e) {
            return null;
        }
    }

    /** Null for what is not IPv4, IPv6, or a unix path of up to 107 bytes. */
    static byte[] encode(SocketAddress address) {
        if (address instanceof InetSocketAddress inet && !inet.isUnresolved()) {
            byte[] ip = inet.getAddress().getAddress();
            byte[] sockaddr = new byte[ip.length == 4 ? 16 : 28];
            sockaddr[0] = (byte) (ip.length == 4 ? AF_INET : AF_INET6);
            sockaddr[2] = (byte) (inet.getPort() >> 8);
            sockaddr[3] = (byte) inet.getPort();
            System.arraycopy(ip, 0, sockaddr, ip.length == 4 ? 4 : 8, ip.length);
            return sockaddr;
        }
        if (address instanceof UnixDomainSocketAddress unix) {
            byte[] path = unix.getPath().toString().getBytes(StandardCharsets.UTF_8);
            byte[] sockaddr = new byte[UNIX_LENGTH];
            sockaddr[0] = AF_UNIX;
            System.arraycopy(path, 0, sockaddr, 2, Math.min(path.length, UNIX_LENGTH - 3));
            return path.length <= UNIX_LENGTH - 3 ? sockaddr : null;
        }
        return null;
    }
}
