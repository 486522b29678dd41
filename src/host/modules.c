/* The engine and the compiled modules of the process, shared by its hosts.
 *
 * A module is known by the SHA-256 of its octets: the second host, or the second stream, that loads the
 * same file gets the same code. Under one lock; compiling happens outside it: while a load waits and turns the loop, or
 * ahead of the load, so that nobody waits but for the code. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/digest.h"
#include "host/embed.h"
#include "host/inside.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static engine *shared;
static unsigned hosts;
static map *known; /* digest -> module, one reference each */
static bool alone; /* a compile takes one CPU, not all */

#define INSTANCES 1000
#define AHEAD_MAX 2 /* at once, of the workers that also look up names */

weir_code modules_engine(engine **out, uint32_t max_instances, weir_error *err)
{
    weir_code code = WEIR_OK;
    engine_options options = {.max_instances = max_instances ? max_instances : INSTANCES, .on_slice = task_on_slice};
    pthread_mutex_lock(&lock);
    options.single_thread_compile = alone;
    if (!known && !(known = map_new()))
        code = error_set(err, WEIR_NOMEM, "engine: out of memory");
    if (!code && !shared)
        code = engine_new(&shared, &options, err);
    if (!code) {
        hosts++;
        *out = shared;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

void weir_compile_alone(void)
{
    pthread_mutex_lock(&lock);
    alone = true;
    pthread_mutex_unlock(&lock);
}

void modules_release(engine *e)
{
    size_t at = 0;
    bytes key;
    void *m;
    if (!e)
        return;
    pthread_mutex_lock(&lock);
    if (--hosts == 0) {
        while (map_each(known, &at, &key, &m))
            module_unref(m);
        map_free(known);
        known = NULL;
        engine_free(shared);
        shared = NULL;
    }
    pthread_mutex_unlock(&lock);
}

typedef struct compile {
    engine *engine;
    bytes wasm;
    const char *folder;
    module *module;
    cache_result cached;
    weir_code code;
    weir_error err;
    bool over;
} compile;

static void work(void *arg)
{
    compile *c = arg;
    c->code = c->folder ? module_load(&c->module, c->engine, c->wasm, c->folder, &c->cached, &c->err)
                        : module_compile(&c->module, c->engine, c->wasm, &c->err);
}

static void done(void *arg, bool cancelled)
{
    compile *c = arg;
    (void)cancelled;
    c->over = true;
}

static module *find(const char *digest)
{
    pthread_mutex_lock(&lock);
    module *m = map_get(known, bytes_of(digest));
    if (m)
        module_ref(m);
    pthread_mutex_unlock(&lock);
    return m;
}

void modules_forget(const module *m, const module *but)
{
    size_t at = 0;
    bytes key;
    void *known_one, *found = NULL;
    char digest[DIGEST_HEX] = "";
    pthread_mutex_lock(&lock);
    while (m != but && map_each(known, &at, &key, &known_one))
        if (known_one == m && key.len < sizeof digest) {
            memcpy(digest, key.at, key.len);
            digest[key.len] = '\0';
            found = known_one;
        }
    if (found) {
        map_remove(known, bytes_of(digest));
        module_unref(found);
    }
    pthread_mutex_unlock(&lock);
}

/* Two hosts may have compiled the same one meanwhile; then the first to come stays. */
static module *keep(const char *digest, module *m)
{
    pthread_mutex_lock(&lock);
    module *first = map_get(known, bytes_of(digest));
    if (first) {
        module_unref(m);
        m = first;
        module_ref(m);
    } else if (map_set(known, bytes_of(digest), m, NULL)) {
        module_ref(m);
    }
    pthread_mutex_unlock(&lock);
    return m;
}

weir_code modules_get(module **out, weir_host *host, bytes wasm, const char *name, weir_error *err)
{
    char digest[DIGEST_HEX];
    compile c = {.engine = host->engine, .wasm = wasm, .folder = host->cache_dir, .err = WEIR_ERROR_INIT};
    job *j;
    uint64_t began = clock_mono();
    digest_sha256(digest, wasm);
    if ((*out = find(digest)))
        return WEIR_OK;
    if (job_start(&j, host->loop, work, done, &c, err))
        return err ? err->code : WEIR_SYSTEM;
    bool said = false;
    while (!c.over) {
        loop_step(host->loop, 200);
        if (!said && !c.over && clock_mono() - began > NS_PER_S / 2) {
            said = true;
            log_warn("engine", "compiling '%s' (%.1f MB), once; the result is kept in the cache", name, (double)wasm.len / 1e6);
        }
    }
    if (c.code) {
        if (err)
            *err = c.err;
        return c.code;
    }
    *out = keep(digest, c.module);
    return WEIR_OK;
}

/* ---- Ahead of the load ---- */

struct weir_ahead {
    list_node node; /* in its host's, while it waits */
    weir_host *host;
    compile compile;
    char digest[DIGEST_HEX];
    buf octets;
    void (*fn)(void *arg, buf *octets, const weir_error *why); /* NULL: nobody is there any more */
    void *arg;
};

static void ahead_work(void *arg)
{
    work(&((weir_ahead *)arg)->compile);
}

static void ahead_done(void *arg, bool cancelled);

static weir_code ahead_begin(weir_ahead *a, weir_error *err)
{
    weir_code code = job_start(NULL, a->host->loop, ahead_work, ahead_done, a, err);
    a->host->compiling += !code;
    return code;
}

static void ahead_over(weir_ahead *a)
{
    if (a->fn)
        a->fn(a->arg, &a->octets, &a->compile.err);
    buf_fini(&a->octets);
    free(a);
}

static void ahead_done(void *arg, bool cancelled)
{
    weir_ahead *a = arg;
    weir_host *h = a->host;
    h->compiling--;
    if (!cancelled && !a->compile.code)
        module_unref(keep(a->digest, a->compile.module)); /* the process has it */
    ahead_over(a);
    for (list_node *at; h->compiling < AHEAD_MAX && (at = list_pop(&h->ahead));) {
        weir_ahead *then = LIST_OWNER(at, weir_ahead, node);
        if (ahead_begin(then, &then->compile.err))
            ahead_over(then);
    }
}

weir_code weir_compile_ahead(weir_ahead **out, weir_host *host, buf *octets, void (*fn)(void *arg, buf *octets, const weir_error *why), void *arg, weir_error *err)
{
    weir_ahead *a = calloc(1, sizeof *a);
    if (!a)
        return error_set(err, WEIR_NOMEM, "out of memory");
    *a = (weir_ahead){.host = host, .octets = *octets, .fn = fn, .arg = arg};
    a->compile = (compile){.engine = host->engine, .wasm = buf_bytes(&a->octets), .folder = host->cache_dir, .err = WEIR_ERROR_INIT};
    digest_sha256(a->digest, a->compile.wasm);
    if (host->compiling >= AHEAD_MAX) {
        list_push(&host->ahead, &a->node);
    } else if (ahead_begin(a, err)) {
        free(a);
        return err ? err->code : WEIR_SYSTEM;
    }
    buf_init(octets, octets->max);
    *out = a;
    return WEIR_OK;
}

void weir_ahead_forget(weir_ahead *a)
{
    if (!a)
        return;
    a->fn = NULL;
    if (list_linked(&a->node)) {
        list_remove(&a->node);
        ahead_over(a);
    }
}

void modules_ahead_end(weir_host *host)
{
    for (list_node *at; (at = list_pop(&host->ahead));) {
        weir_ahead *a = LIST_OWNER(at, weir_ahead, node);
        a->fn = NULL;
        ahead_over(a);
    }
}
