package io.atoll.tests.harness;

import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/** Waits for facts, each with a deadline and a sentence that says what was waited for. */
public final class Await {
    private static final long POLL_NS = 2_000_000;

    private Await() {
    }

    /** Returns as soon as the fact holds; fails the test when it does not within the limit. */
    public static void until(String fact, Duration limit, BooleanSupplier holds) {
        value(fact, limit, () -> holds.getAsBoolean() ? Boolean.TRUE : null);
    }

    /** The first value that is not null. */
    public static <T> T value(String fact, Duration limit, Supplier<T> source) {
        long deadline = System.nanoTime() + limit.toNanos();
        while (true) {
            T value = source.get();
            if (value != null) {
                return value;
            }
            if (System.nanoTime() - deadline > 0) {
                throw new AssertionError("waited " + limit.toMillis() + " ms in vain for: " + fact);
            }
            LockSupport.parkNanos(POLL_NS);
        }
    }

    /** Waits until a moment of System.nanoTime: paces load, or lets an observed window pass. */
    public static void moment(long nanoTime) {
        for (long left; (left = nanoTime - System.nanoTime()) > 0; ) {
            LockSupport.parkNanos(left);
        }
    }

    /** Lets a window pass in which a scene is observed. */
    public static void window(Duration length) {
        moment(System.nanoTime() + length.toNanos());
    }
}
