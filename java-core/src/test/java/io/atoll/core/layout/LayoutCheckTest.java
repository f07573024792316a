package io.atoll.core.layout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** That what Java and C compile against follows from layout/zone.layout, and that the check would notice if it did not. */
class LayoutCheckTest {
    private static final Path ROOT = Path.of(System.getProperty("atoll.root", ".."));
    private static final List<String> OUTPUTS = List.of("java-core/src/main/java/io/atoll/core/zone/ZoneLayout.java",
            "nginx-module/reader/atoll_layout.h", "docs/reference/zone-layout.md");

    private record Run(int exit, String output) {}

    @TempDir
    static Path classes;
    @TempDir
    Path folder;
    private Path layout;

    @BeforeEach
    void copyLayoutAndOutputs() throws IOException {
        layout = folder.resolve("zone.layout");
        Files.copy(ROOT.resolve("layout/zone.layout"), layout);
        for (String output : OUTPUTS) {
            Files.createDirectories(folder.resolve(output).getParent());
            Files.copy(ROOT.resolve(output), folder.resolve(output));
        }
    }

    /** Compiled once: `java layout/Generate.java` would do so at each run. */
    @BeforeAll
    static void compileGenerator() throws IOException, InterruptedException {
        Run run = run("javac", "-d", classes, ROOT.resolve("layout/Generate.java"));
        assertEquals(0, run.exit, run.output);
    }

    private static Run generate(Object... arguments) throws IOException, InterruptedException {
        List<Object> all = new ArrayList<>(List.of("-XX:TieredStopAtLevel=1", "-cp", classes, "Generate"));
        all.addAll(List.of(arguments));
        return run("java", all.toArray());
    }

    private static Run run(String tool, Object... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", tool).toString()));
        for (Object argument : arguments) {
            command.add(argument.toString());
        }
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Run(process.waitFor(), output);
    }

    private void change(String from, String to) throws IOException {
        String text = Files.readString(layout);
        assertTrue(text.contains(from), "zone.layout has no \"" + from + "\"");
        Files.writeString(layout, text.replace(from, to));
    }

    private int lineOf(String text) throws IOException {
        List<String> lines = Files.readAllLines(layout);
        for (int i = 0; i < lines.size(); i++) {
            if (lines.get(i).contains(text)) {
                return i + 1;
            }
        }
        throw new AssertionError("zone.layout has no \"" + text + "\"");
    }

    private void assertEveryOutputDiffers() throws IOException, InterruptedException {
        Run run = generate("--check", layout, folder);
        assertEquals(1, run.exit, run.output);
        for (String output : OUTPUTS) {
            assertTrue(run.output.contains(output + ": differs from"), run.output);
        }
    }

    @Test
    void shouldHaveOutputsThatFollowFromTheLayout() throws IOException, InterruptedException {
        Run run = generate("--check", ROOT.resolve("layout/zone.layout"), ROOT);
        assertEquals(0, run.exit, run.output);
    }

    @Test
    void shouldNoticeAFieldThatMoved() throws IOException, InterruptedException {
        change("  u32 version            ", "  u32 swapped            ");
        change("  u32 fingerprint        ", "  u32 version            ");
        change("  u32 swapped            ", "  u32 fingerprint        ");
        assertEveryOutputDiffers();
    }

    @Test
    void shouldNoticeAValueThatChanged() throws IOException, InterruptedException {
        change("value QUORUM  2", "value QUORUM  5");
        assertEveryOutputDiffers();
    }

    @Test
    void shouldNoticeAnOutputThatWasEdited() throws IOException, InterruptedException {
        Path header = folder.resolve(OUTPUTS.get(1));
        Files.writeString(header, Files.readString(header).replace("ATOLL_ATTACH_TRUNCATED = 5", "ATOLL_ATTACH_TRUNCATED = 4"));
        Run run = generate("--check", layout, folder);
        assertEquals(1, run.exit, run.output);
        assertTrue(run.output.contains(OUTPUTS.get(1) + ": differs from"), run.output);
        assertTrue(!run.output.contains(OUTPUTS.get(0)), run.output);
    }

    @Test
    void shouldNameTheLineOfARecordOfTheWrongSize() throws IOException, InterruptedException {
        change("record peer_state 128", "record peer_state 136");
        Run run = generate("--check", layout, folder);
        assertEquals(2, run.exit, run.output);
        // The fault shows where the record ends: at the line that opens the next one.
        assertTrue(run.output.contains(layout + ":" + lineOf("record peer_identity") + ": record peer_state says 136 bytes"), run.output);
    }

    @Test
    void shouldNameTheLineOfAFieldOffItsAlignment() throws IOException, InterruptedException {
        change("  u32 version            \"layout version", "  u16 version            \"layout version");
        Run run = generate("--check", layout, folder);
        assertEquals(2, run.exit, run.output);
        assertTrue(run.output.contains(layout + ":" + lineOf("u32 fingerprint") + ": header.fingerprint would lie at 10"), run.output);
    }

    @Test
    void shouldNameTheLineThatItCannotRead() throws IOException, InterruptedException {
        change("record point 8", "recrod point 8");
        Run run = generate("--check", layout, folder);
        assertEquals(2, run.exit, run.output);
        assertTrue(run.output.contains(layout + ":" + lineOf("recrod point 8") + ": expected"), run.output);
    }

    @Test
    void shouldWriteTheSameOutputsAgain() throws IOException, InterruptedException {
        for (String output : OUTPUTS) {
            Files.delete(folder.resolve(output));
        }
        assertEquals(0, generate(layout, folder).exit);
        for (String output : OUTPUTS) {
            String expected = Files.readString(ROOT.resolve(output)).replace("layout/zone.layout", "");
            assertEquals(expected, Files.readString(folder.resolve(output)).replace("layout/zone.layout", ""));
        }
    }
}
