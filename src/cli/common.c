/* What the commands share: messages, lists of options, configuration, the host and the plugin. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/config.h"

/* What is said may name anything: of a plugin, of a daemon, of whoever typed it or had it pasted. Line ends within a message are its own. */
static void say(const char *format, va_list args)
{
    bool colour = isatty(STDERR_FILENO) && !(getenv("NO_COLOR") && *getenv("NO_COLOR"));
    char *text = NULL;
    buf safe;
    buf_init(&safe, 1 << 22);
    int len = vasprintf(&text, format, args);
    bytes rest = len < 0 ? BYTES("out of memory") : bytes_make(text, (size_t)len);
    while (rest.len) {
        const char *end = memchr(rest.at, '\n', rest.len);
        size_t n = end ? (size_t)(end - rest.at) : rest.len;
        log_escape(&safe, bytes_make(rest.at, n));
        n += end != NULL;
        if (end)
            buf_add_char(&safe, '\n');
        rest = bytes_make(rest.at + n, rest.len - n);
    }
    fflush(stdout);
    fprintf(stderr, "%s%.*s\n", colour ? "\033[31mweir:\033[0m " : "weir: ", (int)safe.len, safe.at ? safe.at : "");
    buf_fini(&safe);
    if (len >= 0)
        free(text);
}

int cli_fail(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return code;
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    fprintf(stderr, "see 'weir %s --help'\n", command);
    return EXIT_USAGE;
}

int cli_wrong_option(const char *command, char **argv)
{
    const char *given = argv[optind - 1];
    if (strncmp(given, "--", 2)) /* short ones may stand together: getopt names the letter only */
        return cli_usage(command, "option '-%c' is unknown, or its value is missing", optopt);
    if (!optopt)
        return cli_usage(command, "option '%s' is unknown", given);
    return cli_usage(command, strchr(given, '=') ? "option '%s': it takes no value" : "option '%s': its value is missing", given);
}

const char *cli_cure(const char *text)
{
    return strstr(text, "certificate is not trusted") ? "; if you trust its authority, name it with --ca FILE" : "";
}

int cli_exit_code(weir_code code)
{
    switch (code) {
    case WEIR_OK:
        return EXIT_FINE;
    case WEIR_REFUSED:
        return EXIT_REFUSED;
    case WEIR_TRAPPED:
    case WEIR_FAILED:
    case WEIR_TIMEOUT:
        return EXIT_GUEST;
    default:
        return EXIT_FAILED;
    }
}

bool cli_add(cli_list *l, const char *text)
{
    const char **at = realloc(l->at, (l->count + 2) * sizeof *at);
    if (!at)
        return false;
    l->at = at;
    l->at[l->count++] = text;
    l->at[l->count] = NULL;
    return true;
}

bool cli_duration(const char *text, double *seconds)
{
    char *end;
    double value = strtod(text, &end);
    double unit = !strcmp(end, "ms") ? 0.001 : !*end || !strcmp(end, "s") ? 1
                                           : !strcmp(end, "m")            ? 60
                                           : !strcmp(end, "h")            ? 3600
                                                                          : 0;
    *seconds = value * unit;
    return end != text && *seconds > 0 && *seconds < 1e9;
}

void cli_put_json(FILE *out, const char *s, size_t len)
{
    fputc('"', out);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* ---- Streams as they are typed ---- */

bool cli_is_spec(const char *text)
{
    const char *colon = strchr(text, ':');
    return colon && colon != text && colon[1] && colon[1] != ':';
}

static void put_parameters(FILE *json, const char *timeframe, char *extra)
{
    fputc('{', json);
    if (timeframe) {
        fputs("\"timeframe\":", json);
        cli_put_json(json, timeframe, strlen(timeframe));
    }
    for (char *item = extra; item; item = extra) {
        if ((extra = strchr(item, ',')))
            *extra++ = '\0';
        char *equals = strchr(item, '=');
        size_t n = equals ? (size_t)(equals - item) : strlen(item);
        fputs(ftell(json) > 1 ? "," : "", json);
        cli_put_json(json, item, n);
        fputc(':', json);
        cli_put_json(json, equals ? equals + 1 : "", equals ? strlen(equals + 1) : 0);
    }
    fputc('}', json);
}

bool cli_spec_read(cli_spec *out, const char *text)
{
    size_t size;
    *out = (cli_spec){.type = strdup(text)};
    FILE *json = out->type ? open_memstream(&out->parameters, &size) : NULL;
    if (!json) {
        cli_spec_free(out);
        return false;
    }
    char *extra = strchr(out->type, ',');
    if (extra)
        *extra++ = '\0';
    out->identifier = strchr(out->type, ':');
    *out->identifier++ = '\0';
    char *timeframe = strchr(out->identifier, ':');
    if (timeframe)
        *timeframe++ = '\0';
    put_parameters(json, timeframe, extra);
    fclose(json);
    return out->parameters != NULL;
}

void cli_spec_free(cli_spec *s)
{
    free(s->type); /* the identifier is a part of it */
    free(s->parameters);
    *s = (cli_spec){0};
}

/* ---- Options ---- */

bool cli_common_option(cli_common *c, int option, const char *value)
{
    switch (option) {
    case 1000:
        return cli_add(&c->config, value);
    case 1001:
        c->config_file = value;
        return true;
    case 1002:
        return cli_add(&c->allow, value);
    case 1003:
        return cli_add(&c->overrides, value);
    case 1004:
        c->ca_file = value;
        return true;
    case 1005:
        c->cache_dir = value;
        return true;
    case 1006:
        return cli_add(&c->folders, value);
    case 'v':
        c->verbose++;
        return true;
    case 'j':
        c->json = true;
        return true;
    default:
        return false;
    }
}

static void on_log(void *arg, weir_log_level level, const char *part, const char *line)
{
    static const char *const level_names[] = {"trace", "debug", "info", "warn", "error"};
    (void)arg;
    fprintf(stderr, "weir: %s: %s: %s\n", level_names[level], part, line);
}

weir_host *cli_host(const cli_common *c, uint32_t instances, int *code)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_host_options options = WEIR_HOST_OPTIONS_INIT;
    weir_host *host;
    weir_log(c->verbose > 1 ? WEIR_LOG_DEBUG : c->verbose ? WEIR_LOG_INFO
                                                          : WEIR_LOG_WARN,
             on_log, NULL);
    options.ca_file = c->ca_file;
    options.max_instances = instances;
    options.cache_dir = c->cache_dir;
    options.overrides = c->overrides.at;
    options.heartbeats = c->heartbeats.at;
    options.silence_ms = c->silence_ms;
    options.backoff_max_ms = c->retry_ms;
    options.connect_ms = c->connect_ms;
    options.lifetimes = c->lifetimes.at;
    if (weir_host_new(&host, &options, &err)) {
        *code = cli_fail(err.code == WEIR_INVALID ? EXIT_USAGE : EXIT_FAILED, "%s", err.text);
        return NULL;
    }
    return host;
}

weir_plugin *cli_plugin(weir_host *host, const cli_common *c, const char *path, int *code)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin_options options = WEIR_PLUGIN_OPTIONS_INIT;
    weir_plugin *plugin = NULL;
    for (size_t i = 0; i < c->folders.count; i++)
        if (!strstr(c->folders.at[i], ":/")) {
            *code = cli_fail(EXIT_USAGE, "--dir '%s': expected HOST:GUEST, or ro:HOST:GUEST to be read only, such as ./templates:/templates", c->folders.at[i]);
            return NULL;
        }
    char *config = cli_config(&c->config, c->config_file);
    if (!config) {
        *code = EXIT_USAGE;
        return NULL;
    }
    options.config_json = config;
    options.allow = c->allow.at;
    options.folders = c->folders.at;
    options.call_ms = c->call_ms;
    options.rate_wait_ms = c->rate_wait_ms;
    options.own_instances = c->own_instances;
    options.quiet_after_ms = c->quiet_after_ms;
    options.backfill = c->backfill;
    options.on_trap = c->on_trap;
    options.stream_route = c->route;
    if (weir_plugin_load(&plugin, host, path, &options, &err))
        *code = cli_fail(err.code == WEIR_REFUSED ? EXIT_REFUSED : EXIT_PLUGIN, "%s", err.text);
    if (plugin && !c->unconfigured && !cli_configure(plugin, config)) {
        *code = EXIT_USAGE;
        plugin = NULL; /* its host frees it */
    }
    free(config);
    return plugin;
}
