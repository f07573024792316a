package io.atoll.agent.dns;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelPipeline;
import io.netty.channel.socket.DatagramPacket;
import io.netty.handler.codec.LengthFieldBasedFrameDecoder;
import io.netty.handler.codec.dns.DnsRecord;
import io.netty.handler.codec.dns.DnsRecordDecoder;
import io.netty.util.ReferenceCountUtil;

/**
 * Finds answers that end before the last record that their header counts, or whose records make no sense, and marks them as truncated, without records: what
 * their sender should have done. Netty's decoder would take the records that it can read for all of them. What answers another number of questions than the
 * one that was asked is no answer and goes no further: 64 KiB of questions keep a decoder busy for seconds. Stands in front of Netty's.
 */
final class CutAnswers {
    /** RFC 1035, 4.1.1. */
    private static final int HEADER = 12;
    private static final int FLAGS = 2;
    private static final int TRUNCATED = 0x0200;
    private static final int QUESTIONS = 4;
    private static final int COUNTS = 6;
    /** RFC 1035, 4.2.2: over TCP a message follows its length. */
    private static final int LENGTH = 2;
    private static final int LONGEST = LENGTH + 0xffff;

    private CutAnswers() {}

    /** For a channel whose messages are datagrams. */
    static void markDatagrams(ChannelPipeline pipeline) {
        pipeline.addFirst(new Datagrams());
    }

    /** For a channel over TCP. */
    static void markFrames(ChannelPipeline pipeline) {
        pipeline.addFirst(new LengthFieldBasedFrameDecoder(LONGEST, 0, LENGTH), new Frames());
    }

    /** Whether a message may be an answer to one question, as all are that are asked. One without a whole header is left to the decoder, which takes none. */
    private static boolean answersOneQuestion(ByteBuf message) {
        return message.readableBytes() < HEADER || message.getUnsignedShort(message.readerIndex() + QUESTIONS) == 1;
    }

    /** Marks a message of one question that is cut. One without a whole header and question is left alone: no decoder takes it. */
    private static void mark(ByteBuf message) {
        // Compressed names count from the message's first byte.
        ByteBuf in = message.slice();
        if (in.readableBytes() < HEADER) {
            return;
        }
        in.skipBytes(HEADER);
        try {
            DnsRecordDecoder.DEFAULT.decodeQuestion(in);
        } catch (Exception e) {
            return;
        }
        int questionsEnd = in.readerIndex();
        if (!hasItsRecords(in)) {
            int start = message.readerIndex();
            message.setShort(start + FLAGS, message.getUnsignedShort(start + FLAGS) | TRUNCATED);
            message.setZero(start + COUNTS, HEADER - COUNTS);
            message.writerIndex(start + questionsEnd);
        }
    }

    private static boolean hasItsRecords(ByteBuf in) {
        int records = 0;
        for (int at = COUNTS; at < HEADER; at += Short.BYTES) {
            records += in.getUnsignedShort(at);
        }
        try {
            for (int i = records; i > 0; i--) {
                DnsRecord record = DnsRecordDecoder.DEFAULT.decodeRecord(in);
                ReferenceCountUtil.release(record);
                if (record == null) {
                    return false;
                }
            }
            return true;
        } catch (Exception e) {
            return false;
        }
    }

    private static final class Datagrams extends ChannelInboundHandlerAdapter {
        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            if (message instanceof DatagramPacket packet) {
                if (!answersOneQuestion(packet.content())) {
                    packet.release();
                    return;
                }
                mark(packet.content());
            }
            context.fireChannelRead(message);
        }
    }

    private static final class Frames extends ChannelInboundHandlerAdapter {
        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            ByteBuf frame = (ByteBuf) message;
            ByteBuf inner = frame.slice(frame.readerIndex() + LENGTH, frame.readableBytes() - LENGTH);
            if (!answersOneQuestion(inner)) {
                frame.release();
                return;
            }
            mark(inner);
            frame.setShort(frame.readerIndex(), inner.readableBytes());
            frame.writerIndex(frame.readerIndex() + LENGTH + inner.readableBytes());
            context.fireChannelRead(frame);
        }
    }
}
