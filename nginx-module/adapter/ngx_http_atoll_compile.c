/*
 * From peers to tables: a region for what the compile child is asked and answers, the child, and a look at each table with the
 * workers' own reader. Master only.
 */

#include "ngx_http_atoll.h"

#include <dlfcn.h>


/* Maps a region for the peers of all upstreams. */
static ngx_int_t
ngx_http_atoll_open_region(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    size_t                           names;
    uint32_t                         n, peers;
    uint64_t                         points, weight, previous, limit, in_zone;
    ngx_uint_t                       i, maglev, tables;
    ngx_http_atoll_srv_conf_t      **ascfp;
    const atoll_writer_upstream_t   *wu;

    ascfp = amcf->upstreams.elts;
    names = 0;
    points = 0;
    peers = 0;
    in_zone = ngx_http_atoll_weight_limit(amcf);

    for (i = 0; i < amcf->upstreams.nelts; i++) {

        wu = &amcf->request.upstreams[i];
        weight = 0;
        previous = 0;
        names += ascfp[i]->upstream->host.len;
        maglev = ascfp[i]->settings.method == ATOLL_METHOD_MAGLEV;
        limit = maglev ? INT32_MAX : in_zone;
        tables = maglev ? ATOLL_RING_COUNT_ : 0;

        for (n = 0; n < wu->peer_count; n++) {
            names += wu->peers[n].server_length;

            if (!(wu->peers[n].flags & ATOLL_FORMER_RINGS)) {
                weight += ngx_min((uint64_t) wu->peers[n].weight, limit + 1);

            } else if (wu->peers[n].flags & ATOLL_PEER_FLAG_MAGLEV) {
                tables = ATOLL_RING_COUNT_;

            } else {
                previous += wu->peers[n].weight;
            }
        }

        if (weight > limit && maglev) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "upstream \"%V\" in %s:%ui: its weights add up to more than %uL; divide all of them by a common factor",
                          &ascfp[i]->upstream->host, ascfp[i]->upstream->file_name, ascfp[i]->upstream->line, limit);
            return NGX_ERROR;
        }

        if (weight > limit) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "upstream \"%V\" in %s:%ui: its weights add up to more than %uL, which is what atoll_zone size=%uz holds "
                          "(%uD ring points for each unit of weight); use smaller weights or a larger size",
                          &ascfp[i]->upstream->host, ascfp[i]->upstream->file_name, ascfp[i]->upstream->line,
                          limit, amcf->zone_size, ATOLL_POINTS_PER_WEIGHT);
            return NGX_ERROR;
        }

        peers += wu->peer_count;
        points += tables * (uint64_t) ATOLL_MAGLEV_ENTRIES + (maglev ? previous : weight + previous) * ATOLL_POINTS_PER_WEIGHT;
    }

    if (atoll_compile_region_open(&amcf->region, amcf->upstreams.nelts, peers, names, points) != 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno, "atoll: no memory to compile %uL ring points", points);
        return NGX_ERROR;
    }

    amcf->compiled = 1;

    return NGX_OK;
}


static void
ngx_http_atoll_fill_region(ngx_http_atoll_main_conf_t *amcf)
{
    uint32_t                          n;
    ngx_uint_t                        i;
    const atoll_writer_peer_t        *wp;
    atoll_compile_peer_record_t      *cp;
    ngx_http_atoll_srv_conf_t       **ascfp;
    atoll_compile_upstream_record_t  *cu;

    ascfp = amcf->upstreams.elts;
    cp = amcf->region.peers;

    for (i = 0; i < amcf->upstreams.nelts; i++) {

        cu = &amcf->region.upstreams[i];
        cu->name_offset = atoll_compile_region_name(&amcf->region, ascfp[i]->upstream->host.data, ascfp[i]->upstream->host.len);
        cu->name_length = ascfp[i]->upstream->host.len;
        cu->first_peer = cp - amcf->region.peers;
        cu->peer_count = amcf->request.upstreams[i].peer_count;
        cu->method = ascfp[i]->settings.method;

        for (n = 0; n < cu->peer_count; n++, cp++) {
            wp = &amcf->request.upstreams[i].peers[n];
            cp->name_offset = atoll_compile_region_name(&amcf->region, wp->server, wp->server_length);
            cp->name_length = wp->server_length;
            cp->weight = wp->weight;
            cp->max_conns = wp->max_conns;
            cp->max_fails = wp->max_fails;
            cp->fail_timeout_ms = wp->fail_timeout_ms;
            cp->flags = wp->flags;
        }
    }
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


ngx_int_t
ngx_http_atoll_compile(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    char                              error[ATOLL_COMPILE_ERROR];
    ngx_uint_t                        i;
    atoll_writer_upstream_t          *wu;
    atoll_table_t                     table;
    atoll_compile_options_t           options;
    ngx_http_atoll_srv_conf_t       **ascfp;
    atoll_compile_upstream_record_t  *cu;

    if (ngx_http_atoll_open_region(cf, amcf) != NGX_OK || ngx_http_atoll_library_dir(cf, amcf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_atoll_fill_region(amcf);

    options.library_dir = (char *) amcf->java_lib.data;
    options.java_home = (char *) amcf->java_home.data;
    options.timeout_ms = amcf->java_timeout;

    if (atoll_compile(&amcf->region, &options, error) != 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "atoll_java: %s", error);
        return NGX_ERROR;
    }

    ascfp = amcf->upstreams.elts;
    wu = (atoll_writer_upstream_t *) amcf->request.upstreams;

    for (i = 0; i < amcf->upstreams.nelts; i++) {

        cu = &amcf->region.upstreams[i];
        wu[i].table = amcf->region.base + cu->table_offset;
        wu[i].table_length = cu->table_length;

        if (atoll_table_check(&table, wu[i].table, wu[i].table_length) != ATOLL_TABLE_OK
            || table.all_peers > amcf->request.upstreams[i].peer_count)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "atoll: the table compiled for upstream \"%V\" does not pass validation; expected atoll-core.jar in \"%V\" "
                          "to come from the same build as the module", &ascfp[i]->upstream->host, &amcf->java_lib);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
