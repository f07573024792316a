package io.atoll.agent.http;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

import io.netty.util.concurrent.DefaultThreadFactory;

/**
 * Calls to other agents and to the nginx beside this one, each with a limit of time and of bytes over the whole of it.
 *
 * <p>From any thread. Names are resolved, which may take as long as the system's resolver does, on threads of their own, of which
 * there are up to 16; what follows a call is to be given the executor it belongs to.
 */
public final class HttpCalls {
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(1);
    private static final int THREADS = 16;
    /** More than a page of purges with the longest texts takes (GET /v1/mesh/purges): no answer of an agent is longer. */
    private static final int LONGEST_ANSWER = 16 << 20;
    private static final Executor THREAD_POOL = threads();

    private HttpCalls() {}

    private static Executor threads() {
        ThreadPoolExecutor pool = new ThreadPoolExecutor(THREADS, THREADS, 60, TimeUnit.SECONDS, new LinkedBlockingQueue<>(),
                new DefaultThreadFactory("calls", true));
        pool.allowCoreThreadTimeOut(true);
        return pool;
    }

    /** HTTP/1.1, for {@link #send}. */
    public static HttpClient client() {
        return HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(CONNECT_TIMEOUT).executor(THREAD_POOL)
                .build();
    }

    /**
     * Sends a request and reads the whole answer, as UTF-8.
     *
     * @param limit from now until the last byte of the answer; then the call is given up
     * @return fails with an IOException, also when the answer is longer than 16 MiB; does not throw
     */
    public static CompletableFuture<HttpResponse<String>> send(HttpClient client, HttpRequest request, Duration limit) {
        return send(client, request, limit, LONGEST_ANSWER);
    }

    static CompletableFuture<HttpResponse<String>> send(HttpClient client, HttpRequest request, Duration limit, int bytes) {
        CompletableFuture<HttpResponse<String>> exchange;
        try {
            exchange = client.sendAsync(request, head -> new Text(bytes));
        } catch (RuntimeException e) {
            return CompletableFuture.failedFuture(e);
        }
        CompletableFuture<HttpResponse<String>> answer = new CompletableFuture<>();
        exchange.whenComplete((response, problem) -> {
            if (problem == null) {
                answer.complete(response);
            } else {
                answer.completeExceptionally(problem);
            }
        });
        return answer.orTimeout(limit.toMillis(), TimeUnit.MILLISECONDS).exceptionallyCompose(problem -> {
            exchange.cancel(true);
            return CompletableFuture.failedFuture(problem instanceof TimeoutException
                    ? new HttpTimeoutException("no whole answer within " + limit.toMillis() + " ms") : problem);
        });
    }

    /** A body of no more than some bytes. */
    private static final class Text implements HttpResponse.BodySubscriber<String> {
        private final int limit;
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        private final CompletableFuture<String> text = new CompletableFuture<>();
        private Flow.Subscription subscription;

        Text(int limit) {
            this.limit = limit;
        }

        @Override
        public CompletionStage<String> getBody() {
            return text;
        }

        @Override
        public void onSubscribe(Flow.Subscription given) {
            subscription = given;
            subscription.request(Long.MAX_VALUE);
        }

        @Override
        public void onNext(List<ByteBuffer> buffers) {
            for (ByteBuffer buffer : buffers) {
                if (text.isDone()) {
                    return;
                }
                if (buffer.remaining() > limit - bytes.size()) {
                    subscription.cancel();
                    text.completeExceptionally(new IOException("its answer is longer than " + limit + " bytes"));
                    return;
                }
                byte[] part = new byte[buffer.remaining()];
                buffer.get(part);
                bytes.writeBytes(part);
            }
        }

        @Override
        public void onError(Throwable problem) {
            text.completeExceptionally(problem);
        }

        @Override
        public void onComplete() {
            text.complete(bytes.toString(StandardCharsets.UTF_8));
        }
    }
}
