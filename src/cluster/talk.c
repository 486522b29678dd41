/* The loop's side of the talk: numbers for notes, answers to whom they belong, what came handed on. See talk.h. */
#include "cluster/talk_inside.h"
#include "cluster/talk_wrong.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/log.h"

#define WRONG_LAST 10071 /* err_code: another message came to the subject */
#define NO_MESSAGE 10037
#define STREAM_GONE 10059

#define SPARE_MAX 64
#define SPARE_FIRST 16
#define TURN_NS (2 * NS_PER_MS) /* a message of records may hold a thousand: so long, not so many */

/* ---- Sending ---- */

static waiting *await(talk *t, talk_done fn, void *arg)
{
    list_node *spare = list_pop(&t->spare);
    waiting *w = spare ? LIST_OWNER(spare, waiting, node) : calloc(1, sizeof *w);
    t->spare_count -= spare != NULL;
    if (!w)
        return NULL;
    *w = (waiting){.number = ++t->numbers, .fn = fn, .arg = arg, .asked_at = clock_mono()};
    w->unmapped = !map_set(t->waiting, bytes_make(&w->number, sizeof w->number), w, NULL);
    t->unmapped += w->unmapped;
    list_push(&t->in_order, &w->node);
    if (!timer_running(&t->late))
        timer_at(&t->late, w->asked_at + t->answer_ns);
    return w;
}

static void spare(talk *t, waiting *w)
{
    if (t->spare_count >= SPARE_MAX) {
        free(w);
        return;
    }
    t->spare_count++;
    list_push(&t->spare, &w->node);
}

static waiting *find(const talk *t, uint64_t number)
{
    waiting *w = map_get(t->waiting, bytes_make(&number, sizeof number));
    for (list_node *at = t->in_order.head.next; !w && t->unmapped && at != &t->in_order.head; at = at->next)
        if (LIST_OWNER(at, waiting, node)->number == number)
            w = LIST_OWNER(at, waiting, node);
    return w;
}

static void finish(talk *t, waiting *w, const talk_answer *a)
{
    talk_answer answer = *a;
    map_remove(t->waiting, bytes_make(&w->number, sizeof w->number));
    t->unmapped -= w->unmapped;
    list_remove(&w->node);
    answer.asked_at = w->asked_at;
    answer.error = answer.error ? answer.error : "";
    w->fn(w->arg, &answer);
    spare(t, w);
}

static void put_number(buf *out, const char *name, uint64_t value)
{
    buf_add_fmt(out, "%s: %llu\n", name, (unsigned long long)value);
}

/* Subject, number, headers as lines, data: in one block. */
static parcel *pack(const char *subject, uint64_t number, const buf *headers, bytes data)
{
    size_t subject_len = strlen(subject) + 1;
    parcel *p = malloc(sizeof *p + subject_len + headers->len + 1 + data.len);
    if (!p)
        return NULL;
    char *at = p->room;
    *p = (parcel){.number = number};
    p->subject = memcpy(at, subject, subject_len);
    at += subject_len;
    p->headers = at;
    if (headers->len)
        memcpy(at, headers->at, headers->len);
    at[headers->len] = '\0';
    at += headers->len + 1;
    if (data.len)
        memcpy(at, data.at, data.len);
    p->data = bytes_make(at, data.len);
    return p;
}

static void hand_out(talk *t, parcel *p)
{
    pthread_mutex_lock(&t->lock);
    list_push(&t->out, &p->node);
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

static void send(talk *t, const char *subject, const buf *headers, bytes data, talk_done fn, void *arg)
{
    waiting *w = await(t, fn, arg);
    parcel *p = w && !headers->failed ? pack(subject, w->number, headers, data) : NULL;
    if (p)
        hand_out(t, p);
    else
        log_error("cluster", "out of memory for a note to '%s'", subject); /* its time runs out, if it waits */
}

void talk_tell(talk *t, const char *subject, bytes data)
{
    buf none;
    buf_init(&none, 1);
    parcel *p = t && t->up ? pack(subject, 0, &none, data) : NULL;
    if (p)
        hand_out(t, p);
}

void talk_send(talk *t, const talk_note *n, talk_done fn, void *arg)
{
    buf h;
    buf_init(&h, 1 << 16);
    if (n->expects)
        put_number(&h, "Nats-Expected-Last-Subject-Sequence", n->expect);
    if (n->deletes)
        buf_add_text(&h, "KV-Operation: DEL\n");
    if (n->id)
        buf_add_fmt(&h, "Nats-Msg-Id: %s\n", n->id);
    if (n->run) {
        buf_add_fmt(&h, "Weir-Run: %s\n", n->run);
        put_number(&h, "Weir-Epoch", n->epoch);
        put_number(&h, "Weir-Seq", n->last_seq);
        put_number(&h, "Weir-Time", n->last_time);
        put_number(&h, "Weir-Event", n->last_event);
        if (n->book)
            put_number(&h, "Weir-Book", n->book);
    }
    send(t, n->subject, &h, n->data, fn, arg);
    buf_fini(&h);
}

void talk_last(talk *t, const char *stream, const char *subject, talk_done fn, void *arg)
{
    buf h, body;
    char api[128];
    buf_init(&h, 1);
    buf_init(&body, 1 << 14);
    snprintf(api, sizeof api, "$JS.API.STREAM.MSG.GET.%s", stream);
    buf_add_char(&body, '{');
    json_put_member(&body, "last_by_subj", bytes_of(subject));
    buf_add_char(&body, '}');
    send(t, api, &h, buf_bytes(&body), fn, arg);
    buf_fini(&h);
    buf_fini(&body);
}

/* ---- Answers ---- */

static uint64_t header(bytes headers, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = headers.at, *end = at + headers.len; at && at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            stop = end;
        if ((size_t)(stop - at) > len + 1 && !memcmp(at, name, len) && at[len] == ':') {
            uint64_t value = 0;
            for (at += len + 1; at < stop && *at == ' '; at++)
                ;
            for (; at < stop && *at >= '0' && *at <= '9'; at++)
                value = value * 10 + (uint64_t)(*at - '0');
            return value;
        }
        at = stop + 1;
    }
    return 0;
}

/* {"message":{"seq":7,"hdrs":"base64","data":"base64"}} */
static void read_message(talk_answer *a, json message, buf *headers, buf *data)
{
    bytes text;
    json_u64(json_member(message, "seq"), &a->seq);
    if (json_string_slice(json_member(message, "hdrs"), &text) && !base64_decode(headers, text, NULL)) {
        a->epoch = header(buf_bytes(headers), "Weir-Epoch");
        a->last_seq = header(buf_bytes(headers), "Weir-Seq");
        a->last_time = header(buf_bytes(headers), "Weir-Time");
        a->last_event = header(buf_bytes(headers), "Weir-Event");
    }
    if (json_string_slice(json_member(message, "data"), &text) && !base64_decode(data, text, NULL))
        a->data = buf_bytes(data);
}

static void read_error(talk_answer *a, json error, char *room, size_t size)
{
    uint64_t code = 0;
    bytes text = BYTES("");
    json_u64(json_member(error, "err_code"), &code);
    json_string_slice(json_member(error, "description"), &text);
    a->code = code == WRONG_LAST ? WEIR_BUSY : code == NO_MESSAGE ? WEIR_NOT_FOUND
                                           : code == STREAM_GONE  ? WEIR_NETWORK
                                                                  : WEIR_FAILED;
    snprintf(room, size, "NATS says '%.*s' (error %llu)%s", (int)(text.len < 100 ? text.len : 100), text.at, (unsigned long long)code, talk_cure(code));
    a->error = room;
}

static void take_answer(talk *t, const came *m)
{
    waiting *w = find(t, m->number);
    talk_answer a = {.code = WEIR_OK};
    json doc = {0}, error;
    char room[400];
    buf headers, data;
    if (!w)
        return; /* given up before */
    buf_init(&headers, 1 << 16);
    buf_init(&data, 64u << 20);
    if (!m->message.data.len || json_read(&doc, m->message.data, NULL)) {
        a.code = WEIR_NETWORK;
        a.error = "the stream or bucket is gone, or JetStream is off";
    } else if ((error = json_member(doc, "error")).type == JSON_OBJECT) {
        read_error(&a, error, room, sizeof room);
    } else if (json_member(doc, "message").type == JSON_OBJECT) {
        read_message(&a, json_member(doc, "message"), &headers, &data);
    } else if (!json_u64(json_member(doc, "seq"), &a.seq)) {
        a.code = WEIR_NETWORK;
        a.error = "an answer that is none";
    }
    finish(t, w, &a);
    buf_fini(&headers);
    buf_fini(&data);
}

static void fail_all(talk *t, const char *why)
{
    talk_answer a = {.code = WEIR_NETWORK, .error = why};
    list gone;
    list_init(&gone);
    for (list_node *at; (at = list_pop(&t->in_order));)
        list_push(&gone, at);
    while (!list_empty(&gone))
        finish(t, LIST_OWNER(gone.head.next, waiting, node), &a);
}

static void on_late(void *arg)
{
    talk *t = arg;
    talk_answer a = {.code = WEIR_TIMEOUT, .error = "NATS does not answer"};
    uint64_t now = clock_mono();
    for (list_node *at; (at = t->in_order.head.next) != &t->in_order.head;) {
        waiting *w = LIST_OWNER(at, waiting, node);
        if (w->asked_at + t->answer_ns > now) {
            timer_at(&t->late, w->asked_at + t->answer_ns);
            return;
        }
        finish(t, w, &a);
    }
}

/* ---- What came ---- */

static void hand_on(talk *t, came *m)
{
    if (m->answer) {
        take_answer(t, m);
        return;
    }
    if (m->message.kind == TALK_UP)
        t->up = true;
    if (m->message.kind == TALK_DOWN) {
        t->up = false;
        fail_all(t, "the connection to NATS is lost");
    }
    t->on_message(t->arg, &m->message);
}

/* A turn's worth; the rest in the next turn, so that nothing else starves. */
static void on_event(void *arg, int events, int error)
{
    talk *t = arg;
    uint64_t count;
    bool more = true;
    uint64_t until = clock_mono() + TURN_NS;
    (void)events, (void)error;
    if (read(t->event, &count, sizeof count) < 0 && errno != EAGAIN)
        log_error("cluster", "eventfd: %s", strerror(errno));
    while (more && clock_mono() < until) {
        pthread_mutex_lock(&t->lock);
        list_node *at = list_pop(&t->in);
        if (!at)
            at = list_pop(&t->records);
        came *m = at ? LIST_OWNER(at, came, node) : NULL;
        if (m)
            t->in_octets -= m->octets;
        more = !list_empty(&t->in) || !list_empty(&t->records);
        pthread_cond_broadcast(&t->room);
        pthread_mutex_unlock(&t->lock);
        if (m)
            hand_on(t, m);
        free(m);
    }
    if (more)
        talk_ring(t);
}

void talk_ring(talk *t)
{
    uint64_t one = 1;
    if (write(t->event, &one, sizeof one) < 0 && errno != EAGAIN)
        log_error("cluster", "eventfd: %s", strerror(errno));
}

/* ---- Made and freed ---- */

weir_code talk_new(talk **out, loop *l, const talk_options *o, weir_error *err)
{
    pthread_condattr_t steady;
    talk *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, WEIR_NOMEM, "out of memory");
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&t->wake, &steady);
    pthread_condattr_destroy(&steady);
    pthread_cond_init(&t->room, NULL);
    list_init(&t->out);
    list_init(&t->in);
    list_init(&t->records);
    list_init(&t->in_order);
    list_init(&t->spare);
    t->loop = l;
    t->on_message = o->on_message;
    t->arg = o->arg;
    t->answer_ns = o->answer_ns;
    t->replicas = o->replicas ? o->replicas : 1;
    t->records_octets = o->records_octets;
    t->records_ms = o->records_ms;
    t->next_record = o->records_from ? o->records_from : 1;
    t->servers = strdup(o->servers);
    t->name = strdup(o->name);
    t->waiting = map_new();
    while (t->spare_count < SPARE_FIRST) {
        waiting *w = calloc(1, sizeof *w);
        if (!w)
            break;
        spare(t, w);
    }
    t->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    timer_init(&t->late, l, on_late, t);
    weir_code code = t->servers && t->name && t->waiting && t->spare_count == SPARE_FIRST && t->event >= 0 ? WEIR_OK : error_set(err, WEIR_NOMEM, "out of memory");
    if (!code && !(code = io_open(&t->io, l, t->event, on_event, t, err)))
        code = io_want(t->io, IO_READ) ? error_set(err, WEIR_SYSTEM, "the loop takes no eventfd") : WEIR_OK;
    if (!code && pthread_create(&t->thread, NULL, talk_thread, t))
        code = error_set(err, WEIR_SYSTEM, "no thread for the talk with NATS");
    if (code) {
        talk_free(t);
        return code;
    }
    t->running = true;
    *out = t;
    return WEIR_OK;
}

void talk_free(talk *t)
{
    if (!t)
        return;
    if (t->running) {
        pthread_mutex_lock(&t->lock);
        t->ending = true;
        pthread_cond_broadcast(&t->wake);
        pthread_cond_broadcast(&t->room);
        pthread_mutex_unlock(&t->lock);
        pthread_join(t->thread, NULL);
    }
    t->up = false;
    if (t->waiting)
        fail_all(t, "the node is stopping");
    timer_stop(&t->late);
    io_close(t->io);
    if (t->event >= 0)
        close(t->event);
    for (list_node *at; (at = list_pop(&t->in_order)) || (at = list_pop(&t->spare));)
        free(LIST_OWNER(at, waiting, node));
    for (list_node *at; (at = list_pop(&t->in)) || (at = list_pop(&t->records));)
        free(LIST_OWNER(at, came, node));
    for (list_node *at; (at = list_pop(&t->out));)
        free(LIST_OWNER(at, parcel, node));
    map_free(t->waiting);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->wake);
    pthread_cond_destroy(&t->room);
    free(t->servers);
    free(t->name);
    free(t);
}

void talk_again(talk *t)
{
    pthread_mutex_lock(&t->lock);
    t->closed = true;
    pthread_cond_broadcast(&t->wake);
    pthread_cond_broadcast(&t->room);
    pthread_mutex_unlock(&t->lock);
}

bool talk_is_up(const talk *t)
{
    return t->up;
}
