package io.atoll.core.table;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.table.Handover.Previous;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Which ring stays: the cases of tests/cases/handover.txt, which nginx-module/writer/test/test_previous.c reads too. */
class HandoverTest {
    /** "a a*2 !b %c": servers, with their weight after a star, "!" before one that is down, "%" of maglev; "-" for none. */
    private static List<Peer> members(String text) {
        List<Peer> members = new ArrayList<>();
        for (String word : text.equals("-") ? new String[0] : text.split(",")) {
            int flags = word.startsWith("!") ? PeerFlag.DOWN : word.startsWith("%") ? PeerFlag.MAGLEV : 0;
            String[] parts = word.substring(flags != 0 ? 1 : 0).split("\\*");
            Peer peer = new Peer(parts[0], parts.length == 2 ? Integer.parseInt(parts[1]) : 1);
            members.add(peer.withFlags(flags));
        }
        return members;
    }

    @Test
    void shouldKeepTheRingThatTheCasesName() throws IOException {
        int cases = 0;
        for (String line : Files.readAllLines(Path.of(System.getProperty("atoll.root", ".."), "tests/cases/handover.txt"))) {
            if (line.isBlank() || line.startsWith("#")) {
                continue;
            }
            String[] word = line.strip().split("\\s+");
            assertEquals(10, word.length, line);
            Previous older = new Previous(members(word[1]), members(word[2]), Long.parseLong(word[3]));
            Previous expected = new Previous(members(word[7]), members(word[8]), Long.parseLong(word[9]));
            assertEquals(expected, Handover.after(members(word[0]), older, members(word[4]), Long.parseLong(word[5]),
                    Long.parseLong(word[6])), line);
            cases++;
        }
        assertTrue(cases >= 20, cases + " cases");
    }

    @Test
    void shouldRefuseAHandoverOutOfRange() {
        for (long handover : new long[] {-1, Handover.LIMIT_MS + 1}) {
            assertThrows(IllegalArgumentException.class,
                    () -> Handover.after(List.of(), Previous.NONE, List.of(), 0, handover));
        }
    }
}
