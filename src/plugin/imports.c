/* All that a plugin can ask us for, on one screen, and how each import finds its function.
 *
 * Every function of the table is offered under `env` and under `extism:host/user`; one
 * module may mix the two. What nobody offers gets a stub that answers an error document, so that the
 * plugin stays usable for the parts that work. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "plugin/host.h"

typedef struct import_entry {
    const char *name;
    const char *type;
    host_fn fn;
    host_function function; /* for by_block */
} import_entry;

/* Fetch the request block, do it, answer: a block in, a block out. */
static trap *by_block(void *env, void *self, value *v)
{
    const import_entry *entry = env;
    guest *g = self;
    task *t = g->owner;
    uint64_t request = v[0].u64;
    bytes text;

    uint64_t serial = task_call_begins(t, entry->name);
    t->ticks = 0;
    t->said = WEIR_OK;
    buf_clear(&t->reply);
    if (!guest_block(g, request, &text)) {
        weir_error err = WEIR_ERROR_INIT;
        error_set(&err, WEIR_INVALID, "%s: no block at %" PRIu64 "; pass the offset of one that holds the request", entry->name, request);
        host_say_error(t, &err);
    } else if (!entry->function(t, text)) {
        task_call_ends(t, serial, WEIR_CANCELLED);
        return g->cancelled;
    }
    task_call_ends(t, serial, t->said);
    kernel_request_done(g->kernel, request);
    if (t->reply.failed)
        return guest_trap(g, "%s: out of memory", entry->name);
    if (t->reply.len == 0) { /* log_record: the answer is not looked at */
        v[0].u64 = 0;
        return NULL;
    }
    return guest_reply(g, buf_bytes(&t->reply), v);
}

/* time_now(i64 ignored) -> block: a JSON string, RFC 3339 in UTC */
static trap *time_now(void *env, void *self, value *v)
{
    guest *g = self;
    char text[CLOCK_RFC3339_SIZE], quoted[CLOCK_RFC3339_SIZE + 2];
    (void)env;
    task_call_ends(g->owner, task_call_begins(g->owner, "time_now"), WEIR_OK);
    clock_rfc3339(text, clock_real(), 9);
    int n = snprintf(quoted, sizeof quoted, "\"%s\"", text);
    return guest_reply(g, bytes_make(quoted, (size_t)n), v);
}

/* sleep_ms(i64 milliseconds): the argument is the number itself. */
static trap *sleep_ms(void *env, void *self, value *v)
{
    guest *g = self;
    task *t = g->owner;
    int64_t ms = v[0].i64;
    (void)env;
    v[0].u64 = 0;
    if (ms <= 0)
        return NULL;
    if (ms > INT64_C(86400000))
        ms = INT64_C(86400000);
    uint64_t until = loop_now(t->loop) + (uint64_t)ms * NS_PER_MS, serial = task_call_begins(t, "sleep_ms");
    for (;;)
        switch (task_wait(t, "sleep_ms", until)) {
        case WAIT_CANCELLED:
            task_call_ends(t, serial, WEIR_CANCELLED);
            return g->cancelled;
        case WAIT_TIMEOUT:
            task_call_ends(t, serial, WEIR_OK);
            return NULL;
        case WAIT_WOKEN:
            break; /* something else happened; it sleeps on */
        }
}

static const import_entry entries[] = {
    /* name                   type     how       what */
    {"ws_connect", "I(I)", by_block, host_ws_connect},
    {"ws_send", "I(I)", by_block, host_ws_send},
    {"ws_receive", "I(I)", by_block, host_ws_receive},
    {"ws_close", "I(I)", by_block, host_ws_close},
    {"publish_stream_data", "I(I)", by_block, host_publish_stream_data},
    {"http_request", "I(I)", by_block, host_http_request},
    {"log_record", "I(I)", by_block, host_log_record},
    {"calendar_import", "I(I)", by_block, host_calendar_import},
    {"time_now", "I(I)", time_now, NULL},
    {"sleep_ms", "I(I)", sleep_ms, NULL},
};

/* A function that nobody offers: an error document for those that take and give a block, zero for
 * others. Said once for each. */
typedef struct stub {
    char *module, *name;
    char result;
    bool said;
    struct stub *next;
} stub;

trap *task_stub(void *env, void *self, value *v)
{
    stub *s = env;
    guest *g = self;
    task *t = g->owner;
    t->ticks = 0;
    task_call_ends(t, task_call_begins(t, s->name), WEIR_UNSUPPORTED);
    if (!__atomic_exchange_n(&s->said, true, __ATOMIC_RELAXED)) { /* shared by all threads' hosts */
        char text[300];
        snprintf(text, sizeof text, "host function '%.100s' of '%.100s' is not available; it answers an error", s->name, s->module);
        t->world->log(t->world_arg, LOG_WARN, "host", bytes_of(text));
    }
    if (s->result != 'I') {
        v[0] = (value){.v128 = {0}};
        return NULL;
    }
    buf_clear(&t->reply);
    buf_add_text(&t->reply, "{\"success\":false,\"result\":false,\"error\":\"host function ");
    for (const char *c = s->name; *c && c < s->name + 100; c++) /* a name from the module: only what needs no escape */
        buf_add_char(&t->reply, *c == '"' || *c == '\\' || (unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e ? '?' : *c);
    buf_add_text(&t->reply, " is not available\"}");
    return t->reply.failed ? guest_trap(g, "%s: out of memory", s->name) : guest_reply(g, buf_bytes(&t->reply), v);
}

/* Stubs live as long as the linked module they were made for, which is as long as the process keeps
 * compiled modules; a short list shared by all, so that they do not multiply. */
static stub *stubs;

static stub *stub_for(const module_extern *import)
{
    for (stub *s = __atomic_load_n(&stubs, __ATOMIC_ACQUIRE); s; s = s->next)
        if (bytes_is(import->module, s->module) && bytes_is(import->name, s->name) && s->result == import->type[0])
            return s;
    stub *s = calloc(1, sizeof *s);
    if (!s || !(s->module = bytes_dup(import->module)) || !(s->name = bytes_dup(import->name))) {
        if (s) {
            free(s->module);
            free(s);
        }
        return NULL;
    }
    s->result = import->type[0];
    s->next = __atomic_load_n(&stubs, __ATOMIC_ACQUIRE);
    while (!__atomic_compare_exchange_n(&stubs, &s->next, s, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
        ;
    return s;
}

void task_bind(void *arg, const module_extern *import, binding *out)
{
    const task_imports *imports = arg;
    *out = (binding){0};
    if (import->kind != EXTERN_FUNC)
        return;
    if (imports && imports->custom && imports->custom(imports->arg, import, out))
        return;
    if (guest_bind(import, out))
        return;
    if (bytes_is(import->module, "env") || bytes_is(import->module, "extism:host/user"))
        for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
            if (bytes_is(import->name, entries[i].name)) {
                *out = (binding){.fn = entries[i].fn, .env = (void *)(uintptr_t)&entries[i]};
                snprintf(out->type, sizeof out->type, "%s", entries[i].type);
                return;
            }
    if (imports && imports->strict)
        return;
    if (bytes_is(import->module, "extism:host/env") || bytes_is(import->module, "wasi_snapshot_preview1") || bytes_is(import->module, "weir:host"))
        return; /* these are complete: an unknown name there is an error */
    stub *s = stub_for(import);
    if (!s)
        return;
    *out = (binding){.fn = task_stub, .env = s};
    snprintf(out->type, sizeof out->type, "%s", import->type);
}
