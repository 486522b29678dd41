/* A plugin's life and settings.
 *
 * The instance is made with the plugin, so that what cannot start is said at once, but for a command (a module
 * with `_start` and no `_initialize`), whose instance comes with the first call: after each `_start` it gets a new one.
 * One that asks for more memory than the manifest gives is an error of its first call, as upstream. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/rand.h"
#include "libextism/inside.h"

#define EXCHANGE_MOST (UINT64_C(1) << 30)
#define EXCHANGE_LEAST (UINT64_C(64) << 20) /* where the machine has no more address space, and from the 8,000th plugin on: */
#define MANY 8000                           /* four times the exchange memory is reserved, and 128 TiB are all there is */

static atomic_uint alive;

/* ---- Its lock ---- */

/* By whoever has the lock: nobody else writes it. */
static void turn_on(ExtismPlugin *p)
{
    unsigned turn = atomic_load_explicit(&p->turn, memory_order_relaxed);
    atomic_store_explicit(&p->turn, turn + 1, memory_order_release);
}

bool plugin_enter(ExtismPlugin *p)
{
    uintptr_t self = (uintptr_t)pthread_self();
    if (atomic_load_explicit(&p->owner, memory_order_relaxed) == self)
        return false;
    pthread_mutex_lock(&p->lock);
    atomic_store_explicit(&p->owner, self, memory_order_relaxed);
    turn_on(p);
    return true;
}

void plugin_leave(ExtismPlugin *p)
{
    turn_on(p);
    atomic_store_explicit(&p->owner, 0, memory_order_relaxed);
    pthread_mutex_unlock(&p->lock);
}

void plugin_error(ExtismPlugin *p, const char *format, ...)
{
    va_list args;
    char text[2048];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_clear(&p->error);
    text_translate(&p->error, text);
    buf_add_char(&p->error, '\0');
    p->has_error = true;
    p->by_guest = false;
}

void plugin_forget(ExtismPlugin *p)
{
    p->has_error = p->has_error && p->by_guest;
}

/* ---- Its guest ---- */

static wait_end op_wait(guest *g, uint64_t deadline)
{
    ExtismPlugin *p = g->owner;
    if (stop_sleep(&p->stop, deadline))
        return WAIT_TIMEOUT;
    guest_cancel(g, WEIR_TIMEOUT, "timeout");
    g->cancelled = trap_new("timeout");
    return WAIT_CANCELLED;
}

static void op_print(guest *g, bool to_stderr, bytes text)
{
    ExtismPlugin *p = g->owner;
    while (p->stdio && text.len) {
        ssize_t n = write(to_stderr ? STDERR_FILENO : STDOUT_FILENO, text.at, text.len);
        if (n <= 0)
            return;
        text = bytes_make(text.at + n, text.len - (size_t)n);
    }
}

const guest_ops plugin_ops = {.wait = op_wait, .http = fetch_for_guest, .log = logs_guest, .print = op_print};

static uint64_t exchange_most(const manifest *m)
{
    uint64_t most = atomic_load(&alive) > MANY ? EXCHANGE_LEAST : EXCHANGE_MOST;
    return m->max_pages < most / 65536 ? (m->max_pages + 1) * 65536 : most;
}

static weir_code guest_make(ExtismPlugin *p, buf *why)
{
    weir_error err = WEIR_ERROR_INIT;
    guest_options o = {.manifest = p->policy, .ops = &plugin_ops, .owner = p, .name = p->id_text, .on_caller = true, .as_extism = true, .fuel = p->compiled->fuel};
    o.max_exchange = exchange_most(p->policy);
    weir_code code = guest_new(&p->guest, p->compiled->linked, &o, &err);
    if (code == WEIR_NOMEM && o.max_exchange > EXCHANGE_LEAST) {
        o.max_exchange = EXCHANGE_LEAST;
        code = guest_new(&p->guest, p->compiled->linked, &o, &err);
    }
    if (!code) {
        p->guest->http_headers_on = p->headers;
        return WEIR_OK;
    }
    const char *text = err.text;
    size_t prefix = strlen(p->id_text);
    if (strncmp(text, p->id_text, prefix) == 0 && text[prefix] == ':')
        text += prefix + 2;
    if (code == WEIR_LIMIT && p->policy->max_pages != MANIFEST_NO_LIMIT && strstr(text, "limits allow"))
        buf_add_fmt(why, "oom\n%s", text);
    else
        buf_add_text(why, text);
    return code;
}

weir_code plugin_guest(ExtismPlugin *p, buf *why)
{
    if (p->guest && !p->started_over)
        return WEIR_OK;
    guest_free(p->guest);
    p->guest = NULL;
    p->started_over = false;
    return guest_make(p, why);
}

/* ---- Life ---- */

static void id_make(ExtismPlugin *p)
{
    rand_bytes(p->id, sizeof p->id);
    p->id[6] = (uint8_t)((p->id[6] & 0x0f) | 0x40);
    p->id[8] = (uint8_t)((p->id[8] & 0x3f) | 0x80);
    for (size_t i = 0, at = 0; i < sizeof p->id; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            p->id_text[at++] = '-';
        at += (size_t)snprintf(p->id_text + at, sizeof p->id_text - at, "%02x", p->id[i]);
    }
}

static weir_code plugin_make(ExtismPlugin *p, buf *why)
{
    weir_error err = WEIR_ERROR_INIT;
    ExtismCompiledPlugin *c = p->compiled;
    if (compiled_link(c, why))
        return WEIR_INVALID;
    if (manifest_copy_policy(&p->policy, c->manifest, c->wasi, &err)) {
        buf_add_text(why, err.text);
        return err.code;
    }
    if (c->command)
        return WEIR_OK;
    bool watched = stop_begin(&p->stop, p->policy->timeout_ms ? p->policy->timeout_ms : 1);
    weir_code code = watched ? plugin_guest(p, why) : WEIR_SYSTEM;
    stop_end(&p->stop);
    if (!watched)
        buf_add_text(why, "no thread to watch its time limit");
    if (code == WEIR_LIMIT && strncmp(why->at ? why->at : "", "oom\n", 4) == 0) {
        buf_clear(why);
        code = WEIR_OK;
    }
    return code;
}

static ExtismPlugin *plugin_new(ExtismCompiledPlugin *c, const char *prefix, char **errmsg)
{
    buf why;
    ExtismPlugin *p = calloc(1, sizeof *p);
    if (!p) {
        text_errmsg(errmsg, prefix, "out of memory");
        return NULL;
    }
    buf_init(&why, 1 << 16);
    buf_init(&p->error, SIZE_MAX);
    pthread_mutex_init(&p->lock, NULL);
    stop_init(&p->stop, c->engine);
    p->stdio = getenv("EXTISM_ENABLE_WASI_OUTPUT") != NULL;
    p->compiled = c;
    atomic_fetch_add(&c->refs, 1);
    atomic_fetch_add(&alive, 1);
    id_make(p);
    if (plugin_make(p, &why)) {
        buf_add_char(&why, '\0');
        text_errmsg(errmsg, prefix, why.at ? why.at : "out of memory");
        logs_write(LOG_ERROR, "extism::plugin", p->id_text, "unable to create a plugin: %s", why.at ? why.at : "out of memory");
        extism_plugin_free(p);
        p = NULL;
    }
    buf_fini(&why);
    return p;
}

ExtismPlugin *extism_plugin_new_from_compiled(const ExtismCompiledPlugin *compiled, char **errmsg)
{
    if (!compiled) {
        text_errmsg(errmsg, "Unable to create Extism plugin: ", "there is no compiled plugin");
        return NULL;
    }
    return plugin_new((ExtismCompiledPlugin *)(uintptr_t)compiled, "Unable to create Extism plugin: ", errmsg);
}

ExtismPlugin *extism_plugin_new(const uint8_t *wasm, ExtismSize wasm_size, const ExtismFunction **functions, ExtismSize n_functions,
                                bool with_wasi, char **errmsg)
{
    ExtismCompiledPlugin *c = compiled_new(wasm, wasm_size, functions, n_functions, with_wasi, NULL, errmsg);
    ExtismPlugin *p = c ? plugin_new(c, "Unable to compile Extism plugin: ", errmsg) : NULL;
    compiled_unref(c);
    return p;
}

ExtismPlugin *extism_plugin_new_with_fuel_limit(const uint8_t *wasm, ExtismSize wasm_size, const ExtismFunction **functions,
                                                ExtismSize n_functions, bool with_wasi, uint64_t fuel_limit, char **errmsg)
{
    ExtismCompiledPlugin *c = compiled_new(wasm, wasm_size, functions, n_functions, with_wasi, &fuel_limit, errmsg);
    ExtismPlugin *p = c ? plugin_new(c, "Unable to create Extism plugin: ", errmsg) : NULL;
    compiled_unref(c);
    return p;
}

void extism_plugin_free(ExtismPlugin *plugin)
{
    if (!plugin)
        return;
    atomic_fetch_sub(&alive, 1);
    guest_free(plugin->guest);
    manifest_free(plugin->policy);
    compiled_unref(plugin->compiled);
    trap_free(plugin->failed);
    buf_fini(&plugin->error);
    stop_fini(&plugin->stop);
    pthread_mutex_destroy(&plugin->lock);
    free(plugin);
}

/* ---- Settings ---- */

const uint8_t *extism_plugin_id(ExtismPlugin *plugin)
{
    return plugin ? plugin->id : NULL;
}

void extism_plugin_allow_http_response_headers(ExtismPlugin *plugin)
{
    if (!plugin)
        return;
    plugin->headers = true;
    if (plugin->guest)
        plugin->guest->http_headers_on = true;
}

bool extism_plugin_function_exists(ExtismPlugin *plugin, const char *func_name)
{
    if (!plugin || !func_name)
        return false;
    plugin_forget(plugin);
    const module_extern *x = module_find_export(plugin->compiled->modules[plugin->compiled->main], func_name);
    return x && x->kind == EXTERN_FUNC && (strcmp(x->type, "()") == 0 || strcmp(x->type, "i()") == 0);
}

/* All or nothing: what is no string and no null leaves the configuration as it was. */
static bool config_fits(json doc)
{
    json key, item;
    json_iter it = json_each(doc);
    while (json_next(&it, &key, &item))
        if (item.type != JSON_STRING && item.type != JSON_NULL)
            return false;
    return doc.type == JSON_OBJECT;
}

bool extism_plugin_config(ExtismPlugin *plugin, const uint8_t *json_text, ExtismSize json_size)
{
    weir_error err = WEIR_ERROR_INIT;
    json doc, key, item;
    if (!plugin || !json_text)
        return false;
    plugin_forget(plugin);
    if (json_read(&doc, bytes_make(json_text, json_size), &err) || !config_fits(doc)) {
        if (!plugin->has_error)
            plugin_error(plugin, "the configuration is no JSON object of strings and nulls");
        return false;
    }
    bool ok = true;
    json_iter it = json_each(doc);
    while (ok && json_next(&it, &key, &item)) {
        char *name = json_string_dup(key), *value = item.type == JSON_STRING ? json_string_dup(item) : NULL;
        ok = name && (value || item.type == JSON_NULL) && !manifest_config_set(plugin->policy, name, value, &err);
        free(name);
        free(value);
    }
    return ok;
}

bool extism_plugin_reset(ExtismPlugin *plugin)
{
    if (!plugin)
        return false;
    if (plugin->guest)
        kernel_reset(plugin->guest->kernel);
    return true;
}
