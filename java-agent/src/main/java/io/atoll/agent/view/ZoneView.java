package io.atoll.agent.view;

import java.util.List;

/**
 * A zone at one moment.
 *
 * @param path           of the file
 * @param node           name of the node, or of the file when nginx.conf and addresses tell none; differs between the
 *                       zones of one agent
 * @param state          OK when attached and written; else why not
 * @param detail         the same in a sentence; empty when OK
 * @param length         bytes of the file
 * @param epoch          tables published
 * @param configEpoch    configurations published
 * @param agentEpoch     agents that attached, this one the last
 * @param heartbeatAgeMs since this agent's last heartbeat here; -1 before the first
 * @param masterPid      the nginx master
 * @param masterAlive    whether it can be seen running
 * @param workers        rows whose process can be seen running
 * @param torn           lookups repeated because a table changed under them
 * @param rejected       published tables that workers found invalid
 * @param fallbacks      picks by round robin for want of a usable table
 * @param samples        keys of requests that the agent read from the workers' rows
 * @param samplesLost    such that were overwritten before; the others stood for them
 * @param upstreams      those of the running configuration; empty when not attached
 */
public record ZoneView(String path, String node, String state, String detail, long length, long epoch,
        long configEpoch, long agentEpoch, long heartbeatAgeMs, long masterPid, boolean masterAlive, int workers,
        long torn, long rejected, long fallbacks, long samples, long samplesLost,
        List<UpstreamView> upstreams) {
    public boolean attached() {
        return state.equals("OK");
    }
}
