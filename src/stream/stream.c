/* The life of a stream: its states, its instance, its gaps and the wait for the next try.
 *
 * The happy path: an instance is made and configured, the route (pull.c, push.c) brings it to a live
 * socket, publications become records, stream_stop ends it. What goes wrong ends in one of three:
 * stream_lose, which alone decides about the next try; stream_fail, where trying again is vain;
 * stream_close, when it was asked for. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "plugin/timeframe.h"
#include "stream/inside.h"

#define STOP_NS (2 * NS_PER_S)
#define UNAVAILABLE_MAX_S 3600 /* what a 503 may ask for at most */

#define BIT(s) (1u << (s))

typedef struct state_info {
    const char *name;
    unsigned next;
} state_info;

static const state_info states[] = {
    [STREAM_CONNECTING] = {"connecting", BIT(STREAM_LIVE) | BIT(STREAM_WAITING) | BIT(STREAM_STOPPING) | BIT(STREAM_CLOSED) | BIT(STREAM_FAILED)},
    [STREAM_LIVE] = {"live", BIT(STREAM_CONNECTING) | BIT(STREAM_WAITING) | BIT(STREAM_STOPPING) | BIT(STREAM_CLOSED) | BIT(STREAM_FAILED)},
    [STREAM_WAITING] = {"waiting", BIT(STREAM_CONNECTING) | BIT(STREAM_CLOSED) | BIT(STREAM_FAILED)},
    [STREAM_STOPPING] = {"stopping", BIT(STREAM_CLOSED)},
    [STREAM_CLOSED] = {"closed", 0},
    [STREAM_FAILED] = {"failed", 0},
};

static const record_state shown[] = {
    [STREAM_CONNECTING] = RECORD_CONNECTING,
    [STREAM_LIVE] = RECORD_LIVE,
    [STREAM_WAITING] = RECORD_WAITING,
    [STREAM_STOPPING] = RECORD_STOPPED,
    [STREAM_CLOSED] = RECORD_CLOSED,
    [STREAM_FAILED] = RECORD_FAILED,
};

const char *stream_state_name(stream_state state)
{
    return states[state].name;
}

/* False: on_state freed it. */
static bool announce(stream *s, stream_state next, const char *why)
{
    bool gone = false, *outer = s->gone;
    log_info("stream", "'%s': %s -> %s: %s", record_stream_topic(s->records).at, states[s->state].name, states[next].name, why);
    s->state = next;
    s->since = loop_now(s->plugin->loop);
    if (next == STREAM_LIVE)
        liveness_live(s);
    else
        liveness_stop(s);
    snprintf(s->why, sizeof s->why, "%s", why);
    if (next == STREAM_LIVE)
        s->live_since = s->since;
    hub_publish_status(s->plugin->hub, s->records, shown[next], why);
    if (!s->on_state)
        return true;
    s->gone = &gone;
    s->on_state(s->arg, s, next, s->why);
    if (!gone)
        s->gone = outer;
    else if (outer)
        *outer = true;
    return !gone;
}

bool stream_enter(stream *s, stream_state next, const char *why)
{
    if (s->state == next)
        return true;
    assert(states[s->state].next & BIT(next));
    return announce(s, next, why);
}

/* ---- Gaps ---- */

void stream_begin_gap_at(stream *s, record_gap_cause cause, uint64_t from_ns)
{
    if (s->lost_from || (s->gapped && s->resyncs_later)) /* told; it lasts until then */
        return;
    s->lost_from = from_ns;
    s->lost_cause = cause;
}

void stream_missed(stream *s, uint64_t from_ns, uint64_t from_event)
{
    s->last_event = from_event;
    stream_begin_gap_at(s, RECORD_GAP_RESTART, from_ns);
}

uint64_t stream_missing(const stream *s)
{
    return s->lost_from ? s->lost_from : s->last_recv;
}

void stream_begin_gap(stream *s, record_gap_cause cause)
{
    stream_begin_gap_at(s, cause, s->last_recv ? s->last_recv : clock_real());
}

void stream_tell_gap(stream *s, const record_gap *gap)
{
    if (!s->gapped)
        s->gap_event = s->last_event;
    s->gapped = true;
    if (gap->cause == RECORD_GAP_DROPPED)
        s->dropped += gap->count;
    hub_publish_gap(s->plugin->hub, s->records, gap);
}

/* The gap that is due. */
static void tell_loss(stream *s)
{
    record_gap gap = s->lost_numbers;
    if (!s->lost_from)
        return;
    gap.cause = s->lost_cause;
    gap.from_ns = s->lost_from;
    gap.to_ns = clock_real();
    gap.to_ns = gap.to_ns > gap.from_ns ? gap.to_ns : gap.from_ns; /* the clock may have been set back */
    gap.count = s->lost_count > gap.count ? s->lost_count : gap.count;
    s->lost_from = s->lost_count = 0;
    s->lost_numbers = (record_gap){0};
    stream_tell_gap(s, &gap);
}

void stream_resynced(stream *s, const char *why)
{
    if (!s->gapped)
        return;
    s->gapped = false;
    hub_publish_status(s->plugin->hub, s->records, RECORD_RESYNCED, why);
    if (s->on_resynced)
        s->on_resynced(s->arg, s->gap_event);
}

void stream_publish(stream *s, uint64_t ts_event, uint64_t recv_ns, bytes data)
{
    s->last_event = ts_event;
    hub_publish(s->plugin->hub, record_new(s->records, ts_event, recv_ns, data));
}

void stream_end_gap(stream *s)
{
    tell_loss(s);
    if (s->gapped && !s->resyncs_later)
        stream_resynced(s, "what follows is whole again");
}

/* ---- Ends ---- */

static void drop_all(stream *s)
{
    timer_stop(&s->next_try);
    timer_stop(&s->stopper);
    liveness_stop(s);
    defer_cancel(&s->act);
    hub_wait_cancel(&s->room);
    s->route->drop(s);
    task_free(s->task);
    s->task = NULL;
}

void stream_close(stream *s, const char *why)
{
    drop_all(s);
    tell_loss(s);
    stream_enter(s, STREAM_CLOSED, why);
}

void stream_fail(stream *s, const char *why)
{
    drop_all(s);
    tell_loss(s);
    log_error("stream", "'%s': given up: %s", record_stream_topic(s->records).at, why);
    stream_enter(s, STREAM_FAILED, why);
}

void stream_lose(stream *s, record_gap_cause cause, const char *why, bool at_once)
{
    char text[WEIR_ERROR_TEXT + 40];
    uint64_t wait;
    if (s->state == STREAM_STOPPING) {
        stream_close(s, why);
        return;
    }
    bool kept = s->route->keep && s->route->keep(s, cause);
    if (!kept && (s->live_since || s->last_recv))
        stream_begin_gap(s, cause);
    if (s->state == STREAM_LIVE && loop_now(s->plugin->loop) - s->live_since > STABLE_NS) {
        backoff_reset(&s->backoff);
        s->traps = s->pull.returns = 0;
    }
    s->route->lost(s);
    record_stream_counts(s->records)->restarts++;
    wait = at_once ? 0 : backoff_next(&s->backoff);
    if (s->retry_after_s && s->retry_after_s * NS_PER_S > wait)
        wait = s->retry_after_s * NS_PER_S + backoff_spread(&s->backoff);
    s->retry_after_s = 0;
    s->not_before = loop_now(s->plugin->loop) + wait;
    timer_at(&s->next_try, s->not_before);
    snprintf(text, sizeof text, "%s; next try in %.1f s", why, (double)wait * 1e-9);
    stream_enter(s, STREAM_WAITING, text);
}

void stream_note_down(stream *s, const weir_error *why, uint16_t http_status, uint32_t retry_after_s)
{
    error_keep(&s->down, why);
    s->retry_after_s = http_status == 503 && retry_after_s > UNAVAILABLE_MAX_S ? UNAVAILABLE_MAX_S : retry_after_s; /* net/ban.h bounds the others */
    if (s->state == STREAM_LIVE)
        stream_begin_gap(s, why->code == WEIR_TIMEOUT ? RECORD_GAP_SILENCE : RECORD_GAP_DISCONNECTED);
}

void stream_note(const stream_plugin *p, trap_note *note, const char *then, uint64_t again_ns)
{
    if (!note || !p->on_trap)
        return;
    note->then = then;
    note->again_ns = again_ns;
    p->on_trap(p->owner, note);
}

bool stream_trapped(stream *s, const char *what, trap_note *note, char why[WEIR_ERROR_TEXT])
{
    const call_result *r = note->result;
    weir_error text = WEIR_ERROR_INIT;
    error_set(&text, r->code, "%s: %s", what, r->why);
    note->key = bytes_of(s->key);
    note->topic = record_stream_topic(s->records);
    memcpy(why, text.text, WEIR_ERROR_TEXT);
    if (r->trace && *r->trace)
        log_warn("stream", "'%s': %s\n%s", record_stream_topic(s->records).at, why, r->trace);
    if (r->code == WEIR_NOT_FOUND || r->code == WEIR_INVALID) {
        stream_fail(s, why);
        return true;
    }
    if (s->traps && loop_now(s->plugin->loop) - s->last_trap > STABLE_NS)
        s->traps = 0;
    s->traps++;
    s->last_trap = loop_now(s->plugin->loop);
    return stream_sick(s->plugin, why, note);
}

/* ---- The plugin's health ---- */

/* Nothing is tried before the quarantine is over; then not by all at once. */
static void rest(stream *s, const char *why)
{
    const health *h = &s->plugin->health;
    if (s->live_since || s->last_recv)
        stream_begin_gap(s, RECORD_GAP_RESTART);
    s->route->rest(s);
    backoff_reset(&s->backoff);
    s->not_before = h->until + backoff_next(&s->backoff);
    timer_at(&s->next_try, s->not_before);
    announce(s, STREAM_WAITING, why);
}

static void until_text(char *out, size_t size, const health *h, uint64_t now, const char *why)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_rfc3339(time, clock_real() + (h->until - now), 0);
    snprintf(out, size, "the plugin is in quarantine until %s%s%s", time, *why ? ": " : "", why);
}

bool stream_sick(stream_plugin *p, const char *why, trap_note *note)
{
    char text[WEIR_ERROR_TEXT];
    uint64_t now = loop_now(p->loop);
    diagnosis d = health_trap(&p->health, now);
    list todo;
    list_node *node;
    stream_note(p, note, d == HEALTH_GO_ON ? "restarted" : d == HEALTH_REST ? "quarantined"
                                                                            : "gave up",
                d == HEALTH_REST ? p->health.until - now : 0);
    if (d == HEALTH_GO_ON)
        return false;
    if (d == HEALTH_REST)
        until_text(text, sizeof text, &p->health, now, why);
    else
        snprintf(text, sizeof text, "the plugin traps again and again: %.900s", why);
    log_error("stream", "'%s': %s", p->name, text);
    list_init(&todo);
    while ((node = list_pop(&p->streams)))
        list_push(&todo, node);
    while ((node = list_pop(&todo))) {
        stream *s = LIST_OWNER(node, stream, among);
        list_push(&p->streams, node);
        if (s->state == STREAM_STOPPING || s->state == STREAM_CLOSED || s->state == STREAM_FAILED)
            continue;
        if (d == HEALTH_REST)
            rest(s, text);
        else
            stream_fail(s, text);
    }
    return true;
}

void stream_plugin_renew(stream_plugin *p)
{
    bool rested = health_rests(&p->health, loop_now(p->loop));
    list todo;
    list_node *node;
    p->health.count = p->health.rests = 0;
    p->health.until = 0;
    list_init(&todo);
    while (p->streams.head.next && (node = list_pop(&p->streams)))
        list_push(&todo, node);
    while ((node = list_pop(&todo))) {
        stream *s = LIST_OWNER(node, stream, among);
        list_push(&p->streams, node);
        if (s->state == STREAM_STOPPING || s->state == STREAM_CLOSED || s->state == STREAM_FAILED)
            continue;
        s->traps = 0;
        if (rested && s->state == STREAM_WAITING) {
            s->not_before = 0;
            timer_after(&s->next_try, 0);
        }
        s->route->renew(s);
    }
}

/* ---- The instance ---- */

void stream_unconfigured(const stream_plugin *p, const call_result *r, char why[WEIR_ERROR_TEXT])
{
    snprintf(why, WEIR_ERROR_TEXT, "%s: " BYTES_FMT, p->generation->configure,
             BYTES_ARG(r->error.len ? r->error : r->output.len ? r->output
                                                               : bytes_of(r->why)));
}

static void on_configured(void *arg, const call_result *r)
{
    stream *s = arg;
    char why[WEIR_ERROR_TEXT];
    if (s->state == STREAM_STOPPING) {
        stream_close(s, "stopped");
        return;
    }
    if (r->code == WEIR_OK) {
        s->route->ready(s);
        return;
    }
    trap_note note = {.result = r, .task = s->task, .input = bytes_of(s->plugin->config), .key = bytes_of(s->key), .topic = record_stream_topic(s->records)};
    stream_unconfigured(s->plugin, r, why);
    if (r->code != WEIR_FAILED)
        stream_note(s->plugin, &note, "gave up", 0);
    stream_fail(s, why);
}

weir_code stream_task(task **out, const stream_plugin *p, venue *v, weir_error *err)
{
    /* With GOGC=5 a Go plugin collects its garbage while it starts. A first collection later on would park the
     * loop inside start_stream and let the call return, which freezes the feed. A push plugin has no such loop, and
     * so frequent collections would be a quarter of its work. */
    static const char *const env[] = {"GOGC=5", NULL};
    task_options options = {
        .manifest = p->manifest,
        .world = &venue_world,
        .world_arg = v,
        .name = p->name,
        .limits = p->limits,
        .env = p->generation->loops ? env : NULL,
        .meter = p->meter,
    };
    return task_new(out, p->loop, p->code, &options, err);
}

void stream_instance(stream *s)
{
    weir_error err = WEIR_ERROR_INIT;
    const stream_plugin *p = s->plugin;
    if (!stream_enter(s, STREAM_CONNECTING, "starting an instance") || s->state != STREAM_CONNECTING)
        return;
    if (stream_task(&s->task, p, &s->venue, &err)) {
        stream_lose(s, RECORD_GAP_RESTART, err.text, false);
        return;
    }
    if (p->config)
        task_call(s->task, p->generation->configure, bytes_of(p->config), STREAM_CONFIGURE_MS, on_configured, s);
    else
        s->route->ready(s);
}

static void on_next_try(void *arg)
{
    stream *s = arg;
    uint64_t now = loop_now(s->plugin->loop);
    char text[WEIR_ERROR_TEXT];
    if (health_rests(&s->plugin->health, now)) { /* it came in the middle of it */
        until_text(text, sizeof text, &s->plugin->health, now, "");
        rest(s, text);
        return;
    }
    s->route->retry(s);
}

static void on_room(void *arg)
{
    stream *s = arg;
    if (s->state == STREAM_LIVE)
        liveness_live(s); /* until now nothing could come */
    s->route->on_room(s);
}

/* ---- Stopping ---- */

static void on_stop_overdue(void *arg)
{
    stream *s = arg;
    stream_close(s, s->asked ? "stopped by force: the plugin did not end its loop in 2 s" : "stopped");
}

void stream_stop(stream *s)
{
    switch (s->state) {
    case STREAM_CLOSED:
    case STREAM_FAILED:
    case STREAM_STOPPING:
        return;
    case STREAM_WAITING:
        stream_close(s, "stopped");
        return;
    case STREAM_CONNECTING:
    case STREAM_LIVE:
        break;
    }
    s->asked = s->route->stop(s);
    timer_after(&s->stopper, s->asked ? STOP_NS : 0);
    stream_enter(s, STREAM_STOPPING, "stopping");
}

/* ---- Making and freeing ---- */

static char *write_key(const stream_plugin *p, const stream_options *o)
{
    json parameters;
    buf key, room;
    buf_init(&key, 1 << 16);
    buf_init(&room, 1 << 16);
    if (!o->parameters.len || json_read(&parameters, o->parameters, NULL))
        parameters = (json){JSON_OBJECT, BYTES("{}")};
    buf_add_text(&key, "{\"type\":");
    json_put_string(&key, o->type);
    buf_add_text(&key, ",\"source\":");
    json_put_text(&key, p->plugin_id);
    buf_add_text(&key, ",\"identifier\":");
    json_put_string(&key, o->identifier);
    buf_add_text(&key, ",\"parameters\":");
    buf_add_bytes(&key, timeframe_params(parameters, TIMEFRAME_SMALL, &room).raw);
    buf_add_text(&key, ",\"connectionId\":");
    if (o->has_connection)
        buf_add_u64(&key, o->connection);
    else
        buf_add_text(&key, "null");
    buf_add_char(&key, '}');
    char *text = key.failed ? NULL : bytes_dup(buf_bytes(&key));
    buf_fini(&key);
    buf_fini(&room);
    return text;
}

weir_code stream_open(stream **out, stream_plugin *p, const stream_options *options, weir_error *err)
{
    record_key key = {
        .type = options->type,
        .source = bytes_of(p->plugin_id),
        .identifier = options->identifier,
        .parameters = options->parameters,
        .has_connection = options->has_connection,
        .connection = options->connection,
    };
    stream *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, WEIR_NOMEM, "stream: out of memory");
    s->plugin = p;
    s->route = p->generation->loops ? &pull_route : &push_route;
    s->venue = (struct venue){.loop = p->loop, .dialer = p->dialer, .targets = p->targets, .name = p->name, .arg = s, .owner = p->owner, .heartbeats = p->heartbeats, .silence_ms = p->silence_ms};
    s->on_state = options->on_state;
    s->on_resynced = options->on_resynced;
    s->arg = options->arg;
    s->state = STREAM_WAITING;
    snprintf(s->why, sizeof s->why, "not started yet");
    timer_init(&s->next_try, p->loop, on_next_try, s);
    timer_init(&s->stopper, p->loop, on_stop_overdue, s);
    liveness_init(s);
    s->room = (hub_waiter){.on_room = on_room, .arg = s};
    backoff_init(&s->backoff, p->backoff_min_ns ? p->backoff_min_ns : NS_PER_S,
                 p->backoff_max_ns ? p->backoff_max_ns : 60 * NS_PER_S, rand_u64());
    weir_code code = s->route->init(s, err);
    if (!code && (!(s->key = write_key(p, options)) || !(s->parameters = bytes_dup(options->parameters))))
        code = error_set(err, WEIR_NOMEM, "stream: out of memory");
    if (!code && (code = hub_stream(&s->records, p->hub, &key, err)))
        error_wrap(err, "stream '" BYTES_FMT ":" BYTES_FMT "'", BYTES_ARG(options->type), BYTES_ARG(options->identifier));
    if (code) {
        stream_free(s);
        return code;
    }
    if (!p->streams.head.next)
        list_init(&p->streams);
    list_push(&p->streams, &s->among);
    timer_after(&s->next_try, 0);
    *out = s;
    return WEIR_OK;
}

void stream_free(stream *s)
{
    if (!s)
        return;
    if (s->gone)
        *s->gone = true;
    drop_all(s);
    list_remove(&s->among);
    s->route->fini(s);
    if (s->records)
        record_stream_unref(s->records);
    error_keep(&s->down, NULL);
    free(s->parameters);
    free(s->key);
    free(s);
}

stream_state stream_get_state(const stream *s)
{
    return s->state;
}

const char *stream_why(const stream *s)
{
    return s->why;
}

uint64_t stream_last_recv(const stream *s)
{
    return s->last_recv;
}

uint64_t stream_last_event(const stream *s)
{
    return s->last_event;
}

record_stream *stream_records(const stream *s)
{
    return s->records;
}

uint64_t stream_open_sockets(const stream *s)
{
    return s->venue.open_sockets;
}

bool stream_idle(const stream *s)
{
    return s->route->idle ? s->route->idle(s) : s->route->queued(s) == 0;
}

uint64_t stream_queued(const stream *s)
{
    return s->route->queued(s);
}

uint64_t stream_taken(const stream *s)
{
    return s->taken_total + (s->task ? s->task->taken : 0);
}

uint64_t stream_repeats(const stream *s)
{
    return s->pull.handover.repeats;
}

uint64_t stream_lost(const stream *s)
{
    return s->lost_total + s->pull.handover.lost + (s->task && s->state != STREAM_STOPPING ? s->task->discarded : 0);
}

uint64_t stream_unread(const stream *s)
{
    return s->unread_total + s->pull.handover.unread + (s->task && s->state == STREAM_STOPPING ? s->task->discarded : 0);
}
