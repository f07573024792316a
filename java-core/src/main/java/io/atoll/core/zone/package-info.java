/**
 * The zone: the file that nginx's master and workers and the agent share, read and written from Java.
 *
 * <p>{@link io.atoll.core.zone.Zone} is the door. Where each byte lies is in {@link io.atoll.core.zone.ZoneLayout}, which
 * is generated; who may write which word is in docs/architecture.md.
 *
 * <p>Times are CLOCK_MONOTONIC milliseconds, lengths and offsets bytes, process start times clock ticks since boot. Records are
 * immutable. A {@code Zone} may be used by several threads, a {@link io.atoll.core.zone.TablePublisher} by the one that holds the
 * publisher's lock.
 */
package io.atoll.core.zone;
