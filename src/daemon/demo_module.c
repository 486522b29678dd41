/* The WOO X plugin, compiled by the build (pdk/plugins/woox), as octets of this program. */
#include "daemon/demo_module.h"

__asm__(".section .rodata\n"
        ".global demo_module_begin\n.hidden demo_module_begin\n"
        ".global demo_module_end\n.hidden demo_module_end\n"
        ".balign 16\n"
        "demo_module_begin:\n"
        ".incbin \"" DEMO_MODULE "\"\n"
        "demo_module_end:\n"
        ".byte 0\n"
        ".text\n");

extern const char demo_module_begin[], demo_module_end[];

bytes demo_module(void)
{
    return bytes_make(demo_module_begin, (size_t)(demo_module_end - demo_module_begin));
}
