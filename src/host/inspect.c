/* weir_inspect: all that can be said of a module without running more than its meta. */
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "host/inside.h"
#include "plugin/diagnose.h"

static const char *const kinds[] = {"function", "memory", "global", "table", "other"};
static const char *const levels[] = {"note", "warning", "error"};

static void put_list(buf *out, const char *name)
{
    json_put_key(out, name);
    buf_add_char(out, '[');
}

static void next_item(buf *out)
{
    if (out->at && out->at[out->len - 1] != '[')
        buf_add_char(out, ',');
}

static void put_finding(void *arg, const finding *f)
{
    buf *out = arg;
    next_item(out);
    buf_add_char(out, '{');
    json_put_member(out, "level", bytes_of(levels[f->level]));
    json_put_member(out, "what", bytes_of(f->what));
    json_put_member(out, "cure", bytes_of(f->cure));
    json_put_member(out, "code", bytes_of(f->code));
    buf_add_char(out, '}');
}

/* A module that did not get as far as its imports. */
static void put_error(buf *out, const weir_error *err)
{
    finding f = {.level = FINDING_ERROR};
    size_t n = strlen(err->text);
    memcpy(f.what, err->text, n < sizeof f.what ? n : sizeof f.what - 1);
    put_finding(out, &f);
}

static void put_imports(buf *out, const module *m, task_imports *imports)
{
    put_list(out, "imports");
    for (size_t i = 0; i < module_import_count(m); i++) {
        const module_extern *e = module_import(m, i);
        next_item(out);
        buf_add_char(out, '{');
        json_put_member(out, "module", e->module);
        json_put_member(out, "name", e->name);
        json_put_member(out, "kind", bytes_of(kinds[e->kind]));
        json_put_member(out, "type", bytes_of(e->type));
        json_put_member(out, "verdict", bytes_of(import_verdict_name(diagnose_import(e, task_bind, imports))));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void put_exports(buf *out, const module *m)
{
    put_list(out, "exports");
    for (size_t i = 0; i < module_export_count(m); i++) {
        const module_extern *e = module_export(m, i);
        next_item(out);
        buf_add_char(out, '{');
        json_put_member(out, "name", e->name);
        json_put_member(out, "kind", bytes_of(kinds[e->kind]));
        json_put_member(out, "type", bytes_of(e->type));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void put_module(buf *out, module *m, task_imports *imports)
{
    json_put_key(out, "size");
    buf_add_u64(out, module_wasm_size(m));
    json_put_key(out, "compile_ms");
    buf_add_fmt(out, "%.3f", (double)module_compile_ns(m) / 1e6);
    json_put_key(out, "cached");
    buf_add_text(out, module_compile_ns(m) ? "false" : "true");
    json_put_member(out, "engine", bytes_of(engine_name()));
    json_put_member(out, "generation", bytes_of(diagnose_generation(m)));
    json_put_member(out, "kind", bytes_of(module_find_export(m, "_initialize") ? "reactor" : module_find_export(m, "_start") ? "command"
                                                                                                                             : "library"));
    put_exports(out, m);
    put_imports(out, m, imports);
}

/* Its meta, if it loads so far. */
static void put_meta(buf *out, weir_host *host, const char *path, buf *findings)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin *p = NULL;
    json doc;
    json_put_key(out, "meta");
    if (weir_plugin_load(&p, host, path, NULL, &err) == WEIR_OK && p->meta && json_read(&doc, bytes_of(p->meta->json), NULL) == WEIR_OK)
        json_put_compact(out, doc);
    else
        buf_add_text(out, "null");
    if (err.code && !strstr(err.text, "; cure: ")) /* else the findings have it already */
        put_error(findings, &err);
    weir_plugin_free(p);
}

weir_code weir_inspect(char **text, weir_host *host, const char *path, weir_error *err)
{
    weir_error why = WEIR_ERROR_INIT;
    task_imports imports = {.custom = functions_bind, .arg = host};
    manifest *mf = NULL;
    module *m = NULL;
    buf out, findings;
    weir_code code = manifest_open(&mf, path, &why);
    if (code == WEIR_NOT_FOUND || code == WEIR_SYSTEM || code == WEIR_NOMEM)
        return error_set(err, code, "%s", why.text);
    buf_init(&out, 64u << 20);
    buf_init(&findings, 1u << 20);
    buf_add_char(&findings, '[');
    buf_add_char(&out, '{');
    json_put_member(&out, "path", bytes_of(path));
    if (code) {
        put_error(&findings, &why);
    } else if (manifest_load(mf, 0, &why) || modules_get(&m, host, buf_bytes(&mf->modules[0].data), path, &why)) {
        put_error(&findings, &why);
    } else {
        put_module(&out, m, &imports);
        diagnose_module(m, task_bind, &imports, put_finding, &findings);
        put_meta(&out, host, path, &findings);
    }
    json_put_key(&out, "findings");
    buf_add_bytes(&out, buf_bytes(&findings));
    buf_add_text(&out, "]}");
    buf_add_char(&out, '\0');
    *text = out.failed || findings.failed ? NULL : out.at;
    if (*text)
        out.at = NULL;
    buf_fini(&out);
    buf_fini(&findings);
    module_unref(m);
    manifest_free(mf);
    return *text ? WEIR_OK : error_set(err, WEIR_NOMEM, "inspect '%s': out of memory", path);
}
