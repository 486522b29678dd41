/* testing.h: what the tests of streams share: a stream against a venue on the same loop, real sockets on
 * loopback, a clock that only the test moves, guests from tests/plugins. */
#ifndef STREAM_TESTING_H
#define STREAM_TESTING_H

#include "stream/stream.h"

#include "base/file.h"
#include "net/server.h"
#include "tests/lib/test.h"

#ifndef TICK_MS
#define TICK_MS 0 /* the engine's own */
#endif

static uint64_t mono = 1000 * NS_PER_S, real = 1700000000 * NS_PER_S;

static uint64_t clock_real_now(void)
{
    return real++; /* no two messages at the same moment */
}

static uint64_t clock_mono_now(void)
{
    return mono;
}

static struct scene {
    loop *loop;
    hub *hub;
    dialer *dialer;
    server *server;
    server_ws *ws; /* the venue's end of the last socket */
    server_ws *all[1000];
    int upgrades, subscribed, status;
    bool answers; /* the host's own pings, as the venue does whose address this is */
    const char *retry_after;
    const char *rest; /* what a GET is answered, with rest_status (0: 200), and Retry-After if that is not 200 */
    int rest_status, gets;
    char last[300], heard[600]; /* what the plugin's side sent: the last, and all joined by '|' */
    engine *engine;
    manifest *manifest;
    module *module;
    linked *code;
    targets *targets;
    stream_plugin plugin;
    stream *stream;
    sub *sub;
    char states[200]; /* one letter each */
    int act_in;       /* on_state frees or stops in this state; -1: never */
    bool frees;
} w;

static weir_error err;

/* ---- What is said of traps ---- */

static char noted[4000]; /* the last one */
static int notes;

static inline void keep_note(void *owner, const trap_note *n)
{
    const host_call *last = n->task ? task_last_call(n->task, 0) : NULL;
    (void)owner;
    notes++;
    snprintf(noted, sizeof noted, "export=%s code=%s then=%s again=%.0f topic=" BYTES_FMT " message=" BYTES_FMT " last=%s input=" BYTES_FMT,
             n->task ? n->task->export_name : "", n->result->code == WEIR_TRAPPED ? "trapped" : n->result->code == WEIR_TIMEOUT ? "timeout"
                                                                                                                                : "other",
             n->then, (double)n->again_ns * 1e-9,
             BYTES_ARG(n->topic), BYTES_ARG(n->message), last ? last->name : "", BYTES_ARG(n->input));
}

/* ---- The venue ---- */

static inline void venue_on_message(void *arg, bool binary, bytes message)
{
    (void)binary;
    if (w.answers && bytes_starts(message, BYTES("{\"cmd\":\"PING\""))) {
        server_ws_send(*(server_ws **)arg, false, BYTES("{\"cmd\":\"PONG\"}"));
        return;
    }
    w.subscribed++;
    snprintf(w.last, sizeof w.last, BYTES_FMT, BYTES_ARG(message));
    size_t at = strlen(w.heard);
    snprintf(w.heard + at, sizeof w.heard - at, "%s%s", at ? "|" : "", w.last);
}

static inline void venue_on_drain(void *arg)
{
    (void)arg;
}

static inline void venue_on_close(void *arg, uint16_t code, bytes reason)
{
    (void)code;
    (void)reason;
    server_ws **slot = arg;
    if (w.ws == *slot)
        w.ws = NULL;
    *slot = NULL;
}

static inline void on_request(void *arg, server_request *r)
{
    static const server_ws_events events = {venue_on_message, venue_on_drain, venue_on_close};
    (void)arg;
    if (!server_wants_websocket(r)) {
        http_header h = {BYTES("Retry-After"), bytes_of(w.retry_after ? w.retry_after : "")};
        w.gets++;
        server_reply(r, w.rest_status ? (uint16_t)w.rest_status : 200, &h, w.rest_status != 0, bytes_of(w.rest ? w.rest : ""));
        return;
    }
    if (w.status) {
        http_header h = {BYTES("Retry-After"), bytes_of(w.retry_after)};
        server_reply(r, (uint16_t)w.status, &h, 1, BYTES("not now"));
        return;
    }
    w.upgrades++;
    server_ws **slot = (size_t)w.upgrades <= sizeof w.all / sizeof *w.all ? &w.all[w.upgrades - 1] : &w.ws;
    w.ws = *slot = server_upgrade(r, BYTES(""), &events, slot);
}

/* ---- The stream ---- */

static inline void on_state(void *arg, stream *s, stream_state state, const char *why)
{
    size_t n = strlen(w.states);
    (void)arg;
    CHECK(why && *why);
    if (n + 1 < sizeof w.states)
        w.states[n] = stream_state_name(state)[0];
    if (w.act_in != (int)state)
        return;
    if (w.frees) {
        stream_free(s);
        w.stream = NULL;
    } else {
        stream_stop(s);
    }
}

static inline void load(const char *what)
{
    buf wasm;
    char path[4096];
    const char *folder = getenv("WEIR_GUESTS");
    buf_init(&wasm, 64u << 20);
    if (what[0] == '(') {
        buf_add_text(&wasm, what);
    } else {
        snprintf(path, sizeof path, "%s/%s", folder ? folder : "build/guests", what);
        CHECK_OK(file_read(&wasm, path, &err));
    }
    CHECK_OK(manifest_read(&w.manifest, BYTES("{\"wasm\":[{\"path\":\"x\"}]}"), &err));
    CHECK_OK(module_compile(&w.module, w.engine, buf_bytes(&wasm), &err));
    CHECK_OK(module_link(&w.code, w.module, task_bind, NULL, &err));
    buf_fini(&wasm);
}

static inline void begin(const char *what)
{
    char rule[100];
    engine_options eo = {.no_pool = true, .max_instances = 50, .tick_ms = TICK_MS, .on_slice = task_on_slice};
    server_options so = {.on_request = on_request};
    dialer_options o = {.no_proxy = true};
    memset(&w, 0, sizeof w);
    notes = 0;
    w.act_in = -1;
    clock_replace(clock_real_now, clock_mono_now);
    CHECK_OK(loop_new(&w.loop, &err));
    CHECK_OK(hub_new(&w.hub, &err));
    CHECK_OK(dialer_new(&w.dialer, w.loop, &o, &err));
    CHECK_OK(server_new(&w.server, w.loop, &so, &err));
    CHECK_OK(engine_new(&w.engine, &eo, &err));
    w.targets = targets_new();
    CHECK_OK(targets_add(w.targets, BYTES("wss://wss.woox.io/*"), &err));
    snprintf(rule, sizeof rule, "wss://wss.woox.io=ws://127.0.0.1:%u", server_port(w.server));
    CHECK_OK(targets_override(w.targets, bytes_of(rule), &err));
    CHECK_OK(targets_add(w.targets, BYTES("https://wss.woox.io/*"), &err));
    snprintf(rule, sizeof rule, "https://wss.woox.io=http://127.0.0.1:%u", server_port(w.server));
    CHECK_OK(targets_override(w.targets, bytes_of(rule), &err));
    load(what);
    w.plugin = (stream_plugin){
        .loop = w.loop,
        .dialer = w.dialer,
        .hub = w.hub,
        .code = w.code,
        .manifest = w.manifest,
        .targets = w.targets,
        .name = "test",
        .plugin_id = "streams",
        .generation = generation_of(w.module),
        .has_stop = module_find_export(w.module, "stop_stream") != NULL,
        .on_trap = keep_note,
    };
}

static inline void open_stream(const char *parameters, uint64_t max_records)
{
    stream_options options = {.type = BYTES("raw"), .identifier = BYTES("x"), .parameters = bytes_of(parameters), .on_state = on_state};
    sub_options so = {.policy = SUB_BLOCK, .max_records = max_records};
    if (!w.sub)
        CHECK_OK(hub_subscribe(&w.sub, w.hub, "raw.>", &so, &err));
    CHECK_OK(stream_open(&w.stream, &w.plugin, &options, &err));
    CHECK_TEXT(w.states, "");
}

static inline void end(void)
{
    stream_free(w.stream);
    CHECK(hub_account_check(w.hub, &err));
    hub_free(w.hub);
    linked_free(w.code);
    module_unref(w.module);
    manifest_free(w.manifest);
    targets_free(w.targets);
    server_free(w.server);
    dialer_free(w.dialer);
    loop_free(w.loop);
    engine_free(w.engine);
    clock_replace(NULL, NULL);
}

/* Turns the loop until `cond`; the clock stands still, so only octets and deferred work move it. */
#define UNTIL(cond)                                                                                                                 \
    do {                                                                                                                            \
        int turns_ = 0;                                                                                                             \
        while (!(cond)) {                                                                                                           \
            loop_step(w.loop, 1);                                                                                                   \
            if (++turns_ > 5000)                                                                                                    \
                test_fail(__FILE__, __LINE__, "never: %s; states '%s', %s", #cond, w.states, w.stream ? stream_why(w.stream) : ""); \
        }                                                                                                                           \
    } while (0)

static inline void settle(void)
{
    for (int i = 0; i < 30; i++)
        loop_step(w.loop, 1);
}

static inline void later(uint64_t ms)
{
    mono += ms * NS_PER_MS;
    real += ms * NS_PER_MS;
    settle();
}

static inline bool is(stream_state state)
{
    return w.stream && stream_get_state(w.stream) == state;
}

/* The next record of a kind but status; its line is good until the one after. */
static record *kept;
static inline record *next_record(void)
{
    record *r;
    if (kept)
        record_unref(kept);
    kept = NULL;
    while ((r = sub_next(w.sub)) && r->kind == RECORD_STATUS)
        record_unref(r);
    return kept = r;
}

/* Its line has this text; lines end without a NUL. */
static inline bool record_has(const record *r, const char *text)
{
    return r && memmem(r->line.at, r->line.len, text, strlen(text));
}

static inline void expect(const char *part)
{
    record *r = NULL;
    UNTIL((r = next_record()) != NULL);
    char line[2000];
    snprintf(line, sizeof line, "%.*s", (int)r->line.len, r->line.at);
    CHECK_HAS(line, part);
}

static inline void expect_none(void)
{
    settle();
    CHECK(next_record() == NULL);
}

static inline void say(const char *text)
{
    CHECK(w.ws != NULL);
    server_ws_send(w.ws, false, bytes_of(text));
}

#endif
