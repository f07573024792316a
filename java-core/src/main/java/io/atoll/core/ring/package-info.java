/**
 * The consistent-hash ring of nginx's {@code hash KEY consistent}, as a plain library.
 *
 * <p>{@link io.atoll.core.ring.ConsistentHash} answers who owns a key; {@link io.atoll.core.ring.Ring} holds the points
 * from which tables are compiled. Both are immutable, and safe for use by several threads.
 */
package io.atoll.core.ring;
