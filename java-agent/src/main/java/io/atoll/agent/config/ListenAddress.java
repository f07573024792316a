package io.atoll.agent.config;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.net.UnknownHostException;

import io.netty.util.NetUtil;

/** Where to listen, as written: a host and a port. */
public record ListenAddress(String host, int port) {
    /** Returns null for anything but HOST:PORT or [IPV6]:PORT. */
    public static ListenAddress parse(String text) {
        int colon = text.lastIndexOf(':');
        if (colon <= 0) {
            return null;
        }
        String host = text.substring(0, colon);
        boolean bracketed = host.startsWith("[") && host.endsWith("]");
        if (bracketed) {
            host = host.substring(1, host.length() - 1);
        }
        if (host.isEmpty() || host.contains(":") != bracketed || host.contains("/") || host.contains(" ")) {
            return null;
        }
        try {
            int port = Integer.parseInt(text.substring(colon + 1));
            return port < 0 || port > 65535 ? null : new ListenAddress(host, port);
        } catch (NumberFormatException e) {
            return null;
        }
    }

    public InetSocketAddress resolve() throws UnknownHostException {
        return new InetSocketAddress(InetAddress.getByName(host), port);
    }

    /**
     * Whether who listens here is reached at HOST:PORT: the same text, the same address, or, where this is 0.0.0.0 or [::], any address of this host. Names are
     * compared as they are written: to resolve them may take long, and fail.
     */
    boolean isAt(String hostPort) {
        ListenAddress other = parse(hostPort);
        if (other == null || other.port != port) {
            return false;
        }
        if (other.host.equals(host)) {
            return true;
        }
        try {
            return isLiteral() && other.isLiteral() && isAt(other.resolve().getAddress());
        } catch (UnknownHostException | SocketException e) {
            return false;
        }
    }

    private boolean isAt(InetAddress address) throws UnknownHostException, SocketException {
        InetAddress own = resolve().getAddress();
        return own.equals(address) || own.isAnyLocalAddress()
                && (address.isLoopbackAddress() || NetworkInterface.getByInetAddress(address) != null);
    }

    /** What no resolver is asked for. */
    boolean isLiteral() {
        return host.contains(":") || NetUtil.isValidIpV4Address(host);
    }

    @Override
    public String toString() {
        return (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
    }
}
