/* Compiled files: what is mapped again, and what is never trusted. */
#include "engine/aot.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "engine/engine.h"
#include "tests/lib/test.h"

static const char guest[] = "(module (func (export \"f\") (result i32) (i32.const 42)))";

/* A folder of our own below the build's, an engine, and what the log said. */
typedef struct rig {
    char root[64], folder[96], file[256];
    engine *e;
    char log[512];
} rig;

static void keep_log(void *arg, log_level level, const char *part, const char *text)
{
    rig *r = arg;
    (void)level, (void)part;
    snprintf(r->log, sizeof r->log, "%s", text);
}

static void rig_init_with(rig *r, engine_options o)
{
    weir_error err = WEIR_ERROR_INIT;
    memset(r, 0, sizeof *r);
    strcpy(r->root, "/tmp/weir-aot-XXXXXX");
    CHECK(mkdtemp(r->root) != NULL);
    snprintf(r->folder, sizeof r->folder, "%s/a/b", r->root);
    o.max_instances = 4;
    CHECK_OK(engine_new(&r->e, &o, &err));
    log_set_sink(keep_log, r);
}

static void rig_init(rig *r)
{
    rig_init_with(r, (engine_options){0});
}

static void rig_fini(rig *r)
{
    char command[128];
    log_set_sink(NULL, NULL);
    engine_free(r->e);
    snprintf(command, sizeof command, "chmod -R u+w %s; rm -rf %s", r->root, r->root);
    CHECK_INT(system(command), 0);
}

static int count_files(rig *r)
{
    int count = 0;
    DIR *d = opendir(r->folder);
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            count++;
            snprintf(r->file, sizeof r->file, "%s/%s", r->folder, e->d_name);
        } else if (e->d_name[1] && e->d_name[1] != '.') {
            count += 100; /* a leftover */
        }
    closedir(d);
    return count;
}

static void bind(void *arg, const module_extern *x, binding *out)
{
    (void)arg, (void)x, (void)out;
}

static void check_runs(module *m)
{
    weir_error err = WEIR_ERROR_INIT;
    linked *l = NULL;
    instance *i = NULL;
    func f;
    value v[1];
    CHECK_OK(module_link(&l, m, bind, NULL, &err));
    CHECK_OK(instance_new(&i, l, NULL, NULL, &err));
    CHECK(instance_func(i, "f", &f));
    instance_call(i, &f, v);
    run_state state;
    while ((state = instance_resume(i)) == RUN_YIELDED) /* a tick came */
        ;
    CHECK_INT(state, RUN_DONE);
    CHECK_INT(v[0].i32, 42);
    instance_free(i);
    linked_free(l);
}

/* Loads and runs the guest; answers where it came from. */
static cache_result load(rig *r)
{
    weir_error err = WEIR_ERROR_INIT;
    module *m = NULL;
    cache_result cached;
    *r->log = '\0';
    CHECK_OK(module_load(&m, r->e, bytes_of(guest), r->folder, &cached, &err));
    check_runs(m);
    CHECK((module_compile_ns(m) == 0) == (cached == CACHE_HIT));
    module_unref(m);
    return cached;
}

TEST(aot, a_module_is_compiled_once)
{
    rig r;
    struct stat st;
    rig_init(&r);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_INT(load(&r), CACHE_HIT);
    CHECK_TEXT(r.log, "");
    CHECK_INT(count_files(&r), 1);
    CHECK_INT(stat(r.folder, &st), 0);
    CHECK_UINT(st.st_mode & 0777, 0700);
    CHECK_INT(stat(r.file, &st), 0);
    CHECK_UINT(st.st_mode & 0777, 0600);
    rig_fini(&r);
}

static void damage(const char *path, long at, int whence, const char *with, size_t len)
{
    FILE *f = fopen(path, "r+b");
    CHECK(f != NULL);
    fseek(f, at, whence);
    fwrite(with, 1, len, f);
    fclose(f);
}

/* The guest in its binary form. */
static const char binary[] = "\0asm\1\0\0\0\1\5\1\x60\0\1\x7f\3\2\1\0\7\5\1\1f\0\0\x0a\6\1\4\0\x41\x2a\x0b";

static bool is_known(rig *r, const char *path)
{
    module *m = NULL;
    if (!module_known(&m, r->e, path, r->folder)) {
        CHECK(m == NULL);
        return false;
    }
    CHECK_UINT(module_wasm_size(m), sizeof binary - 1);
    CHECK_UINT(module_compile_ns(m), 0);
    check_runs(m);
    module_unref(m);
    return true;
}

TEST(aot, a_file_is_known_by_its_octets_once_it_was_loaded)
{
    rig r;
    char path[80], pipe[80];
    weir_error err = WEIR_ERROR_INIT;
    module *m = NULL;
    cache_result cached;
    bytes wasm = bytes_make(binary, sizeof binary - 1);
    rig_init(&r);
    snprintf(path, sizeof path, "%s/guest.wasm", r.root);
    snprintf(pipe, sizeof pipe, "%s/pipe", r.root);
    CHECK(!is_known(&r, path)); /* there is no such file */
    CHECK_OK(file_replace(path, wasm, &err));
    CHECK(!is_known(&r, path));
    CHECK_OK(module_load(&m, r.e, wasm, r.folder, &cached, &err));
    module_unref(m);
    CHECK(is_known(&r, path));
    CHECK_INT(mkfifo(pipe, 0600), 0);
    CHECK(!is_known(&r, pipe)); /* and it does not wait for a writer */
    CHECK(!is_known(&r, r.root));
    CHECK_INT(count_files(&r), 1);
    damage(r.file, 100, SEEK_SET, "~", 1);
    CHECK(!is_known(&r, path));
    CHECK_OK(module_load(&m, r.e, wasm, r.folder, &cached, &err));
    module_unref(m);
    CHECK_INT(cached, CACHE_STORED);
    CHECK(is_known(&r, path));
    damage(path, -2, SEEK_END, "\x2b", 1); /* another module: it answers 43 */
    CHECK(!is_known(&r, path));
    rig_fini(&r);
}

TEST(aot, an_engine_with_other_settings_has_files_of_its_own)
{
    rig r, plain;
    rig_init(&r);
    rig_init_with(&plain, (engine_options){.no_interrupts = true});
    strcpy(plain.folder, r.folder);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_INT(load(&plain), CACHE_STORED);
    CHECK_INT(load(&plain), CACHE_HIT);
    CHECK_INT(count_files(&r), 2);
    rig_fini(&plain);
    rig_fini(&r);
}

TEST(aot, a_damaged_file_is_compiled_anew_and_replaced)
{
    static const struct {
        long at;
        int whence;
        const char *text;
    } damages[] = {
        {100, SEEK_SET, "its contents are damaged"},
        {-AOT_SEAL_SIZE, SEEK_END, "its seal is broken"},
        {-AOT_SEAL_SIZE + 14, SEEK_END, "its seal is broken"},
        {-1, SEEK_END, "its seal is broken"},
    };
    rig r;
    rig_init(&r);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_INT(count_files(&r), 1);
    for (size_t k = 0; k < sizeof damages / sizeof *damages; k++) {
        damage(r.file, damages[k].at, damages[k].whence, "~", 1);
        CHECK_INT(load(&r), CACHE_STORED);
        CHECK_HAS(r.log, damages[k].text);
        CHECK_INT(load(&r), CACHE_HIT);
    }
    CHECK_INT(truncate(r.file, 1000), 0);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_INT(truncate(r.file, 3), 0);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_HAS(r.log, "it has 3 octets only");
    CHECK_INT(load(&r), CACHE_HIT);
    CHECK_INT(count_files(&r), 1);
    rig_fini(&r);
}

TEST(aot, a_file_of_another_release_is_replaced_without_a_word)
{
    rig r;
    rig_init(&r);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_INT(count_files(&r), 1);
    damage(r.file, -AOT_SEAL_SIZE + 11, SEEK_END, "1", 1);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_TEXT(r.log, "");
    CHECK_INT(load(&r), CACHE_HIT);
    rig_fini(&r);
}

static int starts;

static trap *count_start(void *env, void *self, value *v)
{
    (void)env, (void)self, (void)v;
    starts++;
    return NULL;
}

static void bind_start(void *arg, const module_extern *x, binding *out)
{
    (void)arg, (void)x;
    out->fn = count_start;
    strcpy(out->type, "()");
}

/* Its start section is the import itself, which the engine has to know before it makes an instance. */
TEST(aot, a_known_module_still_has_its_start)
{
    static const char with_start[] = "\0asm\1\0\0\0\1\4\1\x60\0\0\2\7\1\1a\1b\0\0\x08\1\0";
    rig r;
    char path[80];
    weir_error err = WEIR_ERROR_INIT;
    module *m = NULL;
    linked *l = NULL;
    instance *i = NULL;
    cache_result cached;
    bytes wasm = bytes_make(with_start, sizeof with_start - 1);
    rig_init(&r);
    snprintf(path, sizeof path, "%s/start.wasm", r.root);
    CHECK_OK(file_replace(path, wasm, &err));
    CHECK_OK(module_load(&m, r.e, wasm, r.folder, &cached, &err));
    module_unref(m);
    CHECK(module_known(&m, r.e, path, r.folder));
    CHECK_OK(module_link(&l, m, bind_start, NULL, &err));
    CHECK_OK(instance_new(&i, l, NULL, NULL, &err));
    CHECK_INT(starts, 1);
    instance_free(i);
    linked_free(l);
    module_unref(m);
    rig_fini(&r);
}

/* Sealed by us, and still nothing the engine accepts: as if another build of it had the same name. */
TEST(aot, a_sealed_file_that_the_engine_refuses_is_compiled_anew)
{
    rig r;
    char key[DIGEST_HEX];
    weir_error err = WEIR_ERROR_INIT;
    rig_init(&r);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_INT(count_files(&r), 1);
    snprintf(key, sizeof key, "%.64s", strrchr(r.file, '/') + 1);
    int folder = aot_open_folder(r.folder, &err);
    CHECK(folder >= 0);
    CHECK_OK(aot_store(folder, key, BYTES("\177ELF of somebody else's"), (aot_facts){0}, &err));
    close(folder);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_HAS(r.log, "is not used");
    CHECK_INT(load(&r), CACHE_HIT);
    rig_fini(&r);
}

TEST(aot, a_file_under_another_files_name_is_not_taken)
{
    rig r;
    aot_facts facts;
    weir_error err = WEIR_ERROR_INIT;
    char key[DIGEST_HEX], other[DIGEST_HEX];
    rig_init(&r);
    digest_sha256(key, BYTES("one"));
    digest_sha256(other, BYTES("two"));
    int folder = aot_open_folder(r.folder, &err);
    CHECK_OK(aot_store(folder, key, BYTES("image"), (aot_facts){5, true}, &err));
    int fd = aot_open(folder, key, &facts, &err);
    CHECK(fd >= 0);
    CHECK_UINT(facts.wasm_size, 5);
    CHECK(facts.has_start);
    close(fd);
    CHECK_INT(aot_open(folder, other, &facts, &err), -1);
    CHECK_INT(err.code, WEIR_NOT_FOUND);
    CHECK_INT(count_files(&r), 1);
    char renamed[256];
    snprintf(renamed, sizeof renamed, "%s/%s.cwasm", r.folder, other);
    CHECK_INT(rename(r.file, renamed), 0);
    CHECK_INT(aot_open(folder, other, &facts, &err), -1);
    CHECK_TEXT(err.text, "it belongs to another key");
    close(folder);
    rig_fini(&r);
}

TEST(aot, what_others_may_write_is_not_used)
{
    rig r;
    rig_init(&r);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_INT(count_files(&r), 1);
    CHECK_INT(chmod(r.file, 0620), 0);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_HAS(r.log, "not a file of ours alone");
    CHECK_INT(load(&r), CACHE_HIT);
    CHECK_INT(chmod(r.folder, 0770), 0);
    CHECK_INT(load(&r), CACHE_OFF);
    CHECK_HAS(r.log, "others may write there");
    rig_fini(&r);
}

TEST(aot, a_link_is_not_followed)
{
    rig r;
    char moved[300];
    rig_init(&r);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_INT(count_files(&r), 1);
    snprintf(moved, sizeof moved, "%s/elsewhere", r.root);
    CHECK_INT(rename(r.file, moved), 0);
    CHECK_INT(symlink(moved, r.file), 0);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_INT(load(&r), CACHE_HIT);
    rig_fini(&r);
}

TEST(aot, without_a_place_to_keep_files_modules_still_load)
{
    rig r;
    rig_init(&r);
    strcpy(r.folder, "/dev/null/weir");
    CHECK_INT(load(&r), CACHE_OFF);
    CHECK_HAS(r.log, "/dev/null");
    CHECK_INT(load(&r), CACHE_OFF);
    strcpy(r.folder, "/proc/self");
    CHECK_INT(load(&r), CACHE_OFF);
    CHECK_HAS(r.log, "compiled files are not kept");
    rig_fini(&r);
}

TEST(aot, a_failed_write_leaves_no_file_behind)
{
    rig r;
    aot_facts facts;
    weir_error err = WEIR_ERROR_INIT;
    char key[DIGEST_HEX];
    rig_init(&r);
    digest_sha256(key, BYTES("key"));
    int folder = aot_open_folder(r.folder, &err);
    CHECK(folder >= 0);
    /* A folder in place of the file: the rename fails after everything has been written. */
    char path[256];
    snprintf(path, sizeof path, "%s/%s.cwasm", r.folder, key);
    CHECK_INT(mkdir(path, 0700), 0);
    CHECK_INT(aot_store(folder, key, BYTES("image"), (aot_facts){5, true}, &err), WEIR_SYSTEM);
    CHECK_INT(count_files(&r), 1);
    CHECK_INT(aot_open(folder, key, &facts, &err), -1);
    CHECK_HAS(err.text, "not a file of ours");
    close(folder);
    rig_fini(&r);
}

TEST(aot, what_was_used_longest_ago_goes_first)
{
    rig r;
    aot_facts facts;
    weir_error err = WEIR_ERROR_INIT;
    char key[3][DIGEST_HEX], path[256];
    static char image[1000];
    rig_init(&r);
    int folder = aot_open_folder(r.folder, &err);
    for (int k = 0; k < 3; k++) {
        digest_sha256(key[k], bytes_make(&k, sizeof k));
        CHECK_OK(aot_store(folder, key[k], bytes_make(image, sizeof image), (aot_facts){0}, &err));
        snprintf(path, sizeof path, "%s/%s.cwasm", r.folder, key[k]);
        struct timespec when[2] = {{1000 * (k + 1), 0}, {1000 * (k + 1), 0}};
        CHECK_INT(utimensat(AT_FDCWD, path, when, 0), 0);
    }
    snprintf(path, sizeof path, "%s/.new-1-1", r.folder);
    CHECK_OK(file_replace(path, BYTES("left"), &err));
    struct timespec old[2] = {{1000, 0}, {1000, 0}};
    CHECK_INT(utimensat(AT_FDCWD, path, old, 0), 0);
    int fd = aot_open(folder, key[0], &facts, &err); /* using it makes it the youngest */
    CHECK(fd >= 0);
    close(fd);
    aot_trim(folder, 2 * (sizeof image + AOT_SEAL_SIZE));
    CHECK_INT(count_files(&r), 2);
    CHECK_INT(aot_open(folder, key[1], &facts, &err), -1);
    aot_trim(folder, 0); /* the one just made stays */
    CHECK_INT(count_files(&r), 1);
    CHECK_HAS(r.file, key[0]);
    close(folder);
    rig_fini(&r);
}

TEST(aot, a_key_depends_on_all_that_changes_code)
{
    char a[DIGEST_HEX], b[DIGEST_HEX], one[DIGEST_HEX], other[DIGEST_HEX];
    digest_sha256(one, BYTES("wasm"));
    digest_sha256(other, BYTES("wasn"));
    aot_key(a, one, "engine 1", "ticks");
    aot_key(b, one, "engine 1", "ticks");
    CHECK_TEXT(b, a);
    aot_key(b, other, "engine 1", "ticks");
    CHECK(strcmp(a, b) != 0);
    aot_key(b, one, "engine 2", "ticks");
    CHECK(strcmp(a, b) != 0);
    aot_key(b, one, "engine 1", "plain");
    CHECK(strcmp(a, b) != 0);
}

TEST(aot, what_is_no_module_says_so_through_the_cache_too)
{
    rig r;
    weir_error err = WEIR_ERROR_INIT;
    module *m = NULL;
    cache_result cached;
    rig_init(&r);
    CHECK_INT(module_load(&m, r.e, BYTES("\0asm\x0d\0\1\0"), r.folder, &cached, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "component");
    CHECK_INT(module_load(&m, r.e, BYTES("(module (func (nonsense)))"), r.folder, &cached, &err), WEIR_INVALID);
    CHECK(m == NULL);
    rig_fini(&r);
}

TEST(aot, loading_survives_any_failed_allocation)
{
    rig r;
    rig_init(&r);
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        module *m = NULL;
        cache_result cached;
        if (module_load(&m, r.e, bytes_of(guest), r.folder, &cached, &err))
            CHECK(*err.text);
        module_unref(m);
    }
    CHECK_INT(load(&r), CACHE_HIT);
    rig_fini(&r);
}

TEST(aot, looking_for_a_known_module_survives_any_failed_allocation)
{
    rig r;
    char path[80];
    weir_error err = WEIR_ERROR_INIT;
    rig_init(&r);
    snprintf(path, sizeof path, "%s/guest.wasm", r.root);
    CHECK_OK(file_replace(path, bytes_make(binary, sizeof binary - 1), &err));
    module *m = NULL;
    cache_result cached;
    CHECK_OK(module_load(&m, r.e, bytes_make(binary, sizeof binary - 1), r.folder, &cached, &err));
    module_unref(m);
    FAULT_SWEEP(alloc) {
        m = NULL;
        if (module_known(&m, r.e, path, r.folder))
            module_unref(m);
        else
            CHECK(m == NULL);
    }
    CHECK(is_known(&r, path));
    rig_fini(&r);
}
