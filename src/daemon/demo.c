/* The demo: venue, folder, plugin, streams. */
#include "daemon/demo.h"

#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/demo_module.h"
#include "sim/sim.h"

#define RATE 4 /* trades a second and symbol */

struct demo {
    char folder[256];
    char overrides[3][96];
    const char *list[4];
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
    static const char *const origins[] = {"https://api.woox.io=http", "https://api-pub.woox.io=http", "wss://wss.woox.io=ws"};
    sim_options options = {.seed = 1, .rate = RATE, .no_limits = true};
    if (loop_new(&d->loop, err) || sim_new(&d->venue, d->loop, &options, err))
        return error_wrap(err, "the simulated venue");
    for (int i = 0; i < 3; i++) {
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

weir_code demo_new(demo **out, weir_error *err)
{
    const char *tmp = getenv("TMPDIR");
    demo *d = calloc(1, sizeof *d);
    if (!d)
        return error_set(err, WEIR_NOMEM, "demo: out of memory");
    snprintf(d->folder, sizeof d->folder, "%s/weir-demo-XXXXXX", tmp && *tmp == '/' && strlen(tmp) < 200 ? tmp : "/tmp");
    weir_code code = mkdtemp(d->folder) ? WEIR_OK : error_set(err, WEIR_SYSTEM, "demo: no folder can be made at '%s'", d->folder);
    if (code)
        d->folder[0] = '\0';
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
    if (*d->folder)
        nftw(d->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(d);
}

const char *demo_folder(const demo *d)
{
    return d->folder;
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
    if (d->at >= sizeof streams / sizeof *streams)
        return;
    snprintf(body, sizeof body, "{\"plugin\":\"woox-datasource\",\"type\":\"%s\",\"identifier\":\"%s\",\"parameters\":%s}",
             streams[d->at].type, streams[d->at].identifier, streams[d->at].parameters);
    d->at++;
    q.body = bytes_of(body);
    node_ask(d->node, &q, on_answer, d);
}

void demo_fill(demo *d, node *n)
{
    node_question q = {.op = "plugins.upload", .query = BYTES("{\"file_name\":\"woox.wasm\"}"), .body = demo_module(), .who = "demo"};
    d->node = n;
    node_ask(n, &q, on_answer, d);
}
