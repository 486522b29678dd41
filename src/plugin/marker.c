#include "plugin/marker.h"

#include <stdlib.h>

#define LIFETIME_MAX_MS (366 * INT64_C(86400000))

void marker_init(marker *m)
{
    *m = (marker){0};
    buf_init(&m->text, MARKER_OCTETS + 1);
}

void marker_fini(marker *m)
{
    buf_fini(&m->text);
    free(m->headers);
    free(m->messages);
    *m = (marker){0};
}

/* A text member, decoded into m->text with a NUL behind it. Null and absent are the empty text. */
static weir_code text_of(marker *m, json value, const char *name, bytes *out, weir_error *err)
{
    const char *at = m->text.at + m->text.len;
    if (value.type == JSON_NONE || value.type == JSON_NULL)
        return WEIR_OK;
    if (!json_string_add(value, &m->text))
        return error_set(err, WEIR_INVALID, "\"%s\" is " BYTES_FMT "; it is text", name, BYTES_ARG(value.raw));
    *out = bytes_make(at, (size_t)(m->text.at + m->text.len - at));
    buf_add_char(&m->text, '\0'); /* its quotes were two octets, so there is room */
    return WEIR_OK;
}

/* A JSON value as it is; null and absent are empty. */
static bytes raw_of(marker *m, json value)
{
    const char *at = m->text.at + m->text.len;
    if (value.type == JSON_NONE || value.type == JSON_NULL)
        return (bytes){NULL, 0};
    buf_add_bytes(&m->text, value.raw);
    return bytes_make(at, value.raw.len);
}

static weir_code read_headers(marker *m, json headers, weir_error *err)
{
    json key, value;
    if (headers.type == JSON_NONE || headers.type == JSON_NULL)
        return WEIR_OK;
    if (headers.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "\"headers\" is neither an object nor null");
    for (json_iter it = json_each(headers); json_next(&it, &key, &value); m->header_count++) {
        if (m->header_count == MARKER_HEADERS)
            return error_set(err, WEIR_LIMIT, "more than %d headers", MARKER_HEADERS);
        if (!m->headers && !(m->headers = calloc(MARKER_HEADERS, sizeof *m->headers)))
            return error_set(err, WEIR_NOMEM, "out of memory");
        http_header *h = &m->headers[m->header_count];
        if (text_of(m, key, "headers", &h->name, err) || text_of(m, value, "headers", &h->value, err))
            return err ? err->code : WEIR_INVALID;
    }
    return WEIR_OK;
}

static weir_code read_messages(marker *m, json list, weir_error *err)
{
    json key, item;
    if (list.type == JSON_NONE || list.type == JSON_NULL)
        return WEIR_OK;
    if (list.type != JSON_ARRAY)
        return error_set(err, WEIR_INVALID, "\"initialMessages\" is neither a list nor null");
    for (json_iter it = json_each(list); json_next(&it, &key, &item); m->message_count++) {
        if (m->message_count == MARKER_MESSAGES)
            return error_set(err, WEIR_LIMIT, "more than %d initial messages", MARKER_MESSAGES);
        if (!m->messages && !(m->messages = calloc(MARKER_MESSAGES, sizeof *m->messages)))
            return error_set(err, WEIR_NOMEM, "out of memory");
        if (item.type != JSON_STRING)
            return error_set(err, WEIR_INVALID, "\"initialMessages\" entry %zu is " BYTES_FMT "; it is text", m->message_count + 1, BYTES_ARG(item.raw));
        if (text_of(m, item, "initialMessages", &m->messages[m->message_count], err))
            return err ? err->code : WEIR_INVALID;
    }
    return WEIR_OK;
}

/* A period in milliseconds: 0 or absent none, else at least 1 s and at most a day. */
static weir_code period_of(json value, const char *name, uint32_t *out, weir_error *err)
{
    int64_t ms = 0;
    if (value.type == JSON_NONE || value.type == JSON_NULL)
        return WEIR_OK;
    if (!json_i64(value, &ms) || ms < 0)
        return error_set(err, WEIR_INVALID, "\"%s\" is " BYTES_FMT "; it is a number of milliseconds", name, BYTES_ARG(value.raw));
    *out = ms == 0 ? 0 : ms < 1000   ? 1000
                     : ms > 86400000 ? 86400000
                                     : (uint32_t)ms;
    return WEIR_OK;
}

static weir_code read_heartbeat(marker *m, json heartbeat, weir_error *err)
{
    json app = json_member(heartbeat, "app"), transport = json_member(heartbeat, "transport");
    if (text_of(m, json_member(app, "matchJsonField"), "matchJsonField", &m->beat_field, err) ||
        text_of(m, json_member(app, "pingValue"), "pingValue", &m->beat_ping, err) ||
        text_of(m, json_member(app, "pongValue"), "pongValue", &m->beat_pong, err) ||
        period_of(json_member(app, "clientPingIntervalMs"), "clientPingIntervalMs", &m->beat_client_ms, err) ||
        period_of(json_member(transport, "pingIntervalMs"), "pingIntervalMs", &m->beat_transport_ms, err))
        return error_wrap(err, "heartbeat");
    return WEIR_OK;
}

/* How long a connection lives, and whether there may be two. */
static weir_code read_life(marker *m, json lifetime, json exclusive, weir_error *err)
{
    int64_t ms = 0;
    if (lifetime.type != JSON_NONE && lifetime.type != JSON_NULL &&
        (!json_i64(lifetime, &ms) || ms < 0 || (ms > 0 && ms < 1000) || ms > LIFETIME_MAX_MS))
        return error_set(err, WEIR_INVALID, "\"lifetimeMs\" is " BYTES_FMT "; it is a number of milliseconds, from 1000 to a year, 0 for no end", BYTES_ARG(lifetime.raw));
    if (exclusive.type != JSON_NONE && exclusive.type != JSON_NULL && !json_bool(exclusive, &m->exclusive))
        return error_set(err, WEIR_INVALID, "\"exclusive\" is " BYTES_FMT "; it is true or false", BYTES_ARG(exclusive.raw));
    m->lifetime_ms = (uint64_t)ms;
    return WEIR_OK;
}

static weir_code read_raw(marker *m, json raw, weir_error *err)
{
    if (raw.type != JSON_NONE && raw.type != JSON_NULL && !json_bool(raw, &m->raw))
        return error_set(err, WEIR_INVALID, "\"raw\" is " BYTES_FMT "; it is true or false", BYTES_ARG(raw.raw));
    if (m->raw && m->id.len && memchr(m->id.at, '\n', m->id.len))
        return error_set(err, WEIR_INVALID, "\"streamID\" has a line break, which \"raw\" cannot carry");
    return WEIR_OK;
}

weir_code marker_read(marker *out, json object, weir_error *err)
{
    json id, other_id, url, headers, subprotocol, messages, context, heartbeat, book, lifetime, exclusive, raw;
    const json_field want[] = {{"streamID", &id}, {"streamId", &other_id}, {"websocketUrl", &url}, {"headers", &headers}, {"subprotocol", &subprotocol}, {"initialMessages", &messages}, {"streamContext", &context}, {"heartbeat", &heartbeat}, {"book", &book}, {"lifetimeMs", &lifetime}, {"exclusive", &exclusive}, {"raw", &raw}};
    marker_fini(out);
    marker_init(out);
    /* Decoded it is no longer than as JSON, so the buffer does not move under what points into it. */
    if (object.raw.len > MARKER_OCTETS)
        return error_set(err, WEIR_LIMIT, "%zu octets; at most %u are taken", object.raw.len, MARKER_OCTETS);
    if (!buf_reserve(&out->text, object.raw.len + 1))
        return error_set(err, WEIR_NOMEM, "a stream's set-up of %zu octets: out of memory", object.raw.len);
    weir_code code = json_fields(object, want, sizeof want / sizeof *want, err);
    if (!code)
        code = text_of(out, id.type == JSON_NONE ? other_id : id, "streamID", &out->id, err);
    if (!code)
        code = text_of(out, url, "websocketUrl", &out->url, err);
    if (!code && out->url.len == 0)
        code = error_set(err, WEIR_INVALID, "\"websocketUrl\" is missing: where is the stream?");
    if (!code)
        code = text_of(out, subprotocol, "subprotocol", &out->subprotocol, err);
    if (!code) {
        out->context = raw_of(out, context);
        out->book = raw_of(out, book);
    }
    if (!code && !(code = read_headers(out, headers, err)) && !(code = read_messages(out, messages, err)))
        code = read_heartbeat(out, heartbeat, err);
    if (!code)
        code = read_life(out, lifetime, exclusive, err);
    if (!code)
        code = read_raw(out, raw, err);
    if (code)
        marker_fini(out);
    return code;
}
