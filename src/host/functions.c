/* The embedding program's own host functions: weir_host_define and what they may do with a guest. */
#include <stdio.h>
#include <stdlib.h>

#include "host/inside.h"

_Static_assert(sizeof(weir_value) == sizeof(value), "a weir_value is the engine's value");

struct custom_function {
    custom_function *next;
    char *namespace_, *name;
    char type[ENGINE_TYPE_SIZE];
    weir_host_function fn;
    void *arg;
};

/* What a function of the program sees of its caller. */
struct weir_guest {
    guest *guest;
    trap *failed;
};

static trap *call_custom(void *env, void *self, value *v)
{
    custom_function *f = env;
    guest *g = self;
    weir_guest caller = {.guest = g};
    task *t = g->owner;
    t->ticks = 0;
    uint64_t serial = task_call_begins(t, f->name);
    bool fine = f->fn(f->arg, &caller, (weir_value *)v);
    task_call_ends(t, serial, fine ? WEIR_OK : WEIR_FAILED);
    if (fine) {
        trap_free(caller.failed);
        return NULL;
    }
    return caller.failed ? caller.failed : guest_trap(g, "%s: failed", f->name);
}

static bool type_ok(const char *type)
{
    size_t results = strspn(type, "iIfFV");
    if (results > 1 || type[results] != '(')
        return false;
    size_t parameters = strspn(type + results + 1, "iIfFV");
    return strcmp(type + results + 1 + parameters, ")") == 0 && strlen(type) < ENGINE_TYPE_SIZE;
}

weir_code weir_host_define(weir_host *host, const char *namespace_, const char *name, const char *type,
                           weir_host_function fn, void *arg, weir_error *err)
{
    custom_function *f;
    if (!namespace_ || !*namespace_ || !name || !*name || !fn)
        return error_set(err, WEIR_INVALID, "host function: a namespace, a name and a function are needed");
    if (!type || !type_ok(type))
        return error_set(err, WEIR_INVALID, "host function '%s': type '%s' is not of the form \"I(I)\": at most one result, then parameters in brackets, of i I f F V", name, type ? type : "");
    f = calloc(1, sizeof *f);
    if (!f || !(f->namespace_ = strdup(namespace_)) || !(f->name = strdup(name))) {
        if (f) {
            free(f->namespace_);
            free(f);
        }
        return error_set(err, WEIR_NOMEM, "host function '%s': out of memory", name);
    }
    snprintf(f->type, sizeof f->type, "%s", type);
    f->fn = fn;
    f->arg = arg;
    f->next = host->functions; /* the newest is found first; older ones stay for who is linked to them */
    host->functions = f;
    return WEIR_OK;
}

bool functions_bind(void *arg, const module_extern *import, binding *out)
{
    weir_host *host = arg;
    for (custom_function *f = host->functions; f; f = f->next)
        if (bytes_is(import->module, f->namespace_) && bytes_is(import->name, f->name)) {
            *out = (binding){.fn = call_custom, .env = f};
            memcpy(out->type, f->type, sizeof out->type);
            return true;
        }
    return false;
}

void functions_free(weir_host *host)
{
    for (custom_function *f = host->functions, *next; f; f = next) {
        next = f->next;
        free(f->namespace_);
        free(f->name);
        free(f);
    }
    host->functions = NULL;
}

bool weir_guest_block(weir_guest *g, uint64_t offset, const char **at, size_t *len)
{
    bytes block;
    if (!guest_block(g->guest, offset, &block))
        return false;
    *at = block.at;
    *len = block.len;
    return true;
}

uint64_t weir_guest_alloc(weir_guest *g, const void *at, size_t len)
{
    uint64_t offset = kernel_alloc(g->guest->kernel, len);
    if (offset)
        memcpy(kernel_base(g->guest->kernel) + offset, at, len);
    return offset;
}

void weir_guest_fail(weir_guest *g, const char *text)
{
    trap_free(g->failed);
    g->failed = guest_trap(g->guest, "%s", text);
}

weir_plugin *weir_guest_plugin(weir_guest *g)
{
    const task *t = g->guest->owner;
    const venue *v = t->world_arg;
    return v->owner;
}
