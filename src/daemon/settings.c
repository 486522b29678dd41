/* The table of settings, and what is made of it. */
#include "daemon/settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "engine/toml.h"

const setting settings_table[] = {
    {"data_dir", SETTING_TEXT, "", "Where all is kept: settings, history, modules, compiled code. Empty: $STATE_DIRECTORY (systemd), else $XDG_STATE_HOME/weir/serve, else ~/.local/state/weir/serve; of --demo a temporary folder.", NULL, false, false},
    {"name", SETTING_TEXT, "", "What this node is called. Empty: the machine's name.", NULL, false, false},
    {"pid_file", SETTING_TEXT, "", "Where the process's number is written; removed at the end. Empty: nowhere.", NULL, false, false},
    {"drain", SETTING_DURATION, "10s", "How long a stop may take: streams end, the history is written. What has not ended then is cut.", NULL, true, false},
    {"listen.address", SETTING_TEXT, "127.0.0.1", "The address that the API and the pages listen on. 0.0.0.0 or :: for all; then set tls, too.", NULL, false, false},
    {"listen.port", SETTING_NUMBER, "8080", "The port. 0: any free one.", NULL, false, false},
    {"listen.hosts", SETTING_LIST, "", "The names by which browsers may ask for it (the Host header). Empty: localhost on a loopback address, any on others.", NULL, false, false},
    {"tls.certificate", SETTING_TEXT, "", "PEM with the certificate and its chain; read anew at SIGHUP. Empty: plain HTTP.", NULL, true, false},
    {"tls.key", SETTING_TEXT, "", "PEM with its private key, without a passphrase.", NULL, true, false},
    {"log.level", SETTING_CHOICE, "info", "What is logged.", "trace debug info warn error off", true, false},
    {"log.format", SETTING_CHOICE, "text", "One line of text, or one JSON object a line.", "text json", true, false},
    {"secrets.key_file", SETTING_TEXT, "", "32 octets, or 64 hexadecimal digits, that seal the connections' secrets. Empty: $WEIR_SECRET_KEY, else the systemd credential weir.key, else DATA_DIR/secret.key, which is made.", NULL, false, false},
    {"history.size", SETTING_SIZE, "1GiB", "How much of records is kept at most; then the oldest go.", NULL, true, false},
    {"history.age", SETTING_DURATION, "7d", "How long records are kept.", NULL, true, false},
    {"history.flush", SETTING_DURATION, "200ms", "How much of the history a crash may take at most. A gap record says so.", NULL, false, false},
    {"api.rate", SETTING_NUMBER, "100", "Requests a second of one token, or of one peer without.", NULL, false, false},
    {"api.body", SETTING_SIZE, "1MiB", "The largest body of a request.", NULL, false, false},
    {"api.upload", SETTING_SIZE, "64MiB", "The largest module that can be uploaded.", NULL, false, false},
    {"api.connections", SETTING_NUMBER, "10000", "Connections at once.", NULL, false, false},
    {"api.idle", SETTING_DURATION, "60s", "How long a connection may do nothing.", NULL, false, false},
    {"api.metrics_open", SETTING_BOOL, "false", "GET /metrics without a token.", NULL, false, false},
    {"venues.ca_file", SETTING_TEXT, "", "PEM with the authorities that venues' certificates are trusted by. Empty: the system's.", NULL, false, false},
    {"venues.overrides", SETTING_LIST, "", "\"ORIGIN=ORIGIN\": where an origin really is, for simulated venues.", NULL, false, false},
    {"venues.heartbeats", SETTING_LIST, "", "\"ORIGIN=HEARTBEAT\": how to answer and send a venue's pings (weir run --heartbeat).", NULL, false, false},
    {"venues.lifetimes", SETTING_LIST, "", "\"ORIGIN=TIME\": after how long a venue ends a connection (weir run --lifetime).", NULL, false, false},
    {"venues.silence", SETTING_DURATION, "60s", "A venue that sends nothing at all for so long is gone.", NULL, false, false},
    {"venues.connect", SETTING_DURATION, "10s", "Until a connection is open: name, TCP, TLS and upgrade together.", NULL, false, false},
    {"venues.retry_max", SETTING_DURATION, "60s", "Between two tries of a stream at most; the first ones come sooner.", NULL, false, false},
    {"cluster.servers", SETTING_TEXT, "", "A NATS with JetStream that several nodes share, \"nats://HOST:PORT\", several with commas: they are one then. Empty: this node is alone.", NULL, false, false},
    {"cluster.lease", SETTING_DURATION, "10s", "A node that is not seen for so long (and a quarter) is replaced. The same on all nodes.", NULL, false, false},
    {"cluster.grace", SETTING_DURATION, "30s", "A node that comes is there for so long before others give running streams to it.", NULL, false, false},
    {"cluster.keeper", SETTING_BOOL, "true", "A second process ends this one when it holds streams longer than its lease, as while it is stopped: so no venue ever has two sessions of one stream.", NULL, false, false},
    {"cluster.replicas", SETTING_NUMBER, "1", "On how many of NATS' servers the data lies, where it is made: 1, 3 or 5.", NULL, false, false},
    {"cluster.records_size", SETTING_SIZE, "1GiB", "How much of records NATS keeps at most, where the stream is made: what a node may be away for.", NULL, false, false},
    {"cluster.records_age", SETTING_DURATION, "1h", "How long NATS keeps records, where the stream is made.", NULL, false, false},
    {"plugins.instances", SETTING_NUMBER, "1000", "Instances of plugins at once.", NULL, false, false},
    {"plugins.code", SETTING_SIZE, "64MiB", "The most code of a module that can be uploaded: its octets of code, and 512 more for each function. It bounds how long the compiler works on it.", NULL, false, false},
    {"plugins.approve_uploads", SETTING_BOOL, "false", "An uploaded plugin gets what it asks for without an admin's approval. For development.", NULL, false, false},
    {NULL, SETTING_TEXT, NULL, NULL, NULL, false, false},
};

#define COUNT (sizeof settings_table / sizeof *settings_table - 1)
#define MS_PER_S 1000u

struct settings {
    struct {
        char *text;   /* as it was given; of a list a line each */
        char **items; /* of a list; NULL: empty */
        uint64_t number;
        setting_source from;
    } at[COUNT];
};

/* ---- Values ---- */

static bool read_number(const char *text, uint64_t *out, const char **end)
{
    char *stop;
    if (!isdigit((unsigned char)*text))
        return false;
    *out = strtoull(text, &stop, 10);
    *end = stop;
    return true;
}

/* "64MiB": a number and one of these. */
static bool read_unit(const char *text, const char *const *names, const uint64_t *factors, uint64_t *out)
{
    const char *end;
    uint64_t n;
    if (!read_number(text, &n, &end))
        return false;
    while (*end == ' ')
        end++;
    for (size_t i = 0; names[i]; i++)
        if (!strcmp(end, names[i]) && n <= UINT64_MAX / factors[i]) {
            *out = n * factors[i];
            return true;
        }
    return false;
}

static bool read_size(const char *text, uint64_t *out)
{
    static const char *const names[] = {"", "B", "KiB", "MiB", "GiB", "TiB", "kB", "MB", "GB", "TB", NULL};
    static const uint64_t factors[] = {1, 1, 1u << 10, 1u << 20, 1u << 30, (uint64_t)1 << 40, 1000, 1000000, 1000000000, 1000000000000};
    return read_unit(text, names, factors, out);
}

static bool read_duration(const char *text, uint64_t *out)
{
    static const char *const names[] = {"ms", "s", "m", "h", "d", NULL};
    static const uint64_t factors[] = {1, MS_PER_S, 60 * MS_PER_S, 3600 * MS_PER_S, 86400 * MS_PER_S};
    return read_unit(text, names, factors, out);
}

static bool read_bool(const char *text, uint64_t *out)
{
    *out = !strcmp(text, "true") || !strcmp(text, "1");
    return *out || !strcmp(text, "false") || !strcmp(text, "0");
}

static bool one_of(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = choices; *at;) {
        size_t n = strcspn(at, " ");
        if (n == len && !strncmp(at, text, n))
            return true;
        at += n + (at[n] == ' ');
    }
    return false;
}

/* Does `text` make sense for it? Numbers are kept beside. */
static weir_code check(const setting *s, const char *text, uint64_t *number, weir_error *err)
{
    const char *end = "";
    switch (s->type) {
    case SETTING_NUMBER:
        if (!read_number(text, number, &end) || *end || (!strcmp(s->name, "listen.port") && *number > 65535))
            return error_set(err, WEIR_INVALID, "'%s' is '%.100s'; a whole number is wanted, such as %s", s->name, text, s->value);
        return WEIR_OK;
    case SETTING_BOOL:
        return read_bool(text, number) ? WEIR_OK : error_set(err, WEIR_INVALID, "'%s' is '%.100s'; true or false is wanted", s->name, text);
    case SETTING_SIZE:
        return read_size(text, number) ? WEIR_OK : error_set(err, WEIR_INVALID, "'%s' is '%.100s'; a size is wanted, such as 64MiB", s->name, text);
    case SETTING_DURATION:
        return read_duration(text, number) ? WEIR_OK : error_set(err, WEIR_INVALID, "'%s' is '%.100s'; a time is wanted, with its unit (ms, s, m, h, d), such as %s", s->name, text, s->value);
    case SETTING_CHOICE:
        return one_of(s->choices, text) ? WEIR_OK : error_set(err, WEIR_INVALID, "'%s' is '%.100s'; one of these is wanted: %s", s->name, text, s->choices);
    default:
        return WEIR_OK;
    }
}

/* ---- Names ---- */

static size_t index_of(const char *name)
{
    size_t i = 0;
    while (i < COUNT && strcmp(settings_table[i].name, name) != 0)
        i++;
    return i;
}

/* How many letters have to change between two names (Levenshtein's distance). */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], n = strlen(b);
    if (n >= 64)
        return n;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; *a; a++, i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j], best = diagonal + (*a != b[j - 1]);
            best = best < above + 1 ? best : above + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
            diagonal = above;
        }
    }
    return row[n];
}

static const char *nearest(const char *name)
{
    const char *best = settings_table[0].name;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < COUNT; i++) {
        const char *last = strrchr(settings_table[i].name, '.');
        size_t d = distance(name, settings_table[i].name), e = last ? distance(name, last + 1) : d;
        d = d < e ? d : e;
        if (d < least) {
            least = d;
            best = settings_table[i].name;
        }
    }
    return best;
}

/* "listen.port" as a flag, "listen-port", or in the environment, "WEIR_LISTEN_PORT". */
static void spell(char *out, size_t size, const char *name, bool environment)
{
    size_t n = 0;
    if (environment)
        n = (size_t)snprintf(out, size, "WEIR_");
    for (; *name && n + 1 < size; name++)
        out[n++] = *name == '.' || *name == '_' ? (environment ? '_' : '-') : environment ? (char)toupper((unsigned char)*name)
                                                                                          : *name;
    out[n] = '\0';
}

const setting *settings_by_flag(const char *flag)
{
    char name[64];
    for (size_t i = 0; i < COUNT; i++) {
        spell(name, sizeof name, settings_table[i].name, false);
        if (!strcmp(name, flag))
            return &settings_table[i];
    }
    return NULL;
}

/* ---- Making, setting ---- */

settings *settings_new(void)
{
    settings *s = calloc(1, sizeof *s);
    for (size_t i = 0; s && i < COUNT; i++) {
        check(&settings_table[i], settings_table[i].value, &s->at[i].number, NULL);
        if (!(s->at[i].text = strdup(settings_table[i].value))) {
            settings_free(s);
            return NULL;
        }
    }
    return s;
}

static void items_free(char **items)
{
    for (size_t i = 0; items && items[i]; i++)
        free(items[i]);
    free(items);
}

void settings_free(settings *s)
{
    for (size_t i = 0; s && i < COUNT; i++) {
        free(s->at[i].text);
        items_free(s->at[i].items);
    }
    free(s);
}

static bool add_item(char ***items, const char *text, size_t len)
{
    size_t n = 0;
    while (*items && (*items)[n])
        n++;
    char **more = realloc(*items, (n + 2) * sizeof *more);
    if (!more)
        return false;
    *items = more;
    more[n + 1] = NULL;
    return (more[n] = strndup(text, len)) != NULL;
}

/* In the environment separated by blanks; else one, or what the file's list was written as, a line each. */
static bool take_items(char ***items, const char *text, setting_source from)
{
    const char *between = from == FROM_ENVIRONMENT ? " \t\n" : "\n";
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, between);
        if (n && !add_item(items, at, n))
            return false;
        at += n + (at[n] != '\0');
    }
    return true;
}

weir_code settings_set(settings *s, const char *name, const char *value, setting_source from, weir_error *err)
{
    size_t i = index_of(name);
    uint64_t number = 0;
    if (i == COUNT)
        return error_set(err, WEIR_NOT_FOUND, "there is no setting '%.100s'; did you mean '%s'?", name, nearest(name));
    if (check(&settings_table[i], value, &number, err))
        return WEIR_INVALID;
    if (s->at[i].from > from)
        return WEIR_OK;
    if (settings_table[i].type == SETTING_LIST) {
        if (s->at[i].from < from) {
            items_free(s->at[i].items);
            s->at[i].items = NULL;
        }
        if (!take_items(&s->at[i].items, value, from))
            return error_set(err, WEIR_NOMEM, "out of memory");
    }
    char *copy = strdup(value);
    if (!copy)
        return error_set(err, WEIR_NOMEM, "out of memory");
    free(s->at[i].text);
    s->at[i].text = copy;
    s->at[i].number = number;
    s->at[i].from = from;
    return WEIR_OK;
}

/* ---- The file ---- */

static weir_code set_from_file(settings *s, const char *name, json value, weir_error *err)
{
    size_t i = index_of(name);
    buf text;
    json key, item;
    weir_code code = WEIR_OK;
    buf_init(&text, 1 << 20);
    if (value.type == JSON_ARRAY && (i == COUNT || settings_table[i].type == SETTING_LIST)) {
        for (json_iter it = json_each(value); json_next(&it, &key, &item);) {
            if (item.type != JSON_STRING)
                code = error_set(err, WEIR_INVALID, "'%s' is a list of texts", name);
            json_string_add(item, &text);
            buf_add_char(&text, '\n');
        }
    } else if (i < COUNT && settings_table[i].type == SETTING_LIST) {
        code = error_set(err, WEIR_INVALID, "'%s' is a list of texts: [\"...\"]", name);
    } else if (!json_string_add(value, &text)) {
        buf_add_bytes(&text, value.raw);
    }
    buf_add_char(&text, '\0');
    if (!code && text.failed)
        code = error_set(err, WEIR_NOMEM, "out of memory");
    if (!code && strlen(text.at) != text.len - 1)
        code = error_set(err, WEIR_INVALID, "'%s' holds a NUL", name);
    if (!code)
        code = settings_set(s, name, text.at, FROM_FILE, err);
    buf_fini(&text);
    return code;
}

static weir_code walk(settings *s, const char *prefix, json table, weir_error *err)
{
    json key, value;
    weir_code code = WEIR_OK;
    for (json_iter it = json_each(table); !code && json_next(&it, &key, &value);) {
        char name[256], *one = json_string_dup(key);
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", one ? one : "");
        free(one);
        if (value.type == JSON_OBJECT && strlen(name) < 200)
            code = walk(s, name, value, err);
        else
            code = set_from_file(s, name, value, err);
    }
    return code;
}

weir_code settings_read_file(settings *s, const char *path, weir_error *err)
{
    buf text, doc;
    json root;
    buf_init(&text, 1 << 20);
    buf_init(&doc, 4 << 20);
    weir_code code = file_read(&text, path, err);
    if (!code && (code = toml_to_json(&doc, buf_bytes(&text), err)))
        error_wrap(err, "'%s'", path);
    if (!code && !(code = json_read(&root, buf_bytes(&doc), err)) && (code = walk(s, "", root, err)))
        error_wrap(err, "'%s'", path);
    buf_fini(&text);
    buf_fini(&doc);
    return code;
}

weir_code settings_read_environment(settings *s, weir_error *err)
{
    char name[64];
    for (size_t i = 0; i < COUNT; i++) {
        spell(name, sizeof name, settings_table[i].name, true);
        const char *value = getenv(name);
        if (value && settings_set(s, settings_table[i].name, value, FROM_ENVIRONMENT, err))
            return error_wrap(err, "%s in the environment", name);
    }
    return WEIR_OK;
}

/* ---- Asking ---- */

const char *settings_text(const settings *s, const char *name)
{
    return s->at[index_of(name)].text;
}

uint64_t settings_number(const settings *s, const char *name)
{
    return s->at[index_of(name)].number;
}

bool settings_bool(const settings *s, const char *name)
{
    return s->at[index_of(name)].number != 0;
}

const char *const *settings_list(const settings *s, const char *name)
{
    return (const char *const *)s->at[index_of(name)].items;
}

setting_source settings_source(const settings *s, const char *name)
{
    return s->at[index_of(name)].from;
}

static bool same_items(char **a, char **b)
{
    size_t i = 0;
    while (a && b && a[i] && b[i] && !strcmp(a[i], b[i]))
        i++;
    return (!a || !a[i]) && (!b || !b[i]);
}

void settings_beyond_reload(const settings *now, const settings *next, buf *names)
{
    for (size_t i = 0; i < COUNT; i++) {
        bool list = settings_table[i].type == SETTING_LIST;
        bool same = list ? same_items(now->at[i].items, next->at[i].items) : !strcmp(now->at[i].text, next->at[i].text);
        if (!same && !settings_table[i].reload)
            buf_add_fmt(names, "%s%s", names->len ? ", " : "", settings_table[i].name);
    }
}

void settings_take_reloaded(settings *s, settings *next, const char *but)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (!settings_table[i].reload || (but && !strncmp(settings_table[i].name, but, strlen(but))))
            continue;
        char *text = s->at[i].text;
        s->at[i].text = next->at[i].text;
        next->at[i].text = text;
        s->at[i].number = next->at[i].number;
        s->at[i].from = next->at[i].from;
    }
}

/* ---- Shown ---- */

/* Lines of at most `width`, each behind `prefix`. */
static void wrap(FILE *out, const char *prefix, const char *text, size_t width)
{
    while (*text) {
        size_t n = strlen(text);
        if (n > width) {
            for (n = width; n && text[n] != ' ';)
                n--;
            n = n ? n : width;
        }
        fprintf(out, "%s%.*s\n", prefix, (int)n, text);
        text += n + (text[n] == ' ');
    }
}

static void print_value(FILE *out, const setting *s)
{
    if (s->type == SETTING_LIST)
        fputs("[]", out);
    else if (s->type == SETTING_NUMBER || s->type == SETTING_BOOL)
        fputs(s->value, out);
    else
        fprintf(out, "\"%s\"", s->value);
}

void settings_print_sample(FILE *out)
{
    char table[32] = "";
    fputs("# weir.toml: the settings of `weir serve`, each with its default. A flag (--listen-port) counts more than the\n"
          "# environment (WEIR_LISTEN_PORT), that more than this file. `weir serve --check-config` reads it and says what is wrong.\n"
          "# What is marked (SIGHUP) is taken anew when the process gets that signal; the rest needs a restart.\n",
          out);
    for (size_t i = 0; i < COUNT; i++) {
        const setting *s = &settings_table[i];
        const char *dot = strchr(s->name, '.');
        size_t n = dot ? (size_t)(dot - s->name) : 0;
        if (n && (strlen(table) != n || strncmp(table, s->name, n) != 0)) {
            snprintf(table, sizeof table, "%.*s", (int)n, s->name);
            fprintf(out, "\n[%s]\n", table);
        }
        fputc('\n', out);
        wrap(out, "# ", s->help, 110);
        if (s->choices)
            fprintf(out, "# One of: %s.\n", s->choices);
        if (s->reload)
            fputs("# (SIGHUP)\n", out);
        fprintf(out, "#%s = ", dot ? dot + 1 : s->name);
        print_value(out, s);
        fputc('\n', out);
    }
}

void settings_print_flags(FILE *out)
{
    static const char *const kinds[] = {"TEXT", "N", "true|false", "SIZE", "TIME", "TEXT", ""};
    for (size_t i = 0; i < COUNT; i++) {
        const setting *s = &settings_table[i];
        char name[64];
        spell(name, sizeof name, s->name, false);
        fprintf(out, "  --%s %s%s\n", name, s->type == SETTING_CHOICE ? s->choices : kinds[s->type], s->type == SETTING_LIST ? "; repeat" : "");
        wrap(out, "      ", s->help, 90);
        if (*s->value)
            fprintf(out, "      default: %s\n", s->value);
    }
}

void settings_put_json(const settings *s, buf *out)
{
    static const char *const sources[] = {"default", "file", "environment", "flag"};
    buf_add_char(out, '[');
    for (size_t i = 0; i < COUNT; i++) {
        const setting *t = &settings_table[i];
        buf list;
        buf_init(&list, 1 << 20);
        for (size_t k = 0; s->at[i].items && s->at[i].items[k]; k++)
            buf_add_fmt(&list, "%s%s", k ? " " : "", s->at[i].items[k]);
        buf_add_text(out, i ? ",{" : "{");
        json_put_member(out, "name", bytes_of(t->name));
        json_put_member(out, "value", t->secret && *s->at[i].text ? BYTES("***") : t->type == SETTING_LIST ? buf_bytes(&list)
                                                                                                           : bytes_of(s->at[i].text));
        json_put_member(out, "source", bytes_of(sources[s->at[i].from]));
        json_put_member(out, "help", bytes_of(t->help));
        json_put_key(out, "reload");
        buf_add_text(out, t->reload ? "true}" : "false}");
        buf_fini(&list);
    }
    buf_add_char(out, ']');
}
