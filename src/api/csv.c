#include "api/csv.h"

#include "base/json.h"

#define NAMES_MAX (64u * 1024u)

static const char *const fixed[] = {"seq", "kind", "type", "source", "identifier", "parameters", "connection", "ts_event", "ts_recv",
                                    "ts_out", "backfill", "cause", "state", "why", "from", "to", "count", "from_seq", "to_seq"};
#define FIXED (sizeof fixed / sizeof *fixed)

void csv_init(csv *c)
{
    *c = (csv){.count = 0};
    buf_init(&c->names, NAMES_MAX);
}

void csv_fini(csv *c)
{
    buf_fini(&c->names);
}

static void put_cell(buf *out, bytes text)
{
    bool plain = true;
    for (size_t i = 0; i < text.len && plain; i++)
        plain = text.at[i] != ',' && text.at[i] != '"' && text.at[i] != '\n' && text.at[i] != '\r';
    if (plain) {
        buf_add_bytes(out, text);
        return;
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"')
            buf_add_char(out, '"');
        buf_add_char(out, text.at[i]);
    }
    buf_add_char(out, '"');
}

/* Texts without quotes, null as nothing, all else as the JSON it is. */
static void put_value(buf *out, json value)
{
    buf text;
    if (value.type == JSON_NONE || value.type == JSON_NULL)
        return;
    if (value.type != JSON_STRING) {
        put_cell(out, value.raw);
        return;
    }
    buf_init(&text, value.raw.len + 16);
    json_string_add(value, &text);
    put_cell(out, buf_bytes(&text));
    out->failed |= text.failed;
    buf_fini(&text);
}

/* The members of the first data there is give the columns their names. */
static void put_head(csv *c, bytes lines, buf *out)
{
    json data = {JSON_NONE, {NULL, 0}}, key, value;
    json_field want[] = {{"data", &data}};
    while (lines.len && data.type != JSON_OBJECT) {
        const char *end = memchr(lines.at, '\n', lines.len);
        size_t len = end ? (size_t)(end - lines.at) : lines.len;
        json_read_fields(bytes_make(lines.at, len), want, 1, NULL);
        lines = end ? bytes_make(end + 1, lines.len - len - 1) : bytes_make(NULL, 0);
    }
    for (json_iter it = json_each(data); data.type == JSON_OBJECT && json_next(&it, &key, &value); c->count++) {
        json_string_add(key, &c->names);
        buf_add_char(&c->names, '\0');
    }
    if (c->names.failed) /* too many, or no memory: then all of it is in "more" */
        c->count = 0;
    for (size_t i = 0; i < FIXED; i++) {
        buf_add_text(out, i ? "," : "");
        buf_add_text(out, fixed[i]);
    }
    for (size_t i = 0, at = 0; i < c->count; i++, at += strlen(c->names.at + at) + 1) {
        buf_add_text(out, ",data.");
        put_cell(out, bytes_of(c->names.at + at));
    }
    buf_add_text(out, ",more\r\n");
    c->headed = true;
}

static bool has_column(const csv *c, json key)
{
    size_t at = 0;
    for (size_t i = 0; i < c->count; i++, at += strlen(c->names.at + at) + 1)
        if (json_is(key, c->names.at + at))
            return true;
    return false;
}

/* What of the data has no column, as an object. */
static void put_more(const csv *c, json data, buf *out)
{
    json key, value;
    buf more;
    buf_init(&more, data.raw.len + 16);
    for (json_iter it = json_each(data); data.type == JSON_OBJECT && json_next(&it, &key, &value);) {
        if (has_column(c, key))
            continue;
        buf_add_char(&more, more.len ? ',' : '{');
        buf_add_bytes(&more, key.raw);
        buf_add_char(&more, ':');
        buf_add_bytes(&more, value.raw);
    }
    if (more.len)
        buf_add_char(&more, '}');
    put_cell(out, buf_bytes(&more));
    out->failed |= more.failed;
    buf_fini(&more);
}

static void put_row(csv *c, bytes line, buf *out)
{
    json values[FIXED], data;
    json_field want[FIXED + 1];
    for (size_t i = 0; i < FIXED; i++)
        want[i] = (json_field){fixed[i], &values[i]};
    want[FIXED] = (json_field){"data", &data};
    if (json_read_fields(line, want, FIXED + 1, NULL))
        return;
    for (size_t i = 0; i < FIXED; i++) {
        buf_add_text(out, i ? "," : "");
        put_value(out, values[i]);
    }
    for (size_t i = 0, at = 0; i < c->count; i++, at += strlen(c->names.at + at) + 1) {
        buf_add_char(out, ',');
        put_value(out, json_member(data, c->names.at + at));
    }
    buf_add_char(out, ',');
    put_more(c, data, out);
    buf_add_text(out, "\r\n");
}

void csv_write(csv *c, bytes lines, buf *out)
{
    if (!c->headed)
        put_head(c, lines, out);
    while (lines.len) {
        const char *end = memchr(lines.at, '\n', lines.len);
        size_t len = end ? (size_t)(end - lines.at) : lines.len;
        put_row(c, bytes_make(lines.at, len), out);
        lines = end ? bytes_make(end + 1, lines.len - len - 1) : bytes_make(NULL, 0);
    }
}
