/* What the records of one stream share: the part of the line that never changes, the topic, the
 * counter behind seq. Made once, in one block; so a record costs a copy of `shared` and no encoding
 * of names. */
#include "hub/record_impl.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

#define PARAMETERS_MAX 32

typedef struct parameter {
    size_t key_at, key_len; /* decoded, in the draft's `keys` */
    json value;
} parameter;

/* A stream in the making; pieces are offsets until the text stops growing. */
typedef struct draft {
    buf text, topic, keys;
    size_t shared_len;
    size_t parameters_at, parameters_len;
    parameter parameters[PARAMETERS_MAX];
    size_t count;
} draft;

static bytes key_of(const draft *d, const parameter *p)
{
    return bytes_make(d->keys.at + p->key_at, p->key_len);
}

static int key_compare(bytes a, bytes b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.at, b.at, shorter) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Puts the parameter at its place in the order of keys; of doubles the last wins. */
static void insert_parameter(draft *d, parameter new)
{
    size_t at = d->count;

    while (at > 0) {
        int order = key_compare(key_of(d, &new), key_of(d, &d->parameters[at - 1]));
        if (order == 0) {
            d->parameters[at - 1].value = new.value;
            return;
        }
        if (order > 0)
            break;
        at--;
    }
    memmove(d->parameters + at + 1, d->parameters + at, (d->count - at) * sizeof new);
    d->parameters[at] = new;
    d->count++;
}

static weir_code read_parameters(draft *d, bytes text, weir_error *err)
{
    json doc, key, value;

    if (!text.len)
        return WEIR_OK;
    if (json_read(&doc, text, err))
        return error_wrap(err, "parameters");
    if (doc.type == JSON_NULL)
        return WEIR_OK;
    if (doc.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "parameters: '" BYTES_FMT "' is no object such as {\"timeframe\":\"1m\"}", BYTES_ARG(text));
    json_iter it = json_each(doc);
    while (json_next(&it, &key, &value)) {
        if (value.type == JSON_OBJECT || value.type == JSON_ARRAY)
            return error_set(err, WEIR_INVALID, "parameters: " BYTES_FMT " is an object or an array; a text, a number, true, false or null would do",
                             BYTES_ARG(key.raw));
        if (d->count == PARAMETERS_MAX)
            return error_set(err, WEIR_INVALID, "parameters: more than %d of them", PARAMETERS_MAX);
        parameter p = {.key_at = d->keys.len, .value = value};
        json_string_add(key, &d->keys);
        p.key_len = d->keys.len - p.key_at;
        if (d->keys.failed)
            return error_set(err, WEIR_NOMEM, "parameters: out of memory");
        insert_parameter(d, p);
    }
    return WEIR_OK;
}

static void write_shared(draft *d, const record_key *key)
{
    buf *out = &d->text;

    buf_add_text(out, "\"type\":");
    json_put_string(out, key->type);
    buf_add_text(out, ",\"source\":");
    json_put_string(out, key->source);
    buf_add_text(out, ",\"identifier\":");
    json_put_string(out, key->identifier);
    buf_add_text(out, ",\"parameters\":");
    d->parameters_at = out->len;
    buf_add_char(out, '{');
    for (size_t i = 0; i < d->count; i++) {
        if (i)
            buf_add_char(out, ',');
        json_put_string(out, key_of(d, &d->parameters[i]));
        buf_add_char(out, ':');
        buf_add_bytes(out, d->parameters[i].value.raw);
    }
    buf_add_char(out, '}');
    d->parameters_len = out->len - d->parameters_at;
    buf_add_text(out, ",\"connection\":");
    if (key->has_connection)
        buf_add_u64(out, key->connection);
    else
        buf_add_text(out, "null");
    buf_add_char(out, ',');
    d->shared_len = out->len;
}

static void write_topic(draft *d, const record_key *key)
{
    buf value;

    topic_add_token(&d->topic, key->type);
    topic_add_token(&d->topic, key->source);
    topic_add_token(&d->topic, key->identifier);
    buf_init(&value, 16 * TOPIC_MAX);
    for (size_t i = 0; i < d->count; i++) {
        json given = d->parameters[i].value;
        if (given.type == JSON_NULL)
            continue;
        buf_clear(&value);
        if (!json_string_add(given, &value))
            buf_add_bytes(&value, given.raw);
        topic_add_token(&d->topic, buf_bytes(&value));
        d->topic.failed |= value.failed; /* also when only `value` could not grow */
    }
    buf_fini(&value);
}

static weir_code check_name(const char *what, bytes name, bool may_be_empty, weir_error *err)
{
    if (!name.len && !may_be_empty)
        return error_set(err, WEIR_INVALID, "%s is empty", what);
    if (!bytes_utf8(name))
        return error_set(err, WEIR_INVALID, "%s '" BYTES_FMT "' is no valid UTF-8", what, BYTES_ARG(name));
    return WEIR_OK;
}

/* A copy of `from` at *at, which moves behind it. */
static bytes place(char **at, bytes from)
{
    bytes copy = {*at, from.len};
    if (from.len)
        memcpy(*at, from.at, from.len);
    *at += from.len;
    return copy;
}

bytes record_name(char out[RECORD_NAME_ROOM], bytes topic, bool has_connection, uint64_t connection)
{
    size_t len = topic.len <= TOPIC_MAX ? topic.len : TOPIC_MAX;
    memcpy(out, topic.at, len);
    out[len] = '\0';
    if (has_connection)
        len += (size_t)snprintf(out + len, RECORD_NAME_ROOM - len, "@%llu", (unsigned long long)connection);
    return bytes_make(out, len);
}

static record_stream *settle(const draft *d, record_pool *pool, const record_key *key)
{
    char room[RECORD_NAME_ROOM];
    bytes name = record_name(room, buf_bytes(&d->topic), key->has_connection, key->connection);
    size_t len = d->shared_len + d->topic.len + 1 + name.len + 1 + key->type.len + key->source.len + key->identifier.len;
    record_stream *s = malloc(sizeof *s + len);
    char *at;

    if (!s)
        return NULL;
    *s = (record_stream){.pool = pool, .refs = 1, .has_connection = key->has_connection, .connection = key->connection};
    at = s->text;
    s->shared = place(&at, bytes_make(d->text.at, d->shared_len));
    s->parameters = bytes_make(s->shared.at + d->parameters_at, d->parameters_len);
    s->topic = place(&at, buf_bytes(&d->topic));
    *at++ = '\0';
    s->name = place(&at, name);
    *at++ = '\0';
    s->type = place(&at, key->type);
    s->source = place(&at, key->source);
    s->identifier = place(&at, key->identifier);
    record_pool_ref(pool);
    return s;
}

/* The ceilings of the draft's buffers cannot be reached by names within TOPIC_MAX, so a buffer that
 * failed wanted memory. */
static weir_code draft_stream(draft *d, const record_key *key, weir_error *err)
{
    size_t given = key->type.len + key->source.len + key->identifier.len + key->parameters.len;

    if (given > TOPIC_MAX)
        return error_set(err, WEIR_INVALID, "names and parameters have %zu octets together, at most %d are allowed", given, TOPIC_MAX);
    if (check_name("type", key->type, false, err) || check_name("source", key->source, false, err) ||
        check_name("identifier", key->identifier, true, err) || read_parameters(d, key->parameters, err))
        return err->code;
    write_shared(d, key);
    write_topic(d, key);
    if (d->text.failed || d->topic.failed)
        return error_set(err, WEIR_NOMEM, "out of memory");
    if (d->topic.len > TOPIC_MAX)
        return error_set(err, WEIR_INVALID, "its topic has %zu octets, at most %d are allowed", d->topic.len, TOPIC_MAX);
    return WEIR_OK;
}

weir_code record_stream_new(record_stream **out, record_pool *pool, const record_key *key, weir_error *err)
{
    weir_error own = WEIR_ERROR_INIT;
    draft d = {.count = 0};
    record_stream *s = NULL;

    if (!err)
        err = &own;
    buf_init(&d.text, 16 * TOPIC_MAX);
    buf_init(&d.topic, 16 * TOPIC_MAX);
    buf_init(&d.keys, 16 * TOPIC_MAX);
    weir_code code = draft_stream(&d, key, err);
    if (!code && !(s = settle(&d, pool, key)))
        code = error_set(err, WEIR_NOMEM, "out of memory");
    buf_fini(&d.text);
    buf_fini(&d.topic);
    buf_fini(&d.keys);
    if (code)
        return error_wrap(err, "stream '" BYTES_FMT "." BYTES_FMT "." BYTES_FMT "'", BYTES_ARG(key->type),
                          BYTES_ARG(key->source), BYTES_ARG(key->identifier));
    *out = s;
    return WEIR_OK;
}

record_stream *record_stream_ref(record_stream *s)
{
    s->refs++;
    return s;
}

void record_stream_unref(record_stream *s)
{
    if (!s || --s->refs)
        return;
    record_pool *pool = s->pool;
    free(s);
    record_pool_unref(pool);
}

bytes record_stream_topic(const record_stream *s)
{
    return s->topic;
}

bytes record_stream_name(const record_stream *s)
{
    return s->name;
}

bytes record_stream_type(const record_stream *s)
{
    return s->type;
}

bytes record_stream_source(const record_stream *s)
{
    return s->source;
}

bytes record_stream_identifier(const record_stream *s)
{
    return s->identifier;
}

bytes record_stream_parameters(const record_stream *s)
{
    return s->parameters;
}

bool record_stream_connection(const record_stream *s, uint64_t *out)
{
    if (s->has_connection)
        *out = s->connection;
    return s->has_connection;
}

uint64_t record_stream_seq(const record_stream *s)
{
    return s->seq;
}

void record_stream_resume(record_stream *s, uint64_t seq)
{
    if (seq > s->seq)
        s->seq = seq;
}

record_counts *record_stream_counts(record_stream *s)
{
    return &s->counts;
}

void record_stream_keep(record_stream *s, record_make_whole make, void *arg, size_t depth)
{
    s->make_whole = make;
    s->make_arg = arg;
    s->depth = depth;
}

const void *record_stream_keeper(const record_stream *s, size_t *depth)
{
    if (depth)
        *depth = s->depth;
    return s->make_whole ? s->make_arg : NULL;
}

record *record_stream_whole(record_stream *s, const record *change)
{
    return s->make_whole ? s->make_whole(s->make_arg, change) : NULL;
}
