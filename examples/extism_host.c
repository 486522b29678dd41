/* A program written for Extism: loads a plugin, gives it a host function, calls an export with each argument and prints what it
 * answers. Nothing in it is Weir's. It builds against either library:
 *
 *     cc extism_host.c -lextism -o host && ./host plugin.wasm count_vowels "some text" */
#include <extism.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* hello_world(block) -> block: gives back what it got, in brackets. */
static void hello_world(ExtismCurrentPlugin *plugin, const ExtismVal *in, ExtismSize n_in, ExtismVal *out, ExtismSize n_out, void *data)
{
    int *calls = data;
    if (n_in != 1 || n_out != 1)
        return;
    ExtismSize len = extism_current_plugin_memory_length(plugin, (ExtismMemoryHandle)in[0].v.i64);
    ExtismMemoryHandle answer = extism_current_plugin_memory_alloc(plugin, len + 2);
    if (answer == 0)
        return;
    uint8_t *memory = extism_current_plugin_memory(plugin);
    memory[answer] = '[';
    memcpy(memory + answer + 1, memory + in[0].v.i64, len);
    memory[answer + 1 + len] = ']';
    out[0].v.i64 = (int64_t)answer;
    ++*calls;
}

static uint8_t *read_file(const char *path, ExtismSize *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    long len = ftell(f);
    rewind(f);
    uint8_t *octets = malloc((size_t)len + 1);
    *size = octets ? fread(octets, 1, (size_t)len, f) : 0;
    fclose(f);
    return octets;
}

static int call(ExtismPlugin *plugin, const char *name, const char *input)
{
    int rc = extism_plugin_call(plugin, name, (const uint8_t *)input, strlen(input));
    if (rc != EXTISM_SUCCESS) {
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
    ExtismSize size = 0;
    char *why = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: %s PLUGIN EXPORT [INPUT...]\n", argv[0]);
        return 2;
    }
    uint8_t *wasm = read_file(argv[1], &size);
    if (!wasm) {
        fprintf(stderr, "%s: cannot be read\n", argv[1]);
        return 2;
    }
    ExtismFunction *hello = extism_function_new("hello_world", pointer, 1, pointer, 1, hello_world, &calls, NULL);
    const ExtismFunction *functions[] = {hello};
    ExtismPlugin *plugin = extism_plugin_new(wasm, size, functions, 1, true, &why);
    free(wasm);
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
