/* The program's host functions. A shell (ExtismFunction) is what the program holds; registering takes the function
 * out of it. What was taken belongs to the compiled plugin and goes with the last plugin made of that. */
#include <stdlib.h>

#include "libextism/inside.h"

#define FEW 16 /* parameters or results that need no memory */

struct function {
    char *module, *name;
    char type[ENGINE_TYPE_SIZE];
    ExtismValType *kinds; /* inputs, then outputs */
    size_t inputs, outputs;
    ExtismFunctionType call;
    void *data;
    void (*free_data)(void *data);
};

struct ExtismFunction {
    function *inner; /* NULL: taken */
};

static void function_free(function *f)
{
    if (!f)
        return;
    if (f->data && f->free_data)
        f->free_data(f->data);
    free(f->module);
    free(f->name);
    free(f->kinds);
    free(f);
}

static void type_write(function *f)
{
    static const char letters[] = "iIfFVrr";
    size_t at = 0;
    for (size_t i = 0; i <= f->inputs + f->outputs; i++) {
        /* results first, then a bracket, then parameters */
        char c = '(';
        if (i != f->outputs) {
            unsigned kind = (unsigned)f->kinds[i < f->outputs ? f->inputs + i : i - f->outputs - 1];
            c = kind < sizeof letters - 1 ? letters[kind] : '?';
        }
        if (at < sizeof f->type - 2)
            f->type[at++] = c;
    }
    f->type[at++] = ')';
    if (f->inputs + f->outputs + 3 > sizeof f->type)
        memcpy(f->type + sizeof f->type - 4, "...", 4); /* as the engine cuts the type of an import */
}

ExtismFunction *extism_function_new(const char *name, const ExtismValType *inputs, ExtismSize n_inputs, const ExtismValType *outputs,
                                    ExtismSize n_outputs, ExtismFunctionType func, void *user_data, void (*free_user_data)(void *_))
{
    n_inputs = inputs ? n_inputs : 0;
    n_outputs = outputs ? n_outputs : 0;
    if (!name || !func || !bytes_utf8(bytes_of(name)) || n_inputs > 1000 || n_outputs > 1000)
        return NULL;
    ExtismFunction *shell = calloc(1, sizeof *shell);
    function *f = calloc(1, sizeof *f);
    if (f) {
        f->module = strdup("extism:host/user");
        f->name = strdup(name);
        f->kinds = calloc(n_inputs + n_outputs + 1, sizeof *f->kinds);
    }
    if (!shell || !f || !f->module || !f->name || !f->kinds) {
        free(shell);
        function_free(f); /* which has no user data yet */
        return NULL;
    }
    f->inputs = n_inputs;
    f->outputs = n_outputs;
    if (n_inputs)
        memcpy(f->kinds, inputs, n_inputs * sizeof *inputs);
    if (n_outputs)
        memcpy(f->kinds + n_inputs, outputs, n_outputs * sizeof *outputs);
    type_write(f);
    f->call = func;
    f->data = user_data;
    f->free_data = free_user_data;
    shell->inner = f;
    return shell;
}

/* A copy in which U+FFFD stands for each octet that is no UTF-8; NULL: no memory. */
static char *readable(const char *name)
{
    buf out;
    bytes left = bytes_of(name);
    buf_init(&out, SIZE_MAX);
    while (left.len) {
        size_t len = bytes_utf8_char(left);
        buf_add_bytes(&out, len ? bytes_make(left.at, len) : bytes_of("\xef\xbf\xbd"));
        len = len ? len : 1;
        left = bytes_make(left.at + len, left.len - len);
    }
    buf_add_char(&out, '\0');
    char *copy = out.failed ? NULL : strdup(out.at);
    buf_fini(&out);
    return copy;
}

void extism_function_set_namespace(ExtismFunction *shell, const char *name)
{
    char *copy = shell && shell->inner && name ? readable(name) : NULL;
    if (!copy)
        return;
    free(shell->inner->module);
    shell->inner->module = copy;
}

void extism_function_free(ExtismFunction *shell)
{
    if (!shell)
        return;
    function_free(shell->inner);
    free(shell);
}

bool functions_take(functions *out, const ExtismFunction **given, size_t count, const char **why)
{
    count = given ? count : 0;
    out->list = calloc(count + 1, sizeof *out->list);
    if (!out->list) {
        *why = "out of memory";
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        ExtismFunction *shell = (ExtismFunction *)(uintptr_t)given[i];
        if (!shell || !shell->inner) {
            *why = shell ? "Function cannot be registered with multiple different Plugins" : "Cannot pass null pointer";
            return false;
        }
        out->list[out->count++] = shell->inner;
        shell->inner = NULL;
    }
    return true;
}

void functions_free(functions *f)
{
    for (size_t i = 0; i < f->count; i++)
        function_free(f->list[i]);
    free(f->list);
}

function *functions_find(const functions *f, bytes module, bytes name)
{
    for (size_t i = f->count; i-- > 0;)
        if (bytes_is(module, f->list[i]->module) && bytes_is(name, f->list[i]->name))
            return f->list[i];
    return NULL;
}

const char *function_type(const function *f)
{
    return f->type;
}

/* ---- A call ---- */

static bool narrow(ExtismValType kind)
{
    return kind == ExtismValType_I32 || kind == ExtismValType_F32;
}

/* False: of a kind that cannot be passed. */
static bool value_out(ExtismVal *out, ExtismValType kind, value v)
{
    out->t = kind;
    out->v.i64 = narrow(kind) ? (int64_t)v.u32 : v.i64;
    return narrow(kind) || kind == ExtismValType_I64 || kind == ExtismValType_F64;
}

static trap *call(function *f, guest *g, ExtismVal *vals, value *v)
{
    ExtismPlugin *p = g->owner;
    ExtismVal *out = vals + f->inputs;
    const ExtismValType *out_kinds = f->kinds + f->inputs;
    bool fits = true;
    for (size_t i = 0; i < f->inputs; i++)
        fits &= value_out(&vals[i], f->kinds[i], v[i]);
    for (size_t i = 0; i < f->outputs; i++)
        fits &= value_out(&out[i], out_kinds[i], (value){.u64 = 0});
    if (!fits)
        return guest_trap(g, "host function '%s': vectors and references cannot be passed", f->name);
    f->call((ExtismCurrentPlugin *)p, f->inputs ? vals : NULL, f->inputs, f->outputs ? out : NULL, f->outputs, f->data);
    for (size_t i = 0; i < f->outputs; i++)
        v[i].u64 = narrow(out_kinds[i]) ? (uint32_t)out[i].v.i32 : (uint64_t)out[i].v.i64;
    trap *failed = p->failed;
    p->failed = NULL;
    return failed;
}

trap *function_enter(void *env, void *self, value *v)
{
    function *f = env;
    ExtismVal few[FEW];
    if (f->inputs + f->outputs <= FEW)
        return call(f, self, few, v);
    ExtismVal *many = calloc(f->inputs + f->outputs, sizeof *many);
    trap *t = many ? call(f, self, many, v) : guest_trap(self, "host function '%s': out of memory", f->name);
    free(many);
    return t;
}

/* ---- What it may do ---- */

static guest *current(ExtismCurrentPlugin *plugin)
{
    return plugin ? ((ExtismPlugin *)plugin)->guest : NULL;
}

uint8_t *extism_current_plugin_memory(ExtismCurrentPlugin *plugin)
{
    guest *g = current(plugin);
    return g ? kernel_base(g->kernel) : NULL;
}

ExtismMemoryHandle extism_current_plugin_memory_alloc(ExtismCurrentPlugin *plugin, ExtismSize n)
{
    guest *g = current(plugin);
    return g ? kernel_alloc(g->kernel, n) : 0;
}

ExtismSize extism_current_plugin_memory_length(ExtismCurrentPlugin *plugin, ExtismMemoryHandle n)
{
    guest *g = current(plugin);
    return g ? kernel_length(g->kernel, n) : 0;
}

void extism_current_plugin_memory_free(ExtismCurrentPlugin *plugin, ExtismMemoryHandle ptr)
{
    guest *g = current(plugin);
    if (g)
        kernel_release(g->kernel, ptr);
}

void *extism_current_plugin_host_context(ExtismCurrentPlugin *plugin)
{
    return plugin ? ((ExtismPlugin *)plugin)->context : NULL;
}

void extism_weir_fail(ExtismCurrentPlugin *plugin, const char *text)
{
    ExtismPlugin *p = (ExtismPlugin *)plugin;
    if (!p)
        return;
    trap_free(p->failed);
    p->failed = trap_new("%s", text ? text : "a host function failed");
}
