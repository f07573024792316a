package io.atoll.agent.testing;

import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** A journal's thread that refuses work when it is told to. */
public final class FaultyDisk extends ThreadPoolExecutor {
    private final AtomicInteger faults = new AtomicInteger();

    public FaultyDisk() {
        super(1, 1, 0, TimeUnit.SECONDS, new LinkedBlockingQueue<>());
    }

    /** The next so many times. */
    public void refuse(int count) {
        faults.set(count);
    }

    @Override
    public void execute(Runnable work) {
        if (faults.getAndDecrement() > 0) {
            throw new RejectedExecutionException("a fault of the test");
        }
        super.execute(work);
    }
}
