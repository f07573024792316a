package io.atoll.agent.api;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletionStage;
import java.util.function.Consumer;

import com.fasterxml.jackson.databind.JsonNode;

import io.atoll.agent.api.PurgeService.Wanted;
import io.atoll.agent.purge.PurgeMessages;
import io.atoll.agent.purge.PurgeTexts;
import io.atoll.agent.store.Purge;
import io.atoll.agent.view.PurgeView;
import io.atoll.core.zone.ZonePurges.Kind;

/** The part of the API that purges: /v1/purge, /v1/purges, and /v1/mesh/purges between agents. */
final class PurgeRoutes {
    private static final Set<String> KEYS = new TreeSet<>(Set.of("id", "key", "prefix", "site", "note"));
    private static final String EXPECTED = "one of {\"key\": KEY}, {\"prefix\": TEXT}, {\"site\": HOST}, {\"site\": true}, "
            + "with an \"id\" and a \"note\" if you like";
    private static final int NOTE_LIMIT = 1000;
    private static final int LIST_LIMIT = 1000;

    private final PurgeService service;
    private final Consumer<Request> authorize;

    /** @param authorize throws for a call that may not change anything */
    PurgeRoutes(PurgeService service, Consumer<Request> authorize) {
        this.service = service;
        this.authorize = authorize;
    }

    /** Null for a path that is none of these. */
    CompletionStage<Response> apply(Request request, List<String> path) {
        List<String> rest = path.subList(1, path.size());
        if (rest.equals(List.of("purge"))) {
            return purge(request);
        }
        if (rest.equals(List.of("purges"))) {
            Routes.reads(request, "limit");
            return service.list(limit(request)).thenApply(purges -> Responses.json(200, Map.of("purges", purges)));
        }
        if (rest.size() == 2 && rest.get(0).equals("purges")) {
            Routes.reads(request);
            return find(request, rest.get(1));
        }
        if (rest.equals(List.of("mesh", "purges"))) {
            return request.method().equals("POST") ? receive(request) : after(request);
        }
        return null;
    }

    private CompletionStage<Response> purge(Request request) {
        changes(request);
        return service.purge(read(request)).thenApply(view -> Responses.json(view.state().equals("done") ? 200 : 202, view));
    }

    private void changes(Request request) {
        if (!request.method().equals("POST")) {
            throw new ApiException(405, request.method() + " does not change anything here", request.pathText(), "POST",
                    "use POST");
        }
        authorize.accept(request);
    }

    private static Wanted read(Request request) {
        JsonNode body = Routes.body(request, EXPECTED);
        List<Wanted> wanted = new ArrayList<>();
        String id = body.path("id").asText();
        String note = body.path("note").asText();
        body.properties().forEach(field -> {
            JsonNode value = field.getValue();
            boolean all = field.getKey().equals("site") && value.isBoolean() && value.asBoolean();
            if (!KEYS.contains(field.getKey()) || !value.isTextual() && !all) {
                throw wrong(field.getKey() + " is not understood", EXPECTED);
            }
            switch (field.getKey()) {
                case "key" -> wanted.add(new Wanted(id, Kind.KEY, value.asText(), note));
                case "prefix" -> wanted.add(new Wanted(id, Kind.PREFIX, value.asText(), note));
                case "site" -> wanted.add(all ? new Wanted(id, Kind.ALL, "", note)
                        : new Wanted(id, Kind.SITE, value.asText().toLowerCase(java.util.Locale.ROOT), note));
                default -> { }
            }
        });
        if (wanted.size() != 1) {
            throw wrong(wanted.isEmpty() ? "Nothing is named" : "More than one thing is named", EXPECTED);
        }
        if (note.length() > NOTE_LIMIT) {
            throw wrong("note is too long", "at most " + NOTE_LIMIT + " characters");
        }
        if (!id.isEmpty() && !PurgeTexts.isId(id)) {
            throw wrong("id is \"" + id + "\"", "up to 64 of letters, digits, dot, dash and underscore");
        }
        try {
            PurgeTexts.check(wanted.get(0).kind(), wanted.get(0).text());
        } catch (IllegalArgumentException e) {
            throw wrong("The text of the " + wanted.get(0).kind().name().toLowerCase(java.util.Locale.ROOT)
                    + " is empty or too long", e.getMessage());
        }
        return wanted.get(0);
    }

    private static ApiException wrong(String what, String expected) {
        return new ApiException(400, what, "request body", expected, "mend the body");
    }

    private CompletionStage<Response> find(Request request, String id) {
        return service.find(id).thenApply(found -> {
            PurgeView view = found.orElseThrow(() -> new ApiException(404, "No purge " + id, request.pathText(),
                    "an id of GET /v1/purges", "it may have been forgotten: atoll.purge.expire"));
            return Responses.json(200, view);
        });
    }

    private CompletionStage<Response> receive(Request request) {
        changes(request);
        List<Purge> purges;
        try {
            purges = PurgeMessages.read(Routes.body(request, "{\"purges\": […]}"));
        } catch (IllegalArgumentException e) {
            throw wrong("The body is no message of an agent: " + e.getMessage(), "{\"purges\": […]}");
        }
        return service.receive(purges).thenApply(count -> Responses.json(200, Map.of("accepted", count)));
    }

    private CompletionStage<Response> after(Request request) {
        Routes.reads(request, "after");
        long number;
        try {
            number = Long.parseLong(request.parameter("after"));
        } catch (NumberFormatException e) {
            throw new ApiException(400, "after is no number", request.pathText(), "?after=NUMBER", "send 0 for all");
        }
        return service.after(number, LIST_LIMIT).thenApply(batch -> Responses.json(200,
                PurgeMessages.write(batch.purges()).put("last", batch.last()).put("more", batch.more())));
    }

    private static int limit(Request request) {
        String text = request.parameter("limit");
        try {
            int limit = text.isEmpty() ? 100 : Integer.parseInt(text);
            if (limit >= 1 && limit <= LIST_LIMIT) {
                return limit;
            }
        } catch (NumberFormatException e) {
            // reported below
        }
        throw new ApiException(400, "limit is \"" + text + "\"", request.pathText(), "1 to " + LIST_LIMIT, "mend it");
    }
}
