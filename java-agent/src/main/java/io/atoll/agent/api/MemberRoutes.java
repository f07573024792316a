package io.atoll.agent.api;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletionStage;
import java.util.function.Consumer;

import com.fasterxml.jackson.databind.JsonNode;

import io.atoll.agent.api.AgentService.MemberCall;
import io.atoll.core.zone.MemberChange;

/** The calls about the members of an upstream: {@code /v1/upstreams/UPSTREAM/servers…}. */
final class MemberRoutes {
    private static final Set<String> ADD_KEYS = new TreeSet<>(
            Set.of("server", "weight", "max_conns", "max_fails", "fail_timeout_ms", "backup", "node"));
    private static final Set<String> WEIGHT_KEYS = new TreeSet<>(Set.of("weight", "node"));
    private static final Set<String> NODE_KEY = Set.of("node");

    private final AgentService service;
    private final Consumer<Request> authorize;

    MemberRoutes(AgentService service, Consumer<Request> authorize) {
        this.service = service;
        this.authorize = authorize;
    }

    CompletionStage<Response> apply(Request request) {
        List<String> path = request.path();
        String upstream = path.get(2);
        String what = path.get(3);
        if (!request.method().equals("GET")) {
            authorize.accept(request);
        }
        if (path.size() == 4 && what.equals("reset")) {
            method(request, "POST");
            return reset(request, upstream, "");
        }
        if (!what.equals("servers") || path.size() > 6 || path.size() == 6 && !path.get(5).equals("reset")) {
            throw Routes.unknown(request);
        }
        if (path.size() == 4) {
            return request.method().equals("POST") ? add(request, upstream) : list(request, upstream);
        }
        if (path.size() == 6) {
            method(request, "POST");
            return reset(request, upstream, path.get(4));
        }
        return switch (request.method()) {
            case "DELETE" -> change(new MemberCall(MemberCall.Action.REMOVE, node(request, "DELETE"), upstream,
                    path.get(4), 0, -1, -1, -1, null));
            case "PATCH" -> weight(request, upstream, path.get(4));
            default -> throw new ApiException(405, request.method() + " is not possible here", request.pathText(),
                    "DELETE, PATCH", "DELETE removes the server, PATCH gives it another weight");
        };
    }

    private static void method(Request request, String expected) {
        if (!request.method().equals(expected)) {
            throw new ApiException(405, request.method() + " does not change anything here", request.pathText(), expected,
                    "use " + expected);
        }
    }

    private CompletionStage<Response> list(Request request, String upstream) {
        Routes.reads(request, "node");
        return service.servers(request.parameter("node"), upstream).thenApply(servers -> {
            if (servers.isEmpty()) {
                throw new ApiException(404, "No attached zone has an upstream " + upstream, request.pathText(),
                        "an upstream of GET /v1/upstreams", "compare the name with nginx.conf");
            }
            return Responses.json(200, Map.of("servers", servers));
        });
    }

    private CompletionStage<Response> add(Request request, String upstream) {
        JsonNode body = body(request, ADD_KEYS, "{\"server\": \"10.0.0.4:80\", \"weight\": 2, …}");
        String server = body.path("server").asText();
        if (server.isEmpty()) {
            throw new ApiException(400, "server is missing", "request body", "{\"server\": \"10.0.0.4:80\"}",
                    "name the server as a server line of nginx.conf would");
        }
        JsonNode backup = body.get("backup");
        if (backup != null && !backup.isBoolean()) {
            throw new ApiException(400, "backup is " + backup, "request body", "true or false", "mend the body");
        }
        return change(new MemberCall(MemberCall.Action.ADD, body.path("node").asText(), upstream, server,
                number(body, "weight", 1, MemberChange.MAX_WEIGHT, 0), number(body, "max_conns", 0, Integer.MAX_VALUE, -1),
                number(body, "max_fails", 0, Integer.MAX_VALUE, -1),
                number(body, "fail_timeout_ms", 0, Integer.MAX_VALUE, -1), backup == null ? null : backup.asBoolean()));
    }

    private CompletionStage<Response> weight(Request request, String upstream, String server) {
        JsonNode body = body(request, WEIGHT_KEYS, "{\"weight\": 3}");
        int weight = number(body, "weight", 1, MemberChange.MAX_WEIGHT, 0);
        if (weight == 0) {
            throw new ApiException(400, "weight is missing", "request body", "{\"weight\": 3}", "say which weight");
        }
        return change(new MemberCall(MemberCall.Action.WEIGHT, body.path("node").asText(), upstream, server, weight,
                -1, -1, -1, null));
    }

    private CompletionStage<Response> reset(Request request, String upstream, String server) {
        return change(new MemberCall(MemberCall.Action.RESET, node(request, "POST"), upstream, server, 0, -1, -1,
                -1, null));
    }

    private CompletionStage<Response> change(MemberCall call) {
        return service.members(call).thenApply(done -> Responses.json(200, done));
    }

    private static String node(Request request, String method) {
        return body(request, NODE_KEY, "{\"node\": …} or nothing, with " + method).path("node").asText();
    }

    private static JsonNode body(Request request, Set<String> keys, String expected) {
        JsonNode body = Routes.body(request, expected);
        for (String key : (Iterable<String>) body::fieldNames) {
            if (!keys.contains(key)) {
                throw new ApiException(400, key + " is not understood", "request body", "one of: " + String.join(", ", keys),
                        "leave it away");
            }
        }
        return body;
    }

    private static int number(JsonNode body, String key, int least, int most, int missing) {
        JsonNode value = body.get(key);
        if (value == null) {
            return missing;
        }
        if (!value.isIntegralNumber() || !value.canConvertToInt() || value.asInt() < least || value.asInt() > most) {
            throw new ApiException(400, key + " is " + value, "request body", "a whole number from " + least + " to " + most,
                    "mend the body");
        }
        return value.asInt();
    }
}
