/* A command module: exports _start, which must run once before the others answer. */
#include "weir_pdk.h"

static int started;

int main(void)
{
    started = 1;
    return 0;
}

WEIR_EXPORT(meta)
{
    if (!started) {
        weir_error("_start did not run");
        return 1;
    }
    weir_output(weir_text("{\"pluginId\":\"command\",\"name\":\"Command\",\"appId\":\"datasrc\",\"version\":\"1.0.0\",\"category\":\"test\"}"));
    return 0;
}
