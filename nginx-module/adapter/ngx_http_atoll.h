/*
 * The nginx side of Atoll: what the files of this folder share.
 *
 *   ngx_http_atoll_module.c    the module: life of a configuration and of a worker
 *   ngx_http_atoll_conf.c      directives
 *   ngx_http_atoll_probe.c     the directive atoll_probe
 *   ngx_http_atoll_publish.c   from parsed upstreams to a zone: prepared, committed (master)
 *   ngx_http_atoll_peers.c     the peers that go there: nginx.conf's, those of run time, those of before (master)
 *   ngx_http_atoll_compile.c   their tables (master)
 *   ngx_http_atoll_balancer.c  peer.init, get, free (worker)
 *   ngx_http_atoll_route.c     atoll_route: tiers
 *   ngx_http_atoll_plan.c      what this node does with a request to a route
 *   ngx_http_atoll_climb.c     the balancer of a route
 *   ngx_http_atoll_step.c      the step from node to node
 *   ngx_http_atoll_hot.c       hot keys at a node of a route
 *   ngx_http_atoll_answer.c    what the errors of a node mean
 *   ngx_http_atoll_handover.c  filling from the previous owner
 *   ngx_http_atoll_variables.c variables
 *   ngx_http_atoll_disk.c      atoll_disk_reserve
 *   ngx_http_atoll_purge.c     atoll_purge_key, atoll_purge_wait, $atoll_generation
 *   ngx_http_atoll_purge_file.c  atoll_purge
 *   ngx_http_atoll_status.c    atoll_status
 */
#ifndef NGX_HTTP_ATOLL_H
#define NGX_HTTP_ATOLL_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "../compiler/atoll_compile.h"
#include "../reader/atoll_handover.h"
#include "../writer/atoll_previous.h"

#if !(NGX_HAVE_CLOCK_MONOTONIC)
#error "Atoll needs an nginx whose ngx_current_msec is CLOCK_MONOTONIC"
#endif

#if (NGX_PTR_SIZE != 8)
#error "Atoll needs a 64-bit nginx: ngx_current_msec would come round after 49 days"
#endif

#define NGX_HTTP_ATOLL_ZONE_PATH  "/run/atoll/atoll.zone"
#define NGX_HTTP_ATOLL_ZONE_SIZE  (8 * 1024 * 1024)
#define NGX_HTTP_ATOLL_PANIC      50
#define NGX_HTTP_ATOLL_HANDOVER   (10 * 60 * 1000)
#define NGX_HTTP_ATOLL_TIERS      8   /* of a route, at most */
#define NGX_HTTP_ATOLL_UNSET      UINT32_MAX
#define NGX_HTTP_ATOLL_PURGE_WAIT NGX_MAX_INT_T_VALUE   /* milliseconds: until an agent comes */


typedef struct ngx_http_atoll_route_s  ngx_http_atoll_route_t;
typedef struct ngx_http_atoll_plan_s  ngx_http_atoll_plan_t;
typedef struct ngx_http_atoll_disk_look_s  ngx_http_atoll_disk_look_t;


/* An upstream { } block. */
typedef struct {
    ngx_http_complex_value_t        key;         /* value.data NULL: no `atoll` here */
    ngx_int_t                       key_index;   /* of the variable that the key is; NGX_ERROR: it is more, or less, than one */
    ngx_uint_t                      key_id;      /* the same for upstreams with the same key, from 1 on */
    atoll_upstream_record_t         settings;    /* as it goes to the zone */
    ngx_str_t                       orphan;      /* a directive that wants `atoll` in the same block */
    ngx_http_upstream_srv_conf_t   *upstream;
    ngx_http_upstream_rr_peers_t   *peers;       /* as nginx resolved them */
    ngx_msec_t                      handover_timeout; /* of a fill request to the former owner of a key */
    ngx_int_t                       fill_credit; /* this worker's: of fills that nobody knows to be worth it */
    ngx_uint_t                      fill_skipped;
    ngx_uint_t                      fill_found;  /* 1: one of them, or of others, found a copy */
    atoll_balancer_t                balancer;    /* this worker's */
    ngx_http_atoll_route_t         *route;       /* of an upstream with atoll_route */
    ngx_str_t                       self;        /* the server here that is this node; len 0: none */
    uint64_t                        self_sought; /* the published table that was looked through for it last */
    ngx_uint_t                      fallback;    /* 1: the last request found no usable table, which was logged */
} ngx_http_atoll_srv_conf_t;


typedef struct {
    ngx_pool_t               *pool;             /* of the configuration */
    ngx_str_t                 zone_path;
    size_t                    zone_size;
    ngx_str_t                 java_home;
    ngx_str_t                 java_lib;
    ngx_msec_t                java_timeout;
    ngx_str_t                 node;             /* never empty after init_module */

    ngx_str_t                 secret;           /* file of the secret; len 0: none */
    uint64_t                  secret_key[2];    /* what steps are signed with */
    ngx_str_t                 cdn_id;           /* this node in CDN-Loop */

    ngx_msec_t                purge_wait;       /* atoll_purge_wait; 0: off */

    ngx_array_t               upstreams;        /* of ngx_http_atoll_srv_conf_t *, with `atoll` */
    ngx_array_t               routes;           /* of ngx_http_atoll_route_t * */
    ngx_array_t               disks;            /* of ngx_http_atoll_disk_t */
    ngx_array_t               purges;           /* of ngx_http_atoll_purge_t * */

    /* master: between postconfiguration and init_module */
    atoll_known_t             known;            /* the live zone's members, where the upstreams' previous rings lie */
    atoll_compile_region_t    region;
    atoll_writer_request_t    request;
    atoll_writer_t            writer;
    unsigned                  node_given:1;     /* by atoll_node */
    unsigned                  compiled:1;       /* region is mapped */
    unsigned                  previous:1;       /* an upstream has a previous ring */
    unsigned                  no_previous:1;    /* none may have */
    unsigned                  earlier:1;        /* an upstream has an earlier ring */
    unsigned                  no_earlier:1;     /* none may have */
    unsigned                  prepared:1;
    unsigned                  committed:1;

    /* worker */
    atoll_row_t               row;
    ngx_str_t                 status_hit;       /* what this node says in Cache-Status of a hit; len 0: not made yet */
    struct ifaddrs           *addrs;            /* of this host, as they were when the configuration was loaded */
} ngx_http_atoll_main_conf_t;


/* A folder of atoll_disk_reserve. */
typedef struct {
    ngx_str_t                    path;
    off_t                        reserve;
    ngx_uint_t                   has_cache;     /* 0: counts for all caches */
    ngx_http_atoll_disk_look_t  *look;          /* shared by all workers */
} ngx_http_atoll_disk_t;


/* An atoll_purge. */
typedef struct {
    ngx_http_complex_value_t   key;             /* in nginx's cache */
    ngx_str_t                  name;            /* of the cache's zone */
    ngx_shm_zone_t            *zone;
    u_char                    *file;            /* where it stands */
    ngx_uint_t                 line;
} ngx_http_atoll_purge_t;


typedef struct {
    ngx_http_complex_value_t  *purge_key;       /* NULL: host, path and arguments */
    ngx_http_atoll_purge_t    *purge;           /* NULL: no atoll_purge here */

    /* worker, see ngx_http_atoll_answer.c */
    ngx_http_upstream_conf_t  *limits_of;       /* NULL: nobody has asked for limits */
    ngx_http_upstream_conf_t  *limits[NGX_HTTP_ATOLL_TIERS];   /* by tiers before the origin, less one; NULL: not made yet */
} ngx_http_atoll_loc_conf_t;


/* The `atoll` key of a request. */
typedef struct {
    ngx_uint_t                 id;              /* of the upstreams that have it; 0: none is worked out */
    ngx_str_t                  text;
    uint32_t                   hash;
} ngx_http_atoll_key_t;


/* What this worker keeps of a peer, behind atoll_peer_t.session. */
typedef struct {
    ngx_str_t           name;                   /* for $upstream_addr: outlives the request */
#if (NGX_HTTP_SSL)
    ngx_ssl_session_t  *ssl_session;
#endif
} ngx_http_atoll_peer_t;


/* A request at an upstream with `atoll`. */
typedef struct {
    /* the round robin data must be first: the fallback hands it to stock functions */
    ngx_http_upstream_rr_peer_data_t   rrp;
    atoll_walk_t                       walk;
    ngx_http_atoll_srv_conf_t         *conf;
    ngx_http_request_t                *request;
    const atoll_peer_t                *previous;  /* the only peer to ask: a fill; NULL: the walk says whom */
    ngx_msec_t                         asked_ms;  /* when that one was */
    unsigned                           fallback:1;
} ngx_http_atoll_request_t;


/* The request's module context. */
typedef struct {
    ngx_http_atoll_request_t  *request;         /* at the upstream asked last; NULL: none with `atoll` */
    ngx_http_atoll_plan_t     *plan;            /* NULL: goes to no route, or not yet */
    ngx_str_t                  purge_key;       /* that generation is for; data NULL: none yet */
    ngx_str_t                  generation;
} ngx_http_atoll_ctx_t;


/* ngx_http_atoll_conf.c */
extern ngx_command_t  ngx_http_atoll_commands[];
void *ngx_http_atoll_create_main_conf(ngx_conf_t *cf);
char *ngx_http_atoll_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_http_atoll_create_srv_conf(ngx_conf_t *cf);
void *ngx_http_atoll_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_atoll_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);
ngx_int_t ngx_http_atoll_check_upstreams(ngx_conf_t *cf);

/* Says that value is not what its directive takes; returns NGX_CONF_ERROR. */
char *ngx_http_atoll_invalid(ngx_conf_t *cf, ngx_str_t *value, const char *expected);

/* Whether value is "name=..."; the rest goes to *rest. */
ngx_uint_t ngx_http_atoll_option(ngx_str_t *value, const char *name, ngx_str_t *rest);

/* Compiles the argument of a directive, with its variables. */
ngx_int_t ngx_http_atoll_compile_value(ngx_conf_t *cf, ngx_str_t *value, ngx_http_complex_value_t *into);

/* A time of nginx in milliseconds, NGX_ERROR when it is none or outside of least to most. */
ngx_int_t ngx_http_atoll_time(ngx_str_t *value, ngx_int_t least, ngx_int_t most);

/* ngx_http_atoll_probe.c */
char *ngx_http_atoll_probe(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* ngx_http_atoll_publish.c */
ngx_int_t ngx_http_atoll_prepare(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf);
void ngx_http_atoll_commit(ngx_cycle_t *cycle, ngx_http_atoll_main_conf_t *amcf);
void ngx_http_atoll_supersede(ngx_http_atoll_main_conf_t *amcf);

/* ngx_http_atoll_peers.c */

/* Fills amcf->request but for the tables. Wants amcf->writer open and amcf->known read. */
ngx_int_t ngx_http_atoll_collect_peers(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf);

/* Weights that an upstream may have in all: those whose points the zone file holds. */
uint64_t ngx_http_atoll_weight_limit(ngx_http_atoll_main_conf_t *amcf);

/* ngx_http_atoll_compile.c */

/* Gives the upstreams of amcf->request their tables, in amcf->region: mapped when amcf->compiled, whatever is returned. */
ngx_int_t ngx_http_atoll_compile(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf);

/* ngx_http_atoll_balancer.c */
ngx_int_t ngx_http_atoll_init_upstream(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us);
void ngx_http_atoll_init_balancers(ngx_http_atoll_main_conf_t *amcf);
ngx_http_atoll_ctx_t *ngx_http_atoll_get_ctx(ngx_http_request_t *r);

/* As atoll_balancer_refresh; and finds out, when it has no usable table, whether the zone is lost. */
int ngx_http_atoll_refresh(atoll_balancer_t *balancer);

/* Works out the request's key in an upstream. */
ngx_int_t ngx_http_atoll_make_key(ngx_http_request_t *r, ngx_http_atoll_srv_conf_t *ascf, ngx_http_atoll_key_t *key);

/* ngx_http_atoll_variables.c */
ngx_int_t ngx_http_atoll_add_variables(ngx_conf_t *cf);
void ngx_http_atoll_find_node(ngx_cycle_t *cycle, ngx_http_atoll_main_conf_t *amcf);
ngx_str_t *ngx_http_atoll_self_in(ngx_cycle_t *cycle, ngx_http_atoll_main_conf_t *amcf, ngx_http_atoll_srv_conf_t *ascf);
void ngx_http_atoll_seek_self(ngx_http_atoll_main_conf_t *amcf, ngx_http_atoll_srv_conf_t *ascf);

/* ngx_http_atoll_disk.c */
char *ngx_http_atoll_disk_reserve(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
void ngx_http_atoll_init_disks(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf);
void ngx_http_atoll_look_at_disk(ngx_http_atoll_disk_t *disk, ngx_log_t *log);
ngx_uint_t ngx_http_atoll_is_disk_low(ngx_http_atoll_disk_t *disk, uint64_t *free);
ngx_uint_t ngx_http_atoll_has_room(ngx_http_request_t *r);

/* ngx_http_atoll_purge.c */
char *ngx_http_atoll_purge_wait(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_atoll_generation_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
ngx_int_t ngx_http_atoll_purge_key_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);

/*
 * The generation that a call to atoll_purge names in its argument `generation`, as it stands in keys. NGX_DECLINED: it names none;
 * NGX_ERROR: it is no number.
 */
ngx_int_t ngx_http_atoll_named_generation(ngx_http_request_t *r, ngx_str_t *text);

/* ngx_http_atoll_purge_file.c */
char *ngx_http_atoll_purge(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_atoll_init_purges(ngx_conf_t *cf, ngx_http_atoll_main_conf_t *amcf);

/* The key that a call to atoll_purge names in its argument `key`, decoded. NGX_DECLINED: it names none. */
ngx_int_t ngx_http_atoll_named_key(ngx_http_request_t *r, ngx_str_t *key);

/* Whether the peer's address, which comes from the zone, is a whole one of IPv4 or IPv6. */
static ngx_inline ngx_uint_t
ngx_http_atoll_is_inet(const atoll_peer_t *peer)
{
    switch (((struct sockaddr *) peer->sockaddr)->sa_family) {
    case AF_INET:
        return peer->socklen >= sizeof(struct sockaddr_in);
#if (NGX_HAVE_INET6)
    case AF_INET6:
        return peer->socklen >= sizeof(struct sockaddr_in6);
#endif
    default:
        return 0;
    }
}

/* ngx_http_atoll_status.c */
char *ngx_http_atoll_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_atoll_send_json(ngx_http_request_t *r, ngx_uint_t status, ngx_buf_t *b);

extern ngx_module_t  ngx_http_atoll_module;

#endif
