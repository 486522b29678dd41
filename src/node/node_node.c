/* What a node says of itself as a whole: its account, what lives on it, its store, its audit, the topics of its history. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "node/inside.h"

uint64_t resident_octets(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        if (fscanf(f, "%llu %llu", &size, &resident) != 2)
            resident = 0;
        fclose(f);
    }
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t cpu_ms(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u))
        return 0;
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 + (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static void put_account(buf *out, const node *n)
{
    weir_account a;
    weir_host_account(n->host, &a);
    json_put_key(out, "account");
    buf_add_char(out, '{');
    member_u64(out, "received", a.received);
    member_u64(out, "taken", a.taken);
    member_u64(out, "published", a.published);
    member_u64(out, "offered", a.offered);
    member_u64(out, "delivered", a.delivered);
    member_u64(out, "dropped", a.dropped);
    member_u64(out, "queued", a.queued);
    member_u64(out, "waiting", a.waiting);
    member_u64(out, "lost", a.lost);
    member_u64(out, "unread", a.unread);
    member_u64(out, "gaps", a.gaps);
    member_u64(out, "restarts", a.restarts);
    member_u64(out, "doubles", a.doubles);
    member_u64(out, "repeats", a.repeats);
    buf_add_char(out, '}');
}

static void put_states(buf *out, const node *n)
{
    static const char *const states[] = {"connecting", "live", "waiting", "stopping", "closed", "failed", "off"};
    uint64_t counts[sizeof states / sizeof *states] = {0};
    for (const list_node *at = n->streams.head.next; at != &n->streams.head; at = at->next) {
        const char *why, *state = stream_state_text(LIST_OWNER(at, node_stream, node), &why);
        for (size_t i = 0; i < sizeof states / sizeof *states; i++)
            counts[i] += !strcmp(states[i], state);
    }
    json_put_key(out, "streams");
    buf_add_char(out, '{');
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        member_u64(out, states[i], counts[i]);
    buf_add_char(out, '}');
}

static void put_store(buf *out, const node *n)
{
    const char *why = "";
    store_state state = store_get_state(n->store, &why);
    store_figures f = store_read_figures(n->store);
    json_put_key(out, "store");
    buf_add_char(out, '{');
    member_text(out, "state", store_state_name(state));
    member_text(out, "why", why);
    member_u64(out, "octets", f.octets);
    member_u64(out, "history_octets", f.history_octets);
    member_u64(out, "history_records", f.history_records);
    member_u64(out, "added", f.added);
    member_u64(out, "written", f.written);
    member_u64(out, "lost", f.lost);
    member_u64(out, "waiting", f.waiting);
    member_u64(out, "commits", f.commits);
    member_u64(out, "commit_max_us", f.commit_max_us);
    buf_add_char(out, '}');
}

static void read_node(ask *a)
{
    const node *n = a->n;
    buf out;
    buf_init(&out, 1 << 20);
    buf_add_char(&out, '{');
    member_text(&out, "name", n->name);
    member_text(&out, "version", weir_version());
    member_time(&out, "started_at", n->started_at);
    member_u64(&out, "uptime_s", (clock_mono() - n->started_mono) / NS_PER_S);
    member_bool(&out, "demo", n->demo);
    put_account(&out, n);
    member_u64(&out, "plugins", list_count(&n->plugins));
    member_u64(&out, "connections", list_count(&n->connections));
    member_u64(&out, "sinks", list_count(&n->sinks));
    put_states(&out, n);
    member_u64(&out, "memory_octets", resident_octets());
    member_u64(&out, "cpu_ms", cpu_ms());
    put_store(&out, n);
    if (n->share) {
        json_put_key(&out, "cluster");
        n->share->put_json(n->share->arg, &out);
    }
    buf_add_char(&out, '}');
    ask_done(a, false, &out);
    buf_fini(&out);
}

/* ---- audit.list ---- */

static void on_audit(void *arg, weir_code code, bytes json, const char *error)
{
    ask *a = arg;
    buf out;
    if (code) {
        ask_fail(a, code, "the store: %s", error ? error : "");
        return;
    }
    buf_init(&out, SIZE_MAX);
    buf_add_bytes(&out, json);
    ask_done(a, false, &out);
    buf_fini(&out);
}

static bool number_of(ask *a, const char *name, uint64_t *out)
{
    char *text = json_text(a->query, name);
    bool fine = !text || is_number(text);
    if (text && fine)
        *out = strtoull(text, NULL, 10);
    if (!fine)
        ask_fail(a, WEIR_INVALID, "%s: '%s' is no number", name, text);
    free(text);
    return fine;
}

static void list_audit(ask *a)
{
    uint64_t limit = 100, before = 0;
    if (number_of(a, "limit", &limit) && number_of(a, "before", &before))
        store_audit_read(a->n->store, before, (uint32_t)(limit > 10000 ? 10000 : limit), on_audit, a);
}

/* ---- history.topics ---- */

typedef struct topics {
    buf out;
    const char *pattern;
    bool any, of_one; /* only of `connection` */
    uint64_t connection;
} topics;

static void on_topic(void *arg, const store_topic *t)
{
    topics *all = arg;
    buf *out = &all->out;
    if ((*all->pattern && !topic_match(bytes_of(all->pattern), bytes_of(t->topic))) || (all->of_one && (!t->has_connection || t->connection != all->connection)))
        return;
    buf_add_text(out, all->any ? ",{" : "{");
    all->any = true;
    member_text(out, "topic", t->topic);
    if (t->envelope.len > 2) { /* its members */
        buf_add_char(out, ',');
        buf_add(out, t->envelope.at + 1, t->envelope.len - 2);
    }
    member_u64(out, "records", t->records);
    member_u64(out, "octets", t->octets);
    member_time(out, "first", t->first_ns);
    member_time(out, "last", t->last_ns);
    json_put_key(out, "last_seq");
    buf_add_fmt(out, "\"%llu\"}", (unsigned long long)t->last_seq);
}

static void list_topics(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    topics all = {.any = false};
    char *pattern = json_text(a->query, "pattern");
    if (pattern && *pattern && topic_pattern_check(bytes_of(pattern), &err)) {
        free(pattern);
        ask_fail_with(a, &err);
        return;
    }
    all.of_one = json_member(a->query, "connection").type == JSON_STRING;
    if (!number_of(a, "connection", &all.connection)) {
        free(pattern);
        return;
    }
    buf_init(&all.out, SIZE_MAX);
    all.pattern = pattern ? pattern : "";
    buf_add_text(&all.out, "{\"topics\":[");
    store_history_topics(a->n->store, on_topic, &all);
    buf_add_text(&all.out, "]}");
    free(pattern);
    ask_done(a, false, &all.out);
    buf_fini(&all.out);
}

const node_op node_ops[] = {
    {"node.read", read_node, 0},
    {"audit.list", list_audit, 0},
    {"history.topics", list_topics, 0},
    {NULL, NULL, 0},
};
