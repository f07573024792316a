package io.atoll.core.zone;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.zone.ZoneLayout.PurgeSetRecord;
import io.atoll.core.zone.ZoneLayout.PurgesRecord;
import io.atoll.core.zone.ZonePurges.Kind;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** Twin of nginx-module/reader/test/test_purge.c. */
class ZonePurgesTest {
    private static final int SETS = 16;

    private final ZonePurges purges = new ZonePurges(new ZoneMemory(ByteBuffer
            .allocateDirect(PurgesRecord.SIZE + SETS * PurgeSetRecord.SIZE).order(ByteOrder.LITTLE_ENDIAN)), 0, SETS);

    private static long hash(Kind kind, String text) {
        return ZonePurges.hash(kind, text.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void shouldHashAsTheWorkersDo() {
        assertEquals(0x99239fa69090ca8bL, hash(Kind.KEY, "a/b"));
        assertEquals(0x9182bea401a3dc9eL, hash(Kind.PREFIX, "a/b"));
        assertEquals(0x765ba009ae97681aL, hash(Kind.SITE, ""));
    }

    @Test
    void shouldGiveTheGreatestNumberThatConcernsAKey() {
        assertEquals(0, purges.generation("a/x/1", "a"));
        purges.put(Kind.KEY, "a/x/1", 5);
        assertEquals(5, purges.generation("a/x/1", "a"));
        assertEquals(0, purges.generation("a/x/2", "a"));
        purges.put(Kind.PREFIX, "a/x/", 7);
        assertEquals(7, purges.generation("a/x/1", "a"));
        assertEquals(7, purges.generation("a/x/2", "a"));
        assertEquals(0, purges.generation("a/x", "a"));
        purges.put(Kind.SITE, "b", 11);
        assertEquals(7, purges.generation("a/x/1", "a"));
        assertEquals(11, purges.generation("a/x/1", "b"));
        purges.put(Kind.KEY, "a/x/1", 3);
        assertEquals(7, purges.generation("a/x/1", "a"), "a number never goes back");
        purges.put(Kind.ALL, "", 20);
        assertEquals(20, purges.generation("", ""));
        assertEquals(20, purges.last());
    }

    @Test
    void shouldPurgeTooMuchAndNeverTooLittleWhenASetIsFull() {
        for (int i = 1; i <= 1000; i++) {
            purges.put(i % 2 == 1 ? Kind.KEY : Kind.PREFIX, "k" + i, i);
        }
        for (int i = 1; i <= 1000; i++) {
            assertTrue(purges.generation("k" + i, "") >= i, "k" + i);
        }
    }

    @Test
    void shouldTakePrefixesOfUpTo256Bytes() {
        purges.put(Kind.PREFIX, "k".repeat(256), 4);
        assertEquals(4, purges.generation("k".repeat(300), ""));
        assertEquals(0, purges.generation("k".repeat(255), ""));
        assertThrows(IllegalArgumentException.class, () -> purges.put(Kind.PREFIX, "k".repeat(257), 5));
    }

    @Test
    void shouldSayWhatCanBeBelieved() {
        assertTrue(purges.isAwaited());
        purges.setAged();
        assertTrue(purges.isAwaited(), "nobody said yet what stands");
        purges.setLoaded();
        assertTrue(purges.isLoaded());
        purges.setAged();
        assertFalse(purges.isLoaded());
        assertFalse(purges.isAwaited());
        purges.setAwaited(1, 2);
        assertTrue(purges.isAwaited());
    }
}
