/* Modules: compiling, or mapping what was compiled before, and what they import and export. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/aot.h"
#include "engine/inside.h"

#define CACHE_KEEPS ((uint64_t)1 << 30)

/* Where the compiled file of one module is, or will be. */
typedef struct place {
    const char *folder;
    int fd; /* of the folder */
    char key[DIGEST_HEX];
    cache_result *result;
} place;

/* (wasm_valtype_kind ends the process at a vector.) */
static char letter(const wasm_valtype_t *type)
{
    static const char letters[] = {[WASMTIME_VALTYPE_KIND_I32] = 'i', [WASMTIME_VALTYPE_KIND_I64] = 'I', [WASMTIME_VALTYPE_KIND_F32] = 'f', [WASMTIME_VALTYPE_KIND_F64] = 'F', [WASMTIME_VALTYPE_KIND_V128] = 'V'};
    wasmtime_valtype_t v;
    wasmtime_valtype_new(type, &v);
    char c = v.kind < sizeof letters ? letters[v.kind] : 'r';
    wasmtime_valtype_delete(&v);
    return c;
}

static size_t add_letters(char *out, size_t at, size_t size, const wasm_valtype_vec_t *types)
{
    for (size_t k = 0; k < types->size; k++, at++)
        if (at < size)
            out[at] = letter(types->data[k]);
    return at;
}

/* results(parameters); ends in "..." when it does not fit */
void functype_text(char out[ENGINE_TYPE_SIZE], const wasm_functype_t *type)
{
    const size_t size = ENGINE_TYPE_SIZE;
    size_t at = add_letters(out, 0, size, wasm_functype_results(type));
    if (at < size)
        out[at] = '(';
    at = add_letters(out, at + 1, size, wasm_functype_params(type));
    if (at < size)
        out[at] = ')';
    if (++at < size)
        out[at] = '\0';
    else
        memcpy(out + size - 4, "...", 4);
}

static void describe(module_extern *x, const wasm_externtype_t *type)
{
    switch (wasm_externtype_kind(type)) {
    case WASM_EXTERN_FUNC:
        x->kind = EXTERN_FUNC;
        functype_text(x->type, wasm_externtype_as_functype_const(type));
        break;
    case WASM_EXTERN_MEMORY:
        x->kind = EXTERN_MEMORY;
        break;
    case WASM_EXTERN_GLOBAL:
        x->kind = EXTERN_GLOBAL;
        break;
    case WASM_EXTERN_TABLE:
        x->kind = EXTERN_TABLE;
        break;
    default:
        x->kind = EXTERN_OTHER;
        break;
    }
}

static bytes keep_name(char **at, const wasm_name_t *name)
{
    bytes kept = bytes_make(*at, name->size);
    if (name->size)
        memcpy(*at, name->data, name->size);
    *at += name->size;
    return kept;
}

static bool read_externs(module *m, const wasm_importtype_vec_t *imports, const wasm_exporttype_vec_t *exports)
{
    size_t octets = 1;
    for (size_t k = 0; k < imports->size; k++)
        octets += wasm_importtype_module(imports->data[k])->size + wasm_importtype_name(imports->data[k])->size;
    for (size_t k = 0; k < exports->size; k++)
        octets += wasm_exporttype_name(exports->data[k])->size;
    char *at = m->names = malloc(octets);
    m->imports = calloc(imports->size + 1, sizeof *m->imports);
    m->exports = calloc(exports->size + 1, sizeof *m->exports);
    if (!at || !m->imports || !m->exports)
        return false;
    for (size_t k = 0; k < imports->size; k++, m->import_count++) {
        m->imports[k].module = keep_name(&at, wasm_importtype_module(imports->data[k]));
        m->imports[k].name = keep_name(&at, wasm_importtype_name(imports->data[k]));
        describe(&m->imports[k], wasm_importtype_type(imports->data[k]));
    }
    for (size_t k = 0; k < exports->size; k++, m->export_count++) {
        m->exports[k].name = keep_name(&at, wasm_exporttype_name(exports->data[k]));
        describe(&m->exports[k], wasm_exporttype_type(exports->data[k]));
    }
    return true;
}

/* Takes `wasm`, even when it fails. */
weir_code module_wrap(module **out, engine *e, wasmtime_module_t *wasm, size_t size, bool has_start, weir_error *err)
{
    module *m = calloc(1, sizeof *m);
    if (!m) {
        wasmtime_module_delete(wasm);
        return error_set(err, WEIR_NOMEM, "module: out of memory");
    }
    *m = (module){.engine = e, .wasm = wasm, .wasm_size = size, .has_start = has_start, .refs = 1};
    wasm_importtype_vec_t imports;
    wasm_exporttype_vec_t exports;
    wasmtime_module_imports(wasm, &imports);
    wasmtime_module_exports(wasm, &exports);
    bool done = read_externs(m, &imports, &exports);
    wasm_importtype_vec_delete(&imports);
    wasm_exporttype_vec_delete(&exports);
    if (!done) {
        module_unref(m);
        return error_set(err, WEIR_NOMEM, "module: out of memory");
    }
    *out = m;
    return WEIR_OK;
}

static weir_code compile_binary(module **out, engine *e, bytes wasm, weir_error *err)
{
    bool has_start;
    weir_code code = wasm_check(wasm, &has_start, err);
    if (code)
        return code;
    wasmtime_module_t *compiled;
    uint64_t start = clock_mono();
    wasmtime_error_t *error = wasmtime_module_new(e->wasm, (const uint8_t *)wasm.at, wasm.len, &compiled);
    if (error) {
        error_from_wasmtime(err, WEIR_INVALID, error);
        return error_wrap(err, "not a valid module");
    }
    uint64_t took = clock_mono() - start;
    code = module_wrap(out, e, compiled, wasm.len, has_start, err);
    if (!code)
        (*out)->compile_ns = took ? took : 1;
    return code;
}

/* `how` with the binary form of `wasm`. */
static weir_code with_binary(module **out, engine *e, bytes wasm, const place *where, weir_error *err,
                             weir_code (*how)(module **out, engine *e, bytes wasm, const place *where, weir_error *err))
{
    *out = NULL;
    if (!wasm_is_text(wasm))
        return how(out, e, wasm, where, err);
    wasm_byte_vec_t binary;
    wasmtime_error_t *error = wasmtime_wat2wasm(wasm.at, wasm.len, &binary);
    if (error) {
        error_from_wasmtime(err, WEIR_INVALID, error);
        return error_wrap(err, "not valid WebAssembly text");
    }
    weir_code code = how(out, e, bytes_make(binary.data, binary.size), where, err);
    wasm_byte_vec_delete(&binary);
    return code;
}

static weir_code compile(module **out, engine *e, bytes wasm, const place *where, weir_error *err)
{
    (void)where;
    return compile_binary(out, e, wasm, err);
}

weir_code module_compile(module **out, engine *e, bytes wasm, weir_error *err)
{
    return with_binary(out, e, wasm, NULL, err, compile);
}

/* ---- Through the cache ---- */

/* Maps the file, which has been checked. The engine takes a path: the descriptor's own. */
static wasmtime_module_t *map_image(engine *e, const place *where, int fd, weir_error *err)
{
    char path[4096];
    wasmtime_module_t *mapped = NULL;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (access(path, R_OK) != 0) /* no /proc here */
        snprintf(path, sizeof path, "%s/%s.cwasm", where->folder, where->key);
    wasmtime_error_t *error = wasmtime_module_deserialize_file(e->wasm, path, &mapped);
    if (error)
        error_from_wasmtime(err, WEIR_INVALID, error);
    return mapped;
}

static wasmtime_module_t *open_image(engine *e, const place *where, aot_facts *facts, weir_error *err)
{
    int fd = aot_open(where->fd, where->key, facts, err);
    if (fd < 0)
        return NULL;
    wasmtime_module_t *mapped = map_image(e, where, fd, err);
    close(fd);
    return mapped;
}

static wasmtime_module_t *find_image(engine *e, const place *where)
{
    weir_error err = WEIR_ERROR_INIT;
    aot_facts facts;
    wasmtime_module_t *mapped = open_image(e, where, &facts, &err);
    if (!mapped && err.code != WEIR_NOT_FOUND)
        log_warn("engine", "compiled file '%s/%s.cwasm' is not used: %s", where->folder, where->key, err.text);
    return mapped;
}

/* Stores what has been compiled, and runs from the file from then on: its pages are shared with
 * every other process that maps it. */
static weir_code store_image(module *m, engine *e, const place *where, weir_error *err)
{
    wasm_byte_vec_t image;
    wasmtime_error_t *error = wasmtime_module_serialize(m->wasm, &image);
    if (error)
        return error_from_wasmtime(err, WEIR_SYSTEM, error);
    weir_code code = aot_store(where->fd, where->key, bytes_make(image.data, image.size), (aot_facts){m->wasm_size, m->has_start}, err);
    wasm_byte_vec_delete(&image);
    if (code)
        return code;
    aot_trim(where->fd, CACHE_KEEPS);
    wasmtime_module_t *mapped = find_image(e, where);
    if (mapped) {
        wasmtime_module_delete(m->wasm);
        m->wasm = mapped;
    }
    return WEIR_OK;
}

static weir_code load(module **out, engine *e, bytes wasm, const place *given, weir_error *err)
{
    bool has_start;
    char digest[DIGEST_HEX];
    place where = *given;
    weir_code code = wasm_check(wasm, &has_start, err);
    if (code)
        return code;
    digest_leaves(digest, wasm);
    aot_key(where.key, digest, engine_name(), e->settings);
    wasmtime_module_t *mapped = find_image(e, &where);
    if (mapped) {
        *where.result = CACHE_HIT;
        return module_wrap(out, e, mapped, wasm.len, has_start, err);
    }
    if ((code = compile_binary(out, e, wasm, err)))
        return code;
    weir_error why = WEIR_ERROR_INIT;
    if (!store_image(*out, e, &where, &why))
        *where.result = CACHE_STORED;
    else
        log_warn("engine", "compiled files are not kept in '%s': %s", where.folder, why.text);
    return WEIR_OK;
}

weir_code module_load(module **out, engine *e, bytes wasm, const char *folder, cache_result *cached, weir_error *err)
{
    weir_error why = WEIR_ERROR_INIT;
    place where = {.folder = folder, .result = cached};
    *cached = CACHE_OFF;
    where.fd = aot_open_folder(folder, &why);
    if (where.fd < 0) {
        log_warn("engine", "compiled files are not kept: %s", why.text);
        return module_compile(out, e, wasm, err);
    }
    weir_code code = with_binary(out, e, wasm, &where, err, load);
    close(where.fd);
    return code;
}

/* A regular file only: to open anything else may wait, or take from it what the next reader wants. */
static bool digest_path(char out[DIGEST_HEX], const char *path)
{
    struct stat st;
    int fd = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    bool done = fd >= 0 && fstat(fd, &st) == 0 && digest_leaves_file(out, fd, (uint64_t)st.st_size);
    if (fd >= 0)
        close(fd);
    return done;
}

bool module_known(module **out, engine *e, const char *path, const char *folder)
{
    weir_error err = WEIR_ERROR_INIT;
    char digest[DIGEST_HEX];
    aot_facts facts;
    place where = {.folder = folder};
    *out = NULL;
    if (!digest_path(digest, path) || (where.fd = aot_open_folder(folder, &err)) < 0)
        return false;
    aot_key(where.key, digest, engine_name(), e->settings);
    wasmtime_module_t *mapped = open_image(e, &where, &facts, &err);
    close(where.fd);
    return mapped && !module_wrap(out, e, mapped, facts.wasm_size, facts.has_start, &err);
}

module *module_ref(module *m)
{
    __atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
    return m;
}

void module_unref(module *m)
{
    if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    wasmtime_module_delete(m->wasm);
    free(m->imports);
    free(m->exports);
    free(m->names);
    free(m);
}

size_t module_import_count(const module *m)
{
    return m->import_count;
}

const module_extern *module_import(const module *m, size_t i)
{
    return i < m->import_count ? &m->imports[i] : NULL;
}

size_t module_export_count(const module *m)
{
    return m->export_count;
}

const module_extern *module_export(const module *m, size_t i)
{
    return i < m->export_count ? &m->exports[i] : NULL;
}

const module_extern *module_find_export(const module *m, const char *name)
{
    for (size_t k = 0; k < m->export_count; k++)
        if (bytes_is(m->exports[k].name, name))
            return &m->exports[k];
    return NULL;
}

size_t module_wasm_size(const module *m)
{
    return m->wasm_size;
}

uint64_t module_compile_ns(const module *m)
{
    return m->compile_ns;
}
