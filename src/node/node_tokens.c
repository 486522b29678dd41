/* Tokens: who may ask this node, and how much. Only the SHA-256 of a token is kept: the text is shown once.
 *
 * A token has 256 bits of chance, so a plain hash is enough. It is compared with all of them, each in constant time. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/rand.h"
#include "node/inside.h"

static const char *const scopes[] = {"none", "read", "operate", "admin"};

static void token_drop(node_token_row *t)
{
    list_remove(&t->node);
    free(t->id);
    free(t->name);
    free(t);
}

void tokens_free(node *n)
{
    while (!list_empty(&n->tokens))
        token_drop(LIST_OWNER(n->tokens.head.next, node_token_row, node));
}

/* ---- Whose it is ---- */

static bool expired(const node_token_row *t)
{
    return t->expires_at && t->expires_at <= clock_real();
}

bool node_token_find(node *n, bytes text, node_token *out)
{
    char hash[DIGEST_HEX];
    const node_token_row *found = NULL;
    digest_sha256(hash, text);
    for (const list_node *at = n->tokens.head.next; at != &n->tokens.head; at = at->next) {
        const node_token_row *t = LIST_OWNER(at, node_token_row, node);
        if (!CRYPTO_memcmp(hash, t->hash, sizeof hash - 1))
            found = t;
    }
    if (!found || expired(found))
        return false;
    *out = (node_token){found->id, found->name, found->scope};
    return true;
}

static node_token_row *row_of(const node *n, const char *id)
{
    for (const list_node *at = n->tokens.head.next; at != &n->tokens.head; at = at->next) {
        node_token_row *t = LIST_OWNER(at, node_token_row, node);
        if (!strcmp(t->id, id))
            return t;
    }
    return NULL;
}

bool node_token_get(node *n, const char *id, node_token *out)
{
    const node_token_row *t = row_of(n, id);
    if (!t || expired(t))
        return false;
    *out = (node_token){t->id, t->name, t->scope};
    return true;
}

/* ---- In the store ---- */

static bool scope_find(const char *name, node_scope *out)
{
    for (size_t i = 1; name && i < sizeof scopes / sizeof *scopes; i++)
        if (!strcmp(scopes[i], name)) {
            *out = (node_scope)i;
            return true;
        }
    return false;
}

static void on_row(void *arg, const char *id, bytes row, bytes secret, bool sealed)
{
    row_load *l = arg;
    json doc;
    node_token_row *t = calloc(1, sizeof *t);
    (void)secret, (void)sealed;
    if (!t || json_read(&doc, row, NULL)) {
        free(t);
        l->code = error_set(l->err, t ? WEIR_INVALID : WEIR_NOMEM, "token %s cannot be read", id);
        return;
    }
    list_push(&l->n->tokens, &t->node);
    char *scope = NULL, *hash = NULL;
    t->id = strdup(id);
    json_text_u64(json_member(doc, "expires_at"), &t->expires_at);
    json_text_u64(json_member(doc, "created_at"), &t->created_at);
    weir_code code = t->id ? WEIR_OK : error_set(l->err, WEIR_NOMEM, "out of memory");
    if (!code && !(code = row_text(&t->name, doc, "name", l->err)) && !(code = row_text(&scope, doc, "scope", l->err)) && !(code = row_text(&hash, doc, "hash", l->err))) {
        if (strlen(hash) != DIGEST_HEX - 1 || !scope_find(scope, &t->scope))
            code = error_set(l->err, WEIR_INVALID, "token %s makes no sense", id);
        else
            memcpy(t->hash, hash, DIGEST_HEX);
    }
    l->code = code ? code : l->code;
    free(scope);
    free(hash);
}

weir_code tokens_load(node *n, weir_error *err)
{
    row_load l = {n, err, WEIR_OK};
    weir_code code = store_load(n->store, "token", on_row, &l, err);
    return code ? code : l.code;
}

bool node_has_tokens(const node *n)
{
    return !list_empty(&n->tokens);
}

void node_token_text(char out[NODE_TOKEN_TEXT])
{
    unsigned char octets[32];
    rand_bytes(octets, sizeof octets);
    memcpy(out, "weir_", 5);
    for (size_t i = 0; i < sizeof octets; i++)
        snprintf(out + 5 + 2 * i, 3, "%02x", octets[i]);
    explicit_bzero(octets, sizeof octets);
}

static node_token_row *make(node *n, const char *name, node_scope scope, uint64_t expires_at, const char *text, weir_error *err)
{
    buf row;
    char id[24];
    node_token_row *t = calloc(1, sizeof *t);
    snprintf(id, sizeof id, "%llu", (unsigned long long)store_next_id(n->store, "token"));
    if (!t || !(t->id = strdup(id)) || !(t->name = strdup(name))) {
        if (t)
            free(t->id);
        free(t);
        error_set(err, WEIR_NOMEM, "out of memory");
        return NULL;
    }
    t->scope = scope;
    t->expires_at = expires_at;
    t->created_at = clock_real();
    digest_sha256(t->hash, bytes_of(text));
    buf_init(&row, 1 << 16);
    buf_add_char(&row, '{');
    member_text(&row, "name", name);
    member_text(&row, "scope", scopes[scope]);
    member_text(&row, "hash", t->hash);
    member_time(&row, "expires_at", expires_at);
    member_time(&row, "created_at", t->created_at);
    buf_add_char(&row, '}');
    weir_code code = put_and_wait(n, "token", t->id, &row, BYTES(""), err);
    buf_fini(&row);
    list_push(&n->tokens, &t->node);
    if (!code)
        return t;
    token_drop(t);
    return NULL;
}

weir_code node_token_keep(node *n, const char *name, node_scope scope, const char *text, weir_error *err)
{
    return make(n, name, scope, 0, text, err) ? WEIR_OK : err->code;
}

weir_code node_token_make(node *n, const char *name, node_scope scope, char text[NODE_TOKEN_TEXT], weir_error *err)
{
    node_token_text(text);
    return make(n, name, scope, 0, text, err) ? WEIR_OK : err->code;
}

/* ---- Operations ---- */

static void put_token(buf *out, const node_token_row *t, const char *text)
{
    buf_add_char(out, '{');
    member_text(out, "id", t->id);
    member_text(out, "name", t->name);
    member_text(out, "scope", scopes[t->scope]);
    member_time(out, "created_at", t->created_at);
    member_time(out, "expires_at", t->expires_at);
    member_bool(out, "expired", expired(t));
    if (text)
        member_text(out, "token", text);
    buf_add_char(out, '}');
}

static bool put_listed(buf *out, const list_node *at)
{
    put_token(out, LIST_OWNER(at, node_token_row, node), NULL);
    return true;
}

static void list_tokens(ask *a)
{
    ask_done_list(a, "tokens", &a->n->tokens, put_listed, 16u << 20);
}

static void create(ask *a)
{
    static const char *const members[] = {"name", "scope", "expires_at", NULL};
    weir_error err = WEIR_ERROR_INIT;
    json body;
    uint64_t expires_at = 0;
    node_scope scope = NODE_SCOPE_NONE;
    char text[NODE_TOKEN_TEXT];
    const node_token_row *t = NULL;
    if (!ask_body(a, &body, members))
        return;
    char *name = json_text(body, "name"), *wanted = json_text(body, "scope");
    json until = json_member(body, "expires_at");
    if (!name || !*name || strlen(name) > 200)
        error_set(&err, WEIR_INVALID, "\"name\" is needed: whose token this is, 200 octets at most");
    else if (!scope_find(wanted, &scope))
        error_set(&err, WEIR_INVALID, "\"scope\": read, operate or admin");
    else if (until.type != JSON_NONE && until.type != JSON_NULL && (!json_text_u64(until, &expires_at) || expires_at <= clock_real()))
        error_set(&err, WEIR_INVALID, "\"expires_at\" is no moment to come, as nanoseconds since 1970 in a text");
    else {
        node_token_text(text);
        t = make(a->n, name, scope, expires_at, text, &err);
    }
    free(name);
    free(wanted);
    if (!t) {
        ask_fail_with(a, &err);
        return;
    }
    buf out;
    buf_init(&out, 1 << 16);
    put_token(&out, t, text);
    explicit_bzero(text, sizeof text);
    ask_done(a, true, &out);
    buf_fini(&out);
}

/* The last admin's stays, or nobody could make another. */
static bool last_admin(const node *n, const node_token_row *t)
{
    size_t admins = 0;
    for (const list_node *at = n->tokens.head.next; at != &n->tokens.head; at = at->next) {
        const node_token_row *other = LIST_OWNER(at, node_token_row, node);
        admins += other != t && other->scope == NODE_SCOPE_ADMIN && !other->expires_at;
    }
    return t->scope == NODE_SCOPE_ADMIN && !admins;
}

static void remove_token(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    node_token_row *t = a->id ? row_of(a->n, a->id) : NULL;
    if (!t)
        ask_fail(a, WEIR_NOT_FOUND, "there is no token '%s'; GET /v1/tokens lists them", a->id ? a->id : "");
    else if (last_admin(a->n, t))
        ask_fail(a, WEIR_BUSY, "token %s is the last one of scope admin that does not expire; make another first", t->id);
    else if (remove_and_wait(a->n, "token", t->id, &err))
        ask_fail_with(a, &err);
    else {
        token_drop(t);
        ask_done(a, false, NULL);
    }
}

const node_op token_ops[] = {
    {"tokens.list", list_tokens, 0},
    {"tokens.create", create, OP_JOB},
    {"tokens.remove", remove_token, OP_JOB},
    {NULL, NULL, 0},
};
