/* Which version of a plugin runs: uploaded, approved, rejected, rolled back.
 *
 * A plugin is a row of versions, each a module's file known by its SHA-256. One is active: connections run it. A
 * version that asks for more than is granted waits (`pending`) until an admin approves it. To make another version active is first
 * in the store, then done on each connection that runs, by weir_plugin_swap: its streams go on without a loss.
 * Where the kinds of the two do not fit a connection is loaded anew, and its streams tell a gap. */
#include <stdlib.h>

#include "base/digest.h"
#include "base/file.h"
#include "node/plugins.h"

#define FILE_NAME_MAX 200

/* ---- Over to another version ---- */

/* The module's octets. */
static weir_code read_module(buf *out, node *n, const char *sha256, weir_error *err)
{
    buf path;
    buf_init(&path, 1 << 16);
    store_module_path(n->store, sha256, &path);
    buf_add_char(&path, '\0');
    weir_code code = path.failed ? error_set(err, WEIR_NOMEM, "out of memory") : file_read(out, path.at, err);
    buf_fini(&path);
    return code;
}

weir_code plugin_octets(buf *out, const node_plugin *p, weir_error *err)
{
    return read_module(out, p->n, p->active, err);
}

/* A connection that runs goes over to the active version; its streams go on. */
static void swap_connection(node_connection *c, bytes octets, char **allow)
{
    weir_error why = WEIR_ERROR_INIT;
    if (!c->live) {
        connection_reload(c);
        return;
    }
    if (!weir_plugin_swap_granted(c->live, c->plugin->id, octets, (const char *const *)allow, &why)) {
        changed(c->n, "connections", c->id_text);
        return;
    }
    log_warn("node", "connection %s: its streams cannot go over to the new version, so it is loaded anew: %s", c->id_text, why.text);
    connection_reload(c);
}

void plugin_switch_over(node_plugin *p)
{
    weir_error why = WEIR_ERROR_INIT;
    const node_version *v = plugin_version(p, p->active);
    char **allow = v ? version_allow(v, p->grants) : NULL;
    buf octets;
    buf_init(&octets, 256u << 20);
    if (!allow || plugin_octets(&octets, p, &why)) {
        log_error("node", "plugin '%s': its version cannot be read: %s", p->id, why.text);
        plugin_reload_all(p);
    } else {
        p->compiling = true;
        for (list_node *at = p->n->connections.head.next; at != &p->n->connections.head; at = at->next) {
            node_connection *c = LIST_OWNER(at, node_connection, node);
            if (c->plugin == p)
                swap_connection(c, buf_bytes(&octets), allow);
        }
        p->compiling = false;
    }
    buf_fini(&octets);
    allow_free(allow);
    changed(p->n, "plugins", p->id);
}

/* The oldest ones go when there are many; the active and the pending one stay. */
static void trim_versions(node_plugin *p)
{
    for (size_t i = 0; p->version_count > VERSIONS_KEPT && i < p->version_count;) {
        if (!strcmp(p->versions[i].sha256, p->active) || !strcmp(p->versions[i].sha256, p->pending)) {
            i++;
            continue;
        }
        store_module_remove(p->n->store, p->versions[i].sha256, NULL, NULL);
        version_remove(p, i);
    }
}

/* ---- Upload ---- */

/* What the user's file is called: its last part, and nothing that could confuse a terminal or a path. */
static void file_name_of(ask *a, char out[FILE_NAME_MAX + 1])
{
    char *given = json_text(a->query, "file_name");
    const char *last = given;
    size_t n = 0;
    for (const char *at = given; at && *at; at++)
        if (*at == '/' || *at == '\\')
            last = at + 1;
    for (; last && *last && n < FILE_NAME_MAX; last++)
        out[n++] = (unsigned char)*last < 0x20 || (unsigned char)*last >= 0x7f ? '_' : *last;
    out[n] = '\0';
    if (!n)
        memcpy(out, "upload.wasm", 12);
    free(given);
}

/* All that the version asks for is granted, or is now, where uploads need no approval. */
static bool granted(node_plugin *p, const node_version *v)
{
    if (p->n->uploads_approved && !version_granted(v, p->grants)) {
        char *all = bytes_dup(version_member(v, "asks").raw);
        if (all) {
            free(p->grants);
            p->grants = all;
        }
    }
    return version_granted(v, p->grants);
}

/* Active at once, or pending: whichever the grants say. */
static bool admit(node_plugin *p, const char *sha256)
{
    if (!granted(p, plugin_version(p, sha256))) {
        memcpy(p->pending, sha256, 65);
        return false;
    }
    memcpy(p->active, sha256, 65);
    p->pending[0] = '\0';
    return true;
}

static weir_code take_version(node_plugin *p, const char *sha256, bytes row, bytes octets, bool *active, weir_error *err)
{
    plugin_before b = plugin_before_of(p);
    bool there = plugin_version(p, sha256) != NULL;
    weir_code code = there ? WEIR_OK : module_put_and_wait(p->n, sha256, octets, err);
    if (!code && !there)
        code = version_add(p, row, err);
    if (code) {
        free(b.grants);
        return code;
    }
    *active = admit(p, sha256) && strcmp(b.active, sha256) != 0;
    code = plugin_store_or_undo(p, &b, err);
    if (code && !there)
        store_module_remove(p->n->store, sha256, NULL, NULL);
    return code;
}

/* In a job: what was uploaded, its code compiled. */
static void take_upload(node *n, void *arg)
{
    ask *a = arg;
    (void)n;
    char file_name[FILE_NAME_MAX + 1], sha[DIGEST_HEX], *id = NULL;
    weir_error err = WEIR_ERROR_INIT;
    bool active = false, created = false;
    buf row;
    buf_init(&row, 8u << 20);
    file_name_of(a, file_name);
    digest_sha256(sha, buf_bytes(&a->body));
    weir_code code = version_describe(&row, &id, a->n, file_name, buf_bytes(&a->body), &err);
    node_plugin *p = code ? NULL : plugin_find(a->n, id);
    bool first = !code && !p;
    if (first && !(p = plugin_new(a->n, id)))
        code = error_set(&err, WEIR_NOMEM, "out of memory");
    if (!code) {
        created = !plugin_version(p, sha);
        code = take_version(p, sha, buf_bytes(&row), buf_bytes(&a->body), &active, &err);
    }
    if (code && first && p)
        plugin_free(p);
    if (!code && active)
        plugin_switch_over(p);
    if (!code)
        trim_versions(p);
    buf_fini(&row);
    free(id);
    if (code)
        ask_fail_with(a, &err);
    else
        plugin_answer(a, p, created);
}

static void on_compiled(void *arg, buf *octets, const weir_error *why)
{
    ask *a = arg;
    weir_error err = *why;
    char file_name[FILE_NAME_MAX + 1];
    buf_fini(&a->body);
    a->body = *octets;
    buf_init(octets, 0);
    a->ahead = NULL;
    file_name_of(a, file_name);
    if (err.code) {
        error_wrap(&err, "plugin '%.100s'", file_name);
        ask_fail_with(a, &err);
    } else if (a->n->draining) {
        ask_fail(a, WEIR_CLOSED, "the node is stopping; nothing new is begun");
    } else {
        job_put(a->n, &a->job, take_upload, a);
    }
}

/* Compiled before its job begins: that may take minutes, and the jobs behind it would wait. */
void plugin_upload(ask *a)
{
    char file_name[FILE_NAME_MAX + 1];
    weir_error err = WEIR_ERROR_INIT;
    file_name_of(a, file_name);
    if (version_check(a->n, file_name, buf_bytes(&a->body), &err) || weir_compile_ahead(&a->ahead, a->n->host, &a->body, on_compiled, a, &err))
        ask_fail_with(a, &err);
}

/* ---- Approve, reject, roll back ---- */

static weir_code choose_grants(node_plugin *p, const node_version *v, json allow, weir_error *err)
{
    targets *wanted, *asks;
    json list = allow.type == JSON_NONE || allow.type == JSON_NULL ? version_member(v, "asks") : allow;
    if (!(wanted = targets_of_list(list, err)))
        return error_wrap(err, "allow");
    asks = targets_of_list(version_member(v, "asks"), err);
    weir_code code = asks && targets_within(wanted, asks, err) ? WEIR_OK : err->code;
    targets_free(wanted);
    targets_free(asks);
    char *copy = code ? NULL : bytes_dup(list.raw);
    if (!code && !copy)
        code = error_set(err, WEIR_NOMEM, "out of memory");
    if (copy) {
        free(p->grants);
        p->grants = copy;
    }
    return code;
}

void plugin_approve(ask *a)
{
    static const char *const members[] = {"sha256", "allow", NULL};
    weir_error err = WEIR_ERROR_INIT;
    json body;
    node_plugin *p = plugin_asked(a);
    if (!p || !ask_body(a, &body, members))
        return;
    char *sha = json_text(body, "sha256");
    const node_version *v = plugin_version(p, sha ? sha : p->pending);
    plugin_before b = plugin_before_of(p);
    weir_code code = WEIR_OK;
    if (!v && sha)
        code = error_set(&err, WEIR_NOT_FOUND, "plugin '%s' has no version %.64s", p->id, sha);
    else if (!v)
        code = error_set(&err, WEIR_NOT_FOUND, "plugin '%s': no version waits for approval; name one by \"sha256\"", p->id);
    if (code || (code = choose_grants(p, v, json_member(body, "allow"), &err))) {
        free(b.grants);
    } else {
        memcpy(p->active, v->sha256, 65);
        p->pending[0] = '\0';
        code = plugin_store_or_undo(p, &b, &err);
    }
    free(sha);
    if (code) {
        ask_fail_with(a, &err);
        return;
    }
    plugin_switch_over(p);
    plugin_answer(a, p, false);
}

void plugin_reject(ask *a)
{
    weir_error err = WEIR_ERROR_INIT;
    node_plugin *p = plugin_asked(a);
    if (!p)
        return;
    if (!*p->pending) {
        ask_fail(a, WEIR_NOT_FOUND, "plugin '%s': no version waits for approval", p->id);
        return;
    }
    if (!*p->active && p->version_count == 1) { /* there was no other: the plugin goes */
        if (plugin_remove(p, &err))
            ask_fail_with(a, &err);
        else
            ask_done(a, false, NULL);
        return;
    }
    char sha[65];
    plugin_before b = plugin_before_of(p);
    memcpy(sha, p->pending, 65);
    p->pending[0] = '\0';
    if (plugin_store_or_undo(p, &b, &err)) {
        ask_fail_with(a, &err);
        return;
    }
    for (size_t i = 0; i < p->version_count && strcmp(sha, p->active) != 0; i++)
        if (!strcmp(p->versions[i].sha256, sha)) {
            store_module_remove(p->n->store, sha, NULL, NULL);
            version_remove(p, i);
            plugin_store(p, &err);
            break;
        }
    plugin_answer(a, p, false);
}

/* The version before the active one. */
static const node_version *previous(const node_plugin *p)
{
    const node_version *before = NULL;
    for (size_t i = 0; i < p->version_count && strcmp(p->versions[i].sha256, p->active) != 0; i++)
        if (strcmp(p->versions[i].sha256, p->pending) != 0)
            before = &p->versions[i];
    return before;
}

/* Going back needs what an upgrade needs: that all it asks for is granted now. */
static void refuse_more(ask *a, const node_plugin *p, const node_version *v)
{
    json grants = {0};
    char *name = json_string_dup(version_member(v, "version"));
    buf more;
    buf_init(&more, 1 << 20);
    json_read(&grants, bytes_of(p->grants), NULL);
    put_beyond(&more, version_member(v, "asks"), grants);
    buf_add_char(&more, '\0');
    ask_fail(a, WEIR_REFUSED, "plugin '%s': version %.50s asks for more than is granted, so it needs approval, by its sha256 %s. It adds %.700s", p->id, name ? name : "",
             v->sha256, more.failed ? "" : more.at);
    buf_fini(&more);
    free(name);
}

void plugin_rollback(ask *a)
{
    static const char *const members[] = {"sha256", NULL};
    weir_error err = WEIR_ERROR_INIT;
    json body;
    node_plugin *p = plugin_asked(a);
    if (!p || !ask_body(a, &body, members))
        return;
    char *sha = json_text(body, "sha256");
    const node_version *v = sha ? plugin_version(p, sha) : previous(p);
    free(sha);
    if (!v || !*p->active) {
        ask_fail(a, WEIR_NOT_FOUND, "plugin '%s': there is no %s", p->id, v ? "active version; approve one" : sha ? "version of this sha256"
                                                                                                                  : "version before the active one");
        return;
    }
    if (!strcmp(v->sha256, p->pending)) {
        ask_fail(a, WEIR_REFUSED, "plugin '%s': this version waits for approval; approve it instead", p->id);
        return;
    }
    plugin_before b = plugin_before_of(p);
    if (!granted(p, v)) {
        free(b.grants);
        refuse_more(a, p, v);
        return;
    }
    memcpy(p->active, v->sha256, 65);
    if (plugin_store_or_undo(p, &b, &err)) {
        ask_fail_with(a, &err);
        return;
    }
    plugin_switch_over(p);
    plugin_answer(a, p, false);
}
