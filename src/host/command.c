/* Commands: one way to ask any generation for data. The generation says which export to call with what and
 * reads the answer; plugin/normal.c gives it its form. */
#include "base/json.h"
#include "host/inside.h"
#include "plugin/normal.h"

/* The answer in its form, in place of the export's own output. */
static weir_code take_answer(weir_plugin *p, bytes name, const weir_result *r, bool raw, weir_error *err)
{
    call_result called = {.code = WEIR_OK, .output = bytes_make(r->output, r->output_len)};
    answer a;
    buf out;
    normal_notes notes;
    weir_code code = p->generation->read_command(&a, &called, err);
    if (code)
        return code;
    buf_init(&out, SIZE_MAX);
    if (!raw) {
        code = normal_write(&out, name, a.data, &notes, err);
        if (!code && notes.refused)
            log_warn("plugin", "'%s': " BYTES_FMT ": %zu rows make no sense and are left out; %s", p->name, BYTES_ARG(name), notes.refused, notes.why);
        if (!code && notes.doubles)
            log_info("plugin", "'%s': " BYTES_FMT ": %zu rows came twice", p->name, BYTES_ARG(name), notes.doubles);
    } else {
        buf_add_bytes(&out, a.data.type == JSON_NONE ? BYTES("null") : a.data.raw);
    }
    buf_clear(&p->wait_output);
    buf_add_bytes(&p->wait_output, buf_bytes(&out));
    buf_add_char(&p->wait_output, '\0');
    if (!code && (out.failed || p->wait_output.failed))
        code = error_set(err, WEIR_NOMEM, "out of memory");
    p->wait_result.output = p->wait_output.at;
    p->wait_result.output_len = out.len;
    buf_fini(&out);
    return code;
}

weir_code weir_command_wait(weir_plugin *p, const char *name, const char *params_json, bool raw,
                            const weir_result **result, weir_error *err)
{
    json params = {0};
    buf in;
    weir_code code = WEIR_OK;
    if (params_json && *params_json && json_read(&params, bytes_of(params_json), err))
        return error_wrap(err, "command '%s': parameters", name);
    if (params.type != JSON_NONE && params.type != JSON_OBJECT && params.type != JSON_NULL)
        return error_set(err, WEIR_INVALID, "command '%s': parameters: a JSON object is needed", name);
    if (p->config_wrong.code) {
        error_recall(&p->config_wrong, err);
        return error_wrap(err, "plugin '%s'", p->name);
    }
    buf_init(&in, 1 << 24);
    const char *export_name = p->generation->ask_command(&in, bytes_of(name), params, err);
    if (!export_name)
        code = error_wrap(err, "plugin '%s'", p->name);
    else if (in.failed)
        code = error_set(err, WEIR_NOMEM, "command '%s': out of memory", name);
    else
        code = weir_plugin_call_wait(p, export_name, in.at ? in.at : "", in.len, result, err);
    buf_fini(&in);
    if (!export_name || code)
        return code;
    code = take_answer(p, bytes_of(name), *result, raw, err);
    return code ? error_wrap(err, "plugin '%s': %s", p->name, name) : WEIR_OK;
}
