package io.atoll.agent.metrics;

import java.util.List;

import io.atoll.agent.purge.Purges;
import io.prometheus.client.Collector;
import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.GaugeMetricFamily;

/** What stands of purges, at the moment of a scrape. */
public final class PurgeMetrics extends Collector {
    private final Purges purges;

    public PurgeMetrics(CollectorRegistry registry, Purges purges) {
        this.purges = purges;
        register(registry);
    }

    @Override
    public List<MetricFamilySamples> collect() {
        return List.of(new GaugeMetricFamily("atoll_agent_purges", "Purges that stand.", purges.count()),
                new GaugeMetricFamily("atoll_agent_purges_pending", "Purges that other agents are still to be told, over all.",
                        purges.pending()),
                new GaugeMetricFamily("atoll_agent_purges_in_sync",
                        "1 once the other agents said what this one missed, or had the time to.", purges.isShownInSync() ? 1 : 0));
    }
}
