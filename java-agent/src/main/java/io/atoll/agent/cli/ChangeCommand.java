package io.atoll.agent.cli;

import java.util.concurrent.Callable;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** What an operator decides about a peer. */
abstract class ChangeCommand implements Callable<Integer> {
    @Mixin
    private ApiClient client;

    @Parameters(index = "0", paramLabel = "UPSTREAM", description = "Its name in nginx.conf.")
    private String upstream;

    @Parameters(index = "1", paramLabel = "SERVER", description = "Its name in nginx.conf, or one of its addresses.")
    private String server;

    @Option(names = "--address", paramLabel = "ADDRESS", description = "Only this address of the server.")
    private String address;

    @Option(names = "--node", paramLabel = "NAME", description = "Only in this node's zone; else in all of this agent.")
    private String node;

    private final String action;

    ChangeCommand(String action) {
        this.action = action;
    }

    /** Takes a peer out. */
    @Command(name = "drain", mixinStandardHelpOptions = true,
            description = "Send a peer no new requests until it is undrained, over restarts of agent and nginx.")
    static final class Drain extends ChangeCommand {
        @Option(names = "--note", paramLabel = "TEXT", description = "Kept and shown.")
        private String note;

        Drain() {
            super("drain");
        }

        @Override
        void fill(ObjectNode body) {
            body.put("note", note);
        }
    }

    /** Brings a peer back. */
    @Command(name = "undrain", mixinStandardHelpOptions = true, description = "End a drain or a maintenance.")
    static final class Undrain extends ChangeCommand {
        Undrain() {
            super("undrain");
        }
    }

    /** Takes a peer out for a time. */
    @Command(name = "maintenance", mixinStandardHelpOptions = true,
            description = "Send a peer no new requests for a time, or until it is undrained.")
    static final class Maintenance extends ChangeCommand {
        @Option(names = "--for", paramLabel = "TIME", description = "Ends by itself after 30s, 10m, 2h, 1d.")
        private String duration;

        @Option(names = "--note", paramLabel = "TEXT", description = "Kept and shown.")
        private String note;

        Maintenance() {
            super("maintenance");
        }

        @Override
        void fill(ObjectNode body) {
            body.put("duration", duration).put("note", note);
        }
    }

    void fill(ObjectNode body) {}

    @Override
    public Integer call() throws Exception {
        return ApiClient.run(() -> {
            ObjectNode body = ApiClient.object().put("address", address).put("node", node);
            fill(body);
            JsonNode done = client.post("/v1/peers/" + ApiClient.encode(upstream) + "/" + ApiClient.encode(server) + "/"
                    + action, body);
            for (JsonNode peer : done.path("peers")) {
                System.out.printf("%s: %s %s (%s) of %s%n", action, peer.path("upstream").asText(),
                        peer.path("server").asText(), peer.path("address").asText(), peer.path("zone").asText());
            }
            return 0;
        });
    }
}
