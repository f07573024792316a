/*
 * atoll_purge <zone> <key>: removes the entry of that key from one of nginx's own caches, and its file from disk, so that the
 * space is there again at once. Which requests must not be answered from it is the generation's matter
 * (ngx_http_atoll_purge.c); this is what is left to be done with the file of before.
 *
 * What nginx does with such a node afterwards is what it does with one whose file a request found missing: exists 0, who reads
 * the file goes on with its open descriptor, who fetches it anew puts another file there. `deleting` is nginx's cache
 * manager's: such a node is left to it. It is not set here, since a worker that dies would leave it set, and the manager waits
 * for such a node without an end.
 *
 * While nginx's loader reads the folder (cold), a file need not have a node yet: it is deleted all the same. The loader may
 * then have seen it just before; the node that it adds is found to have no file by the next request for the key, or when it
 * has been inactive, as any whose file is gone.
 */

#include "ngx_http_atoll.h"

#include <ngx_md5.h>


#if (NGX_HTTP_CACHE)

static ngx_int_t ngx_http_atoll_purge_handler(ngx_http_request_t *r);


/* A cache's zone by its name. */
static ngx_shm_zone_t *
ngx_http_atoll_cache_zone(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t        i, m;
    ngx_module_t     *tag;
    ngx_list_part_t  *part;
    ngx_shm_zone_t   *zone;

    static ngx_str_t  owners[] = {
        ngx_string("ngx_http_proxy_module"), ngx_string("ngx_http_fastcgi_module"),
        ngx_string("ngx_http_scgi_module"), ngx_string("ngx_http_uwsgi_module"), ngx_null_string
    };

    part = &cf->cycle->shared_memory.part;
    zone = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            zone = part->elts;
            i = 0;
        }

        if (zone[i].shm.name.len != name->len || ngx_strncmp(zone[i].shm.name.data, name->data, name->len) != 0
            || zone[i].data == NULL)
        {
            continue;
        }

        /* a module that nginx was built without cannot be named by its symbol */

        for (m = 0; cf->cycle->modules[m]; m++) {
            tag = cf->cycle->modules[m];

            if (tag == zone[i].tag && tag->name) {
                ngx_str_t  *owner;

                for (owner = owners; owner->len; owner++) {
                    if (ngx_strcmp(tag->name, owner->data) == 0) {
                        return &zone[i];
                    }
                }
            }
        }
    }
}


/* After all directives were read: a cache may be declared behind the location. */
ngx_int_t
ngx_http_atoll_init_purges(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    ngx_uint_t                i;
    ngx_http_atoll_purge_t  **purges = amcf->purges.elts;

    for (i = 0; i < amcf->purges.nelts; i++) {

        purges[i]->zone = ngx_http_atoll_cache_zone(cf, &purges[i]->name);

        if (purges[i]->zone == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no cache \"%V\" for \"atoll_purge\" in %s:%ui: expected the name in keys_zone=<name>:<size> of a "
                          "proxy_cache_path, fastcgi_cache_path, scgi_cache_path or uwsgi_cache_path",
                          &purges[i]->name, purges[i]->file, purges[i]->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* atoll_purge <zone> <key> */
char *
ngx_http_atoll_purge(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atoll_loc_conf_t  *alcf = conf;

    ngx_str_t                   *value;
    ngx_http_atoll_purge_t      *purge, **purgep;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_atoll_main_conf_t  *amcf;

    if (alcf->purge) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return ngx_http_atoll_invalid(cf, &value[1], "the name of a cache's keys_zone");
    }

    if (value[2].len == 0) {
        return ngx_http_atoll_invalid(cf, &value[2], "a key, as in proxy_cache_key");
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atoll_module);

    purge = ngx_pcalloc(cf->pool, sizeof(ngx_http_atoll_purge_t));
    purgep = ngx_array_push(&amcf->purges);

    if (purge == NULL || purgep == NULL) {
        return NGX_CONF_ERROR;
    }

    *purgep = purge;
    alcf->purge = purge;

    purge->name = value[1];
    purge->file = cf->conf_file->file.name.data;
    purge->line = cf->conf_file->line;

    if (ngx_http_atoll_compile_value(cf, &value[2], &purge->key) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_atoll_purge_handler;

    return NGX_CONF_OK;
}


/* The node of a key's hash. Under the zone's lock. */
static ngx_http_file_cache_node_t *
ngx_http_atoll_cache_node(ngx_http_file_cache_t *cache, u_char *hash)
{
    ngx_int_t                    rc;
    ngx_rbtree_key_t             key;
    ngx_rbtree_node_t           *node, *sentinel;
    ngx_http_file_cache_node_t  *fcn;

    ngx_memcpy(&key, hash, sizeof(ngx_rbtree_key_t));

    node = cache->sh->rbtree.root;
    sentinel = cache->sh->rbtree.sentinel;

    while (node != sentinel) {

        if (key != node->key) {
            node = key < node->key ? node->left : node->right;
            continue;
        }

        fcn = (ngx_http_file_cache_node_t *) node;
        rc = ngx_memcmp(hash + sizeof(ngx_rbtree_key_t), fcn->key, NGX_HTTP_CACHE_KEY_LEN - sizeof(ngx_rbtree_key_t));

        if (rc == 0) {
            return fcn;
        }

        node = rc < 0 ? node->left : node->right;
    }

    return NULL;
}


/* The node has no file any more; its size is out of the cache's. Under the zone's lock. */
static void
ngx_http_atoll_forget_file(ngx_http_file_cache_t *cache, ngx_http_file_cache_node_t *fcn)
{
    if (fcn->exists) {
        cache->sh->size -= fcn->fs_size;
    }

    fcn->exists = 0;
    fcn->error = 0;
    fcn->valid_sec = 0;
    fcn->valid_msec = 0;
    fcn->uniq = 0;
    fcn->body_start = 0;
    fcn->fs_size = 0;
}


/*
 * Lets go of a node. What a request stored meanwhile may be what was deleted: then the node is told that it has no file; a
 * file that came since has another uniq. A node that nobody uses and that stands for nothing goes.
 */
static void
ngx_http_atoll_release_node(ngx_http_file_cache_t *cache, ngx_http_file_cache_node_t *fcn, u_char *name)
{
    ngx_file_info_t  fi;
    ngx_file_uniq_t  uniq;

    ngx_shmtx_lock(&cache->shpool->mutex);

    if (fcn->exists) {
        uniq = fcn->uniq;

        ngx_shmtx_unlock(&cache->shpool->mutex);

        if (ngx_file_info(name, &fi) == NGX_FILE_ERROR && ngx_errno == NGX_ENOENT) {
            ngx_shmtx_lock(&cache->shpool->mutex);

            if (fcn->exists && fcn->uniq == uniq) {
                ngx_http_atoll_forget_file(cache, fcn);
            }

        } else {
            ngx_shmtx_lock(&cache->shpool->mutex);
        }
    }

    fcn->count--;

    if (fcn->count == 0 && !fcn->exists && !fcn->error) {
        ngx_queue_remove(&fcn->queue);
        ngx_rbtree_delete(&cache->sh->rbtree, &fcn->node);
        ngx_slab_free_locked(cache->shpool, fcn);
        cache->sh->count--;
    }

    ngx_shmtx_unlock(&cache->shpool->mutex);
}


/* Where nginx has the file of a hash. NULL: no memory. */
static u_char *
ngx_http_atoll_file_name(ngx_http_request_t *r, ngx_path_t *path, u_char *hash)
{
    size_t   len;
    u_char  *name, *p;

    len = path->name.len + 1 + path->len + 2 * NGX_HTTP_CACHE_KEY_LEN;

    name = ngx_pnalloc(r->pool, len + 1);
    if (name == NULL) {
        return NULL;
    }

    ngx_memcpy(name, path->name.data, path->name.len);

    p = ngx_hex_dump(name + path->name.len + 1 + path->len, hash, NGX_HTTP_CACHE_KEY_LEN);
    *p = '\0';

    ngx_create_hashed_filename(path, name, len);

    return name;
}


/*
 * Removes an entry: its node out of use under the zone's lock, its file by one unlink without it. *bytes: what it took on disk,
 * as far as nginx knows. NGX_DECLINED: there was none.
 */
static ngx_int_t
ngx_http_atoll_remove_entry(ngx_http_request_t *r, ngx_http_file_cache_t *cache, ngx_str_t *key, off_t *bytes)
{
    u_char                      *name, hash[NGX_HTTP_CACHE_KEY_LEN];
    ngx_err_t                    err;
    ngx_md5_t                    md5;
    ngx_uint_t                   known, file;
    ngx_http_file_cache_node_t  *fcn;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, key->data, key->len);
    ngx_md5_final(hash, &md5);

    name = ngx_http_atoll_file_name(r, cache->path, hash);
    if (name == NULL) {
        return NGX_ERROR;
    }

    known = 0;
    *bytes = 0;

    ngx_shmtx_lock(&cache->shpool->mutex);

    file = cache->sh->cold ? 1 : 0;
    fcn = ngx_http_atoll_cache_node(cache, hash);

    if (fcn && (fcn->deleting || !(fcn->exists || fcn->error || file))) {
        ngx_shmtx_unlock(&cache->shpool->mutex);
        return NGX_DECLINED;
    }

    if (fcn) {
        known = fcn->exists || fcn->error;
        file |= fcn->exists;
        *bytes = fcn->exists ? fcn->fs_size * (off_t) cache->bsize : 0;

        ngx_http_atoll_forget_file(cache, fcn);

        fcn->count++;
        fcn->expire = ngx_time() + cache->inactive;

        ngx_queue_remove(&fcn->queue);
        ngx_queue_insert_head(&cache->sh->queue, &fcn->queue);
    }

    ngx_shmtx_unlock(&cache->shpool->mutex);

    err = file && ngx_delete_file(name) == NGX_FILE_ERROR ? ngx_errno : 0;

    if (fcn) {
        ngx_http_atoll_release_node(cache, fcn, name);
    }

    if (err && err != NGX_ENOENT && err != NGX_ENOTDIR) {
        ngx_log_error(NGX_LOG_CRIT, r->connection->log, err, ngx_delete_file_n " \"%s\" failed", name);
        return NGX_ERROR;
    }

    return known || (file && err == 0) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_atoll_not_allowed(ngx_http_request_t *r)
{
    ngx_table_elt_t  *allow;

    allow = ngx_list_push(&r->headers_out.headers);
    if (allow == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(allow, sizeof(ngx_table_elt_t));

    allow->hash = 1;
    ngx_str_set(&allow->key, "Allow");
    ngx_str_set(&allow->value, "PURGE, POST, DELETE");

    return NGX_HTTP_NOT_ALLOWED;
}


static ngx_int_t
ngx_http_atoll_purge_handler(ngx_http_request_t *r)
{
    off_t                       bytes;
    ngx_buf_t                  *b;
    ngx_int_t                   rc;
    ngx_str_t                   key, generation;
    ngx_http_atoll_loc_conf_t  *alcf;

    if (!(r->method & (NGX_HTTP_POST|NGX_HTTP_DELETE))
        && (r->method_name.len != 5 || ngx_strncmp(r->method_name.data, "PURGE", 5) != 0))
    {
        return ngx_http_atoll_not_allowed(r);
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atoll_module);

    if (ngx_http_complex_value(r, &alcf->purge->key, &key) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (key.len == 0 || ngx_http_atoll_named_generation(r, &generation) == NGX_ERROR) {
        return NGX_HTTP_BAD_REQUEST;
    }

    rc = ngx_http_atoll_remove_entry(r, alcf->purge->zone->data, &key, &bytes);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_create_temp_buf(r->pool, sizeof("{\"purged\":false,\"bytes\":}\n") + NGX_OFF_T_LEN);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_sprintf(b->last, "{\"purged\":%s,\"bytes\":%O}\n", rc == NGX_OK ? "true" : "false", bytes);

    return ngx_http_atoll_send_json(r, rc == NGX_OK ? NGX_HTTP_OK : NGX_HTTP_NOT_FOUND, b);
}

#else

ngx_int_t
ngx_http_atoll_init_purges(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    return NGX_OK;
}


char *
ngx_http_atoll_purge(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return "needs an nginx that was built with its cache";
}

#endif


ngx_int_t
ngx_http_atoll_named_key(ngx_http_request_t *r, ngx_str_t *key)
{
    u_char     *p, *src;
    ngx_str_t   value;

    if (ngx_http_arg(r, (u_char *) "key", sizeof("key") - 1, &value) != NGX_OK) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, value.len ? value.len : 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    key->data = p;
    src = value.data;

    ngx_unescape_uri(&p, &src, value.len, 0);

    key->len = p - key->data;

    return NGX_OK;
}
