package io.atoll.agent.dns;

import java.net.IDN;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;

import io.atoll.agent.probe.Transport;
import io.netty.buffer.ByteBuf;
import io.netty.channel.AddressedEnvelope;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFactory;
import io.netty.channel.ChannelPipeline;
import io.netty.channel.EventLoop;
import io.netty.channel.ReflectiveChannelFactory;
import io.netty.handler.codec.dns.DefaultDnsQuestion;
import io.netty.handler.codec.dns.DefaultDnsRecordDecoder;
import io.netty.handler.codec.dns.DnsRawRecord;
import io.netty.handler.codec.dns.DnsRecord;
import io.netty.handler.codec.dns.DnsRecordType;
import io.netty.handler.codec.dns.DnsResponse;
import io.netty.handler.codec.dns.DnsResponseCode;
import io.netty.handler.codec.dns.DnsSection;
import io.netty.resolver.dns.DnsNameResolver;
import io.netty.resolver.dns.DnsNameResolverBuilder;
import io.netty.resolver.dns.DnsNameResolverChannelStrategy;
import io.netty.resolver.dns.SingletonDnsServerAddressStreamProvider;
import io.netty.resolver.dns.NoopAuthoritativeDnsServerCache;
import io.netty.resolver.dns.NoopDnsCache;
import io.netty.resolver.dns.NoopDnsCnameCache;

/**
 * Asks name servers for records and their time to live. Netty's resolver sends the queries: over UDP, each from a port of its own, and over TCP
 * where an answer does not fit or ends early. Which server is asked, aliases (CNAME) and times to live are looked after here, since Netty's own look-ups forget the
 * time to live of an alias. Nothing is kept: whoever asks knows how long an answer holds.
 *
 * <p>On the agent's event loop.
 */
final class DnsClient implements AutoCloseable {
    private static final int PAYLOAD = 1232;
    private static final int LONGEST_CHAIN = 8;
    private static final int AT_ONCE = 32;
    private static final long LARGEST_TTL = Integer.MAX_VALUE;

    private final DnsNameResolver resolver;
    private final EventLoop loop;
    private final long timeoutMs;
    private final Pace pace;
    private boolean closed;

    /** @param rate queries a second, at most, those over TCP included */
    DnsClient(EventLoop loop, Transport transport, long timeoutMs, int rate) {
        this.loop = loop;
        this.timeoutMs = timeoutMs;
        this.pace = new Pace(rate, AT_ONCE, System.nanoTime());
        this.resolver = new DnsNameResolverBuilder(loop).datagramChannelFactory(made(transport.datagram(), CutAnswers::markDatagrams))
                .socketChannelFactory(made(transport.stream(), this::prepareStream))
                .datagramChannelStrategy(DnsNameResolverChannelStrategy.ChannelPerResolution)
                .queryTimeoutMillis(timeoutMs).maxPayloadSize(PAYLOAD).resolveCache(NoopDnsCache.INSTANCE)
                .cnameCache(NoopDnsCnameCache.INSTANCE).authoritativeDnsServerCache(NoopAuthoritativeDnsServerCache.INSTANCE)
                .nameServerProvider(new SingletonDnsServerAddressStreamProvider(ResolvConf.NOTHING.servers().get(0))).build();
    }

    private static <C extends Channel> ChannelFactory<C> made(Class<? extends C> type, Consumer<ChannelPipeline> prepare) {
        ChannelFactory<? extends C> plain = new ReflectiveChannelFactory<>(type);
        return () -> {
            C channel = plain.newChannel();
            prepare.accept(channel.pipeline());
            return channel;
        };
    }

    /** A query that Netty asks again over TCP: it does not wait, but those behind it do. */
    private void prepareStream(ChannelPipeline pipeline) {
        pace.place(System.nanoTime());
        CutAnswers.markFrames(pipeline);
    }

    @Override
    public void close() {
        closed = true;
        resolver.close();
    }

    /**
     * Asks one server after the other, round after round, until one of them knows.
     *
     * @param name   whole
     * @param reader makes a value of a record's bytes, or null of one that does not count; may throw for bytes that make no sense
     */
    <T> CompletableFuture<Answer<T>> ask(ResolvConf conf, String name, DnsRecordType type, Function<ByteBuf, T> reader) {
        return new Question<>(conf, type, reader).ask(name);
    }

    private final class Question<T> {
        private final ResolvConf conf;
        private final DnsRecordType type;
        private final Function<ByteBuf, T> reader;
        private final CompletableFuture<Answer<T>> done = new CompletableFuture<>();
        private String name;
        private int tries;
        private int aliases;
        private long ttl = LARGEST_TTL;

        Question(ResolvConf conf, DnsRecordType type, Function<ByteBuf, T> reader) {
            this.conf = conf;
            this.type = type;
            this.reader = reader;
        }

        CompletableFuture<Answer<T>> ask(String whole) {
            name = key(whole);
            next("");
            return done;
        }

        private void next(String trouble) {
            if (tries == conf.servers().size() * conf.attempts()) {
                done.complete(Answer.failed(trouble));
                return;
            }
            InetSocketAddress server = conf.servers().get(tries++ % conf.servers().size());
            long waitNs = pace.place(System.nanoTime());
            if (waitNs == 0) {
                query(server);
            } else {
                loop.schedule(() -> query(server), waitNs, TimeUnit.NANOSECONDS);
            }
        }

        private void query(InetSocketAddress server) {
            if (closed) {
                done.complete(Answer.failed("the agent ends"));
                return;
            }
            try {
                resolver.query(server, new DefaultDnsQuestion(name, type)).addListener(future -> {
                    if (future.isSuccess()) {
                        @SuppressWarnings("unchecked")
                        AddressedEnvelope<DnsResponse, InetSocketAddress> envelope =
                                (AddressedEnvelope<DnsResponse, InetSocketAddress>) future.getNow();
                        try {
                            read(envelope.content(), server);
                        } finally {
                            envelope.release();
                        }
                    } else {
                        next("no answer of use from " + text(server) + " within " + timeoutMs + " ms ("
                                + reason(future.cause()) + ")");
                    }
                });
            } catch (IllegalArgumentException e) {
                done.complete(Answer.none("no name that DNS can have"));
            }
        }

        private void read(DnsResponse response, InetSocketAddress server) {
            if (response.code().equals(DnsResponseCode.NXDOMAIN)) {
                done.complete(Answer.none("no such name, says " + text(server)));
            } else if (!response.code().equals(DnsResponseCode.NOERROR)) {
                next(response.code() + " from " + text(server));
            } else if (response.isTruncated()) {
                // Netty hands over what came by UDP when TCP fails: some of the records would pass for all of them.
                next("a cut answer from " + text(server) + ", and no whole one over TCP");
            } else {
                try {
                    readRecords(response, server);
                } catch (RuntimeException e) {
                    next("an answer that makes no sense from " + text(server));
                }
            }
        }

        private void readRecords(DnsResponse response, InetSocketAddress server) {
            Map<String, DnsRecord> alias = new HashMap<>();
            for (int i = 0; i < response.count(DnsSection.ANSWER); i++) {
                DnsRecord record = response.recordAt(DnsSection.ANSWER, i);
                if (record.type().equals(DnsRecordType.CNAME)) {
                    alias.putIfAbsent(key(record.name()), record);
                }
            }
            String end = name;
            while (alias.containsKey(end) && aliases < LONGEST_CHAIN) {
                DnsRecord record = alias.get(end);
                ttl = Math.min(ttl, ttl(record));
                end = key(DefaultDnsRecordDecoder.decodeName(content(record).duplicate()));
                aliases++;
            }
            List<T> values = values(response, end);
            if (!values.isEmpty()) {
                done.complete(Answer.found(values, ttl));
            } else if (!end.equals(name) && aliases < LONGEST_CHAIN) {
                name = end;
                tries = 0;
                next("");
            } else {
                done.complete(Answer.none("no " + type.name() + " record, says " + text(server)));
            }
        }

        private List<T> values(DnsResponse response, String owner) {
            List<T> values = new ArrayList<>();
            for (int i = 0; i < response.count(DnsSection.ANSWER); i++) {
                DnsRecord record = response.recordAt(DnsSection.ANSWER, i);
                if (record.type().equals(type) && key(record.name()).equals(owner)) {
                    T value = reader.apply(content(record).duplicate());
                    if (value != null) {
                        values.add(value);
                        ttl = Math.min(ttl, ttl(record));
                    }
                }
            }
            return values;
        }
    }

    private static ByteBuf content(DnsRecord record) {
        if (record instanceof DnsRawRecord raw) {
            return raw.content();
        }
        throw new IllegalArgumentException("a record without bytes");
    }

    /** RFC 2181, 8: with its highest bit set it counts as 0. */
    private static long ttl(DnsRecord record) {
        return record.timeToLive() < 0 || record.timeToLive() > LARGEST_TTL ? 0 : record.timeToLive();
    }

    /** Names are the same whatever their case, and with the root's dot. */
    private static String key(String name) {
        String ascii;
        try {
            ascii = IDN.toASCII(name);
        } catch (IllegalArgumentException e) {
            ascii = name;
        }
        return ResolvConf.withoutDot(ascii).toLowerCase(Locale.ROOT);
    }

    private static String text(InetSocketAddress server) {
        String host = server.getAddress().getHostAddress();
        return (host.contains(":") ? "[" + host + "]" : host) + ":" + server.getPort();
    }

    private static String reason(Throwable cause) {
        Throwable deepest = cause;
        while (deepest.getCause() != null) {
            deepest = deepest.getCause();
        }
        return deepest.getClass().getSimpleName();
    }
}
