/* Manifests.
 *
 * Three forms come in and one goes on: a bare module becomes a manifest of one entry, TOML becomes
 * JSON, and JSON is read strictly: an unknown or doubled key is an error, since a misspelt
 * "allowed_hosts" must not pass unseen. Reading is rare and small; nothing here is hot but
 * manifest_config_get and manifest_allows_host. */
#include "extism/manifest.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/toml.h"
#include "extism/glob.h"

#define MAX_FILE (UINT64_C(1) << 30)
#define DEFAULT_HTTP_BYTES 52428800
#define DEFAULT_VAR_BYTES 1048576

/* ---- Reading keys ---- */

/* One key of an object: its name and what reads its value. `into` is the object being filled. */
typedef struct manifest_key {
    const char *name;
    weir_code (*read)(manifest *m, void *into, const char *where, json value, weir_error *err);
} manifest_key;

static weir_code bad_value(const char *where, const char *key, json value, const char *want, weir_error *err)
{
    return error_set(err, WEIR_INVALID, "manifest: %s\"%s\" is " BYTES_FMT "; it must be %s", where, key, BYTES_ARG(value.raw), want);
}

static weir_code no_memory(weir_error *err)
{
    return error_set(err, WEIR_NOMEM, "manifest: out of memory");
}

static weir_code unknown_key(const manifest_key *keys, size_t count, const char *where, json key, weir_error *err)
{
    char known[200] = "";
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", keys[i].name);
    }
    return error_set(err, WEIR_INVALID, "manifest: %sunknown key " BYTES_FMT "; there are %s", where, BYTES_ARG(key.raw), known);
}

/* Reads an object by its table of keys: each at most once, none unknown. */
static weir_code keys_read(manifest *m, void *into, const manifest_key *keys, size_t count, const char *where, json object, weir_error *err)
{
    uint32_t seen = 0;
    json key, value;
    json_iter it = json_each(object);
    while (json_next(&it, &key, &value)) {
        size_t i = 0;
        while (i < count && !json_is(key, keys[i].name))
            i++;
        if (i == count)
            return unknown_key(keys, count, where, key, err);
        if (seen & UINT32_C(1) << i)
            return error_set(err, WEIR_INVALID, "manifest: %sthe key \"%s\" is there twice", where, keys[i].name);
        seen |= UINT32_C(1) << i;
        if (keys[i].read(m, into, where, value, err))
            return err ? err->code : WEIR_INVALID;
    }
    return WEIR_OK;
}

#define KEY(name)          \
    {                      \
#name, read_##name \
    }
#define READ(name) static weir_code read_##name(manifest *m, void *into, const char *where, json value, weir_error *err)

static weir_code read_text(char **out, const char *where, const char *key, json value, weir_error *err)
{
    if (value.type == JSON_NULL)
        return WEIR_OK;
    if (value.type != JSON_STRING)
        return bad_value(where, key, value, "a string", err);
    free(*out);
    *out = json_string_dup(value);
    if (!*out && memmem(value.raw.at, value.raw.len, "\\u0000", 6))
        return bad_value(where, key, value, "a string without U+0000", err);
    return *out ? WEIR_OK : no_memory(err);
}

static weir_code read_number(uint64_t *out, uint64_t max, const char *where, const char *key, json value, weir_error *err)
{
    uint64_t n;
    if (value.type == JSON_NULL)
        return WEIR_OK;
    if (!json_u64(value, &n) || n > max)
        return bad_value(where, key, value, max == UINT32_MAX ? "a whole number from 0 to 4294967295, or null" : "a whole number from 0 on, or null", err);
    *out = n;
    return WEIR_OK;
}

/* ---- An entry of "wasm" ---- */

READ(path)
{
    (void)m;
    return read_text(&((manifest_module *)into)->path, where, "path", value, err);
}

READ(url)
{
    (void)m;
    return read_text(&((manifest_module *)into)->url, where, "url", value, err);
}

READ(name)
{
    (void)m;
    return read_text(&((manifest_module *)into)->name, where, "name", value, err);
}

READ(hash)
{
    (void)m;
    return read_text(&((manifest_module *)into)->hash, where, "hash", value, err);
}

READ(method)
{
    (void)m;
    return read_text(&((manifest_module *)into)->method, where, "method", value, err);
}

READ(headers)
{
    (void)m;
    manifest_module *module = into;
    json name, text;
    if (value.type != JSON_OBJECT)
        return bad_value(where, "headers", value, "an object of strings", err);
    json_iter it = json_each(value);
    while (json_next(&it, &name, &text))
        if (text.type != JSON_STRING)
            return bad_value(where, "headers", text, "an object of strings", err);
    module->headers = bytes_dup(value.raw);
    return module->headers ? WEIR_OK : no_memory(err);
}

/* {"ptr", "len"}: octets of this process, which only a caller inside it may name. */
static weir_code local_read(manifest_module *module, const char *where, json value, weir_error *err)
{
    uint64_t at = 0, len = 0;
    json key, item;
    json_iter it = json_each(value);
    int seen = 0;
    while (json_next(&it, &key, &item)) {
        uint64_t *out = json_is(key, "ptr") ? &at : json_is(key, "len") ? &len
                                                                        : NULL;
        if (!out || !json_u64(item, out) || seen++ == 2)
            return bad_value(where, "data", value, "base64, or {\"ptr\": address, \"len\": octets}", err);
    }
    if (seen != 2 || (at == 0 && len != 0))
        return bad_value(where, "data", value, "base64, or {\"ptr\": address, \"len\": octets}", err);
    if (len)
        buf_add(&module->data, (const void *)(uintptr_t)at, (size_t)len);
    return module->data.failed ? no_memory(err) : WEIR_OK;
}

READ(data)
{
    manifest_module *module = into;
    buf text;
    if (value.type == JSON_OBJECT && m->local)
        return local_read(module, where, value, err);
    if (value.type != JSON_STRING)
        return bad_value(where, "data", value, "a string of base64; {\"ptr\", \"len\"} works inside one process only", err);
    buf_init(&text, MAX_FILE);
    weir_code code = WEIR_OK;
    if (!json_string_add(value, &text) || text.failed)
        code = no_memory(err);
    else if (text.len == 0)
        code = error_set(err, WEIR_INVALID, "manifest: %s\"data\" is empty", where);
    else if (base64_decode(&module->data, buf_bytes(&text), err))
        code = error_wrap(err, "manifest: %s\"data\"", where);
    buf_fini(&text);
    return !code && module->data.failed ? no_memory(err) : code;
}

static const manifest_key module_keys[] = {KEY(path), KEY(data), KEY(url), KEY(name), KEY(hash), KEY(headers), KEY(method)};

static weir_code module_read(manifest *m, manifest_module *module, const char *where, json value, weir_error *err)
{
    if (value.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "manifest: %sis " BYTES_FMT "; it must be an object with path, data or url", where, BYTES_ARG(value.raw));
    if (keys_read(m, module, module_keys, sizeof module_keys / sizeof *module_keys, where, value, err))
        return err ? err->code : WEIR_INVALID;
    int shapes = (module->path != NULL) + (module->url != NULL) + (module->data.len > 0);
    if (shapes != 1)
        return error_set(err, WEIR_INVALID, "manifest: %s%s of path, data and url; it takes exactly one", where, shapes ? "has several" : "has none");
    if (!module->url && (module->headers || module->method))
        return error_set(err, WEIR_INVALID, "manifest: %s\"headers\" and \"method\" belong to \"url\"", where);
    return WEIR_OK;
}

static weir_code module_add(manifest *m, manifest_module **out, weir_error *err)
{
    manifest_module *grown = realloc(m->modules, (m->module_count + 1) * sizeof *grown);
    if (!grown)
        return no_memory(err);
    m->modules = grown;
    *out = &grown[m->module_count++];
    memset(*out, 0, sizeof **out);
    buf_init(&(*out)->data, MAX_FILE);
    return WEIR_OK;
}

/* The name that the linking sees: an entry without one is "main", and so is the last when no other
 * is. A single entry is main whatever it is called. */
const char *manifest_label(const manifest *m, size_t i)
{
    const char *own = m->modules[i].name ? m->modules[i].name : "main";
    if (m->module_count == 1)
        return "main";
    if (i + 1 < m->module_count)
        return own;
    for (size_t j = 0; j < i; j++)
        if (strcmp(m->modules[j].name ? m->modules[j].name : "main", "main") == 0)
            return own;
    return "main";
}

size_t manifest_main(const manifest *m)
{
    size_t i = 0;
    while (i + 1 < m->module_count && strcmp(manifest_label(m, i), "main") != 0)
        i++;
    return i;
}

weir_code manifest_check_name(const manifest *m, size_t i, weir_error *err)
{
    const char *name = manifest_label(m, i);
    bool twice = strcmp(name, "extism:host/env") == 0;
    for (size_t j = 0; j < i; j++)
        twice |= strcmp(name, manifest_label(m, j)) == 0;
    return twice ? error_set(err, WEIR_INVALID, "Duplicate module name found in Extism manifest: %.200s", name) : WEIR_OK;
}

static weir_code names_check(const manifest *m, weir_error *err)
{
    weir_code code = WEIR_OK;
    for (size_t i = 0; i < m->module_count && !code && !m->local; i++)
        code = manifest_check_name(m, i, err);
    return code;
}

READ(wasm)
{
    (void)into;
    json key, item;
    char place[64];
    if (value.type != JSON_ARRAY)
        return bad_value(where, "wasm", value, "a list of modules", err);
    json_iter it = json_each(value);
    while (json_next(&it, &key, &item)) {
        manifest_module *module;
        snprintf(place, sizeof place, "wasm entry %zu: ", m->module_count + 1);
        if (module_add(m, &module, err) || module_read(m, module, place, item, err))
            return err ? err->code : WEIR_INVALID;
    }
    return names_check(m, err);
}

/* ---- The rest ---- */

READ(max_pages)
{
    (void)into;
    return read_number(&m->max_pages, UINT32_MAX, where, "max_pages", value, err);
}

READ(max_http_response_bytes)
{
    (void)into;
    return read_number(&m->max_http_response_bytes, UINT64_MAX, where, "max_http_response_bytes", value, err);
}

READ(max_var_bytes)
{
    (void)into;
    return read_number(&m->max_var_bytes, UINT64_MAX, where, "max_var_bytes", value, err);
}

static const manifest_key memory_keys[] = {KEY(max_pages), KEY(max_http_response_bytes), KEY(max_var_bytes)};

READ(memory)
{
    if (value.type != JSON_OBJECT)
        return bad_value(where, "memory", value, "an object", err);
    return keys_read(m, into, memory_keys, sizeof memory_keys / sizeof *memory_keys, "memory: ", value, err);
}

READ(config)
{
    (void)into;
    json key, item;
    if (value.type != JSON_OBJECT)
        return bad_value(where, "config", value, "an object of strings", err);
    json_iter it = json_each(value);
    while (json_next(&it, &key, &item)) {
        char *name = NULL, *text = NULL;
        weir_code code = item.type == JSON_STRING ? WEIR_OK : error_set(err, WEIR_INVALID, "manifest: config: " BYTES_FMT " is " BYTES_FMT "; it must be a string", BYTES_ARG(key.raw), BYTES_ARG(item.raw));
        if (!code)
            code = read_text(&name, "config: ", "key", key, err);
        if (!code)
            code = read_text(&text, "config: ", name, item, err);
        if (!code)
            code = manifest_config_set(m, name, text, err);
        free(name);
        free(text);
        if (code)
            return code;
    }
    return WEIR_OK;
}

READ(allowed_hosts)
{
    (void)into;
    json key, item;
    if (value.type == JSON_NULL)
        return WEIR_OK;
    if (value.type != JSON_ARRAY)
        return bad_value(where, "allowed_hosts", value, "a list of host patterns, or null", err);
    json_iter it = json_each(value);
    while (json_next(&it, &key, &item)) {
        if (item.type != JSON_STRING)
            return bad_value(where, "allowed_hosts", item, "a list of host patterns", err);
        char **grown = realloc(m->allowed_hosts, (m->allowed_host_count + 1) * sizeof *grown);
        if (!grown)
            return no_memory(err);
        m->allowed_hosts = grown;
        grown[m->allowed_host_count] = NULL;
        if (read_text(&grown[m->allowed_host_count], where, "allowed_hosts", item, err))
            return err ? err->code : WEIR_INVALID;
        m->allowed_host_count++;
    }
    return WEIR_OK;
}

static manifest_path *path_new(manifest *m)
{
    manifest_path *grown = realloc(m->allowed_paths, (m->allowed_path_count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    m->allowed_paths = grown;
    grown[m->allowed_path_count] = (manifest_path){0};
    return &grown[m->allowed_path_count++];
}

weir_code manifest_path_add(manifest *m, const char *host, const char *guest, bool read_only, weir_error *err)
{
    manifest_path *p = path_new(m);
    if (!p)
        return no_memory(err);
    p->read_only = read_only;
    if ((p->host = strdup(host)) && (p->guest = strdup(guest)))
        return WEIR_OK;
    free(p->host);
    m->allowed_path_count--;
    return no_memory(err);
}

static weir_code path_add(manifest *m, json host, json guest, weir_error *err)
{
    manifest_path *p = path_new(m);
    if (!p)
        return no_memory(err);
    if (guest.type != JSON_STRING)
        return bad_value("allowed_paths: ", "guest path", guest, "a string", err);
    if (read_text(&p->host, "allowed_paths: ", "host path", host, err) || read_text(&p->guest, "allowed_paths: ", "guest path", guest, err))
        return err ? err->code : WEIR_INVALID;
    if (strncmp(p->host, "ro:", 3) == 0) {
        p->read_only = true;
        memmove(p->host, p->host + 3, strlen(p->host) - 2);
    }
    if (!p->host[0] || !p->guest[0])
        return error_set(err, WEIR_INVALID, "manifest: allowed_paths: a path is empty");
    return WEIR_OK;
}

READ(allowed_paths)
{
    (void)into;
    json key, item;
    if (value.type == JSON_NULL)
        return WEIR_OK;
    if (value.type != JSON_OBJECT)
        return bad_value(where, "allowed_paths", value, "an object of host path to guest path, or null", err);
    json_iter it = json_each(value);
    while (json_next(&it, &key, &item))
        if (path_add(m, key, item, err))
            return err ? err->code : WEIR_INVALID;
    return WEIR_OK;
}

READ(timeout_ms)
{
    (void)into;
    return read_number(&m->timeout_ms, UINT64_MAX, where, "timeout_ms", value, err);
}

static const manifest_key manifest_keys[] = {KEY(wasm), KEY(memory), KEY(config), KEY(allowed_hosts), KEY(allowed_paths), KEY(timeout_ms)};

static weir_code manifest_config_put(manifest *m, bytes key, const char *value, weir_error *err);

/* ---- Telling the forms apart ---- */

static bool is_wasm(bytes b)
{
    return b.len >= 4 && memcmp(b.at, "\0asm", 4) == 0;
}

static bytes trim(bytes b)
{
    while (b.len && isspace((unsigned char)*b.at))
        b = bytes_make(b.at + 1, b.len - 1);
    return b;
}

/* Text of a module: a comment after any blanks, or "(module" from the first octet on. */
static bool is_wat(bytes b)
{
    bytes text = trim(b);
    if (bytes_starts(text, BYTES(";;")) || bytes_starts(text, BYTES("(;")))
        return true;
    return b.len && b.at[0] == '(' && bytes_starts(trim(bytes_make(b.at + 1, b.len - 1)), BYTES("module"));
}

static weir_code read_bare(manifest *m, bytes contents, weir_error *err)
{
    manifest_module *module;
    if (module_add(m, &module, err))
        return err ? err->code : WEIR_NOMEM;
    buf_add_bytes(&module->data, contents);
    return module->data.failed ? no_memory(err) : WEIR_OK;
}

static weir_code read_json(manifest *m, bytes text, weir_error *err)
{
    json doc;
    if (json_read(&doc, text, err))
        return error_wrap(err, "manifest");
    if (doc.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "manifest: it is not a JSON object");
    if (keys_read(m, m, manifest_keys, sizeof manifest_keys / sizeof *manifest_keys, "", doc, err))
        return err ? err->code : WEIR_INVALID;
    if (m->module_count == 0)
        return error_set(err, WEIR_INVALID, "No wasm files specified in Extism manifest: \"wasm\" must list at least one, such as {\"path\": \"plugin.wasm\"}");
    return WEIR_OK;
}

static weir_code read_toml(manifest *m, bytes text, weir_error *err)
{
    buf doc;
    buf_init(&doc, MAX_FILE);
    weir_code code = toml_to_json(&doc, text, err);
    code = code ? error_wrap(err, "manifest: neither a wasm module nor JSON, and as TOML it fails") : read_json(m, buf_bytes(&doc), err);
    buf_fini(&doc);
    return code;
}

/* No TOML document begins with "{", so that decides between the two. */
static weir_code read_any(manifest *m, bytes contents, weir_error *err)
{
    if (is_wasm(contents) || !bytes_utf8(contents) || is_wat(contents))
        return read_bare(m, contents, err);
    return bytes_starts(trim(contents), BYTES("{")) ? read_json(m, contents, err) : read_toml(m, contents, err);
}

/* `bare`: it is called a module, so it is read as one, and what it is instead is said by the engine. */
static weir_code manifest_new(manifest **out, weir_error *err)
{
    manifest *m = calloc(1, sizeof *m);
    if (!m)
        return no_memory(err);
    m->max_pages = m->timeout_ms = MANIFEST_NO_LIMIT;
    m->max_http_response_bytes = DEFAULT_HTTP_BYTES;
    m->max_var_bytes = DEFAULT_VAR_BYTES;
    if (!(m->config = map_new())) {
        free(m);
        return no_memory(err);
    }
    *out = m;
    return WEIR_OK;
}

static weir_code read_contents(manifest **out, bytes contents, bool bare, bool local, weir_error *err)
{
    weir_error own = WEIR_ERROR_INIT;
    manifest *m;
    err = err ? err : &own;
    if (manifest_new(&m, err))
        return err->code;
    m->local = local;
    if ((bare ? read_bare(m, contents, err) : read_any(m, contents, err))) {
        manifest_free(m);
        return err->code;
    }
    *out = m;
    return WEIR_OK;
}

weir_code manifest_read(manifest **out, bytes contents, weir_error *err)
{
    return read_contents(out, contents, false, false, err);
}

weir_code manifest_read_local(manifest **out, bytes contents, weir_error *err)
{
    return read_contents(out, contents, false, true, err);
}

weir_code manifest_copy_policy(manifest **out, const manifest *from, bool with_paths, weir_error *err)
{
    manifest *m;
    weir_code code = manifest_new(&m, err);
    if (code)
        return code;
    m->max_pages = from->max_pages;
    m->max_http_response_bytes = from->max_http_response_bytes;
    m->max_var_bytes = from->max_var_bytes;
    m->timeout_ms = from->timeout_ms;
    size_t at = 0;
    bytes key;
    void *value;
    while (!code && map_each(from->config, &at, &key, &value))
        code = manifest_config_put(m, key, value, err);
    m->allowed_hosts = calloc(from->allowed_host_count + 1, sizeof *m->allowed_hosts);
    for (size_t i = 0; !code && i < from->allowed_host_count; i++)
        if (m->allowed_hosts && (m->allowed_hosts[i] = strdup(from->allowed_hosts[i])))
            m->allowed_host_count++;
        else
            code = no_memory(err);
    for (size_t i = 0; !code && with_paths && i < from->allowed_path_count; i++)
        code = manifest_path_add(m, from->allowed_paths[i].host, from->allowed_paths[i].guest, from->allowed_paths[i].read_only, err);
    if (code)
        manifest_free(m);
    else
        *out = m;
    return code;
}

/* Makes the modules' relative paths relative to the manifest's folder. */
static weir_code paths_anchor(manifest *m, const char *path, weir_error *err)
{
    const char *slash = strrchr(path, '/');
    for (size_t i = 0; slash && i < m->module_count; i++) {
        char *own = m->modules[i].path;
        if (!own || own[0] == '/')
            continue;
        size_t folder = (size_t)(slash - path) + 1, len = strlen(own) + 1;
        char *joined = malloc(folder + len);
        if (!joined)
            return no_memory(err);
        memcpy(joined, path, folder);
        memcpy(joined + folder, own, len);
        free(own);
        m->modules[i].path = joined;
    }
    return WEIR_OK;
}

weir_code manifest_open(manifest **out, const char *path, weir_error *err)
{
    buf contents;
    manifest *m = NULL;
    weir_error own = WEIR_ERROR_INIT;
    err = err ? err : &own;
    buf_init(&contents, MAX_FILE);
    weir_code code = file_read(&contents, path, err);
    if (!code) {
        size_t n = strlen(path);
        bool bare = n > 5 && strcmp(path + n - 5, ".wasm") == 0 && !bytes_starts(trim(buf_bytes(&contents)), BYTES("{"));
        code = read_contents(&m, buf_bytes(&contents), bare, false, err);
        if (!code)
            code = paths_anchor(m, path, err);
        if (code)
            code = error_wrap(err, "'%s'", path);
    }
    buf_fini(&contents);
    if (code)
        manifest_free(m);
    else
        *out = m;
    return code;
}

void manifest_free(manifest *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->module_count; i++) {
        manifest_module *module = &m->modules[i];
        free(module->name);
        free(module->path);
        free(module->url);
        free(module->hash);
        free(module->method);
        free(module->headers);
        buf_fini(&module->data);
    }
    free(m->modules);
    for (size_t i = 0; i < m->allowed_host_count; i++)
        free(m->allowed_hosts[i]);
    free(m->allowed_hosts);
    for (size_t i = 0; i < m->allowed_path_count; i++) {
        free(m->allowed_paths[i].host);
        free(m->allowed_paths[i].guest);
    }
    free(m->allowed_paths);
    size_t at = 0;
    bytes key;
    void *value;
    while (m->config && map_each(m->config, &at, &key, &value))
        free(value);
    if (m->config)
        map_free(m->config);
    free(m);
}

weir_code manifest_load(manifest *m, size_t i, weir_error *err)
{
    manifest_module *module = &m->modules[i];
    char found[DIGEST_HEX];
    if (module->data.len == 0 && module->url)
        return error_set(err, WEIR_UNSUPPORTED, "module '%s': it must be fetched first", module->url);
    if (module->data.len == 0 && module->path && file_read(&module->data, module->path, err)) {
        weir_code code = error_wrap(err, "Unable to load Wasm file");
        buf_clear(&module->data);
        return code;
    }
    if (!module->hash)
        return WEIR_OK;
    digest_sha256(found, buf_bytes(&module->data));
    if (strcasecmp(found, module->hash) != 0)
        return error_set(err, WEIR_INVALID, "Hash mismatch, found %s but expected %.80s", found, module->hash);
    return WEIR_OK;
}

/* ---- Asking it ---- */

static weir_code manifest_config_put(manifest *m, bytes key, const char *value, weir_error *err)
{
    void *old = NULL;
    char *copy = strdup(value);
    if (!copy || !map_set(m->config, key, copy, &old)) {
        free(copy);
        return error_set(err, WEIR_NOMEM, "config '" BYTES_FMT "': out of memory", BYTES_ARG(key));
    }
    free(old);
    return WEIR_OK;
}

weir_code manifest_config_set(manifest *m, const char *key, const char *value, weir_error *err)
{
    if (value)
        return manifest_config_put(m, bytes_of(key), value, err);
    free(map_remove(m->config, bytes_of(key)));
    return WEIR_OK;
}

const char *manifest_config_get(const manifest *m, bytes key)
{
    return map_get(m->config, key);
}

bool manifest_allows_host(const manifest *m, bytes host)
{
    for (size_t i = 0; i < m->allowed_host_count; i++)
        if (glob_match(bytes_of(m->allowed_hosts[i]), host))
            return true;
    return false;
}
