package io.atoll.agent.probe;

import io.atoll.core.zone.ProbeSettings;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.http.DefaultFullHttpRequest;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpContent;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpRequestEncoder;
import io.netty.handler.codec.http.HttpResponse;
import io.netty.handler.codec.http.HttpStatusClass;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.LastHttpContent;

/**
 * One request at a time on one connection. The body streams through a search and is not kept; a probe has ended with
 * the answer's last byte or 64 KiB of its body, whichever comes first.
 */
final class HttpProbeHandler extends SimpleChannelInboundHandler<HttpObject> {
    /** Bytes of the body that a probe reads. */
    static final int BODY_LIMIT = 64 * 1024;

    /** Who asked. Called on the loop, at most one of answered and broken. */
    interface Listener {
        void answerBegins();

        /** @param complaint what is wrong with the answer, or null */
        void answered(String complaint, boolean reusable);

        void broken(Throwable cause, boolean answerBegun);
    }

    private final ProbeSettings settings;
    private final boolean keepalive;
    private Listener listener;
    private StreamSearch search;
    private boolean begun;
    private boolean reusable;
    private int read;

    HttpProbeHandler(ProbeSettings settings, boolean keepalive) {
        this.settings = settings;
        this.keepalive = keepalive;
    }

    /** What a peer is asked, in bytes: the same for each probe, so it is worked out once. Need not be released. */
    static ByteBuf request(ProbeSettings settings, String host, boolean keepalive) {
        FullHttpRequest request = new DefaultFullHttpRequest(HttpVersion.HTTP_1_1, HttpMethod.GET, settings.uri());
        request.headers().set(HttpHeaderNames.HOST, host)
                .set(HttpHeaderNames.USER_AGENT, "atoll-agent")
                .set(HttpHeaderNames.ACCEPT, "*/*")
                .set(HttpHeaderNames.CONNECTION, keepalive ? HttpHeaderValues.KEEP_ALIVE : HttpHeaderValues.CLOSE);
        EmbeddedChannel encoder = new EmbeddedChannel(new HttpRequestEncoder());
        ByteBuf bytes = Unpooled.buffer(256);
        encoder.writeOutbound(request);
        for (ByteBuf part = encoder.readOutbound(); part != null; part = encoder.readOutbound()) {
            bytes.writeBytes(part);
            part.release();
        }
        encoder.finishAndReleaseAll();
        return Unpooled.unreleasableBuffer(bytes);
    }

    /** @param request see {@link #request} */
    void ask(Channel channel, ByteBuf request, Listener asking) {
        listener = asking;
        search = new StreamSearch(settings.match());
        begun = false;
        reusable = false;
        read = 0;
        channel.writeAndFlush(request.duplicate()).addListener(future -> {
            if (!future.isSuccess()) {
                broken(future.cause());
            }
        });
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, HttpObject message) {
        if (listener == null) {
            context.close();
        } else if (message.decoderResult().isFailure()) {
            answered("malformed answer: " + message.decoderResult().cause().getMessage(), false);
        } else {
            if (message instanceof HttpResponse response && !head(response)) {
                return;
            }
            if (begun && message instanceof HttpContent content) {
                body(content);
            }
        }
    }

    /** False when there is nothing more to look at: a wrong status, or an interim answer (RFC 9110, 15.2). */
    private boolean head(HttpResponse response) {
        int status = response.status().code();
        if (response.status().codeClass() == HttpStatusClass.INFORMATIONAL && status != 101) {
            return false;
        }
        begun = true;
        reusable = keepalive && HttpUtil.isKeepAlive(response);
        listener.answerBegins();
        if (!settings.expects(status)) {
            answered("status " + status, false);
            return false;
        }
        return true;
    }

    private void body(HttpContent content) {
        int length = Math.min(content.content().readableBytes(), BODY_LIMIT - read);
        content.content().forEachByte(content.content().readerIndex(), length, search);
        read += length;
        boolean last = content instanceof LastHttpContent;
        if (last || read == BODY_LIMIT) {
            String complaint = search.isFound() ? null : "body without \"" + settings.match() + "\"";
            answered(complaint, reusable && last);
        }
    }

    private void answered(String complaint, boolean again) {
        Listener asking = listener;
        listener = null;
        if (asking != null) {
            asking.answered(complaint, again);
        }
    }

    private void broken(Throwable cause) {
        Listener asking = listener;
        listener = null;
        if (asking != null) {
            asking.broken(cause, begun);
        }
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        broken(new java.io.IOException("connection closed before the end of the answer"));
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        broken(cause);
        context.close();
    }
}
