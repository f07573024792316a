package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ScriptedOrigin;
import io.atoll.tests.harness.SteadyClients;
import java.io.IOException;
import java.net.ProtocolException;
import java.net.SocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What the scenes count by: no answer that is none may pass for one, nor be missing in the count. */
@ExtendWith(SceneExtension.class)
class LoadTest {
    private static final Duration LIMIT = Duration.ofSeconds(20);
    private static final List<String> NONE = List.of(
            "what is this?\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "\r\n",
            "HTTP/1.1 200 OK\r\nno header\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsome\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ncut");

    private final AtomicInteger answers = new AtomicInteger();

    private SocketAddress origin(Scene scene) throws IOException {
        scene.keep(ScriptedOrigin.start(scene.address(1), 8000, (request, out) -> {
            out.write(NONE.get(answers.getAndIncrement() % NONE.size()).getBytes(StandardCharsets.US_ASCII));
            return false;
        }));
        return Http.address(scene.address(1) + ":8000");
    }

    @Test
    void shouldCountEachAnswerThatIsNoneAsFailed(Scene scene) throws IOException {
        SocketAddress origin = origin(scene);
        for (String none : NONE) {
            IOException problem = assertThrows(IOException.class, () -> Http.get(origin, "/"), none);
            assertEquals(!none.endsWith("cut"), problem instanceof ProtocolException, none + " " + problem);
        }
        answers.set(0);
        Load load = Load.start(scene, origin, "", 500);
        Await.until("answers to all clients", LIMIT, () -> answers.get() >= 2 * Load.CLIENTS);
        Load.Report report = load.stop();
        assertEquals(answers.get(), report.count());
        assertEquals(report.count(), report.failed().size());
    }

    @Test
    void shouldNotKeepToItselfThatAClientBrokeOff() {
        RuntimeException broken = new IllegalStateException("broken");
        AtomicInteger requests = new AtomicInteger();
        SteadyClients clients = SteadyClients.start(2, 1000, number -> () -> {
            if (requests.incrementAndGet() == 5) {
                throw broken;
            }
        });
        Await.until("requests of the other", LIMIT, () -> requests.get() > 10);
        assertSame(broken, assertThrows(AssertionError.class, clients::close).getCause());
        clients.close();
    }
}
