/* What a push stream wants, as each new instance says it: the marker, which describes the socket and may declare an order
 * book, whose wishes are the stream's, too.
 * What can go wrong: the wish is refused: the stream fails, or, once there was data, is tried again; a new instance wants
 * another socket than the last one: a gap, and that one is dialled. */
#include <stdio.h>

#include "stream/push_inside.h"

/* ---- The order book's wishes ---- */

static weir_code book_send(void *arg, bytes message, weir_error *err)
{
    stream *s = arg;
    if (!s->push->session)
        return error_set(err, WEIR_CLOSED, "there is no socket");
    return session_send(s->push->session, message, err);
}

static void book_dial(void *arg, const char *why)
{
    stream *s = arg;
    if (!s->push->session || s->state == STREAM_STOPPING)
        return;
    push_socket_drop(s);
    stream_lose(s, RECORD_GAP_SEQUENCE, why, true);
}

static void book_answered(void *arg)
{
    stream *s = arg;
    s->last_recv = clock_real();
    push_pump(s);
}

static void book_refused(void *arg, const char *why)
{
    stream_fail(arg, why);
}

static const book_resync_ops book_ops = {.send = book_send, .dial = book_dial, .answered = book_answered, .refused = book_refused};

/* ---- The wish ---- */

static bool same_socket(const marker *a, const marker *b)
{
    if (!bytes_equal(a->url, b->url) || a->message_count != b->message_count || !bytes_equal(a->book, b->book))
        return false;
    for (size_t i = 0; i < a->message_count; i++)
        if (!bytes_equal(a->messages[i], b->messages[i]))
            return false;
    return true;
}

/* False: it says none, and what follows is done. */
static bool read_next(stream *s, const call_result *r)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_code code = s->plugin->generation->read_marker(&s->push->next, r, &err);
    if (!code)
        return true;
    if (code == WEIR_NOMEM || (code == WEIR_FAILED && s->last_recv)) { /* what worked once is worth another try */
        push_socket_drop(s);
        stream_lose(s, RECORD_GAP_RESTART, err.text, false);
    } else
        stream_fail(s, err.text);
    return false;
}

/* `same`: the socket goes on with it, else it is let go. False: the stream has failed. */
static bool use_next(stream *s, bool same)
{
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    marker old = p->marker;
    p->marker = p->next;
    p->next = (marker){0};
    if (same) {
        p->marker.base64 |= old.base64;
        push_socket_beat(s);
    }
    if (p->marker.id.len == 0)
        p->marker.id = bytes_of(p->id);
    if (!same && p->open)
        stream_begin_gap(s, RECORD_GAP_RESTART);
    if (!same) { /* before what its heartbeat and its book point into */
        push_socket_drop(s);
        push_book_fini(&p->book);
    }
    weir_code code = push_book_take_marker(&p->book, s, p->marker.book, &book_ops, &err);
    marker_fini(&old);
    if (code)
        stream_fail(s, err.text);
    return !code;
}

void push_marker_take(stream *s, const call_result *r)
{
    push *p = s->push;
    if (push_trapped(r)) {
        push_culprit(s, "the wish for a stream", r, BYTES(""));
        return;
    }
    if (!read_next(s, r))
        return;
    bool same = p->session && same_socket(&p->marker, &p->next);
    if (!use_next(s, same))
        return;
    p->marked = true;
    if (same) { /* the successor of an instance that is gone: the socket goes on */
        if (p->greeted && (!stream_enter(s, STREAM_LIVE, "a new instance took over") || s->state != STREAM_LIVE))
            return;
        push_pump(s);
        return;
    }
    if (loop_now(s->plugin->loop) < s->not_before) { /* a new instance does not shorten the venue's pause */
        timer_at(&s->next_try, s->not_before);
        stream_enter(s, STREAM_WAITING, "the instance is new; the next try is not due yet");
        return;
    }
    push_socket_dial(s);
}

const char *push_marker_ask(stream *s, buf *in)
{
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    json parameters = {0};
    if (s->parameters && *s->parameters)
        json_read(&parameters, bytes_of(s->parameters), NULL);
    stream_wish wish = {bytes_of(p->id), record_stream_type(s->records), record_stream_identifier(s->records), parameters};
    const char *export_name = s->plugin->generation->ask_stream(in, &wish, &err);
    if (!export_name)
        stream_fail(s, err.text);
    return export_name;
}

/* The plugin's rate limits let it wait. A socket that is open stays so, and its messages wait with it. */
static void wait_turn(stream *s, const stream_turn *turn)
{
    push *p = s->push;
    char text[300];
    p->tries = turn->again ? p->tries + 1 : 0;
    p->toll = turn->again ? TOLL_DUE : TOLL_WAITS;
    timer_after(&s->next_try, turn->wait_ns);
    if (turn->again)
        return;
    snprintf(text, sizeof text, "waits %.1f s for the plugin's rate limit (%s)", (double)turn->wait_ns * 1e-9, turn->limit);
    stream_enter(s, p->session ? STREAM_CONNECTING : STREAM_WAITING, text);
}

void push_marker_want(stream *s)
{
    push *p = s->push;
    const stream_plugin *of = s->plugin;
    stream_turn turn = {0};
    if (p->toll == TOLL_DUE && of->turn && of->generation->stream_command) {
        buf in;
        bytes name;
        json params;
        buf_init(&in, 1 << 24);
        bool asks = push_marker_ask(s, &in) != NULL;
        if (asks && of->generation->stream_command(buf_bytes(&in), &name, &params))
            turn = of->turn(of->owner, name, params, p->tries);
        buf_fini(&in);
        if (!asks)
            return;
    }
    if (turn.wait_ns) {
        wait_turn(s, &turn);
        return;
    }
    p->toll = TOLL_PAID;
    p->tries = 0;
    shared_want(&p->place);
}
