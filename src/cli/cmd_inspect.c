/* weir inspect: what a module is, what it may do, and what is wrong with it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"

static void help(void)
{
    fputs("usage: weir inspect PLUGIN [OPTIONS]\n\n"
          "Says what a module is (generation, exports, imports with a verdict on each), what its meta asks\n"
          "for, how large it is and how long it compiled, and what is wrong with it: why, and the cure.\n\n"
          "options\n" CLI_COMMON_HELP
          "\nexamples\n"
          "  weir inspect woox.wasm\n"
          "  weir inspect broken.wasm --json | jq .findings\n\n"
          "exit codes: 0 it can be loaded; 3 it cannot; others as in 'weir --help'\n",
          stdout);
}

/* Text of a JSON string, fit for a terminal. */
static const char *shown(json value, buf *room)
{
    buf raw;
    buf_init(&raw, 1 << 20);
    json_string_add(value, &raw);
    buf_clear(room);
    log_escape(room, buf_bytes(&raw));
    buf_add_char(room, '\0');
    buf_fini(&raw);
    return room->failed ? "" : room->at;
}

static void print_meta(json meta, buf *room)
{
    static const char *const members[] = {"pluginId", "name", "version", "appId", "category", "description"};
    json key, item;
    if (meta.type != JSON_OBJECT)
        return;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json value = json_member(meta, members[i]);
        if (value.type == JSON_STRING && value.raw.len > 2)
            printf("  %-12s%s\n", members[i], shown(value, room));
    }
    json targets = json_member(json_member(meta, "resources"), "allowedNetworkTargets");
    const char *title = "asks for";
    for (json_iter it = json_each(targets); json_next(&it, &key, &item); title = "")
        printf("  %-12s%s\n", title, shown(json_member(item, "pattern"), room));
    if (*title)
        printf("  %-12s%s\n", title, "no network target");
}

static void print_imports(json imports, buf *room)
{
    json key, item;
    printf("\nimports\n");
    for (json_iter it = json_each(imports); json_next(&it, &key, &item);) {
        printf("  %-8s", shown(json_member(item, "verdict"), room));
        printf("%s ", shown(json_member(item, "module"), room));
        printf("%s ", shown(json_member(item, "name"), room));
        printf("%s\n", shown(json_member(item, "type"), room));
    }
}

static void print_exports(json exports, buf *room)
{
    json key, item;
    int column = 0;
    printf("\nexports\n ");
    for (json_iter it = json_each(exports); json_next(&it, &key, &item);) {
        const char *name = shown(json_member(item, "name"), room);
        column += (int)strlen(name) + 1;
        if (column > 76) {
            printf("\n ");
            column = (int)strlen(name) + 1;
        }
        printf(" %s", name);
    }
    printf("\n");
}

static void print_findings(json findings, buf *room)
{
    bool colour = isatty(STDOUT_FILENO) && !(getenv("NO_COLOR") && *getenv("NO_COLOR"));
    json key, item;
    bool any = false;
    for (json_iter it = json_each(findings); json_next(&it, &key, &item); any = true) {
        json level = json_member(item, "level");
        const char *paint = !colour ? "" : json_is(level, "error") ? "\033[31m"
                                                                   : "\033[33m";
        printf("\n%s%s:%s ", paint, shown(level, room), colour ? "\033[0m" : "");
        printf("%s\n", shown(json_member(item, "what"), room));
        if (json_member(item, "cure").raw.len > 2)
            printf("  cure: %s\n", shown(json_member(item, "cure"), room));
        if (json_member(item, "code").raw.len > 2)
            printf("  %s\n", shown(json_member(item, "code"), room));
    }
    if (!any)
        printf("\nnothing is wrong with it\n");
}

static void print(json doc)
{
    buf room;
    double ms = 0;
    uint64_t size = 0;
    buf_init(&room, 1 << 20);
    printf("%s\n", shown(json_member(doc, "path"), &room));
    print_meta(json_member(doc, "meta"), &room);
    if (json_u64(json_member(doc, "size"), &size)) {
        json_f64(json_member(doc, "compile_ms"), &ms);
        printf("  generation  %s", shown(json_member(doc, "generation"), &room));
        printf(" (%s)\n", shown(json_member(doc, "kind"), &room));
        printf("  size        %.1f kB, ", (double)size / 1000);
        if (ms > 0)
            printf("compiled in %.0f ms", ms);
        else
            printf("compiled before");
        printf(" by %s\n", shown(json_member(doc, "engine"), &room));
        print_exports(json_member(doc, "exports"), &room);
        print_imports(json_member(doc, "imports"), &room);
    }
    print_findings(json_member(doc, "findings"), &room);
    buf_fini(&room);
}

int cmd_inspect(int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0, 0, 0, 0}};
    static cli_common common; /* its lists live as long as the process */
    weir_error err = WEIR_ERROR_INIT;
    char *text = NULL;
    json doc, key, item;
    int option, code = EXIT_FINE;
    while ((option = getopt_long(argc, argv, "vjh", options, NULL)) != -1)
        if (option == 'h') {
            help();
            return EXIT_FINE;
        } else if (!cli_common_option(&common, option, optarg)) {
            return cli_wrong_option("inspect", argv);
        }
    if (argc - optind != 1)
        return cli_usage("inspect", "one plugin is needed");
    weir_host *host = cli_host(&common, 8, &code);
    if (!host)
        return code;
    if (weir_inspect(&text, host, argv[optind], &err)) {
        code = cli_fail(EXIT_PLUGIN, "%s", err.text);
    } else if (json_read(&doc, bytes_of(text), &err)) {
        code = cli_fail(EXIT_FAILED, "%s", err.text);
    } else {
        if (common.json)
            puts(text);
        else
            print(doc);
        for (json_iter it = json_each(json_member(doc, "findings")); json_next(&it, &key, &item);)
            if (json_is(json_member(item, "level"), "error"))
                code = EXIT_PLUGIN;
    }
    free(text);
    weir_host_free(host);
    return code;
}
