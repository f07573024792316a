package io.atoll.agent.view;

/**
 * What the agent knows of itself.
 *
 * @param version     of the build
 * @param layout      version of the zone's layout
 * @param pid         process
 * @param uptimeMs    since it started
 * @param transport   epoll or nio
 * @param heartbeatMs between two renewals
 * @param leaseMs     life of a verdict
 * @param journal     path of the journal
 * @param decisions   drains and maintenance that stand, also for peers that are not here now
 */
public record AgentView(String version, String layout, long pid, long uptimeMs, String transport, long heartbeatMs,
        long leaseMs, String journal, int decisions) {}
