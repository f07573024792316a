/*
 * Handover: an owner that misses asks the peer that held the key before, as (T, fill), and only then the next tier. Who that
 * is: reader/atoll_handover.h. Here is the request: a first pick that the tier's walk has no part in, with limits of its
 * own until its response has begun (ngx_http_atoll_answer.c keeps them).
 */

#include "ngx_http_atoll_route.h"

#include "../reader/atoll_fill.h"
#include "../reader/atoll_handover.h"

/*
 * What a previous owner may answer by itself without the client getting it: the next tier is asked instead. 404 is its word for
 * having no copy, 403 and 429 are access and rate limits. Not 500, which comes from above, and tells of a loop too.
 */
#define NGX_HTTP_ATOLL_FILL_NEXT                                              \
    (NGX_HTTP_UPSTREAM_FT_ERROR|NGX_HTTP_UPSTREAM_FT_TIMEOUT                  \
     |NGX_HTTP_UPSTREAM_FT_INVALID_HEADER|NGX_HTTP_UPSTREAM_FT_HTTP_502       \
     |NGX_HTTP_UPSTREAM_FT_HTTP_503|NGX_HTTP_UPSTREAM_FT_HTTP_504             \
     |NGX_HTTP_UPSTREAM_FT_HTTP_403|NGX_HTTP_UPSTREAM_FT_HTTP_404             \
     |NGX_HTTP_UPSTREAM_FT_HTTP_429)


/*
 * A node that was just started asks the next one along the ring, which knows the keys of a node that joins, and nothing when the
 * whole mesh was started. So it goes on as long as one in NGX_HTTP_ATOLL_FILL_WORTH finds something, and else looks
 * again each NGX_HTTP_ATOLL_FILL_WORTH misses.
 */
#define NGX_HTTP_ATOLL_FILL_CREDIT  64
#define NGX_HTTP_ATOLL_FILL_WORTH   16


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


/* A worker's start. */
void
ngx_http_atoll_init_fill(ngx_http_atoll_srv_conf_t *ascf)
{
    ascf->fill_credit = NGX_HTTP_ATOLL_FILL_CREDIT;
    ascf->fill_skipped = 0;
    ascf->fill_found = 0;
}


/* What came of a fill: hit when the previous owner had a copy. */
void
ngx_http_atoll_count_fill(ngx_http_atoll_plan_t *plan, ngx_uint_t hit)
{
    ngx_int_t  *credit = &plan->self->fill_credit;

    plan->self->fill_found |= hit;
    *credit = hit ? ngx_min(*credit + NGX_HTTP_ATOLL_FILL_WORTH, NGX_HTTP_ATOLL_FILL_CREDIT) : ngx_max(*credit - 1, 0);
}


/*
 * Sets plan->previous to the peer to ask, or to ask after that one; 0 when there is none. One more behind a peer that was just started is
 * asked once a copy was found: else the whole mesh may have been started, and nobody has one.
 */
static ngx_uint_t
ngx_http_atoll_find_previous(ngx_http_atoll_plan_t *plan)
{
    plan->previous = atoll_previous_owner(&plan->self->balancer, plan->hash, ngx_current_msec, (char *) plan->self->self.data,
                                          plan->self->self.len, plan->received_kind == NGX_HTTP_ATOLL_RETURNED,
                                          plan->previous, plan->fresh && plan->self->fill_found);

    if (plan->previous == NULL) {
        return 0;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, plan->request->connection->log, 0, "atoll handover: fill from \"%*s\"",
                   (size_t) plan->previous->address_length, plan->previous->address);

    return 1;
}


/* Whether plan->previous can be expected to answer, as all workers know it; then it counts as asked. */
static ngx_uint_t
ngx_http_atoll_may_ask(ngx_http_atoll_plan_t *plan)
{
    return atoll_fill_begin(&plan->self->balancer, plan->previous, ngx_current_msec, plan->self->handover_timeout);
}


#if (NGX_HTTP_CACHE)

static ngx_uint_t
ngx_http_atoll_is_worth_it(ngx_http_atoll_srv_conf_t *self)
{
    return self->fill_credit > 0 || ++self->fill_skipped % NGX_HTTP_ATOLL_FILL_WORTH == 0;
}


/*
 * A relay is where two views of the ring meet: while nodes are told of a change one after the other, the owner as this node sees it is most
 * likely the one that has the key. Not with a bound, where a relay is what an owner too busy for it leads to. Sets plan->previous to
 * that owner, or returns 0.
 */
static ngx_uint_t
ngx_http_atoll_find_owner(ngx_http_atoll_plan_t *plan)
{
    const atoll_peer_t  *owner;
    atoll_balancer_t    *balancer = &plan->self->balancer;

    if (plan->received != plan->self_tier || balancer->handover_ms == 0 || balancer->bound_percent != 0) {
        return 0;
    }

    owner = atoll_owner(balancer, plan->hash, ngx_current_msec, 1);

    if (owner == NULL) {
        return 0;
    }

    plan->previous = owner;
    plan->again = 1;

    return 1;
}

#endif


/*
 * Before the step is written: turns a plan of an owner that misses to the previous owner, when there is one, and one of a relay to the
 * owner. A copy that is only too old is revalidated above: the previous owner's is not younger. A request whose body is passed on
 * while it comes can go to nobody else afterwards.
 */
void
ngx_http_atoll_consider_fill(ngx_http_atoll_plan_t *plan)
{
#if (NGX_HTTP_CACHE)
    int                   reason;
    ngx_http_request_t   *r = plan->request;
    ngx_http_upstream_t  *u = r->upstream;
    atoll_balancer_t     *balancer;

    if ((plan->role != NGX_HTTP_ATOLL_OWNER && plan->role != NGX_HTTP_ATOLL_RELAY) || plan->named
        || u->cache_status != NGX_HTTP_CACHE_MISS || !(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) || r->request_body_no_buffering
        || plan->self == NULL || plan->self->balancer.zone == NULL)
    {
        return;
    }

    if (plan->role == NGX_HTTP_ATOLL_RELAY) {

        if (ngx_http_atoll_find_owner(plan) && ngx_http_atoll_may_ask(plan)) {
            plan->kind = NGX_HTTP_ATOLL_FILL;
            plan->tier = plan->self_tier;
        }

        return;
    }

    balancer = &plan->self->balancer;
    reason = atoll_handover_reason(balancer, plan->owner, ngx_current_msec, plan->received_kind == NGX_HTTP_ATOLL_RETURNED);

    if (reason == ATOLL_HANDOVER_NONE || (reason == ATOLL_HANDOVER_BLIND && !ngx_http_atoll_is_worth_it(plan->self))) {
        return;
    }

    if (ngx_http_atoll_find_previous(plan)
        && (reason == ATOLL_HANDOVER_BLIND || !balancer->handover_blind || ngx_http_atoll_is_worth_it(plan->self))
        && ngx_http_atoll_may_ask(plan))
    {
        plan->kind = NGX_HTTP_ATOLL_FILL;
        plan->tier = plan->self_tier;
    }
#endif
}


/*
 * After a previous owner answered that it has no copy: whether another may have one, who is plan->previous then. Two are asked at
 * most, and nobody after one that failed: a request waits for one such at most.
 */
ngx_uint_t
ngx_http_atoll_fill_elsewhere(ngx_http_atoll_plan_t *plan)
{
    plan->lacking = 0;

    if (plan->kind != NGX_HTTP_ATOLL_FILL || plan->again) {
        return 0;
    }

    plan->again = 1;

    return ngx_http_atoll_find_previous(plan) && ngx_http_atoll_may_ask(plan);
}


#if (NGX_HTTP_CACHE)

/*
 * A previous owner does not wait for a request of its own that fetches the object (proxy_cache_lock): that one may be waiting for
 * the owner, who waits for this answer. Before the settings are read, in proxy_cache_bypass.
 */
void
ngx_http_atoll_wait_for_nobody(ngx_http_atoll_plan_t *plan)
{
    ngx_http_upstream_t         *u = plan->request->upstream;
    ngx_http_upstream_conf_t    *conf;

    if (plan->locking || !u->conf->cache_lock) {
        return;
    }

    conf = ngx_palloc(plan->request->pool, sizeof(ngx_http_upstream_conf_t));

    if (conf) {
        *conf = *u->conf;
        conf->cache_lock = 0;

        plan->locking = u->conf;
        u->conf = conf;
    }
}

#endif


static ngx_int_t
ngx_http_atoll_get_nobody(ngx_peer_connection_t *pc, void *data)
{
    return NGX_DECLINED;
}


/*
 * A previous owner without a copy asks nobody: it answers so (404, no body, no error page), and the owner asks above itself. A
 * copy that is too old is revalidated.
 */
ngx_uint_t
ngx_http_atoll_refuse_fill(ngx_http_atoll_plan_t *plan)
{
    ngx_http_request_t   *r = plan->request;
    ngx_http_upstream_t  *u = r->upstream;

    if (plan->locking) {
        /* the cache was looked at; a worker keeps what it makes of a location's own settings */
        u->conf = plan->locking;
    }

    if (plan->role != NGX_HTTP_ATOLL_PREVIOUS || !(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return 0;
    }

#if (NGX_HTTP_CACHE)
    if (u->cache_status == NGX_HTTP_CACHE_EXPIRED) {
        return 0;
    }

    u->cacheable = 0;
#endif

    plan->lacking = 1;
    r->error_page = 1;
    u->peer.data = plan;
    u->peer.get = ngx_http_atoll_get_nobody;
    u->peer.tries = 0;

    return 1;
}


/* Whether to tell the owner that this node, which has no copy, may have come together with it. */
ngx_uint_t
ngx_http_atoll_is_fresh_refusal(ngx_http_atoll_plan_t *plan)
{
    return plan->role == NGX_HTTP_ATOLL_PREVIOUS && plan->lacking && plan->self && plan->self->balancer.zone
           && atoll_is_fresh(&plan->self->balancer, ngx_current_msec);
}


/* nginx makes a 502 of a request without a peer. */
static ngx_int_t
ngx_http_atoll_refusal_filter(ngx_http_request_t *r)
{
    ngx_http_atoll_plan_t  *plan;

    if (r->headers_out.status == NGX_HTTP_BAD_GATEWAY) {

        plan = ngx_http_atoll_plan_made(r);

        if (plan && plan->lacking && plan->role == NGX_HTTP_ATOLL_PREVIOUS) {
            r->headers_out.status = NGX_HTTP_NOT_FOUND;
            r->err_status = NGX_HTTP_NOT_FOUND;
            r->headers_out.content_length_n = 0;
            r->header_only = 1;
        }
    }

    return ngx_http_next_header_filter(r);
}


void
ngx_http_atoll_add_refusal(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_atoll_refusal_filter;
}


/* Until a response has begun. */
void
ngx_http_atoll_limit_fill(ngx_http_atoll_plan_t *plan, ngx_http_upstream_conf_t *conf)
{
    ngx_msec_t  timeout = plan->self->handover_timeout;

    conf->connect_timeout = ngx_min(conf->connect_timeout, timeout);
    conf->send_timeout = ngx_min(conf->send_timeout, timeout);
    conf->read_timeout = ngx_min(conf->read_timeout, timeout);
    conf->next_upstream = (conf->next_upstream & ~NGX_HTTP_UPSTREAM_FT_OFF) | NGX_HTTP_ATOLL_FILL_NEXT;

    /* they are about those that are asked for an answer, of which none was yet */
    conf->next_upstream_tries = 0;
    conf->next_upstream_timeout = 0;
}
