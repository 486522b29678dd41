/* WASI under a real libc: guests/libc.c, compiled to wasm by the build. */
#include "extism/testing.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static test_guest t;
static char folder[64];

static void begin(const char *prefix)
{
    ERR;
    static const char *const env[] = {"GOGC=5", NULL};
    char members[200], path[128];
    buf wasm;
    snprintf(folder, sizeof folder, "/tmp/weir-libc-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/out", folder);
    CHECK_INT(symlink("/etc", path), 0);
    snprintf(path, sizeof path, "%s/kept", folder);
    CHECK_OK(file_replace(path, BYTES("kept"), &err));
    snprintf(members, sizeof members, "\"allowed_paths\":{\"%s%s\":\"/data\"}", prefix, folder);
    buf_init(&wasm, 1 << 24);
    CHECK_OK(file_read(&wasm, LIBC_GUEST, &err));
    CHECK_OK(test_guest_try(&t, buf_bytes(&wasm), members, NULL, env, &err));
    buf_fini(&wasm);
}

static void end(void)
{
    char command[128];
    test_guest_free(&t);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK_INT(system(command), 0);
}

static void passes(const char *name)
{
    const call_result *r = test_call(t.g, name, BYTES(""));
    if (r->rc || r->code)
        test_fail(__FILE__, __LINE__, "%s: line %d of guests/libc.c; %s", name, (int)r->rc, r->why);
}

TEST(libc, prints_to_the_log)
{
    begin("");
    passes("say");
    CHECK_TEXT(test_log_text(), "info stdout: hello from libc\nwarn stderr: and to stderr\n");
    end();
}

TEST(libc, knows_the_time_chance_and_environment_and_sleeps)
{
    begin("");
    passes("world");
    CHECK(test_waits >= 2);
    passes("waiting");
    end();
}

TEST(libc, sleeps_by_parking)
{
    begin("");
    test_parks = true;
    guest_call(t.g, "world", BYTES(""));
    CHECK_INT(guest_step(t.g), RUN_PARKED);
    CHECK_INT(guest_step(t.g), RUN_PARKED);
    CHECK_INT(guest_step(t.g), RUN_DONE);
    CHECK_INT(guest_result(t.g)->rc, 0);
    test_parks = false;
    end();
}

TEST(libc, works_on_the_files_of_its_folder)
{
    begin("");
    passes("files");
    end();
}

TEST(libc, finds_no_way_out_of_its_folder)
{
    begin("");
    passes("escapes");
    end();
}

TEST(libc, changes_nothing_in_a_read_only_folder)
{
    begin("ro:");
    passes("read_only");
    end();
}

TEST(libc, says_why_it_left)
{
    begin("");
    const call_result *r = test_call(t.g, "leave", BYTES(""));
    CHECK_INT(r->code, WEIR_FAILED);
    CHECK_INT(r->rc, 7);
    CHECK_TEXT(r->why, "leave left with exit code 7; it said 'fatal error: no way on'");
    end();
}
