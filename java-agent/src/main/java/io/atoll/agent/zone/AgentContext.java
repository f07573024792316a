package io.atoll.agent.zone;

import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;

import io.netty.channel.EventLoop;

/**
 * What time it is, where chance comes from, and on which thread the agent lives.
 *
 * @param loop   the agent's thread
 * @param clock  CLOCK_MONOTONIC milliseconds
 * @param random for jitter
 */
public record AgentContext(EventLoop loop, LongSupplier clock, RandomGenerator random) {
    long nowMs() {
        return clock.getAsLong();
    }
}
