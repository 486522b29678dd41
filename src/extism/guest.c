/* One call of an export, from the input to the verdict.
 *
 *     guest_call     look the export up, empty exchange memory, put the input there
 *     guest_step     first call only: the runtime's initialisers; then the export
 *     guest_result   returned, failed, trapped, left, cancelled: one table (outcome_take)
 *
 * What can go wrong goes into the result: a step that fails ends the sequence. A call allocates
 * nothing; the first one may, since its input waits while the runtime is initialised. */
#include "extism/guest_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_EXCHANGE (UINT64_C(64) * 1024 * 1024)
#define RC_TRAP 134     /* a trap of the engine */
#define RC_HOST (-1)    /* everything else that is no code of the guest's */
#define RC_EXIT_MAX 125 /* exit codes beyond it are none */

static bool on_returned(void *self);

/* ---- Life ---- */

static weir_code guest_parts(guest_core *c, const guest_options *o, weir_error *err)
{
    guest *g = &c->pub;
    uint64_t max = o->max_exchange ? o->max_exchange : DEFAULT_EXCHANGE;
    g->kernel = kernel_new(max);
    if (!g->kernel)
        return error_set(err, WEIR_NOMEM, "no address space for %" PRIu64 " octets of exchange memory", max);
    g->vars = vars_new(o->manifest->max_var_bytes);
    if (!g->vars)
        return error_set(err, WEIR_NOMEM, "out of memory");
    return wasi_new(&g->wasi, g, o->args, o->env, err);
}

weir_code guest_new(guest **out, linked *l, const guest_options *o, weir_error *err)
{
    guest_core *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, WEIR_NOMEM, "%s: out of memory", o->name ? o->name : "guest");
    guest *g = &c->pub;
    g->manifest = o->manifest;
    g->ops = o->ops;
    g->owner = o->owner;
    g->name = o->name ? o->name : "guest";
    g->log_level = o->ops->log ? LOG_INFO : LOG_OFF;
    buf_init(&g->http_headers, 1024 * 1024);
    buf_init(&c->http_text, 2 * 1024 * 1024);
    buf_init(&c->http_body, SIZE_MAX);
    buf_init(&c->input, SIZE_MAX);
    c->result.why = c->result.trace = "";

    c->as_extism = o->as_extism;
    instance_limits limits = {.max_memory = o->max_memory, .on_caller = o->on_caller, .fuel = o->fuel};
    if (o->manifest->max_pages < UINT32_MAX) {
        uint64_t asked = o->manifest->max_pages ? o->manifest->max_pages * 65536 : 1;
        if (!o->max_memory || asked < o->max_memory)
            limits.max_memory = asked;
    }
    *out = g; /* already here, since a start section calls host functions */
    weir_code code = guest_parts(c, o, err);
    limits.near = g->kernel;
    if (code || instance_new(&g->inst, l, &limits, g, err)) {
        error_wrap(err, "%s", g->name);
        *out = NULL;
        guest_free(g);
        return err ? err->code : WEIR_INVALID;
    }
    if (g->ops->next)
        instance_on_returned(g->inst, on_returned);
    return WEIR_OK;
}

void guest_free(guest *g)
{
    if (!g)
        return;
    guest_core *c = guest_core_of(g);
    if (g->inst)
        instance_free(g->inst);
    wasi_free(g->wasi);
    vars_free(g->vars);
    kernel_free(g->kernel);
    buf_fini(&g->http_headers);
    buf_fini(&c->http_text);
    buf_fini(&c->http_body);
    buf_fini(&c->input);
    free(c->words);
    free(c);
}

/* ---- Imports ---- */

static bool table_bind(const import_entry *table, size_t count, bytes name, binding *out)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_is(name, table[i].name)) {
            out->fn = table[i].fn;
            out->direct = table[i].direct;
            snprintf(out->type, sizeof out->type, "%s", table[i].type);
            return true;
        }
    return false;
}

bool guest_bind(const module_extern *import, binding *out)
{
    *out = (binding){0};
    if (import->kind != EXTERN_FUNC)
        return false;
    if (bytes_is(import->module, "extism:host/env"))
        return table_bind(imports_table, imports_count, import->name, out);
    if (bytes_is(import->module, "wasi_snapshot_preview1"))
        return table_bind(wasi_table, wasi_count, import->name, out);
    if (bytes_is(import->module, "weir:host"))
        return table_bind(blocks_table, blocks_count, import->name, out);
    return false;
}

/* ---- Exports ---- */

static export_fit export_judge(const char *type)
{
    const char *open = strchr(type, '(');
    if (!open || strcmp(open, "()") != 0)
        return EXPORT_PARAMETERS;
    if (open - type > 1)
        return EXPORT_RESULTS;
    return open == type || type[0] == 'i' ? EXPORT_FITS : EXPORT_ODD_RESULT;
}

static void export_look_up(guest *g, const char *name, guest_func *out)
{
    out->fit = instance_func(g->inst, name, &out->f) ? export_judge(out->f.export->type) : EXPORT_MISSING;
}

/* The export by name, from the guest's small table where it was called before. `spare` serves a
 * name that the module does not have. */
static const guest_func *export_find(guest *g, const char *name, guest_func *spare)
{
    guest_core *c = guest_core_of(g);
    bytes wanted = bytes_of(name);
    for (int i = 0; i < GUEST_FUNCS && c->funcs[i].fit != EXPORT_UNKNOWN; i++)
        if (bytes_equal(c->funcs[i].f.export->name, wanted))
            return &c->funcs[i];
    export_look_up(g, name, spare);
    if (spare->fit == EXPORT_MISSING)
        return spare;
    guest_func *slot = &c->funcs[c->func_next++ % GUEST_FUNCS];
    *slot = *spare;
    return slot;
}

/* ---- Results ---- */

/* Where texts go. NULL: out of memory, and the call's end has fewer words. */
static guest_words *words_of(guest_core *c)
{
    if (!c->words)
        c->words = calloc(1, sizeof *c->words);
    return c->words;
}

static void one_line(char *at)
{
    for (; *at; at++)
        if ((unsigned char)*at < ' ' || *at == '\x7f')
            *at = ' ';
}

/* The text for people: one line, no control characters. */
static void why_set(guest_core *c, const char *format, ...) PRINTF_LIKE(2, 3);
static void why_set(guest_core *c, const char *format, ...)
{
    va_list args;
    guest_words *w = words_of(c);
    c->result.why = "it failed, and there is no memory to say why";
    if (!w)
        return;
    va_start(args, format);
    vsnprintf(w->why, sizeof w->why, format, args);
    va_end(args);
    one_line(w->why);
    c->result.why = w->why;
}

/* What the guest said last on stderr, where that explains an end that has no text of its own. */
static void why_add_stderr(guest_core *c)
{
    bytes said = wasi_last_words(c->pub.wasi);
    guest_words *w = c->words;
    if (said.len == 0 || !w)
        return;
    size_t len = strlen(w->why);
    snprintf(w->why + len, sizeof w->why - len, "; it said '" BYTES_FMT "'", BYTES_ARG(said));
    one_line(w->why + len);
}

static void call_over(guest_core *c, weir_code code, int32_t rc)
{
    c->phase = GUEST_OVER;
    c->entered = false;
    c->result.code = code;
    c->result.rc = rc;
    wasi_call_over(c->pub.wasi);
}

static void call_refused(guest_core *c, export_fit fit, const char *name)
{
    call_over(c, fit == EXPORT_MISSING ? WEIR_NOT_FOUND : WEIR_INVALID, RC_HOST);
    if (fit == EXPORT_MISSING)
        why_set(c, "Function not found: %.200s", name);
    else if (fit == EXPORT_PARAMETERS)
        why_set(c, "'%.200s' takes parameters; an export that can be called takes none and gets its input through input_load", name);
    else
        why_set(c, "Function %.200s has more than one result, expected 0 or 1", name);
}

/* What the guest recorded, whatever else happened. */
static void result_read(guest_core *c)
{
    kernel *k = c->pub.kernel;
    uint64_t error_at = kernel_error(k);
    c->result.output = kernel_output(k);
    c->result.error = error_at ? kernel_block(k, error_at) : bytes_make("", 0);
}

/* The call or one of its initialisers was stopped from outside. */
static void result_stopped(guest_core *c, weir_code code, const char *text)
{
    result_read(c);
    c->result.needs_reset = true;
    call_over(c, code, c->result.error.len ? RC_HOST : RC_TRAP);
    why_set(c, "%s", text);
}

static void result_returned(guest_core *c)
{
    int32_t rc = c->fit == EXPORT_ODD_RESULT ? RC_HOST : c->steps[c->step_now].f.export->type[0] == 'i' ? c->values[0].i32
                                                                                                        : 0;
    bool said = c->result.error.len > 0;
    c->result.needs_reset = c->call_name[0] == '_' && strcmp(c->call_name, "_start") == 0;
    if (said) {
        call_over(c, WEIR_FAILED, rc);
        why_set(c, "%s failed: " BYTES_FMT, c->call_name, BYTES_ARG(c->result.error));
    } else if (c->fit == EXPORT_ODD_RESULT) {
        call_over(c, WEIR_INVALID, rc);
        why_set(c, "%s returned a value that is no code; an export returns i32 or nothing", c->call_name);
    } else {
        call_over(c, rc ? WEIR_FAILED : WEIR_OK, rc);
        if (rc)
            why_set(c, "%s failed (code %" PRId32 ")", c->call_name, rc);
    }
}

static void result_exited(guest_core *c, int32_t code)
{
    bool said = c->result.error.len > 0;
    bool fine = code == 0 && !said;
    c->result.needs_reset = code != 0 || strcmp(c->call_name, "_start") == 0;
    call_over(c, fine ? WEIR_OK : WEIR_FAILED, said || code < 0 || code > RC_EXIT_MAX ? RC_HOST : code);
    if (said)
        why_set(c, "%s failed: " BYTES_FMT, c->call_name, BYTES_ARG(c->result.error));
    else if (!fine) {
        why_set(c, "%s left with exit code %" PRId32, c->call_name, code);
        why_add_stderr(c);
    }
}

static void result_trapped(guest_core *c, const outcome *o)
{
    bool said = c->result.error.len > 0;
    bool slice = o->trap == TRAP_INTERRUPT;
    c->result.needs_reset = true;
    c->result.trace = o->trace ? o->trace : "";
    call_over(c, slice ? WEIR_TIMEOUT : WEIR_TRAPPED, said || o->trap == TRAP_HOST ? RC_HOST : RC_TRAP);
    why_set(c, "%s %s: %s", c->call_name, slice ? "was stopped" : "trapped", o->text ? o->text : "");
    why_add_stderr(c);
}

/* The outcome table. */
static void outcome_take(guest_core *c, const outcome *o)
{
    result_read(c);
    if (c->cancel_code && o->kind != OUTCOME_RETURNED)
        result_stopped(c, c->cancel_code, c->cancel_text);
    else if (o->kind == OUTCOME_RETURNED)
        result_returned(c);
    else if (o->kind == OUTCOME_EXITED)
        result_exited(c, o->exit_code);
    else if (o->kind == OUTCOME_CANCELLED)
        result_stopped(c, WEIR_CANCELLED, "cancelled");
    else
        result_trapped(c, o);
}

/* ---- Initialisation ---- */

static bool step_add(guest_core *c, const char *name, const char *type)
{
    guest_step_info *s = &c->steps[c->step_count];
    if (!instance_func(c->pub.inst, name, &s->f) || strcmp(s->f.export->type, type) != 0)
        return false;
    s->init = name;
    c->step_count++;
    return true;
}

/* Which initialisers the module has. Haskell: _initialize, then hs_init(0, 0). Others: the first of
 * __wasm_call_ctors and _initialize; a command module, which has neither, runs its _start once and
 * then serves its other exports. */
static void steps_plan(guest_core *c, const char *name)
{
    func f;
    c->step_count = 0;
    if (!c->as_extism && (strcmp(name, "_start") == 0 || strcmp(name, "_initialize") == 0))
        return;
    if (instance_func(c->pub.inst, "hs_init", &f)) {
        step_add(c, "_initialize", "()");
        if (!step_add(c, "hs_init", "(ii)"))
            step_add(c, "hs_init", "()");
    } else if (instance_func(c->pub.inst, "__wasm_call_ctors", &f)) {
        step_add(c, "__wasm_call_ctors", "()");
    } else if (instance_func(c->pub.inst, "_initialize", &f)) {
        step_add(c, "_initialize", "()");
    } else if (!c->as_extism) {
        step_add(c, "_start", "()");
    }
}

/* True when the initialiser did its work; otherwise the call is over. */
static bool init_take(guest_core *c, const outcome *o)
{
    const char *init = c->steps[c->step_now].init;
    if (o->kind == OUTCOME_RETURNED || (o->kind == OUTCOME_EXITED && o->exit_code == 0))
        return true;
    outcome_take(c, o);
    c->result.needs_reset = true;
    c->pub.started = c->as_extism;
    if (c->cancel_code || o->kind == OUTCOME_CANCELLED)
        return false;
    if (c->result.code != WEIR_TIMEOUT)
        c->result.rc = RC_HOST;
    if (o->kind == OUTCOME_EXITED)
        why_set(c, "the plugin's runtime could not be initialised: %s left with exit code %" PRId32, init, o->exit_code);
    else
        why_set(c, "the plugin's runtime could not be initialised: %s: %s", init, o->text ? o->text : "");
    why_add_stderr(c);
    return false;
}

/* ---- A call ---- */

/* Empties exchange memory and puts the input there. */
static bool input_place(guest_core *c, bytes input)
{
    kernel *k = c->pub.kernel;
    kernel_reset(k);
    if (input.len == 0)
        return true;
    uint64_t at = kernel_alloc(k, input.len);
    if (at == 0) {
        call_over(c, WEIR_LIMIT, RC_HOST);
        why_set(c, "failed to allocate extism memory: an input of %zu octets does not fit exchange memory", input.len);
        return false;
    }
    memcpy(kernel_base(k) + at, input.at, input.len);
    kernel_input_set(k, at, input.len);
    return true;
}

void guest_call(guest *g, const char *name, bytes input)
{
    guest_core *c = guest_core_of(g);
    assert(c->phase != GUEST_CALLING);
    c->phase = GUEST_CALLING;
    c->entered = false;
    c->step_now = c->step_count = 0;
    c->cancel_code = WEIR_OK;
    c->result = (call_result){.why = "", .trace = "", .output = {"", 0}, .error = {"", 0}};
    size_t name_len = strnlen(name, GUEST_NAME - 1);
    memcpy(c->call_name, name, name_len);
    c->call_name[name_len] = '\0';
    wasi_call_begin(g->wasi);

    guest_func spare;
    const guest_func *f = export_find(g, name, &spare);
    if (f->fit == EXPORT_MISSING || f->fit == EXPORT_PARAMETERS || f->fit == EXPORT_RESULTS) {
        kernel_reset(g->kernel);
        call_refused(c, f->fit, name);
        return;
    }
    if (!g->started)
        steps_plan(c, name);
    c->fit = f->fit;
    c->steps[c->step_count++] = (guest_step_info){.f = f->f};

    buf_clear(&c->input);
    if (c->step_count == 1) {
        input_place(c, input);
        return;
    }
    kernel_reset(g->kernel);
    buf_add_bytes(&c->input, input);
    if (c->input.failed) {
        call_over(c, WEIR_NOMEM, RC_HOST);
        why_set(c, "out of memory for an input of %zu octets", input.len);
    }
}

/* Enters the present step. Before the export: the runtime is up, and what the initialisers left in
 * exchange memory goes. False: the call is over. */
static bool step_enter(guest_core *c)
{
    guest *g = &c->pub;
    guest_step_info *s = &c->steps[c->step_now];
    if (!s->init) {
        if (c->step_count > 1 && !input_place(c, buf_bytes(&c->input)))
            return false;
        g->started = true;
    }
    c->values[0].u64 = c->values[1].u64 = 0;
    c->entered = true;
    instance_call(g->inst, &s->f, c->values);
    return true;
}

/* On the fiber, when an export has returned. */
static bool on_returned(void *self)
{
    guest *g = self;
    guest_core *c = guest_core_of(g);
    if (c->steps[c->step_now].init || c->cancel_code)
        return false;
    outcome_take(c, instance_outcome(g->inst));
    return g->ops->next(g) && c->phase == GUEST_CALLING && step_enter(c);
}

run_state guest_step(guest *g)
{
    guest_core *c = guest_core_of(g);
    while (c->phase == GUEST_CALLING) {
        if (!c->entered && !step_enter(c))
            break;
        c->stepping = true;
        run_state state = instance_resume(g->inst);
        c->stepping = false;
        if (state != RUN_DONE && c->cancel_code) { /* cancelled meanwhile by what it called, and now it waits */
            instance_cancel(g->inst);
            result_stopped(c, c->cancel_code, c->cancel_text);
            break;
        }
        if (state != RUN_DONE)
            return state;
        if (c->phase != GUEST_CALLING) /* on_returned has taken it */
            break;
        c->entered = false;
        const outcome *o = instance_outcome(g->inst);
        if (!c->steps[c->step_now].init)
            outcome_take(c, o);
        else if (init_take(c, o))
            c->step_now++;
    }
    return RUN_DONE;
}

const call_result *guest_result(guest *g)
{
    guest_core *c = guest_core_of(g);
    assert(c->phase != GUEST_CALLING);
    return &c->result;
}

void guest_cancel(guest *g, weir_code why, const char *text)
{
    guest_core *c = guest_core_of(g);
    if (c->phase != GUEST_CALLING)
        return;
    guest_words *w = words_of(c);
    c->cancel_code = why;
    c->cancel_text = "cancelled";
    if (w && text) {
        snprintf(w->cancel, sizeof w->cancel, "%s", text);
        c->cancel_text = w->cancel;
    }
    if (c->stepping)
        return; /* it runs now: SLICE_KILL or its next wait ends it, and guest_step comes back with this reason */
    bool entered = c->entered;
    if (entered)
        instance_cancel(g->inst);
    bool started = entered || c->step_now > 0;
    result_stopped(c, why, c->cancel_text);
    c->result.needs_reset = started;
}

/* ---- Nested calls ---- */

/* What a nested call left, appended to `out`. */
static void nested_gather(guest *g, buf *out)
{
    uint64_t error_at = kernel_error(g->kernel);
    buf_add_bytes(out, kernel_output(g->kernel));
    if (error_at)
        buf_add_bytes(out, kernel_block(g->kernel, error_at));
}

static bool nested_run(guest *g, const guest_func *f, int32_t *rc, buf *out, weir_error *err)
{
    value values[2] = {{.u64 = 0}, {.u64 = 0}};
    trap *t = instance_call_nested(g->inst, &f->f, values);
    int32_t exit_code = 0;
    if (t && !(trap_exit_code(t, &exit_code) && exit_code == 0)) {
        error_set(err, WEIR_TRAPPED, "%s", trap_text(t));
        trap_free(t);
        return false;
    }
    if (t)
        trap_free(t);
    *rc = t || f->f.export->type[0] != 'i' ? 0 : values[0].i32;
    uint64_t error_at = kernel_error(g->kernel);
    if (*rc == 0 && error_at && kernel_length(g->kernel, error_at) > 0)
        *rc = RC_HOST;
    nested_gather(g, out);
    return true;
}

bool guest_call_nested(guest *g, const char *name, bytes input, int32_t *rc, buf *out, weir_error *err)
{
    guest_func spare;
    const guest_func *f = export_find(g, name, &spare);
    if (f->fit != EXPORT_FITS) {
        error_set(err, f->fit == EXPORT_MISSING ? WEIR_NOT_FOUND : WEIR_INVALID,
                  f->fit == EXPORT_MISSING ? "Function not found: %.200s" : "'%.200s' cannot be called as an export", name);
        return false;
    }
    kernel *k = g->kernel;
    kernel_slots saved = kernel_save(k);
    uint64_t at = input.len ? kernel_alloc(k, input.len) : 0;
    if (input.len && at == 0) {
        error_set(err, WEIR_LIMIT, "%.200s: an input of %zu octets does not fit exchange memory", name, input.len);
        return false;
    }
    kernel_restore(k, (kernel_slots){0});
    if (at) {
        memcpy(kernel_base(k) + at, input.at, input.len);
        kernel_input_set(k, at, input.len);
    }
    guest_func copy = *f; /* the nested guest may push it out of the table */
    bool ok = nested_run(g, &copy, rc, out, err);
    uint64_t output_at = kernel_output_offset(k), error_at = kernel_error(k);
    kernel_restore(k, saved);
    kernel_release(k, at);
    kernel_request_done(k, output_at);
    kernel_request_done(k, error_at);
    if (!ok)
        error_wrap(err, "%.200s", name);
    return ok;
}

/* ---- For host functions ---- */

bool guest_block(guest *g, uint64_t offset, bytes *out)
{
    *out = kernel_block(g->kernel, offset);
    return out->len > 0;
}

char *guest_reply_space(guest *g, uint64_t len, value *v)
{
    uint64_t at = kernel_alloc(g->kernel, len);
    v[0].u64 = at;
    if (at == 0)
        return NULL;
    kernel_reply_given(g->kernel, at);
    return (char *)kernel_base(g->kernel) + at;
}

static trap *reply_full(guest *g, size_t len)
{
    return guest_trap(g, "no room for an answer of %zu octets in exchange memory: %" PRIu64 " are in use", len, kernel_used(g->kernel));
}

trap *guest_reply(guest *g, bytes text, value *v)
{
    v[0].u64 = 0;
    if (text.len == 0)
        return NULL;
    char *space = guest_reply_space(g, text.len, v);
    if (!space)
        return reply_full(g, text.len);
    memcpy(space, text.at, text.len);
    return NULL;
}

trap *guest_answer(guest *g, bytes text, value *v)
{
    v[0].u64 = text.len ? kernel_alloc(g->kernel, text.len) : 0;
    if (text.len == 0)
        return NULL;
    if (v[0].u64 == 0)
        return reply_full(g, text.len);
    memcpy(kernel_base(g->kernel) + v[0].u64, text.at, text.len);
    return NULL;
}

trap *guest_trap(guest *g, const char *format, ...)
{
    (void)g;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return trap_new("%s", text);
}
