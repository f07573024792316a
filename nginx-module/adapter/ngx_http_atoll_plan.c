/* The plan of a request to a route: what this node is to it, and which tier it goes to first. */

#include "ngx_http_atoll_route.h"


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

        } else if (u->resolved->no_port && u->resolved->host.len == routep[i]->upstream->host.len
                   && ngx_strncasecmp(u->resolved->host.data, routep[i]->upstream->host.data, u->resolved->host.len) == 0)
        {
            return routep[i];
        }
    }

    return NULL;
}


/* The upstream of a tier for the request; NULL, which was logged, when a variable names none. */
ngx_http_upstream_srv_conf_t *
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


/* Whether a peer of the tier that this node is in is this node. */
ngx_uint_t
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
        (void) ngx_http_atoll_refresh(&plan->self->balancer);
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
ngx_http_atoll_add_plan(ngx_http_request_t *r)
{
    ngx_http_atoll_ctx_t    *ctx;
    ngx_http_atoll_plan_t   *plan;
    ngx_http_atoll_route_t  *route;

    route = ngx_http_atoll_route_of(r);
    if (route == NULL) {
        return NULL;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_atoll_module);

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
    plan->upstream = r->upstream;

    ngx_http_atoll_make_plan(plan);

    ctx->plan = plan;

    return plan;
}
