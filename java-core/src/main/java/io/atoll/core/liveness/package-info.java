/**
 * Whether a peer lives: counting probe results, when to probe next, how long a verdict stands, how a returning peer takes
 * its keys over.
 *
 * <p>Pure rules: time and randomness are arguments, nothing here reads a clock, opens a socket or starts a thread. Times are
 * CLOCK_MONOTONIC milliseconds. {@link io.atoll.core.liveness.PeerHealth} is for one thread; the others do not change.
 */
package io.atoll.core.liveness;
