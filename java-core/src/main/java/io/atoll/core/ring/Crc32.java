package io.atoll.core.ring;

import java.nio.charset.StandardCharsets;

/**
 * CRC-32 as nginx computes it ({@code ngx_crc32_init/update/final}, polynomial 0xEDB88320 reflected), with a state that
 * can be kept and continued, which {@link java.util.zip.CRC32} does not offer.
 */
public final class Crc32 {
    /** State before the first byte. */
    public static final int INITIAL = 0xffffffff;

    private static final int POLYNOMIAL = 0xedb88320;

    /** Slices: {@code SLICE[k][b]} is the effect of byte b followed by k zero bytes. */
    private static final int[] SLICE0 = new int[256];
    private static final int[] SLICE1 = new int[256];
    private static final int[] SLICE2 = new int[256];
    private static final int[] SLICE3 = new int[256];

    static {
        for (int b = 0; b < 256; b++) {
            int crc = b;
            for (int bit = 0; bit < 8; bit++) {
                crc = (crc & 1) != 0 ? crc >>> 1 ^ POLYNOMIAL : crc >>> 1;
            }
            SLICE0[b] = crc;
        }
        for (int b = 0; b < 256; b++) {
            SLICE1[b] = SLICE0[b] >>> 8 ^ SLICE0[SLICE0[b] & 0xff];
            SLICE2[b] = SLICE1[b] >>> 8 ^ SLICE0[SLICE1[b] & 0xff];
            SLICE3[b] = SLICE2[b] >>> 8 ^ SLICE0[SLICE2[b] & 0xff];
        }
    }

    private Crc32() {}

    /** The state after {@code bytes[from..to)}. */
    public static int update(int state, byte[] bytes, int from, int to) {
        int crc = state;
        for (int i = from; i < to; i++) {
            crc = SLICE0[(crc ^ bytes[i]) & 0xff] ^ crc >>> 8;
        }
        return crc;
    }

    /** The state after one byte. */
    public static int update(int state, byte b) {
        return SLICE0[(state ^ b) & 0xff] ^ state >>> 8;
    }

    /** The state after the four bytes of a little-endian word. */
    public static int updateWord(int state, int word) {
        int x = state ^ word;
        return SLICE3[x & 0xff] ^ SLICE2[x >>> 8 & 0xff] ^ SLICE1[x >>> 16 & 0xff] ^ SLICE0[x >>> 24];
    }

    /** The CRC-32 of everything that led to a state. */
    public static int finish(int state) {
        return ~state;
    }

    /** CRC-32 of a key: where it lies on every ring. */
    public static int of(byte[] key) {
        return finish(update(INITIAL, key, 0, key.length));
    }

    /** CRC-32 of the UTF-8 form of a key. */
    public static int of(String key) {
        return of(key.getBytes(StandardCharsets.UTF_8));
    }
}
