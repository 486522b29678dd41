/* The demo: venue, folder, plugin, streams. */
#include "daemon/demo.h"

#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "daemon/demo_module.h"
#include "sim/sim.h"

#define RATE 4 /* trades a second and symbol */
#define ORIGINS 3
#define MARK "demo" /* in a folder that is kept */
#define BEGUN "begun\n"
#define FILLED "filled\n"

struct demo {
    char folder[4096];
    bool kept, filled;
    char overrides[ORIGINS][96];
    const char **list; /* these, then the user's, then NULL */
    pthread_t thread;
    bool running;
    loop *loop; /* the venue's own: it runs on the thread */
    sim *venue;
    node *node;
    size_t at; /* of the questions */
};

/* ---- The venue ---- */

static void on_stop(void *arg)
{
    loop_stop(((demo *)arg)->loop);
}

static void *run_venue(void *arg)
{
    loop_run(((demo *)arg)->loop);
    return NULL;
}

static weir_code open_venue(demo *d, weir_error *err)
{
    static const char *const origins[ORIGINS] = {"https://api.woox.io=http", "https://api-pub.woox.io=http", "wss://wss.woox.io=ws"};
    sim_options options = {.seed = 1, .rate = RATE, .no_limits = true};
    if (loop_new(&d->loop, err) || sim_new(&d->venue, d->loop, &options, err))
        return error_wrap(err, "the simulated venue");
    for (int i = 0; i < ORIGINS; i++) {
        snprintf(d->overrides[i], sizeof d->overrides[i], "%s://127.0.0.1:%u", origins[i], sim_port(d->venue));
        d->list[i] = d->overrides[i];
    }
    loop_on_wake(d->loop, on_stop, d);
    if (pthread_create(&d->thread, NULL, run_venue, d))
        return error_set(err, WEIR_SYSTEM, "the simulated venue: no thread can be had");
    d->running = true;
    return WEIR_OK;
}

/* ---- The folder ---- */

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s, (void)type, (void)f;
    return remove(path);
}

static weir_code make_folder(demo *d, weir_error *err)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(d->folder, sizeof d->folder, "%s/weir-demo-XXXXXX", tmp && *tmp == '/' && strlen(tmp) < 200 ? tmp : "/tmp");
    if (mkdtemp(d->folder))
        return WEIR_OK;
    weir_code code = error_set(err, WEIR_SYSTEM, "demo: no folder can be made at '%s'", d->folder);
    d->folder[0] = '\0';
    return code;
}

static void mark_path(const char *folder, char out[4096 + sizeof MARK + 1])
{
    snprintf(out, 4096 + sizeof MARK + 1, "%s/" MARK, folder);
}

bool demo_has(const char *folder)
{
    char path[4096 + sizeof MARK + 1];
    mark_path(folder, path);
    return access(path, F_OK) == 0;
}

static weir_code put_mark(const demo *d, const char *text, weir_error *err)
{
    char path[4096 + sizeof MARK + 1];
    mark_path(d->folder, path);
    return file_replace(path, bytes_of(text), err);
}

/* Marked before there is anything else, so that whatever ends it early leaves no folder that could be taken for another. */
static weir_code keep_folder(demo *d, const char *folder, weir_error *err)
{
    char path[4096 + sizeof MARK + 1];
    buf text;
    d->kept = true;
    snprintf(d->folder, sizeof d->folder, "%s", folder);
    if (!demo_has(folder))
        return put_mark(d, BEGUN, err);
    buf_init(&text, 4096);
    mark_path(folder, path);
    weir_code code = file_read(&text, path, err);
    d->filled = bytes_is(buf_bytes(&text), FILLED);
    buf_fini(&text);
    return code;
}

weir_code demo_new(demo **out, const char *folder, const char *const *overrides, weir_error *err)
{
    size_t count = 0;
    while (overrides && overrides[count])
        count++;
    demo *d = calloc(1, sizeof *d);
    if (!d || !(d->list = calloc(ORIGINS + count + 1, sizeof *d->list))) {
        free(d);
        return error_set(err, WEIR_NOMEM, "demo: out of memory");
    }
    for (size_t i = 0; i < count; i++)
        d->list[ORIGINS + i] = overrides[i];
    weir_code code = folder ? keep_folder(d, folder, err) : make_folder(d, err);
    if (code || (code = open_venue(d, err))) {
        demo_free(d);
        return code;
    }
    *out = d;
    return WEIR_OK;
}

void demo_free(demo *d)
{
    if (!d)
        return;
    if (d->running) {
        loop_wake(d->loop);
        pthread_join(d->thread, NULL);
    }
    sim_free(d->venue);
    if (d->loop)
        loop_free(d->loop);
    if (*d->folder && !d->kept)
        nftw(d->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(d->list);
    free(d);
}

const char *demo_folder(const demo *d)
{
    return d->folder;
}

bool demo_keeps(const demo *d)
{
    return d->kept;
}

const char *const *demo_overrides(const demo *d)
{
    return d->list;
}

/* ---- What is to be seen ---- */

/* Asked one after the other: the first makes the connection that the others share. */
static const struct {
    const char *type, *identifier, *parameters;
} streams[] = {
    {"ohlcv", "SPOT_BTC_USDT", "{\"timeframe\":\"1m\"}"},
    {"trades", "SPOT_BTC_USDT", "{}"},
    {"orderbook", "SPOT_BTC_USDT", "{}"},
    {"bbo", "SPOT_BTC_USDT", "{}"},
    {"ticker", "SPOT_BTC_USDT", "{}"},
    {"ohlcv", "SPOT_ETH_USDT", "{\"timeframe\":\"1m\"}"},
    {"trades", "SPOT_ETH_USDT", "{}"},
    {"orderbook", "SPOT_ETH_USDT", "{}"},
    {"bbo", "SPOT_ETH_USDT", "{}"},
    {"ticker", "SPOT_ETH_USDT", "{}"},
    {"ohlcv", "SPOT_SOL_USDT", "{\"timeframe\":\"1m\"}"},
    {"trades", "SPOT_SOL_USDT", "{}"},
    {"bbo", "SPOT_SOL_USDT", "{}"},
    {"ticker", "SPOT_SOL_USDT", "{}"},
    {"ohlcv", "PERP_BTC_USDT", "{\"timeframe\":\"1m\"}"},
    {"trades", "PERP_BTC_USDT", "{}"},
    {"bbo", "PERP_BTC_USDT", "{}"},
    {"ticker", "PERP_BTC_USDT", "{}"},
};

static void ask_next(demo *d);

/* What its user changes from here on stays changed. */
static void done(demo *d)
{
    weir_error err = WEIR_ERROR_INIT;
    if (d->kept && put_mark(d, FILLED, &err))
        log_warn("demo", "%s", err.text);
}

static void on_answer(void *arg, weir_code code, bool created, bytes json, const char *error)
{
    demo *d = arg;
    (void)created, (void)json;
    if (code)
        log_error("demo", "%s", error);
    ask_next(d);
}

static void ask_next(demo *d)
{
    char body[256];
    node_question q = {.op = "streams.create", .who = "demo"};
    if (d->at >= sizeof streams / sizeof *streams) {
        done(d);
        return;
    }
    snprintf(body, sizeof body, "{\"plugin\":\"woox-datasource\",\"type\":\"%s\",\"identifier\":\"%s\",\"parameters\":%s}",
             streams[d->at].type, streams[d->at].identifier, streams[d->at].parameters);
    d->at++;
    q.body = bytes_of(body);
    node_ask(d->node, &q, on_answer, d);
}

void demo_fill(demo *d, node *n)
{
    node_question q = {.op = "plugins.upload", .query = BYTES("{\"file_name\":\"woox.wasm\"}"), .body = demo_module(), .who = "demo"};
    if (d->filled)
        return;
    d->node = n;
    node_ask(n, &q, on_answer, d);
}
