/* Generation 1: an export for each question, callbacks for a socket that the host owns, frames as text,
 * times in seconds. Its oldest stream dialect says no "success" and has an action of its own for candles;
 * marker_read and verdict_read_reply take both. Failures: error_set, or success false with code 0. */
#include "base/clock.h"
#include "plugin/generation.h"
#include "plugin/timeframe.h"

static bool fits(const module *code)
{
    return generation_has(code, "prepare_stream") || generation_has(code, "list_markets");
}

/* A time as RFC 3339 text or Unix milliseconds, in seconds; 0: unset, which is what the plugin calls it. */
static uint64_t seconds_of(json time)
{
    uint64_t ms = 0, ns = 0;
    bytes text;
    if (json_string_slice(time, &text))
        return clock_parse(text, &ns) ? ns / NS_PER_S : 0;
    return json_u64(time, &ms) ? ms / 1000 : 0;
}

static void put_history(buf *in, json params)
{
    json symbol = json_member(params, "symbol"), timeframe = json_member(params, "timeframe"), limit = json_member(params, "limit");
    json credentials = json_member(params, "credentials");
    if (symbol.type == JSON_NONE)
        symbol = json_member(json_member(params, "market"), "symbol");
    if (timeframe.type == JSON_NONE)
        timeframe = json_member(params, "interval");
    buf_add_text(in, "{\"symbol\":");
    buf_add_bytes(in, symbol.type == JSON_STRING ? symbol.raw : BYTES("\"\""));
    buf_add_text(in, ",\"timeframe\":");
    buf_add_bytes(in, timeframe.type == JSON_STRING ? timeframe.raw : BYTES("\"\""));
    buf_add_text(in, ",\"startTime\":");
    buf_add_u64(in, seconds_of(json_member(params, "startTime")));
    buf_add_text(in, ",\"endTime\":");
    buf_add_u64(in, seconds_of(json_member(params, "endTime")));
    buf_add_text(in, ",\"limit\":");
    buf_add_bytes(in, limit.type == JSON_NUMBER ? limit.raw : BYTES("0"));
    if (credentials.type == JSON_OBJECT) { /* the oldest plugins have no other way to get them */
        buf_add_text(in, ",\"credentials\":");
        buf_add_bytes(in, credentials.raw);
    }
    buf_add_char(in, '}');
}

const char *generation_1_command(buf *in, bytes name, json params, weir_error *err)
{
    if (bytes_is(name, "getMarkets"))
        return "list_markets";
    if (bytes_is(name, "getTimeframes"))
        return "get_timeframes";
    if (bytes_is(name, "getOHLCV")) {
        buf room;
        buf_init(&room, 1 << 20);
        put_history(in, timeframe_params(params, TIMEFRAME_VENUE, &room));
        buf_fini(&room);
        return "get_ohlcv";
    }
    error_set(err, WEIR_UNSUPPORTED, "this generation of plugins knows getMarkets, getTimeframes and getOHLCV, not '" BYTES_FMT "'", BYTES_ARG(name));
    return NULL;
}

weir_code generation_1_answer(answer *out, const call_result *r, weir_error *err)
{
    *out = (answer){0};
    if (generation_failure(r, err))
        return err ? err->code : WEIR_FAILED;
    if (r->output.len == 0)
        return WEIR_OK;
    return json_read(&out->data, r->output, err) ? error_wrap(err, "its answer") : WEIR_OK;
}

/* {"streamId","streamType","parameters":{"symbol","interval",...}} */
static void put_stream(buf *in, const stream_wish *wish)
{
    json key, value;
    buf_add_text(in, "{\"streamId\":");
    json_put_string(in, wish->id);
    buf_add_text(in, ",\"streamType\":");
    json_put_string(in, wish->type);
    buf_add_text(in, ",\"parameters\":{\"symbol\":");
    json_put_string(in, wish->identifier);
    for (json_iter it = json_each(wish->parameters); wish->parameters.type == JSON_OBJECT && json_next(&it, &key, &value);) {
        if (json_is(key, "symbol"))
            continue;
        if (json_is(key, "timeframe") && json_member(wish->parameters, "interval").type == JSON_NONE) {
            json_put_key(in, "interval");
            buf_add_bytes(in, value.raw);
        }
        buf_add_char(in, ',');
        buf_add_bytes(in, key.raw);
        buf_add_char(in, ':');
        buf_add_bytes(in, value.raw);
    }
    /* the oldest dialect looks for them outside */
    buf_add_text(in, "},\"symbol\":");
    json_put_string(in, wish->identifier);
    value = json_member(wish->parameters, "interval");
    if (value.type == JSON_NONE)
        value = json_member(wish->parameters, "timeframe");
    if (value.type != JSON_NONE) {
        buf_add_text(in, ",\"interval\":");
        buf_add_bytes(in, value.raw);
    }
    buf_add_char(in, '}');
}

static const char *ask_stream(buf *in, const stream_wish *wish, weir_error *err)
{
    stream_wish spelt = *wish;
    buf room;
    (void)err;
    buf_init(&room, 1 << 20);
    spelt.parameters = timeframe_params(wish->parameters, TIMEFRAME_VENUE, &room);
    put_stream(in, &spelt);
    buf_fini(&room);
    return "prepare_stream";
}

static weir_code read_marker(marker *out, const call_result *r, weir_error *err)
{
    json doc;
    if (generation_failure(r, err))
        return err ? err->code : WEIR_FAILED;
    if (json_read(&doc, r->output, err))
        return error_wrap(err, "its answer");
    if (json_member(doc, "success").type == JSON_FALSE) { /* said with code 0 */
        call_result failed = *r;
        failed.code = WEIR_FAILED;
        return generation_failure(&failed, err);
    }
    return marker_read(out, doc, err) ? error_wrap(err, "its stream's set-up") : WEIR_OK;
}

/* {"streamId","connectionId","message","messageType":"data"} */
static const char *ask_frame(buf *in, const marker *m, const stream_frame *f)
{
    if (generation_put_raw(in, m, f))
        return "handle_stream_message";
    buf_add_text(in, "{\"streamId\":");
    json_put_string(in, m->id);
    buf_add_text(in, ",\"connectionId\":");
    json_put_string(in, f->connection);
    buf_add_text(in, ",\"message\":");
    json_put_string(in, f->text);
    buf_add_text(in, ",\"messageType\":\"data\"}");
    return "handle_stream_message";
}

static const char *ask_event(buf *in, const marker *m, bytes connection, stream_event event, const char *error)
{
    generation_put_event(in, m, connection, event, error);
    return "stream_connection_event";
}

static weir_code read_verdict(verdict *out, marker *m, const call_result *r, weir_error *err)
{
    (void)m;
    if (generation_failure(r, err))
        return err ? err->code : WEIR_FAILED;
    return verdict_read_reply(out, r->output, err);
}

const generation generation_1 = {
    .name = "1",
    .fits = fits,
    .fields = "get_credential_fields",
    .configure = "set_credentials",
    .travels = true,
    .ask_command = generation_1_command,
    .read_command = generation_1_answer,
    .ask_stream = ask_stream,
    .read_marker = read_marker,
    .ask_frame = ask_frame,
    .ask_event = ask_event,
    .read_verdict = read_verdict,
};
