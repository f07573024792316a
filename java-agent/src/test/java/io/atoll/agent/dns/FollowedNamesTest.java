package io.atoll.agent.dns;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import io.atoll.agent.config.AgentConfig.Families;
import io.atoll.agent.config.AgentConfig.ResolveConfig;
import io.atoll.agent.testing.Await;
import io.netty.channel.DefaultEventLoop;
import io.netty.channel.EventLoop;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Many names, with the answers in the hands of the test. */
class FollowedNamesTest {
    private static final int AT_A_TIME = 32;

    private final EventLoop loop = new DefaultEventLoop();
    /** What is asked for and not answered; on the loop. */
    private final Map<String, CompletableFuture<Answer<InetAddress>>> open = new TreeMap<>();
    private final Names names = new Names(new ResolveConfig(true, List.of(), Families.IPV4, Duration.ofMillis(100), Duration.ofMinutes(1),
            Duration.ofSeconds(1), Duration.ofSeconds(1), 500, List.of()), new Held(), loop, () -> TimeUnit.NANOSECONDS.toMillis(System.nanoTime()),
            new SplittableRandom(1), host -> List.of(), () -> { });

    private final class Held implements Names.Lookup {
        @Override
        public CompletableFuture<Answer<InetAddress>> addresses(String host, List<InetAddress> before) {
            CompletableFuture<Answer<InetAddress>> answer = new CompletableFuture<>();
            open.put(host, answer);
            return answer;
        }

        @Override
        public CompletableFuture<Answer<Target>> targets(String service) {
            return CompletableFuture.completedFuture(Answer.none(""));
        }

        @Override
        public void close() {}
    }

    @AfterEach
    void stop() throws Exception {
        onLoop(() -> {
            names.close();
            return null;
        });
        loop.shutdownGracefully(0, 1, TimeUnit.SECONDS);
    }

    private <T> T onLoop(Callable<T> work) throws Exception {
        return loop.submit(work).get(10, TimeUnit.SECONDS);
    }

    private void follow(String... more) throws Exception {
        Map<String, Set<String>> hosts = new LinkedHashMap<>();
        for (int i = 0; i < 100; i++) {
            hosts.put("dead-" + i, Set.of());
        }
        for (String name : more) {
            hosts.put(name, Set.of());
        }
        onLoop(() -> {
            names.follow(hosts, Map.of());
            return null;
        });
    }

    private List<String> asked() throws Exception {
        return onLoop(() -> new ArrayList<>(open.keySet()));
    }

    /** All that are asked for, which it returns. */
    private List<String> fail() throws Exception {
        List<String> asked = asked();
        assertTrue(asked.size() <= AT_A_TIME, "at a time: " + asked);
        for (String name : asked) {
            onLoop(() -> open.remove(name).complete(Answer.failed("no answer")));
        }
        return asked;
    }

    @Test
    void shouldLeaveRoomForOthersWhileManyNamesDoNotResolve() throws Exception {
        follow();
        Set<String> failed = new HashSet<>();
        Await.until("all names to have failed", () -> {
            failed.addAll(call(this::fail));
            return failed.size() == 100;
        }, failed::size);
        Await.until("names that failed to be asked for again", () -> call(this::asked).size() == AT_A_TIME / 2);
        follow("well");
        assertTrue(asked().contains("well"), "asked for at once: " + asked());
        assertEquals(AT_A_TIME / 2 + 1, asked().size());
    }

    private static <T> T call(Callable<T> work) {
        try {
            return work.call();
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }
}
