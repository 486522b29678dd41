/* A host function of our own: the plugin imports `greet` from "extism:host/user", gives it the offset of
 * a block with a name, and gets the offset of a block with a greeting.
 *
 *     host_function greeter.wat greet_me "world"
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <weir/weir.h>

static bool greet(void *arg, weir_guest *guest, weir_value *v)
{
    const char *name;
    size_t len;
    char text[200];

    if (!weir_guest_block(guest, v[0].u64, &name, &len)) {
        weir_guest_fail(guest, "greet: the argument is no block");
        return false;
    }
    snprintf(text, sizeof text, "%s, %.*s", (const char *)arg, (int)(len < 100 ? len : 100), name);
    v[0].u64 = weir_guest_alloc(guest, text, strlen(text));
    return true;
}

int main(int argc, char **argv)
{
    weir_error error = WEIR_ERROR_INIT;
    const weir_result *result;
    weir_plugin *plugin;
    weir_host *host;
    char hello[] = "hello";

    if (argc < 3)
        errx(2, "usage: host_function PLUGIN EXPORT [INPUT]");
    const char *input = argc > 3 ? argv[3] : "";
    if (weir_host_new(&host, NULL, &error) ||
        weir_host_define(host, "extism:host/user", "greet", "I(I)", greet, hello, &error) ||
        weir_plugin_load(&plugin, host, argv[1], NULL, &error) ||
        weir_plugin_call_wait(plugin, argv[2], input, strlen(input), &result, &error))
        errx(1, "%s", error.text);
    printf("%.*s\n", (int)result->output_len, result->output);
    weir_host_free(host);
    return 0;
}
