/*
 * From parsed upstreams to a zone: open the zone that is there, collect the peers, have their tables compiled, plan the zone file; commit
 * once nginx can no longer refuse the configuration. Master only.
 */

#include "ngx_http_atoll.h"


static ngx_int_t ngx_http_atoll_prepare_zone(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf, char *error);
static void ngx_http_atoll_cleanup(void *data);


/* The configuration whose zone this process published last; NULL when its time is over. */
static ngx_http_atoll_main_conf_t  *ngx_http_atoll_published;


ngx_int_t
ngx_http_atoll_prepare(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    char                 error[ATOLL_WRITER_ERROR];
    ngx_int_t            rc;
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

    rc = ngx_http_atoll_prepare_zone(cf, amcf, error);

    if (rc == NGX_DECLINED && amcf->earlier) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0, "atoll_handover: not from the owners before the last but one change: %s", error);

        atoll_compile_region_close(&amcf->region);
        amcf->compiled = 0;
        amcf->no_earlier = 1;

        rc = ngx_http_atoll_prepare_zone(cf, amcf, error);
    }

    if (rc == NGX_DECLINED && amcf->previous) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0, "atoll_handover: not from the owners before this change: %s", error);

        atoll_compile_region_close(&amcf->region);
        amcf->compiled = 0;
        amcf->no_previous = 1;

        rc = ngx_http_atoll_prepare_zone(cf, amcf, error);
    }

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "atoll_zone: %s", error);
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    amcf->prepared = !ngx_test_config;

    return NGX_OK;
}


/* NGX_DECLINED: the zone file does not do, error says why. */
static ngx_int_t
ngx_http_atoll_prepare_zone(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf, char *error)
{
    if (atoll_writer_open(&amcf->writer, (char *) amcf->zone_path.data, ngx_test_config, error) != 0) {
        return NGX_DECLINED;
    }

    if (amcf->known.upstreams == NULL) {
        atoll_known_read(&amcf->known, (char *) amcf->zone_path.data);
    }

    if (ngx_http_atoll_collect_peers(cf, amcf) != NGX_OK || ngx_http_atoll_compile(cf, amcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return atoll_writer_plan(&amcf->writer, &amcf->request, ngx_test_config, error) == 0 ? NGX_OK : NGX_DECLINED;
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

    if (amcf->writer.lost) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "atoll_zone \"%V\": the file was cut short while it was written; its workers share nothing and no agent finds "
                      "it: remove the file and reload nginx", &amcf->zone_path);
    }

    if (amcf->writer.copy_errno) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, amcf->writer.copy_errno,
                      "atoll_zone \"%V\": cannot make a copy of it: should the file be cut short, stock round robin would serve",
                      &amcf->zone_path);
    }

    atoll_compile_region_close(&amcf->region);
    amcf->compiled = 0;

    atoll_known_close(&amcf->known);
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

    } else {
        atoll_writer_abandon(&amcf->writer);
    }

    atoll_known_close(&amcf->known);
}
