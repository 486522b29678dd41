/* host.h: what the files of host functions share (host_ws, host_http, host_calendar, host_misc; the table is in
 * imports.c).
 *
 * Each host function gets the task and the request block's octets and leaves its answer in t->reply;
 * the table's trampoline makes it the guest's reply block, recycles the request, and turns
 * t->guest->cancelled into the trap that unwinds. A malformed request, a block that does
 * not exist included, is an answer that the plugin can read, never a trap. */
#ifndef PLUGIN_HOST_H
#define PLUGIN_HOST_H

#include "base/json.h"
#include "plugin/task.h"

/* True: t->reply holds the answer. False: the call is being cancelled. */
typedef bool (*host_function)(task *t, bytes request);

bool host_ws_connect(task *t, bytes request);
bool host_ws_send(task *t, bytes request);
bool host_ws_receive(task *t, bytes request);
bool host_ws_close(task *t, bytes request);
bool host_publish_stream_data(task *t, bytes request);
bool host_http_request(task *t, bytes request);
bool host_log_record(task *t, bytes request);
bool host_calendar_import(task *t, bytes request);

bool host_extism_http(guest *g, guest_http *request);

/* {"success":true} · {"success":false,"error":"..."} */
bool host_say_ok(task *t);
bool host_say_error(task *t, const weir_error *err);

/* A JSON object of strings, or null or absent, as headers. The list is the task's until the next call of
 * this; the texts are in t->scratch, behind what is there, and hold while it is not added to.
 * WEIR_INVALID: not strings. WEIR_LIMIT: more than HOST_HEADERS. */
#define HOST_HEADERS 64
weir_code host_headers(task *t, json object, const http_header **out, size_t *count, weir_error *err);

#endif
