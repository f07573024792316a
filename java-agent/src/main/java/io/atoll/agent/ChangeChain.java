package io.atoll.agent;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.Supplier;

/**
 * Changes of one kind, one after the other: the next begins when the one before is in the journal and in force, or has failed. So none is decided on what
 * another is about to change, and the journal has them in the order in which they are in force. On the agent's event loop.
 */
final class ChangeChain {
    private final Executor loop;
    private CompletableFuture<?> last = CompletableFuture.completedFuture(null);

    ChangeChain(Executor loop) {
        this.loop = loop;
    }

    /**
     * Puts a change behind the others.
     *
     * @param change begins it, on the loop: at once when there is no other; its future is done when the change is over
     */
    <T> CompletableFuture<T> append(Supplier<CompletableFuture<T>> change) {
        CompletableFuture<T> done = last.isDone() ? begun(change)
                : last.handle((before, problem) -> null).thenComposeAsync(nothing -> change.get(), loop);
        last = done;
        return done;
    }

    /** Done when the changes until now are over, whatever became of them. */
    CompletableFuture<Void> over() {
        return append(() -> CompletableFuture.completedFuture(null));
    }

    private static <T> CompletableFuture<T> begun(Supplier<CompletableFuture<T>> change) {
        try {
            return change.get();
        } catch (RuntimeException e) {
            return CompletableFuture.failedFuture(e);
        }
    }
}
