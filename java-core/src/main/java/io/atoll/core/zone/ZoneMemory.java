package io.atoll.core.zone;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Loads and stores of the mapping with the memory order that each word needs. Offsets must have been checked before:
 * what is out of bounds here is a defect of ours.
 */
final class ZoneMemory {
    private static final VarHandle LONG = MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle INT = MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

    final ByteBuffer bytes;

    ZoneMemory(ByteBuffer bytes) {
        this.bytes = bytes;
    }

    long length() {
        return bytes.limit();
    }

    /** A word that does not change, or whose change is noticed elsewhere. */
    int plainInt(int offset) {
        return (int) INT.getOpaque(bytes, offset);
    }

    long plainLong(int offset) {
        return (long) LONG.getOpaque(bytes, offset);
    }

    int relaxedInt(int offset) {
        return (int) INT.getOpaque(bytes, offset);
    }

    long relaxed(int offset) {
        return (long) LONG.getOpaque(bytes, offset);
    }

    int acquireInt(int offset) {
        return (int) INT.getAcquire(bytes, offset);
    }

    long acquire(int offset) {
        return (long) LONG.getAcquire(bytes, offset);
    }

    void setRelaxed(int offset, long value) {
        LONG.setOpaque(bytes, offset, value);
    }

    void setRelease(int offset, long value) {
        LONG.setRelease(bytes, offset, value);
    }

    void setRelaxedInt(int offset, int value) {
        INT.setOpaque(bytes, offset, value);
    }

    void setReleaseInt(int offset, int value) {
        INT.setRelease(bytes, offset, value);
    }

    void put(int offset, byte[] value) {
        bytes.put(offset, value);
    }

    boolean compareAndSet(int offset, long expected, long value) {
        return LONG.compareAndSet(bytes, offset, expected, value);
    }

    byte[] copy(int offset, int length) {
        byte[] copy = new byte[length];
        bytes.get(offset, copy);
        return copy;
    }

    /** Text of a length field and a byte array, or null when the length is more than the array has. */
    String text(int lengthOffset, int offset, int capacity) {
        int length = plainInt(lengthOffset);
        return length < 0 || length > capacity ? null : new String(copy(offset, length), StandardCharsets.UTF_8);
    }
}
