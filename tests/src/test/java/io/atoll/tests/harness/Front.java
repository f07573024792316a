package io.atoll.tests.harness;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The nginx under test: one pool twice, behind stock `hash KEY consistent` at /stock/ and behind `atoll KEY` at /atoll/, with the
 * same key, timeouts and retries. Header X-Upstream names the peers tried. /status is atoll_status, /agent/ the agent's API.
 */
public final class Front {
    /** Probes of these scenes: a fall of three takes at most FALL x INTERVAL + TIMEOUT. */
    public static final int INTERVAL_MS = 400;
    /** See {@link #INTERVAL_MS}. */
    public static final int TIMEOUT_MS = 300;
    /** See {@link #INTERVAL_MS}. */
    public static final int FALL = 3;
    /** See {@link #INTERVAL_MS}. */
    public static final int RISE = 2;
    /** atoll_slow_start of the scenes that have one. */
    public static final int SLOW_START_MS = 4000;
    /** Within this time a failing peer is down: FALL intervals of up to 110 %, and a timeout. */
    public static final int NOTICE_MS = FALL * INTERVAL_MS * 11 / 10 + TIMEOUT_MS;

    /** Upstream with `atoll`. */
    public static final String ATOLL = "pool_atoll";

    private Front() {
    }

    /** `atoll_probe` over HTTP with the settings above. */
    public static String probe() {
        return "    atoll_probe http uri=/health interval=%dms timeout=%dms rise=%d fall=%d;\n"
                .formatted(INTERVAL_MS, TIMEOUT_MS, RISE, FALL);
    }

    /** `atoll_slow_start` with the setting above. */
    public static String slowStart() {
        return "    atoll_slow_start " + SLOW_START_MS + "ms;\n";
    }

    /** An nginx over these peers, probed, not started yet. */
    public static Nginx over(Scene scene, Peers peers) {
        return over(scene, peers.servers("max_fails=1 fail_timeout=2s"), probe() + slowStart());
    }

    /** An nginx over `server` lines, with lines for the upstream with `atoll` alone. */
    public static Nginx over(Scene scene, String servers, String lines) {
        Nginx front = Nginx.in(scene, "front");
        return front.atoll(http(front, servers, lines));
    }

    /** Its http block; for a reload with other servers, give it to {@link Nginx#atoll(String)} again. */
    public static String http(Nginx front, String servers, String lines) {
        return http(front, "    zone pool_stock 1m;\n" + servers, servers, lines);
    }

    /** Its http block, with other servers for stock. */
    public static String http(Nginx front, String stockServers, String servers, String lines) {
        return """
                access_log logs/access.log scene;
                map $uri $key {
                    ~^/[a-z]+(?<object>/.*)$ $object;
                }
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                proxy_connect_timeout 1s;
                proxy_read_timeout 2s;
                proxy_send_timeout 2s;
                proxy_next_upstream_tries 3;
                upstream pool_stock {
                %1$s    hash $key consistent;
                    keepalive 16;
                }
                upstream pool_atoll {
                    atoll $key;
                %2$s%3$s    keepalive 16;
                }
                server {
                    listen %4$s backlog=1024;
                    keepalive_timeout 60s;
                    add_header X-Upstream $upstream_addr always;
                    add_header X-Owner $atoll_owner always;
                    location /stock/ { proxy_pass http://pool_stock/; }
                    location /atoll/ { proxy_pass http://pool_atoll/; }
                    location = /status { access_log off; atoll_status; }
                    location = /pid { access_log off; return 200 $pid; }
                    location /agent/ { access_log off; proxy_read_timeout 10s; proxy_pass http://%5$s/; }
                }
                """.formatted(stockServers, servers, lines, front.socket(), Agent.listen(front.scene()));
    }

    /** The owner of each object, by its name, as $atoll_owner has it now. Asks for every object once. */
    public static Map<String, String> owners(Nginx front) {
        Map<String, String> owners = new HashMap<>();
        List<String> objects = IntStream.range(0, Peers.OBJECTS).mapToObj(i -> "/o/" + i).toList();
        try (Http http = Http.open(front.address(), Duration.ofSeconds(30))) {
            List<Http.Response> responses = http.pipeline(objects.stream().map(object -> "/atoll" + object).toList());
            for (int i = 0; i < responses.size(); i++) {
                owners.put(objects.get(i), responses.get(i).header("X-Owner"));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return owners;
    }
}
