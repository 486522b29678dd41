/* Candles equal the venue's own, value for value, for an hour of simulated time, with each plugin and
 * each fault on; where something is missing there is a gap record in its place; the account adds up. */
#include "tests/e2e/e2e.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#define SPEED 2000
#define BARS 60
#define MINUTE_NS (60 * NS_PER_S)

typedef struct values {
    double open, high, low, close, volume;
} values;

typedef struct bar {
    uint64_t start; /* ns */
    values last[4]; /* what was received lately: the final one may change places with its neighbour */
    unsigned count;
    bool tainted; /* a gap record lies within */
} bar;

typedef struct run {
    e2e world;
    bar bars[400];
    unsigned count, gaps;
    uint64_t last_seq;
    bool gap_since;
    unsigned out_of_seq;
} run;

static values read_values(json data)
{
    static const char *const names[] = {"open", "high", "low", "close", "volume"};
    values v = {0};
    for (size_t i = 0; i < 5; i++) {
        json value = json_member(data, names[i]);
        char text[64];
        bytes t = value.raw;
        json_string_slice(value, &t);
        snprintf(text, sizeof text, "%.*s", (int)t.len, t.at);
        (&v.open)[i] = strtod(text, NULL);
    }
    return v;
}

static void on_candle(run *r, const weir_record *record)
{
    json data;
    bytes when = BYTES("");
    uint64_t start = 0;
    if (json_read(&data, bytes_make(record->data, record->data_len), NULL))
        return;
    json_string_slice(json_member(data, "timestamp"), &when);
    if (!clock_parse(when, &start) || r->count == sizeof r->bars / sizeof *r->bars)
        return;
    bar *b = r->count ? &r->bars[r->count - 1] : NULL;
    if (b && start < b->start && r->count > 1) /* reordered: still the one before */
        b--;
    if (!b || start > b->start) {
        b = &r->bars[r->count++];
        *b = (bar){.start = start, .tainted = r->gap_since};
        if (r->gap_since && r->count > 1)
            r->bars[r->count - 2].tainted = true;
    }
    b->tainted |= r->gap_since;
    r->gap_since = false;
    b->last[b->count++ % 4] = read_values(data);
}

static void on_record(void *arg, const weir_record *record)
{
    run *r = arg;
    if (record->kind == WEIR_RECORD_STATUS)
        return;
    r->out_of_seq += record->seq != r->last_seq + 1;
    r->last_seq = record->seq;
    if (record->kind == WEIR_RECORD_GAP) {
        r->gaps++;
        r->gap_since = true;
    } else {
        on_candle(r, record);
    }
}

static bool an_hour(void *arg)
{
    run *r = arg;
    return r->count > BARS;
}

static bool same(const values *a, const values *b)
{
    return a->open == b->open && a->high == b->high && a->low == b->low && a->close == b->close && a->volume == b->volume;
}

/* Every whole, untainted bar against the venue's file; holes must be told. */
static void compare(run *r, bytes truth, const char *what, unsigned may_differ)
{
    unsigned compared = 0, differ = 0, holes = 0;
    for (const char *at = truth.at, *end = at + truth.len, *line_end; at < end; at = line_end + 1) {
        json doc;
        uint64_t ms = 0;
        line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end || json_read(&doc, bytes_make(at, (size_t)(line_end - at)), NULL) || !json_is(json_member(doc, "type"), "1m"))
            break;
        json_u64(json_member(doc, "startTimestamp"), &ms);
        for (unsigned i = 0; i + 1 < r->count; i++) {
            bar *b = &r->bars[i];
            if (b->start != ms * NS_PER_MS || b->tainted)
                continue;
            values want = read_values(doc);
            bool found = false;
            for (unsigned k = 0; k < 4 && k < b->count; k++)
                found |= same(&b->last[k], &want);
            compared++;
            differ += !found;
        }
    }
    for (unsigned i = 1; i + 1 < r->count; i++)
        holes += r->bars[i].start != r->bars[i - 1].start + MINUTE_NS && !r->bars[i].tainted;
    if (compared < BARS / 4 || differ > may_differ || holes)
        test_fail(__FILE__, __LINE__, "%s: %u candles compared, %u differ, %u holes without a gap record (%u gaps)", what, compared,
                  differ, holes, r->gaps);
}

static void hour(const char *guest, const char *faults, unsigned may_differ)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin *plugin;
    weir_stream *stream;
    weir_sub *sub;
    weir_account a;
    buf truth;
    char file[] = "/tmp/weir-truth-XXXXXX", what[200];
    run *r = calloc(1, sizeof *r);
    sim_options venue = {.seed = 11, .tls = true, .speed = SPEED, .rate = 0.5, .no_limits = true, .truth_file = file, .faults = faults, .silence_ms = 3600000, .ping_ms = 600000};
    weir_log(WEIR_LOG_OFF, NULL, NULL);
    snprintf(what, sizeof what, "%s with '%s'", guest, faults);
    if (access(guest_path(guest), R_OK)) {
        free(r);
        test_skip("the Go guests are not built; 'make test' does (ninja guests-go)");
    }
    close(mkstemp(file));
    e2e_open(&r->world, &venue);
    CHECK_OK(weir_plugin_load(&plugin, r->world.host, guest_path(guest), NULL, &err));
    CHECK_OK(weir_subscribe(&sub, r->world.host, ">", on_record, r, &err));
    CHECK_OK(weir_stream_open(&stream, plugin, "ohlcv", "SPOT_BTC_USDT", "{\"timeframe\":\"1m\"}", &err));
    e2e_until(&r->world, an_hour, r, 60, what);
    weir_host_account(r->world.host, &a);
    CHECK(weir_host_account_check(r->world.host, &err));
    CHECK_UINT(a.published, a.delivered + a.dropped + a.queued);
    CHECK_UINT(r->out_of_seq, 0);
    e2e_close(&r->world);
    buf_init(&truth, 64 << 20);
    CHECK_OK(file_read(&truth, file, &err));
    unlink(file);
    compare(r, buf_bytes(&truth), what, may_differ);
    buf_fini(&truth);
    free(r);
}

TEST(candles, of_woox_equal_the_venues)
{
    hour("woox.wasm", "", 0);
}

TEST(candles, of_the_c_template_equal_the_venues)
{
    hour("minimal-c.wasm", "", 0);
}

TEST(candles, of_woox_go_reactor_equal_the_venues)
{
    hour("woox-go.wasm", "", 0);
}

TEST(candles, of_woox_go_command_equal_the_venues)
{
    hour("woox-go-command.wasm", "", 0);
}

TEST(candles, of_the_go_template_equal_the_venues)
{
    hour("minimal-go.wasm", "", 0);
}

TEST(candles, of_the_go_template_command_equal_the_venues)
{
    hour("minimal-go-command.wasm", "", 0);
}

static const struct {
    const char *list;
    unsigned may_differ; /* frames that the fault made unreadable are lost to the plugin, too */
} faults[] = {
    {"disconnect:every=10m", 0},
    {"drop:every=10m", 0},
    {"close:every=10m:code=1001", 0},
    {"half-open:every=40m", 0},
    {"silence:every=40m:for=40m", 0},
    {"malformed:every=500", 0},
    {"badutf8:every=500", 0},
    {"badjson:p=0.01", 10},
    {"dup:p=0.05", 0},
    {"reorder:p=0.05", 0},
    {"slow:delay=1ms:split=200", 0},
    {"pingflood:every=10m:count=200", 0},
    {"cut:after=15m", 0},
    {"upgrade:status=503:times=2", 0},
    {"binary:p=0.01", 10},
};

TEST(candles, of_woox_survive_every_fault)
{
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        hour("woox.wasm", faults[i].list, faults[i].may_differ);
}

TEST(candles, of_woox_go_survive_every_fault)
{
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        hour("woox-go.wasm", faults[i].list, faults[i].may_differ);
}
