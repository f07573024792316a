package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.atoll.tests.harness.Agent;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Backend;
import io.atoll.tests.harness.Front;
import io.atoll.tests.harness.Load;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** A key that three in ten requests ask for, over a Zipf of 100,000 others: its load is spread, and gathered again. */
@ExtendWith(SceneExtension.class)
class HotKeysTest {
    private static final int PEERS = 10;
    private static final int RATE = 500;
    private static final Duration FAR = Duration.ofSeconds(20);
    /** From the agent's start until no peer gets much more than another. */
    private static final Duration NOTICE = Duration.ofSeconds(3);
    private static final String HOT = "/o/hot";
    private static final double[] ZIPF = zipf(100_000, 1.1);

    /** Keys above 1.25 % of the requests are hot: the one, and the head of the Zipf. */
    private static final String SETTINGS = """
            atoll.hot-keys.share = 0.125
            atoll.hot-keys.rate = 2
            atoll.hot-keys.cool = 500 ms
            """;

    /** Ten peers that take 30 ms for an answer, behind stock and behind `atoll` with these parameters. */
    private static Nginx front(Scene scene, String parameters) {
        List<String> names = IntStream.range(0, PEERS).mapToObj(i -> scene.address(11 + i)).toList();
        names.forEach(name -> Backend.start(scene, name, 8000, Backend.http(() -> LockSupport.parkNanos(30_000_000))));
        String servers = names.stream().map(name -> "    server " + name + ":8000;\n").collect(Collectors.joining());
        Nginx front = Nginx.in(scene, "front");
        return front.atoll(Front.http(front, servers, "").replace("atoll $key;", "atoll $key " + parameters + ";")
                .replace("add_header X-Owner", "add_header X-Hot $atoll_hot always; add_header X-Owner")).start();
    }

    private static Load load(Scene scene, Nginx front, String location) {
        return Load.start(scene, front.address(), location, RATE, HotKeysTest::object, object -> "ok");
    }

    private static String object(Random random) {
        if (random.nextInt(10) < 3) {
            return HOT;
        }
        int at = Arrays.binarySearch(ZIPF, random.nextDouble());
        return "/o/" + (at < 0 ? -at - 1 : at);
    }

    private static double[] zipf(int keys, double exponent) {
        double[] sums = IntStream.rangeClosed(1, keys).mapToDouble(i -> Math.pow(i, -exponent)).toArray();
        Arrays.parallelPrefix(sums, Double::sum);
        return Arrays.stream(sums).map(sum -> sum / sums[keys - 1]).toArray();
    }

    private static String hash(String key) {
        CRC32 crc = new CRC32();
        crc.update(key.getBytes(StandardCharsets.UTF_8));
        return String.format("%08x", crc.getValue());
    }

    /** Peers that may serve the hot key, as the agent has it; 0 when it is not hot. */
    private static int replicas(Agent agent) {
        for (JsonNode key : agent.get("/v1/hot").path("hot")) {
            if (key.path("hash").asText().equals(hash(HOT))) {
                return key.path("replicas").asInt();
            }
        }
        return 0;
    }

    /** What the busiest peer got, over the mean. */
    private static double busiest(Load.Report report) {
        long most = report.shots().stream().collect(Collectors.groupingBy(Load.Shot::last, Collectors.counting())).values()
                .stream().mapToLong(Long::longValue).max().orElse(0);
        return (double) most * PEERS / report.count();
    }

    private static Load.Report hot(Load.Report report) {
        return report.where(shot -> shot.object().equals(HOT));
    }

    private static Set<String> servers(Load.Report report) {
        return report.shots().stream().map(Load.Shot::last).collect(Collectors.toSet());
    }

    @Test
    void shouldSpreadAHotKeyAndGatherItAgainWhenTheAgentDies(Scene scene) {
        Nginx front = front(scene, "replicas=16");
        Load stock = load(scene, front, "/stock");
        Await.window(Duration.ofSeconds(2));
        double stockBusiest = busiest(stock.stop());

        Load load = load(scene, front, "/atoll");
        Await.until("requests for the hot key", FAR, () -> hot(load.report()).count() > 100);
        assertEquals(1, servers(hot(load.report())).size(), "one owner without an agent");

        Agent agent = Agent.start(scene, front, SETTINGS);
        long started = System.nanoTime();
        Await.until("the hot key on all peers", FAR, () -> replicas(agent) == PEERS);
        double heating = (System.nanoTime() - started) / 1e9;
        long from = started + NOTICE.toNanos();
        Await.moment(from + Duration.ofSeconds(8).toNanos());
        Load.Report spread = load.report().since(from);
        Scene.print("30 %% of the requests for one key, 10 peers: busiest / mean %.2f (stock %.2f); all peers after %.1f s; %s",
                busiest(spread), stockBusiest, heating, spread.line());
        assertEquals(PEERS, servers(hot(spread)).size());
        assertTrue(stockBusiest > 2.5, "stock " + stockBusiest);
        assertTrue(busiest(spread) <= 1.25, "busiest / mean is " + busiest(spread));

        agent.kill();
        long killed = System.nanoTime();
        Await.until("one owner again", FAR, () -> {
            Load.Report last = hot(load.report().since(System.nanoTime() - 500_000_000L));
            return last.count() > 20 && servers(last).size() == 1;
        });
        double alone = (System.nanoTime() - killed) / 1e9;
        Load.Report all = load.stop();
        Scene.print("the agent killed: one owner again after %.1f s", alone);
        assertTrue(alone > 2 && alone <= Agent.LEASE.toMillis() / 1000.0 + 1.5, "after " + alone + " s, with a lease of 3 s");
        assertEquals(List.of(), all.failed(), all.complaint());
    }

    @Test
    void shouldSpreadAHotKeyWithinABoundToo(Scene scene) {
        Nginx front = front(scene, "replicas=16 bound=1.25");
        Agent agent = Agent.start(scene, front, SETTINGS);
        Load load = load(scene, front, "/atoll");
        Await.until("the hot key on all peers", FAR, () -> replicas(agent) == PEERS);
        long from = System.nanoTime();
        Await.window(Duration.ofSeconds(4));
        Load.Report spread = load.stop().since(from);
        Scene.print("the same with bound=1.25: busiest / mean %.2f; %s", busiest(spread), spread.line());
        assertEquals(PEERS, servers(hot(spread)).size());
        assertTrue(busiest(spread) <= 1.25, "busiest / mean is " + busiest(spread));
        assertEquals(List.of(), spread.failed(), spread.complaint());
    }
}
