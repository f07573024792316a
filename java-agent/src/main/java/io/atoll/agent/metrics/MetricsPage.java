package io.atoll.agent.metrics;

import java.io.IOException;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.function.Function;

import io.atoll.agent.api.AgentService;
import io.atoll.agent.api.Request;
import io.atoll.agent.api.Response;
import io.atoll.agent.api.Routes;
import io.atoll.agent.view.AgentView;
import io.atoll.agent.view.NameView;
import io.atoll.agent.view.ZoneView;
import io.prometheus.client.Collector.MetricFamilySamples;
import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.exporter.common.TextFormat;
import io.prometheus.client.hotspot.DefaultExports;

/** The page that Prometheus scrapes: what the agent counts and what the zones say at that moment. */
public final class MetricsPage implements Function<Request, CompletionStage<Response>> {
    private final AgentService service;
    private final CollectorRegistry registry = new CollectorRegistry();

    /** @param jvm whether to show the agent's own JVM too */
    public MetricsPage(AgentService service, boolean jvm) {
        this.service = service;
        if (jvm) {
            DefaultExports.register(registry);
        }
    }

    /** For what is counted as it happens. */
    public CollectorRegistry registry() {
        return registry;
    }

    @Override
    public CompletionStage<Response> apply(Request request) {
        return service.zones().thenCombine(service.names(), this::page);
    }

    /** Routes of a server that has nothing but metrics and health. */
    public Function<Request, CompletionStage<Response>> alone() {
        Routes routes = new Routes(service, "", false, this);
        return request -> routes.apply(request.path().equals(List.of("metrics"))
                || request.path().equals(List.of("healthz")) ? request : request.withPath(List.of()));
    }

    private Response page(List<ZoneView> zones, List<NameView> names) {
        Families families = ZoneMetrics.of(zones);
        NameMetrics.add(families, names);
        AgentView agent = service.agent();
        families.gauge("atoll_agent_info", "The agent's build; always 1.", List.of("version", "layout", "transport"),
                List.of(agent.version(), agent.layout(), agent.transport()), 1);
        families.gauge("atoll_agent_uptime_seconds", "Time since the agent started.", List.of(), List.of(),
                agent.uptimeMs() / 1000.0);
        families.gauge("atoll_agent_decisions", "Drains and maintenance that stand.", List.of(), List.of(),
                agent.decisions());
        families.gauge("atoll_agent_healthy", "1 when /healthz answers 200.", List.of(), List.of(),
                service.complaints().isEmpty() ? 1 : 0);
        List<MetricFamilySamples> all = families.all();
        for (MetricFamilySamples family : Collections.list(registry.metricFamilySamples())) {
            if (!family.samples.isEmpty()) {
                all.add(withoutCreated(family));
            }
        }
        StringWriter text = new StringWriter();
        try {
            TextFormat.write004(text, Collections.enumeration(all));
        } catch (IOException e) {
            throw new IllegalStateException("A page in memory cannot be written", e);
        }
        return Response.text(200, TextFormat.CONTENT_TYPE_004, text.toString());
    }

    /** The library adds to each counter when it was made, which doubles the page and says nothing here. */
    private static MetricFamilySamples withoutCreated(MetricFamilySamples family) {
        List<MetricFamilySamples.Sample> samples = new ArrayList<>(family.samples);
        samples.removeIf(sample -> sample.name.endsWith("_created"));
        return new MetricFamilySamples(family.name, family.unit, family.type, family.help, samples);
    }
}
