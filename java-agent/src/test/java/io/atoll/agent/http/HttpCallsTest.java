package io.atoll.agent.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class HttpCallsTest {
    private static final Duration LONG = Duration.ofSeconds(10);
    private static final int BYTES = 100;

    private final HttpClient client = HttpCalls.client();
    private ServerSocket socket;

    @BeforeEach
    void start() throws IOException {
        socket = new ServerSocket(0, 10, InetAddress.getLoopbackAddress());
    }

    @AfterEach
    void end() throws IOException {
        socket.close();
    }

    /** Answers the next call with this and leaves the connection open; completes when the client has closed it. */
    private CompletableFuture<Void> answer(String text) {
        return CompletableFuture.runAsync(() -> {
            try (Socket accepted = socket.accept()) {
                accepted.getOutputStream().write(text.getBytes(StandardCharsets.UTF_8));
                accepted.getInputStream().transferTo(java.io.OutputStream.nullOutputStream());
            } catch (IOException e) {
                // a reset is an end too
            }
        });
    }

    private CompletableFuture<HttpResponse<String>> call(Duration limit) {
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + socket.getLocalPort() + "/"))
                .timeout(LONG).build();
        return HttpCalls.send(client, request, limit, BYTES);
    }

    private static Throwable failure(CompletableFuture<?> call) throws Exception {
        try {
            call.get(15, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            return e.getCause();
        }
        throw new AssertionError("it did not fail");
    }

    @Test
    void shouldReadAnAnswerOfTheLargestSize() throws Exception {
        String body = "é".repeat(BYTES / 2);
        answer("HTTP/1.1 200 OK\r\nContent-Length: " + BYTES + "\r\n\r\n" + body);
        assertEquals(body, call(LONG).get(15, TimeUnit.SECONDS).body());
    }

    @Test
    void shouldGiveUpAnAnswerThatEndsInTheMiddleOfItsBody() throws Exception {
        CompletableFuture<Void> connection = answer("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf");
        Throwable failure = failure(call(Duration.ofMillis(500)));
        assertTrue(failure instanceof HttpTimeoutException, failure::toString);
        assertEquals("no whole answer within 500 ms", failure.getMessage());
        connection.get(15, TimeUnit.SECONDS);
    }

    @Test
    void shouldGiveUpAnAnswerThatIsTooLong() throws Exception {
        CompletableFuture<Void> connection = answer("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + "x".repeat(BYTES + 1));
        Throwable failure = failure(call(LONG));
        assertTrue(failure.toString().contains("its answer is longer than 100 bytes"), failure::toString);
        connection.get(15, TimeUnit.SECONDS);
    }
}
