/* See push_book.h. */
#include "stream/push_book.h"

static void want(void *arg, const char *why, bool anew)
{
    push_book *b = arg;
    book_resync_want(&b->resync, why, anew);
}

static void whole(void *arg)
{
    push_book *b = arg;
    b->began = true;
    book_resync_whole(&b->resync);
}

weir_code push_book_take_marker(push_book *b, stream *s, bytes text, const book_resync_ops *ops, weir_error *err)
{
    json declaration;
    book_owner owner = {want, whole, b};
    book_resync_ops with = *ops;
    if (!text.len)
        return WEIR_OK;
    if (json_read(&declaration, text, err))
        return error_wrap(err, "its StreamMarker: \"book\"");
    if (b->on) {
        b->resync.snapshot = json_member(declaration, "snapshot");
        return WEIR_OK;
    }
    with.arg = s;
    b->resync = (book_resync){
        .name = record_stream_topic(s->records).at,
        .loop = s->plugin->loop,
        .dialer = s->plugin->dialer,
        .targets = s->plugin->targets,
        .max_body = (s->plugin->limits ? s->plugin->limits : &policy_defaults)->http_body,
    };
    weir_code code = book_service_init(&b->service, s, declaration, &owner, err);
    if (!code)
        code = book_resync_init(&b->resync, &with, declaration, s->backoff.min_ns, s->backoff.max_ns, err);
    b->on = true;
    if (code) {
        push_book_fini(b);
        return error_wrap(err, "its StreamMarker");
    }
    return WEIR_OK;
}

void push_book_fini(push_book *b)
{
    if (!b->on)
        return;
    book_resync_fini(&b->resync);
    book_service_fini(&b->service);
    b->on = false;
}

bool push_book_take(push_book *b, const book_message *m, bool old)
{
    b->began = false;
    if (old)
        record_stream_counts(b->service.stream->records)->stale++;
    else
        book_service_take(&b->service, m);
    return b->began;
}

bool push_book_next(push_book *b)
{
    return b->on && book_service_next(&b->service);
}

void push_book_closed(push_book *b)
{
    if (!b->on)
        return;
    book_resync_closed(&b->resync);
    book_service_forget(&b->service);
}

void push_book_missed(push_book *b)
{
    if (b->on)
        book_service_missed(&b->service);
}

bool push_book_asks(const push_book *b)
{
    return b->on && book_resync_asks(&b->resync);
}

bool push_book_answer(const push_book *b, bytes *body, uint64_t *recv_ns)
{
    bytes text;
    uint64_t ns;
    return b->on && book_resync_body(&b->resync, body ? body : &text, recv_ns ? recv_ns : &ns);
}

void push_book_read(push_book *b)
{
    if (b->on)
        book_resync_read(&b->resync);
}
