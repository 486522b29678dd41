/* WASI as a guest sees it: each call made with the guest's own memory, on a folder made for it. */
#include "extism/testing.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "extism/wasi.h"

#define PLAIN "(module (memory (export \"memory\") 4))"

/* Places in the guest's memory. */
enum { OUT = 1024,
       OUT2 = 1032,
       PATH = 2048,
       PATH2 = 6144,
       DATA = 16384,
       IOVECS = 512 };

static test_guest t;
static char folder[64]; /* the host's; "sub", "sub/file", "file", links out of it, a secret beside it */

static char *mem(uint32_t at)
{
    return wasi_at(t.g, at, 1);
}

static uint32_t u32_at(uint32_t at)
{
    uint32_t n;
    memcpy(&n, mem(at), 4);
    return n;
}

static uint64_t u64_at(uint32_t at)
{
    uint64_t n;
    memcpy(&n, mem(at), 8);
    return n;
}

static void set_u32(uint32_t at, uint32_t n)
{
    memcpy(mem(at), &n, 4);
}

/* A call with up to nine arguments; answers its errno. */
static int sys(const char *name, const uint64_t args[9])
{
    value v[9];
    for (int i = 0; i < 9; i++)
        v[i].u64 = args[i];
    trap *got = test_import(t.g, name, v);
    if (got)
        test_fail(__FILE__, __LINE__, "%s: %s", name, trap_text(got));
    return v[0].i32;
}

#define SYS(name, ...) sys(name, (const uint64_t[9]){__VA_ARGS__})

static uint32_t path(uint32_t at, const char *text)
{
    memcpy(mem(at), text, strlen(text));
    return (uint32_t)strlen(text);
}

static int open_as(uint32_t dir, const char *name, uint32_t oflags, uint64_t rights, uint32_t *fd)
{
    int e = SYS("path_open", dir, 1, PATH, path(PATH, name), oflags, rights, RIGHTS_ALL, 0, OUT);
    *fd = u32_at(OUT);
    return e;
}

#define READING (RIGHTS_ALL & ~RIGHT_FD_WRITE)
#define WRITING RIGHTS_ALL
#define CREAT 1
#define DIRECTORY 2
#define EXCL 4
#define TRUNC 8

static void iovec(uint32_t at, uint32_t len)
{
    set_u32(IOVECS, at);
    set_u32(IOVECS + 4, len);
}

static int write_text(uint32_t fd, const char *text)
{
    iovec(DATA, path(DATA, text));
    return SYS("fd_write", fd, IOVECS, 1, OUT);
}

static bytes read_text(uint32_t fd, uint32_t len)
{
    iovec(DATA, len);
    CHECK_INT(SYS("fd_read", fd, IOVECS, 1, OUT), E_OK);
    return bytes_make(mem(DATA), u32_at(OUT));
}

static void host_write(const char *name, const char *text)
{
    ERR;
    char full[256];
    snprintf(full, sizeof full, "%s/%s", folder, name);
    CHECK_OK(file_replace(full, bytes_of(text), &err));
}

static void host_text(const char *name, const char *want)
{
    ERR;
    char full[256];
    buf b;
    buf_init(&b, 1 << 20);
    snprintf(full, sizeof full, "%s/%s", folder, name);
    CHECK_OK(file_read(&b, full, &err));
    CHECK_BYTES(buf_bytes(&b), bytes_of(want));
    buf_fini(&b);
}

static bool host_has(const char *name)
{
    char full[256];
    struct stat st;
    snprintf(full, sizeof full, "%s/%s", folder, name);
    return lstat(full, &st) == 0;
}

/* The guest has the folder's "in" as descriptor 3; what lies beside it must stay out of reach. */
static void begin(bool read_only)
{
    char members[200], full[128];
    snprintf(folder, sizeof folder, "/tmp/weir-wasi-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(full, sizeof full, "%s/in", folder);
    CHECK_INT(mkdir(full, 0700), 0);
    snprintf(full, sizeof full, "%s/in/sub", folder);
    CHECK_INT(mkdir(full, 0700), 0);
    host_write("secret", "secret");
    host_write("in/file", "0123456789");
    host_write("in/sub/file", "below");
    snprintf(full, sizeof full, "%s/in/up", folder);
    CHECK_INT(symlink("..", full), 0);
    snprintf(full, sizeof full, "%s/in/out", folder);
    CHECK_INT(symlink("../secret", full), 0);
    snprintf(full, sizeof full, "%s/in/absolute", folder);
    CHECK_INT(symlink("/etc/passwd", full), 0);
    snprintf(full, sizeof full, "%s/in/inside", folder);
    CHECK_INT(symlink("sub/file", full), 0);
    snprintf(full, sizeof full, "%s/in/proc", folder);
    CHECK_INT(symlink("/proc/self/root", full), 0);
    snprintf(members, sizeof members, "\"allowed_paths\":{\"%s%s/in\":\"/data\"}", read_only ? "ro:" : "", folder);
    t = test_guest_new(PLAIN, members);
}

static void end(void)
{
    char command[128];
    test_guest_free(&t);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK_INT(system(command), 0);
}

/* ---- All of it is there ---- */

TEST(wasi, all_46_functions_are_offered)
{
    CHECK_UINT(wasi_count, 46);
    for (size_t i = 0; i < wasi_count; i++) {
        binding b;
        module_extern import = {.module = BYTES("wasi_snapshot_preview1"), .name = bytes_of(wasi_table[i].name), .kind = EXTERN_FUNC};
        CHECK(guest_bind(&import, &b));
        CHECK_TEXT(b.type, wasi_table[i].type);
    }
}

TEST(wasi, no_pointer_of_the_guest_reaches_outside_its_memory)
{
    static const uint32_t wild[] = {4 * 65536 - 1, 4 * 65536, UINT32_MAX - 3, UINT32_MAX};
    begin(false);
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        uint32_t at = wild[i];
        CHECK_INT(SYS("clock_time_get", 0, 0, at), E_FAULT);
        CHECK_INT(SYS("clock_res_get", 0, at), E_FAULT);
        CHECK_INT(SYS("random_get", at, 16), E_FAULT);
        CHECK_INT(SYS("args_sizes_get", at, OUT), E_FAULT);
        CHECK_INT(SYS("fd_write", 1, at, 1, OUT), E_FAULT);
        CHECK_INT(SYS("fd_read", 0, at, 1, OUT), E_FAULT);
        CHECK_INT(SYS("fd_fdstat_get", 1, at), E_FAULT);
        CHECK_INT(SYS("fd_filestat_get", 1, at), E_FAULT);
        CHECK_INT(SYS("fd_prestat_get", 3, at), E_FAULT);
        CHECK_INT(SYS("fd_prestat_dir_name", 3, at, 5), E_FAULT);
        CHECK_INT(SYS("path_open", 3, 0, at, 4, 0, RIGHTS_ALL, RIGHTS_ALL, 0, OUT), E_FAULT);
        CHECK_INT(SYS("path_open", 3, 0, PATH, path(PATH, "file"), 0, RIGHTS_ALL, RIGHTS_ALL, 0, at), E_FAULT);
        CHECK_INT(SYS("path_filestat_get", 3, 0, PATH, 4, at), E_FAULT);
        CHECK_INT(SYS("path_readlink", 3, PATH, path(PATH, "up"), at, 10, OUT), E_FAULT);
        CHECK_INT(SYS("fd_readdir", 3, at, 100, 0, OUT), E_FAULT);
        CHECK_INT(SYS("poll_oneoff", at, DATA, 1, OUT), E_FAULT);
        CHECK_INT(SYS("poll_oneoff", PATH, at, 1, OUT), E_FAULT);
        iovec(at, 100);
        CHECK_INT(SYS("fd_write", 1, IOVECS, 1, OUT), E_FAULT);
    }
    CHECK_INT(SYS("fd_write", 1, IOVECS, 1025, OUT), E_INVAL);
    CHECK_INT(SYS("fd_write", 1, IOVECS, UINT32_MAX, OUT), E_INVAL);
    end();
}

/* ---- Arguments, environment, chance, exit ---- */

TEST(wasi, arguments_and_environment_are_what_the_host_gave)
{
    ERR;
    static const char *const args[] = {"plugin", "-v", NULL}, *const env[] = {"GOGC=5", NULL};
    CHECK_INT(test_guest_try(&t, BYTES(PLAIN), "", args, env, &err), WEIR_OK);
    CHECK_INT(SYS("args_sizes_get", OUT, OUT2), E_OK);
    CHECK_UINT(u32_at(OUT), 2);
    CHECK_UINT(u32_at(OUT2), 10);
    CHECK_INT(SYS("args_get", OUT, DATA), E_OK);
    CHECK_TEXT(mem(u32_at(OUT)), "plugin");
    CHECK_TEXT(mem(u32_at(OUT + 4)), "-v");
    CHECK_INT(SYS("environ_sizes_get", OUT, OUT2), E_OK);
    CHECK_UINT(u32_at(OUT), 1);
    CHECK_INT(SYS("environ_get", OUT, DATA), E_OK);
    CHECK_TEXT(mem(u32_at(OUT)), "GOGC=5");
    test_guest_free(&t);
    t = test_guest_new(PLAIN, "");
    CHECK_INT(SYS("environ_sizes_get", OUT, OUT2), E_OK);
    CHECK_UINT(u32_at(OUT) + u32_at(OUT2), 0);
    CHECK_INT(SYS("environ_get", OUT, DATA), E_OK);
    test_guest_free(&t);
}

TEST(wasi, chance_fills_and_lets_others_run_between_large_pieces)
{
    ERR;
    CHECK_INT(test_guest_try(&t, BYTES("(module (memory (export \"memory\") 16))"), "", NULL, NULL, &err), WEIR_OK);
    CHECK_INT(SYS("random_get", DATA, 64), E_OK);
    CHECK(u64_at(DATA) != 0 || u64_at(DATA + 8) != 0);
    CHECK_INT(test_waits, 0);
    CHECK_INT(SYS("random_get", 0, 1000000), E_OK);
    CHECK(test_waits >= 3);
    test_guest_free(&t);
}

TEST(wasi, exit_is_a_trap_with_a_code)
{
    t = test_guest_new(PLAIN, "");
    value v[1] = {{.u32 = 3}};
    int32_t code = 0;
    trap *left = test_import(t.g, "proc_exit", v);
    CHECK(left && trap_exit_code(left, &code));
    CHECK_INT(code, 3);
    trap_free(left);
    CHECK_INT(SYS("sched_yield", 0), E_OK);
    CHECK_INT(SYS("proc_raise", 9), E_NOSYS);
    CHECK_INT(SYS("sock_accept", 99, 0, OUT), E_BADF);
    CHECK_INT(SYS("sock_recv", 1, IOVECS, 1, 0, OUT, OUT2), E_NOTSOCK);
    CHECK_INT(SYS("sock_send", 99, IOVECS, 1, 0, OUT), E_BADF);
    CHECK_INT(SYS("sock_shutdown", 0, 0), E_NOTSOCK);
    test_guest_free(&t);
}

/* ---- stdio ---- */

TEST(wasi, output_goes_to_the_log_line_by_line)
{
    t = test_guest_new(PLAIN, "");
    CHECK_INT(write_text(1, "one"), E_OK);
    CHECK_UINT(u32_at(OUT), 3);
    CHECK_INT(write_text(1, " line\r\ntwo\n\nthr"), E_OK);
    CHECK_INT(write_text(2, "to stderr\n"), E_OK);
    wasi_call_over(t.g->wasi);
    CHECK_TEXT(test_log_text(), "info stdout: one line\ninfo stdout: two\ninfo stdout: \nwarn stderr: to stderr\ninfo stdout: thr\n");
    CHECK_BYTES(wasi_last_words(t.g->wasi), BYTES("to stderr"));
    test_guest_free(&t);
}

TEST(wasi, a_long_line_is_cut_and_the_rest_counted)
{
    t = test_guest_new(PLAIN, "");
    memset(mem(DATA), 'x', 5000);
    iovec(DATA, 5000);
    for (int i = 0; i < 3; i++)
        CHECK_INT(SYS("fd_write", 2, IOVECS, 1, OUT), E_OK);
    CHECK_INT(write_text(2, "\nnext\n"), E_OK);
    CHECK_HAS(test_log_text(), "xxx ... (10904 octets more)\nwarn stderr: next\n");
    test_guest_free(&t);
}

TEST(wasi, a_write_takes_a_bounded_piece_and_says_so)
{
    ERR;
    CHECK_INT(test_guest_try(&t, BYTES("(module (memory (export \"memory\") 16))"), "", NULL, NULL, &err), WEIR_OK);
    iovec(0, 900000);
    CHECK_INT(SYS("fd_write", 1, IOVECS, 1, OUT), E_OK);
    CHECK_UINT(u32_at(OUT), WASI_OUT_CHUNK);
    test_guest_free(&t);
}

TEST(wasi, stdin_is_at_its_end_and_stdio_is_a_terminal_of_sorts)
{
    t = test_guest_new(PLAIN, "");
    CHECK_UINT(read_text(0, 100).len, 0);
    CHECK_INT(SYS("fd_write", 0, IOVECS, 1, OUT), E_BADF);
    CHECK_INT(SYS("fd_read", 1, IOVECS, 1, OUT), E_BADF);
    CHECK_INT(SYS("fd_fdstat_get", 1, OUT), E_OK);
    CHECK_UINT(*mem(OUT), 2);
    CHECK_INT(SYS("fd_filestat_get", 2, DATA), E_OK);
    CHECK_UINT(mem(DATA)[16], 2);
    CHECK_INT(SYS("fd_seek", 1, 0, 0, OUT), E_SPIPE);
    CHECK_INT(SYS("fd_prestat_get", 3, OUT), E_BADF);
    CHECK_INT(SYS("fd_fdstat_get", 77, OUT), E_BADF);
    CHECK_INT(SYS("fd_close", 77), E_BADF);
    CHECK_INT(SYS("fd_close", 1), E_OK);
    CHECK_INT(write_text(1, "gone"), E_BADF);
    test_guest_free(&t);
}

/* ---- Clocks and waiting ---- */

static void subscribe(uint32_t i, uint64_t userdata, uint8_t tag, uint32_t id, uint64_t timeout, uint16_t flags)
{
    char *s = mem(PATH + i * 48);
    memset(s, 0, 48);
    memcpy(s, &userdata, 8);
    s[8] = (char)tag;
    memcpy(s + 16, &id, 4);
    memcpy(s + 24, &timeout, 8);
    memcpy(s + 40, &flags, 2);
}

/* "userdata:errno:type" of the events, joined by blanks. */
static const char *poll_events(uint32_t count)
{
    static char text[200];
    text[0] = '\0';
    CHECK_INT(SYS("poll_oneoff", PATH, DATA, count, OUT), E_OK);
    for (uint32_t i = 0; i < u32_at(OUT); i++) {
        const char *e = mem(DATA + i * 32);
        uint16_t code;
        memcpy(&code, e + 8, 2);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%llu:%d:%d", used ? " " : "", (unsigned long long)u64_at(DATA + i * 32), code, e[10]);
    }
    return text;
}

TEST(wasi, clocks_are_the_worlds)
{
    t = test_guest_new(PLAIN, "");
    CHECK_INT(SYS("clock_time_get", 0, 1, OUT), E_OK);
    CHECK_UINT(u64_at(OUT), test_real);
    CHECK_INT(SYS("clock_time_get", 1, 1, OUT), E_OK);
    CHECK_UINT(u64_at(OUT), test_mono);
    CHECK_INT(SYS("clock_res_get", 0, OUT), E_OK);
    CHECK_UINT(u64_at(OUT), 1);
    CHECK_INT(SYS("clock_time_get", 2, 1, OUT), E_NOTSUP);
    CHECK_INT(SYS("clock_time_get", 9, 1, OUT), E_INVAL);
    test_guest_free(&t);
}

TEST(wasi, poll_waits_for_the_earliest_clock)
{
    t = test_guest_new(PLAIN, "");
    uint64_t start = test_mono;
    subscribe(0, 11, 0, 1, 5000, 0);
    subscribe(1, 22, 0, 1, 3000, 0);
    subscribe(2, 33, 0, 0, 9000, 0);
    CHECK_TEXT(poll_events(3), "22:0:0");
    CHECK_UINT(test_mono, start + 3000);
    CHECK_INT(test_waits, 1);
    test_guest_free(&t);
}

TEST(wasi, poll_knows_absolute_times_on_both_clocks)
{
    t = test_guest_new(PLAIN, "");
    subscribe(0, 1, 0, 1, test_mono + 700, 1);
    CHECK_TEXT(poll_events(1), "1:0:0");
    uint64_t wall = test_real + 900;
    subscribe(0, 2, 0, 0, wall, 1);
    CHECK_TEXT(poll_events(1), "2:0:0");
    CHECK_UINT(test_real, wall);
    subscribe(0, 3, 0, 0, wall - 5, 1);
    subscribe(1, 4, 0, 1, 1, 1);
    test_waits = 0;
    CHECK_TEXT(poll_events(2), "3:0:0 4:0:0");
    CHECK_INT(test_waits, 0);
    test_guest_free(&t);
}

TEST(wasi, descriptors_are_ready_at_once_and_unknown_ones_say_so)
{
    t = test_guest_new(PLAIN, "");
    subscribe(0, 1, 0, 1, 1000, 0);
    subscribe(1, 2, 1, 0, 0, 0);
    subscribe(2, 3, 2, 1, 0, 0);
    subscribe(3, 4, 1, 99, 0, 0);
    CHECK_TEXT(poll_events(4), "2:0:1 3:0:2 4:8:1");
    subscribe(0, 5, 0, 7, 0, 0);
    CHECK_TEXT(poll_events(1), "5:28:0");
    subscribe(0, 5, 9, 0, 0, 0);
    CHECK_INT(SYS("poll_oneoff", PATH, DATA, 1, OUT), E_INVAL);
    CHECK_INT(SYS("poll_oneoff", PATH, DATA, 0, OUT), E_INVAL);
    CHECK_INT(SYS("poll_oneoff", PATH, DATA, 100000, OUT), E_INVAL);
    test_guest_free(&t);
}

/* ---- Files ---- */

TEST(wasi, a_folder_is_found_under_the_guests_name)
{
    begin(false);
    CHECK_INT(SYS("fd_prestat_get", 3, OUT), E_OK);
    CHECK_UINT(u32_at(OUT), 0);
    CHECK_UINT(u32_at(OUT + 4), 5);
    CHECK_INT(SYS("fd_prestat_dir_name", 3, DATA, 5), E_OK);
    CHECK_MEM(mem(DATA), 5, "/data", 5);
    CHECK_INT(SYS("fd_prestat_dir_name", 3, DATA, 4), E_NAMETOOLONG);
    CHECK_INT(SYS("fd_prestat_get", 4, OUT), E_BADF);
    CHECK_INT(SYS("fd_fdstat_get", 3, DATA), E_OK);
    CHECK_UINT(*mem(DATA), 3);
    end();
}

TEST(wasi, an_allowed_path_that_is_no_folder_is_an_error_of_guest_new)
{
    ERR;
    CHECK_INT(test_guest_try(&t, BYTES(PLAIN), "\"allowed_paths\":{\"/etc/passwd\":\"/x\"}", NULL, NULL, &err), WEIR_NOT_FOUND);
    CHECK_HAS(err.text, "allowed path '/etc/passwd': Not a directory");
    test_guest_free(&t);
    CHECK_INT(test_guest_try(&t, BYTES(PLAIN), "\"allowed_paths\":{\"/no/such\":\"/x\"}", NULL, NULL, &err), WEIR_NOT_FOUND);
    test_guest_free(&t);
}

TEST(wasi, files_are_read_written_and_sought)
{
    uint32_t fd;
    begin(false);
    CHECK_INT(open_as(3, "file", 0, READING, &fd), E_OK);
    CHECK_UINT(fd, 4);
    CHECK_BYTES(read_text(fd, 4), BYTES("0123"));
    CHECK_INT(SYS("fd_tell", fd, OUT), E_OK);
    CHECK_UINT(u64_at(OUT), 4);
    CHECK_INT(SYS("fd_seek", fd, (uint64_t)-2, 2, OUT), E_OK);
    CHECK_BYTES(read_text(fd, 100), BYTES("89"));
    CHECK_UINT(read_text(fd, 100).len, 0);
    iovec(DATA, 3);
    CHECK_INT(SYS("fd_pread", fd, IOVECS, 1, 5, OUT), E_OK);
    CHECK_MEM(mem(DATA), 3, "567", 3);
    CHECK_INT(write_text(fd, "no"), E_BADF);
    CHECK_INT(SYS("fd_seek", fd, (uint64_t)-1, 0, OUT), E_INVAL);
    CHECK_INT(SYS("fd_seek", fd, 0, 3, OUT), E_INVAL);
    CHECK_INT(SYS("fd_advise", fd, 0, 0, 1), E_OK);
    CHECK_INT(SYS("fd_advise", fd, 0, 0, 6), E_INVAL);
    CHECK_INT(SYS("fd_close", fd), E_OK);

    CHECK_INT(open_as(3, "sub/new", CREAT, WRITING, &fd), E_OK);
    CHECK_INT(write_text(fd, "hello"), E_OK);
    iovec(DATA, path(DATA, "J"));
    CHECK_INT(SYS("fd_pwrite", fd, IOVECS, 1, 0, OUT), E_OK);
    CHECK_INT(SYS("fd_sync", fd), E_OK);
    CHECK_INT(SYS("fd_datasync", fd), E_OK);
    host_text("in/sub/new", "Jello");
    CHECK_INT(SYS("fd_filestat_set_size", fd, 2), E_OK);
    CHECK_INT(SYS("fd_filestat_get", fd, DATA), E_OK);
    CHECK_UINT(u64_at(DATA + 32), 2);
    CHECK_UINT(mem(DATA)[16], 4);
    CHECK_INT(SYS("fd_filestat_set_times", fd, 5000000007, 6000000008, 5), E_OK);
    CHECK_INT(SYS("fd_filestat_set_times", fd, 0, 0, 3), E_INVAL);
    CHECK_INT(SYS("path_filestat_get", 3, 0, PATH, path(PATH, "sub/new"), DATA), E_OK);
    CHECK_UINT(u64_at(DATA + 40), 5000000007);
    CHECK_UINT(u64_at(DATA + 48), 6000000008);
    CHECK_INT(SYS("fd_fdstat_set_flags", fd, 1), E_OK);
    CHECK_INT(SYS("fd_seek", fd, 0, 0, OUT), E_OK);
    CHECK_INT(write_text(fd, "++"), E_OK);
    host_text("in/sub/new", "Je++");
    end();
}

TEST(wasi, several_pieces_are_one_write)
{
    uint32_t fd;
    begin(false);
    CHECK_INT(open_as(3, "w", CREAT | EXCL, WRITING, &fd), E_OK);
    memcpy(mem(DATA), "abcdef", 6);
    iovec(DATA, 2);
    set_u32(IOVECS + 8, 0xFFFFFFF0); /* an empty piece may point anywhere */
    set_u32(IOVECS + 12, 0);
    set_u32(IOVECS + 16, DATA + 4);
    set_u32(IOVECS + 20, 2);
    CHECK_INT(SYS("fd_write", fd, IOVECS, 3, OUT), E_OK);
    CHECK_UINT(u32_at(OUT), 4);
    host_text("in/w", "abef");
    CHECK_INT(open_as(3, "w", CREAT | EXCL, WRITING, &fd), E_EXIST);
    CHECK_INT(open_as(3, "w", TRUNC, WRITING, &fd), E_OK);
    host_text("in/w", "");
    end();
}

TEST(wasi, nothing_outside_the_folder_can_be_opened_or_seen)
{
    static const char *const escapes[] = {"../secret", "/etc/passwd", "sub/../../secret", "up/secret", "out", "absolute", "proc/etc/passwd", "..", "sub/../..", "/"};
    uint32_t fd;
    begin(false);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        CHECK_INT(open_as(3, escapes[i], 0, READING, &fd), E_NOTCAPABLE);
        CHECK_INT(open_as(3, escapes[i], CREAT, WRITING, &fd), E_NOTCAPABLE);
        CHECK_INT(SYS("path_filestat_get", 3, 1, PATH, path(PATH, escapes[i]), DATA), E_NOTCAPABLE);
        CHECK_INT(SYS("path_filestat_set_times", 3, 1, PATH, path(PATH, escapes[i]), 0, 0, 10), E_NOTCAPABLE);
    }
    CHECK_INT(open_as(3, "sub", DIRECTORY, READING, &fd), E_OK);
    CHECK_INT(open_as(fd, "../file", 0, READING, &fd), E_NOTCAPABLE);
    CHECK_INT(open_as(3, "sub/../file", 0, READING, &fd), E_OK);
    CHECK_INT(open_as(3, "inside", 0, READING, &fd), E_OK);
    CHECK_BYTES(read_text(fd, 10), BYTES("below"));
    end();
}

static bool swapping;

/* A folder and a link out of it change places as fast as they can. */
static void *swap(void *arg)
{
    char a[128], b[128];
    (void)arg;
    snprintf(a, sizeof a, "%s/in/sub", folder);
    snprintf(b, sizeof b, "%s/in/up", folder);
    while (__atomic_load_n(&swapping, __ATOMIC_RELAXED))
        renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
    return NULL;
}

TEST(wasi, a_race_between_folder_and_link_leads_nowhere)
{
    pthread_t thread;
    uint32_t fd;
    begin(false);
    swapping = true;
    CHECK_INT(pthread_create(&thread, NULL, swap, NULL), 0);
    for (int i = 0; i < 5000; i++) {
        CHECK(open_as(3, "sub/secret", 0, READING, &fd) != E_OK);
        CHECK(open_as(3, "sub/../../secret", 0, READING, &fd) != E_OK);
        CHECK(SYS("path_unlink_file", 3, PATH, path(PATH, "sub/secret")) != E_OK);
    }
    __atomic_store_n(&swapping, false, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    CHECK(host_has("secret"));
    end();
}

TEST(wasi, nothing_outside_the_folder_can_be_made_or_removed)
{
    static const char *const escapes[] = {"../new", "/tmp/new", "up/new", "sub/../../new", "proc/tmp/new"};
    begin(false);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        uint32_t len = path(PATH, escapes[i]), file = path(PATH2, "file");
        CHECK_INT(SYS("path_create_directory", 3, PATH, len), E_NOTCAPABLE);
        CHECK_INT(SYS("path_remove_directory", 3, PATH, len), E_NOTCAPABLE);
        CHECK_INT(SYS("path_unlink_file", 3, PATH, len), E_NOTCAPABLE);
        CHECK_INT(SYS("path_rename", 3, PATH2, file, 3, PATH, len), E_NOTCAPABLE);
        CHECK_INT(SYS("path_rename", 3, PATH, len, 3, PATH2, file), E_NOTCAPABLE);
        CHECK_INT(SYS("path_link", 3, 0, PATH2, file, 3, PATH, len), E_NOTCAPABLE);
        CHECK_INT(SYS("path_link", 3, 0, PATH, len, 3, PATH2, file), E_NOTCAPABLE);
        CHECK_INT(SYS("path_symlink", PATH2, file, 3, PATH, len), E_NOTCAPABLE);
        CHECK_INT(SYS("path_readlink", 3, PATH, len, DATA, 100, OUT), E_NOTCAPABLE);
    }
    CHECK_INT(SYS("path_symlink", PATH, path(PATH, "/etc/passwd"), 3, PATH2, path(PATH2, "l")), E_NOTCAPABLE);
    CHECK_INT(SYS("path_remove_directory", 3, PATH, path(PATH, "..")), E_NOTCAPABLE);
    CHECK_INT(SYS("path_unlink_file", 3, PATH, path(PATH, "sub/..")), E_NOTCAPABLE);
    CHECK(!host_has("new") && !host_has("in/l") && host_has("secret") && host_has("in/file"));
    end();
}

TEST(wasi, entries_are_made_renamed_linked_and_removed)
{
    begin(false);
    CHECK_INT(SYS("path_create_directory", 3, PATH, path(PATH, "d/")), E_OK);
    CHECK_INT(SYS("path_create_directory", 3, PATH, path(PATH, "d")), E_EXIST);
    CHECK_INT(SYS("path_rename", 3, PATH, path(PATH, "file"), 3, PATH2, path(PATH2, "d/moved")), E_OK);
    CHECK(host_has("in/d/moved") && !host_has("in/file"));
    CHECK_INT(SYS("path_rename", 3, PATH, path(PATH, "d/moved/"), 3, PATH2, path(PATH2, "x")), E_NOTDIR);
    CHECK_INT(SYS("path_link", 3, 0, PATH, path(PATH, "d/moved"), 3, PATH2, path(PATH2, "twin")), E_OK);
    CHECK_INT(SYS("path_link", 3, 1, PATH, path(PATH, "out"), 3, PATH2, path(PATH2, "bad")), E_INVAL);
    CHECK_INT(SYS("path_filestat_get", 3, 0, PATH, path(PATH, "twin"), DATA), E_OK);
    CHECK_UINT(u64_at(DATA + 24), 2);
    CHECK_INT(SYS("path_symlink", PATH, path(PATH, "d/moved"), 3, PATH2, path(PATH2, "link")), E_OK);
    CHECK_INT(SYS("path_readlink", 3, PATH, path(PATH, "link"), DATA, 4, OUT), E_OK);
    CHECK_MEM(mem(DATA), u32_at(OUT), "d/mo", 4);
    CHECK_INT(SYS("path_filestat_get", 3, 0, PATH, path(PATH, "link"), DATA), E_OK);
    CHECK_UINT(mem(DATA)[16], 7);
    CHECK_INT(SYS("path_filestat_get", 3, 1, PATH, path(PATH, "link"), DATA), E_OK);
    CHECK_UINT(mem(DATA)[16], 4);
    CHECK_INT(SYS("path_remove_directory", 3, PATH, path(PATH, "d")), E_NOTEMPTY);
    CHECK_INT(SYS("path_unlink_file", 3, PATH, path(PATH, "d")), E_ISDIR);
    CHECK_INT(SYS("path_unlink_file", 3, PATH, path(PATH, "d/moved/")), E_NOTDIR);
    CHECK_INT(SYS("path_unlink_file", 3, PATH, path(PATH, "d/moved")), E_OK);
    CHECK_INT(SYS("path_remove_directory", 3, PATH, path(PATH, "d/")), E_OK);
    CHECK_INT(SYS("path_remove_directory", 3, PATH, path(PATH, "twin")), E_NOTDIR);
    CHECK_INT(SYS("path_filestat_set_times", 3, 0, PATH, path(PATH, "twin"), 1000000002, 3000000004, 5), E_OK);
    CHECK_INT(SYS("path_filestat_get", 3, 0, PATH, path(PATH, "twin"), DATA), E_OK);
    CHECK_UINT(u64_at(DATA + 48), 3000000004);
    end();
}

TEST(wasi, a_read_only_folder_stays_so_below)
{
    uint32_t sub, fd;
    begin(true);
    CHECK_INT(open_as(3, "sub", DIRECTORY, READING, &sub), E_OK);
    for (uint32_t dir = 3; dir <= sub; dir++) {
        CHECK_INT(open_as(dir, "file", 0, READING, &fd), E_OK);
        CHECK_INT(SYS("fd_filestat_set_size", fd, 0), E_ROFS);
        CHECK_INT(SYS("fd_filestat_set_times", fd, 0, 0, 10), E_ROFS);
        CHECK_INT(SYS("fd_allocate", fd, 0, 100), E_ROFS);
        CHECK_INT(SYS("fd_close", fd), E_OK);
        CHECK_INT(open_as(dir, "file", 0, WRITING, &fd), E_ROFS);
        CHECK_INT(open_as(dir, "file", TRUNC, READING, &fd), E_ROFS);
        CHECK_INT(open_as(dir, "new", CREAT, READING, &fd), E_ROFS);
        CHECK_INT(open_as(dir, "file", CREAT, READING, &fd), E_OK);
        CHECK_INT(SYS("fd_close", fd), E_OK);
        CHECK_INT(SYS("path_create_directory", dir, PATH, path(PATH, "new")), E_ROFS);
        CHECK_INT(SYS("path_unlink_file", dir, PATH, path(PATH, "file")), E_ROFS);
        CHECK_INT(SYS("path_remove_directory", dir, PATH, path(PATH, "sub")), E_ROFS);
        CHECK_INT(SYS("path_rename", dir, PATH, path(PATH, "file"), dir, PATH2, path(PATH2, "new")), E_ROFS);
        CHECK_INT(SYS("path_link", dir, 0, PATH, path(PATH, "file"), dir, PATH2, path(PATH2, "new")), E_ROFS);
        CHECK_INT(SYS("path_symlink", PATH, path(PATH, "file"), dir, PATH2, path(PATH2, "new")), E_ROFS);
        CHECK_INT(SYS("path_filestat_set_times", dir, 0, PATH, path(PATH, "file"), 0, 0, 10), E_ROFS);
    }
    host_text("in/file", "0123456789");
    end();
}

TEST(wasi, paths_that_are_none_are_refused)
{
    static char longest[WASI_PATH_SIZE + 1];
    uint32_t fd;
    begin(false);
    memset(longest, 'a', WASI_PATH_SIZE);
    CHECK_INT(open_as(3, "", 0, READING, &fd), E_NOENT);
    CHECK_INT(open_as(3, "a\xff", 0, READING, &fd), E_ILSEQ);
    CHECK_INT(open_as(3, longest, 0, READING, &fd), E_NAMETOOLONG);
    memcpy(mem(PATH), "fi\0le", 5);
    CHECK_INT(SYS("path_open", 3, 0, PATH, 5, 0, READING, RIGHTS_ALL, 0, OUT), E_INVAL);
    CHECK_INT(open_as(3, "none", 0, READING, &fd), E_NOENT);
    CHECK_INT(open_as(3, "file", DIRECTORY, READING, &fd), E_NOTDIR);
    CHECK_INT(open_as(3, "file/x", 0, READING, &fd), E_NOTDIR);
    CHECK_INT(open_as(3, "sub", 0, WRITING, &fd), E_ISDIR);
    CHECK_INT(open_as(1, "file", 0, READING, &fd), E_NOTDIR);
    CHECK_INT(open_as(99, "file", 0, READING, &fd), E_BADF);
    CHECK_INT(SYS("path_create_directory", 3, PATH, path(PATH, ".")), E_INVAL);
    CHECK_INT(SYS("path_open", 3, 0, PATH, path(PATH, "inside"), 0, READING, RIGHTS_ALL, 0, OUT), E_LOOP);
    CHECK_INT(SYS("path_open", 3, 0, PATH, path(PATH, "file"), 16, READING, RIGHTS_ALL, 0, OUT), E_INVAL);
    end();
}

TEST(wasi, pipes_and_devices_are_not_opened)
{
    char full[128];
    uint32_t fd;
    begin(false);
    snprintf(full, sizeof full, "%s/in/pipe", folder);
    CHECK_INT(mkfifo(full, 0600), 0);
    CHECK_INT(open_as(3, "pipe", 0, READING, &fd), E_NOTSUP);
    end();
}

TEST(wasi, a_folder_is_listed_whole_in_small_steps)
{
    uint32_t fd, count = 0, files = 0;
    uint64_t cookie = 0;
    begin(false);
    for (int i = 0; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof name, "in/sub/f%02d", i);
        host_write(name, "");
    }
    CHECK_INT(open_as(3, "sub", DIRECTORY, READING, &fd), E_OK);
    for (bool more = true; more;) {
        CHECK_INT(SYS("fd_readdir", fd, DATA, 100, cookie, OUT), E_OK);
        uint32_t used = u32_at(OUT), at = 0;
        more = used == 100;
        while (at + 24 <= used && at + 24 + u32_at(DATA + at + 16) <= used) {
            uint32_t len = u32_at(DATA + at + 16);
            count++;
            files += mem(DATA + at)[20] == 4;
            cookie = u64_at(DATA + at);
            at += 24 + len;
        }
        CHECK(at > 0 || !more);
    }
    CHECK_UINT(files, 41);
    CHECK_UINT(count, 43); /* with . and .. */
    CHECK_INT(SYS("fd_readdir", 1, DATA, 100, 0, OUT), E_NOTDIR);
    end();
}

TEST(wasi, descriptors_are_renumbered_limited_and_closed)
{
    uint32_t a, b, fd;
    begin(false);
    CHECK_INT(open_as(3, "file", 0, READING, &a), E_OK);
    CHECK_INT(open_as(3, "sub/file", 0, READING, &b), E_OK);
    CHECK_INT(SYS("fd_renumber", b, a), E_OK);
    CHECK_BYTES(read_text(a, 10), BYTES("below"));
    CHECK_INT(SYS("fd_close", b), E_BADF);
    CHECK_INT(SYS("fd_renumber", a, 200), E_BADF);
    CHECK_INT(SYS("fd_renumber", a, a), E_OK);
    int e = E_OK, n = 0;
    while ((e = open_as(3, "file", 0, READING, &fd)) == E_OK)
        n++;
    CHECK_INT(e, E_MFILE);
    CHECK_INT(n, WASI_MAX_FDS - 5);
    CHECK_INT(SYS("fd_close", a), E_OK);
    CHECK_INT(open_as(3, "file", 0, READING, &fd), E_OK);
    CHECK_UINT(fd, a);
    end();
}

TEST(wasi, rights_can_be_given_up_only)
{
    uint32_t fd;
    begin(false);
    CHECK_INT(SYS("fd_fdstat_set_rights", 3, RIGHTS_ALL, RIGHTS_ALL & ~RIGHT_FD_WRITE), E_OK);
    CHECK_INT(SYS("fd_fdstat_set_rights", 3, RIGHTS_ALL, RIGHTS_ALL), E_NOTCAPABLE);
    CHECK_INT(open_as(3, "file", 0, WRITING, &fd), E_OK);
    CHECK_INT(write_text(fd, "x"), E_BADF);
    CHECK_INT(SYS("fd_fdstat_get", fd, DATA), E_OK);
    CHECK_UINT(u64_at(DATA + 8) & RIGHT_FD_WRITE, 0);
    end();
}

/* ---- Text of paths ---- */

TEST(wasi, a_path_splits_at_its_last_slash)
{
    static const struct {
        const char *path;
        wasi_errno e;
        const char *parent, *name;
        bool folder;
    } rows[] = {
        {"a", E_OK, ".", "a", false},
        {"a/b", E_OK, "a", "b", false},
        {"a/b//", E_OK, "a", "b", true},
        {"a//b", E_OK, "a/", "b", false},
        {"./a", E_OK, ".", "a", false},
        {"../a", E_OK, "..", "a", false},
        {".", E_INVAL, "", "", false},
        {"a/.", E_INVAL, "", "", false},
        {"..", E_NOTCAPABLE, "", "", false},
        {"a/../", E_NOTCAPABLE, "", "", false},
        {"...", E_OK, ".", "...", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[64];
        wasi_split s;
        snprintf(text, sizeof text, "%s", rows[i].path);
        CHECK_INT(wasi_path_split(text, &s), rows[i].e);
        if (rows[i].e)
            continue;
        CHECK_TEXT(s.parent, rows[i].parent);
        CHECK_TEXT(s.name, rows[i].name);
        CHECK(s.folder == rows[i].folder);
    }
}
