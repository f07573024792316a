package io.atoll.agent.store;

import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnixDomainSocketAddress;
import java.net.UnknownHostException;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Pattern;

import io.atoll.core.zone.MemberChange.Address;

/** Names of servers as nginx takes them: HOST, HOST:PORT, [IPV6]:PORT, unix:PATH. */
public final class ServerAddress {
    private static final int PORT = 80;
    private static final int LONGEST = 256;
    private static final String UNIX = "unix:";
    private static final String OCTET = "(25[0-5]|2[0-4]\\d|[01]?\\d?\\d)";
    private static final Pattern IPV4 = Pattern.compile(OCTET + "(\\." + OCTET + "){3}");
    private static final Pattern FOUR_NUMBERS = Pattern.compile("\\d+(\\.\\d+){3}\\.?");
    private static final Pattern HOST = Pattern.compile("[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?");

    private ServerAddress() {}

    /** @throws IllegalArgumentException for what nginx would not take; the message says what was expected */
    public static void check(String server) {
        if (server.length() > LONGEST || server.chars().anyMatch(c -> c <= ' ' || c == 127)) {
            throw new IllegalArgumentException("a name of up to " + LONGEST + " characters without blanks");
        }
        if (server.startsWith(UNIX)) {
            if (!server.startsWith("unix:/")) {
                throw new IllegalArgumentException("an absolute path: unix:/run/cache.sock");
            }
            return;
        }
        String host = host(server);
        boolean literal = host.startsWith("[") || IPV4.matcher(host).matches();
        if (!literal && !HOST.matcher(host).matches()) {
            throw new IllegalArgumentException("HOST, HOST:PORT, [IPV6]:PORT or unix:PATH");
        }
        if (!literal && FOUR_NUMBERS.matcher(host).matches()) {
            throw new IllegalArgumentException("an IPv4 address of four numbers from 0 to 255");
        }
        port(server, host);
        if (literal) {
            resolveHost(host);
        }
    }

    /** Whether it is a name that a resolver knows, rather than an address. */
    public static boolean isName(String server) {
        return !server.startsWith(UNIX) && !server.startsWith("[") && !IPV4.matcher(host(server)).matches();
    }

    /** The part of a server's name that a resolver knows. */
    public static String host(String server) {
        if (server.startsWith("[")) {
            int end = server.indexOf(']');
            if (end < 0) {
                throw new IllegalArgumentException("a ] behind the IPv6 address");
            }
            return server.substring(0, end + 1);
        }
        int colon = server.indexOf(':');
        return colon < 0 ? server : server.substring(0, colon);
    }

    private static int port(String server, String host) {
        String rest = server.substring(host.length());
        if (rest.isEmpty()) {
            return PORT;
        }
        try {
            int port = rest.startsWith(":") && Character.isDigit(rest.charAt(rest.length() > 1 ? 1 : 0))
                    ? Integer.parseInt(rest.substring(1)) : 0;
            if (port >= 1 && port <= 65535) {
                return port;
            }
        } catch (NumberFormatException e) {
            // said below
        }
        throw new IllegalArgumentException("a port from 1 to 65535 behind the colon");
    }

    private static InetAddress[] resolveHost(String host) {
        try {
            return InetAddress.getAllByName(host);
        } catch (UnknownHostException e) {
            throw new IllegalArgumentException("a name that resolves, or an address", e);
        }
    }

    /**
     * The addresses that a name stands for now, in the order of their texts. Waits for the resolver of the system.
     *
     * @throws IllegalArgumentException when there is none; the message says what was expected
     */
    public static List<Address> resolve(String server) {
        check(server);
        if (server.startsWith(UNIX)) {
            return List.of(new Address(server, UnixDomainSocketAddress.of(server.substring(UNIX.length()))));
        }
        return at(server, List.of(resolveHost(host(server))));
    }

    /**
     * A server at what its host was resolved to, in the order of their texts.
     *
     * @param server that {@link #check} takes
     */
    public static List<Address> at(String server, List<InetAddress> found) {
        int port = port(server, host(server));
        return found.stream().map(address -> of(new InetSocketAddress(address, port))).distinct()
                .sorted(Comparator.comparing(Address::text)).toList();
    }

    /** An address as nginx prints it. */
    public static Address literal(String text) {
        List<Address> addresses = text.startsWith(UNIX) || text.startsWith("[") || IPV4.matcher(host(text)).matches()
                ? resolve(text) : List.of();
        if (addresses.size() != 1) {
            throw new IllegalArgumentException("an address, not " + text);
        }
        return addresses.get(0);
    }

    static Address of(InetSocketAddress address) {
        InetAddress ip = address.getAddress();
        String host = ip instanceof Inet6Address six ? "[" + text(six) + "]" : ip.getHostAddress();
        return new Address(host + ":" + address.getPort(), new InetSocketAddress(ip, address.getPort()));
    }

    /** As nginx prints it: lower case, the first longest run of two zeros or more left out. */
    private static String text(Inet6Address address) {
        byte[] bytes = address.getAddress();
        int[] words = new int[8];
        for (int i = 0; i < 8; i++) {
            words[i] = (bytes[2 * i] & 0xff) << 8 | bytes[2 * i + 1] & 0xff;
        }
        int start = -1;
        int longest = 1;
        for (int i = 0; i < 8; i++) {
            int end = i;
            while (end < 8 && words[end] == 0) {
                end++;
            }
            if (end - i > longest) {
                start = i;
                longest = end - i;
            }
        }
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 8; i++) {
            if (i == start) {
                text.append("::");
                i += longest - 1;
            } else {
                text.append(text.isEmpty() || text.charAt(text.length() - 1) == ':' ? "" : ":")
                        .append(Integer.toHexString(words[i]));
            }
        }
        return text.toString();
    }
}
