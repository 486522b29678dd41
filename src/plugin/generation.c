/* Which generation a module is, and what the translations share. */
#include "plugin/generation.h"

#include <stdlib.h>

/* All there are, in files of their names. The first that fits is taken. A hybrid of generations 1 and 2 is a 2: its
 * start_stream works, its callbacks may speak another dialect than its subscription. They are `hybrid`, which generation_callbacks
 * gives to those who ask for it. */
#define GENERATIONS(X) \
    X(3)               \
    X(2)               \
    X(hybrid)          \
    X(1)               \
    X(planner)         \
    X(none)

#define X(name) extern const generation generation_##name;
GENERATIONS(X)
#undef X

static const generation *const all[] = {
#define X(name) &generation_##name,
    GENERATIONS(X)
#undef X
};

bool generation_has(const module *code, const char *export_name)
{
    const module_extern *e = module_find_export(code, export_name);
    return e && e->kind == EXTERN_FUNC;
}

const generation *generation_of(const module *code)
{
    size_t i = 0;
    while (!all[i]->fits(code))
        i++;
    return all[i];
}

const generation *generation_callbacks(const module *code)
{
    return generation_of(code)->loops && generation_hybrid.fits(code) ? &generation_hybrid : NULL;
}

const char *generation_title(const module *code)
{
    const generation *g = generation_of(code);
    return g->loops && generation_has(code, "prepare_stream") ? "2, hybrid" : g->name;
}

bool generation_streams(const generation *g)
{
    return g->loops || g->ask_stream;
}

weir_code generation_failure(const call_result *r, weir_error *err)
{
    json error;
    const json_field want[] = {{"error", &error}};
    char *said = NULL;
    if (r->code == WEIR_OK)
        return WEIR_OK;
    if (r->error.len)
        return error_set(err, r->code, BYTES_FMT, BYTES_ARG(r->error));
    if (r->code == WEIR_FAILED && r->output.len && json_read_fields(r->output, want, 1, NULL) == WEIR_OK)
        said = json_string_dup(error);
    if (said && *said)
        error_set(err, r->code, "%s", said);
    else if (r->why && *r->why)
        error_set(err, r->code, "%s", r->why);
    else
        error_set(err, r->code, "it failed (code %d) and gave no reason", r->rc);
    free(said);
    return r->code;
}

const char *generation_event_name(stream_event event)
{
    static const char *const names[] = {"connecting", "connected", "disconnected", "error"};
    return names[event];
}

bool generation_put_raw(buf *in, const marker *m, const stream_frame *f)
{
    if (!m->raw)
        return false;
    buf_add_char(in, '=');
    buf_add_bytes(in, m->id);
    buf_add_char(in, '\n');
    buf_add_bytes(in, f->text);
    return true;
}

/* {"streamId","connectionId","eventType","error"?}: the same in 1 and 3. */
void generation_put_event(buf *in, const marker *m, bytes connection, stream_event event, const char *error)
{
    buf_add_text(in, "{\"streamId\":");
    json_put_string(in, m->id);
    buf_add_text(in, ",\"connectionId\":");
    json_put_string(in, connection);
    buf_add_text(in, ",\"eventType\":");
    json_put_text(in, generation_event_name(event));
    if (error && *error) {
        buf_add_text(in, ",\"error\":");
        json_put_text(in, error);
    }
    buf_add_char(in, '}');
}

/* ---- No data source: it may be called, and that is all ---- */

static bool fits_anything(const module *code)
{
    (void)code;
    return true;
}

static const char *no_command(buf *in, bytes name, json params, weir_error *err)
{
    (void)in, (void)params;
    error_set(err, WEIR_UNSUPPORTED, "it answers no commands, so not '" BYTES_FMT "'; 'weir call' calls its exports", BYTES_ARG(name));
    return NULL;
}

const generation generation_none = {
    .name = "none: a plain Extism plugin",
    .fits = fits_anything,
    .configure = "plugin_configure",
    .ask_command = no_command,
};
