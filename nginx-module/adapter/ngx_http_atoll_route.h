/* The route: which tier serves a request, and the step that says so to the next node. */
#ifndef NGX_HTTP_ATOLL_ROUTE_H
#define NGX_HTTP_ATOLL_ROUTE_H

#include "ngx_http_atoll.h"

#define NGX_HTTP_ATOLL_NO_TIER    NGX_HTTP_ATOLL_TIERS

/* "T.own.SSSSSSSS.MMMM…": tier, kind, seconds, code, all of fixed width */
#define NGX_HTTP_ATOLL_MAC_LEN    16
#define NGX_HTTP_ATOLL_STEP_LEN   (1 + 1 + 3 + 1 + 8 + 1 + NGX_HTTP_ATOLL_MAC_LEN)
#define NGX_HTTP_ATOLL_STEP_SKEW  300   /* seconds between the clocks of two nodes */

/* in Cache-Status: the node asked an origin, which broke the connection, was silent, or spoke no HTTP */
#define NGX_HTTP_ATOLL_NO_ANSWER  "; detail=no-answer"

/* likewise: the node has no copy, and its nginx was just started */
#define NGX_HTTP_ATOLL_FRESH      "; detail=fresh"


typedef struct {
    ngx_str_t                       name;
    ngx_http_complex_value_t       *value;      /* NULL: the name is all */
    ngx_http_upstream_srv_conf_t   *upstream;   /* NULL with value */
    ngx_http_atoll_srv_conf_t      *atoll;      /* NULL: balanced by something else */
} ngx_http_atoll_tier_t;


/* An upstream with atoll_route. */
struct ngx_http_atoll_route_s {
    ngx_uint_t                      tier_count;
    ngx_http_atoll_tier_t           tiers[NGX_HTTP_ATOLL_TIERS];
    ngx_uint_t                      origin;     /* the first tier behind the last with `atoll`, or the last: no nodes there */
    ngx_http_upstream_srv_conf_t   *upstream;
};


typedef enum {
    NGX_HTTP_ATOLL_OUTSIDE = 0,     /* a node of no tier */
    NGX_HTTP_ATOLL_FRONT,           /* asked by a client for what another node of the tier owns */
    NGX_HTTP_ATOLL_OWNER,           /* owns the key */
    NGX_HTTP_ATOLL_RELAY,           /* asked by a node for what it does not own: another view of the ring */
    NGX_HTTP_ATOLL_PREVIOUS         /* asked by the owner for a copy of what it may have owned before */
} ngx_http_atoll_role_e;


/* What a step asks of the node in the tier that it names; in the order of the climb. */
typedef enum {
    NGX_HTTP_ATOLL_OWN = 0,         /* "own": as the owner of the key */
    NGX_HTTP_ATOLL_RETURNED,        /* "ret": the same, of an owner that the sender has seen come back lately */
    NGX_HTTP_ATOLL_FILL             /* "fil": as the one that may have a copy; it answers from its cache, or passes on */
} ngx_http_atoll_kind_e;


/* What this node does with one request. */
struct ngx_http_atoll_plan_s {
    ngx_http_atoll_route_t         *route;
    ngx_http_request_t             *request;
    ngx_http_upstream_t            *upstream;    /* of the request; after an internal redirect it has another one */
    ngx_http_atoll_role_e           role;
    ngx_uint_t                      received;    /* tier of the step that was believed; NO_TIER: from outside */
    ngx_http_atoll_kind_e           received_kind;
    ngx_uint_t                      stranger;    /* 1: a step was not believed, since no node has the address that it came from */
    ngx_uint_t                      tier;        /* where it is sent now */
    ngx_http_atoll_kind_e           kind;        /* as what */
    ngx_uint_t                      own_tries;   /* left in this tier */
    ngx_uint_t                      later_tries; /* of the tiers behind it */
    ngx_uint_t                      tried;       /* peers that came back, over all tiers */
    ngx_uint_t                      asked;       /* 1: a peer of this tier was given and came back */
    ngx_uint_t                      stale;       /* 1: that one had closed a kept connection, which is no try */
    ngx_uint_t                      unanswered;  /* 1: an origin got the request, and no answer came */
    ngx_uint_t                      self_tier;   /* of this node; NO_TIER: in none */
    ngx_http_atoll_srv_conf_t      *self;        /* the upstream of that tier */
    uint32_t                        hash;        /* of the request's key there */
    const atoll_peer_t             *owner;       /* this node there, when it owns the key undisputed; else NULL */
    ngx_http_atoll_key_t            key;         /* worked out last */
    ngx_uint_t                      loops;       /* headers CDN-Loop of the request */
    ngx_uint_t                      hot;         /* 1: that key is hot there */
    ngx_uint_t                      as_it_is;    /* 1: of a front, which does without its cache */
    ngx_uint_t                      named;       /* times that CDN-Loop names this node, of a request without a step */
    ngx_http_upstream_conf_t       *conf;        /* of the location; NULL: no node was asked, and the request has it */
    ngx_http_upstream_conf_t       *locking;     /* the same, when it was changed so as not to wait for the cache's lock */
    ngx_uint_t                      rejected;    /* 1: the last answer is an error of the node's own, or none: others may be asked */
    ngx_uint_t                      cacheable;   /* 1: as long as no answer has said otherwise that is taken; with conf */
    ngx_str_t                       vary;        /* the same of the cache's */
    ngx_int_t                     (*process_header)(ngx_http_request_t *r);      /* the protocol's own, with conf */
    ngx_int_t                     (*reinit_request)(ngx_http_request_t *r);
    const atoll_peer_t             *previous;    /* who is asked, of kind FILL */
    ngx_uint_t                      again;       /* 1: somebody else was asked before */
    ngx_uint_t                      fresh;       /* 1: that one's nginx was just started */
    ngx_uint_t                      aged;        /* 1: that one's copy serves although it is too old */
    ngx_uint_t                      lacking;     /* 1: that one has no copy; of role PREVIOUS: this node has none */
    u_char                         *step;        /* as written in the request to the next node, NULL: not written */

    /* the tier's own balancer */
    void                           *data;
    ngx_event_get_peer_pt           get;
    ngx_event_free_peer_pt          free;
    ngx_event_notify_peer_pt        notify;
#if (NGX_HTTP_SSL)
    ngx_event_set_peer_session_pt   set_session;
    ngx_event_save_peer_session_pt  save_session;
#endif
};


char *ngx_http_atoll_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_atoll_init_routes(ngx_conf_t *cf);
void ngx_http_atoll_find_self(ngx_cycle_t *cycle, ngx_http_atoll_main_conf_t *amcf);

ngx_http_upstream_srv_conf_t *ngx_http_atoll_find_upstream(ngx_http_upstream_main_conf_t *umcf, ngx_str_t *name);

/* ngx_http_atoll_climb.c */
ngx_int_t ngx_http_atoll_init_route_peer(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *us);

/* ngx_http_atoll_plan.c */
ngx_http_upstream_srv_conf_t *ngx_http_atoll_tier_upstream(ngx_http_request_t *r, ngx_http_atoll_tier_t *tier);
ngx_uint_t ngx_http_atoll_is_this_node(ngx_http_atoll_plan_t *plan, const atoll_peer_t *peer);

ngx_http_atoll_plan_t *ngx_http_atoll_add_plan(ngx_http_request_t *r);

/* The plan of a request, NULL when none was made yet. */
static ngx_inline ngx_http_atoll_plan_t *
ngx_http_atoll_plan_made(ngx_http_request_t *r)
{
    ngx_http_atoll_ctx_t  *ctx = ngx_http_get_module_ctx(r, ngx_http_atoll_module);

    return ctx && ctx->plan && ctx->plan->upstream == r->upstream ? ctx->plan : NULL;
}

/* The plan of a request whose location passes to a route, made when it is first asked for; NULL when it does not. */
static ngx_inline ngx_http_atoll_plan_t *
ngx_http_atoll_plan(ngx_http_request_t *r)
{
    ngx_http_atoll_plan_t  *plan = ngx_http_atoll_plan_made(r);

    return plan ? plan : ngx_http_atoll_add_plan(r);
}

/* The request's key in an upstream, worked out once for all those of a route that have the same. plan: NULL for none. */
static ngx_inline ngx_int_t
ngx_http_atoll_find_key(ngx_http_request_t *r, ngx_http_atoll_plan_t *plan, ngx_http_atoll_srv_conf_t *ascf,
    ngx_http_atoll_key_t *key)
{
    if (plan && plan->key.id == ascf->key_id) {
        *key = plan->key;
        return NGX_OK;
    }

    if (ngx_http_atoll_make_key(r, ascf, key) != NGX_OK) {
        return NGX_ERROR;
    }

    if (plan) {
        plan->key = *key;
    }

    return NGX_OK;
}

/* ngx_http_atoll_hot.c */
void ngx_http_atoll_look_hot(ngx_http_atoll_plan_t *plan);
void ngx_http_atoll_find_slice(ngx_cycle_t *cycle);
void ngx_http_atoll_keep_after_all(ngx_http_atoll_plan_t *plan);
ngx_int_t ngx_http_atoll_hot_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
ngx_int_t ngx_http_atoll_bypass_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);

/* ngx_http_atoll_answer.c */
ngx_int_t ngx_http_atoll_watch_answer(ngx_http_atoll_plan_t *plan);
void ngx_http_atoll_forget_answer(ngx_http_atoll_plan_t *plan);
/* ngx_http_atoll_handover.c */
void ngx_http_atoll_init_fill(ngx_http_atoll_srv_conf_t *ascf);
void ngx_http_atoll_count_fill(ngx_http_atoll_plan_t *plan, ngx_uint_t hit);
void ngx_http_atoll_consider_fill(ngx_http_atoll_plan_t *plan);
ngx_uint_t ngx_http_atoll_fill_elsewhere(ngx_http_atoll_plan_t *plan);
void ngx_http_atoll_wait_for_nobody(ngx_http_atoll_plan_t *plan);
ngx_uint_t ngx_http_atoll_refuse_fill(ngx_http_atoll_plan_t *plan);
ngx_uint_t ngx_http_atoll_is_fresh_refusal(ngx_http_atoll_plan_t *plan);
void ngx_http_atoll_add_refusal(void);
void ngx_http_atoll_limit_fill(ngx_http_atoll_plan_t *plan, ngx_http_upstream_conf_t *conf);

/* ngx_http_atoll_step.c */
char *ngx_http_atoll_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
void ngx_http_atoll_read_headers(ngx_http_atoll_plan_t *plan);
ngx_int_t ngx_http_atoll_write_step(ngx_http_atoll_plan_t *plan, u_char step[NGX_HTTP_ATOLL_STEP_LEN]);
ngx_int_t ngx_http_atoll_rewrite_step(ngx_http_atoll_plan_t *plan);
ngx_uint_t ngx_http_atoll_count_loops(ngx_http_request_t *r);

/* The name of a header, hashed by ngx_http_atoll_hash_headers. */
typedef struct {
    ngx_str_t    name;          /* in lower case */
    ngx_uint_t   hash;          /* as nginx has it of each header that it read */
} ngx_http_atoll_header_t;

extern ngx_http_atoll_header_t  ngx_http_atoll_step_header, ngx_http_atoll_cdn_loop_header, ngx_http_atoll_generation_header,
                                ngx_http_atoll_cache_status_header;

/* At the load of the configuration. */
void ngx_http_atoll_hash_headers(void);

static ngx_inline ngx_uint_t
ngx_http_atoll_is_header(const ngx_table_elt_t *header, const ngx_http_atoll_header_t *name)
{
    return header->hash == name->hash && header->key.len == name->name.len
           && ngx_memcmp(header->lowcase_key, name->name.data, name->name.len) == 0;
}

ngx_table_elt_t *ngx_http_atoll_next_header(ngx_list_part_t **part, ngx_uint_t *i, const ngx_http_atoll_header_t *name);

#endif
