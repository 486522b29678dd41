/* Logs a line of each kind 100,000 times: Extism's levels, log_record, and text with control
 * characters that would clear a terminal. `endless` does not stop. */
#include "weir_pdk.h"

static void once(void)
{
    weir_log_debug(weir_text("a debug line"));
    weir_log_info(weir_text("an info line"));
    weir_log_warn(weir_text("a warning \x1b[2J\x07 with escapes\r\nand a second line"));
    weir_log_error(weir_text("an error line"));
    weir_log_record("info", weir_text("a record \x1b]0;title\x07"));
}

WEIR_EXPORT(flood)
{
    for (int i = 0; i < 100000; i++)
        once();
    return 0;
}

WEIR_EXPORT(endless)
{
    for (;;)
        once();
    return 0;
}
