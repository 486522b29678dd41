/* Feeding a push plugin: the host owns the socket, the plugin is asked about each frame.
 *
 * Instance and socket live apart. The instance, which the streams of one connection share (shared.h),
 * describes the socket that this stream wants (a marker), the host dials it, sends the initial messages,
 * and from then on the stream has one question at a time for the instance: what happened to the socket
 * first, then the oldest frame of the inbox.
 * What can go wrong, and what follows:
 *   the wish for the stream is refused            failed; once there was data: the next try
 *   the socket is lost                            gap, back-off, dial again; the instance stays
 *   its venue ends it after a known time          a successor is made in time (successor.h), or, where there may not
 *                                                 be two, it is dialled anew at a quiet moment, with a gap
 *   a callback traps or takes more than 2 s       a new instance, the socket stays; frames wait in the inbox.
 *                                                 The frame comes once more, then it is dropped, and a gap says so
 *   a sibling's callback does                     the new instance is asked for the marker again, and goes on
 *   a callback answers nonsense or a failure      that frame is dropped, and a gap says so; an event goes on
 *                                                 as if it had answered ignore
 *   the marker declares an order book             each record goes through it (push_book.h); what it waits for, too, is
 *                                                 a message for the plugin
 *   the plugin says reconnect or close            so it is
 *   traps again and again                         as health.h says: the plugin rests, or is given up */
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "stream/heartbeat_rules.h"
#include "stream/inside.h"
#include "stream/lifetime.h"
#include "stream/push_book.h"
#include "stream/session.h"
#include "stream/shared.h"
#include "stream/successor.h"

#define SETUP_MS 30000 /* the wish: it may ask the venue's REST first */
#define CALLBACK_MS 2000
#define HASTY_NS NS_PER_S /* a socket younger than this is not dialled again at once */
#define QUIET_NS NS_PER_S /* nothing for so long: a moment to dial anew */

#define BIT(e) (1u << (e))

typedef enum question { ASKS_NOTHING,
                        ASKS_MARKER,
                        ASKS_EVENT,
                        ASKS_FRAME } question;

typedef struct push {
    place place; /* with the instance */
    inbox in;
    marker marker, next; /* as it is used; as the new instance says it */
    bool marked;         /* the present instance has said what it wants */
    heartbeat beat;
    session *session;
    bool open;
    uint64_t open_since;
    successor heir;     /* the next socket, when this one's end is near */
    timer renew;        /* when to make it */
    backoff heir_tries; /* between those that fail */
    uint64_t life_ends; /* clock_mono; 0: not known */
    bool talks_first;   /* its answer to connected says more than the marker: no socket is made without it */
    char connection[33];
    char id[24]; /* the stream's, for plugins that name none */

    unsigned events;  /* that the plugin has not been asked about */
    unsigned trapped; /* that an instance died of, once */
    bool event_acted; /* one of the pair error, disconnected was followed */
    bool greeted;     /* connected was answered, so the initial messages are out */

    question asking; /* what is under way */
    bool wishes;     /* the marker is to be asked for */
    bool redial;     /* the next try is due */
    stream_event event;
    bool again;  /* the frame trapped once already */
    inbox *from; /* that it lies in */
    bool trial;  /* it is the successor's, who is being tried */

    verdict held;   /* waits for the readers' room */
    json_iter rest; /* data that are not published yet: items of a list, or one value */
    bool list;
    buf kept; /* what `rest`, held.send and held.why point into while they wait: the instance goes on */
    bool holding;
    uint64_t recv_ns;   /* of the frame it is about */
    uint64_t before_ns; /* of the last one out of the inbox */
    push_book book;     /* of a marker that declares one */
    size_t old;         /* frames in the inbox that are of a socket before */
    bool on_answer;     /* the message that is asked about is what the book asked for, not the inbox's */
    bool late;          /* and its socket is gone meanwhile */
    char unknown[40];   /* action, said once */
    uint64_t refused;   /* frames that a callback failed on */
} push;

static void pump(stream *s);
static void take_over_early(stream *s, const weir_error *why);

static const policy_limits *limits_of(const stream *s)
{
    return s->plugin->limits ? s->plugin->limits : &policy_defaults;
}

/* ---- The instance ---- */

static bool trapped(const call_result *r)
{
    return (r->code != WEIR_OK && r->code != WEIR_FAILED) || r->needs_reset;
}

/* It was this stream's question that the instance died of; the socket stays. The others go on at once, this
 * one waits when it happens again and again. False: it is given up or rests, and may be gone. */
static bool culprit(stream *s, const char *what, const call_result *r, bytes message)
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
        shared_want(&s->push->place);
}

static void on_refused(void *arg, const char *why)
{
    stream_fail(arg, why);
}

static void on_shut_down(void *arg)
{
    stream_close(arg, "stopped");
}

/* ---- The socket ---- */

static void count_sockets(stream *s)
{
    s->venue.open_sockets = (uint32_t)s->push->open + s->push->heir.open;
}

/* A successor that has not taken over goes along. */
static void drop_socket(stream *s)
{
    push *p = s->push;
    timer_stop(&p->renew);
    if (p->heir.phase != SUCCESSOR_FOLLOWS)
        s->lost_total += successor_drop(&p->heir);
    p->old = p->in.count + p->heir.in.count;
    (successor_waits(&p->heir) ? &p->heir.in : &p->in)->lost = true;
    p->late = p->on_answer;
    push_book_closed(&p->book);
    p->open = p->greeted = false;
    session_close(p->session);
    p->session = NULL;
    count_sockets(s);
}

/* When its end is known: in time before it. */
static void plan_renewal(stream *s)
{
    push *p = s->push;
    uint64_t life = lifetime_of(s->plugin->lifetimes, p->marker.url, p->marker.lifetime_ms);
    p->life_ends = life ? p->open_since + life : 0;
    if (life)
        timer_at(&p->renew, p->open_since + lifetime_begin(life, rand_unit(&s->backoff.chance)));
    else
        timer_stop(&p->renew);
}

static void on_opened(void *arg)
{
    stream *s = arg;
    push *p = s->push;
    p->open = true;
    p->open_since = loop_now(s->plugin->loop);
    count_sockets(s);
    plan_renewal(s);
    p->events = BIT(EVENT_CONNECTED);
    p->trapped = 0;
    p->event_acted = false;
    pump(s);
}

/* ---- Messages ---- */

/* What the old connection had brought, or only opened the new one. */
static void left_out(stream *s, uint64_t messages)
{
    record_stream_counts(s->records)->doubles += messages;
}

/* The one that was asked about is done with, and counted as taken or lost. What the book asked for is counted as
 * received only now. */
static void drop_message(stream *s, uint64_t *count)
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

/* The plugin has had it, so the successor need not bring it again. */
static void note_old(push *p)
{
    inbox_message m;
    if (!p->on_answer && !p->trial && inbox_take(p->from, &m))
        successor_old(&p->heir, m.text);
}

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
        left_out(s, 1);
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

/* Hop 2, message to job. */
static bool on_message(void *arg, bytes message, bool binary, uint64_t recv_real_ns)
{
    stream *s = arg;
    push *p = s->push;
    if (!inbox_put(successor_waits(&p->heir) ? &p->heir.in : &p->in, message, binary, recv_real_ns))
        return false;
    s->last_recv = recv_real_ns;
    record_stream_counts(s->records)->received++;
    pump(s);
    return true;
}

static void on_drained(void *arg)
{
    (void)arg;
}

static void on_closed(void *arg, const weir_error *why, uint16_t http_status, uint32_t retry_after_s)
{
    stream *s = arg;
    push *p = s->push;
    bool was_open = p->open;
    p->session = NULL; /* frees itself */
    if (s->state != STREAM_STOPPING && successor_stands(&p->heir)) {
        take_over_early(s, why);
        return;
    }
    drop_socket(s);
    if (s->state == STREAM_STOPPING) /* it goes without */
        return;
    stream_note_down(s, why, http_status, retry_after_s);
    if (was_open)
        p->events = (p->events & ~BIT(EVENT_CONNECTED)) | (why->code == WEIR_CLOSED ? 0 : BIT(EVENT_ERROR)) | BIT(EVENT_DISCONNECTED);
    pump(s); /* it hears of it while the stream waits */
    stream_lose(s, RECORD_GAP_DISCONNECTED, why->text, false);
}

static bool holds(void *arg)
{
    const push *p = ((stream *)arg)->push;
    return p->in.refused || p->heir.in.refused;
}

static const session_reader reader = {on_opened, on_message, on_drained, on_closed, holds};

static void inbox_on_room(void *arg)
{
    push *p = ((stream *)arg)->push;
    if (p->session)
        session_room(p->session);
    if (p->heir.session)
        session_room(p->heir.session);
}

/* What the user says, else what the marker declares, else what is known of the origin. The session looks at it where it is, and it
 * points into the marker: again for each marker. */
static void set_beat(stream *s)
{
    push *p = s->push;
    const marker *m = &p->marker;
    uint32_t longest = m->beat_client_ms > m->beat_transport_ms ? m->beat_client_ms : m->beat_transport_ms;
    const heartbeat *rule = heartbeat_rules_find(s->plugin->heartbeats, m->url);
    heartbeat beat = rule ? *rule : *heartbeat_for(m->url);
    if (rule) {
        p->beat = beat;
        return;
    }
    if (m->beat_field.len) {
        beat.plain = false;
        beat.stamped = true;
        beat.field = m->beat_field.at;
        beat.ping = m->beat_ping.len ? m->beat_ping.at : "";
        beat.pong = m->beat_pong.len ? m->beat_pong.at : "";
        beat.client_ping_ms = m->beat_client_ms;
    }
    beat.transport_ping_ms = m->beat_transport_ms;
    beat.silence_ms = longest ? 3 * longest : beat.silence_ms;
    p->beat = beat;
}

static session_options wanted(const stream *s)
{
    const marker *m = &s->push->marker;
    return (session_options){
        .loop = s->plugin->loop,
        .dialer = s->plugin->dialer,
        .targets = s->plugin->targets,
        .url = m->url,
        .subprotocol = m->subprotocol,
        .headers = m->headers,
        .header_count = m->header_count,
        .max_message = limits_of(s)->message,
        .silence_ms = s->plugin->silence_ms,
        .heartbeat = &s->push->beat,
    };
}

static void dial(stream *s)
{
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    unsigned char random[16];
    if (!stream_enter(s, STREAM_CONNECTING, "dialling") || s->state != STREAM_CONNECTING)
        return;
    set_beat(s);
    session_options o = wanted(s);
    rand_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(p->connection + 2 * i, 3, "%02x", random[i]);
    error_keep(&s->down, NULL);
    switch (session_open(&p->session, &o, &reader, s, &err)) {
    case WEIR_OK:
        return;
    case WEIR_REFUSED: /* no try will change what the user allows */
    case WEIR_INVALID:
        stream_fail(s, err.text);
        return;
    default:
        stream_lose(s, RECORD_GAP_DISCONNECTED, err.text, false);
    }
}

/* The initial messages in order, after each handshake. */
static weir_code send_initial(void *arg, session *to, weir_error *err)
{
    const marker *m = &((stream *)arg)->push->marker;
    for (size_t i = 0; i < m->message_count; i++)
        if (session_send(to, m->messages[i], err))
            return err->code;
    return WEIR_OK;
}

/* False: the socket is lost, or the stream gone. */
static bool greet(stream *s)
{
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    p->greeted = true;
    if (send_initial(s, p->session, &err)) {
        drop_socket(s);
        stream_lose(s, RECORD_GAP_DISCONNECTED, err.text, false);
        return false;
    }
    return stream_enter(s, STREAM_LIVE, "the socket is open and subscribed") && s->state == STREAM_LIVE;
}

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
    drop_socket(s);
    stream_lose(s, RECORD_GAP_SEQUENCE, why, true);
}

static void book_answered(void *arg)
{
    stream *s = arg;
    s->last_recv = clock_real();
    pump(s);
}

static void book_refused(void *arg, const char *why)
{
    stream_fail(arg, why);
}

static const book_resync_ops book_ops = {.send = book_send, .dial = book_dial, .answered = book_answered, .refused = book_refused};

/* ---- The successor ---- */

/* From now on the successor is the socket. */
static void hand_over(stream *s, const char *how)
{
    push *p = s->push;
    char why[200];
    session_close(p->session);
    p->in.refused = false; /* the successor brings it */
    p->open_since = p->heir.opened_at;
    p->session = successor_take(&p->heir, &reader, s);
    p->open = p->greeted = true;
    count_sockets(s);
    backoff_reset(&p->heir_tries);
    plan_renewal(s);
    snprintf(why, sizeof why, "a new connection took over: %s", how);
    log_info("stream", "'%s': %s", record_stream_topic(s->records).at, why);
    if (s->state == STREAM_LIVE)
        hub_publish_status(s->plugin->hub, s->records, RECORD_LIVE, why);
    pump(s);
}

/* The old one ended while its successor was being made. If that brought something it was subscribed in time. */
static void take_over_early(stream *s, const weir_error *why)
{
    push *p = s->push;
    if (!successor_heard(&p->heir)) {
        stream_begin_gap(s, RECORD_GAP_DISCONNECTED);
        p->heir.in.lost = true;
    }
    hand_over(s, why->text);
}

static void heir_received(void *arg)
{
    record_stream_counts(((stream *)arg)->records)->received++;
}

static void heir_changed(void *arg)
{
    count_sockets(arg);
    pump(arg);
}

static void heir_ready(void *arg)
{
    hand_over(arg, "the old one's time is nearly over");
}

/* What it had brought the present one brings, too. */
static void heir_failed(void *arg, const char *why, uint32_t retry_after_s)
{
    stream *s = arg;
    push *p = s->push;
    uint64_t wait = backoff_next(&p->heir_tries);
    if (retry_after_s && retry_after_s * NS_PER_S > wait)
        wait = retry_after_s * NS_PER_S + backoff_spread(&p->heir_tries);
    left_out(s, successor_drop(&p->heir));
    count_sockets(s);
    log_warn("stream", "'%s': its connection's time is nearly over, and the next one cannot take over: %s; the present one goes on, next try in %.1f s",
             record_stream_topic(s->records).at, why, (double)wait * 1e-9);
    timer_after(&p->renew, wait);
}

static const successor_ops heir_ops = {
    .greet = send_initial,
    .received = heir_received,
    .changed = heir_changed,
    .ready = heir_ready,
    .failed = heir_failed,
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
    drop_socket(s);
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
    session_options o = wanted(s);
    if (successor_open(&p->heir, &o, lifetime_margin(p->life_ends - p->open_since), &err))
        heir_failed(s, err.text, 0);
}

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

static void take_marker(stream *s, const call_result *r)
{
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    if (trapped(r)) {
        culprit(s, "the wish for a stream", r, BYTES(""));
        return;
    }
    switch (s->plugin->generation->read_marker(&p->next, r, &err)) {
    case WEIR_OK:
        break;
    case WEIR_NOMEM:
    case WEIR_FAILED:
        if (s->last_recv || err.code == WEIR_NOMEM) { /* what worked once is worth another try */
            drop_socket(s);
            stream_lose(s, RECORD_GAP_RESTART, err.text, false);
            return;
        } /* fall through */
    default:
        stream_fail(s, err.text);
        return;
    }
    bool same = p->session && same_socket(&p->marker, &p->next);
    marker old = p->marker;
    p->marker = p->next;
    p->next = (marker){0};
    if (same) {
        p->marker.base64 |= old.base64;
        set_beat(s);
    }
    if (p->marker.id.len == 0)
        p->marker.id = bytes_of(p->id);
    if (!same && p->open)
        stream_begin_gap(s, RECORD_GAP_RESTART);
    if (!same) { /* before what its heartbeat and its book point into */
        drop_socket(s);
        push_book_fini(&p->book);
    }
    weir_code code = push_book_take_marker(&p->book, s, p->marker.book, &book_ops, &err);
    marker_fini(&old);
    if (code) {
        stream_fail(s, err.text);
        return;
    }
    p->marked = true;
    if (same) { /* the successor of an instance that is gone: the socket goes on */
        if (p->greeted && (!stream_enter(s, STREAM_LIVE, "a new instance took over") || s->state != STREAM_LIVE))
            return;
        pump(s);
        return;
    }
    if (loop_now(s->plugin->loop) < s->not_before) { /* a new instance does not shorten the venue's pause */
        timer_at(&s->next_try, s->not_before);
        stream_enter(s, STREAM_WAITING, "the instance is new; the next try is not due yet");
        return;
    }
    dial(s);
}

/* The question for it; NULL: this generation has none, and the stream has failed. */
static const char *ask_marker(stream *s, buf *in)
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

static void retry(stream *s)
{
    push *p = s->push;
    p->redial = p->marked && p->asking;
    if (p->redial) /* when the callback has ended; with many messages waiting there is always one under way */
        return;
    if (p->marked) {
        if (!p->session)
            dial(s);
        return;
    }
    if (!p->session && (!stream_enter(s, STREAM_CONNECTING, shared_up(&p->place) ? "asking the plugin for the socket" : "starting an instance") || s->state != STREAM_CONNECTING))
        return;
    p->wishes = true;
    shared_want(&p->place);
}

/* ---- Verdicts ---- */

/* Drops the frame that was asked about; the records it would have been are a gap. */
static void drop_frame(stream *s, const char *why)
{
    push *p = s->push;
    if (p->trial) { /* the old connection's counts */
        drop_message(s, &record_stream_counts(s->records)->doubles);
        return;
    }
    record_gap gap = {.cause = RECORD_GAP_DROPPED, .from_ns = p->recv_ns, .to_ns = p->recv_ns, .count = 1};
    if (p->refused++ < 10 || p->refused % 1000 == 0)
        log_warn("stream", "'%s': a message is dropped (%llu so far): %s", record_stream_topic(s->records).at,
                 (unsigned long long)p->refused, why);
    stream_tell_gap(s, &gap);
    push_book_missed(&p->book);
    note_old(p);
    drop_message(s, &s->lost_total);
}

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
    stream_publish(s, event_time(item, ts_event), s->push->recv_ns, item);
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
            publish(s, bytes_make(p->rest.at, (size_t)(p->rest.end - p->rest.at)), p->held.ts_event);
            p->rest.at = p->rest.end;
        }
        if (!json_next(&p->rest, &key, &item))
            return true;
        if (!p->book.on) {
            publish(s, item.raw, p->held.ts_event);
            continue;
        }
        liveness_data(s, p->recv_ns);
        json_iter behind = p->rest;
        json next;
        book_message m = {item, !json_next(&behind, &key, &next), event_time(item.raw, p->held.ts_event), p->recv_ns};
        push_book_take(&p->book, &m, p->on_answer ? p->late : p->old > 0);
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

/* The plugin says close: as asked, or because of something that no further try would mend. */
static void end_as_told(stream *s, json why)
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
        heir_failed(s, "the plugin ended it over what it brought", 0);
    else if (p->heir.phase == SUCCESSOR_TRIES && v->action == VERDICT_DATA)
        hand_over(s, "the old one's time is nearly over");
    pump(s);
}

/* What is left to do once the data is out. May free the stream. */
static void obey(stream *s, const verdict *v)
{
    push *p = s->push;
    send_text(s, p->session, v->send);
    if (v->action == VERDICT_CLOSE) {
        end_as_told(s, v->why);
        return;
    }
    if (v->action == VERDICT_RECONNECT && p->session) {
        bool hasty = loop_now(s->plugin->loop) - p->open_since < HASTY_NS;
        drop_socket(s);
        stream_lose(s, RECORD_GAP_DISCONNECTED, "the plugin asks for a new connection", !hasty);
        return;
    }
    pump(s);
}

/* Says once that an action is none. */
static void note_unknown(stream *s, bytes action)
{
    push *p = s->push;
    if (action.len == 0 || strncmp(p->unknown, action.at, action.len < sizeof p->unknown ? action.len : sizeof p->unknown - 1) == 0)
        return;
    snprintf(p->unknown, sizeof p->unknown, "%.*s", (int)action.len, action.at);
    log_warn("stream", "'%s': the plugin answers with action '" BYTES_FMT "', which means nothing here; taken for ignore",
             record_stream_topic(s->records).at, BYTES_ARG(action));
}

/* p->held is delivered. May free the stream. */
static void done_with_message(stream *s)
{
    push *p = s->push;
    bool trial = p->trial;
    if (p->held.action == VERDICT_DATA)
        note_old(p);
    drop_message(s, &s->taken_total);
    if (trial)
        obey_trial(s, &p->held);
    else
        obey(s, &p->held);
}

static size_t octets_of(const verdict *v)
{
    return v->data.len > v->send.raw.len ? v->data.len : v->send.raw.len;
}

static void take_verdict(stream *s, verdict *v)
{
    push *p = s->push;
    size_t longest = octets_of(v);
    if (longest > limits_of(s)->message) {
        char why[80];
        snprintf(why, sizeof why, "its answer has %zu octets; at most %llu are taken", longest, (unsigned long long)limits_of(s)->message);
        drop_frame(s, why);
        pump(s);
        return;
    }
    note_unknown(s, v->unknown);
    p->held = *v;
    p->list = v->data.len && v->data.at[0] == '[';
    p->rest = p->list ? json_each((json){JSON_ARRAY, v->data}) : (json_iter){v->data.at, v->data.at + v->data.len, false};
    if (p->trial && v->action == VERDICT_DATA) /* numbers of another connection, as far as one knows */
        s->numbers.known = false;
    if (!p->book.on && (!p->trial || v->action == VERDICT_DATA)) /* a book's guard looks at the numbers of each change */
        stream_number(s, &v->number, p->recv_ns);
    if (!deliver(s)) {
        if ((p->holding = keep_rest(p)))
            return;
        hub_wait_cancel(&s->room);
        drop_frame(s, "its records have to wait, and memory is out");
        obey(s, &(verdict){.action = v->action, .why = v->why});
        return;
    }
    done_with_message(s);
}

/* Hop 4 to hop 6 for most frames: a verdict after which nothing remains to be done. What may wait, end or dial is
 * take_frame's, which reads the answer again. */
static bool on_publish(void *arg, const call_result *r)
{
    stream *s = arg;
    push *p = s->push;
    verdict v;
    if (p->asking != ASKS_FRAME || p->book.on || p->trial || s->state != STREAM_LIVE || s->gapped || s->lost_from || hub_blocked(s->plugin->hub, s->records))
        return false;
    if (s->plugin->generation->read_verdict(&v, &p->marker, r, NULL) || v.action > VERDICT_DATA || v.send.type || v.unknown.len)
        return false;
    if ((v.data.len && v.data.at[0] == '[') || v.data.len > limits_of(s)->message)
        return false;
    p->asking = ASKS_NOTHING;
    stream_number(s, &v.number, p->recv_ns);
    if (v.data.len)
        publish(s, v.data, v.ts_event);
    if (v.action == VERDICT_DATA)
        note_old(p);
    drop_message(s, &s->taken_total);
    pump(s);
    return true;
}

static void take_frame(stream *s, const call_result *r)
{
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    verdict v;
    if (trapped(r)) {
        inbox_message m;
        buf_clear(&p->kept); /* nothing is held while a frame is asked about */
        if (!p->on_answer && p->from && inbox_take(p->from, &m))
            buf_add_bytes(&p->kept, m.text);
        if (p->again || p->trial)
            drop_frame(s, r->why);
        else
            p->again = true;
        culprit(s, "a message's callback", r, buf_bytes(&p->kept));
        return;
    }
    switch (s->plugin->generation->read_verdict(&v, &p->marker, r, &err)) {
    case WEIR_OK:
        take_verdict(s, &v);
        return;
    case WEIR_BUSY:
        break;
    default:
        drop_frame(s, err.text);
    }
    pump(s);
}

/* The next instance is told of it once more; then the stream goes on without. */
static void take_trapped_event(stream *s, const call_result *r)
{
    push *p = s->push;
    bool connected = p->event == EVENT_CONNECTED, again = !(p->trapped & BIT(p->event));
    p->trapped |= BIT(p->event);
    if (again && (!connected || p->open))
        p->events |= BIT(p->event);
    if (culprit(s, "a connection event's callback", r, BYTES("")) && !again && connected && p->open && !p->greeted)
        greet(s);
}

static void take_event(stream *s, const call_result *r)
{
    push *p = s->push;
    verdict v = {0};
    weir_error err = WEIR_ERROR_INIT;
    if (trapped(r)) {
        take_trapped_event(s, r);
        return;
    }
    weir_code code = s->plugin->generation->read_verdict(&v, &p->marker, r, &err);
    note_unknown(s, v.unknown);
    if (code) {
        log_info("stream", "'%s': its answer to '%s': %s", record_stream_topic(s->records).at, generation_event_name(p->event), err.text);
        v = (verdict){0};
    }
    if (p->event == EVENT_CONNECTED)
        p->talks_first = v.send.type == JSON_STRING;
    if (p->event == EVENT_CONNECTED && v.action != VERDICT_CLOSE && v.action != VERDICT_RECONNECT) {
        if (p->open && !p->greeted && greet(s))
            obey(s, &(verdict){.send = v.send});
        return;
    }
    if (v.action == VERDICT_CLOSE) {
        end_as_told(s, v.why);
        return;
    }
    if (v.action == VERDICT_RECONNECT && !p->event_acted && !p->session && timer_running(&s->next_try) && s->retry_after_s == 0) {
        p->event_acted = true; /* the pair error, disconnected: once */
        if (loop_now(s->plugin->loop) - p->open_since >= HASTY_NS) {
            s->not_before = 0;
            timer_after(&s->next_try, 0);
        }
    }
    pump(s);
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
        take_frame(s, r);
    else if (what == ASKS_EVENT)
        take_event(s, r);
    else
        take_marker(s, r);
}

/* ---- Questions ---- */

static bool has_question(const push *p)
{
    bool frames = p->in.count || push_book_answer(&p->book, NULL, NULL) || successor_tries(&p->heir) || (successor_waits(&p->heir) && p->heir.in.count);
    return p->marked ? !p->holding && (p->events || frames) : p->wishes;
}

/* Gets in line, if there is something to ask. The last thing that its caller does: it may free the stream. */
static void pump(stream *s)
{
    push *p = s->push;
    bool due = p->redial && !p->asking && p->marked && !p->session && s->state == STREAM_WAITING;
    if (!p->asking && p->marked && has_question(p))
        shared_want(&p->place);
    if (due) {
        p->redial = false;
        dial(s);
    }
}

static const char *ask_event(stream *s, buf *in)
{
    static const stream_event order[] = {EVENT_ERROR, EVENT_DISCONNECTED, EVENT_CONNECTING, EVENT_CONNECTED};
    push *p = s->push;
    const stream_event *e = order;
    while (!(p->events & BIT(*e)))
        e++;
    p->event = *e;
    p->events &= ~BIT(p->event);
    p->asking = ASKS_EVENT;
    return s->plugin->generation->ask_event(in, &p->marker, bytes_of(p->connection), p->event,
                                            p->event == EVENT_CONNECTED ? NULL : kept_text(&s->down));
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

/* Hop 3, job to guest. NULL: there is none. */
static const char *ask_frame(stream *s, buf *in)
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
        p->asking = ASKS_MARKER;
        return ask_marker(s, in);
    }
    return p->events ? ask_event(s, in) : ask_frame(s, in);
}

static const char *on_frame_turn(void *arg, buf *in, uint64_t *ms)
{
    stream *s = arg;
    const push *p = s->push;
    *ms = CALLBACK_MS;
    return p->asking || !p->marked || p->holding || p->events || !p->in.count || s->state != STREAM_LIVE ? NULL : ask_frame(s, in);
}

static const place_ops instance_ops = {
    .ask = on_turn,
    .answer = on_answer,
    .publish = on_publish,
    .ask_frame = on_frame_turn,
    .lost = on_lost,
    .ready = on_instance,
    .refused = on_refused,
    .said_goodbye = on_shut_down,
};

static void on_room(stream *s)
{
    push *p = s->push;
    if (!p->holding || !deliver(s))
        return;
    p->holding = false;
    done_with_message(s);
}

/* ---- The route ---- */

static weir_code init(stream *s, weir_error *err)
{
    push *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, WEIR_NOMEM, "stream: out of memory");
    s->push = p;
    inbox_init(&p->in, limits_of(s)->inbox, inbox_on_room, s);
    successor_init(&p->heir, s->plugin->loop, limits_of(s)->inbox, inbox_on_room, &heir_ops, s);
    timer_init(&p->renew, s->plugin->loop, on_renew, s);
    p->heir_tries = s->backoff;
    p->from = &p->in;
    buf_init(&p->kept, SIZE_MAX);
    marker_init(&p->marker);
    snprintf(p->id, sizeof p->id, "weir-%016llx", (unsigned long long)rand_u64());
    return shared_join(&p->place, s->plugin, &instance_ops, s, err);
}

static void lost(stream *s)
{
    s->push->redial = false; /* what was lost is gone already; the rest goes on */
}

static void renew(stream *s)
{
    s->push->again = false; /* new code, new luck */
    shared_renew(&s->push->place);
}

/* Frames that wait stay. */
static void rest(stream *s)
{
    push *p = s->push;
    drop_socket(s);
    p->events = 0;
    p->marked = p->wishes = false;
}

static bool stop(stream *s)
{
    return shared_goodbye(&s->push->place);
}

static void drop(stream *s)
{
    push *p = s->push;
    if (!p)
        return;
    *(s->state == STREAM_STOPPING ? &s->unread_total : &s->lost_total) += p->in.count + successor_drop(&p->heir);
    drop_socket(s);
    shared_leave(&p->place);
    inbox_fini(&p->in);
    p->old = 0;
    p->on_answer = false;
    p->holding = p->marked = p->wishes = false;
    p->asking = ASKS_NOTHING;
}

static uint64_t queued(const stream *s)
{
    return s->push ? s->push->in.count + s->push->heir.in.count : 0;
}

static void probe(stream *s)
{
    if (s->push->session)
        session_probe(s->push->session);
}

static uint64_t heard(const stream *s)
{
    return s->push->session ? session_heard(s->push->session) : 0;
}

/* The plugin hears of it as of any lost socket. */
static void cut(stream *s, const weir_error *why)
{
    push *p = s->push;
    error_keep(&s->down, why);
    drop_socket(s);
    p->events = BIT(EVENT_ERROR) | BIT(EVENT_DISCONNECTED);
    pump(s);
}

static bool idle(const stream *s)
{
    const push *p = s->push;
    return !p || (!p->asking && !p->holding && !p->events && !p->in.count && !push_book_asks(&p->book));
}

static void fini(stream *s)
{
    push *p = s->push;
    if (!p)
        return;
    push_book_fini(&p->book);
    inbox_fini(&p->in);
    buf_fini(&p->kept);
    marker_fini(&p->marker);
    marker_fini(&p->next);
    free(p);
    s->push = NULL;
}

const route push_route = {
    .init = init,
    .retry = retry,
    .lost = lost,
    .rest = rest,
    .renew = renew,
    .stop = stop,
    .drop = drop,
    .on_room = on_room,
    .queued = queued,
    .probe = probe,
    .heard = heard,
    .cut = cut,
    .idle = idle,
    .fini = fini,
};
