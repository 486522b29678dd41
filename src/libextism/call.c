/* One call and what became of it, as a code, a text and an output.
 *
 * The guest runs on its caller's stack, on whatever thread that is. Calls of one plugin wait for each other; one from
 * inside a host function of the same plugin would wait for itself and is refused. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "libextism/inside.h"

#define RC_FAILED (-1)

/* The guest's own text. Through C it ends at its first NUL. */
static void error_of_guest(ExtismPlugin *p, bytes text)
{
    buf_clear(&p->error);
    buf_add_bytes(&p->error, text);
    buf_add_char(&p->error, '\0');
    p->has_error = p->by_guest = true;
}

static void error_of_trap(ExtismPlugin *p, const outcome *o)
{
    buf_clear(&p->error);
    text_backtrace(&p->error, o->trace ? o->trace : "", o->text ? o->text : "");
    buf_add_char(&p->error, '\0');
    p->has_error = true;
    p->by_guest = false;
}

/* The export cannot be called as it is. */
static void error_of_type(ExtismPlugin *p, const char *name)
{
    const module_extern *x = module_find_export(p->compiled->modules[p->compiled->main], name);
    const char *open = x ? strchr(x->type, '(') : NULL;
    if (!open)
        return plugin_error(p, "Function not found: %s", name);
    size_t results = (size_t)(open - x->type), parameters = strlen(open) - 2;
    if (results > 1)
        plugin_error(p, "Function %s has %zu results, expected 0 or 1", name, results);
    else if (parameters)
        plugin_error(p, "expected %zu arguments, got 0", parameters);
}

static void error_of_host(ExtismPlugin *p, const call_result *r, const char *name)
{
    const outcome *o = instance_outcome(p->guest->inst);
    if (r->code == WEIR_NOT_FOUND || r->code == WEIR_INVALID)
        error_of_type(p, name);
    else if (r->code == WEIR_TIMEOUT || r->code == WEIR_CANCELLED)
        plugin_error(p, "timeout");
    else if (r->code == WEIR_TRAPPED || (r->code == WEIR_FAILED && o->kind == OUTCOME_EXITED))
        error_of_trap(p, o);
    else if (r->code != WEIR_FAILED)
        plugin_error(p, "%s", r->why);
}

/* EXTISM_MEMDUMP: exchange memory as a failed call left it, for whoever looks for the reason. */
static void dump(ExtismPlugin *p)
{
    const char *path = getenv("EXTISM_MEMDUMP");
    if (!path || !*path)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    const uint8_t *at = kernel_base(p->guest->kernel);
    size_t left = kernel_size(p->guest->kernel);
    ssize_t n = 0;
    while (fd >= 0 && left && (n = write(fd, at, left)) > 0) {
        at += n;
        left -= (size_t)n;
    }
    if (left)
        logs_write(LOG_ERROR, "extism::plugin", p->id_text, "EXTISM_MEMDUMP '%s' cannot be written: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

static const uint8_t nothing[1];

static void output_set(ExtismPlugin *p, const uint8_t *at, uint64_t len)
{
    atomic_store_explicit(&p->output, at, memory_order_release);
    atomic_store_explicit(&p->output_len, len, memory_order_release);
}

static int32_t finish(ExtismPlugin *p, const char *name)
{
    const call_result *r = guest_result(p->guest);
    kernel *k = p->guest->kernel;
    uint64_t error_at = kernel_error(k);
    output_set(p, kernel_output_offset(k) < kernel_size(k) ? kernel_base(k) + kernel_output_offset(k) : nothing, r->output.len);
    p->has_error = false;
    p->started_over = name[0] == '_' && strcmp(name, "_start") == 0;
    if (error_at)
        error_of_guest(p, kernel_block(k, error_at));
    else if (r->code)
        error_of_host(p, r, name);
    if (p->has_error && r->code != WEIR_NOT_FOUND && r->code != WEIR_INVALID)
        dump(p);
    if (p->compiled->fueled && instance_fuel(p->guest->inst) == 0) {
        plugin_error(p, "plugin ran out of fuel");
        return RC_FAILED;
    }
    return r->rc;
}

static int32_t run(ExtismPlugin *p, const char *name, bytes input)
{
    guest *g = p->guest;
    if (p->compiled->fueled)
        instance_refuel(g->inst, p->compiled->fuel);
    g->log_level = logs_level();
    guest_call(g, name, input);
    while (guest_step(g) != RUN_DONE)
        continue;
    return finish(p, name);
}

/* Makes the guest where there is none to be called, or says why not. */
static bool guest_there(ExtismPlugin *p)
{
    if (p->guest && !p->started_over)
        return true;
    buf why;
    buf_init(&why, 1 << 16);
    weir_code code = plugin_guest(p, &why);
    if (code)
        plugin_error(p, BYTES_FMT, BYTES_ARG(buf_bytes(&why)));
    buf_fini(&why);
    return !code;
}

static int32_t call(ExtismPlugin *p, const char *name, bytes input)
{
    int32_t rc = RC_FAILED;
    p->has_error = false;
    output_set(p, nothing, 0);
    if (!stop_begin(&p->stop, p->policy->timeout_ms))
        plugin_error(p, "no thread to watch its time limit; raise 'ulimit -u'");
    else if (guest_there(p))
        rc = run(p, name, input);
    stop_end(&p->stop);
    return rc;
}

int32_t extism_plugin_call_with_host_context(ExtismPlugin *p, const char *func_name, const uint8_t *data, ExtismSize data_len, void *host_context)
{
    if (!p || !func_name || !bytes_utf8(bytes_of(func_name)))
        return RC_FAILED;
    if (!plugin_enter(p)) {
        plugin_error(p, "cannot make reentrant calls into plugin");
        return RC_FAILED;
    }
    p->context = host_context;
    int32_t rc = call(p, func_name, data ? bytes_make(data, data_len) : bytes_make("", 0));
    p->context = NULL;
    if (p->has_error)
        logs_write(LOG_ERROR, "extism::plugin", p->id_text, "call to %s %s: %s", func_name,
                   rc == RC_FAILED || rc == 134 ? "encountered an error" : "returned with error message", p->error.at ? p->error.at : "");
    if (logs_level() <= LOG_DEBUG)
        logs_write(LOG_DEBUG, "extism::plugin", p->id_text, "call to %s returned %d", func_name, rc);
    plugin_leave(p);
    return rc;
}

int32_t extism_plugin_call(ExtismPlugin *plugin, const char *func_name, const uint8_t *data, ExtismSize data_len)
{
    return extism_plugin_call_with_host_context(plugin, func_name, data, data_len, NULL);
}

const char *extism_plugin_error(ExtismPlugin *plugin)
{
    if (!plugin)
        return NULL;
    bool entered = plugin_enter(plugin);
    const char *text = !plugin->has_error ? NULL : plugin->error.failed ? "out of memory"
                                                                        : plugin->error.at;
    if (entered)
        plugin_leave(plugin);
    return text;
}

const char *extism_error(ExtismPlugin *plugin)
{
    return extism_plugin_error(plugin);
}

typedef struct output {
    const uint8_t *at; /* NULL: there was no call yet */
    uint64_t len;
} output;

static output output_load(const ExtismPlugin *p)
{
    return (output){atomic_load_explicit(&p->output, memory_order_acquire), atomic_load_explicit(&p->output_len, memory_order_acquire)};
}

/* What the last call left. Its lock would cost a third of a call, so it is read without: it is whole when nobody took
 * the lock meanwhile. Otherwise a call may run, and whoever asks waits for its end. */
static output output_get(ExtismPlugin *p)
{
    unsigned turn = atomic_load_explicit(&p->turn, memory_order_acquire);
    output o = output_load(p);
    if (turn % 2 == 0 && turn == atomic_load_explicit(&p->turn, memory_order_relaxed))
        return o;
    bool entered = plugin_enter(p);
    o = output_load(p);
    if (entered)
        plugin_leave(p);
    return o;
}

ExtismSize extism_plugin_output_length(ExtismPlugin *plugin)
{
    return plugin ? output_get(plugin).len : 0;
}

const uint8_t *extism_plugin_output_data(ExtismPlugin *plugin)
{
    if (!plugin)
        return NULL;
    const uint8_t *at = output_get(plugin).at;
    return at ? at : nothing;
}
