package io.atoll.agent.dns;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
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

    /** An answer's header and a question about www.example: bytes 12 to 28. */
    private static ByteBuf answer(int records) {
        return Unpooled.buffer(LENGTH).writeInt(0x0001_8000).writeShort(1).writeShort(records).writeInt(0)
                .writeByte(3).writeBytes(new byte[] {'w', 'w', 'w'}).writeByte(7).writeBytes("example".getBytes(StandardCharsets.US_ASCII)).writeByte(0)
                .writeInt(0x0001_0001);
    }

    private static ByteBuf record(ByteBuf message, int type, int length) {
        return message.writeShort(type).writeShort(1).writeInt(60).writeShort(length);
    }

    /** Labels of 63 bytes, as many. */
    private static ByteBuf labels(ByteBuf message, int count) {
        for (int i = 0; i < count; i++) {
            message.writeByte(63).writeBytes("a".repeat(63).getBytes(StandardCharsets.US_ASCII));
        }
        return message;
    }

    private static void assertCut(boolean cut, ByteBuf message) {
        EmbeddedChannel channel = new EmbeddedChannel();
        CutAnswers.markDatagrams(channel.pipeline());
        int length = message.readableBytes();
        channel.writeInbound(new DatagramPacket(message, new InetSocketAddress("127.0.0.1", 53)));
        assertEquals(cut ? 0x8200 : 0x8000, message.getUnsignedShort(2), "flags");
        assertEquals(cut ? 29 : length, message.readableBytes(), "what is left of it");
        channel.finishAndReleaseAll();
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

    @Test
    void shouldNotHandOnAQuestionWhoseNameDoesNotEnd() {
        for (int pointer : new int[] {0xc00c, 0xc00e, 0xc020, 0xffff}) {
            ByteBuf message = Unpooled.buffer(LENGTH).writeInt(0).writeShort(1).writeZero(6).writeByte(1).writeByte('a').writeShort(pointer).writeZero(100);
            assertGoesOn(false, CutAnswers::markDatagrams, new DatagramPacket(message, new InetSocketAddress("127.0.0.1", 53)), message);
        }
    }

    @Test
    void shouldTakeRecordsWithNamesThatAreNoneForAnAnswerThatIsCut() {
        ByteBuf tooLong = record(labels(answer(1), 4).writeByte(0), 1, 4).writeInt(0x0a000001);
        assertCut(true, tooLong);
        ByteBuf throughAPointer = record(answer(2).writeByte(0), 99, 4 * 64 + 1);
        int labels = throughAPointer.writerIndex();
        record(labels(throughAPointer, 4).writeByte(0).writeShort(0xc000 | labels), 1, 4).writeInt(0x0a000001);
        assertCut(true, throughAPointer);
        assertCut(true, record(answer(1).writeShort(0xc000 | 29), 1, 4).writeInt(0x0a000001));
        for (int type : new int[] {2, 5, 12}) {
            assertCut(true, record(answer(1).writeShort(0xc00c), type, 4).writeByte(1).writeByte('a').writeShort(0xc000 | 41));
        }
        assertCut(true, record(answer(1).writeShort(0xc00c), 33, 10).writeZero(6).writeByte(1).writeByte('a').writeShort(0xc000 | 47));
    }

    @Test
    void shouldLeaveTheNamesThatThereMayBe() {
        ByteBuf longest = record(answer(3).writeShort(0xc00c), 5, 63 + 3 * 64);
        int target = longest.writerIndex();
        labels(longest, 3).writeByte(61).writeBytes(new byte[61]).writeByte(0);
        record(longest.writeShort(0xc000 | target), 1, 4).writeInt(0x0a000001);
        record(longest.writeShort(0xc000 | target), 33, 8).writeZero(6).writeShort(0xc010);
        assertCut(false, longest);
        assertCut(false, record(answer(1).writeByte(0), 41, 0));
        assertCut(false, answer(0));
    }
}
