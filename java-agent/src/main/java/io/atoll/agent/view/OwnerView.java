package io.atoll.agent.view;

/**
 * Who serves a key.
 *
 * @param node     of the zone that was asked
 * @param upstream its upstream
 * @param key      the key
 * @param hash     CRC-32 of the key
 * @param owner    server that owns the key when all peers are up; empty without one
 * @param server   server that gets its next request; empty when none is left
 * @param address  where it goes
 */
public record OwnerView(String node, String upstream, String key, long hash, String owner, String server,
        String address) {}
