package io.atoll.tests.harness;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;

/**
 * A network namespace whose loopback carries a scene's peers as if they were hosts, with nftables rules in between. Clients
 * outside reach an nginx inside through its unix socket.
 */
public final class NetNs implements AutoCloseable {
    private final String name;

    private NetNs(String name) {
        this.name = name;
        Proc.must("ip", "netns", "add", name);
        in("ip", "link", "set", "lo", "up");
        in("nft", "add table ip faults; add chain ip faults input { type filter hook input priority 0; }");
    }

    /** Makes one. Skips the test where the user may not. */
    public static NetNs in(Scene scene) {
        Assumptions.assumeTrue("root".equals(System.getProperty("user.name")),
                "a network namespace needs root");
        return scene.keep(new NetNs(scene.folder().getFileName().toString()));
    }

    /** A command that runs the rest of its arguments inside. */
    public List<String> prefix() {
        return List.of("nsenter", "--net=/run/netns/" + name);
    }

    /** Gives its loopback one more IPv6 address, at once. */
    public NetNs with(String ipv6) {
        in("ip", "-6", "addr", "add", ipv6 + "/128", "dev", "lo", "nodad");
        return this;
    }

    /** Drops every packet to an address (`host:port`, or a host). */
    public void drop(String address) {
        rule(address, "drop");
    }

    /** Answers every TCP packet to an address with a reset. */
    public void reset(String address) {
        rule(address, "reject with tcp reset");
    }

    /** Takes all rules back. */
    public void heal() {
        in("nft", "flush chain ip faults input");
    }

    @Override
    public void close() {
        if (Files.exists(Path.of("/run/netns", name))) {
            Proc.must("ip", "netns", "del", name);
        }
    }

    private void rule(String address, String verdict) {
        int colon = address.indexOf(':');
        String match = colon < 0 ? "ip daddr " + address
                : "ip daddr " + address.substring(0, colon) + " tcp dport " + address.substring(colon + 1);
        in("nft", "add rule ip faults input " + match + " " + verdict);
    }

    private void in(String... command) {
        List<String> all = new java.util.ArrayList<>(prefix());
        all.addAll(List.of(command));
        Proc.must(all.toArray(String[]::new));
    }
}
