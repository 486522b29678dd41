/* The user's configuration of a plugin.
 *
 * Every value reaches the plugin under its own name and, for a snake_case name, under the camelCase twin,
 * too: published plugins declare the one and read the other. */
#include <ctype.h>
#include <stdlib.h>

#include "base/json.h"
#include "host/inside.h"
#include "plugin/fields.h"

/* "api_key" -> "apiKey". False: no underscore in it. */
static bool twin_of(buf *out, const char *name)
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

/* Both forms of the configuration: all as text, and as the user gave them. */
typedef struct forms {
    buf text, typed;
} forms;

static void put(forms *out, bytes name, json value, const char *text)
{
    buf *both[] = {&out->text, &out->typed};
    for (int i = 0; i < 2; i++) {
        if (both[i]->len > 1)
            buf_add_char(both[i], ',');
        json_put_string(both[i], name);
        buf_add_char(both[i], ':');
    }
    json_put_text(&out->text, text);
    buf_add_bytes(&out->typed, value.raw);
}

weir_code config_take(weir_plugin *p, const char *config_json, weir_error *err)
{
    json doc, key, value;
    forms all;
    buf twin;
    weir_code code = WEIR_OK;
    if (!config_json || !*config_json)
        return WEIR_OK;
    if (json_read(&doc, bytes_of(config_json), err))
        return error_wrap(err, "configuration");
    if (doc.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "configuration: a JSON object of names and values is needed");
    buf_init(&all.text, 1 << 20);
    buf_init(&all.typed, 1 << 20);
    buf_init(&twin, 1 << 16);
    buf_add_char(&all.text, '{');
    buf_add_char(&all.typed, '{');
    for (json_iter it = json_each(doc); !code && json_next(&it, &key, &value);) {
        char *name = json_string_dup(key);
        char *text = value.type == JSON_STRING ? json_string_dup(value) : bytes_dup(value.raw);
        if (!name || !text)
            code = error_set(err, WEIR_INVALID, "configuration: " BYTES_FMT " holds a NUL character, or memory ran out", BYTES_ARG(key.raw));
        else if (value.type == JSON_OBJECT || value.type == JSON_ARRAY)
            code = error_set(err, WEIR_INVALID, "configuration: '%s' is no plain value", name);
        else if (value.type != JSON_NULL) {
            code = manifest_config_set(p->manifest, name, text, err);
            put(&all, bytes_of(name), value, text);
            if (twin_of(&twin, name)) {
                char *other = bytes_dup(buf_bytes(&twin));
                if (!other)
                    code = error_set(err, WEIR_NOMEM, "configuration: out of memory");
                else if (json_member(doc, other).type == JSON_NONE)
                    put(&all, buf_bytes(&twin), value, text);
                free(other);
            }
        }
        free(name);
        free(text);
    }
    buf_add_char(&all.text, '}');
    buf_add_char(&all.typed, '}');
    if (!code && (all.text.failed || all.typed.failed || !(p->config = bytes_dup(buf_bytes(&all.text))) ||
                  !(p->config_typed = bytes_dup(buf_bytes(&all.typed)))))
        code = error_set(err, WEIR_NOMEM, "configuration: out of memory");
    buf_fini(&all.text);
    buf_fini(&all.typed);
    buf_fini(&twin);
    return code;
}

weir_code config_check(weir_plugin *p, bytes fields, weir_error *err)
{
    weir_error why = WEIR_ERROR_INIT;
    json given = {0};
    buf out;
    buf_init(&out, 1 << 20);
    if (p->config_typed)
        json_read(&given, bytes_of(p->config_typed), NULL);
    if (fields_apply(&out, fields, given, &why))
        error_keep(&p->config_wrong, &why);
    char *typed = why.code ? strdup("{}") : bytes_dup(buf_bytes(&out));
    buf_fini(&out);
    if (!typed)
        return error_set(err, WEIR_NOMEM, "configuration: out of memory");
    free(p->config_typed);
    p->config_typed = typed;
    return WEIR_OK;
}
