/* The streaming family: ws_connect, ws_send, ws_receive, ws_close,
 * publish_stream_data. ws_receive and publish_stream_data are the hot path: hop 3 and hop 4. */
#include <inttypes.h>

#include "base/base64.h"
#include "plugin/host.h"
#include "plugin/verdict.h"

#define CONNECT_MS 10000
#define RECEIVE_MAX_MS 60000
#define SEND_MS 30000
#define ERROR_REPLIES 6 /* 100 ms doubling to 5 s; then only the last delay */

/* {"url":string,"headers":{string:string}|null,"subprotocol":string?} -> {"success","connectionId"}
 *
 * Refuses before any traffic; waits for the handshake. */
bool host_ws_connect(task *t, bytes request)
{
    weir_error err = WEIR_ERROR_INIT;
    json url, headers, subprotocol;
    const json_field want[] = {{"url", &url}, {"headers", &headers}, {"subprotocol", &subprotocol}};
    world_socket_request dial = {0};
    plug *s = NULL;
    uint64_t until = loop_now(t->loop) + CONNECT_MS * NS_PER_MS;
    size_t url_end, protocol_end;

    buf_clear(&t->scratch);
    if (json_read_fields(request, want, 3, &err))
        return host_say_error(t, &err);
    if (!json_string_add(url, &t->scratch)) {
        error_set(&err, WEIR_INVALID, "ws_connect: \"url\" is missing or no string");
        return host_say_error(t, &err);
    }
    url_end = t->scratch.len;
    json_string_add(subprotocol, &t->scratch);
    protocol_end = t->scratch.len;
    if (host_headers(t, headers, &dial.headers, &dial.header_count, &err) ||
        policy_connect(&t->policy, t->socket_count, loop_now(t->loop), &err))
        return host_say_error(t, &err);
    dial.url = bytes_make(t->scratch.at, url_end);
    dial.subprotocol = bytes_make(t->scratch.at + url_end, protocol_end - url_end);
    if (!(s = plug_new(t))) {
        error_set(&err, WEIR_NOMEM, "ws_connect: out of memory");
        return host_say_error(t, &err);
    }
    plug_dials(s, dial.url);
    if (t->world->socket_open(t->world_arg, s, &dial, &err)) {
        plug_free(s);
        return host_say_error(t, &err);
    }
    instance_trim_stack(); /* from here on it waits, maybe for days */
    s->busy++;
    while (s->state == PLUG_CONNECTING) {
        wait_end end = task_wait(t, "ws_connect", until);
        if (end == WAIT_CANCELLED) {
            s->busy--;
            return false;
        }
        if (end == WAIT_TIMEOUT && s->state == PLUG_CONNECTING) {
            error_set(&err, WEIR_TIMEOUT, "ws_connect: no connection to '" BYTES_FMT "' after %d s", BYTES_ARG(dial.url), CONNECT_MS / 1000);
            plug_free(s);
            return host_say_error(t, &err);
        }
    }
    s->busy--;
    if (s->state == PLUG_CLOSED) {
        error_recall(&s->why, &err);
        plug_free(s);
        return host_say_error(t, &err);
    }
    buf_add_text(&t->reply, "{\"success\":true,\"connectionId\":\"");
    buf_add_text(&t->reply, s->id);
    buf_add_text(&t->reply, "\"}");
    return true;
}

/* The socket that a request's connectionId names. */
static plug *named(task *t, json id, const char *function, weir_error *err)
{
    bytes text;
    plug *s = json_string_slice(id, &text) ? plug_find(t, text) : NULL;
    if (!s)
        error_set(err, WEIR_NOT_FOUND, "%s: this instance has no connection '" BYTES_FMT "'; use the connectionId that ws_connect gave",
                  function, BYTES_ARG(id.raw));
    return s;
}

/* {"connectionId":string,"message":string} -> {"success"}: one text frame, verbatim. */
bool host_ws_send(task *t, bytes request)
{
    weir_error err = WEIR_ERROR_INIT;
    json id, message;
    const json_field want[] = {{"connectionId", &id}, {"message", &message}};
    uint64_t until = loop_now(t->loop) + SEND_MS * NS_PER_MS;
    bytes text;
    plug *s;

    if (json_read_fields(request, want, 2, &err) || !(s = named(t, id, "ws_send", &err)))
        return host_say_error(t, &err);
    buf_clear(&t->scratch);
    if (!json_string_slice(message, &text)) {
        if (!json_string_add(message, &t->scratch) || t->scratch.failed) {
            error_set(&err, WEIR_INVALID, "ws_send: \"message\" is missing or no string");
            return host_say_error(t, &err);
        }
        text = buf_bytes(&t->scratch);
    }
    if (policy_message(&t->policy, "ws_send: a message", text.len, &err))
        return host_say_error(t, &err);
    s->busy++;
    for (;;) {
        weir_code code = WEIR_CLOSED;
        if (s->state == PLUG_OPEN)
            code = t->world->socket_send(t->world_arg, s, text, &err);
        else
            error_set(&err, WEIR_CLOSED, "ws_send: the connection is closed: %s", kept_text(&s->why));
        if (code == WEIR_OK || code != WEIR_BUSY) {
            s->busy--;
            return code ? host_say_error(t, &err) : host_say_ok(t);
        }
        wait_end end = task_wait(t, "ws_send", until);
        if (end == WAIT_CANCELLED) {
            s->busy--;
            return false;
        }
        if (end == WAIT_TIMEOUT) {
            s->busy--;
            error_set(&err, WEIR_TIMEOUT, "ws_send: the peer took nothing for %d s", SEND_MS / 1000);
            return host_say_error(t, &err);
        }
    }
}

/* What runs nested in a ws_receive leaves its own answers in t->reply: it is empty again here. */
static bool say_timeout(task *t)
{
    t->said = WEIR_TIMEOUT;
    buf_clear(&t->reply);
    buf_add_text(&t->reply, "{\"success\":true,\"timeout\":true}");
    return true;
}

/* A frame is full of quotes: to escape them here and undo it in the guest was a fifth of a trade's time. Who
 * asks for it raw gets it as it is, behind an octet that no JSON starts with. */
static bool say_message(task *t, plug *s, const inbox_message *m, bool raw)
{
    t->said = WEIR_OK; /* whatever ran nested */
    buf_clear(&t->reply);
    if (m->binary && !bytes_utf8(m->text)) {
        buf_add_text(&t->reply, "{\"success\":true,\"binary\":true,\"message\":\"");
        base64_encode(&t->reply, m->text);
        buf_add_text(&t->reply, "\"}");
    } else if (raw) {
        buf_add_char(&t->reply, '=');
        buf_add_bytes(&t->reply, m->text);
    } else {
        buf_add_text(&t->reply, "{\"success\":true,\"message\":");
        json_put_string(&t->reply, m->text);
        buf_add_char(&t->reply, '}');
    }
    inbox *in = plug_inbox(s);
    t->recv_ns = m->recv_ns;
    t->taken++;
    t->received_from = s;
    t->received_before = in != &s->in;
    t->unanswered = true;
    inbox_drop(in);
    return true;
}

/* It gives way to another instance: here, between two messages, and no further. */
static bool leave(task *t)
{
    if (!t->left && t->world->left)
        t->world->left(t->world_arg);
    t->left = true;
    while (task_wait(t, "ws_receive", UINT64_MAX) != WAIT_CANCELLED)
        ;
    return false;
}

/* The plugin was asked to stop: its stop export runs nested, here, once. */
static bool stop_nested(task *t)
{
    weir_error err = WEIR_ERROR_INIT;
    int32_t rc;
    t->stopping = true;
    buf_clear(&t->scratch);
    if (!guest_call_nested(t->guest, t->stop_export, bytes_of(t->stop_input), &rc, &t->scratch, &err))
        log_debug("task", "plugin '%s': nested %s: %s", t->name, t->stop_export, err.text);
    return t->guest->cancelled == NULL;
}

/* The n-th error reply on one connection comes later and later: a plugin that asks again at once,
 * for ever, must not spin. */
static bool say_late(task *t, uint32_t *errors, const weir_error *err)
{
    if (*errors) {
        uint32_t step = *errors < ERROR_REPLIES ? *errors : ERROR_REPLIES;
        uint64_t ms = UINT64_C(50) << step;
        uint64_t until = loop_now(t->loop) + (ms < 5000 ? ms : 5000) * NS_PER_MS;
        wait_end end = WAIT_WOKEN;
        while (end == WAIT_WOKEN && (!t->stop_export || t->stopping))
            end = task_wait(t, "ws_receive", until);
        if (end == WAIT_CANCELLED)
            return false;
        if (t->stop_export && !t->stopping)
            return stop_nested(t) && say_timeout(t);
    }
    if (*errors < ERROR_REPLIES)
        ++*errors;
    return host_say_error(t, err);
}

static bool say_closed(task *t, plug *s)
{
    weir_error err = WEIR_ERROR_INIT;
    error_recall(&s->why, &err);
    error_wrap(&err, "ws_receive");
    return say_late(t, &s->errors, &err);
}

/* An id that is none of its connections: at once for each new id, then late, too. */
static bool say_unknown(task *t, bytes request, const weir_error *err)
{
    json id;
    const json_field want[] = {{"connectionId", &id}};
    bytes text;
    if (json_read_fields(request, want, 1, NULL) || !json_string_slice(id, &text))
        return host_say_error(t, err);
    if (text.len >= sizeof t->unknown_id)
        text.len = sizeof t->unknown_id - 1;
    if (!bytes_is(text, t->unknown_id)) {
        memcpy(t->unknown_id, text.at, text.len);
        t->unknown_id[text.len] = '\0';
        t->unknown_errors = 0;
    }
    return say_late(t, &t->unknown_errors, err);
}

/* What ws_receive asks for. A plugin asks the same thing again and again, with the same octets: those
 * are recognised without reading them. */
static plug *receive_request(task *t, bytes request, int64_t *timeout_ms, bool *raw, weir_error *err)
{
    json id, timeout, raw_value;
    const json_field want[] = {{"connectionId", &id}, {"timeoutMs", &timeout}, {"raw", &raw_value}};
    if (t->receive_plug && bytes_equal(request, buf_bytes(&t->receive_request))) {
        *timeout_ms = t->receive_timeout_ms;
        *raw = t->receive_raw;
        return t->receive_plug;
    }
    t->receive_plug = NULL;
    if (json_read_fields(request, want, 3, err))
        return NULL;
    *raw = raw_value.type == JSON_TRUE;
    *timeout_ms = 0;
    if (timeout.type != JSON_NONE && timeout.type != JSON_NULL && !json_i64(timeout, timeout_ms)) {
        error_set(err, WEIR_INVALID, "ws_receive: \"timeoutMs\" is " BYTES_FMT "; it is a whole number of milliseconds", BYTES_ARG(timeout.raw));
        return NULL;
    }
    if (*timeout_ms == 0 || *timeout_ms > RECEIVE_MAX_MS)
        *timeout_ms = RECEIVE_MAX_MS;
    plug *s = named(t, id, "ws_receive", err);
    if (s) {
        buf_clear(&t->receive_request);
        buf_add_bytes(&t->receive_request, request);
        t->receive_plug = t->receive_request.failed ? NULL : s;
        t->receive_timeout_ms = *timeout_ms;
        t->receive_raw = *raw;
    }
    return s;
}

/* {"connectionId":string,"timeoutMs":int,"raw":bool?} -> the oldest message, a timeout, or an error.
 *
 * Hop 3 of a pull plugin. With a message waiting it costs no suspension. */
bool host_ws_receive(task *t, bytes request)
{
    weir_error err = WEIR_ERROR_INIT;
    int64_t timeout_ms;
    inbox_message m;
    bool raw, alive = true;
    plug *s = receive_request(t, request, &timeout_ms, &raw, &err);
    t->unanswered = false;
    if (t->leaving)
        return leave(t);
    if (!s)
        return err.code == WEIR_NOT_FOUND ? say_unknown(t, request, &err) : host_say_error(t, &err);
    if (!s->announced && s->state == PLUG_OPEN) {
        s->announced = true;
        t->world->receiving(t->world_arg, s);
    }
    s->unread_since = loop_now(t->loop);
    if (!t->stop_export && inbox_take(plug_inbox(s), &m))
        return say_message(t, s, &m, raw);
    s->busy++;
    for (uint64_t until = 0;;) {
        if (t->stop_export && !t->stopping) {
            alive = stop_nested(t) && say_timeout(t);
            break;
        }
        if (t->leaving) {
            alive = leave(t);
            break;
        }
        if (inbox_take(plug_inbox(s), &m)) {
            say_message(t, s, &m, raw);
            break;
        }
        if (s->state == PLUG_CLOSED) {
            alive = say_closed(t, s);
            break;
        }
        if (until == 0) {
            uint64_t now = loop_now(t->loop);
            until = timeout_ms < 0 ? now : now + (uint64_t)timeout_ms * NS_PER_MS;
            if (t->stopping && until > now + 100 * NS_PER_MS) /* it should notice soon that it was stopped */
                until = now + 100 * NS_PER_MS;
        }
        wait_end end = timeout_ms < 0 ? WAIT_TIMEOUT : task_wait(t, "ws_receive", until);
        if (end == WAIT_CANCELLED) {
            alive = false;
            break;
        }
        if (end == WAIT_TIMEOUT && plug_inbox(s)->count == 0 && s->state != PLUG_CLOSED && (!t->stop_export || t->stopping)) {
            say_timeout(t);
            break;
        }
    }
    s->busy--;
    return alive;
}

/* {"connectionId":string} -> {"success"}; closing twice is fine. */
bool host_ws_close(task *t, bytes request)
{
    weir_error err = WEIR_ERROR_INIT;
    json id;
    const json_field want[] = {{"connectionId", &id}};
    plug *s;
    if (json_read_fields(request, want, 1, &err) || !(s = named(t, id, "ws_close", &err)))
        return host_say_error(t, &err);
    plug_close(s);
    task_wake(t); /* a ws_receive that waits on it, when this runs nested */
    return host_say_ok(t);
}

/* StreamData {key, data, timestamp} -> {"success"}. Hop 4 of a pull plugin. */
bool host_publish_stream_data(task *t, bytes request)
{
    weir_error err = WEIR_ERROR_INIT;
    world_publication what;
    weir_code code;
    if (policy_message(&t->policy, "publish_stream_data: a record", request.len, &err) ||
        verdict_read(t, request, &what, &err))
        return host_say_error(t, &err);
    what.ts_recv = t->recv_ns;
    while ((code = t->world->publish(t->world_arg, &what, &err)) == WEIR_BUSY)
        if (task_wait(t, "publish_stream_data", UINT64_MAX) == WAIT_CANCELLED)
            return false;
    return code ? host_say_error(t, &err) : host_say_ok(t);
}
