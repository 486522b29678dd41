/* Feeding a push plugin: the host owns the socket, the plugin is asked about each frame.
 *
 * Instance and socket live apart. The instance describes the socket it wants (a marker), the host dials
 * it, sends the initial messages, and from then on takes one question at a time to the instance: what
 * happened to the socket first, then the oldest frame of the inbox.
 * What can go wrong, and what follows:
 *   the wish for the stream is refused            failed; once there was data: the next try
 *   the socket is lost                            gap, back-off, dial again; the instance stays
 *   a callback traps or takes more than 2 s       a new instance, the socket stays; frames wait in the inbox.
 *                                                 The frame comes once more, then it is dropped, and a gap says so
 *   a callback answers nonsense or a failure      that frame is dropped, and a gap says so
 *   the plugin says reconnect or close            so it is
 *   five traps without a minute of being live     failed */
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "stream/inside.h"
#include "stream/session.h"

#define SETUP_MS 30000 /* the wish: it may ask the venue's REST first */
#define CALLBACK_MS 2000
#define SHUTDOWN_MS 1500
#define HASTY_NS NS_PER_S /* a socket younger than this is not dialled again at once */

#define BIT(e) (1u << (e))

typedef struct push {
    inbox in;
    buf question;
    marker marker, next; /* as it is used; as the new instance says it */
    bool marked;         /* the present instance has said what it wants */
    heartbeat beat;
    session *session;
    bool open;
    uint64_t open_since;
    char connection[33];
    char id[24]; /* the stream's, for plugins that name none */

    unsigned events;  /* that the plugin has not been asked about */
    bool event_acted; /* one of the pair error, disconnected was followed */
    bool greeted;     /* connected was answered, so the initial messages are out */

    bool asking; /* a question is under way */
    stream_event event;
    bool again; /* the frame trapped once already */

    verdict held; /* waits for the readers' room; points into the instance */
    json_iter rest;
    bool holding;
    uint64_t recv_ns; /* of the frame it is about */
    char unknown[40]; /* action, said once */
    uint64_t refused; /* frames that a callback failed on */
} push;

static void pump(stream *s);

static const policy_limits *limits_of(const stream *s)
{
    return s->plugin->limits ? s->plugin->limits : &policy_defaults;
}

/* ---- Questions ---- */

static void ask(stream *s, const char *export_name, uint64_t ms, task_done on_done)
{
    push *p = s->push;
    p->asking = true;
    task_call(s->task, export_name, buf_bytes(&p->question), ms, on_done, s);
}

/* The instance is of no use any more; the socket stays. */
static void instance_lost(stream *s, const char *export_name, const call_result *r)
{
    char why[WEIR_ERROR_TEXT];
    push *p = s->push;
    if (stream_trapped(s, export_name, r, why))
        return;
    p->asking = p->marked = p->holding = false;
    task_free(s->task);
    s->task = NULL;
    record_stream_counts(s->records)->restarts++;
    log_warn("stream", "'%s': %s; a new instance takes over", record_stream_topic(s->records).at, why);
    timer_after(&s->next_try, s->traps > 1 ? backoff_next(&s->backoff) : 0);
}

static bool trapped(const call_result *r)
{
    return (r->code != WEIR_OK && r->code != WEIR_FAILED) || r->needs_reset;
}

static void on_shut_down(void *arg, const call_result *r)
{
    (void)r; /* a trap here changes nothing */
    stream_close(arg, "stopped");
}

/* Stopping: the last call of an instance that is still sound is its shutdown. */
static void say_goodbye(stream *s, const call_result *r)
{
    push *p = s->push;
    if (!s->plugin->has_shutdown || !p->marked || (r && trapped(r))) {
        stream_close(s, "stopped");
        return;
    }
    buf_clear(&p->question);
    ask(s, s->plugin->generation->shutdown, SHUTDOWN_MS, on_shut_down);
}

/* ---- The socket ---- */

static void drop_socket(stream *s)
{
    push *p = s->push;
    s->venue.open_sockets -= p->open;
    p->open = p->greeted = false;
    session_close(p->session);
    p->session = NULL;
}

static void on_opened(void *arg)
{
    stream *s = arg;
    push *p = s->push;
    p->open = true;
    p->open_since = loop_now(s->plugin->loop);
    s->venue.open_sockets = 1;
    p->events = BIT(EVENT_CONNECTED);
    p->event_acted = false;
    pump(s);
}

/* Hop 2, message to job. */
static bool on_message(void *arg, bytes message, bool binary, uint64_t recv_real_ns)
{
    stream *s = arg;
    if (!inbox_put(&s->push->in, message, binary, recv_real_ns))
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
    drop_socket(s);
    stream_note_down(s, why, http_status, retry_after_s);
    if (was_open)
        p->events = (p->events & ~BIT(EVENT_CONNECTED)) | (why->code == WEIR_CLOSED ? 0 : BIT(EVENT_ERROR)) | BIT(EVENT_DISCONNECTED);
    pump(s); /* it hears of it while the stream waits */
    stream_lose(s, RECORD_GAP_DISCONNECTED, why->text, false);
}

static bool holds(void *arg)
{
    return ((stream *)arg)->push->in.refused;
}

static const session_reader reader = {on_opened, on_message, on_drained, on_closed, holds};

static void inbox_on_room(void *arg)
{
    stream *s = arg;
    if (s->push->session)
        session_room(s->push->session);
}

/* What the marker declares, else what is known of the origin. The session looks at it where it is, and it
 * points into the marker: again for each marker. */
static void set_beat(push *p)
{
    const marker *m = &p->marker;
    uint32_t longest = m->beat_client_ms > m->beat_transport_ms ? m->beat_client_ms : m->beat_transport_ms;
    heartbeat beat = *heartbeat_for(m->url);
    if (m->beat_field.len) {
        beat.field = m->beat_field.at;
        beat.ping = m->beat_ping.len ? m->beat_ping.at : "";
        beat.pong = m->beat_pong.len ? m->beat_pong.at : "";
        beat.client_ping_ms = m->beat_client_ms;
    }
    beat.transport_ping_ms = m->beat_transport_ms;
    beat.silence_ms = longest ? 3 * longest : beat.silence_ms;
    p->beat = beat;
}

static void dial(stream *s)
{
    push *p = s->push;
    const marker *m = &p->marker;
    weir_error err = WEIR_ERROR_INIT;
    unsigned char random[16];
    session_options o = {
        .loop = s->plugin->loop,
        .dialer = s->plugin->dialer,
        .targets = s->plugin->targets,
        .url = m->url,
        .subprotocol = m->subprotocol,
        .headers = m->headers,
        .header_count = m->header_count,
        .max_message = limits_of(s)->message,
        .silence_ms = s->plugin->silence_ms,
    };
    if (!stream_enter(s, STREAM_CONNECTING, "dialling") || s->state != STREAM_CONNECTING)
        return;
    set_beat(p);
    o.heartbeat = &p->beat;
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

/* The initial messages in order, after each handshake. False: the socket is lost, or the stream gone. */
static bool greet(stream *s)
{
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    p->greeted = true;
    for (size_t i = 0; i < p->marker.message_count; i++)
        if (session_send(p->session, p->marker.messages[i], &err)) {
            drop_socket(s);
            stream_lose(s, RECORD_GAP_DISCONNECTED, err.text, false);
            return false;
        }
    return stream_enter(s, STREAM_LIVE, "the socket is open and subscribed") && s->state == STREAM_LIVE;
}

/* ---- The wish ---- */

static bool same_socket(const marker *a, const marker *b)
{
    if (!bytes_equal(a->url, b->url) || a->message_count != b->message_count)
        return false;
    for (size_t i = 0; i < a->message_count; i++)
        if (!bytes_equal(a->messages[i], b->messages[i]))
            return false;
    return true;
}

static void on_marker(void *arg, const call_result *r)
{
    stream *s = arg;
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    p->asking = false;
    if (s->state == STREAM_STOPPING) {
        say_goodbye(s, r);
        return;
    }
    if (trapped(r)) {
        instance_lost(s, "the wish for a stream", r);
        return;
    }
    switch (s->plugin->generation->read_marker(&p->next, r, &err)) {
    case WEIR_OK:
        break;
    case WEIR_FAILED:
        if (s->last_recv) { /* what worked once is worth another try */
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
        set_beat(p);
    }
    if (p->marker.id.len == 0)
        p->marker.id = bytes_of(p->id);
    if (!same)
        drop_socket(s); /* before what its heartbeat points into */
    marker_fini(&old);
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

static void ready(stream *s)
{
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    json parameters = {0};
    if (s->parameters && *s->parameters)
        json_read(&parameters, bytes_of(s->parameters), NULL);
    stream_wish wish = {bytes_of(p->id), record_stream_type(s->records), record_stream_identifier(s->records), parameters};
    buf_clear(&p->question);
    const char *export_name = s->plugin->generation->ask_stream(&p->question, &wish, &err);
    if (!export_name)
        stream_fail(s, err.text);
    else
        ask(s, export_name, SETUP_MS, on_marker);
}

static void retry(stream *s)
{
    push *p = s->push;
    if (!s->task)
        stream_instance(s);
    else if (!p->session && p->asking)
        timer_after(&s->next_try, 10 * NS_PER_MS); /* a callback is about to end */
    else if (!p->session && !p->marked)
        ready(s);
    else if (!p->session)
        dial(s);
}

/* ---- Verdicts ---- */

/* Drops the frame that was asked about; the records it would have been are a gap. */
static void drop_frame(stream *s, const char *why)
{
    push *p = s->push;
    record_gap gap = {.cause = RECORD_GAP_DROPPED, .from_ns = p->recv_ns, .to_ns = p->recv_ns, .count = 1};
    if (p->refused++ < 10 || p->refused % 1000 == 0)
        log_warn("stream", "'%s': a message is dropped (%llu so far): %s", record_stream_topic(s->records).at,
                 (unsigned long long)p->refused, why);
    s->lost_total++;
    p->again = false;
    hub_publish_gap(s->plugin->hub, s->records, &gap);
    inbox_drop(&p->in);
}

static uint64_t event_time(json item, uint64_t fallback)
{
    bytes text;
    uint64_t ns;
    json at = json_member(item, "ts_event");
    if (json_string_slice(at, &text)) {
        json number = {JSON_NUMBER, text};
        if (json_u64(number, &ns))
            return ns;
    }
    return fallback;
}

/* Hop 4 to hop 6. False: the readers have no room; the rest comes later. */
static bool deliver(stream *s)
{
    push *p = s->push;
    json key, item;
    hub *h = s->plugin->hub;
    for (;;) {
        if (hub_blocked(h, s->records)) {
            p->holding = true;
            hub_wait(h, &s->room);
            return false;
        }
        if (!json_next(&p->rest, &key, &item))
            break;
        stream_end_gap(s);
        hub_publish(h, record_new(s->records, event_time(item, p->held.ts_event), p->recv_ns, item.raw));
    }
    p->holding = false;
    return true;
}

/* What is left to do once the data is out. May free the stream. */
static void obey(stream *s, const verdict *v)
{
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    if (v->send.type == JSON_STRING && p->session) {
        buf_clear(&p->question);
        json_string_add(v->send, &p->question);
        if (session_send(p->session, buf_bytes(&p->question), &err))
            log_warn("stream", "'%s': %s", record_stream_topic(s->records).at, err.text);
    }
    if (v->action == VERDICT_CLOSE) {
        stream_close(s, "the plugin ended it");
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

static void take_verdict(stream *s, verdict *v)
{
    push *p = s->push;
    if (v->unknown.len && strncmp(p->unknown, v->unknown.at, v->unknown.len < sizeof p->unknown ? v->unknown.len : sizeof p->unknown - 1) != 0) {
        snprintf(p->unknown, sizeof p->unknown, "%.*s", (int)v->unknown.len, v->unknown.at);
        log_warn("stream", "'%s': the plugin answers with action '" BYTES_FMT "', which means nothing here; taken for ignore",
                 record_stream_topic(s->records).at, BYTES_ARG(v->unknown));
    }
    p->held = *v;
    p->rest = (json_iter){0};
    if (v->data.len && v->data.at[0] == '[')
        p->rest = json_each((json){JSON_ARRAY, v->data});
    else if (v->data.len)
        p->rest = (json_iter){v->data.at, v->data.at + v->data.len, false};
    if (!deliver(s))
        return;
    inbox_drop(&p->in);
    obey(s, &p->held);
}

static void on_frame_answer(void *arg, const call_result *r)
{
    stream *s = arg;
    push *p = s->push;
    weir_error err = WEIR_ERROR_INIT;
    verdict v;
    p->asking = false;
    if (s->state == STREAM_STOPPING) {
        say_goodbye(s, r);
        return;
    }
    if (trapped(r)) {
        if (p->again)
            drop_frame(s, r->why);
        else
            p->again = true;
        instance_lost(s, "a message's callback", r);
        return;
    }
    switch (s->plugin->generation->read_verdict(&v, &p->marker, r, &err)) {
    case WEIR_OK:
        p->again = false;
        take_verdict(s, &v);
        return;
    case WEIR_BUSY:
        break;
    default:
        drop_frame(s, err.text);
    }
    pump(s);
}

static void on_event_answer(void *arg, const call_result *r)
{
    stream *s = arg;
    push *p = s->push;
    verdict v = {0};
    weir_error err = WEIR_ERROR_INIT;
    p->asking = false;
    if (s->state == STREAM_STOPPING) {
        say_goodbye(s, r);
        return;
    }
    if (trapped(r)) {
        instance_lost(s, "a connection event's callback", r);
        return;
    }
    if (s->plugin->generation->read_verdict(&v, &p->marker, r, &err) > WEIR_OK)
        log_info("stream", "'%s': its answer to '%s': %s", record_stream_topic(s->records).at, generation_event_name(p->event), err.text);
    if (p->event == EVENT_CONNECTED && v.action != VERDICT_CLOSE && v.action != VERDICT_RECONNECT) {
        if (p->open && !p->greeted && greet(s))
            obey(s, &(verdict){.send = v.send});
        return;
    }
    if (v.action == VERDICT_CLOSE) {
        stream_close(s, "the plugin ended it");
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

/* The next question, if the instance is free. (Hop 3.) */
static void pump(stream *s)
{
    push *p = s->push;
    const generation *g = s->plugin->generation;
    inbox_message m;
    if (!s->task || !p->marked || p->asking || p->holding || s->state == STREAM_STOPPING)
        return;
    buf_clear(&p->question);
    for (stream_event e = EVENT_CONNECTING; e <= EVENT_ERROR; e++) {
        stream_event order[] = {EVENT_ERROR, EVENT_DISCONNECTED, EVENT_CONNECTING, EVENT_CONNECTED};
        if (!(p->events & BIT(order[e])))
            continue;
        p->event = order[e];
        p->events &= ~BIT(p->event);
        const char *name = g->ask_event(&p->question, &p->marker, bytes_of(p->connection), p->event,
                                        p->event == EVENT_CONNECTED ? NULL : kept_text(&s->down));
        ask(s, name, CALLBACK_MS, on_event_answer);
        return;
    }
    if (!inbox_take(&p->in, &m))
        return;
    p->recv_ns = m.recv_ns;
    stream_frame f = {bytes_of(p->connection), m.text, m.binary};
    ask(s, g->ask_frame(&p->question, &p->marker, &f), CALLBACK_MS, on_frame_answer);
}

static void on_room(stream *s)
{
    push *p = s->push;
    if (!p->holding || !deliver(s))
        return;
    inbox_drop(&p->in);
    obey(s, &p->held);
}

/* ---- The route ---- */

static weir_code publish(void *arg, const world_publication *what, weir_error *err)
{
    (void)arg, (void)what, (void)err;
    return WEIR_OK; /* a hybrid says it twice: what its callback returns is what counts */
}

static void ignore_socket(void *arg)
{
    (void)arg;
}

static void ignore_down(void *arg, const weir_error *why, uint32_t retry_after_s, uint16_t http_status)
{
    (void)arg, (void)why, (void)retry_after_s, (void)http_status;
}

static void ignore_message(void *arg, uint64_t recv_real_ns)
{
    (void)arg, (void)recv_real_ns;
}

static const venue_listener listener = {publish, ignore_socket, ignore_down, ignore_message, ignore_socket};

static weir_code init(stream *s, weir_error *err)
{
    push *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, WEIR_NOMEM, "stream: out of memory");
    s->push = p;
    s->venue.listener = &listener;
    inbox_init(&p->in, limits_of(s)->inbox, inbox_on_room, s);
    buf_init(&p->question, SIZE_MAX);
    marker_init(&p->marker);
    snprintf(p->id, sizeof p->id, "weir-%016llx", (unsigned long long)rand_u64());
    return WEIR_OK;
}

static void lost(stream *s)
{
    (void)s; /* what was lost is gone already; the rest goes on */
}

static bool stop(stream *s)
{
    push *p = s->push;
    if (!p->asking && s->task && p->marked && s->plugin->has_shutdown)
        say_goodbye(s, NULL);
    return p->asking; /* else its answer comes first */
}

static void drop(stream *s)
{
    push *p = s->push;
    if (!p)
        return;
    *(s->state == STREAM_STOPPING ? &s->unread_total : &s->lost_total) += p->in.count;
    drop_socket(s);
    inbox_fini(&p->in);
    p->holding = p->asking = p->marked = false;
}

static uint64_t queued(const stream *s)
{
    return s->push ? s->push->in.count : 0;
}

static void fini(stream *s)
{
    push *p = s->push;
    if (!p)
        return;
    inbox_fini(&p->in);
    buf_fini(&p->question);
    marker_fini(&p->marker);
    marker_fini(&p->next);
    free(p);
    s->push = NULL;
}

const route push_route = {
    .init = init,
    .ready = ready,
    .retry = retry,
    .lost = lost,
    .stop = stop,
    .drop = drop,
    .on_room = on_room,
    .queued = queued,
    .fini = fini,
};
