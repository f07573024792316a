package io.atoll.agent.store;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.atoll.core.zone.ZonePurges;

/**
 * The purges of this host and where they are still to be told, on disk, in a {@link JournalFile}. Gives each its number, which
 * is microseconds of wall-clock time, or one more than the last where the clock is behind that: so numbers go on
 * rising when the journal is lost, as long as the clock is right.
 *
 * <p>One thread at a time.
 */
public final class PurgeJournal implements AutoCloseable {
    /** Of a delivery: still to be made. */
    public static final long PENDING = 0;
    /** Of a delivery: given up. */
    public static final long EXPIRED = -1;

    private static final long LARGEST_NUMBER = 1L << 62;

    private final Map<String, Purge> purges = new LinkedHashMap<>();
    private final Map<String, Map<String, Long>> deliveries = new LinkedHashMap<>();
    private final Map<String, String> zones = new LinkedHashMap<>();
    private long last;
    private long aliveWall;
    private Map<String, Long> heard = Map.of();
    private JournalFile file;

    private PurgeJournal() {}

    /**
     * Opens and reads a journal, creating it when missing. One that cannot be written gives one that refuses purges.
     *
     * @throws IOException when another process holds it; the message names the file
     */
    public static PurgeJournal open(Path path) throws IOException {
        PurgeJournal journal = new PurgeJournal();
        journal.file = JournalFile.open(path, journal.new Records());
        return journal;
    }

    private final class Records implements JournalFile.Content {
        @Override
        public void apply(JsonNode record) {
            String id = record.path("id").asText();
            switch (record.path("record").asText()) {
                case "purge" -> {
                    ZonePurges.Kind kind = ZonePurges.Kind.valueOf(record.path("kind").asText().toUpperCase(Locale.ROOT));
                    purges.put(id, new Purge(id, kind, record.path("text").asText(), record.path("number").asLong(),
                            record.path("wall").asLong(), record.path("origin").asText().intern(), record.path("note").asText()));
                    Map<String, Long> to = new LinkedHashMap<>();
                    record.path("to").properties().forEach(agent -> to.put(agent.getKey().intern(), agent.getValue().asLong()));
                    deliveries.put(id, to);
                    last = Math.max(last, record.path("number").asLong());
                }
                case "told" -> told(id, record.path("agent").asText(), record.path("wall").asLong());
                case "gone" -> {
                    purges.remove(id);
                    deliveries.remove(id);
                }
                case "alive" -> {
                    aliveWall = record.path("wall").asLong();
                    Map<String, Long> walls = new LinkedHashMap<>();
                    record.path("heard").properties().forEach(agent -> walls.put(agent.getKey(), agent.getValue().asLong()));
                    heard = walls;
                    last = Math.max(last, record.path("last").asLong());
                }
                case "zone" -> zones.put(record.path("zone").asText(), record.path("boot").asText());
                default -> throw new IllegalArgumentException("a record of no kind");
            }
        }

        @Override
        public Stream<ObjectNode> records() {
            Stream<ObjectNode> standing = purges.values().stream().map(purge -> record(purge, deliveries.get(purge.id())));
            Stream<ObjectNode> found = zones.entrySet().stream().map(zone -> zone(zone.getKey(), zone.getValue()));
            // the last: a file that was cut off is behind the zone then
            return Stream.concat(Stream.concat(standing, found), Stream.of(alive()));
        }

        @Override
        public int size() {
            return purges.size() + zones.size() + 1;
        }

        @Override
        public String what() {
            return "purges";
        }
    }

    private void told(String id, String agent, long wall) {
        Map<String, Long> to = deliveries.get(id);
        if (to != null && to.containsKey(agent)) {
            to.put(agent, wall);
        }
    }

    private ObjectNode alive() {
        ObjectNode record = JournalFile.object().put("record", "alive").put("wall", aliveWall).put("last", last);
        ObjectNode agents = record.putObject("heard");
        heard.forEach(agents::put);
        return record;
    }

    private static ObjectNode zone(String zone, String boot) {
        return JournalFile.object().put("record", "zone").put("zone", zone).put("boot", boot);
    }

    private static ObjectNode record(Purge purge, Map<String, Long> to) {
        ObjectNode record = JournalFile.object().put("record", "purge").put("id", purge.id())
                .put("kind", purge.kind().name().toLowerCase(Locale.ROOT)).put("text", purge.text())
                .put("number", purge.number()).put("wall", purge.wall()).put("origin", purge.origin())
                .put("note", purge.note());
        ObjectNode agents = record.putObject("to");
        to.forEach(agents::put);
        return record;
    }

    /** The purges in force, in the order of their numbers. */
    public List<Purge> purges() {
        return List.copyOf(purges.values());
    }

    /** The agents that this one tells, by purge: since when they know, {@link #PENDING} or {@link #EXPIRED}. */
    public Map<String, Map<String, Long>> deliveries() {
        Map<String, Map<String, Long>> copy = new LinkedHashMap<>();
        deliveries.forEach((id, to) -> copy.put(id, new LinkedHashMap<>(to)));
        return copy;
    }

    /** The greatest number that was ever given; 0 none. */
    public long last() {
        return last;
    }

    /** When {@link #alive} was called last, milliseconds of wall-clock time; 0 never. */
    public long aliveWall() {
        return aliveWall;
    }

    /** Up to when no purge of each other agent was missed, as {@link #alive} was told; milliseconds of wall-clock time. */
    public Map<String, Long> heard() {
        return heard;
    }

    /** Whether purges are lost: it could not be read, or records in it were wrong. */
    public boolean isDamaged() {
        return file.isDamaged();
    }

    /** Whether there was none when it was opened. */
    public boolean isMissing() {
        return file.isMissing();
    }

    /** As it is to be recorded here: {@link Purge#apart} when another one is known under its id. */
    public Purge own(Purge purge) {
        Purge known = purges.get(purge.id());
        return known == null || known.isLike(purge) ? purge : purge.apart();
    }

    /**
     * Records purges that are not known by their id, all or, when it throws, possibly some; they are on disk when this returns.
     *
     * @param wanted numbers are proposals: kept where greater than all before, else the next one is given; 0 for none
     * @param to     agents that this one has to tell
     * @return those that are new, with their numbers, in their order
     */
    public List<Purge> put(Collection<Purge> wanted, Set<String> to, long nowWall) throws IOException {
        Map<String, Purge> fresh = new LinkedHashMap<>();
        long number = last;
        for (Purge purge : wanted) {
            if (!purges.containsKey(purge.id()) && !fresh.containsKey(purge.id())) {
                long proposed = purge.number() > 0 && purge.number() < LARGEST_NUMBER ? purge.number() : nowWall * 1000;
                number = Math.max(number + 1, proposed);
                fresh.put(purge.id(), purge.with(number));
            }
        }
        List<ObjectNode> records = new ArrayList<>();
        Map<String, Long> nobody = new LinkedHashMap<>();
        to.forEach(agent -> nobody.put(agent, PENDING));
        fresh.values().forEach(purge -> records.add(record(purge, nobody)));
        file.append(records);
        last = number;
        purges.putAll(fresh);
        fresh.keySet().forEach(id -> deliveries.put(id, new LinkedHashMap<>(nobody)));
        file.compact();
        return List.copyOf(fresh.values());
    }

    /**
     * Records since when an agent knows purges, or that it will not be told any more ({@link #EXPIRED}). When the machine dies,
     * the agent may be told again.
     */
    public void told(Collection<String> ids, String agent, long wall) throws IOException {
        List<ObjectNode> records = new ArrayList<>();
        for (String id : ids) {
            if (deliveries.getOrDefault(id, Map.of()).containsKey(agent)) {
                records.add(JournalFile.object().put("record", "told").put("id", id).put("agent", agent).put("wall", wall));
                told(id, agent, wall);
            }
        }
        file.appendLazily(records);
        file.compact();
    }

    /** Forgets purges. */
    public void remove(Collection<String> ids) throws IOException {
        List<ObjectNode> records = new ArrayList<>();
        ids.forEach(id -> records.add(JournalFile.object().put("record", "gone").put("id", id)));
        file.append(records);
        purges.keySet().removeAll(ids);
        deliveries.keySet().removeAll(ids);
        file.compact();
    }

    /**
     * Records that this agent lives, and up to when no purge of each of the others was missed; milliseconds of wall-clock time. When
     * the machine dies, this may be lost.
     */
    public void alive(long nowWall, Map<String, Long> heardWalls) throws IOException {
        heard = Map.copyOf(heardWalls);
        alive(nowWall, 0);
    }

    /** Records that this agent lives, and a number that all later ones are to be greater than, which holds also when this throws. */
    public void alive(long nowWall, long atLeast) throws IOException {
        aliveWall = nowWall;
        last = Math.max(last, Math.min(atLeast, LARGEST_NUMBER));
        file.appendLazily(List.of(alive()));
        file.compact();
    }

    /** In which boot of the machine each zone was found last. */
    public Map<String, String> zones() {
        return Map.copyOf(zones);
    }

    /** Records in which boot of the machine a zone was found. When the machine dies, this may be lost, and is of no use any more. */
    public void found(String zone, String boot) throws IOException {
        zones.put(zone, boot);
        file.appendLazily(List.of(zone(zone, boot)));
        file.compact();
    }

    /** Lets go of the files; what was put stays. */
    @Override
    public void close() throws IOException {
        file.close();
    }
}
