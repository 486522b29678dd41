/* plugin/world.h made real: sockets by session.c, REST by net/http_client, publications and news to
 * the stream, the guest's log to ours. */
#include "stream/venue.h"

#include <stdlib.h>

#include "stream/session.h"

static weir_code socket_open(void *arg, plug *p, const world_socket_request *request, weir_error *err)
{
    session *s = NULL;
    weir_code code = session_open(&s, arg, p, request, err);
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
    (void)arg;
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
};
