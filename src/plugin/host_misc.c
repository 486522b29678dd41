/* log_record and what all host functions share. */
#include "plugin/host.h"

bool host_say_ok(task *t)
{
    buf_clear(&t->reply);
    buf_add_text(&t->reply, "{\"success\":true}");
    return true;
}

bool host_say_error(task *t, const weir_error *err)
{
    t->said = err->code;
    buf_clear(&t->reply);
    buf_add_text(&t->reply, "{\"success\":false,\"error\":");
    json_put_text(&t->reply, err->text);
    buf_add_char(&t->reply, '}');
    return true;
}

weir_code host_headers(task *t, json object, const http_header **out, size_t *count, weir_error *err)
{
    json key, value;
    *count = 0;
    if (object.type == JSON_NONE || object.type == JSON_NULL)
        return WEIR_OK;
    if (object.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "\"headers\" is neither an object nor null");
    buf_clear(&t->headers);
    if (!buf_reserve(&t->scratch, object.raw.len)) /* decoded it is shorter: the texts will not move */
        return error_set(err, WEIR_NOMEM, "headers: out of memory");
    for (json_iter it = json_each(object); json_next(&it, &key, &value); ++*count) {
        if (*count == HOST_HEADERS)
            return error_set(err, WEIR_LIMIT, "more than %d headers", HOST_HEADERS);
        char *at = t->scratch.at + t->scratch.len;
        json_string_add(key, &t->scratch);
        char *behind_name = t->scratch.at + t->scratch.len;
        if (!json_string_add(value, &t->scratch))
            return error_set(err, WEIR_INVALID, "header " BYTES_FMT " is no string", BYTES_ARG(key.raw));
        char *end = t->scratch.at + t->scratch.len;
        http_header one = {{at, (size_t)(behind_name - at)}, {behind_name, (size_t)(end - behind_name)}};
        buf_add(&t->headers, &one, sizeof one);
    }
    if (t->headers.failed || t->scratch.failed)
        return error_set(err, WEIR_NOMEM, "headers: out of memory");
    *out = (const http_header *)t->headers.at;
    return WEIR_OK;
}

static log_level level_of(json event_type)
{
    bytes text;
    if (!json_string_slice(event_type, &text))
        return LOG_INFO;
    if (bytes_is(text, "debug") || bytes_is(text, "trace"))
        return LOG_DEBUG;
    if (bytes_is(text, "warn") || bytes_is(text, "warning"))
        return LOG_WARN;
    return bytes_is(text, "error") ? LOG_ERROR : LOG_INFO;
}

/* {"id":0,"pluginId":string,"eventType":string,"timestamp":RFC 3339,"message":string,"data":object?}
 * The answer is not looked at. The line is attributed to the real plugin, whatever pluginId says. */
bool host_log_record(task *t, bytes request)
{
    weir_error err = WEIR_ERROR_INIT;
    json event_type, message, data;
    const json_field want[] = {{"eventType", &event_type}, {"message", &message}, {"data", &data}};
    uint64_t dropped;
    if (!policy_log(&t->policy, loop_now(t->loop), &dropped))
        return true;
    if (dropped) {
        buf_clear(&t->scratch);
        buf_add_u64(&t->scratch, dropped);
        buf_add_fmt(&t->scratch, " log lines dropped: more than %u in a second", t->policy.limits.log_per_s);
        t->world->log(t->world_arg, LOG_WARN, "host", buf_bytes(&t->scratch));
    }
    if (json_read_fields(request, want, 3, &err)) {
        error_wrap(&err, "log_record");
        t->world->log(t->world_arg, LOG_WARN, "host", bytes_of(err.text));
        return true;
    }
    buf_clear(&t->scratch);
    if (!json_string_add(message, &t->scratch))
        buf_add_bytes(&t->scratch, message.raw);
    if (data.type == JSON_OBJECT) {
        buf_add_char(&t->scratch, ' ');
        buf_add_bytes(&t->scratch, data.raw);
    }
    t->world->log(t->world_arg, level_of(event_type), "log_record", buf_bytes(&t->scratch));
    return true;
}
