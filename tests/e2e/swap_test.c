/* Another file for a plugin while its streams run: nothing lost, nothing doubled, nothing granted. */
#include "tests/e2e/e2e.h"

#include <unistd.h>

#include "base/json.h"

/* What one plugin's records held: a hash of each "data", in order. */
typedef struct tape {
    uint64_t *at;
    size_t count, room;
    uint64_t seq, holes, gaps;
    char made[60]; /* how the last record begins */
} tape;

static void on_record(void *arg, const weir_record *r)
{
    tape *t = arg;
    uint64_t hash = UINT64_C(14695981039346656037);
    if (r->seq) {
        t->holes += r->seq != t->seq + 1;
        t->seq = r->seq;
    }
    t->gaps += r->kind == WEIR_RECORD_GAP;
    if (r->kind != WEIR_RECORD_DATA)
        return;
    const char *tells = memmem(r->data, r->data_len, "\"version\":", 10); /* a hybrid says who made it; the venue's data stand behind */
    if (tells)
        snprintf(t->made, sizeof t->made, "%.*s", (int)(r->data_len < sizeof t->made ? r->data_len : sizeof t->made - 1), r->data);
    for (const char *at = tells ? tells + 17 : r->data; at < r->data + r->data_len; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 1024;
        t->at = realloc(t->at, t->room * sizeof *t->at);
    }
    t->at[t->count++] = hash;
}

typedef struct scene {
    e2e world;
    weir_plugin *plugin, *control;
    weir_stream *stream, *other;
    tape tape, truth; /* the plugin's, and the control's, which nobody touches */
    size_t want;
} scene;

static weir_plugin *load(scene *s, const char *guest, const char *config, const char *const *allow)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_plugin *p = NULL;
    o.config_json = config;
    o.allow = allow;
    CHECK_OK(weir_plugin_load(&p, s->world.host, guest_path(guest), &o, &err));
    return p;
}

/* A machine that has other things to do makes all of this slow, and nothing else: the venue's clock, which is a little faster
 * than time, waits for its readers, and nobody takes a pause for a dead connection. */
static void open_world(scene *s, double rate)
{
    static sim_options venue;
    venue = (sim_options){.seed = 7, .tls = true, .rate = rate, .speed = 1.001, .no_limits = true, .faults = "", .silence_ms = 600000};
    *s = (scene){0};
    e2e_open_patient(&s->world, &venue, 60000);
}

static void begin(scene *s, const char *guest, const char *config, const char *const *allow, double rate)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_sub *sub;
    open_world(s, rate);
    s->plugin = load(s, guest, config, allow);
    CHECK_OK(weir_subscribe(&sub, s->world.host, "trades.*.SPOT_BTC_USDT", on_record, &s->tape, &err));
    CHECK_OK(weir_stream_open(&s->stream, s->plugin, "trades", "SPOT_BTC_USDT", NULL, &err));
}

static bool enough(void *arg)
{
    scene *s = arg;
    return s->tape.count >= s->want;
}

static void until_more(scene *s, size_t records)
{
    s->want = s->tape.count + records;
    e2e_until(&s->world, enough, s, 60, "that many records");
}

static void end(scene *s)
{
    weir_error err = WEIR_ERROR_INIT;
    CHECK(weir_host_account_check(s->world.host, &err));
    CHECK_UINT(s->tape.holes, 0);
    e2e_close(&s->world);
    free(s->tape.at);
    free(s->truth.at);
}

static bool runs_version(const scene *s, const char *version)
{
    return strstr(weir_plugin_meta(s->plugin), version) != NULL;
}

static bool control_has(void *arg)
{
    scene *s = arg;
    return s->truth.count >= s->want;
}

/* How many records both have in common: `late` begins somewhere in `early`, and from there on they must be the same
 * until one ends. 0: they are not. */
static size_t joined(const tape *early, const tape *late)
{
    size_t from = 0, n = 0;
    if (late->count < 3)
        return 0;
    while (from + 3 < early->count && memcmp(early->at + from, late->at, 3 * sizeof *late->at) != 0)
        from++;
    while (n < late->count && from + n < early->count && late->at[n] == early->at[from + n])
        n++;
    return n == late->count || from + n == early->count ? n : 0;
}

/* Both have begun, and what one has the other has, too. */
static bool aligned(void *arg)
{
    scene *s = arg;
    return s->truth.count > 500 && (joined(&s->tape, &s->truth) > 100 || joined(&s->truth, &s->tape) > 100);
}

/* For a failure: where both part, and what comes then. */
static void show_parting(const tape *early, const tape *late)
{
    size_t from = 0, n = 0;
    while (from + 3 < early->count && memcmp(early->at + from, late->at, 3 * sizeof *late->at) != 0)
        from++;
    while (n < late->count && from + n < early->count && late->at[n] == early->at[from + n])
        n++;
    fprintf(stderr, "  %zu and %zu records, the same from the %zuth on for %zu\n", early->count, late->count, from, n);
    for (size_t k = n; k < n + 6 && k < late->count && from + k < early->count; k++)
        fprintf(stderr, "    %016llx %016llx\n", (unsigned long long)early->at[from + k], (unsigned long long)late->at[k]);
}

static void check_same(const tape *a, const tape *b, size_t least)
{
    size_t both = joined(a, b);
    if (!both)
        both = joined(b, a);
    if (both < least) {
        show_parting(a, b);
        show_parting(b, a);
    }
    CHECK(both >= least);
}

TEST(swap, of_a_push_plugin_under_20000_frames_a_second_loses_and_doubles_nothing)
{
    static scene s;
    weir_error err = WEIR_ERROR_INIT;
    weir_sub *sub;
    weir_account a;
    begin(&s, "push_woox.wasm", NULL, NULL, SANITIZED ? 4000 : 20000);
    s.control = load(&s, "push_woox.wasm", NULL, NULL); /* the same market once more, by a plugin that stays */
    CHECK_OK(weir_subscribe(&sub, s.world.host, "truth.>", on_record, &s.truth, &err));
    CHECK_OK(weir_stream_open(&s.other, s.control, "truth", "SPOT_BTC_USDT", NULL, &err));
    e2e_until(&s.world, aligned, &s, 60, "a beginning that both have");
    for (int i = 0; i < 6; i++) {
        CHECK_OK(weir_plugin_swap(s.plugin, guest_path(i % 2 ? "push_woox.wasm" : "push_woox_2.wasm"), &err));
        CHECK(runs_version(&s, i % 2 ? "1.0.0" : "2.0.0"));
        until_more(&s, 3000);
    }
    s.want = s.tape.count;
    e2e_until(&s.world, control_has, &s, 60, "as many records of the control");
    weir_host_account(s.world.host, &a);
    CHECK_UINT(a.lost + a.gaps + a.dropped + a.restarts, 0);
    CHECK_UINT(s.tape.gaps + s.truth.gaps + s.truth.holes, 0);
    check_same(&s.tape, &s.truth, 18000); /* all that the swaps were among */
    end(&s);
}

/* The pull plugin dials anew; what its old socket and its new one bring is joined. */
TEST(swap, of_a_pull_plugin_under_load_loses_and_doubles_nothing)
{
    static scene s;
    weir_error err = WEIR_ERROR_INIT;
    weir_sub *sub;
    weir_account a;
    begin(&s, "woox.wasm", NULL, NULL, 4000);
    s.control = load(&s, "woox.wasm", NULL, NULL);
    until_more(&s, 100);
    CHECK_OK(weir_subscribe(&sub, s.world.host, "trades.*.*.control", on_record, &s.truth, &err));
    CHECK_OK(weir_stream_open(&s.other, s.control, "trades", "SPOT_BTC_USDT", "{\"name\":\"control\"}", &err));
    e2e_until(&s.world, aligned, &s, 60, "a beginning that both have");
    size_t before = s.tape.count > s.truth.count ? s.tape.count - s.truth.count : 0; /* about: what it had when the control began */
    for (int i = 0; i < 3; i++) {
        CHECK_OK(weir_plugin_swap(s.plugin, guest_path("woox.wasm"), &err));
        s.want = s.truth.count + (12000);
        e2e_until(&s.world, control_has, &s, 60, "that many records of the control");
    }
    s.want = s.truth.count + before + 1000;
    e2e_until(&s.world, enough, &s, 60, "as many records as the control has");
    weir_host_account(s.world.host, &a);
    CHECK_UINT(a.lost + a.gaps + a.dropped, 0);

    check_same(&s.tape, &s.truth, 35000);
    end(&s);
}

/* A hybrid's streams go over by the route that they run by, whoever chose it. */
static void swap_hybrid(weir_route route, const char *config, const char *by)
{
    static scene s;
    static const char *const versions[] = {"hybrid_2.wasm", "2.0.0", "hybrid.wasm", "1.0.0"};
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_sub *sub;
    weir_account a;
    char made[60];
    o.config_json = config;
    o.stream_route = route;
    open_world(&s, 2000);
    CHECK_OK(weir_plugin_load(&s.plugin, s.world.host, guest_path("hybrid.wasm"), &o, &err));
    CHECK_OK(weir_plugin_load(&s.control, s.world.host, guest_path("hybrid.wasm"), &o, &err));
    CHECK_OK(weir_subscribe(&sub, s.world.host, "trades.>", on_record, &s.tape, &err));
    CHECK_OK(weir_subscribe(&sub, s.world.host, "truth.>", on_record, &s.truth, &err));
    CHECK_OK(weir_stream_open(&s.stream, s.plugin, "trades", "x", NULL, &err));
    CHECK_OK(weir_stream_open(&s.other, s.control, "truth", "x", NULL, &err));
    e2e_until(&s.world, aligned, &s, 60, "a beginning that both have");
    for (int i = 0; i < 3; i++) {
        const char *const *to = versions + 2 * (i % 2);
        CHECK_OK(weir_plugin_swap(s.plugin, guest_path(to[0]), &err));
        snprintf(made, sizeof made, "{\"route\":\"%s\",\"version\":\"%s\",", by, to[1]);
        s.want = s.truth.count + 5000;
        e2e_until(&s.world, control_has, &s, 60, "that many records of the control");
        CHECK_HAS(s.tape.made, made);
    }
    s.want = s.truth.count;
    e2e_until(&s.world, enough, &s, 60, "as many records as the control has");
    weir_host_account(s.world.host, &a);
    CHECK_UINT(a.lost + a.gaps + a.dropped, 0);
    check_same(&s.tape, &s.truth, 15000);
    end(&s);
}

TEST(swap, of_a_hybrid_goes_over_by_its_loop_and_loses_and_doubles_nothing)
{
    swap_hybrid(WEIR_ROUTE_LOOP, "{\"topic\":\"trade@SPOT_BTC_USDT\"}", "loop");
}

TEST(swap, of_a_hybrid_goes_over_by_its_callbacks_and_loses_and_doubles_nothing)
{
    swap_hybrid(WEIR_ROUTE_CALLBACK, "{\"topic\":\"trade@SPOT_BTC_USDT\"}", "callback");
    swap_hybrid(WEIR_ROUTE_AUTO, "{\"loop\":\"refuse\",\"topic\":\"trade@SPOT_BTC_USDT\"}", "callback");
}

/* ---- What is refused, while the old one goes on ---- */

static void refused_of(scene *s, const char *version, const char *file, weir_code code, const char *why)
{
    weir_error err = WEIR_ERROR_INIT;
    CHECK_INT(weir_plugin_swap(s->plugin, file, &err), code);
    CHECK_HAS(err.text, why);
    CHECK(runs_version(s, version));
    until_more(s, 20);
    CHECK_UINT(s->tape.gaps, 0);
}

static void refused(scene *s, const char *file, weir_code code, const char *why)
{
    refused_of(s, "1.0.0", file, code, why);
}

TEST(swap, refuses_a_file_that_asks_for_more_and_shows_what)
{
    static scene s;
    begin(&s, "push_woox.wasm", NULL, NULL, 200);
    until_more(&s, 10);
    refused(&s, guest_path("push_woox_wide.wasm"), WEIR_REFUSED,
            "plugin 'push_woox.wasm': the new file asks for more than was granted: + https https://api.woox.io/v3/*, + ws ws://collector.example/in; to grant it, start anew");
    end(&s);
}

TEST(swap, takes_a_file_that_asks_for_less_and_goes_back_to_what_was_granted)
{
    static scene s;
    weir_error err = WEIR_ERROR_INIT;
    begin(&s, "push_woox_wide.wasm", NULL, NULL, 200);
    until_more(&s, 10);
    CHECK_OK(weir_plugin_swap(s.plugin, guest_path("push_woox.wasm"), &err));
    until_more(&s, 10);
    CHECK_OK(weir_plugin_swap(s.plugin, guest_path("push_woox_wide.wasm"), &err));
    until_more(&s, 10);
    CHECK(runs_version(&s, "3.0.0"));
    end(&s);
}

/* Narrowed by --allow it stays so, whatever the files ask for. */
TEST(swap, keeps_what_the_user_allowed)
{
    static scene s;
    static const char *const allow[] = {"wss://wss.woox.io/v3/*", NULL};
    weir_error err = WEIR_ERROR_INIT;
    begin(&s, "push_woox.wasm", NULL, allow, 200);
    until_more(&s, 10);
    CHECK_OK(weir_plugin_swap(s.plugin, guest_path("push_woox_2.wasm"), &err));
    until_more(&s, 10);
    refused_of(&s, "2.0.0", guest_path("push_woox_wide.wasm"), WEIR_REFUSED, "+ https https://api.woox.io/v3/*");
    end(&s);
}

/* ---- Folders ---- */

/* What the plugins wrote into their folder: a digit for each trade. */
static size_t notes(const char *folder, char *last)
{
    char path[100], text[1000];
    size_t all = 0, n;
    snprintf(path, sizeof path, "%s/made", folder);
    FILE *f = fopen(path, "r");
    *last = 0;
    while (f && (n = fread(text, 1, sizeof text, f)) > 0) {
        all += n;
        *last = text[n - 1];
    }
    if (f)
        fclose(f);
    return all;
}

static void check_notes(const scene *s, const char *folder, char version)
{
    char last;
    CHECK(notes(folder, &last) >= s->tape.count); /* nobody's notes were lost */
    CHECK_INT(last, version);
}

TEST(swap, goes_on_with_the_folder_and_refuses_a_file_that_asks_for_another)
{
    static scene s;
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_sub *sub;
    char folder[] = "/tmp/weir-swap-XXXXXX", granted[60], made[60];
    CHECK(mkdtemp(folder));
    snprintf(granted, sizeof granted, "%s:/notes", folder);
    snprintf(made, sizeof made, "%s/made", folder);
    o.folders = (const char *const[]){granted, NULL};
    open_world(&s, 200);
    CHECK_OK(weir_plugin_load(&s.plugin, s.world.host, guest_path("push_woox_dir.wasm"), &o, &err));
    CHECK_OK(weir_subscribe(&sub, s.world.host, "trades.*.SPOT_BTC_USDT", on_record, &s.tape, &err));
    CHECK_OK(weir_stream_open(&s.stream, s.plugin, "trades", "SPOT_BTC_USDT", NULL, &err));
    until_more(&s, 20);
    check_notes(&s, folder, '4');
    CHECK_OK(weir_plugin_swap(s.plugin, guest_path("push_woox_dir_2.wasm"), &err));
    until_more(&s, 20);
    check_notes(&s, folder, '5');
    refused_of(&s, "5.0.0", guest_path("push_woox_dir_wide.wasm"), WEIR_REFUSED, "the new file asks for more than was granted: + folder /secrets; to grant it, start anew");
    refused_of(&s, "5.0.0", guest_path("push_woox_wide.wasm"), WEIR_REFUSED, "+ https https://api.woox.io/v3/*");
    check_notes(&s, folder, '5');
    CHECK_OK(weir_plugin_swap(s.plugin, guest_path("push_woox_dir.wasm"), &err));
    until_more(&s, 20);
    check_notes(&s, folder, '4');
    CHECK_UINT(s.tape.gaps, 0);
    end(&s);
    CHECK(unlink(made) == 0 && rmdir(folder) == 0);
}

/* A pull plugin that calls itself as the push plugin does. */
static const char other_kind[] =
    "(module (import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"
    "(import \"extism:host/env\" \"store_u8\" (func $put (param i64 i32)))"
    "(import \"extism:host/env\" \"output_set\" (func $out (param i64 i64)))"
    "(memory 1) (data (i32.const 0) \"{\\22pluginId\\22:\\22push-woox\\22,\\22version\\22:\\224\\22}   \")"
    "(func (export \"start_stream\") (result i32) (i32.const 1))"
    "(func (export \"meta\") (result i32) (local $o i64) (local $i i32) (local.set $o (call $alloc (i64.const 40)))"
    "(loop $l (call $put (i64.add (local.get $o) (i64.extend_i32_u (local.get $i))) (i32.load8_u (local.get $i)))"
    "(local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 40))))"
    "(call $out (local.get $o) (i64.const 40)) (i32.const 0)))";

TEST(swap, refuses_what_cannot_take_its_place)
{
    static scene s;
    char path[] = "/tmp/weir-swap-XXXXXX";
    int fd = mkstemp(path);
    CHECK(write(fd, other_kind, sizeof other_kind - 1) == sizeof other_kind - 1);
    close(fd);
    begin(&s, "push_woox.wasm", "{\"only_1\":\"yes\"}", NULL, 200);
    until_more(&s, 10);
    refused(&s, guest_path("truncated.wasm"), WEIR_INVALID, "truncated.wasm");
    refused(&s, guest_path("nothere.wasm"), WEIR_NOT_FOUND, "no such file");
    refused(&s, guest_path("woox.wasm"), WEIR_INVALID, "another plugin, 'woox-datasource' instead of 'push-woox'");
    refused(&s, guest_path("push_woox_2.wasm"), WEIR_FAILED, "version 2 knows no only_1");
    refused(&s, path, WEIR_UNSUPPORTED, "feeds its streams in another way");
    unlink(path);
    end(&s);
}

/* Who has lost the callbacks can take over a loop, and nothing else. */
TEST(swap, of_a_hybrid_that_loses_its_callbacks_is_refused_only_where_streams_run_by_them)
{
    static scene s;
    for (int callback = 0; callback <= 1; callback++) {
        weir_error err = WEIR_ERROR_INIT;
        weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
        weir_sub *sub;
        o.config_json = "{\"topic\":\"trade@SPOT_BTC_USDT\"}";
        o.stream_route = callback ? WEIR_ROUTE_CALLBACK : WEIR_ROUTE_AUTO;
        open_world(&s, 200);
        CHECK_OK(weir_plugin_load(&s.plugin, s.world.host, guest_path("hybrid.wasm"), &o, &err));
        CHECK_OK(weir_subscribe(&sub, s.world.host, "trades.>", on_record, &s.tape, &err));
        CHECK_OK(weir_stream_open(&s.stream, s.plugin, "trades", "x", NULL, &err));
        until_more(&s, 10);
        if (callback) {
            refused(&s, guest_path("hybrid_loop.wasm"), WEIR_UNSUPPORTED,
                    "plugin 'hybrid.wasm': the new file has no callbacks (prepare_stream, handle_stream_message), by which streams of this hybrid run");
            weir_stream_free(s.stream);
            CHECK_OK(weir_plugin_swap(s.plugin, guest_path("hybrid_loop.wasm"), &err)); /* none runs any more */
        } else {
            CHECK_OK(weir_plugin_swap(s.plugin, guest_path("hybrid_loop.wasm"), &err));
            until_more(&s, 500);
            CHECK_HAS(s.tape.made, "3.0.0");
            CHECK_OK(weir_plugin_swap(s.plugin, guest_path("hybrid_2.wasm"), &err)); /* and gets them again */
            until_more(&s, 500);
            CHECK_HAS(s.tape.made, "\"loop\",\"version\":\"2.0.0\"");
            CHECK_UINT(s.tape.gaps, 0);
        }
        end(&s);
    }
}

/* ---- In any state ---- */

static void free_it(void *arg, weir_stream *stream, weir_stream_state state)
{
    scene *s = arg;
    (void)stream;
    if (state == WEIR_STREAM_LIVE)
        weir_plugin_free(s->plugin);
}

TEST(swap, may_lose_its_plugin_while_the_new_file_is_loaded)
{
    static scene s;
    weir_error err = WEIR_ERROR_INIT;
    begin(&s, "push_woox.wasm", NULL, NULL, 200);
    weir_stream_on_state(s.stream, free_it, &s);
    weir_code code = weir_plugin_swap(s.plugin, guest_path("push_woox_2.wasm"), &err);
    CHECK(code == WEIR_OK || code == WEIR_CANCELLED); /* whatever comes first */
    end(&s);
}

TEST(swap, survives_any_failed_allocation)
{
    static scene s; /* without a venue: its allocations would fail, too */
    int round = 0;
    s = (scene){0};
    e2e_open(&s.world, NULL);
    s.plugin = load(&s, "push_woox.wasm", "{\"api_key\":\"k\"}", NULL);
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        if (weir_plugin_swap(s.plugin, guest_path(round++ % 2 ? "push_woox.wasm" : "push_woox_2.wasm"), &err))
            CHECK(*err.text);
        CHECK(runs_version(&s, "1.0.0") || runs_version(&s, "2.0.0"));
    }
    CHECK(runs_version(&s, (round - 1) % 2 ? "1.0.0" : "2.0.0")); /* the last one, which nothing hindered */
    end(&s);
}
