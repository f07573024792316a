package io.atoll.agent.probe;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;

import org.junit.jupiter.api.Test;

class StreamSearchTest {
    @Test
    void shouldFindWhatStringContainsFinds() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        for (int i = 0; i < 20_000; i++) {
            String wanted = text(random, 1 + random.nextInt(6));
            String stream = text(random, random.nextInt(30));
            StreamSearch search = new StreamSearch(wanted);
            for (byte b : stream.getBytes()) {
                search.process(b);
            }
            assertEquals(stream.contains(wanted), search.isFound(), "seed " + seed + ": " + wanted + " in " + stream);
        }
    }

    @Test
    void shouldFindNothingWantedAtOnce() {
        assertTrue(new StreamSearch("").isFound());
    }

    private static String text(Random random, int length) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < length; i++) {
            text.append((char) ('a' + random.nextInt(2)));
        }
        return text.toString();
    }
}
