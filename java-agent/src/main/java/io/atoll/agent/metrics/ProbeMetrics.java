package io.atoll.agent.metrics;

import java.util.Locale;

import io.atoll.agent.probe.ProbeOutcome;
import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Histogram;

/** What the probes counted, by peer. Any thread may read while the agent's writes. */
public final class ProbeMetrics {
    static final String[] PEER = {"node", "upstream", "server", "address"};

    private final Histogram latency;
    private final Counter probes;
    private final Counter transitions;

    public ProbeMetrics(CollectorRegistry registry) {
        latency = Histogram.build("atoll_peer_probe_seconds",
                "Time from the start of a probe to a success or a failure.").labelNames(PEER)
                .buckets(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5).register(registry);
        probes = Counter.build("atoll_peer_probes_total", "Probes by what they found.")
                .labelNames("node", "upstream", "server", "address", "result").register(registry);
        transitions = Counter.build("atoll_peer_transitions_total", "Changes of the probes' verdict.")
                .labelNames("node", "upstream", "server", "address", "to").register(registry);
    }

    /** The part of one peer, named by the labels of all peer metrics. */
    public OfPeer of(String node, String upstream, String server, String address) {
        return new OfPeer(node, upstream, server, address);
    }

    /** One peer's. */
    public final class OfPeer {
        private final String[] labels;
        private final Histogram.Child seconds;
        private final Counter.Child[] results = new Counter.Child[ProbeOutcome.Result.values().length];
        private final Counter.Child up;
        private final Counter.Child down;

        private OfPeer(String... labels) {
            this.labels = labels;
            this.seconds = latency.labels(labels);
            for (ProbeOutcome.Result result : ProbeOutcome.Result.values()) {
                results[result.ordinal()] = probes.labels(with(text(result)));
            }
            this.up = transitions.labels(with("up"));
            this.down = transitions.labels(with("down"));
        }

        private String[] with(String last) {
            return new String[] {labels[0], labels[1], labels[2], labels[3], last};
        }

        public void probed(ProbeOutcome outcome) {
            results[outcome.result().ordinal()].inc();
            if (outcome.result() != ProbeOutcome.Result.NOT_MADE) {
                seconds.observe(outcome.latencyNanos() / 1e9);
            }
        }

        public void transition(boolean toUp) {
            (toUp ? up : down).inc();
        }

        /** Forgets a peer that is probed no more. */
        public void remove() {
            latency.remove(labels);
            for (ProbeOutcome.Result result : ProbeOutcome.Result.values()) {
                probes.remove(with(text(result)));
            }
            transitions.remove(with("up"));
            transitions.remove(with("down"));
        }
    }

    static String text(ProbeOutcome.Result result) {
        return result.name().toLowerCase(Locale.ROOT);
    }
}
