/* weir why: the last traps of a plugin or a stream, from the state folder. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"

static void help(void)
{
    fputs("usage: weir why PLUGIN|STREAM [OPTIONS]\n\n"
          "Says why instances of a plugin died: what was asked, the trap and the guest's back-trace, its last host calls,\n"
          "the venue's message that it was about, and what Weir did then. Kept by every run, of each plugin the last 16;\n"
          "secrets are masked. PLUGIN is its id or file, STREAM is TYPE:IDENTIFIER[:TIMEFRAME] or a records' topic.\n\n"
          "options\n"
          "  -n, --last N           so many, the newest first; 1\n"
          "      --state-dir DIR    where they are kept; $XDG_STATE_HOME/weir, else ~/.local/state/weir\n"
          "  -j, --json             for machines: a list\n"
          "  -h, --help             this\n"
          "\nexamples\n"
          "  weir why woox.wasm\n"
          "  weir why trades:SPOT_BTC_USDT --last 3\n"
          "  weir why woox-datasource --json | jq -r '.[0].backtrace[]'\n\n"
          "exit codes: 0 it is said; 1 none is kept (stderr says of whom there are some); others as in 'weir --help'\n",
          stdout);
}

/* Text of a JSON string, fit for a terminal; its own lines stay lines, indented. */
static void show(const char *title, json value, uint64_t octets)
{
    buf raw, room;
    buf_init(&raw, 1 << 20);
    buf_init(&room, 1 << 22);
    json_string_add(value, &raw);
    log_escape(&room, buf_bytes(&raw));
    if (raw.len)
        printf("  %-12s%.*s%s", title, (int)room.len, room.at, octets > raw.len && octets > 4096 ? " ..." : "");
    if (raw.len && octets > raw.len && octets > 4096)
        printf(" (%llu octets)", (unsigned long long)octets);
    if (raw.len)
        putchar('\n');
    buf_fini(&raw);
    buf_fini(&room);
}

static uint64_t number(json object, const char *name)
{
    uint64_t n = 0;
    json_u64(json_member(object, name), &n);
    return n;
}

static void show_calls(json calls)
{
    json key, item;
    const char *title = "host calls";
    for (json_iter it = json_each(calls); json_next(&it, &key, &item); title = "") {
        bytes name = {0}, time = {0}, outcome = {0};
        double ms = 0;
        json_string_slice(json_member(item, "name"), &name);
        json_string_slice(json_member(item, "time"), &time);
        json_string_slice(json_member(item, "outcome"), &outcome);
        json_f64(json_member(item, "ms"), &ms);
        printf("  %-12s" BYTES_FMT "  %9.1f ms  %-20.*s " BYTES_FMT "\n", title, BYTES_ARG(time), ms, BYTES_ARG(name), BYTES_ARG(outcome));
    }
}

static void show_frames(json frames)
{
    json key, item;
    const char *title = "back-trace";
    for (json_iter it = json_each(frames); json_next(&it, &key, &item); title = "")
        show(title, item, 0);
}

static void show_then(json trap)
{
    double again = 0;
    bytes then = {0};
    json_string_slice(json_member(trap, "then"), &then);
    json_f64(json_member(trap, "again_s"), &again);
    printf("  %-12s" BYTES_FMT, "then", BYTES_ARG(then));
    if (again > 0)
        printf(" for %.0f s", again);
    putchar('\n');
}

static void show_trap(json trap)
{
    show("time", json_member(trap, "time"), 0);
    show("plugin", json_member(trap, "plugin"), 0);
    show("version", json_member(trap, "version"), 0);
    show("file", json_member(trap, "file"), 0);
    show("stream", json_member(trap, "topic"), 0);
    show("export", json_member(trap, "export"), 0);
    show("trap", json_member(trap, "trap"), 0);
    show_then(trap);
    show_frames(json_member(trap, "backtrace"));
    show("message", json_member(trap, "message"), number(trap, "message_octets"));
    show("input", json_member(trap, "input"), number(trap, "input_octets"));
    show_calls(json_member(trap, "calls"));
}

static int print(const char *text, unsigned long last, bool as_json)
{
    weir_error err = WEIR_ERROR_INIT;
    json list, key, trap;
    unsigned long n = 0;
    if (json_read(&list, bytes_of(text), &err))
        return cli_fail(EXIT_FAILED, "%s", err.text);
    if (as_json)
        putchar('[');
    for (json_iter it = json_each(list); n < last && json_next(&it, &key, &trap); n++)
        if (as_json) {
            fputs(n ? ",\n" : "", stdout);
            fwrite(trap.raw.at, 1, trap.raw.len, stdout);
        } else {
            if (n)
                putchar('\n');
            show_trap(trap);
        }
    if (as_json)
        puts("]");
    return EXIT_FINE;
}

int cmd_why(int argc, char **argv)
{
    static const struct option options[] = {{"last", required_argument, 0, 'n'}, {"state-dir", required_argument, 0, 's'}, {"json", no_argument, 0, 'j'}, {"help", no_argument, 0, 'h'}, {0, 0, 0, 0}};
    weir_error err = WEIR_ERROR_INIT;
    const char *state_dir = NULL;
    unsigned long last = 1;
    bool as_json = false;
    char *text = NULL, *end;
    int option;
    while ((option = getopt_long(argc, argv, "n:jh", options, NULL)) != -1)
        switch (option) {
        case 'n':
            last = strtoul(optarg, &end, 10);
            if (!last || *end || *optarg == '-')
                return cli_usage("why", "--last '%s': a number from 1", optarg);
            break;
        case 's':
            if (!*optarg)
                return cli_usage("why", "--state-dir '': the name of a folder is needed");
            state_dir = optarg;
            break;
        case 'j':
            as_json = true;
            break;
        case 'h':
            help();
            return EXIT_FINE;
        default:
            return cli_wrong_option("why", argv);
        }
    if (argc - optind != 1 || !*argv[optind])
        return cli_usage("why", argc == optind ? "of which plugin or stream?" : "one plugin or stream, please");
    if (weir_why(&text, argv[optind], state_dir, &err))
        return cli_fail(EXIT_FAILED, "%s", err.text);
    int code = print(text, last, as_json);
    free(text);
    return code;
}
