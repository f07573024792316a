package io.atoll.agent.cli;

import java.util.concurrent.Callable;

import com.fasterxml.jackson.databind.JsonNode;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Who serves a key. */
@Command(name = "owner", mixinStandardHelpOptions = true, description = "Show who owns a key and who serves it now.")
final class OwnerCommand implements Callable<Integer> {
    @Mixin
    private ApiClient client;

    @Parameters(index = "0", paramLabel = "UPSTREAM", description = "Its name.")
    private String upstream;

    @Parameters(index = "1", paramLabel = "KEY", description = "As the atoll directive makes it, such as /a/b.mp4.")
    private String key;

    @Option(names = "--node", paramLabel = "NAME", description = "Ask only this node's zone.")
    private String node = "";

    @Override
    public Integer call() throws Exception {
        return ApiClient.run(() -> {
            JsonNode owners = client.get("/v1/owner?upstream=" + ApiClient.encode(upstream) + "&key="
                    + ApiClient.encode(key) + (node.isEmpty() ? "" : "&node=" + ApiClient.encode(node)));
            TextTable table = new TextTable("NODE", "UPSTREAM", "OWNER", "SERVED BY", "ADDRESS");
            for (JsonNode owner : owners.path("owners")) {
                String server = owner.path("server").asText();
                table.row(owner.path("node").asText(), owner.path("upstream").asText(), owner.path("owner").asText(),
                        server.isEmpty() ? "nobody is left" : server, owner.path("address").asText());
            }
            System.out.print(table);
            return 0;
        });
    }
}
