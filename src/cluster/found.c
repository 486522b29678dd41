/* The beginning: is this node one of the cluster's? A row "meta" says which cluster it is, by which key its secrets are sealed,
 * and who founded it. The founder brings what it has there, modules first. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/rand.h"
#include "cluster/rows.h"

static const char *const kinds[] = {"plugin", "connection", "stream"};

/* ---- What this node has ---- */

typedef struct reading {
    cluster *c;
    int kind;
    bool failed;
} reading;

static void on_own(void *arg, const char *id, bytes json, bytes secret, bool sealed)
{
    reading *g = arg;
    own_row *o = calloc(1, sizeof *o);
    (void)sealed;
    if (!o || !(o->id = strdup(id))) {
        free(o);
        g->failed = true;
        return;
    }
    o->kind = g->kind;
    buf_init(&o->json, 64u << 20);
    buf_init(&o->secret, 64u << 20);
    buf_add_bytes(&o->json, json);
    buf_add_bytes(&o->secret, secret);
    g->failed |= o->json.failed || o->secret.failed;
    list_push(&g->c->own, &o->node);
    uint64_t number = g->kind ? strtoull(id, NULL, 10) : 0;
    if (number > g->c->own_max)
        g->c->own_max = number;
}

static void on_joined_row(void *arg, const char *id, bytes row, bytes secret, bool sealed)
{
    cluster *c = arg;
    json doc;
    (void)secret, (void)sealed;
    if (!strcmp(id, "node") && !json_read(&doc, row, NULL)) {
        char *own = json_string_dup(json_member(doc, "id")), *joined = json_string_dup(json_member(doc, "cluster"));
        snprintf(c->id, sizeof c->id, "%s", own ? own : "");
        snprintf(c->joined, sizeof c->joined, "%s", joined ? joined : "");
        free(own);
        free(joined);
    }
}

static void keep_joined(cluster *c)
{
    buf row;
    buf_init(&row, 256);
    buf_add_fmt(&row, "{\"id\":\"%s\",\"cluster\":\"%s\"}", c->id, c->joined);
    store_put(node_store(c->n), "cluster", "node", buf_bytes(&row), BYTES(""), NULL, NULL);
    buf_fini(&row);
}

void random_id(char out[ID_TEXT])
{
    unsigned char chance[8];
    rand_bytes(chance, sizeof chance);
    for (size_t i = 0; i < sizeof chance; i++)
        snprintf(out + 2 * i, 3, "%02x", chance[i]);
}

weir_code rows_begin(cluster *c, weir_error *err)
{
    reading g = {.c = c};
    weir_code code = store_load(node_store(c->n), "cluster", on_joined_row, c, err);
    for (g.kind = 0; g.kind < 3 && !code; g.kind++)
        code = store_load(node_store(c->n), kinds[g.kind], on_own, &g, err);
    if (!code && g.failed)
        code = error_set(err, WEIR_NOMEM, "out of memory");
    if (!code && !*c->id) {
        random_id(c->id);
        keep_joined(c);
    }
    return code;
}

static void own_drop(own_row *o)
{
    list_remove(&o->node);
    buf_fini(&o->json);
    if (o->secret.at)
        explicit_bzero(o->secret.at, o->secret.cap);
    buf_fini(&o->secret);
    free(o->id);
    free(o);
}

void own_free(cluster *c)
{
    while (!list_empty(&c->own))
        own_drop(LIST_OWNER(c->own.head.next, own_row, node));
}

/* ---- Meta ---- */

/* A node that was in a cluster makes none: where that one's data is gone somebody has to say what is right. */
static void on_meta_looked(void *arg, const talk_answer *a)
{
    cluster *c = arg;
    c->meta_asked = a->code == WEIR_OK || a->code == WEIR_NOT_FOUND;
    if (a->code == WEIR_NOT_FOUND)
        cluster_refuse(c, "NATS does not have the data of this node's cluster (%s): restore it there, or give the nodes an empty data_dir", c->joined);
}

static void on_meta_made(void *arg, const talk_answer *a)
{
    cluster *c = arg;
    c->meta_asked = a->code == WEIR_OK || a->code == WEIR_BUSY; /* else with the next tick */
}

void meta_ask(cluster *c)
{
    char id[ID_TEXT];
    buf body;
    if (c->meta_asked || c->leaving)
        return;
    c->meta_asked = true;
    if (*c->joined) {
        talk_last(c->talk, TALK_ROWS_STREAM, TALK_ROWS "meta", on_meta_looked, c);
        return;
    }
    random_id(id);
    buf_init(&body, 1024);
    buf_add_fmt(&body, "{\"id\":\"%s\",\"key\":\"%s\",\"founder\":\"%s\"}", id, c->print, c->id);
    talk_note note = {.subject = TALK_ROWS "meta", .data = buf_bytes(&body), .expects = true, .expect = 0};
    talk_send(c->talk, &note, on_meta_made, c);
    buf_fini(&body);
}

void meta_on_row(cluster *c, const talk_message *m)
{
    json doc;
    if (m->deleted || json_read(&doc, m->data, NULL))
        return;
    char *id = json_string_dup(json_member(doc, "id")), *key = json_string_dup(json_member(doc, "key")), *founder = json_string_dup(json_member(doc, "founder"));
    snprintf(c->meta, sizeof c->meta, "%s", id ? id : "");
    c->other_key = !key || strcmp(key, c->print) != 0;
    c->founding = founder && !strcmp(founder, c->id);
    free(id);
    free(key);
    free(founder);
}

/* ---- Settling ---- */

/* What is here exactly as there needs no taking; what is here alone was removed meanwhile. */
static void compare(cluster *c)
{
    for (list_node *at = c->own.head.next; at != &c->own.head; at = at->next) {
        own_row *o = LIST_OWNER(at, own_row, node);
        row *r = row_by_id(c, kinds[o->kind], o->id);
        char key[ROW_KEY];
        o->met = r && !r->deleted;
        if (o->met) {
            if (bytes_equal(buf_bytes(&o->json), buf_bytes(&r->json)) && bytes_equal(buf_bytes(&o->secret), buf_bytes(&r->secret))) {
                list_remove(&r->node);
                r->applied = r->revision;
            }
            continue;
        }
        row_key(key, kinds[o->kind], o->id);
        if (!r && (r = row_of(c, key)))
            row_name(c, r, kinds[o->kind], o->id);
        if (!r)
            continue;
        log_info("cluster", "%s %s was removed while this node was away", kinds[o->kind], o->id);
        r->deleted = true;
        r->applied = 0;
        r->revision = r->revision ? r->revision : 1;
        row_queue(r);
    }
    own_free(c);
}

static void settled(cluster *c)
{
    c->settled = true;
    if (strcmp(c->joined, c->meta) != 0) {
        memcpy(c->joined, c->meta, sizeof c->joined);
        keep_joined(c);
    }
    rows_take(c);
    if (c->state == CLUSTER_LOADING)
        cluster_enter(c, CLUSTER_JOINING, "what is wanted is known; its session is being begun");
    session_join(c);
}

/* ---- Founding: one row after the other ---- */

static void bring_next(cluster *c);

static void on_brought(void *arg, const talk_answer *a)
{
    own_row *o = arg;
    cluster *c = o->c;
    row *r = row_by_id(c, kinds[o->kind], o->id);
    c->bringing = false;
    if (r)
        r->busy = false;
    if (a->code && a->code != WEIR_BUSY) {
        log_warn("cluster", "%s %s cannot be brought into the cluster: %s; it is tried again", kinds[o->kind], o->id, a->error);
        return;
    }
    if (r && !a->code)
        r->revision = r->applied = a->seq;
    own_drop(o);
    bring_next(c);
}

typedef struct finding {
    const char *id;
    char name[RECORD_NAME_ROOM];
} finding;

static void find_name(void *arg, const node_stream_view *v)
{
    finding *f = arg;
    if (!strcmp(v->id, f->id))
        snprintf(f->name, sizeof f->name, "%.*s", (int)v->name.len, v->name.at);
}

static void bring_row(own_row *o)
{
    cluster *c = o->c;
    char key[ROW_KEY];
    finding f = {.id = o->id};
    if (o->kind == 2)
        node_streams_each(c->n, find_name, &f);
    row_key(key, kinds[o->kind], *f.name ? f.name : o->id);
    row *r = row_of(c, key);
    if (!r || !row_name(c, r, kinds[o->kind], o->id)) {
        c->bringing = false;
        return;
    }
    row_send(r, kinds[o->kind], o->id, buf_bytes(&o->json), buf_bytes(&o->secret), on_brought, o);
}

static void bring_modules(own_row *o, size_t from);

static void on_module_brought(void *arg, weir_code code, const char *error)
{
    own_row *o = arg;
    if (code) {
        o->c->bringing = false;
        log_warn("cluster", "plugin '%s': a module cannot be brought into the cluster: %s; it is tried again", o->id, error);
        return;
    }
    bring_modules(o, o->modules + 1);
}

static void bring_modules(own_row *o, size_t from)
{
    json doc, key, item;
    size_t at = 0;
    o->modules = from;
    json versions = {0};
    if (!json_read(&doc, buf_bytes(&o->json), NULL))
        versions = json_member(doc, "versions");
    if (versions.type == JSON_ARRAY)
        for (json_iter it = json_each(versions); json_next(&it, &key, &item); at++) {
            if (at != from)
                continue;
            char *sha = json_string_dup(json_member(item, "sha256"));
            module_bring(o->c, sha ? sha : "", on_module_brought, o);
            free(sha);
            return;
        }
    bring_row(o);
}

static void bring_next(cluster *c)
{
    if (list_empty(&c->own)) {
        log_info("cluster", "this node has founded the cluster %s", c->meta);
        settled(c);
        return;
    }
    own_row *o = LIST_OWNER(c->own.head.next, own_row, node);
    o->c = c;
    c->bringing = true;
    if (o->kind == 0)
        bring_modules(o, 0);
    else
        bring_row(o);
}

void cluster_refuse(cluster *c, const char *format, ...)
{
    char text[sizeof c->why];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    session_lapse(c);
    c->settled = false;
    cluster_enter(c, CLUSTER_REFUSED, "%s", text);
}

bool rows_settle(cluster *c)
{
    if (!*c->meta || c->blind)
        return false;
    if (c->settled && !strcmp(c->joined, c->meta))
        return true;
    if (c->other_key) {
        cluster_refuse(c, "this node's key for secrets is another than the cluster's: give all nodes the same key (secrets.key_file)");
        return false;
    }
    bool member = !strcmp(c->joined, c->meta);
    if (*c->joined && !member) {
        cluster_refuse(c, "this node's data is of another cluster (%s, this one is %s): give it an empty data_dir, or the right NATS", c->joined, c->meta);
        return false;
    }
    if (!member && c->founding) {
        if (!c->bringing)
            bring_next(c);
        return false;
    }
    if (!member && !list_empty(&c->own)) {
        cluster_refuse(c, "this node has plugins, connections or streams of its own, and the cluster has others: join with an empty data_dir");
        return false;
    }
    compare(c);
    settled(c);
    return true;
}
