package io.atoll.agent.zone;

import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.atoll.agent.store.ServerAddress;
import io.atoll.core.table.Handover;
import io.atoll.core.zone.FormerRings;
import io.atoll.core.zone.MemberChange.Address;
import io.atoll.core.zone.ZoneLayout.PeerFlag;

/** What agents tell each other of rings, as JSON: {@code GET /v1/mesh/rings}. */
public final class RingMessages {
    private static final ObjectMapper JSON = new ObjectMapper();
    /** One for each zone of an agent. */
    private static final int RINGS_LIMIT = 64;
    private static final int SERVERS_LIMIT = 10_000;
    /** Of a server of nginx's ring. */
    private static final int WEIGHT_LIMIT = 65_535;
    /** Of the servers of a ring of maglev together. */
    private static final long MAGLEV_WEIGHT_LIMIT = Integer.MAX_VALUE;

    private RingMessages() {}

    public static ObjectNode write(List<FormerRings> rings) {
        ObjectNode message = JSON.createObjectNode();
        ArrayNode list = message.putArray("rings");
        for (FormerRings each : rings) {
            ObjectNode object = list.addObject();
            write(object.putArray("primary"), each.primary());
            write(object.putArray("previous"), each.previous());
            write(object.putArray("earlier"), each.earlier());
            object.put("remaining_ms", each.remainingMs());
        }
        return message;
    }

    private static void write(ArrayNode list, List<FormerRings.Server> ring) {
        ring.forEach(server -> list.addObject().put("server", server.name()).put("address", server.address().text())
                .put("weight", server.weight()).put("down", (server.flags() & PeerFlag.DOWN) != 0)
                .put("maglev", (server.flags() & PeerFlag.MAGLEV) != 0));
    }

    /** @throws IllegalArgumentException for what is no such message */
    static List<FormerRings> read(JsonNode message) {
        if (message.path("rings").size() > RINGS_LIMIT) {
            throw new IllegalArgumentException("rings of " + message.path("rings").size() + " nodes");
        }
        List<FormerRings> rings = new ArrayList<>();
        for (JsonNode each : message.path("rings")) {
            long remaining = each.path("remaining_ms").asLong();
            if (remaining < 0 || remaining > Handover.LIMIT_MS) {
                throw new IllegalArgumentException("remaining_ms is " + remaining);
            }
            rings.add(new FormerRings(ring(each.path("primary")), ring(each.path("previous")), ring(each.path("earlier")), remaining));
        }
        return rings;
    }

    private static List<FormerRings.Server> ring(JsonNode list) {
        if (list.size() > SERVERS_LIMIT) {
            throw new IllegalArgumentException(list.size() + " servers");
        }
        List<FormerRings.Server> ring = new ArrayList<>();
        long maglevWeight = 0;
        for (JsonNode server : list) {
            int weight = server.path("weight").canConvertToInt() ? server.path("weight").asInt() : 0;
            boolean maglev = server.path("maglev").asBoolean();
            maglevWeight += maglev ? weight : 0;
            String name = server.path("server").asText();
            Address address = ServerAddress.literal(server.path("address").asText());
            ServerAddress.check(name);
            if (weight < 1 || !maglev && weight > WEIGHT_LIMIT || maglevWeight > MAGLEV_WEIGHT_LIMIT
                    || !(address.socketAddress() instanceof InetSocketAddress)) {
                throw new IllegalArgumentException("no server of another host: " + server);
            }
            ring.add(new FormerRings.Server(name, address, weight, (server.path("down").asBoolean() ? PeerFlag.DOWN : 0)
                    | (maglev ? PeerFlag.MAGLEV : 0)));
        }
        return ring;
    }

    /** @throws IllegalArgumentException for what is no such message */
    static List<FormerRings> parse(String text) {
        try {
            return read(JSON.readTree(text));
        } catch (java.io.IOException e) {
            throw new IllegalArgumentException("no JSON", e);
        }
    }
}
