/* Directives. Strict: a value that is not understood stops the configuration, with the value and what was expected. */

#include "ngx_http_atoll_route.h"


static char *ngx_http_atoll_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_atoll_java(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_atoll(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_atoll_slow_start(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_atoll_panic(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_atoll_handover(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


ngx_command_t  ngx_http_atoll_commands[] = {

    { ngx_string("atoll_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_http_atoll_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atoll_java"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
      ngx_http_atoll_java,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atoll_node"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_atoll_main_conf_t, node),
      NULL },

    { ngx_string("atoll_secret"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_atoll_secret,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atoll_disk_reserve"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_atoll_disk_reserve,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atoll_route"),
      NGX_HTTP_UPS_CONF|NGX_CONF_1MORE,
      ngx_http_atoll_route,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atoll"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1234,
      ngx_http_atoll,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atoll_probe"),
      NGX_HTTP_UPS_CONF|NGX_CONF_ANY,
      ngx_http_atoll_probe,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atoll_slow_start"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_atoll_slow_start,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atoll_panic"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_atoll_panic,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atoll_purge_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atoll_loc_conf_t, purge_key),
      NULL },

    { ngx_string("atoll_purge"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_atoll_purge,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atoll_purge_wait"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_atoll_purge_wait,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atoll_handover"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE12,
      ngx_http_atoll_handover,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atoll_status"),
      NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_atoll_status,
      0,
      0,
      NULL },

      ngx_null_command
};


void *
ngx_http_atoll_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_atoll_main_conf_t  *amcf;

    amcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_atoll_main_conf_t));
    if (amcf == NULL) {
        return NULL;
    }

    amcf->pool = cf->pool;
    amcf->zone_size = NGX_CONF_UNSET_SIZE;
    amcf->java_timeout = NGX_CONF_UNSET_MSEC;
    amcf->purge_wait = NGX_CONF_UNSET_MSEC;

    if (ngx_array_init(&amcf->upstreams, cf->pool, 4, sizeof(ngx_http_atoll_srv_conf_t *)) != NGX_OK
        || ngx_array_init(&amcf->routes, cf->pool, 1, sizeof(ngx_http_atoll_route_t *)) != NGX_OK
        || ngx_array_init(&amcf->disks, cf->pool, 1, sizeof(ngx_http_atoll_disk_t)) != NGX_OK
        || ngx_array_init(&amcf->purges, cf->pool, 1, sizeof(ngx_http_atoll_purge_t *)) != NGX_OK)
    {
        return NULL;
    }

    return amcf;
}


char *
ngx_http_atoll_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_atoll_main_conf_t  *amcf = conf;

    ngx_conf_init_size_value(amcf->zone_size, NGX_HTTP_ATOLL_ZONE_SIZE);
    ngx_conf_init_msec_value(amcf->java_timeout, 30000);
    ngx_conf_init_msec_value(amcf->purge_wait, NGX_HTTP_ATOLL_PURGE_WAIT);

    if (amcf->zone_path.data == NULL) {
        ngx_str_set(&amcf->zone_path, NGX_HTTP_ATOLL_ZONE_PATH);
    }

    if (ngx_conf_full_name(cf->cycle, &amcf->zone_path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (amcf->node.len > sizeof(((atoll_header_record_t *) 0)->node)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "atoll_node \"%V\": expected a name of up to 256 bytes", &amcf->node);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


void *
ngx_http_atoll_create_srv_conf(ngx_conf_t *cf)
{
    ngx_http_atoll_srv_conf_t  *ascf;

    ascf = ngx_pcalloc(cf->pool, sizeof(ngx_http_atoll_srv_conf_t));
    if (ascf == NULL) {
        return NULL;
    }

    ascf->settings.slow_start_ms = NGX_HTTP_ATOLL_UNSET;
    ascf->settings.panic_percent = NGX_HTTP_ATOLL_UNSET;
    ascf->settings.method = NGX_HTTP_ATOLL_UNSET;
    ascf->settings.handover_ms = NGX_HTTP_ATOLL_UNSET;
    ascf->handover_timeout = 500;

    return ascf;
}


void *
ngx_http_atoll_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_atoll_loc_conf_t));
}


char *
ngx_http_atoll_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_atoll_loc_conf_t  *prev = parent;
    ngx_http_atoll_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    if (conf->purge_key == NULL) {
        conf->purge_key = prev->purge_key;
    }

    /* an "if" in the location: nginx keeps the handler, and asks it with the settings of the "if" */
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->purge == NULL && clcf->noname) {
        conf->purge = prev->purge;
    }

    return NGX_CONF_OK;
}


/* Refuses directives that only mean something beside `atoll`. */
ngx_int_t
ngx_http_atoll_check_upstreams(ngx_conf_t *cf)
{
    ngx_uint_t                       i;
    ngx_http_atoll_srv_conf_t       *ascf;
    ngx_http_upstream_srv_conf_t   **uscfp;
    ngx_http_upstream_main_conf_t   *umcf;

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (uscfp[i]->srv_conf == NULL) {
            continue;
        }

        ascf = ngx_http_conf_upstream_srv_conf(uscfp[i], ngx_http_atoll_module);

        if (ascf->orphan.len && ascf->peers == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"%V\" needs \"atoll <key>\" in the same upstream \"%V\" in %s:%ui; another balancing method "
                          "there takes its place", &ascf->orphan, &uscfp[i]->host, uscfp[i]->file_name, uscfp[i]->line);
            return NGX_ERROR;
        }

        if (ascf->upstream && ascf->peers == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"atoll\" of upstream \"%V\" in %s:%ui does nothing, since another balancing method stands behind it: "
                          "take one of the two out", &uscfp[i]->host, uscfp[i]->file_name, uscfp[i]->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


char *
ngx_http_atoll_invalid(ngx_conf_t *cf, ngx_str_t *value, const char *expected)
{
    ngx_str_t  *directive = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\" of \"%V\": expected %s", value, directive, expected);

    return NGX_CONF_ERROR;
}


ngx_uint_t
ngx_http_atoll_option(ngx_str_t *value, const char *name, ngx_str_t *rest)
{
    size_t  len = ngx_strlen(name);

    if (value->len < len + 1 || ngx_strncmp(value->data, name, len) != 0 || value->data[len] != '=') {
        return 0;
    }

    rest->data = value->data + len + 1;
    rest->len = value->len - len - 1;

    return 1;
}


ngx_int_t
ngx_http_atoll_compile_value(ngx_conf_t *cf, ngx_str_t *value, ngx_http_complex_value_t *into)
{
    ngx_http_compile_complex_value_t  ccv;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = into;

    return ngx_http_compile_complex_value(&ccv);
}


ngx_int_t
ngx_http_atoll_time(ngx_str_t *value, ngx_int_t least, ngx_int_t most)
{
    ngx_int_t  ms = ngx_parse_time(value, 0);

    return ms >= least && ms <= most ? ms : NGX_ERROR;
}


static char *
ngx_http_atoll_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atoll_main_conf_t  *amcf = conf;

    ngx_str_t   *value, s;
    ngx_uint_t   i;

    if (amcf->zone_size != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    amcf->zone_size = NGX_HTTP_ATOLL_ZONE_SIZE;
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_atoll_option(&value[i], "size", &s)) {

            amcf->zone_size = ngx_parse_size(&s);

            if (amcf->zone_size == (size_t) NGX_ERROR || amcf->zone_size < 1024 * 1024) {
                return ngx_http_atoll_invalid(cf, &value[i], "size=<bytes>, 1m or more, as in size=8m");
            }

            continue;
        }

        if (amcf->zone_path.data == NULL && ngx_strlchr(value[i].data, value[i].data + value[i].len, '=') == NULL
            && value[i].len)
        {
            amcf->zone_path = value[i];
            continue;
        }

        return ngx_http_atoll_invalid(cf, &value[i], "[path] [size=<bytes>]");
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_atoll_java(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atoll_main_conf_t  *amcf = conf;

    ngx_str_t   *value, s;
    ngx_int_t    ms;
    ngx_uint_t   i;

    if (amcf->java_home.data || amcf->java_lib.data || amcf->java_timeout != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if ((ngx_http_atoll_option(&value[i], "home", &amcf->java_home) && amcf->java_home.len)
            || (ngx_http_atoll_option(&value[i], "lib", &amcf->java_lib) && amcf->java_lib.len))
        {
            continue;
        }

        if (ngx_http_atoll_option(&value[i], "timeout", &s)) {

            ms = ngx_http_atoll_time(&s, 100, 600000);

            if (ms == NGX_ERROR) {
                return ngx_http_atoll_invalid(cf, &value[i], "timeout=<time>, 100ms to 10m");
            }

            amcf->java_timeout = ms;
            continue;
        }

        return ngx_http_atoll_invalid(cf, &value[i], "[home=<JDK folder>] [lib=<folder of atoll-core.jar>] [timeout=<time>]");
    }

    if (amcf->java_home.data && ngx_conf_full_name(cf->cycle, &amcf->java_home, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (amcf->java_lib.data && ngx_conf_full_name(cf->cycle, &amcf->java_lib, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* A parameter of `atoll` behind the key. *expected: set for NGX_ERROR. */
static ngx_int_t
ngx_http_atoll_parameter(atoll_upstream_record_t *settings, ngx_str_t *value, const char **expected)
{
    ngx_int_t  n;
    ngx_str_t  s;

    if (ngx_strcmp(value->data, "ketama") == 0 || ngx_strcmp(value->data, "maglev") == 0) {

        if (settings->method != NGX_HTTP_ATOLL_UNSET) {
            *expected = "one of ketama and maglev, once";
            return NGX_ERROR;
        }

        settings->method = value->data[0] == 'm' ? ATOLL_METHOD_MAGLEV : ATOLL_METHOD_KETAMA;

        return NGX_OK;
    }

    if (ngx_http_atoll_option(value, "bound", &s)) {

        n = ngx_atofp(s.data, s.len, 2);

        if (n == NGX_ERROR || n < ATOLL_BOUND_LEAST || n > ATOLL_BOUND_MOST || settings->bound_percent) {
            *expected = "bound=<factor>, once, 1.01 to 10 with up to two decimals, as in bound=1.25";
            return NGX_ERROR;
        }

        settings->bound_percent = n;

        return NGX_OK;
    }

    if (ngx_http_atoll_option(value, "replicas", &s)) {

        n = ngx_atoi(s.data, s.len);

        if (n == NGX_ERROR || n < 2 || n > ATOLL_REPLICAS_LIMIT || settings->replicas) {
            *expected = "replicas=<number>, once, 2 to 16";
            return NGX_ERROR;
        }

        settings->replicas = n;

        return NGX_OK;
    }

    *expected = "<key> [ketama|maglev] [bound=<factor>] [replicas=<number>]";

    return NGX_ERROR;
}


/* Of a key that is one variable and nothing else, else NGX_ERROR. */
static ngx_int_t
ngx_http_atoll_variable_index(ngx_conf_t *cf, ngx_str_t *key)
{
    u_char     *p;
    ngx_str_t   name;

    name.data = key->data + 1;
    name.len = key->len - 1;

    if (key->len < 2 || key->data[0] != '$' || (name.data[0] >= '0' && name.data[0] <= '9')) {
        return NGX_ERROR;
    }

    for (p = name.data; p < name.data + name.len; p++) {

        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_')) {
            return NGX_ERROR;
        }
    }

    return ngx_http_get_variable_index(cf, &name);
}


static char *
ngx_http_atoll(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atoll_srv_conf_t  *ascf = conf;

    ngx_str_t                     *value;
    ngx_uint_t                     i;
    const char                    *expected;
    ngx_http_upstream_srv_conf_t  *uscf;

    if (ascf->upstream) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_atoll_parameter(&ascf->settings, &value[i], &expected) != NGX_OK) {
            return ngx_http_atoll_invalid(cf, &value[i], expected);
        }
    }

    if (ngx_http_atoll_compile_value(cf, &value[1], &ascf->key) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ascf->key_index = ngx_http_atoll_variable_index(cf, &value[1]);

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    if (uscf->host.len > sizeof(ascf->settings.name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"atoll\": the upstream's name is %uz bytes long, expected up to 128",
                           uscf->host.len);
        return NGX_CONF_ERROR;
    }

    if (uscf->peer.init_upstream) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0, "load balancing method redefined");
    }

    ascf->upstream = uscf;
    uscf->peer.init_upstream = ngx_http_atoll_init_upstream;

    uscf->flags = NGX_HTTP_UPSTREAM_CREATE
                  |NGX_HTTP_UPSTREAM_WEIGHT
                  |NGX_HTTP_UPSTREAM_MAX_CONNS
                  |NGX_HTTP_UPSTREAM_MAX_FAILS
                  |NGX_HTTP_UPSTREAM_FAIL_TIMEOUT
                  |NGX_HTTP_UPSTREAM_DOWN
                  |NGX_HTTP_UPSTREAM_BACKUP;

    return NGX_CONF_OK;
}


static char *
ngx_http_atoll_slow_start(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atoll_srv_conf_t  *ascf = conf;

    ngx_int_t   ms;
    ngx_str_t  *value;

    if (ascf->settings.slow_start_ms != NGX_HTTP_ATOLL_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;
    ascf->orphan = value[0];

    ms = ngx_http_atoll_time(&value[1], 0, 86400000);

    if (ms == NGX_ERROR) {
        return ngx_http_atoll_invalid(cf, &value[1], "a time up to 1d, as in 30s; 0 is off");
    }

    ascf->settings.slow_start_ms = ms;

    return NGX_CONF_OK;
}


static char *
ngx_http_atoll_panic(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atoll_srv_conf_t  *ascf = conf;

    ngx_int_t   n;
    ngx_str_t  *value, s;

    if (ascf->settings.panic_percent != NGX_HTTP_ATOLL_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;
    ascf->orphan = value[0];

    s = value[1];

    if (s.len && s.data[s.len - 1] == '%') {
        s.len--;
    }

    n = ngx_atoi(s.data, s.len);

    if (n == NGX_ERROR || n > 100) {
        return ngx_http_atoll_invalid(cf, &value[1], "a percentage, 0% (off) to 100%");
    }

    ascf->settings.panic_percent = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_atoll_handover(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atoll_srv_conf_t  *ascf = conf;

    ngx_int_t   ms;
    ngx_str_t  *value, s;

    if (ascf->settings.handover_ms != NGX_HTTP_ATOLL_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;
    ascf->orphan = value[0];

    ms = ngx_http_atoll_time(&value[1], 0, ATOLL_HANDOVER_LIMIT_MS);

    if (ms == NGX_ERROR) {
        return ngx_http_atoll_invalid(cf, &value[1], "a time up to 1d, as in 10m; 0 is off");
    }

    ascf->settings.handover_ms = ms;

    if (cf->args->nelts == 3) {

        if (!ngx_http_atoll_option(&value[2], "timeout", &s)) {
            return ngx_http_atoll_invalid(cf, &value[2], "<time> [timeout=<time>]");
        }

        ms = ngx_http_atoll_time(&s, 1, 60000);

        if (ms == NGX_ERROR) {
            return ngx_http_atoll_invalid(cf, &value[2], "timeout=<time>, 1ms to 1m");
        }

        ascf->handover_timeout = ms;
    }

    return NGX_CONF_OK;
}
