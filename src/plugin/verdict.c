/* See verdict.h. One pass over the request finds key, data and timestamp; the key is read only when
 * its octets differ from those of the publication before, which for a stream is once. */
#include "plugin/verdict.h"

#include <stdlib.h>

#include "base/json.h"

static weir_code read_key(task *t, json key, weir_error *err)
{
    json type, source, identifier;
    const json_field want[] = {{"type", &type}, {"source", &source}, {"identifier", &identifier}};
    if (json_fields(key, want, 3, err))
        return error_wrap(err, "publish_stream_data: \"key\"");
    buf_clear(&t->key);
    buf_add_bytes(&t->key, key.raw);
    t->key_raw = t->key.len;
    json_string_add(type, &t->key);
    t->key_type = t->key.len;
    json_string_add(source, &t->key);
    t->key_source = t->key.len;
    json_string_add(identifier, &t->key);
    if (t->key.failed) {
        t->key_raw = 0;
        return error_set(err, WEIR_LIMIT, "publish_stream_data: \"key\" of %zu octets is too long; repeat the one that start_stream got", key.raw.len);
    }
    if (type.type != JSON_STRING || source.type != JSON_STRING || identifier.type != JSON_STRING) {
        t->key_raw = 0;
        return error_set(err, WEIR_INVALID, "publish_stream_data: \"key\" needs the strings \"type\", \"source\" and \"identifier\"");
    }
    return WEIR_OK;
}

/* The request begins with the key of the one before: all but that, from behind its comma. */
static bool same_key(const task *t, bytes request, bytes *rest)
{
    static const char start[] = "{\"key\":";
    size_t len = sizeof start - 1 + t->key_raw;
    if (t->key_raw == 0 || request.len <= len || memcmp(request.at, start, sizeof start - 1) != 0 ||
        memcmp(request.at + sizeof start - 1, t->key.at, t->key_raw) != 0 || request.at[len] != ',')
        return false;
    *rest = bytes_make(request.at + len + 1, request.len - len - 1);
    return true;
}

/* A whole number, or text that is one. */
static bool read_u64(json value, uint64_t *out)
{
    return json_text_u64(value, out) || (value.type == JSON_NUMBER && json_u64(value, out));
}

static venue_number read_number(json sequence, json previous)
{
    venue_number n = {0};
    n.known = read_u64(sequence, &n.number);
    n.has_previous = n.known && read_u64(previous, &n.previous);
    return n;
}

weir_code verdict_read(task *t, bytes request, world_publication *out, weir_error *err)
{
    json key, data, timestamp, sequence, previous;
    const json_field want[] = {{"key", &key}, {"data", &data}, {"timestamp", &timestamp}, {"sequence", &sequence}, {"previousSequence", &previous}};
    bytes at, rest;
    bool known = same_key(t, request, &rest) && !json_read_rest(rest, want, 5, NULL) && key.type == JSON_NONE;
    if (!known && json_read_fields(request, want, 5, err))
        return error_wrap(err, "publish_stream_data");
    if (data.type == JSON_NONE)
        return error_set(err, WEIR_INVALID, "publish_stream_data: \"data\" is missing");
    if (!known && (t->key_raw == 0 || !bytes_equal(key.raw, bytes_make(t->key.at, t->key_raw))))
        if (read_key(t, key, err))
            return err->code;
    *out = (world_publication){
        .type = bytes_make(t->key.at + t->key_raw, t->key_type - t->key_raw),
        .source = bytes_make(t->key.at + t->key_type, t->key_source - t->key_type),
        .identifier = bytes_make(t->key.at + t->key_source, t->key.len - t->key_source),
        .data = data.raw,
        .number = read_number(sequence, previous),
    };
    if (json_string_slice(timestamp, &at))
        clock_parse(at, &out->ts_event); /* "unknown" is 0 */
    return WEIR_OK;
}

/* ---- Push ---- */

static verdict_action action_of(bytes name, bool *known)
{
    static const struct {
        const char *name;
        verdict_action action;
    } actions[] = {{"ignore", VERDICT_IGNORE}, {"data", VERDICT_DATA}, {"ohlcv", VERDICT_DATA}, {"send", VERDICT_SEND}, {"reconnect", VERDICT_RECONNECT}, {"close", VERDICT_CLOSE}};
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (bytes_is(name, actions[i].name)) {
            *known = true;
            return actions[i].action;
        }
    *known = false;
    return VERDICT_IGNORE;
}

/* Moves `at` behind `text`, if that is what comes next. */
static bool skip_text(bytes *at, bytes text)
{
    if (at->len < text.len || memcmp(at->at, text.at, text.len) != 0)
        return false;
    *at = bytes_make(at->at + text.len, at->len - text.len);
    return true;
}

/* The same for what can stand in a string as it is, and the quote behind it. */
static bool skip_plain(bytes *at, bytes *out)
{
    const char *p = at->at, *end = p + at->len;
    while (p < end && *p != '"' && *p != '\\' && (signed char)*p >= 0x20)
        p++;
    if (p == end || *p != '"')
        return false;
    *out = bytes_make(at->at, (size_t)(p - at->at));
    *at = bytes_make(p + 1, (size_t)(end - p) - 1);
    return true;
}

/* The form that most replies have: its head octet for octet, and one object as data, in a list or not. So each octet is
 * looked at once. False: the reply is of another form, or wrong; nothing is known. */
static bool read_usual(verdict *out, bytes reply)
{
    json event;
    const json_field want[] = {{"ts_event", &event}};
    bytes at = reply, type, time = {0};
    if (!skip_text(&at, BYTES("{\"success\":true,\"action\":\"data\",\"dataType\":\"")) || !skip_plain(&at, &type))
        return false;
    if (skip_text(&at, BYTES(",\"timestamp\":\"")) && !skip_plain(&at, &time))
        return false;
    if (!skip_text(&at, BYTES(",\"data\":")))
        return false;
    const char *data = at.at;
    bool list = skip_text(&at, BYTES("["));
    const char *end = json_read_part(at, 1 + list, want, 1);
    if (!end)
        return false;
    *out = (verdict){.action = VERDICT_DATA, .type = type, .one = bytes_make(at.at, (size_t)(end - at.at)), .one_event = event};
    at = bytes_make(end, (size_t)(at.at + at.len - end));
    if ((list && !skip_text(&at, BYTES("]"))) || at.len != 1 || at.at[0] != '}')
        return false;
    out->data = bytes_make(data, (size_t)(at.at - data));
    if (time.len)
        clock_parse(time, &out->ts_event);
    return true;
}

weir_code verdict_read_reply(verdict *out, bytes reply, weir_error *err)
{
    if (read_usual(out, reply))
        return WEIR_OK;
    json success, action, type, data, record, send, timestamp, error, sequence, previous;
    const json_field want[] = {{"success", &success}, {"action", &action}, {"dataType", &type}, {"data", &data}, {"ohlcvRecord", &record}, {"sendMessage", &send}, {"timestamp", &timestamp}, {"error", &error}, {"sequence", &sequence}, {"previousSequence", &previous}};
    bytes name = {0}, at;
    bool known;
    *out = (verdict){0};
    if (json_read_fields(reply, want, 10, err))
        return error_wrap(err, "its answer");
    if (success.type == JSON_FALSE) {
        char *said = json_string_dup(error);
        error_set(err, WEIR_FAILED, "%s", said && *said ? said : "it failed and gave no reason");
        free(said);
        return WEIR_FAILED;
    }
    if (success.type != JSON_TRUE && success.type != JSON_NONE && success.type != JSON_NULL)
        return error_set(err, WEIR_INVALID, "its answer: \"success\" is " BYTES_FMT "; it is true or false", BYTES_ARG(success.raw));
    if (!json_string_slice(action, &name) && action.type != JSON_NONE && action.type != JSON_NULL)
        return error_set(err, WEIR_INVALID, "its answer: \"action\" is " BYTES_FMT "; it is ignore, data, send, reconnect or close", BYTES_ARG(action.raw));
    out->action = action_of(name, &known);
    out->number = read_number(sequence, previous);
    if (!known)
        out->unknown = name.len ? name : BYTES("(none)");
    if (data.type == JSON_NONE)
        data = record;
    if (out->action == VERDICT_DATA) {
        if (data.type == JSON_NONE || data.type == JSON_NULL)
            return error_set(err, WEIR_INVALID, "its answer: action data, and no \"data\"");
        out->data = data.raw;
        if (!json_string_slice(type, &out->type) && record.type != JSON_NONE)
            out->type = BYTES("ohlcv");
    }
    if (send.type == JSON_STRING && send.raw.len > 2)
        out->send = send;
    if (out->action == VERDICT_CLOSE && error.type == JSON_STRING && error.raw.len > 2)
        out->why = error;
    if (out->action == VERDICT_SEND && out->send.type == JSON_NONE)
        return error_set(err, WEIR_INVALID, "its answer: action send, and no \"sendMessage\" that is text");
    if (json_string_slice(timestamp, &at))
        clock_parse(at, &out->ts_event);
    return WEIR_OK;
}
