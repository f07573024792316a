package io.atoll.agent.purge;

import java.nio.charset.StandardCharsets;
import java.util.regex.Pattern;

import io.atoll.core.zone.ZoneLayout;
import io.atoll.core.zone.ZonePurges.Kind;

/** What the text of a purge may be. */
public final class PurgeTexts {
    /** Bytes of the longest key or host. */
    public static final int LONGEST = 4096;

    private static final Pattern ID = Pattern.compile("[A-Za-z0-9._-]{1,64}");

    private PurgeTexts() {}

    /** @throws IllegalArgumentException that says what was expected */
    public static void check(Kind kind, String text) {
        int bytes = text.getBytes(StandardCharsets.UTF_8).length;
        int most = switch (kind) {
            case ALL -> 0;
            case PREFIX -> ZoneLayout.PURGE_PREFIX_CAPACITY;
            default -> LONGEST;
        };
        if (bytes > most || bytes == 0 && kind != Kind.ALL) {
            throw new IllegalArgumentException(kind == Kind.ALL ? "no text" : "1 to " + most + " bytes");
        }
    }

    public static boolean isId(String text) {
        return ID.matcher(text).matches();
    }
}
