package io.atoll.agent.store;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * A server of an upstream, by name, so that it outlives slots, reloads and zone files.
 *
 * @param zone     path of the zone file
 * @param upstream as in {@code upstream NAME}
 * @param server   as in {@code server NAME}
 */
public record ServerName(String zone, String upstream, String server) implements JournalKey {
    @Override
    public ObjectNode removal() {
        return JsonNodeFactory.instance.objectNode().put("zone", zone).put("upstream", upstream).put("server", server)
                .put("kind", JournalCodec.RESET);
    }

    @Override
    public String toString() {
        return upstream + "/" + server + " of " + zone;
    }
}
