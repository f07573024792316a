package io.atoll.core.zone;

import io.atoll.core.zone.ProbeSettings.Kind;
import io.atoll.core.zone.ProbeSettings.StatusRange;
import io.atoll.core.zone.ZoneLayout.PeerIdentityRecord;
import io.atoll.core.zone.ZoneLayout.UpstreamRecord;
import java.util.ArrayList;
import java.util.List;

/** Reads the records that describe upstreams and peers, and refuses what no nginx.conf gives. */
final class ZoneUpstream {
    private ZoneUpstream() {}

    static Upstream read(ZoneMemory memory, int index, int record) {
        String name = text(memory, index, record, "name", UpstreamRecord.NAME_LENGTH, UpstreamRecord.NAME,
                UpstreamRecord.NAME_ELEMENTS);
        int slowStart = memory.plainInt(record + UpstreamRecord.SLOW_START_MS);
        int panic = memory.plainInt(record + UpstreamRecord.PANIC_PERCENT);
        require(slowStart >= 0, index, "slow_start_ms", slowStart);
        require(panic >= 0 && panic <= 100, index, "panic_percent", panic);
        int replicas = memory.plainInt(record + UpstreamRecord.REPLICAS);
        require(replicas >= 0 && replicas <= ZoneLayout.REPLICAS_LIMIT, index, "replicas", replicas);
        int method = memory.plainInt(record + UpstreamRecord.METHOD);
        require(method == ZoneLayout.Method.KETAMA || method == ZoneLayout.Method.MAGLEV, index, "method", method);
        String file = text(memory, index, record, "file", UpstreamRecord.FILE_LENGTH, UpstreamRecord.FILE,
                UpstreamRecord.FILE_ELEMENTS);
        return new Upstream(index, name, slowStart, panic, replicas, method, probe(memory, index, record), file,
                memory.plainInt(record + UpstreamRecord.FILE_LINE));
    }

    private static ProbeSettings probe(ZoneMemory memory, int index, int record) {
        int kind = memory.plainInt(record + UpstreamRecord.PROBE_KIND);
        require(kind >= 0 && kind < Kind.values().length, index, "probe_kind", kind);
        if (kind == Kind.NONE.ordinal()) {
            return ProbeSettings.NONE;
        }
        int port = memory.plainInt(record + UpstreamRecord.PROBE_PORT);
        require(port >= 0 && port <= 65535, index, "probe_port", port);
        return new ProbeSettings(Kind.values()[kind], memory.plainInt(record + UpstreamRecord.PROBE_TLS) == 1, port,
                within(memory, index, record, "probe_interval_ms", UpstreamRecord.PROBE_INTERVAL_MS, ProbeSettings.MAX_MS),
                within(memory, index, record, "probe_timeout_ms", UpstreamRecord.PROBE_TIMEOUT_MS, ProbeSettings.MAX_MS),
                within(memory, index, record, "probe_rise", UpstreamRecord.PROBE_RISE, Integer.MAX_VALUE),
                within(memory, index, record, "probe_fall", UpstreamRecord.PROBE_FALL, Integer.MAX_VALUE),
                expect(memory, index, record),
                text(memory, index, record, "probe_uri", UpstreamRecord.PROBE_URI_LENGTH, UpstreamRecord.PROBE_URI,
                        UpstreamRecord.PROBE_URI_ELEMENTS),
                text(memory, index, record, "probe_match", UpstreamRecord.PROBE_MATCH_LENGTH, UpstreamRecord.PROBE_MATCH,
                        UpstreamRecord.PROBE_MATCH_ELEMENTS),
                text(memory, index, record, "probe_host", UpstreamRecord.PROBE_HOST_LENGTH, UpstreamRecord.PROBE_HOST,
                        UpstreamRecord.PROBE_HOST_ELEMENTS));
    }

    private static List<StatusRange> expect(ZoneMemory memory, int index, int record) {
        int count = memory.plainInt(record + UpstreamRecord.PROBE_EXPECT_COUNT);
        require(count >= 0 && count <= ZoneLayout.EXPECT_CAPACITY, index, "probe_expect_count", count);
        List<StatusRange> ranges = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int pair = memory.plainInt(record + UpstreamRecord.PROBE_EXPECT + i * Integer.BYTES);
            ranges.add(new StatusRange(pair & 0xffff, pair >>> 16));
        }
        return ranges.isEmpty() ? ProbeSettings.NONE.expect() : List.copyOf(ranges);
    }

    private static int within(ZoneMemory memory, int index, int record, String what, int field, int most) {
        int value = memory.plainInt(record + field);
        require(value >= 1 && value <= most, index, what, value);
        return value;
    }

    private static String text(ZoneMemory memory, int index, int record, String what, int lengthField, int field, int capacity) {
        String text = memory.text(record + lengthField, record + field, capacity);
        require(text != null, index, what + "_length", memory.plainInt(record + lengthField));
        return text;
    }

    private static void require(boolean holds, int index, String what, int found) {
        if (!holds) {
            throw new ZoneException("upstream " + index + ": " + what + " is " + Integer.toUnsignedString(found)
                    + ", which no nginx.conf gives");
        }
    }

    /** The peer of an identity record, or null when its lengths are more than it has. */
    static Peer readPeer(ZoneMemory memory, int slot, int record, long incarnation, boolean former) {
        String server = memory.text(record + PeerIdentityRecord.SERVER_LENGTH, record + PeerIdentityRecord.SERVER,
                PeerIdentityRecord.SERVER_ELEMENTS);
        String address = memory.text(record + PeerIdentityRecord.ADDRESS_LENGTH, record + PeerIdentityRecord.ADDRESS,
                PeerIdentityRecord.ADDRESS_ELEMENTS);
        int length = memory.plainInt(record + PeerIdentityRecord.SOCKADDR_LENGTH);
        int upstream = memory.plainInt(record + PeerIdentityRecord.UPSTREAM);
        if (server == null || address == null || upstream < 0 || length < 0 || length > PeerIdentityRecord.SOCKADDR_ELEMENTS) {
            return null;
        }
        return new Peer(slot, incarnation, former, upstream,
                memory.plainInt(record + PeerIdentityRecord.ORDINAL),
                memory.plainInt(record + PeerIdentityRecord.FLAGS),
                memory.plainInt(record + PeerIdentityRecord.WEIGHT),
                server, address, SocketAddresses.decode(memory.copy(record + PeerIdentityRecord.SOCKADDR, length)));
    }
}
