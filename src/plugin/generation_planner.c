/* The first planner interface: one export, import_events, which reports what it finds through
 * calendar_import and returns nothing. */
#include "plugin/generation.h"

static bool fits(const module *code)
{
    return generation_has(code, "import_events");
}

static const char *ask_command(buf *in, bytes name, json params, weir_error *err)
{
    if (!bytes_is(name, "import_events")) {
        error_set(err, WEIR_UNSUPPORTED, "a planner plugin knows import_events, not '" BYTES_FMT "'", BYTES_ARG(name));
        return NULL;
    }
    buf_add_bytes(in, params.type == JSON_OBJECT ? params.raw : BYTES("{}"));
    return "import_events";
}

const generation generation_planner = {
    .name = "planner",
    .fits = fits,
    .ask_command = ask_command,
    .read_command = generation_1_answer,
};
