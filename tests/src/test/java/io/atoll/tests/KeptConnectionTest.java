package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.atoll.core.zone.ZoneLayout.Reason;
import io.atoll.tests.harness.Backend;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Connections that nginx keeps to peers, and that a peer ends: what is found out only by the request that is sent over one. */
@ExtendWith(SceneExtension.class)
class KeptConnectionTest {
    @Test
    void shouldTakeAnEndedConnectionForNoFailureOfItsPeer(Scene scene) throws IOException {
        String servers = "";
        for (int i = 1; i <= 2; i++) {
            Backend.start(scene, scene.address(i), 8000, Backend.httpOnceKept());
            servers += "    server " + scene.address(i) + ":8000 max_fails=1 fail_timeout=60s;\n";
        }
        Nginx front = Nginx.in(scene, "front").workers(1);
        front.atoll(Front.http(front, servers, "")).start();

        List<String> first = tries(front, "/atoll/o/1");
        List<String> again = tries(front, "/atoll/o/1");
        assertEquals(List.of(first.get(0), first.get(0)), again, "the same peer, over another connection");
        assertFalse(new ZoneFile(front.zone()).stands(Front.ATOLL, first.get(0), Reason.PASSIVE), "nothing stands against it");

        List<String> stock = tries(front, "/stock/o/1");
        List<String> stockAgain = tries(front, "/stock/o/1");
        assertEquals(2, stockAgain.size());
        assertNotEquals(stock.get(0), stockAgain.get(1), "stock goes on to another peer");
    }

    @Test
    void shouldTakeAnEndedConnectionForNoTryInARoute(Scene scene) throws IOException {
        Map<String, Backend> backends = new HashMap<>();
        for (int i = 1; i <= 2; i++) {
            backends.put(scene.address(i) + ":8000", Backend.start(scene, scene.address(i), 8000, Backend.httpOnceKept()));
        }
        Nginx front = Nginx.in(scene, "front").workers(1).expectLog("Connection refused").expectLog("prematurely closed");
        front.atoll("""
                upstream origin { atoll $uri; server %s; server %s; keepalive 4; }
                upstream cdn { atoll_route origin; }
                server {
                    listen %s;
                    location / {
                        proxy_pass http://cdn;
                        proxy_http_version 1.1;
                        proxy_set_header Connection "";
                        proxy_next_upstream_tries 2;
                        add_header X-Upstream $upstream_addr always;
                    }
                }
                """.formatted(backends.keySet().toArray()[0], backends.keySet().toArray()[1], front.socket())).start();
        String owner = tries(front, "/o/1").get(0);
        backends.get(owner).close();
        List<String> again = tries(front, "/o/1");
        assertEquals(List.of(owner, owner), again.subList(0, 2), "over the kept connection, then over a new one");
        assertNotEquals(owner, again.get(2), "the second peer that may be tried");
    }

    @Test
    void shouldAskTheOnlyPeerOfATierOfStocksAgainOverAnotherConnection(Scene scene) throws IOException {
        for (int i = 1; i <= 2; i++) {
            Backend.start(scene, scene.address(i), 8000, Backend.httpOnceKept());
        }
        String shield = scene.address(1) + ":8000";
        Nginx front = Nginx.in(scene, "front").workers(1).expectLog("prematurely closed");
        front.atoll("""
                upstream shields { server %s; keepalive 4; }
                upstream origin { atoll $uri; server %s:8000; }
                upstream cdn { atoll_route shields origin; }
                server {
                    listen %s;
                    location / {
                        proxy_pass http://cdn;
                        proxy_http_version 1.1;
                        proxy_set_header Connection "";
                        proxy_set_header Atoll-Step $atoll_step;
                        proxy_next_upstream_tries 1;
                        add_header X-Upstream $upstream_addr always;
                    }
                }
                """.formatted(shield, scene.address(2), front.socket())).start();
        assertEquals(List.of(shield), tries(front, "/o/1"));
        assertEquals(List.of(shield, shield), tries(front, "/o/1"), "over the kept connection, then over a new one");
    }

    private static List<String> tries(Nginx front, String target) throws IOException {
        Http.Response response = Http.get(front.address(), target);
        assertEquals(200, response.status());
        return Load.upstreams(response);
    }
}
