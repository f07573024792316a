package io.atoll.agent.dns;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import io.netty.util.NetUtil;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Whom to ask, and for what: resolv.conf(5).
 *
 * @param servers  in their order
 * @param search   domains that short names are tried in
 * @param ndots    a name with fewer dots is tried in the domains first
 * @param attempts rounds over the servers
 */
record ResolvConf(List<InetSocketAddress> servers, List<String> search, int ndots, int attempts) {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.resolve");
    private static final int PORT = 53;

    /** Of a file that cannot be read, as resolv.conf(5) says: the name server on this machine. */
    static final ResolvConf NOTHING = parse(List.of());

    static ResolvConf read(Path file) {
        try {
            // Any byte may stand in a comment.
            return parse(Files.readAllLines(file, StandardCharsets.ISO_8859_1));
        } catch (IOException e) {
            LOG.warn("{} cannot be read ({}): unless atoll.resolve.servers names others, the name server on this machine is asked", file,
                    e.toString());
            return NOTHING;
        }
    }

    static ResolvConf parse(List<String> lines) {
        List<InetSocketAddress> servers = new ArrayList<>();
        List<String> search = List.of();
        int ndots = 1;
        int attempts = 2;
        for (String line : lines) {
            String[] words = line.replaceAll("[#;].*", "").trim().split("\\s+");
            List<String> values = List.of(words).subList(1, words.length);
            switch (words[0]) {
                case "nameserver" -> values.stream().limit(1).forEach(value -> server(value, servers));
                case "search", "domain" -> search = values.stream().map(ResolvConf::withoutDot).filter(d -> !d.isEmpty()).toList();
                case "options" -> {
                    ndots = option(values, "ndots:", ndots, 0, 15);
                    attempts = option(values, "attempts:", attempts, 1, 5);
                }
                default -> { }
            }
        }
        if (servers.isEmpty()) {
            servers.add(new InetSocketAddress(InetAddress.getLoopbackAddress(), PORT));
        }
        return new ResolvConf(List.copyOf(servers), search, ndots, attempts);
    }

    private static void server(String text, List<InetSocketAddress> servers) {
        // What is no literal, the system's resolver would be asked for.
        if (NetUtil.isValidIpV4Address(text) || text.matches("[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%.+)?")) {
            try {
                servers.add(new InetSocketAddress(InetAddress.getByName(text), PORT));
            } catch (UnknownHostException e) {
                // not an address: passed over, as the C library does
            }
        }
    }

    private static int option(List<String> values, String name, int otherwise, int least, int most) {
        for (String value : values) {
            if (value.matches(name + "\\d{1,4}")) {
                return Math.min(most, Math.max(least, Integer.parseInt(value.substring(name.length()))));
            }
        }
        return otherwise;
    }

    static String withoutDot(String name) {
        return name.endsWith(".") ? name.substring(0, name.length() - 1) : name;
    }

    ResolvConf withServers(List<InetSocketAddress> others) {
        return new ResolvConf(others, search, ndots, attempts);
    }

    /** The whole names that a name may stand for, in the order in which they are asked for. */
    List<String> candidates(String name) {
        if (name.endsWith(".")) {
            return List.of(withoutDot(name));
        }
        List<String> candidates = new ArrayList<>();
        search.forEach(domain -> candidates.add(name + "." + domain));
        boolean asItIsFirst = name.chars().filter(c -> c == '.').count() >= ndots;
        candidates.add(asItIsFirst ? 0 : candidates.size(), name);
        return candidates;
    }
}
