package io.atoll.agent.api;

import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Durations as nginx and people write them: 500ms, 30s, 10m, 2h, 1d. */
public final class Durations {
    private static final Pattern TEXT = Pattern.compile("([1-9][0-9]{0,8}) ?(ms|s|m|min|h|d)");
    private static final Duration MOST = Duration.ofDays(366);

    private Durations() {}

    /** @throws ApiException 400 for anything else, or more than a year */
    public static Duration parse(String text) {
        Matcher matcher = TEXT.matcher(text);
        if (matcher.matches()) {
            long number = Long.parseLong(matcher.group(1));
            Duration duration = switch (matcher.group(2)) {
                case "ms" -> Duration.ofMillis(number);
                case "s" -> Duration.ofSeconds(number);
                case "h" -> Duration.ofHours(number);
                case "d" -> Duration.ofDays(number);
                default -> Duration.ofMinutes(number);
            };
            if (duration.compareTo(MOST) <= 0) {
                return duration;
            }
        }
        throw new ApiException(400, "duration is \"" + text + "\"", "request body",
                "a number and ms, s, m, h or d, up to 366d, such as 10m", "write it so");
    }

    /** Two units at most, for tables: 1h 5m, 12s, 340ms. */
    public static String text(long ms) {
        if (ms < 1000) {
            return ms + "ms";
        }
        long s = ms / 1000;
        if (s < 60) {
            return s + "s";
        }
        if (s < 3600) {
            return s / 60 + "m" + (s % 60 == 0 ? "" : " " + s % 60 + "s");
        }
        long m = s / 60;
        if (m < 24 * 60) {
            return m / 60 + "h" + (m % 60 == 0 ? "" : " " + m % 60 + "m");
        }
        return m / 1440 + "d" + (m % 1440 < 60 ? "" : " " + m % 1440 / 60 + "h");
    }
}
