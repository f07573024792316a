package io.atoll.tests.harness;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;

/** Header Atoll-Step as the module writes it (docs/route.md), worked out apart from it. */
public final class Step {
    private static final int ROUNDS = 2;
    private static final int LAST_ROUNDS = 4;

    private Step() {
    }

    /** tier.kind.seconds.code for a key; kind is own, ret or fil. */
    public static String sign(String secret, int tier, String kind, long seconds, String key) {
        String signed = String.format("%d.%s.%08x.", tier, kind, seconds);
        byte[] head = Arrays.copyOf(signed.getBytes(StandardCharsets.US_ASCII), 16);
        byte[] text = key.getBytes(StandardCharsets.UTF_8);
        ByteBuffer message = ByteBuffer.allocate(head.length + text.length).put(head).put(text);
        return signed + HexFormat.of().formatHex(sipHash(sha256(secret), message.array()));
    }

    private static byte[] sha256(String text) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        } catch (GeneralSecurityException e) {
            throw new AssertionError(e);
        }
    }

    /** SipHash-2-4 (Aumasson, Bernstein 2012), as little-endian bytes. */
    private static byte[] sipHash(byte[] secret, byte[] message) {
        ByteBuffer key = ByteBuffer.wrap(secret).order(ByteOrder.LITTLE_ENDIAN);
        long k0 = key.getLong(0);
        long k1 = key.getLong(8);
        long[] v = {k0 ^ 0x736f6d6570736575L, k1 ^ 0x646f72616e646f6dL, k0 ^ 0x6c7967656e657261L, k1 ^ 0x7465646279746573L};
        ByteBuffer words = ByteBuffer.wrap(Arrays.copyOf(message, (message.length / 8 + 1) * 8)).order(ByteOrder.LITTLE_ENDIAN);
        words.put(words.capacity() - 1, (byte) message.length);
        while (words.hasRemaining()) {
            long word = words.getLong();
            v[3] ^= word;
            rounds(v, ROUNDS);
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        rounds(v, LAST_ROUNDS);
        return ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(v[0] ^ v[1] ^ v[2] ^ v[3]).array();
    }

    private static void rounds(long[] v, int count) {
        for (int i = 0; i < count; i++) {
            v[0] += v[1];
            v[1] = Long.rotateLeft(v[1], 13) ^ v[0];
            v[0] = Long.rotateLeft(v[0], 32);
            v[2] += v[3];
            v[3] = Long.rotateLeft(v[3], 16) ^ v[2];
            v[0] += v[3];
            v[3] = Long.rotateLeft(v[3], 21) ^ v[0];
            v[2] += v[1];
            v[1] = Long.rotateLeft(v[1], 17) ^ v[2];
            v[2] = Long.rotateLeft(v[2], 32);
        }
    }
}
