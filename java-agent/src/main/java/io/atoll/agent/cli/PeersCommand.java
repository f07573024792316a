package io.atoll.agent.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

import com.fasterxml.jackson.databind.JsonNode;

import io.atoll.agent.api.Durations;
import picocli.CommandLine.Command;

/** The peers as a table. */
@Command(name = "peers", mixinStandardHelpOptions = true, description = "Show the peers.")
final class PeersCommand extends ListCommand.OfUpstream {
    PeersCommand() {
        super("peers");
    }

    @Override
    TextTable table(JsonNode peers) {
        return tableOf(peers);
    }

    static TextTable tableOf(JsonNode peers) {
        TextTable table = new TextTable("NODE", "UPSTREAM", "SERVER", "ADDRESS", "STATE", ">SHARE", ">PICKS", ">FAILED",
                ">NOW", ">PROBE", "WHY");
        for (JsonNode peer : peers) {
            String server = peer.path("server").asText();
            String address = peer.path("address").asText();
            table.row(peer.path("node").asText(), peer.path("upstream").asText(), server,
                    server.equals(address) ? "" : address, state(peer),
                    String.format(Locale.ROOT, "%.1f%%", 100 * peer.path("share").asDouble()),
                    peer.path("picks").asText(), peer.path("failures").asText(), peer.path("inflight").asText(),
                    probe(peer.path("probe")), why(peer));
        }
        return table;
    }

    private static String state(JsonNode peer) {
        String state = peer.path("up").asBoolean() ? peer.path("ramp").asDouble() < 1
                ? String.format(Locale.ROOT, "ramp %.0f%%", 100 * peer.path("ramp").asDouble()) : "up" : "down";
        if (!peer.path("admin").isNull()) {
            state = peer.path("admin").path("kind").asText().equals("drain") ? "drained" : "maintenance";
        }
        return peer.path("backup").asBoolean() ? state + " (backup)" : state;
    }

    private static String probe(JsonNode probe) {
        if (probe.isNull() || probe.path("last").asText().equals("none")) {
            return "-";
        }
        return String.format(Locale.ROOT, "%.1f ms", probe.path("latency_ms").asDouble());
    }

    private static String why(JsonNode peer) {
        List<String> why = new ArrayList<>();
        if (peer.path("down").asBoolean()) {
            why.add("down in nginx.conf");
        }
        for (JsonNode reason : peer.path("reasons")) {
            why.add(reason(peer, reason.path("reason").asText(), reason.path("remaining_ms").asLong()));
        }
        String trend = peer.path("probe").path("state").asText();
        if (why.isEmpty() && trend.equals("falling")) {
            why.add("probe: " + peer.path("probe").path("detail").asText() + " (up still)");
        }
        return String.join("; ", why);
    }

    private static String reason(JsonNode peer, String reason, long remaining) {
        if (reason.equals("admin")) {
            JsonNode admin = peer.path("admin");
            long left = admin.path("remaining_ms").asLong(-1);
            String note = admin.path("note").asText();
            return (left < 0 ? "by an operator" : "for " + Durations.text(left)) + (note.isEmpty() ? "" : ": " + note);
        }
        if (reason.equals("probe")) {
            String detail = peer.path("probe").path("detail").asText();
            return "probe" + (detail.isEmpty() ? "" : ": " + detail);
        }
        return reason + " for " + Durations.text(remaining);
    }
}
