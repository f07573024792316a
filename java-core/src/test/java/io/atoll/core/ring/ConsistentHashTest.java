package io.atoll.core.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class ConsistentHashTest {
    /** As README.md and docs/library.md show it. */
    @Test
    void shouldAnswerAsTheReadmeShows() {
        Set<String> down = Set.of("10.0.0.1:80");
        ConsistentHash ring = ConsistentHash.of("10.0.0.1:80", "10.0.0.2:80 weight=2", "10.0.0.3:80");
        String owner = ring.owner("/movie.mp4");
        List<String> order = ring.owners("/movie.mp4", 3);
        Optional<String> alive = ring.owner("/movie.mp4", server -> !down.contains(server));
        double share = ring.share("10.0.0.2:80");

        assertEquals(owner, order.get(0));
        assertEquals(Set.copyOf(ring.servers()), Set.copyOf(order));
        assertEquals(order.stream().filter(server -> !down.contains(server)).findFirst(), alive);
        assertEquals(0.5, share, 0.1);
    }

    @Test
    void shouldOwnKeysByTheExactName() {
        ConsistentHash named = ConsistentHash.of("cache1", "cache2");
        ConsistentHash withPort = ConsistentHash.of("cache1:80", "cache2:80");
        int other = 0;
        for (int k = 0; k < 1000; k++) {
            other += named.owner("k" + k).equals(withPort.owner("k" + k).replace(":80", "")) ? 0 : 1;
        }
        assertNotEquals(0, other);
    }

    @Test
    void shouldGiveNoOwnerWhenNoneIsEligibleAndTestEachOnce() {
        ConsistentHash ring = ConsistentHash.of("a", "b", "c");
        List<String> tested = new ArrayList<>();
        assertEquals(Optional.empty(), ring.owner("key", server -> !tested.add(server)));
        assertEquals(ring.owners("key", 3), tested);
    }

    @Test
    void shouldGiveEachServerOnceHoweverManyAreAskedFor() {
        ConsistentHash ring = ConsistentHash.of("a", "b", "c");
        assertEquals(3, ring.owners("key", 100).size());
        assertEquals(List.of(), ring.owners("key", 0));
        assertEquals(List.of("cache"), ConsistentHash.of("cache", "unix:cache").owners("key", 2));
    }

    @Test
    void shouldTakeTheSameKeyAsTextAndAsBytes() {
        ConsistentHash ring = ConsistentHash.of("a", "b", "c");
        assertEquals(ring.owner("/f\u00fcr"), ring.owner(new byte[] {'/', 'f', (byte) 0xc3, (byte) 0xbc, 'r'}));
    }

    @Test
    void shouldRefuseWhatIsNoServer() {
        for (String bad : List.of("a weight=0", "a weight=-1", "a weight=x", "a down", "a weight=1 backup", "", " ")) {
            IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> ConsistentHash.of("b", bad), bad);
            assertTrue(e.getMessage().contains("weight"), e.getMessage());
        }
        assertThrows(IllegalArgumentException.class, ConsistentHash::of);
        assertThrows(IllegalArgumentException.class, () -> ConsistentHash.of("a").share("b"));
    }
}
