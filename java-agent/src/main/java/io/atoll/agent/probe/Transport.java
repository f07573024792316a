package io.atoll.agent.probe;

import java.net.SocketAddress;
import java.util.concurrent.ThreadFactory;

import io.netty.bootstrap.Bootstrap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollDatagramChannel;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.DatagramChannel;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioDatagramChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;

/** Netty on epoll where its native library works, on NIO elsewhere. */
public final class Transport {
    private final boolean epoll;

    /** @param epoll use epoll; {@link #isEpollAvailable} must hold */
    public Transport(boolean epoll) {
        this.epoll = epoll;
    }

    public static boolean isEpollAvailable() {
        return Epoll.isAvailable();
    }

    public String name() {
        return epoll ? "epoll" : "nio";
    }

    /** A group of one thread. */
    public EventLoopGroup newLoop(ThreadFactory threads) {
        return epoll ? new EpollEventLoopGroup(1, threads) : new NioEventLoopGroup(1, threads);
    }

    public boolean canReach(SocketAddress address) {
        return epoll || !(address instanceof DomainSocketAddress);
    }

    /** For connections to that address, which {@link #canReach} allows. */
    Bootstrap client(EventLoop loop, SocketAddress address) {
        Bootstrap bootstrap = new Bootstrap().group(loop)
                .option(ChannelOption.ALLOCATOR, PooledByteBufAllocator.DEFAULT)
                .option(ChannelOption.CONNECT_TIMEOUT_MILLIS, 0);
        if (address instanceof DomainSocketAddress) {
            return bootstrap.channel(EpollDomainSocketChannel.class);
        }
        return bootstrap.channel(stream())
                .option(ChannelOption.TCP_NODELAY, true);
    }

    /** For UDP. */
    public Class<? extends DatagramChannel> datagram() {
        return epoll ? EpollDatagramChannel.class : NioDatagramChannel.class;
    }

    /** For TCP. */
    public Class<? extends SocketChannel> stream() {
        return epoll ? EpollSocketChannel.class : NioSocketChannel.class;
    }

    public ServerBootstrap server(EventLoopGroup loop) {
        return new ServerBootstrap().group(loop)
                .channel(epoll ? EpollServerSocketChannel.class : NioServerSocketChannel.class)
                .option(ChannelOption.SO_REUSEADDR, true)
                .childOption(ChannelOption.ALLOCATOR, PooledByteBufAllocator.DEFAULT)
                .childOption(ChannelOption.TCP_NODELAY, true);
    }
}
