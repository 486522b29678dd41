/* What is said about modules that will not do. */
#include "plugin/diagnose.h"

#include "plugin/testing.h"

typedef struct heard {
    buf text;
    int errors, warnings;
} heard;

static void hear(void *arg, const finding *f)
{
    heard *h = arg;
    h->errors += f->level == FINDING_ERROR;
    h->warnings += f->level == FINDING_WARNING;
    buf_add_fmt(&h->text, "%s\n%s\n%s\n", f->what, f->cure, f->code);
}

/* The findings about a module's text, as one text. */
static heard about_module(const char *wat)
{
    ERR;
    heard h = {0};
    module *m;
    buf_init(&h.text, 1 << 20);
    CHECK_OK(module_compile(&m, test_the_engine(), bytes_of(wat), &err));
    diagnose_module(m, task_bind, NULL, hear, &h);
    buf_add_char(&h.text, '\0');
    module_unref(m);
    return h;
}

#define FINE "(memory (export \"memory\") 1) (func (export \"meta\") (result i32) (i32.const 0))"

TEST(diagnose, a_sound_module_has_no_findings)
{
    heard h = about_module("(module (import \"env\" \"ws_connect\" (func (param i64) (result i64)))"
                           "(import \"extism:host/user\" \"log_record\" (func (param i64) (result i64)))"
                           "(import \"weir:host\" \"block_new\" (func (param i32 i32) (result i64)))"
                           "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func (param i32)))" FINE ")");
    CHECK_TEXT(h.text.at, "");
    buf_fini(&h.text);
}

TEST(diagnose, each_cause_is_named_with_its_cure)
{
    static const struct {
        const char *import;
        int errors, warnings;
        const char *what, *cure;
    } cases[] = {
        {"\"env\" \"ws_connect\" (func (param i32 i32) (result i64))", 1, 0, "a string or a pointer in the declaration became i32 values", "//go:wasmimport extism:host/user ws_connect"},
        {"\"extism:host/user\" \"ws_send\" (func (param i64))", 1, 0, "as (I), but the function is I(I)", "declare the function with exactly this type"},
        {"\"extism:host/env\" \"ws_connect\" (func (param i64) (result i64))", 1, 0, "it imports 'ws_connect' from 'extism:host/env'; the host offers it in", "import it from 'extism:host/user'"},
        {"\"weir\" \"ws_close\" (func (param i64) (result i64))", 0, 1, "it imports 'ws_close' from 'weir'", "import it from 'extism:host/user'"},
        {"\"extism:host/env\" \"brand_new\" (func)", 1, 0, "which has no such function", "newer than this host"},
        {"\"weir:host\" \"brand_new\" (func)", 1, 0, "from 'weir:host', which has no such function", "without WEIR_ONLY"},
        {"\"weir:host\" \"block_new\" (func (param i64) (result i64))", 1, 0, "as I(I), but the function is I(ii)", "declare the function with exactly this type"},
        {"\"env\" \"extism_alloc\" (func (param i64) (result i64))", 0, 1, "before version 1.0", "update the PDK"},
        {"\"env\" \"abort\" (func (param i32 i32 i32 i32))", 0, 1, "AssemblyScript", "--use abort"},
        {"\"wasi_unstable\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32))", 0, 1, "speaks WASI preview 1", "wasip1"},
        {"\"extism:host/user\" \"ws_recieve\" (func (param i64) (result i64))", 0, 1, "where nothing answers", "did you mean 'ws_receive'"},
        {"\"extism:host/user\" \"kv_put\" (func (param i64) (result i64))", 0, 1, "the rest of the plugin works", "weir_host_define"},
        {"\"env\" \"memory\" (memory 1)", 1, 0, "which is no function", "--import-memory"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[600];
        bool memory = strstr(cases[i].import, "(memory") != NULL;
        snprintf(text, sizeof text, "(module (import %s) %s)", cases[i].import, memory ? "(func (export \"meta\") (result i32) (i32.const 0)) (export \"memory\" (memory 0))" : FINE);
        heard h = about_module(text);
        CHECK_HAS(h.text.at, cases[i].what);
        CHECK_HAS(h.text.at, cases[i].cure);
        CHECK_INT(h.errors, cases[i].errors);
        CHECK_INT(h.warnings, cases[i].warnings);
        buf_fini(&h.text);
    }
}

TEST(diagnose, exports_are_looked_at_too)
{
    static const char *const cases[][2] = {
        {"(module (memory (export \"memory\") 1))", "it exports no function that could be called"},
        {"(module (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32)))"
         " (func (export \"meta\") (result i32) (i32.const 0)))",
         "it exports no memory"},
        {"(module (memory (export \"memory\") 1) (func (export \"start_stream\") (result i32) (i32.const 0)))", "exports start_stream but no meta"},
        {"(module " FINE "(func (export \"start_stream\") (param i32 i32) (result i32) (i32.const 0)))", "its export 'start_stream' has the type i(ii)"},
        {"(module " FINE "(func (export \"_start\")))", "-buildmode=c-shared"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        heard h = about_module(cases[i][0]);
        CHECK_HAS(h.text.at, cases[i][1]);
        buf_fini(&h.text);
    }
}

TEST(diagnose, tells_the_generation_by_exports)
{
    static const char *const cases[][2] = {
        {"start_stream", "2"},
        {"handle_command", "3"},
        {"list_markets", "1"},
        {"import_events", "planner"},
        {"anything", "none: a plain Extism plugin"},
    };
    ERR;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        module *m;
        snprintf(text, sizeof text, "(module (func (export \"%s\") (result i32) (i32.const 0)))", cases[i][0]);
        CHECK_OK(module_compile(&m, test_the_engine(), bytes_of(text), &err));
        CHECK_TEXT(diagnose_generation(m), cases[i][1]);
        module_unref(m);
    }
}

/* Names may hold anything: findings are cut, not overrun. */
TEST(diagnose, giant_names_are_cut)
{
    buf b;
    buf_init(&b, 1 << 20);
    buf_add_text(&b, "(module (import \"");
    for (int i = 0; i < 5000; i++)
        buf_add_text(&b, "m\\1b");
    buf_add_text(&b, "\" \"");
    for (int i = 0; i < 5000; i++)
        buf_add_text(&b, "\\c3\\a9");
    buf_add_text(&b, "\" (func (param i32) (result i64))) " FINE ")");
    buf_add_char(&b, '\0');
    heard h = about_module(b.at);
    CHECK_INT(h.warnings, 1);
    CHECK(h.text.len < 3000);
    buf_fini(&h.text);
    buf_fini(&b);
}
