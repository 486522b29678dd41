/* Answers: JSON with the headers that each has, errors in their one form, and the audit of what changed something or was
 * refused. Whatever a peer sent that comes back in a text is escaped (error_set, json_put_string). */
#include "api/inside.h"

#include "base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

uint16_t status_of(weir_code code)
{
    switch (code) {
    case WEIR_OK:
        return 200;
    case WEIR_INVALID:
        return 400;
    case WEIR_REFUSED:
        return 403;
    case WEIR_NOT_FOUND:
        return 404;
    case WEIR_BUSY:
        return 409;
    case WEIR_UNSUPPORTED:
        return 422;
    case WEIR_LIMIT:
        return 429;
    case WEIR_TRAPPED:
    case WEIR_FAILED:
    case WEIR_NETWORK:
        return 502;
    case WEIR_TIMEOUT:
        return 504;
    default:
        return 503;
    }
}

/* ---- The audit ---- */

void audit_add(api *a, const caller *who, const char *action, const char *target, uint16_t status)
{
    store *s = node_store(a->node);
    store_audit entry = {clock_real(), who->name, scope_name(who->scope), who->peer, action, target ? target : "", status};
    if (s)
        store_audit_add(s, &entry);
}

/* What only reads and was not refused is not of interest. Of a flood one entry tells (answer_retry). */
void audit(asked *q, uint16_t status, const char *target)
{
    bool refused = status == 401 || status == 403 || status == 413 || status == 421;
    bool changes = !q->is_get && status != 404 && status != 405 && status != 429;
    if (refused || changes)
        audit_add(q->api, &q->who, q->route ? q->route->op : "unknown", target ? target : q->id, status);
}

/* ---- Ends of a request ---- */

void asked_free(asked *q)
{
    if (q->r)
        server_on_gone(q->r, NULL, NULL);
    list_remove(&q->node);
    buf_fini(&q->text);
    buf_fini(&q->query);
    buf_fini(&q->value);
    free(q);
}

server_request *asked_take(asked *q)
{
    server_request *r = q->r;
    q->api->figures.requests[2]++;
    asked_free(q);
    return r;
}

void answer_as(asked *q, uint16_t status, const http_header *headers, size_t count, bytes body)
{
    server_request *r = q->r;
    q->api->figures.requests[status / 100 < 6 ? status / 100 : 0]++;
    asked_free(q);
    if (r)
        server_reply(r, status, headers, count, body);
}

static const http_header no_header = {{NULL, 0}, {NULL, 0}};

static void answer_with(asked *q, uint16_t status, bytes json, http_header more)
{
    http_header headers[5] = {
        {BYTES("Cache-Control"), BYTES("no-store")},
        {BYTES("X-Content-Type-Options"), BYTES("nosniff")},
        {BYTES("Cross-Origin-Resource-Policy"), BYTES("same-origin")},
    };
    size_t count = 3;
    if (status != 204)
        headers[count++] = (http_header){BYTES("Content-Type"), BYTES(API_JSON)};
    if (more.name.len)
        headers[count++] = more;
    answer_as(q, status, headers, count, json);
}

void answer(asked *q, uint16_t status, bytes json)
{
    answer_with(q, status, json, no_header);
}

/* `needs`: a scope, where the token's does not reach; NULL. */
static void put_error(buf *out, const char *code, const char *text, const char *needs)
{
    buf_add_text(out, "{\"error\":{");
    json_put_member(out, "code", bytes_of(code));
    json_put_member(out, "text", bytes_of(text));
    if (needs)
        json_put_member(out, "needs", bytes_of(needs));
    buf_add_text(out, "}}");
}

static void answer_text(asked *q, uint16_t status, const char *code, const char *text, const char *needs, http_header more)
{
    buf body;
    buf_init(&body, 16 * WEIR_ERROR_TEXT);
    put_error(&body, code, text, needs);
    audit(q, status, NULL);
    answer_with(q, status, buf_bytes(&body), more);
    buf_fini(&body);
}

void answer_error(asked *q, uint16_t status, const char *code, const char *format, ...)
{
    char text[WEIR_ERROR_TEXT];
    weir_error err = WEIR_ERROR_INIT;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    error_set(&err, WEIR_INVALID, "%s", text); /* escapes it */
    http_header more = no_header;
    if (status == 401)
        more = (http_header){BYTES("WWW-Authenticate"), BYTES("Bearer realm=\"weir\"")};
    if (status == 415)
        more = (http_header){BYTES("Accept-Encoding"), BYTES("identity")};
    answer_text(q, status, code, err.text, NULL, more);
}

void scope_text(char *out, size_t size, const route *to, const caller *who)
{
    snprintf(out, size, "'%s' needs the scope %s; '%.60s' has %s", to->op, scope_name(to->scope), who->name, scope_name(who->scope));
}

void answer_scope(asked *q)
{
    char text[WEIR_ERROR_TEXT];
    weir_error err = WEIR_ERROR_INIT;
    scope_text(text, sizeof text, q->route, &q->who);
    error_set(&err, WEIR_REFUSED, "%s", text); /* escapes it */
    answer_text(q, 403, "REFUSED", err.text, scope_name(q->route->scope), no_header);
}

void answer_code(asked *q, weir_code code, const char *text)
{
    http_header more = no_header;
    if (code == WEIR_LIMIT)
        more = (http_header){BYTES("Retry-After"), BYTES("1")};
    answer_text(q, status_of(code), weir_code_name(code), text && *text ? text : weir_code_text(code), NULL, more);
}

void answer_retry(asked *q, uint64_t wait_ns)
{
    char seconds[24], text[160];
    uint64_t s = (wait_ns + NS_PER_S - 1) / NS_PER_S;
    snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)s);
    snprintf(text, sizeof text, "too many requests from here; again in %s s", seconds);
    answer_text(q, 429, "LIMIT", text, NULL, (http_header){BYTES("Retry-After"), bytes_of(seconds)});
}

void answer_refused(void *arg, bytes peer, uint16_t status, const char *why, const char *needs, buf *body)
{
    api *a = arg;
    static const struct {
        uint16_t status;
        const char *code;
    } codes[] = {{401, "REFUSED"}, {403, "REFUSED"}, {408, "TIMEOUT"}, {413, "LIMIT"}, {431, "LIMIT"}, {501, "UNSUPPORTED"}, {503, "NOMEM"}};
    const char *code = "INVALID";
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        code = codes[i].status == status ? codes[i].code : code;
    caller nobody = {0};
    a->figures.requests[status / 100]++;
    snprintf(nobody.name, sizeof nobody.name, "?");
    snprintf(nobody.peer, sizeof nobody.peer, "%.*s", (int)peer.len, peer.at);
    bool first;
    if ((status == 413 || status == 401 || status == 403) && !rate_take(&a->refusals, peer, clock_mono(), &first))
        audit_add(a, &nobody, "refused", why, status);
    put_error(body, code, why, needs);
}

/* ---- Parameters of the query ---- */

const char *asked_query(asked *q, const char *name)
{
    json value = json_member((json){JSON_OBJECT, buf_bytes(&q->query)}, name);
    buf_clear(&q->value);
    if (!json_string_add(value, &q->value))
        return "";
    buf_add_char(&q->value, '\0');
    return q->value.failed ? "" : q->value.at;
}

bool asked_number(asked *q, const char *name, uint64_t *out)
{
    json value = json_member((json){JSON_OBJECT, buf_bytes(&q->query)}, name);
    if (value.type == JSON_NONE || json_text_u64(value, out))
        return true;
    answer_error(q, 400, "INVALID", "query parameter '%s' is no number of 0 to 2^64-1", name);
    return false;
}
