package io.atoll.agent.log;

import java.io.PrintStream;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** Log lines: one event, one line, to standard error: time, level, part, text. */
public final class Logging {
    private static final String MANAGER = "java.util.logging.manager";

    /** Held here, since the JDK keeps loggers weakly and would forget the level. */
    private static Logger agent;

    private Logging() {}

    /** Names the log manager; must come before anything logs. */
    public static void prepare() {
        if (System.getProperty(MANAGER) == null) {
            System.setProperty(MANAGER, AgentLogManager.class.getName());
        }
    }

    /** Sends lines of the level and above to standard error. */
    public static void start(Level level) {
        Logger root = LogManager.getLogManager().getLogger("");
        for (Handler handler : root.getHandlers()) {
            root.removeHandler(handler);
        }
        root.addHandler(new LineHandler(System.err));
        root.setLevel(Level.WARNING);
        agent = Logger.getLogger("io.atoll");
        agent.setLevel(level);
    }

    /** One line: {@code 2025-03-01T10:20:30.123Z WARN  zone: text}. */
    static String format(LogRecord record) {
        StringBuilder line = new StringBuilder(160);
        line.append(Instant.ofEpochMilli(record.getMillis()).truncatedTo(ChronoUnit.MILLIS));
        line.append(' ').append(level(record.getLevel())).append(' ').append(part(record.getLoggerName()));
        line.append(": ").append(String.valueOf(record.getMessage()).replace("\n", "\\n"));
        Throwable thrown = record.getThrown();
        if (thrown != null) {
            line.append(": ").append(String.valueOf(thrown).replace("\n", "\\n"));
            StackTraceElement[] trace = thrown.getStackTrace();
            for (int i = 0; i < Math.min(3, trace.length); i++) {
                line.append(" at ").append(trace[i]);
            }
        }
        return line.append('\n').toString();
    }

    private static String level(Level level) {
        if (level.intValue() >= Level.SEVERE.intValue()) {
            return "ERROR";
        }
        if (level.intValue() >= Level.WARNING.intValue()) {
            return "WARN ";
        }
        return level.intValue() >= Level.INFO.intValue() ? "INFO " : "DEBUG";
    }

    private static String part(String logger) {
        return logger == null ? "agent" : logger.substring(logger.lastIndexOf('.') + 1);
    }

    private static final class LineHandler extends Handler {
        private final PrintStream out;

        LineHandler(PrintStream out) {
            this.out = out;
        }

        @Override
        public void publish(LogRecord record) {
            if (isLoggable(record)) {
                out.print(format(record));
            }
        }

        @Override
        public void flush() {
            out.flush();
        }

        @Override
        public void close() {
            out.flush();
        }
    }
}
