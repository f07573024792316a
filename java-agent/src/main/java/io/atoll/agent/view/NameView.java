package io.atoll.agent.view;

import java.util.List;

/**
 * A name that is followed.
 *
 * @param name     a host, or a service such as {@code _http._tcp.example.com}
 * @param type     addresses, or srv for a service
 * @param servers  the servers that stand on it; of a service those of its targets
 * @param values   what it stands for now: addresses, or targets; empty while it was never answered
 * @param ttl      seconds that the last good answer holds for; -1 for one of the hosts file, or none yet
 * @param ageMs    since the last good answer; -1 for none yet
 * @param nextMs   until it is asked for again; 0 while it is being asked for
 * @param failures look-ups in a row that gave nothing
 * @param problem  what went wrong last; empty when nothing did
 * @param found    look-ups that gave something
 * @param none     those that were told that there is nothing
 * @param failed   those that nobody answered
 * @param changes  answers that differed from the one before
 */
public record NameView(String name, String type, List<String> servers, List<String> values, long ttl, long ageMs, long nextMs,
        int failures, String problem, long found, long none, long failed, long changes) {}
