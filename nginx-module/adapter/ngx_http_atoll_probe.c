/* The directive atoll_probe: what the agent is to ask the peers of an upstream. */

#include "ngx_http_atoll.h"


/* "200-399", "200", "200-299,404": pairs of first and last. */
static ngx_int_t
ngx_http_atoll_expect(atoll_upstream_record_t *settings, ngx_str_t *s)
{
    u_char     *p, *end, *comma, *dash;
    ngx_int_t   first, last;

    end = s->data + s->len;
    settings->probe_expect_count = 0;

    for (p = s->data; p < end; p = comma + 1) {

        comma = ngx_strlchr(p, end, ',');
        if (comma == NULL) {
            comma = end;

        } else if (comma + 1 == end) {
            return NGX_ERROR;
        }

        dash = ngx_strlchr(p, comma, '-');

        first = ngx_atoi(p, (dash ? dash : comma) - p);
        last = dash ? ngx_atoi(dash + 1, comma - dash - 1) : first;

        if (first < 100 || last > 599 || first > last || settings->probe_expect_count == ATOLL_EXPECT_CAPACITY) {
            return NGX_ERROR;
        }

        settings->probe_expect[2 * settings->probe_expect_count] = first;
        settings->probe_expect[2 * settings->probe_expect_count + 1] = last;
        settings->probe_expect_count++;
    }

    return settings->probe_expect_count ? NGX_OK : NGX_ERROR;
}


/* A number or time option of a probe: where it goes, its range, and what to say when it is wrong. */
typedef struct {
    const char  *name;
    size_t       offset;
    ngx_uint_t   time;
    ngx_int_t    least;
    ngx_int_t    most;
    const char  *expected;
} ngx_http_atoll_number_t;

static ngx_http_atoll_number_t  ngx_http_atoll_probe_numbers[] = {
    { "interval", offsetof(atoll_upstream_record_t, probe_interval_ms), 1, 10, 3600000, "interval=<time>, 10ms to 1h" },
    { "timeout", offsetof(atoll_upstream_record_t, probe_timeout_ms), 1, 1, 600000, "timeout=<time>, 1ms to 10m" },
    { "rise", offsetof(atoll_upstream_record_t, probe_rise), 0, 1, 1000, "rise=<number>, 1 to 1000" },
    { "fall", offsetof(atoll_upstream_record_t, probe_fall), 0, 1, 1000, "fall=<number>, 1 to 1000" },
    { "port", offsetof(atoll_upstream_record_t, probe_port), 0, 1, 65535, "port=<number>, 1 to 65535" },
    { NULL, 0, 0, 0, 0, NULL }
};


/* A text option of a probe, copied into the settings. */
typedef struct {
    const char  *name;
    size_t       offset;
    size_t       length_offset;
    size_t       capacity;
    const char  *expected;
} ngx_http_atoll_text_t;

#define ngx_http_atoll_text(name, expected)                                   \
    { #name, offsetof(atoll_upstream_record_t, probe_##name),                 \
      offsetof(atoll_upstream_record_t, probe_##name##_length),               \
      sizeof(((atoll_upstream_record_t *) 0)->probe_##name), expected }

static ngx_http_atoll_text_t  ngx_http_atoll_probe_texts[] = {
    ngx_http_atoll_text(uri, "uri=/<path>, up to 512 bytes, without blanks"),
    ngx_http_atoll_text(match, "match=<text>, 1 to 256 bytes"),
    ngx_http_atoll_text(host, "host=<name>, 1 to 256 bytes, without blanks"),
    { NULL, 0, 0, 0, NULL }
};


/* Handles value when it is a number or text option: NGX_DECLINED when it is neither. *expected: set for NGX_ERROR. */
static ngx_int_t
ngx_http_atoll_probe_option(atoll_upstream_record_t *settings, ngx_str_t *value, const char **expected)
{
    u_char                   *p, *base = (u_char *) settings;
    ngx_int_t                 n;
    ngx_str_t                 s;
    ngx_uint_t                i, blank;
    ngx_http_atoll_text_t    *t;
    ngx_http_atoll_number_t  *o;

    for (o = ngx_http_atoll_probe_numbers; o->name; o++) {

        if (ngx_http_atoll_option(value, o->name, &s)) {
            *expected = o->expected;
            n = o->time ? ngx_parse_time(&s, 0) : ngx_atoi(s.data, s.len);

            if (n == NGX_ERROR || n < o->least || n > o->most) {
                return NGX_ERROR;
            }

            *(uint32_t *) (void *) (base + o->offset) = n;
            return NGX_OK;
        }
    }

    for (t = ngx_http_atoll_probe_texts; t->name; t++) {

        if (ngx_http_atoll_option(value, t->name, &s)) {
            *expected = t->expected;
            blank = 0;

            for (i = 0; i < s.len; i++) {
                blank |= (s.data[i] <= ' ' || s.data[i] == 0x7f);
            }

            if (s.len == 0 || s.len > t->capacity
                || (blank && t->name[0] != 'm')
                || (t->name[0] == 'u' && s.data[0] != '/'))
            {
                return NGX_ERROR;
            }

            p = ngx_cpymem(base + t->offset, s.data, s.len);
            ngx_memzero(p, t->capacity - s.len);
            *(uint32_t *) (void *) (base + t->length_offset) = s.len;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


char *
ngx_http_atoll_probe(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atoll_srv_conf_t  *ascf = conf;

    ngx_int_t                 rc;
    ngx_str_t                *value, s;
    ngx_uint_t                i;
    const char               *expected;
    atoll_upstream_record_t  *p;

    p = &ascf->settings;

    if (p->probe_kind != ATOLL_PROBE_KIND_NONE) {
        return "is duplicate";
    }

    value = cf->args->elts;
    ascf->orphan = value[0];

    p->probe_kind = ATOLL_PROBE_KIND_HTTP;
    p->probe_interval_ms = 1000;
    p->probe_timeout_ms = 500;
    p->probe_rise = 2;
    p->probe_fall = 3;
    p->probe_expect_count = 1;
    p->probe_expect[0] = 200;
    p->probe_expect[1] = 399;
    p->probe_uri_length = 1;
    p->probe_uri[0] = '/';

    for (i = 1; i < cf->args->nelts; i++) {

        if (i == 1 && ngx_strcmp(value[i].data, "http") == 0) {
            continue;
        }

        if (i == 1 && ngx_strcmp(value[i].data, "tcp") == 0) {
            p->probe_kind = ATOLL_PROBE_KIND_TCP;
            continue;
        }

        if (ngx_strcmp(value[i].data, "tls") == 0) {
            p->probe_tls = 1;
            continue;
        }

        if (p->probe_kind == ATOLL_PROBE_KIND_TCP
            && (ngx_http_atoll_option(&value[i], "uri", &s) || ngx_http_atoll_option(&value[i], "expect", &s)
                || ngx_http_atoll_option(&value[i], "match", &s)))
        {
            return ngx_http_atoll_invalid(cf, &value[i], "no uri=, expect= or match= with tcp, which asks for nothing");
        }

        if (ngx_http_atoll_option(&value[i], "expect", &s)) {

            if (ngx_http_atoll_expect(p, &s) != NGX_OK) {
                return ngx_http_atoll_invalid(cf, &value[i],
                                              "expect=<status>[-<status>][,...], 100 to 599, up to 8 ranges, as in expect=200-299,404");
            }

            continue;
        }

        expected = "[http|tcp] [uri=] [interval=] [timeout=] [rise=] [fall=] [expect=] [match=] [port=] [host=] [tls]";

        rc = ngx_http_atoll_probe_option(p, &value[i], &expected);

        if (rc != NGX_OK) {
            return ngx_http_atoll_invalid(cf, &value[i], expected);
        }
    }

    return NGX_CONF_OK;
}
