package io.atoll.agent.api;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;

import io.atoll.agent.view.AgentView;
import io.atoll.agent.view.ChangeView;
import io.atoll.agent.view.OwnerView;
import io.atoll.agent.view.ZoneView;

/** What the API asks of the agent. Any thread may call; futures complete on the agent's. */
public interface AgentService {
    /** An operator's calls. */
    enum Action { DRAIN, UNDRAIN, MAINTENANCE }

    /**
     * An operator's call about peers.
     *
     * @param action   what to do
     * @param node     "" for all zones of this agent
     * @param upstream its name
     * @param server   a server name, or an address of it
     * @param address  "" for all addresses of the server
     * @param duration of a maintenance; null until it is lifted
     * @param note     the operator's words, kept and shown
     */
    record Change(Action action, String node, String upstream, String server, String address, Duration duration,
            String note) {}

    AgentView agent();

    /** All zones as they are now. */
    CompletableFuture<List<ZoneView>> zones();

    /** Who serves a key, in each zone with such an upstream. */
    CompletableFuture<List<OwnerView>> owners(String node, String upstream, String key);

    /** Completes once the change is on disk and in force; with an empty list when no peer has that name. */
    CompletableFuture<ChangeView> change(Change change);

    /** Empty when all is well; else a sentence for each thing that is not. Does not wait for the agent's thread. */
    List<String> complaints();
}
