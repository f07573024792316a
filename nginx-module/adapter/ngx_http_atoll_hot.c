/*
 * Hot keys at a node of a route. The balancer samples and spreads those of a plain upstream (reader/atoll_hot.h); a route
 * keeps one owner for each key, and a hot object is stored at each node that clients ask for it.
 *
 * nginx asks no balancer on a hit. So the sample is taken where the plan of a request is made, which the variables in
 * proxy_cache_bypass and proxy_no_cache cause for each request, hit or miss. Only what clients ask this node for counts, by
 * GET or HEAD: what other nodes pass on was counted there.
 *
 * $atoll_hot       1 when the request's key is hot here, else empty
 * $atoll_bypass    1 on a front for a key that is not hot: ask the owner without a look at the own cache. Where it decides over
 *                  that, in proxy_cache_bypass, the request is passed on as by an nginx without a cache.
 */

#include "ngx_http_atoll_route.h"
#include "../reader/atoll_hot.h"


static ngx_module_t  *slice;    /* nginx's, NULL: not there */


/* At the load of the configuration. */
void
ngx_http_atoll_find_slice(ngx_cycle_t *cycle)
{
    ngx_uint_t  i;

    slice = NULL;

    for (i = 0; cycle->modules[i]; i++) {

        if (ngx_strcmp(cycle->modules[i]->name, "ngx_http_slice_filter_module") == 0) {
            slice = cycle->modules[i];
        }
    }
}


/* Once a request, when its plan has role and hash. Some 20 instructions for a key that is not hot. */
void
ngx_http_atoll_look_hot(ngx_http_atoll_plan_t *plan)
{
    atoll_balancer_t  *balancer;

    if (plan->self == NULL || plan->self->balancer.zone == NULL) {
        return;
    }

    balancer = &plan->self->balancer;

    if (plan->received == NGX_HTTP_ATOLL_NO_TIER && (plan->request->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        atoll_sample(&balancer->row, balancer->upstream, plan->hash);
    }

    plan->hot = atoll_hot_replicas(&balancer->zone->hot_sets[balancer->upstream], plan->hash, ngx_current_msec) != 0;
}


static void
ngx_http_atoll_set_flag(ngx_http_variable_value_t *v, ngx_uint_t flag)
{
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = (u_char *) "1";
    v->len = flag ? 1 : 0;
}


/* Of a request to a plain upstream, once that was asked. */
ngx_int_t
ngx_http_atoll_hot_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_uint_t                 hot;
    ngx_http_atoll_ctx_t      *ctx;
    ngx_http_atoll_plan_t     *plan;
    ngx_http_atoll_request_t  *ar;

    plan = ngx_http_atoll_plan(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_atoll_module);
    ar = ctx ? ctx->request : NULL;
    hot = 0;

    if (plan) {
        hot = plan->hot;

    } else if (ar && ar->walk.keyed && ar->conf->balancer.hot) {
        hot = atoll_hot_replicas(ar->conf->balancer.hot, ar->walk.hash, ngx_current_msec) != 0;
    }

    ngx_http_atoll_set_flag(v, hot);

    return NGX_OK;
}


#if (NGX_HTTP_CACHE)

/*
 * The owner has the cache, so it gets the client's own request: its method, its conditions and ranges, which nginx keeps from an
 * upstream whose answer it may store. Without this it would send a whole object for each range of it. Only between the making of
 * the key and the choice of ngx_http_upstream_cache(), of which cache_status tells.
 */
static void
ngx_http_atoll_pass_as_it_is(ngx_http_atoll_plan_t *plan)
{
    ngx_http_upstream_t  *u = plan->upstream;

    /* a slice has a range of its own, and a condition of the client's would be about the slice */
    if (slice && ngx_http_get_module_ctx(plan->request, (*slice))) {
        return;
    }

    if (u->cacheable && u->cache_status == 0 && !u->request_sent) {
        u->cacheable = 0;
        ngx_str_null(&u->method);
        plan->as_it_is = 1;
    }
}


/* The front is to act as the owner after all: it keeps the answer, unless the client asked for a part of it, or on a condition. */
void
ngx_http_atoll_keep_after_all(ngx_http_atoll_plan_t *plan)
{
    ngx_http_request_t     *r = plan->request;
    ngx_http_headers_in_t  *in = &r->headers_in;

    if (plan->as_it_is && r->method == NGX_HTTP_GET && in->range == NULL && in->if_range == NULL && in->if_modified_since == NULL
        && in->if_unmodified_since == NULL && in->if_match == NULL && in->if_none_match == NULL)
    {
        plan->upstream->cacheable = 1;
        plan->cacheable = 1;
    }
}

#endif


ngx_int_t
ngx_http_atoll_bypass_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_uint_t              bypass;
    ngx_http_atoll_plan_t  *plan;

    plan = ngx_http_atoll_plan(r);
    bypass = plan && plan->role == NGX_HTTP_ATOLL_FRONT && !plan->hot;

#if (NGX_HTTP_CACHE)
    if (bypass) {
        ngx_http_atoll_pass_as_it_is(plan);

    } else if (plan && plan->role == NGX_HTTP_ATOLL_PREVIOUS) {
        ngx_http_atoll_wait_for_nobody(plan);
    }
#endif

    ngx_http_atoll_set_flag(v, bypass);

    return NGX_OK;
}
