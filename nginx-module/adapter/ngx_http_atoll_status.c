/* atoll_status: what this nginx knows of its upstreams, as JSON. docs/reference/directives.md has the fields. */

#include "ngx_http_atoll.h"
#include "../writer/atoll_zone_guard.h"


static ngx_int_t ngx_http_atoll_status_handler(ngx_http_request_t *r);
static u_char *ngx_http_atoll_status_rows(u_char *p, u_char *end, const atoll_zone_t *zone);
static u_char *ngx_http_atoll_status_disks(u_char *p, u_char *end, ngx_http_atoll_main_conf_t *amcf, ngx_log_t *log);
static u_char *ngx_http_atoll_status_upstream(u_char *p, u_char *end, ngx_http_atoll_main_conf_t *amcf,
    ngx_http_atoll_srv_conf_t *ascf);
static u_char *ngx_http_atoll_status_handover(u_char *p, u_char *end, atoll_balancer_t *balancer);
static u_char *ngx_http_atoll_status_peer(u_char *p, u_char *end, atoll_balancer_t *balancer, ngx_uint_t i);


/* Room for a peer: names of up to 416 bytes, each escaped to six, and the rest. */
#define NGX_HTTP_ATOLL_STATUS_PEER      3200
#define NGX_HTTP_ATOLL_STATUS_UPSTREAM  1600
#define NGX_HTTP_ATOLL_STATUS_HEAD      8192
#define NGX_HTTP_ATOLL_STATUS_DISK      128

static const char  *ngx_http_atoll_reasons[] = { "admin", "probe", "quorum", "passive" };


char *
ngx_http_atoll_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_atoll_status_handler;

    return NGX_CONF_OK;
}


static u_char *
ngx_http_atoll_json_string(u_char *p, u_char *end, const void *data, size_t len)
{
    if ((size_t) (end - p) < len * 6 + 2) {
        return p;
    }

    *p++ = '"';
    p = (u_char *) ngx_escape_json(p, (u_char *) data, len);
    *p++ = '"';

    return p;
}


static ngx_int_t
ngx_http_atoll_status_handler(ngx_http_request_t *r)
{
    size_t                        size;
    u_char                       *p, *end;
    uint64_t                      heartbeat;
    ngx_int_t                     rc;
    ngx_buf_t                    *b;
    ngx_uint_t                    i;
    atoll_zone_t                 *zone;
    ngx_http_atoll_disk_t        *disks;
    ngx_http_atoll_srv_conf_t   **ascfp;
    ngx_http_atoll_main_conf_t   *amcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atoll_module);
    ascfp = amcf->upstreams.elts;
    zone = &amcf->writer.zone;

    size = NGX_HTTP_ATOLL_STATUS_HEAD + 6 * (amcf->zone_path.len + amcf->node.len);

    disks = amcf->disks.elts;

    for (i = 0; i < amcf->disks.nelts; i++) {
        size += NGX_HTTP_ATOLL_STATUS_DISK + 6 * disks[i].path.len;
    }

    for (i = 0; i < amcf->upstreams.nelts; i++) {
        (void) (ascfp[i]->balancer.zone && atoll_balancer_refresh(&ascfp[i]->balancer));
        size += NGX_HTTP_ATOLL_STATUS_UPSTREAM + ascfp[i]->balancer.table.all_peers * NGX_HTTP_ATOLL_STATUS_PEER;
    }

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    end = b->end;

    p = ngx_slprintf(b->last, end, "{\"node\":");
    p = ngx_http_atoll_json_string(p, end, amcf->node.data, amcf->node.len);
    p = ngx_slprintf(p, end, ",\"pid\":%P,\"zone\":", ngx_pid);

    if (amcf->committed) {
        heartbeat = atomic_load_explicit(&zone->header->agent_heartbeat_ms, memory_order_relaxed);

        p = ngx_slprintf(p, end, "{\"path\":");
        p = ngx_http_atoll_json_string(p, end, amcf->zone_path.data, amcf->zone_path.len);
        p = ngx_slprintf(p, end, ",\"size\":%uz,\"layout\":\"%s\",\"epoch\":%uL,\"config_epoch\":%uL,\"replaced\":%s,\"lost\":%s",
                         zone->length, ATOLL_LAYOUT_VERSION_TEXT,
                         atomic_load_explicit(&zone->header->epoch, memory_order_relaxed), amcf->writer.config_epoch,
                         atomic_load_explicit(&zone->header->replaced, memory_order_relaxed) ? "true" : "false",
                         atoll_guard_check(zone) ? "true" : "false");
        p = ngx_http_atoll_status_rows(p, end, zone);
        p = ngx_slprintf(p, end, "},\"agent\":");

        if (heartbeat && heartbeat <= ngx_current_msec) {
            p = ngx_slprintf(p, end, "{\"pid\":%uL,\"heartbeat_age_ms\":%uL}",
                             atomic_load_explicit(&zone->header->agent_pid, memory_order_relaxed),
                             ngx_current_msec - heartbeat);
        } else {
            p = ngx_slprintf(p, end, "null");
        }

    } else {
        p = ngx_slprintf(p, end, "null,\"agent\":null");
    }

    p = ngx_http_atoll_status_disks(p, end, amcf, r->connection->log);
    p = ngx_slprintf(p, end, ",\"upstreams\":[");

    for (i = 0; i < amcf->upstreams.nelts; i++) {

        if (i) {
            p = ngx_slprintf(p, end, ",");
        }

        p = ngx_http_atoll_status_upstream(p, end, amcf, ascfp[i]);
    }

    b->last = ngx_slprintf(p, end, "]}\n");

    return ngx_http_atoll_send_json(r, NGX_HTTP_OK, b);
}


ngx_int_t
ngx_http_atoll_send_json(ngx_http_request_t *r, ngx_uint_t status, ngx_buf_t *b)
{
    ngx_int_t    rc;
    ngx_chain_t  out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static u_char *
ngx_http_atoll_status_rows(u_char *p, u_char *end, const atoll_zone_t *zone)
{
    uint64_t                   torn, rejected, fallbacks;
    ngx_uint_t                 i;
    const atoll_row_record_t  *row;

    torn = rejected = fallbacks = 0;

    for (i = 0; i < zone->row_count; i++) {
        row = atoll_zone_row(zone, i).head;

        torn += atomic_load_explicit(&row->torn, memory_order_relaxed);
        rejected += atomic_load_explicit(&row->rejected, memory_order_relaxed);
        fallbacks += atomic_load_explicit(&row->fallbacks, memory_order_relaxed);
    }

    return ngx_slprintf(p, end, ",\"torn\":%uL,\"rejected\":%uL,\"fallbacks\":%uL", torn, rejected, fallbacks);
}


static u_char *
ngx_http_atoll_status_disks(u_char *p, u_char *end, ngx_http_atoll_main_conf_t *amcf, ngx_log_t *log)
{
    uint64_t                free;
    ngx_uint_t              i, low;
    ngx_http_atoll_disk_t  *disks = amcf->disks.elts;

    p = ngx_slprintf(p, end, ",\"disks\":[");

    for (i = 0; i < amcf->disks.nelts; i++) {

        ngx_http_atoll_look_at_disk(&disks[i], log);
        low = ngx_http_atoll_is_disk_low(&disks[i], &free);

        p = ngx_slprintf(p, end, "%s{\"path\":", i ? "," : "");
        p = ngx_http_atoll_json_string(p, end, disks[i].path.data, disks[i].path.len);
        p = ngx_slprintf(p, end, ",\"reserve\":%O,\"free\":%uL,\"low\":%s}", disks[i].reserve, free, low ? "true" : "false");
    }

    return ngx_slprintf(p, end, "]");
}


static u_char *
ngx_http_atoll_status_upstream(u_char *p, u_char *end, ngx_http_atoll_main_conf_t *amcf, ngx_http_atoll_srv_conf_t *ascf)
{
    ngx_uint_t                    i, n;
    atoll_row_t                   row;
    uint64_t                      sum[7];
    atoll_balancer_t             *balancer = &ascf->balancer;
    atoll_row_upstream_record_t  *counters;

    p = ngx_slprintf(p, end, "{\"name\":");
    p = ngx_http_atoll_json_string(p, end, ascf->upstream->host.data, ascf->upstream->host.len);

    if (!balancer->usable) {
        return ngx_slprintf(p, end, ",\"table\":null,\"peers\":[]}");
    }

    ngx_memzero(sum, sizeof(sum));

    for (i = 0; i < balancer->zone->row_count; i++) {
        row = atoll_zone_row(balancer->zone, i);
        counters = &row.upstreams[balancer->upstream];

        sum[0] += atomic_load_explicit(&counters->requests, memory_order_relaxed);
        sum[1] += atomic_load_explicit(&counters->picks, memory_order_relaxed);
        sum[2] += atomic_load_explicit(&counters->retries, memory_order_relaxed);
        sum[3] += atomic_load_explicit(&counters->none, memory_order_relaxed);
        sum[4] += atomic_load_explicit(&counters->passed, memory_order_relaxed);
        sum[5] += atomic_load_explicit(&counters->panics, memory_order_relaxed);
        sum[6] += atomic_load_explicit(&counters->bounded, memory_order_relaxed);
    }

    p = ngx_slprintf(p, end, ",\"method\":\"%s\",\"bound_percent\":%uD,\"table\":{\"epoch\":%uL,\"points\":%uD,"
                     "\"backup_points\":%uD},\"requests\":%uL,\"picks\":%uL,\"retries\":%uL,\"none\":%uL,\"passed\":%uL,"
                     "\"panics\":%uL,\"bounded\":%uL",
                     ascf->settings.method == ATOLL_METHOD_MAGLEV ? "maglev" : "ketama", balancer->bound_percent,
                     balancer->table.sequence, balancer->table.ring[ATOLL_RING_PRIMARY].point_count,
                     balancer->table.ring[ATOLL_RING_BACKUPS].point_count, sum[0], sum[1], sum[2], sum[3], sum[4], sum[5],
                     sum[6]);

    p = ngx_http_atoll_status_handover(p, end, balancer);
    p = ngx_slprintf(p, end, ",\"peers\":[");

    n = balancer->table.peer_count;

    for (i = 0; i < n; i++) {

        if (i) {
            p = ngx_slprintf(p, end, ",");
        }

        p = ngx_http_atoll_status_peer(p, end, balancer, i);
    }

    return ngx_slprintf(p, end, "]}");
}


/* The servers of a ring before. */
static u_char *
ngx_http_atoll_status_ring(u_char *p, u_char *end, atoll_balancer_t *balancer, unsigned ring)
{
    uint32_t       i, first;
    atoll_peer_t  *peer;

    first = balancer->table.ring[ring].first_peer;

    for (i = first; i < first + balancer->table.ring[ring].peer_count; i++) {
        peer = balancer->peers[i];

        p = ngx_slprintf(p, end, "%s{\"server\":", i > first ? "," : "");
        p = ngx_http_atoll_json_string(p, end, peer->server, peer->server_length);
        p = ngx_slprintf(p, end, ",\"address\":");
        p = ngx_http_atoll_json_string(p, end, peer->address, peer->address_length);
        p = ngx_slprintf(p, end, "}");
    }

    return p;
}


/* For how long keys are handed over still, and from whom. */
static u_char *
ngx_http_atoll_status_handover(u_char *p, u_char *end, atoll_balancer_t *balancer)
{
    uint64_t  until = balancer->table.handover_until_ms;

    p = ngx_slprintf(p, end, ",\"handover\":{\"remaining_ms\":%uL,\"previous\":[",
                     until > ngx_current_msec ? until - ngx_current_msec : 0);

    p = ngx_http_atoll_status_ring(p, end, balancer, ATOLL_RING_PREVIOUS);
    p = ngx_slprintf(p, end, "],\"earlier\":[");
    p = ngx_http_atoll_status_ring(p, end, balancer, ATOLL_RING_EARLIER);

    return ngx_slprintf(p, end, "]}");
}


static u_char *
ngx_http_atoll_status_peer(u_char *p, u_char *end, atoll_balancer_t *balancer, ngx_uint_t i)
{
    uint64_t                    picks, until;
    ngx_uint_t                  j, any;
    atoll_row_t                 row;
    atoll_peer_t               *peer = balancer->peers[i];
    atoll_peer_state_record_t  *state;
    atoll_table_peer_record_t   entry = balancer->table.peers[i];

    state = &balancer->zone->states[peer->slot];
    picks = 0;

    for (j = 0; j < balancer->zone->row_count; j++) {
        row = atoll_zone_row(balancer->zone, j);
        picks += atomic_load_explicit(&row.peers[peer->slot].picks, memory_order_relaxed);
    }

    p = ngx_slprintf(p, end, "{\"server\":");
    p = ngx_http_atoll_json_string(p, end, peer->server, peer->server_length);
    p = ngx_slprintf(p, end, ",\"address\":");
    p = ngx_http_atoll_json_string(p, end, peer->address, peer->address_length);
    p = ngx_slprintf(p, end, ",\"weight\":%uD,\"down\":%s,\"backup\":%s,\"origin\":\"%s\",\"reasons\":{", entry.weight,
                     (entry.flags & ATOLL_PEER_FLAG_DOWN) ? "true" : "false",
                     (entry.flags & ATOLL_PEER_FLAG_BACKUP) ? "true" : "false",
                     (balancer->zone->identities[peer->slot].flags & ATOLL_PEER_FLAG_ADDED) ? "run_time" : "nginx.conf");

    any = 0;

    for (j = 0; j < ATOLL_REASON_COUNT_; j++) {

        until = atomic_load_explicit(&state->reason[j], memory_order_relaxed);

        if (until <= ngx_current_msec) {
            continue;
        }

        p = ngx_slprintf(p, end, "%s\"%s\":", any ? "," : "", ngx_http_atoll_reasons[j]);
        p = until == ATOLL_FOREVER ? ngx_slprintf(p, end, "null") : ngx_slprintf(p, end, "%uL", until - ngx_current_msec);
        any = 1;
    }

    return ngx_slprintf(p, end, "},\"fails\":%uD,\"inflight\":%uL,\"picks\":%uL}",
                        atomic_load_explicit(&state->fails, memory_order_relaxed),
                        atoll_zone_inflight(balancer->zone, peer->slot), picks);
}
