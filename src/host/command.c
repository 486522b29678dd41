/* Commands: one way to ask any generation for data. The generation says which export to call with what and
 * reads the answer; plugin/normal.c gives it its form; answers.c keeps what may be kept.
 *
 * weir_command -> a kept answer, or the export's call, when its rate limits allow it -> its output read and put into its form -> on_done.
 * What goes wrong on the way is the result's, but for what shows at once: parameters that are no JSON, a
 * configuration that its fields refuse, a command that this generation does not know. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "host/answers.h"
#include "host/inside.h"
#include "plugin/normal.h"

struct command {
    list_node node;
    weir_plugin *plugin;
    char *name;
    unsigned flags;
    bool plain;            /* its export's output is the answer */
    char key[ANSWERS_KEY]; /* of the answer, where it may be kept */
    buf answered;          /* the plugin's answer as it came, then the same in its form */
    buf shown;
    const char *export_name; /* the question */
    buf in;
    timer turn;   /* when the plugin's rate limits allow it */
    char *params; /* while they cannot be looked at; else NULL */
    unsigned tries;
    deferred tell; /* a kept answer, or that it waits: not from inside weir_command */
    uint64_t wait_ms;
    char limit[200]; /* that it waits for */
    void (*on_done)(void *arg, const weir_result *result);
    void *arg;
};

static void command_free(command *c)
{
    list_remove(&c->node);
    defer_cancel(&c->tell);
    timer_stop(&c->turn);
    buf_fini(&c->in);
    buf_fini(&c->answered);
    buf_fini(&c->shown);
    free(c->params);
    free(c->name);
    free(c);
}

void command_drop_all(weir_plugin *p)
{
    while (!list_empty(&p->commands))
        command_free(LIST_OWNER(p->commands.head.next, command, node));
}

/* Tells, once; on_done may free the plugin, which finds this command gone from its list. */
static void finish(command *c, const weir_result *result)
{
    list_remove(&c->node);
    c->on_done(c->arg, result);
    command_free(c);
}

/* ---- The answer ---- */

/* The answer's data in its form, in c->shown. */
static weir_code show(command *c, json data, weir_error *err)
{
    normal_notes notes = {0};
    buf said;
    weir_code code = WEIR_OK;
    if (c->flags & WEIR_COMMAND_RAW)
        buf_add_bytes(&c->shown, data.type == JSON_NONE ? BYTES("null") : data.raw);
    else
        code = normal_write(&c->shown, bytes_of(c->name), data, &notes, err);
    buf_init(&said, 1 << 10);
    if (!code && normal_say(&said, &notes))
        log_warn("plugin", "'%s': %s: " BYTES_FMT, c->plugin->name, c->name, BYTES_ARG(buf_bytes(&said)));
    buf_fini(&said);
    return code;
}

/* `trace` is the call's. */
static void answer_read(command *c, bool keep, const char *trace)
{
    answer a;
    weir_error why = WEIR_ERROR_INIT;
    weir_plugin *p = c->plugin;
    call_result called = {.code = WEIR_OK, .output = buf_bytes(&c->answered)};
    weir_code code = c->answered.failed ? error_set(&why, WEIR_NOMEM, "out of memory") : c->plain ? WEIR_OK
                                                                                                  : p->generation->read_command(&a, &called, &why);
    if (!code && c->plain) {
        buf empty = c->shown;
        c->shown = c->answered;
        c->answered = empty;
    } else if (!code) {
        if (keep && a.cache_s)
            answers_keep(p->host->cache_dir, c->key, called.output, a.cache_s);
        if (keep && !strcmp(c->name, "import_events"))
            events_answer(p, &a);
        code = show(c, a.data, &why);
    }
    size_t len = c->shown.len;
    buf_add_char(&c->shown, '\0');
    if (!code && c->shown.failed)
        code = error_set(&why, WEIR_NOMEM, "out of memory");
    if (code)
        error_wrap(&why, "plugin '%s': %s", p->name, c->name);
    finish(c, &(weir_result){
                  .code = code,
                  .output = code ? "" : c->shown.at,
                  .output_len = code ? 0 : len,
                  .error = why.text,
                  .trace = trace,
              });
}

static void on_tell(void *arg)
{
    command *c = arg;
    weir_plugin *p = c->plugin;
    if (!c->wait_ms)
        answer_read(c, false, "");
    else if (p->on_wait) /* which may free it all */
        p->on_wait(p->on_wait_arg, p, c->wait_ms, c->limit);
}

static void on_called(void *arg, const weir_result *r)
{
    command *c = arg;
    if (r->code) {
        weir_error why = WEIR_ERROR_INIT;
        weir_result failed = *r;
        error_set(&why, r->code, "plugin '%s': %s: %s", c->plugin->name, c->name, r->error);
        failed.error = why.text;
        finish(c, &failed);
        return;
    }
    buf_add(&c->answered, r->output, r->output_len);
    answer_read(c, true, r->trace);
}

/* ---- The question ---- */

static weir_code call(command *c, weir_error *err)
{
    if (!strcmp(c->name, "import_events"))
        events_begin(c->plugin);
    return weir_plugin_call(c->plugin, c->export_name, c->in.at ? c->in.at : "", c->in.len, on_called, c, err);
}

static weir_code ask_in_turn(command *c, json params, weir_error *err);

static void on_turn(void *arg)
{
    command *c = arg;
    weir_error why = WEIR_ERROR_INIT;
    json params = {0};
    if (c->params && *c->params)
        json_read(&params, bytes_of(c->params), NULL);
    if (c->params ? ask_in_turn(c, params, &why) : call(c, &why))
        finish(c, &(weir_result){.code = why.code, .output = "", .error = why.text, .trace = ""});
}

/* What a plugin that has no export for it is configured with, inside the question (generation.h: travels). */
static json with_credentials(weir_plugin *p, json params, buf *room)
{
    json all, key, value;
    json_iter it = json_each(params);
    if (!p->generation->travels || !p->config || weir_plugin_exports(p, p->generation->configure))
        return params;
    buf_add_text(room, "{\"credentials\":");
    buf_add_text(room, p->config);
    if (params.type == JSON_OBJECT && json_next(&it, &key, &value)) {
        buf_add_char(room, ',');
        buf_add(room, params.raw.at + 1, params.raw.len - 1);
    } else {
        buf_add_char(room, '}');
    }
    return room->failed || json_read(&all, buf_bytes(room), NULL) ? params : all;
}

/* Another process counts at this moment. */
static weir_code ask_soon(command *c, json params, weir_error *err)
{
    c->tries++;
    if (!c->params && !(c->params = bytes_dup(params.raw)))
        return error_set(err, WEIR_NOMEM, "command '%s': out of memory", c->name);
    timer_after(&c->turn, RATES_AGAIN_NS);
    return WEIR_OK;
}

/* Asks now, or when the plugin's rate limits allow it. */
static weir_code ask_in_turn(command *c, json params, weir_error *err)
{
    weir_plugin *p = c->plugin;
    rates_asked asked = {weir_plugin_id(p), p->config, bytes_of(c->name), params, c->tries};
    const limit *by;
    uint64_t wait_ns;
    buf limit;
    weir_error why = WEIR_ERROR_INIT;
    weir_code code = rates_take(p->host->rates, &p->rate_limits, &asked, p->rate_wait_ms * NS_PER_MS, &wait_ns, &by, &why);
    if (code == WEIR_BUSY)
        return ask_soon(c, params, err);
    if (code)
        return error_set(err, code, "plugin '%s': %s: %s", p->name, c->name, why.text);
    free(c->params);
    c->params = NULL;
    if (!wait_ns)
        return call(c, err);
    buf_init(&limit, sizeof c->limit);
    limit_text(&limit, by, asked.command);
    snprintf(c->limit, sizeof c->limit, BYTES_FMT, BYTES_ARG(buf_bytes(&limit)));
    buf_fini(&limit);
    c->wait_ms = (wait_ns + NS_PER_MS - 1) / NS_PER_MS;
    log_info("plugin", "'%s': waits %.1f s for its rate limit (%s)", p->name, (double)wait_ns * 1e-9, c->limit);
    timer_after(&c->turn, wait_ns);
    defer(p->host->loop, &c->tell);
    return WEIR_OK;
}

/* Whether the command is an export of its own (generation.h: exports). */
static bool is_export(const weir_plugin *p, const char *name)
{
    const char *const *e = p->generation->exports;
    while (e && *e && strcmp(*e, name) != 0)
        e++;
    return e && *e && weir_plugin_exports(p, name);
}

static weir_code ask(command *c, json params, weir_error *err)
{
    weir_plugin *p = c->plugin;
    buf room;
    if ((c->plain = is_export(p, c->name))) {
        c->export_name = c->name;
        buf_add_bytes(&c->in, params.type == JSON_OBJECT ? params.raw : BYTES(""));
        return c->in.failed ? error_set(err, WEIR_NOMEM, "command '%s': out of memory", c->name) : ask_in_turn(c, params, err);
    }
    if (*p->digest)
        answers_key(c->key, p->digest, p->shared.config, bytes_of(c->name), params);
    if (!(c->flags & WEIR_COMMAND_FRESH) && answers_find(&c->answered, p->host->cache_dir, c->key)) {
        defer(p->host->loop, &c->tell);
        return WEIR_OK;
    }
    buf_clear(&c->answered);
    buf_init(&room, 1 << 24);
    c->export_name = p->generation->ask_command(&c->in, bytes_of(c->name), with_credentials(p, params, &room), err);
    buf_fini(&room);
    if (!c->export_name) {
        error_wrap(err, "plugin '%s'", p->name);
        return WEIR_UNSUPPORTED;
    }
    return c->in.failed ? error_set(err, WEIR_NOMEM, "command '%s': out of memory", c->name) : ask_in_turn(c, params, err);
}

static weir_code may_ask(const weir_plugin *p, const char *name, json *params, const char *params_json, weir_error *err)
{
    if (params_json && *params_json && json_read(params, bytes_of(params_json), err))
        return error_wrap(err, "command '%s': parameters", name);
    if (params->type != JSON_NONE && params->type != JSON_OBJECT && params->type != JSON_NULL)
        return error_set(err, WEIR_INVALID, "command '%s': parameters: a JSON object is needed", name);
    if (p->config_wrong.code) {
        error_recall(&p->config_wrong, err);
        return error_wrap(err, "plugin '%s'", p->name);
    }
    return WEIR_OK;
}

weir_code command_start(command **out, weir_plugin *p, const char *name, const char *params_json, unsigned flags,
                        void (*on_done)(void *arg, const weir_result *result), void *arg, weir_error *err)
{
    json params = {0};
    weir_code code = may_ask(p, name, &params, params_json, err);
    if (code)
        return code;
    command *c = calloc(1, sizeof *c);
    if (!c || !(c->name = strdup(name))) {
        free(c);
        return error_set(err, WEIR_NOMEM, "command '%s': out of memory", name);
    }
    c->plugin = p;
    c->flags = flags;
    c->on_done = on_done;
    c->arg = arg;
    c->tell = (deferred){.fn = on_tell, .arg = c};
    timer_init(&c->turn, p->host->loop, on_turn, c);
    buf_init(&c->in, 1 << 24);
    buf_init(&c->answered, SIZE_MAX);
    buf_init(&c->shown, SIZE_MAX);
    list_push(&p->commands, &c->node);
    if ((code = ask(c, params, err)))
        command_free(c);
    else
        *out = c;
    return code;
}

static void tell_nobody(void *arg, const weir_result *result)
{
    (void)arg;
    (void)result;
}

void command_mute(command *c)
{
    c->on_done = tell_nobody;
}

weir_code weir_command(weir_plugin *p, const char *name, const char *params_json, unsigned flags,
                       void (*on_done)(void *arg, const weir_result *result), void *arg, weir_error *err)
{
    command *c;
    return command_start(&c, p, name, params_json, flags, on_done, arg, err);
}

weir_code weir_command_wait(weir_plugin *p, const char *name, const char *params_json, unsigned flags,
                            const weir_result **result, weir_error *err)
{
    call_wait_state state;
    loop *l = p->host->loop; /* the plugin may be gone before the end */
    weir_code code = await_begin(p, &state, err);
    if (code)
        return code;
    if ((code = weir_command(p, name, params_json, flags, await_keep, p, err))) {
        p->waiting = NULL;
        return code;
    }
    if ((code = await_end(p, l, &state, result, err)))
        return code;
    if (p->wait_result.code)
        error_set(err, p->wait_result.code, "%s", p->wait_result.error);
    return p->wait_result.code;
}
