/* The user's configuration of a plugin.
 *
 * It is taken as given, checked against the plugin's own list of fields, and brought into the form that the
 * plugin's generation reads: all values as text, or typed. Every value reaches the plugin under its own name and,
 * for a snake_case name, under the camelCase twin, too: published plugins declare the one and read the other. */
#include <stdlib.h>

#include "base/json.h"
#include "host/inside.h"
#include "plugin/fields.h"

/* One plain value: into the manifest, for Extism's config_get, and into what the fields are held against. */
static weir_code take_one(weir_plugin *p, buf *given, json key, json value, weir_error *err)
{
    char *name = json_string_dup(key);
    char *text = value.type == JSON_STRING ? json_string_dup(value) : bytes_dup(value.raw);
    weir_code code = WEIR_OK;
    if (!name || !text)
        code = error_set(err, WEIR_INVALID, "configuration: " BYTES_FMT " holds a NUL character, or memory ran out", BYTES_ARG(key.raw));
    else if (value.type == JSON_OBJECT || value.type == JSON_ARRAY)
        code = error_set(err, WEIR_INVALID, "configuration: '%s' is no plain value", name);
    else if (value.type != JSON_NULL && !(code = manifest_config_set(p->manifest, name, text, err))) {
        buf_add_text(given, given->len > 1 ? "," : "");
        buf_add_bytes(given, key.raw);
        buf_add_char(given, ':');
        buf_add_bytes(given, value.raw);
    }
    free(name);
    free(text);
    return code;
}

/* What an earlier configuration put into the manifest. */
static void forget(weir_plugin *p)
{
    json doc, key, value;
    if (!p->config_given || json_read(&doc, bytes_of(p->config_given), NULL))
        return;
    for (json_iter it = json_each(doc); json_next(&it, &key, &value);) {
        char *name = json_string_dup(key);
        if (name)
            manifest_config_set(p->manifest, name, NULL, NULL);
        free(name);
    }
}

weir_code config_take(weir_plugin *p, const char *config_json, weir_error *err)
{
    json doc = {JSON_NULL, BYTES("null")}, key, value;
    buf given;
    weir_code code = WEIR_OK;
    if (config_json && *config_json) {
        if (json_read(&doc, bytes_of(config_json), err))
            return error_wrap(err, "configuration");
        if (doc.type != JSON_OBJECT)
            return error_set(err, WEIR_INVALID, "configuration: a JSON object of names and values is needed");
    }
    forget(p);
    buf_init(&given, 1 << 20);
    buf_add_char(&given, '{');
    for (json_iter it = json_each(doc); !code && doc.type == JSON_OBJECT && json_next(&it, &key, &value);)
        code = take_one(p, &given, key, value, err);
    buf_add_char(&given, '}');
    free(p->config_given);
    p->config_given = doc.type == JSON_OBJECT && !code ? bytes_dup(buf_bytes(&given)) : NULL;
    if (!code && doc.type == JSON_OBJECT && (given.failed || !p->config_given))
        code = error_set(err, WEIR_NOMEM, "configuration: out of memory");
    buf_fini(&given);
    return code ? code : config_build(p, err);
}

/* ---- The forms that generations read ---- */

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

/* A value, and its twin unless that has one of its own. */
static weir_code put_with_twin(forms *out, json doc, json key, json value, buf *twin, weir_error *err)
{
    char *name = json_string_dup(key);
    char *text = value.type == JSON_STRING ? json_string_dup(value) : bytes_dup(value.raw);
    weir_code code = name && text ? WEIR_OK : error_set(err, WEIR_NOMEM, "configuration: out of memory");
    if (!code) {
        put(out, bytes_of(name), value, text);
        if (fields_twin(twin, name)) {
            buf_add_char(twin, '\0');
            if (!twin->failed && json_member(doc, twin->at).type == JSON_NONE)
                put(out, bytes_of(twin->at), value, text);
        }
    }
    free(name);
    free(text);
    return code;
}

static weir_code set_forms(weir_plugin *p, json doc, weir_error *err)
{
    json key, value;
    forms all;
    buf twin;
    weir_code code = WEIR_OK;
    buf_init(&all.text, 1 << 20);
    buf_init(&all.typed, 1 << 20);
    buf_init(&twin, 1 << 16);
    buf_add_char(&all.text, '{');
    buf_add_char(&all.typed, '{');
    for (json_iter it = json_each(doc); !code && json_next(&it, &key, &value);)
        code = put_with_twin(&all, doc, key, value, &twin, err);
    buf_add_char(&all.text, '}');
    buf_add_char(&all.typed, '}');
    char *text = code ? NULL : bytes_dup(buf_bytes(&all.text)), *typed = code ? NULL : bytes_dup(buf_bytes(&all.typed));
    if (!code && (all.text.failed || all.typed.failed || twin.failed || !text || !typed))
        code = error_set(err, WEIR_NOMEM, "configuration: out of memory");
    if (code) {
        free(text);
        free(typed);
    } else {
        free(p->config);
        free(p->config_typed);
        p->config = text;
        p->config_typed = typed;
    }
    buf_fini(&all.text);
    buf_fini(&all.typed);
    buf_fini(&twin);
    return code;
}

weir_code config_build(weir_plugin *p, weir_error *err)
{
    weir_error why = WEIR_ERROR_INIT;
    json given = {0}, doc;
    buf out;
    weir_code code = WEIR_OK;
    mask *secrets = NULL;
    if (mask_new(&secrets, bytes_of(p->config_given), bytes_of(p->fields), err))
        return WEIR_NOMEM;
    mask_free(p->mask);
    p->mask = secrets;
    error_keep(&p->config_wrong, NULL);
    if (p->config_given)
        json_read(&given, bytes_of(p->config_given), NULL);
    buf_init(&out, 1 << 20);
    if (fields_apply(&out, p->fields ? bytes_of(p->fields) : BYTES("null"), given, &why)) {
        if (why.code == WEIR_NOMEM)
            code = error_set(err, WEIR_NOMEM, "%s", why.text);
        error_keep(&p->config_wrong, &why);
        buf_clear(&out);
        buf_add_text(&out, "{}");
    }
    if (!code && (out.failed || json_read(&doc, buf_bytes(&out), err)))
        code = error_set(err, WEIR_NOMEM, "configuration: out of memory");
    if (!code && !p->config_given && bytes_is(buf_bytes(&out), "{}")) { /* nothing to say */
        free(p->config);
        free(p->config_typed);
        p->config = p->config_typed = NULL;
    } else if (!code) {
        code = set_forms(p, doc, err);
    }
    buf_fini(&out);
    return code;
}

const char *weir_plugin_fields(const weir_plugin *p)
{
    return p->fields ? p->fields : "[]";
}
