package io.atoll.agent.api;

import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * An answer.
 *
 * @param status  HTTP status
 * @param type    Content-Type
 * @param body    bytes
 * @param headers further ones
 */
public record Response(int status, String type, byte[] body, Map<String, String> headers) {
    /** A text. */
    public static Response text(int status, String type, String body) {
        return new Response(status, type, body.getBytes(StandardCharsets.UTF_8), Map.of());
    }
}
