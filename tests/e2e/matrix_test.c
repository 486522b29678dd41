/* The fault matrix: each fault that the simulated venue has, at each generation and dialect, in C and in Go, on candles
 * and trades at once. Whatever the fault does, each record that the venue made has arrived, or a gap record stands in
 * its place, or the venue itself kept it back (ledger.h); nobody's account fails to add up; and the fault did strike.
 * Faults of REST are asked about with commands: each ends, with the data or with a reason, and works again behind it.
 *
 *     WEIR_FAULT=half-open build/tests/e2e_matrix matrix.go       one fault; WEIR_DEBUG=1 tells more */
#include "tests/e2e/e2e.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "tests/e2e/dialects.h"
#include "tests/e2e/ledger.h"

#define START_MS UINT64_C(1700000000000)
#define LINES_MAX 20

static weir_error err;

typedef enum expect { ANY = 0,
                      GAPS = 1,    /* every stream must tell of gaps, and go on */
                      NO_GAPS = 2, /* none may */
                      DOUBLED = 4,
                      KEPT_BACK = 8, /* by the venue, and nobody could know */
                      SILENT = 16 } expect;

typedef struct fault_row {
    const char *list;
    unsigned expect;
} fault_row;

static const fault_row stream_faults[] = {
    {"disconnect:every=12m", GAPS},
    {"drop:every=12m", GAPS},
    {"close:every=12m:code=1001", GAPS},
    {"half-open:every=30m", GAPS | SILENT},
    {"silence:every=30m:for=60m", GAPS | SILENT},
    {"silence:every=5m:for=20s", NO_GAPS | KEPT_BACK},
    {"pingflood:every=5m:count=200", NO_GAPS},
    {"malformed:every=60", GAPS},
    {"badutf8:every=60", GAPS},
    {"badjson:p=0.02", KEPT_BACK},
    {"binary:p=0.02", ANY},
    {"huge:every=60:size=300000", ANY},
    {"dup:p=0.05", NO_GAPS | DOUBLED},
    {"reorder:p=0.05", NO_GAPS},
    {"reorder:p=0.1,disconnect:every=12m", GAPS},
    {"lose:p=0.05", NO_GAPS | KEPT_BACK},
    {"slow:delay=1ms:split=100", NO_GAPS},
    {"upgrade:p=0.5:status=503,disconnect:every=12m", GAPS},
    {"skew:by=-90s", NO_GAPS},
    {"cut:after=15m", GAPS},
};

typedef struct scene {
    e2e world;
    ledger *ledger;
    weir_plugin *plugins[DIALECT_ROWS];
    const dialect_row *rows[DIALECT_ROWS];
    size_t plugin_count;
    weir_stream *streams[LINES_MAX];
    ledger_line *lines[LINES_MAX];
    const char *guests[LINES_MAX];
    bool went_on[LINES_MAX];
    uint64_t want; /* records of each */
    size_t count;
    unsigned expect;
} scene;

static const char *const symbols[] = {
    "SPOT_BTC_USDT", "SPOT_ETH_USDT", "SPOT_SOL_USDT", "SPOT_WOO_USDT", "SPOT_PEPE_USDT", "SPOT_DOGE_USDT", "SPOT_XRP_USDT", "SPOT_1INCH_USDT",
    "SPOT_2Z_USDT", "SPOT_0G_USDT", "SPOT_AAVE_USDT", "SPOT_BTC_USDC", "PERP_BTC_USDT", "PERP_ETH_USDT", "PERP_SOL_USDT", "PERP_WOO_USDT"};

static void add_stream(scene *s, size_t plugin, const char *type)
{
    const char *symbol = symbols[s->count];
    CHECK(s->count < sizeof symbols / sizeof *symbols);
    s->guests[s->count] = s->rows[plugin]->guest;
    s->lines[s->count] = ledger_add(s->ledger, s->world.host, type, symbol);
    CHECK_OK(weir_stream_open(&s->streams[s->count], s->plugins[plugin], type, symbol, strcmp(type, "ohlcv") ? NULL : "{\"timeframe\":\"1m\"}", &err));
    s->count++;
}

/* Those that stand for their generation and language; the portable build and the templates are like another row. */
static bool takes_part(const dialect_row *row, bool go)
{
    return row->go == go && strncmp(row->guest, "minimal", 7) && strcmp(row->guest, "woox-portable.wasm") && strcmp(row->guest, "woox-go-command.wasm");
}

static void begin(scene *s, bool go, const char *faults, uint32_t call_ms, bool streams, unsigned expects)
{
    sim_options venue = {.seed = 3, .start_ms = START_MS, .speed = 1000, .rate = go ? 0.1 : 0.2, .no_limits = true, .faults = faults, .silence_ms = 3600000, .ping_ms = 600000};
    *s = (scene){.ledger = ledger_new(), .want = go ? 100 : 150};
    venue.on_frame = ledger_told;
    venue.on_frame_arg = s->ledger;
    weir_log(getenv("WEIR_DEBUG") ? WEIR_LOG_DEBUG : WEIR_LOG_OFF, NULL, NULL);
    e2e_open_patient(&s->world, &venue, expects & SILENT ? 1000 : 60000); /* a busy machine is no silent venue */
    for (size_t i = 0; i < DIALECT_ROWS; i++) {
        const dialect_row *row = &dialect_rows[i];
        weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
        if (!takes_part(row, go))
            continue;
        o.config_json = row->config;
        o.call_ms = call_ms;
        s->rows[s->plugin_count] = row;
        CHECK_OK(weir_plugin_load(&s->plugins[s->plugin_count], s->world.host, guest_path(row->guest), &o, &err));
        if (streams)
            add_stream(s, s->plugin_count, "ohlcv");
        if (streams && !row->candles_only)
            add_stream(s, s->plugin_count, "trades");
        s->plugin_count++;
    }
}

static void check_account(scene *s, const char *what)
{
    weir_account a;
    while (weir_host_step(s->world.host, 0))
        ;
    weir_host_account(s->world.host, &a);
    if (!weir_host_account_check(s->world.host, &err))
        test_fail(__FILE__, __LINE__, "%s: %s", what, err.text);
    CHECK_UINT(a.published, a.delivered + a.dropped + a.queued);
    CHECK_UINT(a.dropped, 0);
}

static void take_stats(sim *s, void *stats)
{
    *(sim_stats *)stats = sim_get_stats(s);
}

static void end(scene *s, const char *what, sim_stats *stats)
{
    check_account(s, what);
    e2e_on_venue(&s->world, ledger_made, s->ledger);
    if (stats)
        e2e_on_venue(&s->world, take_stats, stats);
    e2e_close(&s->world);
}

/* ---- Faults of the socket ---- */

static void show(scene *s, const char *list)
{
    for (size_t i = 0; i < s->count; i++)
        fprintf(stderr, "%s: %s: %llu arrived, %llu since the last of %llu gaps, %s\n", list, s->guests[i], (unsigned long long)ledger_arrived(s->lines[i]),
                (unsigned long long)ledger_since_gap(s->lines[i]), (unsigned long long)ledger_gaps(s->lines[i]), weir_stream_state_name(weir_stream_get_state(s->streams[i])));
}

/* Each stream has told of what it must, and has gone on behind it. */
static bool told(void *arg)
{
    scene *s = arg;
    static uint64_t shown;
    bool all = true;
    if (getenv("WEIR_DEBUG") && clock_mono() > shown + 5 * NS_PER_S) {
        shown = clock_mono();
        show(s, "so far");
    }
    for (size_t i = 0; i < s->count; i++) {
        if (weir_stream_get_state(s->streams[i]) == WEIR_STREAM_FAILED)
            test_fail(__FILE__, __LINE__, "%s: its stream has failed: %s", s->guests[i], weir_stream_why(s->streams[i]));
        s->went_on[i] |= ledger_arrived(s->lines[i]) >= s->want && ledger_since_gap(s->lines[i]) >= 20 && (!(s->expect & GAPS) || ledger_gaps(s->lines[i]));
        all &= s->went_on[i];
    }
    return all;
}

static void one_fault(bool go, const fault_row *fault)
{
    scene s;
    sim_stats stats;
    ledger_sum sum = {0};
    begin(&s, go, fault->list, 0, true, fault->expect);
    s.expect = fault->expect;
    e2e_until(&s.world, told, &s, 120, fault->list);
    if (getenv("WEIR_DEBUG"))
        show(&s, fault->list);
    end(&s, fault->list, &stats);
    for (size_t i = 0; i < s.count; i++) {
        char what[200];
        snprintf(what, sizeof what, "%s with '%s'", s.guests[i], fault->list);
        ledger_check(s.lines[i], what, &sum);
        if (fault->expect & NO_GAPS && ledger_gaps(s.lines[i]))
            test_fail(__FILE__, __LINE__, "%s: tells of a gap where nothing is missing: %s", what, ledger_last_gap(s.lines[i]));
    }
    bool by_clock = !strncmp(fault->list, "skew", 4) || !strncmp(fault->list, "cut", 3) || !strncmp(fault->list, "slow", 4);
    if ((!by_clock && !stats.faults) || (fault->expect & DOUBLED && !sum.doubled) || (fault->expect & KEPT_BACK && !sum.kept_back))
        test_fail(__FILE__, __LINE__, "'%s' had no effect: it struck %llu times; %llu records doubled, %llu kept back", fault->list,
                  (unsigned long long)stats.faults, (unsigned long long)sum.doubled, (unsigned long long)sum.kept_back);
    ledger_free(s.ledger);
}

static void all_stream_faults(bool go, size_t from, size_t to)
{
    const char *only = getenv("WEIR_FAULT");
    size_t n = sizeof stream_faults / sizeof *stream_faults;
    for (size_t i = from; i < to && i < n; i++)
        if (!only || strstr(stream_faults[i].list, only))
            one_fault(go, &stream_faults[i]);
}

/* ---- A venue that takes nobody any more, and then does again ---- */

static bool all_wait(void *arg)
{
    scene *s = arg;
    for (size_t i = 0; i < s->count; i++)
        if (weir_stream_get_state(s->streams[i]) != WEIR_STREAM_WAITING)
            return false;
    return true;
}

static void throw_out(sim *s, void *arg)
{
    (void)arg;
    CHECK_OK(sim_fault(s, "refuse:after=0", &err));
    sim_disconnect(s);
}

static void take_in(sim *s, void *arg)
{
    (void)arg;
    sim_fault_clear(s);
}

static void refused(bool go)
{
    scene s;
    begin(&s, go, NULL, 0, true, ANY);
    e2e_until(&s.world, told, &s, 120, "a start without faults");
    e2e_on_venue(&s.world, throw_out, NULL);
    e2e_until(&s.world, all_wait, &s, 60, "a wait for the next try");
    e2e_on_venue(&s.world, take_in, NULL);
    s.expect = GAPS;
    memset(s.went_on, 0, sizeof s.went_on);
    e2e_until(&s.world, told, &s, 120, "a return");
    end(&s, "refuse", NULL);
    for (size_t i = 0; i < s.count; i++)
        ledger_check(s.lines[i], s.guests[i], NULL);
    ledger_free(s.ledger);
}

/* ---- Faults of REST ---- */

static const struct {
    const char *list, *with; /* "": the reason is the plugin's own, but there is one */
} reply_faults[] = {
    {"429:p=1", ""},
    {"5xx:p=1:status=502", ""},
    {"html:p=1:status=502", ""},
    {"empty:p=1", ""},
    {"slowbody:p=1:for=100ms", ""},
    {"cutbody:p=1", ""},
    {"redirect:p=1:to=https://evil.example/", "evil.example"},
    {"hang:p=1", "after"},
};

static void one_reply_fault(scene *s, size_t plugin, size_t fault)
{
    const weir_result *r;
    const char *guest = s->rows[plugin]->guest, *list = reply_faults[fault].list;
    err = (weir_error)WEIR_ERROR_INIT;
    if (weir_command_wait(s->plugins[plugin], "getMarkets", NULL, WEIR_COMMAND_FRESH, &r, &err) == WEIR_OK)
        test_fail(__FILE__, __LINE__, "%s with '%s': getMarkets succeeds", guest, list);
    if (!*err.text || !strstr(err.text, reply_faults[fault].with))
        test_fail(__FILE__, __LINE__, "%s with '%s': getMarkets fails with '%s', which does not say '%s'", guest, list, err.text, reply_faults[fault].with);
}

static void all_reply_faults(bool go)
{
    for (size_t i = 0; i < sizeof reply_faults / sizeof *reply_faults; i++) {
        scene s;
        const weir_result *r;
        bool hang = !strncmp(reply_faults[i].list, "hang", 4);
        begin(&s, go, reply_faults[i].list, hang ? 300 : 0, false, ANY);
        for (size_t p = 0; p < s.plugin_count; p++)
            one_reply_fault(&s, p, i);
        e2e_on_venue(&s.world, take_in, NULL);
        bool rests = !strncmp(reply_faults[i].list, "429", 3); /* the origin is left alone for a while */
        for (size_t p = 0; p < s.plugin_count && !hang && !rests; p++)
            CHECK_OK(weir_command_wait(s.plugins[p], "getMarkets", NULL, WEIR_COMMAND_FRESH, &r, &err));
        end(&s, reply_faults[i].list, NULL);
        ledger_free(s.ledger);
    }
}

/* ---- A hole in the changes of a book ---- */

typedef struct chain {
    uint64_t last, records, told; /* the last change's time; holes that were told, by a gap or a new snapshot */
    uint64_t untold, cried;       /* holes that nobody told; gaps where there is no hole */
    bool gap;
} chain;

static uint64_t number(json data, const char *name, const char *other)
{
    uint64_t n = 0;
    json value = json_member(data, name);
    json_u64(value.type == JSON_NONE ? json_member(data, other) : value, &n);
    return n;
}

static void on_change(void *arg, const weir_record *r)
{
    chain *c = arg;
    json data;
    if (r->kind == WEIR_RECORD_GAP)
        c->gap = true;
    if (r->kind != WEIR_RECORD_DATA || json_read(&data, bytes_make(r->data, r->data_len), NULL))
        return;
    uint64_t ts = number(data, "ts", "ts"), previous = number(data, "prevTs", "prev_ts");
    bool snapshot = json_is(json_member(data, "type"), "snapshot"), hole = c->last && previous != c->last;
    c->told += c->last && (snapshot || (hole && c->gap));
    c->untold += hole && !snapshot && !c->gap;
    c->cried += c->gap && !hole && !snapshot;
    c->gap = false;
    c->last = ts;
    c->records++;
}

static bool all_told(void *arg)
{
    for (chain *c = arg; c->last != UINT64_MAX; c++)
        if (c->told < 5 || c->records < 50)
            return false;
    return true;
}

/* A plugin that says the numbers has the host tell the hole; those of generation 2 here fetch a new snapshot by themselves. */
static void holes_in_books(bool go)
{
    static chain chains[DIALECT_ROWS + 1];
    sim_options venue = {.seed = 3, .start_ms = START_MS, .speed = 20, .rate = 0.5, .no_limits = true, .faults = "gap:every=20", .silence_ms = 3600000, .ping_ms = 600000};
    size_t n = 0;
    e2e world;
    weir_log(WEIR_LOG_OFF, NULL, NULL);
    e2e_open_patient(&world, &venue, 60000);
    memset(chains, 0, sizeof chains);
    for (size_t i = 0; i < DIALECT_ROWS; i++) {
        const dialect_row *row = &dialect_rows[i];
        weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
        weir_plugin *plugin;
        weir_stream *stream;
        weir_sub *sub;
        char pattern[100];
        if (!takes_part(row, go) || row->candles_only)
            continue;
        o.config_json = row->config;
        CHECK_OK(weir_plugin_load(&plugin, world.host, guest_path(row->guest), &o, &err));
        snprintf(pattern, sizeof pattern, "orderbook.*.%s.>", symbols[n]);
        CHECK_OK(weir_subscribe(&sub, world.host, pattern, on_change, &chains[n], &err));
        CHECK_OK(weir_stream_open(&stream, plugin, "orderbook", symbols[n++], "{\"depth\":\"50\"}", &err));
    }
    chains[n].last = UINT64_MAX;
    e2e_until(&world, all_told, chains, 120, "that each book tells of five holes");
    CHECK(weir_host_account_check(world.host, &err));
    e2e_close(&world);
    for (size_t i = 0; i < n; i++)
        if (chains[i].untold || chains[i].cried)
            test_fail(__FILE__, __LINE__, "%s: %llu holes are not told, %llu gaps are told where there is none", symbols[i],
                      (unsigned long long)chains[i].untold, (unsigned long long)chains[i].cried);
}

/* ---- The tests ---- */

static void need_go(void)
{
    if (access(guest_path("dialect_1-go.wasm"), R_OK))
        test_skip("the Go guests are not built; 'make test' does (ninja guests-go)");
}

TEST(matrix, c_of_connections)
{
    all_stream_faults(false, 0, 7);
}

TEST(matrix, c_of_frames)
{
    all_stream_faults(false, 7, 15);
}

TEST(matrix, c_of_the_rest)
{
    all_stream_faults(false, 15, SIZE_MAX);
    refused(false);
}

TEST(matrix, c_of_replies)
{
    all_reply_faults(false);
}

TEST(matrix, c_of_books)
{
    holes_in_books(false);
}

TEST(matrix, go_of_books)
{
    need_go();
    holes_in_books(true);
}

TEST(matrix, go_of_connections)
{
    need_go();
    all_stream_faults(true, 0, 7);
}

TEST(matrix, go_of_frames)
{
    need_go();
    all_stream_faults(true, 7, 15);
}

TEST(matrix, go_of_the_rest)
{
    need_go();
    all_stream_faults(true, 15, SIZE_MAX);
    refused(true);
}

TEST(matrix, go_of_replies)
{
    need_go();
    all_reply_faults(true);
}
