/* A program written for Extism's C library, run over any build of it: $EXTISM_LIBRARY says which.
 *
 * Only what the work needs of the 33 functions; their types are those of extism.h. */
#include <dlfcn.h>

#include "bench/peers/work.h"

typedef uint64_t ExtismSize;
typedef struct ExtismVal {
    int t;
    union {
        int32_t i32;
        int64_t i64;
        float f32;
        double f64;
    } v;
} ExtismVal;
typedef void callback(void *plugin, const ExtismVal *in, ExtismSize n_in, ExtismVal *out, ExtismSize n_out, void *user);

static struct {
    void *(*function_new)(const char *, const int *, ExtismSize, const int *, ExtismSize, callback *, void *, void (*)(void *));
    void *(*compiled_plugin_new)(const uint8_t *, ExtismSize, const void **, ExtismSize, bool, char **);
    void *(*plugin_new_from_compiled)(const void *, char **);
    void (*plugin_free)(void *);
    int32_t (*plugin_call)(void *, const char *, const uint8_t *, ExtismSize);
    const char *(*plugin_error)(void *);
    ExtismSize (*plugin_output_length)(void *);
    const uint8_t *(*plugin_output_data)(void *);
    uint8_t *(*current_plugin_memory)(void *);
    ExtismSize (*current_plugin_memory_length)(void *, uint64_t);
    uint64_t (*current_plugin_memory_alloc)(void *, ExtismSize);
} x;

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (!found)
        fail(name, "the library lacks it");
    return found;
}

static void open_library(void)
{
    const char *path = getenv("EXTISM_LIBRARY");
    void *library = dlopen(path ? path : "libextism.so", RTLD_NOW);
    if (!library)
        fail("libextism", dlerror());
#define FIND(name) *(void **)&x.name = symbol(library, "extism_" #name)
    FIND(function_new);
    FIND(compiled_plugin_new);
    FIND(plugin_new_from_compiled);
    FIND(plugin_free);
    FIND(plugin_call);
    FIND(plugin_error);
    FIND(plugin_output_length);
    FIND(plugin_output_data);
    FIND(current_plugin_memory);
    FIND(current_plugin_memory_length);
    FIND(current_plugin_memory_alloc);
}

static volatile uint64_t read_so_far; /* so that the reading is done */

/* The host function: reads the question, answers with a block of its own. */
static void answer(void *plugin, const ExtismVal *in, ExtismSize n_in, ExtismVal *out, ExtismSize n_out, void *user)
{
    (void)n_in, (void)n_out, (void)user;
    uint64_t at = (uint64_t)in[0].v.i64, len = x.current_plugin_memory_length(plugin, at);
    const uint8_t *question = x.current_plugin_memory(plugin) + at;
    for (uint64_t i = 0; i < len; i += 50)
        read_so_far += question[i];
    uint64_t reply = x.current_plugin_memory_alloc(plugin, sizeof ANSWER - 1);
    memcpy(x.current_plugin_memory(plugin) + reply, ANSWER, sizeof ANSWER - 1);
    out[0].v.i64 = (int64_t)reply;
}

static code *compile_file(const char *path)
{
    static const int i64 = 1;
    char manifest[4096], *why = NULL;
    const void *functions[1] = {x.function_new("answer", &i64, 1, &i64, 1, answer, NULL, NULL)};
    snprintf(manifest, sizeof manifest, "{\"wasm\":[{\"path\":\"%s\"}]}", path);
    void *compiled = x.compiled_plugin_new((const uint8_t *)manifest, strlen(manifest), functions, 1, true, &why);
    if (!compiled)
        fail(path, why ? why : "it does not compile");
    return compiled;
}

static plugin *plugin_make(code *c, char *why, size_t why_size)
{
    char *text = NULL;
    void *made = x.plugin_new_from_compiled(c, &text);
    if (!made)
        snprintf(why, why_size, "%s", text ? text : "no reason");
    return made;
}

static bool plugin_call(plugin *p, const char *name, bytes in, bytes *out)
{
    if (x.plugin_call(p, name, (const uint8_t *)in.at, in.len) != 0)
        return false;
    *out = bytes_make((const char *)x.plugin_output_data(p), x.plugin_output_length(p));
    return true;
}

static const char *plugin_why(plugin *p)
{
    const char *why = x.plugin_error(p);
    return why ? why : "no reason";
}

static void plugin_drop(plugin *p)
{
    x.plugin_free(p);
}

int main(int argc, char **argv)
{
    open_library();
    return work(argc, argv);
}
