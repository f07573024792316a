package io.atoll.agent.purge;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.atoll.agent.store.Purge;
import io.atoll.core.zone.ZonePurges.Kind;

/** Purges as agents tell each other. */
public final class PurgeMessages {
    private static final ObjectMapper JSON = new ObjectMapper();

    private PurgeMessages() {}

    /** {@code {"purges": […]}}. */
    public static ObjectNode write(List<Purge> purges) {
        ObjectNode message = JSON.createObjectNode();
        ArrayNode array = message.putArray("purges");
        for (Purge purge : purges) {
            array.addObject().put("id", purge.id()).put("kind", purge.kind().name().toLowerCase(Locale.ROOT))
                    .put("text", purge.text()).put("number", purge.number()).put("wall", purge.wall())
                    .put("origin", purge.origin()).put("note", purge.note());
        }
        return message;
    }

    /** @throws IllegalArgumentException for what is no such message */
    public static List<Purge> read(JsonNode message) {
        List<Purge> purges = new ArrayList<>();
        if (!message.path("purges").isArray()) {
            throw new IllegalArgumentException("no array purges");
        }
        for (JsonNode purge : message.path("purges")) {
            String id = purge.path("id").asText();
            Kind kind = Kind.valueOf(purge.path("kind").asText().toUpperCase(Locale.ROOT));
            String text = purge.path("text").asText();
            PurgeTexts.check(kind, text);
            if (!PurgeTexts.isId(id)) {
                throw new IllegalArgumentException("id \"" + id + "\"");
            }
            purges.add(new Purge(id, kind, text, purge.path("number").asLong(), purge.path("wall").asLong(),
                    purge.path("origin").asText(), purge.path("note").asText()));
        }
        return purges;
    }

    static JsonNode parse(String text) throws IOException {
        return JSON.readTree(text);
    }
}
