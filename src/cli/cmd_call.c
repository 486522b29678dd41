/* weir call: one export call; its output to stdout. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static void help(void)
{
    fputs("usage: weir call PLUGIN EXPORT [--input TEXT | --input-file FILE] [OPTIONS]\n\n"
          "Loads a module (.wasm, .wat) or an Extism manifest (.json, .toml), calls one export with the\n"
          "input, writes its output to stdout.\n\n"
          "options\n"
          "  -i, --input TEXT       the input; none: empty\n"
          "  -f, --input-file FILE  the input from a file; - for stdin\n"
          "  -t, --timeout MS       of the call; 30,000\n"
          "  -n, --repeat N         call it N times; the output of the last one\n" CLI_COMMON_HELP
          "\nexamples\n"
          "  weir call woox.wasm meta\n"
          "  weir call woox.wasm get_ohlcv --input '{\"symbol\":\"SPOT_BTC_USDT\",\"timeframe\":\"1m\",\"limit\":5}'\n"
          "  echo hello | weir call echo.wasm echo --input-file -\n\n"
          "exit codes: 0 it returned 0; 5 it failed or trapped; others as in 'weir --help'\n",
          stdout);
}

/* A whole file, or stdin. NULL after an error that it has reported. */
static char *read_input(const char *path, size_t *len)
{
    FILE *in = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    char *at = NULL, chunk[16384];
    FILE *out = in ? open_memstream(&at, len) : NULL;
    size_t n;
    if (!out) {
        cli_fail(EXIT_USAGE, "input '%s': %s", path, strerror(errno));
        return NULL;
    }
    while ((n = fread(chunk, 1, sizeof chunk, in)))
        fwrite(chunk, 1, n, out);
    bool bad = ferror(in);
    if (in != stdin)
        fclose(in);
    if (fclose(out) || bad) {
        cli_fail(EXIT_FAILED, "input '%s': %s", path, strerror(errno));
        free(at);
        return NULL;
    }
    return at;
}

static void print_json(const weir_result *r)
{
    printf("{\"code\":\"%s\",\"rc\":%d,\"output\":", weir_code_name(r->code), r->rc);
    cli_put_json(stdout, r->output, r->output_len);
    fputs(",\"error\":", stdout);
    cli_put_json(stdout, r->error, strlen(r->error));
    fputs(",\"trace\":", stdout);
    cli_put_json(stdout, r->trace, strlen(r->trace));
    puts("}");
}

/* Whether the export says what the plugin is, which needs no configuration. */
static bool describes(const char *export_name)
{
    static const char *const all[] = {"meta", "get_name", "plugin_info", "get_credential_fields", "get_configuration_fields", "get_rate_limits"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(export_name, all[i]))
            return true;
    return false;
}

/* The call itself, `repeat` times; the last result is shown. */
static int call(const cli_common *common, const char *path, const char *export_name, const char *input, size_t len, unsigned long repeat)
{
    weir_error err = WEIR_ERROR_INIT;
    const weir_result *result = NULL;
    int code = EXIT_FINE;
    weir_host *host = cli_host(common, 8, &code);
    weir_plugin *plugin = host ? cli_plugin(host, common, path, &code) : NULL;
    for (unsigned long i = 0; plugin && i < repeat; i++)
        if (weir_plugin_call_wait(plugin, export_name, input, len, &result, &err))
            break;
    if (result && common->json)
        print_json(result);
    else if (result)
        fwrite(result->output, 1, result->output_len, stdout);
    if (result && !common->json && result->output_len && result->output[result->output_len - 1] != '\n' && isatty(STDOUT_FILENO))
        putchar('\n');
    if (plugin && err.code) {
        code = cli_fail(cli_exit_code(err.code), "%s%s", err.text, cli_cure(err.text));
        if (result && *result->trace)
            fprintf(stderr, "guest back-trace, innermost first:\n%s\n", result->trace);
    }
    weir_host_free(host);
    return code;
}

int cmd_call(int argc, char **argv)
{
    static const struct option options[] = {
        {"input", required_argument, 0, 'i'}, {"input-file", required_argument, 0, 'f'}, {"timeout", required_argument, 0, 't'}, {"repeat", required_argument, 0, 'n'}, CLI_COMMON_OPTIONS, {0, 0, 0, 0}};
    static cli_common common; /* its lists live as long as the process */
    const char *text = "", *file = NULL;
    char *read = NULL;
    size_t len;
    unsigned long repeat = 1;
    int option, code = EXIT_FINE;
    while ((option = getopt_long(argc, argv, "i:f:t:n:vjh", options, NULL)) != -1)
        switch (option) {
        case 'i':
            text = optarg;
            break;
        case 'f':
            file = optarg;
            break;
        case 't':
            common.call_ms = (uint32_t)strtoul(optarg, NULL, 10);
            if (!common.call_ms || common.call_ms > 86400000)
                return cli_usage("call", "--timeout '%s': milliseconds, from 1 to 86400000", optarg);
            break;
        case 'n':
            repeat = strtoul(optarg, NULL, 10);
            if (!repeat)
                return cli_usage("call", "--repeat '%s': a number from 1", optarg);
            break;
        case 'h':
            help();
            return EXIT_FINE;
        default:
            if (!cli_common_option(&common, option, optarg))
                return cli_wrong_option("call", argv);
        }
    if (argc - optind != 2)
        return cli_usage("call", "a plugin and an export are needed");
    common.unconfigured = describes(argv[optind + 1]);
    len = strlen(text);
    if (file && !(read = read_input(file, &len)))
        return EXIT_USAGE;

    code = call(&common, argv[optind], argv[optind + 1], file ? read : text, len, repeat);
    free(read);
    return code;
}
