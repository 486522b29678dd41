/* Settings, modules, lock, forms: what must be there after power loss. */
#include "store/testing.h"

#include "base/digest.h"
#include "base/file.h"

#include <fcntl.h>
#include <sys/wait.h>

/* ---- Things ---- */

static char seen[4096];

static void on_thing(void *arg, const char *id, bytes json, bytes secret, bool sealed)
{
    size_t len = strlen(seen);
    (void)arg;
    snprintf(seen + len, sizeof seen - len, "%s=" BYTES_FMT "/" BYTES_FMT "%s ", id, BYTES_ARG(json), BYTES_ARG(secret), sealed ? "(sealed)" : "");
}

static const char *things(const char *kind)
{
    seen[0] = '\0';
    CHECK_OK(store_load(s, kind, on_thing, NULL, &err));
    return seen;
}

TEST(store, keeps_things_and_gives_them_back_in_the_order_of_their_ids)
{
    set_up();
    open_store();
    for (int i = 12; i >= 8; i--) {
        char id[8], json[32];
        snprintf(id, sizeof id, "%d", i);
        snprintf(json, sizeof json, "{\"n\":%d}", i);
        CHECK_INT(put("connection", id, json, i == 9 ? "s3cret" : "").code, WEIR_OK);
    }
    CHECK_INT(put("plugin", "woox", "{}", "").code, WEIR_OK);
    CHECK_INT(put("plugin", "okx", "{}", "").code, WEIR_OK);
    CHECK_INT(put("connection", "9", "{\"n\":\"nine\"}", "other").code, WEIR_OK);
    answer gone = {false, 0, ""};
    store_remove(s, "connection", "10", on_answer, &gone);
    WAIT_FOR(gone.came);
    CHECK_INT(gone.code, WEIR_OK);
    CHECK_TEXT(things("connection"), "8={\"n\":8}/ 9={\"n\":\"nine\"}/other 11={\"n\":11}/ 12={\"n\":12}/ ");
    close_store();
    open_store();
    CHECK_TEXT(things("connection"), "8={\"n\":8}/ 9={\"n\":\"nine\"}/other 11={\"n\":11}/ 12={\"n\":12}/ ");
    CHECK_TEXT(things("plugin"), "okx={}/ woox={}/ ");
    CHECK_TEXT(things("nothing"), "");
    CHECK(store_ended_well(s));
    CHECK_TEXT(log_text(), "");
    tear_down();
}

TEST(store, answers_changes_in_the_order_in_which_they_were_given)
{
    static answer a[200];
    char id[16];

    set_up();
    open_store();
    memset(a, 0, sizeof a);
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof id, "%d", i % 7);
        if (i % 3)
            store_put(s, "stream", id, BYTES("{}"), (bytes){NULL, 0}, on_answer, &a[i]);
        else
            store_remove(s, "stream", id, on_answer, &a[i]);
    }
    while (!a[199].came) {
        loop_step(l, 1000);
        for (int i = 1; i < 200; i++)
            CHECK(a[i - 1].came || !a[i].came);
    }
    for (int i = 0; i < 200; i++)
        CHECK_INT(a[i].code, WEIR_OK);
    CHECK_TEXT(things("stream"), "0={}/ 1={}/ 3={}/ 4={}/ 5={}/ "); /* the last word on 2 and 6 took them away */
    tear_down();
}

TEST(store, gives_no_number_twice)
{
    set_up();
    open_store();
    CHECK_UINT(store_next_id(s, "stream"), 1);
    CHECK_UINT(store_next_id(s, "stream"), 2);
    CHECK_UINT(store_next_id(s, "sink"), 1);
    CHECK_INT(put("stream", "2", "{}", "").code, WEIR_OK);
    CHECK_INT(put("stream", "41", "{}", "").code, WEIR_OK);
    answer gone = {false, 0, ""};
    store_remove(s, "stream", "41", on_answer, &gone);
    WAIT_FOR(gone.came);
    CHECK_UINT(store_next_id(s, "stream"), 42);
    close_store();
    open_store();
    CHECK_UINT(store_next_id(s, "stream"), 42);
    CHECK_UINT(store_next_id(s, "sink"), 1);
    tear_down();
}

TEST(store, seals_secrets_and_opens_them_for_their_thing_and_key_alone)
{
    buf file;

    set_up();
    open_store();
    CHECK_INT(put("connection", "1", "{}", "the very secret").code, WEIR_OK);
    CHECK_INT(put("connection", "2", "{}", "").code, WEIR_OK);
    close_store();
    buf_init(&file, 16 << 20);
    char path[128];
    snprintf(path, sizeof path, "%s/settings.db", dir);
    CHECK_OK(file_read(&file, path, &err));
    CHECK(memmem(file.at, file.len, "very secret", 11) == NULL);
    buf_fini(&file);

    db d;
    CHECK_OK(db_open(&d, path, &schema_settings, &err)); /* another thing's */
    CHECK_OK(db_exec(&d, "UPDATE thing SET secret=(SELECT secret FROM thing WHERE id='1') WHERE id='2'", &err));
    db_close(&d);
    open_store();
    CHECK_TEXT(things("connection"), "1={}/the very secret 2={}/(sealed) ");
    close_store();
    options.key = BYTES("another key of 32 octets exactly");
    open_store();
    CHECK_TEXT(things("connection"), "1={}/(sealed) 2={}/(sealed) ");
    close_store();
    options.key = BYTES("short");
    CHECK_INT(store_open(&s, l, &options, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "the key for secrets has 5 octets, not 32");
    s = NULL;
    tear_down();
}

TEST(store, has_its_files_to_itself)
{
    struct stat st;
    char path[128];
    const char *names[] = {"settings.db", "settings.db-wal", "history.db", "history.db-wal", "lock", "modules"};

    set_up();
    umask(0);
    open_store();
    CHECK_INT(put("connection", "1", "{}", "x").code, WEIR_OK);
    for (size_t i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        CHECK(stat(path, &st) == 0);
        CHECK_INT(st.st_mode & 077, 0);
    }
    umask(022);
    tear_down();
}

/* ---- One process ---- */

TEST(store, is_refused_to_a_second_process_with_the_first_ones_number)
{
    int pipes[2], status = 0;
    char text[WEIR_ERROR_TEXT] = "", want[64];

    set_up();
    open_store();
    CHECK(pipe(pipes) == 0);
    pid_t child = fork();
    if (!child) {
        store *other = NULL;
        weir_error why = WEIR_ERROR_INIT;
        loop *own = NULL;
        close(s->lock); /* shared with the parent, who goes on holding it */
        weir_code code = loop_new(&own, &why) ? WEIR_OK : store_open(&other, own, &options, &why);
        _exit(write(pipes[1], why.text, strlen(why.text)) < 0 || code != WEIR_BUSY);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(read(pipes[0], text, sizeof text - 1) > 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    snprintf(want, sizeof want, "is held by process %ld", (long)getpid());
    CHECK_HAS(text, want);
    close(pipes[0]);
    close(pipes[1]);
    tear_down();
}

/* ---- Modules ---- */

TEST(store, keeps_modules_by_their_hash)
{
    char digest[DIGEST_HEX];
    answer a = {false, 0, ""}, b = {false, 0, ""}, c = {false, 0, ""}, d = {false, 0, ""};
    buf path, file;

    set_up();
    open_store();
    digest_sha256(digest, BYTES("a module"));
    store_module_put(s, digest, BYTES("a module"), on_answer, &a);
    store_module_put(s, digest, BYTES("another module"), on_answer, &b);
    store_module_put(s, "../../etc/passwd", BYTES("x"), on_answer, &c);
    CHECK(!c.came);
    WAIT_FOR(a.came && b.came && c.came);
    CHECK_INT(a.code, WEIR_OK);
    CHECK_INT(b.code, WEIR_INVALID);
    CHECK_HAS(b.error, "its octets have the SHA-256");
    CHECK_INT(c.code, WEIR_INVALID);
    buf_init(&path, 1024);
    buf_init(&file, 1024);
    store_module_path(s, digest, &path);
    buf_add_char(&path, '\0');
    CHECK_OK(file_read(&file, path.at, &err));
    CHECK_BYTES(buf_bytes(&file), BYTES("a module"));
    CHECK(store_read_figures(s).octets > 8);

    buf_add_text(&path, ""); /* a crash in the middle of writing leaves a file beside it */
    path.len--;
    buf_add_text(&path, ".Ab12Zz");
    buf_add_char(&path, '\0');
    CHECK_OK(file_replace(path.at, BYTES("half"), &err));
    close_store();
    open_store();
    CHECK(access(path.at, F_OK) != 0);
    store_module_remove(s, digest, on_answer, &d);
    WAIT_FOR(d.came);
    CHECK_INT(d.code, WEIR_OK);
    path.at[path.len - 9] = '\0';
    CHECK(access(path.at, F_OK) != 0);
    buf_fini(&path);
    buf_fini(&file);
    tear_down();
}

/* ---- Forms ---- */

TEST(store, brings_an_old_form_forward_and_refuses_a_newer_one)
{
    static const char *const steps[] = {"CREATE TABLE meta(name TEXT PRIMARY KEY, value); CREATE TABLE a(x)", "ALTER TABLE a ADD COLUMN y DEFAULT 7", "CREATE TABLE b AS SELECT x, y FROM a"};
    db_schema first = {steps, 1, ""}, third = {steps, 3, ""};
    char path[128];
    uint64_t sum = 0;
    db d;

    set_up();
    snprintf(path, sizeof path, "%s/forms.db", dir);
    CHECK_OK(db_open(&d, path, &first, &err));
    CHECK_OK(db_exec(&d, "INSERT INTO a VALUES(1),(2)", &err));
    db_close(&d);
    CHECK_OK(db_open(&d, path, &third, &err));
    CHECK_OK(db_number(&d, "SELECT sum(x + y) FROM b", 0, &sum, &err));
    CHECK_UINT(sum, 17);
    db_close(&d);
    CHECK_INT(db_open(&d, path, &first, &err), WEIR_UNSUPPORTED);
    CHECK_HAS(err.text, "was written by Weir " WEIR_VERSION " (form 3), and this Weir " WEIR_VERSION " knows forms up to 1");
    db_close(&d);
    tear_down();
}

TEST(store, undoes_a_step_forward_that_fails)
{
    static const char *const steps[] = {"CREATE TABLE meta(name TEXT PRIMARY KEY, value); CREATE TABLE a(x)", "CREATE TABLE b(y); INSERT INTO nowhere VALUES(1)"};
    db_schema first = {steps, 1, ""}, second = {steps, 2, ""};
    char path[128];
    uint64_t tables = 0;
    db d;

    set_up();
    snprintf(path, sizeof path, "%s/forms.db", dir);
    CHECK_OK(db_open(&d, path, &first, &err));
    db_close(&d);
    CHECK(db_open(&d, path, &second, &err) != WEIR_OK);
    CHECK_HAS(err.text, "cannot be brought to form 2: no such table: nowhere");
    db_close(&d);
    CHECK_OK(db_open(&d, path, &first, &err));
    CHECK_OK(db_number(&d, "SELECT count(*) FROM sqlite_schema WHERE type='table'", 0, &tables, &err));
    CHECK_UINT(tables, 2);
    db_close(&d);
    tear_down();
}

TEST(store, refuses_a_newer_store_and_another_programs_database)
{
    const char *names[] = {"settings.db", "history.db"};
    char path[128];
    sqlite3 *other;

    for (size_t i = 0; i < 2; i++) {
        set_up();
        open_store();
        close_store();
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        CHECK(sqlite3_open(path, &other) == SQLITE_OK);
        CHECK(sqlite3_exec(other, "PRAGMA user_version=99; UPDATE meta SET value='7.0.0' WHERE name='written_by'", NULL, NULL, NULL) == SQLITE_OK);
        sqlite3_close(other);
        CHECK_INT(store_open(&s, l, &options, &err), WEIR_UNSUPPORTED);
        CHECK_HAS(err.text, "was written by Weir 7.0.0 (form 99)");
        CHECK(unlink(path) == 0);
        CHECK(sqlite3_open(path, &other) == SQLITE_OK);
        CHECK(sqlite3_exec(other, "CREATE TABLE bookmarks(x)", NULL, NULL, NULL) == SQLITE_OK);
        sqlite3_close(other);
        CHECK_INT(store_open(&s, l, &options, &err), WEIR_UNSUPPORTED);
        CHECK_HAS(err.text, "is another program's database");
        s = NULL;
        tear_down();
    }
}

/* ---- Back-ups, as docs/store.md says ---- */

TEST(store, is_backed_up_by_the_shell_while_it_runs)
{
    char command[512], saved[96];

    set_up();
    if (system("command -v sqlite3 >/dev/null"))
        test_skip("no sqlite3");
    options.history_flush_ms = 1;
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    for (int i = 1; i <= 3; i++) {
        char id[8];
        snprintf(id, sizeof id, "%d", i);
        CHECK_INT(put("connection", id, "{}", "s").code, WEIR_OK);
    }
    add_numbers(btc, 1, 3);
    CHECK_INT(flush_store().code, WEIR_OK);
    snprintf(saved, sizeof saved, "%s-saved", dir);
    snprintf(command, sizeof command, "mkdir %s && sqlite3 %s/settings.db \".backup %s/settings.db\" && sqlite3 %s/history.db \".backup %s/history.db\" && cp -a %s/modules %s", saved, dir, saved, dir, saved, dir, saved);
    CHECK_INT(system(command), 0);
    snprintf(command, sizeof command, "test \"$(sqlite3 -readonly %s/history.db \"SELECT count(*) FROM record WHERE id >> 43 = (SELECT id FROM stream WHERE topic = 'trades.woox.BTC')\")\" = 3", dir);
    CHECK_INT(system(command), 0);
    CHECK_INT(put("connection", "4", "{}", "").code, WEIR_OK);
    close_store();
    options.dir = saved;
    open_store();
    CHECK_TEXT(things("connection"), "1={}/s 2={}/s 3={}/s ");
    CHECK_VALUES("1 2 3", false, .pattern = ">");
    CHECK(!store_ended_well(s)); /* it is as old as it is: numbers go on far behind */
    close_store();
    snprintf(command, sizeof command, "rm -r %s", saved);
    CHECK_INT(system(command), 0);
    record_stream_unref(btc);
    tear_down();
}

/* ---- Audit ---- */

static char entries[8192];
static bool entries_came;

static void on_entries(void *arg, weir_code code, bytes json, const char *error)
{
    (void)arg;
    CHECK_TEXT(error ? error : "", "");
    CHECK_INT(code, WEIR_OK);
    entries_came = true;
    snprintf(entries, sizeof entries, "%.*s", (int)json.len, json.at);
}

static const char *audit_page(uint64_t before, uint32_t limit)
{
    entries_came = false;
    store_audit_read(s, before, limit, on_entries, NULL);
    CHECK(!entries_came);
    WAIT_FOR(entries_came);
    return entries;
}

TEST(store, keeps_an_audit_and_reads_it_newest_first_what_waits_included)
{
    set_up();
    options.history_flush_ms = 600000;
    open_store();
    CHECK_TEXT(audit_page(0, 0), "{\"entries\":[],\"next\":null}");
    store_audit entry = {.time_ns = 17, .who = "ann", .scope = "admin", .peer = "127.0.0.1", .action = "streams.create", .target = "line\nbreak \x1b[31m", .status = 201};
    store_audit_add(s, &entry);
    entry = (store_audit){.time_ns = 18, .who = "bob", .status = 403};
    store_audit_add(s, &entry);
    CHECK_TEXT(audit_page(0, 0), "{\"entries\":[{\"id\":2,\"time\":\"18\",\"who\":\"bob\",\"scope\":\"\",\"peer\":\"\",\"action\":\"\",\"target\":\"\",\"status\":403},"
                                 "{\"id\":1,\"time\":\"17\",\"who\":\"ann\",\"scope\":\"admin\",\"peer\":\"127.0.0.1\",\"action\":\"streams.create\",\"target\":\"line\\nbreak \\u001b[31m\",\"status\":201}],\"next\":null}");
    CHECK_INT(flush_store().code, WEIR_OK);
    for (uint64_t i = 3; i <= 5; i++) {
        entry = (store_audit){.time_ns = i, .status = (uint16_t)i};
        store_audit_add(s, &entry);
    }
    CHECK_HAS(audit_page(0, 4), "{\"entries\":[{\"id\":5,");
    CHECK_HAS(audit_page(0, 4), "{\"id\":2,\"time\":\"18\"");
    CHECK_HAS(audit_page(0, 4), "\"next\":2}");
    CHECK_HAS(audit_page(2, 4), "{\"entries\":[{\"id\":1,");
    CHECK_HAS(audit_page(2, 4), "\"next\":null}");
    close_store();
    open_store();
    entry = (store_audit){.time_ns = 6};
    store_audit_add(s, &entry);
    CHECK_HAS(audit_page(0, 2), "{\"entries\":[{\"id\":6,");
    tear_down();
}
