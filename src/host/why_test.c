/* The last traps: what is kept of them, in memory and on disk, and what is not: secrets, more than was agreed. */
#include <weir/weir.h>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "host/traps.h"
#include "tests/lib/test.h"

#define ERR weir_error err = WEIR_ERROR_INIT

static char folder[200];
static int warnings;
static char warned[600];

static void on_log(void *arg, weir_log_level level, const char *part, const char *text)
{
    (void)arg, (void)part;
    if (level == WEIR_LOG_WARN && strstr(text, "not kept")) {
        warnings++;
        snprintf(warned, sizeof warned, "%s", text);
    }
}

/* A state folder of its own for each test. */
static void begin(void)
{
    static int n;
    snprintf(folder, sizeof folder, "/tmp/weir-why-%d-%d", (int)getpid(), n++);
    warnings = 0;
    weir_log(WEIR_LOG_WARN, on_log, NULL);
}

static void end(void)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    weir_log(WEIR_LOG_WARN, NULL, NULL);
}

static weir_host *host_new(void)
{
    ERR;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    weir_host *h = NULL;
    o.cache_dir = "";
    o.state_dir = folder;
    o.max_instances = 8;
    CHECK_OK(weir_host_new(&h, &o, &err));
    return h;
}

static weir_plugin *load(weir_host *h, const char *name, const char *config)
{
    ERR;
    char path[4096];
    const char *guests = getenv("WEIR_GUESTS");
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_plugin *p = NULL;
    o.config_json = config;
    snprintf(path, sizeof path, "%s/%s", guests ? guests : "build/guests", name);
    CHECK_OK(weir_plugin_load(&p, h, path, &o, &err));
    return p;
}

static void trap(weir_plugin *p, const char *export_name, const char *input)
{
    ERR;
    const weir_result *r;
    CHECK_INT(weir_plugin_call_wait(p, export_name, input, strlen(input), &r, &err), WEIR_TRAPPED);
}

/* One plugin, one trap on disk, for what is asked then. */
static void leave_a_trap(void)
{
    weir_host *h = host_new();
    trap(load(h, "trap.wasm", NULL), "unreachable", "");
    weir_host_free(h);
}

static const char *found(const char *what)
{
    static char *json;
    ERR;
    free(json);
    json = NULL;
    CHECK_OK(weir_why(&json, what, folder, &err));
    return json;
}

static size_t count(const char *list)
{
    json doc, key, item;
    size_t n = 0;
    ERR;
    CHECK_OK(json_read(&doc, bytes_of(list), &err));
    for (json_iter it = json_each(doc); json_next(&it, &key, &item);)
        n++;
    return n;
}

TEST(why, tells_what_was_asked_what_happened_and_what_followed)
{
    begin();
    weir_host *h = host_new();
    weir_plugin *p = load(h, "trap.wasm", NULL);
    CHECK_TEXT(weir_plugin_why(p), "[]");
    trap(p, "unreachable", "what was asked");
    trap(p, "divide_by_zero", "");
    const char *why = weir_plugin_why(p);
    CHECK_UINT(count(why), 2);
    const char *older = strstr(why, "\"export\":\"unreachable\"");
    CHECK(older != NULL);
    CHECK(older > strstr(why, "\"export\":\"divide_by_zero\"")); /* the newest first */
    CHECK_HAS(why, "\"file\":\"trap.wasm\",\"stream\":null,\"topic\":\"\"");
    CHECK_HAS(why, "\"code\":\"TRAPPED\",\"trap\":\"unreachable trapped: ");
    CHECK_HAS(why, "\"then\":\"told the caller\"");
    CHECK_HAS(older, "\"input\":\"what was asked\",\"input_octets\":14");
    CHECK_HAS(older, "\"backtrace\":[\"");
    CHECK_HAS(older, "innermost");
    weir_host_free(h);
    end();
}

TEST(why, keeps_the_last_sixteen_in_memory_and_in_the_file)
{
    begin();
    weir_host *h = host_new();
    weir_plugin *p = load(h, "trap.wasm", NULL);
    char input[20];
    for (int i = 1; i <= 20; i++) {
        snprintf(input, sizeof input, "number %d.", i);
        trap(p, "unreachable", input);
    }
    CHECK_UINT(count(weir_plugin_why(p)), 16);
    CHECK_HAS(weir_plugin_why(p), "number 20.");
    CHECK_HAS(weir_plugin_why(p), "number 5.");
    CHECK(!strstr(weir_plugin_why(p), "number 4."));
    weir_host_free(h); /* what waits is written now */
    CHECK_UINT(count(found("trap.wasm")), 16);
    CHECK_HAS(found("trap.wasm"), "number 20.");
    CHECK(!strstr(found("trap.wasm"), "number 4."));
    end();
}

TEST(why, is_found_by_id_and_file_and_nothing_else)
{
    ERR;
    begin();
    leave_a_trap();
    leave_a_trap(); /* another run adds to it */
    CHECK_UINT(count(found("trap.wasm")), 2);
    CHECK_UINT(count(found("/some/where/trap.wasm")), 2);
    char *json = NULL;
    CHECK_INT(weir_why(&json, "trap", folder, &err), WEIR_NOT_FOUND);
    CHECK_HAS(err.text, "no trap of 'trap' is kept in '/tmp/weir-why-");
    CHECK_HAS(err.text, "there are traps of trap.wasm");
    CHECK(json == NULL);
    CHECK_INT(weir_why(&json, "trap", "/tmp/weir-no-such-state", &err), WEIR_NOT_FOUND);
    CHECK_HAS(err.text, "'/tmp/weir-no-such-state/traps' has none at all");
    end();
}

TEST(why, masks_secrets_also_those_that_the_plugin_was_given_in_other_ways)
{
    begin();
    weir_host *h = host_new();
    weir_plugin *p = load(h, "trap.wasm", "{\"api_key\":\"AK-4711\",\"passphrase\":\"open sesame\",\"depth\":\"20\"}");
    trap(p, "unreachable", "{\"said\":\"open sesame\",\"sign\":\"9f8e\",\"key\":\"AK-4711\",\"depth\":20}");
    CHECK_HAS(weir_plugin_why(p), "\"input\":\"{\\\"said\\\":\\\"***\\\",\\\"sign\\\":\\\"***\\\",\\\"key\\\":\\\"***\\\",\\\"depth\\\":20}\"");
    weir_host_free(h);
    const char *kept = found("trap.wasm");
    CHECK(!strstr(kept, "AK-4711") && !strstr(kept, "sesame") && !strstr(kept, "9f8e"));
    end();
}

/* Cutting comes after masking: half a secret is one, too. */
TEST(why, cuts_long_texts_and_never_through_a_secret_or_a_character)
{
    begin();
    weir_host *h = host_new();
    weir_plugin *p = load(h, "trap.wasm", "{\"secret\":\"hunter22hunter22\"}");
    char *input = calloc(1, 10000);
    memset(input, 'x', 4090);
    strcat(input, " hunter22hunter22 ");
    for (int i = 0; i < 1000; i++)
        strcat(input, "\xc3\xa9");
    trap(p, "unreachable", input);
    CHECK(!strstr(weir_plugin_why(p), "hunt"));
    CHECK_HAS(weir_plugin_why(p), "x ***");
    CHECK_HAS(weir_plugin_why(p), "\"input_octets\":6108");
    CHECK(!strstr(weir_plugin_why(p), "\xef\xbf\xbd"));
    free(input);
    weir_host_free(h);
    end();
}

TEST(why, writes_a_file_for_the_user_alone_and_begins_anew_over_a_damaged_one)
{
    begin();
    ERR;
    char path[300];
    struct stat st;
    leave_a_trap();
    snprintf(path, sizeof path, "%s/traps/trap.wasm.json", folder);
    CHECK_INT(stat(path, &st), 0);
    CHECK_UINT(st.st_mode & 0777, 0600);
    CHECK_OK(file_replace(path, BYTES("[{\"time\":\"x\",\"plugin\":"), &err));
    leave_a_trap();
    CHECK_UINT(count(found("trap.wasm")), 1);
    CHECK_OK(file_replace(path, BYTES("[1,\"a\",{\"plugin\":\"trap.wasm\"},{\"plugin\":\"trap.wasm\",\"time\":\"2020\"}]"), &err));
    CHECK_UINT(count(found("trap.wasm")), 1); /* one without a time is none of ours */
    end();
}

TEST(why, says_once_that_nothing_can_be_written_and_goes_on)
{
    ERR;
    begin();
    CHECK_OK(file_replace(folder, BYTES("in the way"), &err));
    weir_host *h = host_new();
    weir_plugin *p = load(h, "trap.wasm", NULL);
    trap(p, "unreachable", "");
    trap(p, "unreachable", "");
    CHECK_UINT(count(weir_plugin_why(p)), 2);
    const weir_result *r;
    CHECK_OK(weir_plugin_call_wait(p, "fine", "", 0, &r, &err));
    weir_host_free(h);
    CHECK_INT(warnings, 1);
    CHECK_HAS(warned, "traps are not kept for 'weir why': '/tmp/weir-why-");
    CHECK_HAS(warned, "is a file where a folder should be");
    char *json = NULL;
    CHECK_INT(weir_why(&json, "trap.wasm", folder, &err), WEIR_SYSTEM);
    CHECK_HAS(err.text, "Not a directory");
    end();
}

/* ---- The files by themselves ---- */

static void keep(traps *t, loop *l, const char *id, const char *json)
{
    traps_keep(t, id, json);
    for (int i = 0; i < 3; i++)
        loop_step(l, 20);
}

TEST(traps, have_a_name_that_stays_in_their_folder_whatever_the_plugin_calls_itself)
{
    static const char *const ids[] = {"../../etc/x", "a/b", ".hidden", "", "\xff\x01", "plain.id-1_x"};
    ERR;
    begin();
    loop *l;
    traps *t;
    char path[300];
    CHECK_OK(loop_new(&l, &err));
    CHECK_OK(traps_new(&t, l, folder, &err));
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        traps_keep(t, ids[i], "{\"time\":\"1\",\"plugin\":\"p\"}");
    traps_free(t);
    loop_free(l);
    struct dirent **names;
    int n = scandir(folder, &names, NULL, NULL);
    CHECK_INT(n, 2 + 6);
    for (int i = 0; i < n; i++) {
        CHECK(!strncmp(names[i]->d_name, ".", 2) || !strcmp(names[i]->d_name, "..") || names[i]->d_name[0] != '.');
        free(names[i]);
    }
    free(names);
    snprintf(path, sizeof path, "%s/plain.id-1_x.json", folder);
    CHECK_INT(access(path, R_OK), 0);
    end();
}

TEST(traps, of_a_stream_are_found_by_its_topic_and_by_its_name_on_the_command_line)
{
    static const char *const names[] = {"ohlcv.x.BTC.1m", "ohlcv:BTC:1m", "ohlcv:BTC", "p"};
    ERR;
    begin();
    loop *l;
    traps *t;
    buf out;
    CHECK_OK(loop_new(&l, &err));
    CHECK_OK(traps_new(&t, l, folder, &err));
    keep(t, l, "p", "{\"time\":\"1\",\"plugin\":\"p\",\"topic\":\"ohlcv.x.BTC.1m\",\"stream\":{\"type\":\"ohlcv\",\"identifier\":\"BTC\",\"parameters\":{\"timeframe\":\"1m\"}}}");
    keep(t, l, "q", "{\"time\":\"2\",\"plugin\":\"q\",\"topic\":\"\",\"stream\":null}");
    traps_free(t);
    loop_free(l);
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        buf_clear(&out);
        CHECK_OK(traps_find(&out, folder, names[i], &err));
        buf_add_char(&out, '\0');
        CHECK_UINT(count(out.at), 1);
        CHECK_HAS(out.at, "\"time\":\"1\"");
    }
    CHECK_INT(traps_find(&out, folder, "ohlcv:BTC:5m", &err), WEIR_NOT_FOUND);
    buf_fini(&out);
    end();
}

TEST(traps, are_of_so_many_plugins_at_most)
{
    ERR;
    begin();
    loop *l;
    traps *t;
    char id[20];
    CHECK_OK(loop_new(&l, &err));
    CHECK_OK(traps_new(&t, l, folder, &err));
    for (int i = 0; i < TRAPS_FILES + 5; i++) {
        snprintf(id, sizeof id, "p%d", i);
        traps_keep(t, id, "{\"time\":\"1\"}");
        if (i % 32 == 31) { /* not more wait than are kept */
            traps_free(t);
            CHECK_OK(traps_new(&t, l, folder, &err));
        }
    }
    traps_free(t);
    loop_free(l);
    struct dirent **names;
    int n = scandir(folder, &names, NULL, NULL);
    CHECK_INT(n, 2 + TRAPS_FILES);
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    end();
}

TEST(why, survives_any_failed_allocation)
{
    begin();
    weir_host *h = host_new();
    weir_plugin *p = load(h, "trap.wasm", "{\"secret\":\"hunter22\"}");
    FAULT_SWEEP(alloc) {
        ERR;
        const weir_result *r;
        char *json = NULL;
        weir_plugin_call_wait(p, "unreachable", "hunter22", 8, &r, NULL);
        CHECK(*weir_plugin_why(p) == '[' && !strstr(weir_plugin_why(p), "hunter"));
        if (weir_why(&json, "trap.wasm", folder, &err) == WEIR_OK)
            free(json);
    }
    trap(p, "unreachable", "");
    weir_host_free(h);
    CHECK_HAS(found("trap.wasm"), "innermost");
    end();
}
