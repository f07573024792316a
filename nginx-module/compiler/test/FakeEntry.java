package io.atoll.jni;

import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * In the place of the real one, for test_compile_tables.c: ends in the way that the environment variable FAKE tells. The test
 * compiles it as CompileEntry.java.
 */
public final class CompileEntry {
    private static final int SIGHUP = 1;
    private static final int SIGINT = 2;
    private static final int SIGQUIT = 3;
    private static final int SIGTERM = 15;

    private CompileEntry() {}

    public static void compile(ByteBuffer region) throws Exception {
        switch (System.getenv("FAKE")) {
            case "throw two lines" -> throw new IOException("first\n\tsecond");
            case "throw null" -> throw null;
            case "run out of memory" -> runOutOfMemory();
            case "describe" -> throw new IOException(describe());
            case "exit" -> {
                System.err.println("enough");
                System.exit(7);
            }
            case "crash" -> crash();
            default -> {
                while (true) {
                    Thread.onSpinWait();
                }
            }
        }
    }

    /** Which thread this is, which signals that end a process the JVM wants for itself, and its largest heap. */
    private static String describe() throws IOException {
        String thread = Path.of("/proc/thread-self").toRealPath().getFileName().toString();
        long caught = Files.readAllLines(Path.of("/proc/self/status")).stream().filter(line -> line.startsWith("SigCgt:"))
                .mapToLong(line -> Long.parseUnsignedLong(line.substring(7).trim(), 16)).findFirst().orElseThrow();
        long ending = 1L << SIGHUP - 1 | 1L << SIGINT - 1 | 1L << SIGQUIT - 1 | 1L << SIGTERM - 1;
        return "first thread " + thread.equals(Long.toString(ProcessHandle.current().pid()))
                + ", caught signals " + (caught & ending) + ", heap " + (Runtime.getRuntime().maxMemory() >> 20) + " MiB";
    }

    private static void runOutOfMemory() {
        byte[][] all = new byte[1000][];
        for (int i = 0; i < all.length; i++) {
            all[i] = new byte[1 << 22];
        }
    }

    /** Writes to the first page of memory, by reflection so that no compiler warns. */
    private static void crash() throws Exception {
        Class<?> unsafe = Class.forName("sun.misc.Unsafe");
        Field instance = unsafe.getDeclaredField("theUnsafe");
        instance.setAccessible(true);
        unsafe.getMethod("putInt", long.class, int.class).invoke(instance.get(null), 8L, 1);
    }
}
