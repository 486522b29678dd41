/* Generation 2: the plugin owns its loop. start_stream dials, asks for messages, publishes, and stays
 * pending for days (stream/pull.c); the other exports are those of generation 1, with failures in the output
 * and code 1. */
#include "plugin/generation.h"

static bool fits(const module *code)
{
    return generation_has(code, "start_stream");
}

const generation generation_2 = {
    .name = "2",
    .fits = fits,
    .loops = true,
    .fields = "get_credential_fields",
    .configure = "plugin_configure",
    .ask_command = generation_1_command,
    .read_command = generation_1_answer,
};
