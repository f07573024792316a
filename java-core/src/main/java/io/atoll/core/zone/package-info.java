/**
 * The zone: the file that nginx's master and workers and the agent share, read and written from Java.
 *
 * <p>{@link io.atoll.core.zone.Zone} is the door. Where each byte lies is in {@link io.atoll.core.zone.ZoneLayout}, which
 * is generated; who may write which word is in docs/architecture.md.
 */
package io.atoll.core.zone;
