/* config.h: a plugin's configuration from the command line, files, the environment and the terminal. */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "base/json.h"
#include "cli/cli.h"

/* What --config and --config-file give, as a JSON object; "" when that is nothing, NULL after an error that it has
 * reported. free(). */
char *cli_config(const cli_list *options, const char *file);

/* Configures the plugin: with what cli_config gave, then WEIR_CONFIG_NAME from the environment, then, on a terminal,
 * what the user answers for what is required. False after an error that it has reported. */
bool cli_configure(weir_plugin *plugin, const char *given);

/* The same for a plugin that is elsewhere, of which the form is known: a JSON object, "" for nothing. Whether it is enough, and
 * right, is said there. NULL after an error that it has reported. free(). */
char *cli_config_fill(json fields, const char *given);

/* A line from the terminal; hidden: nothing of it is shown. NULL: there is none. free(). */
char *cli_ask(const char *question, bool hidden);

#endif
