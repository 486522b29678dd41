/* cli.h: what the commands share. Each command is a file with one function; main.c finds it by name.
 *
 * The CLI reaches the runtime through weir.h only. Exit codes, the same for every command: */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>
#include <weir/weir.h>

enum {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,  /* it did not work: the plugin, the venue, the system */
    EXIT_USAGE = 2,   /* the command line does not make sense */
    EXIT_PLUGIN = 3,  /* the plugin cannot be loaded */
    EXIT_REFUSED = 4, /* a permission does not allow it */
    EXIT_GUEST = 5,   /* the plugin answered with a failure, or trapped */
};

typedef struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
} command;

extern const command commands[]; /* a NULL name ends it */

int cmd_serve(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_call(int argc, char **argv);
int cmd_command(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_why(int argc, char **argv);
int cmd_sim(int argc, char **argv);
int cmd_plugin(int argc, char **argv);
int cmd_connection(int argc, char **argv);
int cmd_stream(int argc, char **argv);
int cmd_secret(int argc, char **argv);
int cmd_history(int argc, char **argv);
int cmd_sink(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_tail(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_completion(int argc, char **argv);

/* "weir: TEXT" on stderr, red on a terminal; returns `code`. */
int cli_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A wrong option or argument: the text, then where to read more. */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same where getopt_long has just answered '?'. */
int cli_wrong_option(const char *command, char **argv);
int cli_exit_code(weir_code code);

/* What a user of the command line can do about an error that says `text`, to go behind it; "" if nothing. */
const char *cli_cure(const char *text);

/* A JSON string with its quotes. */
void cli_put_json(FILE *out, const char *at, size_t len);

/* "250ms", "90s", "15m", "2h", or bare seconds; more than nothing. */
bool cli_duration(const char *text, double *seconds);

/* Repeatable options gather here; list[count] is always NULL. */
typedef struct cli_list {
    const char **at;
    size_t count;
} cli_list;
bool cli_add(cli_list *l, const char *text);

/* A stream as it is typed: "ohlcv:SPOT_BTC_USDT:1m,depth=50". */
typedef struct cli_spec {
    char *type, *identifier, *parameters; /* the last one JSON */
} cli_spec;
bool cli_is_spec(const char *text);
bool cli_spec_read(cli_spec *out, const char *text); /* of one that is; false: out of memory */
void cli_spec_free(cli_spec *s);

/* What every command that loads a plugin understands. */
typedef struct cli_common {
    cli_list config, allow, folders, overrides, heartbeats;
    const char *config_file, *ca_file, *cache_dir;
    int verbose;
    bool json;
    uint32_t call_ms, silence_ms, retry_ms, rate_wait_ms; /* 0: the default */
    uint32_t connect_ms, quiet_after_ms;
    cli_list lifetimes;
    bool own_instances, backfill;
    bool unconfigured; /* what is asked of the plugin needs no configuration */
    weir_on_trap on_trap;
    weir_route route;
} cli_common;

#define CLI_COMMON_OPTIONS                                                               \
    {"config", required_argument, 0, 1000}, {"config-file", required_argument, 0, 1001}, \
        {"allow", required_argument, 0, 1002}, {"override", required_argument, 0, 1003}, \
        {"ca", required_argument, 0, 1004}, {"cache-dir", required_argument, 0, 1005},   \
        {"dir", required_argument, 0, 1006}, {"verbose", no_argument, 0, 'v'},           \
        {"json", no_argument, 0, 'j'},                                                   \
    {                                                                                    \
        "help", no_argument, 0, 'h'                                                      \
    }
#define CLI_COMMON_HELP                                                                                                   \
    "  --config KEY=VALUE     a value of the plugin's configuration; repeat. Or WEIR_CONFIG_KEY in the environment\n"     \
    "  --config @FILE         the same from a JSON object, lines KEY=VALUE, or FILE.toml (also --config-file FILE)\n"     \
    "  --allow PATTERN        grant only this target, e.g. 'wss://wss.woox.io/*'; repeat\n"                               \
    "  --dir HOST:GUEST       a folder that the plugin asks for: where GUEST is here; ro: before it: read only; repeat\n" \
    "  --override ORIGIN=ORIGIN  where an origin really is, for a simulated venue; repeat\n"                              \
    "  --ca FILE              authorities to trust (PEM) instead of the system's\n"                                       \
    "  --cache-dir DIR        compiled modules and kept answers; '' keeps none\n"                                         \
    "  -v, --verbose          more of the log; twice: all of it\n"                                                        \
    "  -j, --json             for machines\n"                                                                             \
    "  -h, --help             this\n"
bool cli_common_option(cli_common *c, int option, const char *value);
/* The host that the options describe, with room for so many instances (a small pool starts faster); NULL after an error that it has reported (*code is the exit code). */
weir_host *cli_host(const cli_common *c, uint32_t instances, int *code);
/* The same for a plugin. */
weir_plugin *cli_plugin(weir_host *host, const cli_common *c, const char *path, int *code);

#endif
