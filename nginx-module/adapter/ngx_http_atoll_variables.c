/*
 * $atoll_node            this node's name
 * $atoll_owner           who is asked first for this request's key: in the upstream the request went to, else in the only
 *                        upstream with `atoll`; empty when there are several
 * $atoll_owner_NAME      the same in upstream NAME, with that upstream's key
 */

#include "ngx_http_atoll.h"

#include <ifaddrs.h>


static ngx_int_t ngx_http_atoll_node_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atoll_owner_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atoll_owner_in_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_atoll_vars[] = {

    { ngx_string("atoll_node"), NULL, ngx_http_atoll_node_variable, 0, 0, 0 },

    { ngx_string("atoll_owner"), NULL, ngx_http_atoll_owner_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atoll_owner_"), NULL, ngx_http_atoll_owner_in_variable, 0, NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_atoll_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

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

    peer = ascf->balancer.zone ? atoll_owner(&ascf->balancer, hash, ngx_current_msec) : NULL;

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

    return ngx_http_atoll_set_owner(v, ascf, ngx_crc32_long(key.data, key.len));
}


static ngx_int_t
ngx_http_atoll_owner_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_atoll_request_t     *ar;
    ngx_http_atoll_srv_conf_t   **ascfp;
    ngx_http_atoll_main_conf_t   *amcf;

    ar = ngx_http_get_module_ctx(r, ngx_http_atoll_module);

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


/* 1: the process listens where the peer is. addrs: addresses of this host. */
static ngx_uint_t
ngx_http_atoll_is_local(ngx_cycle_t *cycle, ngx_http_upstream_rr_peer_t *peer, struct ifaddrs *addrs)
{
    ngx_uint_t        i;
    socklen_t         len;
    ngx_listening_t  *ls;
    struct ifaddrs   *ifa;

    ls = cycle->listening.elts;

    for (i = 0; i < cycle->listening.nelts; i++) {

        if (ngx_cmp_sockaddr(peer->sockaddr, peer->socklen, ls[i].sockaddr, ls[i].socklen, 1) == NGX_OK) {
            return 1;
        }

        if (ls[i].sockaddr->sa_family != peer->sockaddr->sa_family || peer->sockaddr->sa_family == AF_UNIX
            || !ngx_inet_wildcard(ls[i].sockaddr)
            || ngx_inet_get_port(ls[i].sockaddr) != ngx_inet_get_port(peer->sockaddr))
        {
            continue;
        }

        for (ifa = addrs; ifa; ifa = ifa->ifa_next) {

            if (ifa->ifa_addr == NULL || ifa->ifa_addr->sa_family != peer->sockaddr->sa_family) {
                continue;
            }

            len = ifa->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

            if (ngx_cmp_sockaddr(peer->sockaddr, peer->socklen, ifa->ifa_addr, len, 0) == NGX_OK) {
                return 1;
            }
        }
    }

    return 0;
}


/* Which peer this node is: atoll_node, else the first peer with a local address that is listened on, else the host name. */
void
ngx_http_atoll_find_node(ngx_cycle_t *cycle, ngx_http_atoll_main_conf_t *amcf)
{
    ngx_uint_t                     i;
    struct ifaddrs                *addrs;
    ngx_http_atoll_srv_conf_t    **ascfp;
    ngx_http_upstream_rr_peer_t   *peer;

    if (amcf->node.len) {
        return;
    }

    amcf->node = cycle->hostname;

    if (getifaddrs(&addrs) != 0) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno, "atoll_node: getifaddrs() failed, this node is called \"%V\"",
                      &amcf->node);
        return;
    }

    ascfp = amcf->upstreams.elts;

    for (i = 0; i < amcf->upstreams.nelts; i++) {

        for (peer = ascfp[i]->peers->peer; peer; peer = peer->next) {

            if (ngx_http_atoll_is_local(cycle, peer, addrs)) {
                amcf->node = peer->server;
                goto done;
            }
        }
    }

done:

    freeifaddrs(addrs);
}
