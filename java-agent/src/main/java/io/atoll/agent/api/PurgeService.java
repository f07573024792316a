package io.atoll.agent.api;

import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

import io.atoll.agent.store.Purge;
import io.atoll.agent.view.PurgeView;
import io.atoll.core.zone.ZonePurges.Kind;

/** What the API asks about purges. Any thread may call. */
public interface PurgeService {
    /**
     * A call for a purge.
     *
     * @param id   "" for a new one
     * @param text empty for {@link Kind#ALL}
     */
    record Wanted(String id, Kind kind, String text, String note) {}

    /** What an agent has for another: purges in the order of its numbers, and whether there are more. */
    record Batch(List<Purge> purges, long last, boolean more) {}

    /**
     * Completes once the purge is on disk and in force in all zones of this host, and the other agents were told, or had a
     * second's time.
     */
    CompletableFuture<PurgeView> purge(Wanted wanted);

    /** Of other agents: completes once they are on disk and in force here. */
    CompletableFuture<Integer> receive(List<Purge> purges);

    /** What this agent knows beyond a number of its own, for an agent that was away. */
    CompletableFuture<Batch> after(long number, int limit);

    /** The newest first. */
    CompletableFuture<List<PurgeView>> list(int limit);

    CompletableFuture<Optional<PurgeView>> find(String id);
}
