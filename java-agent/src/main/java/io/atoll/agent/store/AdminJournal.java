package io.atoll.agent.store;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * The operators' decisions that stand, on disk, in a {@link JournalFile}. A record replaces what was decided about the peer
 * before; {@code "kind":"lifted"} removes it. On disk before {@link #put} or {@link #lift} returns.
 *
 * <p>One thread at a time.
 */
public final class AdminJournal implements AutoCloseable {
    private final Map<PeerName, AdminDecision> decisions = new LinkedHashMap<>();
    private JournalFile file;

    private AdminJournal() {}

    /**
     * Opens and reads a journal, creating it when missing. A journal that cannot be read or written gives one that
     * knows what could be read and refuses changes.
     *
     * @throws IOException when another process holds it; the message names the file
     */
    public static AdminJournal open(Path path) throws IOException {
        AdminJournal journal = new AdminJournal();
        journal.file = JournalFile.open(path, journal.new Decisions());
        return journal;
    }

    private final class Decisions implements JournalFile.Content {
        @Override
        public void apply(JsonNode record) {
            PeerName peer = new PeerName(record.path("zone").asText(), record.path("upstream").asText(),
                    record.path("server").asText(), record.path("address").asText());
            String kind = record.path("kind").asText();
            decisions.remove(peer);
            if (!kind.equals("lifted")) {
                decisions.put(peer, new AdminDecision(peer,
                        AdminDecision.Kind.valueOf(kind.toUpperCase(Locale.ROOT)),
                        record.path("until_ms").asLong(AdminDecision.FOREVER),
                        record.path("until_wall").asLong(AdminDecision.FOREVER), record.path("boot").asText(),
                        record.path("note").asText()));
            }
        }

        @Override
        public Collection<ObjectNode> records() {
            return decisions.values().stream().map(AdminJournal::record).toList();
        }

        @Override
        public int size() {
            return decisions.size();
        }

        @Override
        public String what() {
            return "drains";
        }
    }

    /** The decisions that stand, oldest first. */
    public Collection<AdminDecision> decisions() {
        return List.copyOf(decisions.values());
    }

    /** False when the journal was missing or damaged at opening: then a drain found in a zone may be one it lost. */
    public boolean isTrusted() {
        return file.isWhole();
    }

    /** Records decisions, all or, when it throws, possibly some; they are on disk when this returns. */
    public void put(Collection<AdminDecision> changes) throws IOException {
        List<ObjectNode> records = new ArrayList<>();
        for (AdminDecision decision : changes) {
            records.add(record(decision));
        }
        file.append(records);
        for (AdminDecision decision : changes) {
            decisions.remove(decision.peer());
            decisions.put(decision.peer(), decision);
        }
        file.compact();
    }

    /** Records that decisions no longer stand. Those on disk when this returns. */
    public void lift(Collection<PeerName> peers) throws IOException {
        List<ObjectNode> records = new ArrayList<>();
        for (PeerName peer : peers) {
            if (decisions.containsKey(peer)) {
                records.add(named(peer).put("kind", "lifted"));
            }
        }
        file.append(records);
        decisions.keySet().removeAll(peers);
        file.compact();
    }

    private static ObjectNode named(PeerName peer) {
        return JournalFile.object().put("zone", peer.zone()).put("upstream", peer.upstream())
                .put("server", peer.server()).put("address", peer.address());
    }

    private static ObjectNode record(AdminDecision decision) {
        ObjectNode record = named(decision.peer()).put("kind", decision.kind().name().toLowerCase(Locale.ROOT));
        if (!decision.isForever()) {
            record.put("until_ms", decision.untilMs()).put("until_wall", decision.untilWall());
        }
        return record.put("boot", decision.boot()).put("note", decision.note());
    }

    /** Lets go of the files; what was put stays. */
    @Override
    public void close() throws IOException {
        file.close();
    }
}
