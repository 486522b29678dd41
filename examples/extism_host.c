/* A program written for Extism: gives a plugin a host function, calls an export with each argument, prints what it answers.
 * Nothing in it is Weir's; it builds against either library:
 *
 *     cc extism_host.c -lextism -o host && ./host plugin.wasm count_vowels "some text" */
#include <extism.h>
#include <stdio.h>
#include <string.h>

/* hello_world(block) -> block: gives back what it got, in brackets. */
static void hello_world(ExtismCurrentPlugin *plugin, const ExtismVal *in, ExtismSize n_in, ExtismVal *out, ExtismSize n_out, void *data)
{
    if (n_in != 1 || n_out != 1)
        return;
    ExtismSize len = extism_current_plugin_memory_length(plugin, (ExtismMemoryHandle)in[0].v.i64);
    ExtismMemoryHandle answer = extism_current_plugin_memory_alloc(plugin, len + 2);
    uint8_t *memory = extism_current_plugin_memory(plugin);
    memory[answer] = '[';
    memcpy(memory + answer + 1, memory + in[0].v.i64, len);
    memory[answer + 1 + len] = ']';
    out[0].v.i64 = (int64_t)answer;
    ++*(int *)data;
}

static int call(ExtismPlugin *plugin, const char *name, const char *input)
{
    if (extism_plugin_call(plugin, name, (const uint8_t *)input, strlen(input)) != EXTISM_SUCCESS) {
        const char *why = extism_plugin_error(plugin);
        fprintf(stderr, "%s: %s\n", name, why ? why : "failed");
        return 1;
    }
    printf("%.*s\n", (int)extism_plugin_output_length(plugin), (const char *)extism_plugin_output_data(plugin));
    return 0;
}

int main(int argc, char **argv)
{
    static const ExtismValType pointer[] = {EXTISM_PTR};
    int calls = 0, failed = 0;
    char manifest[4096], *why = NULL;
    if (argc < 3)
        return fprintf(stderr, "usage: %s PLUGIN EXPORT [INPUT...]\n", argv[0]), 2;
    snprintf(manifest, sizeof manifest, "{\"wasm\":[{\"path\":\"%s\"}],\"timeout_ms\":5000}", argv[1]);
    ExtismFunction *hello = extism_function_new("hello_world", pointer, 1, pointer, 1, hello_world, &calls, NULL);
    const ExtismFunction *functions[] = {hello};
    ExtismPlugin *plugin = extism_plugin_new((const uint8_t *)manifest, strlen(manifest), functions, 1, true, &why);
    extism_function_free(hello);
    if (!plugin) {
        fprintf(stderr, "%s\n", why);
        extism_plugin_new_error_free(why);
        return 1;
    }
    for (int i = 3; i < argc; i++)
        failed += call(plugin, argv[2], argv[i]);
    printf("hello_world was called %d times\n", calls);
    extism_plugin_free(plugin);
    return failed ? 1 : 0;
}
