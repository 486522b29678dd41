/* The callback route of a hybrid: a plugin of generation 2 that has generation 1's stream exports, too.
 *
 * Its start_stream is the safe way; this one is for those whose loop does not start, or whose user says so
 * (stream_route). It differs from generation 1 in its configuration, in a prepare_stream that returns 1 with its
 * refusal, and in saying each record twice: what it publishes during a callback is dropped (stream/shared.c), what the
 * callback returns counts. */
#include "plugin/generation.h"

extern const generation generation_1;

static bool fits(const module *code)
{
    return generation_has(code, "start_stream") && generation_has(code, "prepare_stream") && generation_has(code, "handle_stream_message");
}

static const char *ask_stream(buf *in, const stream_wish *wish, weir_error *err)
{
    return generation_1.ask_stream(in, wish, err);
}

static weir_code read_marker(marker *out, const call_result *r, weir_error *err)
{
    return generation_1.read_marker(out, r, err);
}

static const char *ask_frame(buf *in, const marker *m, const stream_frame *frame)
{
    return generation_1.ask_frame(in, m, frame);
}

static const char *ask_event(buf *in, const marker *m, bytes connection, stream_event event, const char *error)
{
    return generation_1.ask_event(in, m, connection, event, error);
}

static weir_code read_verdict(verdict *out, marker *m, const call_result *r, weir_error *err)
{
    return generation_1.read_verdict(out, m, r, err);
}

const generation generation_hybrid = {
    .name = "2, callbacks",
    .fits = fits,
    .fields = "get_credential_fields",
    .configure = "plugin_configure",
    .ask_command = generation_1_command,
    .read_command = generation_1_answer,
    .ask_stream = ask_stream,
    .read_marker = read_marker,
    .ask_frame = ask_frame,
    .ask_event = ask_event,
    .read_verdict = read_verdict,
};
