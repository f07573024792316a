package io.atoll.agent.probe;

import java.net.SocketAddress;
import java.util.concurrent.ThreadFactory;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandler;
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

    /**
     * Connects to an address, which {@link #canReach} allows, on the loop's own thread; without a {@link io.netty.bootstrap.Bootstrap}, which costs as much as the
     * connection itself where there are thousands a second. Over TCP it is closed with a reset, which leaves nothing waiting on either side.
     *
     * @throws io.netty.channel.ChannelException when there is no descriptor left
     */
    ChannelFuture connect(EventLoop loop, SocketAddress address, ChannelHandler... handlers) {
        Channel channel = address instanceof DomainSocketAddress ? new EpollDomainSocketChannel()
                : epoll ? new EpollSocketChannel() : new NioSocketChannel();
        channel.config().setAllocator(PooledByteBufAllocator.DEFAULT).setConnectTimeoutMillis(0);
        if (channel instanceof SocketChannel) {
            channel.config().setOption(ChannelOption.SO_LINGER, 0);
            if (handlers.length > 0) {
                channel.config().setOption(ChannelOption.TCP_NODELAY, true);
            }
        }
        channel.pipeline().addLast(handlers);
        ChannelFuture registered = loop.register(channel);
        if (registered.cause() != null) {
            channel.unsafe().closeForcibly();
            return registered;
        }
        return channel.connect(address);
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
