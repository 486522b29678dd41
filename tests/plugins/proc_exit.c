/* Ends by proc_exit with the code that its input names. */
#include "weir_pdk.h"

WEIR_IMPORT("wasi_snapshot_preview1", proc_exit)
_Noreturn void wasi_proc_exit(uint32_t code);

WEIR_EXPORT(leave)
{
    uint64_t code = 0;
    weir_json_u64(weir_input(), &code);
    wasi_proc_exit((uint32_t)code);
}
