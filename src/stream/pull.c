/* Feeding a pull plugin: start_stream dials and loops on ws_receive; it stays pending for days.
 *
 * What can go wrong, and what follows:
 *   start_stream fails before it ever dialled     the plugin refuses these parameters: failed
 *   it fails, traps, or overruns later            gap, back-off, a new instance
 *   it returns although its socket is open        the known death of Go plugins: a new instance at once
 *   its socket closes and it does not return      a second to react, then a new instance
 *   messages wait and it asks for none, 15 s      a new instance
 *   it fails thrice, the venue on the line, and never published  the venue refuses these parameters: failed
 *   traps again and again                         as health.h says: the plugin rests, or is given up */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "stream/inside.h"
#include "stream/session.h"

#define REACT_NS NS_PER_S       /* for a plugin to react to a closed socket */
#define DEAF_NS (15 * NS_PER_S) /* messages wait, no ws_receive */
#define LEAVE_NS (2 * NS_PER_S) /* for the old code to come between two messages */
#define REFUSALS_MAX 3

static uint64_t queued_in_task(const stream *s)
{
    uint64_t all = 0;
    for (list_node *n = s->task ? s->task->sockets.head.next : NULL; n && n != &s->task->sockets.head; n = n->next)
        all += LIST_OWNER(n, plug, node)->in.count;
    return all;
}

static uint64_t queued(const stream *s)
{
    return queued_in_task(s) + handover_queued(&s->pull.handover);
}

/* What waits in its inboxes dies with the instance, and is counted. */
static void drop_instance(stream *s)
{
    uint64_t died = queued_in_task(s);
    s->taken_total += s->task ? s->task->taken : 0;
    *(s->state == STREAM_STOPPING ? &s->unread_total : &s->lost_total) += died + (s->task ? s->task->discarded : 0);
    if (s->lost_from && s->state != STREAM_STOPPING)
        s->lost_count += died;
    timer_stop(&s->pull.react);
    timer_stop(&s->pull.watch);
    timer_stop(&s->pull.leave);
    defer_cancel(&s->act);
    hub_wait_cancel(&s->room);
    task_free(s->task); /* and its sockets */
    s->task = NULL;
    s->pull.became_live = s->pull.socket_lost = s->pull.opened = s->pull.left = false;
}

static void drop(stream *s)
{
    handover *h = &s->pull.handover;
    uint64_t lost = h->lost;
    handover_drop(h, s->state == STREAM_STOPPING);
    if (s->lost_from && s->state != STREAM_STOPPING)
        s->lost_count += h->lost - lost;
    drop_instance(s);
}

/* The instance goes; its sockets stay, if it was not they that were lost. The message that it was at is gone with it. */
static bool keep(stream *s, record_gap_cause cause)
{
    if (cause != RECORD_GAP_RESTART && cause != RECORD_GAP_DISCONNECTED) /* silence: what is kept is no better */
        handover_drop(&s->pull.handover, false);
    if (cause != RECORD_GAP_RESTART || !s->task)
        return handover_active(&s->pull.handover) && !s->venue.open_sockets;
    bool kept = handover_take(&s->pull.handover, s->task);
    if (kept && s->task->unanswered) {
        record_gap gap = {.cause = RECORD_GAP_DROPPED, .from_ns = s->task->recv_ns, .to_ns = s->task->recv_ns, .count = 1};
        s->task->taken--;
        s->lost_total++;
        stream_tell_gap(s, &gap);
    }
    return kept;
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
    if (!s->pull.dialled && !s->last_recv)
        return true;
    return r->code == WEIR_FAILED && !s->down.code && !record_stream_counts(s->records)->published &&
           ++s->pull.refusals >= REFUSALS_MAX;
}

/* start_stream has ended, one way or another. */
static void on_ended(void *arg, const call_result *r)
{
    stream *s = arg;
    weir_error why = WEIR_ERROR_INIT;
    if (s->state == STREAM_STOPPING) {
        stream_close(s, "stopped");
        return;
    }
    if (r->code == WEIR_OK && s->venue.open_sockets) {
        /* Its loop runs only while an export call is pending: from now on it is frozen. */
        log_info("stream", "'%s': start_stream returned although its socket is open; a new instance takes over",
                 record_stream_topic(s->records).at);
        stream_lose(s, RECORD_GAP_RESTART, "the plugin's start_stream returned unasked", s->pull.returns++ == 0);
        return;
    }
    if (r->code == WEIR_OK || r->code == WEIR_FAILED) {
        if (s->down.code)
            error_recall(&s->down, &why);
        else
            own_words(r, &why);
        if (refused(s, r))
            stream_fail(s, why.text);
        else
            stream_lose(s, RECORD_GAP_DISCONNECTED, why.text, false);
        return;
    }
    trap_note note = {.result = r, .task = s->task, .input = bytes_of(s->key), .message = task_message(s->task)};
    if (!stream_trapped(s, "start_stream", &note, why.text))
        stream_lose(s, RECORD_GAP_RESTART, why.text, false);
}

static void on_watch(void *arg)
{
    stream *s = arg;
    uint64_t now = loop_now(s->plugin->loop);
    for (list_node *n = s->task->sockets.head.next; n != &s->task->sockets.head; n = n->next) {
        plug *p = LIST_OWNER(n, plug, node);
        if (p->in.count && p->unread_since && now - p->unread_since > DEAF_NS && !hub_blocked(s->plugin->hub, s->records)) {
            stream_lose(s, RECORD_GAP_RESTART, "messages wait, but the plugin has asked for none in 15 s", false);
            return;
        }
    }
    timer_after(&s->pull.watch, DEAF_NS / 3);
}

static void ready(stream *s)
{
    timer_after(&s->pull.watch, DEAF_NS / 3);
    task_call(s->task, "start_stream", bytes_of(s->key), 0, on_ended, s);
}

static void retry(stream *s)
{
    s->pull.dialled = false;
    error_keep(&s->down, NULL);
    stream_instance(s);
}

static void give_way(void *arg)
{
    stream *s = arg;
    if (s->task && (s->state == STREAM_LIVE || s->state == STREAM_CONNECTING))
        stream_lose(s, RECORD_GAP_RESTART, "the plugin's code was replaced", true);
}

static void renew(stream *s)
{
    if (s->state != STREAM_LIVE) {
        give_way(s);
        return;
    }
    task_ask_leave(s->task); /* not in the middle of a message */
    timer_after(&s->pull.leave, LEAVE_NS);
}

static void left(void *arg)
{
    stream *s = arg;
    s->pull.left = true;
    defer(s->plugin->loop, &s->act);
}

/* ---- What the instance does (some of it on its fiber: act later) ---- */

static void on_act(void *arg)
{
    stream *s = arg;
    if (s->pull.became_live) {
        s->pull.became_live = false;
        if (s->state == STREAM_CONNECTING && !stream_enter(s, STREAM_LIVE, "the plugin waits for messages"))
            return;
    }
    if (s->pull.left) {
        give_way(s);
        return;
    }
    if (s->pull.socket_lost) {
        s->pull.socket_lost = false;
        if (s->venue.open_sockets == 0 && s->task && !timer_running(&s->pull.react))
            timer_after(&s->pull.react, REACT_NS);
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
    if (queued(s) || dials(s))
        timer_after(&s->pull.react, REACT_NS);
    else
        stream_lose(s, RECORD_GAP_DISCONNECTED, s->down.code ? kept_text(&s->down) : "the connection is closed", false);
}

static void socket_gone(void *arg, plug *p)
{
    stream *s = arg;
    handover_socket_gone(&s->pull.handover, p);
}

static void socket_up(void *arg, plug *p)
{
    stream *s = arg;
    handover_socket_up(&s->pull.handover, p);
    s->pull.dialled = s->pull.opened = true;
    timer_stop(&s->pull.react);
    if (s->state == STREAM_LIVE)
        liveness_live(s);
}

static void socket_down(void *arg, const weir_error *why, uint32_t retry_after_s, uint16_t http_status)
{
    stream *s = arg;
    s->pull.dialled = true;
    stream_note_down(s, why, http_status, retry_after_s);
    s->pull.socket_lost = s->pull.opened; /* a dial that failed is the plugin's to answer for: ws_connect told it */
    defer(s->plugin->loop, &s->act);
}

static void message(void *arg, plug *p, uint64_t recv_real_ns)
{
    stream *s = arg;
    handover_heard(&s->pull.handover, p, recv_real_ns);
    s->last_recv = recv_real_ns;
    record_stream_counts(s->records)->received++;
}

static void receiving(void *arg)
{
    stream *s = arg;
    handover_receiving(&s->pull.handover);
    s->pull.became_live = true;
    defer(s->plugin->loop, &s->act);
}

static void on_room(stream *s)
{
    if (!s->task)
        return;
    for (list_node *n = s->task->sockets.head.next; n != &s->task->sockets.head; n = n->next)
        LIST_OWNER(n, plug, node)->unread_since = loop_now(s->plugin->loop); /* until now it could not ask */
    task_wake(s->task);
}

/* `before`: it comes of a message over the socket before. */
static void emit(stream *s, const world_publication *what, bool before)
{
    stream_number(s, &what->number, what->ts_recv);
    if ((s->venue.open_sockets && !before) || !what->ts_recv || what->ts_recv > s->lost_from)
        stream_end_gap(s); /* else it comes of a message from before the loss */
    stream_publish(s, what->ts_event, what->ts_recv, what->data);
    liveness_data(s, what->ts_recv);
}

static void on_emit(void *arg, const world_publication *what)
{
    emit(arg, what, false);
}

static void on_broken(void *arg, const char *why, uint64_t lost)
{
    stream *s = arg;
    log_info("stream", "'%s': the connection of the instance before: %s", record_stream_topic(s->records).at, why);
    stream_begin_gap(s, RECORD_GAP_DISCONNECTED);
    s->lost_count += lost;
}

static const handover_ops handing = {.emit = on_emit, .broken = on_broken, .message = message};

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
    s->task->unanswered = false;
    if (handover_publish(&s->pull.handover, s->task, what) == HANDOVER_PASS)
        emit(s, what, s->task->received_before);
    return WEIR_OK;
}

static const venue_listener listener = {
    .publish = publish,
    .socket_up = socket_up,
    .socket_gone = socket_gone,
    .socket_down = socket_down,
    .message = message,
    .receiving = receiving,
    .left = left,
};

static bool stop(stream *s)
{
    return s->state == STREAM_LIVE && s->plugin->has_stop &&
           task_ask_stop(s->task, "stop_stream", bytes_of(s->key), NULL) == WEIR_OK;
}

static weir_code init(stream *s, weir_error *err)
{
    (void)err;
    s->venue.listener = &listener;
    timer_init(&s->pull.react, s->plugin->loop, on_react_over, s);
    timer_init(&s->pull.watch, s->plugin->loop, on_watch, s);
    timer_init(&s->pull.leave, s->plugin->loop, give_way, s);
    handover_init(&s->pull.handover, s->plugin->loop, &handing, s);
    s->act = (deferred){.fn = on_act, .arg = s};
    return WEIR_OK;
}

static void probe(stream *s)
{
    for (list_node *n = s->task->sockets.head.next; n != &s->task->sockets.head; n = n->next)
        if (LIST_OWNER(n, plug, node)->state == PLUG_OPEN)
            session_probe(LIST_OWNER(n, plug, node)->session);
}

static uint64_t heard(const stream *s)
{
    uint64_t oldest = UINT64_MAX;
    for (list_node *n = s->task->sockets.head.next; n != &s->task->sockets.head; n = n->next) {
        const plug *p = LIST_OWNER(n, plug, node);
        uint64_t at = p->state == PLUG_OPEN ? session_heard(p->session) : UINT64_MAX;
        oldest = at < oldest ? at : oldest;
    }
    return oldest;
}

/* They go with the instance, in stream_lose. */
static void cut(stream *s, const weir_error *why)
{
    (void)s;
    (void)why;
}

static void fini(stream *s)
{
    (void)s;
}

const route pull_route = {
    .init = init,
    .ready = ready,
    .retry = retry,
    .keep = keep,
    .lost = drop_instance,
    .rest = drop,
    .renew = renew,
    .stop = stop,
    .drop = drop,
    .on_room = on_room,
    .queued = queued,
    .probe = probe,
    .heard = heard,
    .cut = cut,
    .fini = fini,
};
