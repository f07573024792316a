package io.atoll.core.zone;

/**
 * An upstream as nginx.conf declares it: a copy, made when it was read.
 *
 * @param index its place in the zone
 * @param name as in {@code upstream NAME}
 * @param slowStartMs {@code atoll_slow_start}, milliseconds; 0: off
 * @param panicPercent {@code atoll_panic}; 0: off
 * @param replicas owners of a hot key at most, {@code replicas=} of {@code atoll}; 0: each key has one
 * @param method how the points of its rings are placed, one of {@code ZoneLayout.Method}
 * @param probe {@code atoll_probe}
 * @param file path of the nginx.conf that declares it
 * @param line its line there
 */
public record Upstream(int index, String name, int slowStartMs, int panicPercent, int replicas, int method, ProbeSettings probe,
        String file, int line) {}
