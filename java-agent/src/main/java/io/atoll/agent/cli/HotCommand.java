package io.atoll.agent.cli;

import java.util.Locale;

import com.fasterxml.jackson.databind.JsonNode;

import picocli.CommandLine.Command;

/** The hot keys as a table. */
@Command(name = "hot", mixinStandardHelpOptions = true, description = "Show the hot keys.")
final class HotCommand extends ListCommand.OfUpstream {
    HotCommand() {
        super("hot");
    }

    @Override
    TextTable table(JsonNode keys) {
        TextTable table = new TextTable("NODE", "UPSTREAM", "HASH", ">PEERS", ">SHARE", ">RATE");
        for (JsonNode key : keys) {
            table.row(key.path("node").asText(), key.path("upstream").asText(), key.path("hash").asText(),
                    key.path("replicas").asText(),
                    String.format(Locale.ROOT, "%.1f%%", 100 * key.path("share").asDouble()),
                    String.format(Locale.ROOT, "%.0f/s", key.path("rate").asDouble()));
        }
        return table;
    }
}
