/* The OpenAPI document: paths from the table of routes, schemas and what is said about them from schemas.json. */
#include "api/inside.h"

#include "base/json.h"

#include <stdio.h>

static const unsigned char schemas[] = {
#include "schemas.inc"
};

static void put_reference(buf *out, const char *schema)
{
    buf_add_fmt(out, "{\"$ref\":\"#/components/schemas/%s\"}", schema);
}

static void put_content(buf *out, const char *type, const char *schema)
{
    buf_add_text(out, ",\"content\":{");
    json_put_text(out, type);
    buf_add_text(out, ":{\"schema\":");
    if (schema)
        put_reference(out, schema);
    else
        buf_add_text(out, strncmp(type, "text/", 5) ? "{}" : "{\"type\":\"string\"}");
    buf_add_text(out, "}}");
}

static void put_parameter_reference(buf *out, const char *name, size_t len, bool first)
{
    buf_add_fmt(out, "%s{\"$ref\":\"#/components/parameters/%.*s\"}", first ? "" : ",", (int)len, name);
}

/* {id} and {name} of the path (as path_id, path_name), then the query's. */
static void put_parameters(buf *out, const route *r)
{
    bool first = true;
    buf_add_text(out, ",\"parameters\":[");
    if (strstr(r->path, "{id}")) {
        put_parameter_reference(out, strstr(r->path, "plugins") ? "path_plugin" : "path_id", strstr(r->path, "plugins") ? 11 : 7, first);
        first = false;
    }
    if (strstr(r->path, "{name}")) {
        put_parameter_reference(out, "path_name", 9, first);
        first = false;
    }
    for (const char *at = r->query; *at;) {
        size_t len = strcspn(at, " ");
        put_parameter_reference(out, at, len, first);
        first = false;
        at += len + (at[len] == ' ');
    }
    if (!strcmp(r->op, "records.sse"))
        put_parameter_reference(out, "Last-Event-ID", 13, first);
    buf_add_char(out, ']');
}

static void put_body(buf *out, const route *r)
{
    if (r->body == BODY_NONE)
        return;
    buf_add_fmt(out, ",\"requestBody\":{\"required\":%s", r->body == BODY_MAY_JSON ? "false" : "true");
    if (r->body == BODY_MODULE)
        buf_add_text(out, ",\"content\":{\"application/wasm\":{\"schema\":{\"type\":\"string\",\"format\":\"binary\"}},"
                          "\"application/octet-stream\":{\"schema\":{\"type\":\"string\",\"format\":\"binary\"}}}");
    else
        put_content(out, "application/json", r->takes);
    buf_add_char(out, '}');
}

static void put_answer(buf *out, unsigned status, const char *says, const char *type, const char *schema)
{
    buf_add_fmt(out, "\"%u\":{\"description\":", status);
    json_put_text(out, says);
    if (type)
        put_content(out, type, schema);
    buf_add_char(out, '}');
}

static void put_answers(buf *out, const route *r)
{
    bool websocket = r->type && !strcmp(r->type, "websocket");
    buf_add_text(out, ",\"responses\":{");
    if (websocket)
        put_answer(out, 101, "The WebSocket is open", NULL, NULL);
    else if (r->status == 204)
        put_answer(out, 204, "Done", NULL, NULL);
    else
        put_answer(out, r->status, "As asked", r->type ? r->type : "application/json", r->gives);
    if (r->status == 201) { /* what was there already */
        buf_add_char(out, ',');
        put_answer(out, 200, "It was there already", "application/json", r->gives);
    }
    if (!strcmp(r->method, "PUT")) {
        buf_add_char(out, ',');
        put_answer(out, 201, "It is new", "application/json", r->gives);
    }
    if (!strcmp(r->op, "plugins.reject")) {
        buf_add_char(out, ',');
        put_answer(out, 204, "It was the only version: the plugin is gone", NULL, NULL);
    }
    if (!strcmp(r->op, "ready")) {
        buf_add_char(out, ',');
        put_answer(out, 503, "Not ready", "application/json", r->gives);
    }
    if (!strcmp(r->op, "history.read") && !out->failed) {
        out->len -= 2; /* more forms of the same answer */
        buf_add_text(out, ",\"application/x-ndjson\":{\"schema\":{\"type\":\"string\"}},\"text/csv\":{\"schema\":{\"type\":\"string\"}}}}");
    }
    buf_add_text(out, ",\"default\":");
    buf_add_text(out, "{\"description\":\"What is wrong, and what would work\"");
    put_content(out, "application/json", "Error");
    buf_add_text(out, "}}");
}

static void put_route(buf *out, const route *r)
{
    char method[8];
    size_t i = 0;
    for (; r->method[i] && i < sizeof method - 1; i++)
        method[i] = (char)(r->method[i] | 0x20);
    method[i] = '\0';
    char tag[32];
    snprintf(tag, sizeof tag, "%.*s", (int)strcspn(r->op, "."), r->op);
    json_put_text(out, method);
    buf_add_text(out, ":{\"operationId\":");
    json_put_text(out, r->op);
    json_put_member(out, "summary", bytes_of(r->summary));
    buf_add_text(out, ",\"tags\":[");
    json_put_text(out, tag);
    buf_add_text(out, "],\"x-scope\":");
    json_put_text(out, scope_name(r->scope));
    buf_add_text(out, r->scope == NODE_SCOPE_NONE ? ",\"security\":[]" : ",\"security\":[{\"token\":[]},{\"cookie\":[]}]");
    put_parameters(out, r);
    put_body(out, r);
    put_answers(out, r);
    buf_add_char(out, '}');
}

static void put_paths(buf *out)
{
    buf_add_text(out, ",\"paths\":{");
    for (size_t i = 0, paths = 0; i < route_count; i++) {
        size_t first = 0;
        while (strcmp(routes[first].path, routes[i].path))
            first++;
        if (first < i)
            continue; /* it is there already */
        buf_add_text(out, paths++ ? "," : "");
        json_put_text(out, routes[i].path);
        buf_add_text(out, ":{");
        for (size_t k = i; k < route_count; k++)
            if (!strcmp(routes[k].path, routes[i].path)) {
                buf_add_text(out, k > i ? "," : "");
                put_route(out, &routes[k]);
            }
        buf_add_char(out, '}');
    }
    buf_add_char(out, '}');
}

bool openapi_write(buf *out)
{
    bytes text = {(const char *)schemas, sizeof schemas - 1};
    while (text.len && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '}'))
        if (text.at[--text.len] == '}')
            break; /* the document's own brace: paths go before it */
    buf_clear(out);
    buf_add_bytes(out, text);
    put_paths(out);
    buf_add_char(out, '}');
    return !out->failed;
}

void openapi_answer(asked *q)
{
    answer(q, 200, buf_bytes(&q->api->document));
}
