/* Wanted things: plugins, connections and streams as rows of the bucket, "want.KIND.HASH", with secrets sealed.
 *
 * A change made here is first written there, under the condition that nobody changed it since we last saw it; then it goes its
 * usual way. A change that comes from there is taken into the node, parents first (plugins, connections, streams; the other way
 * round when they go), one after the other. A node that begins compares what it has with what is there: the cluster is right. A node that
 * has things of its own and was in no cluster founds one where there is none, and is refused where there is. */
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/log.h"
#include "cluster/rows.h"

static const char *const kinds[] = {"plugin", "connection", "stream"};

static int kind_of(const char *kind)
{
    for (int i = 0; i < 3; i++)
        if (!strcmp(kinds[i], kind))
            return i;
    return -1;
}

void row_key(char out[ROW_KEY], const char *kind, const char *unique)
{
    char hash[KEY_TEXT];
    cluster_key(hash, bytes_of(unique));
    snprintf(out, ROW_KEY, "want.%s.%s", kind, hash);
}

/* Without memory: a row that is not found is taken for one that is gone. */
static bytes id_key(char out[ROW_NAME], const char *kind, const char *id)
{
    int len = snprintf(out, ROW_NAME, "%s:%s", kind, id);
    return bytes_make(out, (size_t)(len < ROW_NAME ? len : ROW_NAME - 1));
}

row *row_by_id(const cluster *c, const char *kind, const char *id)
{
    char name[ROW_NAME];
    return map_get(c->row_ids, id_key(name, kind, id));
}

bool row_name(cluster *c, row *r, const char *kind, const char *id)
{
    char name[ROW_NAME];
    if (r->id && !strcmp(r->id, id))
        return true;
    char *copy = strdup(id);
    if (!copy)
        return false;
    free(r->id);
    r->id = copy;
    r->kind = kind_of(kind);
    if (map_set(c->row_ids, id_key(name, kind, id), r, NULL))
        return true;
    free(r->id);
    r->id = NULL;
    return false;
}

row *row_of(cluster *c, const char *key)
{
    row *r = map_get(c->rows, bytes_of(key));
    if (r)
        return r;
    r = calloc(1, sizeof *r);
    if (!r || !map_set(c->rows, bytes_of(key), r, NULL)) {
        free(r);
        return NULL;
    }
    r->c = c;
    snprintf(r->key, sizeof r->key, "%s", key);
    buf_init(&r->json, 64u << 20);
    buf_init(&r->secret, 64u << 20);
    return r;
}

/* To be taken into the node, in its turn. */
void row_queue(row *r)
{
    cluster *c = r->c;
    if (r->kind < 0 || r->busy || r->revision == r->applied)
        return;
    list_remove(&r->node);
    list_push(&c->todo[r->deleted ? 5 - r->kind : r->kind], &r->node);
    rows_take(c);
}

/* ---- Out ---- */

typedef struct changing {
    row *row;
    store_done fn;
    void *arg;
    bool deleted;
    buf json, secret;
} changing;

static void changing_free(changing *g)
{
    buf_fini(&g->json);
    if (g->secret.at)
        explicit_bzero(g->secret.at, g->secret.cap);
    buf_fini(&g->secret);
    free(g);
}

static void on_changed(void *arg, const talk_answer *a)
{
    changing *g = arg;
    row *r = g->row;
    char text[300];
    const char *error = "";
    r->busy = false;
    if (a->code == WEIR_OK) {
        if (r->revision <= a->seq) { /* the watch may have brought it already, or even another one */
            r->revision = a->seq;
            r->deleted = g->deleted;
        }
        r->applied = a->seq;
    } else if (a->code == WEIR_BUSY) {
        error = "another node changed it at the same moment; look at it and try again";
    } else {
        snprintf(text, sizeof text, "%.150s; it is not known whether the change was taken, GET it when the cluster is there again", a->error);
        error = text;
    }
    g->fn(g->arg, a->code, error);
    row_queue(r);
    changing_free(g);
}

static void put_value(buf *out, const cluster *c, const char *kind, const char *id, bytes json, bytes secret)
{
    buf sealed;
    buf_add_char(out, '{');
    json_put_member(out, "kind", bytes_of(kind));
    json_put_member(out, "id", bytes_of(id));
    json_put_key(out, "row");
    buf_add_bytes(out, json);
    if (secret.len) {
        buf_init(&sealed, 64u << 20);
        store_seal(node_store(c->n), kind, id, secret, &sealed);
        json_put_key(out, "secret");
        buf_add_char(out, '"');
        base64_encode(out, buf_bytes(&sealed));
        buf_add_char(out, '"');
        out->failed |= sealed.failed;
        buf_fini(&sealed);
    }
    buf_add_char(out, '}');
}

void row_send(row *r, const char *kind, const char *id, bytes json, bytes secret, talk_done fn, void *arg)
{
    char subject[ROW_KEY + 32];
    buf value;
    snprintf(subject, sizeof subject, TALK_ROWS "%s", r->key);
    buf_init(&value, 64u << 20);
    if (json.len)
        put_value(&value, r->c, kind, id, json, secret);
    talk_note note = {.subject = subject, .data = buf_bytes(&value), .expects = true, .expect = r->revision, .deletes = !json.len};
    r->busy = true;
    talk_send(r->c->talk, &note, fn, arg);
    buf_fini(&value);
}

/* NULL: it may be changed now. */
static const char *refusal(const cluster *c, const row *r, const char *id, bool removes)
{
    if (c->state != CLUSTER_IN)
        return "the cluster cannot be reached, and what is wanted is changed there first; GET /v1/node says what is wrong";
    if (!r)
        return "out of memory";
    if (r->busy || r->revision != r->applied)
        return "another node, or another request, changes it at this moment; look at it and try again";
    if (!removes && r->id && !r->deleted && strcmp(r->id, id) != 0)
        return "another one of this kind was made on another node at the same moment; look at the list";
    return NULL;
}

void rows_change(void *arg, const char *kind, const char *id, const char *unique, bytes json, bytes secret, store_done fn, void *fn_arg)
{
    cluster *c = arg;
    char key[ROW_KEY];
    row *r = row_by_id(c, kind, id);
    row_key(key, kind, unique ? unique : id);
    if (!r)
        r = row_of(c, key);
    const char *why = refusal(c, r, id, !json.len);
    changing *g = why ? NULL : calloc(1, sizeof *g);
    if (!g || !row_name(c, r, kind, id)) {
        free(g);
        fn(fn_arg, c->state != CLUSTER_IN ? WEIR_CLOSED : why ? WEIR_BUSY
                                                              : WEIR_NOMEM,
           why ? why : "out of memory");
        return;
    }
    *g = (changing){.row = r, .fn = fn, .arg = fn_arg, .deleted = !json.len};
    row_send(r, kind, id, json, secret, on_changed, g);
}

/* ---- In ---- */

/* False: out of memory. */
static bool read_value(row *r, bytes data)
{
    json doc, secret;
    bytes text;
    r->kind = -1;
    if (json_read(&doc, data, NULL))
        return true;
    char *kind = json_string_dup(json_member(doc, "kind")), *id = json_string_dup(json_member(doc, "id"));
    buf_clear(&r->json);
    buf_clear(&r->secret);
    buf_add_bytes(&r->json, json_member(doc, "row").raw);
    secret = json_member(doc, "secret");
    bool known = kind && id && kind_of(kind) >= 0, kept = !known || row_name(r->c, r, kind, id);
    if (known && kept)
        r->kind = kind_of(kind);
    bool read = kept && !r->json.failed && (kind || json_member(doc, "kind").type != JSON_STRING) && (id || json_member(doc, "id").type != JSON_STRING);
    if (r->kind >= 0 && json_string_slice(secret, &text)) {
        buf sealed;
        buf_init(&sealed, 64u << 20);
        if (base64_decode(&sealed, text, NULL) || !store_unseal(node_store(r->c->n), kind, id, buf_bytes(&sealed), &r->secret))
            log_error("cluster", "%s %s: its secret cannot be opened; it was sealed with another key", kind, id);
        read = read && !sealed.failed && !r->secret.failed;
        buf_fini(&sealed);
    }
    free(kind);
    free(id);
    return read;
}

void rows_on_row(cluster *c, const char *key, const talk_message *m)
{
    if (strlen(key) >= ROW_KEY)
        return;
    row *r = row_of(c, key);
    if (r && m->seq <= r->revision)
        return;
    if (!r || (!m->deleted && !read_value(r, m->data))) { /* it comes again */
        cluster_blind(c);
        return;
    }
    r->revision = m->seq;
    r->deleted = m->deleted;
    if (m->deleted && !r->id)
        r->kind = -1; /* never known here */
    if (r->kind < 0)
        list_remove(&r->node); /* it waited as what it was before */
    if (!r->busy)
        row_queue(r);
}

/* ---- Taking ---- */

static void on_taken(void *arg, weir_code code, const char *error)
{
    row *r = arg;
    cluster *c = r->c;
    c->taking = NULL;
    r->applied = r->takes;
    if (code == WEIR_NOT_FOUND && !r->deleted && r->kind >= 0) {
        r->applied = 0;
        list_push(&c->orphans, &r->node); /* until what it stands on comes */
    } else if (code) {
        log_error("cluster", "what another node changed cannot be done here: %s", error);
    } else if (r->kind >= 0 && r->kind < 2) {
        for (list_node *at; (at = list_pop(&c->orphans));) {
            row *o = LIST_OWNER(at, row, node);
            list_push(&c->todo[o->kind], &o->node);
        }
    }
    if (r->revision != r->takes)
        row_queue(r);
    if (r->deleted)
        buf_clear(&r->json);
    rows_take(c);
    cluster_look(c);
}

static void take(row *r)
{
    if (r->kind < 0) { /* it has become something unknown while its modules came */
        on_taken(r, WEIR_OK, "");
        return;
    }
    node_take_row(r->c->n, kinds[r->kind], r->id, r->deleted ? BYTES("") : buf_bytes(&r->json), buf_bytes(&r->secret), on_taken, r);
}

static void need_modules(row *r);

static void on_module(void *arg, weir_code code, const char *error)
{
    row *r = arg;
    if (code) { /* tried again with the next tick */
        log_warn("cluster", "plugin '%s': a module of it cannot be fetched: %s", r->id, error);
        r->c->taking = NULL;
        if (r->kind >= 0)
            list_push(&r->c->todo[r->kind], &r->node);
        return;
    }
    need_modules(r);
}

/* All that the row names, one after the other; then the row. */
static void need_modules(row *r)
{
    json doc, key, item;
    if (!r->deleted && !json_read(&doc, buf_bytes(&r->json), NULL)) {
        json versions = json_member(doc, "versions");
        if (versions.type == JSON_ARRAY)
            for (json_iter it = json_each(versions); json_next(&it, &key, &item);) {
                char *sha = json_string_dup(json_member(item, "sha256"));
                bool there = !sha || module_is_here(r->c, sha);
                if (!there)
                    module_get(r->c, sha, on_module, r);
                free(sha);
                if (!there)
                    return;
            }
    }
    take(r);
}

void rows_take(cluster *c)
{
    if (c->taking || !c->settled)
        return;
    for (int i = 0; i < 6; i++) {
        list_node *at = list_pop(&c->todo[i]);
        row *r = at ? LIST_OWNER(at, row, node) : NULL;
        if (!r)
            continue;
        c->taking = r;
        r->takes = r->revision;
        if (r->kind == 0)
            need_modules(r);
        else
            take(r);
        return;
    }
}

/* ---- Numbers ---- */

static void on_numbers(void *arg, const talk_answer *a)
{
    cluster *c = arg;
    c->numbers_asked = false;
    if (a->code)
        return;
    c->numbers_at = c->numbers_wanted;
    c->numbers_end = c->numbers_wanted + NUMBERS;
}

void numbers_need(cluster *c)
{
    buf body;
    if (c->numbers_asked || c->numbers_at + NUMBERS / 10 < c->numbers_end || c->state != CLUSTER_IN)
        return;
    buf_init(&body, 256);
    c->numbers_wanted = c->numbers_next > c->own_max ? c->numbers_next : c->own_max + 1;
    buf_add_fmt(&body, "{\"next\":%llu}", (unsigned long long)(c->numbers_wanted + NUMBERS));
    talk_note note = {.subject = TALK_ROWS "numbers", .data = buf_bytes(&body), .expects = true, .expect = c->numbers_revision};
    c->numbers_asked = true;
    talk_send(c->talk, &note, on_numbers, c);
    buf_fini(&body);
}

void numbers_on_row(cluster *c, const talk_message *m)
{
    json doc;
    if (m->seq <= c->numbers_revision)
        return;
    c->numbers_revision = m->seq;
    if (!json_read(&doc, m->data, NULL))
        json_u64(json_member(doc, "next"), &c->numbers_next);
}

uint64_t numbers_take(void *arg, const char *kind)
{
    cluster *c = arg;
    (void)kind;
    if (c->state != CLUSTER_IN || c->numbers_at >= c->numbers_end)
        return 0;
    uint64_t id = c->numbers_at++;
    numbers_need(c);
    return id;
}

void rows_end(cluster *c)
{
    size_t at = 0;
    bytes key;
    void *value;
    while (c->rows && map_each(c->rows, &at, &key, &value)) {
        row *r = value;
        buf_fini(&r->json);
        if (r->secret.at)
            explicit_bzero(r->secret.at, r->secret.cap);
        buf_fini(&r->secret);
        free(r->id);
        free(r);
    }
    map_free(c->rows);
    map_free(c->row_ids);
    own_free(c);
}
