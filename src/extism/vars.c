/* Variables: a map of names to owned octets and a running total. */
#include "extism/vars.h"

#include <stdlib.h>

#include "base/map.h"

#define ENTRY_COST 48

struct vars {
    map *entries; /* name -> var; NULL until there is one */
    uint64_t used, max;
};

typedef struct var {
    size_t len;
    char octets[];
} var;

vars *vars_new(uint64_t max)
{
    vars *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->max = max;
    return v;
}

void vars_free(vars *v)
{
    if (!v)
        return;
    size_t at = 0;
    bytes name;
    void *value;
    while (v->entries && map_each(v->entries, &at, &name, &value))
        free(value);
    map_free(v->entries);
    free(v);
}

bytes vars_get(const vars *v, bytes name)
{
    const var *entry = v->entries ? map_get(v->entries, name) : NULL;
    return entry ? bytes_make(entry->octets, entry->len) : bytes_make("", 0);
}

static weir_code vars_refuse(weir_error *err)
{
    return error_set(err, WEIR_REFUSED, "Vars are disabled by this host");
}

static void var_forget(vars *v, bytes name, var *old)
{
    if (old)
        v->used -= name.len + old->len + ENTRY_COST;
    free(old);
}

weir_code vars_set(vars *v, bytes name, bytes octets, weir_error *err)
{
    if (v->max == 0)
        return vars_refuse(err);
    uint64_t cost = name.len + octets.len + ENTRY_COST;
    if (cost > v->max || v->used > v->max - cost)
        return error_set(err, WEIR_LIMIT, "Variable store is full: '" BYTES_FMT "' takes %llu octets, %llu of %llu are in use",
                         BYTES_ARG(name), (unsigned long long)cost, (unsigned long long)v->used, (unsigned long long)v->max);
    var *entry = malloc(sizeof *entry + octets.len);
    void *old = NULL;
    if (!v->entries)
        v->entries = map_new();
    if (!entry || !v->entries) {
        free(entry);
        return error_set(err, WEIR_NOMEM, "variable '" BYTES_FMT "': out of memory", BYTES_ARG(name));
    }
    entry->len = octets.len;
    if (octets.len)
        memcpy(entry->octets, octets.at, octets.len);
    if (!map_set(v->entries, name, entry, &old)) {
        free(entry);
        return error_set(err, WEIR_NOMEM, "variable '" BYTES_FMT "': out of memory", BYTES_ARG(name));
    }
    v->used += cost;
    var_forget(v, name, old);
    return WEIR_OK;
}

weir_code vars_remove(vars *v, bytes name, weir_error *err)
{
    if (v->max == 0)
        return vars_refuse(err);
    if (v->entries)
        var_forget(v, name, map_remove(v->entries, name));
    return WEIR_OK;
}

uint64_t vars_used(const vars *v)
{
    return v->used;
}
