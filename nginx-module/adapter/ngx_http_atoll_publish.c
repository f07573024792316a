/*
 * From parsed upstreams to a zone: fill the compile request, have the child compile it, check every table with the
 * workers' own reader, prepare the zone file; commit once nginx can no longer refuse the configuration. Master only.
 */

#include "ngx_http_atoll.h"

#include <dlfcn.h>


static ngx_int_t ngx_http_atoll_fill_region(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf);
static ngx_int_t ngx_http_atoll_run_compiler(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf);
static ngx_int_t ngx_http_atoll_fill_request(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf);
static gid_t ngx_http_atoll_group(ngx_conf_t *cf);
static void ngx_http_atoll_cleanup(void *data);


/* The configuration whose zone this process published last; NULL when its time is over. */
static ngx_http_atoll_main_conf_t  *ngx_http_atoll_published;


/* The upstream's peers in the order of the compile request: primary, then backup; NULL after the last. */
static ngx_http_upstream_rr_peer_t *
ngx_http_atoll_next_peer(ngx_http_atoll_srv_conf_t *ascf, ngx_http_upstream_rr_peer_t *peer, ngx_uint_t *backup)
{
    if (peer == NULL) {
        *backup = 0;
        return ascf->peers->peer;
    }

    if (peer->next) {
        return peer->next;
    }

    if (*backup || ascf->peers->next == NULL) {
        return NULL;
    }

    *backup = 1;
    return ascf->peers->next->peer;
}


static uint32_t
ngx_http_atoll_peer_flags(ngx_http_upstream_rr_peer_t *peer, ngx_uint_t backup)
{
    return (peer->down ? ATOLL_PEER_FLAG_DOWN : 0) | (backup ? ATOLL_PEER_FLAG_BACKUP : 0);
}


ngx_int_t
ngx_http_atoll_prepare(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    char                 error[ATOLL_WRITER_ERROR];
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->cycle->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_atoll_cleanup;
    cln->data = amcf;

    if (amcf->upstreams.nelts > ATOLL_UPSTREAM_CAPACITY) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%ui upstreams with \"atoll\": expected up to %uD in one nginx",
                      amcf->upstreams.nelts, (uint32_t) ATOLL_UPSTREAM_CAPACITY);
        return NGX_ERROR;
    }

    if (ngx_http_atoll_fill_region(cf, amcf) != NGX_OK
        || ngx_http_atoll_run_compiler(cf, amcf) != NGX_OK
        || ngx_http_atoll_fill_request(cf, amcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (atoll_writer_prepare(&amcf->writer, &amcf->request, ngx_test_config, error) != 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "atoll_zone: %s", error);
        return NGX_ERROR;
    }

    amcf->prepared = !ngx_test_config;

    return NGX_OK;
}


/* Maps a region for all upstreams, and counts the peers of each. */
static ngx_int_t
ngx_http_atoll_open_region(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    size_t                         names;
    uint64_t                       points, weight, limit;
    ngx_uint_t                     i, n, peers, backup;
    ngx_http_atoll_srv_conf_t    **ascfp;
    ngx_http_upstream_rr_peer_t   *peer;

    ascfp = amcf->upstreams.elts;
    names = 0;
    points = 0;
    peers = 0;
    limit = amcf->zone_size / (ATOLL_POINTS_PER_WEIGHT * sizeof(atoll_point_record_t));

    for (i = 0; i < amcf->upstreams.nelts; i++) {

        weight = 0;
        n = 0;
        names += ascfp[i]->upstream->host.len;

        for (peer = ngx_http_atoll_next_peer(ascfp[i], NULL, &backup);
             peer;
             peer = ngx_http_atoll_next_peer(ascfp[i], peer, &backup))
        {
            names += peer->server.len;
            weight += ngx_min((uint64_t) peer->weight, limit + 1);
            n++;
        }

        if (weight > limit) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "upstream \"%V\" in %s:%ui: its weights add up to more than %uL, which is what atoll_zone size=%uz holds "
                          "(%uD ring points for each unit of weight); use smaller weights or a larger size",
                          &ascfp[i]->upstream->host, ascfp[i]->upstream->file_name, ascfp[i]->upstream->line,
                          limit, amcf->zone_size, ATOLL_POINTS_PER_WEIGHT);
            return NGX_ERROR;
        }

        ascfp[i]->peer_count = n;
        peers += n;
        points += weight * ATOLL_POINTS_PER_WEIGHT;
    }

    if (atoll_compile_region_open(&amcf->region, amcf->upstreams.nelts, peers, names, points) != 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno, "atoll: no memory to compile %uL ring points", points);
        return NGX_ERROR;
    }

    amcf->compiled = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atoll_fill_region(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    ngx_uint_t                        i, backup;
    atoll_compile_peer_record_t      *cp;
    ngx_http_atoll_srv_conf_t       **ascfp;
    ngx_http_upstream_rr_peer_t      *peer;
    atoll_compile_upstream_record_t  *cu;

    if (ngx_http_atoll_open_region(cf, amcf) != NGX_OK) {
        return NGX_ERROR;
    }

    ascfp = amcf->upstreams.elts;
    cp = amcf->region.peers;

    for (i = 0; i < amcf->upstreams.nelts; i++) {

        cu = &amcf->region.upstreams[i];
        cu->name_offset = atoll_compile_region_name(&amcf->region, ascfp[i]->upstream->host.data, ascfp[i]->upstream->host.len);
        cu->name_length = ascfp[i]->upstream->host.len;
        cu->first_peer = cp - amcf->region.peers;
        cu->peer_count = ascfp[i]->peer_count;

        for (peer = ngx_http_atoll_next_peer(ascfp[i], NULL, &backup);
             peer;
             peer = ngx_http_atoll_next_peer(ascfp[i], peer, &backup))
        {
            cp->name_offset = atoll_compile_region_name(&amcf->region, peer->server.data, peer->server.len);
            cp->name_length = peer->server.len;
            cp->weight = peer->weight;
            cp->max_conns = ngx_min(peer->max_conns, UINT32_MAX);
            cp->max_fails = ngx_min(peer->max_fails, UINT32_MAX);
            cp->fail_timeout_ms = ngx_min((uint64_t) peer->fail_timeout, UINT32_MAX / 1000) * 1000;
            cp->flags = ngx_http_atoll_peer_flags(peer, backup);
            cp++;
        }
    }

    return NGX_OK;
}


/* The build product lies beside the module, unless atoll_java says lib=. */
static ngx_int_t
ngx_http_atoll_library_dir(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    char     path[PATH_MAX], *slash;
    Dl_info  info;

    if (amcf->java_lib.data) {
        return NGX_OK;
    }

    if (dladdr(&ngx_http_atoll_module, &info) == 0 || info.dli_fname == NULL || realpath(info.dli_fname, path) == NULL
        || (slash = strrchr(path, '/')) == NULL)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "atoll: cannot tell where the module was loaded from; set atoll_java lib=<folder>");
        return NGX_ERROR;
    }

    *slash = '\0';

    amcf->java_lib.len = slash - path;
    amcf->java_lib.data = ngx_pnalloc(cf->pool, amcf->java_lib.len + 1);
    if (amcf->java_lib.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(amcf->java_lib.data, path, amcf->java_lib.len + 1);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atoll_run_compiler(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    char                              error[ATOLL_COMPILE_ERROR];
    ngx_uint_t                        i;
    atoll_table_t                     table;
    atoll_compile_options_t           options;
    ngx_http_atoll_srv_conf_t       **ascfp;
    atoll_compile_upstream_record_t  *cu;

    if (ngx_http_atoll_library_dir(cf, amcf) != NGX_OK) {
        return NGX_ERROR;
    }

    options.library_dir = (char *) amcf->java_lib.data;
    options.java_home = (char *) amcf->java_home.data;
    options.timeout_ms = amcf->java_timeout;

    if (atoll_compile(&amcf->region, &options, error) != 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "atoll_java: %s", error);
        return NGX_ERROR;
    }

    ascfp = amcf->upstreams.elts;

    for (i = 0; i < amcf->upstreams.nelts; i++) {

        cu = &amcf->region.upstreams[i];

        if (atoll_table_check(&table, amcf->region.base + cu->table_offset, cu->table_length) != ATOLL_TABLE_OK
            || table.peer_count != ascfp[i]->peer_count)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "atoll: the table compiled for upstream \"%V\" does not pass validation; expected atoll-core.jar in \"%V\" "
                          "to come from the same build as the module", &ascfp[i]->upstream->host, &amcf->java_lib);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_atoll_fill_settings(ngx_http_atoll_srv_conf_t *ascf)
{
    size_t                         len;
    atoll_upstream_record_t       *settings = &ascf->settings;
    ngx_http_upstream_srv_conf_t  *us = ascf->upstream;

    settings->name_length = us->host.len;
    ngx_memcpy(settings->name, us->host.data, us->host.len);

    len = ngx_min(ngx_strlen(us->file_name), sizeof(settings->file));
    settings->file_line = us->line;
    settings->file_length = len;
    ngx_memcpy(settings->file, us->file_name, len);

    if (settings->slow_start_ms == NGX_HTTP_ATOLL_UNSET) {
        settings->slow_start_ms = 0;
    }

    if (settings->panic_percent == NGX_HTTP_ATOLL_UNSET) {
        settings->panic_percent = NGX_HTTP_ATOLL_PANIC;
    }
}


static ngx_int_t
ngx_http_atoll_fill_request(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    ngx_uint_t                     i, backup;
    atoll_writer_peer_t           *wp;
    atoll_writer_request_t        *request;
    atoll_writer_upstream_t       *wu;
    ngx_http_atoll_srv_conf_t    **ascfp;
    ngx_http_upstream_rr_peer_t   *peer;

    request = &amcf->request;
    ascfp = amcf->upstreams.elts;

    wu = ngx_pcalloc(cf->pool, amcf->upstreams.nelts * sizeof(atoll_writer_upstream_t));
    if (wu == NULL) {
        return NGX_ERROR;
    }

    request->path = (char *) amcf->zone_path.data;
    request->size = amcf->zone_size;
    request->group = ngx_http_atoll_group(cf);
    request->node = "";
    request->now_ms = ngx_current_msec;
    request->upstreams = wu;
    request->upstream_count = amcf->upstreams.nelts;

    for (i = 0; i < amcf->upstreams.nelts; i++, wu++) {

        ngx_http_atoll_fill_settings(ascfp[i]);

        wp = ngx_pcalloc(cf->pool, ascfp[i]->peer_count * sizeof(atoll_writer_peer_t));
        if (wp == NULL) {
            return NGX_ERROR;
        }

        wu->settings = &ascfp[i]->settings;
        wu->table = amcf->region.base + amcf->region.upstreams[i].table_offset;
        wu->table_length = amcf->region.upstreams[i].table_length;
        wu->peers = wp;
        wu->peer_count = ascfp[i]->peer_count;

        for (peer = ngx_http_atoll_next_peer(ascfp[i], NULL, &backup);
             peer;
             peer = ngx_http_atoll_next_peer(ascfp[i], peer, &backup))
        {
            wp->sockaddr = peer->sockaddr;
            wp->socklen = peer->socklen;
            wp->address = (char *) peer->name.data;
            wp->address_length = peer->name.len;
            wp->server = (char *) peer->server.data;
            wp->server_length = peer->server.len;
            wp->weight = peer->weight;
            wp->flags = ngx_http_atoll_peer_flags(peer, backup);
            wp++;
        }
    }

    return NGX_OK;
}


/* The workers' group; `user` may not have been given its default yet. */
static gid_t
ngx_http_atoll_group(ngx_conf_t *cf)
{
    struct group     *grp;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx, ngx_core_module);

    if (ccf->group != (ngx_gid_t) NGX_CONF_UNSET_UINT) {
        return ccf->group;
    }

    grp = getgrnam(NGX_GROUP);

    return grp ? grp->gr_gid : getegid();
}


void
ngx_http_atoll_commit(ngx_cycle_t *cycle, ngx_http_atoll_main_conf_t *amcf)
{
    char  node[sizeof(((atoll_header_record_t *) 0)->node) + 1];

    ngx_cpystrn((u_char *) node, amcf->node.data, ngx_min(amcf->node.len + 1, sizeof(node)));

    /* the JVM took its time */
    ngx_time_update();

    amcf->request.node = node;
    amcf->request.now_ms = ngx_current_msec;

    atoll_writer_commit(&amcf->writer, &amcf->request);

    amcf->committed = 1;

    if (amcf->writer.created && amcf->writer.replaced != ATOLL_ATTACH_OK) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0, "atoll_zone \"%V\": the former file could not be used (%s); made anew",
                      &amcf->zone_path, atoll_attach_name(amcf->writer.replaced));
    }

    if (amcf->writer.rename_errno) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, amcf->writer.rename_errno,
                      "atoll_zone \"%V\": the new file could not be put in its place; nginx serves from it, but no agent can find "
                      "it; make its folder writable and reload", &amcf->zone_path);
    }

    atoll_compile_region_close(&amcf->region);
    amcf->compiled = 0;
}


/* amcf takes the place of what was published before: a zone that it does not go on with tells its agent so. */
void
ngx_http_atoll_supersede(ngx_http_atoll_main_conf_t *amcf)
{
    ngx_http_atoll_main_conf_t  *old = ngx_http_atoll_published;

    if (old && (!amcf->committed || ngx_strcmp(amcf->zone_path.data, old->zone_path.data) != 0)) {
        atoll_writer_retire(&old->writer.zone);
    }

    ngx_http_atoll_published = amcf->committed ? amcf : NULL;
}


/* The configuration was refused, or its time is over. */
static void
ngx_http_atoll_cleanup(void *data)
{
    ngx_http_atoll_main_conf_t  *amcf = data;

    if (ngx_http_atoll_published == amcf) {
        ngx_http_atoll_published = NULL;
    }

    if (amcf->compiled) {
        atoll_compile_region_close(&amcf->region);
    }

    if (amcf->committed) {
        atoll_writer_close(&amcf->writer);

    } else if (amcf->prepared) {
        atoll_writer_abandon(&amcf->writer);
    }
}
