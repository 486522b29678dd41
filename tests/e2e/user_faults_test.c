/* What users do wrong, tried on the program itself: one line that says what, on what and why, and the exit
 * code of docs/errors.md. And a compile cache that is broken or full, which stops nobody. */
#include <arpa/inet.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "tests/e2e/faults.h"

enum { FAILED = 1,
       USAGE = 2,
       PLUGIN = 3,
       REFUSED = 4,
       GUEST = 5 };

static char folder[64], guest[4200];

static void begin(void)
{
    strcpy(folder, "/tmp/weir-user-XXXXXX");
    CHECK(mkdtemp(folder));
    snprintf(guest, sizeof guest, "%s", guest_path("echo.wasm"));
}

static const char *within(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void end(void)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));)
        unlink(within(e->d_name));
    closedir(d);
    rmdir(folder);
}

static void put_file(const char *path, const void *at, size_t len)
{
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    fwrite(at, 1, len, f);
    fclose(f);
}

TEST(user_faults, a_plugin_that_cannot_be_read_is_named_with_the_reason)
{
    begin();
    const char *link = within("link.wasm");
    CHECK(symlink("/nonexistent/plugin.wasm", link) == 0);
    const struct {
        const char *path, *words;
    } all[] = {
        {"no-such-file.wasm", "'no-such-file.wasm': no such file"},
        {"/tmp", "'/tmp': is a directory"},
        {link, "no such file"},
        {"/proc/self/mem", "'/proc/self/mem': input/output error"},
        {"/dev/zero", "'/dev/zero': larger than"},
        {"", "no such file"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK_ONE_LINE(WEIR("call", all[i].path, "echo", "--cache-dir", ""), PLUGIN, all[i].words);
        CHECK_ONE_LINE(WEIR("run", all[i].path, "-s", "a:b", "--cache-dir", ""), PLUGIN, all[i].words);
        const outcome *o = WEIR("inspect", all[i].path, "--cache-dir", ""); /* findings are its output */
        CHECK_INT(o->code, PLUGIN);
        CHECK_HAS(*o->err ? o->err : o->out, all[i].words);
    }
    end();
}

TEST(user_faults, what_is_no_module_is_told_for_what_it_is)
{
    static const struct {
        const char *name, *words;
    } all[] = {
        {"text.wasm", "text"},
        {"empty.wasm", "empty"},
        {"truncated.wasm", "truncated"},
        {"component.wasm", "component"},
        {"mistyped_import.wat", "cure: "},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK_ONE_LINE(WEIR("call", guest_path(all[i].name), "x", "--cache-dir", ""), PLUGIN, all[i].words);
        CHECK_ONE_LINE(WEIR("run", guest_path(all[i].name), "-s", "a:b", "--cache-dir", ""), PLUGIN, all[i].words);
        const outcome *o = WEIR("inspect", guest_path(all[i].name), "--cache-dir", "");
        CHECK_INT(o->code, PLUGIN);
        CHECK_HAS(o->out, "error: ");
    }
}

/* A real plugin cut at every so many octets never loads and never crashes. */
TEST(user_faults, a_module_cut_anywhere_is_refused)
{
    static char whole[1 << 20], path[400];
    begin();
    FILE *f = fopen(guest, "rb");
    size_t len = f ? fread(whole, 1, sizeof whole, f) : 0;
    CHECK(len > 1000);
    fclose(f);
    snprintf(path, sizeof path, "%s", within("cut.wasm"));
    for (size_t cut = 1; cut < len; cut += len / 23) {
        put_file(path, whole, cut);
        const outcome *o = WEIR("call", path, "echo", "--cache-dir", "");
        if (cut > 8) /* a header alone is an empty module, and valid */
            CHECK_ONE_LINE(o, o->code == FAILED ? FAILED : PLUGIN, "cut.wasm");
        CHECK(o->code == PLUGIN || o->code == FAILED);
    }
    end();
}

TEST(user_faults, a_command_line_that_makes_no_sense_says_where_to_read)
{
    begin();
    const struct {
        const char *args[8], *words;
    } all[] = {
        {{"fly"}, "no command 'fly'"},
        {{"call", guest, "echo", "--colour"}, "option '--colour' is unknown"},
        {{"call", guest, "echo", "-Z"}, "'-Z'"},
        {{"call", guest, "echo", "--timeout"}, "option '--timeout': its value is missing"},
        {{"call", guest, "echo", "--timeout", "soon"}, "--timeout 'soon'"},
        {{"call", guest, "echo", "--json=3"}, "takes no value"},
        {{"call", guest, "echo", "--repeat", "0"}, "--repeat '0'"},
        {{"call", guest}, "a plugin and an export"},
        {{"call", guest, "echo", "--config", "x"}, "--config 'x'"},
        {{"call", guest, "echo", "--config-file", "/nonexistent"}, "'/nonexistent'"},
        {{"call", guest, "echo", "--override", "x"}, "override 'x'"},
        {{"call", guest, "echo", "--ca", "/nonexistent"}, "'/nonexistent'"},
        {{"call", guest, "echo", "--input-file", "/nonexistent"}, "'/nonexistent'"},
        {{"run", guest}, "--stream"},
        {{"run", guest, "-s", "ohlcv"}, "--stream 'ohlcv'"},
        {{"run", guest, "-s", "a:b", "--duration", "-1s"}, "--duration '-1s'"},
        {{"run", guest, "-s", "a:b", "--count", "none"}, "--count 'none'"},
        {{"run", guest, "-s", "a:b", "--sink", "fax"}, "sink 'fax'"},
        {{"run", guest, guest, "-s", "a:b"}, "too much"},
        {{"inspect"}, "one plugin"},
        {{"sim", "mars"}, "venue 'mars'"},
        {{"sim", "woox", "--port", "70000"}, "'70000'"},
        {{"sim", "woox", "--fault", "plague"}, "'plague'"},
        {{"sim", "replay"}, "replay what"},
        {{"completion", "csh"}, "bash, zsh or fish"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const outcome *o = weir_run(all[i].args, NULL, NULL);
        if (o->code != USAGE || strncmp(o->err, "weir: ", 6) || !strstr(o->err, all[i].words))
            test_fail(__FILE__, __LINE__, "case %zu: code %d: %s", i, o->code, o->err);
    }
    end();
}

TEST(user_faults, what_a_plugin_has_not_or_may_not_is_told_with_what_it_has)
{
    begin();
    CHECK_ONE_LINE(WEIR("call", guest, "sing", "--cache-dir", ""), FAILED, "no export 'sing'; it has echo");
    CHECK_ONE_LINE(WEIR("run", guest, "-s", "a:b", "--cache-dir", ""), FAILED, "none of the exports of a plugin that streams");
    CHECK_ONE_LINE(WEIR("call", guest_path("ask.wasm"), "meta", "--cache-dir", "", "--allow", "wss://evil.example/*"), REFUSED, "'wss://evil.example/*'");
    CHECK_ONE_LINE(WEIR("call", guest_path("outcome.wasm"), "nothing_and_7", "--cache-dir", ""), GUEST, "code 7");
    CHECK_INT(WEIR("call", guest_path("trap.wasm"), "unreachable", "--cache-dir", "")->code, GUEST);
    CHECK_ONE_LINE(WEIR("call", guest_path("sleeper.wasm"), "by_host", "-i", "60000", "-t", "30", "--cache-dir", ""), GUEST, "waiting in sleep_ms");
    end();
}

TEST(user_faults, a_port_in_use_is_named)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char port[8];
    CHECK(bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 1) == 0 && getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    snprintf(port, sizeof port, "%u", ntohs(at.sin_port));
    const outcome *o = WEIR("sim", "woox", "--port", port);
    CHECK_ONE_LINE(o, FAILED, "in use");
    CHECK_HAS(o->err, port);
    close(fd);
}

/* ---- Output ---- */

static void full_stdout(void *arg)
{
    (void)arg;
    dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO);
}

static void no_descriptors(void *arg)
{
    (void)arg;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
}

TEST(user_faults, output_that_does_not_arrive_is_a_failure)
{
    begin();
    const char *const calls[][7] = {{"call", guest, "echo", "-i", "hello", NULL}, {"inspect", guest, NULL}, {"--help", NULL}, {"--version", NULL}};
    setenv("XDG_CACHE_HOME", folder, 1);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        CHECK_ONE_LINE(weir_run(calls[i], full_stdout, NULL), FAILED, "standard output: No space left on device");
        CHECK_ONE_LINE(weir_run(calls[i], no_descriptors, NULL), FAILED, "standard output: ");
    }
    unsetenv("XDG_CACHE_HOME");
    const char *rm[] = {"weir/aot", "weir"};
    DIR *d = opendir(within(rm[0]));
    for (struct dirent *e; d && (e = readdir(d));)
        unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    for (int i = 0; i < 2; i++)
        rmdir(within(rm[i]));
    CHECK_ONE_LINE(WEIR("run", guest_path("streams.wasm"), "-s", "a:b", "--cache-dir", "", "--sink", "ndjson:/nonexistent/x"), FAILED, "'/nonexistent/x'");
    end();
}

/* ---- The compile cache ---- */

/* The program does its work whatever is wrong with the cache, and says so once. */
static void check_works(const char *cache, void (*before)(void *arg), void *arg, const char *words)
{
    const outcome *o = weir_run((const char *const[]){"call", guest, "echo", "-i", "hello", "--cache-dir", cache, NULL}, before, arg);
    if (o->code == CHILD_SKIP) {
        test_skip("no right to mount a file system for a child");
        return;
    }
    CHECK_INT(o->code, 0);
    CHECK_TEXT(o->out, "hello");
    CHECK_ONE_LINE(o, 0, words);
}

TEST(user_faults, without_a_cache_folder_plugins_run)
{
    begin();
    check_works("/proc/nowhere/aot", NULL, NULL, "compiled files are not kept");
    check_works("/dev/null", NULL, NULL, "is a file where a folder should be");
    CHECK(chmod(folder, 0777) == 0);
    check_works(folder, NULL, NULL, "others may write there");
    CHECK(rmdir(folder) == 0); /* nothing was put there */
}

static void mount_tiny(void *options)
{
    bool read_only = !options;
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", folder, "tmpfs", read_only ? MS_RDONLY : 0, read_only ? "mode=0700" : options))
        _exit(CHILD_SKIP);
}

TEST(user_faults, without_disk_for_the_cache_plugins_run)
{
    begin();
    check_works(folder, mount_tiny, (void *)(uintptr_t) "size=16k,mode=0700", "No space left on device");
    end();
}

TEST(user_faults, with_a_cache_that_cannot_be_written_plugins_run)
{
    begin();
    check_works(folder, mount_tiny, NULL, "Read-only file system");
    end();
}

static void small_files(void *arg)
{
    struct rlimit limit = {4096, 4096};
    (void)arg;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
}

TEST(user_faults, with_a_limit_on_file_sizes_plugins_run)
{
    begin();
    check_works(folder, small_files, NULL, "File too large");
    end();
}

/* The one compiled file in the folder. */
static const char *compiled(void)
{
    static char path[400];
    DIR *d = opendir(folder);
    *path = '\0';
    for (struct dirent *e; d && (e = readdir(d));)
        if (strstr(e->d_name, ".cwasm"))
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    closedir(d);
    CHECK(*path);
    return path;
}

static bool from_cache(void)
{
    const outcome *o = WEIR("inspect", guest, "--json", "--cache-dir", folder);
    CHECK_INT(o->code, 0);
    return strstr(o->out, "\"cached\":true") != NULL;
}

TEST(user_faults, a_compiled_file_that_is_damaged_or_foreign_is_compiled_anew)
{
    static char sound[1 << 20], bad[1 << 20];
    begin();
    CHECK_INT(WEIR("call", guest_path("counter.wasm"), "count", "--cache-dir", folder)->code, 0);
    FILE *f = fopen(compiled(), "rb");
    size_t foreign_len = fread(bad, 1, sizeof bad, f);
    fclose(f);
    CHECK(unlink(compiled()) == 0);
    CHECK(!from_cache());
    CHECK(from_cache());
    char path[400];
    snprintf(path, sizeof path, "%s", compiled());
    f = fopen(path, "rb");
    size_t len = fread(sound, 1, sizeof sound, f);
    fclose(f);
    for (int how = 0; how < 7; how++) {
        size_t n = len;
        if (how == 0) {
            n = foreign_len; /* another module's, under this name */
        } else {
            memcpy(bad, sound, len);
            switch (how) {
            case 1:
                bad[len / 2] ^= 1;
                break;
            case 2:
                n = len / 2;
                break;
            case 3:
                n = 0;
                break;
            case 4:
                memset(bad, 0x7f, n);
                break;
            case 5:
                bad[len - 20] ^= 1; /* in the seal: the key of another engine */
                break;
            case 6:
                memcpy(bad, "\0asm", 4);
                break;
            }
        }
        put_file(path, bad, n);
        const outcome *o = WEIR("call", guest, "echo", "-i", "hello", "--cache-dir", folder);
        CHECK_INT(o->code, 0);
        CHECK_TEXT(o->out, "hello");
        CHECK(from_cache()); /* the call has mended it */
        put_file(path, bad, n);
        if (from_cache())
            test_fail(__FILE__, __LINE__, "damage %d was not noticed", how);
    }
    CHECK(from_cache());
    CHECK(chmod(path, 0666) == 0);
    CHECK(!from_cache());
    end();
}
