package io.atoll.agent.purge;

import java.time.Duration;
import java.util.function.LongSupplier;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Wall-clock time for the age of what lies on disk with its wall-clock time: a clock that is set forward by more than an hour ages nothing.
 * Time goes on from where it was then, until as long as anything is kept has passed: what was recorded by the clock of before is old by then, and the
 * clock is taken as it is. A clock that is set back is taken as it is.
 *
 * <p>Used on one thread.
 */
final class SteadyWall {
    private static final Logger LOG = LoggerFactory.getLogger("io.atoll.purge");
    private static final long JUMP_MS = 3_600_000;

    private final LongSupplier wall;
    private final LongSupplier clock;
    private final long keptMs;
    private long wallThen;
    private long clockThen;
    private long aheadMs;
    private long setMs;

    /**
     * @param wall   wall-clock milliseconds
     * @param clock  CLOCK_MONOTONIC milliseconds
     * @param keptMs how long anything is kept
     */
    SteadyWall(LongSupplier wall, LongSupplier clock, long keptMs) {
        this.wall = wall;
        this.clock = clock;
        this.keptMs = keptMs;
        this.wallThen = wall.getAsLong();
        this.clockThen = clock.getAsLong();
    }

    /** Milliseconds of wall-clock time, at most those of the clock. */
    long now() {
        long wallNow = wall.getAsLong();
        long clockNow = clock.getAsLong();
        long jump = (wallNow - wallThen) - (clockNow - clockThen);
        wallThen = wallNow;
        clockThen = clockNow;
        if (Math.abs(jump) > JUMP_MS) {
            aheadMs = Math.max(0, aheadMs + jump);
            setMs = clockNow;
            LOG.warn("The clock of this host was set {} by {}: no purge is given up or forgotten the sooner for it", jump > 0 ? "forward" : "back",
                    Duration.ofMillis(Math.abs(jump)));
        }
        if (aheadMs > 0 && clockNow - setMs > keptMs) {
            aheadMs = 0;
        }
        return wallNow - aheadMs;
    }
}
