package io.atoll.agent.probe;

import java.io.FileNotFoundException;
import java.net.ConnectException;
import java.util.Locale;

import javax.net.ssl.SSLException;

import io.netty.channel.ChannelException;

/** Puts what went wrong with a connection into a few words, and tells the peer's failures from this host's own. */
final class ProbeFailure {
    private ProbeFailure() {}

    static ProbeOutcome.Result result(Throwable cause) {
        String text = text(cause);
        boolean own = cause instanceof ChannelException || text.contains("too many open files")
                || text.contains("cannot assign requested address") || text.contains("no buffer space")
                || text.contains("cannot allocate memory")
                || text.contains("permission denied");
        return own ? ProbeOutcome.Result.NOT_MADE : ProbeOutcome.Result.FAILURE;
    }

    static String detail(Throwable cause) {
        String text = text(cause);
        for (String known : new String[] {"connection refused", "connection reset", "no route to host",
            "network is unreachable", "no such file or directory", "permission denied", "too many open files",
            "cannot assign requested address", "operation not permitted"}) {
            if (text.contains(known)) {
                return known;
            }
        }
        if (cause instanceof FileNotFoundException) {
            return "no such file or directory";
        }
        if (cause instanceof SSLException) {
            return "TLS: " + firstLine(cause);
        }
        return cause instanceof ConnectException ? "no connection: " + firstLine(cause) : firstLine(cause);
    }

    private static String text(Throwable cause) {
        StringBuilder text = new StringBuilder();
        for (Throwable t = cause; t != null; t = t.getCause()) {
            text.append(t.getMessage()).append('\n');
        }
        return text.toString().toLowerCase(Locale.ROOT);
    }

    private static String firstLine(Throwable cause) {
        String message = cause.getMessage();
        String text = message == null || message.isBlank() ? cause.getClass().getSimpleName() : message;
        return text.lines().findFirst().orElse(text);
    }
}
