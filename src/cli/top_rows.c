/* The rows of `weir top`: from the daemon's answers, with rates from what was counted the time before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/columns.h"
#include "cli/top_inside.h"

/* clang-format off */
const top_columns top_views[TOP_VIEWS] = {
    {"streams", "/v1/streams", "streams", "id", {
        {"TOPIC", "topic", TOP_NAME, 0, 9}, {"STATE", "state", TOP_TEXT, 10, 9}, {"REC/S", "figures.records", TOP_RATE, 7, 9},
        {"RECORDS", "figures.records", TOP_COUNT, 9, 3}, {"LAG", "", TOP_LAG, 6, 7}, {"AGE", "figures.last_ts_recv", TOP_AGE, 5, 8},
        {"GAPS", "figures.gaps", TOP_COUNT, 5, 6}, {"RST", "figures.restarts", TOP_COUNT, 4, 4}, {"WAIT", "figures.waiting", TOP_COUNT, 5, 2},
        {"ID", "id", TOP_COUNT, 5, 1}, {0}}},
    {"plugins", "/v1/plugins", "plugins", "id", {
        {"PLUGIN", "id", TOP_TEXT, 0, 9}, {"VERSION", "version", TOP_TEXT, 8, 5}, {"STATE", "state", TOP_TEXT, 9, 9},
        {"STREAMS", "figures.streams", TOP_COUNT, 7, 4}, {"MSG/S", "figures.messages", TOP_RATE, 7, 8}, {"P99", "figures.call_p99_us", TOP_US, 7, 7},
        {"CPU%", "figures.cpu_ms", TOP_CPU, 5, 7}, {"MEMORY", "figures.memory_octets", TOP_OCTETS, 9, 6}, {"TRAPS", "figures.traps", TOP_COUNT, 5, 8},
        {"RST", "figures.restarts", TOP_COUNT, 4, 3}, {0}}},
    {"sinks", "/v1/sinks", "sinks", "id", {
        {"SINK", "spec", TOP_TEXT, 0, 9}, {"NAME", "name", TOP_TEXT, 10, 4}, {"STATE", "state", TOP_TEXT, 8, 9},
        {"REC/S", "account.written", TOP_RATE, 7, 9}, {"WRITTEN", "account.written", TOP_COUNT, 9, 5}, {"QUEUED", "account.queued", TOP_COUNT, 6, 8},
        {"DROPPED", "account.dropped", TOP_COUNT, 7, 7}, {"LOST", "account.lost", TOP_COUNT, 5, 8}, {"LAG", "account.lag_ms", TOP_MS, 6, 6}, {0}}},
    {"readers", "/metrics", "readers", "id", {
        {"PATTERN", "pattern", TOP_TEXT, 0, 9}, {"READER", "id", TOP_TEXT, 7, 8}, {"REC/S", "delivered", TOP_RATE, 7, 9},
        {"DELIVERED", "delivered", TOP_COUNT, 9, 6}, {"QUEUED", "queued", TOP_COUNT, 6, 8}, {"DROPPED", "dropped", TOP_COUNT, 7, 8},
        {"OCTETS", "octets", TOP_OCTETS, 9, 5}, {0}}},
    {"connections", "/v1/connections", "connections", "id", {
        {"CONNECTION", "name", TOP_TEXT, 0, 9}, {"PLUGIN", "plugin", TOP_TEXT, 20, 6}, {"STATE", "state", TOP_TEXT, 10, 9},
        {"STREAMS", "streams", TOP_COUNT, 7, 8}, {"CHANGED", "updated_at", TOP_AGE, 7, 5}, {"ID", "id", TOP_COUNT, 5, 7}, {0}}},
    {"log", "/v1/logs?limit=500", "lines", "time", {
        {"TIME", "time", TOP_TIME, 12, 8}, {"LEVEL", "level", TOP_TEXT, 5, 9}, {"PART", "part", TOP_TEXT, 10, 7}, {"TEXT", "text", TOP_TEXT, 0, 9}, {0}}},
};
/* clang-format on */

/* What a row had counted when it was last seen. */
typedef struct before {
    uint64_t records, cpu_ms, mono_ns;
    double rate, cpu;
} before;

weir_code top_init(top *t, weir_error *err)
{
    *t = (top){.sort_by = -1, .before = map_new()};
    buf_init(&t->answer, 512u << 20);
    buf_init(&t->node, 4u << 20);
    return t->before ? WEIR_OK : error_set(err, WEIR_NOMEM, "out of memory");
}

void top_fini(top *t)
{
    bytes key;
    void *value;
    for (size_t at = 0; t->before && map_each(t->before, &at, &key, &value);)
        free(value);
    map_free(t->before);
    free(t->rows);
    free(t->shown);
    buf_fini(&t->answer);
    buf_fini(&t->node);
}

const char *top_view_name(top_view v)
{
    return top_views[v].name;
}

const char *top_view_path(top_view v)
{
    return top_views[v].path;
}

top_view top_view_find(const char *name)
{
    size_t len = strlen(name);
    for (int v = 0; len && v < TOP_VIEWS; v++)
        if (!strncmp(top_views[v].name, name, len))
            return (top_view)v;
    return strcmp(name, "logs") ? TOP_VIEWS : TOP_LOG;
}

int top_flex(top_view v)
{
    int i = 0;
    while (top_views[v].columns[i].width)
        i++;
    return i;
}

/* ---- Figures ---- */

static uint64_t number_at(json doc, const char *path)
{
    uint64_t n = 0;
    json value = column_member(doc, path);
    if (!json_u64(value, &n))
        json_text_u64(value, &n);
    return n;
}

static double per_second(uint64_t now, uint64_t then, uint64_t ns)
{
    return now > then && ns ? (double)(now - then) * 1e9 / (double)ns : 0;
}

static before *before_of(top *t, const char *id)
{
    char key[80];
    snprintf(key, sizeof key, "%s %s", top_views[t->view].name, id);
    before *b = map_get(t->before, bytes_of(key));
    if (!b && (b = calloc(1, sizeof *b)) && !map_set(t->before, bytes_of(key), b, NULL)) {
        free(b);
        b = NULL;
    }
    return b;
}

/* Rates since the answer before; one that was not seen then has none yet. */
static void count(top *t, top_row *row, double *rate, double *cpu)
{
    const top_columns *v = &top_views[t->view];
    const char *records = "", *cpu_ms = "";
    for (const top_column *c = v->columns; c->title; c++) {
        records = c->kind == TOP_RATE ? c->path : records;
        cpu_ms = c->kind == TOP_CPU ? c->path : cpu_ms;
    }
    before *b = *records || *cpu_ms ? before_of(t, row->id) : NULL;
    *rate = *cpu = 0;
    if (!b)
        return;
    uint64_t n = number_at(row->doc, records), ms = number_at(row->doc, cpu_ms), ns = t->mono_ns - b->mono_ns;
    if (b->mono_ns && ns) {
        b->rate = per_second(n, b->records, ns);
        b->cpu = per_second(ms, b->cpu_ms, ns) / 10; /* ms of a second, in per cent */
    }
    b->records = n;
    b->cpu_ms = ms;
    b->mono_ns = t->mono_ns;
    *rate = b->rate;
    *cpu = b->cpu;
}

/* "1234", "12.3k", "4.56M": four digits or so. */
static void put_compact(char out[TOP_CELL], double n)
{
    static const char units[] = {'k', 'M', 'G', 'T'};
    int i = -1;
    if (n < 100000) {
        snprintf(out, TOP_CELL, "%.0f", n);
        return;
    }
    while (n >= 1000 && i < 3) {
        n /= 1000;
        i++;
    }
    snprintf(out, TOP_CELL, n < 100 ? "%.1f%c" : "%.0f%c", n, units[i]);
}

static void put_ns(char out[TOP_CELL], double ns)
{
    if (ns < 1e6)
        snprintf(out, TOP_CELL, "%.0fus", ns / 1e3);
    else if (ns < 1e9)
        snprintf(out, TOP_CELL, "%.0fms", ns / 1e6);
    else if (ns < 120e9)
        snprintf(out, TOP_CELL, "%.1fs", ns / 1e9);
    else
        snprintf(out, TOP_CELL, "%.0fm", ns / 60e9);
}

static void put_text(char out[TOP_CELL], json doc, const char *path)
{
    buf text;
    column c = {"", path, COLUMN_TEXT, 0};
    buf_init(&text, 1 << 20);
    column_text(&text, doc, &c, 0);
    size_t len = text.len < TOP_CELL ? text.len : TOP_CELL - 1;
    len = bytes_utf8_prefix(bytes_make(text.at, len));
    if (len)
        memcpy(out, text.at, len);
    out[len] = '\0';
    buf_fini(&text);
}

/* Of a stream: TOPIC@CONNECTION, since two connections may stream one topic. */
static void put_name(char out[TOP_CELL], json doc, const char *path)
{
    put_text(out, doc, path);
    json connection = json_member(doc, "connection");
    size_t len = strlen(out);
    if (connection.type == JSON_NUMBER && len + connection.raw.len + 2 <= TOP_CELL)
        snprintf(out + len, TOP_CELL - len, "@" BYTES_FMT, BYTES_ARG(connection.raw));
}

static void put_since(char out[TOP_CELL], uint64_t then, uint64_t now)
{
    buf text = {.at = out, .cap = TOP_CELL - 1, .max = TOP_CELL - 1};
    columns_put_age(&text, then, now);
    out[text.len] = '\0';
}

/* "12:00:00.123", in UTC. */
static void put_clock(char out[TOP_CELL], uint64_t ns)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(text, ns, 3);
    snprintf(out, TOP_CELL, "%.12s", strlen(text) > 11 ? text + 11 : "");
}

static void put_octets(char out[TOP_CELL], uint64_t octets)
{
    buf text = {.at = out, .cap = TOP_CELL - 1, .max = TOP_CELL - 1};
    columns_put_octets(&text, octets);
    out[text.len] = '\0';
}

static void put_rate(char out[TOP_CELL], double rate)
{
    if (rate > 0 && rate < 99.95)
        snprintf(out, TOP_CELL, "%.1f", rate);
    else
        put_compact(out, rate);
}

/* From the venue's clock to ours, of its last message. */
static void put_lag(top_row *row, int i)
{
    uint64_t event = number_at(row->doc, "figures.last_ts_event"), recv = number_at(row->doc, "figures.last_ts_recv");
    row->sort[i] = event && recv > event ? (double)(recv - event) : 0;
    if (event && recv)
        put_ns(row->cells[i], row->sort[i]);
    else
        snprintf(row->cells[i], TOP_CELL, "-");
}

static void put_cell(top_row *row, int i, const top_column *c, uint64_t real_ns, double rate, double cpu)
{
    char *cell = row->cells[i];
    uint64_t n = number_at(row->doc, c->path);
    double value = 0;
    row->sort[i] = (double)n;
    switch (c->kind) {
    case TOP_NAME:
        put_name(cell, row->doc, c->path);
        break;
    case TOP_TEXT:
        put_text(cell, row->doc, c->path);
        break;
    case TOP_COUNT:
        put_compact(cell, (double)n);
        break;
    case TOP_RATE:
        row->sort[i] = rate;
        put_rate(cell, rate);
        break;
    case TOP_CPU:
        row->sort[i] = cpu;
        snprintf(cell, TOP_CELL, "%.1f", cpu);
        break;
    case TOP_AGE:
        row->sort[i] = n && real_ns > n ? (double)(real_ns - n) : 0;
        put_since(cell, n, real_ns);
        break;
    case TOP_TIME:
        put_clock(cell, n);
        break;
    case TOP_LAG:
        put_lag(row, i);
        break;
    case TOP_OCTETS:
        put_octets(cell, n);
        break;
    case TOP_US:
        json_f64(column_member(row->doc, c->path), &value);
        row->sort[i] = value;
        put_ns(cell, value * 1e3);
        break;
    case TOP_MS:
        put_ns(cell, (double)n * 1e6);
        break;
    }
}

/* ---- /metrics, of which the readers are wanted ---- */

typedef struct reader {
    char id[32], pattern[TOP_CELL];
    uint64_t values[4];
} reader;

/* The value of a label, without its escapes; NULL: there is none. */
static const char *read_label(const char *line, const char *name, char *out, size_t size)
{
    const char *at = strstr(line, name);
    size_t n = 0;
    if (!at)
        return NULL;
    for (at += strlen(name); *at && *at != '"'; at++) {
        if (*at == '\\' && at[1])
            at++;
        if (n + 1 < size)
            out[n++] = *at;
    }
    out[n] = '\0';
    return *at ? at + 1 : NULL;
}

static void put_reader(buf *out, const reader *r, bool first)
{
    static const char *const names[] = {"delivered", "dropped", "queued", "octets"};
    buf_add_text(out, first ? "{" : ",{");
    json_put_member(out, "id", bytes_of(r->id));
    json_put_member(out, "pattern", bytes_of(r->pattern));
    for (int i = 0; i < 4; i++) {
        json_put_key(out, names[i]);
        buf_add_u64(out, r->values[i]);
    }
    buf_add_char(out, '}');
}

static reader *reader_of(reader **all, size_t *count, const char *id)
{
    for (size_t i = 0; i < *count; i++)
        if (!strcmp((*all)[i].id, id))
            return &(*all)[i];
    reader *more = realloc(*all, (*count + 1) * sizeof *more);
    if (!more)
        return NULL;
    *all = more;
    more[*count] = (reader){0};
    return &more[(*count)++];
}

static void read_metric(reader **all, size_t *count, const char *line)
{
    static const char *const names[] = {"delivered_total{", "dropped_total{", "queued_records{", "socket_octets{"};
    char id[32], pattern[TOP_CELL], connection[24] = "";
    const char *end;
    if (strncmp(line, "weir_reader_", 12) || !read_label(line, "reader=\"", id, sizeof id) || !(end = read_label(line, "pattern=\"", pattern, sizeof pattern)) || *end != '}')
        return;
    read_label(line, ",connection=\"", connection, sizeof connection);
    for (int i = 0; i < 4; i++) {
        reader *r = strncmp(line + 12, names[i], strlen(names[i])) ? NULL : reader_of(all, count, id);
        if (!r)
            continue;
        snprintf(r->id, sizeof r->id, "%s", id);
        snprintf(r->pattern, sizeof r->pattern, "%s%s%s", pattern, *connection ? "@" : "", connection);
        r->values[i] = strtoull(end + 1, NULL, 10);
    }
}

static void readers_as_json(bytes metrics, buf *out)
{
    reader *all = NULL;
    size_t count = 0;
    char line[1024];
    while (metrics.len) {
        const char *end = memchr(metrics.at, '\n', metrics.len);
        size_t len = end ? (size_t)(end - metrics.at) : metrics.len;
        if (len < sizeof line && !memchr(metrics.at, '\0', len)) {
            memcpy(line, metrics.at, len);
            line[len] = '\0';
            read_metric(&all, &count, line);
        }
        metrics = end ? bytes_make(end + 1, metrics.len - len - 1) : (bytes){0};
    }
    buf_add_text(out, "{\"readers\":[");
    for (size_t i = 0; i < count; i++)
        put_reader(out, &all[i], i == 0);
    buf_add_text(out, "]}");
    free(all);
}

/* ---- Taking ---- */

static bool is_bad(json doc)
{
    static const char *const good[] = {"live", "ready", "open", "off", "closed", "disabled"};
    json state = json_member(doc, "state"), level = json_member(doc, "level");
    if (json_is(level, "warn") || json_is(level, "error"))
        return true;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (json_is(state, good[i]))
            return false;
    return state.type == JSON_STRING;
}

static void take_row(top *t, top_row *row, json doc, uint64_t real_ns)
{
    const top_columns *v = &top_views[t->view];
    double rate, cpu;
    char id[TOP_CELL];
    *row = (top_row){.doc = doc, .bad = is_bad(doc)};
    put_text(id, doc, v->id);
    snprintf(row->id, sizeof row->id, "%.63s", id);
    count(t, row, &rate, &cpu);
    for (int i = 0; v->columns[i].title; i++)
        put_cell(row, i, &v->columns[i], real_ns, rate, cpu);
}

/* Whom to select again. The log's newest line stands first: who looks at that wants the next one, too. */
static void note_selected(const top *t, char was[sizeof((top_row *)0)->id])
{
    bool follows = t->view == TOP_LOG && t->selected == 0;
    *was = '\0';
    if (top_selected(t) && !follows)
        memcpy(was, top_selected(t)->id, sizeof t->rows->id);
}

bool top_take(top *t, bytes answer, uint64_t real_ns, uint64_t mono_ns)
{
    json doc, key, item;
    size_t n = 0;
    buf fresh;
    buf_init(&fresh, 512u << 20);
    if (t->view == TOP_READERS)
        readers_as_json(answer, &fresh);
    else
        buf_add_bytes(&fresh, answer);
    json list = fresh.failed || json_read(&doc, buf_bytes(&fresh), NULL) ? (json){0} : json_member(doc, top_views[t->view].list);
    for (json_iter it = json_each(list); list.type == JSON_ARRAY && json_next(&it, &key, &item);)
        n++;
    top_row *rows = list.type == JSON_ARRAY ? calloc(n + 1, sizeof *rows) : NULL;
    size_t *shown = rows ? calloc(n + 1, sizeof *shown) : NULL;
    if (!shown) {
        free(rows);
        buf_fini(&fresh);
        return false;
    }
    char was[sizeof rows->id];
    note_selected(t, was);
    buf_fini(&t->answer);
    free(t->rows);
    free(t->shown);
    t->answer = fresh;
    t->mono_ns = mono_ns;
    t->taken = true;
    t->rows = rows;
    t->shown = shown;
    t->count = 0;
    for (json_iter it = json_each(list); json_next(&it, &key, &item); t->count++)
        take_row(t, &rows[t->view == TOP_LOG ? n - 1 - t->count : t->count], item, real_ns);
    top_select_again(t, was);
    return true;
}

bool top_take_node(top *t, bytes answer, uint64_t mono_ns)
{
    buf fresh;
    json doc;
    buf_init(&fresh, 4u << 20);
    buf_add_bytes(&fresh, answer);
    if (fresh.failed || json_read(&doc, buf_bytes(&fresh), NULL) || doc.type != JSON_OBJECT) {
        buf_fini(&fresh);
        return false;
    }
    before *b = map_get(t->before, BYTES("node"));
    if (!b && (b = calloc(1, sizeof *b)) && !map_set(t->before, BYTES("node"), b, NULL)) {
        free(b);
        b = NULL;
    }
    if (b) {
        uint64_t n = number_at(doc, "account.published"), ms = number_at(doc, "cpu_ms"), ns = mono_ns - b->mono_ns;
        t->node_rate = b->mono_ns ? per_second(n, b->records, ns) : 0;
        t->node_cpu = b->mono_ns ? per_second(ms, b->cpu_ms, ns) / 10 : 0;
        *b = (before){.records = n, .cpu_ms = ms, .mono_ns = mono_ns};
    }
    buf_fini(&t->node);
    t->node = fresh;
    t->node_doc = doc;
    return true;
}
