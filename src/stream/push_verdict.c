/* What follows from the plugin's answer to a message: its data become records as far as the readers have room, then what it
 * asks for is done: send, reconnect, close. Most answers are dealt with on the guest's fiber (push_verdict_publish).
 * What can go wrong: the answer is none, or too long, or a trap: the message is dropped or comes once more; the
 * readers have no room: the rest waits in `kept`, and so does the stream. */
#include <stdio.h>
#include <stdlib.h>

#include "stream/push_inside.h"

/* ---- Data ---- */

/* Most items have none of their own, and to look for the octets is cheaper than to read. */
static uint64_t event_time(bytes item, uint64_t fallback)
{
    uint64_t ns;
    if (item.at[0] != '{' || !memmem(item.at, item.len, "\"ts_event\"", 10))
        return fallback;
    return json_text_u64(json_member((json){JSON_OBJECT, item}, "ts_event"), &ns) ? ns : fallback;
}

static void publish(stream *s, bytes item, uint64_t ts_event)
{
    liveness_data(s, s->push->recv_ns);
    if (s->push->recv_ns > s->lost_from)
        stream_end_gap(s); /* else the message came before the loss and only waited */
    stream_publish(s, ts_event, s->push->recv_ns, item);
}

/* Hop 4 to hop 6. False: the readers have no room; the rest comes later. */
static bool deliver(stream *s)
{
    push *p = s->push;
    json key, item;
    hub *h = s->plugin->hub;
    for (;;) {
        if (hub_blocked(h, s->records)) {
            hub_wait(h, &s->room);
            return false;
        }
        if (push_book_next(&p->book)) /* what it held comes before */
            continue;
        if (!p->list && !p->book.on && p->rest.at < p->rest.end) { /* one value, which was read already */
            bytes value = bytes_make(p->rest.at, (size_t)(p->rest.end - p->rest.at));
            publish(s, value, event_time(value, p->held.ts_event));
            p->rest.at = p->rest.end;
        }
        if (!json_next(&p->rest, &key, &item))
            return true;
        if (!p->book.on) {
            publish(s, item.raw, event_time(item.raw, p->held.ts_event));
            continue;
        }
        liveness_data(s, p->recv_ns);
        json_iter behind = p->rest;
        json next;
        book_message m = {item, !json_next(&behind, &key, &next), event_time(item.raw, p->held.ts_event), p->recv_ns};
        if (push_book_take(&p->book, &m, p->on_answer ? p->late : p->old > 0) && !p->on_answer)
            successor_anew(&p->heir, p->trial);
    }
}

/* What is left of the verdict waits without the instance: the next question would take it away. False: out of
 * memory. */
static bool keep_rest(push *p)
{
    size_t left = (size_t)(p->rest.end - p->rest.at), send = p->held.send.type == JSON_STRING ? p->held.send.raw.len : 0;
    size_t why = p->held.why.type == JSON_STRING ? p->held.why.raw.len : 0;
    buf_clear(&p->kept);
    if (!buf_reserve(&p->kept, left + send + why + 1))
        return false;
    buf_add(&p->kept, p->rest.at, left);
    buf_add_bytes(&p->kept, bytes_make(p->held.send.raw.at, send));
    buf_add_bytes(&p->kept, bytes_make(p->held.why.raw.at, why));
    p->rest.at = p->kept.at;
    p->rest.end = p->kept.at + left;
    p->held.send.raw.at = p->rest.end;
    p->held.why.raw.at = p->rest.end + send;
    return true;
}

/* ---- What it asks for ---- */

void push_verdict_end(stream *s, json why)
{
    char *text = json_string_dup(why), told[WEIR_ERROR_TEXT];
    snprintf(told, sizeof told, "the plugin ended it: %s", text ? text : "");
    if (text && *text)
        stream_fail(s, told);
    else
        stream_close(s, "the plugin ended it");
    free(text);
}

static void send_text(stream *s, session *to, json what)
{
    weir_error err = WEIR_ERROR_INIT;
    buf text;
    if (what.type != JSON_STRING || !to)
        return;
    buf_init(&text, SIZE_MAX);
    json_string_add(what, &text);
    if (session_send(to, buf_bytes(&text), &err))
        log_warn("stream", "'%s': %s", record_stream_topic(s->records).at, err.text);
    buf_fini(&text);
}

/* It was a message of the successor, who is being tried. */
static void obey_trial(stream *s, const verdict *v)
{
    push *p = s->push;
    send_text(s, p->heir.session, v->send);
    if (p->heir.phase == SUCCESSOR_TRIES && (v->action == VERDICT_CLOSE || v->action == VERDICT_RECONNECT))
        push_renew_failed(s, "the plugin ended it over what it brought", 0);
    else if (p->heir.phase == SUCCESSOR_TRIES && v->action == VERDICT_DATA)
        push_renew_hand_over(s, "the old one's time is nearly over");
    push_pump(s);
}

void push_verdict_obey(stream *s, const verdict *v)
{
    push *p = s->push;
    send_text(s, p->session, v->send);
    if (v->action == VERDICT_CLOSE) {
        push_verdict_end(s, v->why);
        return;
    }
    if (v->action == VERDICT_RECONNECT && p->session) {
        bool hasty = loop_now(s->plugin->loop) - p->open_since < HASTY_NS;
        push_socket_drop(s);
        stream_lose(s, RECORD_GAP_DISCONNECTED, "the plugin asks for a new connection", !hasty);
        return;
    }
    push_pump(s);
}

void push_verdict_unknown(stream *s, bytes action)
{
    push *p = s->push;
    if (action.len == 0 || strncmp(p->unknown, action.at, action.len < sizeof p->unknown ? action.len : sizeof p->unknown - 1) == 0)
        return;
    snprintf(p->unknown, sizeof p->unknown, "%.*s", (int)action.len, action.at);
    log_warn("stream", "'%s': the plugin answers with action '" BYTES_FMT "', which means nothing here; taken for ignore",
             record_stream_topic(s->records).at, BYTES_ARG(action));
}

/* ---- Answers ---- */

/* p->held is delivered. May free the stream. */
static void done_with_message(stream *s)
{
    push *p = s->push;
    bool trial = p->trial;
    if (p->held.action == VERDICT_DATA)
        push_message_had(s);
    push_message_done(s, &s->taken_total);
    if (trial)
        obey_trial(s, &p->held);
    else
        push_verdict_obey(s, &p->held);
}

static size_t octets_of(const verdict *v)
{
    return v->data.len > v->send.raw.len ? v->data.len : v->send.raw.len;
}

/* What of p->held the readers have no room for. */
static void hold(stream *s)
{
    push *p = s->push;
    if ((p->holding = keep_rest(p)))
        return;
    hub_wait_cancel(&s->room);
    push_message_lose(s, "its records have to wait, and memory is out");
    push_verdict_obey(s, &(verdict){.action = p->held.action, .why = p->held.why});
}

static void begin(push *p, const verdict *v)
{
    p->held = *v;
    p->list = v->data.len && v->data.at[0] == '[';
    p->rest = p->list ? json_each((json){JSON_ARRAY, v->data}) : (json_iter){v->data.at, v->data.at + v->data.len, false};
}

static void take_verdict(stream *s, verdict *v)
{
    push *p = s->push;
    size_t longest = octets_of(v);
    if (longest > push_limits(s)->message) {
        char why[80];
        snprintf(why, sizeof why, "its answer has %zu octets; at most %llu are taken", longest, (unsigned long long)push_limits(s)->message);
        push_message_lose(s, why);
        push_pump(s);
        return;
    }
    push_verdict_unknown(s, v->unknown);
    begin(p, v);
    if (p->trial && v->action == VERDICT_DATA) /* numbers of another connection, as far as one knows */
        s->numbers.known = false;
    if (!p->book.on && (!p->trial || v->action == VERDICT_DATA)) /* a book's guard looks at the numbers of each change */
        stream_number(s, &v->number, p->recv_ns);
    if (deliver(s))
        done_with_message(s);
    else
        hold(s);
}

/* Hop 4 to hop 6 for most frames: a verdict after which nothing remains to be done. What may wait, end or dial is
 * take_frame's, which reads the answer again. */
bool push_verdict_publish(void *arg, const call_result *r)
{
    stream *s = arg;
    push *p = s->push;
    verdict v;
    uint64_t event;
    if (p->asking != ASKS_FRAME || p->book.on || p->trial || s->state != STREAM_LIVE || s->gapped || s->lost_from || hub_blocked(s->plugin->hub, s->records))
        return false;
    if (s->plugin->generation->read_verdict(&v, &p->marker, r, NULL) || v.action > VERDICT_DATA || v.send.type || v.unknown.len)
        return false;
    if (v.data.len > push_limits(s)->message)
        return false;
    p->asking = ASKS_NOTHING;
    stream_number(s, &v.number, p->recv_ns);
    if (v.one.len) {
        publish(s, v.one, json_text_u64(v.one_event, &event) ? event : v.ts_event);
    } else if (v.data.len) {
        begin(p, &v);
        if (!deliver(s)) {
            hold(s);
            return true;
        }
    }
    if (v.action == VERDICT_DATA)
        push_message_had(s);
    push_message_done(s, &s->taken_total);
    push_pump(s);
    return true;
}

void push_verdict_take(stream *s, const call_result *r)
{
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    verdict v;
    if (push_trapped(r)) {
        inbox_message m;
        buf_clear(&p->kept); /* nothing is held while a frame is asked about */
        if (!p->on_answer && p->from && inbox_take(p->from, &m))
            buf_add_bytes(&p->kept, m.text);
        if (p->again || p->trial)
            push_message_lose(s, r->why);
        else
            p->again = true;
        push_culprit(s, "a message's callback", r, buf_bytes(&p->kept));
        return;
    }
    switch (s->plugin->generation->read_verdict(&v, &p->marker, r, &err)) {
    case WEIR_OK:
        take_verdict(s, &v);
        return;
    case WEIR_BUSY:
        break;
    default:
        push_message_lose(s, err.text);
    }
    push_pump(s);
}

void push_verdict_room(stream *s)
{
    push *p = s->push;
    if (!p->holding || !deliver(s))
        return;
    p->holding = false;
    done_with_message(s);
}
