package io.atoll.agent.dns;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.SplittableRandom;

import io.atoll.agent.config.AgentConfig.Families;
import io.atoll.agent.config.AgentConfig.ResolveConfig;
import org.junit.jupiter.api.Test;

class NameScheduleTest {
    private static NameSchedule schedule(Duration floor, Duration ceiling, Duration interval) {
        return new NameSchedule(new ResolveConfig(true, List.of(), Families.AUTO, floor, ceiling, interval, Duration.ofSeconds(2), 500, List.of()),
                new SplittableRandom(1));
    }

    private static void assertAbout(long expected, long ms) {
        assertTrue(ms >= expected && ms <= expected + expected / 10, ms + " ms; expected " + expected + " and up to a tenth more");
    }

    @Test
    void shouldAskAgainWhenTheTimeToLiveEndsWithinFloorAndCeiling() {
        NameSchedule schedule = schedule(Duration.ofSeconds(2), Duration.ofMinutes(1), Duration.ofSeconds(30));
        for (int i = 0; i < 100; i++) {
            assertAbout(10_000, schedule.afterAnswer(10));
            assertAbout(2_000, schedule.afterAnswer(0));
            assertAbout(60_000, schedule.afterAnswer(Integer.MAX_VALUE));
            assertAbout(30_000, schedule.afterAnswer(Answer.NO_TTL));
        }
    }

    @Test
    void shouldWaitLongerAfterEachFailure() {
        NameSchedule schedule = schedule(Duration.ofSeconds(1), Duration.ofMinutes(1), Duration.ofSeconds(30));
        long[] expected = {1000, 2000, 4000, 8000, 16_000, 30_000, 30_000};
        for (int i = 0; i < expected.length; i++) {
            assertAbout(expected[i], schedule.afterFailure(i + 1));
        }
        assertAbout(30_000, schedule.afterFailure(1_000_000));
    }
}
