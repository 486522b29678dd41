/* weir command: asks a plugin of any generation for data; rows to stdout. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/chart.h"
#include "cli/history.h"

#define COLUMNS 32

static void help(void)
{
    fputs("usage: weir command PLUGIN NAME [PARAMS] [OPTIONS]\n\n"
          "Asks a plugin for data: getMarkets, getTimeframes, getOHLCV, or what else it knows. PARAMS is a JSON\n"
          "object, or KEY=VALUE as often as needed. The answer has the same form for every plugin: times in\n"
          "nanoseconds, prices as decimal text, candles oldest first. A table on a terminal, else a line of JSON\n"
          "for each row.\n\n"
          "options\n"
          "  -t, --timeout MS       of the call; 30,000\n"
          "  --from TIME, --to TIME  of getOHLCV, in as many calls as it takes: 2024-05-01, 2024-05-01T12:00:00Z, 7d (so long\n"
          "                         ago), now\n"
          "  --limit N              of getOHLCV: the newest N candles, in as many calls as it takes\n"
          "  --chart                candles as a chart as large as the terminal\n"
          "  --csv                  rows as comma-separated values, with a head\n"
          "  --raw                  the plugin's own answer, as it came\n"
          "  -o, --output FILE      the answer into this file instead of stdout; a plugin may answer a file, such as an .xlsx\n"
          "  --fresh                ask the plugin, even if an answer of it is kept\n"
          "  --max-wait TIME        for the plugin's rate limits, at most; 60s; 0 to fail at once\n" CLI_COMMON_HELP
          "\nexamples\n"
          "  weir command woox.wasm getMarkets\n"
          "  weir command woox.wasm getOHLCV symbol=SPOT_BTC_USDT timeframe=1m limit=5\n"
          "  weir command woox.wasm getOHLCV symbol=SPOT_BTC_USDT timeframe=1D --from 2024-01-01 --chart\n"
          "  weir command woox.wasm getOHLCV '{\"symbol\":\"SPOT_BTC_USDT\",\"timeframe\":\"1h\"}' --csv > btc.csv\n"
          "  weir command tax.wasm export_entries_excel '{\"taxYear\":2025}' --dir ./templates:/templates -o 2025.xlsx\n\n"
          "exit codes: 0 it answered; 5 it failed or trapped; others as in 'weir --help'\n",
          stdout);
}

/* ---- Rows ---- */

/* The text of a cell: strings without quotes, nothing for null and for what is missing. */
static void cell(buf *out, json value)
{
    buf_clear(out);
    if (value.type == JSON_STRING)
        json_string_add(value, out);
    else if (value.type != JSON_NONE && value.type != JSON_NULL)
        json_put_compact(out, value);
    for (size_t i = 0; i < out->len; i++)
        if ((unsigned char)out->at[i] < ' ' || out->at[i] == 0x7F)
            out->at[i] = ' ';
}

static void put_csv(FILE *out, bytes text)
{
    if (!memchr(text.at ? text.at : "", ',', text.len) && !memchr(text.at ? text.at : "", '"', text.len)) {
        fwrite(text.at ? text.at : "", 1, text.len, out);
        return;
    }
    fputc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"')
            fputc('"', out);
        fputc(text.at[i], out);
    }
    fputc('"', out);
}

/* The members of the first row are the columns. */
static size_t columns_of(json list, json columns[COLUMNS])
{
    json key, value, row = {0};
    size_t n = 0;
    json_iter rows = json_each(list);
    if (!json_next(&rows, &key, &row) || row.type != JSON_OBJECT)
        return 0;
    for (json_iter it = json_each(row); n < COLUMNS && json_next(&it, &key, &value);)
        columns[n++] = key;
    return n;
}

static json at_column(json row, json column, buf *name)
{
    cell(name, column);
    buf_add_char(name, '\0');
    return name->failed ? (json){0} : json_member(row, name->at);
}

static void print_csv(FILE *out, json list, const json *columns, size_t count)
{
    buf text, name;
    json key, row;
    buf_init(&text, 1 << 20);
    buf_init(&name, 1 << 16);
    for (size_t i = 0; i < count; i++) {
        cell(&text, columns[i]);
        fputs(i ? "," : "", out);
        put_csv(out, buf_bytes(&text));
    }
    putc('\n', out);
    for (json_iter it = json_each(list); json_next(&it, &key, &row);) {
        for (size_t i = 0; i < count; i++) {
            cell(&text, at_column(row, columns[i], &name));
            fputs(i ? "," : "", out);
            put_csv(out, buf_bytes(&text));
        }
        putc('\n', out);
    }
    buf_fini(&text);
    buf_fini(&name);
}

static void print_table(FILE *out, json list, const json *columns, size_t count)
{
    size_t widths[COLUMNS] = {0};
    buf text, name;
    json key, row;
    buf_init(&text, 1 << 20);
    buf_init(&name, 1 << 16);
    for (int print = 0; print <= 1; print++) {
        for (size_t i = 0; i < count; i++) {
            cell(&text, columns[i]);
            widths[i] = text.len > widths[i] ? text.len : widths[i];
            if (print)
                fprintf(out, "%s%*.*s", i ? "  " : "", (int)widths[i], (int)text.len, text.at ? text.at : "");
        }
        if (print)
            putc('\n', out);
        for (json_iter it = json_each(list); json_next(&it, &key, &row);) {
            for (size_t i = 0; i < count; i++) {
                cell(&text, at_column(row, columns[i], &name));
                size_t len = text.len < 40 ? text.len : 40;
                widths[i] = len > widths[i] ? len : widths[i];
                if (print)
                    fprintf(out, "%s%*.*s", i ? "  " : "", (int)widths[i], (int)len, text.at ? text.at : "");
            }
            if (print)
                putc('\n', out);
        }
    }
    buf_fini(&text);
    buf_fini(&name);
}

static void print_lines(FILE *out, json list)
{
    json key, row;
    for (json_iter it = json_each(list); json_next(&it, &key, &row);)
        fprintf(out, "%.*s\n", (int)row.raw.len, row.raw.at);
}

typedef struct form {
    bool csv, json, chart;
    history_wish span;
    unsigned flags;   /* WEIR_COMMAND_ */
    const char *file; /* NULL: stdout */
} form;

/* Octets of a file, which no terminal should get. */
static bool is_binary(bytes answer)
{
    return !bytes_utf8(answer) || memchr(answer.at, '\0', answer.len);
}

static void print(FILE *out, bytes text, const form *f)
{
    json all, columns[COLUMNS];
    if (f->flags & WEIR_COMMAND_RAW || json_read(&all, text, NULL) || all.type != JSON_ARRAY) {
        fprintf(out, "%.*s\n", (int)text.len, text.at);
        return;
    }
    size_t count = columns_of(all, columns);
    if (f->csv && count)
        print_csv(out, all, columns, count);
    else if (!f->json && count && !f->file && isatty(STDOUT_FILENO))
        print_table(out, all, columns, count);
    else
        print_lines(out, all);
}

/* ---- The command ---- */

/* PARAMS as one JSON object. False after an error that it has reported. */
static bool read_params(buf *out, int count, char **list)
{
    if (count == 1 && list[0][0] == '{') {
        buf_add_text(out, list[0]);
        buf_add_char(out, '\0');
        return true;
    }
    buf_add_char(out, '{');
    for (int i = 0; i < count; i++) {
        const char *equals = strchr(list[i], '=');
        weir_error none;
        json value;
        if (!equals || equals == list[i])
            return cli_usage("command", "'%s' is neither a JSON object nor KEY=VALUE", list[i]), false;
        buf_add_text(out, out->len > 1 ? "," : "");
        json_put_string(out, bytes_make(list[i], (size_t)(equals - list[i])));
        buf_add_char(out, ':');
        if (!json_read(&value, bytes_of(equals + 1), &none) && value.type != JSON_STRING)
            buf_add_text(out, equals + 1); /* a number, true, an object */
        else
            json_put_text(out, equals + 1);
    }
    buf_add_char(out, '}');
    buf_add_char(out, '\0');
    return true;
}

static void on_wait(void *arg, weir_plugin *plugin, uint64_t wait_ms, const char *limit)
{
    double seconds = (double)wait_ms * 0.001;
    (void)arg, (void)plugin;
    fflush(stdout);
    fprintf(stderr, "weir: waits %.*f s for the plugin's rate limit (%s)\n", seconds < 10 ? 1 : 0, seconds, limit);
}

/* Above the chart: what is asked for. */
static void put_title(buf *out, json params)
{
    static const char *const names[] = {"symbol", "timeframe", "interval"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json value = json_member(params, names[i]);
        if (i == 0 && value.type == JSON_NONE)
            value = json_member(json_member(params, "market"), "symbol");
        if (value.type == JSON_STRING && out->len)
            buf_add_text(out, "  ");
        json_string_add(value, out);
    }
    for (size_t i = 0; i < out->len; i++)
        if ((unsigned char)out->at[i] < ' ' || out->at[i] == 0x7F)
            out->at[i] = '?';
    buf_add_char(out, '\0');
}

static int draw(FILE *out, bytes answer, json params)
{
    json all;
    buf title;
    chart_size size = chart_size_now();
    buf_init(&title, 1 << 16);
    put_title(&title, params);
    bool drawn = json_read(&all, answer, NULL) == WEIR_OK && chart_draw(out, all, title.at ? title.at : "", &size);
    buf_fini(&title);
    if (drawn)
        return EXIT_FINE;
    bool none = bytes_is(answer, "[]");
    return cli_fail(EXIT_FAILED, none ? "there are no candles to draw" : "the terminal is too small for a chart: %d by %d; 30 by 10 is the least", size.columns, size.lines);
}

/* The file is opened only now: a command that fails leaves an older one as it is. */
static int show(bytes answer, json params, const form *f)
{
    bool binary = answer.len && is_binary(answer);
    if (binary && !f->file && isatty(STDOUT_FILENO))
        return cli_fail(EXIT_USAGE, "the answer is a file of %zu octets and no text; -o FILE keeps it", answer.len);
    FILE *out = f->file ? fopen(f->file, "wb") : stdout;
    int code = EXIT_FINE;
    if (!out)
        return cli_fail(EXIT_FAILED, "'%s': %s", f->file, strerror(errno));
    if (binary)
        fwrite(answer.at, 1, answer.len, out);
    else if (f->chart)
        code = draw(out, answer, params);
    else
        print(out, answer, f);
    bool failed = fflush(out) || ferror(out);
    int why = errno;
    if (f->file && fclose(out) && !failed) {
        failed = true;
        why = errno;
    }
    return failed ? cli_fail(EXIT_FAILED, "'%s': %s", f->file ? f->file : "stdout", strerror(why)) : code;
}

/* One call, or as many as the span needs. */
static int ask_plugin(weir_plugin *plugin, const char *name, const char *params, const form *f)
{
    weir_error err = WEIR_ERROR_INIT;
    const weir_result *result = NULL;
    json given = {0};
    buf candles;
    int code = EXIT_FINE;
    if (*params)
        json_read(&given, bytes_of(params), NULL);
    if (history_wanted(&f->span)) {
        buf_init(&candles, SIZE_MAX);
        if (history_ask(&candles, plugin, given, &f->span, f->flags, &code))
            code = show(buf_bytes(&candles), given, f);
        buf_fini(&candles);
        return code;
    }
    if (!weir_command_wait(plugin, name, params, f->flags, &result, &err))
        return show(bytes_make(result->output, result->output_len), given, f);
    code = cli_fail(cli_exit_code(err.code), "%s%s", err.text, cli_cure(err.text));
    if (result && *result->trace)
        fprintf(stderr, "guest back-trace, innermost first:\n%s\n", result->trace);
    return code;
}

static int ask(const cli_common *common, const char *path, const char *name, const char *params, const form *f)
{
    int code = EXIT_FINE;
    weir_host *host = cli_host(common, 8, &code);
    weir_plugin *plugin = host ? cli_plugin(host, common, path, &code) : NULL;
    if (plugin) {
        weir_plugin_on_wait(plugin, on_wait, NULL);
        code = ask_plugin(plugin, name, params, f);
    }
    weir_host_free(host);
    return code;
}

/* What does not go together. */
static int check(const form *f, const char *name)
{
    if ((history_wanted(&f->span) || f->chart) && strcmp(name, "getOHLCV"))
        return cli_usage("command", "--from, --to, --limit and --chart are for getOHLCV, not '%s'", name);
    if ((history_wanted(&f->span) || f->chart) && f->flags & WEIR_COMMAND_RAW)
        return cli_usage("command", "--raw is one answer as it came: no --from, --to, --limit or --chart with it");
    if (f->chart && (f->csv || f->json))
        return cli_usage("command", "--chart is for people: no --csv or --json with it");
    return EXIT_FINE;
}

/* 0 is next to nothing: the option's own 0 is its default. */
static bool parse_wait(const char *text, uint32_t *ms)
{
    double seconds;
    if (!strcmp(text, "0")) {
        *ms = 1;
        return true;
    }
    if (!cli_duration(text, &seconds) || seconds < 0.001 || seconds > 86400)
        return false;
    *ms = (uint32_t)(seconds * 1000);
    return true;
}

enum { OPT_CSV = 1100,
       OPT_RAW,
       OPT_FRESH,
       OPT_MAX_WAIT,
       OPT_FROM,
       OPT_TO,
       OPT_LIMIT,
       OPT_CHART };

/* One option of this command's own. False: it is none of them, or *code says that its value is wrong. */
static bool own_option(form *f, cli_common *common, int option, int *code)
{
    switch (option) {
    case 't':
        common->call_ms = (uint32_t)strtoul(optarg, NULL, 10);
        if (!common->call_ms || common->call_ms > 86400000)
            *code = cli_usage("command", "--timeout '%s': milliseconds, from 1 to 86400000", optarg);
        break;
    case 'o':
        f->file = optarg;
        break;
    case OPT_CSV:
        f->csv = true;
        break;
    case OPT_RAW:
        f->flags |= WEIR_COMMAND_RAW;
        break;
    case OPT_FRESH:
        f->flags |= WEIR_COMMAND_FRESH;
        break;
    case OPT_FROM:
        f->span.from = optarg;
        break;
    case OPT_TO:
        f->span.to = optarg;
        break;
    case OPT_LIMIT:
        f->span.limit = strtoull(optarg, NULL, 10);
        if (!f->span.limit || *optarg < '0' || *optarg > '9')
            *code = cli_usage("command", "--limit '%s': a number from 1", optarg);
        break;
    case OPT_CHART:
        f->chart = true;
        break;
    case OPT_MAX_WAIT:
        if (!parse_wait(optarg, &common->rate_wait_ms))
            *code = cli_usage("command", "--max-wait '%s': expected a time such as 500ms, 30s or 5m, or 0", optarg);
        break;
    default:
        return false;
    }
    return *code == EXIT_FINE;
}

int cmd_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"timeout", required_argument, 0, 't'}, {"output", required_argument, 0, 'o'}, {"csv", no_argument, 0, OPT_CSV}, {"raw", no_argument, 0, OPT_RAW}, {"fresh", no_argument, 0, OPT_FRESH}, {"max-wait", required_argument, 0, OPT_MAX_WAIT}, {"from", required_argument, 0, OPT_FROM}, {"to", required_argument, 0, OPT_TO}, {"limit", required_argument, 0, OPT_LIMIT}, {"chart", no_argument, 0, OPT_CHART}, CLI_COMMON_OPTIONS, {0, 0, 0, 0}};
    static cli_common common; /* its lists live as long as the process */
    form f = {0};
    buf params;
    int option, code = EXIT_FINE;
    while ((option = getopt_long(argc, argv, "t:o:vjh", options, NULL)) != -1) {
        if (option == 'h') {
            help();
            return EXIT_FINE;
        }
        if (own_option(&f, &common, option, &code))
            continue;
        if (code)
            return code;
        if (!cli_common_option(&common, option, optarg))
            return cli_wrong_option("command", argv);
    }
    if (argc - optind < 2)
        return cli_usage("command", "a plugin and a command's name are needed, e.g. 'getMarkets'");
    f.json = common.json;
    if ((code = check(&f, argv[optind + 1])))
        return code;
    buf_init(&params, 1 << 20);
    code = read_params(&params, argc - optind - 2, argv + optind + 2) ? ask(&common, argv[optind], argv[optind + 1], params.at, &f) : EXIT_USAGE;
    buf_fini(&params);
    return code;
}
