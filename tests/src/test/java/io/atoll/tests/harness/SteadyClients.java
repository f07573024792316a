package io.atoll.tests.harness;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.IntFunction;

/**
 * Threads that between them make so many requests a second, each at its moment, until they are closed. A client whose answer comes late is
 * late with its next request; the others are not.
 */
public final class SteadyClients implements AutoCloseable {
    /** What one thread does; it is the only one that calls it. */
    public interface Client extends AutoCloseable {
        /** Makes one request. */
        void request();

        /** After the last request. */
        @Override
        default void close() {}
    }

    private final List<Thread> threads = new ArrayList<>();
    private final long start = System.nanoTime();
    private final int rate;
    private final AtomicReference<Throwable> problem = new AtomicReference<>();
    private volatile boolean ended;
    private volatile boolean abandoned;

    private SteadyClients(int rate) {
        this.rate = rate;
    }

    /** Starts: rate requests a second in all. The function makes a client of its number, from 0 on. */
    public static SteadyClients start(int clients, int rate, IntFunction<? extends Client> made) {
        SteadyClients all = new SteadyClients(rate);
        for (int i = 0; i < clients; i++) {
            int number = i;
            Client client = made.apply(i);
            Thread thread = new Thread(() -> all.run(client, number, clients), "client-" + i);
            all.threads.add(thread);
            thread.start();
        }
        return all;
    }

    private void run(Client client, int number, int clients) {
        try (client) {
            for (long k = 0; !ended; k++) {
                Await.moment(start + (k * clients + number) * 1_000_000_000L / rate);
                client.request();
            }
        } catch (RuntimeException | Error e) {
            if (!abandoned) {
                problem.compareAndSet(null, e);
            }
        }
    }

    /** Ends them without waiting for answers that may never come. */
    public void abandon() {
        abandoned = true;
        ended = true;
        threads.forEach(Thread::interrupt);
    }

    /**
     * Ends them after the answers that are due.
     *
     * @throws AssertionError when one of them broke off, since what they counted is not all
     */
    @Override
    public void close() {
        ended = true;
        for (Thread thread : threads) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }
        Throwable first = problem.getAndSet(null);
        if (first != null) {
            throw new AssertionError("a client broke off", first);
        }
    }
}
