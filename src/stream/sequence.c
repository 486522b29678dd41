/* See sequence.h. */
#include "stream/inside.h"

sequence_step sequence_take(sequence *q, const venue_number *n, bool anew, uint64_t *from, uint64_t *to)
{
    if (!q->known || (n->number <= q->last && anew)) {
        q->known = true;
        q->last = n->number;
        return SEQUENCE_FOLLOWS;
    }
    if (n->number <= q->last)
        return SEQUENCE_BACK;
    *from = q->last + 1;
    *to = n->has_previous && n->previous < n->number ? n->previous : n->number - 1;
    q->last = n->number;
    return *to >= *from ? SEQUENCE_HOLE : SEQUENCE_FOLLOWS;
}

void stream_number(stream *s, const venue_number *n, uint64_t recv_ns)
{
    record_gap gap = {.cause = RECORD_GAP_SEQUENCE, .from_ns = s->numbers.recv_ns, .to_ns = recv_ns, .has_seq = true};
    bool after_loss = s->lost_from && (!recv_ns || recv_ns > s->lost_from);
    if (!n->known)
        return;
    switch (sequence_take(&s->numbers, n, after_loss, &gap.from_seq, &gap.to_seq)) {
    case SEQUENCE_FOLLOWS:
        break;
    case SEQUENCE_HOLE:
        /* With previous numbers there may be fewer messages than numbers. */
        gap.count = n->has_previous ? 0 : gap.to_seq - gap.from_seq + 1;
        if (after_loss)
            s->lost_numbers = gap;
        else if (!gap.count || gap.count > s->dropped) /* what was dropped has been told */
            stream_tell_gap(s, &gap);
        break;
    case SEQUENCE_BACK:
        record_stream_counts(s->records)->repeated++;
        if (!s->numbers.told)
            log_warn("stream", "'%s': the venue's number %llu comes behind %llu; it is passed on, and so are others of the kind without a line each",
                     record_stream_topic(s->records).at, (unsigned long long)n->number, (unsigned long long)s->numbers.last);
        s->numbers.told = true;
        return;
    }
    s->numbers.recv_ns = recv_ns;
    s->dropped = 0;
}
