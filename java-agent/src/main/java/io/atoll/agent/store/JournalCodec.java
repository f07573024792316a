package io.atoll.agent.store;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

import com.fasterxml.jackson.databind.JsonNode;

import io.atoll.core.zone.MemberChange;

/** Records of the journal, from JSON. */
final class JournalCodec {
    /** The kind that removes what was decided about a peer. */
    static final String LIFTED = "lifted";
    /** The kind that removes what was changed about a server. */
    static final String RESET = "reset";

    private JournalCodec() {}

    static JournalKey key(JsonNode json) {
        return switch (json.path("kind").asText()) {
            case "added", "removed", "weighted", RESET -> new ServerName(json.path("zone").asText(),
                    json.path("upstream").asText(), json.path("server").asText());
            default -> new PeerName(json.path("zone").asText(), json.path("upstream").asText(),
                    json.path("server").asText(), json.path("address").asText());
        };
    }

    /**
     * Null for a record that only removes.
     *
     * @throws IllegalArgumentException for one of no kind that is known, or with values that none has
     */
    static JournalRecord record(JsonNode json) {
        String kind = json.path("kind").asText();
        JournalKey key = key(json);
        if (kind.equals(LIFTED) || kind.equals(RESET)) {
            return null;
        }
        return key instanceof PeerName peer ? decision(peer, kind, json) : member((ServerName) key, kind, json);
    }

    private static AdminDecision decision(PeerName peer, String kind, JsonNode json) {
        return new AdminDecision(peer, AdminDecision.Kind.valueOf(kind.toUpperCase(Locale.ROOT)),
                json.path("until_ms").asLong(AdminDecision.FOREVER), json.path("until_wall").asLong(AdminDecision.FOREVER),
                json.path("boot").asText(), json.path("note").asText());
    }

    private static MemberDecision member(ServerName name, String kind, JsonNode json) {
        List<MemberChange.Address> addresses = new ArrayList<>();
        for (JsonNode address : json.path("addresses")) {
            addresses.add(ServerAddress.literal(address.asText()));
        }
        MemberChange.Kind what = MemberChange.Kind.valueOf(kind.toUpperCase(Locale.ROOT));
        int weight = json.path("weight").asInt();
        if (what != MemberChange.Kind.REMOVED && (weight < 1 || weight > MemberChange.MAX_WEIGHT)
                || what == MemberChange.Kind.ADDED && addresses.isEmpty()) {
            throw new IllegalArgumentException("a change that no agent writes");
        }
        return new MemberDecision(name, new MemberChange(what, name.server(), weight, json.path("max_conns").asInt(),
                json.path("max_fails").asInt(), json.path("fail_timeout_ms").asInt(), json.path("backup").asBoolean(),
                List.copyOf(addresses)), json.path("service").asText());
    }
}
