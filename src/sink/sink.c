/* The registry of sinks, and what holds for all of them. A new sink is a file and a line here. */
#include "sink/sink_impl.h"
#include "sink/spec.h"

#include <stdio.h>
#include <string.h>

static const sink_ops *const registry[] = {
    &sink_ndjson_ops,
    &sink_csv_ops,
    &sink_table_ops,
    &sink_unix_ops,
    &sink_udp_ops,
    &sink_redis_ops,
    &sink_nats_ops,
    &sink_kafka_ops,
};

const sink_ops *sink_each(size_t index)
{
    return index < sizeof registry / sizeof *registry ? registry[index] : NULL;
}

const sink_ops *sink_find(const char *name)
{
    for (size_t i = 0; sink_each(i); i++)
        if (strcmp(registry[i]->name, name) == 0)
            return registry[i];
    return NULL;
}

void sink_mask(char *out, size_t size, const char *spec)
{
    spec_mask(out, size, spec);
}

static weir_code unknown(const char *spec, weir_error *err)
{
    char names[256] = "", shown[256];

    sink_mask(shown, sizeof shown, spec);

    for (size_t i = 0; sink_each(i); i++) {
        size_t len = strlen(names);
        snprintf(names + len, sizeof names - len, "%s'%s'", i ? ", " : "", registry[i]->name);
    }
    return error_set(err, WEIR_INVALID, "sink '%s': there is no such sink; there are %s", shown, names);
}

weir_code sink_open(sink **out, const char *spec, const sink_options *options, weir_error *err)
{
    sink_options own = SINK_OPTIONS_INIT;
    const char *colon = strchr(spec, ':');
    size_t name_len = colon ? (size_t)(colon - spec) : strlen(spec);
    char name[32];

    if (name_len >= sizeof name)
        return unknown(spec, err);
    memcpy(name, spec, name_len);
    name[name_len] = '\0';
    const sink_ops *ops = sink_find(name);
    if (!ops)
        return unknown(spec, err);
    if (options)
        own = *options;
    if (colon) {
        own.fd = -1;
        own.append = colon[1] == '+';
        own.path = colon + 1 + own.append;
        if (!*own.path)
            return error_set(err, WEIR_INVALID, "sink '%s': no path behind the colon; '-' is stdout", spec);
    }
    if (ops->open(out, &own, err))
        return error_wrap(err, "sink '%s'", name);
    return WEIR_OK;
}

sink_result sink_write(sink *s, record *r)
{
    return s->ops->write(s, r);
}

sink_result sink_flush(sink *s)
{
    return s->ops->flush(s);
}

void sink_close(sink *s)
{
    if (s)
        s->ops->close(s);
}

void sink_leave(sink *s, uint64_t ms)
{
    if (s->ops->leave)
        s->ops->leave(s, ms);
}

bool sink_left(sink *s)
{
    return !s->ops->left || s->ops->left(s);
}

sink_account sink_read_account(const sink *s)
{
    sink_account a = {0};
    s->ops->account(s, &a);
    return a;
}

bool sink_account_adds_up(const sink_account *a)
{
    return a->accepted == a->written + a->buffered + a->lost;
}

int sink_fd(const sink *s)
{
    return s->ops->fd ? s->ops->fd(s) : -1;
}

bool sink_hears(const sink *s)
{
    return s->ops->hears;
}

sink_state sink_get_state(const sink *s)
{
    return s->why.code ? SINK_CLOSED : s->waits.code ? SINK_WAITING
                                                     : SINK_OPEN;
}

const weir_error *sink_waits_for(const sink *s)
{
    return &s->waits;
}

uint64_t sink_oldest(const sink *s)
{
    return s->ops->oldest ? s->ops->oldest(s) : 0;
}

bool sink_wants_write(const sink *s)
{
    return s->ops->wants_write && s->ops->wants_write(s);
}

uint64_t sink_next_tick(const sink *s)
{
    return s->ops->next_tick ? s->ops->next_tick(s) : 0;
}

void sink_tick(sink *s, uint64_t mono_ns)
{
    if (s->ops->tick)
        s->ops->tick(s, mono_ns);
}

void sink_resize(sink *s, unsigned columns, unsigned rows)
{
    if (s->ops->resize)
        s->ops->resize(s, columns, rows);
}

const weir_error *sink_why(const sink *s)
{
    return &s->why;
}

void sink_limit(sink *s, uint64_t max)
{
    s->data = 0;
    s->data_max = max;
}

/* Behind the last data record that is wanted only states are of interest. */
static bool too_many(const sink *s, const record *r)
{
    return s->data_max && s->data >= s->data_max && r->kind != RECORD_STATUS;
}

/* Hop 8, queue to wire: as much as the other end takes now; a record leaves the queue when the sink
 * has accepted it, not before. */
sink_progress sink_drain(sink *s, sub *from, size_t max)
{
    record *r;

    for (size_t i = 0; (r = sub_peek(from)); i++) {
        if (i == max)
            return SINK_MORE;
        sink_result result = too_many(s, r) ? SINK_ACCEPTED : sink_write(s, r);
        if (result != SINK_ACCEPTED)
            return result == SINK_ERROR ? SINK_FAILED : SINK_BLOCKED;
        s->data += r->kind == RECORD_DATA;
        sub_pop(from);
    }
    switch (sink_flush(s)) {
    case SINK_ERROR:
        return SINK_FAILED;
    case SINK_WOULD_BLOCK:
        return SINK_BLOCKED;
    case SINK_ACCEPTED:
        break;
    }
    return SINK_DONE;
}
