package io.atoll.agent.store;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * Whom a decision is about, by name, so that it outlives slots, reloads and zone files.
 *
 * @param zone     path of the zone file
 * @param upstream as in {@code upstream NAME}
 * @param server   as in {@code server NAME}
 * @param address  as nginx prints it: one server name may stand for several
 */
public record PeerName(String zone, String upstream, String server, String address) implements JournalKey {
    @Override
    public ObjectNode removal() {
        return JsonNodeFactory.instance.objectNode().put("zone", zone).put("upstream", upstream).put("server", server)
                .put("address", address).put("kind", JournalCodec.LIFTED);
    }

    @Override
    public String toString() {
        return upstream + "/" + server + (server.equals(address) ? "" : " (" + address + ")") + " of " + zone;
    }
}
