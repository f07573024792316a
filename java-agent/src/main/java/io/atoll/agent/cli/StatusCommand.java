package io.atoll.agent.cli;

import java.util.concurrent.Callable;

import com.fasterxml.jackson.databind.JsonNode;

import io.atoll.agent.api.Durations;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The agent, its zones and all peers. */
@Command(name = "status", mixinStandardHelpOptions = true,
        description = "Show the agent, its zones and their peers. Exit code 1 when a zone is not attached.")
final class StatusCommand implements Callable<Integer> {
    @Mixin
    private ApiClient client;

    @Option(names = "--json", description = "As the API has it: one object with agent, zones and peers.")
    private boolean json;

    @Override
    public Integer call() throws Exception {
        return ApiClient.run(() -> {
            JsonNode status = client.get("/v1/status");
            JsonNode peers = client.get("/v1/peers").path("peers");
            boolean whole = true;
            for (JsonNode zone : status.path("zones")) {
                whole &= zone.path("state").asText().equals("OK");
            }
            if (json) {
                ((com.fasterxml.jackson.databind.node.ObjectNode) status).set("peers", peers);
                System.out.println(status.toPrettyString());
            } else {
                show(status, peers);
            }
            return whole ? 0 : 1;
        });
    }

    private static void show(JsonNode status, JsonNode peers) {
        JsonNode agent = status.path("agent");
        System.out.printf("Agent %s, pid %d, up %s, lease %s, %d decisions of operators%n%n",
                agent.path("version").asText(), agent.path("pid").asLong(),
                Durations.text(agent.path("uptime_ms").asLong()), Durations.text(agent.path("lease_ms").asLong()),
                agent.path("decisions").asInt());
        TextTable zones = new TextTable("NODE", "ZONE", "STATE", ">EPOCH", ">CONFIG", ">WORKERS", ">PEERS UP", "");
        for (JsonNode zone : status.path("zones")) {
            zones.row(zone.path("node").asText(), zone.path("path").asText(), zone.path("state").asText(),
                    zone.path("epoch").asText(), zone.path("config_epoch").asText(), zone.path("workers").asText(),
                    zone.path("peers_up").asText() + "/" + zone.path("peers").asText(), trouble(zone));
        }
        System.out.print(zones);
        if (!peers.isEmpty()) {
            System.out.println();
            System.out.print(PeersCommand.tableOf(peers));
        }
    }

    private static String trouble(JsonNode zone) {
        String detail = zone.path("detail").asText();
        return detail.isEmpty() && !zone.path("master_alive").asBoolean() ? "nginx is not running" : detail;
    }
}
