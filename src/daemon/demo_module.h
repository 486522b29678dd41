/* demo_module.h: the plugin that `weir serve --demo` runs, inside the program. */
#ifndef DAEMON_DEMO_MODULE_H
#define DAEMON_DEMO_MODULE_H

#include "base/bytes.h"

bytes demo_module(void);

#endif
