/* The figures of a node in Prometheus' text form, version 0.0.4. Counters end in _total; times are seconds. */
#include <stdlib.h>

#include "base/log.h"
#include "node/inside.h"

static void head(buf *out, const char *name, const char *type, const char *help)
{
    buf_add_fmt(out, "# HELP weir_%s %s\n# TYPE weir_%s %s\n", name, help, name, type);
}

/* Names are foreign: what would end the label or the line, or steer a terminal, is escaped. */
static void label(buf *out, const char *name, const char *value)
{
    buf safe;
    buf_init(&safe, 1 << 20);
    log_escape(&safe, bytes_of(value));
    buf_add_fmt(out, "%s=\"", name);
    for (size_t i = 0; i < safe.len; i++) {
        if (safe.at[i] == '"' || safe.at[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, safe.at[i]);
    }
    buf_add_char(out, '"');
    out->failed |= safe.failed;
    buf_fini(&safe);
}

static void one(buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    head(out, name, type, help);
    buf_add_fmt(out, "weir_%s %llu\n", name, (unsigned long long)value);
}

static void of_account(buf *out, const node *n)
{
    weir_account a;
    weir_host_account(n->host, &a);
    one(out, "messages_received_total", "counter", "Messages from venues. Received = taken + waiting + lost + unread + doubles.", a.received);
    one(out, "messages_taken_total", "counter", "Messages that plugins took.", a.taken);
    one(out, "messages_waiting", "gauge", "Messages that wait for their plugin.", a.waiting);
    one(out, "messages_lost_total", "counter", "Messages that died with an instance.", a.lost);
    one(out, "messages_unread_total", "counter", "Messages that waited when their stream was stopped.", a.unread);
    one(out, "messages_doubles_total", "counter", "Messages left out since another connection had brought them.", a.doubles);
    one(out, "records_published_total", "counter", "Records of all kinds.", a.published);
    one(out, "records_repeats_total", "counter", "Records that two connections brought, left out once.", a.repeats);
    one(out, "records_offered_total", "counter", "Records offered to readers. Offered = delivered + dropped + queued.", a.offered);
    one(out, "records_delivered_total", "counter", "Records that readers took.", a.delivered);
    one(out, "records_dropped_total", "counter", "Records that readers' queues dropped.", a.dropped);
    one(out, "records_queued", "gauge", "Records in readers' queues.", a.queued);
    one(out, "gaps_total", "counter", "Gap records.", a.gaps);
    one(out, "restarts_total", "counter", "Restarts of streams.", a.restarts);
}

static void of_streams(buf *out, const node *n)
{
    static const char *const states[] = {"connecting", "live", "waiting", "stopping", "closed", "failed", "off"};
    uint64_t counts[sizeof states / sizeof *states] = {0};
    for (const list_node *at = n->streams.head.next; at != &n->streams.head; at = at->next) {
        const char *why, *state = stream_state_text(LIST_OWNER(at, node_stream, node), &why);
        for (size_t i = 0; i < sizeof states / sizeof *states; i++)
            counts[i] += !strcmp(states[i], state);
    }
    head(out, "streams", "gauge", "Streams by state.");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        buf_add_fmt(out, "weir_streams{state=\"%s\"} %llu\n", states[i], (unsigned long long)counts[i]);
}

/* `sums`: of each plugin, in their order; they cost a walk through all streams. */
static void of_plugins(buf *out, const node *n, const plugin_sums *sums)
{
    static const struct {
        const char *name, *type, *help;
        size_t at;
    } figures[] = {
        {"plugin_streams", "gauge", "Streams of a plugin.", offsetof(plugin_sums, streams)},
        {"plugin_messages_total", "counter", "Messages from venues to a plugin's streams.", offsetof(plugin_sums, messages)},
        {"plugin_records_total", "counter", "Data records of a plugin.", offsetof(plugin_sums, records)},
        {"plugin_gaps_total", "counter", "Gap records of a plugin's streams.", offsetof(plugin_sums, gaps)},
        {"plugin_restarts_total", "counter", "Restarts of a plugin's streams.", offsetof(plugin_sums, restarts)},
        {"plugin_traps_total", "counter", "Traps and overrun calls of a plugin.", offsetof(plugin_sums, traps)},
        {"plugin_turns_total", "counter", "Runs of a plugin's code, each until it waits, returns, or has used its slice.", offsetof(plugin_sums, meter.turns)},
        {"plugin_instances", "gauge", "Instances of a plugin that are alive.", offsetof(plugin_sums, instances)},
        {"plugin_memory_octets", "gauge", "Linear memory of a plugin's instances.", offsetof(plugin_sums, memory)},
        {"plugin_memory_limit_octets", "gauge", "What they may have.", offsetof(plugin_sums, memory_limit)},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const plugin_sums *s = sums;
        head(out, figures[i].name, figures[i].type, figures[i].help);
        for (const list_node *at = n->plugins.head.next; at != &n->plugins.head; at = at->next, s++) {
            const node_plugin *p = LIST_OWNER(at, node_plugin, node);
            uint64_t value;
            memcpy(&value, (const char *)s + figures[i].at, sizeof value);
            buf_add_fmt(out, "weir_%s{", figures[i].name);
            label(out, "plugin", p->id);
            buf_add_fmt(out, "} %llu\n", (unsigned long long)value);
        }
    }
}

/* What a plugin's streams do for each connection: of two accounts one may be the one that has the trouble. */
typedef struct connection_sums {
    uint64_t streams, messages, records, gaps, restarts;
} connection_sums;

static void of_connections(buf *out, const node *n, const connection_sums *sums)
{
    static const struct {
        const char *name, *type, *help;
        size_t at;
    } figures[] = {
        {"connection_streams", "gauge", "Streams of a connection.", offsetof(connection_sums, streams)},
        {"connection_messages_total", "counter", "Messages from the venue to a connection's streams.", offsetof(connection_sums, messages)},
        {"connection_records_total", "counter", "Data records of a connection's streams.", offsetof(connection_sums, records)},
        {"connection_gaps_total", "counter", "Gap records of a connection's streams.", offsetof(connection_sums, gaps)},
        {"connection_restarts_total", "counter", "Restarts of a connection's streams.", offsetof(connection_sums, restarts)},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const connection_sums *s = sums;
        head(out, figures[i].name, figures[i].type, figures[i].help);
        for (const list_node *at = n->connections.head.next; at != &n->connections.head; at = at->next, s++) {
            const node_connection *c = LIST_OWNER(at, node_connection, node);
            uint64_t value;
            memcpy(&value, (const char *)s + figures[i].at, sizeof value);
            buf_add_fmt(out, "weir_%s{connection=\"%s\",", figures[i].name, c->id_text);
            label(out, "name", c->name);
            buf_add_char(out, ',');
            label(out, "plugin", c->plugin->id);
            buf_add_fmt(out, "} %llu\n", (unsigned long long)value);
        }
    }
}

/* The caller frees it; NULL: out of memory. */
static connection_sums *sum_up_connections(const node *n)
{
    size_t count = 0;
    for (const list_node *at = n->connections.head.next; at != &n->connections.head; at = at->next)
        LIST_OWNER(at, node_connection, node)->row = count++;
    connection_sums *all = calloc(count + 1, sizeof *all);
    for (const list_node *at = n->streams.head.next; all && at != &n->streams.head; at = at->next) {
        const node_stream *t = LIST_OWNER(at, node_stream, node);
        const record_counts *c = record_stream_counts(t->records);
        connection_sums *s = &all[t->connection->row];
        s->streams++;
        s->messages += c->received;
        s->records += c->published;
        s->gaps += c->gaps;
        s->restarts += c->restarts;
    }
    return all;
}

/* Seconds: no whole numbers. */
static void of_turns(buf *out, const node *n, const plugin_sums *sums)
{
    static const double parts[] = {0.5, 0.99};
    const plugin_sums *s = sums;
    head(out, "plugin_cpu_seconds_total", "counter", "Processor time of a plugin's instances.");
    for (const list_node *at = n->plugins.head.next; at != &n->plugins.head; at = at->next, s++) {
        const node_plugin *p = LIST_OWNER(at, node_plugin, node);
        buf_add_text(out, "weir_plugin_cpu_seconds_total{");
        label(out, "plugin", p->id);
        buf_add_fmt(out, "} %.6f\n", (double)s->meter.cpu_ns * 1e-9);
    }
    s = sums;
    head(out, "plugin_turn_seconds", "summary", "How long a run of a plugin's code takes, since it was loaded.");
    for (const list_node *at = n->plugins.head.next; at != &n->plugins.head; at = at->next, s++) {
        const node_plugin *p = LIST_OWNER(at, node_plugin, node);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            buf_add_text(out, "weir_plugin_turn_seconds{");
            label(out, "plugin", p->id);
            buf_add_fmt(out, ",quantile=\"%g\"} %.9f\n", parts[i], (double)meter_quantile(&s->meter, parts[i]) * 1e-9);
        }
        buf_add_text(out, "weir_plugin_turn_seconds_sum{");
        label(out, "plugin", p->id);
        buf_add_fmt(out, "} %.9f\nweir_plugin_turn_seconds_count{", (double)s->meter.cpu_ns * 1e-9);
        label(out, "plugin", p->id);
        buf_add_fmt(out, "} %llu\n", (unsigned long long)s->meter.turns);
    }
}

static void sink_line(buf *out, const char *name, const node_sink *k)
{
    buf_add_fmt(out, "weir_%s{sink=\"%s\",", name, k->id_text);
    label(out, "name", k->name);
    buf_add_text(out, "} ");
}

static void of_sinks(buf *out, const node *n)
{
    static const struct {
        const char *name, *type, *help;
        size_t at;
    } figures[] = {
        {"sink_delivered_total", "counter", "Records that a sink took out of its queue.", offsetof(weir_sink_account, delivered)},
        {"sink_dropped_total", "counter", "Records that a sink's queue dropped.", offsetof(weir_sink_account, dropped)},
        {"sink_queued", "gauge", "Records in a sink's queue.", offsetof(weir_sink_account, queued)},
        {"sink_written_total", "counter", "Records that the other end has.", offsetof(weir_sink_account, written)},
        {"sink_buffered", "gauge", "Records that the other end has not acknowledged.", offsetof(weir_sink_account, buffered)},
        {"sink_lost_total", "counter", "Records that a sink gave up.", offsetof(weir_sink_account, lost)},
        {"sink_sent_again_total", "counter", "Records sent once more, since the first time was not acknowledged.", offsetof(weir_sink_account, again)},
        {"sink_doubles_total", "counter", "Of them those that the other end says it had.", offsetof(weir_sink_account, doubles)},
        {"sink_connects_total", "counter", "How often a sink reached its other end.", offsetof(weir_sink_account, connects)},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        head(out, figures[i].name, figures[i].type, figures[i].help);
        for (const list_node *at = n->sinks.head.next; at != &n->sinks.head; at = at->next) {
            const node_sink *k = LIST_OWNER(at, node_sink, node);
            weir_sink_account a = sink_account_of(k);
            uint64_t value;
            memcpy(&value, (const char *)&a + figures[i].at, sizeof value);
            sink_line(out, figures[i].name, k);
            buf_add_fmt(out, "%llu\n", (unsigned long long)value);
        }
    }
    head(out, "sink_up", "gauge", "1 while a sink is open, 0 while it waits for its other end, has failed or is off.");
    for (const list_node *at = n->sinks.head.next; at != &n->sinks.head; at = at->next) {
        const node_sink *k = LIST_OWNER(at, node_sink, node);
        sink_line(out, "sink_up", k);
        buf_add_text(out, k->live && weir_sink_get_state(k->live) == WEIR_SINK_OPEN ? "1\n" : "0\n");
    }
    head(out, "sink_lag_seconds", "gauge", "Age of the oldest record that is queued or buffered.");
    for (const list_node *at = n->sinks.head.next; at != &n->sinks.head; at = at->next) {
        const node_sink *k = LIST_OWNER(at, node_sink, node);
        sink_line(out, "sink_lag_seconds", k);
        buf_add_fmt(out, "%.3f\n", (double)sink_account_of(k).lag_ns * 1e-9);
    }
}

static void of_store(buf *out, const node *n)
{
    const char *why;
    store_state state = store_get_state(n->store, &why);
    store_figures f = store_read_figures(n->store);
    one(out, "store_ok", "gauge", "1 when the store takes what it is given.", state == STORE_OK);
    one(out, "store_octets", "gauge", "Octets of the store's files.", f.octets);
    one(out, "history_octets", "gauge", "Octets of the history's files.", f.history_octets);
    one(out, "history_records", "gauge", "Records in the history.", f.history_records);
    one(out, "history_added_total", "counter", "Records given to the history. Added = written + lost + waiting.", f.added);
    one(out, "history_written_total", "counter", "Records of the history that are on the disk.", f.written);
    one(out, "history_lost_total", "counter", "Records that the history had to give up.", f.lost);
    one(out, "history_waiting", "gauge", "Records that wait for the disk.", f.waiting);
    head(out, "history_commit_max_seconds", "gauge", "The longest commit so far.");
    buf_add_fmt(out, "weir_history_commit_max_seconds %.6f\n", (double)f.commit_max_us * 1e-6);
}

/* The caller frees it; NULL: out of memory. */
static plugin_sums *sum_up(const node *n)
{
    size_t count = 0;
    for (const list_node *at = n->plugins.head.next; at != &n->plugins.head; at = at->next)
        count++;
    plugin_sums *all = calloc(count + 1, sizeof *all), *s = all;
    for (const list_node *at = n->plugins.head.next; all && at != &n->plugins.head; at = at->next)
        *s++ = plugin_sum_up(LIST_OWNER(at, node_plugin, node));
    return all;
}

weir_code node_metrics(node *n, buf *out)
{
    plugin_sums *sums = sum_up(n);
    connection_sums *by_connection = sum_up_connections(n);
    if (!sums || !by_connection) {
        free(sums);
        free(by_connection);
        return WEIR_NOMEM;
    }
    head(out, "build_info", "gauge", "Always 1; the version is a label.");
    buf_add_fmt(out, "weir_build_info{version=\"%s\",", weir_version());
    label(out, "node", n->name);
    buf_add_text(out, "} 1\n");
    head(out, "uptime_seconds", "gauge", "Since the node was started.");
    buf_add_fmt(out, "weir_uptime_seconds %.3f\n", (double)(clock_mono() - n->started_mono) * 1e-9);
    one(out, "memory_resident_octets", "gauge", "Resident memory of the process.", resident_octets());
    head(out, "cpu_seconds_total", "counter", "Processor time of the process.");
    buf_add_fmt(out, "weir_cpu_seconds_total %.3f\n", (double)cpu_ms() * 1e-3);
    of_account(out, n);
    of_streams(out, n);
    of_plugins(out, n, sums);
    of_turns(out, n, sums);
    free(sums);
    of_connections(out, n, by_connection);
    free(by_connection);
    of_sinks(out, n);
    of_store(out, n);
    return out->failed ? WEIR_NOMEM : WEIR_OK;
}
