/* Commands: one way to ask any generation for data. The generation says which export to call with what and
 * reads the answer; plugin/normal.c gives it its form; answers.c keeps what may be kept. */
#include <stdio.h>

#include "base/json.h"
#include "host/answers.h"
#include "host/inside.h"
#include "plugin/normal.h"

/* The answer in its form, in place of the export's own output. */
static weir_code show(weir_plugin *p, bytes name, json data, unsigned flags, weir_error *err)
{
    buf out;
    normal_notes notes = {0};
    weir_code code = WEIR_OK;
    buf_init(&out, SIZE_MAX);
    if (flags & WEIR_COMMAND_RAW)
        buf_add_bytes(&out, data.type == JSON_NONE ? BYTES("null") : data.raw);
    else
        code = normal_write(&out, name, data, &notes, err);
    buf said;
    buf_init(&said, 1 << 10);
    if (!code && normal_say(&said, &notes))
        log_warn("plugin", "'%s': " BYTES_FMT ": %.*s", p->name, BYTES_ARG(name), (int)said.len, said.at);
    buf_fini(&said);
    buf_clear(&p->wait_output);
    buf_add_bytes(&p->wait_output, buf_bytes(&out));
    buf_add_char(&p->wait_output, '\0');
    if (!code && (out.failed || p->wait_output.failed))
        code = error_set(err, WEIR_NOMEM, "out of memory");
    p->wait_result = (weir_result){.output = p->wait_output.at, .output_len = out.len, .error = "", .trace = ""};
    buf_fini(&out);
    return code;
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

static void on_turn(void *arg)
{
    weir_plugin *p = arg;
    *p->waiting = WAIT_OVER;
    p->waiting = NULL;
}

/* Waits, if the plugin's rate limits want it, until the command may be asked. */
static weir_code wait_for_turn(weir_plugin *p, bytes name, json params, weir_error *err)
{
    rates_asked asked = {weir_plugin_id(p), p->config, name, params};
    call_wait_state state = WAIT_ON;
    const limit *by;
    uint64_t wait_ns;
    timer t;
    char text[200];
    buf why;
    if (rates_take(p->host->rates, &p->rate_limits, &asked, p->rate_wait_ms * NS_PER_MS, &wait_ns, &by, err))
        return error_wrap(err, "plugin '%s': " BYTES_FMT, p->name, BYTES_ARG(name));
    if (!wait_ns)
        return WEIR_OK;
    buf_init(&why, sizeof text);
    limit_text(&why, by, name);
    snprintf(text, sizeof text, BYTES_FMT, BYTES_ARG(buf_bytes(&why)));
    buf_fini(&why);
    log_info("plugin", "'%s': waits %.1f s for its rate limit (%s)", p->name, (double)wait_ns * 1e-9, text);
    loop *l = p->host->loop;
    timer_init(&t, l, on_turn, p);
    timer_after(&t, wait_ns);
    p->waiting = &state;
    if (p->on_wait)
        p->on_wait(p->on_wait_arg, p, (wait_ns + NS_PER_MS - 1) / NS_PER_MS, text);
    while (state == WAIT_ON)
        loop_step(l, -1);
    timer_stop(&t);
    return state == WAIT_GONE ? error_set(err, WEIR_CANCELLED, "the plugin was freed while a call was being waited for") : WEIR_OK;
}

/* Asks the plugin, or takes what is kept. `answered` is the output as it came, for `a` to point into. */
static weir_code ask(weir_plugin *p, bytes name, json params, unsigned flags, buf *answered, answer *a,
                     const weir_result **result, weir_error *err)
{
    char key[ANSWERS_KEY] = "";
    call_result called = {.code = WEIR_OK};
    buf in, room;
    if (*p->digest)
        answers_key(key, p->digest, p->shared.config, name, params);
    if (!(flags & WEIR_COMMAND_FRESH) && answers_find(answered, p->host->cache_dir, key)) {
        called.output = buf_bytes(answered);
        return p->generation->read_command(a, &called, err);
    }
    buf_clear(answered);
    buf_init(&in, 1 << 24);
    buf_init(&room, 1 << 24);
    const char *export_name = p->generation->ask_command(&in, name, with_credentials(p, params, &room), err);
    weir_code code = WEIR_UNSUPPORTED;
    if (!export_name)
        error_wrap(err, "plugin '%s'", p->name);
    else if (in.failed)
        code = error_set(err, WEIR_NOMEM, "command '" BYTES_FMT "': out of memory", BYTES_ARG(name));
    else if (!(code = wait_for_turn(p, name, params, err)))
        code = weir_plugin_call_wait(p, export_name, in.at ? in.at : "", in.len, result, err);
    buf_fini(&in);
    buf_fini(&room);
    if (code)
        return code;
    buf_add(answered, (*result)->output, (*result)->output_len);
    called.output = buf_bytes(answered);
    if ((code = p->generation->read_command(a, &called, err)))
        return error_wrap(err, "plugin '%s': " BYTES_FMT, p->name, BYTES_ARG(name));
    if (a->cache_s)
        answers_keep(p->host->cache_dir, key, called.output, a->cache_s);
    return WEIR_OK;
}

weir_code weir_command_wait(weir_plugin *p, const char *name, const char *params_json, unsigned flags,
                            const weir_result **result, weir_error *err)
{
    json params = {0};
    answer a;
    buf answered;
    if (params_json && *params_json && json_read(&params, bytes_of(params_json), err))
        return error_wrap(err, "command '%s': parameters", name);
    if (params.type != JSON_NONE && params.type != JSON_OBJECT && params.type != JSON_NULL)
        return error_set(err, WEIR_INVALID, "command '%s': parameters: a JSON object is needed", name);
    if (p->config_wrong.code) {
        error_recall(&p->config_wrong, err);
        return error_wrap(err, "plugin '%s'", p->name);
    }
    if (p->waiting)
        return error_set(err, WEIR_BUSY, "plugin '%s': a call is being waited for already", p->name);
    buf_init(&answered, SIZE_MAX);
    weir_code code = ask(p, bytes_of(name), params, flags, &answered, &a, result, err);
    if (!code) {
        code = show(p, bytes_of(name), a.data, flags, err);
        code = code ? error_wrap(err, "plugin '%s': %s", p->name, name) : WEIR_OK;
        *result = &p->wait_result;
    }
    buf_fini(&answered);
    return code;
}
