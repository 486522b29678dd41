/* A plugin as the API shows it: what its latest version says of itself, the state, the version that waits with the difference of
 * what it asks for, and the figures of all its connections and streams together. */
#include "node/plugins.h"

static const char *state_of(const node_plugin *p)
{
    if (!p->enabled)
        return "disabled";
    if (!*p->active)
        return "pending";
    return p->compiling ? "compiling" : p->why ? "failed"
                                               : "ready";
}

/* What a version asks for beyond what is granted, and what of that it does without. */
static void put_difference(buf *out, json asks, json grants)
{
    json_put_key(out, "adds");
    put_beyond(out, asks, grants);
    json_put_key(out, "removes");
    put_beyond(out, grants, asks);
}

static void put_versions(buf *out, const node_plugin *p)
{
    static const char *const members[] = {"sha256", "version", "size", "installed_at", "file_name", "asks"};
    json grants = {0};
    json_read(&grants, bytes_of(p->grants), NULL);
    json_put_key(out, "versions");
    buf_add_char(out, '[');
    for (size_t i = 0; i < p->version_count; i++) {
        json doc = {0};
        buf_add_text(out, i ? ",{" : "{");
        if (!json_read(&doc, bytes_of(p->versions[i].json), NULL))
            for (size_t m = 0; m < sizeof members / sizeof *members; m++) {
                json_put_key(out, members[m]);
                buf_add_bytes(out, json_member(doc, members[m]).raw);
            }
        put_difference(out, json_member(doc, "asks"), grants);
        member_bool(out, "active", !strcmp(p->active, p->versions[i].sha256));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void put_pending(buf *out, const node_plugin *p)
{
    const node_version *v = plugin_version(p, p->pending);
    json grants;
    json_put_key(out, "pending");
    if (!v || json_read(&grants, bytes_of(p->grants), NULL)) {
        buf_add_text(out, "null");
        return;
    }
    json asks = version_member(v, "asks");
    buf_add_char(out, '{');
    member_text(out, "sha256", v->sha256);
    json_put_key(out, "version");
    buf_add_bytes(out, version_member(v, "version").raw);
    json_put_key(out, "asks");
    buf_add_bytes(out, asks.raw);
    put_difference(out, asks, grants);
    buf_add_char(out, '}');
}

static void add_connection(plugin_sums *s, weir_plugin *live)
{
    size_t instances;
    s->traps += weir_plugin_traps(live);
    s->memory += weir_plugin_memory(live, &instances);
    s->memory_limit += instances * weir_plugin_memory_limit(live);
    s->instances += instances;
    meter_add(&s->meter, weir_plugin_meter(live));
}

static void add_stream(plugin_sums *s, const node_stream *t)
{
    const record_counts *c = record_stream_counts(t->records);
    s->streams++;
    s->messages += c->received;
    s->records += c->published;
    s->gaps += c->gaps;
    s->restarts += c->restarts;
}

plugin_sums plugin_sum_up(const node_plugin *p)
{
    const node *n = p->n;
    plugin_sums s = {.traps = p->traps};
    meter_add(&s.meter, &p->meter);
    for (const list_node *at = n->connections.head.next; at != &n->connections.head; at = at->next) {
        const node_connection *c = LIST_OWNER(at, node_connection, node);
        if (c->plugin != p)
            continue;
        s.connections++;
        if (c->live)
            add_connection(&s, c->live);
    }
    for (const list_node *at = n->streams.head.next; at != &n->streams.head; at = at->next) {
        const node_stream *t = LIST_OWNER(at, node_stream, node);
        if (t->connection->plugin == p)
            add_stream(&s, t);
    }
    return s;
}

static void put_last_trap(buf *out, const node_plugin *p)
{
    json_put_key(out, "last_trap");
    for (const list_node *at = p->n->connections.head.next; at != &p->n->connections.head; at = at->next) {
        const node_connection *c = LIST_OWNER(at, node_connection, node);
        json doc, key, first;
        if (c->plugin != p || !c->live || !weir_plugin_traps(c->live) || json_read(&doc, bytes_of(weir_plugin_why(c->live)), NULL))
            continue;
        json_iter it = json_each(doc);
        if (doc.type == JSON_ARRAY && json_next(&it, &key, &first)) {
            buf_add_bytes(out, first.raw);
            return;
        }
    }
    buf_add_text(out, p->last_trap ? p->last_trap : "null");
}

static void put_figures(buf *out, const plugin_sums *s)
{
    json_put_key(out, "figures");
    buf_add_char(out, '{');
    member_u64(out, "streams", s->streams);
    member_u64(out, "messages", s->messages);
    member_u64(out, "records", s->records);
    member_u64(out, "gaps", s->gaps);
    member_u64(out, "traps", s->traps);
    member_u64(out, "restarts", s->restarts);
    member_u64(out, "calls", s->meter.turns);
    member_u64(out, "call_p50_us", (meter_quantile(&s->meter, 0.5) + 999) / 1000);
    member_u64(out, "call_p99_us", (meter_quantile(&s->meter, 0.99) + 999) / 1000);
    member_u64(out, "cpu_ms", s->meter.cpu_ns / NS_PER_MS);
    member_u64(out, "instances", s->instances);
    member_u64(out, "memory_octets", s->memory);
    member_u64(out, "memory_limit_octets", s->memory_limit);
    buf_add_char(out, '}');
}

void plugin_put(buf *out, const node_plugin *p)
{
    static const char *const from_version[] = {"name", "description", "version", "generation", "sha256", "size", "installed_at", "asks", "fields", "stream_types", "timeframes", "commands"};
    const node_version *v = plugin_latest(p);
    plugin_sums s = plugin_sum_up(p);
    json doc = {0};
    buf_add_char(out, '{');
    member_text(out, "id", p->id);
    if (v)
        json_read(&doc, bytes_of(v->json), NULL);
    for (size_t i = 0; i < sizeof from_version / sizeof *from_version; i++) {
        json member = json_member(doc, from_version[i]);
        json_put_key(out, from_version[i]);
        buf_add_bytes(out, member.type == JSON_NONE ? BYTES("null") : member.raw);
    }
    member_bool(out, "enabled", p->enabled);
    member_text(out, "state", state_of(p));
    member_text(out, "why", p->why);
    member_raw(out, "grants", p->grants);
    put_versions(out, p);
    put_pending(out, p);
    member_u64(out, "connections", s.connections);
    put_figures(out, &s);
    put_last_trap(out, p);
    buf_add_char(out, '}');
}
