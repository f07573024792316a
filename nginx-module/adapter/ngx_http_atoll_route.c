/*
 * atoll_route: an upstream made of tiers. For each request it picks the tier, delegates to that tier's own balancer, and
 * goes on to the next tier when one has no peer left. Each hop between nodes climbs (design: client < own of a tier < own
 * of the next < … < last tier), so no views of the ring, however different, can make a loop.
 */

#include "ngx_http_atoll_route.h"

#include "../reader/atoll_handover.h"


static ngx_int_t ngx_http_atoll_init_route(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_atoll_init_route_peer(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_atoll_enter_tier(ngx_http_atoll_plan_t *plan);
static ngx_uint_t ngx_http_atoll_tries(ngx_http_atoll_plan_t *plan);
static ngx_int_t ngx_http_atoll_get_route_peer(ngx_peer_connection_t *pc, void *data);
static void ngx_http_atoll_free_route_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t state);
static void ngx_http_atoll_notify_route_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t type);
static void ngx_http_atoll_not_alone(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us);
static ngx_http_upstream_srv_conf_t *ngx_http_atoll_find_upstream(ngx_http_upstream_main_conf_t *umcf, ngx_str_t *name);

#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_atoll_set_route_session(ngx_peer_connection_t *pc, void *data);
static void ngx_http_atoll_save_route_session(ngx_peer_connection_t *pc, void *data);
#endif


/* atoll_route tier tier ...; the last is the origin. A tier may be a variable that names an upstream. */
char *
ngx_http_atoll_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atoll_srv_conf_t  *ascf = conf;

    ngx_str_t                         *value;
    ngx_uint_t                         i;
    ngx_http_atoll_tier_t             *tier;
    ngx_http_atoll_route_t            *route, **routep;
    ngx_http_upstream_server_t        *server;
    ngx_http_atoll_main_conf_t        *amcf;
    ngx_http_upstream_srv_conf_t      *uscf;
    ngx_http_compile_complex_value_t   ccv;

    if (ascf->route) {
        return "is duplicate";
    }

    value = cf->args->elts;
    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    if (cf->args->nelts - 1 > NGX_HTTP_ATOLL_TIERS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"atoll_route\" names %ui tiers: expected up to %d", cf->args->nelts - 1,
                           NGX_HTTP_ATOLL_TIERS);
        return NGX_CONF_ERROR;
    }

    if (uscf->servers->nelts || uscf->peer.init_upstream) {
        ngx_http_atoll_not_alone(cf, uscf);
        return NGX_CONF_ERROR;
    }

    route = ngx_pcalloc(cf->pool, sizeof(ngx_http_atoll_route_t));

    /* nginx wants a server in each upstream; this one has no address */
    server = ngx_array_push(uscf->servers);

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atoll_module);
    routep = ngx_array_push(&amcf->routes);

    if (route == NULL || server == NULL || routep == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(server, sizeof(ngx_http_upstream_server_t));
    server->name = value[0];

    for (i = 1; i < cf->args->nelts; i++) {

        tier = &route->tiers[route->tier_count++];
        tier->name = value[i];

        if (ngx_http_script_variables_count(&value[i]) == 0) {
            continue;
        }

        tier->value = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
        if (tier->value == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        ccv.cf = cf;
        ccv.value = &value[i];
        ccv.complex_value = tier->value;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    route->upstream = uscf;

    *routep = route;
    ascf->route = route;
    uscf->peer.init_upstream = ngx_http_atoll_init_route;
    uscf->flags = NGX_HTTP_UPSTREAM_CREATE;

    return NGX_CONF_OK;
}


static void
ngx_http_atoll_not_alone(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"atoll_route\" must stand alone in upstream \"%V\" in %s:%ui: servers and balancing belong in the upstreams "
                  "that are its tiers", &us->host, us->file_name, us->line);
}


static ngx_int_t
ngx_http_atoll_init_route(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
    us->peer.init = ngx_http_atoll_init_route_peer;

    return NGX_OK;
}


/* Once all upstreams are there: which is each tier? */
ngx_int_t
ngx_http_atoll_init_routes(ngx_conf_t *cf)
{
    ngx_uint_t                       i, j;
    ngx_http_atoll_tier_t           *tier;
    ngx_http_atoll_route_t         **routep, *route;
    ngx_http_atoll_srv_conf_t       *ascf;
    ngx_http_atoll_main_conf_t      *amcf;
    ngx_http_upstream_main_conf_t   *umcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atoll_module);
    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    routep = amcf->routes.elts;

    for (i = 0; i < amcf->routes.nelts; i++) {

        route = routep[i];

        if (route->upstream->servers->nelts > 1 || route->upstream->peer.init_upstream != ngx_http_atoll_init_route) {
            ngx_http_atoll_not_alone(cf, route->upstream);
            return NGX_ERROR;
        }

        for (j = 0; j < route->tier_count; j++) {

            tier = &route->tiers[j];

            if (tier->value) {
                continue;
            }

            tier->upstream = ngx_http_atoll_find_upstream(umcf, &tier->name);

            if (tier->upstream == NULL || tier->upstream->srv_conf == NULL) {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "\"atoll_route\" of upstream \"%V\" in %s:%ui: there is no upstream \"%V\"; expected the name of an "
                              "upstream {} block, or a variable that gives one", &route->upstream->host,
                              route->upstream->file_name, route->upstream->line, &tier->name);
                return NGX_ERROR;
            }

            ascf = ngx_http_conf_upstream_srv_conf(tier->upstream, ngx_http_atoll_module);

            if (ascf->route) {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "\"atoll_route\" of upstream \"%V\" in %s:%ui: tier \"%V\" is a route itself; name its tiers instead",
                              &route->upstream->host, route->upstream->file_name, route->upstream->line, &tier->name);
                return NGX_ERROR;
            }

            tier->atoll = ascf->upstream ? ascf : NULL;

            if (tier->atoll) {
                route->origin = j + 1;
            }
        }

        route->origin = ngx_min(route->origin, route->tier_count - 1);
    }

    return NGX_OK;
}


static ngx_http_upstream_srv_conf_t *
ngx_http_atoll_find_upstream(ngx_http_upstream_main_conf_t *umcf, ngx_str_t *name)
{
    ngx_uint_t                       i;
    ngx_http_upstream_srv_conf_t   **uscfp;

    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (uscfp[i]->host.len == name->len && ngx_strncasecmp(uscfp[i]->host.data, name->data, name->len) == 0) {
            return uscfp[i];
        }
    }

    return NULL;
}


/* Which server of each upstream this node is, where it matters: by atoll_node, else by address. */
void
ngx_http_atoll_find_self(ngx_cycle_t *cycle, ngx_http_atoll_main_conf_t *amcf)
{
    ngx_str_t                   *server;
    ngx_uint_t                   i;
    ngx_http_atoll_srv_conf_t  **ascfp;

    if (amcf->routes.nelts == 0) {
        return;
    }

    /* RFC 8586: a host with its port, or a pseudonym; a node's name is one or the other */
    amcf->cdn_id = amcf->node;

    ascfp = amcf->upstreams.elts;

    for (i = 0; i < amcf->upstreams.nelts; i++) {

        server = ngx_http_atoll_self_in(cycle, amcf, ascfp[i]);

        if (server) {
            ascfp[i]->self = *server;
        }
    }
}


static ngx_http_atoll_route_t *
ngx_http_atoll_route_of(ngx_http_request_t *r)
{
    ngx_uint_t                    i;
    ngx_http_upstream_t          *u = r->upstream;
    ngx_http_atoll_route_t      **routep;
    ngx_http_atoll_main_conf_t   *amcf;

    if (u == NULL || u->conf == NULL) {
        return NULL;
    }

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atoll_module);
    routep = amcf->routes.elts;

    for (i = 0; i < amcf->routes.nelts; i++) {

        if (u->resolved == NULL) {

            if (u->conf->upstream == routep[i]->upstream) {
                return routep[i];
            }

        } else if (u->resolved->host.len == routep[i]->upstream->host.len
                   && ngx_strncasecmp(u->resolved->host.data, routep[i]->upstream->host.data, u->resolved->host.len) == 0)
        {
            return routep[i];
        }
    }

    return NULL;
}


static ngx_http_upstream_srv_conf_t *
ngx_http_atoll_tier_upstream(ngx_http_request_t *r, ngx_http_atoll_tier_t *tier)
{
    ngx_str_t                       name;
    ngx_http_upstream_srv_conf_t   *us;

    if (tier->upstream) {
        return tier->upstream;
    }

    if (ngx_http_complex_value(r, tier->value, &name) != NGX_OK) {
        return NULL;
    }

    us = ngx_http_atoll_find_upstream(ngx_http_get_module_main_conf(r, ngx_http_upstream_module), &name);

    if (us == NULL || us->srv_conf == NULL
        || ((ngx_http_atoll_srv_conf_t *) ngx_http_conf_upstream_srv_conf(us, ngx_http_atoll_module))->route)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "atoll_route: \"%V\" gives \"%V\", which is no upstream that can be a tier",
                      &tier->name, &name);
        return NULL;
    }

    return us;
}


/* Sets self_tier and self: the first tier that this node is in, also one that a variable names for this request. */
static void
ngx_http_atoll_place_self(ngx_http_atoll_plan_t *plan)
{
    ngx_uint_t                      i;
    ngx_http_atoll_tier_t          *tier;
    ngx_http_atoll_srv_conf_t      *ascf;
    ngx_http_atoll_main_conf_t     *amcf;
    ngx_http_upstream_srv_conf_t   *us;

    plan->self_tier = NGX_HTTP_ATOLL_NO_TIER;
    amcf = ngx_http_get_module_main_conf(plan->request, ngx_http_atoll_module);

    for (i = 0; i < plan->route->origin; i++) {

        tier = &plan->route->tiers[i];
        ascf = tier->atoll;

        if (tier->value) {
            us = ngx_http_atoll_tier_upstream(plan->request, tier);
            ascf = us ? ngx_http_conf_upstream_srv_conf(us, ngx_http_atoll_module) : NULL;
        }

        if (ascf && ascf->self.len == 0) {
            ngx_http_atoll_seek_self(amcf, ascf);
        }

        if (ascf && ascf->self.len) {
            plan->self_tier = i;
            plan->self = ascf;
            return;
        }
    }
}


/* Whether the peer is this node. */
static ngx_uint_t
ngx_http_atoll_is_this_node(ngx_http_atoll_plan_t *plan, const atoll_peer_t *peer)
{
    return peer->server_length == plan->self->self.len
           && ngx_memcmp(peer->server, plan->self->self.data, peer->server_length) == 0;
}


/* Whether this node is the first choice for the request's key in its own tier. */
static ngx_uint_t
ngx_http_atoll_is_owner(ngx_http_atoll_plan_t *plan)
{
    const atoll_peer_t    *peer;
    ngx_http_atoll_key_t   key;

    if (plan->self_tier == NGX_HTTP_ATOLL_NO_TIER) {
        return 0;
    }

    if (plan->self->balancer.zone == NULL || ngx_http_atoll_find_key(plan->request, plan, plan->self, &key) != NGX_OK) {
        return 1;
    }

    plan->hash = key.hash;

    peer = atoll_undisputed_owner(&plan->self->balancer, key.hash, ngx_current_msec);

    if (peer && ngx_http_atoll_is_this_node(plan, peer)) {
        plan->owner = peer;
        return 1;
    }

    if (peer == NULL) {
        peer = atoll_owner(&plan->self->balancer, key.hash, ngx_current_msec, 1);

        if (peer == NULL || ngx_http_atoll_is_this_node(plan, peer)) {
            return 1;
        }
    }

    if (atoll_has_returned(&plan->self->balancer, peer, ngx_current_msec)) {
        plan->kind = NGX_HTTP_ATOLL_RETURNED;
    }

    return 0;
}


/* The first tier that may be asked, and as what this node acts. Requests that no cache keeps go up, not sideways. */
static void
ngx_http_atoll_make_plan(ngx_http_atoll_plan_t *plan)
{
    ngx_uint_t               last, owner;
    ngx_http_request_t      *r = plan->request;
    ngx_http_atoll_route_t  *route = plan->route;

    last = route->tier_count - 1;

    ngx_http_atoll_place_self(plan);

    owner = ngx_http_atoll_is_owner(plan);

    ngx_http_atoll_read_headers(plan);

    if (plan->received != NGX_HTTP_ATOLL_NO_TIER) {
        plan->role = plan->received_kind == NGX_HTTP_ATOLL_FILL ? NGX_HTTP_ATOLL_PREVIOUS
                     : owner && plan->received == plan->self_tier ? NGX_HTTP_ATOLL_OWNER : NGX_HTTP_ATOLL_RELAY;
        plan->tier = ngx_min(plan->received + 1, last);

    } else if (plan->self_tier == NGX_HTTP_ATOLL_NO_TIER) {
        plan->role = NGX_HTTP_ATOLL_OUTSIDE;
        plan->tier = 0;

    } else if (owner) {
        plan->role = NGX_HTTP_ATOLL_OWNER;
        plan->tier = ngx_min(plan->self_tier + 1, last);

    } else {
        plan->role = NGX_HTTP_ATOLL_FRONT;
        plan->tier = (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) ? plan->self_tier : ngx_min(plan->self_tier + 1, last);
    }

    ngx_http_atoll_look_hot(plan);

    if (plan->tier != plan->self_tier) {
        plan->kind = NGX_HTTP_ATOLL_OWN;
    }

    if (plan->received == NGX_HTTP_ATOLL_NO_TIER) {

        /* the climb keeps nodes from a loop; this one leads through something that hands no step on */
        plan->named = plan->loops ? ngx_http_atoll_count_loops(r) : 0;

        if (plan->named) {
            plan->tier = ngx_max(plan->tier, route->origin);
        }
    }
}


ngx_http_atoll_plan_t *
ngx_http_atoll_plan(ngx_http_request_t *r)
{
    ngx_http_atoll_ctx_t    *ctx;
    ngx_http_atoll_plan_t   *plan;
    ngx_http_atoll_route_t  *route;

    ctx = ngx_http_get_module_ctx(r, ngx_http_atoll_module);

    if (ctx && ctx->plan) {
        return ctx->plan;
    }

    route = ngx_http_atoll_route_of(r);
    if (route == NULL) {
        return NULL;
    }

    /* with the context behind it, if there is none */
    plan = ngx_pcalloc(r->pool, sizeof(ngx_http_atoll_plan_t) + (ctx ? 0 : sizeof(ngx_http_atoll_ctx_t)));
    if (plan == NULL) {
        return NULL;
    }

    if (ctx == NULL) {
        ctx = (ngx_http_atoll_ctx_t *) (plan + 1);
        ngx_http_set_ctx(r, ctx, ngx_http_atoll_module);
    }

    plan->route = route;
    plan->request = r;

    ngx_http_atoll_make_plan(plan);

    ctx->plan = plan;

    return plan;
}


static ngx_uint_t
ngx_http_atoll_tier_tries(ngx_http_atoll_tier_t *tier)
{
    ngx_http_upstream_rr_peers_t  *peers;

    if (tier->atoll && tier->atoll->balancer.usable) {
        return tier->atoll->balancer.table.ring[ATOLL_RING_PRIMARY].tries
               + tier->atoll->balancer.table.ring[ATOLL_RING_BACKUPS].tries;
    }

    if (tier->upstream == NULL) {
        return 1;
    }

    peers = tier->upstream->peer.data;

    return peers->number + (peers->next ? peers->next->number : 0);
}


/* Sends the request to a tier, and to those behind it when it fails there. */
static void
ngx_http_atoll_start_at(ngx_http_atoll_plan_t *plan, ngx_uint_t tier)
{
    ngx_uint_t  i;

    plan->tier = tier;
    plan->later_tries = 0;

    for (i = tier + 1; i < plan->route->tier_count; i++) {
        plan->later_tries += ngx_http_atoll_tier_tries(&plan->route->tiers[i]);
    }
}


static ngx_int_t
ngx_http_atoll_init_route_peer(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *us)
{
    ngx_uint_t              origin;
    ngx_http_atoll_plan_t  *plan;

    plan = ngx_http_atoll_plan(r);
    if (plan == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_atoll_refuse_fill(plan)) {
        return NGX_OK;
    }

    origin = plan->route->origin;

    if (plan->named > 1) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "CDN-Loop names this node %ui times: tier \"%V\" of upstream \"%V\", or what is behind it, leads back here",
                      plan->named, &plan->route->tiers[origin].name, &us->host);
        return NGX_ERROR;
    }

    if (plan->step == NULL && plan->tier < origin) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "upstream \"%V\" has atoll_route, and the request to it no step: goes straight to tier \"%V\"; add "
                      "\"proxy_set_header Atoll-Step $atoll_step;\" to the location", &us->host, &plan->route->tiers[origin].name);
        plan->tier = origin;
        plan->kind = NGX_HTTP_ATOLL_OWN;
    }

    ngx_http_atoll_start_at(plan, plan->tier);

    return ngx_http_atoll_enter_tier(plan);
}


/* Makes the tier's balancer that of the request, behind ours. A tier that cannot be entered counts as empty. */
static ngx_int_t
ngx_http_atoll_enter_tier(ngx_http_atoll_plan_t *plan)
{
    ngx_http_request_t            *r = plan->request;
    ngx_http_upstream_t           *u = r->upstream;
    ngx_http_upstream_srv_conf_t  *us;

    us = ngx_http_atoll_tier_upstream(r, &plan->route->tiers[plan->tier]);

    u->peer.data = NULL;
    u->peer.notify = NULL;
    u->peer.tries = 0;
    plan->get = NULL;
    plan->asked = 0;

    if (us) {
        if (us->peer.init(r, us) != NGX_OK) {
            return NGX_ERROR;
        }

        plan->data = u->peer.data;
        plan->get = u->peer.get;
        plan->free = u->peer.free;
        plan->notify = u->peer.notify;
#if (NGX_HTTP_SSL)
        plan->set_session = u->peer.set_session;
        plan->save_session = u->peer.save_session;
        u->ssl_name = us->host;
#endif
    }

    u->peer.data = plan;
    u->peer.get = ngx_http_atoll_get_route_peer;
    u->peer.free = ngx_http_atoll_free_route_peer;
    u->peer.notify = plan->notify ? ngx_http_atoll_notify_route_peer : NULL;
    plan->own_tries = u->peer.tries;
    u->peer.tries = ngx_http_atoll_tries(plan);
#if (NGX_HTTP_SSL)
    u->peer.set_session = ngx_http_atoll_set_route_session;
    u->peer.save_session = ngx_http_atoll_save_route_session;
#endif

    return ngx_http_atoll_watch_answer(plan);
}


/* The balancer of this node's own tier has come to this node: the owner and those before it are out of reach. */
static ngx_uint_t
ngx_http_atoll_is_self(ngx_http_atoll_plan_t *plan)
{
    ngx_http_atoll_ctx_t  *ctx;

    if (plan->tier != plan->self_tier) {
        return 0;
    }

    ctx = ngx_http_get_module_ctx(plan->request, ngx_http_atoll_module);

    return ctx->request->walk.peer != NULL && ngx_http_atoll_is_this_node(plan, ctx->request->walk.peer);
}


/* Tries of this tier and those behind it, as proxy_next_upstream_tries lets them. */
static ngx_uint_t
ngx_http_atoll_tries(ngx_http_atoll_plan_t *plan)
{
    ngx_uint_t  tries, limit;

    tries = plan->own_tries + plan->later_tries;
    limit = plan->request->upstream->conf->next_upstream_tries;

    if (limit == 0) {
        return tries;
    }

    return ngx_min(tries, limit - ngx_min(limit, plan->tried));
}


static ngx_int_t
ngx_http_atoll_get_route_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_atoll_plan_t  *plan = data;

    ngx_int_t                rc;
    ngx_uint_t               over;
    ngx_http_atoll_route_t  *route = plan->route;

    if (plan->asked && plan->lacking && ngx_http_atoll_fill_elsewhere(plan) && ngx_http_atoll_enter_tier(plan) != NGX_OK) {
        return NGX_ERROR;
    }

    for ( ;; ) {

        /* without tries of its own left a tier is over: a balancer of a single peer would give that one for ever */
        over = plan->asked && plan->own_tries == 0 && plan->tier + 1 < route->tier_count;

        rc = plan->get && !over ? plan->get(pc, plan->data) : NGX_BUSY;

        if (plan->tier + 1 >= route->tier_count || (rc != NGX_BUSY && (rc != NGX_OK || !ngx_http_atoll_is_self(plan)))) {
            return rc;
        }

        if (rc == NGX_OK) {
            plan->free(pc, plan->data, 0);
            pc->sockaddr = NULL;    /* nginx frees a peer that has an address: this one is given back */
            plan->role = NGX_HTTP_ATOLL_OWNER;
        }

        plan->tier++;
        plan->kind = NGX_HTTP_ATOLL_OWN;
        plan->later_tries -= ngx_min(plan->later_tries, ngx_http_atoll_tier_tries(&route->tiers[plan->tier]));

        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, pc->log, 0, "atoll route: next tier \"%V\"", &route->tiers[plan->tier].name);

        if (plan->step && ngx_http_atoll_rewrite_step(plan) != NGX_OK) {
            /* no other node may be told a step that is not so */
            ngx_http_atoll_start_at(plan, ngx_max(plan->tier, route->origin));
        }

        if (ngx_http_atoll_enter_tier(plan) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


/* A stock balancer with a single peer sets tries to 0 here: the later tiers are still to be tried. */
static void
ngx_http_atoll_free_route_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t state)
{
    ngx_http_atoll_plan_t  *plan = data;

    pc->tries = plan->own_tries;

    plan->free(pc, plan->data, state);

    plan->own_tries = pc->tries;
    plan->asked = 1;
    plan->unanswered |= plan->tier >= plan->route->origin && (state & NGX_PEER_FAILED) && plan->request->upstream->request_sent;
    plan->tried += plan->kind != NGX_HTTP_ATOLL_FILL;

    pc->tries = ngx_http_atoll_tries(plan);
}


static void
ngx_http_atoll_notify_route_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t type)
{
    ngx_http_atoll_plan_t  *plan = data;

    plan->notify(pc, plan->data, type);
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_atoll_set_route_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_atoll_plan_t  *plan = data;

    return plan->set_session(pc, plan->data);
}


static void
ngx_http_atoll_save_route_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_atoll_plan_t  *plan = data;

    plan->save_session(pc, plan->data);
}

#endif
