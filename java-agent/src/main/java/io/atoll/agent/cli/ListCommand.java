package io.atoll.agent.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;

import com.fasterxml.jackson.databind.JsonNode;

import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Shows what the API lists, as a table or as it is. */
abstract class ListCommand implements Callable<Integer> {
    @Mixin
    private ApiClient client;

    @Option(names = "--json", description = "As the API has them.")
    private boolean json;

    private final String list;

    /** @param list the list's name in the API */
    ListCommand(String list) {
        this.list = list;
    }

    /** Of a call that can be narrowed down: to one node, one upstream. */
    abstract static class OfUpstream extends ListCommand {
        @Option(names = "--node", paramLabel = "NAME", description = "Only this node's.")
        private String node;

        @Option(names = "--upstream", paramLabel = "NAME", description = "Only this upstream's.")
        private String upstream;

        OfUpstream(String list) {
            super(list);
        }

        @Override
        List<String> parameters() {
            List<String> parameters = new ArrayList<>();
            if (node != null) {
                parameters.add("node=" + ApiClient.encode(node));
            }
            if (upstream != null) {
                parameters.add("upstream=" + ApiClient.encode(upstream));
            }
            return parameters;
        }
    }

    List<String> parameters() {
        return List.of();
    }

    abstract TextTable table(JsonNode elements);

    @Override
    public Integer call() throws Exception {
        return ApiClient.run(() -> {
            List<String> parameters = parameters();
            JsonNode answer = client.get("/v1/" + list + (parameters.isEmpty() ? "" : "?" + String.join("&", parameters)));
            System.out.print(json ? answer.toPrettyString() + "\n" : table(answer.path(list)));
            return 0;
        });
    }
}
