/* See verdict.h. One pass over the request finds key, data and timestamp; the key is read only when
 * its octets differ from those of the publication before, which for a stream is once. */
#include "plugin/verdict.h"

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

weir_code verdict_read(task *t, bytes request, world_publication *out, weir_error *err)
{
    json key, data, timestamp;
    const json_field want[] = {{"key", &key}, {"data", &data}, {"timestamp", &timestamp}};
    bytes at;
    if (json_read_fields(request, want, 3, err))
        return error_wrap(err, "publish_stream_data");
    if (data.type == JSON_NONE)
        return error_set(err, WEIR_INVALID, "publish_stream_data: \"data\" is missing");
    if (t->key_raw == 0 || !bytes_equal(key.raw, bytes_make(t->key.at, t->key_raw)))
        if (read_key(t, key, err))
            return err->code;
    *out = (world_publication){
        .type = bytes_make(t->key.at + t->key_raw, t->key_type - t->key_raw),
        .source = bytes_make(t->key.at + t->key_type, t->key_source - t->key_type),
        .identifier = bytes_make(t->key.at + t->key_source, t->key.len - t->key_source),
        .data = data.raw,
    };
    if (json_string_slice(timestamp, &at))
        clock_parse(at, &out->ts_event); /* "unknown" is 0 */
    return WEIR_OK;
}
