/* weir_host: the loop, the network, the hub, and what hangs from them. No logic of its own. */
#include <stdio.h>
#include <stdlib.h>

#include "host/inside.h"
#include "stream/heartbeat_rules.h"

static const char *const names[] = {
#define X(name, text) #name,
    WEIR_CODES(X)
#undef X
};
static const char *const texts[] = {
#define X(name, text) text,
    WEIR_CODES(X)
#undef X
};

const char *weir_version(void)
{
    return WEIR_VERSION;
}

const char *weir_code_name(weir_code code)
{
    return (size_t)code < sizeof names / sizeof *names ? names[code] : "UNKNOWN";
}

const char *weir_code_text(weir_code code)
{
    return (size_t)code < sizeof texts / sizeof *texts ? texts[code] : "an unknown result";
}

static void on_wake(void *arg)
{
    weir_host *h = arg;
    if (__atomic_exchange_n(&h->stopping, false, __ATOMIC_ACQ_REL))
        loop_stop(h->loop);
}

static void on_ticker(void *arg)
{
    weir_host *h = arg;
    timer_after(&h->ticker, h->tick_ns);
    h->on_tick(h->tick_arg);
}

/* The folder of the compile cache: as asked, or the user's. */
static weir_code cache_folder(weir_host *h, const char *asked, weir_error *err)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char path[4096];
    if (asked && !*asked)
        return WEIR_OK;
    if (asked)
        snprintf(path, sizeof path, "%s", asked);
    else if (base && *base == '/')
        snprintf(path, sizeof path, "%s/weir/aot", base);
    else if (home && *home == '/')
        snprintf(path, sizeof path, "%s/.cache/weir/aot", home);
    else
        return WEIR_OK;
    h->cache_dir = strdup(path);
    return h->cache_dir ? WEIR_OK : error_set(err, WEIR_NOMEM, "host: out of memory");
}

static weir_code state_folder(weir_host *h, const char *asked, weir_error *err)
{
    buf path;
    weir_code code = WEIR_OK;
    buf_init(&path, 1 << 16);
    traps_folder(&path, asked);
    if (path.len) {
        buf_add_char(&path, '\0');
        code = path.failed ? error_set(err, WEIR_NOMEM, "host: out of memory") : traps_new(&h->traps, h->loop, path.at, err);
    }
    buf_fini(&path);
    return code;
}

/* Kept as text for every plugin's targets, and checked now. */
static weir_code take_overrides(weir_host *h, const char *const *overrides, weir_error *err)
{
    size_t n = 0;
    while (overrides && overrides[n])
        n++;
    targets *probe = targets_new();
    weir_code code = WEIR_OK;
    h->overrides = calloc(n ? n : 1, sizeof *h->overrides);
    if (!probe || !h->overrides)
        code = error_set(err, WEIR_NOMEM, "host: out of memory");
    for (; !code && h->override_count < n; h->override_count++) {
        code = targets_override(probe, bytes_of(overrides[h->override_count]), err);
        if (!code && !(h->overrides[h->override_count] = strdup(overrides[h->override_count])))
            code = error_set(err, WEIR_NOMEM, "host: out of memory");
        if (code)
            break;
    }
    targets_free(probe);
    return code;
}

/* What the environment says where the program says nothing: WEIR_OVERRIDES, separated by blanks. */
static weir_code take_environment(weir_host *h, weir_error *err)
{
    const char *all = getenv("WEIR_OVERRIDES");
    char *copy = strdup(all ? all : ""), *save = NULL;
    const char *list[33] = {NULL};
    weir_code code = copy ? WEIR_OK : error_set(err, WEIR_NOMEM, "host: out of memory");
    size_t n = 0;
    for (char *one = copy ? strtok_r(copy, " \t\n", &save) : NULL; one && n < 32; one = strtok_r(NULL, " \t\n", &save))
        list[n++] = one;
    if (!code && take_overrides(h, list, err))
        code = error_wrap(err, "WEIR_OVERRIDES");
    free(copy);
    return code;
}

weir_code weir_host_new(weir_host **out, const weir_host_options *options, weir_error *err)
{
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    weir_host *h = calloc(1, sizeof *h);
    if (!h)
        return error_set(err, WEIR_NOMEM, "host: out of memory");
    if (options)
        memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    list_init(&h->plugins);
    list_init(&h->streams);
    list_init(&h->subs);
    list_init(&h->sinks);
    list_init(&h->ahead);
    h->backoff_min_ns = o.backoff_min_ms * NS_PER_MS;
    h->backoff_max_ns = o.backoff_max_ms * NS_PER_MS;
    h->silence_ms = o.silence_ms;
    for (size_t i = 0; o.lifetimes && o.lifetimes[i]; i++)
        if (lifetimes_add(&h->lifetimes, bytes_of(o.lifetimes[i]), err)) {
            weir_host_free(h);
            return error_wrap(err, "host");
        }
    dialer_options dial = {.ca_file = o.ca_file ? o.ca_file : getenv("WEIR_CA_FILE"), .connect_ms = o.connect_ms};
    if (cache_folder(h, o.cache_dir, err) ||
        (o.overrides ? take_overrides(h, o.overrides, err) : take_environment(h, err)) ||
        heartbeat_rules_read(&h->heartbeats, o.heartbeats, err) ||
        loop_new(&h->loop, err) ||
        state_folder(h, o.state_dir, err) ||
        modules_engine(&h->engine, o.max_instances, err) ||
        dialer_new(&h->dialer, h->loop, &dial, err) ||
        hub_new(&h->hub, err) ||
        (!(h->rates = rates_new(h->cache_dir)) && error_set(err, WEIR_NOMEM, "out of memory"))) {
        weir_host_free(h);
        return error_wrap(err, "host");
    }
    loop_on_wake(h->loop, on_wake, h);
    timer_init(&h->ticker, h->loop, on_ticker, h);
    *out = h;
    return WEIR_OK;
}

void weir_host_free(weir_host *h)
{
    if (!h)
        return;
    readers_free(h);
    while (!list_empty(&h->plugins)) /* streams and calls go with their plugin */
        weir_plugin_free(LIST_OWNER(h->plugins.head.next, weir_plugin, node));
    functions_free(h);
    rates_free(h->rates);
    hub_free(h->hub);
    dialer_free(h->dialer);
    traps_free(h->traps);
    if (h->loop) {
        timer_stop(&h->ticker);
        modules_ahead_end(h);
        loop_free(h->loop);
    }
    heartbeat_rules_free(h->heartbeats);
    modules_release(h->engine);
    for (size_t i = 0; i < h->override_count; i++)
        free(h->overrides[i]);
    free(h->overrides);
    lifetimes_fini(&h->lifetimes);
    free(h->cache_dir);
    free(h);
}

void weir_host_run(weir_host *h)
{
    loop_run(h->loop);
}

void weir_host_stop(weir_host *h)
{
    __atomic_store_n(&h->stopping, true, __ATOMIC_RELEASE);
    loop_wake(h->loop);
}

int weir_host_fd(weir_host *h)
{
    return loop_fd(h->loop);
}

int weir_host_timeout(weir_host *h)
{
    return loop_timeout_ms(h->loop);
}

bool weir_host_step(weir_host *h, int timeout_ms)
{
    return loop_step(h->loop, timeout_ms);
}

void weir_host_tick(weir_host *h, uint32_t interval_ms, void (*fn)(void *arg), void *arg)
{
    timer_stop(&h->ticker);
    h->tick_ns = interval_ms * NS_PER_MS;
    h->on_tick = fn;
    h->tick_arg = arg;
    if (interval_ms)
        timer_after(&h->ticker, h->tick_ns);
}

/* ---- Log ---- */

static struct {
    void (*fn)(void *arg, weir_log_level level, const char *part, const char *text);
    void *arg;
} log_to;

static void pass_on(void *arg, log_level level, const char *part, const char *text)
{
    (void)arg;
    log_to.fn(log_to.arg, (weir_log_level)level, part, text);
}

void weir_log(weir_log_level threshold, void (*fn)(void *arg, weir_log_level level, const char *part, const char *text), void *arg)
{
    log_threshold = (log_level)threshold;
    log_to.fn = fn;
    log_to.arg = arg;
    log_set_sink(fn ? pass_on : NULL, NULL);
}

/* ---- Traps of earlier runs ---- */

weir_code weir_why(char **json, const char *what, const char *state_dir, weir_error *err)
{
    buf folder, out;
    weir_code code = WEIR_NOMEM;
    buf_init(&folder, 1 << 16);
    buf_init(&out, 64u << 20);
    traps_folder(&folder, state_dir);
    buf_add_char(&folder, '\0');
    if (folder.failed)
        error_set(err, WEIR_NOMEM, "out of memory");
    else if (folder.len == 1)
        code = error_set(err, WEIR_NOT_FOUND, "no trap is kept: there is no state folder; set XDG_STATE_HOME or HOME to an absolute path");
    else if ((code = traps_find(&out, folder.at, what, err)) == WEIR_OK && !(*json = bytes_dup(buf_bytes(&out))))
        code = error_set(err, WEIR_NOMEM, "out of memory");
    buf_fini(&folder);
    buf_fini(&out);
    return code;
}

/* ---- The account ---- */

void weir_host_account(const weir_host *h, weir_account *out)
{
    hub_account a = hub_read_account(h->hub);
    hub_stats s = hub_read_stats(h->hub);
    *out = (weir_account){
        .received = s.counts.received,
        .published = a.published,
        .offered = a.subs.offered,
        .delivered = a.subs.delivered,
        .queued = a.subs.queued,
        .gaps = s.counts.gaps,
        .restarts = s.counts.restarts,
        .taken = h->taken,
        .doubles = s.counts.doubles,
        .repeats = h->repeats,
        .lost = h->lost,
        .unread = h->unread,
    };
    for (int i = 0; i < SUB_DROPPED_REASONS; i++)
        out->dropped += a.subs.dropped[i];
    for (list_node *n = h->streams.head.next; n != &h->streams.head; n = n->next) {
        const weir_stream *t = LIST_OWNER(n, weir_stream, node);
        out->taken += stream_taken(t->stream);
        out->waiting += stream_queued(t->stream);
        out->lost += stream_lost(t->stream);
        out->unread += stream_unread(t->stream);
        out->repeats += stream_repeats(t->stream);
    }
}

bool weir_host_account_check(const weir_host *h, weir_error *err)
{
    weir_account a;
    weir_host_account(h, &a);
    if (a.received != a.taken + a.waiting + a.lost + a.unread + a.doubles) {
        error_set(err, WEIR_INVALID, "account: %llu messages received, but %llu taken, %llu waiting, %llu lost, %llu unread and %llu doubles",
                  (unsigned long long)a.received, (unsigned long long)a.taken, (unsigned long long)a.waiting,
                  (unsigned long long)a.lost, (unsigned long long)a.unread, (unsigned long long)a.doubles);
        return false;
    }
    return readers_add_up(h, err) && hub_account_check(h->hub, err);
}
