/* A push stream's next socket, made in time before the venue ends the present one: when that is (lifetime.h), and what the
 * stream does as the successor's owner (successor.h). Where there may not be two at once it is dialled anew, at a quiet
 * moment.
 * What can go wrong: the successor comes to nothing: the present socket goes on, with a next try after the back-off; the
 * present one ends first: what stands by takes over as it is, with a gap if it was not subscribed for sure; a channel is late on the
 * successor: a gap, which lasts until it is there. */
#include <stdio.h>

#include "base/rand.h"
#include "stream/lifetime.h"
#include "stream/push_inside.h"

#define QUIET_NS NS_PER_S /* nothing for so long: a moment to dial anew */

void push_renew_plan(stream *s)
{
    push *p = s->push;
    uint64_t life = lifetime_of(s->plugin->lifetimes, p->marker.url, p->marker.lifetime_ms);
    p->life_ends = life ? p->open_since + life : 0;
    if (life)
        timer_at(&p->renew, p->open_since + lifetime_begin(life, rand_unit(&s->backoff.chance)));
    else
        timer_stop(&p->renew);
}

/* What the old one brought, this one does not bring for sure. */
static void begin_gap(stream *s)
{
    push *p = s->push;
    stream_begin_gap(s, RECORD_GAP_DISCONNECTED);
    p->heir.in.lost = true;
    if (p->book.on || channels_joined(p->heir.channels)) /* a book knows itself when it is whole */
        return;
    p->awaits = p->heir.channels;
    p->heir.channels = NULL;
    s->resyncs_later = true;
}

void push_renew_await_no_more(stream *s)
{
    push *p = s->push;
    if (!p->awaits)
        return;
    channels_free(p->awaits);
    p->awaits = NULL;
    s->resyncs_later = false;
}

void push_renew_had(stream *s, bytes text)
{
    push *p = s->push;
    if (!p->awaits || successor_waits(&p->heir)) /* it is still the old one's */
        return;
    channels_heir(p->awaits, text);
    if (!channels_joined(p->awaits))
        return;
    push_renew_await_no_more(s);
    stream_resynced(s, "what came late on the new connection is there");
}

void push_renew_hand_over(stream *s, const char *how)
{
    push *p = s->push;
    char why[200];
    push_renew_await_no_more(s);
    if (!successor_whole(&p->heir))
        begin_gap(s);
    session_close(p->session);
    p->in.refused = false; /* the successor brings it */
    p->open_since = p->heir.opened_at;
    p->session = successor_take(&p->heir, &push_socket_reader, s);
    p->open = p->greeted = true;
    push_socket_count(s);
    backoff_reset(&p->heir_tries);
    push_renew_plan(s);
    snprintf(why, sizeof why, "a new connection took over: %s", how);
    log_info("stream", "'%s': %s", record_stream_topic(s->records).at, why);
    if (s->state == STREAM_LIVE)
        hub_publish_status(s->plugin->hub, s->records, RECORD_LIVE, why);
    push_pump(s);
}

static void heir_received(void *arg)
{
    record_stream_counts(((stream *)arg)->records)->received++;
}

static void heir_changed(void *arg)
{
    push_socket_count(arg);
    push_pump(arg);
}

static void heir_ready(void *arg)
{
    push_renew_hand_over(arg, "the old one's time is nearly over");
}

static void heir_left_out(void *arg, size_t messages)
{
    push_message_left_out(arg, messages);
}

/* What it had brought the present one brings, too. */
void push_renew_failed(void *arg, const char *why, uint32_t retry_after_s)
{
    stream *s = arg;
    push *p = s->push;
    uint64_t wait = backoff_next(&p->heir_tries);
    if (retry_after_s && retry_after_s * NS_PER_S > wait)
        wait = retry_after_s * NS_PER_S + backoff_spread(&p->heir_tries);
    push_message_left_out(s, successor_drop(&p->heir));
    push_socket_count(s);
    log_warn("stream", "'%s': its connection's time is nearly over, and the next one cannot take over: %s; the present one goes on, next try in %.1f s",
             record_stream_topic(s->records).at, why, (double)wait * 1e-9);
    timer_after(&p->renew, wait);
}

static const successor_ops heir_ops = {
    .greet = push_socket_subscribe,
    .received = heir_received,
    .changed = heir_changed,
    .ready = heir_ready,
    .left_out = heir_left_out,
    .failed = push_renew_failed,
};

/* There may not be two: dialled anew when nothing comes for a moment, or when no time is left. */
static void renew_when_quiet(stream *s)
{
    push *p = s->push;
    bool idle = !p->asking && !p->holding && !p->in.count && clock_real() - s->last_recv >= QUIET_NS;
    if (!idle && loop_now(s->plugin->loop) + lifetime_margin(p->life_ends - p->open_since) / 4 < p->life_ends) {
        timer_after(&p->renew, QUIET_NS / 4);
        return;
    }
    push_socket_drop(s);
    stream_lose(s, RECORD_GAP_DISCONNECTED, "the connection's time is nearly over, and there may not be two at once", true);
}

static void on_renew(void *arg)
{
    stream *s = arg;
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    if (!p->open || s->state == STREAM_STOPPING)
        return;
    if (p->marker.exclusive || p->talks_first) {
        renew_when_quiet(s);
        return;
    }
    if (!p->greeted || p->heir.phase != SUCCESSOR_NONE) {
        timer_after(&p->renew, QUIET_NS / 4);
        return;
    }
    session_options o = push_socket_wanted(s);
    if (successor_open(&p->heir, &o, p->marker.messages, p->marker.message_count, lifetime_margin(p->life_ends - p->open_since), &err))
        push_renew_failed(s, err.text, 0);
}

void push_renew_init(stream *s)
{
    push *p = s->push;
    successor_init(&p->heir, s->plugin->loop, push_limits(s)->inbox, push_socket_room, &heir_ops, s);
    timer_init(&p->renew, s->plugin->loop, on_renew, s);
    p->heir_tries = s->backoff;
}
