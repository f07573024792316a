/*
 * The balancer as nginx calls it. The choice itself is the reader's (atoll_pick, atoll_done); here are the key, the
 * connection, TLS sessions, and the fallback to stock round robin when the zone has no usable table.
 */

#include "ngx_http_atoll_route.h"
#include "../reader/atoll_crc32.h"
#include "../reader/atoll_fill.h"
#include "../reader/atoll_read.h"
#include "../writer/atoll_zone_guard.h"


static ngx_int_t ngx_http_atoll_init_peer(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_atoll_get_peer(ngx_peer_connection_t *pc, void *data);
static void ngx_http_atoll_free_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t state);
static int ngx_http_atoll_pick_previous(ngx_http_atoll_request_t *ar);
static ngx_uint_t ngx_http_atoll_is_timed_out(ngx_peer_connection_t *pc);
static ngx_uint_t ngx_http_atoll_is_stale_connection(ngx_peer_connection_t *pc, ngx_http_request_t *r);
static void ngx_http_atoll_fail_fill(ngx_http_atoll_request_t *ar, ngx_peer_connection_t *pc, const atoll_peer_t *peer);
static ngx_int_t ngx_http_atoll_fall_back(ngx_http_atoll_request_t *ar, ngx_peer_connection_t *pc);
static ngx_http_atoll_peer_t *ngx_http_atoll_peer(atoll_peer_t *peer, ngx_log_t *log);
static void *ngx_http_atoll_worker_alloc(size_t size, void *data);
static void *ngx_http_atoll_request_alloc(size_t size, void *data);

#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_atoll_set_session(ngx_peer_connection_t *pc, void *data);
static void ngx_http_atoll_save_session(ngx_peer_connection_t *pc, void *data);
#endif


ngx_int_t
ngx_http_atoll_init_upstream(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_atoll_srv_conf_t   *ascf, **ascfp;
    ngx_http_atoll_main_conf_t  *amcf;

    if (ngx_http_upstream_init_round_robin(cf, us) != NGX_OK) {
        return NGX_ERROR;
    }

    us->peer.init = ngx_http_atoll_init_peer;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atoll_module);
    ascf = ngx_http_conf_upstream_srv_conf(us, ngx_http_atoll_module);

    ascf->peers = us->peer.data;

    ascfp = ngx_array_push(&amcf->upstreams);
    if (ascfp == NULL) {
        return NGX_ERROR;
    }

    *ascfp = ascf;
    ascfp = amcf->upstreams.elts;

    do {
        ascf->key_id++;
    } while (ascfp[ascf->key_id - 1]->key.value.len != ascf->key.value.len
             || ngx_memcmp(ascfp[ascf->key_id - 1]->key.value.data, ascf->key.value.data, ascf->key.value.len) != 0);

    return NGX_OK;
}


/* A worker's start. An upstream that is not found in the zone stays on the fallback. */
void
ngx_http_atoll_init_balancers(ngx_http_atoll_main_conf_t *amcf)
{
    int                          index;
    ngx_uint_t                   i;
    atoll_balancer_t            *balancer;
    ngx_http_atoll_srv_conf_t  **ascfp;

    ascfp = amcf->upstreams.elts;

    for (i = 0; i < amcf->upstreams.nelts; i++) {

        balancer = &ascfp[i]->balancer;
        ngx_memzero(balancer, sizeof(atoll_balancer_t));
        ngx_http_atoll_init_fill(ascfp[i]);

        index = atoll_zone_find_upstream(&amcf->writer.zone, ascfp[i]->upstream->host.data, ascfp[i]->upstream->host.len);

        if (index < 0) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "atoll_zone \"%V\": no upstream \"%V\" there; stock round robin serves it",
                          &amcf->zone_path, &ascfp[i]->upstream->host);
            continue;
        }

        balancer->zone = &amcf->writer.zone;
        balancer->row = amcf->row;
        balancer->upstream = index;
        balancer->config_epoch = amcf->writer.config_epoch;
        balancer->name = (const char *) ascfp[i]->upstream->host.data;
        balancer->name_length = ascfp[i]->upstream->host.len;
        balancer->allocate = ngx_http_atoll_worker_alloc;

        /* no request waits for the validation */
        (void) atoll_balancer_refresh(balancer);
    }
}


/* The request's context, made when it is first asked for. */
ngx_http_atoll_ctx_t *
ngx_http_atoll_get_ctx(ngx_http_request_t *r)
{
    ngx_http_atoll_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_atoll_module);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_atoll_ctx_t));
        ngx_http_set_ctx(r, ctx, ngx_http_atoll_module);
    }

    return ctx;
}


ngx_int_t
ngx_http_atoll_make_key(ngx_http_request_t *r, ngx_http_atoll_srv_conf_t *ascf, ngx_http_atoll_key_t *key)
{
    ngx_http_variable_value_t  *value;

    if (ascf->key_index != NGX_ERROR) {

        /* the same as the complex value, without a copy */
        value = ngx_http_get_flushed_variable(r, ascf->key_index);

        ngx_str_set(&key->text, "");

        if (value && !value->not_found && value->len) {
            key->text.data = value->data;
            key->text.len = value->len;
        }

    } else if (ngx_http_complex_value(r, &ascf->key, &key->text) != NGX_OK) {
        return NGX_ERROR;
    }

    key->id = ascf->key_id;
    key->hash = atoll_crc32(key->text.data, key->text.len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atoll_init_peer(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_atoll_key_t        key;
    ngx_http_upstream_t        *u;
    ngx_http_atoll_ctx_t       *ctx;
    ngx_http_atoll_plan_t      *plan;
    ngx_http_atoll_request_t   *ar;
    ngx_http_atoll_srv_conf_t  *ascf;

    ascf = ngx_http_conf_upstream_srv_conf(us, ngx_http_atoll_module);

    ar = ngx_palloc(r->pool, sizeof(ngx_http_atoll_request_t));
    if (ar == NULL) {
        return NGX_ERROR;
    }

    ctx = ngx_http_atoll_get_ctx(r);
    plan = ngx_http_atoll_plan_made(r);

    if (ctx == NULL || ngx_http_atoll_find_key(r, plan, ascf, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0, "atoll key:\"%V\"", &key.text);

    ar->conf = ascf;
    ar->request = r;
    ar->fallback = 0;
    ar->previous = NULL;

    atoll_walk_init(&ar->walk, key.hash, key.text.len != 0);

    ar->walk.allocate = ngx_http_atoll_request_alloc;
    ar->walk.data = r->pool;

    u = r->upstream;

    ctx->request = ar;

    /* in a route the next tier serves sooner than a peer against which something stands; behind the last there is none */
    ar->walk.owner_only = plan && plan->tier < plan->route->origin;
    ar->walk.unguarded = plan && plan->tier + 1 < plan->route->tier_count;

    u->peer.data = ar;
    u->peer.get = ngx_http_atoll_get_peer;
    u->peer.free = ngx_http_atoll_free_peer;
#if (NGX_HTTP_SSL)
    u->peer.set_session = ngx_http_atoll_set_session;
    u->peer.save_session = ngx_http_atoll_save_session;
#endif

    if (ascf->balancer.zone == NULL) {
        return ngx_http_atoll_fall_back(ar, &u->peer);
    }

    if (!ngx_http_atoll_refresh(&ascf->balancer)) {
        atoll_add(ascf->balancer.row.head->fallbacks, 1);
        return ngx_http_atoll_fall_back(ar, &u->peer);
    }

    if (plan && plan->kind == NGX_HTTP_ATOLL_FILL) {
        ar->previous = plan->previous;
        ar->asked_ms = ngx_current_msec;
        u->peer.tries = 1;

        return NGX_OK;
    }

    u->peer.tries = ascf->balancer.table.ring[ATOLL_RING_PRIMARY].tries
                    + ascf->balancer.table.ring[ATOLL_RING_BACKUPS].tries;

    return NGX_OK;
}


int
ngx_http_atoll_refresh(atoll_balancer_t *balancer)
{
    if (atoll_balancer_refresh(balancer)) {
        return 1;
    }

    /* in a zone that was cut or written over there is the copy's table, which was not looked at yet */
    if (!atoll_guard_check(balancer->zone)) {
        return 0;
    }

    balancer->refused = 0;

    return atoll_balancer_refresh(balancer);
}


static ngx_int_t
ngx_http_atoll_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_atoll_request_t  *ar = data;

    atoll_peer_t           *peer;
    ngx_http_atoll_peer_t  *ap;

    if (ar->fallback) {
        return ngx_http_upstream_get_round_robin_peer(pc, &ar->rrp);
    }

    pc->cached = 0;
    pc->connection = NULL;

    switch (ar->previous ? ngx_http_atoll_pick_previous(ar)
                         : atoll_pick(&ar->conf->balancer, &ar->walk, ngx_current_msec))
    {

    case ATOLL_PICK_OK:
        break;

    case ATOLL_PICK_NONE:
        pc->name = &ar->conf->upstream->host;
        return NGX_BUSY;

    default: /* ATOLL_PICK_FALLBACK */

        if (ngx_http_atoll_fall_back(ar, pc) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_upstream_get_round_robin_peer(pc, &ar->rrp);
    }

    ar->conf->fallback = 0;
    peer = ar->walk.peer;

    ap = ngx_http_atoll_peer(peer, pc->log);
    if (ap == NULL) {
        atoll_done(&ar->conf->balancer, &ar->walk, ngx_current_msec, ATOLL_DONE_UNKNOWN);
        return NGX_ERROR;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, pc->log, 0, "atoll peer: \"%V\", hash:%uD, pick:%uD",
                   &ap->name, ar->walk.hash, ar->walk.picks);

    pc->sockaddr = (struct sockaddr *) peer->sockaddr;
    pc->socklen = peer->socklen;
    pc->name = &ap->name;

    return NGX_OK;
}


/* A fill has one peer, and one try. */
static int
ngx_http_atoll_pick_previous(ngx_http_atoll_request_t *ar)
{
    if (ar->walk.picks) {
        return ATOLL_PICK_NONE;
    }

    if (!atoll_give(&ar->conf->balancer, &ar->walk, ar->previous)) {
        atoll_fill_withdrawn(&ar->conf->balancer, ar->previous, ar->asked_ms);
        return ATOLL_PICK_NONE;
    }

    return ATOLL_PICK_OK;
}


static ngx_uint_t
ngx_http_atoll_is_timed_out(ngx_peer_connection_t *pc)
{
    ngx_connection_t  *c = pc->connection;

    return c && (c->read->timedout || c->write->timedout);
}


/*
 * A kept connection that the peer had closed, as it does at each reload: found out by the request that was sent over it, of
 * which no answer came. It says nothing against the peer.
 */
static ngx_uint_t
ngx_http_atoll_is_stale_connection(ngx_peer_connection_t *pc, ngx_http_request_t *r)
{
    return pc->cached && pc->connection && !ngx_http_atoll_is_timed_out(pc)
           && r->upstream->state && r->upstream->state->bytes_received == 0;
}


static void
ngx_http_atoll_free_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t state)
{
    ngx_http_atoll_request_t  *ar = data;

    int                     outcome;
    ngx_uint_t              stale;
    atoll_peer_t           *peer;
    atoll_balancer_t       *balancer;
    ngx_http_atoll_plan_t  *plan;

    if (ar->fallback && ar->walk.peer == NULL) {
        ngx_http_upstream_free_round_robin_peer(pc, &ar->rrp, state);
        return;
    }

    peer = ar->walk.peer;
    balancer = &ar->conf->balancer;

    stale = (state & NGX_PEER_FAILED) && ngx_http_atoll_is_stale_connection(pc, ar->request);

    /* a fill that fails says nothing about the peer's own keys */
    outcome = !(state & NGX_PEER_FAILED) ? ATOLL_DONE_SUCCEEDED
              : ar->previous || stale ? ATOLL_DONE_UNKNOWN : ATOLL_DONE_FAILED;

    atoll_done(balancer, &ar->walk, ngx_current_msec, outcome);

    if (stale) {
        /* nginx gives the try back; a route counts its own. The next connection is another kept one, or new. */
        atoll_walk_again(&ar->walk);
        plan = ngx_http_atoll_plan_made(ar->request);

        if (plan) {
            plan->stale = 1;
        } else if (pc->tries) {
            pc->tries--;
        }

        return;
    }

    if (ar->previous) {

        if (peer && (state & NGX_PEER_FAILED)) {
            ngx_http_atoll_fail_fill(ar, pc, peer);
        }

        pc->tries = 0;
        return;
    }

    if (balancer->table.single) {
        pc->tries = 0;
        return;
    }

    if ((state & NGX_PEER_FAILED) && peer
        && atomic_load_explicit(&balancer->zone->states[peer->slot].reason[ATOLL_REASON_PASSIVE], memory_order_relaxed)
           > ngx_current_msec)
    {
        ngx_log_error(NGX_LOG_WARN, pc->log, 0, "upstream server temporarily disabled");
    }

    if (pc->tries) {
        pc->tries--;
    }
}


/* A time-out tells less than a refusal, or an answer that stands for a failure: one copy may be revalidated at a slow origin. */
static void
ngx_http_atoll_fail_fill(ngx_http_atoll_request_t *ar, ngx_peer_connection_t *pc, const atoll_peer_t *peer)
{
    if (ngx_http_atoll_is_timed_out(pc)) {
        atoll_fill_timed_out(&ar->conf->balancer, peer, ar->asked_ms, ngx_current_msec);

    } else {
        atoll_fill_failed(&ar->conf->balancer, peer, ngx_current_msec);
    }
}


/* Stock weighted round robin over the peers of nginx.conf, from here to the end of the request. */
static ngx_int_t
ngx_http_atoll_fall_back(ngx_http_atoll_request_t *ar, ngx_peer_connection_t *pc)
{
    ngx_http_request_t     *r = ar->request;
    ngx_peer_connection_t   saved;

    if (!ar->conf->fallback) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "atoll: no usable table for upstream \"%V\" in the zone; stock round robin serves until there is one",
                      &ar->conf->upstream->host);
        ar->conf->fallback = 1;
    }

    saved = r->upstream->peer;
    r->upstream->peer.data = &ar->rrp;

    if (ngx_http_upstream_init_round_robin_peer(r, ar->conf->upstream) != NGX_OK) {
        r->upstream->peer = saved;
        return NGX_ERROR;
    }

    if (ar->walk.picks == 0) {
        saved.tries = r->upstream->peer.tries;
    }

    r->upstream->peer = saved;
    ar->fallback = 1;

    return NGX_OK;
}


static ngx_http_atoll_peer_t *
ngx_http_atoll_peer(atoll_peer_t *peer, ngx_log_t *log)
{
    ngx_http_atoll_peer_t  *ap;

    ap = peer->session;

    if (ap == NULL) {
        ap = ngx_calloc(sizeof(ngx_http_atoll_peer_t), log);
        if (ap == NULL) {
            return NULL;
        }

        ap->name.data = (u_char *) peer->address;
        ap->name.len = peer->address_length;
        peer->session = ap;
    }

    return ap;
}


static void *
ngx_http_atoll_worker_alloc(size_t size, void *data)
{
    return ngx_alloc(size, ngx_cycle->log);
}


static void *
ngx_http_atoll_request_alloc(size_t size, void *data)
{
    return ngx_palloc(data, size);
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_atoll_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_atoll_request_t  *ar = data;

    ngx_http_atoll_peer_t  *ap;

    if (ar->walk.peer == NULL) {
        return NGX_OK;
    }

    ap = ar->walk.peer->session;

    if (ap == NULL || ap->ssl_session == NULL) {
        return NGX_OK;
    }

    return ngx_ssl_set_session(pc->connection, ap->ssl_session);
}


static void
ngx_http_atoll_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_atoll_request_t  *ar = data;

    ngx_ssl_session_t      *session;
    ngx_http_atoll_peer_t  *ap;

    if (ar->walk.peer == NULL || ar->walk.peer->session == NULL) {
        return;
    }

    session = ngx_ssl_get_session(pc->connection);

    if (session == NULL) {
        return;
    }

    ap = ar->walk.peer->session;

    if (ap->ssl_session) {
        ngx_ssl_free_session(ap->ssl_session);
    }

    ap->ssl_session = session;
}

#endif
