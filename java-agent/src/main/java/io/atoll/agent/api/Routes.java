package io.atoll.agent.api;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.Function;
import java.util.stream.Collectors;

import com.fasterxml.jackson.databind.JsonNode;

import io.atoll.agent.api.AgentService.Action;
import io.atoll.agent.api.AgentService.Change;
import io.atoll.agent.view.HotKeyView;
import io.atoll.agent.view.PeerView;
import io.atoll.agent.view.UpstreamView;
import io.atoll.agent.view.ZoneView;
import io.atoll.agent.zone.RingMessages;

/** The REST API: which path and method leads where, who may call, what is wrong with a call. */
public final class Routes implements Function<Request, CompletionStage<Response>> {
    private static final Set<String> CHANGE_KEYS = new TreeSet<>(Set.of("address", "node", "duration", "note"));
    private static final int NOTE_LIMIT = 1000;

    private final AgentService service;
    private final String token;
    private final boolean loopback;
    private final Function<Request, CompletionStage<Response>> metrics;
    private final MemberRoutes members;
    private final PurgeRoutes purges;

    /**
     * @param token    that changing calls must carry; empty for none
     * @param loopback whether only this host can call
     * @param metrics  answers /metrics, or null when it is served elsewhere
     */
    public Routes(AgentService service, String token, boolean loopback,
            Function<Request, CompletionStage<Response>> metrics) {
        this.service = service;
        this.token = token;
        this.loopback = loopback;
        this.metrics = metrics;
        this.members = new MemberRoutes(service, this::authorize);
        this.purges = new PurgeRoutes(service.purges(), this::authorize);
    }

    @Override
    public CompletionStage<Response> apply(Request request) {
        List<String> path = request.path();
        String first = path.isEmpty() ? "" : path.get(0);
        if (path.size() == 1 && first.equals("healthz")) {
            reads(request);
            return CompletableFuture.completedFuture(health());
        }
        if (path.size() == 1 && first.equals("metrics") && metrics != null) {
            reads(request);
            return metrics.apply(request);
        }
        if (path.size() >= 2 && first.equals("v1")) {
            return versionOne(request, path);
        }
        throw unknown(request);
    }

    private CompletionStage<Response> versionOne(Request request, List<String> path) {
        if (path.size() == 5 && path.get(1).equals("peers")) {
            return change(request, path);
        }
        if (path.size() >= 4 && path.get(1).equals("upstreams")) {
            return members.apply(request);
        }
        CompletionStage<Response> purged = purges.apply(request, path);
        if (purged != null) {
            return purged;
        }
        if (path.subList(1, path.size()).equals(List.of("mesh", "rings"))) {
            reads(request, "upstream");
            return service.rings(request.parameter("upstream")).thenApply(rings -> Responses.json(200, RingMessages.write(rings)));
        }
        if (path.size() != 2) {
            throw unknown(request);
        }
        switch (path.get(1)) {
            case "status":
                reads(request);
                return service.zones().thenApply(this::status);
            case "upstreams":
                reads(request, "node", "upstream");
                return service.zones().thenApply(zones -> Responses.json(200, Map.of("upstreams",
                        upstreams(request, zones))));
            case "peers":
                reads(request, "node", "upstream", "server");
                return service.zones().thenApply(zones -> Responses.json(200, Map.of("peers",
                        peers(request, zones))));
            case "hot":
                reads(request, "node", "upstream");
                return service.zones().thenApply(zones -> Responses.json(200, Map.of("hot",
                        hot(request, zones))));
            case "names":
                reads(request);
                return service.names().thenApply(names -> Responses.json(200, Map.of("names", names)));
            case "owner":
                reads(request, "node", "upstream", "key");
                return owner(request);
            default:
                throw unknown(request);
        }
    }

    private Response health() {
        List<String> complaints = service.complaints();
        Map<String, Object> health = new LinkedHashMap<>();
        health.put("ok", complaints.isEmpty());
        health.put("complaints", complaints);
        return Responses.json(complaints.isEmpty() ? 200 : 503, health);
    }

    /** A zone without its upstreams: those have a call of their own. */
    private Response status(List<ZoneView> zones) {
        List<Map<String, Object>> summaries = new ArrayList<>();
        for (ZoneView zone : zones) {
            List<PeerView> peers = zone.upstreams().stream().flatMap(upstream -> upstream.peers().stream()).toList();
            Map<String, Object> summary = Responses.JSON.convertValue(zone, Responses.OBJECT);
            summary.put("upstreams", zone.upstreams().size());
            summary.put("peers", peers.size());
            summary.put("peers_up", peers.stream().filter(PeerView::up).count());
            summaries.add(summary);
        }
        Map<String, Object> status = new LinkedHashMap<>();
        status.put("agent", service.agent());
        status.put("zones", summaries);
        return Responses.json(200, status);
    }

    private static List<HotKeyView> hot(Request request, List<ZoneView> zones) {
        return zones.stream().flatMap(zone -> zone.upstreams().stream()).flatMap(upstream -> upstream.hot().stream())
                .filter(key -> asked(request, "node", key.node()) && asked(request, "upstream", key.upstream()))
                .toList();
    }

    private static List<Map<String, Object>> upstreams(Request request, List<ZoneView> zones) {
        List<Map<String, Object>> upstreams = new ArrayList<>();
        for (ZoneView zone : zones) {
            for (UpstreamView upstream : zone.upstreams()) {
                if (asked(request, "node", zone.node()) && asked(request, "upstream", upstream.name())) {
                    Map<String, Object> map = new LinkedHashMap<>();
                    map.put("node", zone.node());
                    map.putAll(Responses.JSON.convertValue(upstream, Responses.OBJECT));
                    map.put("hot", upstream.hot().size());
                    map.put("peers", upstream.peers().size());
                    map.put("peers_up", upstream.peers().stream().filter(PeerView::up).count());
                    upstreams.add(map);
                }
            }
        }
        return upstreams;
    }

    private static List<PeerView> peers(Request request, List<ZoneView> zones) {
        return zones.stream().flatMap(zone -> zone.upstreams().stream())
                .flatMap(upstream -> upstream.peers().stream())
                .filter(peer -> asked(request, "node", peer.node()) && asked(request, "upstream", peer.upstream())
                        && (asked(request, "server", peer.server()) || asked(request, "server", peer.address())))
                .toList();
    }

    private static boolean asked(Request request, String parameter, String value) {
        String wanted = request.parameter(parameter);
        return wanted.isEmpty() || wanted.equals(value);
    }

    private CompletionStage<Response> owner(Request request) {
        String upstream = request.parameter("upstream");
        String key = request.parameter("key");
        if (upstream.isEmpty() || !request.query().containsKey("key")) {
            throw new ApiException(400, "upstream or key is missing", request.pathText(),
                    "?upstream=NAME&key=KEY", "name both, percent-encoded");
        }
        return service.owners(request.parameter("node"), upstream, key).thenApply(owners -> {
            if (owners.isEmpty()) {
                throw new ApiException(404, "No attached zone has an upstream " + upstream, request.pathText(),
                        "an upstream of GET /v1/upstreams", "compare the name with nginx.conf");
            }
            return Responses.json(200, Map.of("owners", owners));
        });
    }

    /** POST /v1/peers/UPSTREAM/SERVER/drain|undrain|maintenance, with an optional JSON body. */
    private CompletionStage<Response> change(Request request, List<String> path) {
        Action action;
        try {
            action = Action.valueOf(path.get(4).toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            throw unknown(request);
        }
        if (!request.method().equals("POST")) {
            throw new ApiException(405, request.method() + " does not change anything here", request.pathText(),
                    "POST", "use POST");
        }
        authorize(request);
        Change change = read(request, action, path.get(2), path.get(3));
        return service.change(change).thenApply(done -> {
            if (done.peers().isEmpty()) {
                throw new ApiException(404, "No peer " + change.server() + " in upstream " + change.upstream(),
                        request.pathText(), "a server or address of GET /v1/peers",
                        "percent-encode the name (/ is %2F), check node and address");
            }
            return Responses.json(200, done);
        });
    }

    private void authorize(Request request) {
        if (token.isEmpty()) {
            if (!loopback) {
                throw new ApiException(403, "Changing calls are refused", request.pathText(),
                        "a token, since the API listens on more than loopback",
                        "set atoll.api.token-file, or listen on 127.0.0.1");
            }
            if (!request.header("origin").isEmpty()) {
                throw new ApiException(403, "Changing calls from a web page are refused", "Origin header",
                        "a token, or a client that is no browser", "set atoll.api.token-file");
            }
            return;
        }
        String given = request.header("authorization");
        boolean bearer = given.regionMatches(true, 0, "Bearer ", 0, 7);
        byte[] presented = (bearer ? given.substring(7).trim() : "").getBytes(StandardCharsets.UTF_8);
        if (!MessageDigest.isEqual(presented, token.getBytes(StandardCharsets.UTF_8))) {
            throw new ApiException(401, bearer ? "The token is wrong" : "The token is missing",
                    "Authorization header", "Authorization: Bearer TOKEN", "send the token of atoll.api.token-file");
        }
    }

    private static Change read(Request request, Action action, String upstream, String server) {
        JsonNode body = body(request,
                "{\"address\": …, \"node\": …, \"duration\": \"10m\", \"note\": …}, all optional, or nothing");
        for (String key : (Iterable<String>) body::fieldNames) {
            if (!CHANGE_KEYS.contains(key) || !body.get(key).isTextual()) {
                throw new ApiException(400, key + " is not understood", "request body",
                        "strings for: " + String.join(", ", CHANGE_KEYS), "leave it away");
            }
        }
        String duration = body.path("duration").asText();
        String note = body.path("note").asText();
        if (!duration.isEmpty() && action != Action.MAINTENANCE) {
            throw new ApiException(400, "duration does not go with " + path(action), "request body",
                    "duration with maintenance only", "use maintenance, or leave it away");
        }
        if (note.length() > NOTE_LIMIT) {
            throw new ApiException(400, "note is too long", "request body", "at most " + NOTE_LIMIT + " characters",
                    "shorten it");
        }
        return new Change(action, body.path("node").asText(), upstream, server, body.path("address").asText(),
                duration.isEmpty() ? null : Durations.parse(duration), note);
    }

    /** The body, which has to be a JSON object; none counts as an empty one. */
    static JsonNode body(Request request, String expected) {
        try {
            JsonNode body = request.body().length == 0 ? Responses.JSON.createObjectNode()
                    : Responses.JSON.readTree(request.body());
            if (body.isObject()) {
                return body;
            }
        } catch (java.io.IOException e) {
            // reported below
        }
        throw new ApiException(400, "The body is not a JSON object", "request body", expected, "mend the body");
    }

    static void reads(Request request, String... parameters) {
        if (!request.method().equals("GET")) {
            throw new ApiException(405, request.method() + " is not possible here", request.pathText(), "GET",
                    "use GET");
        }
        Set<String> known = Set.of(parameters);
        for (String parameter : request.query().keySet()) {
            if (!known.contains(parameter)) {
                throw new ApiException(400, "Parameter " + parameter + " is not understood", request.pathText(),
                        known.isEmpty() ? "no parameters"
                                : known.stream().sorted().collect(Collectors.joining(", ", "one of: ", "")),
                        "leave it away");
            }
        }
    }

    static ApiException unknown(Request request) {
        return new ApiException(404, "There is nothing here", request.pathText(),
                "/healthz, /metrics, /v1/status, /v1/upstreams, /v1/peers, /v1/hot, /v1/names, /v1/owner, /v1/purge, /v1/purges, "
                        + "/v1/peers/UPSTREAM/SERVER/drain|undrain|maintenance, /v1/upstreams/UPSTREAM/servers, "
                        + "/v1/upstreams/UPSTREAM/servers/SERVER, /v1/upstreams/UPSTREAM/reset",
                "see docs/reference/api.md");
    }

    private static String path(Action action) {
        return action.name().toLowerCase(Locale.ROOT);
    }
}
