/* The messages of a push stream: which is asked about next, and how each is counted: taken, left out as a double, or lost,
 * with a gap. The order: what the order book asked for, then the old connection's, then the new one's. One that the
 * instance died of comes once more. */
#include "stream/push_inside.h"

/* ---- Done with ---- */

void push_message_left_out(stream *s, uint64_t messages)
{
    record_stream_counts(s->records)->doubles += messages;
}

void push_message_had(stream *s)
{
    push *p = s->push;
    inbox_message m;
    if (p->on_answer || p->trial || !inbox_take(p->from, &m))
        return;
    successor_old(&p->heir, m.text);
    push_renew_had(s, m.text);
}

/* The one that was asked about is done with, and counted as taken or lost. What the book asked for is counted as
 * received only now. */
void push_message_done(stream *s, uint64_t *count)
{
    push *p = s->push;
    p->again = false;
    (*count)++;
    if (p->on_answer) {
        record_stream_counts(s->records)->received++;
        p->on_answer = false;
        push_book_read(&p->book);
        return;
    }
    if (p->trial)
        successor_tried(&p->heir);
    else
        p->old -= p->old > 0;
    p->trial = false;
    inbox_drop(p->from);
}

void push_message_lose(stream *s, const char *why)
{
    push *p = s->push;
    if (p->trial) { /* the old connection's counts */
        push_message_done(s, &record_stream_counts(s->records)->doubles);
        return;
    }
    record_gap gap = {.cause = RECORD_GAP_DROPPED, .from_ns = p->recv_ns, .to_ns = p->recv_ns, .count = 1};
    if (p->refused++ < 10 || p->refused % 1000 == 0)
        log_warn("stream", "'%s': a message is dropped (%llu so far): %s", record_stream_topic(s->records).at,
                 (unsigned long long)p->refused, why);
    stream_tell_gap(s, &gap);
    push_book_missed(&p->book);
    push_message_had(s);
    push_message_done(s, &s->lost_total);
}

/* ---- The next one ---- */

/* The oldest frame that is to be asked about: the old connection's, before those of one that took over or is tried. */
static bool next_frame(stream *s, inbox_message *m)
{
    push *p = s->push;
    p->trial = !p->in.count && successor_tries(&p->heir);
    p->from = p->trial ? &p->heir.in : &p->in;
    if (!p->in.count)
        successor_merge(&p->heir, &p->in);
    while (inbox_take(p->from, m)) {
        if (p->trial || !successor_double(&p->heir, m->text))
            return true;
        p->old -= p->old > 0;
        inbox_drop(p->from);
        push_message_left_out(s, 1);
    }
    return false;
}

/* The next one: what the order book asked for comes first. One that trapped comes once more. False: none. */
static bool next_message(stream *s, inbox_message *m)
{
    push *p = s->push;
    m->binary = m->behind_loss = p->trial = false;
    if (p->again && p->on_answer && !push_book_answer(&p->book, &m->text, &m->recv_ns))
        p->again = false; /* it went with its socket */
    else if (p->again && p->on_answer)
        return true;
    p->on_answer = !p->again && push_book_answer(&p->book, &m->text, &m->recv_ns);
    p->late = false;
    return p->on_answer || next_frame(s, m);
}

/* The message is the first behind a loss. Mostly that gap is due already; but where many messages waited, what is due
 * may be a later loss, or nothing: the one before was told when this one had begun. */
static void pass_loss(stream *s, uint64_t recv_ns)
{
    record_gap gap = {.cause = RECORD_GAP_DISCONNECTED, .from_ns = s->push->before_ns, .to_ns = recv_ns};
    if (!s->lost_from)
        stream_begin_gap_at(s, gap.cause, gap.from_ns);
    else if (s->lost_from >= recv_ns && !(s->gapped && s->resyncs_later))
        stream_tell_gap(s, &gap);
}

const char *push_message_ask(stream *s, buf *in)
{
    push *p = s->push;
    inbox_message m;
    if (!next_message(s, &m))
        return NULL;
    if (m.behind_loss && p->before_ns && p->before_ns != m.recv_ns) /* else it is the first of all, or comes once more */
        pass_loss(s, m.recv_ns);
    p->recv_ns = m.recv_ns;
    p->before_ns = p->on_answer ? p->before_ns : m.recv_ns;
    p->asking = ASKS_FRAME;
    stream_frame f = {bytes_make(p->connection, sizeof p->connection - 1), m.text, m.binary};
    return s->plugin->generation->ask_frame(in, &p->marker, &f);
}
