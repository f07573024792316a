package io.atoll.agent.os;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;

import org.junit.jupiter.api.Test;

class PosixTest {
    @Test
    void shouldReadTheClockOfTheKernelsUptime() throws Exception {
        // /proc/uptime counts as CLOCK_BOOTTIME: the same but for the time that the machine was suspended.
        double uptime = Double.parseDouble(java.nio.file.Files.readString(java.nio.file.Path.of("/proc/uptime"))
                .split(" ")[0]);
        assertTrue(Posix.monotonicMs() <= uptime * 1000 + 1000);
        assertTrue(Posix.monotonicMs() > 0);
    }

    /** Not relied on; it says that what HotSpot calls nanoTime is the same clock. */
    @Test
    void shouldAgreeWithNanoTimeOnLinux() {
        long before = System.nanoTime() / 1_000_000;
        long now = Posix.monotonicMs();
        long after = System.nanoTime() / 1_000_000;
        assertTrue(before <= now && now <= after, before + " <= " + now + " <= " + after);
    }

    @Test
    void shouldKnowWhichProcessesRun() throws Exception {
        long self = ProcessHandle.current().pid();
        long start = Posix.processStart(self);
        assertTrue(start > 0);
        assertTrue(Posix.isAlive(self, start));
        assertTrue(Posix.isAlive(self, 0));
        assertFalse(Posix.isAlive(self, start + 1), "the pid of a process that started at another time");
        assertTrue(Posix.isAlive(1, Posix.processStart(1)));
        assertFalse(Posix.isAlive(0, 0));
        assertFalse(Posix.isAlive(-1, 0));
        assertFalse(Posix.isAlive(1L << 40, 0));
        Process process = new ProcessBuilder("true").start();
        process.waitFor();
        assertFalse(Posix.isAlive(process.pid(), 0));
        assertEquals(0, Posix.processStart(process.pid()));
    }

    @Test
    void shouldReadTheBootId() {
        byte[] id = Posix.bootId();
        assertEquals(16, id.length);
        assertFalse(java.util.Arrays.equals(id, new byte[16]));
    }

    @Test
    void shouldSayWhyADatagramCannotBeSent() {
        assertThrows(IOException.class, () -> Posix.sendDatagram("/nowhere/socket", new byte[1]));
        assertThrows(IOException.class, () -> Posix.sendDatagram("", new byte[1]));
        assertThrows(IOException.class, () -> Posix.sendDatagram("/" + "x".repeat(200), new byte[1]));
    }
}
