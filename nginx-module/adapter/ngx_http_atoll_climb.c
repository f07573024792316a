/*
 * The balancer of a route: for each request it delegates to the balancer of the tier that the plan names, and goes on to the next tier when one has
 * no peer left. Each hop between nodes climbs (design: client < own of a tier < own of the next < … < last tier), so no views of
 * the ring, however different, can make a loop.
 */

#include "ngx_http_atoll_route.h"


static ngx_int_t ngx_http_atoll_enter_tier(ngx_http_atoll_plan_t *plan);
static ngx_uint_t ngx_http_atoll_tries(ngx_http_atoll_plan_t *plan);
static ngx_int_t ngx_http_atoll_get_route_peer(ngx_peer_connection_t *pc, void *data);
static void ngx_http_atoll_free_route_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t state);
static void ngx_http_atoll_notify_route_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t type);

#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_atoll_set_route_session(ngx_peer_connection_t *pc, void *data);
static void ngx_http_atoll_save_route_session(ngx_peer_connection_t *pc, void *data);
#endif


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


/* peer.init of an upstream with atoll_route. */
ngx_int_t
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

    /* a tier that a variable names may be another one by now, without `atoll` */
    return ctx->request != NULL && ctx->request->walk.peer != NULL && ngx_http_atoll_is_this_node(plan, ctx->request->walk.peer);
}


/* Tries of this tier and those behind it, as proxy_next_upstream_tries lets them. */
static ngx_uint_t
ngx_http_atoll_tries(ngx_http_atoll_plan_t *plan)
{
    ngx_uint_t  tries, limit;

    tries = plan->own_tries + plan->later_tries;

    if (plan->kind == NGX_HTTP_ATOLL_FILL) {
        /* nginx goes on from an answer only while there is another one to ask */
        return ngx_max(tries, 2);
    }

    limit = (plan->conf ? plan->conf : plan->request->upstream->conf)->next_upstream_tries;

    if (limit == 0) {
        return tries;
    }

    return ngx_min(tries, limit - ngx_min(limit, plan->tried));
}


/* A kept connection that its peer had closed is no try: nginx gives it back to pc, and so it is here, where a balancer has taken it. */
static void
ngx_http_atoll_give_back_try(ngx_http_atoll_plan_t *plan, ngx_peer_connection_t *pc)
{
    if (plan->asked && !plan->stale && plan->kind != NGX_HTTP_ATOLL_FILL && pc->tries > ngx_http_atoll_tries(plan)) {
        plan->own_tries++;
        plan->tried--;
    }
}


static ngx_int_t
ngx_http_atoll_get_route_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_atoll_plan_t  *plan = data;

    ngx_int_t                rc;
    ngx_uint_t               over;
    ngx_http_atoll_route_t  *route = plan->route;

    ngx_http_atoll_give_back_try(plan, pc);

#if (NGX_HTTP_CACHE)
    if (plan->rejected) {
        ngx_http_atoll_forget_answer(plan);
    }
#endif

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
#if (NGX_HTTP_CACHE)
            ngx_http_atoll_keep_after_all(plan);
#endif
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
    plan->stale = 0;

    plan->free(pc, plan->data, state);

    plan->own_tries = pc->tries;
    plan->asked = 1;
    plan->unanswered |= plan->tier >= plan->route->origin && (state & NGX_PEER_FAILED) && !plan->stale
                        && plan->request->upstream->request_sent;
    plan->tried += plan->kind != NGX_HTTP_ATOLL_FILL && !plan->stale;

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
