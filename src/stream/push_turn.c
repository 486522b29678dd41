/* A push stream at the instance that it shares: one question at a time, in this order: which socket it wants, once for each
 * instance; what happened to the socket; the oldest message. When the instance dies the socket stays, and the next
 * one is asked from the beginning. */
#include <stdio.h>

#include "stream/push_inside.h"

#define SETUP_MS 30000 /* the wish: it may ask the venue's REST first */
#define CALLBACK_MS 2000

/* ---- The instance ---- */

bool push_trapped(const call_result *r)
{
    return (r->code != WEIR_OK && r->code != WEIR_FAILED) || r->needs_reset;
}

bool push_culprit(stream *s, const char *what, const call_result *r, bytes message)
{
    char why[WEIR_ERROR_TEXT];
    push *p = s->push;
    trap_note note = {.result = r, .task = shared_task(&p->place), .input = shared_question(&p->place), .message = message};
    p->marked = false;
    if (stream_trapped(s, what, &note, why))
        return false;
    p->wishes = true;
    record_stream_counts(s->records)->restarts++;
    log_warn("stream", "'%s': %s; a new instance takes over", record_stream_topic(s->records).at, why);
    timer_after(&s->next_try, s->traps > 1 ? backoff_next(&s->backoff) : 0);
    return true;
}

static void on_lost(void *arg, const char *why, uint64_t wait_ns)
{
    stream *s = arg;
    push *p = s->push;
    char text[WEIR_ERROR_TEXT + 60];
    p->wishes |= p->marked;
    p->marked = false;
    p->asking = ASKS_NOTHING;
    if (!wait_ns || s->state != STREAM_LIVE)
        return;
    snprintf(text, sizeof text, "%s; a new instance comes in %.1f s", why, (double)wait_ns * 1e-9);
    stream_enter(s, STREAM_CONNECTING, text);
}

/* Those that wait for their next try ask then. */
static void on_instance(void *arg)
{
    stream *s = arg;
    if (s->push->wishes && !timer_running(&s->next_try))
        push_marker_want(s);
}

static void on_refused(void *arg, const char *why)
{
    stream_fail(arg, why);
}

static void on_shut_down(void *arg)
{
    stream_close(arg, "stopped");
}

/* ---- Questions ---- */

static bool has_question(const push *p)
{
    bool frames = p->in.count || push_book_answer(&p->book, NULL, NULL) || successor_tries(&p->heir) || (successor_waits(&p->heir) && p->heir.in.count);
    return p->marked ? !p->holding && (p->events || frames) : p->wishes && p->toll == TOLL_PAID;
}

void push_pump(stream *s)
{
    push *p = s->push;
    bool due = p->redial && !p->asking && p->marked && !p->session && s->state == STREAM_WAITING;
    if (!p->asking && p->marked && has_question(p))
        shared_want(&p->place);
    if (due) {
        p->redial = false;
        push_socket_dial(s);
    }
}

static const char *on_turn(void *arg, buf *in, uint64_t *ms)
{
    stream *s = arg;
    push *p = s->push;
    if (p->asking || !has_question(p) || s->state == STREAM_STOPPING)
        return NULL;
    *ms = CALLBACK_MS;
    if (!p->marked) {
        *ms = SETUP_MS;
        p->wishes = false;
        p->toll = TOLL_DUE;
        p->asking = ASKS_MARKER;
        return push_marker_ask(s, in);
    }
    return p->events ? push_event_ask(s, in) : push_message_ask(s, in);
}

static const char *on_frame_turn(void *arg, buf *in, uint64_t *ms)
{
    stream *s = arg;
    const push *p = s->push;
    *ms = CALLBACK_MS;
    return p->asking || !p->marked || p->holding || p->events || !p->in.count || s->state != STREAM_LIVE ? NULL : push_message_ask(s, in);
}

static void on_answer(void *arg, const call_result *r, bool lost)
{
    stream *s = arg;
    push *p = s->push;
    question what = p->asking;
    (void)lost;
    p->asking = ASKS_NOTHING;
    if (s->state == STREAM_STOPPING)
        return;
    if (what == ASKS_FRAME)
        push_verdict_take(s, r);
    else if (what == ASKS_EVENT)
        push_event_take(s, r);
    else
        push_marker_take(s, r);
}

const place_ops push_turn_ops = {
    .ask = on_turn,
    .answer = on_answer,
    .publish = push_verdict_publish,
    .ask_frame = on_frame_turn,
    .lost = on_lost,
    .ready = on_instance,
    .refused = on_refused,
    .said_goodbye = on_shut_down,
};
