package io.atoll.agent.api;

import java.util.List;
import java.util.Map;

/**
 * A call as the routes see it.
 *
 * @param method  GET, POST, … (a HEAD comes as GET; the server leaves the body away)
 * @param path    segments, decoded
 * @param query   parameters, decoded
 * @param headers by lower-case name, the first of each
 * @param body    bytes, bounded by the server
 */
public record Request(String method, List<String> path, Map<String, List<String>> query, Map<String, String> headers,
        byte[] body) {
    String header(String name) {
        return headers.getOrDefault(name, "");
    }

    /** One query parameter, or "" when it is not there. */
    String parameter(String name) {
        List<String> values = query.get(name);
        return values == null ? "" : values.get(0);
    }

    /** The same call for another path. */
    public Request withPath(List<String> other) {
        return new Request(method, other, query, headers, body);
    }

    String pathText() {
        return "/" + String.join("/", path);
    }
}
