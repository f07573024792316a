package io.atoll.agent.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Who belongs to an upstream. */
abstract class MembersCommand implements Callable<Integer> {
    @Mixin
    ApiClient client;

    @Parameters(index = "0", paramLabel = "UPSTREAM", description = "Its name in nginx.conf.")
    String upstream;

    @Option(names = "--node", paramLabel = "NAME", description = "Only in this node's zone; else in all of this agent.")
    String node;

    /** Shows who belongs to an upstream. */
    @Command(name = "members", mixinStandardHelpOptions = true,
            description = "Show the servers of an upstream: nginx.conf's, added ones, removed ones.")
    static final class Show extends MembersCommand {
        @Option(names = "--json", description = "As the API has them.")
        private boolean json;

        @Override
        JsonNode ask() throws Exception {
            return client.get(path() + "/servers" + (node == null ? "" : "?node=" + ApiClient.encode(node)));
        }

        @Override
        boolean isJson() {
            return json;
        }
    }

    /** Adds a server. */
    @Command(name = "add", mixinStandardHelpOptions = true, description = {
        "Add a server to an upstream, over reloads and restarts, without touching nginx.conf.",
        "A server of nginx.conf that was removed is back."})
    static final class Add extends MembersCommand {
        @Parameters(index = "1", paramLabel = "SERVER", description = "HOST:PORT, [IPV6]:PORT or unix:PATH; a name is resolved.")
        private String server;

        @Parameters(index = "2..*", paramLabel = "PARAMETER",
                description = "As in nginx.conf: weight=N, max_conns=N, max_fails=N, fail_timeout=SECONDS, backup.")
        private List<String> parameters = new ArrayList<>();

        @Override
        JsonNode ask() throws Exception {
            ObjectNode body = body().put("server", server);
            for (String parameter : parameters) {
                put(body, parameter);
            }
            return client.post(path() + "/servers", body);
        }

        private static void put(ObjectNode body, String parameter) throws ApiClient.Failed {
            String[] parts = parameter.split("=", 2);
            try {
                switch (parts[0]) {
                    case "backup" -> body.put("backup", true);
                    case "weight", "max_conns", "max_fails" -> body.put(parts[0], Integer.parseInt(parts[1]));
                    case "fail_timeout" -> body.put("fail_timeout_ms",
                            Math.multiplyExact(Integer.parseInt(parts[1].replaceAll("s$", "")), 1000));
                    default -> throw new NumberFormatException();
                }
            } catch (ArithmeticException | NumberFormatException | ArrayIndexOutOfBoundsException e) {
                throw new ApiClient.Failed(parameter + " is not understood; expected weight=N, max_conns=N, max_fails=N, "
                        + "fail_timeout=SECONDS or backup");
            }
        }
    }

    /** Takes a server out. */
    @Command(name = "remove", mixinStandardHelpOptions = true, description = {
        "Take a server out of an upstream, over reloads and restarts, without touching nginx.conf.",
        "Its keys go to the others for good; to send it no requests for a while, drain it."})
    static final class Remove extends MembersCommand {
        @Parameters(index = "1", paramLabel = "SERVER", description = "Its name, or one of its addresses.")
        private String server;

        @Override
        JsonNode ask() throws Exception {
            return client.send("DELETE", path() + "/servers/" + ApiClient.encode(server), body());
        }
    }

    /** Gives a server another weight. */
    @Command(name = "weight", mixinStandardHelpOptions = true, description = "Give a server another weight.")
    static final class Weight extends MembersCommand {
        @Parameters(index = "1", paramLabel = "SERVER", description = "Its name, or one of its addresses.")
        private String server;

        @Parameters(index = "2", paramLabel = "WEIGHT", description = "1 to 65535.")
        private int weight;

        @Override
        JsonNode ask() throws Exception {
            return client.send("PATCH", path() + "/servers/" + ApiClient.encode(server), body().put("weight", weight));
        }
    }

    /** Takes changes back. */
    @Command(name = "reset", mixinStandardHelpOptions = true,
            description = "Forget what was added, removed or re-weighted: the upstream is as nginx.conf has it.")
    static final class Reset extends MembersCommand {
        @Parameters(index = "1", arity = "0..1", paramLabel = "SERVER", description = "Only this server.")
        private String server;

        @Override
        JsonNode ask() throws Exception {
            return client.post(path() + (server == null ? "/reset" : "/servers/" + ApiClient.encode(server) + "/reset"), body());
        }
    }

    abstract JsonNode ask() throws Exception;

    boolean isJson() {
        return false;
    }

    String path() {
        return "/v1/upstreams/" + ApiClient.encode(upstream);
    }

    ObjectNode body() {
        return ApiClient.object().put("node", node);
    }

    @Override
    public Integer call() throws Exception {
        return ApiClient.run(() -> {
            JsonNode answer = ask();
            System.out.print(isJson() ? answer.toPrettyString() + "\n" : table(answer.path("servers")));
            return 0;
        });
    }

    private static TextTable table(JsonNode servers) {
        TextTable table = new TextTable("NODE", "UPSTREAM", "SERVER", "ADDRESSES", "STATE", ">WEIGHT", "FROM");
        for (JsonNode server : servers) {
            List<String> addresses = new ArrayList<>();
            server.path("addresses").forEach(address -> addresses.add(address.asText()));
            int declared = server.path("conf_weight").asInt();
            boolean other = declared != 0 && declared != server.path("weight").asInt();
            table.row(server.path("node").asText(), server.path("upstream").asText(), server.path("server").asText(),
                    String.join(" ", addresses), server.path("state").asText() + (server.path("backup").asBoolean()
                            ? " (backup)" : ""), server.path("weight").asText(),
                    origin(server) + (other ? ", weight there " + declared : ""));
        }
        return table;
    }

    private static String origin(JsonNode server) {
        return switch (server.path("origin").asText()) {
            case "nginx.conf" -> "nginx.conf";
            case "srv" -> server.path("service").asText();
            default -> "run time";
        };
    }
}
