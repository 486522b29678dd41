/* What pages keep for their users (layouts): JSON under a name of each user's own, taken and given as it is. */
#include <stdio.h>
#include <stdlib.h>

#include "node/inside.h"

#define UI_MAX (256u << 10)
#define UI_NAMES 1000
#define NAME_MAX_OCTETS 200
#define KEY_MAX 512

typedef struct kept {
    list_node node;
    char *name, *json; /* the name is "WHO/NAME" */
} kept;

/* "WHO/NAME"; false: there is no name, or a long one. */
static bool key_of(const ask *a, char out[KEY_MAX])
{
    const char *name = a->name ? a->name : a->id;
    if (!name || !*name || strlen(name) > NAME_MAX_OCTETS)
        return false;
    return snprintf(out, KEY_MAX, "%s/%s", a->who ? a->who : "", name) < KEY_MAX;
}

static kept *find(const node *n, const char *name)
{
    for (const list_node *at = n->ui.head.next; at != &n->ui.head; at = at->next) {
        kept *k = LIST_OWNER(at, kept, node);
        if (!strcmp(k->name, name))
            return k;
    }
    return NULL;
}

static kept *add(node *n, const char *name, bytes text)
{
    kept *k = calloc(1, sizeof *k);
    if (!k || !(k->name = strdup(name)) || !(k->json = bytes_dup(text))) {
        if (k)
            free(k->name);
        free(k);
        return NULL;
    }
    list_push(&n->ui, &k->node);
    return k;
}

static void drop(kept *k)
{
    list_remove(&k->node);
    free(k->name);
    free(k->json);
    free(k);
}

void ui_free(node *n)
{
    while (!list_empty(&n->ui))
        drop(LIST_OWNER(n->ui.head.next, kept, node));
}

typedef struct loading {
    node *n;
    bool failed;
} loading;

static void on_row(void *arg, const char *id, bytes row, bytes secret, bool sealed)
{
    loading *l = arg;
    (void)secret, (void)sealed;
    l->failed |= !add(l->n, id, row);
}

weir_code ui_load(node *n, weir_error *err)
{
    loading l = {n, false};
    weir_code code = store_load(n->store, "ui", on_row, &l, err);
    return !code && l.failed ? error_set(err, WEIR_NOMEM, "out of memory") : code;
}

/* ---- Operations ---- */

static void list_names(ask *a)
{
    buf out;
    bool first = true;
    size_t len = strlen(a->who ? a->who : "");
    buf_init(&out, 16u << 20);
    buf_add_text(&out, "{\"ui\":[");
    for (const list_node *at = a->n->ui.head.next; at != &a->n->ui.head; at = at->next) {
        const kept *k = LIST_OWNER(at, kept, node);
        if (strncmp(k->name, a->who ? a->who : "", len) != 0 || k->name[len] != '/')
            continue;
        buf_add_text(&out, first ? "" : ",");
        json_put_text(&out, k->name + len + 1);
        first = false;
    }
    buf_add_text(&out, "]}");
    ask_done(a, false, &out);
    buf_fini(&out);
}

static kept *asked(ask *a, char key[KEY_MAX])
{
    kept *k = key_of(a, key) ? find(a->n, key) : NULL;
    if (!k)
        ask_fail(a, WEIR_NOT_FOUND, "nothing is kept under the name '%s'; GET /v1/ui lists the names", a->name ? a->name : a->id ? a->id
                                                                                                                                 : "");
    return k;
}

static void read_one(ask *a)
{
    char key[KEY_MAX];
    const kept *k = asked(a, key);
    buf out;
    if (!k)
        return;
    buf_init(&out, UI_MAX + 1);
    buf_add_text(&out, k->json);
    ask_done(a, false, &out);
    buf_fini(&out);
}

static void put(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    json doc;
    char key[KEY_MAX] = "";
    bool there = key_of(a, key) && find(a->n, key);
    if (!*key)
        error_set(&err, WEIR_INVALID, "a name of 1 to %d octets is needed", NAME_MAX_OCTETS);
    else if (a->body.len > UI_MAX)
        error_set(&err, WEIR_LIMIT, "more than %u octets are not kept", UI_MAX);
    else if (!there && list_count(&a->n->ui) >= UI_NAMES)
        error_set(&err, WEIR_LIMIT, "%d layouts are kept already; delete one", UI_NAMES);
    else if (!json_read(&doc, buf_bytes(&a->body), &err) && !put_and_wait(a->n, "ui", key, &a->body, BYTES(""), &err)) {
        kept *k = find(a->n, key);
        if (k)
            drop(k);
        if (!add(a->n, key, buf_bytes(&a->body)))
            error_set(&err, WEIR_NOMEM, "out of memory");
    }
    if (err.code)
        ask_fail_with(a, &err);
    else
        ask_done(a, !there, &a->body);
}

static void remove_one(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    char key[KEY_MAX];
    kept *k = asked(a, key);
    if (!k)
        return;
    if (remove_and_wait(a->n, "ui", key, &err)) {
        ask_fail_with(a, &err);
        return;
    }
    drop(k);
    ask_done(a, false, NULL);
}

const node_op ui_ops[] = {
    {"ui.list", list_names, 0},
    {"ui.read", read_one, 0},
    {"ui.write", put, OP_JOB},
    {"ui.remove", remove_one, OP_JOB},
    {NULL, NULL, 0},
};
