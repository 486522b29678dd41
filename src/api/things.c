/* What the node does: a question for it, and its answer on the way back. The peer may be gone by then, or the api. */
#include "api/inside.h"

#include "base/json.h"

#include <stdio.h>

/* The id of what was made, for the audit. */
static void target_of(bytes text, char out[64])
{
    json id;
    json_field want[] = {{"id", &id}};
    bytes slice;
    *out = '\0';
    if (json_read_fields(text, want, 1, NULL))
        return;
    if (!json_string_slice(id, &slice))
        slice = id.type == JSON_NUMBER ? id.raw : bytes_make("", 0);
    snprintf(out, 64, "%.*s", (int)(slice.len > 63 ? 63 : slice.len), slice.at);
}

static void on_answer(void *arg, weir_code code, bool created, bytes json, const char *error)
{
    asked *q = arg;
    api *a = q->api;
    if (!a) {
        asked_free(q);
        return;
    }
    if (code) {
        answer_code(q, code, error);
        return;
    }
    char target[64] = "";
    uint16_t status = created ? 201 : json.len ? 200
                                               : 204;
    bool token_gone = !strcmp(q->route->op, "tokens.remove");
    if (created)
        target_of(json, target);
    audit(q, status, *target ? target : NULL);
    answer(q, status, json);
    if (token_gone) {
        sockets_check(a, false, "its token was taken back");
        events_check(a, false);
    }
}

void things_ask(asked *q)
{
    node_question question = {
        .op = q->route->op,
        .id = q->id,
        .name = q->name,
        .query = buf_bytes(&q->query),
        .body = server_body(q->r),
        .who = q->who.name,
    };
    node_ask(q->api->node, &question, on_answer, q);
}

void health_answer(asked *q)
{
    answer(q, 200, BYTES("{\"status\":\"ok\"}"));
}

void ready_answer(asked *q)
{
    buf why, body;
    buf_init(&why, 4096);
    buf_init(&body, 16384);
    bool ready = node_ready(q->api->node, &why);
    if (q->api->draining) {
        ready = false;
        buf_clear(&why);
        buf_add_text(&why, "the node is being shut down");
    }
    buf_add_fmt(&body, "{\"ready\":%s", ready ? "true" : "false");
    json_put_member(&body, "why", buf_bytes(&why));
    buf_add_char(&body, '}');
    answer(q, ready ? 200 : 503, buf_bytes(&body));
    buf_fini(&why);
    buf_fini(&body);
}

void settings_answer(asked *q)
{
    const api_options *o = &q->api->options;
    buf body;
    buf_init(&body, 1024 * 1024);
    buf_add_text(&body, "{\"settings\":");
    if (o->settings)
        o->settings(o->settings_arg, &body);
    else
        buf_add_text(&body, "[]");
    buf_add_char(&body, '}');
    if (body.failed)
        answer_code(q, WEIR_NOMEM, NULL);
    else
        answer(q, 200, buf_bytes(&body));
    buf_fini(&body);
}
