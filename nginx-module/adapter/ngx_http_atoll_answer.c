/*
 * What a node of a route is waited for, and what its errors mean.
 *
 * An error that a node passes on from above, has in its cache, or gives because an origin that it asked gave no answer, is the answer: to
 * ask its neighbours as well would ask the origin again for each of them. An error of its own (it reached nobody) goes by
 * proxy_next_upstream, to the next tier at once, since what it could not reach is above. Cache-Status tells the two apart.
 *
 * nginx looks at peer.tries before it goes on after an error status, and the protocol's process_header is the last that it calls before:
 * ours stands around it. The protocols that have one for the status line and another for the headers set it anew for each try, in
 * reinit_request: ours stands around that too.
 */

#include "ngx_http_atoll_route.h"

#include "../reader/atoll_fill.h"


/* How much longer a node is waited for than it waits itself: else both give up at once, and its stale copy is never seen. */
#define NGX_HTTP_ATOLL_READ_MARGIN  1000


static ngx_int_t ngx_http_atoll_set_limits(ngx_http_atoll_plan_t *plan);
static ngx_http_upstream_conf_t *ngx_http_atoll_limits(ngx_http_atoll_plan_t *plan, ngx_uint_t behind);
static ngx_http_upstream_conf_t *ngx_http_atoll_make_limits(ngx_pool_t *pool, ngx_http_upstream_conf_t *of, ngx_uint_t behind);
static void ngx_http_atoll_wrap_process_header(ngx_http_atoll_plan_t *plan);
static ngx_int_t ngx_http_atoll_process_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_atoll_reinit_request(ngx_http_request_t *r);


/* For the tier that was entered last. */
ngx_int_t
ngx_http_atoll_watch_answer(ngx_http_atoll_plan_t *plan)
{
    ngx_http_upstream_t       *u = plan->request->upstream;
    ngx_http_upstream_conf_t  *conf;

    if (plan->conf == NULL) {

        if (plan->tier >= plan->route->origin) {
            return NGX_OK;
        }

        plan->conf = u->conf;
        plan->reinit_request = u->reinit_request;
#if (NGX_HTTP_CACHE)
        plan->cacheable = u->cacheable;

        if (plan->request->cache) {
            plan->vary = plan->request->cache->vary;
        }
#endif

        u->reinit_request = ngx_http_atoll_reinit_request;
        ngx_http_atoll_wrap_process_header(plan);
    }

    if (ngx_http_atoll_set_limits(plan) != NGX_OK) {
        return NGX_ERROR;
    }

    if (plan->kind == NGX_HTTP_ATOLL_FILL) {

        conf = ngx_palloc(plan->request->pool, sizeof(ngx_http_upstream_conf_t));
        if (conf == NULL) {
            return NGX_ERROR;
        }

        *conf = *u->conf;
        ngx_http_atoll_limit_fill(plan, conf);
        u->conf = conf;
    }

    return NGX_OK;
}


/* Those of the location, for the tier that the request is in. */
static ngx_int_t
ngx_http_atoll_set_limits(ngx_http_atoll_plan_t *plan)
{
    ngx_http_upstream_conf_t  *conf = plan->conf;

    if (plan->tier < plan->route->origin) {

        conf = ngx_http_atoll_limits(plan, plan->route->origin - plan->tier);
        if (conf == NULL) {
            return NGX_ERROR;
        }
    }

    plan->request->upstream->conf = conf;

    return NGX_OK;
}


/*
 * The upstream settings of the request's location, with time for so many tiers behind the one that is asked. They depend on nothing else, so
 * a worker makes them once.
 */
static ngx_http_upstream_conf_t *
ngx_http_atoll_limits(ngx_http_atoll_plan_t *plan, ngx_uint_t behind)
{
    ngx_http_request_t          *r = plan->request;
    ngx_http_atoll_loc_conf_t   *alcf;
    ngx_http_atoll_main_conf_t  *amcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atoll_module);

    if (alcf->limits_of == NULL) {
        alcf->limits_of = plan->conf;
    }

    if (alcf->limits_of != plan->conf) {
        /* another protocol than before in one location */
        return ngx_http_atoll_make_limits(r->pool, plan->conf, behind);
    }

    if (alcf->limits[behind - 1] == NULL) {
        amcf = ngx_http_get_module_main_conf(r, ngx_http_atoll_module);
        alcf->limits[behind - 1] = ngx_http_atoll_make_limits(amcf->pool, plan->conf, behind);
    }

    return alcf->limits[behind - 1];
}


static ngx_http_upstream_conf_t *
ngx_http_atoll_make_limits(ngx_pool_t *pool, ngx_http_upstream_conf_t *of, ngx_uint_t behind)
{
    ngx_http_upstream_conf_t  *conf;

    conf = ngx_palloc(pool, sizeof(ngx_http_upstream_conf_t));

    if (conf) {
        *conf = *of;
        conf->read_timeout += NGX_HTTP_ATOLL_READ_MARGIN * behind;
    }

    return conf;
}


/* What the node that answered says of itself: the last member of Cache-Status, from its parameters on. */
static ngx_str_t
ngx_http_atoll_own_status(ngx_http_upstream_t *u)
{
    u_char           *p, *last;
    ngx_str_t         value = ngx_null_string;
    ngx_uint_t        i = 0;
    ngx_list_part_t  *part = &u->headers_in.headers.part;
    ngx_table_elt_t  *header;

    while ((header = ngx_http_atoll_next_header(&part, &i, &ngx_http_atoll_cache_status_header)) != NULL) {
        value = header->value;
    }

    last = value.data + value.len;

    for (p = last; p > value.data && p[-1] != '"'; p--) { /* void */ }

    value.data = p;
    value.len = last - p;

    return value;
}


static ngx_uint_t
ngx_http_atoll_has(ngx_str_t *status, char *parameter)
{
    return status->len
           && ngx_strlcasestrn(status->data, status->data + status->len, (u_char *) parameter, ngx_strlen(parameter) - 1) != NULL;
}


static ngx_uint_t
ngx_http_atoll_is_hit(ngx_str_t *status)
{
    return ngx_http_atoll_has(status, "; hit");
}


/* Whether the node that answered was told so itself, has it stored, or asked an origin in vain. */
static ngx_uint_t
ngx_http_atoll_is_passed_on(ngx_str_t *status)
{
    return ngx_http_atoll_is_hit(status) || ngx_http_atoll_has(status, "; fwd-status=")
           || ngx_http_atoll_has(status, NGX_HTTP_ATOLL_NO_ANSWER);
}


/* Whether an answer ends with its header, so that its connection can be used again. FastCGI and the like have more to say. */
static ngx_uint_t
ngx_http_atoll_is_read(ngx_http_upstream_t *u)
{
    return u->headers_in.content_length_n == 0 && !u->headers_in.connection_close && u->buffer.pos == u->buffer.last
           && ngx_strncmp(u->schema.data, "http", 4) == 0;
}


/*
 * A previous owner's header that comes in drops, each within nginx's time; or no HTTP, which nginx takes for a body of HTTP/0.9, and the
 * client for one that wants such.
 */
static ngx_uint_t
ngx_http_atoll_is_unusable(ngx_http_atoll_plan_t *plan, ngx_int_t rc)
{
    ngx_http_upstream_t  *u = plan->request->upstream;

    return rc == NGX_AGAIN ? ngx_current_msec - u->start_time >= plan->self->handover_timeout
                           : rc == NGX_OK && !plan->request->cached && u->headers_in.status_n == 0;
}


/* The answer to a fill, or an error of a node: what comes of it. */
static void
ngx_http_atoll_judge_answer(ngx_http_atoll_plan_t *plan, ngx_uint_t failed)
{
    ngx_str_t             status;
    ngx_http_upstream_t  *u = plan->request->upstream;

    status = ngx_http_atoll_own_status(u);

    if (plan->kind == NGX_HTTP_ATOLL_FILL) {
        atoll_fill_answered(&plan->self->balancer, plan->previous);
        plan->lacking = u->headers_in.status_n == NGX_HTTP_NOT_FOUND && !ngx_http_atoll_is_passed_on(&status);
        plan->fresh = plan->lacking && ngx_http_atoll_has(&status, NGX_HTTP_ATOLL_FRESH);
        plan->aged = ngx_http_atoll_has(&status, "; ttl=-");
        ngx_http_atoll_count_fill(plan, !plan->lacking && (status.len == 0 || ngx_http_atoll_is_hit(&status)));

        if (plan->lacking && ngx_http_atoll_is_read(u)) {
            /* nginx keeps a connection only behind an answer that it passes on */
            u->keepalive = 1;
        }
    }

    if (!failed) {
        /* the body may take its time */
        (void) ngx_http_atoll_set_limits(plan);

    } else if (ngx_http_atoll_is_passed_on(&status)) {
        (void) ngx_http_atoll_set_limits(plan);
        u->peer.tries = 1;

    } else {
        plan->own_tries = 0;
        plan->rejected = 1;
    }
}


/* Puts ours around the one that the protocol has set, if it has: gRPC and FastCGI leave theirs, in ours, where it is. */
static void
ngx_http_atoll_wrap_process_header(ngx_http_atoll_plan_t *plan)
{
    ngx_http_upstream_t  *u = plan->request->upstream;

    if (u->process_header != ngx_http_atoll_process_header) {
        plan->process_header = u->process_header;
        u->process_header = ngx_http_atoll_process_header;
    }
}


static ngx_int_t
ngx_http_atoll_process_header(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_uint_t              failed, version = r->http_version;
    ngx_http_upstream_t    *u = r->upstream;
    ngx_http_atoll_plan_t  *plan = u->peer.data;

    rc = plan->process_header(r);

    ngx_http_atoll_wrap_process_header(plan);

    failed = (u->headers_in.status_n >= NGX_HTTP_BAD_REQUEST && plan->tier < plan->route->origin);

    if (plan->kind == NGX_HTTP_ATOLL_FILL && ngx_http_atoll_is_unusable(plan, rc)) {
        r->http_version = version;
        plan->rejected = 1;
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    if ((failed || plan->kind == NGX_HTTP_ATOLL_FILL) && rc == NGX_OK && !r->cached) {
        ngx_http_atoll_judge_answer(plan, failed);
    }

    return rc;
}


static ngx_int_t
ngx_http_atoll_reinit_request(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_atoll_plan_t  *plan = r->upstream->peer.data;

    rc = plan->reinit_request(r);

    ngx_http_atoll_wrap_process_header(plan);

    return rc;
}


#if (NGX_HTTP_CACHE)

/*
 * Somebody else is asked. nginx has gone by the last answer's header as it read it: what that one said of storing is not said of the
 * next. Where nobody else is asked it is the client's answer after all, and stored or not as it says.
 */
void
ngx_http_atoll_forget_answer(ngx_http_atoll_plan_t *plan)
{
    ngx_http_cache_t  *c = plan->request->cache;

    plan->rejected = 0;
    plan->request->upstream->cacheable = plan->cacheable;

    if (c) {
        c->valid_sec = 0;
        c->updating_sec = 0;
        c->error_sec = 0;
        c->vary = plan->vary;
    }
}

#endif
