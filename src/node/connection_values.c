/* A connection's values: which of them are secret, and new ones put among the old.
 *
 * A value that the plugin's form masks or encrypts, or whose name says that it is secret, is kept sealed by the
 * store and never shown again; the others are what anybody may read. */
#include "node/values.h"

#include <stdlib.h>

#include "node/versions.h"
#include "plugin/mask.h"

/* Adds a member, in the place of one of that name. */
static void put_value(buf *out, json key, json value)
{
    if (out->len > 1)
        buf_add_char(out, ',');
    buf_add_bytes(out, key.raw);
    buf_add_char(out, ':');
    buf_add_bytes(out, value.raw);
}

static bool field_is_secret(json fields, json key)
{
    json at, field;
    char *name = json_string_dup(key);
    bool secret = name && mask_is_secret(bytes_of(name));
    if (fields.type == JSON_ARRAY)
        for (json_iter it = json_each(fields); name && json_next(&it, &at, &field);)
            if (json_is(json_member(field, "name"), name))
                secret |= json_member(field, "mask").type == JSON_TRUE || json_member(field, "encrypt").type == JSON_TRUE;
    free(name);
    return secret;
}

json values_fields(const node_plugin *p)
{
    const node_version *v = plugin_version(p, p->active);
    if (!v && p->version_count)
        v = &p->versions[p->version_count - 1];
    return version_member(v, "fields");
}

/* "***" is what a masked value is shown as: the one that is there stays. */
static bool is_mask(json value)
{
    return json_is(value, MASKED);
}

/* The members of `old` that `by` does not name. */
static void keep_old(buf *out, const char *old, json by)
{
    json doc, key, value;
    if (!*old || json_read(&doc, bytes_of(old), NULL))
        return;
    for (json_iter it = json_each(doc); json_next(&it, &key, &value);) {
        char *name = json_string_dup(key);
        json next = json_member(by, name ? name : "");
        if (next.type == JSON_NONE || is_mask(next))
            put_value(out, key, value);
        free(name);
    }
}

/* Config and secrets with the members of `given` in them; a null takes one away. */
weir_code values_merge(const node_connection *c, json given, buf *config, buf *secrets, weir_error *err)
{
    json fields = values_fields(c->plugin), key, value;
    buf_add_char(config, '{');
    buf_add_char(secrets, '{');
    keep_old(config, c->config, given);
    keep_old(secrets, c->secrets, given);
    for (json_iter it = json_each(given); json_next(&it, &key, &value);) {
        if (value.type == JSON_OBJECT || value.type == JSON_ARRAY)
            return error_set(err, WEIR_INVALID, "config: " BYTES_FMT " is an object or a list; a text, a number, true or false would do", BYTES_ARG(key.raw));
        if (value.type != JSON_NULL && !is_mask(value))
            put_value(field_is_secret(fields, key) ? secrets : config, key, value);
    }
    buf_add_char(config, '}');
    buf_add_char(secrets, '}');
    return config->failed || secrets->failed ? error_set(err, WEIR_LIMIT, "config: it is larger than 1 MiB, or memory is out") : WEIR_OK;
}

weir_code connection_config(buf *out, const node_connection *c)
{
    buf_add_text(out, c->config);
    if (*c->secrets && strcmp(c->secrets, "{}") != 0) {
        out->len--; /* its bracket */
        if (out->len > 1)
            buf_add_char(out, ',');
        buf_add_text(out, c->secrets + 1);
    }
    buf_add_char(out, '\0');
    return out->failed ? WEIR_NOMEM : WEIR_OK;
}
