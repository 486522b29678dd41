/* See ledger.h. The venue's thread appends to what was told, the host's to what arrived; they meet when the
 * venue has gone. A record is known by a hash over its time and its decimals, digit for digit. */
#include "tests/e2e/ledger.h"

#include "base/clock.h"
#include "base/json.h"
#include "plugin/normal.h"

#define LINES_MAX 64
#define SLACK 2 /* reordered: a neighbour of the gap may have changed places across it */

typedef struct told {
    uint64_t id, ms, connection;
    sim_fate fate;
} told;

typedef struct arrival {
    uint64_t id, ms;
    bool gap; /* a gap record stands before it */
} arrival;

typedef struct entry { /* one thing that the market made */
    uint64_t id, ms;
    uint32_t sent, odd, lost, arrived;
    uint64_t connection; /* the newest that it was for */
    bool reached;        /* it was sent there, as it is */
    bool named;          /* a gap record stands there */
} entry;

struct ledger_line {
    bool trades;
    char symbol[48], topic[80];
    weir_sub *sub;
    told *told;
    size_t told_count, told_cap;
    arrival *arrivals;
    size_t count, cap;
    trade *made;
    size_t made_count;
    unsigned price_digits, size_digits;
    uint64_t gaps, since_gap, last_seq, first_ms, last_ms, last_recv;
    uint64_t out_of_seq, odd_gaps;
    bool gap;
    char last_gap[1000];
};

struct ledger {
    ledger_line lines[LINES_MAX];
    size_t count;
};

static void *more(void *at, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return at;
    *cap = *cap ? 2 * *cap : 1024;
    at = realloc(at, *cap * size);
    CHECK(at != NULL);
    return at;
}

ledger *ledger_new(void)
{
    return calloc(1, sizeof(ledger));
}

void ledger_free(ledger *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->lines[i].told);
        free(l->lines[i].arrivals);
        free(l->lines[i].made);
    }
    free(l);
}

/* ---- What a record is known by ---- */

static uint64_t hash_text(uint64_t h, bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.at[i]) * UINT64_C(0x100000001b3);
    return (h ^ '|') * UINT64_C(0x100000001b3);
}

static uint64_t hash_start(uint64_t ms)
{
    return (UINT64_C(0xcbf29ce484222325) ^ ms) * UINT64_C(0x100000001b3);
}

static bytes text_of(json value)
{
    bytes text = value.raw;
    json_string_slice(value, &text);
    return text;
}

static uint64_t hash_members(uint64_t ms, json object, const char *const *names)
{
    uint64_t h = hash_start(ms);
    for (; *names; names++)
        h = hash_text(h, text_of(json_member(object, *names)));
    return h;
}

/* A v3 frame, {"topic":...,"data":{...}}. */
static uint64_t id_of_frame(const ledger_line *line, json data, uint64_t *ms)
{
    static const char *const of_trade[] = {"px", "sx", NULL}, *const of_candle[] = {"o", "h", "l", "c", "v", NULL};
    json_u64(json_member(data, line->trades ? "ts" : "st"), ms);
    uint64_t h = hash_members(*ms, data, line->trades ? of_trade : of_candle);
    return line->trades ? hash_text(h, json_is(json_member(data, "sd"), "BUY") ? BYTES("buy") : BYTES("sell")) : h;
}

/* When, under all the names and in all the units that plugins use. */
static bool time_of_record(json data, uint64_t *ms)
{
    uint64_t ns = 0;
    json at = json_member(data, "ts_event");
    bytes text;
    if (json_string_slice(at, &text)) {
        if (!json_u64((json){JSON_NUMBER, text}, &ns))
            return false;
        *ms = ns / NS_PER_MS;
        return true;
    }
    at = json_member(data, "openTime");
    if (at.type == JSON_NONE)
        at = json_member(data, "timestamp");
    if (!normal_time(at, &ns))
        return false;
    *ms = ns / NS_PER_MS;
    return true;
}

static uint64_t id_of_record(const ledger_line *line, json data, uint64_t *ms)
{
    static const char *const of_trade[] = {"price", "size", "side", NULL}, *const of_candle[] = {"open", "high", "low", "close", "volume", NULL};
    if (!time_of_record(data, ms))
        test_fail(__FILE__, __LINE__, "%s: a record without a time: " BYTES_FMT, line->topic, BYTES_ARG(data.raw));
    return hash_members(*ms, data, line->trades ? of_trade : of_candle);
}

static uint64_t id_of_trade(const ledger_line *line, const trade *t)
{
    char text[64];
    uint64_t h = hash_start(t->ms);
    h = hash_text(h, bytes_make(text, (size_t)(put_ticks(text, t->price, line->price_digits) - text)));
    h = hash_text(h, bytes_make(text, (size_t)(put_ticks(text, t->size, line->size_digits) - text)));
    return hash_text(h, t->sell ? BYTES("sell") : BYTES("buy"));
}

/* ---- The host's side ---- */

static void note_gap(ledger_line *line, const weir_record *r)
{
    json doc, from = {0}, to = {0};
    bytes a = BYTES(""), b = BYTES("");
    uint64_t from_ns = 0, to_ns = 0;
    line->gaps++;
    line->gap = true;
    line->since_gap = 0;
    snprintf(line->last_gap, sizeof line->last_gap, "%.*s", (int)r->json_len, r->json);
    if (json_read(&doc, bytes_make(r->json, r->json_len), NULL) == WEIR_OK) {
        from = json_member(doc, "from");
        to = json_member(doc, "to");
    }
    if (!json_string_slice(from, &a) || !json_string_slice(to, &b) || !json_u64((json){JSON_NUMBER, a}, &from_ns) ||
        !json_u64((json){JSON_NUMBER, b}, &to_ns) || from_ns > to_ns || from_ns < line->last_recv)
        line->odd_gaps++;
}

static void on_record(void *arg, const weir_record *r)
{
    ledger_line *line = arg;
    json data;
    if (r->kind == WEIR_RECORD_STATUS)
        return;
    line->out_of_seq += r->seq != line->last_seq + 1;
    line->last_seq = r->seq;
    if (r->kind == WEIR_RECORD_GAP) {
        note_gap(line, r);
        return;
    }
    if (json_read(&data, bytes_make(r->data, r->data_len), NULL))
        test_fail(__FILE__, __LINE__, "%s: a record is no JSON: %.*s", line->topic, (int)r->data_len, r->data);
    line->arrivals = more(line->arrivals, line->count, &line->cap, sizeof *line->arrivals);
    arrival *a = &line->arrivals[line->count++];
    *a = (arrival){.gap = line->gap};
    a->id = id_of_record(line, data, &a->ms);
    line->gap = false;
    line->since_gap++;
    line->last_recv = r->ts_recv;
    if (!line->first_ms || a->ms < line->first_ms)
        line->first_ms = a->ms;
    if (a->ms > line->last_ms)
        line->last_ms = a->ms;
}

ledger_line *ledger_add(ledger *l, weir_host *host, const char *type, const char *symbol)
{
    weir_error err = WEIR_ERROR_INIT;
    char pattern[120];
    CHECK(l->count < LINES_MAX);
    ledger_line *line = &l->lines[l->count];
    *line = (ledger_line){.trades = !strcmp(type, "trades")};
    snprintf(line->symbol, sizeof line->symbol, "%s", symbol);
    snprintf(line->topic, sizeof line->topic, line->trades ? "trade@%s" : "kline@%s@1m", symbol);
    snprintf(pattern, sizeof pattern, line->trades ? "trades.*.%s" : "ohlcv.*.%s.>", symbol);
    CHECK_OK(weir_subscribe(&line->sub, host, pattern, on_record, line, &err));
    __atomic_store_n(&l->count, l->count + 1, __ATOMIC_RELEASE);
    return line;
}

uint64_t ledger_arrived(const ledger_line *line)
{
    return line->count;
}

uint64_t ledger_since_gap(const ledger_line *line)
{
    return line->since_gap;
}

uint64_t ledger_gaps(const ledger_line *line)
{
    return line->gaps;
}

uint64_t ledger_last_ms(const ledger_line *line)
{
    return line->last_ms;
}

const char *ledger_last_gap(const ledger_line *line)
{
    return line->last_gap;
}

/* ---- The venue's side ---- */

void ledger_told(void *arg, uint64_t connection, bytes frame, sim_fate fate)
{
    ledger *l = arg;
    json doc;
    if (json_read(&doc, frame, NULL))
        test_fail(__FILE__, __LINE__, "the venue makes a frame that is no JSON: " BYTES_FMT, BYTES_ARG(frame));
    json topic = json_member(doc, "topic");
    size_t count = __atomic_load_n(&l->count, __ATOMIC_ACQUIRE);
    for (size_t i = 0; i < count; i++) {
        ledger_line *line = &l->lines[i];
        if (!json_is(topic, line->topic))
            continue;
        line->told = more(line->told, line->told_count, &line->told_cap, sizeof *line->told);
        told *t = &line->told[line->told_count++];
        *t = (told){.fate = fate, .connection = connection};
        t->id = id_of_frame(line, json_member(doc, "data"), &t->ms);
        return;
    }
}

void ledger_made(sim *s, void *arg)
{
    ledger *l = arg;
    for (size_t i = 0; i < l->count; i++) {
        ledger_line *line = &l->lines[i];
        market *m = venue_find(sim_venue(s), bytes_of(line->symbol));
        CHECK(m != NULL);
        line->price_digits = m->price_digits;
        line->size_digits = m->size_digits;
        if (!line->trades || !line->count)
            continue;
        size_t most = (size_t)((line->last_ms - line->first_ms) / MINUTE_MS + 2) * (sim_venue(s)->density + 1);
        line->made = calloc(most, sizeof *line->made);
        CHECK(line->made != NULL);
        line->made_count = market_trades(m, line->first_ms - 1, line->last_ms, line->made, most);
        CHECK(line->made_count < most);
    }
}

/* ---- The reckoning ---- */

typedef struct book_entry {
    uint64_t id;
    size_t place;
} book_entry;

typedef struct reckoning {
    const ledger_line *line;
    const char *what;
    entry *entries; /* in the order in which they were made */
    size_t count;
    book_entry *by_id;
} reckoning;

static int by_id(const void *a, const void *b)
{
    const book_entry *x = a, *y = b;
    return x->id != y->id ? (x->id < y->id ? -1 : 1) : x->place < y->place ? -1
                                                                           : x->place > y->place;
}

/* The first entry of this id; NULL: there is none. */
static entry *find(const reckoning *r, uint64_t id)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->by_id[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->count && r->by_id[low].id == id ? &r->entries[r->by_id[low].place] : NULL;
}

/* The venue may go on for a while to send to a socket whose other end is gone. What counts is the newest one. */
static void note_fate(entry *e, const told *t)
{
    ++*(t->fate == SIM_SENT ? &e->sent : t->fate == SIM_ODD ? &e->odd
                                                            : &e->lost);
    if (t->connection > e->connection) {
        e->connection = t->connection;
        e->reached = false;
    }
    e->reached |= t->fate == SIM_SENT && t->connection == e->connection;
}

static void list_made(reckoning *r)
{
    const ledger_line *line = r->line;
    size_t n = line->trades ? line->made_count : line->told_count;
    r->entries = calloc(n + 1, sizeof *r->entries);
    r->by_id = calloc(n + 1, sizeof *r->by_id);
    CHECK(r->entries && r->by_id);
    for (size_t i = 0; i < n; i++) {
        entry *e = &r->entries[r->count];
        e->id = line->trades ? id_of_trade(line, &line->made[i]) : line->told[i].id;
        e->ms = line->trades ? line->made[i].ms : line->told[i].ms;
        r->by_id[r->count] = (book_entry){e->id, r->count};
        r->count++;
    }
    qsort(r->by_id, r->count, sizeof *r->by_id, by_id);
    for (size_t i = 0; i < line->told_count; i++) {
        entry *e = find(r, line->told[i].id);
        if (e) /* else it lies outside of what is judged */
            note_fate(e, &line->told[i]);
    }
}

/* A gap record between the one at `high`, the newest so far, and the one at `place`. Where that is no newer, it came
 * once more, and late: its neighbours may lie before it. */
static void name_around(reckoning *r, size_t high, size_t place)
{
    size_t end = place > high ? place : high + SLACK + 1;
    for (size_t k = high > SLACK ? high - SLACK : 0; k < end && k < r->count; k++)
        r->entries[k].named = true;
}

/* Marks what arrived and what gap records name. */
static void list_arrived(reckoning *r)
{
    const ledger_line *line = r->line;
    size_t high = 0;
    for (size_t i = 0; i < line->count; i++) {
        const arrival *a = &line->arrivals[i];
        entry *e = find(r, a->id);
        if (!e)
            test_fail(__FILE__, __LINE__, "%s: %s: record %zu (of %llu ms) arrived and was never made", r->what, line->topic, i, (unsigned long long)a->ms);
        size_t place = (size_t)(e - r->entries);
        e->arrived++;
        if (a->gap)
            name_around(r, high, place);
        if (place > high)
            high = place;
    }
}

/* What lies around the one that is wrong, in the order in which it was made and in that in which it arrived. */
static void show_around(const reckoning *r, size_t at)
{
    size_t last = 0;
    for (size_t i = at > 8 ? at - 8 : 0; i < at + 8 && i < r->count; i++)
        fprintf(stderr, "  made %zu at %llu: sent %u, odd %u, lost %u, arrived %u%s\n", i, (unsigned long long)r->entries[i].ms, r->entries[i].sent,
                r->entries[i].odd, r->entries[i].lost, r->entries[i].arrived, r->entries[i].named ? ", named by a gap" : "");
    static const char *const fates[] = {[SIM_SENT] = "sent", [SIM_ODD] = "odd", [SIM_LOST] = "lost"};
    for (size_t i = 0; i < r->line->told_count; i++) {
        const told *t = &r->line->told[i];
        const entry *e = find(r, t->id);
        if (e && (size_t)(e - r->entries) + 8 > at && (size_t)(e - r->entries) < at + 8)
            fprintf(stderr, "  told: %zu on connection %llu: %s\n", (size_t)(e - r->entries), (unsigned long long)t->connection, fates[t->fate]);
    }
    for (size_t i = 0; i < r->line->count; i++) {
        const entry *e = find(r, r->line->arrivals[i].id);
        size_t place = (size_t)(e - r->entries);
        if (r->line->arrivals[i].gap || (place + 12 > at && place < at + 12) || (last + 12 > at && last < at + 12 && i))
            fprintf(stderr, "  record %zu: %s%zu\n", i, r->line->arrivals[i].gap ? "a gap, then " : "", place);
        last = place;
    }
}

static void judge(const reckoning *r, size_t first, size_t last, ledger_sum *sum)
{
    for (size_t i = first; i <= last; i++) {
        entry *e = &r->entries[i];
        const char *wrong = NULL;
        if (find(r, e->id) != e)
            continue; /* the same once more: counted with the first */
        sum->made++;
        sum->arrived += e->arrived > 0;
        sum->doubled += e->arrived > 1;
        if (e->arrived > e->sent + e->odd)
            wrong = "arrived more often than it was sent";
        else if (!e->arrived && e->named)
            sum->named++;
        else if (!e->arrived && !e->reached && e->odd + e->lost > 0)
            sum->kept_back++;
        else if (!e->arrived)
            wrong = "has neither arrived nor is there a gap record in its place";
        if (wrong)
            show_around(r, i);
        if (wrong)
            test_fail(__FILE__, __LINE__, "%s: %s: number %zu of %zu (at %llu ms; sent %u, odd %u, lost %u, arrived %u; %llu gaps): %s", r->what,
                      r->line->topic, i, r->count, (unsigned long long)e->ms, e->sent, e->odd, e->lost, e->arrived,
                      (unsigned long long)r->line->gaps, wrong);
    }
}

void ledger_check(ledger_line *line, const char *what, ledger_sum *sum)
{
    reckoning r = {.line = line, .what = what};
    ledger_sum unused = {0};
    size_t first = SIZE_MAX, last = 0;
    if (line->count == 0)
        test_fail(__FILE__, __LINE__, "%s: %s: nothing has arrived", what, line->topic);
    if (line->out_of_seq || line->odd_gaps)
        test_fail(__FILE__, __LINE__, "%s: %s: %llu records out of their number, %llu gap records whose times make no sense (the last: %s)", what,
                  line->topic, (unsigned long long)line->out_of_seq, (unsigned long long)line->odd_gaps, line->last_gap);
    list_made(&r);
    list_arrived(&r);
    for (size_t i = 0; i < r.count; i++)
        if (r.entries[i].arrived) {
            first = first == SIZE_MAX ? i : first;
            last = i;
        }
    judge(&r, first, last, sum ? sum : &unused);
    free(r.entries);
    free(r.by_id);
}
