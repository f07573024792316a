package io.atoll.agent.dns;

import java.time.Duration;
import java.util.random.RandomGenerator;

import io.atoll.agent.config.AgentConfig.ResolveConfig;

/** When a name is asked for again. Always up to a tenth later than that, so that agents that began together do not stay together. */
final class NameSchedule {
    private static final int DOUBLINGS = 20;

    private final ResolveConfig config;
    private final RandomGenerator random;

    NameSchedule(ResolveConfig config, RandomGenerator random) {
        this.config = config;
        this.random = random;
    }

    /** Milliseconds from an answer that holds for so many seconds: not before it ends, and within the floor and the ceiling. */
    long afterAnswer(long ttl) {
        if (ttl == Answer.NO_TTL) {
            return later(config.interval().toMillis());
        }
        Duration holds = Duration.ofSeconds(ttl);
        holds = holds.compareTo(config.minTtl()) < 0 ? config.minTtl() : holds;
        return later((holds.compareTo(config.maxTtl()) > 0 ? config.maxTtl() : holds).toMillis());
    }

    /** Milliseconds from the latest of so many failures in a row: the floor, doubled with each, and at most the interval. */
    long afterFailure(int failures) {
        long ms = config.minTtl().toMillis() << Math.min(failures - 1, DOUBLINGS);
        return later(Math.min(ms, Math.max(config.interval().toMillis(), config.minTtl().toMillis())));
    }

    private long later(long ms) {
        return ms + random.nextLong(ms / 10 + 1);
    }
}
