package io.atoll.agent.probe;

import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

import io.atoll.core.zone.ProbeSettings;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandler;
import io.netty.channel.EventLoop;
import io.netty.handler.codec.http.HttpResponseDecoder;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslHandler;
import io.netty.util.NetUtil;
import io.netty.util.concurrent.ScheduledFuture;

/**
 * The probes of one peer, one at a time, on one event loop thread.
 *
 * <p>A TCP probe connects, shakes hands when it is over TLS, and closes. An HTTP probe gets a page and looks at status and body. With keepalive its
 * connection is kept for the next one, and then the next one has two parts that must both succeed: the request on the
 * kept connection, and a connection opened and closed beside it, since a peer that takes no new connections is no use
 * however well an old one works. A kept connection that the peer closes before it answers is opened anew within the
 * same probe. The timeout covers all of it.
 */
public final class PeerProbe implements Probe {
    private static final long STALL_MS = 500;

    private final Transport transport;
    private final EventLoop loop;
    private final SocketAddress address;
    private final ProbeSettings settings;
    private final String host;
    private final SslContext tls;
    private final boolean keepalive;

    private ByteBuf request;
    private Attempt attempt;
    private Channel kept;

    PeerProbe(Transport transport, EventLoop loop, SocketAddress address, ProbeSettings settings, String host,
            SslContext tls, boolean keepalive) {
        this.transport = transport;
        this.loop = loop;
        this.address = address;
        this.settings = settings;
        this.host = host;
        this.tls = tls;
        this.keepalive = keepalive;
    }

    @Override
    public void start(Consumer<ProbeOutcome> done) {
        if (attempt != null) {
            throw new IllegalStateException("the last probe of " + address + " has not ended");
        }
        Attempt begun = new Attempt(done);
        attempt = begun;
        begun.timeout = loop.schedule(begun::expire, settings.timeoutMs(), TimeUnit.MILLISECONDS);
        if (settings.kind() == ProbeSettings.Kind.TCP && tls == null) {
            begun.knock();
        } else if (kept != null) {
            begun.parts = 2;
            begun.reused = true;
            begun.ask(kept);
            begun.knock();
        } else {
            begun.open();
        }
    }

    @Override
    public void close() {
        if (attempt != null) {
            attempt.done = outcome -> { };
            attempt.end(ProbeOutcome.Result.NOT_MADE, "cancelled");
        }
        if (kept != null) {
            kept.close();
        }
    }

    /** One probe. What comes back after its end is ignored. */
    private final class Attempt implements HttpProbeHandler.Listener {
        private final long started = System.nanoTime();
        private Consumer<ProbeOutcome> done;
        private ScheduledFuture<?> timeout;
        private int parts = 1;
        private boolean reused;
        private String waitingFor = "connection";
        private Channel asked;
        private Channel knocked;

        Attempt(Consumer<ProbeOutcome> done) {
            this.done = done;
        }

        /** Connects and closes. */
        void knock() {
            ChannelFuture connecting = connect();
            if (connecting == null) {
                return;
            }
            knocked = connecting.channel();
            connecting.addListener(future -> {
                if (future.isSuccess()) {
                    connecting.channel().close();
                    succeedPart();
                } else {
                    fail(future.cause());
                }
            });
        }

        /** Opens a connection for a request. */
        void open() {
            HttpProbeHandler handler = new HttpProbeHandler(settings, keepalive);
            ChannelFuture connecting = tls == null ? connect(new HttpResponseDecoder(), handler)
                    : connect(newTlsHandler(), new HttpResponseDecoder(), handler);
            if (connecting == null) {
                return;
            }
            asked = connecting.channel();
            connecting.addListener(future -> {
                if (!future.isSuccess()) {
                    fail(future.cause());
                } else if (attempt == this) {
                    connected(connecting.channel());
                }
            });
        }

        /** Null, and the probe has ended, when there is not even a descriptor for it. */
        private ChannelFuture connect(ChannelHandler... handlers) {
            try {
                return transport.connect(loop, address, handlers);
            } catch (RuntimeException e) {
                fail(e);
                return null;
            }
        }

        private void connected(Channel channel) {
            SslHandler handshake = channel.pipeline().get(SslHandler.class);
            if (handshake == null) {
                ask(channel);
                return;
            }
            waitingFor = "TLS handshake";
            handshake.handshakeFuture().addListener(future -> {
                if (!future.isSuccess()) {
                    fail(future.cause());
                } else if (settings.kind() == ProbeSettings.Kind.TCP) {
                    channel.close();
                    succeedPart();
                } else if (attempt == this) {
                    ask(channel);
                }
            });
        }

        void ask(Channel channel) {
            waitingFor = "answer";
            asked = channel;
            if (request == null) {
                request = HttpProbeHandler.request(settings, host, keepalive);
            }
            channel.pipeline().get(HttpProbeHandler.class).ask(channel, request, this);
        }

        @Override
        public void answerBegins() {
            waitingFor = "end of the answer";
        }

        @Override
        public void answered(String complaint, boolean reusable) {
            if (attempt != this) {
                return;
            }
            if (complaint != null) {
                end(ProbeOutcome.Result.FAILURE, complaint);
                return;
            }
            if (reusable && kept == null) {
                kept = asked;
                kept.closeFuture().addListener(closed -> kept = null);
            } else if (!reusable) {
                asked.close();
            }
            asked = null;
            succeedPart();
        }

        @Override
        public void broken(Throwable cause, boolean answerBegun) {
            if (attempt != this) {
                return;
            }
            if (reused && !answerBegun) {
                reused = false;
                kept = null;
                waitingFor = "connection";
                open();
            } else {
                fail(cause);
            }
        }

        private void succeedPart() {
            if (attempt == this && --parts == 0) {
                end(ProbeOutcome.Result.SUCCESS, "");
            }
        }

        private void expire() {
            end(ProbeOutcome.Result.FAILURE, "no " + waitingFor + " within " + settings.timeoutMs() + " ms");
        }

        private void fail(Throwable cause) {
            end(ProbeFailure.result(cause), ProbeFailure.detail(cause));
        }

        private void end(ProbeOutcome.Result result, String detail) {
            if (attempt != this) {
                return;
            }
            attempt = null;
            timeout.cancel(false);
            if (asked != null) {
                asked.close();
            }
            if (knocked != null) {
                knocked.close();
            }
            long took = System.nanoTime() - started;
            done.accept(isLate(took) ? new ProbeOutcome(ProbeOutcome.Result.NOT_MADE, "this host stalled", took)
                    : new ProbeOutcome(result, detail, took));
        }
    }

    /**
     * An outcome that comes long after its timeout was held up here (the process was stopped, the host starved): it may
     * tell of a peer as it was a minute ago, so it counts for nothing.
     */
    private boolean isLate(long tookNanos) {
        return TimeUnit.NANOSECONDS.toMillis(tookNanos) > 2L * settings.timeoutMs() + STALL_MS;
    }

    private SslHandler newTlsHandler() {
        int port = address instanceof InetSocketAddress inet ? inet.getPort() : 0;
        String name = serverName(host);
        SslHandler handler = name.isEmpty() ? tls.newHandler(PooledByteBufAllocator.DEFAULT)
                : tls.newHandler(PooledByteBufAllocator.DEFAULT, name, port);
        handler.setHandshakeTimeoutMillis(0);
        handler.setCloseNotifyFlushTimeoutMillis(0);
        return handler;
    }

    /** The host without its port; empty for a literal address, which TLS server names may not be (RFC 6066, 3). */
    static String serverName(String host) {
        int colon = host.lastIndexOf(':');
        String name = colon > 0 && host.indexOf(':') == colon ? host.substring(0, colon) : host;
        return NetUtil.isValidIpV4Address(name) || name.contains(":") ? "" : name;
    }
}
