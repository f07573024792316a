package io.atoll.agent.os;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the service manager how the agent is (sd_notify(3)): READY, STATUS, WATCHDOG, STOPPING. Does nothing when there
 * is none, that is, when NOTIFY_SOCKET is not set. Used from one thread.
 */
public final class ServiceManager {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.agent");

    private final String socket;
    private final long watchdogMs;
    private boolean failed;

    /** @param environment the process's, for NOTIFY_SOCKET and WATCHDOG_USEC */
    public ServiceManager(Map<String, String> environment) {
        String name = environment.getOrDefault("NOTIFY_SOCKET", "");
        this.socket = name.startsWith("/") || name.startsWith("@") ? name : "";
        this.watchdogMs = watchdog(environment.getOrDefault("WATCHDOG_USEC", ""));
    }

    private static long watchdog(String microseconds) {
        try {
            return Long.parseLong(microseconds) / 1000;
        } catch (NumberFormatException e) {
            return 0;
        }
    }

    /** Milliseconds within which the manager wants to hear {@link #watchdog}; 0 when it does not watch. */
    public long watchdogMs() {
        return watchdogMs;
    }

    public void ready(String status) {
        send("READY=1\nSTATUS=" + status);
    }

    public void status(String status) {
        send("STATUS=" + status);
    }

    public void watchdog() {
        send("WATCHDOG=1");
    }

    public void stopping() {
        send("STOPPING=1");
    }

    private void send(String message) {
        if (socket.isEmpty()) {
            return;
        }
        try {
            Posix.sendDatagram(socket, message.getBytes(StandardCharsets.UTF_8));
            failed = false;
        } catch (IOException e) {
            if (!failed) {
                LOG.warn("The service manager cannot be told \"{}\": {}", message.replace('\n', ' '), e.getMessage());
                failed = true;
            }
        }
    }
}
