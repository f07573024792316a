package io.atoll.agent.dns;

import java.io.File;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

import io.atoll.agent.config.AgentConfig.Families;
import io.atoll.agent.config.AgentConfig.ResolveConfig;
import io.atoll.agent.probe.Transport;
import io.netty.buffer.ByteBuf;
import io.netty.channel.EventLoop;
import io.netty.handler.codec.dns.DefaultDnsRecordDecoder;
import io.netty.handler.codec.dns.DnsRecordType;
import io.netty.resolver.HostsFileEntriesProvider;

/**
 * What a name stands for, as this host sees it: the hosts file, then name servers, with the search domains of resolv.conf. On the agent's event
 * loop; both files are small and read there when they change.
 */
public final class NameLookup implements Names.Lookup {
    private static final Path RESOLV_CONF = Path.of("/etc/resolv.conf");
    private static final Path HOSTS = Path.of("/etc/hosts");

    private final ResolveConfig config;
    private final HostFamilies ofHost = new HostFamilies();
    private final DnsClient client;
    private final WatchedFile<ResolvConf> resolvConf = new WatchedFile<>(RESOLV_CONF, ResolvConf::read);
    private final WatchedFile<HostsFileEntriesProvider> hosts;

    public NameLookup(ResolveConfig config, EventLoop loop, Transport transport) {
        this.config = config;
        this.client = new DnsClient(loop, transport, config.timeout().toMillis(), config.rate());
        // The JDK's own setting for another hosts file, which its resolver follows too.
        String file = System.getProperty("jdk.net.hosts.file");
        this.hosts = new WatchedFile<>(file == null ? HOSTS : Path.of(file), NameLookup::parse);
    }

    @Override
    public void close() {
        client.close();
    }

    private static HostsFileEntriesProvider parse(Path path) {
        try {
            return HostsFileEntriesProvider.parser().parse(new File(path.toString()), StandardCharsets.UTF_8);
        } catch (IOException e) {
            return HostsFileEntriesProvider.parser().parseSilently(new File("/dev/null"));
        }
    }

    private ResolvConf conf() {
        ResolvConf conf = resolvConf.get();
        return config.servers().isEmpty() ? conf : conf.withServers(config.servers());
    }

    // ---- addresses

    /**
     * The addresses of a host.
     *
     * @param before what it stood for until now: of a family (IPv4, IPv6) that cannot be asked for, these are kept
     */
    @Override
    public CompletableFuture<Answer<InetAddress>> addresses(String host, List<InetAddress> before) {
        List<InetAddress> listed = listed(host);
        if (!listed.isEmpty()) {
            return CompletableFuture.completedFuture(Answer.found(listed, Answer.NO_TTL));
        }
        ResolvConf conf = conf();
        return search(conf.candidates(host), 0, whole -> bothFamilies(conf, whole, before));
    }

    /** The addresses of a host, one or more; completes with an exception that says why when there are none. */
    public CompletableFuture<List<InetAddress>> find(String host) {
        return addresses(host, List.of()).thenCompose(answer -> answer.isFound() ? CompletableFuture.completedFuture(answer.values())
                : CompletableFuture.failedFuture(new UnknownHostException(answer.detail())));
    }

    private List<InetAddress> listed(String host) {
        HostsFileEntriesProvider entries = hosts.get();
        String name = ResolvConf.withoutDot(host).toLowerCase(Locale.ROOT);
        Families families = families();
        List<InetAddress> listed = new ArrayList<>();
        if (families != Families.IPV6) {
            listed.addAll(entries.ipv4Entries().getOrDefault(name, List.of()));
        }
        if (families != Families.IPV4) {
            listed.addAll(entries.ipv6Entries().getOrDefault(name, List.of()));
        }
        return listed;
    }

    private CompletableFuture<Answer<InetAddress>> bothFamilies(ResolvConf conf, String whole, List<InetAddress> before) {
        CompletableFuture<Answer<InetAddress>> none = CompletableFuture.completedFuture(Answer.none(""));
        Families families = families();
        CompletableFuture<Answer<InetAddress>> four = families == Families.IPV6 ? none
                : client.ask(conf, whole, DnsRecordType.A, content -> address(content, 4));
        CompletableFuture<Answer<InetAddress>> six = families == Families.IPV4 ? none
                : client.ask(conf, whole, DnsRecordType.AAAA, content -> address(content, 16));
        return four.thenCombine(six, (a, aaaa) -> together(a, aaaa, before));
    }

    static Answer<InetAddress> together(Answer<InetAddress> four, Answer<InetAddress> six, List<InetAddress> before) {
        if (!four.isFound() && !six.isFound()) {
            return four.isFailed() || six.isFailed() ? Answer.failed(four.isFailed() ? four.detail() : six.detail())
                    : Answer.none(four.detail().isEmpty() ? six.detail() : four.detail());
        }
        List<InetAddress> values = new ArrayList<>(four.values());
        values.addAll(six.values());
        before.stream().filter(address -> (address instanceof Inet6Address ? six : four).isFailed()).forEach(values::add);
        long ttl = Math.min(four.isFound() ? four.ttl() : Long.MAX_VALUE, six.isFound() ? six.ttl() : Long.MAX_VALUE);
        return new Answer<>(Answer.Status.FOUND, List.copyOf(values), ttl, four.isFailed() ? four.detail()
                : six.isFailed() ? six.detail() : "");
    }

    private static InetAddress address(ByteBuf content, int length) {
        if (content.readableBytes() != length) {
            throw new IllegalArgumentException("an address of " + content.readableBytes() + " bytes");
        }
        byte[] bytes = new byte[length];
        content.readBytes(bytes);
        try {
            return InetAddress.getByAddress(bytes);
        } catch (UnknownHostException e) {
            throw new IllegalArgumentException(e);
        }
    }

    private Families families() {
        return config.families() == Families.AUTO ? ofHost.get() : config.families();
    }

    // ---- services

    /** The targets of a service, such as {@code _http._tcp.example.com}. */
    @Override
    public CompletableFuture<Answer<Target>> targets(String service) {
        ResolvConf conf = conf();
        return search(conf.candidates(service), 0, whole -> client.ask(conf, whole, DnsRecordType.SRV, NameLookup::target));
    }

    /** Null for the target "." of a service that is decidedly not there, and for port 0. */
    private static Target target(ByteBuf content) {
        int priority = content.readUnsignedShort();
        int weight = content.readUnsignedShort();
        int port = content.readUnsignedShort();
        String host = ResolvConf.withoutDot(DefaultDnsRecordDecoder.decodeName(content)).toLowerCase(Locale.ROOT);
        return host.isEmpty() || port == 0 ? null : new Target(priority, weight, port, host);
    }

    /** The first of the names that there is. One that nobody could say anything about ends the search: it may be the one. */
    private static <T> CompletableFuture<Answer<T>> search(List<String> names, int index,
            Function<String, CompletableFuture<Answer<T>>> lookup) {
        return lookup.apply(names.get(index)).thenCompose(answer ->
                answer.status() == Answer.Status.NONE && index + 1 < names.size() ? search(names, index + 1, lookup)
                        : CompletableFuture.completedFuture(answer));
    }
}
