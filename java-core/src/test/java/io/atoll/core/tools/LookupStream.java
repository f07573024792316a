package io.atoll.core.tools;

import io.atoll.core.table.CompileRequest.Upstream;
import io.atoll.core.table.Table;
import io.atoll.core.zone.ZoneLayout;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;

/**
 * Random tables with what the Java lookup finds in them, as a stream that another implementation of the lookup reads and
 * compares.
 *
 * <pre>
 *   java -cp target/classes:target/test-classes io.atoll.core.tools.LookupStream SEED TABLES KEYS | comparer
 *
 *   stream  = table record, TABLES times; all little-endian u32 but the table itself
 *   record  = table_length  key_count  table[table_length]  lookup[key_count]
 *   lookup  = hash  point_index  group  order[4]
 * </pre>
 *
 * <p>A lookup is on the primary ring: {@code point_index} the first point with a hash no smaller than {@code hash}
 * (wrapped), {@code group} the group of that point (counted over both rings, as in the table), {@code order} the first
 * four different groups along the ring from there, 0xffffffff where there are fewer. Some hashes are those of points, or
 * lie beside them. The same seed gives the same stream.
 */
public final class LookupStream {
    private static final int NONE = 0xffffffff;
    private static final int ORDER = 4;
    private static final int LOOKUP_SIZE = (3 + ORDER) * Integer.BYTES;

    private LookupStream() {}

    /** Arguments: seed, tables, keys for each table. */
    public static void main(String[] args) throws IOException {
        if (args.length != 3) {
            System.err.println("usage: LookupStream SEED TABLES KEYS");
            System.exit(2);
        }
        try (OutputStream out = new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16)) {
            write(out, Long.parseLong(args[0]), Integer.parseInt(args[1]), Integer.parseInt(args[2]));
        }
    }

    /** Writes the stream. */
    static void write(OutputStream out, long seed, int tables, int keys) throws IOException {
        RandomUpstreams upstreams = new RandomUpstreams(seed);
        for (int i = 0; i < tables; i++) {
            // Mostly small pools, where wrapping and exhaustion happen; a large one and a Maglev table now and then.
            Upstream upstream = upstreams.next(i % 10 == 9 ? 300 : 12);
            boolean maglev = i % 40 == 7;
            ByteBuffer bytes = RandomUpstreams.table(
                    maglev ? new Upstream(upstream.name(), upstream.peers(), ZoneLayout.Method.MAGLEV) : upstream);
            Table table = Table.open(bytes);
            byte[] content = new byte[bytes.limit()];
            bytes.get(0, content);
            ByteBuffer head = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putInt(content.length).putInt(keys);
            out.write(head.array());
            out.write(content);
            writeLookups(out, table, upstreams.random(), keys);
        }
    }

    private static void writeLookups(OutputStream out, Table table, Random random, int keys) throws IOException {
        ByteBuffer chunk = ByteBuffer.allocate(1024 * LOOKUP_SIZE).order(ByteOrder.LITTLE_ENDIAN);
        for (int k = 0; k < keys; k++) {
            int hash = hash(table, random);
            int point = table.find(hash);
            chunk.putInt(hash).putInt(point).putInt(table.pointGroup(ZoneLayout.Ring.PRIMARY, point));
            putOrder(chunk, table, point);
            if (!chunk.hasRemaining() || k == keys - 1) {
                out.write(chunk.array(), 0, chunk.position());
                chunk.clear();
            }
        }
    }

    private static int hash(Table table, Random random) {
        int hash = random.nextInt();
        int kind = hash >>> 28;
        if (kind > 2) {
            return hash;
        }
        int point = random.nextInt(table.pointCount(ZoneLayout.Ring.PRIMARY));
        return table.pointHash(ZoneLayout.Ring.PRIMARY, point) + kind - 1;
    }

    private static void putOrder(ByteBuffer chunk, Table table, int first) {
        int[] order = new int[ORDER];
        int found = 0;
        int points = table.pointCount(ZoneLayout.Ring.PRIMARY);
        int most = Math.min(ORDER, table.ringGroups(ZoneLayout.Ring.PRIMARY));
        for (int i = 0; i < points && found < most; i++) {
            int at = first + i;
            int group = table.pointGroup(ZoneLayout.Ring.PRIMARY, at < points ? at : at - points);
            boolean seen = false;
            for (int j = 0; j < found; j++) {
                seen |= order[j] == group;
            }
            if (!seen) {
                order[found++] = group;
            }
        }
        for (int i = 0; i < ORDER; i++) {
            chunk.putInt(i < found ? order[i] : NONE);
        }
    }
}
