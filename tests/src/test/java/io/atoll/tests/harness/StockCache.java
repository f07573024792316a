package io.atoll.tests.harness;

/** An nginx without Atoll that caches what it serves, to stand beside a route. */
public final class StockCache {
    private StockCache() {}

    /**
     * Starts one.
     *
     * @param address where it listens
     * @param next what stands in the upstream block it asks: servers, and how one of them is chosen
     * @param http more directives of its http block
     * @param location more directives of its location
     */
    public static Nginx start(Scene scene, String name, String address, String next, String http, String location) {
        return Nginx.in(scene, name).http("""
                proxy_cache_path cache keys_zone=c:16m inactive=1h;
                upstream next { %s keepalive 16; }
                %s
                server {
                    listen %s;
                    location / {
                        proxy_pass http://next;
                        proxy_http_version 1.1;
                        proxy_set_header Connection "";
                        proxy_cache c;
                        proxy_cache_key $uri;
                        proxy_cache_valid 200 1h;
                        %s
                    }
                }
                """.formatted(next, http, address, location)).start();
    }
}
