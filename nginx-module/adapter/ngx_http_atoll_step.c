/*
 * The step: the header Atoll-Step of a request from one node of the mesh to another, "T.own.SSSSSSSS.M…": the tier (its
 * index in atoll_route), the kind (own, ret, fil), the sender's clock (seconds, hexadecimal), and a code
 *
 *   SipHash-2-4-128(secret, "T.own.SSSSSSSS." 0 key)
 *
 * where key is the `atoll` key for the request, of the tier or else of the next that has one: a copy is worth nothing for another object, and nothing after
 * NGX_HTTP_ATOLL_STEP_SKEW seconds. Without atoll_secret the code is zero, and a step is believed when it comes from the
 * address of a peer of one of the tiers. What is not believed is as if it were not there.
 */

#include "ngx_http_atoll_route.h"

#include "../reader/atoll_siphash.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#define NGX_HTTP_ATOLL_SIGNED_LEN  (NGX_HTTP_ATOLL_STEP_LEN - NGX_HTTP_ATOLL_MAC_LEN)


static const char *const  ngx_http_atoll_kinds[] = { "own", "ret", "fil" };


static ngx_int_t ngx_http_atoll_mac(ngx_http_atoll_plan_t *plan, ngx_uint_t tier, u_char *step,
    u_char mac[NGX_HTTP_ATOLL_MAC_LEN]);


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


static ngx_inline ngx_uint_t
ngx_http_atoll_is_header(ngx_table_elt_t *header, const char *name, size_t len)
{
    return header->key.len == len && (header->key.data[0] | 0x20) == (name[0] | 0x20)
           && ngx_strncasecmp(header->key.data, (u_char *) name, len) == 0;
}


/* The next header of that name from *part, *i on, which are moved behind it; NULL after the last. */
ngx_table_elt_t *
ngx_http_atoll_next_header(ngx_list_part_t **part, ngx_uint_t *i, const char *name, size_t len)
{
    ngx_table_elt_t  *header;

    for ( ;; ) {

        header = (*part)->elts;

        for ( /* void */ ; *i < (*part)->nelts; (*i)++) {

            if (ngx_http_atoll_is_header(&header[*i], name, len)) {
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

                if (ngx_cmp_sockaddr(peer->sockaddr, peer->socklen, from, r->connection->socklen, 0) == NGX_OK) {
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


/* Sets the plan's received step to this one, when it is believed and higher. */
static void
ngx_http_atoll_believe(ngx_http_atoll_plan_t *plan, ngx_str_t *step)
{
    time_t                       sent;
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

        if (!ngx_http_atoll_is_node_address(plan->request, plan->route)) {
            return;
        }

    } else {
        sent = ngx_hextoi(step->data + 6, 8);

        if (sent == NGX_ERROR || ngx_abs(ngx_time() - sent) > NGX_HTTP_ATOLL_STEP_SKEW
            || ngx_http_atoll_mac(plan, tier, step->data, mac) != NGX_OK
            || CRYPTO_memcmp(mac, step->data + NGX_HTTP_ATOLL_SIGNED_LEN, NGX_HTTP_ATOLL_MAC_LEN) != 0)
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

            if (ngx_http_atoll_is_header(&header[i], "Atoll-Step", sizeof("Atoll-Step") - 1)) {
                ngx_http_atoll_believe(plan, &header[i].value);

            } else if (ngx_http_atoll_is_header(&header[i], "CDN-Loop", sizeof("CDN-Loop") - 1)) {
                plan->loops++;
            }
        }
    }
}


/* Into mac, for the first NGX_HTTP_ATOLL_SIGNED_LEN bytes of step; zeros without a secret. */
static ngx_int_t
ngx_http_atoll_mac(ngx_http_atoll_plan_t *plan, ngx_uint_t tier, u_char *step, u_char mac[NGX_HTTP_ATOLL_MAC_LEN])
{
    u_char                       head[ATOLL_SIPHASH_HEAD], code[ATOLL_SIPHASH_BYTES];
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

    atoll_siphash(amcf->secret_key, head, key.text.data, key.text.len, code);

    ngx_hex_dump(mac, code, ATOLL_SIPHASH_BYTES);

    return NGX_OK;
}


/* nginx's clock as 8 hexadecimal digits: written once a second. */
static u_char *
ngx_http_atoll_clock(void)
{
    static time_t  written;
    static u_char  digits[8];

    u_char      *p;
    time_t       now = ngx_time();
    ngx_uint_t   shift;

    static const u_char  hex[] = "0123456789abcdef";

    if (now != written) {

        for (p = digits, shift = 32; shift > 0; /* void */ ) {
            shift -= 4;
            *p++ = hex[((uint32_t) now >> shift) & 0xf];
        }

        written = now;
    }

    return digits;
}


/* The step to plan->tier, which is before the origin. */
ngx_int_t
ngx_http_atoll_write_step(ngx_http_atoll_plan_t *plan, u_char step[NGX_HTTP_ATOLL_STEP_LEN])
{
    step[0] = (u_char) ('0' + plan->tier);
    step[1] = '.';
    ngx_memcpy(step + 2, ngx_http_atoll_kinds[plan->kind], 3);
    step[5] = '.';
    ngx_memcpy(step + 6, ngx_http_atoll_clock(), 8);
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

        header = ngx_http_atoll_next_header(&part, &i, "CDN-Loop", sizeof("CDN-Loop") - 1);

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
