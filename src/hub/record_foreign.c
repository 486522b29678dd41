/* Records that another program made: their lines are kept as they are, what they say of themselves is read from them.
 *
 * The line is foreign octets: what does not fit (another stream's, no JSON, no number where one belongs) is refused with a text. */
#include "base/json.h"
#include "hub/record_impl.h"

static bool time_of(json v, uint64_t *out)
{
    return v.type == JSON_NONE || v.type == JSON_NULL || json_text_u64(v, out);
}

static int named(json v, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (json_is(v, names[i]))
            return i;
    return -1;
}

static int cause_of(json v)
{
    static const char *const names[] = {
#define X(name, text) text,
        RECORD_GAP_CAUSES(X)
#undef X
    };
    return named(v, names, sizeof names / sizeof *names);
}

static int state_of(json v)
{
    static const char *const names[] = {
#define X(name, text) text,
        RECORD_STATES(X)
#undef X
    };
    return named(v, names, sizeof names / sizeof *names);
}

typedef struct parts {
    json seq, kind, ts_event, ts_recv, ts_out, from, to, cause, state, backfill, data;
} parts;

static weir_code fill(record *r, const parts *p, weir_error *err)
{
    static const char *const kinds[] = {"data", "gap", "status"};
    int kind = named(p->kind, kinds, 3), which = 0;
    if (kind < 0 || (p->seq.type != JSON_NONE && !json_text_u64(p->seq, &r->seq)) || !time_of(p->ts_out, &r->ts_out))
        return error_set(err, WEIR_INVALID, "no record: its kind, seq or ts_out makes no sense");
    r->kind = (uint8_t)kind;
    if (kind == RECORD_DATA && (p->data.type == JSON_NONE || !r->seq || !time_of(p->ts_event, &r->ts_event) || !time_of(p->ts_recv, &r->ts_recv)))
        return error_set(err, WEIR_INVALID, "no record: a data record without data, seq or sensible times");
    if (kind == RECORD_GAP && ((which = cause_of(p->cause)) < 0 || !time_of(p->from, &r->ts_event) || !time_of(p->to, &r->ts_recv)))
        return error_set(err, WEIR_INVALID, "no record: a gap without a cause or sensible times");
    if (kind == RECORD_STATUS && (which = state_of(p->state)) < 0)
        return error_set(err, WEIR_INVALID, "no record: a status of no known state");
    r->cause = kind == RECORD_GAP ? (uint8_t)which : 0;
    r->state = kind == RECORD_STATUS ? (uint8_t)which : 0;
    r->backfill = p->backfill.type == JSON_TRUE;
    return WEIR_OK;
}

weir_code record_foreign_new(record **out, record_stream *s, bytes line, weir_error *err)
{
    parts p;
    const json_field fields[] = {{"seq", &p.seq}, {"kind", &p.kind}, {"ts_event", &p.ts_event}, {"ts_recv", &p.ts_recv}, {"ts_out", &p.ts_out}, {"from", &p.from}, {"to", &p.to}, {"cause", &p.cause}, {"state", &p.state}, {"backfill", &p.backfill}, {"data", &p.data}};
    if (line.len && memchr(line.at, '\n', line.len))
        return error_set(err, WEIR_INVALID, "a record's line holds a line break");
    if (json_read_fields(line, fields, sizeof fields / sizeof *fields, err))
        return error_wrap(err, "a record's line");
    const char *shared = memmem(line.at, line.len, s->shared.at, s->shared.len);
    if (!shared || (p.data.type != JSON_NONE && shared > p.data.raw.at))
        return error_set(err, WEIR_INVALID, "a record's line is of another stream than '%s'", s->topic.at);
    record *r = record_pool_take(s->pool, line.len + 1);
    if (!r)
        return error_set(err, WEIR_NOMEM, "out of memory");
    uint8_t size_class = r->size_class;
    *r = (record){.stream = s, .refs = 1, .size_class = size_class, .foreign = true};
    if (fill(r, &p, err)) {
        record_pool_give(s->pool, r);
        return err->code;
    }
    char *at = (char *)(r + 1);
    memcpy(at, line.at, line.len);
    at[line.len] = '\n';
    r->line = bytes_make(at, line.len);
    if (r->kind == RECORD_DATA)
        r->data = bytes_make(at + (p.data.raw.at - line.at), p.data.raw.len);
    record_stream_ref(s);
    if (r->seq && !(r->kind == RECORD_GAP && r->cause == RECORD_GAP_SLOW_READER))
        record_stream_resume(s, r->seq);
    *out = r;
    return WEIR_OK;
}

weir_code record_foreign_key(record_key *key, bytes line, weir_error *err)
{
    json type, source, identifier, parameters, connection;
    const json_field fields[] = {{"type", &type}, {"source", &source}, {"identifier", &identifier}, {"parameters", &parameters}, {"connection", &connection}};
    *key = (record_key){.has_connection = false};
    if (json_read_fields(line, fields, 5, err))
        return error_wrap(err, "a record's line");
    if (!json_string_slice(type, &key->type) || !json_string_slice(source, &key->source) || !json_string_slice(identifier, &key->identifier) || parameters.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "a record's line does not say whose it is");
    key->parameters = parameters.raw;
    key->has_connection = json_u64(connection, &key->connection);
    return WEIR_OK;
}
