/* Several modules in one instance, each under a name that the others import from.
 *
 * All of it is Wasmtime's: a linker for each instance holds the host functions, then every part by its name, and
 * the module is instantiated last. That costs some 20 us an instance more than a module alone, whose linker
 * is used once. */
#include <stdlib.h>

#include "engine/inside.h"

bool parts_offer(const linked *l, bytes module)
{
    for (size_t k = 0; k < l->part_count; k++)
        if (bytes_is(module, l->parts[k].name))
            return true;
    return false;
}

void parts_free(linked *l)
{
    for (size_t k = 0; k < l->part_count; k++) {
        free(l->parts[k].name);
        free(l->parts[k].bound);
        module_unref(l->parts[k].module);
    }
    free(l->parts);
}

static bool part_add(linked *l, const module_part *from)
{
    part *p = &l->parts[l->part_count++];
    p->module = module_ref(from->module);
    p->name = strdup(from->name);
    p->bound = calloc(from->module->import_count + 1, sizeof *p->bound);
    return p->name && p->bound;
}

weir_code module_link_parts(linked **out, module *m, const module_part *parts, size_t count, bind_fn bind, void *arg, weir_error *err)
{
    if (count == 0)
        return module_link(out, m, bind, arg, err);
    *out = NULL;
    linked *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, WEIR_NOMEM, "linking: out of memory");
    l->module = module_ref(m);
    l->refs = 1;
    l->bound = calloc(m->import_count + 1, sizeof *l->bound);
    l->parts = calloc(count, sizeof *l->parts);
    bool ok = l->bound && l->parts;
    for (size_t k = 0; k < count && ok; k++)
        ok = part_add(l, &parts[k]);
    weir_code code = ok ? WEIR_OK : error_set(err, WEIR_NOMEM, "linking: out of memory");
    for (size_t k = 0; k < count && !code; k++)
        code = link_bind(l, l->parts[k].module, l->parts[k].bound, bind, arg, err);
    if (!code)
        code = link_bind(l, m, l->bound, bind, arg, err);
    if (code) {
        linked_unref(l);
        return code;
    }
    *out = l;
    return WEIR_OK;
}

wasmtime_error_t *parts_instantiate(const linked *l, wasmtime_context_t *cx, wasmtime_instance_t *out, wasm_trap_t **trap)
{
    wasmtime_linker_t *linker = wasmtime_linker_new(l->module->engine->wasm);
    wasmtime_linker_allow_shadowing(linker, true);
    wasmtime_error_t *error = link_define(l, linker, l->module, l->bound, host_enter_part);
    for (size_t k = 0; k < l->part_count && !error; k++)
        error = link_define(l, linker, l->parts[k].module, l->parts[k].bound, host_enter_part);
    for (size_t k = 0; k < l->part_count && !error; k++)
        error = wasmtime_linker_module(linker, cx, l->parts[k].name, strlen(l->parts[k].name), l->parts[k].module->wasm);
    if (!error)
        error = wasmtime_linker_instantiate(linker, cx, l->module->wasm, out, trap);
    wasmtime_linker_delete(linker);
    return error;
}
