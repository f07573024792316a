package io.atoll.agent.metrics;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import io.prometheus.client.Collector.MetricFamilySamples;
import io.prometheus.client.CounterMetricFamily;
import io.prometheus.client.GaugeMetricFamily;

/** Families of one scrape, in the order of their first sample; one that gets no sample is not shown. */
final class Families {
    private final Map<String, MetricFamilySamples> families = new LinkedHashMap<>();

    void gauge(String name, String help, List<String> labels, List<String> values, double value) {
        ((GaugeMetricFamily) families.computeIfAbsent(name, n -> new GaugeMetricFamily(n, help, labels)))
                .addMetric(values, value);
    }

    /** @param name ends in _total */
    void counter(String name, String help, List<String> labels, List<String> values, double value) {
        ((CounterMetricFamily) families.computeIfAbsent(name, n -> new CounterMetricFamily(n, help, labels)))
                .addMetric(values, value);
    }

    List<MetricFamilySamples> all() {
        return new ArrayList<>(families.values());
    }
}
