package io.atoll.core.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;

class Crc32Test {
    @Test
    void shouldGiveTheCheckValueOfTheStandard() {
        assertEquals(0xcbf43926, Crc32.of("123456789"));
        assertEquals(0, Crc32.of(""));
    }

    @Test
    void shouldAgreeWithTheJdkOnAnyBytes() {
        Random random = new Random(1);
        for (int length = 0; length < 300; length++) {
            byte[] bytes = new byte[length];
            random.nextBytes(bytes);
            CRC32 expected = new CRC32();
            expected.update(bytes);
            assertEquals((int) expected.getValue(), Crc32.of(bytes), "length " + length);
        }
    }

    @Test
    void shouldGoOnFromAKeptState() {
        byte[] bytes = "cache1.example.net:8080".getBytes(StandardCharsets.US_ASCII);
        int state = Crc32.update(Crc32.INITIAL, bytes, 0, 7);
        assertEquals(Crc32.of(bytes), Crc32.finish(Crc32.update(state, bytes, 7, bytes.length)));
    }

    @Test
    void shouldTakeAWordAsItsFourBytes() {
        Random random = new Random(2);
        for (int i = 0; i < 1000; i++) {
            int word = random.nextInt();
            byte[] bytes = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(word).array();
            assertEquals(Crc32.update(i, bytes, 0, 4), Crc32.updateWord(i, word));
        }
    }
}
