package io.atoll.agent.purge;

import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

import io.atoll.agent.http.HttpCalls;

/**
 * Has the nginx beside the agent delete what a purged key had in its caches (atoll_purge), so that the space is there again at
 * once. No part of the purge: when it fails, the file stays until nginx removes it. Up to 8 are asked for at a time, so that many
 * purges at once leave nginx its connections; the others wait.
 *
 * <p>Used on the agent's thread only.
 */
final class PurgedFiles {
    private static final Duration TIMEOUT = Duration.ofSeconds(2);
    private static final int REMEMBERED = 1000;
    private static final int AT_ONCE = 8;

    private final List<String> urls;
    private final HttpClient client;
    private final Executor loop;
    private final Consumer<String> ended;
    private final Map<String, Outcome> outcomes = new LinkedHashMap<>();
    private final Queue<Deletion> waiting = new ArrayDeque<>();
    private int underWay;

    private record Deletion(String id, Outcome outcome, String url, String key, long generation) {}

    private static final class Outcome {
        private int asked;
        private int deleted;
        private String failure = "";
    }

    /**
     * @param urls  of locations with atoll_purge; may be empty
     * @param ended told a purge's id when all was asked for it
     */
    PurgedFiles(List<String> urls, HttpClient client, Executor loop, Consumer<String> ended) {
        this.urls = urls;
        this.client = client;
        this.loop = loop;
        this.ended = ended;
    }

    boolean isOn() {
        return !urls.isEmpty();
    }

    /** Begins to ask for the files that a purge's key had under these generations. */
    void delete(String id, String key, Collection<Long> generations) {
        Outcome outcome = new Outcome();
        outcomes.put(id, outcome);
        if (outcomes.size() > REMEMBERED) {
            outcomes.remove(outcomes.keySet().iterator().next());
        }
        for (String url : urls) {
            for (long generation : generations) {
                outcome.asked++;
                waiting.add(new Deletion(id, outcome, url, key, generation));
            }
        }
        next();
    }

    private void next() {
        while (underWay < AT_ONCE && !waiting.isEmpty()) {
            Deletion one = waiting.remove();
            underWay++;
            send(one).whenCompleteAsync((answer, problem) -> {
                underWay--;
                answered(one.id(), one.outcome(), one.url(), answer, problem);
                next();
            }, loop);
        }
    }

    /** Does not throw: a purge does not depend on it. */
    private CompletableFuture<HttpResponse<String>> send(Deletion one) {
        try {
            return HttpCalls.send(client, request(one.url(), one.key(), one.generation()), TIMEOUT);
        } catch (IllegalArgumentException e) {
            return CompletableFuture.failedFuture(e);
        }
    }

    private static HttpRequest request(String url, String key, long generation) {
        String text = URLEncoder.encode(key, StandardCharsets.UTF_8).replace("+", "%20");
        return HttpRequest.newBuilder(URI.create(url + "?generation=" + Long.toHexString(generation) + "&key=" + text))
                .timeout(TIMEOUT).method("PURGE", HttpRequest.BodyPublishers.noBody()).build();
    }

    private void answered(String id, Outcome outcome, String url, HttpResponse<String> answer, Throwable problem) {
        outcome.asked--;
        if (problem != null) {
            Throwable cause = problem.getCause() == null ? problem : problem.getCause();
            outcome.failure = url + ": " + cause;
        } else if (answer.statusCode() == 200) {
            outcome.deleted++;
        } else if (answer.statusCode() != 404) {
            outcome.failure = url + " answers " + answer.statusCode();
        }
        if (outcome.asked == 0) {
            ended.accept(id);
        }
    }

    /** Whether answers are still to come for a purge. */
    boolean isUnderWay(String id) {
        Outcome outcome = outcomes.get(id);
        return outcome != null && outcome.asked > 0;
    }

    /** What became of a purge's files, in words; empty when none were asked for. */
    String outcome(String id) {
        Outcome outcome = outcomes.get(id);
        if (outcome == null) {
            return "";
        }
        if (!outcome.failure.isEmpty()) {
            return "file not deleted: " + outcome.failure;
        }
        if (outcome.asked > 0) {
            return "file is being deleted";
        }
        return switch (outcome.deleted) {
            case 0 -> "no file to delete";
            case 1 -> "file deleted";
            default -> outcome.deleted + " files deleted";
        };
    }
}
