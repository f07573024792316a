package io.atoll.agent.api;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.function.Function;

import io.atoll.agent.probe.Transport;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelPipeline;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpMessage;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.QueryStringDecoder;
import io.netty.handler.codec.http.TooLongHttpHeaderException;
import io.netty.handler.codec.http.TooLongHttpLineException;
import io.netty.handler.flow.FlowControlHandler;
import io.netty.handler.timeout.IdleStateEvent;
import io.netty.handler.timeout.IdleStateHandler;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A small HTTP/1.1 server on Netty: hands requests to one function and sends what its future brings. */
public final class HttpServer implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.api");
    private static final int BODY_LIMIT = 64 * 1024;
    private static final int IDLE_SECONDS = 30;

    private final Channel channel;

    private HttpServer(Channel channel) {
        this.channel = channel;
    }

    /**
     * Listens.
     *
     * @param group one thread, on which routes is called
     * @throws IOException when the address cannot be had; the message says why
     */
    public static HttpServer listen(Transport transport, EventLoopGroup group, InetSocketAddress address,
            Function<Request, CompletionStage<Response>> routes) throws IOException {
        ChannelFuture bound = transport.server(group).childHandler(new ChannelInitializer<Channel>() {
            @Override
            protected void initChannel(Channel connection) {
                connection.pipeline().addLast(new IdleStateHandler(0, 0, IDLE_SECONDS), new HttpServerCodec(),
                        new Aggregator(), new FlowControlHandler(), new Connection(routes));
            }
        }).bind(address).awaitUninterruptibly();
        if (!bound.isSuccess()) {
            throw new IOException(bound.cause().getMessage(), bound.cause());
        }
        return new HttpServer(bound.channel());
    }

    /** Where it listens, with the port it got. */
    public InetSocketAddress address() {
        return (InetSocketAddress) channel.localAddress();
    }

    @Override
    public void close() {
        channel.close().awaitUninterruptibly();
    }

    /** In the place of a request: what is sent once those before it are answered. */
    private record Prepared(Response response, boolean keepAlive) {}

    /** In the place of a request: its client waits for a word before it sends the body. */
    private record Awaited() {}

    /**
     * Refuses large bodies in the words of the API, when those before are answered. The rest of the body is read and dropped: a connection that was closed
     * while the client still writes would take the answer with it.
     */
    private static final class Aggregator extends HttpObjectAggregator {
        Aggregator() {
            super(BODY_LIMIT);
        }

        @Override
        protected void handleOversizedMessage(ChannelHandlerContext context, HttpMessage oversized) {
            // who waits for a word before the body may never send it
            boolean keepAlive = !HttpUtil.is100ContinueExpected(oversized);
            context.fireChannelRead(new Prepared(Responses.error(new ApiException(413, "The body is too large", "request body",
                    "at most " + BODY_LIMIT + " bytes", "send less")), keepAlive));
        }

        /** Answers nothing out of turn; expectations other than of {@code 100 Continue} are left aside, as RFC 9110, 10.1.1 allows. */
        @Override
        protected Object newContinueResponse(HttpMessage start, int limit, ChannelPipeline pipeline) {
            if (HttpUtil.is100ContinueExpected(start) && !isContentLengthInvalid(start, limit)) {
                pipeline.context(this).fireChannelRead(new Awaited());
            }
            return null;
        }
    }

    /** One request at a time: those behind it wait in the handler before this one, so that answers keep their order. */
    private static final class Connection extends SimpleChannelInboundHandler<Object> {
        private final Function<Request, CompletionStage<Response>> routes;

        Connection(Function<Request, CompletionStage<Response>> routes) {
            this.routes = routes;
        }

        @Override
        protected void channelRead0(ChannelHandlerContext context, Object message) {
            if (message instanceof FullHttpRequest request) {
                answer(context, request);
            } else if (message instanceof Prepared prepared) {
                send(context, prepared.response(), prepared.keepAlive(), false);
            } else if (message instanceof Awaited) {
                context.writeAndFlush(new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.CONTINUE, Unpooled.EMPTY_BUFFER));
            }
        }

        private void answer(ChannelHandlerContext context, FullHttpRequest message) {
            if (message.decoderResult().isFailure()) {
                send(context, malformed(message.decoderResult().cause()), false, false);
                return;
            }
            boolean keepAlive = HttpUtil.isKeepAlive(message);
            boolean head = message.method().equals(HttpMethod.HEAD);
            CompletableFuture<Response> answer;
            try {
                answer = routes.apply(request(message, head)).toCompletableFuture();
            } catch (RuntimeException e) {
                send(context, failed(e), keepAlive, head);
                return;
            }
            boolean later = !answer.isDone();
            if (later) {
                context.channel().config().setAutoRead(false);
            }
            answer.whenComplete((response, problem) -> {
                send(context, problem == null ? response : failed(problem), keepAlive, head);
                if (later) {    // reads what waits, within this call
                    context.channel().config().setAutoRead(true);
                }
            });
        }

        @Override
        public void userEventTriggered(ChannelHandlerContext context, Object event) {
            if (event instanceof IdleStateEvent) {
                context.close();
            }
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
            LOG.debug("API connection from {}: {}", context.channel().remoteAddress(), cause.toString());
            context.close();
        }
    }

    private static Request request(FullHttpRequest message, boolean head) {
        QueryStringDecoder uri = new QueryStringDecoder(message.uri());
        Map<String, String> headers = new HashMap<>();
        message.headers().forEach(header -> headers.putIfAbsent(header.getKey().toLowerCase(Locale.ROOT),
                header.getValue()));
        try {
            List<String> path = Arrays.stream(uri.rawPath().split("/")).filter(segment -> !segment.isEmpty())
                    .map(segment -> QueryStringDecoder.decodeComponent(segment.replace("+", "%2B"))).toList();
            return new Request(head ? "GET" : message.method().name(), path, uri.parameters(), headers,
                    ByteBufUtil.getBytes(message.content()));
        } catch (IllegalArgumentException e) {
            throw new ApiException(400, "The request target cannot be decoded: " + e.getMessage(), message.uri(),
                    "percent-encoded UTF-8", "encode each path segment and parameter by itself");
        }
    }

    private static Response malformed(Throwable cause) {
        int status = cause instanceof TooLongHttpLineException ? 414
                : cause instanceof TooLongHttpHeaderException ? 431 : 400;
        return Responses.error(new ApiException(status, "The request cannot be read: " + cause.getMessage(),
                "request head", "HTTP/1.1 with a head of at most 8 KiB", "mend the client"));
    }

    private static Response failed(Throwable problem) {
        Throwable cause = problem instanceof CompletionException ? problem.getCause() : problem;
        if (cause instanceof ApiException known) {
            return Responses.error(known);
        }
        LOG.error("An API call failed", cause);
        return Responses.error(new ApiException(500, "The call failed: " + cause, "agent", "an answer",
                "see the agent's log"));
    }

    private static void send(ChannelHandlerContext context, Response response, boolean keepAlive, boolean head) {
        FullHttpResponse message = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1,
                HttpResponseStatus.valueOf(response.status()),
                head ? Unpooled.EMPTY_BUFFER : Unpooled.wrappedBuffer(response.body()));
        response.headers().forEach((name, value) -> message.headers().set(name, value));
        message.headers().set(HttpHeaderNames.CONTENT_TYPE, response.type())
                .set(HttpHeaderNames.CONTENT_LENGTH, response.body().length)
                .set(HttpHeaderNames.CACHE_CONTROL, "no-store")
                .set(HttpHeaderNames.CONNECTION, keepAlive ? HttpHeaderValues.KEEP_ALIVE : HttpHeaderValues.CLOSE);
        ChannelFuture written = context.writeAndFlush(message);
        if (!keepAlive) {
            written.addListener(ChannelFutureListener.CLOSE);
        }
    }
}
