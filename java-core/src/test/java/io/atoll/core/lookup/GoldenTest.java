package io.atoll.core.lookup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.atoll.core.ring.Crc32;
import io.atoll.core.table.CompileRequest;
import io.atoll.core.table.CompileRequest.Peer;
import io.atoll.core.table.Table;
import io.atoll.core.tools.RandomUpstreams;
import io.atoll.core.zone.ZoneLayout.PeerFlag;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The walk against what a stock nginx did: tests/golden, recorded by record.sh there. */
class GoldenTest {
    /** Points that stock passes in vain before it goes on by round robin. */
    private static final int STOCK_POINTS = 20;

    private final List<Peer> peers = new ArrayList<>();
    private final List<String> addresses = new ArrayList<>();
    private Table table;
    private Balancer balancer;

    @ParameterizedTest
    @ValueSource(strings = {
        "one", "two", "three", "ten", "hundred", "weights", "names", "unix", "down", "addresses", "repeated"
    })
    void shouldAskTheSamePeersAsNginx(String pool) throws IOException {
        int keys = 0;
        int gaveUp = 0;
        for (String line : Files.readAllLines(Path.of(System.getProperty("atoll.root", ".."), "tests/golden", pool + ".txt"))) {
            String[] words = line.split(" ");
            if (words[0].equals("peer")) {
                int flags = words.length == 5 && words[4].equals("down") ? PeerFlag.DOWN : 0;
                peers.add(new Peer(words[1], Integer.parseInt(words[3]), 0, 0, 10_000, flags));
                addresses.add(words[2]);
            } else if (words[0].equals("key")) {
                keys++;
                gaveUp += askAsRecorded(words) ? 0 : 1;
            }
        }
        assertTrue(keys >= 50, keys + " keys in " + pool);
        assertTrue(gaveUp * 4 < keys, gaveUp + " of " + keys + " keys where stock gave up");
    }

    /** Returns whether stock walked the ring to the end of the line. */
    private boolean askAsRecorded(String[] words) {
        prepare();
        int hash = Integer.parseUnsignedInt(words[2], 16);
        assertEquals(hash, Crc32.of(words[1]));
        Walk walk = Walk.ofKey(hash);
        int start = table.find(hash);
        for (int i = 3; i < words.length; i++) {
            int peer = balancer.pick(walk, 1000);
            int passed = Math.floorMod(walk.point - start, table.pointCount(0));
            if (passed > STOCK_POINTS) {
                return false;
            }
            assertTrue(peer != Walk.NONE, words[1] + ": none at pick " + (i - 2) + ", nginx asked " + words[i]);
            assertEquals(words[i], addresses.get(table.source(peer)), words[1] + ", pick " + (i - 2));
            balancer.done(walk, 1000, true);
        }
        return true;
    }

    private void prepare() {
        if (table == null) {
            ByteBuffer bytes = RandomUpstreams.table(new CompileRequest.Upstream("pool", peers));
            table = Table.open(RandomUpstreams.withSlots(bytes));
            balancer = new Balancer(table, new ArrayWords(peers.size()), 0, 50);
        }
    }
}
