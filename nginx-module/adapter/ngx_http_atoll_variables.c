/*
 * $atoll_node            this node's name
 * $atoll_owner           who is asked first for this request's key: in the upstream the request went to, else in the only
 *                        upstream with `atoll`; empty when there are several
 * $atoll_owner_NAME      the same in upstream NAME, with that upstream's key
 * $atoll_generation, $atoll_purge_key  see ngx_http_atoll_purge.c
 *
 * $atoll_no_store        1 where no copy should be kept, else empty: on all but the owner, and where the disk is full
 *
 * of a request that passes to a route:
 *
 * $atoll_tier            the tier it was sent to
 * $atoll_role            what this node is to it: owner, front, relay, outside
 * $atoll_hot, $atoll_bypass  see ngx_http_atoll_hot.c
 * $atoll_step            for "proxy_set_header Atoll-Step"
 * $atoll_cdn_loop        for "proxy_set_header CDN-Loop" (RFC 8586)
 * $atoll_cache_status    for "add_header Cache-Status" (RFC 9211)
 */

#include "ngx_http_atoll_route.h"
#include "../reader/atoll_crc32.h"

#include <ifaddrs.h>


static ngx_int_t ngx_http_atoll_node_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atoll_owner_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atoll_owner_in_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atoll_tier_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atoll_role_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atoll_no_store_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atoll_step_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atoll_cdn_loop_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atoll_cache_status_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_atoll_vars[] = {

    { ngx_string("atoll_node"), NULL, ngx_http_atoll_node_variable, 0, 0, 0 },

    { ngx_string("atoll_owner"), NULL, ngx_http_atoll_owner_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atoll_owner_"), NULL, ngx_http_atoll_owner_in_variable, 0, NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

    { ngx_string("atoll_tier"), NULL, ngx_http_atoll_tier_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atoll_role"), NULL, ngx_http_atoll_role_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atoll_hot"), NULL, ngx_http_atoll_hot_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atoll_bypass"), NULL, ngx_http_atoll_bypass_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atoll_no_store"), NULL, ngx_http_atoll_no_store_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atoll_step"), NULL, ngx_http_atoll_step_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atoll_cdn_loop"), NULL, ngx_http_atoll_cdn_loop_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atoll_cache_status"), NULL, ngx_http_atoll_cache_status_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atoll_generation"), NULL, ngx_http_atoll_generation_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atoll_purge_key"), NULL, ngx_http_atoll_purge_key_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_atoll_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    ngx_http_atoll_hash_headers();

    for (v = ngx_http_atoll_vars; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static void
ngx_http_atoll_set_value(ngx_http_variable_value_t *v, const void *data, size_t len)
{
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = (u_char *) data;
    v->len = len;
}


static ngx_int_t
ngx_http_atoll_node_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_atoll_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atoll_module);

    ngx_http_atoll_set_value(v, amcf->node.data, amcf->node.len);

    return NGX_OK;
}


/* The owner of hash in an upstream, as its server name; not found when no peer is eligible. */
static ngx_int_t
ngx_http_atoll_set_owner(ngx_http_variable_value_t *v, ngx_http_atoll_srv_conf_t *ascf, uint32_t hash)
{
    const atoll_peer_t  *peer;

    peer = ascf->balancer.zone ? atoll_owner(&ascf->balancer, hash, ngx_current_msec, 0) : NULL;

    if (peer == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_http_atoll_set_value(v, peer->server, peer->server_length);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atoll_set_owner_by_key(ngx_http_request_t *r, ngx_http_variable_value_t *v, ngx_http_atoll_srv_conf_t *ascf)
{
    ngx_str_t  key;

    if (ngx_http_complex_value(r, &ascf->key, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    if (key.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_atoll_set_owner(v, ascf, atoll_crc32(key.data, key.len));
}


static ngx_int_t
ngx_http_atoll_owner_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_atoll_ctx_t         *ctx;
    ngx_http_atoll_request_t     *ar;
    ngx_http_atoll_srv_conf_t   **ascfp;
    ngx_http_atoll_main_conf_t   *amcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_atoll_module);
    ar = ctx ? ctx->request : NULL;

    if (ar && ar->walk.keyed) {
        return ngx_http_atoll_set_owner(v, ar->conf, ar->walk.hash);
    }

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atoll_module);

    if (ar || amcf->upstreams.nelts != 1) {
        v->not_found = 1;
        return NGX_OK;
    }

    ascfp = amcf->upstreams.elts;

    return ngx_http_atoll_set_owner_by_key(r, v, ascfp[0]);
}


static ngx_int_t
ngx_http_atoll_owner_in_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  *name = (ngx_str_t *) data;

    size_t                        len;
    u_char                       *p;
    ngx_uint_t                    i;
    ngx_http_atoll_srv_conf_t   **ascfp;
    ngx_http_atoll_main_conf_t   *amcf;

    p = name->data + sizeof("atoll_owner_") - 1;
    len = name->len - (sizeof("atoll_owner_") - 1);

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atoll_module);
    ascfp = amcf->upstreams.elts;

    for (i = 0; i < amcf->upstreams.nelts; i++) {

        if (ascfp[i]->upstream->host.len == len && ngx_strncasecmp(ascfp[i]->upstream->host.data, p, len) == 0) {
            return ngx_http_atoll_set_owner_by_key(r, v, ascfp[i]);
        }
    }

    v->not_found = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atoll_tier_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_atoll_plan_t  *plan;

    plan = ngx_http_atoll_plan(r);

    if (plan == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_http_atoll_set_value(v, plan->route->tiers[plan->tier].name.data, plan->route->tiers[plan->tier].name.len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atoll_role_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_atoll_plan_t  *plan;

    static const char *const  roles[] = { "outside", "front", "owner", "relay", "previous" };

    plan = ngx_http_atoll_plan(r);

    if (plan == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_http_atoll_set_value(v, roles[plan->role], ngx_strlen(roles[plan->role]));

    return NGX_OK;
}


/* A copy that is too old is not made young by being stored anew; who has it brings it up to date behind the client. */
static ngx_uint_t
ngx_http_atoll_stores(ngx_http_atoll_plan_t *plan)
{
    switch (plan->role) {

    case NGX_HTTP_ATOLL_OWNER:
        return !plan->aged && !plan->lacking;

    case NGX_HTTP_ATOLL_FRONT:
        return plan->hot;

    case NGX_HTTP_ATOLL_PREVIOUS:
        return plan->request->background;

    default:
        return 0;
    }
}


static ngx_int_t
ngx_http_atoll_no_store_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_atoll_plan_t  *plan;

    plan = ngx_http_atoll_plan(r);

    if ((plan && !ngx_http_atoll_stores(plan)) || !ngx_http_atoll_has_room(r)) {
        ngx_http_atoll_set_value(v, "1", 1);

    } else {
        ngx_http_atoll_set_value(v, "", 0);
    }

    return NGX_OK;
}


/*
 * Empty, so that no header is sent, for the origin. Whom to ask is settled once the request has a balancer: a log changes nothing about it.
 * Nor does that of a request that was ended while it waited for the cache's lock: nginx logs it when nobody holds it any more.
 */
static ngx_int_t
ngx_http_atoll_step_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_atoll_plan_t  *plan;

    plan = ngx_http_atoll_plan(r);

    if (plan && plan->step == NULL && r->upstream->peer.get == NULL && r->main->count) {
        ngx_http_atoll_consider_fill(plan);
    }

    if (plan == NULL || plan->tier >= plan->route->origin) {
        ngx_http_atoll_set_value(v, "", 0);
        return NGX_OK;
    }

    if (plan->step == NULL) {

        plan->step = ngx_pnalloc(r->pool, NGX_HTTP_ATOLL_STEP_LEN);

        if (plan->step == NULL || ngx_http_atoll_write_step(plan, plan->step) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_http_atoll_set_value(v, plan->step, NGX_HTTP_ATOLL_STEP_LEN);

    return NGX_OK;
}


/* What came, and this node behind it. */
static ngx_int_t
ngx_http_atoll_cdn_loop_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                      *p;
    size_t                       len;
    ngx_uint_t                   i;
    ngx_list_part_t             *part;
    ngx_table_elt_t             *header;
    ngx_http_atoll_ctx_t        *ctx;
    ngx_http_atoll_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atoll_module);
    ctx = ngx_http_get_module_ctx(r, ngx_http_atoll_module);

    if (ctx && ctx->plan && ctx->plan->loops == 0) {
        ngx_http_atoll_set_value(v, amcf->cdn_id.data, amcf->cdn_id.len);
        return NGX_OK;
    }

    len = amcf->cdn_id.len;

    for (part = &r->headers_in.headers.part, i = 0;
         (header = ngx_http_atoll_next_header(&part, &i, &ngx_http_atoll_cdn_loop_header)) != NULL; /* void */ )
    {
        len += header->value.len + 2;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_http_atoll_set_value(v, p, len);

    for (part = &r->headers_in.headers.part, i = 0;
         (header = ngx_http_atoll_next_header(&part, &i, &ngx_http_atoll_cdn_loop_header)) != NULL; /* void */ )
    {
        p = ngx_cpymem(p, header->value.data, header->value.len);
        *p++ = ',';
        *p++ = ' ';
    }

    ngx_memcpy(p, amcf->cdn_id.data, amcf->cdn_id.len);

    return NGX_OK;
}


/* What Cache-Status says of a hit here, made once by a worker. */
static ngx_int_t
ngx_http_atoll_make_status(ngx_http_atoll_main_conf_t *amcf)
{
    u_char  *p;

    p = ngx_pnalloc(amcf->pool, amcf->node.len + sizeof("\"\"; hit") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    amcf->status_hit.data = p;
    amcf->status_hit.len = ngx_sprintf(p, "\"%V\"; hit", &amcf->node) - p;

    return NGX_OK;
}


/* What the next tier said, when it was asked now, and this cache behind it. */
static ngx_int_t
ngx_http_atoll_cache_status_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                      *p;
    ngx_str_t                    above;
    ngx_uint_t                   i, n, hit, status;
    ngx_list_part_t             *part;
    ngx_table_elt_t             *header;
    ngx_http_upstream_t         *u = r->upstream;
    ngx_http_atoll_plan_t       *plan;
    ngx_http_atoll_main_conf_t  *amcf;

    static const ngx_str_t  reasons[] = {
        ngx_string("fwd=bypass"), ngx_string("fwd=miss"), ngx_string("fwd=bypass"), ngx_string("fwd=stale"), ngx_string("fwd=stale"),
        ngx_string("fwd=stale"), ngx_string("fwd=stale"), ngx_string("fwd=miss"), ngx_string("fwd=miss")
    };

    if (u == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atoll_module);

    if (amcf->status_hit.len == 0 && ngx_http_atoll_make_status(amcf) != NGX_OK) {
        return NGX_ERROR;
    }

    hit = 0;
    i = 0;

#if (NGX_HTTP_CACHE)
    i = ngx_min(u->cache_status, 8);
    hit = (u->cache_status == NGX_HTTP_CACHE_HIT || u->cache_status == NGX_HTTP_CACHE_STALE
           || u->cache_status == NGX_HTTP_CACHE_UPDATING);

    if (hit && u->cache_status != NGX_HTTP_CACHE_HIT && r->cache) {

        plan = ngx_http_atoll_plan(r);

        if (plan && plan->role == NGX_HTTP_ATOLL_PREVIOUS) {

            /* too old, which the owner has to know */
            p = ngx_pnalloc(r->pool, amcf->status_hit.len + sizeof("; ttl=") + NGX_TIME_T_LEN);
            if (p == NULL) {
                return NGX_ERROR;
            }

            ngx_http_atoll_set_value(v, p, ngx_sprintf(p, "%V; ttl=%T", &amcf->status_hit,
                                                       ngx_min(r->cache->valid_sec - ngx_time(), -1)) - p);
            return NGX_OK;
        }
    }
#endif

    if (hit) {
        ngx_http_atoll_set_value(v, amcf->status_hit.data, amcf->status_hit.len);
        return NGX_OK;
    }

    ngx_str_null(&above);
    status = u->state ? u->state->status : 0;

    if (status) {

        for (part = &u->headers_in.headers.part, n = 0;
             (header = ngx_http_atoll_next_header(&part, &n, &ngx_http_atoll_cache_status_header)) != NULL; /* void */ )
        {
            above = header->value;
        }
    }

    p = ngx_pnalloc(r->pool, above.len + amcf->status_hit.len + sizeof(", fwd=bypass" NGX_HTTP_ATOLL_NO_ANSWER));
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;

    if (above.len) {
        p = ngx_cpymem(p, above.data, above.len);
        *p++ = ',';
        *p++ = ' ';
    }

    p = ngx_cpymem(p, amcf->status_hit.data, amcf->status_hit.len - (sizeof("hit") - 1));
    p = ngx_cpymem(p, reasons[i].data, reasons[i].len);

    if (status && u->headers_in.status_n) {
        p = ngx_cpymem(p, "; fwd-status=", sizeof("; fwd-status=") - 1);
        *p++ = (u_char) ('0' + status / 100 % 10);
        *p++ = (u_char) ('0' + status / 10 % 10);
        *p++ = (u_char) ('0' + status % 10);

    } else {
        /* nobody answered, or nobody was asked */
        plan = ngx_http_atoll_plan_made(r);

        if (plan && plan->unanswered) {
            p = ngx_cpymem(p, NGX_HTTP_ATOLL_NO_ANSWER, sizeof(NGX_HTTP_ATOLL_NO_ANSWER) - 1);

        } else if (plan && ngx_http_atoll_is_fresh_refusal(plan)) {
            p = ngx_cpymem(p, NGX_HTTP_ATOLL_FRESH, sizeof(NGX_HTTP_ATOLL_FRESH) - 1);
        }
    }

    ngx_http_atoll_set_value(v, v->data, p - v->data);

    return NGX_OK;
}


/* 1: the process listens at the address. addrs: addresses of this host. */
static ngx_uint_t
ngx_http_atoll_is_local(ngx_cycle_t *cycle, struct sockaddr *sockaddr, socklen_t socklen, struct ifaddrs *addrs)
{
    ngx_uint_t        i;
    socklen_t         len;
    ngx_listening_t  *ls;
    struct ifaddrs   *ifa;

    ls = cycle->listening.elts;

    for (i = 0; i < cycle->listening.nelts; i++) {

        if (ngx_cmp_sockaddr(sockaddr, socklen, ls[i].sockaddr, ls[i].socklen, 1) == NGX_OK) {
            return 1;
        }

        if (ls[i].sockaddr->sa_family != sockaddr->sa_family || sockaddr->sa_family == AF_UNIX
            || !ngx_inet_wildcard(ls[i].sockaddr)
            || ngx_inet_get_port(ls[i].sockaddr) != ngx_inet_get_port(sockaddr))
        {
            continue;
        }

        for (ifa = addrs; ifa; ifa = ifa->ifa_next) {

            if (ifa->ifa_addr == NULL || ifa->ifa_addr->sa_family != sockaddr->sa_family) {
                continue;
            }

            len = ifa->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

            if (ngx_cmp_sockaddr(sockaddr, socklen, ifa->ifa_addr, len, 0) == NGX_OK) {
                return 1;
            }
        }
    }

    return 0;
}


/* By its name: the server as nginx.conf has it, with or without its port. */
static ngx_uint_t
ngx_http_atoll_is_named(ngx_str_t *server, ngx_str_t *node)
{
    return server->len >= node->len && ngx_strncasecmp(server->data, node->data, node->len) == 0
           && (server->len == node->len || server->data[node->len] == ':');
}


static void
ngx_http_atoll_free_addrs(void *data)
{
    freeifaddrs(data);
}


/* The addresses of this host, looked up once for a configuration; NULL when that fails, which was logged. */
static struct ifaddrs *
ngx_http_atoll_addrs(ngx_cycle_t *cycle, ngx_http_atoll_main_conf_t *amcf)
{
    ngx_pool_cleanup_t  *cln;

    if (amcf->addrs) {
        return amcf->addrs;
    }

    cln = ngx_pool_cleanup_add(cycle->pool, 0);

    if (cln == NULL || getifaddrs(&amcf->addrs) != 0) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno, "atoll: getifaddrs() failed; set atoll_node");
        amcf->addrs = NULL;
        return NULL;
    }

    cln->handler = ngx_http_atoll_free_addrs;
    cln->data = amcf->addrs;

    return amcf->addrs;
}


/* The server of an upstream that is this node: the one that atoll_node names, else the first whose address it listens on. */
ngx_str_t *
ngx_http_atoll_self_in(ngx_cycle_t *cycle, ngx_http_atoll_main_conf_t *amcf, ngx_http_atoll_srv_conf_t *ascf)
{
    struct ifaddrs               *addrs;
    ngx_http_upstream_rr_peer_t  *peer;

    addrs = ngx_http_atoll_addrs(cycle, amcf);

    for (peer = ascf->peers->peer; peer && amcf->node_given; peer = peer->next) {

        if (ngx_http_atoll_is_named(&peer->server, &amcf->node)) {
            return &peer->server;
        }
    }

    for (peer = ascf->peers->peer; peer && addrs; peer = peer->next) {

        if (ngx_http_atoll_is_local(cycle, peer->sockaddr, peer->socklen, addrs)) {
            return &peer->server;
        }
    }

    return NULL;
}


/*
 * In a worker, where nginx.conf does not name this node as a server of the upstream: whether it was added at run time. By the
 * same rules, over the table in use; two loads as long as that has not changed.
 */
void
ngx_http_atoll_seek_self(ngx_http_atoll_main_conf_t *amcf, ngx_http_atoll_srv_conf_t *ascf)
{
    uint32_t           i, n;
    ngx_str_t          server;
    ngx_uint_t         named;
    atoll_peer_t      *peer;
    atoll_balancer_t  *balancer = &ascf->balancer;

    if (balancer->zone == NULL || !atoll_balancer_refresh(balancer) || balancer->table.published == ascf->self_sought) {
        return;
    }

    ascf->self_sought = balancer->table.published;
    n = balancer->table.ring[ATOLL_RING_PRIMARY].peer_count;

    for (named = amcf->node_given; /* void */ ; named = 0) {

        for (i = 0; i < n; i++) {

            peer = balancer->peers[i];
            server.data = (u_char *) peer->server;
            server.len = peer->server_length;

            if (named ? ngx_http_atoll_is_named(&server, &amcf->node)
                      : amcf->addrs && ngx_http_atoll_is_inet(peer)
                        && ngx_http_atoll_is_local((ngx_cycle_t *) ngx_cycle, (struct sockaddr *) peer->sockaddr,
                                                   peer->socklen, amcf->addrs))
            {
                ascf->self = server;
                return;
            }
        }

        if (!named) {
            return;
        }
    }
}


/* What this node is called: atoll_node, else the first server that is this node, else the host name. */
void
ngx_http_atoll_find_node(ngx_cycle_t *cycle, ngx_http_atoll_main_conf_t *amcf)
{
    ngx_str_t                   *server;
    ngx_uint_t                   i;
    ngx_http_atoll_srv_conf_t  **ascfp;

    amcf->node_given = (amcf->node.len != 0);
    ascfp = amcf->upstreams.elts;

    for (i = 0; i < amcf->upstreams.nelts && amcf->node.len == 0; i++) {

        server = ngx_http_atoll_self_in(cycle, amcf, ascfp[i]);

        if (server) {
            amcf->node = *server;
        }
    }

    if (amcf->node.len == 0) {
        amcf->node = cycle->hostname;
    }
}
