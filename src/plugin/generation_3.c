/* Generation 3, the current library: one export for commands, callbacks for a socket that the host owns.
 *
 * Its two dialects are told apart by the marker: newer libraries say responseType and want frames as
 * base64, older ones give the bare marker and want text. A text that a newer one cannot read is asked
 * again as base64, once. Failures exist only in outputs and return codes. */
#include "base/base64.h"
#include "plugin/generation.h"
#include "plugin/timeframe.h"

static bool fits(const module *code)
{
    return generation_has(code, "handle_command");
}

/* The user's params under all names that libraries of different ages read: market and symbol,
 * timeframe and interval. What was given stays as it is. */
static void put_params(buf *in, json params)
{
    json key, value;
    json market = json_member(params, "market"), symbol = json_member(params, "symbol");
    json timeframe = json_member(params, "timeframe"), interval = json_member(params, "interval");
    size_t start = in->len;
    buf_add_char(in, '{');
    for (json_iter it = json_each(params); params.type == JSON_OBJECT && json_next(&it, &key, &value);) {
        buf_add_text(in, in->len > start + 1 ? "," : "");
        buf_add_bytes(in, key.raw);
        buf_add_char(in, ':');
        buf_add_bytes(in, value.raw);
    }
    if (market.type == JSON_NONE && symbol.type == JSON_STRING) {
        json_put_key(in, "market");
        buf_add_text(in, "{\"symbol\":");
        buf_add_bytes(in, symbol.raw);
        buf_add_char(in, '}');
    }
    if (symbol.type == JSON_NONE && json_member(market, "symbol").type == JSON_STRING) {
        json_put_key(in, "symbol");
        buf_add_bytes(in, json_member(market, "symbol").raw);
    }
    if (timeframe.type == JSON_NONE && interval.type != JSON_NONE) {
        json_put_key(in, "timeframe");
        buf_add_bytes(in, interval.raw);
    }
    if (interval.type == JSON_NONE && timeframe.type != JSON_NONE) {
        json_put_key(in, "interval");
        buf_add_bytes(in, timeframe.raw);
    }
    buf_add_char(in, '}');
}

static const char *ask_command(buf *in, bytes name, json params, weir_error *err)
{
    buf room;
    (void)err;
    buf_init(&room, 1 << 24);
    if (bytes_is(name, "getOHLCV") || bytes_is(name, "getRecentOHLCV")) /* it goes to the exchange as it is */
        params = timeframe_params(params, TIMEFRAME_VENUE, &room);
    buf_add_text(in, "{\"name\":");
    json_put_string(in, name);
    buf_add_text(in, ",\"params\":");
    put_params(in, params);
    buf_add_char(in, '}');
    buf_fini(&room);
    return "handle_command";
}

/* {"result":bool,"responseType"?,"data"?,"error"?,"cacheForSeconds"?}; the first libraries said "success". */
static weir_code read_response(const call_result *r, json *data, json *type, uint64_t *cache_s, weir_error *err)
{
    json result, success, error, cache;
    const json_field want[] = {{"result", &result}, {"success", &success}, {"responseType", type}, {"data", data}, {"error", &error}, {"cacheForSeconds", &cache}};
    bool good = false;
    if (generation_failure(r, err))
        return err ? err->code : WEIR_FAILED;
    if (json_read_fields(r->output, want, 6, err))
        return error_wrap(err, "its answer");
    if (!json_bool(result.type == JSON_NONE ? success : result, &good))
        return error_set(err, WEIR_INVALID, "its answer has no \"result\" that is true or false: " BYTES_FMT, BYTES_ARG(r->output));
    if (!good && error.type == JSON_STRING)
        return error_set(err, WEIR_FAILED, BYTES_FMT, (int)(error.raw.len > 402 ? 400 : error.raw.len - 2), error.raw.at + 1);
    if (!good)
        return error_set(err, WEIR_FAILED, "it failed and gave no reason");
    if (!json_u64(cache, cache_s))
        *cache_s = 0;
    return WEIR_OK;
}

static weir_code read_command(answer *out, const call_result *r, weir_error *err)
{
    json type;
    *out = (answer){0};
    return read_response(r, &out->data, &type, &out->cache_s, err);
}

static const char *ask_stream(buf *in, const stream_wish *wish, weir_error *err)
{
    (void)err;
    json key, value;
    buf_add_text(in, "{\"name\":\"");
    buf_add_bytes(in, wish->type);
    buf_add_text(in, "Stream\",\"params\":");
    size_t start = in->len;
    buf params;
    buf_init(&params, 1 << 20);
    buf_add_text(&params, "{\"symbol\":");
    json_put_string(&params, wish->identifier);
    for (json_iter it = json_each(wish->parameters); wish->parameters.type == JSON_OBJECT && json_next(&it, &key, &value);)
        if (!json_is(key, "symbol")) {
            buf_add_char(&params, ',');
            buf_add_bytes(&params, key.raw);
            buf_add_char(&params, ':');
            buf_add_bytes(&params, value.raw);
        }
    buf_add_char(&params, '}');
    json all;
    buf room;
    buf_init(&room, 1 << 20);
    if (params.failed || json_read(&all, buf_bytes(&params), NULL)) {
        in->len = start;
        buf_add_text(in, "null");
    } else {
        put_params(in, timeframe_params(all, TIMEFRAME_LETTERS, &room));
    }
    buf_fini(&room);
    buf_fini(&params);
    buf_add_char(in, '}');
    return "handle_command";
}

static bool stream_command(bytes in, bytes *name, json *params)
{
    json command;
    const json_field want[] = {{"name", &command}, {"params", params}};
    if (json_read_fields(in, want, 2, NULL) || command.type != JSON_STRING)
        return false;
    *name = bytes_make(command.raw.at + 1, command.raw.len - 2);
    return true;
}

static weir_code read_marker(marker *out, const call_result *r, weir_error *err)
{
    json doc, mark, type = {0}, data = {0};
    bool is = false;
    uint64_t cache_s;
    weir_error why = WEIR_ERROR_INIT;
    bool response = read_response(r, &data, &type, &cache_s, &why) == WEIR_OK;
    bool typed = json_is(type, "StreamMarker");
    if (response)
        mark = data;
    else if (r->code == WEIR_OK && json_read(&doc, r->output, NULL) == WEIR_OK && doc.type == JSON_OBJECT && json_member(doc, "_stream").type == JSON_TRUE)
        mark = doc; /* the oldest: the marker and nothing around it */
    else
        return error_set(err, why.code, "%s", why.text);
    if (!json_bool(json_member(mark, "_stream"), &is) || !is)
        return error_set(err, WEIR_INVALID, "its answer is no StreamMarker: there is no \"_stream\": true");
    if (marker_read(out, mark, err))
        return error_wrap(err, "its StreamMarker");
    if (out->id.len == 0) {
        marker_fini(out);
        return error_set(err, WEIR_INVALID, "its StreamMarker: \"streamID\" is missing or empty");
    }
    out->base64 = typed;
    return WEIR_OK;
}

/* {"streamId","connectionId","message","messageType":"data","streamContext"?} */
static const char *ask_frame(buf *in, const marker *m, const stream_frame *f)
{
    if (generation_put_raw(in, m, f))
        return "handle_stream_message";
    buf_add_text(in, "{\"streamId\":");
    json_put_string(in, m->id);
    buf_add_text(in, ",\"connectionId\":");
    json_put_string(in, f->connection);
    buf_add_text(in, ",\"message\":");
    if (m->base64 || (f->binary && !bytes_utf8(f->text))) {
        buf_add_char(in, '"');
        base64_encode(in, f->text);
        buf_add_char(in, '"');
    } else {
        json_put_string(in, f->text);
    }
    buf_add_text(in, ",\"messageType\":\"data\"");
    if (m->context.len) {
        buf_add_text(in, ",\"streamContext\":");
        buf_add_bytes(in, m->context);
    }
    buf_add_char(in, '}');
    return "handle_stream_message";
}

static const char *ask_event(buf *in, const marker *m, bytes connection, stream_event event, const char *error)
{
    generation_put_event(in, m, connection, event, error);
    return "handle_connection_event";
}

static weir_code read_verdict(verdict *out, marker *m, const call_result *r, weir_error *err)
{
    if (r->code == WEIR_FAILED && !m->base64 && r->output.len &&
        memmem(r->output.at, r->output.len, "failed to parse stream message", 30)) {
        m->base64 = true; /* a newer library behind a bare marker */
        return WEIR_BUSY;
    }
    if (generation_failure(r, err))
        return err ? err->code : WEIR_FAILED;
    return verdict_read_reply(out, r->output, err);
}

/* Of tax plugins. The last one answers the octets of an .xlsx file. */
static const char *const exports[] = {"get_report_metadata", "generate_report", "export_entries_excel", NULL};

const generation generation_3 = {
    .name = "3",
    .fits = fits,
    .fields = "get_configuration_fields",
    .limits = "get_rate_limits",
    .configure = "init",
    .shutdown = "shutdown",
    .typed = true,
    .exports = exports,
    .ask_command = ask_command,
    .read_command = read_command,
    .stream_command = stream_command,
    .ask_stream = ask_stream,
    .read_marker = read_marker,
    .ask_frame = ask_frame,
    .ask_event = ask_event,
    .read_verdict = read_verdict,
};
