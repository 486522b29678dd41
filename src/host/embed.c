/* What node/ reaches of a host beyond weir.h. */
#include "host/embed.h"
#include "host/inside.h"

loop *weir_host_loop(weir_host *host)
{
    return host->loop;
}

hub *weir_host_hub(weir_host *host)
{
    return host->hub;
}

bool weir_plugin_knows(weir_plugin *p, const char *command)
{
    weir_error why = WEIR_ERROR_INIT;
    buf in;
    json nothing = {JSON_OBJECT, BYTES("{}")};
    buf_init(&in, 1 << 16);
    const char *name = p->generation->ask_command(&in, bytes_of(command), nothing, &why);
    buf_fini(&in);
    return name ? generation_has(p->module, name) : why.code == WEIR_INVALID; /* it wants parameters */
}

const char *weir_plugin_generation(const weir_plugin *p)
{
    return generation_title(p->module);
}

bool weir_plugin_streams(const weir_plugin *p)
{
    return generation_streams(p->generation);
}

uint64_t weir_plugin_traps(const weir_plugin *p)
{
    return p->trap_count;
}

const meter *weir_plugin_meter(const weir_plugin *p)
{
    return &p->meter;
}

uint64_t weir_plugin_memory(const weir_plugin *p, size_t *instances)
{
    uint64_t sum = 0;
    *instances = 0;
    for (const list_node *at = p->meter.tasks.head.next; at && at != &p->meter.tasks.head; at = at->next) {
        sum += task_memory(LIST_OWNER(at, task, metered));
        (*instances)++;
    }
    return sum;
}

uint64_t weir_plugin_memory_limit(const weir_plugin *p)
{
    return p->limits.memory;
}

void weir_stream_missed(weir_stream *w, uint64_t from_ns, uint64_t from_event)
{
    stream_missed(w->stream, from_ns, from_event);
}

uint64_t weir_stream_queued(const weir_stream *w)
{
    return stream_queued(w->stream);
}

uint64_t weir_stream_last_event(const weir_stream *w)
{
    return stream_last_event(w->stream);
}

uint64_t weir_stream_last_recv(const weir_stream *w)
{
    return stream_last_recv(w->stream);
}

uint64_t weir_stream_missing(const weir_stream *w)
{
    return stream_missing(w->stream);
}
