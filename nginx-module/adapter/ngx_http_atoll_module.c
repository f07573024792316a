/* The module: what happens once a configuration, and once a worker. */

#include "ngx_http_atoll_route.h"
#include "../writer/atoll_zone_guard.h"


static ngx_int_t ngx_http_atoll_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_atoll_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_atoll_init_process(ngx_cycle_t *cycle);
static void ngx_http_atoll_exit_process(ngx_cycle_t *cycle);
static int ngx_http_atoll_is_alive(uint64_t pid, uint64_t start, void *data);
static void ngx_http_atoll_lost(const char *path, int first);


static ngx_http_module_t  ngx_http_atoll_module_ctx = {
    ngx_http_atoll_add_variables,          /* preconfiguration */
    ngx_http_atoll_postconfiguration,      /* postconfiguration */

    ngx_http_atoll_create_main_conf,       /* create main configuration */
    ngx_http_atoll_init_main_conf,         /* init main configuration */

    ngx_http_atoll_create_srv_conf,        /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_atoll_create_loc_conf,        /* create location configuration */
    ngx_http_atoll_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_atoll_module = {
    NGX_MODULE_V1,
    &ngx_http_atoll_module_ctx,            /* module context */
    ngx_http_atoll_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_atoll_init_module,            /* init module */
    ngx_http_atoll_init_process,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_atoll_exit_process,           /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* Everything that may refuse the configuration. `nginx -s` parses it too, for the pid file only: nothing to do then. */
static ngx_int_t
ngx_http_atoll_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_atoll_main_conf_t  *amcf;

    if (ngx_http_atoll_check_upstreams(cf) != NGX_OK || ngx_http_atoll_init_routes(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atoll_module);

    ngx_http_atoll_init_disks(cf, amcf);
    ngx_http_atoll_add_refusal();
#if (NGX_HTTP_CACHE)
    ngx_http_atoll_find_slice(cf->cycle);
#endif

    if (ngx_http_atoll_init_purges(cf, amcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (amcf->upstreams.nelts == 0 || ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_OK;
    }

    return ngx_http_atoll_prepare(cf, amcf);
}


/* The configuration stands: publish. */
static ngx_int_t
ngx_http_atoll_init_module(ngx_cycle_t *cycle)
{
    ngx_http_atoll_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_atoll_module);

    if (amcf == NULL) {
        return NGX_OK;
    }

    ngx_http_atoll_find_node(cycle, amcf);
    ngx_http_atoll_find_self(cycle, amcf);

    if (ngx_test_config) {
        return NGX_OK;
    }

    if (amcf->prepared) {
        ngx_http_atoll_commit(cycle, amcf);
    }

    ngx_http_atoll_supersede(amcf);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atoll_init_process(ngx_cycle_t *cycle)
{
    size_t                       size;
    void                        *memory;
    uint64_t                     start;
    atoll_zone_t                *zone;
    ngx_http_atoll_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_atoll_module);

    if (amcf == NULL || !amcf->committed
        || (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    zone = &amcf->writer.zone;
    start = atoll_process_start(ngx_pid);

    atoll_guard_lost = ngx_http_atoll_lost;

    /* what was done to the file before may fault nowhere */
    (void) atoll_guard_check(zone);

    atoll_writer_own(zone, ngx_process == NGX_PROCESS_SINGLE ? ngx_pid : ngx_parent, amcf->writer.config_epoch);

    if (!atoll_row_claim(&amcf->row, zone, ngx_pid, start, amcf->writer.config_epoch, ngx_http_atoll_is_alive, NULL)) {

        size = atoll_row_size(zone->upstream_count, zone->peer_count);

        memory = ngx_memalign(ATOLL_CACHE_LINE, size, cycle->log);
        if (memory == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(memory, size);

        amcf->row = atoll_row_at(memory, zone->upstream_count);

        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "atoll_zone \"%V\": all %uD worker rows are taken; this worker is not counted in metrics and max_conns",
                      &amcf->zone_path, (uint32_t) ATOLL_ROW_CAPACITY);
    }

    ngx_http_atoll_init_balancers(amcf);

    return NGX_OK;
}


/* One that is told to end at once has requests in flight. */
static void
ngx_http_atoll_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_atoll_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_atoll_module);

    if (amcf && amcf->row.head) {
        atoll_row_release(&amcf->row, &amcf->writer.zone);
    }
}


static int
ngx_http_atoll_is_alive(uint64_t pid, uint64_t start, void *data)
{
    uint64_t  now = atoll_process_start(pid);

    return now != 0 && (start == 0 || now == start);
}


/*
 * In a worker, in the place of an access to the zone that faulted, see atoll_zone_guard.h: what may be done there may be done here. Who reads
 * and writes the file for a start or reload says by itself what became of it.
 */
static void
ngx_http_atoll_lost(const char *path, int first)
{
    if (first) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "atoll_zone \"%s\": the file was cut short or written over; nginx goes on with the servers and drains of its last "
                      "start or reload, without the agent: remove the file and reload nginx", path);
    }
}
