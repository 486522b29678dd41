/* A node: made from its store, started, drained, freed. What lives on it is in a file for each kind. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rand.h"
#include "node/inside.h"

#define KEY_OCTETS 32
#define CODE_MAX ((uint64_t)64 << 20) /* node_options.max_code */

/* ---- The key for secrets ---- */

static bool unhex(const char *text, unsigned char key[KEY_OCTETS])
{
    for (size_t i = 0; i < KEY_OCTETS; i++) {
        unsigned value;
        char pair[3] = {text[2 * i], text[2 * i] ? text[2 * i + 1] : '\0', '\0'};
        if (!strchr("0123456789abcdefABCDEF", pair[0]) || !pair[0] || !pair[1] || !strchr("0123456789abcdefABCDEF", pair[1]) || sscanf(pair, "%2x", &value) != 1)
            return false;
        key[i] = (unsigned char)value;
    }
    return text[2 * KEY_OCTETS] == '\0';
}

/* 32 octets as they are, or 64 hexadecimal digits. */
static weir_code read_key(const char *path, unsigned char key[KEY_OCTETS], weir_error *err)
{
    buf text;
    buf_init(&text, 4096);
    weir_code code = file_read(&text, path, err);
    if (!code && text.len == KEY_OCTETS) {
        memcpy(key, text.at, KEY_OCTETS);
    } else if (!code) {
        while (text.len && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
            text.len--;
        buf_add_char(&text, '\0');
        if (text.failed || !unhex(text.at, key))
            code = error_set(err, WEIR_INVALID, "the key file '%s' holds neither 32 octets nor 64 hexadecimal digits", path);
    }
    if (text.at)
        explicit_bzero(text.at, text.cap);
    buf_fini(&text);
    return code;
}

static weir_code make_key(const char *path, unsigned char key[KEY_OCTETS], weir_error *err)
{
    rand_bytes(key, KEY_OCTETS);
    weir_code code = file_replace(path, bytes_make(key, KEY_OCTETS), err);
    if (!code)
        log_info("node", "made a key for secrets: '%s'; keep a copy of it, apart from the data", path);
    return code;
}

static weir_code find_key(const node_options *o, unsigned char key[KEY_OCTETS], weir_error *err)
{
    const char *hex = getenv("WEIR_SECRET_KEY"), *credentials = getenv("CREDENTIALS_DIRECTORY");
    char path[4096];
    if (o->key_file)
        return read_key(o->key_file, key, err);
    if (hex && *hex)
        return unhex(hex, key) ? WEIR_OK : error_set(err, WEIR_INVALID, "WEIR_SECRET_KEY is not 64 hexadecimal digits");
    snprintf(path, sizeof path, "%s/weir.key", credentials ? credentials : "");
    if (credentials && access(path, F_OK) == 0)
        return read_key(path, key, err);
    snprintf(path, sizeof path, "%s/secret.key", o->data_dir);
    return access(path, F_OK) == 0 ? read_key(path, key, err) : make_key(path, key, err);
}

/* ---- Making ---- */

static weir_code host_of(node *n, const node_options *o, weir_error *err)
{
    weir_host_options host = WEIR_HOST_OPTIONS_INIT;
    char cache[4096];
    if (o->host.size)
        memcpy(&host, &o->host, o->host.size < sizeof host ? o->host.size : sizeof host);
    snprintf(cache, sizeof cache, "%s/cache", o->data_dir);
    if (!host.cache_dir)
        host.cache_dir = cache;
    if (!host.state_dir)
        host.state_dir = o->data_dir;
    weir_compile_alone();
    if (weir_host_new(&n->host, &host, err))
        return err->code;
    n->loop = weir_host_loop(n->host);
    n->hub = weir_host_hub(n->host);
    return WEIR_OK;
}

static weir_code store_of(node *n, const node_options *o, weir_error *err)
{
    unsigned char key[KEY_OCTETS];
    weir_code code = file_make_folder(o->data_dir, err);
    if (!code)
        code = find_key(o, key, err);
    if (code)
        return code;
    store_options options = {
        .dir = o->data_dir,
        .key = bytes_make(key, sizeof key),
        .history_octets = o->history_octets,
        .history_ms = o->history_ms,
        .history_flush_ms = o->history_flush_ms,
    };
    code = store_open(&n->store, n->loop, &options, err);
    explicit_bzero(key, sizeof key);
    return code;
}

static weir_code name_of(node *n, const node_options *o, weir_error *err)
{
    char machine[256] = "weir";
    if (gethostname(machine, sizeof machine - 1))
        snprintf(machine, sizeof machine, "weir");
    n->name = strdup(o->name && *o->name ? o->name : machine);
    n->data_dir = strdup(o->data_dir);
    return n->name && n->data_dir ? WEIR_OK : error_set(err, WEIR_NOMEM, "out of memory");
}

static void lists_of(node *n)
{
    list *const all[] = {&n->plugins, &n->connections, &n->streams, &n->sinks, &n->tokens, &n->asks, &n->jobs, &n->watches, &n->log_watches, &n->ui, &n->due_marks, &n->takings};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        list_init(all[i]);
}

weir_code node_new(node **out, const node_options *o, weir_error *err)
{
    weir_error why = WEIR_ERROR_INIT;
    node *n = calloc(1, sizeof *n);
    if (!n)
        return error_set(err, WEIR_NOMEM, "node: out of memory");
    err = err ? err : &why;
    lists_of(n);
    n->demo = o->demo;
    n->uploads_approved = o->uploads_approved;
    n->max_code = o->max_code ? o->max_code : CODE_MAX;
    n->started_at = clock_real();
    n->started_mono = clock_mono();
    n->marks = map_new();
    n->names = map_new();
    n->stream_ids = map_new();
    weir_code code = n->marks && n->names && n->stream_ids ? WEIR_OK : error_set(err, WEIR_NOMEM, "out of memory");
    if (code || (code = name_of(n, o, err)) || (code = host_of(n, o, err)) || (code = store_of(n, o, err)) ||
        (code = marks_load(n, err)) || (code = plugins_load(n, err)) || (code = connections_load(n, err)) || (code = streams_load(n, err)) ||
        (code = sinks_load(n, err)) || (code = tokens_load(n, err)) || (code = ui_load(n, err)) || (code = history_begin(n, err))) {
        node_free(n);
        return error_wrap(err, "node");
    }
    *out = n;
    return WEIR_OK;
}

static void things_free(node *n)
{
    while (!list_empty(&n->streams)) {
        node_stream *s = LIST_OWNER(n->streams.head.next, node_stream, node);
        s->removing = NULL; /* its question went before */
        stream_drop(s);
    }
    sinks_free(n);
    while (!list_empty(&n->connections))
        connection_free(LIST_OWNER(n->connections.head.next, node_connection, node));
    while (!list_empty(&n->plugins))
        plugin_free(LIST_OWNER(n->plugins.head.next, node_plugin, node));
    tokens_free(n);
    ui_free(n);
}

void node_free(node *n)
{
    if (!n)
        return;
    n->draining = n->freeing = true;
    asks_mute(n);
    share_free(n);
    while (list_pop(&n->jobs))
        ;
    while (list_pop(&n->watches))
        ;
    while (list_pop(&n->log_watches))
        ;
    if (n->loop) {
        timer_stop(&n->drain_deadline);
        if (n->log_tick.fn)
            timer_stop(&n->log_tick);
    }
    history_end(n);
    store_close(n->store); /* what it was given is still told, to who is there */
    asks_drop(n);
    things_free(n);
    marks_free(n);
    map_free(n->names);
    map_free(n->stream_ids);
    weir_host_free(n->host);
    free(n->name);
    free(n->data_dir);
    free(n);
}

void node_start(node *n)
{
    n->started = true;
    sinks_start(n);
    for (list_node *at = n->connections.head.next; at != &n->connections.head; at = at->next)
        connection_reload(LIST_OWNER(at, node_connection, node));
}

bool node_ready(const node *n, buf *why)
{
    size_t loading = 0;
    for (const list_node *at = n->connections.head.next; at != &n->connections.head; at = at->next)
        loading += LIST_OWNER(at, node_connection, node)->state == CONNECTION_LOADING;
    if (n->draining)
        buf_add_text(why, "it is stopping");
    else if (!n->started)
        buf_add_text(why, "it has not been started");
    else if (loading)
        buf_add_fmt(why, "%zu connections are still being loaded", loading);
    else if (n->asking)
        buf_add_fmt(why, "the history is asked for %u streams since when records are missing", n->asking);
    return !n->draining && n->started && !loading && !n->asking;
}

/* ---- Draining ---- */

static void drained(node *n, bool whole)
{
    void (*fn)(void *arg, bool whole) = n->on_drained;
    timer_stop(&n->drain_deadline);
    n->on_drained = NULL;
    if (fn)
        fn(n->drained_arg, whole);
}

static void on_flushed(void *arg, weir_code code, const char *error)
{
    node *n = arg;
    if (code)
        log_error("node", "the history could not be written to its end: %s", error ? error : "");
    drained(n, !n->drain_cut && !code);
}

static void flush(node *n)
{
    if (n->drain_flushing)
        return;
    n->drain_flushing = true;
    history_drain(n);
    for (list_node *at = n->streams.head.next; at != &n->streams.head; at = at->next) {
        node_stream *s = LIST_OWNER(at, node_stream, node);
        if (s->mark)
            mark_exact(n, s->mark, record_stream_seq(s->records));
    }
    store_flush(n->store, on_flushed, n);
}

static void on_drain_tick(void *arg)
{
    node *n = arg;
    bool late = clock_mono() >= n->drain_until;
    if (late && n->drain_flushing) { /* the disk takes too long */
        drained(n, false);
        return;
    }
    if ((streams_drained(n) && sinks_settled(n)) || late) {
        n->drain_cut |= !streams_drained(n);
        if (!sinks_settled(n))
            log_warn("node", "not every sink has brought all out within the deadline");
        if (n->drain_cut)
            log_warn("node", "not every stream has stopped within the deadline; those that have not are cut");
        flush(n);
    }
    timer_after(&n->drain_deadline, late ? NS_PER_S : 10 * NS_PER_MS);
}

void node_drain(node *n, uint32_t deadline_ms, void (*fn)(void *arg, bool whole), void *arg)
{
    if (n->draining)
        return;
    n->draining = true;
    n->on_drained = fn;
    n->drained_arg = arg;
    n->drain_until = clock_mono() + deadline_ms * NS_PER_MS;
    streams_drain(n);
    timer_init(&n->drain_deadline, n->loop, on_drain_tick, n);
    timer_after(&n->drain_deadline, NS_PER_MS);
}

/* ---- Small ones ---- */

weir_host *node_host(node *n)
{
    return n->host;
}

loop *node_loop(node *n)
{
    return n->loop;
}

hub *node_hub(node *n)
{
    return n->hub;
}

store *node_store(node *n)
{
    return n->store;
}

void node_watch_add(node *n, node_watch *w)
{
    list_push(&n->watches, &w->node);
}

void node_watch_remove(node_watch *w)
{
    list_remove(&w->node);
}

/* Whoever hears may take away any of them, himself included: those that have heard stand in another list meanwhile. */
void changed(node *n, const char *what, const char *id)
{
    list heard;
    list_init(&heard);
    for (list_node *at; (at = list_pop(&n->watches));) {
        node_watch *w = LIST_OWNER(at, node_watch, node);
        list_push(&heard, at);
        w->fn(w->arg, what, id);
    }
    for (list_node *at; (at = list_pop(&heard));)
        list_push(&n->watches, at);
}
