package io.atoll.agent.dns;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelPipeline;
import io.netty.channel.socket.DatagramPacket;
import io.netty.handler.codec.LengthFieldBasedFrameDecoder;

/**
 * Finds answers that end before the last record that their header counts, or whose records make no sense, and marks them as truncated, without records: what
 * their sender should have done. Netty's decoder would take the records that it can read for all of them. What answers another number of questions than the
 * one that was asked is no answer and goes no further.
 *
 * <p>Stands in front of Netty's decoder, which must not see what keeps it busy: 64 KiB of questions, or names as long as the message, in a loop of pointers or
 * in each record again, which take it seconds to minutes and memory without end.
 */
final class CutAnswers {
    /** RFC 1035, 4.1.1. */
    private static final int HEADER = 12;
    private static final int FLAGS = 2;
    private static final int TRUNCATED = 0x0200;
    private static final int QUESTIONS = 4;
    private static final int COUNTS = 6;
    /** Type and class, behind a question's name. */
    private static final int QUESTION = 4;
    /** Type, class, time to live and length, behind a record's name. */
    private static final int RECORD = 10;
    private static final int NS = 2;
    private static final int CNAME = 5;
    private static final int PTR = 12;
    private static final int SRV = 33;
    /** Priority, weight and port, before the target. */
    private static final int SRV_NAME = 6;
    /** RFC 1035, 2.3.4. */
    private static final int LONGEST_NAME = 255;
    private static final int LONGEST_LABEL = 63;
    /** RFC 1035, 4.1.4. */
    private static final int POINTER = 0xc0;
    private static final int OFFSET = 0x3fff;
    private static final int BAD = -1;
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

    /** Marks a message that is cut. False for one that is no answer to one question, as all are that are asked. */
    private static boolean mark(ByteBuf message) {
        // Compressed names count from the message's first byte.
        ByteBuf in = message.slice();
        int length = in.readableBytes();
        if (length < HEADER) {
            // no decoder takes it
            return true;
        }
        int questionEnd = nameEnd(in, HEADER) + QUESTION;
        if (in.getUnsignedShort(QUESTIONS) != 1 || questionEnd < HEADER + QUESTION || questionEnd > length) {
            return false;
        }
        if (!hasItsRecords(in, questionEnd)) {
            in.setShort(FLAGS, in.getUnsignedShort(FLAGS) | TRUNCATED);
            in.setZero(COUNTS, HEADER - COUNTS);
            message.writerIndex(message.readerIndex() + questionEnd);
        }
        return true;
    }

    private static boolean hasItsRecords(ByteBuf in, int from) {
        int records = 0;
        for (int at = COUNTS; at < HEADER; at += Short.BYTES) {
            records += in.getUnsignedShort(at);
        }
        int at = from;
        for (int i = records; i > 0 && at > 0; i--) {
            at = recordEnd(in, at);
        }
        return at > 0;
    }

    /** Where the record ends that begins here; {@link #BAD} when it does not, or a name in it. */
    private static int recordEnd(ByteBuf in, int from) {
        int at = nameEnd(in, from);
        int data = at + RECORD;
        if (at == BAD || data > in.readableBytes()) {
            return BAD;
        }
        int end = data + in.getUnsignedShort(data - Short.BYTES);
        if (end > in.readableBytes()) {
            return BAD;
        }
        int name = switch (in.getUnsignedShort(at)) {
            case NS, CNAME, PTR -> data;
            case SRV -> data + SRV_NAME;
            default -> BAD;
        };
        if (name == BAD) {
            return end;
        }
        int nameEnd = nameEnd(in, name);
        return nameEnd != BAD && nameEnd <= end ? end : BAD;
    }

    /**
     * Where the name ends that begins here; {@link #BAD} for one that is longer than names may be, or whose pointers lead anywhere but back. Takes up to
     * {@value #LONGEST_NAME} steps.
     */
    private static int nameEnd(ByteBuf in, int from) {
        int end = BAD;
        int start = from;
        int at = from;
        int octets = 1;
        for (int steps = 0; steps < LONGEST_NAME && octets <= LONGEST_NAME && at < in.readableBytes(); steps++) {
            int label = in.getUnsignedByte(at);
            if (label == 0) {
                return end == BAD ? at + 1 : end;
            }
            if (label < POINTER) {
                if (label > LONGEST_LABEL) {
                    return BAD;
                }
                octets += 1 + label;
                at += 1 + label;
                continue;
            }
            int to = at + 1 < in.readableBytes() ? in.getUnsignedShort(at) & OFFSET : start;
            if (to >= start || to < HEADER) {
                return BAD;
            }
            end = end == BAD ? at + Short.BYTES : end;
            start = to;
            at = to;
        }
        return BAD;
    }

    private static final class Datagrams extends ChannelInboundHandlerAdapter {
        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            if (message instanceof DatagramPacket packet) {
                if (!mark(packet.content())) {
                    packet.release();
                    return;
                }
            }
            context.fireChannelRead(message);
        }
    }

    private static final class Frames extends ChannelInboundHandlerAdapter {
        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            ByteBuf frame = (ByteBuf) message;
            ByteBuf inner = frame.slice(frame.readerIndex() + LENGTH, frame.readableBytes() - LENGTH);
            if (!mark(inner)) {
                frame.release();
                return;
            }
            frame.setShort(frame.readerIndex(), inner.readableBytes());
            frame.writerIndex(frame.readerIndex() + LENGTH + inner.readableBytes());
            context.fireChannelRead(frame);
        }
    }
}
