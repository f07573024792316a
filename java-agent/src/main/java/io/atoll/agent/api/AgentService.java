package io.atoll.agent.api;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;

import io.atoll.agent.view.AgentView;
import io.atoll.agent.view.ChangeView;
import io.atoll.agent.view.MembersView;
import io.atoll.agent.view.NameView;
import io.atoll.agent.view.OwnerView;
import io.atoll.agent.view.ServerView;
import io.atoll.agent.view.ZoneView;
import io.atoll.core.zone.FormerRings;
import io.atoll.core.zone.MemberChange;

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

    /**
     * An operator's call about the members of an upstream.
     *
     * @param action        what to do
     * @param node          "" for all zones of this agent
     * @param upstream      its name
     * @param server        a server; "" for all (RESET)
     * @param weight        0: not said
     * @param maxConns      -1: not said, as the next two
     * @param maxFails      failures
     * @param failTimeoutMs milliseconds
     * @param backup        null: not said
     */
    record MemberCall(Action action, String node, String upstream, String server, int weight, int maxConns, int maxFails,
            int failTimeoutMs, Boolean backup) {
        /** What can be done. */
        public enum Action { ADD, REMOVE, WEIGHT, RESET }

        /** Whether it says more than a weight. */
        public boolean hasLimits() {
            return maxConns >= 0 || maxFails >= 0 || failTimeoutMs >= 0 || backup != null;
        }

        /** The server that it adds, with nginx's defaults for what it does not say. */
        public MemberChange added(String name, List<MemberChange.Address> addresses) {
            return new MemberChange(MemberChange.Kind.ADDED, name, weight == 0 ? 1 : weight, Math.max(0, maxConns),
                    maxFails < 0 ? 1 : maxFails, failTimeoutMs < 0 ? 10_000 : failTimeoutMs, Boolean.TRUE.equals(backup),
                    addresses);
        }
    }

    AgentView agent();

    PurgeService purges();

    /** All zones as they are now. */
    CompletableFuture<List<ZoneView>> zones();

    /** Who serves a key, in each zone with such an upstream. */
    CompletableFuture<List<OwnerView>> owners(String node, String upstream, String key);

    /** Completes once the change is on disk and in force; with an empty list when no peer has that name. */
    CompletableFuture<ChangeView> change(Change change);

    /**
     * Completes once the change is on disk and published in every zone that is meant.
     *
     * @throws ApiException in the future: 404 unknown upstream or server, 409 refused, 503 nginx publishes, 507 no room
     */
    CompletableFuture<MembersView> members(MemberCall call);

    /** The servers of an upstream in each zone that has it. */
    CompletableFuture<List<ServerView>> servers(String node, String upstream);

    /** The rings of an upstream in each zone that has it, for the other agents. */
    CompletableFuture<List<FormerRings>> rings(String upstream);

    /** The names that are followed; empty where none are. */
    CompletableFuture<List<NameView>> names();

    /** Empty when all is well; else a sentence for each thing that is not. Does not wait for the agent's thread. */
    List<String> complaints();
}
