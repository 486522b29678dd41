/* One function for each thing that can be wrong with a module; diagnose_module asks them all. */
#include "plugin/diagnose.h"

#include <stdio.h>

#include "plugin/generation.h"
#include "plugin/task.h"

static const char *const ours[] = {"ws_connect", "ws_send", "ws_receive", "ws_close", "publish_stream_data", "http_request", "log_record", "time_now", "sleep_ms"};
#define OURS (sizeof ours / sizeof *ours)

static const char *const verdicts[] = {
    [IMPORT_HOST] = "host",
    [IMPORT_EXTISM] = "extism",
    [IMPORT_WASI] = "wasi",
    [IMPORT_CUSTOM] = "custom",
    [IMPORT_STUB] = "stub",
    [IMPORT_WRONG] = "wrong",
};

const char *import_verdict_name(import_verdict verdict)
{
    return verdicts[verdict];
}

static bool is_ours(bytes name)
{
    for (size_t i = 0; i < OURS; i++)
        if (bytes_is(name, ours[i]))
            return true;
    return false;
}

static bool is_extism(bytes name)
{
    binding b;
    const module_extern import = {.module = BYTES("extism:host/env"), .name = name, .kind = EXTERN_FUNC};
    return guest_bind(&import, &b);
}

static bool is_user(bytes module)
{
    return bytes_is(module, "env") || bytes_is(module, "extism:host/user");
}

import_verdict diagnose_import(const module_extern *import, bind_fn bind, void *arg)
{
    binding b;
    if (import->kind != EXTERN_FUNC)
        return IMPORT_WRONG;
    bind(arg, import, &b);
    if (!b.fn || strcmp(b.type, import->type))
        return IMPORT_WRONG;
    if (bytes_is(import->module, "extism:host/env"))
        return IMPORT_EXTISM;
    if (bytes_is(import->module, "wasi_snapshot_preview1"))
        return IMPORT_WASI;
    if (bytes_is(import->module, "weir:host") || (is_user(import->module) && is_ours(import->name)))
        return IMPORT_HOST;
    return b.env && b.fn == task_stub ? IMPORT_STUB : IMPORT_CUSTOM;
}

/* ---- Near misses ---- */

static size_t distance(const char *a, size_t n, const char *b)
{
    size_t m = strlen(b), row[64];
    if (n > 60 || m > 60)
        return 99;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t above = row[j], best = corner + ((a[i - 1] | 0x20) != (b[j - 1] | 0x20));
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            corner = above;
        }
    }
    return row[m];
}

static const char *near_miss(bytes name)
{
    const char *best = NULL;
    size_t least = 4;
    for (size_t i = 0; i < OURS; i++) {
        size_t d = distance(name.at, name.len, ours[i]);
        if (d < least) {
            least = d;
            best = ours[i];
        }
    }
    return best;
}

/* ---- Findings ---- */

typedef struct report {
    void (*fn)(void *arg, const finding *f);
    void *arg;
} report;

static void right_lines(char *room, size_t size, const char *name)
{
    snprintf(room, size,
             "Go: //go:wasmimport extism:host/user %s ⏎ func %s(offset uint64) uint64   "
             "C: __attribute__((import_module(\"extism:host/user\"), import_name(\"%s\"))) uint64_t %s(uint64_t offset);",
             name, name, name, name);
}

static void about_import(const module_extern *i, import_verdict verdict, bind_fn bind, void *arg, const report *to)
{
    finding f = {.level = verdict == IMPORT_WRONG ? FINDING_ERROR : FINDING_WARNING};
    binding b = {0};
    const char *near = is_ours(i->name) ? NULL : near_miss(i->name);
    char name[80];
    snprintf(name, sizeof name, "%.*s", (int)(i->name.len < 79 ? i->name.len : 79), i->name.at);

    if (i->kind != EXTERN_FUNC) {
        snprintf(f.what, sizeof f.what, "it imports '" BYTES_FMT "' of '" BYTES_FMT "', which is no function; only functions can be imported", BYTES_ARG(i->name), BYTES_ARG(i->module));
        snprintf(f.cure, sizeof f.cure, "let the module define its own memory, tables and globals (clang: no --import-memory)");
        to->fn(to->arg, &f);
        return;
    }
    bind(arg, i, &b);
    if (b.fn && strcmp(b.type, i->type)) {
        bool string = is_user(i->module) && strchr(i->type, 'i');
        snprintf(f.what, sizeof f.what, "it imports '%s' of '" BYTES_FMT "' as %s, but the function is %s%s", name, BYTES_ARG(i->module), i->type, b.type,
                 string ? ": a string or a pointer in the declaration became i32 values, an address in the plugin's own memory that the host does not read" : "");
        snprintf(f.cure, sizeof f.cure, string ? "pass the offset of an Extism block: put the text into one (Go: pdk.AllocateJSON, then .Offset()) and declare one uint64 in, one uint64 out" : "declare the function with exactly this type");
        if (is_ours(i->name))
            right_lines(f.code, sizeof f.code, name);
    } else if (is_ours(i->name) && !is_user(i->module)) {
        snprintf(f.what, sizeof f.what, "it imports '%s' from '" BYTES_FMT "'; the host offers it in 'extism:host/user' and in 'env'", name, BYTES_ARG(i->module));
        snprintf(f.cure, sizeof f.cure, "import it from 'extism:host/user'");
        right_lines(f.code, sizeof f.code, name);
    } else if (bytes_is(i->module, "env") && bytes_starts(i->name, BYTES("extism_"))) {
        snprintf(f.what, sizeof f.what, "it imports 'env.%s': it was built with an Extism PDK from before version 1.0", name);
        snprintf(f.cure, sizeof f.cure, "update the PDK to 1.x and build it again; 1.x imports from 'extism:host/env'");
    } else if (is_user(i->module) && is_extism(i->name)) {
        snprintf(f.what, sizeof f.what, "it imports '%s', one of Extism's own functions, from '" BYTES_FMT "'; the host offers it in 'extism:host/env' only", name, BYTES_ARG(i->module));
        snprintf(f.cure, sizeof f.cure, "import it from 'extism:host/env', or let the PDK do it");
        snprintf(f.code, sizeof f.code, "Go: import \"github.com/extism/go-pdk\"   C: #include \"weir_pdk.h\"");
    } else if (bytes_is(i->module, "env") && bytes_is(i->name, "abort")) {
        snprintf(f.what, sizeof f.what, "it imports 'env.abort', as AssemblyScript does; it answers nothing here, so a failed assertion goes on");
        snprintf(f.cure, sizeof f.cure, "build with: asc --use abort=FILE/FUNCTION");
    } else if (bytes_is(i->module, "extism:host/env")) {
        snprintf(f.what, sizeof f.what, "it imports '%s' from 'extism:host/env', which has no such function: that namespace holds Extism's own 32", name);
        snprintf(f.cure, sizeof f.cure, "import host functions from 'extism:host/user'; if the PDK itself asks for it, the PDK is newer than this host");
    } else if (bytes_is(i->module, "weir:host")) {
        snprintf(f.what, sizeof f.what, "it imports '%s' from 'weir:host', which has no such function here", name);
        snprintf(f.cure, sizeof f.cure, "update weir, or build the plugin without WEIR_ONLY");
    } else if (bytes_starts(i->module, BYTES("wasi:")) || bytes_is(i->module, "wasi_unstable")) {
        snprintf(f.what, sizeof f.what, "it imports '%s' from '" BYTES_FMT "'; this host speaks WASI preview 1", name, BYTES_ARG(i->module));
        snprintf(f.cure, sizeof f.cure, "build for wasip1 (Go: GOOS=wasip1 GOARCH=wasm, Rust: wasm32-wasip1, C: --target=wasm32-wasi)");
    } else {
        snprintf(f.what, sizeof f.what, "it imports '%s' from '" BYTES_FMT "', where nothing answers under this name%s; calls to it get an error document", name,
                 BYTES_ARG(i->module), verdict == IMPORT_WRONG ? "" : " (the rest of the plugin works)");
        if (near) {
            snprintf(f.cure, sizeof f.cure, "did you mean '%s' of 'extism:host/user'?", near);
            right_lines(f.code, sizeof f.code, near);
        } else {
            snprintf(f.cure, sizeof f.cure, "remove the import, or define the function in the embedding program (weir_host_define)");
        }
    }
    to->fn(to->arg, &f);
}

static bool has(const module *m, const char *name)
{
    const module_extern *e = module_find_export(m, name);
    return e && e->kind == EXTERN_FUNC;
}

static void about_start(const module *m, const report *to)
{
    finding f = {.level = FINDING_WARNING};
    if (!has(m, "_start") || has(m, "_initialize"))
        return;
    snprintf(f.what, sizeof f.what, "it is a command module (it exports _start and no _initialize); this host runs _start once before the first call, but other Extism hosts fail on it");
    snprintf(f.cure, sizeof f.cure, "build it as a reactor");
    snprintf(f.code, sizeof f.code, "Go: GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared   C: clang --target=wasm32-wasi -mexec-model=reactor");
    to->fn(to->arg, &f);
}

static void about_export(const module *m, const char *name, const report *to)
{
    const module_extern *e = module_find_export(m, name);
    finding f = {.level = FINDING_ERROR};
    if (!e || e->kind != EXTERN_FUNC || !strcmp(e->type, "i()") || !strcmp(e->type, "()"))
        return;
    snprintf(f.what, sizeof f.what, "its export '%s' has the type %s; an Extism export takes no parameters and returns an i32: input and output travel through Extism's memory", name, e->type);
    snprintf(f.cure, sizeof f.cure, "read the input with the PDK, return 0 for success");
    snprintf(f.code, sizeof f.code, "Go: //go:wasmexport %s ⏎ func %s() int32   C: WEIR_EXPORT(%s) { ... return 0; }", name, name, name);
    to->fn(to->arg, &f);
}

static bool asks_wasi(const module *m)
{
    for (size_t i = 0; i < module_import_count(m); i++)
        if (bytes_is(module_import(m, i)->module, "wasi_snapshot_preview1"))
            return true;
    return false;
}

static void about_exports(const module *m, const report *to)
{
    static const char *const known[] = {"meta", "start_stream", "stop_stream", "plugin_configure", "plugin_info", "list_markets", "get_timeframes", "get_ohlcv", "handle_command", "handle_stream_message", "prepare_stream"};
    finding f = {.level = FINDING_WARNING};
    size_t functions = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        about_export(m, known[i], to);
    for (size_t i = 0; i < module_export_count(m); i++) {
        const module_extern *e = module_export(m, i);
        functions += e->kind == EXTERN_FUNC && e->name.len && e->name.at[0] != '_';
    }
    if (!functions) {
        f.level = FINDING_ERROR;
        snprintf(f.what, sizeof f.what, "it exports no function that could be called");
        snprintf(f.cure, sizeof f.cure, "export the plugin's functions");
        snprintf(f.code, sizeof f.code, "Go: //go:wasmexport start_stream ⏎ func startStream() int32   C: WEIR_EXPORT(start_stream) { ... }");
        to->fn(to->arg, &f);
    } else if (has(m, "start_stream") && !has(m, "meta")) {
        snprintf(f.what, sizeof f.what, "it exports start_stream but no meta, so it asks for no network target and reaches nothing");
        snprintf(f.cure, sizeof f.cure, "export meta: JSON with pluginId, version and resources.allowedNetworkTargets");
        snprintf(f.code, sizeof f.code, "{\"pluginId\":\"my-venue\",\"version\":\"1.0.0\",\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"wss://ws.venue.example/*\"}]}}");
        to->fn(to->arg, &f);
    }
    if (!module_find_export(m, "memory") && asks_wasi(m)) {
        f = (finding){.level = FINDING_WARNING};
        snprintf(f.what, sizeof f.what, "it exports no memory, so WASI calls cannot reach its data");
        snprintf(f.cure, sizeof f.cure, "let the linker export it (wasm-ld does by default: drop --no-export-memory or --import-memory)");
        to->fn(to->arg, &f);
    }
}

void diagnose_module(const module *m, bind_fn bind, void *arg, void (*fn)(void *fn_arg, const finding *f), void *fn_arg)
{
    const report to = {fn, fn_arg};
    for (int wrong = 1; wrong >= 0; wrong--)
        for (size_t i = 0; i < module_import_count(m); i++) {
            const module_extern *import = module_import(m, i);
            import_verdict verdict = diagnose_import(import, bind, arg);
            if (verdict == (wrong ? IMPORT_WRONG : IMPORT_STUB))
                about_import(import, verdict, bind, arg, &to);
        }
    about_exports(m, &to);
    about_start(m, &to);
}

const char *diagnose_generation(const module *m)
{
    return generation_title(m);
}
