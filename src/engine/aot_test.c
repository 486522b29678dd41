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
    CHECK_INT(instance_resume(i), RUN_DONE);
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

static void damage(const char *path, long at, int whence, const char *with, size_t len)
{
    FILE *f = fopen(path, "r+b");
    CHECK(f != NULL);
    fseek(f, at, whence);
    fwrite(with, 1, len, f);
    fclose(f);
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
    CHECK_OK(aot_store(folder, key, BYTES("\177ELF of somebody else's"), &err));
    close(folder);
    CHECK_INT(load(&r), CACHE_STORED);
    CHECK_HAS(r.log, "is not used");
    CHECK_INT(load(&r), CACHE_HIT);
    rig_fini(&r);
}

TEST(aot, a_file_under_another_files_name_is_not_taken)
{
    rig r;
    weir_error err = WEIR_ERROR_INIT;
    char key[DIGEST_HEX], other[DIGEST_HEX];
    rig_init(&r);
    digest_sha256(key, BYTES("one"));
    digest_sha256(other, BYTES("two"));
    int folder = aot_open_folder(r.folder, &err);
    CHECK_OK(aot_store(folder, key, BYTES("image"), &err));
    int fd = aot_open(folder, key, &err);
    CHECK(fd >= 0);
    close(fd);
    CHECK_INT(aot_open(folder, other, &err), -1);
    CHECK_INT(err.code, WEIR_NOT_FOUND);
    CHECK_INT(count_files(&r), 1);
    char renamed[256];
    snprintf(renamed, sizeof renamed, "%s/%s.cwasm", r.folder, other);
    CHECK_INT(rename(r.file, renamed), 0);
    CHECK_INT(aot_open(folder, other, &err), -1);
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
    CHECK_INT(aot_store(folder, key, BYTES("image"), &err), WEIR_SYSTEM);
    CHECK_INT(count_files(&r), 1);
    CHECK_INT(aot_open(folder, key, &err), -1);
    CHECK_HAS(err.text, "not a file of ours");
    close(folder);
    rig_fini(&r);
}

TEST(aot, what_was_used_longest_ago_goes_first)
{
    rig r;
    weir_error err = WEIR_ERROR_INIT;
    char key[3][DIGEST_HEX], path[256];
    static char image[1000];
    rig_init(&r);
    int folder = aot_open_folder(r.folder, &err);
    for (int k = 0; k < 3; k++) {
        digest_sha256(key[k], bytes_make(&k, sizeof k));
        CHECK_OK(aot_store(folder, key[k], bytes_make(image, sizeof image), &err));
        snprintf(path, sizeof path, "%s/%s.cwasm", r.folder, key[k]);
        struct timespec when[2] = {{1000 * (k + 1), 0}, {1000 * (k + 1), 0}};
        CHECK_INT(utimensat(AT_FDCWD, path, when, 0), 0);
    }
    snprintf(path, sizeof path, "%s/.new-1-1", r.folder);
    CHECK_OK(file_replace(path, BYTES("left"), &err));
    struct timespec old[2] = {{1000, 0}, {1000, 0}};
    CHECK_INT(utimensat(AT_FDCWD, path, old, 0), 0);
    int fd = aot_open(folder, key[0], &err); /* using it makes it the youngest */
    CHECK(fd >= 0);
    close(fd);
    aot_trim(folder, 2 * (sizeof image + AOT_SEAL_SIZE));
    CHECK_INT(count_files(&r), 2);
    CHECK_INT(aot_open(folder, key[1], &err), -1);
    aot_trim(folder, 0); /* the one just made stays */
    CHECK_INT(count_files(&r), 1);
    CHECK_HAS(r.file, key[0]);
    close(folder);
    rig_fini(&r);
}

TEST(aot, a_key_depends_on_all_that_changes_code)
{
    char a[DIGEST_HEX], b[DIGEST_HEX];
    aot_key(a, BYTES("wasm"), "engine 1", "ticks");
    aot_key(b, BYTES("wasm"), "engine 1", "ticks");
    CHECK_TEXT(b, a);
    aot_key(b, BYTES("wasn"), "engine 1", "ticks");
    CHECK(strcmp(a, b) != 0);
    aot_key(b, BYTES("wasm"), "engine 2", "ticks");
    CHECK(strcmp(a, b) != 0);
    aot_key(b, BYTES("wasm"), "engine 1", "plain");
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
