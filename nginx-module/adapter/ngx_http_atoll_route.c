/* The directive atoll_route, and which upstreams its tiers are. */

#include "ngx_http_atoll_route.h"


static ngx_int_t ngx_http_atoll_init_route(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us);
static void ngx_http_atoll_not_alone(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us);


/* atoll_route tier tier ...; the last is the origin. A tier may be a variable that names an upstream. */
char *
ngx_http_atoll_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atoll_srv_conf_t  *ascf = conf;

    ngx_str_t                     *value;
    ngx_uint_t                     i;
    ngx_http_atoll_tier_t         *tier;
    ngx_http_atoll_route_t        *route, **routep;
    ngx_http_upstream_server_t    *server;
    ngx_http_atoll_main_conf_t    *amcf;
    ngx_http_upstream_srv_conf_t  *uscf;

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

        if (ngx_http_atoll_compile_value(cf, &value[i], tier->value) != NGX_OK) {
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


/* The upstream of that name; NULL for none. */
ngx_http_upstream_srv_conf_t *
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
