package io.atoll.agent.testing;

import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/** Waits for a fact, with a deadline. */
public final class Await {
    private static final long DEADLINE_NANOS = 15_000_000_000L;
    private static final long LOOK_NANOS = 2_000_000;

    private Await() {}

    /** Fails with what was waited for and what was seen last. */
    public static void until(String what, BooleanSupplier fact, Supplier<?> seen) {
        long end = System.nanoTime() + DEADLINE_NANOS;
        while (!fact.getAsBoolean()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("waited 15 s for: " + what + "; last seen: " + seen.get());
            }
            LockSupport.parkNanos(LOOK_NANOS);
        }
    }

    public static void until(String what, BooleanSupplier fact) {
        until(what, fact, () -> "not yet");
    }
}
