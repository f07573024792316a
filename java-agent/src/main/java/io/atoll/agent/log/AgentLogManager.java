package io.atoll.agent.log;

import java.util.logging.LogManager;

/**
 * Keeps log handlers through the JVM's shutdown: the JDK's own manager closes them in a shutdown hook that runs beside
 * the agent's, so its last lines would be lost.
 */
public final class AgentLogManager extends LogManager {
    /** Called by the JVM. */
    public AgentLogManager() {}

    @Override
    public void reset() {
        // nothing to close: lines go to standard error, unbuffered
    }
}
