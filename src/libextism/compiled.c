/* From a manifest to code that plugins share: load, compile, link.
 *
 * Linking is checked here, before the engine is asked, because programs compare what upstream says about an
 * import that is missing or has another type. The order in which names are looked up is upstream's: modules of the
 * manifest hide host functions, and those hide what Extism and WASI offer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libextism/inside.h"

/* ---- Loading ---- */

/* Upstream's words for a file that cannot be read. */
static weir_code file_error(const char *path, weir_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const char *why = fd >= 0 ? "is a directory" : errno == ENOENT ? "entity not found"
                                               : errno == EACCES   ? "permission denied"
                                                                   : strerror(errno);
    if (fd >= 0)
        close(fd);
    return error_set(err, WEIR_NOT_FOUND, "Unable to load Wasm file \"%.800s\": %s", path, why);
}

static weir_code load_one(ExtismCompiledPlugin *c, size_t i, const char *folder, weir_error *err)
{
    manifest_module *m = &c->manifest->modules[i];
    cache_result cached;
    if (*folder && m->path && !m->hash && m->data.len == 0 && module_known(&c->modules[i], c->engine, m->path, folder))
        return manifest_check_name(c->manifest, i, err);
    weir_code code = m->url ? fetch_module(m, err) : WEIR_OK;
    if (!code && (code = manifest_load(c->manifest, i, err)) && m->path && m->data.len == 0)
        code = file_error(m->path, err);
    if (!code)
        code = *folder ? module_load(&c->modules[i], c->engine, buf_bytes(&m->data), folder, &cached, err)
                       : module_compile(&c->modules[i], c->engine, buf_bytes(&m->data), err);
    buf_fini(&m->data);
    buf_init(&m->data, 0);
    return code ? code : manifest_check_name(c->manifest, i, err);
}

static weir_code load_all(ExtismCompiledPlugin *c, weir_error *err)
{
    buf folder;
    buf_init(&folder, 8192);
    c->modules = calloc(c->manifest->module_count, sizeof *c->modules);
    weir_code code = c->modules ? process_cache(&folder, err) : error_set(err, WEIR_NOMEM, "out of memory");
    for (; !code && c->module_count < c->manifest->module_count; c->module_count++)
        code = load_one(c, c->module_count, folder.at, err);
    buf_fini(&folder);
    if (code)
        return code;
    c->main = manifest_main(c->manifest);
    const module *m = c->modules[c->main];
    c->command = module_find_export(m, "_start") && !module_find_export(m, "_initialize");
    return WEIR_OK;
}

static weir_code compile(ExtismCompiledPlugin *c, bytes wasm, weir_error *err)
{
    weir_code code = manifest_read_local(&c->manifest, wasm, err);
    if (!code && !(c->engine = process_engine(c->fueled, err)))
        code = err->code;
    return code ? code : load_all(c, err);
}

ExtismCompiledPlugin *compiled_new(const uint8_t *wasm, uint64_t size, const ExtismFunction **given, uint64_t count, bool wasi,
                                   const uint64_t *fuel, char **errmsg)
{
    weir_error err = WEIR_ERROR_INIT;
    const char *why = NULL;
    ExtismCompiledPlugin *c = calloc(1, sizeof *c);
    if (!c) {
        text_errmsg(errmsg, "Unable to compile Extism plugin: ", "out of memory");
        return NULL;
    }
    c->refs = 1;
    c->wasi = wasi;
    c->fueled = fuel != NULL;
    c->fuel = fuel ? *fuel : 0;
    pthread_mutex_init(&c->lock, NULL);
    logs_write(LOG_TRACE, "extism::plugin", NULL, "compiling a plugin of %llu octets", (unsigned long long)size);
    if (!functions_take(&c->functions, given, count, &why)) {
        text_errmsg(errmsg, "", why);
    } else if (compile(c, wasm && size ? bytes_make(wasm, size) : bytes_make("", 0), &err)) {
        buf text;
        buf_init(&text, 1 << 16);
        text_translate(&text, err.text);
        buf_add_char(&text, '\0');
        text_errmsg(errmsg, "Unable to compile Extism plugin: ", text.at ? text.at : err.text);
        logs_write(LOG_ERROR, "extism::plugin", NULL, "unable to compile a plugin: %s", err.text);
        buf_fini(&text);
    } else {
        return c;
    }
    compiled_unref(c);
    return NULL;
}

void compiled_unref(ExtismCompiledPlugin *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    if (c->linked)
        linked_free(c->linked);
    for (size_t i = 0; i < c->module_count; i++)
        module_unref(c->modules[i]);
    free(c->modules);
    manifest_free(c->manifest);
    functions_free(&c->functions);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void extism_compiled_plugin_free(ExtismCompiledPlugin *plugin)
{
    compiled_unref(plugin);
}

ExtismCompiledPlugin *extism_compiled_plugin_new(const uint8_t *wasm, ExtismSize wasm_size, const ExtismFunction **functions,
                                                 ExtismSize n_functions, bool with_wasi, char **errmsg)
{
    return compiled_new(wasm, wasm_size, functions, n_functions, with_wasi, NULL, errmsg);
}

ExtismCompiledPlugin *extism_compiled_plugin_new_with_fuel_limit(const uint8_t *wasm, ExtismSize wasm_size, const ExtismFunction **functions,
                                                                 ExtismSize n_functions, bool with_wasi, uint64_t fuel_limit, char **errmsg)
{
    return compiled_new(wasm, wasm_size, functions, n_functions, with_wasi, &fuel_limit, errmsg);
}

/* ---- Linking ---- */

/* The module of the manifest under this name, or the number of modules. */
static size_t module_named(const ExtismCompiledPlugin *c, bytes name)
{
    size_t i = 0;
    while (i < c->module_count && (c->module_count == 1 || !bytes_is(name, manifest_label(c->manifest, i))))
        i++;
    return i;
}

static void host_bind(void *arg, const module_extern *import, binding *out)
{
    const ExtismCompiledPlugin *c = arg;
    function *f = functions_find(&c->functions, import->module, import->name);
    *out = (binding){0};
    if (f) {
        out->fn = function_enter;
        out->env = f;
        snprintf(out->type, sizeof out->type, "%s", function_type(f));
    } else if (c->wasi || !bytes_is(import->module, "wasi_snapshot_preview1")) {
        guest_bind(import, out);
    }
}

static const char *kind_name(extern_kind kind)
{
    static const char *const names[] = {"function", "memory", "global", "table", "tag"};
    return names[kind];
}

/* What upstream's kernel exports beside functions. */
static bool kernel_has(const module_extern *x)
{
    binding b;
    module_extern as_function = *x;
    as_function.kind = EXTERN_FUNC;
    return x->kind != EXTERN_FUNC && (guest_bind(&as_function, &b) || bytes_is(x->name, "memory") || bytes_is(x->name, "extism_context") ||
                                      bytes_is(x->name, "__heap_base") || bytes_is(x->name, "__data_end"));
}

static weir_code import_unknown(const module_extern *x, buf *why)
{
    if (bytes_is(x->module, "extism:host/env") && kernel_has(x)) {
        buf_add_text(why, "linked modules cannot access non-function exports of extism kernel");
    } else if (bytes_is(x->module, "extism:host/env")) {
        buf_add_fmt(why, "Invalid %s import from extism:host/env: " BYTES_FMT, kind_name(x->kind), BYTES_ARG(x->name));
        if (x->kind == EXTERN_MEMORY)
            buf_add_char(why, ' '); /* where upstream has a type, and memories have none */
        if (x->kind == EXTERN_FUNC) {
            buf_add_text(why, " (type ");
            text_functype(why, x->type);
            buf_add_char(why, ')');
        }
        buf_add_text(why, "\n\nNote: This may indicate that the PDK that was used to build this plugin has additional features that aren't "
                          "available in this version of the SDK, try updating the SDK to the latest version.");
    } else {
        buf_add_fmt(why, "unknown import: `" BYTES_FMT "::" BYTES_FMT "` has not been defined", BYTES_ARG(x->module), BYTES_ARG(x->name));
    }
    return WEIR_INVALID;
}

static weir_code import_mistyped(const module_extern *x, const char *offered, buf *why)
{
    buf_add_text(why, "types incompatible: expected type `");
    text_functype(why, x->type);
    buf_add_text(why, "`, found type `");
    text_functype(why, offered);
    buf_add_fmt(why, "`\nimport `" BYTES_FMT "::" BYTES_FMT "`", BYTES_ARG(x->module), BYTES_ARG(x->name));
    return WEIR_INVALID;
}

static weir_code import_check(ExtismCompiledPlugin *c, const module_extern *x, buf *why)
{
    binding b;
    if (module_named(c, x->module) < c->module_count)
        return WEIR_OK; /* the engine sees to what modules import from each other */
    host_bind(c, x, &b);
    if (!b.fn)
        return import_unknown(x, why);
    return strcmp(b.type, x->type) == 0 ? WEIR_OK : import_mistyped(x, b.type, why);
}

/* A walk of the modules: each behind those that it imports from. */
typedef struct order {
    module_part *parts;
    size_t count;
    char *seen; /* by module: 1 on the way, 2 done */
} order;

static weir_code order_add(ExtismCompiledPlugin *c, size_t i, order *o, buf *why)
{
    const module *m = c->modules[i];
    if (o->seen[i] == 2)
        return WEIR_OK;
    if (o->seen[i] == 1) {
        buf_add_fmt(why, "module '%s' imports from itself, by way of others or not; modules cannot be linked in a circle", manifest_label(c->manifest, i));
        return WEIR_INVALID;
    }
    o->seen[i] = 1;
    for (size_t k = 0; k < module_import_count(m); k++) {
        size_t from = module_named(c, module_import(m, k)->module);
        weir_code code = from < c->module_count ? order_add(c, from, o, why) : import_check(c, module_import(m, k), why);
        if (code)
            return code;
    }
    o->seen[i] = 2;
    if (i != c->main)
        o->parts[o->count++] = (module_part){manifest_label(c->manifest, i), c->modules[i]};
    return WEIR_OK;
}

static weir_code link_all(ExtismCompiledPlugin *c, buf *why)
{
    weir_error err = WEIR_ERROR_INIT;
    order o = {.parts = calloc(c->module_count, sizeof *o.parts), .seen = calloc(c->module_count, 1)};
    weir_code code = o.parts && o.seen ? WEIR_OK : WEIR_NOMEM;
    for (size_t i = 0; !code && i < c->module_count; i++)
        code = order_add(c, i, &o, why);
    if (!code && (code = module_link_parts(&c->linked, c->modules[c->main], o.parts, o.count, host_bind, c, &err)))
        buf_add_text(why, err.text);
    if (code == WEIR_NOMEM && !why->len)
        buf_add_text(why, "out of memory");
    free(o.parts);
    free(o.seen);
    return code;
}

weir_code compiled_link(ExtismCompiledPlugin *c, buf *why)
{
    pthread_mutex_lock(&c->lock);
    weir_code code = c->linked ? WEIR_OK : link_all(c, why);
    pthread_mutex_unlock(&c->lock);
    return code;
}
