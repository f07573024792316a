package io.atoll.jni;

import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;

/**
 * In the place of the real one, for test_compile_tables.c: ends in the way that the environment variable FAKE tells. The test
 * compiles it as CompileEntry.java.
 */
public final class CompileEntry {
    private CompileEntry() {}

    public static void compile(ByteBuffer region) throws Exception {
        switch (System.getenv("FAKE")) {
            case "throw two lines" -> throw new IOException("first\n\tsecond");
            case "throw null" -> throw null;
            case "run out of memory" -> runOutOfMemory();
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
