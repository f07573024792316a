package io.atoll.agent.cli;

import java.util.concurrent.Callable;

import com.fasterxml.jackson.databind.JsonNode;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** The purges that stand, and where they are in force. */
@Command(name = "purges", mixinStandardHelpOptions = true,
        description = "Show the latest purges, or with an id where that one is in force.")
final class PurgesCommand implements Callable<Integer> {
    @Mixin
    private ApiClient client;

    @Parameters(index = "0", paramLabel = "ID", arity = "0..1", description = "One of them.")
    private String id;

    @Option(names = "--json", description = "As the API has them.")
    private boolean json;

    @Override
    public Integer call() throws Exception {
        return ApiClient.run(() -> {
            JsonNode answer = client.get(id == null ? "/v1/purges" : "/v1/purges/" + ApiClient.encode(id));
            if (json) {
                System.out.println(answer.toPrettyString());
            } else {
                System.out.print(id == null ? table(answer.path("purges")) : nodes(answer));
            }
            return 0;
        });
    }

    private static TextTable table(JsonNode purges) {
        TextTable table = new TextTable("ID", "CREATED", "BY", "KIND", "TEXT", "STATE", ">NODES", "NOTE");
        for (JsonNode purge : purges) {
            int done = 0;
            for (JsonNode node : purge.path("nodes")) {
                done += node.path("state").asText().equals("done") ? 1 : 0;
            }
            table.row(purge.path("id").asText(), purge.path("created").asText(), purge.path("origin").asText(),
                    purge.path("kind").asText(), purge.path("text").asText(), purge.path("state").asText(),
                    done + "/" + purge.path("nodes").size(), purge.path("note").asText());
        }
        return table;
    }

    static TextTable nodes(JsonNode purge) {
        TextTable table = new TextTable("AGENT", "STATE", "SINCE", "WHY");
        for (JsonNode node : purge.path("nodes")) {
            table.row(node.path("agent").asText(), node.path("state").asText(), node.path("at").asText(),
                    node.path("detail").asText());
        }
        return table;
    }
}
