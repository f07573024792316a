/*
 * atoll_disk_reserve: while a cache's file system has less space left than the reserve, $atoll_no_store is 1, so that responses
 * are passed on instead of cut when nginx cannot write them. Copies that are there are read as ever.
 *
 * What was found is shared by all workers of a configuration: one of them looks, at most every 100 ms, when a response is about to be
 * stored. The look is a statfs(2), which a local file system answers from memory, in a microsecond or two; those that ask a server or a
 * process for it could keep a worker for ever, and are refused when the configuration is read. No lock: who sets checked_ms looks, and
 * one that dies doing so is followed by another 100 ms later.
 */

#include "ngx_http_atoll.h"

#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>


#define NGX_HTTP_ATOLL_DISK_LOOK_MS  100


struct ngx_http_atoll_disk_look_s {
    _Atomic uint64_t  checked_ms;   /* ngx_current_msec of the last look */
    _Atomic uint64_t  free;         /* bytes; 0: read-only, out of inodes, or statfs() failed */
    _Atomic uint32_t  low;          /* 1: nothing is stored */
};


/* File systems whose statfs(2) waits for a server or a process: magic numbers of linux/magic.h and of their own sources. */
static const uint32_t  ngx_http_atoll_remote[] = {
    0x00006969, /* nfs */      0xff534d42, /* cifs */    0xfe534d42, /* smb2 */    0x0000517b, /* smb */
    0x65735546, /* fuse */     0x00c36400, /* ceph */    0x01021997, /* 9p */      0x0bd00bd0, /* lustre */
    0x5346414f, /* afs */      0x6b414653, /* kafs */    0x73757245, /* coda */    0x0000564c, /* ncp */
    0x01161970, /* gfs2 */     0x7461636f, /* ocfs2 */   0x47504653, /* gpfs */    0x20030528, /* orangefs */
    0x786f4256, /* vboxsf */   0x00000187, /* autofs */
};


/* Whether name is the folder or lies in it. */
static ngx_uint_t
ngx_http_atoll_is_within(ngx_str_t *name, ngx_str_t *folder)
{
    return name->len >= folder->len && ngx_memcmp(name->data, folder->data, folder->len) == 0
           && (name->len == folder->len || name->data[folder->len] == '/' || folder->len == 1);
}


static ngx_uint_t
ngx_http_atoll_is_remote(ngx_str_t *path)
{
    u_char          folder[NGX_MAX_PATH];
    ngx_uint_t      i;
    struct statfs   fs;
    u_char         *p = ngx_cpystrn(folder, path->data, ngx_min(path->len + 1, NGX_MAX_PATH));

    /* nginx makes a cache's folder later: then the one that it will lie in */
    while (statfs((char *) folder, &fs) == -1) {

        while (p > folder + 1 && *--p != '/') { /* void */ }

        if (ngx_errno != NGX_ENOENT || p <= folder + 1) {
            return 0;
        }

        *p = '\0';
    }

    for (i = 0; i < sizeof(ngx_http_atoll_remote) / sizeof(ngx_http_atoll_remote[0]); i++) {

        if ((uint32_t) fs.f_type == ngx_http_atoll_remote[i]) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_atoll_unmap_look(void *data)
{
    munmap(data, sizeof(ngx_http_atoll_disk_look_t));
}


static char *
ngx_http_atoll_add_disk(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf, ngx_str_t path, off_t reserve)
{
    void                   *look;
    ngx_uint_t              i;
    ngx_pool_cleanup_t     *cln;
    ngx_http_atoll_disk_t  *disk;

    if (path.len == 0 || ngx_conf_full_name(cf->cycle, &path, 0) != NGX_OK) {
        return "needs the folder of a cache and a size, as in /var/cache/nginx 256m";
    }

    while (path.len > 1 && path.data[path.len - 1] == '/') {
        path.data[--path.len] = '\0';
    }

    disk = amcf->disks.elts;

    for (i = 0; i < amcf->disks.nelts; i++) {

        if (disk[i].path.len == path.len && ngx_memcmp(disk[i].path.data, path.data, path.len) == 0) {
            return "names the same folder twice";
        }
    }

    if (ngx_http_atoll_is_remote(&path)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"atoll_disk_reserve\": expected a folder of a local file system: to ask a "
                           "remote one for its space could block a worker for ever", &path);
        return NGX_CONF_ERROR;
    }

    disk = ngx_array_push(&amcf->disks);
    cln = ngx_pool_cleanup_add(cf->pool, 0);
    look = mmap(NULL, sizeof(ngx_http_atoll_disk_look_t), PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (disk == NULL || cln == NULL || look == MAP_FAILED) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_atoll_unmap_look;
    cln->data = look;

    disk->path = path;
    disk->reserve = reserve;
    disk->has_cache = 0;
    disk->look = look;

    return NGX_CONF_OK;
}


/* atoll_disk_reserve path ... size; may be repeated. */
char *
ngx_http_atoll_disk_reserve(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char        *rv = NGX_CONF_OK;
    off_t        reserve;
    ngx_str_t   *value = cf->args->elts;
    ngx_uint_t   i, last = cf->args->nelts - 1;

    reserve = ngx_parse_offset(&value[last]);

    if (reserve < 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"atoll_disk_reserve\": expected <path> ... <size>, as in /var/cache/nginx 256m",
                           &value[last]);
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < last && rv == NGX_CONF_OK; i++) {
        rv = ngx_http_atoll_add_disk(cf, conf, value[i], reserve);
    }

    return rv;
}


/* Once all caches are known: which of the folders have some? */
void
ngx_http_atoll_init_disks(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf)
{
    ngx_uint_t               i, j;
    ngx_path_t             **paths = cf->cycle->paths.elts;
    ngx_http_atoll_disk_t   *disks = amcf->disks.elts;

    for (i = 0; i < amcf->disks.nelts; i++) {

        for (j = 0; j < cf->cycle->paths.nelts; j++) {

            /* only caches have one */
            if (paths[j]->loader && ngx_http_atoll_is_within(&paths[j]->name, &disks[i].path)) {
                disks[i].has_cache = 1;
            }
        }
    }
}


static uint64_t
ngx_http_atoll_free_space(ngx_http_atoll_disk_t *disk, ngx_uint_t low, ngx_err_t *err)
{
    struct statfs  fs;

    *err = 0;

    if (statfs((char *) disk->path.data, &fs) == -1) {
        *err = ngx_errno;
        return 0;
    }

    if ((fs.f_flags & ST_RDONLY) || (fs.f_files && fs.f_ffree < fs.f_files / (low ? 50 : 100))) {
        return 0;
    }

    return fs.f_blocks ? (uint64_t) fs.f_bavail * fs.f_bsize : UINT64_MAX;
}


void
ngx_http_atoll_look_at_disk(ngx_http_atoll_disk_t *disk, ngx_log_t *log)
{
    uint64_t                     checked, free, now = ngx_current_msec;
    uint32_t                     was, is;
    ngx_err_t                    err;
    ngx_http_atoll_disk_look_t  *look = disk->look;

    checked = atomic_load_explicit(&look->checked_ms, memory_order_relaxed);

    /* a worker's time may be a little older than the one that looked */
    if ((checked && (int64_t) (now - checked) < NGX_HTTP_ATOLL_DISK_LOOK_MS)
        || !atomic_compare_exchange_strong(&look->checked_ms, &checked, now))
    {
        return;
    }

    was = atomic_load_explicit(&look->low, memory_order_relaxed);
    free = ngx_http_atoll_free_space(disk, was, &err);
    is = free < (uint64_t) disk->reserve + (was ? disk->reserve / 4 : 0);

    atomic_store_explicit(&look->free, free, memory_order_relaxed);

    if (atomic_exchange(&look->low, is) == is) {
        return;
    }

    if (is) {
        ngx_log_error(NGX_LOG_ERR, log, err,
                      "atoll_disk_reserve: \"%V\" has %uL bytes left that can be written, less than its reserve of %O: responses are "
                      "passed on, not stored", &disk->path, free, disk->reserve);
    } else {
        ngx_log_error(NGX_LOG_NOTICE, log, 0, "atoll_disk_reserve: \"%V\" has %uL bytes left: responses are stored again",
                      &disk->path, free);
    }
}


/* *free: bytes that can be written there. Returns 1 while nothing is stored. */
ngx_uint_t
ngx_http_atoll_is_disk_low(ngx_http_atoll_disk_t *disk, uint64_t *free)
{
    *free = atomic_load_explicit(&disk->look->free, memory_order_relaxed);

    return atomic_load_explicit(&disk->look->low, memory_order_relaxed);
}


/* Whether there is room for what the request fetches, where its cache would put it. */
ngx_uint_t
ngx_http_atoll_has_room(ngx_http_request_t *r)
{
    off_t                        length = 0;
    uint64_t                     free;
    ngx_str_t                   *cache = NULL;
    ngx_uint_t                   i;
    ngx_http_atoll_disk_t       *disks;
    ngx_http_atoll_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atoll_module);
    disks = amcf->disks.elts;

    if (r->upstream && r->upstream->headers_in.content_length_n > 0) {
        length = r->upstream->headers_in.content_length_n;
    }

#if (NGX_HTTP_CACHE)
    if (r->cache && r->cache->file_cache) {
        cache = &r->cache->file_cache->path->name;
    }
#endif

    for (i = 0; i < amcf->disks.nelts; i++) {

        if (cache && disks[i].has_cache && !ngx_http_atoll_is_within(cache, &disks[i].path)) {
            continue;
        }

        ngx_http_atoll_look_at_disk(&disks[i], r->connection->log);

        /* a large response may use half of the reserve, so that the small ones are only refused with a word in the log */
        if (ngx_http_atoll_is_disk_low(&disks[i], &free) || free < (uint64_t) disks[i].reserve / 2 + length) {
            return 0;
        }
    }

    return 1;
}
