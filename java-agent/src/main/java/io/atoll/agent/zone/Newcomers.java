package io.atoll.agent.zone;

import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

import io.atoll.agent.http.HttpCalls;
import io.atoll.core.zone.FormerRings;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Handover to nodes that have just come: a zone whose nginx was just started and that has no ring before learns of the owners before
 * from the other agents of the mesh, and from the other zones of this one. The first that has something to say is believed. After some
 * attempts it is left at what the zone itself knows; nothing depends on an answer.
 *
 * <p>Used on the agent's thread only.
 */
public final class Newcomers {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.members");
    private static final Duration TIMEOUT = Duration.ofSeconds(2);
    private static final int ATTEMPTS = 30;

    private final List<String> agents;
    private final String token;
    private final AgentContext context;
    private final List<ZoneAgent> zones;
    private final HttpClient client;
    private final Map<String, Integer> attempts = new HashMap<>();
    private int outstanding;

    /** @param agents of the other hosts, as atoll.mesh.agents has them */
    public Newcomers(List<String> agents, String token, AgentContext context, List<ZoneAgent> zones) {
        this.agents = agents;
        this.token = token;
        this.context = context;
        this.zones = zones;
        this.client = agents.isEmpty() ? null : HttpCalls.client();
    }

    /** To be called at each heartbeat, after the zones were looked after. */
    public void beat() {
        if (outstanding > 0) {
            return;
        }
        Set<String> wanted = new HashSet<>();
        for (ZoneAgent zone : zones) {
            for (String upstream : zone.newIn()) {
                if (attempts.merge(zone.path() + "\0" + zone.startedMs() + "\0" + upstream, 1, Integer::sum) <= ATTEMPTS) {
                    zones.stream().filter(other -> other != zone).forEach(other -> zone.learn(upstream, other.rings(upstream)));
                    wanted.add(upstream);
                }
            }
        }
        wanted.removeIf(upstream -> zones.stream().noneMatch(zone -> zone.newIn().contains(upstream)));
        wanted.forEach(upstream -> agents.forEach(agent -> ask(agent, upstream)));
    }

    private void ask(String agent, String upstream) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(agent + "/v1/mesh/rings?upstream="
                + URLEncoder.encode(upstream, StandardCharsets.UTF_8).replace("+", "%20"))).timeout(TIMEOUT);
        if (!token.isEmpty()) {
            request.header("Authorization", "Bearer " + token);
        }
        outstanding++;
        HttpCalls.send(client, request.build(), TIMEOUT).thenApply(response -> told(agent, upstream, response))
                .whenCompleteAsync((rings, problem) -> {
                    outstanding--;
                    if (problem == null && !rings.isEmpty()) {
                        zones.stream().filter(zone -> zone.newIn().contains(upstream)).forEach(zone -> zone.learn(upstream, rings));
                    }
                }, context.loop());
    }

    /** On a thread of the calls: a long answer takes its time. */
    private static List<FormerRings> told(String agent, String upstream, HttpResponse<String> response) {
        try {
            return response.statusCode() == 200 ? RingMessages.parse(response.body()) : List.of();
        } catch (IllegalArgumentException e) {
            LOG.warn("{} tells of the rings of upstream {} what is not understood: {}", agent, upstream, e.getMessage());
            return List.of();
        }
    }
}
