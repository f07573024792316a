package io.atoll.agent.purge;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What is done again and again. An exception does not end that: it is logged, once as long as it stays the same. On one thread. */
final class Recurring implements Runnable {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.purge");

    private final String failure;
    private final Runnable action;
    private String trouble = "";

    /** @param failure what is said of it, as "It cannot be done" */
    Recurring(String failure, Runnable action) {
        this.failure = failure;
        this.action = action;
    }

    @Override
    public void run() {
        try {
            action.run();
            trouble = "";
        } catch (RuntimeException e) {
            if (!e.toString().equals(trouble)) {
                trouble = e.toString();
                LOG.error("{}; the agent goes on trying", failure, e);
            }
        }
    }
}
