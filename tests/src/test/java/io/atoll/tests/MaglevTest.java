package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Peers;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** `maglev`: who gets which key, and what moves. */
@ExtendWith(SceneExtension.class)
class MaglevTest {
    private static final Duration FAR = Duration.ofSeconds(20);
    private static final int PEERS = 5;
    private static final int KEYS = 3000;

    private static String http(Nginx front, List<String> servers) {
        StringBuilder lines = new StringBuilder();
        servers.forEach(server -> lines.append("server ").append(server).append(";\n"));
        return """
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                upstream pool {
                    atoll $arg_k maglev;
                    %s keepalive 16;
                }
                server {
                    listen %s;
                    add_header X-Owner $atoll_owner always;
                    location / { proxy_pass http://pool; }
                    location /status { atoll_status; }
                }
                """.formatted(lines, front.socket());
    }

    /** Who answered each key. */
    private static List<String> answering(Nginx front) throws IOException {
        List<String> targets = new ArrayList<>();
        for (int k = 0; k < KEYS; k++) {
            targets.add("/o/1?k=key" + k);
        }
        List<String> peers = new ArrayList<>();
        try (Http http = Http.open(front.address(), FAR)) {
            for (Http.Response response : http.pipeline(targets)) {
                assertEquals(200, response.status());
                assertEquals(response.header("X-Owner"), response.header("X-Peer"));
                peers.add(response.header("X-Peer"));
            }
        }
        return peers;
    }

    private static int share(List<String> peers, String peer) {
        return Collections.frequency(peers, peer);
    }

    @Test
    void shouldKeepEachKeyWithItsServerAndMoveThoseOfOneThatIsGone(Scene scene) throws IOException {
        Peers peers = Peers.start(scene, PEERS);
        List<String> servers = new ArrayList<>();
        for (int i = 0; i < PEERS; i++) {
            servers.add(peers.name(i) + " max_fails=1 fail_timeout=60s");
        }
        Nginx front = Nginx.in(scene, "front");
        front.atoll(http(front, servers)).start();
        List<String> before = answering(front);
        for (int i = 0; i < PEERS; i++) {
            assertEquals(KEYS / PEERS, share(before, peers.name(i)), 0.2 * KEYS / PEERS, "keys of a server");
        }
        JsonNode pool = new ObjectMapper().readTree(Http.get(front.address(), "/status").body()).path("upstreams").path(0);
        assertEquals("maglev", pool.path("method").asText());
        assertTrue(pool.path("table").path("points").asInt() > 40_000, "points: " + pool.path("table").path("points"));

        Collections.reverse(servers);
        front.atoll(http(front, servers)).reload();
        assertEquals(before, answering(front), "servers in another order, and asked again");

        String gone = peers.name(2);
        peers.nginx(2).kill();
        Http.get(front.address(), "/o/1?k=key" + before.indexOf(gone));
        List<String> without = answering(front);
        for (int k = 0; k < KEYS; k++) {
            if (before.get(k).equals(gone)) {
                assertNotEquals(gone, without.get(k));
            } else {
                assertEquals(before.get(k), without.get(k), "a key of a server that is there");
            }
        }
        int most = before.stream().distinct().mapToInt(peer -> share(without, peer)).max().orElseThrow();
        assertTrue(most <= 1.25 * KEYS / (PEERS - 1), "its keys are spread over the others, the busiest has " + most);

        servers.removeIf(server -> server.startsWith(gone + " "));
        front.atoll(http(front, servers)).reload();
        List<String> removed = answering(front);
        int moved = 0;
        for (int k = 0; k < KEYS; k++) {
            moved += !before.get(k).equals(gone) && !before.get(k).equals(removed.get(k)) ? 1 : 0;
        }
        Scene.print("one of %d servers removed: %d of %d keys were its own, %d others moved", PEERS, share(before, gone), KEYS, moved);
        assertTrue(moved <= KEYS / 50, moved + " keys of servers that stay moved");
    }
}
