/* The work of `make bench-peers` by Weir itself, below any public interface: engine, exchange memory, one call after
 * another. $XDG_CACHE_HOME/weir/aot keeps compiled code, as for `weir call`; without the variable nothing is kept. */
#include "bench/peers/work.h"

#include "base/file.h"
#include "extism/guest.h"

static engine *e;
static manifest *plain;
static int wanted = 8;

static volatile uint64_t read_so_far; /* so that the reading is done */

/* The host function: reads the question, answers with a block of its own. */
static trap *answer(void *env, void *self, value *v)
{
    bytes question;
    (void)env;
    if (!guest_block(self, v[0].u64, &question))
        return guest_trap(self, "answer: no block at %llu", (unsigned long long)v[0].u64);
    for (size_t i = 0; i < question.len; i += 50)
        read_so_far += (unsigned char)question.at[i];
    char *space = guest_reply_space(self, sizeof ANSWER - 1, v);
    if (!space)
        return guest_trap(self, "answer: no room");
    memcpy(space, ANSWER, sizeof ANSWER - 1);
    return NULL;
}

static void bind(void *arg, const module_extern *import, binding *out)
{
    (void)arg;
    if (guest_bind(import, out) || !bytes_is(import->name, "answer"))
        return;
    out->fn = answer;
    strcpy(out->type, "I(I)");
}

static slice_verdict go_on(void *guest)
{
    (void)guest;
    return SLICE_CONTINUE;
}

static code *compile_file(const char *path)
{
    weir_error err = WEIR_ERROR_INIT;
    engine_options options = {.max_instances = (uint32_t)wanted, .on_slice = go_on};
    const char *cache = getenv("XDG_CACHE_HOME");
    char folder[4096];
    cache_result cached;
    module *m;
    linked *l = NULL;
    buf wasm;
    buf_init(&wasm, SIZE_MAX);
    snprintf(folder, sizeof folder, "%s/weir/aot", cache ? cache : "");
    if (!e && (engine_new(&e, &options, &err) || manifest_read(&plain, BYTES("{\"wasm\":[{\"path\":\"x\"}]}"), &err)))
        fail("the engine", err.text);
    if (file_read(&wasm, path, &err) ||
        (cache ? module_load(&m, e, buf_bytes(&wasm), folder, &cached, &err) : module_compile(&m, e, buf_bytes(&wasm), &err)) ||
        module_link(&l, m, bind, NULL, &err))
        fail(path, err.text);
    buf_fini(&wasm);
    return (code *)l;
}

static plugin *plugin_make(code *c, char *why, size_t why_size)
{
    static const guest_ops ops;
    weir_error err = WEIR_ERROR_INIT;
    guest *g;
    if (!guest_new(&g, (linked *)c, &(guest_options){.manifest = plain, .ops = &ops, .name = "peer"}, &err))
        return (plugin *)g;
    snprintf(why, why_size, "%s", err.text);
    return NULL;
}

static bool plugin_call(plugin *p, const char *name, bytes in, bytes *out)
{
    guest *g = (guest *)p;
    guest_call(g, name, in);
    while (guest_step(g) != RUN_DONE)
        ;
    *out = guest_result(g)->output;
    return guest_result(g)->code == WEIR_OK;
}

static const char *plugin_why(plugin *p)
{
    return guest_result((guest *)p)->why;
}

static void plugin_drop(plugin *p)
{
    guest_free((guest *)p);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "instances") == 0)
        wanted = atoi(argv[3]) + 1;
    return work(argc, argv);
}
