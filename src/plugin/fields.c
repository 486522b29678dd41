#include "plugin/fields.h"

#include <stdlib.h>

#include "plugin/normal.h"

typedef struct field {
    json name, label, type, required, preset, options;
} field;

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

static weir_code put_field(buf *out, const field *f, json value, buf *text, weir_error *err)
{
    bool required = false;
    json_bool(f->required, &required);
    if (!text_of(value, text) && !text_of(f->preset, text)) {
        if (required)
            return wrong(f, "is required", err);
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

weir_code fields_apply(buf *out, bytes fields, json config, weir_error *err)
{
    json list, key, item, value;
    buf text;
    weir_code code = WEIR_OK;
    if (json_read(&list, fields, err))
        return error_wrap(err, "the plugin's configuration fields");
    if (list.type != JSON_ARRAY && list.type != JSON_NULL)
        return error_set(err, WEIR_INVALID, "the plugin's configuration fields are no list");
    buf_init(&text, 1 << 20);
    buf_add_char(out, '{');
    for (json_iter it = json_each(list); !code && list.type == JSON_ARRAY && json_next(&it, &key, &item);) {
        field f = {json_member(item, "name"), json_member(item, "label"), json_member(item, "type"), json_member(item, "required"), json_member(item, "default"), json_member(item, "options")};
        char *name = json_string_dup(f.name);
        if (name && *name)
            code = put_field(out, &f, json_member(config, name), &text, err);
        free(name);
    }
    for (json_iter it = json_each(config); !code && config.type == JSON_OBJECT && json_next(&it, &key, &value);)
        if (list.type != JSON_ARRAY || !declared(list, key)) {
            buf_add_text(out, out->len > 1 ? "," : "");
            buf_add_bytes(out, key.raw);
            buf_add_char(out, ':');
            buf_add_bytes(out, value.raw);
        }
    buf_add_char(out, '}');
    if (!code && (out->failed || text.failed))
        code = error_set(err, WEIR_NOMEM, "configuration: out of memory");
    buf_fini(&text);
    return code;
}
