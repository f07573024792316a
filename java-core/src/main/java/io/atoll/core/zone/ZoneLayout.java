// Written by layout/Generate.java from layout/zone.layout. Change that file, not this one.
package io.atoll.core.zone;

/** Layout atoll-zone 1.0.0: where everything lies that Java and C share in memory. Little-endian. */
public final class ZoneLayout {
    private ZoneLayout() {}

    public static final int VERSION = 0x00010000;
    /** Of the layout, texts aside. */
    public static final int FINGERPRINT = 0x0e35e416;
    /** first word of a zone file. */
    public static final long MAGIC = 0x314c4c4f5441000aL;
    /** the ready word of a zone that is whole. */
    public static final long READY = 0x59444145525a544cL;
    /** first word of a compile request. */
    public static final long REQUEST_MAGIC = 0x51524c4c4f54410aL;
    /** a lease that never ends. */
    public static final long FOREVER = 0xffffffffffffffffL;
    /** ring points of one server for each unit of weight (nginx: hash consistent). */
    public static final int POINTS_PER_WEIGHT = 160;
    /** entries of a Maglev table: points of one ring at most, a prime. */
    public static final int MAGLEV_ENTRIES = 65537;
    /** bound_percent, at least. */
    public static final int BOUND_LEAST = 101;
    /** bound_percent, at most. */
    public static final int BOUND_MOST = 1000;
    /** bytes. */
    public static final int CACHE_LINE = 64;
    /** upstreams in one zone. */
    public static final int UPSTREAM_CAPACITY = 64;
    /** worker processes that can be counted at the same time. */
    public static final int ROW_CAPACITY = 64;
    /** ranges in a probe's list of expected statuses. */
    public static final int EXPECT_CAPACITY = 8;
    /** keys that a worker's row remembers, a power of two. */
    public static final int SAMPLE_CAPACITY = 256;
    /** hot keys of one upstream at a time. */
    public static final int HOT_CAPACITY = 64;
    /** owners of a hot key, at most. */
    public static final int REPLICAS_LIMIT = 16;
    /** a hot set that claims to last longer than this is not believed. */
    public static final int HOT_LEASE_LIMIT_MS = 600000;
    /** bytes of the longest prefix that can be purged. */
    public static final int PURGE_PREFIX_CAPACITY = 256;
    /** a peer_state.avoid_until_ms further ahead than this is not believed. */
    public static final int AVOID_LIMIT_MS = 20000;

    /** What attaching to a zone file answers. */
    public static final class Attach {
        private Attach() {}

        /** the zone can be used. */
        public static final int OK = 0;
        /** being created: the ready word is not there yet; try again. */
        public static final int AWAIT_READY = 1;
        /** not a zone file. */
        public static final int BAD_MAGIC = 2;
        /** made by a release with another major or minor version of the layout. */
        public static final int VERSION_MISMATCH = 3;
        /** same version, other layout fingerprint: a build of something else. */
        public static final int LAYOUT_MISMATCH = 4;
        /** the file is shorter than its header, or than its header says. */
        public static final int TRUNCATED = 5;
        /** a section or table lies outside the file, or overlaps the header. */
        public static final int OUT_OF_BOUNDS = 6;
    }

    /** Why a peer gets no traffic: the index of its word in peer_state.reason. */
    public static final class Reason {
        private Reason() {}

        /** an operator's drain or maintenance; stands until lifted. */
        public static final int ADMIN = 0;
        /** this node's probes. */
        public static final int PROBE = 1;
        /** the agents' common view. */
        public static final int QUORUM = 2;
        /** failed real requests, counted by the workers. */
        public static final int PASSIVE = 3;
    }

    /** Life of an upstream's entry. */
    public static final class UpstreamState {
        private UpstreamState() {}

        /** never used. */
        public static final int FREE = 0;
        /** declared in the running nginx.conf. */
        public static final int USED = 1;
        /** was declared in an earlier nginx.conf. */
        public static final int RETIRED = 2;
    }

    /** Life of a slot. */
    public static final class PeerLife {
        private PeerLife() {}

        /** never used. */
        public static final int VACANT = 0;
        /** belongs to a published table. */
        public static final int MEMBER = 1;
        /** belonged to one; keeps its name and reasons until the slot is needed. */
        public static final int FORMER = 2;
    }

    /** What atoll_probe sends. */
    public static final class ProbeKind {
        private ProbeKind() {}

        /** no probe declared. */
        public static final int NONE = 0;
        /** connect, and close. */
        public static final int TCP = 1;
        /** GET, and look at status and body. */
        public static final int HTTP = 2;
    }

    /** Bits of peer_identity.flags and compile_peer.flags; a table_peer has DOWN, and BACKUP, PREVIOUS or EARLIER, and MAGLEV by its ring, only. */
    public static final class PeerFlag {
        private PeerFlag() {}

        /** `down` in nginx.conf. */
        public static final int DOWN = 1;
        /** `backup` in nginx.conf, or of a server added at run time. */
        public static final int BACKUP = 2;
        /** taken out at run time: in no present ring, unless no other primary server would be left. */
        public static final int REMOVED = 4;
        /** added at run time: nginx.conf does not name it. */
        public static final int ADDED = 8;
        /** its weight was set at run time. */
        public static final int WEIGHTED = 16;
        /** of the previous ring; the same server may be a present one too. Not in peer_identity.flags. */
        public static final int PREVIOUS = 32;
        /** of the earlier ring, in the same way. */
        public static final int EARLIER = 64;
        /** the points of its ring are those of maglev. In a compile_peer of the previous and the earlier ring only. Not in peer_identity.flags. */
        public static final int MAGLEV = 128;
    }

    /** What a purge speaks of: part of the hash of its text. */
    public static final class PurgeKind {
        private PurgeKind() {}

        /** one key. */
        public static final int EXACT = 0;
        /** all keys that begin with a text. */
        public static final int PREFIX = 1;
        /** all keys of a host. */
        public static final int SITE = 2;
    }

    /** What the purge section can be believed for. */
    public static final class PurgesLoaded {
        private PurgesLoaded() {}

        /** an agent has yet to say which purges stand: no copy of before may be used. */
        public static final int NO = 0;
        /** all purges that the agents know are here, and an agent brings what comes. */
        public static final int YES = 1;
        /** as YES, until an agent that began anew has asked the others what it missed. */
        public static final int AGED = 2;
    }

    /** The rings of a table. Requests go to peers of the first two, the present ones. */
    public static final class Ring {
        private Ring() {}

        /** servers without `backup`. */
        public static final int PRIMARY = 0;
        /** servers with `backup`: asked when no primary is eligible or left. */
        public static final int BACKUPS = 1;
        /** who owned the keys before the last change of members, for handover; empty when there is nothing previous. */
        public static final int PREVIOUS = 2;
        /** who owned them before the first of several changes in a row; empty when there was one. */
        public static final int EARLIER = 3;
    }

    /** How the points of an upstream's rings are placed. */
    public static final class Method {
        private Method() {}

        /** weight x POINTS_PER_WEIGHT points for each server, as nginx's hash consistent. */
        public static final int KETAMA = 0;
        /** a Maglev table of MAGLEV_ENTRIES entries, a point at the end of each run of equal ones. */
        public static final int MAGLEV = 1;
    }

    /** First bytes of the zone file. */
    public static final class HeaderRecord {
        private HeaderRecord() {}

        public static final int SIZE = 4096;
        /** u64: MAGIC. */
        public static final int MAGIC = 0;
        /** u32: layout version: major << 16 | minor << 8 | patch. */
        public static final int VERSION = 8;
        /** u32: of the layout file, see LAYOUT_FINGERPRINT. */
        public static final int FINGERPRINT = 12;
        /** u64: bytes of the whole file. */
        public static final int LENGTH = 16;
        /** u8[16]: of the kernel that wrote the file; leases of another boot mean nothing. */
        public static final int BOOT_ID = 24;
        public static final int BOOT_ID_ELEMENTS = 16;
        /** u64: CLOCK_MONOTONIC milliseconds. */
        public static final int CREATED_MS = 40;
        /** u64: bytes from the file's start to the upstream records. */
        public static final int UPSTREAMS_OFFSET = 48;
        /** u32: records. */
        public static final int UPSTREAMS_CAPACITY = 56;
        /** u32: slots: peer_state and peer_identity records. */
        public static final int PEERS_CAPACITY = 60;
        /** u64: bytes, to the peer_state records. */
        public static final int STATES_OFFSET = 64;
        /** u64: bytes, to the peer_identity records. */
        public static final int IDENTITIES_OFFSET = 72;
        /** u64: bytes, to the worker rows. */
        public static final int ROWS_OFFSET = 80;
        /** u32: rows. */
        public static final int ROWS_CAPACITY = 88;
        /** u32: bytes from one row to the next. */
        public static final int ROW_SIZE = 92;
        /** u64: bytes, to the table heap. */
        public static final int TABLES_OFFSET = 96;
        /** u64: bytes. */
        public static final int TABLES_LENGTH = 104;
        /** u64: bytes, to the hot_set records, upstreams_capacity of them. */
        public static final int HOT_SETS_OFFSET = 112;
        /** atomic u64: READY once everything above is written; stored last, with release. */
        public static final int READY = 128;
        /** atomic u64: counts published tables, over all upstreams; stored after the table it counts. */
        public static final int EPOCH = 192;
        /** atomic u64: counts the nginx configurations published here (start, reload). */
        public static final int CONFIG_EPOCH = 200;
        /** atomic u64: not 0: another file has taken this one's place at the same path; attach again. */
        public static final int REPLACED = 208;
        /** atomic u64: CLOCK_MONOTONIC milliseconds at which this node's nginx was started (not reloaded, not upgraded). */
        public static final int STARTED_MS = 216;
        /** atomic u64: the nginx master that owns the file. */
        public static final int MASTER_PID = 256;
        /** atomic u64: its start time, field 22 of /proc/PID/stat (clock ticks since boot). */
        public static final int MASTER_START = 264;
        /** atomic u64: the agent that writes verdicts. */
        public static final int AGENT_PID = 320;
        /** atomic u64: counts the agents that attached; an agent that finds another value stops writing. */
        public static final int AGENT_EPOCH = 328;
        /** atomic u64: CLOCK_MONOTONIC milliseconds of its last heartbeat. */
        public static final int AGENT_HEARTBEAT_MS = 336;
        /** atomic u64: its start time, as master_start. */
        public static final int AGENT_START = 344;
        /** u32: bytes of node; 0 when not known. */
        public static final int NODE_LENGTH = 384;
        /** u32: zero. */
        public static final int NODE_RESERVED = 388;
        /** u8[256]: name of this node, UTF-8 (atoll_node, or the peer with a local address). */
        public static final int NODE = 392;
        public static final int NODE_ELEMENTS = 256;
        /** u64: bytes, to the purges record, behind which its purge_set records lie. */
        public static final int PURGES_OFFSET = 704;
        /** u32: purge_set records, a power of two; 0: no purges in this file. */
        public static final int PURGE_SETS = 712;
        /** u32: zero. */
        public static final int PURGES_RESERVED = 716;
    }

    /** An upstream with `atoll`, as nginx.conf declares it. */
    public static final class UpstreamRecord {
        private UpstreamRecord() {}

        public static final int SIZE = 2048;
        /** atomic u64: epoch << 1 | buffer of the active table; 0 before the first; one store, with release. */
        public static final int PUBLISHED = 0;
        /** atomic u32: upstream_state. */
        public static final int STATE = 64;
        /** u32: bytes. */
        public static final int NAME_LENGTH = 68;
        /** u8[128]: as in `upstream NAME`. */
        public static final int NAME = 72;
        public static final int NAME_ELEMENTS = 128;
        /** u64[2]: bytes from the file's start to each of the two table buffers. */
        public static final int BUFFER_OFFSET = 200;
        public static final int BUFFER_OFFSET_ELEMENTS = 2;
        /** u64: bytes of one buffer. */
        public static final int BUFFER_CAPACITY = 216;
        /** u32: atoll_slow_start; 0 off. */
        public static final int SLOW_START_MS = 224;
        /** u32: atoll_panic: guard when fewer than this share of the peers is eligible; 0 off. */
        public static final int PANIC_PERCENT = 228;
        /** u32: atoll_handover: how long after a change the former owner of a key is asked for it; 0 off. */
        public static final int HANDOVER_MS = 232;
        /** u32: probe_kind. */
        public static final int PROBE_KIND = 236;
        /** u32: 1: over TLS. */
        public static final int PROBE_TLS = 240;
        /** u32: 1-65535; 0: the peer's own. */
        public static final int PROBE_PORT = 244;
        /** u32: between two probes of a peer. */
        public static final int PROBE_INTERVAL_MS = 248;
        /** u32: of a whole probe. */
        public static final int PROBE_TIMEOUT_MS = 252;
        /** u32: successes in a row that make a down peer up. */
        public static final int PROBE_RISE = 256;
        /** u32: failures in a row that make an up peer down. */
        public static final int PROBE_FALL = 260;
        /** u32: ranges in probe_expect. */
        public static final int PROBE_EXPECT_COUNT = 264;
        /** u32: bytes. */
        public static final int PROBE_URI_LENGTH = 268;
        /** u32: bytes; 0: any body. */
        public static final int PROBE_MATCH_LENGTH = 272;
        /** u32: bytes; 0: the server's name. */
        public static final int PROBE_HOST_LENGTH = 276;
        /** u16[16]: pairs first, last: statuses that count as success. */
        public static final int PROBE_EXPECT = 280;
        public static final int PROBE_EXPECT_ELEMENTS = 16;
        /** u8[512]: request target of an HTTP probe. */
        public static final int PROBE_URI = 312;
        public static final int PROBE_URI_ELEMENTS = 512;
        /** u8[256]: bytes that the first 64 KiB of the body must contain. */
        public static final int PROBE_MATCH = 824;
        public static final int PROBE_MATCH_ELEMENTS = 256;
        /** u8[256]: Host header and TLS server name. */
        public static final int PROBE_HOST = 1080;
        public static final int PROBE_HOST_ELEMENTS = 256;
        /** u32: owners of a hot key at most, 2 to REPLICAS_LIMIT; 0: each key has one. */
        public static final int REPLICAS = 1336;
        /** u32: method. */
        public static final int METHOD = 1340;
        /** u32: bounded load: a peer's fair share of the requests in flight x this is its bound; 101-1000; 0 off. */
        public static final int BOUND_PERCENT = 1344;
        /** u32: line of the upstream in nginx.conf, for messages. */
        public static final int FILE_LINE = 1348;
        /** u32: bytes of file. */
        public static final int FILE_LENGTH = 1352;
        /** u8[256]: path of the nginx.conf that declares it. */
        public static final int FILE = 1356;
        public static final int FILE_ELEMENTS = 256;
    }

    /** Head of the purges. A purge has a number, greater than all before it; a key's generation is the greatest that concerns it. */
    public static final class PurgesRecord {
        private PurgesRecord() {}

        public static final int SIZE = 128;
        /** atomic u64: purges_loaded. */
        public static final int LOADED = 0;
        /** atomic u64: while loaded is NO: what stands for the generation of every key; another each time. */
        public static final int NONCE = 8;
        /** atomic u64: number of the last purge of everything; 0 none. */
        public static final int ALL = 16;
        /** atomic u64: greatest number in force here; 0: nothing was ever purged; stored last, with release. */
        public static final int LAST = 24;
        /** atomic u64[4]: bit n - 1: a prefix of n bytes was purged. */
        public static final int LENGTHS = 32;
        public static final int LENGTHS_ELEMENTS = 4;
        /** atomic u64: CLOCK_MONOTONIC milliseconds since when loaded is NO. */
        public static final int SINCE_MS = 64;
    }

    /** Purges whose hash has this set's index in its low bits. The oldest of a full set goes into floor. */
    public static final class PurgeSetRecord {
        private PurgeSetRecord() {}

        public static final int SIZE = 128;
        /** atomic u64: concerns whatever is looked for in this set; 0 none. */
        public static final int FLOOR = 0;
        /** atomic u64[7]: of kind and text, see atoll_purge_hash(); 0: vacant. */
        public static final int HASH = 8;
        public static final int HASH_ELEMENTS = 7;
        /** atomic u64[7]: by place in hash; 0 none. */
        public static final int NUMBER = 72;
        public static final int NUMBER_ELEMENTS = 7;
    }

    /** What changes about a peer, by slot. Hot: first line read for every request. */
    public static final class PeerStateRecord {
        private PeerStateRecord() {}

        public static final int SIZE = 128;
        /** atomic u64[4]: CLOCK_MONOTONIC millisecond until which the reason stands; 0 never, FOREVER always. */
        public static final int REASON = 0;
        public static final int REASON_ELEMENTS = 4;
        /** atomic u64: changes whenever the slot is given to another peer; words of another incarnation mean nothing. */
        public static final int INCARNATION = 32;
        /** atomic u64: when the present ramp began; 0 none. */
        public static final int RAMP_START_MS = 40;
        /** atomic u64: when an operator took the peer out of traffic or let it back, or a probe or quorum verdict was lifted; 0 never. */
        public static final int CHANGED_MS = 48;
        /** atomic u64: last failed request (nginx: peer->accessed). */
        public static final int ACCESSED_MS = 64;
        /** atomic u64: last failure or first try after fail_timeout (nginx: peer->checked). */
        public static final int CHECKED_MS = 72;
        /** atomic u32: failed requests since the last success (nginx: peer->fails). */
        public static final int FAILS = 80;
        /** atomic u64: until when no worker asks it for a copy of before, since such a question failed; once past, one request tries; 0 none failed. */
        public static final int AVOID_UNTIL_MS = 88;
        /** atomic u64: such questions since its last answer: CLOCK_MONOTONIC millisecond of the first << 16 | how many; 0 none. */
        public static final int UNANSWERED = 96;
    }

    /** Who a slot is. Written before the table that refers to it is published. */
    public static final class PeerIdentityRecord {
        private PeerIdentityRecord() {}

        public static final int SIZE = 768;
        /** atomic u32: peer_life. */
        public static final int STATE = 0;
        /** u32: index of its upstream. */
        public static final int UPSTREAM = 4;
        /** u64: as in peer_state. */
        public static final int INCARNATION = 8;
        /** u64: config_epoch at which it became FORMER; the oldest is given away first. */
        public static final int RETIRED_EPOCH = 16;
        /** u32: 0, or 1, 2, … for a server and address that an upstream lists again. */
        public static final int ORDINAL = 24;
        /** u32: peer_flag. */
        public static final int FLAGS = 28;
        /** u32: of the server. */
        public static final int WEIGHT = 32;
        /** u32: bytes. */
        public static final int SERVER_LENGTH = 36;
        /** u8[256]: the name in `server NAME`, which places its points. */
        public static final int SERVER = 40;
        public static final int SERVER_ELEMENTS = 256;
        /** u32: bytes. */
        public static final int ADDRESS_LENGTH = 296;
        /** u8[160]: as nginx prints it: 10.0.0.1:80, [::1]:80, unix:/path. */
        public static final int ADDRESS = 300;
        public static final int ADDRESS_ELEMENTS = 160;
        /** u32: bytes. */
        public static final int SOCKADDR_LENGTH = 460;
        /** u8[128]: struct sockaddr, as connect() takes it. */
        public static final int SOCKADDR = 464;
        public static final int SOCKADDR_ELEMENTS = 128;
        /** u32: weight in nginx.conf; 0: nginx.conf does not name the server. */
        public static final int CONF_WEIGHT = 592;
        /** u32: 0: no limit. */
        public static final int MAX_CONNS = 596;
        /** u32: 0: never passively down. */
        public static final int MAX_FAILS = 600;
        /** u32: milliseconds. */
        public static final int FAIL_TIMEOUT_MS = 604;
    }

    /** Head of a worker's row. Row = row, row_upstream[upstreams_capacity], row_peer[peers_capacity]. */
    public static final class RowRecord {
        private RowRecord() {}

        public static final int SIZE = 2304;
        /** atomic u64: owner; claimed with compare-and-set; 0 never used. */
        public static final int PID = 0;
        /** atomic u64: its start time, as header.master_start. */
        public static final int START = 8;
        /** atomic u64: of the configuration it runs. */
        public static final int CONFIG_EPOCH = 16;
        /** atomic u64: lookups repeated because a table changed under them. */
        public static final int TORN = 64;
        /** atomic u64: published tables that did not pass validation. */
        public static final int REJECTED = 72;
        /** atomic u64: picks by stock round robin, for want of a usable table. */
        public static final int FALLBACKS = 80;
        /** atomic u64: keys written to samples; sample i is at i modulo SAMPLE_CAPACITY; stored after it, with release. */
        public static final int SAMPLED = 192;
        /** atomic u64[256]: index of the upstream << 32 | CRC-32 of the key. */
        public static final int SAMPLES = 256;
        public static final int SAMPLES_ELEMENTS = 256;
    }

    /** What one worker counted for one upstream; all but inflight only ever grow, also from one owner to the next. */
    public static final class RowUpstreamRecord {
        private RowUpstreamRecord() {}

        public static final int SIZE = 64;
        /** atomic u64: requests that asked for a peer. */
        public static final int REQUESTS = 0;
        /** atomic u64: peers given, retries included. */
        public static final int PICKS = 8;
        /** atomic u64: picks after the first of a request. */
        public static final int RETRIES = 16;
        /** atomic u64: requests told that no peer is left. */
        public static final int NONE = 24;
        /** atomic u64: peers passed over because a reason stood, max_conns or the bound was reached, or a ramp left the key with the next. */
        public static final int PASSED = 32;
        /** atomic u64: picks made with the mass-failure guard on. */
        public static final int PANICS = 40;
        /** atomic u64: failed tries reported back. */
        public static final int FAILURES = 48;
        /** atomic u32: requests at its peers now, counted while bound_percent is not 0; meaningless once the worker is dead. */
        public static final int INFLIGHT = 56;
        /** atomic u32: picks that went past a peer at its bound; wraps. */
        public static final int BOUNDED = 60;
    }

    /** What one worker counted for one slot. */
    public static final class RowPeerRecord {
        private RowPeerRecord() {}

        public static final int SIZE = 16;
        /** atomic u32: requests at this peer now; meaningless once the worker is dead. */
        public static final int INFLIGHT = 0;
        /** atomic u32: failed tries; wraps. */
        public static final int FAILURES = 4;
        /** atomic u64: times given, retries included. */
        public static final int PICKS = 8;
    }

    /** The hot keys of an upstream, by its index. Each entry is one word, so none is ever torn; written by the agent. */
    public static final class HotSetRecord {
        private HotSetRecord() {}

        public static final int SIZE = 576;
        /** atomic u64: CLOCK_MONOTONIC milliseconds until which the set stands. */
        public static final int UNTIL_MS = 0;
        /** atomic u64: bit (hash >> 26) is set for each entry; 0: the set is empty. */
        public static final int FILTER = 8;
        /** atomic u64[64]: replicas << 32 | CRC-32 of the key; replicas 0: no entry; 1: copies are kept where they are asked for. */
        public static final int ENTRIES = 64;
        public static final int ENTRIES_ELEMENTS = 64;
    }

    /** Head of a table: a compiled upstream. Offsets count from the table's start. */
    public static final class TableRecord {
        private TableRecord() {}

        public static final int SIZE = 256;
        /** atomic u64: epoch of the content; 0 while it is being written. */
        public static final int SEQUENCE = 0;
        /** u64: bytes, all of it. */
        public static final int LENGTH = 8;
        /** u64: of the nginx configuration it belongs to. */
        public static final int CONFIG_EPOCH = 16;
        /** u32: CRC-32 of the bytes from the end of this head to length, with every table_peer.slot taken as 0. */
        public static final int CHECKSUM = 24;
        /** u32: addresses of the present rings. */
        public static final int PEER_COUNT = 28;
        /** u64: to table_peer records, by group: peer_count of them, then those of the previous and the earlier ring. */
        public static final int PEERS_OFFSET = 32;
        /** u64: to group records: group_count of them, then those of the previous and the earlier ring. */
        public static final int GROUPS_OFFSET = 40;
        /** u32: distinct server names in a ring, over the present rings. */
        public static final int GROUP_COUNT = 48;
        /** u32: 1: one peer and no backup (nginx: peers->single). */
        public static final int SINGLE = 52;
        /** u64[4]: of each ring, to point records in order of their hash. */
        public static final int POINTS_OFFSET = 56;
        public static final int POINTS_OFFSET_ELEMENTS = 4;
        /** u64[4]: of each ring, to u32 words: bucket_count + 1 of them. */
        public static final int BUCKETS_OFFSET = 88;
        public static final int BUCKETS_OFFSET_ELEMENTS = 4;
        /** u32[4]: of each ring; 0 an empty ring. */
        public static final int POINT_COUNT = 120;
        public static final int POINT_COUNT_ELEMENTS = 4;
        /** u32[4]: bucket of a hash = hash >> bucket_shift; bucket_count = 1 << (32 - bucket_shift). */
        public static final int BUCKET_SHIFT = 136;
        public static final int BUCKET_SHIFT_ELEMENTS = 4;
        /** u32[4]: of each ring; the rings follow each other. */
        public static final int FIRST_GROUP = 152;
        public static final int FIRST_GROUP_ELEMENTS = 4;
        /** u32[4]: groups of each ring. */
        public static final int RING_GROUPS = 168;
        public static final int RING_GROUPS_ELEMENTS = 4;
        /** u32[4]: of each ring; the rings follow each other. */
        public static final int FIRST_PEER = 184;
        public static final int FIRST_PEER_ELEMENTS = 4;
        /** u32[4]: peers of each ring. */
        public static final int RING_PEERS = 200;
        public static final int RING_PEERS_ELEMENTS = 4;
        /** u32[4]: peers of each ring without DOWN (nginx: peers->tries). */
        public static final int TRIES = 216;
        public static final int TRIES_ELEMENTS = 4;
        /** u32[4]: sum over the peers of each ring. */
        public static final int TOTAL_WEIGHT = 232;
        public static final int TOTAL_WEIGHT_ELEMENTS = 4;
        /** u64: CLOCK_MONOTONIC milliseconds until which the previous and the earlier ring count; 0 none; filled in when the table is published. */
        public static final int HANDOVER_UNTIL_MS = 248;
    }

    /** A point of a ring. */
    public static final class PointRecord {
        private PointRecord() {}

        public static final int SIZE = 8;
        /** u32: strictly increasing along the ring. */
        public static final int HASH = 0;
        /** u32: index of the group that owns the keys up to here. */
        public static final int GROUP = 4;
    }

    /** A server name with its addresses. */
    public static final class GroupRecord {
        private GroupRecord() {}

        public static final int SIZE = 16;
        /** u32: index of its first table_peer. */
        public static final int FIRST_PEER = 0;
        /** u32: 1 or more. */
        public static final int PEER_COUNT = 4;
        /** u32: of the hash space, in 2^-32; 0xffffffff for all of it. */
        public static final int SHARE = 8;
        /** u32: ring. */
        public static final int RING = 12;
    }

    /** One address of a server. */
    public static final class TablePeerRecord {
        private TablePeerRecord() {}

        public static final int SIZE = 32;
        /** u32: its slot in the zone; filled in when the table is published. */
        public static final int SLOT = 0;
        /** u32: index of its group. */
        public static final int GROUP = 4;
        /** u32: 1 or more. */
        public static final int WEIGHT = 8;
        /** u32: 0: no limit. */
        public static final int MAX_CONNS = 12;
        /** u32: 0: never passively down. */
        public static final int MAX_FAILS = 16;
        /** u32: see nginx: fail_timeout. */
        public static final int FAIL_TIMEOUT_MS = 20;
        /** u32: peer_flag. */
        public static final int FLAGS = 24;
        /** u32: its place in the upstream's list in the compile request. */
        public static final int SOURCE = 28;
    }

    /** Head of the region through which the master asks for tables. Offsets count from its start. */
    public static final class CompileRequestRecord {
        private CompileRequestRecord() {}

        public static final int SIZE = 128;
        /** u64: REQUEST_MAGIC. */
        public static final int MAGIC = 0;
        /** u32: as header.version. */
        public static final int VERSION = 8;
        /** u32: as header.fingerprint. */
        public static final int FINGERPRINT = 12;
        /** u64: bytes of the region. */
        public static final int LENGTH = 16;
        /** u32: compile_upstream records. */
        public static final int UPSTREAM_COUNT = 24;
        /** u32: compile_peer records, over all upstreams. */
        public static final int PEER_COUNT = 28;
        /** u64: to the compile_upstream records. */
        public static final int UPSTREAMS_OFFSET = 32;
        /** u64: to the compile_peer records. */
        public static final int PEERS_OFFSET = 40;
        /** u64: where tables may be written; a multiple of 64. */
        public static final int OUTPUT_OFFSET = 48;
        /** u64: bytes. */
        public static final int OUTPUT_LENGTH = 56;
    }

    /** An upstream to compile. The compiler fills in the table_* fields. */
    public static final class CompileUpstreamRecord {
        private CompileUpstreamRecord() {}

        public static final int SIZE = 64;
        /** u64: to its name. */
        public static final int NAME_OFFSET = 0;
        /** u32: bytes. */
        public static final int NAME_LENGTH = 8;
        /** u32: index of its first compile_peer. */
        public static final int FIRST_PEER = 12;
        /** u32: primary and backup in the order of nginx.conf, then those of the previous and of the earlier ring in the order they had. */
        public static final int PEER_COUNT = 16;
        /** u32: method. */
        public static final int METHOD = 20;
        /** u64: to its table, a multiple of 64. */
        public static final int TABLE_OFFSET = 24;
        /** u64: bytes. */
        public static final int TABLE_LENGTH = 32;
    }

    /** One address of a server, as nginx resolved it. */
    public static final class CompilePeerRecord {
        private CompilePeerRecord() {}

        public static final int SIZE = 32;
        /** u64: to the server's name as nginx.conf has it. */
        public static final int NAME_OFFSET = 0;
        /** u32: bytes. */
        public static final int NAME_LENGTH = 8;
        /** u32: 1 or more. */
        public static final int WEIGHT = 12;
        /** u32: 0: no limit. */
        public static final int MAX_CONNS = 16;
        /** u32: 0: never passively down. */
        public static final int MAX_FAILS = 20;
        /** u32: milliseconds. */
        public static final int FAIL_TIMEOUT_MS = 24;
        /** u32: peer_flag. */
        public static final int FLAGS = 28;
    }
}
