package io.atoll.agent.metrics;

import java.util.List;

import io.atoll.agent.view.NameView;

/** What is known of the names that are followed, as Prometheus families. */
final class NameMetrics {
    private static final List<String> NAME = List.of("name", "type");
    private static final List<String> RESULT = List.of("name", "type", "result");

    private NameMetrics() {}

    static void add(Families families, List<NameView> names) {
        for (NameView name : names) {
            List<String> labels = List.of(name.name(), name.type());
            lookups(families, name, "found", name.found());
            lookups(families, name, "none", name.none());
            lookups(families, name, "failed", name.failed());
            families.counter("atoll_resolve_changes_total", "Answers that differed from the one before.", NAME, labels, name.changes());
            families.gauge("atoll_resolve_values", "Addresses or targets that a name stands for.", NAME, labels, name.values().size());
            families.gauge("atoll_resolve_failing", "1 while a name does not resolve and stands for what it did.", NAME, labels,
                    name.failures() > 0 ? 1 : 0);
            families.gauge("atoll_resolve_age_seconds", "Time since the last good answer; since ever: +Inf.", NAME, labels,
                    name.ageMs() < 0 ? Double.POSITIVE_INFINITY : name.ageMs() / 1000.0);
        }
    }

    private static void lookups(Families families, NameView name, String result, long count) {
        families.counter("atoll_resolve_lookups_total", "Look-ups by what they gave.", RESULT, List.of(name.name(), name.type(), result), count);
    }
}
