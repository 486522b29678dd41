/* One call or command of a plugin that is waited for: turns the loop until its result is there, and keeps that in the
 * plugin until the next one. The waiter's state is on its stack and outlives the plugin, which anybody may free
 * meanwhile. */
#include <string.h>

#include "host/inside.h"

void await_keep(void *arg, const weir_result *r)
{
    weir_plugin *p = arg;
    buf_add(&p->wait_output, r->output, r->output_len);
    buf_add_char(&p->wait_output, '\0');
    buf_add(&p->wait_error, r->error, strlen(r->error) + 1);
    buf_add(&p->wait_trace, r->trace, strlen(r->trace) + 1);
    p->wait_result = *r;
    p->wait_result.output = p->wait_output.at;
    p->wait_result.error = p->wait_error.at;
    p->wait_result.trace = p->wait_trace.at;
    *p->waiting = WAIT_OVER;
    p->waiting = NULL;
}

weir_code await_begin(weir_plugin *p, call_wait_state *state, weir_error *err)
{
    if (p->waiting)
        return error_set(err, WEIR_BUSY, "plugin '%s': a call is being waited for already", p->name);
    buf_clear(&p->wait_output);
    buf_clear(&p->wait_error);
    buf_clear(&p->wait_trace);
    *state = WAIT_ON;
    p->waiting = state;
    return WEIR_OK;
}

weir_code await_end(weir_plugin *p, loop *l, const call_wait_state *state, const weir_result **result, weir_error *err)
{
    while (*state == WAIT_ON)
        loop_step(l, -1);
    if (*state == WAIT_GONE)
        return error_set(err, WEIR_CANCELLED, "the plugin was freed while a call was being waited for");
    if (p->wait_output.failed || p->wait_error.failed || p->wait_trace.failed)
        return error_set(err, WEIR_NOMEM, "plugin '%s': out of memory", p->name);
    *result = &p->wait_result;
    return WEIR_OK;
}
