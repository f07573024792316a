/*
 * What a configuration says to the zone's writer: the servers of nginx.conf with what was changed about them at run time, those
 * that were added, and, behind them, the peers of the rings before. Master only.
 */

#include "ngx_http_atoll.h"


uint64_t
ngx_http_atoll_weight_limit(ngx_http_atoll_main_conf_t *amcf)
{
    return amcf->zone_size / (ATOLL_POINTS_PER_WEIGHT * sizeof(atoll_point_record_t));
}


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
        weight += members->members[n].peer.flags & ATOLL_PEER_FLAG_MAGLEV ? 0 : members->members[n].peer.weight;
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

        wanted[members.count].peer = wp[n];
        wanted[members.count++].peer.flags |= ascf->settings.method == ATOLL_METHOD_MAGLEV ? ATOLL_PEER_FLAG_MAGLEV : 0;
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


ngx_int_t
ngx_http_atoll_collect_peers(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
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
