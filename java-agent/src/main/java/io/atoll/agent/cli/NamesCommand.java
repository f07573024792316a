package io.atoll.agent.cli;

import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;

import io.atoll.agent.api.Durations;
import picocli.CommandLine.Command;

/** The names that are followed as a table. */
@Command(name = "names", mixinStandardHelpOptions = true, description = "Show the names that are followed, and what they stand for.")
final class NamesCommand extends ListCommand {
    NamesCommand() {
        super("names");
    }

    @Override
    TextTable table(JsonNode names) {
        TextTable table = new TextTable("NAME", "TYPE", "STANDS FOR", ">TTL", ">AGE", ">NEXT", "PROBLEM");
        for (JsonNode name : names) {
            List<String> values = new ArrayList<>();
            name.path("values").forEach(value -> values.add(value.asText()));
            long ttl = name.path("ttl").asLong();
            long age = name.path("age_ms").asLong();
            table.row(name.path("name").asText(), name.path("type").asText(), String.join(", ", values),
                    ttl < 0 ? "-" : Durations.text(1000 * ttl), age < 0 ? "-" : Durations.text(age),
                    Durations.text(name.path("next_ms").asLong()), name.path("problem").asText());
        }
        return table;
    }
}
