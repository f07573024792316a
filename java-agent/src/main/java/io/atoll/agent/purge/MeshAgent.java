package io.atoll.agent.purge;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;

import com.fasterxml.jackson.databind.JsonNode;

import io.atoll.agent.http.HttpCalls;
import io.atoll.agent.store.Purge;

/**
 * Another host's agent, as far as purges go: what it is still to be told, and up to where it was asked. One call at a time; what
 * comes meanwhile goes together in the next. After a failure it is left alone for 100 ms to 5 s.
 *
 * <p>Used on the agent's thread only.
 */
final class MeshAgent {
    private static final Duration TIMEOUT = Duration.ofSeconds(5);
    private static final Duration WHOLE_TIMEOUT = Duration.ofSeconds(15);
    private static final int BATCH_PURGES = 200;
    private static final int BATCH_BYTES = 40_000;
    private static final long SHORTEST_PAUSE_MS = 100;
    private static final long LONGEST_PAUSE_MS = 5000;

    /** What its answers lead to; on the agent's thread. */
    interface Listener {
        /** Purges that it has now. */
        void told(MeshAgent agent, List<Purge> purges);

        /** Purges that it knows. Completes once they are in force here, but for zones whose file is spoilt: that may last for days. */
        CompletableFuture<?> heard(List<Purge> purges);

        /** It could not be asked for so long that it may have forgotten purges since. Completes once that is mended, as above. */
        CompletableFuture<?> missed(MeshAgent agent);
    }

    private final String url;
    private final String token;
    private final HttpClient client;
    private final java.util.concurrent.Executor loop;
    private final LongSupplier clock;
    private final RandomGenerator random;
    private final long expireMs;
    private final Listener listener;
    private final Map<String, Purge> queue = new LinkedHashMap<>();

    private boolean busy;
    /** Whether what it was told last did not get a good answer. */
    private boolean refused;
    private long pauseMs;
    private long notBeforeMs;
    private String trouble = "";
    private long seen;
    private boolean asked;
    private long askedMs;
    private long heardWall;
    private long askAgainMs;

    /** @param heardWall up to when no purge of it was missed, before this agent began: wall-clock milliseconds; 0 unknown */
    MeshAgent(String url, long heardWall, String token, HttpClient client, java.util.concurrent.Executor loop, LongSupplier clock,
            RandomGenerator random, long expireMs, Listener listener) {
        this.url = url;
        this.heardWall = heardWall;
        this.token = token;
        this.client = client;
        this.loop = loop;
        this.clock = clock;
        this.random = random;
        this.expireMs = expireMs;
        this.listener = listener;
    }

    String url() {
        return url;
    }

    /** Why the last call failed; empty when it did not. */
    String trouble() {
        return trouble;
    }

    int queued() {
        return queue.size();
    }

    boolean isQueued(String id) {
        return queue.containsKey(id);
    }

    /** Whether it told all that it knew at some time since this agent began. */
    boolean wasAsked() {
        return asked;
    }

    /** Up to when no purge of it was missed, which may be before this agent began: wall-clock milliseconds; 0 unknown. */
    long heardWall() {
        return heardWall;
    }

    void enqueue(Purge purge) {
        queue.put(purge.id(), purge);
    }

    /** Something new is to be told: however often it failed, it is tried now. */
    void hurry() {
        notBeforeMs = 0;
    }

    void drop(String id) {
        queue.remove(id);
    }

    /**
     * Begins what is due: tell what is queued, else ask what it knows. In turns where telling fails: who cannot put a purge in force can
     * answer all the same.
     */
    void act(long askEveryMs) {
        long now = clock.getAsLong();
        if (busy || now < notBeforeMs) {
            return;
        }
        boolean askDue = !asked || now >= askAgainMs;
        if (!queue.isEmpty() && !(askDue && refused)) {
            tell(askEveryMs);
        } else if (askDue) {
            refused = false;
            ask(askEveryMs);
        }
    }

    private void tell(long askEveryMs) {
        List<Purge> batch = new ArrayList<>();
        int bytes = 0;
        for (Purge purge : queue.values()) {
            // a character of JSON takes up to 6 bytes
            int size = 200 + 6 * (purge.text().length() + purge.note().length());
            if (!batch.isEmpty() && (bytes + size > BATCH_BYTES || batch.size() == BATCH_PURGES)) {
                break;
            }
            bytes += size;
            batch.add(purge);
        }
        refused = true;
        call("POST", "/v1/mesh/purges", PurgeMessages.write(batch).toString(), answer -> {
            refused = false;
            batch.forEach(purge -> queue.remove(purge.id(), purge));
            listener.told(this, batch);
            return CompletableFuture.completedFuture(null);
        }, askEveryMs);
    }

    private void ask(long askEveryMs) {
        call("GET", "/v1/mesh/purges?after=" + seen, null, answer -> {
            List<Purge> purges = PurgeMessages.read(answer);
            long last = answer.path("last").asLong(seen);
            boolean more = answer.path("more").asBoolean();
            return listener.heard(purges).thenComposeAsync(
                    done -> !more && wasCutOff() ? listener.missed(this) : CompletableFuture.completedFuture(null), loop)
                    .thenRunAsync(() -> {
                        seen = last;
                        askAgainMs = more ? 0 : clock.getAsLong() + askEveryMs;
                        if (!more) {
                            asked = true;
                            askedMs = clock.getAsLong();
                            heardWall = System.currentTimeMillis();
                        }
                    }, loop);
        }, askEveryMs);
    }

    /** Whether it told all that it knew so long ago, to this agent or the one before, that it may have forgotten purges since. */
    private boolean wasCutOff() {
        return asked ? clock.getAsLong() - askedMs > expireMs
                : heardWall != 0 && System.currentTimeMillis() - heardWall > expireMs;
    }

    private interface Reader {
        CompletableFuture<?> read(JsonNode answer);
    }

    private void call(String method, String path, String body, Reader reader, long askEveryMs) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url + path)).timeout(TIMEOUT)
                .method(method, body == null ? HttpRequest.BodyPublishers.noBody()
                        : HttpRequest.BodyPublishers.ofString(body));
        if (!token.isEmpty()) {
            request.header("Authorization", "Bearer " + token);
        }
        HttpRequest built = request.build();
        busy = true;
        HttpCalls.send(client, built, WHOLE_TIMEOUT)
                .thenComposeAsync(response -> read(response, reader), loop)
                .whenCompleteAsync((done, problem) -> ended(problem, askEveryMs), loop);
    }

    private static CompletableFuture<?> read(HttpResponse<String> response, Reader reader) {
        if (response.statusCode() != 200) {
            throw new IllegalStateException("it answers " + response.statusCode());
        }
        try {
            return reader.read(PurgeMessages.parse(response.body()));
        } catch (java.io.IOException e) {
            throw new IllegalStateException("it answers without JSON; is it an agent?");
        }
    }

    private void ended(Throwable problem, long askEveryMs) {
        busy = false;
        if (problem == null) {
            trouble = "";
            pauseMs = 0;
            act(askEveryMs);
            return;
        }
        Throwable cause = problem instanceof CompletionException && problem.getCause() != null ? problem.getCause() : problem;
        trouble = cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
        pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, 2 * pauseMs));
        notBeforeMs = clock.getAsLong() + (long) (pauseMs * (0.8 + 0.4 * random.nextDouble()));
    }
}
