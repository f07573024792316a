package io.atoll.agent.view;

import java.util.List;

/**
 * A server of an upstream.
 *
 * @param node          of its zone
 * @param upstream      its upstream
 * @param server        its name
 * @param addresses     what the name stands for
 * @param origin        nginx.conf, run_time for a server that was added, or srv for a target of a service
 * @param service       whose target it is; empty for others
 * @param state         member, or removed for a server of nginx.conf that was taken out
 * @param weight        in force
 * @param confWeight    in nginx.conf; 0 for a server that was added
 * @param backup        asked when no other serves
 * @param down          {@code down} in nginx.conf
 * @param maxConns      0: no limit
 * @param maxFails      0: never passively down
 * @param failTimeoutMs how long it is passively down
 */
public record ServerView(String node, String upstream, String server, List<String> addresses, String origin, String service, String state,
        int weight, int confWeight, boolean backup, boolean down, int maxConns, int maxFails, int failTimeoutMs) {}
