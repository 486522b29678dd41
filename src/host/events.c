/* Events of a calendar, which a planner reports while a command runs (calendar_import): each becomes a record
 * of type `event`, topic event.<plugin>.calendar, and all of them together are the answer of a command that
 * returns nothing itself. */
#include "base/json.h"
#include "host/inside.h"

static weir_code publish(void *arg, const world_publication *what, weir_error *err)
{
    weir_plugin *p = arg;
    record_key key = {.type = BYTES("event"), .source = bytes_of(weir_plugin_id(p)), .identifier = BYTES("calendar"), .has_connection = p->options.connection != 0, .connection = p->options.connection};
    if (!bytes_is(what->type, "event") || !bytes_is(what->identifier, "calendar"))
        return error_set(err, WEIR_NOT_FOUND, "publish_stream_data: no stream runs in this instance");
    if (!p->event_stream && hub_stream(&p->event_stream, p->host->hub, &key, err))
        return err ? err->code : WEIR_NOMEM;
    buf_add_char(&p->events, p->events.len ? ',' : '[');
    buf_add_bytes(&p->events, what->data);
    hub_publish(p->host->hub, record_new(p->event_stream, what->ts_event, what->ts_recv, what->data));
    return WEIR_OK;
}

static void no_socket(void *arg, plug *s)
{
    (void)arg, (void)s;
}

static void nothing(void *arg)
{
    (void)arg;
}

static void no_close(void *arg, const weir_error *why, uint32_t retry_after_s, uint16_t http_status)
{
    (void)arg, (void)why, (void)retry_after_s, (void)http_status;
}

static void no_message(void *arg, plug *s, uint64_t recv_real_ns)
{
    (void)arg, (void)s, (void)recv_real_ns;
}

const venue_listener events_listener = {.publish = publish, .socket_up = no_socket, .socket_gone = no_socket, .socket_down = no_close, .message = no_message, .receiving = nothing, .left = nothing};

void events_begin(weir_plugin *p)
{
    buf_clear(&p->events);
}

void events_answer(weir_plugin *p, answer *a)
{
    if (a->data.type != JSON_NONE || !p->events.len)
        return;
    buf_add_char(&p->events, ']');
    if (p->events.failed || json_read(&a->data, buf_bytes(&p->events), NULL))
        a->data = (json){0};
}

void events_free(weir_plugin *p)
{
    record_stream_unref(p->event_stream);
    buf_fini(&p->events);
}
