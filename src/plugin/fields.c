#include "plugin/fields.h"

#include <ctype.h>
#include <stdlib.h>

#include "plugin/normal.h"

typedef struct field {
    json name, label, type, required, preset, options;
} field;

/* The fields that are required and missing: their names for the sentence, and how to give them. */
typedef struct missing {
    size_t count;
    buf names, cure;
} missing;

bool fields_twin(buf *out, const char *name)
{
    bool twin = false;
    buf_clear(out);
    for (const char *c = name; *c; c++)
        if (*c == '_' && c[1] && c != name) {
            buf_add_char(out, (char)toupper((unsigned char)*++c));
            twin = true;
        } else {
            buf_add_char(out, *c);
        }
    return twin;
}

static void add_missing(missing *m, const field *f)
{
    bytes name = {0}, label = {0};
    json_string_slice(f->name, &name);
    json_string_slice(f->label, &label);
    buf_add_fmt(&m->names, "%s'" BYTES_FMT "'", m->count++ ? ", " : "", BYTES_ARG(name));
    if (label.len && !bytes_equal(label, name))
        buf_add_fmt(&m->names, " (" BYTES_FMT ")", BYTES_ARG(label));
    buf_add_fmt(&m->cure, " --config " BYTES_FMT "=VALUE", BYTES_ARG(name));
}

static weir_code wrong(const field *f, const char *what, weir_error *err)
{
    bytes name = {0}, label = {0};
    json_string_slice(f->name, &name);
    json_string_slice(f->label, &label);
    return error_set(err, WEIR_INVALID, "configuration: '" BYTES_FMT "'%s" BYTES_FMT "%s %s; --config " BYTES_FMT "=VALUE",
                     BYTES_ARG(name), label.len ? " (" : "", BYTES_ARG(label), label.len ? ")" : "", what, BYTES_ARG(name));
}

/* A scalar's text: a string's characters, anything else as written. */
static bool text_of(json value, buf *out)
{
    buf_clear(out);
    if (value.type == JSON_STRING)
        json_string_add(value, out);
    else if (value.type != JSON_NONE && value.type != JSON_NULL)
        buf_add_bytes(out, value.raw);
    return out->len > 0;
}

static weir_code put_number(buf *out, const field *f, bytes text, weir_error *err)
{
    double value, min, max;
    bytes digits;
    json number = {JSON_NUMBER, text};
    if (!normal_decimal(number, &digits) || !json_f64(number, &value))
        return wrong(f, "is a number, and the value given is none", err);
    if (json_f64(json_member(f->options, "min"), &min) && value < min)
        return wrong(f, "is given a number that is too small", err);
    if (json_f64(json_member(f->options, "max"), &max) && value > max)
        return wrong(f, "is given a number that is too large", err);
    buf_add_bytes(out, text);
    return WEIR_OK;
}

static weir_code put_boolean(buf *out, const field *f, bytes text, weir_error *err)
{
    static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0", "no", "off"};
    for (int i = 0; i < 4; i++)
        if (bytes_is(text, yes[i]) || bytes_is(text, no[i])) {
            buf_add_text(out, bytes_is(text, yes[i]) ? "true" : "false");
            return WEIR_OK;
        }
    return wrong(f, "is true or false", err);
}

/* A list of choices: text, or objects with a "value". No list: anything goes. */
static bool chosen(const field *f, bytes text)
{
    json list = f->options.type == JSON_ARRAY ? f->options : json_member(f->options, "choices"), key, item;
    char *word = bytes_dup(text);
    bool found = list.type != JSON_ARRAY || !word;
    for (json_iter it = json_each(list); !found && list.type == JSON_ARRAY && json_next(&it, &key, &item);)
        found = json_is(item.type == JSON_OBJECT ? json_member(item, "value") : item, word);
    free(word);
    return found;
}

static weir_code put_field(buf *out, const field *f, json value, buf *text, missing *m, weir_error *err)
{
    bool required = false;
    json_bool(f->required, &required);
    if (!text_of(value, text) && !text_of(f->preset, text)) {
        if (required)
            add_missing(m, f);
        return WEIR_OK;
    }
    buf_add_text(out, out->len > 1 ? "," : "");
    buf_add_bytes(out, f->name.raw);
    buf_add_char(out, ':');
    if (json_is(f->type, "number"))
        return put_number(out, f, buf_bytes(text), err);
    if (json_is(f->type, "boolean"))
        return put_boolean(out, f, buf_bytes(text), err);
    if (!chosen(f, buf_bytes(text)))
        return wrong(f, "is none of the choices", err);
    json_put_string(out, buf_bytes(text));
    return WEIR_OK;
}

static bool declared(json list, json name)
{
    json key, item;
    char *word = json_string_dup(name);
    bool found = false;
    for (json_iter it = json_each(list); word && !found && json_next(&it, &key, &item);)
        found = json_is(json_member(item, "name"), word);
    free(word);
    return found;
}

/* What the user gave for a field, under its name or its twin. */
static json given(json config, const char *name, buf *twin)
{
    json value = json_member(config, name);
    if (value.type != JSON_NONE || !fields_twin(twin, name))
        return value;
    buf_add_char(twin, '\0');
    return twin->failed ? value : json_member(config, twin->at);
}

static weir_code put_declared(buf *out, json list, json config, missing *m, weir_error *err)
{
    json key, item;
    buf text;
    weir_code code = WEIR_OK;
    buf_init(&text, 1 << 20);
    for (json_iter it = json_each(list); !code && json_next(&it, &key, &item);) {
        field f = {json_member(item, "name"), json_member(item, "label"), json_member(item, "type"), json_member(item, "required"), json_member(item, "default"), json_member(item, "options")};
        char *name = json_string_dup(f.name);
        if (name && *name)
            code = put_field(out, &f, given(config, name, &text), &text, m, err);
        free(name);
    }
    if (!code && (text.failed || m->names.failed || m->cure.failed))
        code = error_set(err, WEIR_NOMEM, "configuration: out of memory");
    buf_fini(&text);
    return code;
}

weir_code fields_apply(buf *out, bytes fields, json config, weir_error *err)
{
    json list, key, value;
    missing m = {0};
    weir_code code = WEIR_OK;
    if (json_read(&list, fields, err))
        return error_wrap(err, "the plugin's configuration fields");
    if (list.type != JSON_ARRAY && list.type != JSON_NULL)
        return error_set(err, WEIR_INVALID, "the plugin's configuration fields are no list");
    buf_init(&m.names, 1 << 20);
    buf_init(&m.cure, 1 << 20);
    buf_add_char(out, '{');
    if (list.type == JSON_ARRAY)
        code = put_declared(out, list, config, &m, err);
    for (json_iter it = json_each(config); !code && config.type == JSON_OBJECT && json_next(&it, &key, &value);)
        if (list.type != JSON_ARRAY || !declared(list, key)) {
            buf_add_text(out, out->len > 1 ? "," : "");
            buf_add_bytes(out, key.raw);
            buf_add_char(out, ':');
            buf_add_bytes(out, value.raw);
        }
    buf_add_char(out, '}');
    if (!code && out->failed)
        code = error_set(err, WEIR_NOMEM, "configuration: out of memory");
    if (!code && m.count)
        code = error_set(err, WEIR_NOT_FOUND, "configuration: %.*s %s required;%.*s", (int)m.names.len, m.names.at, m.count > 1 ? "are" : "is", (int)m.cure.len, m.cure.at);
    buf_fini(&m.names);
    buf_fini(&m.cure);
    return code;
}
