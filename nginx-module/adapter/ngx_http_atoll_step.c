/*
 * The step: the header Atoll-Step of a request from one node of the mesh to another, "T.own.SSSSSSSS.M…": the tier (its
 * index in atoll_route), the kind (own, ret, fil), the sender's clock (seconds, hexadecimal), and a code
 *
 *   SipHash-2-4(secret, "T.own.SSSSSSSS." 0 key)
 *
 * where key is the `atoll` key for the request, of the tier or else of the next that has one: a copy is worth nothing for another object, and nothing after
 * NGX_HTTP_ATOLL_STEP_SKEW seconds. Without atoll_secret the code is zero, and a step is believed when it comes from the
 * address of a peer of one of the tiers. What is not believed is as if it were not there.
 */

#include "ngx_http_atoll_route.h"

#include "../reader/atoll_siphash.h"

#include <openssl/sha.h>

#define NGX_HTTP_ATOLL_SIGNED_LEN  (NGX_HTTP_ATOLL_STEP_LEN - NGX_HTTP_ATOLL_MAC_LEN)

/* where the sender's clock stands */
#define NGX_HTTP_ATOLL_CLOCK       6
#define NGX_HTTP_ATOLL_CLOCK_LEN   8


static const char *const  ngx_http_atoll_kinds[] = { "own", "ret", "fil" };


ngx_http_atoll_header_t  ngx_http_atoll_step_header = { ngx_string("atoll-step"), 0 };
ngx_http_atoll_header_t  ngx_http_atoll_cdn_loop_header = { ngx_string("cdn-loop"), 0 };
ngx_http_atoll_header_t  ngx_http_atoll_generation_header = { ngx_string("atoll-generation"), 0 };
ngx_http_atoll_header_t  ngx_http_atoll_cache_status_header = { ngx_string("cache-status"), 0 };


static ngx_int_t ngx_http_atoll_mac(ngx_http_atoll_plan_t *plan, ngx_uint_t tier, u_char *step, u_char *mac);
static u_char *ngx_http_atoll_clock(void);


/*
 * atoll_secret file: its bytes, without line ends at the end, are the secret. The first half of their SHA-256 is what steps
 * are signed with.
 */
char *
ngx_http_atoll_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atoll_main_conf_t  *amcf = conf;

    u_char      buf[4096], digest[SHA256_DIGEST_LENGTH];
    ssize_t     n;
    ngx_fd_t    fd;
    ngx_str_t  *value;

    if (amcf->secret.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(value[1].data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno, "atoll_secret: cannot open \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_fd(fd, buf, sizeof(buf));
    ngx_close_file(fd);

    while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == '\r')) {
        n--;
    }

    if (n < 16 || n == sizeof(buf)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "atoll_secret: \"%V\" holds %z bytes: expected 16 to 4095, the same on all nodes, for example from "
                           "\"openssl rand -hex 32\"", &value[1], n);
        return NGX_CONF_ERROR;
    }

    SHA256(buf, n, digest);
    ngx_memcpy(amcf->secret_key, digest, sizeof(amcf->secret_key));

    ngx_explicit_memzero(buf, sizeof(buf));
    ngx_explicit_memzero(digest, sizeof(digest));

    amcf->secret = value[1];

    return NGX_CONF_OK;
}


void
ngx_http_atoll_hash_headers(void)
{
    ngx_uint_t  i;

    static ngx_http_atoll_header_t *const  headers[] = {
        &ngx_http_atoll_step_header, &ngx_http_atoll_cdn_loop_header, &ngx_http_atoll_generation_header,
        &ngx_http_atoll_cache_status_header
    };

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        headers[i]->hash = ngx_hash_key(headers[i]->name.data, headers[i]->name.len);
    }
}


/* The next header of that name from *part, *i on, which are moved behind it; NULL after the last. */
ngx_table_elt_t *
ngx_http_atoll_next_header(ngx_list_part_t **part, ngx_uint_t *i, const ngx_http_atoll_header_t *name)
{
    ngx_table_elt_t  *header;

    for ( ;; ) {

        header = (*part)->elts;

        for ( /* void */ ; *i < (*part)->nelts; (*i)++) {

            if (ngx_http_atoll_is_header(&header[*i], name)) {
                return &header[(*i)++];
            }
        }

        if ((*part)->next == NULL) {
            return NULL;
        }

        *part = (*part)->next;
        *i = 0;
    }
}


/* The same for the servers that were added at run time: the members of the table in use. */
static ngx_uint_t
ngx_http_atoll_is_member_address(ngx_http_request_t *r, atoll_balancer_t *balancer)
{
    uint32_t       i;
    atoll_peer_t  *peer;

    if (balancer->zone == NULL || !atoll_balancer_refresh(balancer)) {
        return 0;
    }

    for (i = 0; i < balancer->table.peer_count; i++) {

        peer = balancer->peers[i];

        if (ngx_http_atoll_is_inet(peer)
            && ngx_cmp_sockaddr((struct sockaddr *) peer->sockaddr, peer->socklen, r->connection->sockaddr,
                                r->connection->socklen, 0) == NGX_OK)
        {
            return 1;
        }
    }

    return 0;
}


/* The peer of the connection is a node, by its address; the port is the sender's own choice. */
static ngx_uint_t
ngx_http_atoll_is_node_address(ngx_http_request_t *r, ngx_http_atoll_route_t *route)
{
    ngx_uint_t                     i, set;
    struct sockaddr               *from = r->connection->sockaddr;
    ngx_http_upstream_rr_peer_t   *peer;
    ngx_http_upstream_rr_peers_t  *peers;

    for (i = 0; i < route->origin; i++) {

        if (route->tiers[i].atoll == NULL) {
            continue;
        }

        for (peers = route->tiers[i].atoll->peers, set = 0; peers && set < 2; peers = peers->next, set++) {

            for (peer = peers->peer; peer; peer = peer->next) {

                /* whoever connects over a unix socket has no address */
                if (peer->sockaddr->sa_family != AF_UNIX
                    && ngx_cmp_sockaddr(peer->sockaddr, peer->socklen, from, r->connection->socklen, 0) == NGX_OK)
                {
                    return 1;
                }
            }
        }

        if (ngx_http_atoll_is_member_address(r, &route->tiers[i].atoll->balancer)) {
            return 1;
        }
    }

    return 0;
}


/* Whether the sender's clock, as it stands in a step, is near enough to this one. */
static ngx_uint_t
ngx_http_atoll_is_recent(u_char *clock)
{
    time_t  sent;

    if (ngx_memcmp(clock, ngx_http_atoll_clock(), NGX_HTTP_ATOLL_CLOCK_LEN) == 0) {
        return 1;
    }

    sent = ngx_hextoi(clock, NGX_HTTP_ATOLL_CLOCK_LEN);

    return sent != NGX_ERROR && ngx_abs(ngx_time() - sent) <= NGX_HTTP_ATOLL_STEP_SKEW;
}


/* In a time that does not depend on what stands there. */
static ngx_uint_t
ngx_http_atoll_is_same(const u_char mac[NGX_HTTP_ATOLL_MAC_LEN], const u_char other[NGX_HTTP_ATOLL_MAC_LEN])
{
    uint64_t  a[2], b[2];

    ngx_memcpy(a, mac, NGX_HTTP_ATOLL_MAC_LEN);
    ngx_memcpy(b, other, NGX_HTTP_ATOLL_MAC_LEN);

    return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
}


/* Sets the plan's received step to this one, when it is believed and higher. */
static void
ngx_http_atoll_believe(ngx_http_atoll_plan_t *plan, ngx_str_t *step)
{
    u_char                       mac[NGX_HTTP_ATOLL_MAC_LEN];
    ngx_uint_t                   tier, kind;
    ngx_http_atoll_main_conf_t  *amcf;

    if (step->len != NGX_HTTP_ATOLL_STEP_LEN || step->data[1] != '.' || step->data[5] != '.' || step->data[14] != '.'
        || step->data[0] < '0' || step->data[0] >= '0' + (int) plan->route->origin)
    {
        return;
    }

    tier = step->data[0] - '0';

    for (kind = 0; ngx_memcmp(step->data + 2, ngx_http_atoll_kinds[kind], 3) != 0; kind++) {

        if (kind == NGX_HTTP_ATOLL_FILL) {
            return;
        }
    }

    if (plan->received != NGX_HTTP_ATOLL_NO_TIER
        && (tier < plan->received || (tier == plan->received && kind <= plan->received_kind)))
    {
        return;
    }

    amcf = ngx_http_get_module_main_conf(plan->request, ngx_http_atoll_module);

    if (amcf->secret.len == 0) {

        /* a look at each peer of each tier: once, however many steps a client sends */
        if (plan->stranger || !ngx_http_atoll_is_node_address(plan->request, plan->route)) {
            plan->stranger = 1;
            return;
        }

    } else {
        if (!ngx_http_atoll_is_recent(step->data + NGX_HTTP_ATOLL_CLOCK)
            || ngx_http_atoll_mac(plan, tier, step->data, mac) != NGX_OK
            || !ngx_http_atoll_is_same(mac, step->data + NGX_HTTP_ATOLL_SIGNED_LEN))
        {
            return;
        }
    }

    plan->received = tier;
    plan->received_kind = kind;
}


/*
 * Which step the request came with, the highest that is believed, or NGX_HTTP_ATOLL_NO_TIER: from outside. And how many headers
 * CDN-Loop it has. One look at the headers.
 */
void
ngx_http_atoll_read_headers(ngx_http_atoll_plan_t *plan)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    plan->received = NGX_HTTP_ATOLL_NO_TIER;

    for (part = &plan->request->headers_in.headers.part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_atoll_is_header(&header[i], &ngx_http_atoll_step_header)) {
                ngx_http_atoll_believe(plan, &header[i].value);

            } else if (ngx_http_atoll_is_header(&header[i], &ngx_http_atoll_cdn_loop_header)) {
                plan->loops++;
            }
        }
    }
}


/* Four bytes as eight hexadecimal digits, both in the order of memory of a little-endian machine: all digits at once. */
static ngx_inline uint64_t
ngx_http_atoll_digits(uint32_t bytes)
{
    uint64_t  x = bytes;

    x = (x | x << 16) & 0x0000ffff0000ffff;
    x = (x | x << 8) & 0x00ff00ff00ff00ff;
    x = (x >> 4 & 0x000f000f000f000f) | (x & 0x000f000f000f000f) << 8;

    /* letters are those that a 6 makes overflow */
    return x + 0x3030303030303030 + ((x + 0x0606060606060606) >> 4 & 0x0101010101010101) * ('a' - '0' - 10);
}


/* Into mac, for the first NGX_HTTP_ATOLL_SIGNED_LEN bytes of step; zeros without a secret. */
static ngx_int_t
ngx_http_atoll_mac(ngx_http_atoll_plan_t *plan, ngx_uint_t tier, u_char *step, u_char *mac)
{
    u_char                       head[ATOLL_SIPHASH_HEAD];
    uint64_t                     code, digits[2];
    ngx_http_request_t          *r = plan->request;
    ngx_http_atoll_key_t         key;
    ngx_http_atoll_tier_t       *t = &plan->route->tiers[tier];
    ngx_http_atoll_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atoll_module);

    if (amcf->secret.len == 0) {
        ngx_memset(mac, '0', NGX_HTTP_ATOLL_MAC_LEN);
        return NGX_OK;
    }

    /* before the origin there is one */
    while (t->atoll == NULL) {
        t++;
    }

    if (ngx_http_atoll_find_key(r, plan, t->atoll, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(head, step, NGX_HTTP_ATOLL_SIGNED_LEN);
    head[NGX_HTTP_ATOLL_SIGNED_LEN] = '\0';

    code = atoll_siphash(amcf->secret_key, head, key.text.data, key.text.len);

    digits[0] = ngx_http_atoll_digits((uint32_t) code);
    digits[1] = ngx_http_atoll_digits((uint32_t) (code >> 32));
    ngx_memcpy(mac, digits, NGX_HTTP_ATOLL_MAC_LEN);

    return NGX_OK;
}


/* nginx's clock as 8 hexadecimal digits: written once a second. */
static u_char *
ngx_http_atoll_clock(void)
{
    static time_t    written;
    static uint64_t  digits;

    if (ngx_time() != written) {
        written = ngx_time();
        digits = ngx_http_atoll_digits(__builtin_bswap32((uint32_t) written));
    }

    return (u_char *) &digits;
}


/* The step to plan->tier, which is before the origin. */
ngx_int_t
ngx_http_atoll_write_step(ngx_http_atoll_plan_t *plan, u_char step[NGX_HTTP_ATOLL_STEP_LEN])
{
    step[0] = (u_char) ('0' + plan->tier);
    step[1] = '.';
    ngx_memcpy(step + 2, ngx_http_atoll_kinds[plan->kind], 3);
    step[5] = '.';
    ngx_memcpy(step + NGX_HTTP_ATOLL_CLOCK, ngx_http_atoll_clock(), NGX_HTTP_ATOLL_CLOCK_LEN);
    step[14] = '.';

    return ngx_http_atoll_mac(plan, plan->tier, step, step + NGX_HTTP_ATOLL_SIGNED_LEN);
}


/*
 * The request was written for an earlier tier: puts the new step in its place, blanks for the origin, which is told none.
 * plan->step is the step as it stands there. NGX_DECLINED: written in a way that cannot be changed (HTTP/2).
 */
ngx_int_t
ngx_http_atoll_rewrite_step(ngx_http_atoll_plan_t *plan)
{
    u_char       *p, *last, step[NGX_HTTP_ATOLL_STEP_LEN];
    ngx_chain_t  *cl;

    if (plan->tier >= plan->route->origin || ngx_http_atoll_write_step(plan, step) != NGX_OK) {
        ngx_memset(step, ' ', NGX_HTTP_ATOLL_STEP_LEN);
    }

    for (cl = plan->request->upstream->request_bufs; cl; cl = cl->next) {

        if (!ngx_buf_in_memory(cl->buf) || cl->buf->start == NULL) {
            continue;
        }

        /* from the start: pos has moved on if it was sent */
        last = cl->buf->last;

        for (p = cl->buf->start; last - p >= NGX_HTTP_ATOLL_STEP_LEN; p++) {

            /* a header's value: the same text in the request line, a client's doing, has no blank before it */
            if (*p == *plan->step && ngx_memcmp(p, plan->step, NGX_HTTP_ATOLL_STEP_LEN) == 0
                && p - cl->buf->start >= 2 && p[-1] == ' ' && p[-2] == ':')
            {
                ngx_memcpy(p, step, NGX_HTTP_ATOLL_STEP_LEN);
                ngx_memcpy(plan->step, step, NGX_HTTP_ATOLL_STEP_LEN);
                return NGX_OK;
            }
        }
    }

    return NGX_DECLINED;
}


/* RFC 8586: how often CDN-Loop names this node already. */
ngx_uint_t
ngx_http_atoll_count_loops(ngx_http_request_t *r)
{
    u_char                      *p, *last;
    ngx_uint_t                   i = 0, count = 0;
    ngx_list_part_t             *part = &r->headers_in.headers.part;
    ngx_table_elt_t             *header;
    ngx_http_atoll_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atoll_module);

    for ( ;; ) {

        header = ngx_http_atoll_next_header(&part, &i, &ngx_http_atoll_cdn_loop_header);

        if (header == NULL) {
            return count;
        }

        last = header->value.data + header->value.len;

        for (p = header->value.data; p + amcf->cdn_id.len <= last; p++) {

            if (ngx_strncasecmp(p, amcf->cdn_id.data, amcf->cdn_id.len) == 0
                && (p == header->value.data || p[-1] == ' ' || p[-1] == ',')
                && (p + amcf->cdn_id.len == last || p[amcf->cdn_id.len] == ',' || p[amcf->cdn_id.len] == ' '
                    || p[amcf->cdn_id.len] == ';'))
            {
                count++;
            }
        }
    }
}
