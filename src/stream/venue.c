/* plugin/world.h made real: sockets by session.c, REST by net/http_client, publications and news to
 * the stream, the guest's log to ours. */
#include "stream/venue.h"

#include <stdlib.h>

#include "stream/heartbeat_rules.h"
#include "stream/session.h"

/* ---- A pull plugin's sockets: a session read by the plugin's inbox ---- */

static venue *venue_of(plug *p)
{
    return p->task->world_arg;
}

static void plug_opened(void *arg)
{
    plug *p = arg;
    venue *v = venue_of(p);
    v->open_sockets++;
    socket_opened(p);
    if (v->listener)
        v->listener->socket_up(v->arg, p);
}

static bool plug_message(void *arg, bytes message, bool binary, uint64_t recv_real_ns)
{
    plug *p = arg;
    venue *v = venue_of(p);
    if (!socket_message(p, message, binary, recv_real_ns))
        return false;
    if (v->listener)
        v->listener->message(v->arg, p, recv_real_ns);
    return true;
}

static void plug_drained(void *arg)
{
    socket_drained(arg);
}

static void plug_closed(void *arg, const weir_error *why, uint16_t http_status, uint32_t retry_after_s)
{
    plug *p = arg;
    venue *v = venue_of(p);
    v->open_sockets -= p->state == PLUG_OPEN; /* before anybody hears of the close */
    if (v->listener && p->state == PLUG_OPEN)
        v->listener->socket_gone(v->arg, p);
    socket_closed(p, why);
    if (v->listener)
        v->listener->socket_down(v->arg, why, retry_after_s, http_status);
}

static bool plug_holds(void *arg)
{
    const plug *p = arg;
    return p->in.refused;
}

static const session_reader plug_reader = {plug_opened, plug_message, plug_drained, plug_closed, plug_holds};

static weir_code socket_open(void *arg, plug *p, const world_socket_request *request, weir_error *err)
{
    venue *v = arg;
    session_options o = {
        .loop = v->loop,
        .dialer = v->dialer,
        .targets = v->targets,
        .url = request->url,
        .subprotocol = request->subprotocol,
        .headers = request->headers,
        .header_count = request->header_count,
        .max_message = p->task->policy.limits.message,
        .heartbeat = heartbeat_rules_find(v->heartbeats, request->url),
        .silence_ms = v->silence_ms,
    };
    session *s = NULL;
    weir_code code = session_open(&s, &o, &plug_reader, p, err);
    p->session = s;
    return code;
}

static weir_code socket_send(void *arg, plug *p, bytes text, weir_error *err)
{
    (void)arg;
    return session_send(p->session, text, err);
}

static void socket_close(void *arg, plug *p)
{
    venue *v = arg;
    v->open_sockets -= p->state == PLUG_OPEN;
    if (v->listener && p->state == PLUG_OPEN)
        v->listener->socket_gone(v->arg, p);
    session_close(p->session);
}

static void socket_room(void *arg, plug *p)
{
    (void)arg;
    session_room(p->session);
}

/* One request under way: translates between the two vocabularies. */
typedef struct rest {
    http_call *call;
    void (*done)(void *arg, const world_http_reply *reply);
    void *arg;
} rest;

static void on_response(void *arg, const http_response *response)
{
    rest *r = arg;
    world_http_reply reply = {.error = response->error};
    if (!response->error.code) {
        reply.status = response->status;
        reply.headers = response->headers;
        reply.header_count = response->header_count;
        reply.body = response->body;
    }
    r->done(r->arg, &reply);
    free(r);
}

static weir_code rest_start(void *arg, void **handle, const world_http_request *request,
                            void (*done)(void *done_arg, const world_http_reply *reply), void *done_arg, weir_error *err)
{
    venue *v = arg;
    http_request q = {
        .method = request->method,
        .url = request->url,
        .body = request->body,
        .headers = request->headers,
        .header_count = request->header_count,
        .targets = v->targets,
        .check = request->allows,
        .check_arg = request->allows_arg,
        .timeout_ms = request->timeout_ms,
        .max_body = request->max_body,
    };
    rest *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, WEIR_NOMEM, "http_request: out of memory");
    *r = (rest){.done = done, .arg = done_arg};
    if (http_start(&r->call, v->dialer, &q, on_response, r, err)) {
        free(r);
        return err ? err->code : WEIR_NETWORK;
    }
    *handle = r;
    return WEIR_OK;
}

static void rest_cancel(void *arg, void *handle)
{
    rest *r = handle;
    (void)arg;
    http_cancel(r->call);
}

static weir_code publish(void *arg, const world_publication *what, weir_error *err)
{
    venue *v = arg;
    if (!v->listener)
        return error_set(err, WEIR_NOT_FOUND, "publish_stream_data: no stream runs in this instance");
    return v->listener->publish(v->arg, what, err);
}

static void guest_log(void *arg, log_level level, const char *origin, bytes text)
{
    venue *v = arg;
    log_at(level, v->name, "%s: " BYTES_FMT, origin, (int)(text.len > 4000 ? 4000 : text.len), text.at ? text.at : "");
}

static void receiving(void *arg, plug *p)
{
    venue *v = arg;
    (void)p;
    if (v->listener)
        v->listener->receiving(v->arg);
}

static void left(void *arg)
{
    venue *v = arg;
    if (v->listener)
        v->listener->left(v->arg);
}

session *venue_give_away(plug *p)
{
    session *s = p->session;
    venue_of(p)->open_sockets--;
    plug_give_away(p);
    return s;
}

const world venue_world = {
    .socket_open = socket_open,
    .socket_send = socket_send,
    .socket_close = socket_close,
    .socket_room = socket_room,
    .http_start = rest_start,
    .http_cancel = rest_cancel,
    .publish = publish,
    .log = guest_log,
    .receiving = receiving,
    .left = left,
};
