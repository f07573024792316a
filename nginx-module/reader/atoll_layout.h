/* Written by layout/Generate.java from layout/zone.layout. Change that file, not this one. */
#ifndef ATOLL_LAYOUT_H
#define ATOLL_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the zone is little-endian");
_Static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, "plain words");

#define ATOLL_LAYOUT_VERSION UINT32_C(0x00010000)
#define ATOLL_LAYOUT_VERSION_TEXT "1.0.0"
#define ATOLL_LAYOUT_FINGERPRINT UINT32_C(0x0e35e416)
#define ATOLL_MAGIC UINT64_C(0x314c4c4f5441000a) /* first word of a zone file */
#define ATOLL_READY UINT64_C(0x59444145525a544c) /* the ready word of a zone that is whole */
#define ATOLL_REQUEST_MAGIC UINT64_C(0x51524c4c4f54410a) /* first word of a compile request */
#define ATOLL_FOREVER UINT64_C(0xffffffffffffffff) /* a lease that never ends */
#define ATOLL_POINTS_PER_WEIGHT UINT32_C(160) /* ring points of one server for each unit of weight (nginx: hash consistent) */
#define ATOLL_MAGLEV_ENTRIES UINT32_C(65537) /* entries of a Maglev table: points of one ring at most, a prime */
#define ATOLL_BOUND_LEAST UINT32_C(101) /* bound_percent, at least */
#define ATOLL_BOUND_MOST UINT32_C(1000) /* bound_percent, at most */
#define ATOLL_CACHE_LINE UINT32_C(64) /* bytes */
#define ATOLL_UPSTREAM_CAPACITY UINT32_C(64) /* upstreams in one zone */
#define ATOLL_ROW_CAPACITY UINT32_C(64) /* worker processes that can be counted at the same time */
#define ATOLL_EXPECT_CAPACITY UINT32_C(8) /* ranges in a probe's list of expected statuses */
#define ATOLL_SAMPLE_CAPACITY UINT32_C(256) /* keys that a worker's row remembers, a power of two */
#define ATOLL_HOT_CAPACITY UINT32_C(64) /* hot keys of one upstream at a time */
#define ATOLL_REPLICAS_LIMIT UINT32_C(16) /* owners of a hot key, at most */
#define ATOLL_HOT_LEASE_LIMIT_MS UINT32_C(600000) /* a hot set that claims to last longer than this is not believed */
#define ATOLL_PURGE_PREFIX_CAPACITY UINT32_C(256) /* bytes of the longest prefix that can be purged */
#define ATOLL_AVOID_LIMIT_MS UINT32_C(20000) /* a peer_state.avoid_until_ms further ahead than this is not believed */

/* What attaching to a zone file answers. */
enum {
    ATOLL_ATTACH_OK = 0, /* the zone can be used */
    ATOLL_ATTACH_AWAIT_READY = 1, /* being created: the ready word is not there yet; try again */
    ATOLL_ATTACH_BAD_MAGIC = 2, /* not a zone file */
    ATOLL_ATTACH_VERSION_MISMATCH = 3, /* made by a release with another major or minor version of the layout */
    ATOLL_ATTACH_LAYOUT_MISMATCH = 4, /* same version, other layout fingerprint: a build of something else */
    ATOLL_ATTACH_TRUNCATED = 5, /* the file is shorter than its header, or than its header says */
    ATOLL_ATTACH_OUT_OF_BOUNDS = 6, /* a section or table lies outside the file, or overlaps the header */
    ATOLL_ATTACH_COUNT_ = 7
};

/* Why a peer gets no traffic: the index of its word in peer_state.reason. */
enum {
    ATOLL_REASON_ADMIN = 0, /* an operator's drain or maintenance; stands until lifted */
    ATOLL_REASON_PROBE = 1, /* this node's probes */
    ATOLL_REASON_QUORUM = 2, /* the agents' common view */
    ATOLL_REASON_PASSIVE = 3, /* failed real requests, counted by the workers */
    ATOLL_REASON_COUNT_ = 4
};

/* Life of an upstream's entry. */
enum {
    ATOLL_UPSTREAM_STATE_FREE = 0, /* never used */
    ATOLL_UPSTREAM_STATE_USED = 1, /* declared in the running nginx.conf */
    ATOLL_UPSTREAM_STATE_RETIRED = 2, /* was declared in an earlier nginx.conf */
    ATOLL_UPSTREAM_STATE_COUNT_ = 3
};

/* Life of a slot. */
enum {
    ATOLL_PEER_LIFE_VACANT = 0, /* never used */
    ATOLL_PEER_LIFE_MEMBER = 1, /* belongs to a published table */
    ATOLL_PEER_LIFE_FORMER = 2, /* belonged to one; keeps its name and reasons until the slot is needed */
    ATOLL_PEER_LIFE_COUNT_ = 3
};

/* What atoll_probe sends. */
enum {
    ATOLL_PROBE_KIND_NONE = 0, /* no probe declared */
    ATOLL_PROBE_KIND_TCP = 1, /* connect, and close */
    ATOLL_PROBE_KIND_HTTP = 2, /* GET, and look at status and body */
    ATOLL_PROBE_KIND_COUNT_ = 3
};

/* Bits of peer_identity.flags and compile_peer.flags; a table_peer has DOWN, and BACKUP, PREVIOUS or EARLIER, and MAGLEV by its ring, only. */
enum {
    ATOLL_PEER_FLAG_DOWN = 1, /* `down` in nginx.conf */
    ATOLL_PEER_FLAG_BACKUP = 2, /* `backup` in nginx.conf, or of a server added at run time */
    ATOLL_PEER_FLAG_REMOVED = 4, /* taken out at run time: in no present ring, unless no other primary server would be left */
    ATOLL_PEER_FLAG_ADDED = 8, /* added at run time: nginx.conf does not name it */
    ATOLL_PEER_FLAG_WEIGHTED = 16, /* its weight was set at run time */
    ATOLL_PEER_FLAG_PREVIOUS = 32, /* of the previous ring; the same server may be a present one too. Not in peer_identity.flags */
    ATOLL_PEER_FLAG_EARLIER = 64, /* of the earlier ring, in the same way */
    ATOLL_PEER_FLAG_MAGLEV = 128, /* the points of its ring are those of maglev. In a compile_peer of the previous and the earlier ring only. Not in peer_identity.flags */
    ATOLL_PEER_FLAG_COUNT_ = 8
};

/* What a purge speaks of: part of the hash of its text. */
enum {
    ATOLL_PURGE_KIND_EXACT = 0, /* one key */
    ATOLL_PURGE_KIND_PREFIX = 1, /* all keys that begin with a text */
    ATOLL_PURGE_KIND_SITE = 2, /* all keys of a host */
    ATOLL_PURGE_KIND_COUNT_ = 3
};

/* What the purge section can be believed for. */
enum {
    ATOLL_PURGES_LOADED_NO = 0, /* an agent has yet to say which purges stand: no copy of before may be used */
    ATOLL_PURGES_LOADED_YES = 1, /* all purges that the agents know are here, and an agent brings what comes */
    ATOLL_PURGES_LOADED_AGED = 2, /* as YES, until an agent that began anew has asked the others what it missed */
    ATOLL_PURGES_LOADED_COUNT_ = 3
};

/* The rings of a table. Requests go to peers of the first two, the present ones. */
enum {
    ATOLL_RING_PRIMARY = 0, /* servers without `backup` */
    ATOLL_RING_BACKUPS = 1, /* servers with `backup`: asked when no primary is eligible or left */
    ATOLL_RING_PREVIOUS = 2, /* who owned the keys before the last change of members, for handover; empty when there is nothing previous */
    ATOLL_RING_EARLIER = 3, /* who owned them before the first of several changes in a row; empty when there was one */
    ATOLL_RING_COUNT_ = 4
};

/* How the points of an upstream's rings are placed. */
enum {
    ATOLL_METHOD_KETAMA = 0, /* weight x POINTS_PER_WEIGHT points for each server, as nginx's hash consistent */
    ATOLL_METHOD_MAGLEV = 1, /* a Maglev table of MAGLEV_ENTRIES entries, a point at the end of each run of equal ones */
    ATOLL_METHOD_COUNT_ = 2
};

/* First bytes of the zone file. */
typedef struct {
    uint64_t magic; /* MAGIC */
    uint32_t version; /* layout version: major << 16 | minor << 8 | patch */
    uint32_t fingerprint; /* of the layout file, see LAYOUT_FINGERPRINT */
    uint64_t length; /* bytes of the whole file */
    uint8_t boot_id[16]; /* of the kernel that wrote the file; leases of another boot mean nothing */
    uint64_t created_ms; /* CLOCK_MONOTONIC milliseconds */
    uint64_t upstreams_offset; /* bytes from the file's start to the upstream records */
    uint32_t upstreams_capacity; /* records */
    uint32_t peers_capacity; /* slots: peer_state and peer_identity records */
    uint64_t states_offset; /* bytes, to the peer_state records */
    uint64_t identities_offset; /* bytes, to the peer_identity records */
    uint64_t rows_offset; /* bytes, to the worker rows */
    uint32_t rows_capacity; /* rows */
    uint32_t row_size; /* bytes from one row to the next */
    uint64_t tables_offset; /* bytes, to the table heap */
    uint64_t tables_length; /* bytes */
    uint64_t hot_sets_offset; /* bytes, to the hot_set records, upstreams_capacity of them */
    uint8_t reserved_120[8];
    _Atomic uint64_t ready; /* READY once everything above is written; stored last, with release */
    uint8_t reserved_136[56];
    _Atomic uint64_t epoch; /* counts published tables, over all upstreams; stored after the table it counts */
    _Atomic uint64_t config_epoch; /* counts the nginx configurations published here (start, reload) */
    _Atomic uint64_t replaced; /* not 0: another file has taken this one's place at the same path; attach again */
    _Atomic uint64_t started_ms; /* CLOCK_MONOTONIC milliseconds at which this node's nginx was started (not reloaded, not upgraded) */
    uint8_t reserved_224[32];
    _Atomic uint64_t master_pid; /* the nginx master that owns the file */
    _Atomic uint64_t master_start; /* its start time, field 22 of /proc/PID/stat (clock ticks since boot) */
    uint8_t reserved_272[48];
    _Atomic uint64_t agent_pid; /* the agent that writes verdicts */
    _Atomic uint64_t agent_epoch; /* counts the agents that attached; an agent that finds another value stops writing */
    _Atomic uint64_t agent_heartbeat_ms; /* CLOCK_MONOTONIC milliseconds of its last heartbeat */
    _Atomic uint64_t agent_start; /* its start time, as master_start */
    uint8_t reserved_352[32];
    uint32_t node_length; /* bytes of node; 0 when not known */
    uint32_t node_reserved; /* zero */
    uint8_t node[256]; /* name of this node, UTF-8 (atoll_node, or the peer with a local address) */
    uint8_t reserved_648[56];
    uint64_t purges_offset; /* bytes, to the purges record, behind which its purge_set records lie */
    uint32_t purge_sets; /* purge_set records, a power of two; 0: no purges in this file */
    uint32_t purges_reserved; /* zero */
    uint8_t reserved_720[3376];
} atoll_header_record_t;

_Static_assert(offsetof(atoll_header_record_t, magic) == 0, "header.magic");
_Static_assert(offsetof(atoll_header_record_t, version) == 8, "header.version");
_Static_assert(offsetof(atoll_header_record_t, fingerprint) == 12, "header.fingerprint");
_Static_assert(offsetof(atoll_header_record_t, length) == 16, "header.length");
_Static_assert(offsetof(atoll_header_record_t, boot_id) == 24, "header.boot_id");
_Static_assert(offsetof(atoll_header_record_t, created_ms) == 40, "header.created_ms");
_Static_assert(offsetof(atoll_header_record_t, upstreams_offset) == 48, "header.upstreams_offset");
_Static_assert(offsetof(atoll_header_record_t, upstreams_capacity) == 56, "header.upstreams_capacity");
_Static_assert(offsetof(atoll_header_record_t, peers_capacity) == 60, "header.peers_capacity");
_Static_assert(offsetof(atoll_header_record_t, states_offset) == 64, "header.states_offset");
_Static_assert(offsetof(atoll_header_record_t, identities_offset) == 72, "header.identities_offset");
_Static_assert(offsetof(atoll_header_record_t, rows_offset) == 80, "header.rows_offset");
_Static_assert(offsetof(atoll_header_record_t, rows_capacity) == 88, "header.rows_capacity");
_Static_assert(offsetof(atoll_header_record_t, row_size) == 92, "header.row_size");
_Static_assert(offsetof(atoll_header_record_t, tables_offset) == 96, "header.tables_offset");
_Static_assert(offsetof(atoll_header_record_t, tables_length) == 104, "header.tables_length");
_Static_assert(offsetof(atoll_header_record_t, hot_sets_offset) == 112, "header.hot_sets_offset");
_Static_assert(offsetof(atoll_header_record_t, reserved_120) == 120, "header.reserved_120");
_Static_assert(offsetof(atoll_header_record_t, ready) == 128, "header.ready");
_Static_assert(offsetof(atoll_header_record_t, reserved_136) == 136, "header.reserved_136");
_Static_assert(offsetof(atoll_header_record_t, epoch) == 192, "header.epoch");
_Static_assert(offsetof(atoll_header_record_t, config_epoch) == 200, "header.config_epoch");
_Static_assert(offsetof(atoll_header_record_t, replaced) == 208, "header.replaced");
_Static_assert(offsetof(atoll_header_record_t, started_ms) == 216, "header.started_ms");
_Static_assert(offsetof(atoll_header_record_t, reserved_224) == 224, "header.reserved_224");
_Static_assert(offsetof(atoll_header_record_t, master_pid) == 256, "header.master_pid");
_Static_assert(offsetof(atoll_header_record_t, master_start) == 264, "header.master_start");
_Static_assert(offsetof(atoll_header_record_t, reserved_272) == 272, "header.reserved_272");
_Static_assert(offsetof(atoll_header_record_t, agent_pid) == 320, "header.agent_pid");
_Static_assert(offsetof(atoll_header_record_t, agent_epoch) == 328, "header.agent_epoch");
_Static_assert(offsetof(atoll_header_record_t, agent_heartbeat_ms) == 336, "header.agent_heartbeat_ms");
_Static_assert(offsetof(atoll_header_record_t, agent_start) == 344, "header.agent_start");
_Static_assert(offsetof(atoll_header_record_t, reserved_352) == 352, "header.reserved_352");
_Static_assert(offsetof(atoll_header_record_t, node_length) == 384, "header.node_length");
_Static_assert(offsetof(atoll_header_record_t, node_reserved) == 388, "header.node_reserved");
_Static_assert(offsetof(atoll_header_record_t, node) == 392, "header.node");
_Static_assert(offsetof(atoll_header_record_t, reserved_648) == 648, "header.reserved_648");
_Static_assert(offsetof(atoll_header_record_t, purges_offset) == 704, "header.purges_offset");
_Static_assert(offsetof(atoll_header_record_t, purge_sets) == 712, "header.purge_sets");
_Static_assert(offsetof(atoll_header_record_t, purges_reserved) == 716, "header.purges_reserved");
_Static_assert(offsetof(atoll_header_record_t, reserved_720) == 720, "header.reserved_720");
_Static_assert(sizeof(atoll_header_record_t) == 4096, "header");

/* An upstream with `atoll`, as nginx.conf declares it. */
typedef struct {
    _Atomic uint64_t published; /* epoch << 1 | buffer of the active table; 0 before the first; one store, with release */
    uint8_t reserved_8[56];
    _Atomic uint32_t state; /* upstream_state */
    uint32_t name_length; /* bytes */
    uint8_t name[128]; /* as in `upstream NAME` */
    uint64_t buffer_offset[2]; /* bytes from the file's start to each of the two table buffers */
    uint64_t buffer_capacity; /* bytes of one buffer */
    uint32_t slow_start_ms; /* atoll_slow_start; 0 off */
    uint32_t panic_percent; /* atoll_panic: guard when fewer than this share of the peers is eligible; 0 off */
    uint32_t handover_ms; /* atoll_handover: how long after a change the former owner of a key is asked for it; 0 off */
    uint32_t probe_kind; /* probe_kind */
    uint32_t probe_tls; /* 1: over TLS */
    uint32_t probe_port; /* 1-65535; 0: the peer's own */
    uint32_t probe_interval_ms; /* between two probes of a peer */
    uint32_t probe_timeout_ms; /* of a whole probe */
    uint32_t probe_rise; /* successes in a row that make a down peer up */
    uint32_t probe_fall; /* failures in a row that make an up peer down */
    uint32_t probe_expect_count; /* ranges in probe_expect */
    uint32_t probe_uri_length; /* bytes */
    uint32_t probe_match_length; /* bytes; 0: any body */
    uint32_t probe_host_length; /* bytes; 0: the server's name */
    uint16_t probe_expect[16]; /* pairs first, last: statuses that count as success */
    uint8_t probe_uri[512]; /* request target of an HTTP probe */
    uint8_t probe_match[256]; /* bytes that the first 64 KiB of the body must contain */
    uint8_t probe_host[256]; /* Host header and TLS server name */
    uint32_t replicas; /* owners of a hot key at most, 2 to REPLICAS_LIMIT; 0: each key has one */
    uint32_t method; /* method */
    uint32_t bound_percent; /* bounded load: a peer's fair share of the requests in flight x this is its bound; 101-1000; 0 off */
    uint32_t file_line; /* line of the upstream in nginx.conf, for messages */
    uint32_t file_length; /* bytes of file */
    uint8_t file[256]; /* path of the nginx.conf that declares it */
    uint8_t reserved_1612[436];
} atoll_upstream_record_t;

_Static_assert(offsetof(atoll_upstream_record_t, published) == 0, "upstream.published");
_Static_assert(offsetof(atoll_upstream_record_t, reserved_8) == 8, "upstream.reserved_8");
_Static_assert(offsetof(atoll_upstream_record_t, state) == 64, "upstream.state");
_Static_assert(offsetof(atoll_upstream_record_t, name_length) == 68, "upstream.name_length");
_Static_assert(offsetof(atoll_upstream_record_t, name) == 72, "upstream.name");
_Static_assert(offsetof(atoll_upstream_record_t, buffer_offset) == 200, "upstream.buffer_offset");
_Static_assert(offsetof(atoll_upstream_record_t, buffer_capacity) == 216, "upstream.buffer_capacity");
_Static_assert(offsetof(atoll_upstream_record_t, slow_start_ms) == 224, "upstream.slow_start_ms");
_Static_assert(offsetof(atoll_upstream_record_t, panic_percent) == 228, "upstream.panic_percent");
_Static_assert(offsetof(atoll_upstream_record_t, handover_ms) == 232, "upstream.handover_ms");
_Static_assert(offsetof(atoll_upstream_record_t, probe_kind) == 236, "upstream.probe_kind");
_Static_assert(offsetof(atoll_upstream_record_t, probe_tls) == 240, "upstream.probe_tls");
_Static_assert(offsetof(atoll_upstream_record_t, probe_port) == 244, "upstream.probe_port");
_Static_assert(offsetof(atoll_upstream_record_t, probe_interval_ms) == 248, "upstream.probe_interval_ms");
_Static_assert(offsetof(atoll_upstream_record_t, probe_timeout_ms) == 252, "upstream.probe_timeout_ms");
_Static_assert(offsetof(atoll_upstream_record_t, probe_rise) == 256, "upstream.probe_rise");
_Static_assert(offsetof(atoll_upstream_record_t, probe_fall) == 260, "upstream.probe_fall");
_Static_assert(offsetof(atoll_upstream_record_t, probe_expect_count) == 264, "upstream.probe_expect_count");
_Static_assert(offsetof(atoll_upstream_record_t, probe_uri_length) == 268, "upstream.probe_uri_length");
_Static_assert(offsetof(atoll_upstream_record_t, probe_match_length) == 272, "upstream.probe_match_length");
_Static_assert(offsetof(atoll_upstream_record_t, probe_host_length) == 276, "upstream.probe_host_length");
_Static_assert(offsetof(atoll_upstream_record_t, probe_expect) == 280, "upstream.probe_expect");
_Static_assert(offsetof(atoll_upstream_record_t, probe_uri) == 312, "upstream.probe_uri");
_Static_assert(offsetof(atoll_upstream_record_t, probe_match) == 824, "upstream.probe_match");
_Static_assert(offsetof(atoll_upstream_record_t, probe_host) == 1080, "upstream.probe_host");
_Static_assert(offsetof(atoll_upstream_record_t, replicas) == 1336, "upstream.replicas");
_Static_assert(offsetof(atoll_upstream_record_t, method) == 1340, "upstream.method");
_Static_assert(offsetof(atoll_upstream_record_t, bound_percent) == 1344, "upstream.bound_percent");
_Static_assert(offsetof(atoll_upstream_record_t, file_line) == 1348, "upstream.file_line");
_Static_assert(offsetof(atoll_upstream_record_t, file_length) == 1352, "upstream.file_length");
_Static_assert(offsetof(atoll_upstream_record_t, file) == 1356, "upstream.file");
_Static_assert(offsetof(atoll_upstream_record_t, reserved_1612) == 1612, "upstream.reserved_1612");
_Static_assert(sizeof(atoll_upstream_record_t) == 2048, "upstream");

/* Head of the purges. A purge has a number, greater than all before it; a key's generation is the greatest that concerns it. */
typedef struct {
    _Atomic uint64_t loaded; /* purges_loaded */
    _Atomic uint64_t nonce; /* while loaded is NO: what stands for the generation of every key; another each time */
    _Atomic uint64_t all; /* number of the last purge of everything; 0 none */
    _Atomic uint64_t last; /* greatest number in force here; 0: nothing was ever purged; stored last, with release */
    _Atomic uint64_t lengths[4]; /* bit n - 1: a prefix of n bytes was purged */
    _Atomic uint64_t since_ms; /* CLOCK_MONOTONIC milliseconds since when loaded is NO */
    uint8_t reserved_72[56];
} atoll_purges_record_t;

_Static_assert(offsetof(atoll_purges_record_t, loaded) == 0, "purges.loaded");
_Static_assert(offsetof(atoll_purges_record_t, nonce) == 8, "purges.nonce");
_Static_assert(offsetof(atoll_purges_record_t, all) == 16, "purges.all");
_Static_assert(offsetof(atoll_purges_record_t, last) == 24, "purges.last");
_Static_assert(offsetof(atoll_purges_record_t, lengths) == 32, "purges.lengths");
_Static_assert(offsetof(atoll_purges_record_t, since_ms) == 64, "purges.since_ms");
_Static_assert(offsetof(atoll_purges_record_t, reserved_72) == 72, "purges.reserved_72");
_Static_assert(sizeof(atoll_purges_record_t) == 128, "purges");

/* Purges whose hash has this set's index in its low bits. The oldest of a full set goes into floor. */
typedef struct {
    _Atomic uint64_t floor; /* concerns whatever is looked for in this set; 0 none */
    _Atomic uint64_t hash[7]; /* of kind and text, see atoll_purge_hash(); 0: vacant */
    uint8_t reserved_64[8];
    _Atomic uint64_t number[7]; /* by place in hash; 0 none */
} atoll_purge_set_record_t;

_Static_assert(offsetof(atoll_purge_set_record_t, floor) == 0, "purge_set.floor");
_Static_assert(offsetof(atoll_purge_set_record_t, hash) == 8, "purge_set.hash");
_Static_assert(offsetof(atoll_purge_set_record_t, reserved_64) == 64, "purge_set.reserved_64");
_Static_assert(offsetof(atoll_purge_set_record_t, number) == 72, "purge_set.number");
_Static_assert(sizeof(atoll_purge_set_record_t) == 128, "purge_set");

/* What changes about a peer, by slot. Hot: first line read for every request. */
typedef struct {
    _Atomic uint64_t reason[4]; /* CLOCK_MONOTONIC millisecond until which the reason stands; 0 never, FOREVER always */
    _Atomic uint64_t incarnation; /* changes whenever the slot is given to another peer; words of another incarnation mean nothing */
    _Atomic uint64_t ramp_start_ms; /* when the present ramp began; 0 none */
    _Atomic uint64_t changed_ms; /* when an operator took the peer out of traffic or let it back, or a probe or quorum verdict was lifted; 0 never */
    uint8_t reserved_56[8];
    _Atomic uint64_t accessed_ms; /* last failed request (nginx: peer->accessed) */
    _Atomic uint64_t checked_ms; /* last failure or first try after fail_timeout (nginx: peer->checked) */
    _Atomic uint32_t fails; /* failed requests since the last success (nginx: peer->fails) */
    uint8_t reserved_84[4];
    _Atomic uint64_t avoid_until_ms; /* until when no worker asks it for a copy of before, since such a question failed; once past, one request tries; 0 none failed */
    _Atomic uint64_t unanswered; /* such questions since its last answer: CLOCK_MONOTONIC millisecond of the first << 16 | how many; 0 none */
    uint8_t reserved_104[24];
} atoll_peer_state_record_t;

_Static_assert(offsetof(atoll_peer_state_record_t, reason) == 0, "peer_state.reason");
_Static_assert(offsetof(atoll_peer_state_record_t, incarnation) == 32, "peer_state.incarnation");
_Static_assert(offsetof(atoll_peer_state_record_t, ramp_start_ms) == 40, "peer_state.ramp_start_ms");
_Static_assert(offsetof(atoll_peer_state_record_t, changed_ms) == 48, "peer_state.changed_ms");
_Static_assert(offsetof(atoll_peer_state_record_t, reserved_56) == 56, "peer_state.reserved_56");
_Static_assert(offsetof(atoll_peer_state_record_t, accessed_ms) == 64, "peer_state.accessed_ms");
_Static_assert(offsetof(atoll_peer_state_record_t, checked_ms) == 72, "peer_state.checked_ms");
_Static_assert(offsetof(atoll_peer_state_record_t, fails) == 80, "peer_state.fails");
_Static_assert(offsetof(atoll_peer_state_record_t, reserved_84) == 84, "peer_state.reserved_84");
_Static_assert(offsetof(atoll_peer_state_record_t, avoid_until_ms) == 88, "peer_state.avoid_until_ms");
_Static_assert(offsetof(atoll_peer_state_record_t, unanswered) == 96, "peer_state.unanswered");
_Static_assert(offsetof(atoll_peer_state_record_t, reserved_104) == 104, "peer_state.reserved_104");
_Static_assert(sizeof(atoll_peer_state_record_t) == 128, "peer_state");

/* Who a slot is. Written before the table that refers to it is published. */
typedef struct {
    _Atomic uint32_t state; /* peer_life */
    uint32_t upstream; /* index of its upstream */
    uint64_t incarnation; /* as in peer_state */
    uint64_t retired_epoch; /* config_epoch at which it became FORMER; the oldest is given away first */
    uint32_t ordinal; /* 0, or 1, 2, … for a server and address that an upstream lists again */
    uint32_t flags; /* peer_flag */
    uint32_t weight; /* of the server */
    uint32_t server_length; /* bytes */
    uint8_t server[256]; /* the name in `server NAME`, which places its points */
    uint32_t address_length; /* bytes */
    uint8_t address[160]; /* as nginx prints it: 10.0.0.1:80, [::1]:80, unix:/path */
    uint32_t sockaddr_length; /* bytes */
    uint8_t sockaddr[128]; /* struct sockaddr, as connect() takes it */
    uint32_t conf_weight; /* weight in nginx.conf; 0: nginx.conf does not name the server */
    uint32_t max_conns; /* 0: no limit */
    uint32_t max_fails; /* 0: never passively down */
    uint32_t fail_timeout_ms; /* milliseconds */
    uint8_t reserved_608[160];
} atoll_peer_identity_record_t;

_Static_assert(offsetof(atoll_peer_identity_record_t, state) == 0, "peer_identity.state");
_Static_assert(offsetof(atoll_peer_identity_record_t, upstream) == 4, "peer_identity.upstream");
_Static_assert(offsetof(atoll_peer_identity_record_t, incarnation) == 8, "peer_identity.incarnation");
_Static_assert(offsetof(atoll_peer_identity_record_t, retired_epoch) == 16, "peer_identity.retired_epoch");
_Static_assert(offsetof(atoll_peer_identity_record_t, ordinal) == 24, "peer_identity.ordinal");
_Static_assert(offsetof(atoll_peer_identity_record_t, flags) == 28, "peer_identity.flags");
_Static_assert(offsetof(atoll_peer_identity_record_t, weight) == 32, "peer_identity.weight");
_Static_assert(offsetof(atoll_peer_identity_record_t, server_length) == 36, "peer_identity.server_length");
_Static_assert(offsetof(atoll_peer_identity_record_t, server) == 40, "peer_identity.server");
_Static_assert(offsetof(atoll_peer_identity_record_t, address_length) == 296, "peer_identity.address_length");
_Static_assert(offsetof(atoll_peer_identity_record_t, address) == 300, "peer_identity.address");
_Static_assert(offsetof(atoll_peer_identity_record_t, sockaddr_length) == 460, "peer_identity.sockaddr_length");
_Static_assert(offsetof(atoll_peer_identity_record_t, sockaddr) == 464, "peer_identity.sockaddr");
_Static_assert(offsetof(atoll_peer_identity_record_t, conf_weight) == 592, "peer_identity.conf_weight");
_Static_assert(offsetof(atoll_peer_identity_record_t, max_conns) == 596, "peer_identity.max_conns");
_Static_assert(offsetof(atoll_peer_identity_record_t, max_fails) == 600, "peer_identity.max_fails");
_Static_assert(offsetof(atoll_peer_identity_record_t, fail_timeout_ms) == 604, "peer_identity.fail_timeout_ms");
_Static_assert(offsetof(atoll_peer_identity_record_t, reserved_608) == 608, "peer_identity.reserved_608");
_Static_assert(sizeof(atoll_peer_identity_record_t) == 768, "peer_identity");

/* Head of a worker's row. Row = row, row_upstream[upstreams_capacity], row_peer[peers_capacity]. */
typedef struct {
    _Atomic uint64_t pid; /* owner; claimed with compare-and-set; 0 never used */
    _Atomic uint64_t start; /* its start time, as header.master_start */
    _Atomic uint64_t config_epoch; /* of the configuration it runs */
    uint8_t reserved_24[40];
    _Atomic uint64_t torn; /* lookups repeated because a table changed under them */
    _Atomic uint64_t rejected; /* published tables that did not pass validation */
    _Atomic uint64_t fallbacks; /* picks by stock round robin, for want of a usable table */
    uint8_t reserved_88[104];
    _Atomic uint64_t sampled; /* keys written to samples; sample i is at i modulo SAMPLE_CAPACITY; stored after it, with release */
    uint8_t reserved_200[56];
    _Atomic uint64_t samples[256]; /* index of the upstream << 32 | CRC-32 of the key */
} atoll_row_record_t;

_Static_assert(offsetof(atoll_row_record_t, pid) == 0, "row.pid");
_Static_assert(offsetof(atoll_row_record_t, start) == 8, "row.start");
_Static_assert(offsetof(atoll_row_record_t, config_epoch) == 16, "row.config_epoch");
_Static_assert(offsetof(atoll_row_record_t, reserved_24) == 24, "row.reserved_24");
_Static_assert(offsetof(atoll_row_record_t, torn) == 64, "row.torn");
_Static_assert(offsetof(atoll_row_record_t, rejected) == 72, "row.rejected");
_Static_assert(offsetof(atoll_row_record_t, fallbacks) == 80, "row.fallbacks");
_Static_assert(offsetof(atoll_row_record_t, reserved_88) == 88, "row.reserved_88");
_Static_assert(offsetof(atoll_row_record_t, sampled) == 192, "row.sampled");
_Static_assert(offsetof(atoll_row_record_t, reserved_200) == 200, "row.reserved_200");
_Static_assert(offsetof(atoll_row_record_t, samples) == 256, "row.samples");
_Static_assert(sizeof(atoll_row_record_t) == 2304, "row");

/* What one worker counted for one upstream; all but inflight only ever grow, also from one owner to the next. */
typedef struct {
    _Atomic uint64_t requests; /* requests that asked for a peer */
    _Atomic uint64_t picks; /* peers given, retries included */
    _Atomic uint64_t retries; /* picks after the first of a request */
    _Atomic uint64_t none; /* requests told that no peer is left */
    _Atomic uint64_t passed; /* peers passed over because a reason stood, max_conns or the bound was reached, or a ramp left the key with the next */
    _Atomic uint64_t panics; /* picks made with the mass-failure guard on */
    _Atomic uint64_t failures; /* failed tries reported back */
    _Atomic uint32_t inflight; /* requests at its peers now, counted while bound_percent is not 0; meaningless once the worker is dead */
    _Atomic uint32_t bounded; /* picks that went past a peer at its bound; wraps */
} atoll_row_upstream_record_t;

_Static_assert(offsetof(atoll_row_upstream_record_t, requests) == 0, "row_upstream.requests");
_Static_assert(offsetof(atoll_row_upstream_record_t, picks) == 8, "row_upstream.picks");
_Static_assert(offsetof(atoll_row_upstream_record_t, retries) == 16, "row_upstream.retries");
_Static_assert(offsetof(atoll_row_upstream_record_t, none) == 24, "row_upstream.none");
_Static_assert(offsetof(atoll_row_upstream_record_t, passed) == 32, "row_upstream.passed");
_Static_assert(offsetof(atoll_row_upstream_record_t, panics) == 40, "row_upstream.panics");
_Static_assert(offsetof(atoll_row_upstream_record_t, failures) == 48, "row_upstream.failures");
_Static_assert(offsetof(atoll_row_upstream_record_t, inflight) == 56, "row_upstream.inflight");
_Static_assert(offsetof(atoll_row_upstream_record_t, bounded) == 60, "row_upstream.bounded");
_Static_assert(sizeof(atoll_row_upstream_record_t) == 64, "row_upstream");

/* What one worker counted for one slot. */
typedef struct {
    _Atomic uint32_t inflight; /* requests at this peer now; meaningless once the worker is dead */
    _Atomic uint32_t failures; /* failed tries; wraps */
    _Atomic uint64_t picks; /* times given, retries included */
} atoll_row_peer_record_t;

_Static_assert(offsetof(atoll_row_peer_record_t, inflight) == 0, "row_peer.inflight");
_Static_assert(offsetof(atoll_row_peer_record_t, failures) == 4, "row_peer.failures");
_Static_assert(offsetof(atoll_row_peer_record_t, picks) == 8, "row_peer.picks");
_Static_assert(sizeof(atoll_row_peer_record_t) == 16, "row_peer");

/* The hot keys of an upstream, by its index. Each entry is one word, so none is ever torn; written by the agent. */
typedef struct {
    _Atomic uint64_t until_ms; /* CLOCK_MONOTONIC milliseconds until which the set stands */
    _Atomic uint64_t filter; /* bit (hash >> 26) is set for each entry; 0: the set is empty */
    uint8_t reserved_16[48];
    _Atomic uint64_t entries[64]; /* replicas << 32 | CRC-32 of the key; replicas 0: no entry; 1: copies are kept where they are asked for */
} atoll_hot_set_record_t;

_Static_assert(offsetof(atoll_hot_set_record_t, until_ms) == 0, "hot_set.until_ms");
_Static_assert(offsetof(atoll_hot_set_record_t, filter) == 8, "hot_set.filter");
_Static_assert(offsetof(atoll_hot_set_record_t, reserved_16) == 16, "hot_set.reserved_16");
_Static_assert(offsetof(atoll_hot_set_record_t, entries) == 64, "hot_set.entries");
_Static_assert(sizeof(atoll_hot_set_record_t) == 576, "hot_set");

/* Head of a table: a compiled upstream. Offsets count from the table's start. */
typedef struct {
    _Atomic uint64_t sequence; /* epoch of the content; 0 while it is being written */
    uint64_t length; /* bytes, all of it */
    uint64_t config_epoch; /* of the nginx configuration it belongs to */
    uint32_t checksum; /* CRC-32 of the bytes from the end of this head to length, with every table_peer.slot taken as 0 */
    uint32_t peer_count; /* addresses of the present rings */
    uint64_t peers_offset; /* to table_peer records, by group: peer_count of them, then those of the previous and the earlier ring */
    uint64_t groups_offset; /* to group records: group_count of them, then those of the previous and the earlier ring */
    uint32_t group_count; /* distinct server names in a ring, over the present rings */
    uint32_t single; /* 1: one peer and no backup (nginx: peers->single) */
    uint64_t points_offset[4]; /* of each ring, to point records in order of their hash */
    uint64_t buckets_offset[4]; /* of each ring, to u32 words: bucket_count + 1 of them */
    uint32_t point_count[4]; /* of each ring; 0 an empty ring */
    uint32_t bucket_shift[4]; /* bucket of a hash = hash >> bucket_shift; bucket_count = 1 << (32 - bucket_shift) */
    uint32_t first_group[4]; /* of each ring; the rings follow each other */
    uint32_t ring_groups[4]; /* groups of each ring */
    uint32_t first_peer[4]; /* of each ring; the rings follow each other */
    uint32_t ring_peers[4]; /* peers of each ring */
    uint32_t tries[4]; /* peers of each ring without DOWN (nginx: peers->tries) */
    uint32_t total_weight[4]; /* sum over the peers of each ring */
    uint64_t handover_until_ms; /* CLOCK_MONOTONIC milliseconds until which the previous and the earlier ring count; 0 none; filled in when the table is published */
} atoll_table_record_t;

_Static_assert(offsetof(atoll_table_record_t, sequence) == 0, "table.sequence");
_Static_assert(offsetof(atoll_table_record_t, length) == 8, "table.length");
_Static_assert(offsetof(atoll_table_record_t, config_epoch) == 16, "table.config_epoch");
_Static_assert(offsetof(atoll_table_record_t, checksum) == 24, "table.checksum");
_Static_assert(offsetof(atoll_table_record_t, peer_count) == 28, "table.peer_count");
_Static_assert(offsetof(atoll_table_record_t, peers_offset) == 32, "table.peers_offset");
_Static_assert(offsetof(atoll_table_record_t, groups_offset) == 40, "table.groups_offset");
_Static_assert(offsetof(atoll_table_record_t, group_count) == 48, "table.group_count");
_Static_assert(offsetof(atoll_table_record_t, single) == 52, "table.single");
_Static_assert(offsetof(atoll_table_record_t, points_offset) == 56, "table.points_offset");
_Static_assert(offsetof(atoll_table_record_t, buckets_offset) == 88, "table.buckets_offset");
_Static_assert(offsetof(atoll_table_record_t, point_count) == 120, "table.point_count");
_Static_assert(offsetof(atoll_table_record_t, bucket_shift) == 136, "table.bucket_shift");
_Static_assert(offsetof(atoll_table_record_t, first_group) == 152, "table.first_group");
_Static_assert(offsetof(atoll_table_record_t, ring_groups) == 168, "table.ring_groups");
_Static_assert(offsetof(atoll_table_record_t, first_peer) == 184, "table.first_peer");
_Static_assert(offsetof(atoll_table_record_t, ring_peers) == 200, "table.ring_peers");
_Static_assert(offsetof(atoll_table_record_t, tries) == 216, "table.tries");
_Static_assert(offsetof(atoll_table_record_t, total_weight) == 232, "table.total_weight");
_Static_assert(offsetof(atoll_table_record_t, handover_until_ms) == 248, "table.handover_until_ms");
_Static_assert(sizeof(atoll_table_record_t) == 256, "table");

/* A point of a ring. */
typedef struct {
    uint32_t hash; /* strictly increasing along the ring */
    uint32_t group; /* index of the group that owns the keys up to here */
} atoll_point_record_t;

_Static_assert(offsetof(atoll_point_record_t, hash) == 0, "point.hash");
_Static_assert(offsetof(atoll_point_record_t, group) == 4, "point.group");
_Static_assert(sizeof(atoll_point_record_t) == 8, "point");

/* A server name with its addresses. */
typedef struct {
    uint32_t first_peer; /* index of its first table_peer */
    uint32_t peer_count; /* 1 or more */
    uint32_t share; /* of the hash space, in 2^-32; 0xffffffff for all of it */
    uint32_t ring; /* ring */
} atoll_group_record_t;

_Static_assert(offsetof(atoll_group_record_t, first_peer) == 0, "group.first_peer");
_Static_assert(offsetof(atoll_group_record_t, peer_count) == 4, "group.peer_count");
_Static_assert(offsetof(atoll_group_record_t, share) == 8, "group.share");
_Static_assert(offsetof(atoll_group_record_t, ring) == 12, "group.ring");
_Static_assert(sizeof(atoll_group_record_t) == 16, "group");

/* One address of a server. */
typedef struct {
    uint32_t slot; /* its slot in the zone; filled in when the table is published */
    uint32_t group; /* index of its group */
    uint32_t weight; /* 1 or more */
    uint32_t max_conns; /* 0: no limit */
    uint32_t max_fails; /* 0: never passively down */
    uint32_t fail_timeout_ms; /* see nginx: fail_timeout */
    uint32_t flags; /* peer_flag */
    uint32_t source; /* its place in the upstream's list in the compile request */
} atoll_table_peer_record_t;

_Static_assert(offsetof(atoll_table_peer_record_t, slot) == 0, "table_peer.slot");
_Static_assert(offsetof(atoll_table_peer_record_t, group) == 4, "table_peer.group");
_Static_assert(offsetof(atoll_table_peer_record_t, weight) == 8, "table_peer.weight");
_Static_assert(offsetof(atoll_table_peer_record_t, max_conns) == 12, "table_peer.max_conns");
_Static_assert(offsetof(atoll_table_peer_record_t, max_fails) == 16, "table_peer.max_fails");
_Static_assert(offsetof(atoll_table_peer_record_t, fail_timeout_ms) == 20, "table_peer.fail_timeout_ms");
_Static_assert(offsetof(atoll_table_peer_record_t, flags) == 24, "table_peer.flags");
_Static_assert(offsetof(atoll_table_peer_record_t, source) == 28, "table_peer.source");
_Static_assert(sizeof(atoll_table_peer_record_t) == 32, "table_peer");

/* Head of the region through which the master asks for tables. Offsets count from its start. */
typedef struct {
    uint64_t magic; /* REQUEST_MAGIC */
    uint32_t version; /* as header.version */
    uint32_t fingerprint; /* as header.fingerprint */
    uint64_t length; /* bytes of the region */
    uint32_t upstream_count; /* compile_upstream records */
    uint32_t peer_count; /* compile_peer records, over all upstreams */
    uint64_t upstreams_offset; /* to the compile_upstream records */
    uint64_t peers_offset; /* to the compile_peer records */
    uint64_t output_offset; /* where tables may be written; a multiple of 64 */
    uint64_t output_length; /* bytes */
    uint8_t reserved_64[64];
} atoll_compile_request_record_t;

_Static_assert(offsetof(atoll_compile_request_record_t, magic) == 0, "compile_request.magic");
_Static_assert(offsetof(atoll_compile_request_record_t, version) == 8, "compile_request.version");
_Static_assert(offsetof(atoll_compile_request_record_t, fingerprint) == 12, "compile_request.fingerprint");
_Static_assert(offsetof(atoll_compile_request_record_t, length) == 16, "compile_request.length");
_Static_assert(offsetof(atoll_compile_request_record_t, upstream_count) == 24, "compile_request.upstream_count");
_Static_assert(offsetof(atoll_compile_request_record_t, peer_count) == 28, "compile_request.peer_count");
_Static_assert(offsetof(atoll_compile_request_record_t, upstreams_offset) == 32, "compile_request.upstreams_offset");
_Static_assert(offsetof(atoll_compile_request_record_t, peers_offset) == 40, "compile_request.peers_offset");
_Static_assert(offsetof(atoll_compile_request_record_t, output_offset) == 48, "compile_request.output_offset");
_Static_assert(offsetof(atoll_compile_request_record_t, output_length) == 56, "compile_request.output_length");
_Static_assert(offsetof(atoll_compile_request_record_t, reserved_64) == 64, "compile_request.reserved_64");
_Static_assert(sizeof(atoll_compile_request_record_t) == 128, "compile_request");

/* An upstream to compile. The compiler fills in the table_* fields. */
typedef struct {
    uint64_t name_offset; /* to its name */
    uint32_t name_length; /* bytes */
    uint32_t first_peer; /* index of its first compile_peer */
    uint32_t peer_count; /* primary and backup in the order of nginx.conf, then those of the previous and of the earlier ring in the order they had */
    uint32_t method; /* method */
    uint64_t table_offset; /* to its table, a multiple of 64 */
    uint64_t table_length; /* bytes */
    uint8_t reserved_40[24];
} atoll_compile_upstream_record_t;

_Static_assert(offsetof(atoll_compile_upstream_record_t, name_offset) == 0, "compile_upstream.name_offset");
_Static_assert(offsetof(atoll_compile_upstream_record_t, name_length) == 8, "compile_upstream.name_length");
_Static_assert(offsetof(atoll_compile_upstream_record_t, first_peer) == 12, "compile_upstream.first_peer");
_Static_assert(offsetof(atoll_compile_upstream_record_t, peer_count) == 16, "compile_upstream.peer_count");
_Static_assert(offsetof(atoll_compile_upstream_record_t, method) == 20, "compile_upstream.method");
_Static_assert(offsetof(atoll_compile_upstream_record_t, table_offset) == 24, "compile_upstream.table_offset");
_Static_assert(offsetof(atoll_compile_upstream_record_t, table_length) == 32, "compile_upstream.table_length");
_Static_assert(offsetof(atoll_compile_upstream_record_t, reserved_40) == 40, "compile_upstream.reserved_40");
_Static_assert(sizeof(atoll_compile_upstream_record_t) == 64, "compile_upstream");

/* One address of a server, as nginx resolved it. */
typedef struct {
    uint64_t name_offset; /* to the server's name as nginx.conf has it */
    uint32_t name_length; /* bytes */
    uint32_t weight; /* 1 or more */
    uint32_t max_conns; /* 0: no limit */
    uint32_t max_fails; /* 0: never passively down */
    uint32_t fail_timeout_ms; /* milliseconds */
    uint32_t flags; /* peer_flag */
} atoll_compile_peer_record_t;

_Static_assert(offsetof(atoll_compile_peer_record_t, name_offset) == 0, "compile_peer.name_offset");
_Static_assert(offsetof(atoll_compile_peer_record_t, name_length) == 8, "compile_peer.name_length");
_Static_assert(offsetof(atoll_compile_peer_record_t, weight) == 12, "compile_peer.weight");
_Static_assert(offsetof(atoll_compile_peer_record_t, max_conns) == 16, "compile_peer.max_conns");
_Static_assert(offsetof(atoll_compile_peer_record_t, max_fails) == 20, "compile_peer.max_fails");
_Static_assert(offsetof(atoll_compile_peer_record_t, fail_timeout_ms) == 24, "compile_peer.fail_timeout_ms");
_Static_assert(offsetof(atoll_compile_peer_record_t, flags) == 28, "compile_peer.flags");
_Static_assert(sizeof(atoll_compile_peer_record_t) == 32, "compile_peer");

#endif
