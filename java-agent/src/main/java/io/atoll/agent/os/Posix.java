package io.atoll.agent.os;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

import jnr.ffi.LibraryLoader;
import jnr.ffi.Memory;
import jnr.ffi.Pointer;
import jnr.ffi.Runtime;

/**
 * System calls by their own names: the monotonic clock, process checks, datagrams to AF_UNIX sockets. Linux, 64 bit.
 * Any thread may call.
 */
public final class Posix {
    private static final int CLOCK_MONOTONIC = 1;
    private static final int AF_UNIX = 1;
    private static final int SOCK_DGRAM = 2;
    private static final int SOCK_CLOEXEC = 0x80000;
    private static final int MSG_NOSIGNAL = 0x4000;
    private static final int ESRCH = 3;
    private static final int SUN_PATH = 108;

    private static final LibC LIBC = LibraryLoader.create(LibC.class).load("c");
    private static final Runtime RUNTIME = Runtime.getRuntime(LIBC);
    private static final ThreadLocal<Pointer> TIME =
            ThreadLocal.withInitial(() -> Memory.allocateDirect(RUNTIME, 16));

    private Posix() {}

    /**
     * CLOCK_MONOTONIC in milliseconds: the clock of the zone. nginx reads the same clock (as CLOCK_MONOTONIC_COARSE,
     * which lags by up to one tick, 4 ms). {@code System.nanoTime} counts on it too in HotSpot on Linux, but promises
     * no origin, so it is not used for anything that goes into the zone.
     */
    public static long monotonicMs() {
        Pointer time = TIME.get();
        if (LIBC.clock_gettime(CLOCK_MONOTONIC, time) != 0) {
            throw new IllegalStateException("clock_gettime(CLOCK_MONOTONIC) failed with errno "
                    + RUNTIME.getLastError());
        }
        return time.getLong(0) * 1000 + time.getLong(8) / 1_000_000;
    }

    /**
     * True while the process that had this pid and start time runs. A start of 0 stands for any. A process that this
     * one may not signal counts as running; one of another pid namespace cannot be seen and counts as gone.
     */
    public static boolean isAlive(long pid, long start) {
        if (pid <= 0 || pid > Integer.MAX_VALUE) {
            return false;
        }
        if (LIBC.kill((int) pid, 0) != 0 && RUNTIME.getLastError() == ESRCH) {
            return false;
        }
        return start == 0 || processStart(pid) == start;
    }

    /** Start time of a process, in clock ticks since boot (field 22 of /proc/PID/stat); 0 when it is gone. */
    public static long processStart(long pid) {
        try {
            String stat = Files.readString(Path.of("/proc/" + pid + "/stat"), StandardCharsets.ISO_8859_1);
            String[] afterName = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            return Long.parseLong(afterName[19]);
        } catch (IOException | IndexOutOfBoundsException | NumberFormatException e) {
            return 0;
        }
    }

    /** Identity of the running kernel, 16 bytes; all zero when it cannot be read. */
    public static byte[] bootId() {
        byte[] id = new byte[16];
        try {
            String text = Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).trim().replace("-", "");
            for (int i = 0; i < id.length; i++) {
                id[i] = (byte) Integer.parseInt(text.substring(2 * i, 2 * i + 2), 16);
            }
            return id;
        } catch (IOException | IndexOutOfBoundsException | NumberFormatException e) {
            return new byte[16];
        }
    }

    /**
     * Sends one datagram to an AF_UNIX socket.
     *
     * @param name its path, or {@code @name} for one in the abstract namespace
     */
    public static void sendDatagram(String name, byte[] bytes) throws IOException {
        byte[] address = unixAddress(name);
        int fd = LIBC.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            throw new IOException("socket(AF_UNIX) failed with errno " + RUNTIME.getLastError());
        }
        try {
            if (LIBC.sendto(fd, bytes, bytes.length, MSG_NOSIGNAL, address, address.length) != bytes.length) {
                throw new IOException("sendto(" + name + ") failed with errno " + RUNTIME.getLastError());
            }
        } finally {
            LIBC.close(fd);
        }
    }

    /** {@code struct sockaddr_un}: the family, then the path, whose first byte is 0 in the abstract namespace. */
    private static byte[] unixAddress(String name) throws IOException {
        byte[] path = name.getBytes(StandardCharsets.UTF_8);
        if (path.length == 0 || path.length >= SUN_PATH) {
            throw new IOException("socket path of " + path.length + " bytes; expected 1 to " + (SUN_PATH - 1));
        }
        byte[] address = new byte[2 + path.length];
        address[0] = AF_UNIX;
        System.arraycopy(path, 0, address, 2, path.length);
        if (path[0] == '@') {
            address[2] = 0;
        }
        return address;
    }
}
