/* testing.h: what the tests of this folder share: one engine, guests from tests/plugins or from module
 * text, a real loop whose clock stands still until the test moves it, and a world of a few lines that
 * does what the test says and notes what it was asked. */
#ifndef PLUGIN_TESTING_H
#define PLUGIN_TESTING_H

#include "base/file.h"
#include "plugin/host.h"
#include "tests/lib/test.h"

#define ERR weir_error err = WEIR_ERROR_INIT

/* ---- Time ---- */

static uint64_t test_mono = 1000 * NS_PER_S, test_real = 1700000000 * NS_PER_S;

static inline uint64_t test_clock_real(void)
{
    return test_real;
}

static inline uint64_t test_clock_mono(void)
{
    return test_mono;
}

/* ---- The world ---- */

typedef struct fake {
    loop *loop;
    task *task;
    manifest *manifest;
    module *module;
    linked *linked;

    plug *plug; /* the last one asked for */
    char url[300], subprotocol[100], headers[400];
    weir_code open_code, send_code, publish_code, http_code;
    buf sent, published, log; /* a line each */
    int opens, closes, rooms, cancels, receivings, publishes, sends;
    world_http_request request;
    char http_body[200];
    void (*http_done)(void *arg, const world_http_reply *reply);
    void *http_arg;

    bool over; /* the last call */
    int dones;
    weir_code code;
    buf output, why;
    void (*on_over)(struct fake *f);
} fake;

static inline weir_code fake_open(void *arg, plug *s, const world_socket_request *request, weir_error *err)
{
    fake *f = arg;
    size_t at = 0;
    f->opens++;
    snprintf(f->url, sizeof f->url, BYTES_FMT, BYTES_ARG(request->url));
    snprintf(f->subprotocol, sizeof f->subprotocol, BYTES_FMT, BYTES_ARG(request->subprotocol));
    f->headers[0] = '\0';
    for (size_t i = 0; i < request->header_count && at < sizeof f->headers; i++)
        at += (size_t)snprintf(f->headers + at, sizeof f->headers - at, BYTES_FMT "=" BYTES_FMT ";",
                               BYTES_ARG(request->headers[i].name), BYTES_ARG(request->headers[i].value));
    if (f->open_code)
        return error_set(err, f->open_code, "the fake world refuses");
    s->session = f;
    f->plug = s;
    return WEIR_OK;
}

static inline weir_code fake_send(void *arg, plug *s, bytes text, weir_error *err)
{
    fake *f = arg;
    (void)s;
    f->sends++;
    if (f->send_code)
        return error_set(err, f->send_code, "the fake world sends nothing");
    buf_add_bytes(&f->sent, text);
    buf_add_char(&f->sent, '\n');
    return WEIR_OK;
}

static inline void fake_close(void *arg, plug *s)
{
    fake *f = arg;
    f->closes++;
    if (f->plug == s)
        f->plug = NULL;
}

static inline void fake_room(void *arg, plug *s)
{
    (void)s;
    ((fake *)arg)->rooms++;
}

static inline weir_code fake_http(void *arg, void **handle, const world_http_request *request,
                                  void (*done)(void *done_arg, const world_http_reply *reply), void *done_arg, weir_error *err)
{
    fake *f = arg;
    if (f->http_code)
        return error_set(err, f->http_code, "the fake world asks nobody");
    size_t at = 0;
    f->request = *request;
    snprintf(f->url, sizeof f->url, BYTES_FMT " " BYTES_FMT, BYTES_ARG(request->method), BYTES_ARG(request->url));
    snprintf(f->http_body, sizeof f->http_body, BYTES_FMT, BYTES_ARG(request->body));
    f->headers[0] = '\0';
    for (size_t i = 0; i < request->header_count && at < sizeof f->headers; i++)
        at += (size_t)snprintf(f->headers + at, sizeof f->headers - at, BYTES_FMT "=" BYTES_FMT ";",
                               BYTES_ARG(request->headers[i].name), BYTES_ARG(request->headers[i].value));
    f->http_done = done;
    f->http_arg = done_arg;
    *handle = f;
    return WEIR_OK;
}

/* Ends the request under way. */
static inline void fake_respond(fake *f, const world_http_reply *reply)
{
    void (*done)(void *arg, const world_http_reply *r) = f->http_done;
    f->http_done = NULL;
    done(f->http_arg, reply);
}

static inline void fake_cancel(void *arg, void *handle)
{
    fake *f = handle;
    world_http_reply reply = {.error = WEIR_ERROR_INIT};
    (void)arg;
    f->cancels++;
    error_set(&reply.error, WEIR_CANCELLED, "cancelled");
    fake_respond(f, &reply);
}

static inline weir_code fake_publish(void *arg, const world_publication *what, weir_error *err)
{
    fake *f = arg;
    f->publishes++;
    if (f->publish_code)
        return error_set(err, f->publish_code, "the fake world takes no record");
    buf_add_fmt(&f->published, BYTES_FMT "|" BYTES_FMT "|" BYTES_FMT "|" BYTES_FMT "|%llu|%llu\n", BYTES_ARG(what->type),
                BYTES_ARG(what->source), BYTES_ARG(what->identifier), BYTES_ARG(what->data),
                (unsigned long long)what->ts_event, (unsigned long long)what->ts_recv);
    return WEIR_OK;
}

static inline void fake_log(void *arg, log_level level, const char *origin, bytes text)
{
    fake *f = arg;
    buf_add_fmt(&f->log, "%s %s: ", log_level_name(level), origin);
    buf_add_bytes(&f->log, text);
    buf_add_char(&f->log, '\n');
}

static inline void fake_receiving(void *arg, plug *s)
{
    (void)s;
    ((fake *)arg)->receivings++;
}

static const world fake_world = {
    .socket_open = fake_open,
    .socket_send = fake_send,
    .socket_close = fake_close,
    .socket_room = fake_room,
    .http_start = fake_http,
    .http_cancel = fake_cancel,
    .publish = fake_publish,
    .log = fake_log,
    .receiving = fake_receiving,
};

/* ---- A task in it ---- */

static engine *test_engine;

static inline void test_engine_free(void)
{
    engine_free(test_engine);
}

static inline engine *test_the_engine(void)
{
    ERR;
    engine_options options = {.no_pool = true, .max_instances = 1200, .tick_ms = 1, .on_slice = task_on_slice};
    if (!test_engine) {
        CHECK_OK(engine_new(&test_engine, &options, &err));
        atexit(test_engine_free);
        clock_replace(test_clock_real, test_clock_mono);
    }
    return test_engine;
}

static inline weir_code fake_task(fake *f, task **out, const policy_limits *limits, weir_error *err)
{
    task_options options = {.manifest = f->manifest, .world = &fake_world, .world_arg = f, .name = "test", .limits = limits};
    return task_new(out, f->loop, f->linked, &options, err);
}

/* A loop, and the code of `what`: a guest's file name, or module text. */
static inline void fake_load(fake *f, const char *what)
{
    ERR;
    buf wasm;
    *f = (fake){0};
    buf *rooms[] = {&f->sent, &f->published, &f->log, &f->output, &f->why};
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
        buf_init(rooms[i], SIZE_MAX);
    buf_init(&wasm, 64u << 20);
    engine *e = test_the_engine();
    CHECK_OK(loop_new(&f->loop, &err));
    CHECK_OK(manifest_read(&f->manifest, BYTES("{\"wasm\":[{\"path\":\"x\"}],\"allowed_hosts\":[\"*.example\"]}"), &err));
    if (what[0] == '(') {
        buf_add_text(&wasm, what);
    } else {
        char path[4096];
        const char *folder = getenv("WEIR_GUESTS");
        snprintf(path, sizeof path, "%s/%s", folder ? folder : "build/guests", what);
        CHECK_OK(file_read(&wasm, path, &err));
    }
    CHECK_OK(module_compile(&f->module, e, buf_bytes(&wasm), &err));
    CHECK_OK(module_link(&f->linked, f->module, task_bind, NULL, &err));
    buf_fini(&wasm);
}

static inline void fake_begin(fake *f, const char *what, const policy_limits *limits)
{
    ERR;
    fake_load(f, what);
    CHECK_OK(fake_task(f, &f->task, limits, &err));
}

static inline void fake_end(fake *f)
{
    task_free(f->task);
    linked_free(f->linked);
    module_unref(f->module);
    manifest_free(f->manifest);
    loop_free(f->loop);
    buf *rooms[] = {&f->sent, &f->published, &f->log, &f->output, &f->why};
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
        buf_fini(rooms[i]);
}

static inline const char *text_of(buf *b)
{
    buf_add_char(b, '\0');
    b->len--;
    return b->at;
}

static inline void fake_done(void *arg, const call_result *r)
{
    fake *f = arg;
    f->over = true;
    f->dones++;
    f->code = r->code;
    buf_clear(&f->output);
    buf_clear(&f->why);
    buf_add_bytes(&f->output, r->output);
    buf_add_text(&f->why, r->why);
    if (f->on_over)
        f->on_over(f);
}

/* Turns the loop while there is something to do now; a guest that computes gets `turns` turns. */
static inline void fake_turn(fake *f)
{
    for (int i = 0; i < 100 && loop_step(f->loop, 0); i++)
        ;
}

static inline void fake_later(fake *f, uint64_t ms)
{
    test_mono += ms * NS_PER_MS;
    test_real += ms * NS_PER_MS;
    fake_turn(f);
}

/* Starts a call and lets it go as far as it goes without time passing. */
static inline void fake_call(fake *f, const char *name, const char *input, uint64_t ms)
{
    f->over = false;
    task_call(f->task, name, bytes_of(input), ms, fake_done, f);
    CHECK(!f->over);
    fake_turn(f);
}

/* The answer of a call that needs no time. */
static inline const char *fake_ask(fake *f, const char *name, const char *input)
{
    fake_call(f, name, input, 0);
    CHECK(f->over);
    return text_of(&f->output);
}

/* An open socket of `ask.wasm`; its id in f->plug->id. */
static inline void fake_connect(fake *f)
{
    fake_call(f, "ws_connect", "{\"url\":\"wss://venue.example/ws\"}", 0);
    CHECK(f->plug != NULL);
    CHECK(!f->over);
    socket_opened(f->plug);
    fake_turn(f);
    CHECK(f->over);
    CHECK_HAS(text_of(&f->output), "{\"success\":true,\"connectionId\":\"");
    CHECK_HAS(f->output.at, f->plug->id);
}

/* A request document about the socket; `rest` follows the id. Static room. */
static inline const char *about(const plug *s, const char *rest)
{
    static char room[4096];
    snprintf(room, sizeof room, "{\"connectionId\":\"%s\"%s}", s->id, rest);
    return room;
}

#endif
