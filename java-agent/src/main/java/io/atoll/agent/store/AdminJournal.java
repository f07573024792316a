package io.atoll.agent.store;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * The operators' decisions that stand, on disk, in a {@link JournalFile}. A record replaces what was known of its key before:
 * what was decided about a peer ({@link AdminDecision}; {@code "kind":"lifted"} removes it), what was changed about a server
 * ({@link MemberDecision}; {@code "kind":"reset"} removes it). On disk before a change returns.
 *
 * <p>One thread at a time.
 */
public final class AdminJournal implements AutoCloseable {
    private final Map<JournalKey, JournalRecord> records = new LinkedHashMap<>();
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
        public void apply(JsonNode json) {
            JournalRecord read = JournalCodec.record(json);
            JournalKey key = JournalCodec.key(json);
            records.remove(key);
            if (read != null) {
                records.put(key, read);
            }
        }

        @Override
        public Stream<ObjectNode> records() {
            return records.values().stream().map(JournalRecord::json);
        }

        @Override
        public int size() {
            return records.size();
        }

        @Override
        public String what() {
            return "drains and members";
        }
    }

    /** The decisions about peers that stand, oldest first. */
    public Collection<AdminDecision> decisions() {
        return of(AdminDecision.class);
    }

    /** The changes to members that stand, oldest first. */
    public Collection<MemberDecision> members() {
        return of(MemberDecision.class);
    }

    private <T extends JournalRecord> List<T> of(Class<T> kind) {
        return records.values().stream().filter(kind::isInstance).map(kind::cast).toList();
    }

    /** False when the journal was missing or damaged at opening: then a drain found in a zone may be one it lost. */
    public boolean isTrusted() {
        return file.isWhole();
    }

    /** Records decisions, all or, when it throws, possibly some; they are on disk when this returns. */
    public void put(Collection<? extends JournalRecord> decisions) throws IOException {
        change(decisions, List.of());
    }

    /** Records that decisions no longer stand. Those on disk when this returns. */
    public void lift(Collection<? extends JournalKey> keys) throws IOException {
        change(List.of(), keys);
    }

    /** Both at once, with one wait for the disk. */
    public void change(Collection<? extends JournalRecord> puts, Collection<? extends JournalKey> lifts) throws IOException {
        List<ObjectNode> lines = new ArrayList<>();
        puts.forEach(record -> lines.add(record.json()));
        lifts.stream().filter(records::containsKey).forEach(key -> lines.add(key.removal()));
        file.append(lines);
        for (JournalRecord record : puts) {
            records.remove(record.key());
            records.put(record.key(), record);
        }
        records.keySet().removeAll(lifts);
        file.compact();
    }

    /** Lets go of the files; what was put stays. */
    @Override
    public void close() throws IOException {
        file.close();
    }
}
