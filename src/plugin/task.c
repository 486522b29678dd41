/* One guest, one call at a time, carried by the loop.
 *
 * The happy path: task_call puts the task into the loop's run queue; run() steps the guest until it
 * parks, has used its slice, or is done; a park ends by task_wake or its timer, and run() comes again.
 * What can go wrong: the call's time is over (call_timer, or on_slice while it computes; is_over says what
 * counts), it computes without end (on_slice), it is cancelled. Each ends in finish(), which is the only place that calls
 * on_done. */
#include "plugin/host.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS 5 /* engine_options.tick_ms's default */
#define PATIENCE 10

static void run(void *arg);

static void finish(task *t)
{
    const call_result *r = guest_result(t->guest);
    t->active = false;
    timer_stop(&t->call_timer);
    timer_stop(&t->wait_timer);
    defer_cancel(&t->ready);
    t->ready.fn = run; /* also when the guest ended by itself between a cancel and finish_later */
    t->result = *r;
    if (t->overran) {
        t->result.code = WEIR_TIMEOUT;
        t->result.why = t->why.text;
        t->overran = false;
    }
    t->on_done(t->done_arg, &t->result); /* may free the task */
}

static void run(void *arg)
{
    task *t = arg;
    if (!t->active)
        return;
    uint64_t began = t->meter ? clock_mono() : 0;
    run_state state = guest_step(t->guest);
    if (t->meter)
        meter_turn(t->meter, clock_mono() - began);
    if (state == RUN_DONE) {
        finish(t);
        return;
    }
    if (state == RUN_YIELDED)
        defer(t->loop, &t->ready); /* if parked, task_wait has arranged who wakes it */
    if (t->deadline && !timer_running(&t->call_timer))
        timer_at(&t->call_timer, t->deadline);
}

static void on_wait_timer(void *arg)
{
    task *t = arg;
    if (t->waiting)
        defer(t->loop, &t->ready);
}

/* It waits, and nothing that it waits for has come. */
static bool stuck(const task *t)
{
    return t->waiting && !list_linked(&t->ready.node);
}

/* Is the call's time over? What it waited and computed is its own; that its thread, or its turn, did not come is not, so for
 * that its deadline moves. Time is counted in whole ticks: who parks before each of them has PATIENCE times as much at most. */
static bool is_over(task *t, uint64_t now)
{
    uint64_t own = t->waited + t->call_ticks * (TICK_MS * NS_PER_MS), whole = t->call_ms * NS_PER_MS;
    if (now < t->deadline)
        return false;
    if (own >= whole || stuck(t) || t->by_clock || now - t->began >= PATIENCE * whole)
        return true;
    t->deadline = now + whole - own;
    return false;
}

static void on_call_timer(void *arg)
{
    task *t = arg;
    char text[200];
    if (!is_over(t, loop_now(t->loop))) {
        timer_at(&t->call_timer, t->deadline);
        return;
    }
    if (stuck(t))
        snprintf(text, sizeof text, "%s stopped after %llu ms; it was waiting in %s", t->export_name,
                 (unsigned long long)t->call_ms, t->waiting_in);
    else
        snprintf(text, sizeof text, "%s stopped after %llu ms, the most that one call may take", t->export_name,
                 (unsigned long long)t->call_ms);
    task_cancel(t, WEIR_TIMEOUT, text);
}

static wait_end op_wait(guest *g, uint64_t deadline)
{
    return task_wait(g->owner, "poll_oneoff", deadline);
}

static void op_log(guest *g, log_level level, const char *origin, bytes text)
{
    task *t = g->owner;
    uint64_t dropped;
    if (!policy_log(&t->policy, loop_now(t->loop), &dropped))
        return;
    if (dropped) {
        char lost[80];
        snprintf(lost, sizeof lost, "%llu log lines dropped: more than %u in a second", (unsigned long long)dropped,
                 t->policy.limits.log_per_s);
        t->world->log(t->world_arg, LOG_WARN, "host", bytes_of(lost));
    }
    t->world->log(t->world_arg, level, origin, text);
}

static bool op_http(guest *g, guest_http *request)
{
    task *t = g->owner;
    uint64_t serial = task_call_begins(t, "extism http_request");
    bool alive = host_extism_http(g, request);
    task_call_ends(t, serial, alive ? request->error.code : WEIR_CANCELLED);
    return alive;
}

static bool op_next(guest *g)
{
    task *t = g->owner;
    return t->on_returned && t->on_returned(t->done_arg, guest_result(g));
}

static const guest_ops ops = {.wait = op_wait, .http = op_http, .log = op_log, .next = op_next};

weir_code task_new(task **out, loop *l, linked *code, const task_options *options, weir_error *err)
{
    task *t = calloc(1, sizeof *t);
    if (!t || !(t->name = strdup(options->name))) {
        free(t);
        return error_set(err, WEIR_NOMEM, "plugin '%s': out of memory", options->name);
    }
    t->loop = l;
    t->world = options->world;
    t->world_arg = options->world_arg;
    policy_init(&t->policy, options->limits);
    list_init(&t->sockets);
    if ((t->meter = options->meter)) {
        if (!t->meter->tasks.head.next)
            list_init(&t->meter->tasks);
        list_push(&t->meter->tasks, &t->metered);
    }
    t->ready = (deferred){.fn = run, .arg = t};
    timer_init(&t->wait_timer, l, on_wait_timer, t);
    timer_init(&t->call_timer, l, on_call_timer, t);
    buf_init(&t->reply, SIZE_MAX);
    buf_init(&t->scratch, SIZE_MAX);
    buf_init(&t->headers, HOST_HEADERS * sizeof(http_header));
    buf_init(&t->key, 1 << 16);
    buf_init(&t->receive_request, 4096);
    guest_options guest = {
        .manifest = options->manifest,
        .ops = &ops,
        .owner = t,
        .name = t->name,
        .max_exchange = t->policy.limits.exchange,
        .max_memory = t->policy.limits.memory,
        .env = options->env,
    };
    if (guest_new(&t->guest, code, &guest, err)) {
        task_free(t);
        return err ? err->code : WEIR_INVALID;
    }
    *out = t;
    return WEIR_OK;
}

void task_free(task *t)
{
    if (!t)
        return;
    list_remove(&t->metered);
    t->active = false;
    timer_stop(&t->call_timer);
    timer_stop(&t->wait_timer);
    defer_cancel(&t->ready);
    guest_free(t->guest); /* unwinds: host functions see the cancel and let go of their sockets */
    defer_cancel(&t->ready);
    timer_stop(&t->wait_timer);
    for (list_node *n = t->sockets.head.next; n != &t->sockets.head;) {
        plug *s = LIST_OWNER(n, plug, node);
        n = n->next;
        plug_free(s);
    }
    buf_fini(&t->reply);
    buf_fini(&t->scratch);
    buf_fini(&t->headers);
    buf_fini(&t->key);
    buf_fini(&t->receive_request);
    free(t->stop_export);
    free(t->stop_input);
    free(t->name);
    free(t);
}

static void begin(task *t, const char *export_name, bytes input, uint64_t call_ms)
{
    size_t len = strnlen(export_name, sizeof t->export_name - 1);
    t->waiting = t->woken = t->overran = t->stopping = false;
    t->by_clock = false;
    t->ticks = t->call_ticks = 0;
    t->waited = 0;
    memcpy(t->export_name, export_name, len);
    t->export_name[len] = '\0';
    t->call_ms = call_ms;
    t->began = loop_now(t->loop);
    t->deadline = call_ms ? t->began + call_ms * NS_PER_MS : 0;
    guest_call(t->guest, export_name, input);
}

void task_call(task *t, const char *export_name, bytes input, uint64_t call_ms, task_done on_done, void *arg)
{
    assert(!t->active);
    t->active = true;
    t->on_done = on_done;
    t->done_arg = arg;
    begin(t, export_name, input, call_ms);
    defer(t->loop, &t->ready);
}

void task_by_clock(task *t)
{
    t->by_clock = true;
}

void task_on_returned(task *t, task_returned on_returned)
{
    t->on_returned = on_returned;
}

void task_call_next(task *t, const char *export_name, bytes input, uint64_t call_ms)
{
    assert(t->active);
    timer_stop(&t->call_timer); /* of the call that has returned, if it took long */
    begin(t, export_name, input, call_ms);
}

void task_run(task *t)
{
    if (list_linked(&t->ready.node) && t->ready.fn == run) {
        defer_cancel(&t->ready);
        run(t);
    }
}

uint64_t task_memory(const task *t)
{
    size_t size = 0;
    if (t->guest && t->guest->inst)
        instance_memory(t->guest->inst, &size);
    return size;
}

bool task_idle(const task *t)
{
    return !t->active;
}

static void finish_later(void *arg)
{
    finish(arg);
}

void task_cancel(task *t, weir_code code, const char *text)
{
    if (!t->active || t->ready.fn == finish_later)
        return;
    guest_cancel(t->guest, code, text);
    t->ready.fn = finish_later;
    defer(t->loop, &t->ready);
}

weir_code task_ask_stop(task *t, const char *export_name, bytes input, weir_error *err)
{
    free(t->stop_export);
    free(t->stop_input);
    t->stop_export = strdup(export_name);
    t->stop_input = bytes_dup(input);
    if (!t->stop_export || !t->stop_input) {
        free(t->stop_export);
        t->stop_export = NULL; /* never half an order */
        return error_set(err, WEIR_NOMEM, "plugin '%s': out of memory", t->name);
    }
    task_wake(t);
    return WEIR_OK;
}

void task_ask_leave(task *t)
{
    t->leaving = true;
    task_wake(t);
}

wait_end task_wait(task *t, const char *where, uint64_t deadline)
{
    t->ticks = 0;
    if (t->woken) { /* between the caller's last look and now */
        t->woken = false;
        return WAIT_WOKEN;
    }
    t->waiting = true;
    if (where != t->waiting_in)
        snprintf(t->waiting_in, sizeof t->waiting_in, "%s", where);
    if (deadline != UINT64_MAX)
        timer_at(&t->wait_timer, deadline);
    uint64_t parked = loop_now(t->loop);
    trap *stop = instance_park(t->guest->inst);
    t->waited += loop_now(t->loop) - parked;
    t->waiting = false;
    timer_stop(&t->wait_timer);
    if (stop) {
        t->guest->cancelled = stop;
        return WAIT_CANCELLED;
    }
    if (t->woken) {
        t->woken = false;
        return WAIT_WOKEN;
    }
    return WAIT_TIMEOUT;
}

void task_wake(task *t)
{
    if (!t->active || t->woken)
        return;
    t->woken = true;
    if (t->waiting)
        defer(t->loop, &t->ready);
}

/* ---- What it asked for last ---- */

uint64_t task_call_begins(task *t, const char *name)
{
    uint64_t serial = ++t->call_count;
    t->calls[serial % TASK_CALLS] = (host_call){.name = name, .serial = serial, .began = loop_now(t->loop)};
    return serial;
}

/* A nested call may have had the place meanwhile. */
void task_call_ends(task *t, uint64_t serial, weir_code code)
{
    host_call *c = &t->calls[serial % TASK_CALLS];
    if (c->serial != serial)
        return;
    c->ended = loop_now(t->loop);
    c->code = code;
}

const host_call *task_last_call(const task *t, uint64_t i)
{
    return i < TASK_CALLS && i < t->call_count ? &t->calls[(t->call_count - i) % TASK_CALLS] : NULL;
}

bytes task_message(const task *t)
{
    const host_call *last = task_last_call(t, 0);
    bool given = last && last->ended && last->code == WEIR_OK && !strcmp(last->name, "ws_receive") && t->reply.len;
    bytes text = given ? buf_bytes(&t->reply) : (bytes){0};
    if (text.len && text.at[0] == '=') /* raw */
        return bytes_make(text.at + 1, text.len - 1);
    return text;
}

/* Called at a tick while the guest computes. One tick and the others have their turn. */
slice_verdict task_on_slice(void *self)
{
    guest *g = self;
    task *t = g->owner;
    uint32_t used = ++t->ticks * TICK_MS;
    t->call_ticks++;
    if (t->deadline && is_over(t, clock_mono()))
        error_set(&t->why, WEIR_TIMEOUT, "%s stopped after %llu ms, the most that one call may take; it was computing",
                  t->export_name, (unsigned long long)t->call_ms);
    else if (used >= t->policy.limits.cpu_ms)
        error_set(&t->why, WEIR_TIMEOUT, "%s stopped: it used the CPU for %u ms without asking the host for anything",
                  t->export_name, used);
    else
        return SLICE_YIELD;
    t->overran = true;
    return SLICE_KILL;
}
