#include "plugin/meta.h"

#include <stdlib.h>

#include "base/json.h"

static weir_code text_member(char **out, json value, const char *name, bool required, weir_error *err)
{
    if (value.type == JSON_STRING) {
        *out = json_string_dup(value);
        if (*out && (**out || !required))
            return WEIR_OK;
        if (!*out)
            return error_set(err, WEIR_INVALID, "\"%s\" holds a NUL character, or memory ran out", name);
    } else if (value.type != JSON_NONE && value.type != JSON_NULL) {
        return error_set(err, WEIR_INVALID, "\"%s\" is " BYTES_FMT "; it is text", name, BYTES_ARG(value.raw));
    }
    if (required)
        return error_set(err, WEIR_INVALID, "\"%s\" is missing or empty; every plugin needs one", name);
    free(*out);
    *out = strdup("");
    return *out ? WEIR_OK : error_set(err, WEIR_NOMEM, "out of memory");
}

/* A list of strings, or of objects whose member `of` is one; null and absent are an empty list. */
static weir_code list_member(char ***out, size_t *count, json value, const char *name, const char *of, weir_error *err)
{
    json key, item;
    size_t n = 0;
    if (value.type == JSON_NONE || value.type == JSON_NULL)
        return WEIR_OK;
    if (value.type != JSON_ARRAY)
        return error_set(err, WEIR_INVALID, "\"%s\" is no list", name);
    for (json_iter it = json_each(value); json_next(&it, &key, &item);)
        n++;
    *out = calloc(n ? n : 1, sizeof **out);
    if (!*out)
        return error_set(err, WEIR_NOMEM, "out of memory");
    for (json_iter it = json_each(value); json_next(&it, &key, &item); ++*count) {
        if (of)
            item = json_member(item, of);
        if (!((*out)[*count] = json_string_dup(item)))
            return error_set(err, WEIR_INVALID, "\"%s\" entry %zu is no text", name, *count + 1);
    }
    return WEIR_OK;
}

/* An object of texts, host's folder to guest's. */
static weir_code folders_member(meta *m, json value, weir_error *err)
{
    json key, item;
    size_t n = 0;
    if (value.type == JSON_NONE || value.type == JSON_NULL)
        return WEIR_OK;
    if (value.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "\"fsWriteAccess\" is " BYTES_FMT "; it is an object of folders", BYTES_ARG(value.raw));
    for (json_iter it = json_each(value); json_next(&it, &key, &item);)
        n++;
    if (!(m->folders = calloc(n ? n : 1, sizeof *m->folders)))
        return error_set(err, WEIR_NOMEM, "out of memory");
    for (json_iter it = json_each(value); json_next(&it, &key, &item);) {
        meta_folder *f = &m->folders[m->folder_count++];
        if (!(f->host = json_string_dup(key)) || !(f->guest = json_string_dup(item)) || !*f->guest)
            return error_set(err, WEIR_INVALID, "\"fsWriteAccess\" entry %zu is no text, or is empty", m->folder_count);
    }
    return WEIR_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

weir_code meta_read(meta **out, bytes text, weir_error *err)
{
    json id, name, app, version, category, resources, features;
    const json_field want[] = {{"pluginId", &id}, {"name", &name}, {"appId", &app}, {"version", &version}, {"category", &category}, {"resources", &resources}, {"features", &features}};
    meta *m;
    if (json_read_fields(text, want, 7, err))
        return error_wrap(err, "meta");
    m = calloc(1, sizeof *m);
    if (!m || !(m->json = bytes_dup(text))) {
        meta_free(m);
        return error_set(err, WEIR_NOMEM, "meta: out of memory");
    }
    if (text_member(&m->plugin_id, id, "pluginId", true, err) || text_member(&m->name, name, "name", false, err) ||
        text_member(&m->app_id, app, "appId", false, err) || text_member(&m->version, version, "version", true, err) ||
        text_member(&m->category, category, "category", false, err) ||
        list_member(&m->targets, &m->target_count, json_member(resources, "allowedNetworkTargets"), "allowedNetworkTargets", "pattern", err) ||
        folders_member(m, json_member(resources, "fsWriteAccess"), err) ||
        list_member(&m->features, &m->feature_count, features, "features", NULL, err)) {
        meta_free(m);
        return error_wrap(err, "meta");
    }
    if (m->feature_count)
        qsort(m->features, m->feature_count, sizeof *m->features, by_text);
    *out = m;
    return WEIR_OK;
}

static void list_free(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

void meta_free(meta *m)
{
    if (!m)
        return;
    list_free(m->targets, m->target_count);
    list_free(m->features, m->feature_count);
    for (size_t i = 0; i < m->folder_count; i++) {
        free(m->folders[i].host);
        free(m->folders[i].guest);
    }
    free(m->folders);
    free(m->json);
    free(m->plugin_id);
    free(m->name);
    free(m->app_id);
    free(m->version);
    free(m->category);
    free(m);
}

bytes meta_stream_type(const char *feature)
{
    static const char *const ends[] = {"_stream", "Stream"};
    size_t len = strlen(feature);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end = strlen(ends[i]);
        if (len > end && !strcmp(feature + len - end, ends[i]))
            return bytes_make(feature, len - end);
    }
    return bytes_make(feature, 0);
}
