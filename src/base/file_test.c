/* Whole files: read within a ceiling, replaced atomically, errors that name the
 * path. */
#include "base/file.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static weir_error err;
static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/weir-file-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
}

static int entries(void)
{
    int count = 0;
    DIR *d = opendir(folder);
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d));)
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static void end(void)
{
    CHECK(rmdir(folder) == 0);
}

TEST(file, reads_back_what_was_written_and_replaces_it)
{
    buf b;
    struct stat st;
    begin();
    buf_init(&b, SIZE_MAX);
    CHECK_OK(file_replace(in_folder("a"), BYTES("first, longer"), &err));
    CHECK_OK(file_replace(in_folder("a"), BYTES("second\0x"), &err));
    CHECK_INT(entries(), 1);
    CHECK(stat(in_folder("a"), &st) == 0 && (st.st_mode & 0777) == 0600);
    buf_add_text(&b, "kept,");
    CHECK_OK(file_read(&b, in_folder("a"), &err));
    CHECK_BYTES(buf_bytes(&b), BYTES("kept,second\0x"));
    CHECK_OK(file_replace(in_folder("a"), (bytes){0}, &err));
    CHECK_OK(file_read(&b, in_folder("a"), &err));
    CHECK_UINT(b.len, 13);
    buf_fini(&b);
    unlink(in_folder("a"));
    end();
}

TEST(file, reads_a_file_that_just_fits_and_no_larger_one)
{
    buf b;
    begin();
    CHECK_OK(file_replace(in_folder("a"), BYTES("0123456789"), &err));
    buf_init(&b, 10);
    CHECK_OK(file_read(&b, in_folder("a"), &err));
    CHECK_UINT(b.len, 10);
    buf_fini(&b);
    buf_init(&b, 9);
    CHECK_UINT(file_read(&b, in_folder("a"), &err), WEIR_LIMIT);
    CHECK_HAS(err.text, "/a': larger than 9 octets");
    CHECK_UINT(b.len, 0);
    buf_fini(&b);
    unlink(in_folder("a"));
    end();
}

TEST(file, reads_what_has_no_size_to_a_ceiling)
{
    buf b;
    buf_init(&b, SIZE_MAX);
    CHECK_OK(file_read(&b, "/proc/self/status", &err));
    CHECK(b.len > 100);
    buf_fini(&b);
    buf_init(&b, 2 << 20);
    CHECK_UINT(file_read(&b, "/dev/zero", &err), WEIR_LIMIT);
    CHECK_TEXT(err.text, "'/dev/zero': larger than 2 MiB");
    buf_fini(&b);
}

TEST(file, says_why_it_cannot_read)
{
    buf b;
    begin();
    buf_init(&b, SIZE_MAX);
    CHECK_UINT(file_read(&b, "/nowhere/x", &err), WEIR_NOT_FOUND);
    CHECK_TEXT(err.text, "'/nowhere/x': no such file");
    CHECK_UINT(file_read(&b, folder, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "': is a directory");
    CHECK_UINT(file_read(&b, "/dev/null/x", &err), WEIR_INVALID);
    CHECK_OK(file_replace(in_folder("a"), BYTES("x"), &err));
    if (geteuid() != 0) {
        CHECK(chmod(in_folder("a"), 0) == 0);
        CHECK_UINT(file_read(&b, in_folder("a"), &err), WEIR_SYSTEM);
        CHECK_HAS(err.text, "': permission denied");
    }
    unlink(in_folder("a"));
    end();
    buf_fini(&b);
}

TEST(file, leaves_nothing_behind_when_replacing_fails)
{
    struct rlimit was, small;
    begin();
    CHECK_OK(file_replace(in_folder("a"), BYTES("old"), &err));
    CHECK_UINT(file_replace(in_folder("no/x"), BYTES("x"), &err), WEIR_NOT_FOUND);
    CHECK_HAS(err.text, "its folder does not exist");
    CHECK_OK(file_make_folder(in_folder("d"), &err));
    CHECK(file_replace(in_folder("d"), BYTES("x"), &err) !=
          WEIR_OK); /* the rename fails */
    CHECK(rmdir(in_folder("d")) == 0);
    signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &was) == 0);
    small = was;
    small.rlim_cur = 2;
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    weir_code code = file_replace(in_folder("a"), BYTES("newer and longer"),
                                  &err); /* the write fails half-way */
    CHECK(setrlimit(RLIMIT_FSIZE, &was) == 0);
    CHECK_UINT(code, WEIR_SYSTEM);
    CHECK_HAS(err.text, "/a': file too large");
    CHECK_INT(entries(), 1);
    buf b;
    buf_init(&b, 100);
    CHECK_OK(file_read(&b, in_folder("a"), &err));
    CHECK_BYTES(buf_bytes(&b), BYTES("old"));
    buf_fini(&b);
    unlink(in_folder("a"));
    end();
}

TEST(file, makes_folders_on_the_way)
{
    struct stat st;
    begin();
    CHECK_OK(file_make_folder(in_folder("x//y/z/"), &err));
    CHECK_OK(file_make_folder(in_folder("x/y/z"), &err));
    CHECK(stat(in_folder("x/y/z"), &st) == 0 && S_ISDIR(st.st_mode) &&
          (st.st_mode & 0777) == 0700);
    CHECK_OK(file_replace(in_folder("x/f"), BYTES(""), &err));
    CHECK_UINT(file_make_folder(in_folder("x/f"), &err), WEIR_INVALID);
    CHECK_HAS(err.text, "is a file where a folder should be");
    CHECK_UINT(file_make_folder(in_folder("x/f/g"), &err), WEIR_INVALID);
    CHECK_UINT(file_make_folder("", &err), WEIR_INVALID);
    CHECK_OK(file_make_folder("/", &err));
    unlink(in_folder("x/f"));
    rmdir(in_folder("x/y/z"));
    rmdir(in_folder("x/y"));
    rmdir(in_folder("x"));
    end();
}

TEST(file, survives_any_failed_allocation)
{
    begin();
    CHECK_OK(file_replace(in_folder("a"), BYTES("contents"), &err));
    FAULT_SWEEP(alloc) {
        buf b;
        buf_init(&b, SIZE_MAX);
        weir_code code = file_read(&b, in_folder("a"), &err);
        CHECK(code ? code == WEIR_NOMEM && b.len == 0 : b.len == 8);
        buf_fini(&b);
    }
    unlink(in_folder("a"));
    end();
}
