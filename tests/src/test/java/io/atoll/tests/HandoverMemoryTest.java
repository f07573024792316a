package io.atoll.tests;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.zone.ZoneLayout.HeaderRecord;
import io.atoll.core.zone.ZoneLayout.PeerLife;
import io.atoll.core.zone.ZoneLayout.Reason;
import io.atoll.tests.harness.Await;
import io.atoll.tests.harness.Http;
import io.atoll.tests.harness.Nginx;
import io.atoll.tests.harness.Scene;
import io.atoll.tests.harness.SceneExtension;
import io.atoll.tests.harness.ZoneFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What stays in the zone of the ring before a change of servers: whose it is, for how long, and what it never does. */
@ExtendWith(SceneExtension.class)
class HandoverMemoryTest {
    private static final Pattern HANDOVER =
            Pattern.compile("\"handover\":\\{\"remaining_ms\":(\\d+),\"previous\":\\[(.*?)],\"earlier\":\\[(.*?)]}");
    private static final Pattern SERVER = Pattern.compile("\"server\":\"([^\"]+)\"");
    private static final Duration FAR = Duration.ofSeconds(30);

    /** An nginx that serves nothing but the owners of keys, and its status; servers are named by letters. */
    private static Nginx pool(Nginx nginx, String handover, String servers) {
        return pool(nginx, "size=8m", handover, servers);
    }

    private static Nginx pool(Nginx nginx, String zone, String handover, String servers) {
        StringBuilder lines = new StringBuilder();
        for (String server : servers.split(",")) {
            lines.append("    server ").append(address(nginx, server.charAt(0))).append(server.substring(1)).append(";\n");
        }
        return nginx.atoll(zone, """
                upstream pool {
                    atoll $uri;
                    %s
                %s}
                server {
                    listen %s;
                    location / {
                        proxy_pass http://pool;
                        proxy_connect_timeout 1s;
                        error_page 502 504 =200 /owner;
                    }
                    location = /owner { return 200 $atoll_owner; }
                    location = /status { atoll_status; }
                }
                """.formatted(handover, lines, nginx.socket()));
    }

    private static String address(Nginx nginx, char letter) {
        return nginx.scene().address(50 + letter - 'a') + ":1";
    }

    private record Handover(long remainingMs, List<String> previous, List<String> earlier) {}

    /** As the worker sees it; servers by their letters. */
    private static Handover handover(Nginx nginx) {
        String status = get(nginx, "/status");
        Matcher found = HANDOVER.matcher(status);
        assertTrue(found.find(), status);
        return new Handover(Long.parseLong(found.group(1)), letters(nginx, found.group(2)), letters(nginx, found.group(3)));
    }

    private static List<String> letters(Nginx nginx, String servers) {
        List<String> letters = new ArrayList<>();
        Matcher server = SERVER.matcher(servers);
        while (server.find()) {
            String address = server.group(1);
            for (char letter = 'a'; letter <= 'z'; letter++) {
                if (address(nginx, letter).equals(address)) {
                    letters.add(String.valueOf(letter));
                }
            }
        }
        return letters;
    }

    private static String get(Nginx nginx, String path) {
        try {
            return Http.get(nginx.address(), path).body();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void assertPrevious(String expected, Nginx nginx, String what) {
        assertPrevious(expected, "", nginx, what);
    }

    private static void assertPrevious(String expected, String earlier, Nginx nginx, String what) {
        await(what, nginx, handover -> String.join("", handover.previous()).equals(expected)
                && String.join("", handover.earlier()).equals(earlier));
    }

    private static void assertNoPrevious(Nginx nginx, String what) {
        await(what, nginx, new Handover(0, List.of(), List.of())::equals);
    }

    /** A worker of before may answer once more after a reload. */
    private static void await(String what, Nginx nginx, Predicate<Handover> holds) {
        Await.until(what, FAR, () -> holds.test(handover(nginx)));
    }

    private static ZoneFile.Peer slotOf(ZoneFile zone, Nginx nginx, char letter) {
        return zone.peers().stream().filter(peer -> peer.address().equals(address(nginx, letter))).findFirst().orElseThrow();
    }

    @Test
    void shouldKeepTheRingBeforeAChangeOfServers(Scene scene) {
        Nginx nginx = pool(Nginx.in(scene, "nginx").workers(1), "", "a,b,c").start();
        ZoneFile zone = new ZoneFile(nginx.zone());
        long started = zone.word(HeaderRecord.STARTED_MS);
        assertTrue(started > 0 && started <= ZoneFile.nowMs(), "started at " + started);
        assertNoPrevious(nginx, "after a start");
        pool(nginx, "", "c,a,b").reload();
        assertNoPrevious(nginx, "servers in another order are no change");
        ZoneFile.Peer removed = slotOf(zone, nginx, 'c');

        pool(nginx, "", "a,b,d").reload();
        assertPrevious("cab", nginx, "one removed, one added");
        long remaining = handover(nginx).remainingMs();
        assertTrue(remaining > 500_000 && remaining <= 600_000, "10 minutes by default: " + remaining);
        ZoneFile.Peer kept = slotOf(zone, nginx, 'c');
        assertEquals(PeerLife.FORMER, kept.life(), "who left is no member");
        assertEquals(List.of(removed.slot(), removed.incarnation()), List.of(kept.slot(), kept.incarnation()), "its slot");
        Set<String> present = Set.of(address(nginx, 'a'), address(nginx, 'b'), address(nginx, 'd'));
        for (int i = 0; i < 60; i++) {
            String owner = get(nginx, "/o/" + i);
            assertTrue(present.contains(owner), "requests go to present servers: " + owner);
        }

        byte[] before = zone.withoutRows();
        assertEquals(0, pool(nginx, "", "x,y").check().exit());
        assertArrayEquals(before, zone.withoutRows(), "nginx -t leaves the zone alone");
        pool(nginx, "", "b,a,d").reload();
        assertPrevious("cab", nginx, "a reload in between keeps it");
        assertTrue(handover(nginx).remainingMs() <= remaining, "and its end");
        pool(nginx, "", "a weight=2,b,d").reload();
        assertPrevious("bad", "cab", nginx, "another change within the window: the oldest ring stays");
        assertEquals(started, zone.word(HeaderRecord.STARTED_MS), "reloads are no start");
        assertEquals(0, slotOf(zone, nginx, 'c').reasons()[Reason.ADMIN]);

        nginx.stop();
        pool(nginx, "", "b,d").start();
        assertPrevious("abd", "cab", nginx, "over a restart with yet another change");
        assertTrue(zone.word(HeaderRecord.STARTED_MS) > started, "a start is one");
        pool(nginx, "", "a,b,c").reload();
        assertPrevious("bd", "abd", nginx, "back to the oldest: the rings in between");
    }

    @Test
    void shouldForgetTheRingBeforeOnceItsTimeIsOver(Scene scene) {
        Nginx nginx = pool(Nginx.in(scene, "nginx").workers(1), "atoll_handover 2s;", "a,b").start();
        pool(nginx, "atoll_handover 2s;", "a,b,c").reload();
        assertPrevious("ab", nginx, "after the change");
        Await.until("the end of the handover", FAR, () -> handover(nginx).remainingMs() == 0);
        assertPrevious("ab", nginx, "it stays in the table that was published");
        pool(nginx, "atoll_handover 2s;", "a,b,c").reload();
        assertNoPrevious(nginx, "the next table is without");
        pool(nginx, "atoll_handover 0;", "a,c").reload();
        assertNoPrevious(nginx, "off");
        pool(nginx, "atoll_handover 1m timeout=50ms;", "b").reload();
        assertPrevious("ac", nginx, "on again");
        assertTrue(handover(nginx).remainingMs() <= 60_000, "as long as it says");
    }

    @Test
    void shouldGoOnWithoutTheRingBeforeWhenTheZoneHasNoRoomForIt(Scene scene) {
        Nginx nginx = pool(Nginx.in(scene, "nginx").workers(1), "size=1m", "", "a weight=25,b weight=25").start();
        pool(nginx, "size=1m", "", "a weight=25,c weight=25").reload();
        assertNoPrevious(nginx, "no room");
        assertEquals(1, nginx.count("atoll_handover: not from the owners before this change: the zone file"), nginx.errorLog());
        assertEquals(0, nginx.count("[emerg]"), nginx.errorLog());
        pool(nginx, "size=4m", "", "a weight=25,d weight=25").reload();
        assertPrevious("ac", nginx, "with room, in a new file");
    }
}
