/* Imports bound to C functions: one linker for each module, with exactly the module's imports in
 * it, kept only as what Wasmtime makes of it (an instance_pre, 5 us to an instance). */
#include <stdlib.h>

#include "engine/inside.h"

static weir_code no_function(const module_extern *x, weir_error *err)
{
    static const char *const kinds[] = {"a function", "a memory", "a global", "a table", "something"};
    return error_set(err, WEIR_INVALID, "import '" BYTES_FMT "' of '" BYTES_FMT "' is %s; a host offers functions only",
                     BYTES_ARG(x->name), BYTES_ARG(x->module), kinds[x->kind]);
}

static weir_code check(const module_extern *x, const binding *b, weir_error *err)
{
    if (x->kind != EXTERN_FUNC)
        return no_function(x, err);
    if (!b->fn)
        return error_set(err, WEIR_INVALID, "import '" BYTES_FMT "' of '" BYTES_FMT "' with type %s is not offered here",
                         BYTES_ARG(x->name), BYTES_ARG(x->module), x->type);
    if (strcmp(x->type, b->type) != 0)
        return error_set(err, WEIR_INVALID, "import '" BYTES_FMT "' of '" BYTES_FMT "' has type %s here, but the module declares %s",
                         BYTES_ARG(x->name), BYTES_ARG(x->module), b->type, x->type);
    return WEIR_OK;
}

weir_code link_bind(const linked *l, module *m, bound *bounds, bind_fn bind, void *arg, weir_error *err)
{
    weir_code code = WEIR_OK;
    for (size_t k = 0; k < m->import_count; k++) {
        const module_extern *x = &m->imports[k];
        binding b = {0};
        if (parts_offer(l, x->module))
            continue;
        bind(arg, x, &b);
        bounds[k] = (bound){b.fn, b.direct, b.env};
        if (!code)
            code = check(x, &b, err);
    }
    return code;
}

/* A direct_fn has Wasmtime's form in all but the names of types. */
static wasmtime_func_unchecked_callback_t direct_enter(direct_fn fn)
{
    return (wasmtime_func_unchecked_callback_t)(void (*)(void))fn;
}

wasmtime_error_t *link_define(const linked *l, wasmtime_linker_t *linker, module *m, bound *bounds, wasmtime_func_unchecked_callback_t enter)
{
    wasm_importtype_vec_t types;
    wasmtime_error_t *error = NULL;
    wasmtime_module_imports(m->wasm, &types);
    for (size_t k = 0; k < m->import_count && !error; k++) {
        const module_extern *x = &m->imports[k];
        if (parts_offer(l, x->module))
            continue;
        const wasm_functype_t *function = wasm_externtype_as_functype_const(wasm_importtype_type(types.data[k]));
        error = wasmtime_linker_define_func_unchecked(linker, x->module.at, x->module.len, x->name.at, x->name.len, function,
                                                      bounds[k].direct ? direct_enter(bounds[k].direct) : enter, &bounds[k], NULL);
    }
    wasm_importtype_vec_delete(&types);
    return error;
}

weir_code module_link(linked **out, module *m, bind_fn bind, void *arg, weir_error *err)
{
    *out = NULL;
    linked *l = calloc(1, sizeof *l);
    if (!l || !(l->bound = calloc(m->import_count + 1, sizeof *l->bound))) {
        free(l);
        return error_set(err, WEIR_NOMEM, "linking: out of memory");
    }
    l->module = module_ref(m);
    l->refs = 1;
    wasmtime_linker_t *linker = wasmtime_linker_new(m->engine->wasm);
    wasmtime_linker_allow_shadowing(linker, true); /* a module may import the same function twice */
    weir_code code = link_bind(l, m, l->bound, bind, arg, err);
    if (!code) {
        wasmtime_error_t *error = link_define(l, linker, m, l->bound, m->has_start ? host_enter_early : host_enter);
        if (!error)
            error = wasmtime_linker_instantiate_pre(linker, m->wasm, &l->pre);
        if (error)
            code = error_from_wasmtime(err, WEIR_INVALID, error);
    }
    wasmtime_linker_delete(linker);
    if (code) {
        linked_unref(l);
        return code;
    }
    *out = l;
    return WEIR_OK;
}

void linked_unref(linked *l)
{
    if (__atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    if (l->pre)
        wasmtime_instance_pre_delete(l->pre);
    parts_free(l);
    module_unref(l->module);
    free(l->bound);
    free(l);
}

void linked_free(linked *l)
{
    if (l)
        linked_unref(l);
}
