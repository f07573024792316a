package io.atoll.agent.zone;

import java.util.function.Supplier;

/**
 * Stands around what touches a mapped file. When the file is made shorter under the mapping, the access faults (SIGBUS), and the JVM
 * tells of it by an InternalError, though not there: JDK 17 notes the fault and throws at the thread's next entry into the runtime,
 * which may be long after, in code that has nothing to do with the file; newer ones throw at the next safepoint poll. What was
 * read meanwhile is anything. So a fault is awaited here, before what was made of it gets out. About 100 ns.
 */
final class MappingGuard {
    /** Not a constant: an array of arrays whose size the compiler does not know is made by the runtime. */
    private static volatile int one = 1;
    private static volatile Object made;

    private MappingGuard() {}

    /** What the action brings; what the fallback does when the mapping failed under it. */
    static <T> T call(Supplier<T> action, Supplier<T> fallback) {
        T result;
        try {
            try {
                result = action.get();
            } finally {
                settle();
            }
        } catch (InternalError e) {
            return fallback.get();
        }
        return result;
    }

    /**
     * Enters the runtime, so that a fault of before is thrown here.
     *
     * @throws InternalError when there was one
     */
    static void settle() {
        made = new byte[one][one];
    }
}
