/* A request's way: Host, route, who, rate, scope, Origin, body, and then whoever answers it. Also the api's birth and end, and
 * whose turn it is to be fed records.
 *
 * Readers with something to take wait in one list. When feeding them took long, the next round waits as long as that took, so
 * that at most half of the loop's time goes to readers and what comes meanwhile goes out in larger pieces. */
#include "api/inside.h"
#include "api/query.h"

#include "base/json.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define FEED_SHORT_NS (1 * NS_PER_MS) /* a round that took no longer is not waited for */
#define FEED_REST_MAX_NS (20 * NS_PER_MS)
#define PATROL_NS (30 * NS_PER_S)
#define BODY_UNKNOWN 4096u /* of who has not shown who he is, or may not */
#define BODY_LAYOUT (256u * 1024u)

/* ---- Checks, one after the other: each answers false when it has answered the request ---- */

static bool passes_host(asked *q)
{
    bytes host = server_header(q->r, "host");
    if (auth_host(q->api, host))
        return true;
    answer_error(q, 421, "REFUSED", "this is not '" BYTES_FMT "'; the setting listen.hosts has the names by which it may be asked", BYTES_ARG(host));
    return false;
}

/* The id and the name in the path. */
static weir_code take_texts(asked *q, const bytes pieces[2], weir_error *err)
{
    size_t second = 0;
    for (int i = 0; i < 2 && pieces[i].len; i++) {
        second = i ? q->text.len : 0;
        if (query_decode(&q->text, pieces[i], false, "the path", err))
            return err->code;
    }
    if (pieces[0].len && strstr(q->route->path, "{id}"))
        q->id = q->text.at;
    if (pieces[0].len && strstr(q->route->path, "{name}"))
        q->name = q->text.at + second;
    return WEIR_OK;
}

static bool passes_route(asked *q)
{
    bytes pieces[2] = {{NULL, 0}, {NULL, 0}}, method = server_method(q->r), path = server_path(q->r);
    char allow[64];
    uint16_t status;
    weir_error err = WEIR_ERROR_INIT;
    q->route = route_find(method, path, pieces, &status, allow);
    if (!q->route && status == 405) {
        http_header headers[] = {{BYTES("Allow"), bytes_of(allow)}, {BYTES("Content-Type"), BYTES(API_JSON)}};
        char body[200];
        snprintf(body, sizeof body, "{\"error\":{\"code\":\"UNSUPPORTED\",\"text\":\"this path has %s only\"}}", allow);
        answer_as(q, 405, headers, 2, bytes_of(body));
        return false;
    }
    if (!q->route) {
        answer_error(q, 404, "NOT_FOUND", "there is no path '" BYTES_FMT "'; GET /v1/openapi.json lists all", BYTES_ARG(path));
        return false;
    }
    if (take_texts(q, pieces, &err) || query_json(&q->query, server_query(q->r), q->route->query, &err)) {
        answer_error(q, 400, "INVALID", "%s", err.text);
        return false;
    }
    return true;
}

static bool passes_rate(asked *q)
{
    bool first;
    uint64_t wait = rate_take(&q->api->rates, bytes_of(q->who.id[0] ? q->who.id : q->who.peer), clock_mono(), &first);
    if (!wait)
        return true;
    if (first)
        audit_add(q->api, &q->who, q->route->op, q->id, 429);
    answer_retry(q, wait);
    return false;
}

static bool passes_scope(asked *q)
{
    node_scope need = q->route->scope;
    if (need == NODE_SCOPE_NONE || (q->api->options.metrics_open && q->route->fn == metrics_answer))
        return true;
    if (!q->who.known) {
        bool first;
        uint64_t wait = rate_take(&q->api->refusals, bytes_of(q->who.peer), clock_mono(), &first);
        if (wait)
            answer_retry(q, wait);
        else
            answer_error(q, 401, "REFUSED", "%s", server_header(q->r, "authorization").len ? "nobody has this token, or it has expired" : "no token: send 'Authorization: Bearer weir_...', or log in at /v1/session");
        return false;
    }
    if (q->who.scope >= need)
        return true;
    answer_scope(q);
    return false;
}

/* Nobody else's page makes a browser change something here, or read records by a socket. */
static bool passes_origin(asked *q)
{
    bool socket = q->route->fn == socket_answer;
    if (!q->who.ambient || (q->is_get && !socket) || q->route->scope == NODE_SCOPE_NONE)
        return true;
    bool has_origin = server_header(q->r, "origin").len > 0, by_cookie = q->who.session[0] != '\0';
    bool good = has_origin || by_cookie ? auth_origin(q->r) : true;
    if (!socket && !bytes_is(server_header(q->r, "x-weir"), "1"))
        good = false;
    if (!good)
        answer_error(q, 403, "REFUSED", "without a token in 'Authorization' this needs the header 'X-Weir: 1' and an Origin that is this Host");
    return good;
}

static bool is_type(bytes header, const char *type)
{
    size_t len = strlen(type);
    return header.len >= len && !strncasecmp(header.at, type, len) && (header.len == len || header.at[len] == ';' || header.at[len] == ' ');
}

static bool passes_body(asked *q)
{
    bytes body = server_body(q->r), type = server_header(q->r, "content-type");
    weir_error err = WEIR_ERROR_INIT;
    json doc;
    route_body want = q->route->body;
    if (want == BODY_NONE || (want == BODY_MAY_JSON && !body.len))
        return true;
    bytes coding = server_header(q->r, "content-encoding");
    bool packed = body.len && coding.len && (coding.len != 8 || strncasecmp(coding.at, "identity", 8));
    bool fits = want == BODY_MODULE ? is_type(type, "application/wasm") || is_type(type, "application/octet-stream") : is_type(type, "application/json");
    if (!body.len)
        answer_error(q, 400, "INVALID", "the body is empty; it must be %s", want == BODY_MODULE ? "a module's octets" : "JSON");
    else if (packed) /* nothing is unpacked: what blows up stays small */
        answer_error(q, 415, "UNSUPPORTED", "the body is compressed ('" BYTES_FMT "'); send it as it is", BYTES_ARG(coding));
    else if (!fits)
        answer_error(q, 415, "UNSUPPORTED", "the body is '" BYTES_FMT "'; it must be %s", BYTES_ARG(type),
                     want == BODY_MODULE ? "application/wasm or application/octet-stream" : "application/json");
    else if (want != BODY_MODULE && json_read(&doc, body, &err))
        answer_error(q, 400, "INVALID", "the body is no JSON: %s", err.text);
    else
        return true;
    return false;
}

/* ---- The server's events ---- */

static void on_gone(void *arg)
{
    asked *q = arg;
    q->r = NULL;
}

static asked *asked_new(api *a, server_request *r)
{
    asked *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->api = a;
    q->r = r;
    q->is_get = bytes_is(server_method(r), "GET") || bytes_is(server_method(r), "HEAD");
    buf_init(&q->text, 2 * QUERY_TEXT_MAX);
    buf_init(&q->query, 4 * QUERY_TEXT_MAX);
    buf_init(&q->value, QUERY_TEXT_MAX);
    list_push(&a->asked, &q->node);
    server_on_gone(r, on_gone, q);
    return q;
}

static bool is_page(const asked *q)
{
    bytes path = server_path(q->r);
    return q->is_get && !bytes_starts(path, BYTES("/v1/")) && !bytes_is(path, "/metrics");
}

static void on_request(void *arg, server_request *r)
{
    api *a = arg;
    asked *q = asked_new(a, r);
    if (!q) {
        http_header type = {BYTES("Content-Type"), BYTES(API_JSON)};
        server_reply(r, 503, &type, 1, BYTES("{\"error\":{\"code\":\"NOMEM\",\"text\":\"out of memory\"}}"));
        return;
    }
    auth_identify(a, r, &q->who);
    if (!passes_host(q))
        return;
    if (is_page(q)) {
        pages_answer(q);
        return;
    }
    if (!passes_route(q) || !passes_rate(q) || !passes_scope(q) || !passes_origin(q) || !passes_body(q))
        return;
    if (q->route->fn)
        q->route->fn(q);
    else
        things_ask(q);
}

/* Whoever may not send it is told so before his body has come. */
static void rule_of_stranger(const route *to, const caller *who, bool has_token, server_body_rule *rule)
{
    rule->max = BODY_UNKNOWN;
    rule->status = who->known ? 403 : 401;
    rule->note = who->known ? scope_name(to->scope) : NULL;
    if (who->known)
        scope_text(rule->why, sizeof rule->why, to, who);
    else
        snprintf(rule->why, sizeof rule->why, has_token ? "nobody has this token, or it has expired" : "no token: send 'Authorization: Bearer weir_...', or log in at /v1/session");
}

/* How large a body may be: of who may send it at all. */
static void on_head(void *arg, server_request *r, server_body_rule *rule)
{
    api *a = arg;
    const api_options *o = &a->options;
    bytes pieces[2];
    char allow[64];
    uint16_t status;
    caller who;
    const route *to = route_find(server_method(r), server_path(r), pieces, &status, allow);
    const char *setting = "";
    rule->max = BODY_UNKNOWN;
    auth_identify(a, r, &who);
    if (!to || to->body == BODY_NONE || to->scope == NODE_SCOPE_NONE || !auth_host(a, server_header(r, "host"))) {
        snprintf(rule->why, sizeof rule->why, "a body has at most %u octets here", BODY_UNKNOWN);
        return;
    }
    if (who.scope < to->scope) {
        rule_of_stranger(to, &who, server_header(r, "authorization").len > 0, rule);
        return;
    }
    if (to->body == BODY_MODULE) {
        rule->max = o->max_upload;
        setting = "; the setting api.upload says so";
    } else if (!strcmp(to->op, "ui.write") && o->max_body > BODY_LAYOUT) {
        rule->max = BODY_LAYOUT;
    } else {
        rule->max = o->max_body;
        setting = "; the setting api.body says so";
    }
    snprintf(rule->why, sizeof rule->why, "%s has at most %zu octets%s", to->body == BODY_MODULE ? "a module" : "the body", rule->max, setting);
}

/* ---- Readers ---- */

static void on_feeding(void *arg)
{
    api *a = arg;
    uint64_t began = clock_mono();
    list now = a->ready; /* whoever becomes ready meanwhile has the next round */
    if (list_empty(&a->ready))
        return;
    now.head.next->prev = &now.head;
    now.head.prev->next = &now.head;
    list_init(&a->ready);
    for (list_node *n; (n = list_pop(&now));)
        LIST_OWNER(n, reader, ready)->run(LIST_OWNER(n, reader, ready));
    uint64_t took = clock_mono() - began;
    if (took > FEED_SHORT_NS)
        timer_after(&a->feed_again, took > FEED_REST_MAX_NS ? FEED_REST_MAX_NS : took);
    else if (!list_empty(&a->ready))
        defer(a->loop, &a->feeding);
}

void reader_ready(api *a, reader *r)
{
    if (!list_linked(&r->ready))
        list_push(&a->ready, &r->ready);
    if (!timer_running(&a->feed_again))
        defer(a->loop, &a->feeding);
}

void reader_gone(reader *r)
{
    list_remove(&r->ready);
}

static void on_patrol(void *arg)
{
    api *a = arg;
    sockets_check(a, false, "its token was taken back or has expired");
    events_check(a, false);
    timer_after(&a->patrol, PATROL_NS);
}

/* ---- Birth and end ---- */

static bool is_loopback(const char *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, address, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static void settle_options(api *a, const api_options *given)
{
    api_options *o = &a->options;
    if (given)
        *o = *given;
    o->address = o->address ? o->address : "127.0.0.1";
    o->rate = o->rate ? o->rate : 100;
    o->max_body = o->max_body ? o->max_body : 1024 * 1024;
    o->max_upload = o->max_upload ? o->max_upload : 64 * 1024 * 1024;
    o->max_sockets = o->max_sockets ? o->max_sockets : 10000;
    o->reader_octets = o->reader_octets ? o->reader_octets : 256 * 1024;
    o->idle_ms = o->idle_ms ? o->idle_ms : 60000;
    a->loopback = is_loopback(o->address);
}

static weir_code begin_serving(api *a, weir_error *err)
{
    const api_options *o = &a->options;
    server_options so = {
        .address = o->address,
        .port = o->port,
        .cert_file = o->cert_file,
        .key_file = o->key_file,
        .max_body = o->max_body,
        .max_connections = o->max_sockets,
        .idle_ms = o->idle_ms,
        .head_ms = o->idle_ms < 10000 ? o->idle_ms : 10000,
        .body_ms = o->idle_ms < 30000 ? o->idle_ms : 30000,
        .socket_idle_ms = o->idle_ms,
        .max_message = 4 * 1024 * 1024, /* a subscription may say the last number of each topic: of 60,000 */
        .unsent_octets = 256 * 1024,    /* what a slow reader gets is no older than need be */
        .no_deflate = true,             /* a record is encoded once, not once for each reader */
        .on_head = on_head,
        .on_refuse = answer_refused,
        .on_request = on_request,
        .arg = a,
    };
    return server_new(&a->server, a->loop, &so, err);
}

weir_code api_new(api **out, node *n, const api_options *options, weir_error *err)
{
    weir_error own = WEIR_ERROR_INIT;
    api *a = calloc(1, sizeof *a);
    if (!err)
        err = &own;
    if (!a)
        return error_set(err, WEIR_NOMEM, "api: out of memory");
    a->node = n;
    a->loop = node_loop(n);
    a->hub = node_hub(n);
    a->started_ns = clock_real();
    settle_options(a, options);
    list_init(&a->asked);
    list_init(&a->sockets);
    list_init(&a->events);
    list_init(&a->exports);
    list_init(&a->ready);
    a->feeding = (deferred){.fn = on_feeding, .arg = a};
    timer_init(&a->feed_again, a->loop, on_feeding, a);
    timer_init(&a->patrol, a->loop, on_patrol, a);
    buf_init(&a->document, 4 * 1024 * 1024);
    a->sessions = map_new();
    if (!a->sessions || !rate_init(&a->rates, a->options.rate, 2.0 * a->options.rate) || !rate_init(&a->refusals, 1, 20) || !openapi_write(&a->document))
        error_set(err, WEIR_NOMEM, "api: out of memory");
    else if (!latency_begin(a, err) && !begin_serving(a, err)) {
        auth_begin(a);
        timer_after(&a->patrol, PATROL_NS);
        *out = a;
        return WEIR_OK;
    }
    api_free(a);
    return error_wrap(err, "api");
}

void api_free(api *a)
{
    if (!a)
        return;
    sockets_check(a, true, "the node is being shut down");
    server_free(a->server); /* sockets and streams hear of it */
    exports_end(a);
    while (!list_empty(&a->asked)) { /* the node's answers are still to come */
        asked *q = LIST_OWNER(list_pop(&a->asked), asked, node);
        q->api = NULL;
    }
    timer_stop(&a->patrol);
    timer_stop(&a->feed_again);
    defer_cancel(&a->feeding);
    latency_end(a);
    auth_end(a);
    rate_fini(&a->rates);
    rate_fini(&a->refusals);
    buf_fini(&a->document);
    free(a);
}

weir_code api_renew_certificate(api *a, const char *cert_file, const char *key_file, weir_error *err)
{
    return server_renew_certificate(a->server, cert_file, key_file, err) ? error_wrap(err, "api") : WEIR_OK;
}

uint64_t api_certificate_ends(const api *a)
{
    return server_certificate_ends(a->server);
}

uint16_t api_port(const api *a)
{
    return server_port(a->server);
}

void api_drain(api *a)
{
    a->draining = true;
    sockets_check(a, true, "the node is being shut down");
    events_check(a, true);
}
