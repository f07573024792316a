package io.atoll.agent.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

import io.atoll.agent.testing.LogLines;
import io.atoll.core.zone.MemberChange;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AdminJournalTest {
    @TempDir
    Path folder;
    private Path path;

    @BeforeEach
    void name() {
        path = folder.resolve("journal");
    }

    private static AdminDecision drain(String server) {
        return new AdminDecision(new PeerName("/run/a.zone", "caches", server, server), AdminDecision.Kind.DRAIN,
                AdminDecision.FOREVER, AdminDecision.FOREVER, "b00", "because \"ü\"\nof it");
    }

    private static AdminDecision maintenance(String server, long until) {
        return new AdminDecision(new PeerName("/run/a.zone", "caches", server, server),
                AdminDecision.Kind.MAINTENANCE, until, until + 1000, "b00", "");
    }

    private List<AdminDecision> read() throws IOException {
        try (AdminJournal journal = AdminJournal.open(path)) {
            return List.copyOf(journal.decisions());
        }
    }

    @Test
    void shouldKnowWhoseTargetAMemberIs() throws IOException {
        MemberDecision target = new MemberDecision(new ServerName("/run/a.zone", "caches", "one.example:80"), new MemberChange(
                MemberChange.Kind.ADDED, "one.example:80", 3, 0, 1, 10_000, true, List.of(ServerAddress.literal("10.0.0.1:80"))),
                "_http._tcp.example");
        try (AdminJournal journal = AdminJournal.open(path)) {
            journal.put(List.of(target));
        }
        try (AdminJournal journal = AdminJournal.open(path)) {
            assertEquals(List.of(target), List.copyOf(journal.members()));
        }
    }

    @Test
    void shouldKnowMembersAgainBesideDrainsOfTheSameServers() throws IOException {
        ServerName a = new ServerName("/run/a.zone", "caches", "a");
        ServerName b = new ServerName("/run/a.zone", "caches", "b");
        MemberDecision added = new MemberDecision(b, new MemberChange(MemberChange.Kind.ADDED, "b", 3, 4, 5, 6, true,
                List.of(ServerAddress.literal("10.0.0.1:80"), ServerAddress.literal("[2001:db8::1]:81"),
                        ServerAddress.literal("unix:/run/b.sock"))));
        MemberDecision removed = new MemberDecision(a, MemberChange.removed("a"));
        MemberDecision weighted = new MemberDecision(a, MemberChange.weighted("a", 7));
        try (AdminJournal journal = AdminJournal.open(path)) {
            journal.put(List.of(drain("a"), removed, added));
        }
        try (AdminJournal journal = AdminJournal.open(path)) {
            assertEquals(List.of(removed, added), List.copyOf(journal.members()));
            assertEquals(List.of(drain("a")), List.copyOf(journal.decisions()));
            journal.change(List.of(weighted), List.of(b));
        }
        try (AdminJournal journal = AdminJournal.open(path)) {
            assertEquals(List.of(weighted), List.copyOf(journal.members()));
            assertEquals(List.of(drain("a")), List.copyOf(journal.decisions()));
        }
    }

    @Test
    void shouldKnowAgainWhatWasPutAndNotWhatWasLifted() throws IOException {
        try (AdminJournal journal = AdminJournal.open(path)) {
            assertFalse(journal.isTrusted(), "a journal that was not there");
            journal.put(List.of(drain("a"), drain("b")));
            journal.put(List.of(maintenance("c", 5000)));
            journal.lift(List.of(drain("a").peer()));
            journal.put(List.of(maintenance("b", 7000)));
        }
        assertEquals(List.of(maintenance("c", 5000), maintenance("b", 7000)), read());
        assertEquals(List.of(maintenance("c", 5000), maintenance("b", 7000)), read());
        try (AdminJournal journal = AdminJournal.open(path)) {
            assertTrue(journal.isTrusted());
        }
    }

    @Test
    void shouldHaveAChangeOnDiskBeforeItReturns() throws IOException {
        try (AdminJournal journal = AdminJournal.open(path)) {
            journal.put(List.of(drain("a")));
            assertTrue(Files.readString(path).contains("\"server\":\"a\""));
            journal.lift(List.of(drain("a").peer()));
            assertTrue(Files.readString(path).endsWith("\"kind\":\"lifted\"}\n"));
        }
    }

    /** A machine that dies while writing leaves any number of bytes of the last record. */
    @Test
    void shouldKeepWholeRecordsWhereverTheFileEnds() throws IOException {
        List<byte[]> states = new ArrayList<>();
        List<List<AdminDecision>> known = new ArrayList<>();
        try (AdminJournal journal = AdminJournal.open(path)) {
            for (String server : new String[] {"a", "b"}) {
                states.add(Files.readAllBytes(path));
                known.add(List.copyOf(journal.decisions()));
                journal.put(List.of(drain(server)));
            }
            states.add(Files.readAllBytes(path));
            known.add(List.copyOf(journal.decisions()));
        }
        byte[] whole = states.get(states.size() - 1);
        for (int length = 0; length <= whole.length; length++) {
            Files.write(path, Arrays.copyOf(whole, length));
            int records = 0;
            while (records + 1 < states.size() && states.get(records + 1).length <= length) {
                records++;
            }
            try (AdminJournal journal = AdminJournal.open(path)) {
                assertEquals(known.get(records), List.copyOf(journal.decisions()), length + " bytes");
                assertEquals(states.get(records).length == length, journal.isTrusted(), length + " bytes");
                if (length % 16 == 0) {
                    journal.put(List.of(drain("later")));
                }
            }
            if (length % 16 == 0) {
                List<AdminDecision> after = new ArrayList<>(known.get(records));
                after.add(drain("later"));
                assertEquals(after, read(), length + " bytes");
            }
        }
    }

    @Test
    void shouldLoseOnlyTheRecordWhoseBytesAreWrong() throws IOException {
        try (AdminJournal journal = AdminJournal.open(path)) {
            journal.put(List.of(drain("a")));
            journal.put(List.of(drain("b")));
            journal.put(List.of(drain("c")));
        }
        byte[] whole = Files.readAllBytes(path);
        long seed = System.nanoTime();
        Random random = new Random(seed);
        for (int i = 0; i < 100; i++) {
            byte[] bytes = whole.clone();
            bytes[random.nextInt(bytes.length)] ^= (byte) (1 << random.nextInt(8));
            Files.write(path, bytes);
            int left = read().size();
            assertTrue(left >= 1 && left <= 2, "seed " + seed + ": " + left + " of 3 decisions are left");
            assertTrue(Files.exists(folder.resolve("journal.damaged")));
            assertEquals(left, read().size(), "the repaired journal is whole");
        }
    }

    @Test
    void shouldStartOnGarbage() throws IOException {
        byte[] garbage = new byte[100_000];
        new Random(7).nextBytes(garbage);
        Files.write(path, garbage);
        assertEquals(List.of(), read());
        Files.writeString(path, "\n\n\n00000000 {}\n");
        assertEquals(List.of(), read());
    }

    @Test
    void shouldRefuseAFileThatAnotherAgentHolds() throws IOException {
        try (AdminJournal first = AdminJournal.open(path)) {
            first.put(List.of(drain("a")));
            IOException refused = assertThrows(IOException.class, () -> AdminJournal.open(path));
            assertTrue(refused.getMessage().contains("another running agent"), refused.getMessage());
            assertTrue(refused.getMessage().contains(path.toString()), refused.getMessage());
        }
        assertEquals(1, read().size());
    }

    @Test
    void shouldStartWhereNothingCanBeWrittenAndRefuseChanges() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "not a folder");
        try (AdminJournal journal = AdminJournal.open(file.resolve("journal"))) {
            assertEquals(List.of(), List.copyOf(journal.decisions()));
            assertThrows(IOException.class, () -> journal.put(List.of(drain("a"))));
            assertEquals(List.of(), List.copyOf(journal.decisions()), "what is not on disk does not stand");
        }
    }

    @Test
    void shouldTakeChangesAgainOnceItsFolderIsBack() throws IOException {
        Path inner = folder.resolve("inner");
        Path file = Files.writeString(inner, "not a folder");
        try (AdminJournal journal = AdminJournal.open(inner.resolve("journal"))) {
            assertThrows(IOException.class, () -> journal.put(List.of(drain("a"))));
            Files.delete(file);
            Files.createDirectory(inner);
            journal.put(List.of(drain("a")));
        }
        path = inner.resolve("journal");
        assertEquals(List.of(drain("a")), read());
    }

    /** As where no bytes are left for a whole copy. */
    @Test
    void shouldTakeChangesWhileItsFileCannotBeRewritten() throws IOException {
        Path full = Path.of("/dev/full");
        assumeTrue(Files.isWritable(full), "a device that is always full");
        Path fresh = folder.resolve("journal.new");
        try (AdminJournal journal = AdminJournal.open(path); LogLines log = new LogLines("io.atoll.journal")) {
            for (int i = 0; i < 150; i++) {
                if (!Files.isSymbolicLink(fresh)) {
                    Files.createSymbolicLink(fresh, full);
                }
                journal.put(List.of(drain("a")));
                journal.lift(List.of(drain("a").peer()));
            }
            assertEquals(1, log.lines().stream().filter(line -> line.contains("it grows until it can")).count());
            Files.delete(fresh);
            journal.put(List.of(drain("b")));
            try (Stream<String> lines = Files.lines(path)) {
                assertEquals(301, lines.count());
            }
            for (int i = 0; i < 150; i++) {
                journal.put(List.of(drain("a")));
                journal.lift(List.of(drain("a").peer()));
            }
            assertTrue(Files.size(path) < 70_000, Files.size(path) + " bytes");
        }
        assertEquals(List.of(drain("b")), read());
    }

    @Test
    void shouldLeaveNoPartOfACopyBehind() throws IOException {
        Path full = Path.of("/dev/full");
        assumeTrue(Files.isWritable(full), "a device that is always full");
        Path fresh = folder.resolve("journal.new");
        try (AdminJournal journal = AdminJournal.open(path)) {
            Files.createSymbolicLink(fresh, full);
            for (int i = 0; i < 150; i++) {
                journal.put(List.of(drain("a")));
                journal.lift(List.of(drain("a").peer()));
            }
            assertFalse(Files.exists(fresh, LinkOption.NOFOLLOW_LINKS));
        }
    }

    /** An interrupt closes the file under a write, and so what the write left cannot be taken back. */
    @Test
    void shouldNotAppendToWhatAFailedWriteLeft() throws IOException {
        try (AdminJournal journal = AdminJournal.open(path)) {
            journal.put(List.of(drain("a")));
            Thread.currentThread().interrupt();
            try {
                assertThrows(IOException.class, () -> journal.put(List.of(drain("b"))));
            } finally {
                assertTrue(Thread.interrupted());
            }
            Files.writeString(path, "01234567 {\"torn", StandardOpenOption.APPEND);
            journal.put(List.of(drain("c")));
        }
        assertEquals(List.of(drain("a"), drain("c")), read());
        assertFalse(Files.exists(folder.resolve("journal.damaged")));
    }

    @Test
    void shouldStaySmallOverManyChanges() throws IOException {
        try (AdminJournal journal = AdminJournal.open(path)) {
            for (int i = 0; i < 200; i++) {
                journal.put(List.of(drain("a")));
                journal.lift(List.of(drain("a").peer()));
            }
            journal.put(List.of(drain("b")));
        }
        assertTrue(Files.size(path) < 70_000, Files.size(path) + " bytes");
        assertEquals(List.of(drain("b")), read());
    }

    @Test
    void shouldMakeItsFolder() throws IOException {
        path = folder.resolve("lib/atoll/journal");
        try (AdminJournal journal = AdminJournal.open(path)) {
            journal.put(List.of(drain("a")));
        }
        assertEquals(List.of(drain("a")), read());
    }

    @Test
    void shouldCountTheRestOfADecisionOnTheClockOfItsBoot() {
        AdminDecision decision = maintenance("a", 5000);
        assertEquals(5000, decision.untilMs("b00", 4000, 999_999), "the same boot: the wall clock does not matter");
        assertEquals(700, decision.untilMs("other", 200, 5500), "another boot: 500 ms are left");
        assertEquals(200, decision.untilMs("other", 200, 9999), "another boot: over");
        assertEquals(AdminDecision.FOREVER, drain("a").untilMs("other", 200, 9999));
    }
}
