/* What a process has once: an engine for plugins, another for plugins with fuel, and the folder of compiled files.
 *
 * Engines are made when they are first wanted and stay: there is no call that would end them. */
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "engine/toml.h"
#include "libextism/inside.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static engine *engines[2];

/* A guest that is to stop does so here, at its next loop or call. */
static slice_verdict on_slice(void *self)
{
    guest *g = self;
    ExtismPlugin *p = g->owner;
    atomic_thread_fence(memory_order_acquire); /* the guest's code has seen the tick by a plain load */
    if (!stop_asked(&p->stop))
        return SLICE_CONTINUE;
    guest_cancel(g, WEIR_TIMEOUT, "timeout");
    return SLICE_KILL;
}

engine *process_engine(bool fuel, weir_error *err)
{
    engine_options options = {.no_pool = true, .max_memory = UINT64_C(4) << 30, .by_hand = true, .fuel = fuel, .on_slice = on_slice};
    pthread_mutex_lock(&lock);
    if (!engines[fuel])
        engine_new(&engines[fuel], &options, err);
    engine *e = engines[fuel];
    pthread_mutex_unlock(&lock);
    return e;
}

static weir_code folder_from(buf *folder, const char *path, weir_error *err)
{
    buf text, doc;
    json config;
    buf_init(&text, 1 << 20);
    buf_init(&doc, 1 << 20);
    weir_code code = file_read(&text, path, err);
    if (!code)
        code = toml_to_json(&doc, buf_bytes(&text), err);
    if (!code)
        code = json_read(&config, buf_bytes(&doc), err);
    if (!code) {
        json cache = json_member(config, "cache"), at = json_member(cache, "directory");
        bool on = true;
        json_bool(json_member(cache, "enabled"), &on);
        if (on && json_string_add(at, folder))
            buf_add_text(folder, "/weir");
        else if (on)
            code = error_set(err, WEIR_INVALID, "it has no \"directory\" in its section [cache]");
    }
    buf_fini(&text);
    buf_fini(&doc);
    return code ? error_wrap(err, "EXTISM_CACHE_CONFIG '%s'", path) : WEIR_OK;
}

weir_code process_cache(buf *folder, weir_error *err)
{
    const char *config = getenv("EXTISM_CACHE_CONFIG"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    weir_code code = WEIR_OK;
    if (config && *config)
        code = folder_from(folder, config, err);
    else if (!config && cache && *cache == '/')
        buf_add_fmt(folder, "%s/weir/extism", cache);
    else if (!config && home && *home)
        buf_add_fmt(folder, "%s/.cache/weir/extism", home);
    buf_add_char(folder, '\0');
    return code ? code : folder->failed ? error_set(err, WEIR_NOMEM, "out of memory")
                                        : WEIR_OK;
}

const char *extism_version(void)
{
    return "1.41.0+weir." WEIR_VERSION;
}
