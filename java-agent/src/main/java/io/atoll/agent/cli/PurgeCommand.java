package io.atoll.agent.cli;

import java.util.concurrent.Callable;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Takes objects out of the caches of all hosts. */
@Command(name = "purge", mixinStandardHelpOptions = true,
        description = "Take a key, all keys with a prefix, or a site out of the caches of all hosts. Exit code 1 when a host "
                + "could not be told yet; it is told as soon as it can be.")
final class PurgeCommand implements Callable<Integer> {
    @Mixin
    private ApiClient client;

    @ArgGroup(exclusive = true, multiplicity = "1")
    private What what;

    @Option(names = "--note", paramLabel = "TEXT", description = "Kept and shown.")
    private String note;

    private static final class What {
        @Parameters(index = "0", paramLabel = "KEY", description = "As atoll_purge_key makes it, such as example.com/a.mp4.")
        private String key;

        @Option(names = "--prefix", paramLabel = "TEXT", description = "All keys that begin with it.")
        private String prefix;

        @Option(names = "--site", paramLabel = "HOST", description = "All that this host has.")
        private String site;

        @Option(names = "--everything", description = "All that the caches have.")
        private boolean everything;
    }

    @Override
    public Integer call() throws Exception {
        return ApiClient.run(() -> {
            ObjectNode body = ApiClient.object();
            if (what.everything) {
                body.put("site", true);
            } else {
                body.put("key", what.key).put("prefix", what.prefix).put("site", what.site);
            }
            body.put("note", note);
            JsonNode done = client.post("/v1/purge", body);
            System.out.printf("purge %s: %s%n", done.path("id").asText(), done.path("state").asText());
            System.out.print(PurgesCommand.nodes(done));
            return done.path("state").asText().equals("done") ? 0 : 1;
        });
    }
}
