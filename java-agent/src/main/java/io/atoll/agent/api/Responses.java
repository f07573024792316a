package io.atoll.agent.api;

import java.util.LinkedHashMap;
import java.util.Map;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;

/** Answers in JSON: the views as they are, names in snake_case. */
final class Responses {
    static final ObjectMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(SerializationFeature.INDENT_OUTPUT).build();

    static final TypeReference<LinkedHashMap<String, Object>> OBJECT = new TypeReference<>() { };

    private Responses() {}

    static Response json(int status, Object value) {
        try {
            return Response.text(status, "application/json", JSON.writeValueAsString(value) + "\n");
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("A view that JSON cannot hold", e);
        }
    }

    /** {@code {"error": {"what", "where", "expected", "fix"}}}. */
    static Response error(ApiException error) {
        Map<String, String> parts = new LinkedHashMap<>();
        parts.put("what", error.getMessage());
        parts.put("where", error.where());
        parts.put("expected", error.expected());
        parts.put("fix", error.fix());
        Response response = json(error.status(), Map.of("error", parts));
        return switch (error.status()) {
            case 401 -> with(response, "WWW-Authenticate", "Bearer");
            case 503 -> with(response, "Retry-After", "1");
            case 405 -> with(response, "Allow", error.expected());
            default -> response;
        };
    }

    private static Response with(Response response, String name, String value) {
        return new Response(response.status(), response.type(), response.body(), Map.of(name, value));
    }
}
