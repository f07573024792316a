package io.atoll.agent.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.zip.CRC32;

import io.atoll.core.zone.ZonePurges.Kind;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PurgeJournalTest {
    private static final long WALL = 1_700_000_000_000L;

    @TempDir
    Path folder;

    private Path path() {
        return folder.resolve("purges");
    }

    private static Purge purge(String id, long number) {
        return new Purge(id, Kind.KEY, "key of " + id, number, WALL, "edge1", "");
    }

    private static List<Long> numbers(List<Purge> purges) {
        return purges.stream().map(Purge::number).toList();
    }

    @Test
    void shouldGiveNumbersThatOnlyRise() throws Exception {
        try (PurgeJournal journal = PurgeJournal.open(path())) {
            long first = WALL * 1000;
            assertEquals(List.of(first), numbers(journal.put(List.of(purge("a", 0)), Set.of(), WALL)));
            assertEquals(List.of(first + 1, first + 2),
                    numbers(journal.put(List.of(purge("b", 0), purge("c", 0)), Set.of(), WALL - 5000)), "a clock set back");
            assertEquals(List.of(first + 100), numbers(journal.put(List.of(purge("d", first + 100)), Set.of(), WALL)));
            assertEquals(List.of(first + 101), numbers(journal.put(List.of(purge("e", first + 50)), Set.of(), WALL)),
                    "what another agent purged before comes after what was purged here");
        }
    }

    @Test
    void shouldKnowAPurgeByItsId() throws Exception {
        try (PurgeJournal journal = PurgeJournal.open(path())) {
            journal.put(List.of(purge("a", 0)), Set.of(), WALL);
            assertEquals(List.of(), journal.put(List.of(purge("a", 0)), Set.of(), WALL + 1));
            assertEquals(1, journal.put(List.of(purge("b", 0), purge("b", 0)), Set.of(), WALL + 1).size());
        }
    }

    @Test
    void shouldStillKnowAllWhenOpenedAgain() throws Exception {
        List<Purge> put;
        try (PurgeJournal journal = PurgeJournal.open(path())) {
            put = journal.put(List.of(purge("a", 0), new Purge("b", Kind.ALL, "", 0, WALL, "", "note")), Set.of("x", "y"), WALL);
            journal.told(List.of("a", "b"), "x", WALL + 7);
            journal.told(List.of("a"), "y", PurgeJournal.EXPIRED);
            journal.put(List.of(purge("c", 0)), Set.of(), WALL);
            journal.remove(List.of("c"));
            journal.alive(WALL + 9, Map.of("x", WALL + 8));
            journal.alive(WALL + 9, 0);
        }
        for (int i = 0; i < 2; i++) {
            try (PurgeJournal journal = PurgeJournal.open(path())) {
                assertEquals(put, journal.purges());
                assertEquals(Map.of("x", WALL + 7, "y", PurgeJournal.EXPIRED), journal.deliveries().get("a"));
                assertEquals(Map.of("x", WALL + 7, "y", PurgeJournal.PENDING), journal.deliveries().get("b"));
                assertEquals(WALL * 1000 + 2, journal.last(), "also of what was forgotten");
                assertEquals(WALL + 9, journal.aliveWall());
                assertEquals(Map.of("x", WALL + 8), journal.heard());
                assertFalse(journal.isDamaged());
            }
        }
    }

    @Test
    void shouldDropATornLastLineAndCallThatNoLoss() throws Exception {
        try (PurgeJournal journal = PurgeJournal.open(path())) {
            journal.put(List.of(purge("a", 0), purge("b", 0)), Set.of(), WALL);
        }
        byte[] whole = Files.readAllBytes(path());
        for (int cut = 1; cut < 120; cut += 7) {
            Files.write(path(), java.util.Arrays.copyOf(whole, whole.length - cut));
            try (PurgeJournal journal = PurgeJournal.open(path())) {
                assertEquals(1, journal.purges().size());
                assertFalse(journal.isDamaged(), "cut by " + cut);
            }
        }
    }

    /** Whoever compares its last number with the zone's finds that it is behind. */
    @Test
    void shouldNotClaimToKnowWhatWasCutOff() throws Exception {
        try (PurgeJournal journal = PurgeJournal.open(path())) {
            journal.put(List.of(purge("a", 0), purge("b", 0)), Set.of(), WALL);
        }
        PurgeJournal.open(path()).close();      // writes it anew
        List<String> lines = Files.readAllLines(path());
        for (int kept = 0; kept < lines.size() - 1; kept++) {
            Files.write(path(), lines.subList(0, kept));
            try (PurgeJournal journal = PurgeJournal.open(path())) {
                assertEquals(kept == 0 ? 0 : WALL * 1000 + kept - 1, journal.last(), kept + " lines");
            }
        }
    }

    @Test
    void shouldSayThatPurgesAreLostWhenALineIsWrong() throws IOException {
        try (PurgeJournal journal = PurgeJournal.open(path())) {
            journal.put(List.of(purge("a", 0), purge("b", 0)), Set.of(), WALL);
        }
        byte[] bytes = Files.readAllBytes(path());
        bytes[bytes.length / 2] ^= 1;
        Files.write(path(), bytes, StandardOpenOption.TRUNCATE_EXISTING);
        try (PurgeJournal journal = PurgeJournal.open(path())) {
            assertTrue(journal.isDamaged());
        }
    }

    private static String line(String record) {
        CRC32 crc = new CRC32();
        crc.update(record.getBytes(StandardCharsets.UTF_8));
        return "%08x %s%n".formatted(crc.getValue(), record);
    }

    /** As after a time in which there was no room to write it anew. */
    @Test
    void shouldReadWhatStandsHoweverMuchIsOutOfDate() throws Exception {
        try (PurgeJournal journal = PurgeJournal.open(path())) {
            journal.put(List.of(purge("a", 0)), Set.of(), WALL);
        }
        String old = line("{\"record\":\"told\",\"id\":\"gone\",\"agent\":\"" + "x".repeat(60_000) + "\",\"wall\":1}");
        try (BufferedWriter out = Files.newBufferedWriter(path(), StandardOpenOption.APPEND)) {
            for (int i = 0; i < 1200; i++) {
                out.write(old);
            }
        }
        try (PurgeJournal journal = PurgeJournal.open(path())) {
            assertFalse(journal.isDamaged());
            assertEquals(List.of("a"), journal.purges().stream().map(Purge::id).toList());
        }
        assertTrue(Files.size(path()) < 10_000, Files.size(path()) + " bytes");
    }

    @Test
    void shouldDropALineWithoutAnEnd() throws Exception {
        try (PurgeJournal journal = PurgeJournal.open(path())) {
            journal.put(List.of(purge("a", 0)), Set.of(), WALL);
        }
        Files.writeString(path(), "x".repeat(5_000_000) + "\n" + Files.readString(path()) + "x".repeat(3_000_000));
        try (PurgeJournal journal = PurgeJournal.open(path())) {
            assertTrue(journal.isDamaged());
            assertEquals(List.of("a"), journal.purges().stream().map(Purge::id).toList());
        }
    }

    @Test
    void shouldStaySmallHoweverOftenAgentsAreTold() throws Exception {
        try (PurgeJournal journal = PurgeJournal.open(path())) {
            journal.put(List.of(purge("a", 0)), Set.of("x"), WALL);
            for (int i : IntStream.range(0, 3000).toArray()) {
                journal.told(List.of("a"), "x", WALL + i);
            }
            assertTrue(Files.size(path()) < 60_000, Files.size(path()) + " bytes");
        }
    }
}
