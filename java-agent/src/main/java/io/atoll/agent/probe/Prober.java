package io.atoll.agent.probe;

import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;

import javax.net.ssl.SSLException;

import io.atoll.core.zone.Peer;
import io.atoll.core.zone.ProbeSettings;
import io.netty.channel.EventLoop;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.util.InsecureTrustManagerFactory;

/** Makes the probes of all peers, on one event loop. */
public final class Prober {
    private final Transport transport;
    private final EventLoop loop;
    private final boolean keepalive;
    private SslContext tls;

    public Prober(Transport transport, EventLoop loop, boolean keepalive) {
        this.transport = transport;
        this.loop = loop;
        this.keepalive = keepalive;
    }

    /**
     * For one peer; called on the loop, and close it there. Null when its address is of a family that the transport
     * cannot reach.
     */
    public PeerProbe newProbe(Peer peer, ProbeSettings settings) {
        SocketAddress address = address(peer.socketAddress(), settings.port());
        if (address == null || !transport.canReach(address)) {
            return null;
        }
        String host = settings.host().isEmpty() ? host(peer.server()) : settings.host();
        return new PeerProbe(transport, loop, address, settings, host, settings.tls() ? tls() : null, keepalive);
    }

    /** The peer's address with the probe's own port, which means nothing for unix sockets. */
    private static SocketAddress address(SocketAddress address, int port) {
        if (address instanceof InetSocketAddress inet && port != 0) {
            return new InetSocketAddress(inet.getAddress(), port);
        }
        return address instanceof UnixDomainSocketAddress unix
                ? new DomainSocketAddress(unix.getPath().toString()) : address;
    }

    /** Host header for a server of nginx.conf: its name; nginx says localhost for unix sockets. */
    private static String host(String server) {
        return server.startsWith("unix:") ? "localhost" : server;
    }

    /** Made at first use: most agents probe without TLS. Certificates are not checked, as nginx does by default. */
    private SslContext tls() {
        if (tls == null) {
            try {
                tls = SslContextBuilder.forClient().trustManager(InsecureTrustManagerFactory.INSTANCE).build();
            } catch (SSLException e) {
                throw new IllegalStateException("This JVM has no TLS", e);
            }
        }
        return tls;
    }
}
