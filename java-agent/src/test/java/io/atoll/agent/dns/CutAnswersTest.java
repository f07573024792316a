package io.atoll.agent.dns;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.net.InetSocketAddress;
import java.util.function.Consumer;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelPipeline;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.channel.socket.DatagramPacket;
import org.junit.jupiter.api.Test;

/** What a name server may send that means harm. */
class CutAnswersTest {
    private static final int LENGTH = 4096;

    /** All zeros, but for the count: as many questions about the root as fit. */
    private static ByteBuf message(int questions) {
        return Unpooled.buffer(LENGTH).writeInt(0).writeShort(questions).writeZero(LENGTH - 6);
    }

    private static void assertGoesOn(boolean goesOn, Consumer<ChannelPipeline> mark, Object message, ByteBuf content) {
        EmbeddedChannel channel = new EmbeddedChannel();
        mark.accept(channel.pipeline());
        assertEquals(goesOn, channel.writeInbound(message));
        assertEquals(goesOn ? 1 : 0, content.refCnt());
        channel.finishAndReleaseAll();
        assertFalse(channel.isOpen());
    }

    private static void assertGoesOn(boolean goesOn, int questions) {
        ByteBuf datagram = message(questions);
        assertGoesOn(goesOn, CutAnswers::markDatagrams, new DatagramPacket(datagram, new InetSocketAddress("127.0.0.1", 53)), datagram);
        ByteBuf frame = Unpooled.buffer().writeShort(LENGTH).writeBytes(message(questions));
        assertGoesOn(goesOn, CutAnswers::markFrames, frame, frame);
    }

    @Test
    void shouldNotHandOnWhatAnswersAnotherNumberOfQuestionsThanOne() {
        assertGoesOn(true, 1);
        assertGoesOn(false, 0);
        assertGoesOn(false, 2);
        assertGoesOn(false, 0xffff);
    }
}
