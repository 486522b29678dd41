/* The life of a stream.
 *
 * The happy path: an instance is made and configured, start_stream dials and loops on ws_receive, the
 * stream is live, publications become records; stream_stop lets the plugin end its loop.
 * What can go wrong, and what follows:
 *   start_stream fails before it ever dialled     the plugin refuses these parameters: failed
 *   it fails, traps, or overruns later            gap, back-off, a new instance
 *   it returns although its socket is open        the known death of Go plugins: a new instance at once
 *   its socket closes and it does not return      a second to react, then a new instance
 *   messages wait and it asks for none, 15 s      a new instance
 *   it fails thrice, the venue on the line, and never published  the venue refuses these parameters: failed
 *   five traps without a minute of being live      failed
 * Each of these ends an attempt in lose(), the only place that decides about the next one. */
#include "stream/stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "stream/backoff.h"

#define CONFIGURE_MS 15000
#define STOP_NS (2 * NS_PER_S)
#define REACT_NS NS_PER_S         /* for a plugin to react to a closed socket */
#define DEAF_NS (15 * NS_PER_S)   /* messages wait, no ws_receive */
#define STABLE_NS (60 * NS_PER_S) /* live for so long: earlier trouble is forgotten */
#define TRAPS_MAX 5
#define REFUSALS_MAX 3
#define RETRY_AFTER_MAX_S 3600 /* what a venue may ask for at most */

#define BIT(s) (1u << (s))

typedef struct state_info {
    const char *name;
    unsigned next;
} state_info;

static const state_info states[] = {
    [STREAM_CONNECTING] = {"connecting", BIT(STREAM_LIVE) | BIT(STREAM_WAITING) | BIT(STREAM_STOPPING) | BIT(STREAM_CLOSED) | BIT(STREAM_FAILED)},
    [STREAM_LIVE] = {"live", BIT(STREAM_CONNECTING) | BIT(STREAM_WAITING) | BIT(STREAM_STOPPING) | BIT(STREAM_FAILED)},
    [STREAM_WAITING] = {"waiting", BIT(STREAM_CONNECTING) | BIT(STREAM_CLOSED)},
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

struct stream {
    const stream_plugin *plugin;
    struct venue venue;
    record_stream *records;
    char *key; /* the StreamKey's JSON */
    void (*on_state)(void *arg, stream *s, stream_state state, const char *why);
    void *arg;

    stream_state state;
    char why[WEIR_ERROR_TEXT];
    uint64_t since; /* clock_mono of the last change */
    uint64_t live_since;

    task *task;        /* of the present attempt */
    bool dialled;      /* some socket opened or failed to in this attempt */
    uint32_t traps;    /* in a row */
    uint32_t returns;  /* spontaneous ones in a row */
    uint32_t refusals; /* in the plugin's own words, before the first record */
    uint32_t retry_after_s;
    kept_error down; /* why the last socket went down */

    uint64_t last_recv; /* clock_real of the last message */
    uint64_t lost_from; /* a gap is due: since when; 0: none */
    record_gap_cause lost_cause;
    uint64_t lost_count, lost_total;
    uint64_t unread_total; /* what waited when it was stopped as asked */

    backoff backoff;
    timer next_try, react, stopper, watch;
    deferred act; /* what callbacks on the fiber leave to the loop */
    bool became_live, socket_lost;
    bool opened; /* some socket was open in this attempt */
    bool asked;  /* stop_stream was called, or will be */
    hub_waiter room;
    bool *gone; /* set when on_state frees the stream */
};

const char *stream_state_name(stream_state state)
{
    return states[state].name;
}

/* Moves, and tells. False: on_state freed the stream; nothing of it may be touched. */
static bool enter(stream *s, stream_state next, const char *why)
{
    bool gone = false, *outer = s->gone;
    if (s->state == next)
        return true;
    assert(states[s->state].next & BIT(next));
    log_info("stream", "'%s': %s -> %s: %s", record_stream_topic(s->records).at, states[s->state].name, states[next].name, why);
    s->state = next;
    s->since = loop_now(s->plugin->loop);
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

/* ---- Gaps ---- */

/* From now on something may be missing. The record itself comes before the next data record, when the
 * end is known. */
static void begin_gap(stream *s, record_gap_cause cause)
{
    if (s->lost_from)
        return;
    s->lost_from = s->last_recv ? s->last_recv : clock_real();
    s->lost_cause = cause;
}

static void end_gap(stream *s)
{
    record_gap gap = {.cause = s->lost_cause, .from_ns = s->lost_from, .to_ns = clock_real(), .count = s->lost_count};
    if (!s->lost_from)
        return;
    s->lost_from = s->lost_count = 0;
    hub_publish_gap(s->plugin->hub, s->records, &gap);
}

/* ---- Attempts ---- */

/* Ends the instance. What waits in its inboxes dies with it, and is counted. */
static void drop_attempt(stream *s)
{
    task *t = s->task;
    uint64_t died = stream_queued(s);
    *(s->state == STREAM_STOPPING ? &s->unread_total : &s->lost_total) += died + (t ? t->discarded : 0);
    if (s->lost_from && s->state != STREAM_STOPPING)
        s->lost_count += died;
    s->task = NULL;
    timer_stop(&s->react);
    timer_stop(&s->stopper);
    timer_stop(&s->watch);
    defer_cancel(&s->act);
    hub_wait_cancel(&s->room);
    task_free(t);
    s->became_live = s->socket_lost = s->opened = s->asked = false;
}

static void close_stream(stream *s, const char *why)
{
    drop_attempt(s);
    timer_stop(&s->next_try);
    end_gap(s);
    enter(s, STREAM_CLOSED, why);
}

static void fail_stream(stream *s, const char *why)
{
    drop_attempt(s);
    end_gap(s);
    log_error("stream", "'%s': given up: %s", record_stream_topic(s->records).at, why);
    enter(s, STREAM_FAILED, why);
}

/* This attempt is over; the next one comes after `wait`, or after the back-off when that is 0. */
static void lose(stream *s, record_gap_cause cause, const char *why, bool at_once)
{
    char text[WEIR_ERROR_TEXT + 40];
    uint64_t wait;
    if (s->state == STREAM_STOPPING) {
        close_stream(s, why);
        return;
    }
    if (s->live_since || s->last_recv)
        begin_gap(s, cause);
    if (s->state == STREAM_LIVE && loop_now(s->plugin->loop) - s->live_since > STABLE_NS) {
        backoff_reset(&s->backoff);
        s->traps = s->returns = 0;
    }
    drop_attempt(s);
    record_stream_counts(s->records)->restarts++;
    wait = at_once ? 0 : backoff_next(&s->backoff);
    if (s->retry_after_s * NS_PER_S > wait)
        wait = s->retry_after_s * NS_PER_S;
    s->retry_after_s = 0;
    timer_after(&s->next_try, wait);
    snprintf(text, sizeof text, "%s; next try in %.1f s", why, (double)wait * 1e-9);
    enter(s, STREAM_WAITING, text);
}

/* Why start_stream says that it ended: its output's "error", or the error it set. */
static void own_words(const call_result *r, weir_error *why)
{
    json error;
    const json_field want[] = {{"error", &error}};
    char *said = r->output.len && json_read_fields(r->output, want, 1, NULL) == WEIR_OK ? json_string_dup(error) : NULL;
    if (said && *said)
        error_set(why, WEIR_FAILED, "start_stream: %.400s", said);
    else if (r->error.len)
        error_set(why, WEIR_FAILED, "start_stream: " BYTES_FMT, BYTES_ARG(r->error));
    else
        error_set(why, WEIR_FAILED, "start_stream ended (code %d)", r->rc);
    free(said);
}

/* Whether trying again is vain: it never dialled, or said so again and again though the venue was on the
 * line (no such symbol). A stream that has ever published is worth any number of tries. */
static bool refused(stream *s, const call_result *r)
{
    if (!s->dialled && !s->last_recv)
        return true;
    return r->code == WEIR_FAILED && !s->down.code && !record_stream_counts(s->records)->published &&
           ++s->refusals >= REFUSALS_MAX;
}

/* start_stream has ended, one way or another. */
static void on_ended(void *arg, const call_result *r)
{
    stream *s = arg;
    weir_error why = WEIR_ERROR_INIT;
    if (s->state == STREAM_STOPPING) {
        close_stream(s, "stopped");
        return;
    }
    if (r->code == WEIR_OK && s->venue.open_sockets) {
        /* Its loop runs only while an export call is pending: from now on it is frozen. */
        log_info("stream", "'%s': start_stream returned although its socket is open; a new instance takes over",
                 record_stream_topic(s->records).at);
        lose(s, RECORD_GAP_RESTART, "the plugin's start_stream returned unasked", s->returns++ == 0);
        return;
    }
    if (r->code == WEIR_OK || r->code == WEIR_FAILED) {
        if (s->down.code)
            error_recall(&s->down, &why);
        else
            own_words(r, &why);
        if (refused(s, r))
            fail_stream(s, why.text);
        else
            lose(s, RECORD_GAP_DISCONNECTED, why.text, false);
        return;
    }
    error_set(&why, r->code, "start_stream: %s", r->why);
    if (r->trace && *r->trace)
        log_warn("stream", "'%s': %s\n%s", record_stream_topic(s->records).at, why.text, r->trace);
    if (r->code == WEIR_NOT_FOUND || r->code == WEIR_INVALID || ++s->traps >= TRAPS_MAX)
        fail_stream(s, why.text);
    else
        lose(s, RECORD_GAP_RESTART, why.text, false);
}

static void on_watch(void *arg)
{
    stream *s = arg;
    uint64_t now = loop_now(s->plugin->loop);
    for (list_node *n = s->task->sockets.head.next; n != &s->task->sockets.head; n = n->next) {
        plug *p = LIST_OWNER(n, plug, node);
        if (p->in.count && p->unread_since && now - p->unread_since > DEAF_NS && !hub_blocked(s->plugin->hub, s->records)) {
            lose(s, RECORD_GAP_RESTART, "messages wait, but the plugin has asked for none in 15 s", false);
            return;
        }
    }
    timer_after(&s->watch, DEAF_NS / 3);
}

static void call_start(stream *s)
{
    timer_after(&s->watch, DEAF_NS / 3);
    task_call(s->task, "start_stream", bytes_of(s->key), 0, on_ended, s);
}

static void on_configured(void *arg, const call_result *r)
{
    stream *s = arg;
    char why[WEIR_ERROR_TEXT];
    if (s->state == STREAM_STOPPING) {
        close_stream(s, "stopped");
        return;
    }
    if (r->code == WEIR_OK) {
        call_start(s);
        return;
    }
    snprintf(why, sizeof why, "plugin_configure: " BYTES_FMT,
             BYTES_ARG(r->error.len ? r->error : r->output.len ? r->output
                                                               : bytes_of(r->why)));
    fail_stream(s, why);
}

static void attempt(void *arg)
{
    /* With GOGC=5 a Go plugin collects its garbage while it starts. A first collection later on would park the
     * loop inside start_stream and let the call return, which freezes the feed. */
    static const char *const env[] = {"GOGC=5", NULL};
    stream *s = arg;
    weir_error err = WEIR_ERROR_INIT;
    const stream_plugin *p = s->plugin;
    task_options options = {
        .manifest = p->manifest,
        .world = &venue_world,
        .world_arg = &s->venue,
        .name = p->name,
        .limits = p->limits,
        .env = env,
    };
    s->dialled = false;
    error_keep(&s->down, NULL);
    if (!enter(s, STREAM_CONNECTING, "starting an instance") || s->state != STREAM_CONNECTING)
        return;
    if (task_new(&s->task, p->loop, p->code, &options, &err)) {
        lose(s, RECORD_GAP_RESTART, err.text, false);
        return;
    }
    if (p->has_configure && p->config)
        task_call(s->task, "plugin_configure", bytes_of(p->config), CONFIGURE_MS, on_configured, s);
    else
        call_start(s);
}

/* ---- What the instance does (some of it on its fiber: act later) ---- */

static void on_act(void *arg)
{
    stream *s = arg;
    if (s->became_live) {
        s->became_live = false;
        if (s->state == STREAM_CONNECTING && !enter(s, STREAM_LIVE, "the plugin waits for messages"))
            return;
    }
    if (s->socket_lost) {
        s->socket_lost = false;
        if (s->venue.open_sockets == 0 && s->task && !timer_running(&s->react))
            timer_after(&s->react, REACT_NS);
    }
}

static bool dials(const stream *s)
{
    for (list_node *n = s->task->sockets.head.next; n != &s->task->sockets.head; n = n->next)
        if (LIST_OWNER(n, plug, node)->state == PLUG_CONNECTING)
            return true;
    return false;
}

/* It has had its time to react, unless it still reads what came before the close (on_watch bounds that),
 * or dials again by itself (ws_connect does). */
static void on_react_over(void *arg)
{
    stream *s = arg;
    if (s->venue.open_sockets || !s->task || (s->state != STREAM_LIVE && s->state != STREAM_CONNECTING))
        return;
    if (stream_queued(s) || dials(s))
        timer_after(&s->react, REACT_NS);
    else
        lose(s, RECORD_GAP_DISCONNECTED, s->down.code ? kept_text(&s->down) : "the connection is closed", false);
}

static void socket_up(void *arg)
{
    stream *s = arg;
    s->dialled = s->opened = true;
    timer_stop(&s->react);
}

static void socket_down(void *arg, const weir_error *why, uint32_t retry_after_s, uint16_t http_status)
{
    stream *s = arg;
    s->dialled = true;
    error_keep(&s->down, why);
    if (http_status == 429 || http_status == 418 || http_status == 503)
        s->retry_after_s = retry_after_s < RETRY_AFTER_MAX_S ? retry_after_s : RETRY_AFTER_MAX_S;
    if (s->state == STREAM_LIVE)
        begin_gap(s, RECORD_GAP_DISCONNECTED);
    s->socket_lost = s->opened; /* a dial that failed is the plugin's to answer for: ws_connect told it */
    defer(s->plugin->loop, &s->act);
}

static void message(void *arg, uint64_t recv_real_ns)
{
    stream *s = arg;
    s->last_recv = recv_real_ns;
    record_stream_counts(s->records)->received++;
}

static void receiving(void *arg)
{
    stream *s = arg;
    s->became_live = true;
    defer(s->plugin->loop, &s->act);
}

static void on_room(void *arg)
{
    stream *s = arg;
    if (!s->task)
        return;
    for (list_node *n = s->task->sockets.head.next; n != &s->task->sockets.head; n = n->next)
        LIST_OWNER(n, plug, node)->unread_since = loop_now(s->plugin->loop); /* until now it could not ask */
    task_wake(s->task);
}

/* Hop 4 to hop 6: a publication becomes a record. */
static weir_code publish(void *arg, const world_publication *what, weir_error *err)
{
    stream *s = arg;
    hub *h = s->plugin->hub;
    if (!bytes_equal(what->type, record_stream_type(s->records)) ||
        !bytes_equal(what->identifier, record_stream_identifier(s->records)))
        return error_set(err, WEIR_NOT_FOUND, "publish_stream_data: no stream '" BYTES_FMT ":" BYTES_FMT "' runs in this instance; publish under the key that start_stream got",
                         BYTES_ARG(what->type), BYTES_ARG(what->identifier));
    if (hub_blocked(h, s->records)) {
        hub_wait(h, &s->room);
        return error_set(err, WEIR_BUSY, "a reader is full");
    }
    if (s->venue.open_sockets || !what->ts_recv || what->ts_recv > s->lost_from)
        end_gap(s); /* else it comes of a message from before the loss */
    hub_publish(h, record_new(s->records, what->ts_event, what->ts_recv, what->data));
    return WEIR_OK;
}

static const venue_listener listener = {
    .publish = publish,
    .socket_up = socket_up,
    .socket_down = socket_down,
    .message = message,
    .receiving = receiving,
};

/* ---- Stopping ---- */

static void on_stop_overdue(void *arg)
{
    stream *s = arg;
    close_stream(s, s->asked ? "stopped by force: the plugin did not end its loop in 2 s" : "stopped");
}

void stream_stop(stream *s)
{
    weir_error err = WEIR_ERROR_INIT;
    switch (s->state) {
    case STREAM_CLOSED:
    case STREAM_FAILED:
    case STREAM_STOPPING:
        return;
    case STREAM_WAITING:
        close_stream(s, "stopped");
        return;
    case STREAM_CONNECTING:
    case STREAM_LIVE:
        break;
    }
    s->asked = s->state == STREAM_LIVE && s->plugin->has_stop &&
               task_ask_stop(s->task, "stop_stream", bytes_of(s->key), &err) == WEIR_OK;
    timer_after(&s->stopper, s->asked ? STOP_NS : 0);
    enter(s, STREAM_STOPPING, "stopping");
}

/* ---- Making and freeing ---- */

static char *write_key(const stream_plugin *p, const stream_options *o)
{
    buf key;
    buf_init(&key, 1 << 16);
    buf_add_text(&key, "{\"type\":");
    json_put_string(&key, o->type);
    buf_add_text(&key, ",\"source\":");
    json_put_text(&key, p->plugin_id);
    buf_add_text(&key, ",\"identifier\":");
    json_put_string(&key, o->identifier);
    buf_add_text(&key, ",\"parameters\":");
    buf_add_bytes(&key, o->parameters.len ? o->parameters : BYTES("{}"));
    buf_add_text(&key, ",\"connectionId\":");
    if (o->has_connection)
        buf_add_u64(&key, o->connection);
    else
        buf_add_text(&key, "null");
    buf_add_char(&key, '}');
    char *text = key.failed ? NULL : bytes_dup(buf_bytes(&key));
    buf_fini(&key);
    return text;
}

weir_code stream_open(stream **out, const stream_plugin *p, const stream_options *options, weir_error *err)
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
    s->venue = (struct venue){p->loop, p->dialer, p->targets, p->name, &listener, s, 0, p->owner, p->silence_ms};
    s->on_state = options->on_state;
    s->arg = options->arg;
    s->state = STREAM_WAITING;
    snprintf(s->why, sizeof s->why, "not started yet");
    timer_init(&s->next_try, p->loop, attempt, s);
    timer_init(&s->react, p->loop, on_react_over, s);
    timer_init(&s->stopper, p->loop, on_stop_overdue, s);
    timer_init(&s->watch, p->loop, on_watch, s);
    s->act = (deferred){.fn = on_act, .arg = s};
    s->room = (hub_waiter){.on_room = on_room, .arg = s};
    backoff_init(&s->backoff, p->backoff_min_ns ? p->backoff_min_ns : NS_PER_S,
                 p->backoff_max_ns ? p->backoff_max_ns : 60 * NS_PER_S, rand_u64());
    if (!(s->key = write_key(p, options))) {
        stream_free(s);
        return error_set(err, WEIR_NOMEM, "stream: out of memory");
    }
    if (hub_stream(&s->records, p->hub, &key, err)) {
        stream_free(s);
        return error_wrap(err, "stream '" BYTES_FMT ":" BYTES_FMT "'", BYTES_ARG(options->type), BYTES_ARG(options->identifier));
    }
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
    drop_attempt(s);
    timer_stop(&s->next_try);
    if (s->records)
        record_stream_unref(s->records);
    error_keep(&s->down, NULL);
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

record_stream *stream_records(const stream *s)
{
    return s->records;
}

uint64_t stream_open_sockets(const stream *s)
{
    return s->venue.open_sockets;
}

uint64_t stream_queued(const stream *s)
{
    uint64_t queued = 0;
    for (list_node *n = s->task ? s->task->sockets.head.next : NULL; n && n != &s->task->sockets.head; n = n->next)
        queued += LIST_OWNER(n, plug, node)->in.count;
    return queued;
}

uint64_t stream_lost(const stream *s)
{
    return s->lost_total + (s->task && s->state != STREAM_STOPPING ? s->task->discarded : 0);
}

uint64_t stream_unread(const stream *s)
{
    return s->unread_total + (s->task && s->state == STREAM_STOPPING ? s->task->discarded : 0);
}
