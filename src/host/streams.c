/* Streams of the program: weir.h's names over stream/stream.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "host/inside.h"

static const weir_stream_state outside[] = {
    [STREAM_CONNECTING] = WEIR_STREAM_CONNECTING,
    [STREAM_LIVE] = WEIR_STREAM_LIVE,
    [STREAM_WAITING] = WEIR_STREAM_WAITING,
    [STREAM_STOPPING] = WEIR_STREAM_STOPPING,
    [STREAM_CLOSED] = WEIR_STREAM_CLOSED,
    [STREAM_FAILED] = WEIR_STREAM_FAILED,
};

static void on_state(void *arg, stream *s, stream_state state, const char *why);

static void on_resynced(void *arg, uint64_t from_event)
{
    backfill_want(arg, from_event);
}

static weir_code open_by(stream **out, weir_stream *w, stream_plugin *route, weir_error *err)
{
    stream_options options = {
        .type = bytes_of(w->type),
        .identifier = bytes_of(w->identifier),
        .parameters = bytes_of(w->params),
        .has_connection = w->plugin->options.connection != 0,
        .connection = w->plugin->options.connection,
        .on_state = on_state,
        .on_resynced = on_resynced,
        .arg = w,
    };
    return stream_open(out, route, &options, err);
}

/* What an ended stream leaves in the host's account. */
static void settle(weir_stream *w)
{
    w->plugin->host->repeats += stream_repeats(w->stream);
    w->plugin->host->taken += stream_taken(w->stream);
    w->plugin->host->lost += stream_lost(w->stream);
    w->plugin->host->unread += stream_unread(w->stream) + stream_queued(w->stream);
    stream_free(w->stream);
}

#define NO_MEMORY_NS NS_PER_S

/* A stream waits for as long as its plugin's limits say. */
stream_turn streams_turn(void *owner, bytes command, json params, unsigned tries)
{
    weir_plugin *p = owner;
    rates_asked asked = {weir_plugin_id(p), p->config, command, params, tries};
    stream_turn turn = {0};
    weir_error err = WEIR_ERROR_INIT;
    const limit *by;
    buf text;
    weir_code code = rates_take(p->host->rates, &p->rate_limits, &asked, UINT64_MAX, &turn.wait_ns, &by, &err);
    if (code)
        return (stream_turn){.wait_ns = code == WEIR_BUSY ? RATES_AGAIN_NS : NO_MEMORY_NS, .again = true};
    if (!turn.wait_ns)
        return turn;
    buf_init(&text, sizeof turn.limit);
    limit_text(&text, by, command);
    snprintf(turn.limit, sizeof turn.limit, BYTES_FMT, BYTES_ARG(buf_bytes(&text)));
    buf_fini(&text);
    return turn;
}

/* A hybrid's loop did not start: its callbacks may. */
static void change_route(void *arg)
{
    weir_stream *w = arg;
    weir_error err = WEIR_ERROR_INIT;
    stream *other = NULL;
    w->changing = false;
    if (!w->plugin->callbacks.generation)
        error_set(&err, WEIR_UNSUPPORTED, "the plugin was replaced, and has no callbacks any more");
    if (err.code || open_by(&other, w, &w->plugin->callbacks, &err)) {
        log_warn("stream", "'%s:%s': its other route: %s", w->type, w->identifier, err.text);
        if (w->on_state)
            w->on_state(w->arg, w, WEIR_STREAM_FAILED);
        return;
    }
    settle(w);
    w->stream = other;
}

static void on_state(void *arg, stream *s, stream_state state, const char *why)
{
    weir_stream *w = arg;
    const weir_plugin *p = w->plugin;
    (void)s;
    w->was_live |= state == STREAM_LIVE;
    if (state == STREAM_FAILED && p->route == WEIR_ROUTE_AUTO && p->callbacks.generation && !w->was_live && !w->fell_back) {
        log_warn("stream", "'%s:%s': its loop does not start (%s); its callbacks are tried", w->type, w->identifier, why);
        w->fell_back = w->changing = true;
        defer(p->host->loop, &w->change);
        return;
    }
    if (w->on_state)
        w->on_state(w->arg, w, outside[state]);
}

static void let_go(weir_stream *w)
{
    free(w->type);
    free(w->identifier);
    free(w->params);
    free(w);
}

weir_code weir_stream_open(weir_stream **out, weir_plugin *plugin, const char *type, const char *identifier,
                           const char *params_json, weir_error *err)
{
    weir_stream *w;
    json parameters;
    if (!generation_streams(plugin->generation))
        return error_set(err, WEIR_UNSUPPORTED, "plugin '%s': it has none of the exports of a plugin that streams (start_stream, handle_command, prepare_stream); 'weir inspect' shows what it can", plugin->name);
    if (!type || !*type)
        return error_set(err, WEIR_INVALID, "stream: its type is missing; what it is to be of, such as 'ohlcv' or 'trades'");
    if (!identifier)
        return error_set(err, WEIR_INVALID, "stream: its identifier is missing: the venue's symbol, or an empty text");
    if (plugin->config_wrong.code) {
        error_recall(&plugin->config_wrong, err);
        return error_wrap(err, "plugin '%s'", plugin->name);
    }
    if (params_json && *params_json && json_read(&parameters, bytes_of(params_json), err))
        return error_wrap(err, "stream '%s:%s': parameters", type, identifier);
    if (plugin->route == WEIR_ROUTE_CALLBACK && plugin->generation->loops && !plugin->callbacks.generation)
        return error_set(err, WEIR_UNSUPPORTED, "plugin '%s': it has no callback route: prepare_stream and handle_stream_message are not among its exports", plugin->name);
    w = calloc(1, sizeof *w);
    if (!w || !(w->type = strdup(type)) || !(w->identifier = strdup(identifier)) || (params_json && !(w->params = strdup(params_json)))) {
        if (w)
            let_go(w);
        return error_set(err, WEIR_NOMEM, "stream: out of memory");
    }
    w->plugin = plugin;
    backfill_init(w);
    w->change = (deferred){.fn = change_route, .arg = w};
    bool callback = plugin->route == WEIR_ROUTE_CALLBACK && plugin->callbacks.generation;
    if (open_by(&w->stream, w, callback ? &plugin->callbacks : &plugin->shared, err)) {
        let_go(w);
        return err ? err->code : WEIR_INVALID;
    }
    list_push(&plugin->host->streams, &w->node);
    *out = w;
    return WEIR_OK;
}

void weir_stream_stop(weir_stream *w)
{
    stream_stop(w->stream);
}

void weir_stream_free(weir_stream *w)
{
    if (!w)
        return;
    if (w->changing)
        defer_cancel(&w->change);
    backfill_fini(w);
    settle(w);
    list_remove(&w->node);
    let_go(w);
}

weir_stream_state weir_stream_get_state(const weir_stream *w)
{
    return w->changing ? WEIR_STREAM_CONNECTING : outside[stream_get_state(w->stream)];
}

bool weir_stream_idle(const weir_stream *w)
{
    return stream_idle(w->stream);
}

const char *weir_stream_state_name(weir_stream_state state)
{
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        if (outside[i] == state)
            return stream_state_name((stream_state)i);
    return "unknown";
}

const char *weir_stream_why(const weir_stream *w)
{
    return stream_why(w->stream);
}

void weir_stream_on_state(weir_stream *w, void (*fn)(void *arg, weir_stream *stream, weir_stream_state state), void *arg)
{
    w->on_state = fn;
    w->arg = arg;
}
