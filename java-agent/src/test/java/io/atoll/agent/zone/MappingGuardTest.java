package io.atoll.agent.zone;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A mapped file that is made shorter while it is read. */
class MappingGuardTest {
    private static final int PAGE = 4096;

    @TempDir
    Path folder;

    private static String read(ByteBuffer mapping) {
        return MappingGuard.call(() -> {
            long sum = 0;
            for (int i = PAGE; i < PAGE + 64; i += 8) {
                sum += mapping.getLong(i);
            }
            return sum == 0 ? "whole" : "garbage";
        }, () -> "cut");
    }

    @Test
    void shouldTellOfAFaultBeforeItReturns() throws Exception {
        for (int n = 0; n < 50; n++) {
            try (FileChannel file = FileChannel.open(folder.resolve("file" + n), StandardOpenOption.READ, StandardOpenOption.WRITE,
                    StandardOpenOption.CREATE)) {
                ByteBuffer mapping = file.map(FileChannel.MapMode.READ_WRITE, 0, 2 * PAGE);
                for (int i = 0; i < (n == 0 ? 50_000 : 10); i++) {
                    assertEquals("whole", read(mapping));
                }
                file.truncate(PAGE);
                assertEquals("cut", read(mapping), "the same code, interpreted at first, then compiled");
                MappingGuard.settle();
            }
        }
    }

    @Test
    void shouldLetWhatTheActionThrowsPass() {
        assertThrows(IllegalStateException.class, () -> MappingGuard.call(() -> {
            throw new IllegalStateException("not a fault");
        }, () -> "cut"));
    }
}
