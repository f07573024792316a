/*
 * $atoll_generation      goes first in proxy_cache_key: nothing, or a number in blanks that is another one after each purge
 *                        that concerns the request's key (atoll_purge_key)
 * $atoll_purge_key       what purges call the request's object
 *
 * In a location with atoll_purge both are what the call names, where it does: see ngx_http_atoll_purge_file.c.
 *
 * A key that comes from a request cannot begin with a blank, so no client can ask for a key with a number of its choice.
 */

#include "ngx_http_atoll_route.h"

#include "../reader/atoll_purge.h"
#include "../writer/atoll_zone_guard.h"

#define NGX_HTTP_ATOLL_GENERATION_LEN  (sizeof(" w0123456789abcdef.0123456789abcdef ") - 1)


/* atoll_purge_wait on | off | <time> */
char *
ngx_http_atoll_purge_wait(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atoll_main_conf_t  *amcf = conf;

    ngx_int_t   ms;
    ngx_str_t  *value;

    if (amcf->purge_wait != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        amcf->purge_wait = NGX_HTTP_ATOLL_PURGE_WAIT;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        amcf->purge_wait = 0;
        return NGX_CONF_OK;
    }

    ms = ngx_parse_time(&value[1], 0);

    if (ms == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\" of \"atoll_purge_wait\": expected on, off or a time, "
                           "as in 60s", &value[1]);
        return NGX_CONF_ERROR;
    }

    amcf->purge_wait = ms;

    return NGX_CONF_OK;
}


static void
ngx_http_atoll_host(ngx_http_request_t *r, ngx_str_t *host)
{
    ngx_http_core_srv_conf_t  *cscf;

    *host = r->headers_in.server;

    if (host->len == 0) {
        cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
        *host = cscf->server_name;
    }
}


/* What purges call the request's object: what a call to atoll_purge names, else atoll_purge_key, else host, path and arguments. */
static ngx_int_t
ngx_http_atoll_purge_key(ngx_http_request_t *r, ngx_str_t *host, ngx_str_t *key)
{
    u_char                     *p;
    ngx_int_t                   rc;
    ngx_http_atoll_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atoll_module);

    if (alcf->purge) {
        rc = ngx_http_atoll_named_key(r, key);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (alcf->purge_key) {
        return ngx_http_complex_value(r, alcf->purge_key, key);
    }

    p = ngx_pnalloc(r->pool, host->len + r->uri.len + 1 + r->args.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    key->data = p;

    p = ngx_cpymem(p, host->data, host->len);
    p = ngx_cpymem(p, r->uri.data, r->uri.len);

    if (r->args.len) {
        *p++ = '?';
        p = ngx_cpymem(p, r->args.data, r->args.len);
    }

    key->len = p - key->data;

    return NGX_OK;
}


/* A number of up to 16 hexadecimal digits, lower case; none is 0. */
static ngx_int_t
ngx_http_atoll_hex(u_char *p, u_char *last, uint64_t *number)
{
    ngx_uint_t  digit;

    *number = 0;

    if (last - p > 16) {
        return NGX_ERROR;
    }

    for ( /* void */ ; p < last; p++) {

        if (*p >= '0' && *p <= '9') {
            digit = *p - '0';

        } else if (*p >= 'a' && *p <= 'f') {
            digit = *p - 'a' + 10;

        } else {
            return NGX_ERROR;
        }

        *number = *number << 4 | digit;
    }

    return NGX_OK;
}


/* The generation that another node of the route has for this request; 0: none, or none to be believed. */
static uint64_t
ngx_http_atoll_received_generation(ngx_http_request_t *r)
{
    u_char                 *p, *last;
    uint64_t                number;
    ngx_uint_t              i;
    ngx_list_part_t        *part;
    ngx_table_elt_t        *header;
    ngx_http_atoll_plan_t  *plan;

    part = &r->headers_in.headers.part;
    i = 0;

    header = ngx_http_atoll_next_header(&part, &i, &ngx_http_atoll_generation_header);

    if (header == NULL) {
        return 0;
    }

    last = header->value.data + header->value.len;
    p = ngx_strlchr(header->value.data, last, '.');
    p = p ? p + 1 : header->value.data;

    if (ngx_http_atoll_hex(p, last, &number) != NGX_OK) {
        return 0;
    }

    plan = ngx_http_atoll_plan(r);

    return plan == NULL || plan->received == NGX_HTTP_ATOLL_NO_TIER ? 0 : number;
}


static ngx_int_t
ngx_http_atoll_make_generation(ngx_http_request_t *r, ngx_str_t *host, ngx_str_t *key, ngx_str_t *text)
{
    uint64_t                     nonce, own, received, wait;
    ngx_http_atoll_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atoll_module);

    if (!amcf->committed) {
        return NGX_OK;
    }

    text->data = ngx_pnalloc(r->pool, NGX_HTTP_ATOLL_GENERATION_LEN);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    /* no agent can tell a lost zone what was purged */
    wait = atoll_guard_check(&amcf->writer.zone) ? UINT64_MAX : amcf->purge_wait;

    own = atoll_generation(&amcf->writer.zone, key->data, key->len, host->data, host->len);
    received = ngx_http_atoll_received_generation(r);

    if (atoll_purges_wait(&amcf->writer.zone, ngx_current_msec, wait, &nonce)) {
        text->len = ngx_sprintf(text->data, " w%xL.%xL ", nonce, ngx_max(own, received)) - text->data;

    } else if (own || received) {
        text->len = ngx_sprintf(text->data, " %xL ", ngx_max(own, received)) - text->data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_atoll_named_generation(ngx_http_request_t *r, ngx_str_t *text)
{
    uint64_t   number;
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) "generation", sizeof("generation") - 1, &value) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_http_atoll_hex(value.data, value.data + value.len, &number) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_null(text);

    if (number) {
        text->data = ngx_pnalloc(r->pool, NGX_HTTP_ATOLL_GENERATION_LEN);
        if (text->data == NULL) {
            return NGX_ERROR;
        }

        text->len = ngx_sprintf(text->data, " %xL ", number) - text->data;
    }

    return NGX_OK;
}


static void
ngx_http_atoll_set_text(ngx_http_variable_value_t *v, ngx_str_t *text)
{
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = text->len ? text->data : (u_char *) "";
    v->len = text->len;
}


ngx_int_t
ngx_http_atoll_purge_key_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  host, key;

    ngx_http_atoll_host(r, &host);

    if (ngx_http_atoll_purge_key(r, &host, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_atoll_set_text(v, &key);

    return NGX_OK;
}


/*
 * The same in all of a request: slices and background updates are of the copy that it began with, whatever is purged
 * meanwhile.
 */
ngx_int_t
ngx_http_atoll_generation_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t                   rc;
    ngx_str_t                   host, key, text;
    ngx_http_atoll_ctx_t       *ctx;
    ngx_http_atoll_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atoll_module);

    if (alcf->purge) {
        rc = ngx_http_atoll_named_generation(r, &text);

        if (rc == NGX_OK) {
            ngx_http_atoll_set_text(v, &text);
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    ngx_http_atoll_host(r, &host);

    ctx = ngx_http_atoll_get_ctx(r->main);

    if (ctx == NULL || ngx_http_atoll_purge_key(r, &host, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->purge_key.data == NULL || ctx->purge_key.len != key.len
        || ngx_memcmp(ctx->purge_key.data, key.data, key.len) != 0)
    {
        ngx_str_null(&text);

        if (ngx_http_atoll_make_generation(r, &host, &key, &text) != NGX_OK) {
            return NGX_ERROR;
        }

        ctx->purge_key = key;
        ctx->generation = text;
    }

    ngx_http_atoll_set_text(v, &ctx->generation);

    return NGX_OK;
}
