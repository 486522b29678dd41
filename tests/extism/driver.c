/* One program, two libraries: does what a script says through Extism's C interface and prints what came of it. The
 * differential test runs it with upstream's library and with ours and compares.
 *
 *     driver LIBRARY SCRIPT
 *
 * A script has a command a line; each prints its number and its result.
 *
 *     module FILE | inline TEXT          what the next commands make plugins from
 *     host NAMESPACE NAME OUT(IN)        a host function; types as letters i I f F; it answers by KIND (see answer)
 *     new [wasi] [fuel=N]                a plugin           compile [wasi] [fuel=N]      a compiled one
 *     from                               another plugin from the compiled one
 *     call NAME [INPUT]                  data NAME SIZE     many NAME COUNT [INPUT]
 *     exists NAME   config JSON   reset   headers   context TEXT (of the next calls)
 *     cancel NAME MS                     calls, and cancels it from another thread
 *     cancel-idle   twice NAME N [INPUT] in N threads at once
 *     state                              error and output as they are now, asked for once more
 *     odd                                arguments that programs should not pass, to a plugin that is there
 *     log LEVEL     drain   logfile LEVEL (a new file)   logged (what is in it)
 *     dumped                             what EXTISM_MEMDUMP's file has where the first block lies; takes it away
 *     free   free-compiled   free-shells   freed   null                              */
#include <dlfcn.h>
#include <extism.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FUNCTIONS(X)                                                                                                                         \
    X(extism_function_new)                                                                                                                   \
    X(extism_function_set_namespace)                                                                                                         \
    X(extism_function_free)                                                                                                                  \
    X(extism_plugin_new)                                                                                                                     \
        X(extism_plugin_new_with_fuel_limit) X(extism_plugin_new_error_free) X(extism_compiled_plugin_new)                                   \
            X(extism_compiled_plugin_new_with_fuel_limit) X(extism_plugin_new_from_compiled) X(extism_compiled_plugin_free)                  \
                X(extism_plugin_free) X(extism_plugin_id) X(extism_plugin_call) X(extism_plugin_call_with_host_context)                      \
                    X(extism_plugin_error) X(extism_error) X(extism_plugin_output_length) X(extism_plugin_output_data)                       \
                        X(extism_plugin_function_exists) X(extism_plugin_config) X(extism_plugin_reset)                                      \
                            X(extism_plugin_allow_http_response_headers) X(extism_plugin_cancel_handle) X(extism_plugin_cancel)              \
                                X(extism_current_plugin_memory) X(extism_current_plugin_memory_alloc) X(extism_current_plugin_memory_length) \
                                    X(extism_current_plugin_memory_free) X(extism_current_plugin_host_context) X(extism_version)             \
                                        X(extism_log_file) X(extism_log_custom) X(extism_log_drain)

#define X(name) static __typeof__(&name) p_##name;
FUNCTIONS(X)
#undef X

#define MOST_FUNCTIONS 64

typedef struct host {
    char name[64];
    ExtismFunction *shell;
    int freed;
} host;

static host hosts[MOST_FUNCTIONS];
static size_t host_count;
static ExtismPlugin *plugin;
static ExtismCompiledPlugin *compiled;
static char *wasm;
static size_t wasm_size;
static void *context;
static int number;

static void load(const char *library)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
#define X(name)                                                  \
    p_##name = (__typeof__(p_##name))dlsym(handle, #name);       \
    if (!p_##name) {                                             \
        fprintf(stderr, "%s: there is no %s\n", library, #name); \
        exit(2);                                                 \
    }
    FUNCTIONS(X)
#undef X
}

/* ---- Host functions ---- */

static void on_free(void *data)
{
    ((host *)data)->freed++;
}

static ExtismMemoryHandle put(ExtismCurrentPlugin *p, const char *text, size_t len)
{
    ExtismMemoryHandle h = p_extism_current_plugin_memory_alloc(p, len);
    if (h)
        memcpy(p_extism_current_plugin_memory(p) + h, text, len);
    return h;
}

/* "context": the context's text. "again": calls its own plugin. "length": of the block. Others: i64 answers the first
 * block reversed, or else the sum of all numbers. */
static void answer(ExtismCurrentPlugin *p, const ExtismVal *in, ExtismSize n_in, ExtismVal *out, ExtismSize n_out, void *data)
{
    const host *h = data;
    double sum = 0;
    for (ExtismSize i = 0; i < n_in; i++)
        sum += in[i].t == ExtismValType_I32 ? in[i].v.i32 : in[i].t == ExtismValType_I64 ? (double)in[i].v.i64
                                                        : in[i].t == ExtismValType_F32   ? in[i].v.f32
                                                                                         : in[i].v.f64;
    if (n_in && in == NULL)
        printf("   inputs are missing\n");
    if (n_out == 0)
        return;
    if (out[0].v.i64 != 0)
        printf("   an output is not zero\n");
    if (strcmp(h->name, "context") == 0) {
        const char *text = p_extism_current_plugin_host_context(p);
        out[0].v.i64 = (int64_t)put(p, text ? text : "none", strlen(text ? text : "none"));
    } else if (strcmp(h->name, "length") == 0) {
        out[0].v.i64 = (int64_t)p_extism_current_plugin_memory_length(p, (uint64_t)in[0].v.i64);
    } else if (strcmp(h->name, "free") == 0) {
        p_extism_current_plugin_memory_free(p, (uint64_t)in[0].v.i64);
        out[0].v.i64 = in[0].v.i64;
    } else if (strcmp(h->name, "reverse") == 0) {
        uint64_t len = p_extism_current_plugin_memory_length(p, (uint64_t)in[0].v.i64);
        char *text = malloc(len + 1);
        const uint8_t *from = p_extism_current_plugin_memory(p) + in[0].v.i64;
        for (uint64_t i = 0; i < len; i++)
            text[i] = (char)from[len - 1 - i];
        out[0].v.i64 = (int64_t)put(p, text, len);
        free(text);
    } else {
        for (ExtismSize i = 0; i < n_out; i++) {
            if (out[i].t == ExtismValType_I32)
                out[i].v.i32 = (int32_t)sum;
            else if (out[i].t == ExtismValType_I64)
                out[i].v.i64 = strncmp(h->name, "zero", 4) == 0 ? 0 : (int64_t)sum;
            else if (out[i].t == ExtismValType_F32)
                out[i].v.f32 = (float)sum;
            else
                out[i].v.f64 = sum;
        }
    }
}

static size_t types(const char *from, const char *to, ExtismValType *out)
{
    size_t n = 0;
    for (; from < to && n < 32; from++, n++)
        out[n] = *from == 'i' ? ExtismValType_I32 : *from == 'I' ? ExtismValType_I64
                                                : *from == 'f'   ? ExtismValType_F32
                                                : *from == 'F'   ? ExtismValType_F64
                                                : *from == 'V'   ? ExtismValType_V128
                                                                 : ExtismValType_ExternRef;
    return n;
}

static void add_host(const char *space, const char *name, const char *type)
{
    ExtismValType in[32], out[32];
    const char *open = strchr(type, '(');
    if (host_count == MOST_FUNCTIONS || !open)
        return;
    host *h = &hosts[host_count++];
    snprintf(h->name, sizeof h->name, "%s", name);
    size_t n_out = types(type, open, out), n_in = types(open + 1, strchr(type, ')'), in);
    h->shell = p_extism_function_new(name, in, n_in, out, n_out, answer, h, on_free);
    if (strcmp(space, "-") != 0)
        p_extism_function_set_namespace(h->shell, space);
}

static const ExtismFunction **shells(void)
{
    static const ExtismFunction *list[MOST_FUNCTIONS];
    for (size_t i = 0; i < host_count; i++)
        list[i] = hosts[i].shell;
    return list;
}

/* ---- Printing ---- */

static void print_text(const char *text, size_t len)
{
    unsigned sum = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        sum = sum * 31 + c;
        if (i < 3000 && c >= ' ' && c < 127 && c != '\\')
            putchar(c);
        else if (i < 3000)
            printf("\\%02x", c);
    }
    if (len >= 3000)
        printf("... %zu octets, sum %08x", len, sum);
}

static void print_made(const void *made, char *why)
{
    if (made) {
        printf("%d made%s\n", number, why ? " and an error" : "");
        return;
    }
    printf("%d refused: ", number);
    print_text(why ? why : "(no text)", strlen(why ? why : "(no text)"));
    putchar('\n');
    p_extism_plugin_new_error_free(why);
}

static void print_outcome(int rc)
{
    const char *error = p_extism_plugin_error(plugin);
    printf("%d returned %d, output '", number, rc);
    print_text((const char *)p_extism_plugin_output_data(plugin), p_extism_plugin_output_length(plugin));
    printf("', error ");
    if (error)
        print_text(error, strlen(error));
    else
        printf("none");
    putchar('\n');
}

static void print_line(const char *data, ExtismSize size)
{
    printf("   ");
    print_text(data, size);
    putchar('\n');
}

/* ---- Commands ---- */

static void read_module(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    fseek(f, 0, SEEK_END);
    wasm_size = (size_t)ftell(f);
    rewind(f);
    free(wasm);
    wasm = malloc(wasm_size + 1);
    if (fread(wasm, 1, wasm_size, f) != wasm_size)
        exit(2);
    fclose(f);
}

/* What a script makes anew without a "free" goes first, so that a leak which a build with AddressSanitizer finds is the library's. */
static void part_plugin(void)
{
    p_extism_plugin_free(plugin);
    plugin = NULL;
}

static void part_compiled(void)
{
    if (compiled)
        p_extism_compiled_plugin_free(compiled);
    compiled = NULL;
}

static void part_shells(void)
{
    for (size_t i = 0; i < host_count; i++) {
        if (hosts[i].shell)
            p_extism_function_free(hosts[i].shell);
        hosts[i].shell = NULL;
    }
}

/* "\n" in a script is a line's end. */
static void take_inline(const char *text)
{
    free(wasm);
    wasm = malloc(strlen(text) + 1);
    wasm_size = 0;
    for (; *text; text++)
        wasm[wasm_size++] = text[0] == '\\' && text[1] == 'n' ? (text++, '\n') : *text;
}

static void make(const char *options, bool compile)
{
    bool wasi = strstr(options, "wasi") != NULL;
    const char *fuel = strstr(options, "fuel=");
    unsigned long long limit = fuel ? strtoull(fuel + 5, NULL, 10) : 0;
    char *why = NULL;
    const uint8_t *at = (const uint8_t *)wasm;
    (compile ? part_compiled : part_plugin)();
    if (compile)
        compiled = fuel ? p_extism_compiled_plugin_new_with_fuel_limit(at, wasm_size, shells(), host_count, wasi, limit, &why)
                        : p_extism_compiled_plugin_new(at, wasm_size, shells(), host_count, wasi, &why);
    else
        plugin = fuel ? p_extism_plugin_new_with_fuel_limit(at, wasm_size, shells(), host_count, wasi, limit, &why)
                      : p_extism_plugin_new(at, wasm_size, shells(), host_count, wasi, &why);
    print_made(compile ? (void *)compiled : (void *)plugin, why);
}

typedef struct caller {
    const char *name, *input;
    int rc, delay_ms;
} caller;

static void *call_there(void *arg)
{
    caller *c = arg;
    c->rc = p_extism_plugin_call(plugin, c->name, (const uint8_t *)c->input, strlen(c->input));
    return NULL;
}

static void *cancel_there(void *arg)
{
    caller *c = arg;
    usleep((useconds_t)c->delay_ms * 1000);
    c->rc = p_extism_plugin_cancel(p_extism_plugin_cancel_handle(plugin));
    return NULL;
}

static void cancel(const char *name, int delay_ms)
{
    pthread_t thread;
    caller c = {.delay_ms = delay_ms};
    pthread_create(&thread, NULL, cancel_there, &c);
    int rc = p_extism_plugin_call(plugin, name, NULL, 0);
    pthread_join(thread, NULL);
    print_outcome(rc);
    printf("   cancel said %d\n", c.rc);
}

static void at_once(const char *name, int count, const char *input)
{
    pthread_t threads[16];
    caller callers[16];
    count = count > 16 ? 16 : count;
    for (int i = 0; i < count; i++) {
        callers[i] = (caller){.name = name, .input = input};
        pthread_create(&threads[i], NULL, call_there, &callers[i]);
    }
    long sum = 0;
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        sum += callers[i].rc;
    }
    printf("%d codes add up to %ld\n", number, sum);
}

static int call(const char *name, const char *input, size_t len)
{
    return context ? p_extism_plugin_call_with_host_context(plugin, name, (const uint8_t *)input, len, context)
                   : p_extism_plugin_call(plugin, name, (const uint8_t *)input, len);
}

static void call_data(const char *name, size_t len)
{
    char *data = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)('a' + i % 23);
    print_outcome(call(name, data, len));
    free(data);
}

static void call_many(const char *name, int count, const char *input)
{
    int rc = 0;
    for (int i = 0; i < count; i++)
        rc = call(name, input, strlen(input));
    print_outcome(rc);
}

static void nulls(void)
{
    p_extism_plugin_free(NULL);
    p_extism_compiled_plugin_free(NULL);
    p_extism_function_free(NULL);
    p_extism_plugin_new_error_free(NULL);
    p_extism_log_drain(print_line);
    printf("%d %p %d %p %d %p %d %d %p %p %d %p %d\n", number, (const void *)p_extism_plugin_id(NULL), p_extism_plugin_call(NULL, "x", NULL, 0),
           (const void *)p_extism_plugin_error(NULL), (int)p_extism_plugin_output_length(NULL), (const void *)p_extism_plugin_output_data(NULL),
           p_extism_plugin_config(NULL, (const uint8_t *)"{}", 2), p_extism_plugin_function_exists(NULL, "x"),
           (const void *)p_extism_plugin_cancel_handle(NULL), (const void *)p_extism_current_plugin_memory(NULL),
           (int)p_extism_current_plugin_memory_alloc(NULL, 1), (const void *)p_extism_current_plugin_host_context(NULL),
           (int)p_extism_current_plugin_memory_length(NULL, 1));
}

/* Without a call: what the last one left, and the old name of the same question. */
static void state(void)
{
    const char *said = p_extism_plugin_error(plugin);
    char *error = said ? strdup(said) : NULL;
    const char *old = p_extism_error(plugin);
    bool same = (!error && !old) || (error && old && strcmp(error, old) == 0);
    printf("%d %s, output of %llu at %s, error %s\n", number, same ? "alike" : "extism_error differs",
           (unsigned long long)p_extism_plugin_output_length(plugin), p_extism_plugin_output_data(plugin) ? "a place" : "NULL", error ? "there" : "none");
    free(error);
}

static ExtismPlugin *odd_new(const char *text, const ExtismFunction **functions, ExtismSize count, char **why)
{
    return p_extism_plugin_new((const uint8_t *)text, strlen(text), functions, count, false, why);
}

static void odd(void)
{
    static const char empty[] = "(module)", broken[] = "(module (func";
    const ExtismFunction *nulls[] = {NULL};
    static const ExtismValType i64[] = {ExtismValType_I64};
    static host unused;
    char *kept = (char *)empty, *why = NULL;
    fflush(stdout);
    printf("%d", number);
    ExtismPlugin *made = odd_new(empty, NULL, 7, &kept);
    fflush(stdout);
    printf(" %d%d", made != NULL, kept == empty);
    p_extism_plugin_free(made);
    fflush(stdout);
    printf("%d", odd_new(broken, NULL, 0, NULL) == NULL);
    made = odd_new(empty, nulls, 0, &why);
    fflush(stdout);
    printf("%d", made && !why);
    p_extism_plugin_free(made);
    made = odd_new(empty, nulls, 1, &why);
    fflush(stdout);
    printf("%d %s", made != NULL, why ? why : "none");
    p_extism_plugin_new_error_free(why);
    fflush(stdout);
    printf(" %d", p_extism_function_new("\xff", i64, 1, i64, 1, answer, NULL, NULL) == NULL);
    ExtismFunction *f = p_extism_function_new("f", NULL, 3, NULL, 3, answer, &unused, NULL);
    nulls[0] = f;
    made = odd_new("(module (import \"\xef\xbf\xbd\" \"f\" (func)))", nulls, f && (p_extism_function_set_namespace(f, "\xff"), 1), NULL);
    p_extism_function_set_namespace(f, "late");
    p_extism_function_free(f);
    fflush(stdout);
    printf("%d", made != NULL);
    p_extism_plugin_free(made);
    fflush(stdout);
    printf(" %d", p_extism_plugin_call(plugin, "\xff", NULL, 0));
    fflush(stdout);
    printf(" %d%d", p_extism_plugin_function_exists(plugin, "\xff"), p_extism_log_custom("\xff"));
    fflush(stdout);
    printf(" %d %s\n", p_extism_plugin_call(plugin, "echo", NULL, 0), p_extism_plugin_output_data(plugin) ? "a place" : "NULL");
}

static char log_path[] = "/tmp/weir-driver-log-XXXXXX";

static void log_to_file(const char *level)
{
    int fd = mkstemp(log_path);
    if (fd < 0 || write(fd, "before\n", 7) != 7)
        exit(2);
    close(fd);
    printf("%d %d\n", number, p_extism_log_file(log_path, level));
}

static void logged(void)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    FILE *f = fopen(log_path, "r");
    printf("%d\n", number);
    while (f && (len = getline(&line, &room, f)) > 0)
        print_line(line, (ExtismSize)len);
    free(line);
    if (f)
        fclose(f);
}

static void dumped(void)
{
    char block[20] = "";
    const char *path = getenv("EXTISM_MEMDUMP");
    FILE *f = path ? fopen(path, "rb") : NULL;
    bool there = f && fseek(f, 77, SEEK_SET) == 0 && fread(block, 1, sizeof block - 1, f) > 0;
    printf("%d %s '", number, f ? "a dump" : "none");
    print_text(block, there ? strlen(block) : 0);
    printf("'\n");
    if (f) {
        fclose(f);
        unlink(path);
    }
}

static void free_all(void)
{
    part_plugin();
    printf("%d freed\n", number);
}

/* With a plugin. */
static void command_on(const char *verb, char *a, char *rest)
{
    const char *b = rest ? rest : "";
    if (!plugin)
        printf("%d no plugin\n", number);
    else if (strcmp(verb, "call") == 0)
        print_outcome(call(a, b, strlen(b)));
    else if (strcmp(verb, "data") == 0)
        call_data(a, strtoull(b, NULL, 10));
    else if (strcmp(verb, "many") == 0)
        call_many(a, atoi(b), strchr(b, ' ') ? strchr(b, ' ') + 1 : "");
    else if (strcmp(verb, "exists") == 0)
        printf("%d %d\n", number, p_extism_plugin_function_exists(plugin, a));
    else if (strcmp(verb, "state") == 0)
        state();
    else if (strcmp(verb, "odd") == 0)
        odd();
    else if (strcmp(verb, "reset") == 0)
        printf("%d %d\n", number, p_extism_plugin_reset(plugin));
    else if (strcmp(verb, "headers") == 0)
        p_extism_plugin_allow_http_response_headers(plugin);
    else if (strcmp(verb, "cancel") == 0)
        cancel(a, atoi(b));
    else if (strcmp(verb, "cancel-idle") == 0)
        printf("%d %d\n", number, p_extism_plugin_cancel(p_extism_plugin_cancel_handle(plugin)));
    else if (strcmp(verb, "twice") == 0)
        at_once(a, atoi(b), strchr(b, ' ') ? strchr(b, ' ') + 1 : "");
    else
        printf("%d what is '%s'?\n", number, verb);
}

static void command(char *line)
{
    char *a = strchr(line, ' '), *b = NULL;
    if (a)
        *a++ = '\0';
    if (strcmp(line, "module") == 0)
        read_module(a);
    else if (strcmp(line, "inline") == 0)
        take_inline(a ? a : "");
    else if (strcmp(line, "new") == 0 || strcmp(line, "compile") == 0)
        make(a ? a : "", line[0] == 'c');
    else if (strcmp(line, "config") == 0)
        printf("%d %d\n", number, p_extism_plugin_config(plugin, (const uint8_t *)a, strlen(a)));
    else if (strcmp(line, "context") == 0) {
        free(context);
        context = a ? strdup(a) : NULL;
    } else if (strcmp(line, "from") == 0) {
        char *why = NULL;
        part_plugin();
        plugin = p_extism_plugin_new_from_compiled(compiled, &why);
        print_made(plugin, why);
    } else if (strcmp(line, "free-compiled") == 0) {
        part_compiled();
    } else if (strcmp(line, "free-shells") == 0) {
        part_shells();
    } else if (strcmp(line, "freed") == 0) {
        int freed = 0;
        for (size_t i = 0; i < host_count; i++)
            freed += hosts[i].freed;
        printf("%d %d of %zu\n", number, freed, host_count);
        part_shells();
        host_count = 0;
    } else if (strcmp(line, "free") == 0) {
        free_all();
    } else if (strcmp(line, "log") == 0) {
        printf("%d %d\n", number, p_extism_log_custom(a));
    } else if (strcmp(line, "drain") == 0) {
        printf("%d\n", number);
        p_extism_log_drain(print_line);
    } else if (strcmp(line, "logfile") == 0) {
        log_to_file(a);
    } else if (strcmp(line, "dumped") == 0) {
        dumped();
    } else if (strcmp(line, "logged") == 0) {
        logged();
    } else if (strcmp(line, "null") == 0) {
        nulls();
    } else {
        if (a && (b = strchr(a, ' ')))
            *b++ = '\0';
        char *type = b && strcmp(line, "host") == 0 ? strchr(b, ' ') : NULL;
        if (type) {
            *type++ = '\0';
            add_host(a, b, type);
        } else {
            command_on(line, a ? a : (char *)"", b);
        }
    }
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    if (argc != 3)
        return 2;
    load(argv[1]);
    FILE *script = fopen(argv[2], "r");
    if (!script)
        return 2;
    while ((len = getline(&line, &room, script)) > 0) {
        if (line[len - 1] == '\n')
            line[--len] = '\0';
        number++;
        if (len && *line != '#') {
            command(line[0] == '~' ? strchr(line, '|') + 2 : line);
            fflush(stdout);
        }
    }
    free_all();
    part_compiled();
    part_shells();
    unlink(log_path);
    fclose(script);
    free(line);
    return 0;
}
