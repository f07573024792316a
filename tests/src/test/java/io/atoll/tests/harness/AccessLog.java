package io.atoll.tests.harness;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** An access log of nginx in the harness's format `scene`. */
public record AccessLog(List<Line> lines) {
    /** One request as nginx logged it. seconds is wall-clock time at its end. */
    public record Line(double seconds, int status, String uri, List<String> upstreams, List<String> statuses,
                       double requestSeconds, long worker) {
    }

    /** Reads a log. */
    public static AccessLog read(Path path) {
        try {
            return new AccessLog(Files.readAllLines(path).stream().map(AccessLog::line).toList());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Line line(String text) {
        String[] fields = text.split("\\|", -1);
        if (fields.length != 7) {
            throw new AssertionError("not a line of format scene: " + text);
        }
        return new Line(Double.parseDouble(fields[0]), Integer.parseInt(fields[1]), fields[2], list(fields[3]),
                list(fields[4]), Double.parseDouble(fields[5]), Long.parseLong(fields[6]));
    }

    private static List<String> list(String field) {
        return field.equals("-") || field.isEmpty() ? List.of() : Arrays.asList(field.split("(, | : )"));
    }
}
