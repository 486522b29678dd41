/* Calls one export of any Extism plugin and prints what it answers.
 *
 *     call echo.wasm echo "hello"
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <weir/weir.h>

int main(int argc, char **argv)
{
    weir_error error = WEIR_ERROR_INIT;
    const weir_result *result;
    weir_plugin *plugin;
    weir_host *host;

    if (argc < 3)
        errx(2, "usage: call PLUGIN EXPORT [INPUT]");
    const char *input = argc > 3 ? argv[3] : "";
    if (weir_host_new(&host, NULL, &error) ||
        weir_plugin_load(&plugin, host, argv[1], NULL, &error) ||
        weir_plugin_call_wait(plugin, argv[2], input, strlen(input), &result, &error))
        errx(1, "%s", error.text);
    fwrite(result->output, 1, result->output_len, stdout);
    putchar('\n');
    weir_host_free(host);
    return 0;
}
