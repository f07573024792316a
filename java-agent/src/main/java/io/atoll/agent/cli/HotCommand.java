package io.atoll.agent.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;

import com.fasterxml.jackson.databind.JsonNode;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The hot keys as a table. */
@Command(name = "hot", mixinStandardHelpOptions = true, description = "Show the hot keys.")
final class HotCommand implements Callable<Integer> {
    @Mixin
    private ApiClient client;

    @Option(names = "--node", paramLabel = "NAME", description = "Only this node's.")
    private String node;

    @Option(names = "--upstream", paramLabel = "NAME", description = "Only this upstream's.")
    private String upstream;

    @Option(names = "--json", description = "As the API has them.")
    private boolean json;

    @Override
    public Integer call() throws Exception {
        return ApiClient.run(() -> {
            List<String> parameters = new ArrayList<>();
            if (node != null) {
                parameters.add("node=" + ApiClient.encode(node));
            }
            if (upstream != null) {
                parameters.add("upstream=" + ApiClient.encode(upstream));
            }
            JsonNode answer = client.get("/v1/hot" + (parameters.isEmpty() ? "" : "?" + String.join("&", parameters)));
            System.out.print(json ? answer.toPrettyString() + "\n" : table(answer.path("hot")));
            return 0;
        });
    }

    static TextTable table(JsonNode keys) {
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
