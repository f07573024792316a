package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.StockRing;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Stock `hash $arg_k consistent` and `atoll $arg_k` over the same servers, in one configuration. Servers refuse, so that each
 * request walks over five of them, and $upstream_addr shows first and later choices. Two nginx run it, so that both are asked at once.
 */
@ExtendWith(SceneExtension.class)
class StockParityTest {
    private static final int KEYS = 20_000;
    private static final int BATCH = 500;

    /** A pool, as `server` lines and as the model has it. */
    private record Pool(String lines, List<StockRing.Server> servers, String hosts) {
    }

    private enum Kind {
        ONE_PEER, TWO_PEERS, THREE_PEERS, TEN_PEERS, HUNDRED_PEERS, WEIGHTS, NAMES_WITHOUT_PORT, UNIX_SOCKETS,
        SEVERAL_ADDRESSES_UNDER_A_NAME, SOME_DOWN, SERVERS_LISTED_TWICE, DISTINCT_PORTS_OF_ONE_HOST
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void shouldMakeTheSameFirstAndLaterChoicesAsStock(Kind kind, Scene scene) throws IOException {
        Pool pool = pool(kind, scene);
        List<String> keys = keys(KEYS);
        int compared = 0;
        int beyond = 0;
        int different = 0;
        String example = "";
        StockRing ring = new StockRing(pool.servers);
        Both both = both(scene, pool, "max_fails=0", keys);
        for (int i = 0; i < keys.size(); i++) {
            List<String> theirs = both.stock.get(i);
            List<String> ours = both.atoll.get(i);
            int walked = ring.walked(keys.get(i), theirs);
            compared += walked;
            beyond += theirs.size() - walked;
            if (ours.size() != theirs.size() || !ours.subList(0, walked).equals(theirs.subList(0, walked))) {
                different++;
                example = keys.get(i) + ": stock " + theirs + ", atoll " + ours;
            }
        }
        Scene.print("%s: %d keys, %d choices compared, %d beyond stock's walk, different %d of %d", kind, keys.size(),
                compared, beyond, different, keys.size());
        assertEquals(0, different, example);
        assertTrue(compared >= KEYS, "every first choice is from the walk");
    }

    @Test
    void shouldWalkOnAlongTheRingWhereStockGoesRoundRobin(Scene scene) throws IOException {
        Pool pool = new Pool("    server " + scene.address(1) + ":1 weight=60 %1$s;\n    server " + scene.address(2)
                + ":1 %1$s;\n    server " + scene.address(3) + ":1 %1$s;\n", List.of(), "");
        Nginx front = front(scene, "front", pool, "max_fails=0").start();
        List<String> keys = keys(2000);
        StockRing ring = new StockRing(List.of(
                new StockRing.Server(scene.address(1) + ":1", scene.address(1) + ":1", 60, false),
                new StockRing.Server(scene.address(2) + ":1", scene.address(2) + ":1", 1, false),
                new StockRing.Server(scene.address(3) + ":1", scene.address(3) + ":1", 1, false)));
        try (Http http = Http.open(front.address(), Duration.ofSeconds(30))) {
            List<List<String>> first = choices(http, "/atoll", keys);
            List<Integer> order = new ArrayList<>(IntStream.range(0, keys.size()).boxed().toList());
            Collections.shuffle(order, new Random(1));
            List<List<String>> again = choices(http, "/atoll", order.stream().map(keys::get).toList());
            long other = IntStream.range(0, order.size()).filter(i -> !again.get(i).equals(first.get(order.get(i))))
                    .count();
            long gaveUp = 0;
            List<List<String>> stock = choices(http, "/stock", keys);
            for (int i = 0; i < keys.size(); i++) {
                gaveUp += ring.walked(keys.get(i), stock.get(i)) < stock.get(i).size() ? 1 : 0;
            }
            Scene.print("stock left its ring for %d of %d keys", gaveUp, keys.size());
            assertTrue(gaveUp > keys.size() / 4, "a pool in which stock gives up often");
            assertEquals(0, other, "keys with another order of tries when asked in another order");
        }
    }

    @Test
    void shouldPassOverFailedPeersAsStock(Scene scene) throws IOException {
        StringBuilder listens = new StringBuilder();
        StringBuilder lines = new StringBuilder();
        for (int i = 1; i <= 10; i++) {
            lines.append("    server ").append(scene.address(i)).append(":8000 %1$s;\n");
            if (i != 3 && i != 8) {
                listens.append("listen ").append(scene.address(i)).append(":8000;\n");
            }
        }
        Nginx.in(scene, "peers").workers(1).http("server {\n" + listens + "location / { return 200 well; }\n}\n").start();
        List<String> keys = keys(KEYS);
        Both both = both(scene, new Pool(lines.toString(), List.of(), ""), "fail_timeout=1000s", keys);
        for (int i = 0; i < keys.size(); i++) {
            assertEquals(both.stock.get(i), both.atoll.get(i), keys.get(i));
        }
        int retried = both.stock.stream().mapToInt(tries -> tries.size() - 1).sum();
        Scene.print("%d keys over 10 peers, 2 of them dead, %d retried", keys.size(), retried);
        assertEquals(2, retried, "each dead peer costs one retry until fail_timeout is over");
    }

    @Test
    void shouldServeEmptyKeysRoundRobinAsStock(Scene scene) throws IOException {
        Pool pool = pool(Kind.WEIGHTS, scene);
        Nginx front = front(scene, "front", pool, "max_fails=0").start();
        List<String> none = Collections.nCopies(2000, "");
        try (Http http = Http.open(front.address(), Duration.ofSeconds(30))) {
            assertEquals(choices(http, "/stock", none), choices(http, "/atoll", none));
        }
    }

    /** What stock and Atoll choose for the same keys, each in an nginx of its own that has both. */
    private record Both(List<List<String>> stock, List<List<String>> atoll) {
    }

    private static Both both(Scene scene, Pool pool, String parameters, List<String> keys) throws IOException {
        List<Nginx> fronts = List.of(front(scene, "front-stock", pool, parameters), front(scene, "front-atoll", pool, parameters));
        List<List<List<String>>> choices = IntStream.of(0, 1).parallel()
                .mapToObj(i -> choices(fronts.get(i).start(), i == 0 ? "/stock" : "/atoll", keys)).toList();
        return new Both(choices.get(0), choices.get(1));
    }

    private static List<List<String>> choices(Nginx front, String location, List<String> keys) {
        List<List<String>> all = new ArrayList<>(keys.size());
        try (Http http = Http.open(front.address(), Duration.ofSeconds(30))) {
            for (int from = 0; from < keys.size(); from += BATCH) {
                all.addAll(choices(http, location, keys.subList(from, Math.min(keys.size(), from + BATCH))));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return all;
    }

    /** The peers tried for each key; the name of the upstream, which nginx puts where none is left, is the same for both. */
    private static List<List<String>> choices(Http http, String location, List<String> keys) throws IOException {
        List<Http.Response> responses = http.pipeline(keys.stream().map(key -> location + "?k=" + key).toList());
        List<List<String>> all = new ArrayList<>(responses.size());
        for (Http.Response response : responses) {
            all.add(Load.upstreams(response).stream().map(peer -> peer.replace("pool_stock", "pool_atoll")).toList());
        }
        return all;
    }

    private static Nginx front(Scene scene, String name, Pool pool, String parameters) throws IOException {
        Nginx front = Nginx.in(scene, name).workers(1);
        String lines = pool.lines.formatted(parameters);
        front.atoll("""
                error_log logs/error.log crit;
                proxy_next_upstream_tries 5;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                upstream pool_stock {
                    hash $arg_k consistent;
                %1$s    keepalive 16;
                }
                upstream pool_atoll {
                    atoll $arg_k;
                %1$s    keepalive 16;
                }
                server {
                    listen %2$s;
                    add_header X-Upstream $upstream_addr always;
                    location /stock { proxy_pass http://pool_stock; }
                    location /atoll { proxy_pass http://pool_atoll; }
                }
                """.formatted(lines, front.socket()));
        if (!pool.hosts.isEmpty()) {
            Path hosts = Files.writeString(scene.file("hosts"), pool.hosts);
            front.through(List.of("unshare", "--mount", "--propagation", "private", "sh", "-c",
                    "mount --bind " + hosts + " /etc/hosts && exec \"$@\"", "sh"));
        }
        return front;
    }

    private static List<String> keys(int count) {
        long seed = System.nanoTime();
        Scene.print("seed %d", seed);
        Random random = new Random(seed);
        return IntStream.range(0, count).mapToObj(i -> "/o/" + Long.toString(random.nextLong(), 36)).toList();
    }

    private static Pool pool(Kind kind, Scene scene) throws IOException {
        return switch (kind) {
            case ONE_PEER -> plain(scene, 1);
            case TWO_PEERS -> plain(scene, 2);
            case THREE_PEERS -> plain(scene, 3);
            case TEN_PEERS -> plain(scene, 10);
            case HUNDRED_PEERS -> plain(scene, 100);
            case WEIGHTS -> weights(scene);
            case NAMES_WITHOUT_PORT -> withoutPort(scene);
            case UNIX_SOCKETS -> sockets(scene);
            case SEVERAL_ADDRESSES_UNDER_A_NAME -> names(scene);
            case SOME_DOWN -> down(scene);
            case SERVERS_LISTED_TWICE -> twice(scene);
            case DISTINCT_PORTS_OF_ONE_HOST -> ports(scene);
        };
    }

    private static Pool plain(Scene scene, int count) {
        Builder builder = new Builder();
        for (int i = 1; i <= count; i++) {
            builder.add(scene.address(i) + ":1", "", 1, false);
        }
        return builder.pool();
    }

    private static Pool weights(Scene scene) {
        Builder builder = new Builder();
        int[] weights = {1, 2, 5, 10, 1, 3};
        for (int i = 0; i < weights.length; i++) {
            builder.add(scene.address(1 + i) + ":1", "weight=" + weights[i], weights[i], false);
        }
        return builder.pool();
    }

    private static Pool withoutPort(Scene scene) {
        Builder builder = new Builder();
        for (int i = 1; i <= 7; i++) {
            builder.lines.append("    server ").append(scene.address(i)).append(" %1$s;\n");
            builder.servers.add(new StockRing.Server(scene.address(i), scene.address(i) + ":80", 1, false));
        }
        return builder.pool();
    }

    /** Sockets that were bound and closed refuse every connection. */
    private static Pool sockets(Scene scene) throws IOException {
        Builder builder = new Builder();
        for (int i = 1; i <= 6; i++) {
            Path path = scene.file("peer" + i + ".sock");
            try (ServerSocketChannel channel = ServerSocketChannel.open(java.net.StandardProtocolFamily.UNIX)) {
                channel.bind(UnixDomainSocketAddress.of(path));
            }
            Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-rw-rw-"));
            builder.add("unix:" + path, "", 1, false);
        }
        return builder.pool();
    }

    private static Pool names(Scene scene) {
        Builder builder = new Builder();
        StringBuilder hosts = new StringBuilder("127.0.0.1 localhost\n");
        int[] addresses = {3, 1, 2, 4};
        int[] weights = {1, 2, 3, 1};
        int next = 1;
        for (int i = 0; i < addresses.length; i++) {
            String name = "pool-" + i + ".test";
            builder.lines.append("    server ").append(name).append(":1 weight=").append(weights[i]).append(" %1$s;\n");
            for (int k = 0; k < addresses[i]; k++) {
                String address = scene.address(next++);
                hosts.append(address).append(' ').append(name).append('\n');
                builder.servers.add(new StockRing.Server(name + ":1", address + ":1", weights[i], false));
            }
        }
        return new Pool(builder.lines.toString(), builder.servers, hosts.toString());
    }

    private static Pool down(Scene scene) {
        Builder builder = new Builder();
        for (int i = 1; i <= 10; i++) {
            boolean down = i % 4 == 2;
            builder.add(scene.address(i) + ":1", down ? "down" : "", 1, down);
        }
        return builder.pool();
    }

    private static Pool twice(Scene scene) {
        Builder builder = new Builder();
        for (int i : new int[] {1, 2, 1, 3, 2, 1, 4}) {
            builder.add(scene.address(i) + ":1", "weight=" + (1 + i % 2), 1 + i % 2, false);
        }
        return builder.pool();
    }

    private static Pool ports(Scene scene) {
        Builder builder = new Builder();
        for (int i = 1; i <= 8; i++) {
            builder.add(scene.address(1) + ":" + i, "", 1, false);
        }
        return builder.pool();
    }

    private static final class Builder {
        private final StringBuilder lines = new StringBuilder();
        private final List<StockRing.Server> servers = new ArrayList<>();

        void add(String name, String parameters, int weight, boolean down) {
            lines.append("    server ").append(name).append(' ').append(parameters).append(" %1$s;\n");
            servers.add(new StockRing.Server(name, name, weight, down));
        }

        Pool pool() {
            return new Pool(lines.toString(), servers, "");
        }
    }
}
