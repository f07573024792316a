package io.atoll.agent.store;

import java.nio.charset.StandardCharsets;
import java.util.UUID;

import io.atoll.core.zone.ZonePurges.Kind;

/**
 * A purge that is in force on this host.
 *
 * @param id     the same on all nodes: who says it twice, purges once
 * @param kind   what the text is
 * @param text   a key, a prefix of keys, or a host; empty for {@link Kind#ALL}
 * @param number on this host: greater than those of all purges that came before it, here
 * @param wall   when it was called for, milliseconds of wall-clock time
 * @param origin where it was called for: the node's name
 * @param note   the operator's words, may be empty
 */
public record Purge(String id, Kind kind, String text, long number, long wall, String origin, String note) {
    Purge with(long other) {
        return new Purge(id, kind, text, other, wall, origin, note);
    }

    /** Whether the other purges the same objects. */
    public boolean isLike(Purge other) {
        return kind == other.kind() && text.equals(other.text());
    }

    /** The same purge under an id of its own, which is the same on all hosts, for where another one is known under its id. */
    public Purge apart() {
        String own = UUID.nameUUIDFromBytes((id + ' ' + kind + ' ' + text).getBytes(StandardCharsets.UTF_8)).toString();
        return new Purge(own, kind, text, number, wall, origin, note);
    }
}
