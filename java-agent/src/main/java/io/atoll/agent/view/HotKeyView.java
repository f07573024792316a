package io.atoll.agent.view;

/**
 * A hot key.
 *
 * @param node     of the zone
 * @param upstream its name
 * @param hash     CRC-32 of the key, 8 hexadecimal digits
 * @param replicas peers that may serve it; 1 in a tier of a route, whose nodes keep a copy each
 * @param share    of the upstream's requests, 0 to 1; in a tier of a route, of what clients ask this node for
 * @param rate     requests a second
 */
public record HotKeyView(String node, String upstream, String hash, int replicas, double share, double rate) {}
