/*
 * From parsed upstreams to a zone: open the zone that is there, put what was changed at run time to the servers of nginx.conf,
 * see who owned the keys until now, fill the compile request, have the child compile it, check every table with the workers' own reader, plan the zone file;
 * commit once nginx can no longer refuse the configuration. Master only.
 */

#include "ngx_http_atoll.h"

#include <dlfcn.h>


static ngx_int_t ngx_http_atoll_plan(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf, char *error);
static uint64_t ngx_http_atoll_weight_limit(ngx_http_atoll_main_conf_t *amcf);
static ngx_int_t ngx_http_atoll_fill_request(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf);
static ngx_int_t ngx_http_atoll_fill_region(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf);
static ngx_int_t ngx_http_atoll_run_compiler(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf);
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

    rc = ngx_http_atoll_plan(cf, amcf, error);

    if (rc == NGX_DECLINED && amcf->earlier) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0, "atoll_handover: not from the owners before the last but one change: %s", error);

        atoll_compile_region_close(&amcf->region);
        amcf->compiled = 0;
        amcf->no_earlier = 1;

        rc = ngx_http_atoll_plan(cf, amcf, error);
    }

    if (rc == NGX_DECLINED && amcf->previous) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0, "atoll_handover: not from the owners before this change: %s", error);

        atoll_compile_region_close(&amcf->region);
        amcf->compiled = 0;
        amcf->no_previous = 1;

        rc = ngx_http_atoll_plan(cf, amcf, error);
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
ngx_http_atoll_plan(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf, char *error)
{
    if (atoll_writer_open(&amcf->writer, (char *) amcf->zone_path.data, ngx_test_config, error) != 0) {
        return NGX_DECLINED;
    }

    if (amcf->known.upstreams == NULL) {
        atoll_known_read(&amcf->known, (char *) amcf->zone_path.data);
    }

    if (ngx_http_atoll_fill_request(cf, amcf) != NGX_OK
        || ngx_http_atoll_fill_region(cf, amcf) != NGX_OK
        || ngx_http_atoll_run_compiler(cf, amcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return atoll_writer_plan(&amcf->writer, &amcf->request, ngx_test_config, error) == 0 ? NGX_OK : NGX_DECLINED;
}


/* Weights that an upstream may have in all: those whose points the zone file holds. */
static uint64_t
ngx_http_atoll_weight_limit(ngx_http_atoll_main_conf_t *amcf)
{
    return amcf->zone_size / (ATOLL_POINTS_PER_WEIGHT * sizeof(atoll_point_record_t));
}


/* Maps a region for the peers of all upstreams. */
static ngx_int_t
ngx_http_atoll_open_region(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    size_t                           names;
    uint32_t                         n, peers;
    uint64_t                         points, weight, previous, limit, in_zone, *sum;
    ngx_uint_t                       i, maglev;
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

        for (n = 0; n < wu->peer_count; n++) {
            names += wu->peers[n].server_length;
            sum = (wu->peers[n].flags & ATOLL_FORMER_RINGS) ? &previous : &weight;
            *sum += ngx_min((uint64_t) wu->peers[n].weight, limit + 1);
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
        points += maglev ? ATOLL_RING_COUNT_ * (uint64_t) ATOLL_MAGLEV_ENTRIES : (weight + previous) * ATOLL_POINTS_PER_WEIGHT;
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
    uint32_t                          n;
    ngx_uint_t                        i;
    const atoll_writer_peer_t        *wp;
    atoll_compile_peer_record_t      *cp;
    ngx_http_atoll_srv_conf_t       **ascfp;
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
    atoll_writer_upstream_t          *wu;
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

    if (settings->method == NGX_HTTP_ATOLL_UNSET) {
        settings->method = ATOLL_METHOD_KETAMA;
    }

    if (settings->handover_ms == NGX_HTTP_ATOLL_UNSET) {
        settings->handover_ms = NGX_HTTP_ATOLL_HANDOVER;
    }
}


/* A server of nginx.conf, with what was changed about it at run time. Returns its flags. */
static uint32_t
ngx_http_atoll_conf_peer(ngx_http_atoll_main_conf_t *amcf, ngx_http_atoll_srv_conf_t *ascf, atoll_writer_peer_t *wp,
    ngx_http_upstream_rr_peer_t *peer, ngx_uint_t backup)
{
    uint32_t  changed, weight;

    wp->sockaddr = peer->sockaddr;
    wp->socklen = peer->socklen;
    wp->address = (char *) peer->name.data;
    wp->address_length = peer->name.len;
    wp->server = (char *) peer->server.data;
    wp->server_length = peer->server.len;
    wp->weight = ngx_min((uint64_t) peer->weight, UINT32_MAX);
    wp->conf_weight = wp->weight;
    wp->max_conns = ngx_min(peer->max_conns, UINT32_MAX);
    wp->max_fails = ngx_min(peer->max_fails, UINT32_MAX);
    wp->fail_timeout_ms = ngx_min((uint64_t) peer->fail_timeout, UINT32_MAX / 1000) * 1000;

    changed = atoll_writer_changed(&amcf->writer, ascf->upstream->host.data, ascf->upstream->host.len,
                                   peer->server.data, peer->server.len, &weight);

    if (changed & ATOLL_PEER_FLAG_WEIGHTED) {
        wp->weight = weight;
    }

    wp->flags = ngx_http_atoll_peer_flags(peer, backup) | changed;

    return wp->flags;
}


/* Whether nginx.conf names the server. */
static ngx_uint_t
ngx_http_atoll_is_declared(ngx_http_atoll_srv_conf_t *ascf, const atoll_peer_identity_record_t *identity)
{
    ngx_uint_t                    backup;
    ngx_http_upstream_rr_peer_t  *peer;

    for (peer = ngx_http_atoll_next_peer(ascf, NULL, &backup);
         peer;
         peer = ngx_http_atoll_next_peer(ascf, peer, &backup))
    {
        if (peer->server.len == identity->server_length
            && ngx_memcmp(peer->server.data, identity->server, peer->server.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* A server that was added at run time; its texts are the writer's, until commit. */
static void
ngx_http_atoll_added_peer(atoll_writer_peer_t *wp, const atoll_peer_identity_record_t *identity)
{
    wp->sockaddr = identity->sockaddr;
    wp->socklen = identity->sockaddr_length;
    wp->address = (char *) identity->address;
    wp->address_length = identity->address_length;
    wp->server = (char *) identity->server;
    wp->server_length = identity->server_length;
    wp->weight = identity->weight;
    wp->max_conns = identity->max_conns;
    wp->max_fails = identity->max_fails;
    wp->fail_timeout_ms = identity->fail_timeout_ms;
    wp->flags = identity->flags & (ATOLL_PEER_FLAG_BACKUP|ATOLL_PEER_FLAG_ADDED);
}


/* Behind the others, the peers of a ring before, unless their points cannot fit the file. */
static ngx_uint_t
ngx_http_atoll_fill_former(ngx_http_atoll_main_conf_t *amcf, atoll_writer_upstream_t *wu, const atoll_members_t *members,
    uint32_t flag)
{
    uint32_t              n;
    uint64_t              weight;
    atoll_writer_peer_t  *wp = (atoll_writer_peer_t *) wu->peers;

    weight = 0;

    for (n = 0; n < members->count; n++) {
        weight += members->members[n].peer.weight;
    }

    if (members->count == 0 || weight > ngx_http_atoll_weight_limit(amcf)) {
        return 0;
    }

    for (n = 0; n < members->count; n++) {
        wp[wu->peer_count] = members->members[n].peer;
        wp[wu->peer_count++].flags |= flag;
    }

    return 1;
}


/* The rings before: what decides which these are is the present primary ring. */
static ngx_int_t
ngx_http_atoll_fill_previous(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf, ngx_http_atoll_srv_conf_t *ascf,
    const atoll_known_upstream_t *known, atoll_writer_upstream_t *wu)
{
    uint32_t              n, left;
    atoll_member_t       *wanted;
    atoll_members_t       members;
    atoll_previous_t      previous;
    atoll_writer_peer_t  *wp = (atoll_writer_peer_t *) wu->peers;

    wanted = ngx_pcalloc(cf->temp_pool, (wu->peer_count + 1) * sizeof(atoll_member_t));
    if (wanted == NULL) {
        return NGX_ERROR;
    }

    members.members = wanted;
    members.count = 0;
    left = 0;

    for (n = 0; n < wu->peer_count; n++) {
        left |= !(wp[n].flags & (ATOLL_PEER_FLAG_BACKUP|ATOLL_PEER_FLAG_REMOVED));
    }

    for (n = 0; n < wu->peer_count; n++) {

        if ((wp[n].flags & ATOLL_PEER_FLAG_BACKUP) || (left && (wp[n].flags & ATOLL_PEER_FLAG_REMOVED))) {
            continue;
        }

        wanted[members.count++].peer = wp[n];
    }

    if (known && amcf->known.records[known - amcf->known.upstreams].method != ascf->settings.method) {
        /* the ring before had its points by other rules */
        known = NULL;
    }

    previous = atoll_previous_after(known, &members, ngx_current_msec, ascf->settings.handover_ms);

    if (ngx_http_atoll_fill_former(amcf, wu, &previous.members, ATOLL_PEER_FLAG_PREVIOUS)) {
        wu->handover_until_ms = previous.until_ms;
        amcf->previous = 1;

        if (!amcf->no_earlier) {
            amcf->earlier |= ngx_http_atoll_fill_former(amcf, wu, &previous.earlier, ATOLL_PEER_FLAG_EARLIER);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atoll_fill_peers(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf, ngx_http_atoll_srv_conf_t *ascf,
    atoll_writer_upstream_t *wu)
{
    uint32_t                             slot, flags;
    ngx_str_t                           *name = &ascf->upstream->host;
    ngx_uint_t                           n, backup, changed, added;
    atoll_writer_peer_t                 *wp;
    ngx_http_upstream_rr_peer_t         *peer;
    const atoll_known_upstream_t        *known;
    const atoll_peer_identity_record_t  *identity;

    known = amcf->no_previous ? NULL : atoll_known_find(&amcf->known, name->data, name->len);

    n = ascf->peers->number + (ascf->peers->next ? ascf->peers->next->number : 0);

    if (known) {
        n += known->primary.count + known->previous.members.count + known->previous.earlier.count;
    }

    for (slot = 0; atoll_writer_next_added(&amcf->writer, name->data, name->len, &slot); /* void */) {
        n++;
    }

    wp = ngx_pcalloc(cf->pool, n * sizeof(atoll_writer_peer_t));
    if (wp == NULL) {
        return NGX_ERROR;
    }

    wu->peers = wp;
    changed = 0;
    added = 0;

    for (peer = ngx_http_atoll_next_peer(ascf, NULL, &backup);
         peer;
         peer = ngx_http_atoll_next_peer(ascf, peer, &backup))
    {
        flags = ngx_http_atoll_conf_peer(amcf, ascf, wp++, peer, backup);
        changed += (flags & (ATOLL_PEER_FLAG_REMOVED|ATOLL_PEER_FLAG_WEIGHTED)) != 0;
    }

    slot = 0;

    while ((identity = atoll_writer_next_added(&amcf->writer, name->data, name->len, &slot)) != NULL) {

        if (!ngx_http_atoll_is_declared(ascf, identity)) {
            ngx_http_atoll_added_peer(wp++, identity);
            added++;
        }
    }

    wu->peer_count = wp - wu->peers;

    if (changed || added) {
        ngx_log_error(NGX_LOG_NOTICE, cf->log, 0,
                      "atoll: upstream \"%V\" keeps what was changed at run time: %ui peers added, %ui removed or with another weight",
                      name, added, changed);
    }

    return ngx_http_atoll_fill_previous(cf, amcf, ascf, known, wu);
}


static ngx_int_t
ngx_http_atoll_fill_request(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    ngx_uint_t                   i;
    atoll_writer_request_t      *request;
    atoll_writer_upstream_t     *wu;
    ngx_http_atoll_srv_conf_t  **ascfp;

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
        wu->settings = &ascfp[i]->settings;

        if (ngx_http_atoll_fill_peers(cf, amcf, ascfp[i], wu) != NGX_OK) {
            return NGX_ERROR;
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
