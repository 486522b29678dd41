/* Connection events of a push stream: connected, error, disconnected. The plugin is asked about each, in the order in which
 * they make sense; one that the instance dies of is told once more. */
#include "stream/push_inside.h"

const char *push_event_ask(stream *s, buf *in)
{
    static const stream_event order[] = {EVENT_ERROR, EVENT_DISCONNECTED, EVENT_CONNECTING, EVENT_CONNECTED};
    push *p = s->push;
    const stream_event *e = order;
    while (!(p->events & EVENT_BIT(*e)))
        e++;
    p->event = *e;
    p->events &= ~EVENT_BIT(p->event);
    p->asking = ASKS_EVENT;
    return s->plugin->generation->ask_event(in, &p->marker, bytes_of(p->connection), p->event,
                                            p->event == EVENT_CONNECTED ? NULL : kept_text(&s->down));
}

/* The next instance is told of it once more; then the stream goes on without. */
static void take_trapped_event(stream *s, const call_result *r)
{
    push *p = s->push;
    bool connected = p->event == EVENT_CONNECTED, again = !(p->trapped & EVENT_BIT(p->event));
    p->trapped |= EVENT_BIT(p->event);
    if (again && (!connected || p->open))
        p->events |= EVENT_BIT(p->event);
    if (push_culprit(s, "a connection event's callback", r, BYTES("")) && !again && connected && p->open && !p->greeted)
        push_socket_greet(s);
}

void push_event_take(stream *s, const call_result *r)
{
    push *p = s->push;
    verdict v = {0};
    weir_error err = WEIR_ERROR_INIT;
    if (push_trapped(r)) {
        take_trapped_event(s, r);
        return;
    }
    weir_code code = s->plugin->generation->read_verdict(&v, &p->marker, r, &err);
    push_verdict_unknown(s, v.unknown);
    if (code) {
        log_info("stream", "'%s': its answer to '%s': %s", record_stream_topic(s->records).at, generation_event_name(p->event), err.text);
        v = (verdict){0};
    }
    if (p->event == EVENT_CONNECTED)
        p->talks_first = v.send.type == JSON_STRING;
    if (p->event == EVENT_CONNECTED && v.action != VERDICT_CLOSE && v.action != VERDICT_RECONNECT) {
        if (p->open && !p->greeted && push_socket_greet(s))
            push_verdict_obey(s, &(verdict){.send = v.send});
        return;
    }
    if (v.action == VERDICT_CLOSE) {
        push_verdict_end(s, v.why);
        return;
    }
    if (v.action == VERDICT_RECONNECT && !p->event_acted && !p->session && timer_running(&s->next_try) && s->retry_after_s == 0) {
        p->event_acted = true; /* the pair error, disconnected: once */
        if (loop_now(s->plugin->loop) - p->open_since >= HASTY_NS) {
            s->not_before = 0;
            timer_after(&s->next_try, 0);
        }
    }
    push_pump(s);
}
