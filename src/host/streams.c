/* Streams of the program: weir.h's names over stream/stream.c. */
#include <stdlib.h>

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

static void on_state(void *arg, stream *s, stream_state state, const char *why)
{
    weir_stream *w = arg;
    (void)s;
    (void)why;
    if (w->on_state)
        w->on_state(w->arg, w, outside[state]);
}

static void on_resynced(void *arg, uint64_t from_event)
{
    backfill_want(arg, from_event);
}

weir_code weir_stream_open(weir_stream **out, weir_plugin *plugin, const char *type, const char *identifier,
                           const char *params_json, weir_error *err)
{
    weir_stream *w;
    stream_options options = {
        .type = bytes_of(type),
        .identifier = bytes_of(identifier),
        .parameters = bytes_of(params_json),
        .on_state = on_state,
        .on_resynced = on_resynced,
    };
    json parameters;
    if (!generation_streams(plugin->generation))
        return error_set(err, WEIR_UNSUPPORTED, "plugin '%s': it has none of the exports of a plugin that streams (start_stream, handle_command, prepare_stream); 'weir inspect' shows what it can", plugin->name);
    if (plugin->config_wrong.code) {
        error_recall(&plugin->config_wrong, err);
        return error_wrap(err, "plugin '%s'", plugin->name);
    }
    if (options.parameters.len && json_read(&parameters, options.parameters, err))
        return error_wrap(err, "stream '%s:%s': parameters", type, identifier);
    w = calloc(1, sizeof *w);
    if (!w)
        return error_set(err, WEIR_NOMEM, "stream: out of memory");
    w->plugin = plugin;
    options.arg = w;
    backfill_init(w);
    if (stream_open(&w->stream, &plugin->shared, &options, err)) {
        free(w);
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
    w->plugin->host->taken += stream_taken(w->stream);
    w->plugin->host->lost += stream_lost(w->stream);
    w->plugin->host->unread += stream_unread(w->stream) + stream_queued(w->stream);
    backfill_fini(w);
    stream_free(w->stream);
    list_remove(&w->node);
    free(w);
}

weir_stream_state weir_stream_get_state(const weir_stream *w)
{
    return outside[stream_get_state(w->stream)];
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
